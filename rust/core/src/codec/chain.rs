//! A list of codecs bound to a chunk's shape and data type, once, when an array is opened.
//!
//! A chain has three parts, in the order of encoding: the order of the axes (transpositions become strides), the
//! [`Layout`] of the elements after the array-to-bytes codec (strided elements, a shard, or computed elements), and the
//! bytes-to-bytes codecs. Decoding runs the bytes-to-bytes codecs backwards; a strided copy or the planner does the
//! rest.

use std::sync::Arc;

use super::decoded::Decoded;
use super::{ArrayToArray, ArrayToBytes, BytesToBytes, Endian, IndexLocation, Size, VariableToBytes};
use crate::buffer::{Buffer, to_usize};
use crate::chunk_grid::ChunkGrid;
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::fill_value::FillValue;
use crate::subset::{Dims, product, tuple};
use crate::view::Item;

/// Codecs bound to the chunks of an array, or to the inner chunks of a shard.
#[derive(Debug)]
pub struct Chain {
    shape: Dims,
    data_type: DataType,
    fill_value: FillValue,
    /// Axis `k` of the encoded chunk is axis `order[k]` of the decoded chunk.
    order: Vec<usize>,
    layout: Layout,
    bytes_to_bytes: Vec<Arc<dyn BytesToBytes>>,
    /// `sizes[k]` is the size of the input of bytes-to-bytes codec `k`; the last is the stored size.
    sizes: Vec<Size>,
}

/// How the array-to-bytes codec lays out a chunk.
#[derive(Debug)]
pub(crate) enum Layout {
    /// Elements at strides.
    Elements(Elements),
    /// Inner chunks and an index.
    Shard(Box<Shard>),
    /// Elements that codecs compute, before they can be copied.
    Computed(Box<ArrayCodecs>),
}

/// The layout of elements in decoded bytes.
#[derive(Debug, Clone)]
pub(crate) struct Elements {
    /// Number of bytes.
    pub(crate) size: u64,
    /// Offset of the first element, in bytes.
    pub(crate) offset: u64,
    /// Stride in bytes for each axis of the chunk.
    pub(crate) strides: SmallStrides,
    /// Item size, and size of the words whose bytes are reversed.
    pub(crate) item: Item,
}

pub(crate) type SmallStrides = Dims<i64>;

/// The inner chunks of a shard.
#[derive(Debug)]
pub(crate) struct Shard {
    /// Grid of the inner chunks; axes in encoded order.
    pub(crate) grid: ChunkGrid,
    /// The codecs of an inner chunk.
    pub(crate) inner: Chain,
    /// The codecs of the index.
    pub(crate) index: Chain,
    pub(crate) index_size: u64,
    pub(crate) index_location: IndexLocation,
}

/// Codecs that compute elements.
#[derive(Debug)]
pub(crate) struct ArrayCodecs {
    /// The layout of the decoded elements.
    pub(crate) layout: Elements,
    pub(crate) array_to_array: Vec<ArrayToArrayStep>,
    pub(crate) array_to_bytes: ArrayToBytesStep,
    /// The shape that the array-to-bytes codec sees.
    pub(crate) shape: Dims,
    /// Number of elements.
    pub(crate) count: u64,
    /// Kind of the decoded data type.
    pub(crate) kind: Kind,
}

/// An array-to-array codec, bound to a chunk.
#[derive(Debug)]
pub(crate) enum ArrayToArrayStep {
    /// A codec, and the size of an encoded element in bytes.
    Codec(Arc<dyn ArrayToArray>, usize),
    /// Axis `k` of the encoded elements is axis `order[k]` of the decoded ones, which have this shape.
    Transpose { shape: Dims, order: Vec<usize>, size: usize },
}

/// An array-to-bytes codec, bound to a chunk.
#[derive(Debug)]
pub(crate) enum ArrayToBytesStep {
    /// Plain elements of `size` bytes. `words` lists the words with reversed bytes: (offset, word size, count).
    Bytes { size: usize, words: Vec<(usize, usize, usize)> },
    /// A codec, and the size in bytes of an element that it encodes.
    Codec(Arc<dyn ArrayToBytes>, usize),
    /// A shard.
    Shard(Box<Chain>),
    /// A codec of elements of variable length.
    Variable(Arc<dyn VariableToBytes>),
}

/// Maximum chunk size in bytes. Larger chunks are a mistake or an attack, and would overflow offsets.
const LARGEST: u64 = 1 << 56;

impl Chain {
    pub(super) fn bind(
        shape: &[u64],
        data_type: &DataType,
        fill_value: &FillValue,
        order: Vec<usize>,
        layout: Layout,
        bytes_to_bytes: Vec<Arc<dyn BytesToBytes>>,
    ) -> Result<Self> {
        if chunk_bytes(shape, data_type).is_none() {
            return Err(Error::metadata(format!("chunks of shape {} of {data_type} are too large", tuple(shape))));
        }
        let mut sizes = vec![match &layout {
            Layout::Elements(elements) => Size::Exact(elements.size),
            Layout::Shard(shard) => shard.size(),
            Layout::Computed(codecs) => codecs.size(),
        }];
        for codec in &bytes_to_bytes {
            sizes.push(codec.encoded_size(sizes[sizes.len() - 1]));
        }
        let (shape, data_type, fill_value) = (shape.into(), data_type.clone(), fill_value.clone());
        Ok(Self { shape, data_type, fill_value, order, layout, bytes_to_bytes, sizes })
    }

    /// Returns a chain for strided elements in a block that `bytes_to_bytes` encoded.
    pub(crate) fn strided(
        shape: &[u64],
        data_type: &DataType,
        elements: Elements,
        bytes_to_bytes: Vec<Arc<dyn BytesToBytes>>,
    ) -> Result<Self> {
        let order = (0..shape.len()).collect();
        Self::bind(shape, data_type, &FillValue::zero(data_type), order, Layout::Elements(elements), bytes_to_bytes)
    }

    /// Returns the shape of a chunk.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Returns the type of the elements.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Returns the fill value: the value of elements that were never stored.
    pub fn fill_value(&self) -> &FillValue {
        &self.fill_value
    }

    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the size of a decoded chunk in memory, in bytes.
    pub fn decoded_size(&self) -> u64 {
        chunk_bytes(&self.shape, &self.data_type).unwrap_or(LARGEST)
    }

    /// Returns the size of an encoded chunk.
    pub fn stored_size(&self) -> Size {
        self.sizes[self.bytes_to_bytes.len()]
    }

    /// Returns the layout of the elements if no codec has to decode them.
    pub(crate) fn raw(&self) -> Option<&Elements> {
        match &self.layout {
            Layout::Elements(elements) if self.bytes_to_bytes.is_empty() => Some(elements),
            _ => None,
        }
    }

    /// Returns the shard if its inner chunks can be read separately, since no bytes-to-bytes codec follows.
    pub(crate) fn open_shard(&self) -> Option<&Shard> {
        match &self.layout {
            Layout::Shard(shard) if self.bytes_to_bytes.is_empty() => Some(shard),
            _ => None,
        }
    }

    /// Returns the outermost shard, if there is one.
    pub(crate) fn shard(&self) -> Option<&Shard> {
        match &self.layout {
            Layout::Shard(shard) => Some(shard),
            _ => None,
        }
    }

    /// Returns the layout of the decoded elements; `None` for a shard.
    pub(crate) fn elements(&self) -> Option<&Elements> {
        match &self.layout {
            Layout::Elements(elements) => Some(elements),
            Layout::Computed(codecs) => Some(&codecs.layout),
            Layout::Shard(_) => None,
        }
    }

    /// Returns the codecs that compute the elements; `None` if elements are only copied.
    pub(crate) fn array_codecs(&self) -> Option<&ArrayCodecs> {
        match &self.layout {
            Layout::Computed(codecs) => Some(codecs),
            _ => None,
        }
    }

    /// Whether a part of the elements can be read separately.
    pub(crate) fn in_parts(&self) -> bool {
        self.bytes_to_bytes.is_empty()
            && match &self.layout {
                Layout::Elements(_) => true,
                Layout::Computed(codecs) => codecs.part(0, 1).is_some(),
                Layout::Shard(_) => false,
            }
    }

    /// Returns the bytes-to-bytes codec if it is the only one, may have independent [pieces](super::Pieces), and
    /// encodes strided elements.
    pub(crate) fn pieces_codec(&self) -> Option<&dyn BytesToBytes> {
        match (&self.layout, &self.bytes_to_bytes[..]) {
            (Layout::Elements(_), [codec]) if codec.has_pieces() => Some(&**codec),
            _ => None,
        }
    }

    /// Decodes the bytes-to-bytes codecs, last one first.
    pub(crate) fn decode<'a>(&self, stored: &'a [u8], validate: bool) -> Result<Decoded<'a>> {
        let mut current = Decoded::stored(stored);
        for (codec, size) in self.bytes_to_bytes.iter().zip(&self.sizes).rev() {
            current = current.decode_with(&**codec, *size, validate)?;
        }
        current.check(self.sizes[0])?;
        Ok(current)
    }

    /// Decodes the bytes-to-bytes codecs into `target`, whose size is that of the result.
    pub(crate) fn decode_into(&self, stored: &[u8], validate: bool, target: &mut [u8]) -> Result<()> {
        let mut current = Decoded::stored(stored);
        for (k, codec) in self.bytes_to_bytes.iter().enumerate().rev() {
            if k == 0 && codec.strip(&current, validate)?.is_none() {
                return codec.decode_into(&current, target);
            }
            current = current.decode_with(&**codec, self.sizes[k], validate)?;
        }
        current.check(self.sizes[0])?;
        target.copy_from_slice(&current);
        Ok(())
    }

    /// Decodes only the bytes from `offset` on that fill `target`. Returns false, and decodes nothing, if the codec
    /// cannot, or would have to decode everything.
    pub(crate) fn decode_range(&self, stored: &[u8], offset: u64, target: &mut [u8]) -> Result<bool> {
        match (&self.bytes_to_bytes[..], self.sizes[0]) {
            ([codec], Size::Exact(size)) if offset.checked_add(target.len() as u64).is_some_and(|end| end <= size) => {
                codec.decode_range(stored, to_usize(size)?, to_usize(offset)?, target)
            }
            _ => Ok(false),
        }
    }

    /// Encodes the output of the array-to-bytes codec with the bytes-to-bytes codecs, and appends the result to
    /// `stored`.
    pub(crate) fn encode_bytes(&self, bytes: &[u8], stored: &mut Vec<u8>) -> Result<()> {
        let Some((last, before)) = self.bytes_to_bytes.split_last() else {
            stored.extend_from_slice(bytes);
            return Ok(());
        };
        let mut current: Option<Buffer> = None;
        for codec in before {
            let next = Buffer::written(|into| codec.encode(current.as_deref().unwrap_or(bytes), into))?;
            current = Some(next);
        }
        last.encode(current.as_deref().unwrap_or(bytes), stored)
    }
}

pub(super) fn chunk_bytes(shape: &[u64], data_type: &DataType) -> Option<u64> {
    product(shape)?.checked_mul(data_type.size() as u64).filter(|size| *size <= LARGEST)
}

impl Elements {
    /// Contiguous elements in C order of the axes `order`.
    pub(super) fn in_order(shape: &[u64], data_type: &DataType, endian: Endian, order: &[usize]) -> Result<Self> {
        let size = chunk_bytes(shape, data_type)
            .ok_or_else(|| Error::metadata(format!("chunks of shape {} of {data_type} are too large", tuple(shape))))?;
        let mut strides = SmallStrides::from_elem(0, shape.len());
        let mut stride = data_type.size() as u64;
        for axis in order.iter().rev() {
            strides[*axis] = stride as i64;
            stride *= shape[*axis].max(1);
        }
        Ok(Self { size, offset: 0, strides, item: item(data_type, endian) })
    }
}

/// Returns the item size and word size of a stored element.
pub(crate) fn item(data_type: &DataType, endian: Endian) -> Item {
    Item { size: data_type.size(), word: if endian == Endian::NATIVE { 1 } else { data_type.word() } }
}

impl Shard {
    fn size(&self) -> Size {
        let inner = self.inner.stored_size().bound();
        let chunks = product(&self.grid.shape()).unwrap_or(u64::MAX);
        // Twice, because a shard may still contain replaced inner chunks.
        Size::Bounded(chunks.saturating_mul(inner).saturating_mul(2).saturating_add(self.index_size))
    }
}
