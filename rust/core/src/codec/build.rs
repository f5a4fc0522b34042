//! Builds a chain from a list of codecs: gives each codec the shape, data type and fill value that it sees.

use std::sync::Arc;

use super::chain::{ArrayCodecs, ArrayToArrayStep, ArrayToBytesStep, Chain, Elements, Layout, Shard, chunk_bytes};
use super::{ArrayToArray, BytesToBytes, Codec, Endian, Named, ShardingConfiguration, Size, create_for};
use crate::chunk_grid::ChunkGrid;
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Place, Result};
use crate::fill_value::FillValue;
use crate::subset::{Dims, product, tuple};

/// Maximum nesting of shards; deeper nesting is a mistake or an attack.
const MAX_DEPTH: usize = 16;

/// The codecs added so far.
pub(super) struct ChainBuilder {
    depth: usize,
    decoded: (Dims, DataType),
    /// The shape that the next codec sees.
    shape: Dims,
    /// The data type that the next codec sees.
    pub(super) data_type: DataType,
    fill_value: FillValue,
    /// The transpositions so far, which become strides.
    pub(super) order: Vec<usize>,
    /// Whether a codec depends on the order of the elements, so that later transpositions must move them.
    order_is_fixed: bool,
    array_to_array: Vec<ArrayToArrayStep>,
    pub(super) layout: Option<Layout>,
    pub(super) bytes_to_bytes: Vec<Arc<dyn BytesToBytes>>,
}

impl ChainBuilder {
    pub(super) fn new(shape: &[u64], data_type: &DataType, fill_value: &FillValue, depth: usize) -> Self {
        Self {
            depth,
            decoded: (shape.into(), data_type.clone()),
            shape: shape.into(),
            data_type: data_type.clone(),
            fill_value: fill_value.clone(),
            order: (0..shape.len()).collect(),
            order_is_fixed: false,
            array_to_array: Vec::new(),
            layout: None,
            bytes_to_bytes: Vec::new(),
        }
    }

    /// Adds the next codec.
    pub(super) fn add(&mut self, name: &str, codec: Codec) -> Result<()> {
        match (codec, &self.layout) {
            (Codec::BytesToBytes(codec), Some(_)) => self.bytes_to_bytes.push(codec),
            (Codec::BytesToBytes(_), None) => {
                return Err(Error::metadata(format!(
                    "codec {name} encodes bytes, but no array-to-bytes codec precedes it: add the codec \"bytes\""
                )));
            }
            // The codec before it already leaves plain bytes.
            (Codec::Bytes(_), Some(Layout::Computed(codecs)))
                if self.bytes_to_bytes.is_empty() && codecs.leaves_array() => {}
            (_, Some(_)) => {
                return Err(Error::metadata(format!(
                    "codec {name} encodes an array, but the codecs before it leave bytes"
                )));
            }
            (Codec::Transpose(by), None) => self.transpose(&by)?,
            (Codec::Reshape(reshape), None) => {
                self.shape = reshape.of(&self.shape).place(|| format!("codec {name}"))?;
                self.order_is_fixed = true;
            }
            (Codec::ArrayToArray(codec), None) => self.array_to_array(codec).place(|| format!("codec {name}"))?,
            (Codec::Bytes(endian), None) => self.bytes(endian)?,
            (Codec::Sharding(configuration), None) => {
                self.shard(&configuration).place(|| "codec sharding_indexed")?;
            }
            (Codec::ArrayToBytes(codec), None) => {
                let size = self.item_size()?;
                self.computed(ArrayToBytesStep::Codec(codec, size))?;
            }
            (Codec::VariableToBytes(codec), None) => self.computed(ArrayToBytesStep::Variable(codec))?,
        }
        Ok(())
    }

    /// Returns the item size in bytes; an error for elements of variable length.
    fn item_size(&self) -> Result<usize> {
        match self.data_type.kind() {
            Kind::String => Err(Error::metadata("elements of string need the codec vlen-utf8")),
            Kind::Bytes => Err(Error::metadata("elements of variable length need the codec vlen-bytes")),
            _ if self.data_type.is_variable() => {
                let data_type = &self.data_type;
                Err(Error::metadata(format!("elements of {data_type} need a codec for elements of variable length")))
            }
            _ => Ok(self.data_type.size()),
        }
    }

    fn transpose(&mut self, by: &[usize]) -> Result<()> {
        if by.len() != self.shape.len() {
            return Err(Error::metadata(format!(
                "codec transpose: order {by:?} does not fit chunks of shape {}",
                tuple(&self.shape)
            )));
        }
        let encoded: Dims = by.iter().map(|axis| self.shape[*axis]).collect();
        if self.order_is_fixed {
            let (shape, size) = (std::mem::take(&mut self.shape), self.item_size()?);
            self.array_to_array.push(ArrayToArrayStep::Transpose { shape, order: by.to_vec(), size });
        } else {
            self.order = by.iter().map(|axis| self.order[*axis]).collect();
        }
        self.shape = encoded;
        Ok(())
    }

    fn array_to_array(&mut self, codec: Arc<dyn ArrayToArray>) -> Result<()> {
        self.item_size()?;
        let encoded = codec.encoded_type().clone();
        self.order_is_fixed |= !codec.elementwise();
        // Only shards use the encoded fill value. A fill value that cannot be encoded never occurs in one.
        let (needed, mut fill_value) = (codec.needs_fill_value(), vec![0; encoded.size()]);
        let back = |fill_value: &[u8]| codec.decode(fill_value, &mut vec![0; self.data_type.size()]);
        let filled = codec.encode(self.fill_value.bytes(), &mut fill_value);
        let checked = filled.and_then(|()| if needed { back(&fill_value) } else { Ok(()) });
        self.fill_value = match (self.fill_value.still_unknown(&encoded), checked) {
            (Some(unknown), _) => unknown,
            (None, Ok(())) => FillValue::new(fill_value),
            (None, Err(error)) if needed => {
                return Err(Error::metadata(format!("cannot encode the fill value: {}", error.message())));
            }
            (None, Err(_)) => FillValue::zero(&encoded),
        };
        self.array_to_array.push(ArrayToArrayStep::Codec(codec, encoded.size()));
        self.data_type = encoded;
        Ok(())
    }

    fn bytes(&mut self, endian: Endian) -> Result<()> {
        let size = self.item_size()?;
        let swapped = endian != Endian::NATIVE;
        if self.array_to_array.is_empty() && !(swapped && self.data_type.kind() == Kind::Struct) {
            let elements = Elements::in_order(&self.decoded.0, &self.data_type, endian, &self.order)?;
            self.layout = Some(Layout::Elements(elements));
            return Ok(());
        }
        let words = if swapped { self.data_type.words() } else { Vec::new() };
        self.computed(ArrayToBytesStep::Bytes { size, words })
    }

    fn shard(&mut self, configuration: &ShardingConfiguration) -> Result<()> {
        let shard = Shard::new(configuration, &self.shape, &self.data_type, &self.fill_value, self.depth)?;
        let shard = Layout::Shard(Box::new(shard));
        if self.array_to_array.is_empty() && !self.order_is_fixed {
            self.layout = Some(shard);
            return Ok(());
        }
        if self.data_type.is_variable() {
            return Err(Error::unsupported(format!(
                "a shard of {} cannot follow a codec that reshapes it",
                self.data_type
            )));
        }
        let order = (0..self.shape.len()).collect();
        let chain = Chain::bind(&self.shape, &self.data_type, &self.fill_value, order, shard, Vec::new())?;
        self.computed(ArrayToBytesStep::Shard(Box::new(chain)))
    }

    fn computed(&mut self, array_to_bytes: ArrayToBytesStep) -> Result<()> {
        let (shape, data_type) = &self.decoded;
        if chunk_bytes(&self.shape, &self.data_type).is_none() {
            return Err(Error::metadata(format!("chunks of shape {} are too large", tuple(&self.shape))));
        }
        self.layout = Some(Layout::Computed(Box::new(ArrayCodecs {
            layout: Elements::in_order(shape, data_type, Endian::NATIVE, &self.order)?,
            array_to_array: std::mem::take(&mut self.array_to_array),
            array_to_bytes,
            shape: self.shape.clone(),
            count: product(shape).unwrap_or(u64::MAX),
            kind: data_type.kind(),
        })));
        Ok(())
    }
}

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
        let mut builder = ChainBuilder::new(shape, data_type, fill_value, depth);
        for named in codecs {
            let codec = create_for(named, &builder.data_type, builder.layout.is_some())?;
            builder.add(&named.name, codec)?;
        }
        let ChainBuilder { order, layout, bytes_to_bytes, .. } = builder;
        let layout = layout
            .ok_or_else(|| Error::metadata("the list of codecs has no array-to-bytes codec, such as \"bytes\""))?;
        Self::bind(shape, data_type, fill_value, order, layout, bytes_to_bytes)
    }
}

impl Shard {
    pub(super) fn new(
        configuration: &ShardingConfiguration,
        shape: &[u64],
        data_type: &DataType,
        fill_value: &FillValue,
        depth: usize,
    ) -> Result<Self> {
        if depth == MAX_DEPTH {
            return Err(Error::metadata(format!("shards are nested deeper than {MAX_DEPTH} levels")));
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
            return Err(Error::metadata("the index codecs must produce a fixed size"));
        };
        Ok(Self { grid, inner, index, index_size, index_location: configuration.index_location })
    }
}
