//! How a list of codecs becomes the parts of a chain: what each codec finds when its turn comes, and where it goes.

use std::sync::Arc;

use super::chain::{Chain, Elements, Shard, Terminal, chunk_bytes};
use super::packed::{Filter, Packed, Serializer};
use super::{ArrayToArray, BytesToBytes, Codec, Endian, ShardingConfiguration};
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Place, Result};
use crate::fill_value::FillValue;
use crate::subset::{Dims, product, tuple};

/// The codecs so far.
pub(super) struct Links {
    depth: usize,
    decoded: (Dims, DataType),
    /// What the next codec sees.
    shape: Dims,
    pub(super) data_type: DataType,
    fill_value: FillValue,
    /// The transpositions so far, which become strides.
    pub(super) order: Vec<usize>,
    /// Whether a later transposition must move elements, because the order of those so far means something.
    settled: bool,
    filters: Vec<Filter>,
    pub(super) terminal: Option<Terminal>,
    pub(super) stages: Vec<Arc<dyn BytesToBytes>>,
}

impl Links {
    pub(super) fn new(shape: &[u64], data_type: &DataType, fill_value: &FillValue, depth: usize) -> Self {
        Self {
            depth,
            decoded: (shape.into(), data_type.clone()),
            shape: shape.into(),
            data_type: data_type.clone(),
            fill_value: fill_value.clone(),
            order: (0..shape.len()).collect(),
            settled: false,
            filters: Vec::new(),
            terminal: None,
            stages: Vec::new(),
        }
    }

    /// Adds the next codec.
    pub(super) fn add(&mut self, name: &str, codec: Codec) -> Result<()> {
        match (codec, &self.terminal) {
            (Codec::BytesToBytes(stage), Some(_)) => self.stages.push(stage),
            (Codec::BytesToBytes(_), None) => {
                return Err(Error::metadata(format!(
                    "codec {name} turns bytes into bytes, but there are none before it: the codec \"bytes\" is missing"
                )));
            }
            // What it would do is done.
            (Codec::Bytes(_), Some(Terminal::Packed(packed))) if self.stages.is_empty() && leaves_array(packed) => {}
            (_, Some(_)) => {
                return Err(Error::metadata(format!("codec {name} takes an array, but those before it leave bytes")));
            }
            (Codec::Transpose(by), None) => self.transpose(&by)?,
            (Codec::Reshape(reshape), None) => {
                self.shape = reshape.of(&self.shape).place(|| format!("codec {name}"))?;
                self.settled = true;
            }
            (Codec::ArrayToArray(codec), None) => self.filter(codec).place(|| format!("codec {name}"))?,
            (Codec::Bytes(endian), None) => self.bytes(endian)?,
            (Codec::Sharding(configuration), None) => {
                self.shard(&configuration).place(|| "codec sharding_indexed")?;
            }
            (Codec::ArrayToBytes(codec), None) => {
                let size = self.fixed()?;
                self.pack(Serializer::Codec(codec, size))?;
            }
            (Codec::VariableToBytes(codec), None) => self.pack(Serializer::Variable(codec))?,
        }
        Ok(())
    }

    /// Bytes of an element, which has a fixed number of them.
    fn fixed(&self) -> Result<usize> {
        match self.data_type.kind() {
            Kind::String => Err(Error::metadata("elements of string need the codec vlen-utf8")),
            Kind::Bytes => Err(Error::metadata("elements of variable length need the codec vlen-bytes")),
            _ if self.data_type.is_variable() => {
                Err(Error::metadata(format!("elements of {} need a codec that knows their length", self.data_type)))
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
        if self.settled {
            let (shape, size) = (std::mem::take(&mut self.shape), self.fixed()?);
            self.filters.push(Filter::Permute { shape, order: by.to_vec(), size });
        } else {
            self.order = by.iter().map(|axis| self.order[*axis]).collect();
        }
        self.shape = encoded;
        Ok(())
    }

    fn filter(&mut self, codec: Arc<dyn ArrayToArray>) -> Result<()> {
        self.fixed()?;
        let encoded = codec.encoded_type().clone();
        self.settled |= !codec.elementwise();
        // The fill value of what is encoded matters to shards only; one that cannot be encoded is never met there.
        let (needed, mut fill_value) = (codec.needs_fill_value(), vec![0; encoded.size()]);
        let back = |fill_value: &[u8]| codec.decode(fill_value, &mut vec![0; self.data_type.size()]);
        let filled = codec.encode(self.fill_value.bytes(), &mut fill_value);
        self.fill_value = match filled.and_then(|()| if needed { back(&fill_value) } else { Ok(()) }) {
            Ok(()) => FillValue::new(fill_value),
            Err(error) if needed => {
                return Err(Error::metadata(format!("the fill value is lost: {}", error.message())));
            }
            Err(_) => FillValue::zero(&encoded),
        };
        self.filters.push(Filter::Codec(codec, encoded.size()));
        self.data_type = encoded;
        Ok(())
    }

    fn bytes(&mut self, endian: Endian) -> Result<()> {
        let size = self.fixed()?;
        let swapped = endian != Endian::NATIVE;
        if self.filters.is_empty() && !(swapped && self.data_type.kind() == Kind::Struct) {
            let elements = Elements::in_order(&self.decoded.0, &self.data_type, endian, &self.order)?;
            self.terminal = Some(Terminal::Elements(elements));
            return Ok(());
        }
        let words = if swapped { self.data_type.words() } else { Vec::new() };
        self.pack(Serializer::Bytes { size, words })
    }

    fn shard(&mut self, configuration: &ShardingConfiguration) -> Result<()> {
        let shard = Shard::new(configuration, &self.shape, &self.data_type, &self.fill_value, self.depth)?;
        let shard = Terminal::Shard(Box::new(shard));
        if self.filters.is_empty() && !self.settled {
            self.terminal = Some(shard);
            return Ok(());
        }
        if self.data_type.is_variable() {
            return Err(Error::unsupported(format!("a shard of {} behind a codec that reshapes it", self.data_type)));
        }
        let order = (0..self.shape.len()).collect();
        let chain = Chain::bind(&self.shape, &self.data_type, &self.fill_value, order, shard, Vec::new())?;
        self.pack(Serializer::Shard(Box::new(chain)))
    }

    fn pack(&mut self, serializer: Serializer) -> Result<()> {
        let (shape, data_type) = &self.decoded;
        if chunk_bytes(&self.shape, &self.data_type).is_none() {
            return Err(Error::metadata(format!("chunks of shape {} are too large", tuple(&self.shape))));
        }
        self.terminal = Some(Terminal::Packed(Box::new(Packed {
            layout: Elements::in_order(shape, data_type, Endian::NATIVE, &self.order)?,
            filters: std::mem::take(&mut self.filters),
            serializer,
            shape: self.shape.clone(),
            count: product(shape).unwrap_or(u64::MAX),
            kind: data_type.kind(),
        })));
        Ok(())
    }
}

fn leaves_array(packed: &Packed) -> bool {
    matches!(&packed.serializer, Serializer::Codec(codec, _) if codec.leaves_array())
}
