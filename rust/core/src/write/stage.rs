//! Stages: the elements of a chunk that a write session was given and has not stored yet.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::bits::Bits;
use super::part::clipped;
use super::{Cut, GIVEN, Input, Layer, STAGED};
use crate::buffer::to_usize;
use crate::chunk_grid::ChunkGrid;
use crate::codec::chain::{Chain, Elements};
use crate::error::Result;
use crate::plan::Region;
use crate::slot::Slot;
use crate::subset::{Dims, product};
use crate::view::{Item, c_strides, zeroed};

/// Given elements of a chunk. A shard has one buffer for each inner chunk with given elements, so that few elements
/// take little memory.
pub(crate) struct Stage {
    /// The grid of buffers within the chunk.
    grid: ChunkGrid,
    /// The layout of a buffer: C order, native byte order.
    layout: Elements,
    tile_shape: Dims,
    tiles: BTreeMap<Dims, Tile>,
    variable: bool,
    /// The bytes of elements of variable length.
    heap: Vec<u8>,
    /// The chunk shape clipped to the array. Only elements inside it count.
    inside: Dims,
    /// Number of given elements that count.
    covered: u64,
    /// Number of bit sets in all tiles for parts of elements.
    masks: u64,
}

struct Tile {
    elements: Vec<u8>,
    /// Which elements were given; `None`: all.
    mask: Option<Bits>,
    count: u64,
    /// Which elements have these bytes given, whether as part of a whole element or not. Later bytes overwrite earlier
    /// ones in the buffer, so no order is kept.
    parts: Vec<(Cut, Bits)>,
}

/// Memory of a stage besides its elements, in bytes, rounded up.
const BASE: u64 = 512;

impl Stage {
    /// Creates an empty stage of a chunk; only its elements in `inside` count.
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
            masks: 0,
        })
    }

    /// Returns the size in memory, in bytes.
    pub(crate) fn size(&self) -> u64 {
        let mask = self.layout.size / self.layout.item.size as u64 / 8 + 128;
        let tiles = self.tiles.len() as u64;
        BASE + tiles * self.layout.size + (tiles + self.masks) * mask + self.heap.capacity() as u64
    }

    /// Returns the fraction of the counted elements that were given.
    pub(crate) fn fullness(&self) -> f64 {
        self.covered as f64 / product(&self.inside).unwrap_or(u64::MAX).max(1) as f64
    }

    /// Whether all counted elements were given.
    pub(crate) fn is_complete(&self) -> bool {
        product(&self.inside) == Some(self.covered)
    }

    /// Returns the shape of the counted elements of a tile.
    fn inside_tile(&self, index: &[u64]) -> Dims {
        let lengths = self.tile_shape.iter().zip(index).zip(&self.inside);
        lengths.map(|((length, i), end)| end.saturating_sub(i * length).min(*length)).collect()
    }

    /// Copies a region of the chunk from the input. From now on, only elements in `inside` count.
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
                    place.insert(Tile { elements, mask, count: 0, parts: Vec::new() })
                }
            };
            let layer = Layer { region, bytes: input.bytes, mask: None, cuts: input.cuts };
            layer.place(&self.layout, &mut tile.elements)?;
            if !input.cuts.is_empty() {
                if tile.mask.is_some() {
                    self.masks += tile.mark_parts(&layer, &self.layout, &self.tile_shape)?;
                }
                continue;
            }
            if self.variable {
                layer.each_run(&self.layout.strides, size, |to, _, axis| {
                    let places = (0..axis.length as isize).map(|k| (to + k * axis.to).cast_unsigned());
                    places.for_each(|to| copy_to_heap(&mut self.heap, input.heap, &mut tile.elements[to..to + size]));
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

    /// Counts the given elements again if the shape of the counted ones has changed.
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

    /// Returns the elements as layers, and their heap.
    pub(crate) fn layers(&self) -> (SmallVec<[Layer<'_>; 1]>, &[u8]) {
        let place = |index: &Dims| {
            let mut region = Layer::whole(&self.tile_shape, self.layout.item.size, &[]).region;
            for ((run, i), length) in region.runs.iter_mut().zip(index).zip(&self.tile_shape) {
                run.start = i * length;
            }
            region
        };
        let mut layers = SmallVec::new();
        for (index, tile) in &self.tiles {
            let region = place(index);
            let layer = Layer { region, bytes: &tile.elements, mask: tile.mask.as_ref(), cuts: &[] };
            if tile.mask.is_some() {
                let parts = tile.parts.iter().map(|(cut, bits)| (std::slice::from_ref(cut), Some(bits)));
                layers.extend(parts.map(|(cuts, mask)| Layer { mask, cuts, ..layer.clone() }));
            }
            layers.push(layer);
        }
        (layers, &self.heap)
    }

    /// Puts an older stage below this one; elements given to this one win.
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
                self.masks += below.parts.len() as u64;
                self.tiles.insert(index, below);
                continue;
            };
            if !below.parts.is_empty() || !tile.parts.is_empty() {
                self.masks += tile.merge_parts(&mut below, size)?;
            }
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

impl Tile {
    /// Marks parts of elements as given; returns the number of new bit sets.
    fn mark_parts(&mut self, layer: &Layer<'_>, layout: &Elements, shape: &[u64]) -> Result<u64> {
        let before = self.parts.len();
        for cut in layer.cuts {
            layer.mark(shape, layout.item.size, self.part(*cut, layout.size / layout.item.size as u64)?)?;
        }
        Ok((self.parts.len() - before) as u64)
    }

    /// Returns the bit set of the elements that have these bytes given.
    fn part(&mut self, cut: Cut, count: u64) -> Result<&mut Bits> {
        let cut = Cut { from: cut.to, ..cut };
        let found = self.parts.iter().position(|(known, _)| *known == cut);
        if found.is_none() {
            self.parts.push((cut, Bits::new(count)?));
        }
        let at = found.unwrap_or(self.parts.len() - 1);
        Ok(&mut self.parts[at].1)
    }

    /// Merges the parts of elements of an older tile: newer bytes win, also over older whole elements. Returns the
    /// number of new bit sets.
    fn merge_parts(&mut self, below: &mut Self, size: usize) -> Result<u64> {
        let (count, before) = (self.elements.len() / size, self.parts.len());
        for (cut, bits) in &self.parts {
            for at in bits.runs(0, count).flat_map(|(first, count)| first..first + count) {
                let bytes = at * size + cut.to..at * size + cut.to + cut.size;
                below.elements[bytes.clone()].copy_from_slice(&self.elements[bytes]);
            }
        }
        if self.mask.is_none() {
            return Ok(0);
        }
        for (cut, older) in &below.parts {
            self.part(*cut, count as u64)?;
            for at in older.runs(0, count).flat_map(|(first, count)| first..first + count) {
                if self.mask.as_ref().is_some_and(|mask| mask.count(at, 1) > 0) {
                    continue;
                }
                let bytes = at * size + cut.to..at * size + cut.to + cut.size;
                self.elements[bytes.clone()].copy_from_slice(&below.elements[bytes]);
                self.part(*cut, count as u64)?.set(at, 1);
            }
        }
        Ok((self.parts.len() - before) as u64)
    }
}

/// Copies the bytes of an element of variable length to the heap of a stage, and makes its slot refer to them.
fn copy_to_heap(heap: &mut Vec<u8>, given: &[u8], element: &mut [u8]) {
    let Ok(bytes) = element.try_into() else { return };
    let slot = Slot::from_bytes(bytes);
    if slot.heap != GIVEN {
        return;
    }
    let bytes = slot.of(given).unwrap_or_default();
    let staged = Slot { heap: STAGED, length: bytes.len() as u32, offset: heap.len() as u64 };
    heap.extend_from_slice(bytes);
    element.copy_from_slice(&staged.to_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_type::{DataType, Field};
    use crate::fill_value::FillValue;

    const SIZE: usize = 5;

    /// A chain for chunks of 4 elements, each with a field of 2 bytes and one of 3.
    fn chain() -> Chain {
        let field = |name: &str, offset, code| Field {
            name: name.to_owned(),
            offset,
            data_type: DataType::from_code(code).unwrap(),
            swapped: false,
            shape: Vec::new(),
        };
        let data_type = DataType::structure(vec![field("a", 0, "V2"), field("b", 2, "V3")], SIZE).unwrap();
        let layout = Elements { size: 20, offset: 0, strides: Dims::from_elem(5, 1), item: Item { size: 5, word: 1 } };
        Chain::strided(&[4], &data_type, layout, Vec::new()).unwrap()
    }

    /// For each byte, the last value that was given counts, also if it was staged again after a claim took the stage.
    #[test]
    fn the_last_of_each_field_counts() {
        let chain = chain();
        assert_eq!(chain.fill_value(), &FillValue::zero(chain.data_type()));
        let (mut seed, all) = (1u64, [Cut { to: 0, from: 0, size: 2 }, Cut { to: 2, from: 0, size: 3 }]);
        let mut random = |end: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % end
        };
        for round in 0..500 {
            let (mut expected, mut older) = ([0; 20], None::<Stage>);
            let mut stage = Stage::new(&chain, &[4]).unwrap();
            let mut whole = [false; 4];
            for byte in 1..=random(10) as u8 + 1 {
                let (start, length) = (random(4), 1 + random(4));
                let length = length.min(4 - start);
                let which = random(3) as usize;
                let cuts = all.get(which..=which).unwrap_or_default();
                let mut region = Layer::whole(&[length], SIZE, &[]).region;
                region.runs[0].start = start;
                stage.add(&region, Input { bytes: &[byte; 20], heap: &[], cuts }, &[4]).unwrap();
                for element in start as usize..(start + length) as usize {
                    let cut = cuts.first().copied().unwrap_or(Cut { to: 0, from: 0, size: SIZE });
                    expected[element * SIZE + cut.to..][..cut.size].fill(byte);
                    whole[element] |= cuts.is_empty();
                }
                if random(4) == 0 {
                    if let Some(older) = older.take() {
                        stage.put_under(older).unwrap();
                    }
                    older = Some(std::mem::replace(&mut stage, Stage::new(&chain, &[4]).unwrap()));
                }
            }
            if let Some(older) = older {
                stage.put_under(older).unwrap();
            }
            assert_eq!(stage.is_complete(), whole == [true; 4], "round {round}");
            let mut placed = [0; 20];
            for layer in stage.layers().0 {
                layer.place(&stage.layout, &mut placed).unwrap();
            }
            assert_eq!(placed, expected, "round {round}");
        }
    }
}
