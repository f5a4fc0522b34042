//! The array-to-array codecs and the array-to-bytes codec of a chain, where they compute elements. A strided copy then
//! moves the computed elements as it does all others.

use std::ops::Range;

use super::chain::{ArrayCodecs, ArrayToArrayStep, ArrayToBytesStep, Chain};
use super::{Size, VariableToBytes};
use crate::buffer::{Buffer, to_usize};
use crate::data_type::Kind;
use crate::error::{Error, Result};
use crate::slot::Slot;
use crate::subset::Dims;
use crate::view::{Axes, Axis, Item, Output, swap_words};

/// Decodes the bytes of a shard into its elements.
pub(crate) type ReadShard<'a> = &'a mut dyn FnMut(&Chain, &[u8], &mut [u8]) -> Result<()>;
/// Encodes elements as a shard, and appends it.
pub(crate) type WriteShard<'a> = &'a mut dyn FnMut(&Chain, &[u8], &mut Vec<u8>) -> Result<()>;

impl ArrayCodecs {
    /// Returns the size of the encoded bytes.
    pub(super) fn size(&self) -> Size {
        match &self.array_to_bytes {
            ArrayToBytesStep::Bytes { size, .. } => Size::Exact(self.count.saturating_mul(*size as u64)),
            ArrayToBytesStep::Codec(codec, _) => codec.encoded_size(&self.shape),
            ArrayToBytesStep::Shard(chain) => chain.stored_size(),
            ArrayToBytesStep::Variable(_) => Size::Bounded(u64::MAX),
        }
    }

    /// Returns the item size in bytes of the elements that the array-to-bytes codec encodes.
    fn encoded_item(&self) -> usize {
        match &self.array_to_bytes {
            ArrayToBytesStep::Bytes { size, .. } | ArrayToBytesStep::Codec(_, size) => *size,
            ArrayToBytesStep::Shard(chain) => chain.data_type().size(),
            ArrayToBytesStep::Variable(_) => Slot::SIZE,
        }
    }

    /// Whether the encoded bytes are elements of `uint8`.
    pub(super) fn leaves_array(&self) -> bool {
        matches!(&self.array_to_bytes, ArrayToBytesStep::Codec(codec, _) if codec.leaves_array())
    }

    /// Returns the codec if it encodes elements of variable length.
    pub(crate) fn variable(&self) -> Option<&dyn VariableToBytes> {
        match &self.array_to_bytes {
            ArrayToBytesStep::Variable(codec) => Some(&**codec),
            _ => None,
        }
    }

    /// Returns the byte range of elements `first..first + count`, if they can be decoded without the others.
    pub(crate) fn part(&self, first: u64, count: u64) -> Option<Range<u64>> {
        let is_elementwise =
            |codec: &ArrayToArrayStep| matches!(codec, ArrayToArrayStep::Codec(codec, _) if codec.elementwise());
        if !self.array_to_array.iter().all(is_elementwise) {
            return None;
        }
        match &self.array_to_bytes {
            ArrayToBytesStep::Bytes { size, .. } => {
                let (start, end) = (first.checked_mul(*size as u64)?, first.checked_add(count)?);
                Some(start..end.checked_mul(*size as u64)?)
            }
            ArrayToBytesStep::Codec(codec, _) => codec.part(first, count, &self.shape),
            ArrayToBytesStep::Shard(_) | ArrayToBytesStep::Variable(_) => None,
        }
    }

    /// Decodes the bytes of [`part`](Self::part) into `decoded`, which begins with element `first`.
    pub(crate) fn decode_part(&self, part: &[u8], first: u64, decoded: &mut [u8]) -> Result<()> {
        self.decode_with(part, decoded, |part, into| match &self.array_to_bytes {
            ArrayToBytesStep::Codec(codec, _) => codec.decode_part(part, first, into),
            _ => self.copy(part, into),
        })
    }

    /// Decodes a chunk into `decoded`, which has the size of the layout; `shard` decodes a shard.
    pub(crate) fn decode(&self, bytes: &[u8], decoded: &mut [u8], shard: ReadShard<'_>) -> Result<()> {
        self.decode_with(bytes, decoded, |bytes, into| match &self.array_to_bytes {
            ArrayToBytesStep::Codec(codec, _) => codec.decode(bytes, &self.shape, into),
            ArrayToBytesStep::Shard(chain) => shard(chain, bytes, into),
            _ => self.copy(bytes, into),
        })
    }

    fn copy(&self, bytes: &[u8], into: &mut [u8]) -> Result<()> {
        if bytes.len() != into.len() {
            return Err(Error::corrupt(format!("{} bytes are stored instead of {}", bytes.len(), into.len())));
        }
        into.copy_from_slice(bytes);
        self.swap(into);
        Ok(())
    }

    fn swap(&self, elements: &mut [u8]) {
        let ArrayToBytesStep::Bytes { size, words } = &self.array_to_bytes else { return };
        match words[..] {
            [] => {}
            [(0, word, count)] if word * count == *size => swap_words(elements, word),
            _ => {
                for element in elements.chunks_exact_mut(*size) {
                    for (offset, word, count) in words {
                        swap_words(&mut element[*offset..offset + word * count], *word);
                    }
                }
            }
        }
    }

    fn decode_with(
        &self,
        bytes: &[u8],
        decoded: &mut [u8],
        decode: impl FnOnce(&[u8], &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let Some((first, others)) = self.array_to_array.split_first() else { return decode(bytes, decoded) };
        let count = decoded.len() / self.layout.item.size;
        let mut current = Buffer::new(count * self.encoded_item())?;
        decode(bytes, &mut current)?;
        for (k, codec) in others.iter().enumerate().rev() {
            let mut next = Buffer::new(count * self.array_to_array[k].size())?;
            codec.decode(&current, &mut next)?;
            current = next;
        }
        first.decode(&current, decoded)
    }

    /// Encodes a chunk and appends it to `bytes`; `shard` encodes a shard.
    pub(crate) fn encode(&self, elements: &[u8], bytes: &mut Vec<u8>, shard: WriteShard<'_>) -> Result<()> {
        let mut current: Option<Buffer> = None;
        let count = to_usize(self.count)?;
        for codec in &self.array_to_array {
            let mut next = Buffer::new(count * codec.size())?;
            codec.encode(current.as_deref().unwrap_or(elements), &mut next)?;
            current = Some(next);
        }
        let elements = current.as_deref().unwrap_or(elements);
        match &self.array_to_bytes {
            ArrayToBytesStep::Codec(codec, _) => codec.encode(elements, &self.shape, bytes),
            ArrayToBytesStep::Shard(chain) => shard(chain, elements, bytes),
            ArrayToBytesStep::Bytes { .. } => {
                let start = bytes.len();
                bytes.extend_from_slice(elements);
                self.swap(&mut bytes[start..]);
                Ok(())
            }
            ArrayToBytesStep::Variable(_) => {
                Err(Error::unsupported("array-to-array codecs cannot encode elements of variable length"))
            }
        }
    }

    /// Decodes the slots of a chunk of elements of variable length, and their heap if it is not `bytes` itself.
    pub(crate) fn slots(&self, codec: &dyn VariableToBytes, bytes: &[u8]) -> Result<(Vec<Slot>, Option<Vec<u8>>)> {
        let (slots, heap) = codec.decode(bytes, &self.shape)?;
        if slots.len() as u64 != self.count {
            return Err(Error::corrupt(format!("{} elements instead of {}", slots.len(), self.count)));
        }
        if self.kind == Kind::String {
            check_text(&slots, heap.as_deref().unwrap_or(bytes))?;
        }
        Ok((slots, heap))
    }
}

/// Checks that elements are UTF-8.
fn check_text(slots: &[Slot], heap: &[u8]) -> Result<()> {
    let first = slots.first().map_or(0, |slot| slot.offset as usize);
    // If the whole heap is ASCII, including the lengths between the elements, no element needs a check.
    if heap.get(first..).is_some_and(<[u8]>::is_ascii) {
        return Ok(());
    }
    let wrong = |slot: &Slot| slot.of(heap).is_none_or(|text| std::str::from_utf8(text).is_err());
    match slots.iter().position(wrong) {
        Some(k) => Err(Error::corrupt(format!("element {k} is not valid UTF-8"))),
        None => Ok(()),
    }
}

impl ArrayToArrayStep {
    /// Returns the size of an encoded element in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Codec(_, size) | Self::Transpose { size, .. } => *size,
        }
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        match self {
            Self::Codec(codec, _) => codec.decode(encoded, decoded),
            Self::Transpose { shape, order, size } => transpose(shape, order, *size, encoded, decoded, false),
        }
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        match self {
            Self::Codec(codec, _) => codec.encode(decoded, encoded),
            Self::Transpose { shape, order, size } => transpose(shape, order, *size, decoded, encoded, true),
        }
    }
}

fn transpose(shape: &[u64], order: &[usize], size: usize, from: &[u8], to: &mut [u8], encode: bool) -> Result<()> {
    let decoded = crate::view::c_strides(shape, size);
    let lengths: Dims = order.iter().map(|axis| shape[*axis]).collect();
    let encoded = crate::view::c_strides(&lengths, size);
    let axes: Axes = order
        .iter()
        .enumerate()
        .map(|(k, axis)| {
            let (outer, inner) = (decoded[*axis], encoded[k]);
            let (from, to) = if encode { (outer, inner) } else { (inner, outer) };
            Axis { length: lengths[k] as usize, from, to }
        })
        .collect();
    // SAFETY: only this thread writes.
    unsafe { Output::share(to) }.place(0, &axes, from, 0, Item { size, word: 1 })
}
