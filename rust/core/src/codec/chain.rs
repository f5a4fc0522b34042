//! A list of codecs bound to a chunk's shape and data type, once, when an array is opened.
//!
//! A chain has three parts, in the order of encoding: the order of the axes (transpositions, which become strides), one
//! terminal that turns elements into bytes (plain elements, or a shard of inner chunks), and stages from bytes to
//! bytes. Decoding runs the stages backwards; what the terminal then needs is a strided copy, or the planner.

use super::decoded::Decoded;
use super::links::Links;
use super::packed::Packed;
use super::{BytesToBytes, Endian, IndexLocation, Named, ShardingConfiguration, Size, create_for};
use crate::buffer::{Buffer, to_usize};
use crate::chunk_grid::ChunkGrid;
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::fill_value::FillValue;
use crate::subset::{Dims, product, tuple};
use crate::view::Item;
use std::sync::Arc;

/// Codecs bound to the chunks of an array, or to the inner chunks of a shard.
#[derive(Debug)]
pub struct Chain {
    shape: Dims,
    data_type: DataType,
    fill_value: FillValue,
    /// Axis `k` of what the terminal sees is axis `order[k]` of the chunk.
    order: Vec<usize>,
    terminal: Terminal,
    stages: Vec<Arc<dyn BytesToBytes>>,
    /// `sizes[k]` is the size before stage `k` encodes; the last is what is stored.
    sizes: Vec<Size>,
}

/// How elements become bytes.
#[derive(Debug)]
pub(crate) enum Terminal {
    /// Elements at strides.
    Elements(Elements),
    /// Inner chunks and an index.
    Shard(Box<Shard>),
    /// Elements that must be unpacked first.
    Packed(Box<Packed>),
}

/// Where the elements lie in decoded bytes.
#[derive(Debug, Clone)]
pub(crate) struct Elements {
    /// Number of bytes.
    pub(crate) size: u64,
    /// The first element.
    pub(crate) offset: u64,
    /// From one element to the next, in bytes, for each axis of the chunk.
    pub(crate) strides: SmallStrides,
    /// The element, and the word to be reversed.
    pub(crate) item: Item,
}

pub(crate) type SmallStrides = Dims<i64>;

/// The inner chunks of a shard.
#[derive(Debug)]
pub(crate) struct Shard {
    /// How the shard, its axes in encoded order, is cut.
    pub(crate) grid: ChunkGrid,
    /// The codecs of an inner chunk.
    pub(crate) inner: Chain,
    /// The codecs of the index.
    pub(crate) index: Chain,
    pub(crate) index_size: u64,
    pub(crate) index_location: IndexLocation,
}

/// Shards in shards in shards: deeper is a mistake or an attack.
const DEEPEST: usize = 16;

/// Sizes of chunks beyond this are a mistake or an attack, and would overflow offsets.
const LARGEST: u64 = 1 << 56;

impl Chain {
    /// Binds codecs to chunks of a shape and data type.
    pub fn new(codecs: &[Named], shape: &[u64], data_type: &DataType, fill_value: &FillValue) -> Result<Self> {
        Self::nested(codecs, shape, data_type, fill_value, 0)
    }

    pub(super) fn nested(
        codecs: &[Named],
        shape: &[u64],
        data_type: &DataType,
        fill_value: &FillValue,
        depth: usize,
    ) -> Result<Self> {
        let mut links = Links::new(shape, data_type, fill_value, depth);
        for named in codecs {
            let codec = create_for(named, &links.data_type, links.terminal.is_some())?;
            links.add(&named.name, codec)?;
        }
        let Links { order, terminal, stages, .. } = links;
        let terminal = terminal.ok_or_else(|| Error::metadata("no codec turns the array into bytes"))?;
        Self::bind(shape, data_type, fill_value, order, terminal, stages)
    }

    pub(super) fn bind(
        shape: &[u64],
        data_type: &DataType,
        fill_value: &FillValue,
        order: Vec<usize>,
        terminal: Terminal,
        stages: Vec<Arc<dyn BytesToBytes>>,
    ) -> Result<Self> {
        if chunk_bytes(shape, data_type).is_none() {
            return Err(Error::metadata(format!("chunks of shape {} of {data_type} are too large", tuple(shape))));
        }
        let mut sizes = vec![match &terminal {
            Terminal::Elements(elements) => Size::Exact(elements.size),
            Terminal::Shard(shard) => shard.size(),
            Terminal::Packed(packed) => packed.size(),
        }];
        for stage in &stages {
            sizes.push(stage.encoded_size(sizes[sizes.len() - 1]));
        }
        let (shape, data_type, fill_value) = (shape.into(), data_type.clone(), fill_value.clone());
        Ok(Self { shape, data_type, fill_value, order, terminal, stages, sizes })
    }

    /// A chain for elements that lie at strides in a block of bytes, which `stages` encoded.
    pub(crate) fn strided(
        shape: &[u64],
        data_type: &DataType,
        elements: Elements,
        stages: Vec<Arc<dyn BytesToBytes>>,
    ) -> Result<Self> {
        let order = (0..shape.len()).collect();
        Self::bind(shape, data_type, &FillValue::zero(data_type), order, Terminal::Elements(elements), stages)
    }

    /// The shape of a chunk.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The type of the elements.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The value of elements that were never stored.
    pub fn fill_value(&self) -> &FillValue {
        &self.fill_value
    }

    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    pub(crate) fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// Bytes of a chunk in memory.
    pub fn decoded_size(&self) -> u64 {
        chunk_bytes(&self.shape, &self.data_type).unwrap_or(LARGEST)
    }

    /// The size of what is stored.
    pub fn stored_size(&self) -> Size {
        self.sizes[self.stages.len()]
    }

    /// The elements, where they are stored as they are.
    pub(crate) fn raw(&self) -> Option<&Elements> {
        match &self.terminal {
            Terminal::Elements(elements) if self.stages.is_empty() => Some(elements),
            _ => None,
        }
    }

    /// The shard, where its inner chunks can be read one by one.
    pub(crate) fn open_shard(&self) -> Option<&Shard> {
        match &self.terminal {
            Terminal::Shard(shard) if self.stages.is_empty() => Some(shard),
            _ => None,
        }
    }

    /// The outermost shard, if there is one.
    pub(crate) fn shard(&self) -> Option<&Shard> {
        match &self.terminal {
            Terminal::Shard(shard) => Some(shard),
            _ => None,
        }
    }

    /// Where the elements lie once they are decoded; `None`: in inner chunks.
    pub(crate) fn elements(&self) -> Option<&Elements> {
        match &self.terminal {
            Terminal::Elements(elements) => Some(elements),
            Terminal::Packed(packed) => Some(&packed.layout),
            Terminal::Shard(_) => None,
        }
    }

    /// Elements that must be unpacked, if they are such.
    pub(crate) fn packed(&self) -> Option<&Packed> {
        match &self.terminal {
            Terminal::Packed(packed) => Some(packed),
            _ => None,
        }
    }

    /// Whether elements can be read without their neighbours.
    pub(crate) fn in_parts(&self) -> bool {
        self.stages.is_empty()
            && match &self.terminal {
                Terminal::Elements(_) => true,
                Terminal::Packed(packed) => packed.part(0, 1).is_some(),
                Terminal::Shard(_) => false,
            }
    }

    /// The one stage, where that may have made pieces of elements that decode without each other.
    pub(crate) fn piecewise(&self) -> Option<&dyn BytesToBytes> {
        match (&self.terminal, &self.stages[..]) {
            (Terminal::Elements(_), [stage]) if stage.has_pieces() => Some(&**stage),
            _ => None,
        }
    }

    /// Runs the stages backwards: what the terminal made.
    pub(crate) fn decode<'a>(&self, stored: &'a [u8], validate: bool) -> Result<Decoded<'a>> {
        let mut current = Decoded::stored(stored);
        for (stage, size) in self.stages.iter().zip(&self.sizes).rev() {
            current = current.back_through(&**stage, *size, validate)?;
        }
        current.check(self.sizes[0])?;
        Ok(current)
    }

    /// Runs the stages backwards into `target`, which has the size of what the terminal made.
    pub(crate) fn decode_into(&self, stored: &[u8], validate: bool, target: &mut [u8]) -> Result<()> {
        let mut current = Decoded::stored(stored);
        for (k, stage) in self.stages.iter().enumerate().rev() {
            if k == 0 && stage.strip(&current, validate)?.is_none() {
                return stage.decode_into(&current, target);
            }
            current = current.back_through(&**stage, self.sizes[k], validate)?;
        }
        current.check(self.sizes[0])?;
        target.copy_from_slice(&current);
        Ok(())
    }

    /// Decodes bytes from `offset` on of what the terminal made, without the others; false: it cannot, or not for less.
    pub(crate) fn decode_range(&self, stored: &[u8], offset: u64, target: &mut [u8]) -> Result<bool> {
        match (&self.stages[..], self.sizes[0]) {
            ([stage], Size::Exact(size)) if offset.checked_add(target.len() as u64).is_some_and(|end| end <= size) => {
                stage.decode_range(stored, to_usize(size)?, to_usize(offset)?, target)
            }
            _ => Ok(false),
        }
    }

    /// Runs the stages forwards on what the terminal made, to the end of `stored`.
    pub(crate) fn encode_stages(&self, terminal: &[u8], stored: &mut Vec<u8>) -> Result<()> {
        let Some((last, before)) = self.stages.split_last() else {
            stored.extend_from_slice(terminal);
            return Ok(());
        };
        let mut current: Option<Buffer> = None;
        for stage in before {
            let next = Buffer::written(|into| stage.encode(current.as_deref().unwrap_or(terminal), into))?;
            current = Some(next);
        }
        last.encode(current.as_deref().unwrap_or(terminal), stored)
    }
}

pub(super) fn chunk_bytes(shape: &[u64], data_type: &DataType) -> Option<u64> {
    product(shape)?.checked_mul(data_type.size() as u64).filter(|size| *size <= LARGEST)
}

impl Elements {
    /// Elements in C order of the axes as `order` has them.
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

/// An element as it is stored.
pub(crate) fn item(data_type: &DataType, endian: Endian) -> Item {
    Item { size: data_type.size(), word: if endian == Endian::NATIVE { 1 } else { data_type.word() } }
}

impl Shard {
    pub(super) fn new(
        configuration: &ShardingConfiguration,
        shape: &[u64],
        data_type: &DataType,
        fill_value: &FillValue,
        depth: usize,
    ) -> Result<Self> {
        if depth == DEEPEST {
            return Err(Error::metadata(format!("shards are nested more than {DEEPEST} deep")));
        }
        let grid = ChunkGrid::regular(shape, &configuration.chunk_shape)?;
        if shape.iter().zip(&configuration.chunk_shape).any(|(outer, inner)| outer % inner != 0) {
            return Err(Error::metadata(format!(
                "inner chunks of shape {} do not divide a shard of shape {}",
                tuple(&configuration.chunk_shape),
                tuple(shape)
            )));
        }
        let inner = Chain::nested(&configuration.codecs, &configuration.chunk_shape, data_type, fill_value, depth + 1)?;
        let mut index_shape = grid.shape();
        index_shape.push(2);
        let uint64 = DataType::from_name("uint64")?;
        let index = Chain::nested(
            &configuration.index_codecs,
            &index_shape,
            &uint64,
            &FillValue::new(u64::MAX.to_ne_bytes()),
            depth + 1,
        )
        .place(|| "index")?;
        let Size::Exact(index_size) = index.stored_size() else {
            return Err(Error::metadata("the codecs of the index do not give it a fixed size"));
        };
        Ok(Self { grid, inner, index, index_size, index_location: configuration.index_location })
    }

    fn size(&self) -> Size {
        let inner = self.inner.stored_size().bound();
        let chunks = product(&self.grid.shape()).unwrap_or(u64::MAX);
        // Twice: a shard may keep inner chunks that were replaced.
        Size::Bounded(chunks.saturating_mul(inner).saturating_mul(2).saturating_add(self.index_size))
    }
}
