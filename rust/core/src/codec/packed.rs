//! The terminal of a chain whose elements do not lie in the decoded bytes as they are in memory: they are unpacked, from
//! other elements or another form, and then placed as any others.

use std::ops::Range;
use std::sync::Arc;

use super::chain::{Chain, Elements};
use super::{ArrayToArray, ArrayToBytes, Size, VariableToBytes};
use crate::buffer::{Buffer, to_usize};
use crate::data_type::Kind;
use crate::error::{Error, Result};
use crate::slot::Slot;
use crate::subset::Dims;
use crate::view::{Axes, Axis, Item, Output, swap_words};

/// Elements that must be unpacked.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Where they lie once they are.
    pub(crate) layout: Elements,
    pub(crate) filters: Vec<Filter>,
    pub(crate) serializer: Serializer,
    /// The shape that the serializer sees.
    pub(crate) shape: Dims,
    /// Number of elements.
    pub(crate) count: u64,
    /// What they are.
    pub(crate) kind: Kind,
}

/// A step from elements to elements.
#[derive(Debug)]
pub(crate) enum Filter {
    /// To other elements, of so many bytes.
    Codec(Arc<dyn ArrayToArray>, usize),
    /// To another order: axis `k` of what is encoded is axis `order[k]` of what is decoded, which has this shape.
    Permute { shape: Dims, order: Vec<usize>, size: usize },
}

/// How the elements become bytes in the end.
#[derive(Debug)]
pub(crate) enum Serializer {
    /// As they are, but for the order of bytes of the words at these places of an element of a size.
    Bytes { size: usize, words: Vec<(usize, usize, usize)> },
    /// In another form.
    Codec(Arc<dyn ArrayToBytes>, usize),
    /// In a shard.
    Shard(Box<Chain>),
    /// As elements of variable length.
    Variable(Arc<dyn VariableToBytes>),
}

/// Reads the elements of a shard out of its bytes.
pub(crate) type ReadShard<'a> = &'a mut dyn FnMut(&Chain, &[u8], &mut [u8]) -> Result<()>;
/// Appends a shard of elements to its bytes.
pub(crate) type WriteShard<'a> = &'a mut dyn FnMut(&Chain, &[u8], &mut Vec<u8>) -> Result<()>;

impl Packed {
    /// The size of what the serializer makes.
    pub(super) fn size(&self) -> Size {
        match &self.serializer {
            Serializer::Bytes { size, .. } => Size::Exact(self.count.saturating_mul(*size as u64)),
            Serializer::Codec(codec, _) => codec.encoded_size(&self.shape),
            Serializer::Shard(chain) => chain.stored_size(),
            Serializer::Variable(_) => Size::Bounded(u64::MAX),
        }
    }

    /// Bytes of an element as the serializer sees it.
    fn serialized(&self) -> usize {
        match &self.serializer {
            Serializer::Bytes { size, .. } | Serializer::Codec(_, size) => *size,
            Serializer::Shard(chain) => chain.data_type().size(),
            Serializer::Variable(_) => Slot::SIZE,
        }
    }

    /// The codec of elements of variable length.
    pub(crate) fn variable(&self) -> Option<&dyn VariableToBytes> {
        match &self.serializer {
            Serializer::Variable(codec) => Some(&**codec),
            _ => None,
        }
    }

    /// Where elements `first..first + count` are stored, if they can be decoded without the others.
    pub(crate) fn part(&self, first: u64, count: u64) -> Option<Range<u64>> {
        let alone = |filter: &Filter| matches!(filter, Filter::Codec(codec, _) if codec.elementwise());
        if !self.filters.iter().all(alone) {
            return None;
        }
        match &self.serializer {
            Serializer::Bytes { size, .. } => {
                let (start, end) = (first.checked_mul(*size as u64)?, first.checked_add(count)?);
                Some(start..end.checked_mul(*size as u64)?)
            }
            Serializer::Codec(codec, _) => codec.part(first, count, &self.shape),
            Serializer::Shard(_) | Serializer::Variable(_) => None,
        }
    }

    /// Unpacks what [`part`](Self::part) told; `unpacked` has room for the elements from `first` on.
    pub(crate) fn unpack_part(&self, part: &[u8], first: u64, unpacked: &mut [u8]) -> Result<()> {
        self.unpack_with(part, unpacked, |part, into| match &self.serializer {
            Serializer::Codec(codec, _) => codec.decode_part(part, first, into),
            _ => self.copy(part, into),
        })
    }

    /// Unpacks a chunk into `unpacked`, which has the size of the layout; `shard` reads a shard.
    pub(crate) fn unpack(&self, bytes: &[u8], unpacked: &mut [u8], shard: ReadShard<'_>) -> Result<()> {
        self.unpack_with(bytes, unpacked, |bytes, into| match &self.serializer {
            Serializer::Codec(codec, _) => codec.decode(bytes, &self.shape, into),
            Serializer::Shard(chain) => shard(chain, bytes, into),
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
        let Serializer::Bytes { size, words } = &self.serializer else { return };
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

    fn unpack_with(
        &self,
        bytes: &[u8],
        unpacked: &mut [u8],
        deserialize: impl FnOnce(&[u8], &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let Some((first, others)) = self.filters.split_first() else { return deserialize(bytes, unpacked) };
        let count = unpacked.len() / self.layout.item.size;
        let mut current = Buffer::new(count * self.serialized())?;
        deserialize(bytes, &mut current)?;
        for (k, filter) in others.iter().enumerate().rev() {
            let mut next = Buffer::new(count * self.filters[k].size())?;
            filter.decode(&current, &mut next)?;
            current = next;
        }
        first.decode(&current, unpacked)
    }

    /// Packs a chunk to the end of `bytes`; `shard` writes one.
    pub(crate) fn pack(&self, elements: &[u8], bytes: &mut Vec<u8>, shard: WriteShard<'_>) -> Result<()> {
        let mut current: Option<Buffer> = None;
        let count = to_usize(self.count)?;
        for filter in &self.filters {
            let mut next = Buffer::new(count * filter.size())?;
            filter.encode(current.as_deref().unwrap_or(elements), &mut next)?;
            current = Some(next);
        }
        let elements = current.as_deref().unwrap_or(elements);
        match &self.serializer {
            Serializer::Codec(codec, _) => codec.encode(elements, &self.shape, bytes),
            Serializer::Shard(chain) => shard(chain, elements, bytes),
            Serializer::Bytes { .. } => {
                let start = bytes.len();
                bytes.extend_from_slice(elements);
                self.swap(&mut bytes[start..]);
                Ok(())
            }
            Serializer::Variable(_) => Err(Error::unsupported("elements of variable length have no filters")),
        }
    }

    /// The slots of a chunk of elements of variable length, and the heap if it is not `bytes` itself.
    pub(crate) fn slots(&self, codec: &dyn VariableToBytes, bytes: &[u8]) -> Result<(Vec<Slot>, Option<Vec<u8>>)> {
        let (slots, own) = codec.decode(bytes, &self.shape)?;
        if slots.len() as u64 != self.count {
            return Err(Error::corrupt(format!("{} elements instead of {}", slots.len(), self.count)));
        }
        if self.kind == Kind::String {
            check_text(&slots, own.as_deref().unwrap_or(bytes))?;
        }
        Ok((slots, own))
    }
}

/// Checks that elements are text in UTF-8.
fn check_text(slots: &[Slot], heap: &[u8]) -> Result<()> {
    let first = slots.first().map_or(0, |slot| slot.offset as usize);
    // What is ASCII as a whole, with the lengths between the elements, need not be looked at piece by piece.
    if heap.get(first..).is_some_and(<[u8]>::is_ascii) {
        return Ok(());
    }
    let wrong = |slot: &Slot| slot.of(heap).is_none_or(|text| std::str::from_utf8(text).is_err());
    match slots.iter().position(wrong) {
        Some(k) => Err(Error::corrupt(format!("element {k} is no text in UTF-8"))),
        None => Ok(()),
    }
}

impl Filter {
    /// Bytes of an encoded element.
    fn size(&self) -> usize {
        match self {
            Self::Codec(_, size) | Self::Permute { size, .. } => *size,
        }
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        match self {
            Self::Codec(codec, _) => codec.decode(encoded, decoded),
            Self::Permute { shape, order, size } => permute(shape, order, *size, encoded, decoded, false),
        }
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        match self {
            Self::Codec(codec, _) => codec.encode(decoded, encoded),
            Self::Permute { shape, order, size } => permute(shape, order, *size, decoded, encoded, true),
        }
    }
}

fn permute(shape: &[u64], order: &[usize], size: usize, from: &[u8], to: &mut [u8], encode: bool) -> Result<()> {
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
    // SAFETY: one thread.
    unsafe { Output::share(to) }.place(0, &axes, from, 0, Item { size, word: 1 })
}
