//! ndarray nodes, and opening them as [`Array`]s
//! ([the schema](https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html)).
//!
//! An array in a block is an ordinary array of one chunk: strided elements, encoded by the compression of the block. So
//! partial reads, explanations and caches work as for every array.

use std::sync::Arc;

use serde_json::{Value, json};

use super::block::BlockHeader;
use super::block_store::{BlockStore, ChunkData};
use super::compression::{decoder, label_name};
use super::datatype::{Datatype, MAX_AXES, byteorder, length};
use super::inline::{Inline, inline};
use super::open::AsdfFile;
use super::yaml::{NodeId, Scalar};
use crate::array::Array;
use crate::chunk_grid::ChunkGrid;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::chain::{Chain, Elements, SmallStrides, item};
use crate::codec::{Endian, Named};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::fill_value::FillValue;
use crate::metadata::{ArrayMetadata, Attributes};
use crate::store::Identity;
use crate::subset::{Dims, product, tuple};

/// Location of the elements of an ndarray node.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// In a block of the file, counted from 0, or backward from -1.
    Block(i64),
    /// In the first block of another file.
    External(String),
    /// In the tree.
    Inline(Inline),
}

/// An ndarray node. Its block is not read.
#[derive(Clone, Debug, PartialEq)]
pub struct Ndarray {
    /// Location of the elements.
    pub source: Source,
    /// Datatype of the elements.
    pub datatype: Datatype,
    /// The shape; without the first axis if `streamed`.
    pub shape: Vec<u64>,
    /// Whether the length of the first axis follows from the size of the block.
    pub streamed: bool,
    /// Offset of the first element in the decompressed block, in bytes.
    pub offset: u64,
    /// Strides in bytes; `None` for C order without gaps.
    pub strides: Option<Vec<i64>>,
    /// Marks invalid elements: a node of an array of booleans, or of the value of invalid elements.
    pub mask: Option<NodeId>,
}

impl AsdfFile {
    /// Parses an ndarray node.
    pub fn ndarray(&self, node: NodeId) -> Result<Ndarray> {
        self.parse_ndarray(node).place(|| self.describe(node))
    }

    fn parse_ndarray(&self, node: NodeId) -> Result<Ndarray> {
        let tree = self.tree();
        if tree.pairs(node).is_none() {
            return Ok(Ndarray::from_inline(inline(tree, node, None, None)?, None));
        }
        let get = |key| tree.get(node, key);
        let order = get("byteorder").map(|order| byteorder(tree, order)).transpose()?;
        let mask = get("mask").filter(|mask| !matches!(tree.scalar(*mask), Ok(Scalar::Null)));
        let (streamed, shape) = match get("shape") {
            None => (false, None),
            Some(shape) => {
                let axes = tree.items(shape).ok_or_else(|| Error::metadata("the shape is not a list"))?;
                if axes.len() > MAX_AXES {
                    return Err(Error::metadata(format!(
                        "the shape has {} axes, at most {MAX_AXES} are supported",
                        axes.len()
                    )));
                }
                let streamed = axes.first().is_some_and(|first| tree.text(*first) == Some("*"));
                let lengths = axes[usize::from(streamed)..].iter().map(|axis| length(tree, *axis));
                (streamed, Some(lengths.collect::<Result<Vec<_>>>()?))
            }
        };
        let source = match (get("source"), get("data")) {
            (Some(source), None) => source,
            (None, Some(data)) => {
                let native = Some(order.unwrap_or(Endian::NATIVE));
                let datatype = get("datatype").map(|datatype| Datatype::parse(tree, datatype, native)).transpose()?;
                let declared = shape.as_deref().map(|shape| (streamed, shape));
                return Ok(Ndarray::from_inline(inline(tree, data, datatype.as_ref(), declared)?, mask));
            }
            _ => return Err(Error::metadata("an ndarray needs either \"source\" or \"data\"")),
        };
        let source = match tree.scalar(source) {
            Ok(Scalar::Int(number)) => Source::Block(number),
            Ok(Scalar::Str(uri)) => Source::External(uri.to_owned()),
            _ => return Err(Error::metadata("source is neither the number of a block nor a URI")),
        };
        let missing = |what| Error::metadata(format!("{what} is missing"));
        let datatype = Datatype::parse(tree, get("datatype").ok_or_else(|| missing("datatype"))?, order)?;
        let shape = shape.ok_or_else(|| missing("shape"))?;
        let rank = shape.len() + usize::from(streamed);
        let strides = match get("strides") {
            None => None,
            Some(strides) => {
                let items = tree.items(strides).filter(|strides| strides.len() == rank);
                let items = items.ok_or_else(|| Error::metadata("strides and shape have different numbers of axes"))?;
                let stride = |id: &NodeId| match tree.scalar(*id) {
                    Ok(Scalar::Int(stride)) => Ok(stride),
                    _ => Err(Error::metadata("a stride is not an integer")),
                };
                Some(items.iter().map(stride).collect::<Result<Vec<_>>>()?)
            }
        };
        let offset = get("offset").map_or(Ok(0), |offset| length(tree, offset)).place(|| "offset")?;
        Ok(Ndarray { source, datatype, shape, streamed, offset, strides, mask })
    }

    /// Opens the array of an ndarray node. Reads only the header of its block.
    pub fn open_ndarray(&self, node: NodeId, ndarray: &Ndarray) -> Result<Array> {
        let name = self.describe(node);
        let open = || match &ndarray.source {
            Source::Inline(inline) => {
                let size = inline.bytes.len() as u64;
                let layout = ndarray.layout(size)?;
                let chunk = Arc::new(ChunkData::Memory(inline.bytes.clone()));
                let store = BlockStore::new(self, Identity::fresh(), chunk);
                ndarray.array(store, &name, &layout, None)
            }
            Source::Block(number) => ndarray.in_block(self, *number, &name),
            Source::External(uri) => ndarray.in_block(&self.open_external_block(uri)?, 0, &name),
        };
        open().place(|| &name)
    }
}

/// Layout of an array's elements in its block.
pub(super) struct ElementLayout {
    shape: Vec<u64>,
    /// Strides in bytes.
    strides: SmallStrides,
    /// Size of the decompressed block in bytes.
    size: u64,
}

impl Ndarray {
    fn from_inline(inline: Inline, mask: Option<NodeId>) -> Self {
        let (datatype, shape) = (inline.datatype.clone(), inline.shape.clone());
        Self { source: Source::Inline(inline), datatype, shape, streamed: false, offset: 0, strides: None, mask }
    }

    fn in_block(&self, file: &AsdfFile, number: i64, name: &str) -> Result<Array> {
        let header = file.block(number)?;
        let layout = self.layout(header.data_size).place(|| format!("block {number}"))?;
        let chunk = Arc::new(ChunkData::Block(file.clone(), header));
        self.array(BlockStore::new(file, file.identity(), chunk), name, &layout, Some(&header))
    }

    /// Lays out the elements in a block of `size` bytes; an error if they exceed it.
    pub(super) fn layout(&self, size: u64) -> Result<ElementLayout> {
        let item = self.datatype.size() as u64;
        let too_large = || {
            Error::metadata(format!(
                "an array of shape {} and {item} bytes per element is too large",
                tuple(&self.shape)
            ))
        };
        let mut shape = self.shape.clone();
        if self.streamed {
            let row = match &self.strides {
                Some(strides) => u64::try_from(strides[0]).unwrap_or(0),
                None => product(&shape).and_then(|elements| elements.checked_mul(item)).ok_or_else(too_large)?,
            };
            let rows = size.saturating_sub(self.offset).checked_div(row);
            shape.insert(
                0,
                rows.ok_or_else(|| {
                    Error::metadata("a row of the streamed array has no bytes, so the rows cannot be counted")
                })?,
            );
        }
        let mut strides: SmallStrides = self.strides.iter().flatten().copied().collect();
        if self.strides.is_none() {
            strides.resize(shape.len(), 0);
            let mut stride = i64::try_from(item).map_err(|_| too_large())?;
            for (axis, length) in shape.iter().enumerate().rev() {
                strides[axis] = stride;
                let length = i64::try_from((*length).max(1)).map_err(|_| too_large())?;
                stride = stride.checked_mul(length).ok_or_else(too_large)?;
            }
        }
        if !shape.contains(&0) {
            let (mut low, mut high) = (i128::from(self.offset), i128::from(self.offset) + i128::from(item));
            for (length, stride) in shape.iter().zip(&strides) {
                let reach = i128::from(length - 1) * i128::from(*stride);
                if reach < 0 { low += reach } else { high += reach }
            }
            if low < 0 || high > i128::from(size) {
                let what = format!("the elements occupy bytes {low} to {high}, but the block has {size}");
                return Err(Error::corrupt(what));
            }
        } else if self.offset > size {
            return Err(Error::corrupt(format!("the offset is {}, but the block has {size} bytes", self.offset)));
        }
        Ok(ElementLayout { shape, strides, size })
    }

    fn array(
        &self,
        store: BlockStore,
        name: &str,
        layout: &ElementLayout,
        header: Option<&BlockHeader>,
    ) -> Result<Array> {
        let codecs = self.codecs(header);
        let document = json!({
            "source": header.map_or(Value::Null, |header| json!(header.offset)),
            "datatype": self.datatype.code().unwrap_or_else(|| format!("V{}", self.datatype.size())),
            "shape": layout.shape,
            "offset": self.offset,
            "strides": layout.strides.to_vec(),
            "codecs": codecs.iter().map(|codec| json!(codec.name)).collect::<Vec<_>>(),
        });
        let chain = self.chain(layout, header, &vec![0; layout.shape.len()])?;
        let grid = ChunkGrid::regular(&layout.shape, chain.shape())?;
        let metadata = metadata(grid, self.datatype.data_type()?, codecs, document)?;
        Array::with_chain(Arc::new(store), String::new(), name, metadata, chain)
    }

    /// Returns the codecs of the elements for the array's metadata.
    pub(super) fn codecs(&self, header: Option<&BlockHeader>) -> Vec<Named> {
        let endian = if self.datatype.endian() == Endian::Little { "little" } else { "big" };
        let configuration = json!({"endian": endian}).as_object().cloned().unwrap_or_default();
        let mut codecs = vec![Named { name: "bytes".to_owned(), configuration }];
        if let Some(header) = header.filter(|header| header.is_compressed()) {
            codecs.push(Named { name: label_name(header.compression), configuration: serde_json::Map::new() });
        }
        codecs
    }

    /// Returns the codec chain of the elements from index `first` on.
    pub(super) fn chain(&self, layout: &ElementLayout, header: Option<&BlockHeader>, first: &[u64]) -> Result<Chain> {
        let data_type = self.datatype.data_type()?;
        let compressed = header.filter(|header| header.is_compressed());
        let stages = compressed.map(|header| decoder(header.compression, header.used, header.data_size));
        let offsets = first.iter().zip(&layout.strides).map(|(index, stride)| i128::from(*index) * i128::from(*stride));
        let offset = u64::try_from(i128::from(self.offset) + offsets.sum::<i128>())
            .map_err(|_| Error::corrupt("an element precedes its block"))?;
        let elements = Elements {
            size: layout.size,
            offset,
            strides: layout.strides.clone(),
            item: item(&data_type, self.datatype.endian()),
        };
        // An empty axis has no chunks, but a chain needs a non-zero shape.
        let chunk_shape: Dims = layout.shape.iter().map(|length| (*length).max(1)).collect();
        Chain::strided(&chunk_shape, &data_type, elements, stages.into_iter().collect::<Result<_>>()?)
    }
}

/// Returns the metadata of an array whose chunks are blocks.
pub(super) fn metadata(
    chunk_grid: ChunkGrid,
    data_type: DataType,
    codecs: Vec<Named>,
    document: Value,
) -> Result<ArrayMetadata> {
    Ok(ArrayMetadata {
        zarr_format: 3,
        chunk_grid,
        // An element can be too large for the memory.
        fill_value: FillValue::new(crate::view::zeroed(data_type.size())?),
        data_type,
        chunk_key_encoding: ChunkKeyEncoding::V2 { separator: '.' },
        codecs,
        attributes: Attributes::new(),
        dimension_names: None,
        document,
    })
}
