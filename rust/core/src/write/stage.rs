//! What was given of a chunk and is not written yet: elements in buffers of their own, and which of them there are.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::bits::Bits;
use super::part::clipped;
use super::{GIVEN, Input, Layer, STAGED};
use crate::buffer::to_usize;
use crate::chunk_grid::ChunkGrid;
use crate::codec::chain::{Chain, Elements};
use crate::error::Result;
use crate::plan::Region;
use crate::slot::Slot;
use crate::subset::{Dims, product};
use crate::view::{Item, c_strides, zeroed};

/// Elements of a chunk. There is a buffer for each inner chunk of a shard that has any, so that a shard of which little is
/// given takes little memory.
pub(crate) struct Stage {
    /// How the chunk is cut into buffers.
    grid: ChunkGrid,
    /// How elements lie in a buffer: as they are in memory, in C order.
    layout: Elements,
    tile_shape: Dims,
    tiles: BTreeMap<Dims, Tile>,
    variable: bool,
    /// The bytes of elements of variable length.
    heap: Vec<u8>,
    /// The shape of what of the chunk counts.
    inside: Dims,
    /// How many of the elements that count there are.
    covered: u64,
}

struct Tile {
    elements: Vec<u8>,
    /// Which of them there are; `None`: all.
    mask: Option<Bits>,
    count: u64,
}

/// What a stage takes besides its elements, or somewhat more.
const BASE: u64 = 512;

impl Stage {
    /// Nothing of a chunk of a chain, of which a part of shape `inside` counts.
    pub(crate) fn new(chain: &Chain, inside: &[u64]) -> Result<Self> {
        let mut tile_shape = Dims::from(chain.shape());
        if let Some(shard) = chain.open_shard() {
            for (length, axis) in shard.inner.shape().iter().zip(chain.order()) {
                tile_shape[*axis] = *length;
            }
        }
        let size = chain.data_type().size();
        let strides = c_strides(&tile_shape, size).iter().map(|stride| *stride as i64).collect();
        let bytes = product(&tile_shape).unwrap_or(u64::MAX).saturating_mul(size as u64);
        Ok(Self {
            grid: ChunkGrid::regular(chain.shape(), &tile_shape)?,
            layout: Elements { size: bytes, offset: 0, strides, item: Item { size, word: 1 } },
            tile_shape,
            tiles: BTreeMap::new(),
            variable: chain.data_type().is_variable(),
            heap: Vec::new(),
            inside: inside.into(),
            covered: 0,
        })
    }

    /// Bytes in memory.
    pub(crate) fn size(&self) -> u64 {
        let masks = self.tiles.values().next().map_or(0, |_| self.layout.size / self.layout.item.size as u64 / 8 + 128);
        BASE + self.tiles.len() as u64 * (self.layout.size + masks) + self.heap.capacity() as u64
    }

    /// How much there is of what counts, of 1.
    pub(crate) fn fullness(&self) -> f64 {
        self.covered as f64 / product(&self.inside).unwrap_or(u64::MAX).max(1) as f64
    }

    /// Whether all is there that counts.
    pub(crate) fn is_complete(&self) -> bool {
        product(&self.inside) == Some(self.covered)
    }

    /// What of a tile counts.
    fn inside_tile(&self, index: &[u64]) -> Dims {
        let lengths = self.tile_shape.iter().zip(index).zip(&self.inside);
        lengths.map(|((length, i), end)| end.saturating_sub(i * length).min(*length)).collect()
    }

    /// Copies a region of the chunk out of the input. From now on a part of shape `inside` counts.
    pub(crate) fn add(&mut self, region: &Region, input: Input<'_>, inside: &[u64]) -> Result<()> {
        self.recount(inside)?;
        let size = self.layout.item.size;
        for (index, region) in region.split(&self.grid) {
            let inside = self.inside_tile(&index);
            let tile = match self.tiles.entry(index) {
                std::collections::btree_map::Entry::Occupied(tile) => tile.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    let elements = zeroed(to_usize(self.layout.size)?)?;
                    let mask = Some(Bits::new(self.layout.size / size as u64)?);
                    place.insert(Tile { elements, mask, count: 0 })
                }
            };
            let layer = Layer { region, bytes: input.bytes, mask: None };
            layer.place(&self.layout, &mut tile.elements)?;
            if self.variable {
                layer.each_run(&self.layout.strides, size, |to, _, axis| {
                    let places = (0..axis.length as isize).map(|k| (to + k * axis.to).cast_unsigned());
                    places.for_each(|to| take_in(&mut self.heap, input.heap, &mut tile.elements[to..to + size]));
                    Ok(())
                })?;
            }
            if let Some(bits) = &mut tile.mask {
                let counting = Layer { region: clipped(&layer.region, &inside), ..layer.clone() };
                let new = counting.mark(&self.tile_shape, size, bits)?;
                self.covered += new;
                tile.count += new;
                if inside != self.tile_shape {
                    tile.count += layer.mark(&self.tile_shape, size, bits)?;
                }
                if tile.count == self.layout.size / size as u64 {
                    tile.mask = None;
                }
            }
        }
        Ok(())
    }

    /// Counts anew where something else counts now.
    fn recount(&mut self, inside: &[u64]) -> Result<()> {
        if *self.inside == *inside {
            return Ok(());
        }
        self.inside = inside.into();
        self.covered = 0;
        let size = self.layout.item.size;
        for (index, tile) in &self.tiles {
            let inside = self.inside_tile(index);
            let whole = Layer { mask: tile.mask.as_ref(), ..Layer::whole(&self.tile_shape, size, &tile.elements) };
            let counting = Layer { region: clipped(&whole.region, &inside), ..whole };
            self.covered += counting.mark(&self.tile_shape, size, &mut Bits::new(self.layout.size / size as u64)?)?;
        }
        Ok(())
    }

    /// The elements, and their heap.
    pub(crate) fn layers(&self) -> (SmallVec<[Layer<'_>; 1]>, &[u8]) {
        let place = |index: &Dims| {
            let mut region = Layer::whole(&self.tile_shape, self.layout.item.size, &[]).region;
            for ((run, i), length) in region.runs.iter_mut().zip(index).zip(&self.tile_shape) {
                run.start = i * length;
            }
            region
        };
        let layers = self.tiles.iter().map(|(index, tile)| Layer {
            region: place(index),
            bytes: &tile.elements,
            mask: tile.mask.as_ref(),
        });
        (layers.collect(), &self.heap)
    }

    /// Puts what was staged before under what was staged since.
    pub(crate) fn put_under(&mut self, mut older: Self) -> Result<()> {
        let (size, base) = (self.layout.item.size, self.heap.len() as u64);
        self.heap.append(&mut older.heap);
        for (index, mut below) in older.tiles {
            if self.variable {
                for bytes in below.elements.as_chunks_mut::<{ Slot::SIZE }>().0 {
                    let slot = Slot::from_bytes(*bytes);
                    if slot.heap == STAGED {
                        *bytes = Slot { offset: slot.offset + base, ..slot }.to_bytes();
                    }
                }
            }
            let Some(tile) = self.tiles.get_mut(&index) else {
                self.tiles.insert(index, below);
                continue;
            };
            let Some(bits) = &mut tile.mask else { continue };
            for at in 0..below.elements.len() / size {
                let there = below.mask.as_ref().is_none_or(|mask| mask.count(at, 1) > 0);
                if there && bits.set(at, 1) > 0 {
                    tile.count += 1;
                    let bytes = at * size..(at + 1) * size;
                    tile.elements[bytes.clone()].copy_from_slice(&below.elements[bytes]);
                }
            }
            if tile.count == self.layout.size / size as u64 {
                tile.mask = None;
            }
        }
        let inside = std::mem::take(&mut self.inside);
        self.recount(&inside)
    }
}

/// Copies the bytes of an element of variable length to the heap of a stage, and makes its slot one of that.
fn take_in(heap: &mut Vec<u8>, given: &[u8], element: &mut [u8]) {
    let Ok(bytes) = element.try_into() else { return };
    let slot = Slot::from_bytes(bytes);
    if slot.heap != GIVEN {
        return;
    }
    let own = slot.of(given).unwrap_or_default();
    let staged = Slot { heap: STAGED, length: own.len() as u32, offset: heap.len() as u64 };
    heap.extend_from_slice(own);
    element.copy_from_slice(&staged.to_bytes());
}
