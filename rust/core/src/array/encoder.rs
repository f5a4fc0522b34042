//! Partial encoders, which change several parts of one chunk and store it once.

use smallvec::SmallVec;

use super::{Array, AsArrayBytes, InputBuffer};
use crate::error::{Place, Result};
use crate::selection::Selection;
use crate::slot::Slot;
use crate::subset::ArraySubset;
use crate::view::c_strides;
use crate::write::Layer;

/// Encodes parts of one chunk; see [`Array::partial_encoder`].
#[derive(Clone, Debug)]
pub struct PartialEncoder {
    array: Array,
    chunk: Vec<u64>,
}

impl Array {
    /// Returns an encoder of parts of a chunk. Nothing is read yet.
    pub fn partial_encoder(&self, chunk: &[u64]) -> Result<PartialEncoder> {
        self.chunk_subset(chunk)?;
        Ok(PartialEncoder { array: self.clone(), chunk: chunk.to_vec() })
    }
}

impl PartialEncoder {
    /// Returns the array.
    pub fn array(&self) -> &Array {
        &self.array
    }

    /// Returns the index of the chunk.
    pub fn chunk(&self) -> &[u64] {
        &self.chunk
    }

    /// Stores subsets of the chunk, relative to its first element. The stored chunk is read, decoded, changed and
    /// stored once for all of them; of a shard, only the inner chunks that the subsets touch. If the subsets cover the
    /// chunk, nothing is read. If two overlap, the later one wins.
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection), before anything is written, if elements have another
    /// type or shape.
    pub fn partial_encode<T: AsArrayBytes>(&self, parts: &[(ArraySubset, T)]) -> Result<()> {
        let data_type = self.array.data_type();
        let mut elements = Vec::with_capacity(parts.len());
        for (subset, part) in parts {
            part.check(data_type, subset.shape()).place(|| self.array.name())?;
            elements.push((c_strides(subset.shape(), data_type.size()), part.array_bytes(), part.heap()));
        }
        let parts: Vec<_> = parts
            .iter()
            .zip(&elements)
            .map(|((subset, _), (strides, bytes, heap))| {
                (subset.clone(), InputBuffer { bytes, origin: 0, strides, heap })
            })
            .collect();
        self.partial_encode_from(&parts)
    }

    /// Does the same as [`partial_encode`](Self::partial_encode) from memory with any strides.
    pub fn partial_encode_from(&self, parts: &[(ArraySubset, InputBuffer<'_>)]) -> Result<()> {
        for (subset, input) in parts {
            self.array.subset_in_chunk(&self.chunk, subset)?;
            input.check_rank(subset.shape())?;
        }
        // A layer has one heap for elements of variable length.
        let (mut heap, mut moved) = (Vec::new(), Vec::new());
        if self.array.data_type().is_variable() {
            for (_, input) in parts {
                let base = heap.len() as u64;
                heap.extend_from_slice(input.heap);
                let shift = |slot: Slot| match slot.heap {
                    InputBuffer::HEAP => Slot { offset: slot.offset.saturating_add(base), ..slot },
                    _ => slot,
                };
                moved.push(Slot::all(input.bytes).flat_map(|slot| shift(slot).to_bytes()).collect::<Vec<_>>());
            }
        }
        let layer = |(number, (subset, input)): (usize, &'_ (ArraySubset, InputBuffer<'_>))| Layer {
            region: Selection::from(subset).region(input.strides, input.origin),
            bytes: moved.get(number).map_or(parts[number].1.bytes, |moved| &moved[..]),
            mask: None,
            cuts: &[],
        };
        let layers = parts.iter().enumerate().map(layer);
        let layers: SmallVec<[Layer<'_>; 1]> = layers.filter(|layer| layer.region.elements() > 0).collect();
        if layers.is_empty() {
            return Ok(());
        }
        self.array.writer().store_layers(&self.chunk, layers, &heap, false)
    }

    /// Erases the chunk if it is stored.
    pub fn erase(&self) -> Result<()> {
        self.array.erase_chunk(&self.chunk)
    }
}
