//! ndarray nodes: what the tree says of an array, and the [`Array`] that it is
//! ([the schema](https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html)).
//!
//! An array in a block is an array of one chunk: elements at strides, in bytes that the block's compression encoded.
//! What an ordinary array can do (read a part, explain a read, cache) it can do for that reason.

use std::sync::Arc;

use serde_json::{Value, json};

use super::block::BlockHeader;
use super::blocks::BlockStore;
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
use crate::subset::{Dims, product, tuple};

/// Where the elements of an ndarray node are.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// In a block of the file, counted from 0, or from -1 at the end.
    Block(i64),
    /// In the first block of another file.
    External(String),
    /// In the tree.
    Inline(Inline),
}

/// What the tree says of an array. Nothing of its block was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Ndarray {
    /// Where the elements are.
    pub source: Source,
    /// What they are.
    pub datatype: Datatype,
    /// The shape; where `streamed` is set, without the first axis, whose length is as many as the block holds.
    pub shape: Vec<u64>,
    /// Whether the length of the first axis is for the block to tell.
    pub streamed: bool,
    /// The first element, in bytes of the decompressed block.
    pub offset: u64,
    /// Bytes from one element to the next for each axis; `None`: in C order without gaps.
    pub strides: Option<Vec<i64>>,
    /// What says which elements are not valid: an array, or a value that stands for them.
    pub mask: Option<NodeId>,
}

impl AsdfFile {
    /// What an ndarray node says.
    pub fn ndarray(&self, node: NodeId) -> Result<Ndarray> {
        self.parse_ndarray(node).place(|| self.describe(node))
    }

    fn parse_ndarray(&self, node: NodeId) -> Result<Ndarray> {
        let tree = self.tree();
        if tree.pairs(node).is_none() {
            return Ok(Ndarray::of_inline(inline(tree, node, None, None)?, None));
        }
        let get = |key| tree.get(node, key);
        let order = get("byteorder").map(|order| byteorder(tree, order)).transpose()?;
        let mask = get("mask").filter(|mask| !matches!(tree.scalar(*mask), Ok(Scalar::Null)));
        let (streamed, shape) = match get("shape") {
            None => (false, None),
            Some(shape) => {
                let axes = tree.items(shape).ok_or_else(|| Error::metadata("the shape is not a list"))?;
                if axes.len() > MAX_AXES {
                    return Err(Error::metadata(format!("the shape has {} axes", axes.len())));
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
                let due = shape.as_deref().map(|shape| (streamed, shape));
                return Ok(Ndarray::of_inline(inline(tree, data, datatype.as_ref(), due)?, mask));
            }
            _ => return Err(Error::metadata("an array has either a \"source\" or \"data\"")),
        };
        let source = match tree.scalar(source) {
            Ok(Scalar::Int(number)) => Source::Block(number),
            Ok(Scalar::Str(uri)) => Source::External(uri.to_owned()),
            _ => return Err(Error::metadata("the source is neither the number of a block nor a URI")),
        };
        let missing = |what| Error::metadata(format!("the {what} is missing"));
        let datatype = Datatype::parse(tree, get("datatype").ok_or_else(|| missing("datatype"))?, order)?;
        let shape = shape.ok_or_else(|| missing("shape"))?;
        let rank = shape.len() + usize::from(streamed);
        let strides = match get("strides") {
            None => None,
            Some(strides) => {
                let items = tree.items(strides).filter(|strides| strides.len() == rank);
                let items =
                    items.ok_or_else(|| Error::metadata("the strides do not have as many axes as the shape"))?;
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

    /// The array that an ndarray node is. The header of its block is read, and nothing else.
    pub fn open_ndarray(&self, node: NodeId, ndarray: &Ndarray) -> Result<Array> {
        let name = self.describe(node);
        let open = || match &ndarray.source {
            Source::Inline(inline) => {
                let size = inline.bytes.len() as u64;
                let plan = ndarray.plan(size)?;
                ndarray.array(Arc::new(BlockStore::inline(self, inline.bytes.clone())), &name, &plan, None)
            }
            Source::Block(number) => ndarray.in_block(self, *number, &name),
            Source::External(uri) => ndarray.in_block(&self.open_other(uri)?, 0, &name),
        };
        open().place(|| &name)
    }
}

/// An array's place in the bytes of its block.
pub(super) struct Plan {
    shape: Vec<u64>,
    strides: SmallStrides,
    size: u64,
}

impl Ndarray {
    fn of_inline(inline: Inline, mask: Option<NodeId>) -> Self {
        let (datatype, shape) = (inline.datatype.clone(), inline.shape.clone());
        Self { source: Source::Inline(inline), datatype, shape, streamed: false, offset: 0, strides: None, mask }
    }

    fn in_block(&self, file: &AsdfFile, number: i64, name: &str) -> Result<Array> {
        let header = file.block(number)?;
        let plan = self.plan(header.data_size).place(|| format!("block {number}"))?;
        self.array(Arc::new(BlockStore::block(file, header)), name, &plan, Some(&header))
    }

    /// Lays the elements out in a block of so many bytes, or fails where they do not lie in it.
    pub(super) fn plan(&self, size: u64) -> Result<Plan> {
        let item = self.datatype.size() as u64;
        let too_large = || Error::metadata(format!("an array of shape {} is too large", tuple(&self.shape)));
        let mut shape = self.shape.clone();
        if self.streamed {
            let row = match &self.strides {
                Some(strides) => u64::try_from(strides[0]).unwrap_or(0),
                None => product(&shape).and_then(|elements| elements.checked_mul(item)).ok_or_else(too_large)?,
            };
            let rows = size.saturating_sub(self.offset).checked_div(row);
            shape.insert(0, rows.ok_or_else(|| Error::metadata("the rows of a stream take no bytes"))?);
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
                let what = format!("the elements lie in bytes {low} to {high} of {size}");
                return Err(Error::corrupt(what));
            }
        } else if self.offset > size {
            return Err(Error::corrupt(format!("the first element lies at byte {} of {size}", self.offset)));
        }
        Ok(Plan { shape, strides, size })
    }

    fn array(&self, store: Arc<BlockStore>, name: &str, plan: &Plan, header: Option<&BlockHeader>) -> Result<Array> {
        let codecs = self.codecs(header);
        let document = json!({
            "source": header.map_or(Value::Null, |header| json!(header.offset)),
            "datatype": self.datatype.code().unwrap_or_else(|| format!("V{}", self.datatype.size())),
            "shape": plan.shape,
            "offset": self.offset,
            "strides": plan.strides.to_vec(),
            "codecs": codecs.iter().map(|codec| json!(codec.name)).collect::<Vec<_>>(),
        });
        let chain = self.chain(plan, header, &vec![0; plan.shape.len()])?;
        let grid = ChunkGrid::regular(&plan.shape, chain.shape())?;
        let metadata = metadata(grid, self.datatype.data_type()?, codecs, document);
        Array::with_chain(store, String::new(), name, metadata, chain)
    }

    /// What the elements went through, by name.
    pub(super) fn codecs(&self, header: Option<&BlockHeader>) -> Vec<Named> {
        let endian = if self.datatype.endian() == Endian::Little { "little" } else { "big" };
        let configuration = json!({"endian": endian}).as_object().cloned().unwrap_or_default();
        let mut codecs = vec![Named { name: "bytes".to_owned(), configuration }];
        if let Some(header) = header.filter(|header| header.is_compressed()) {
            codecs.push(Named { name: label_name(header.compression), configuration: serde_json::Map::new() });
        }
        codecs
    }

    /// What decodes the elements from `first` on, which lies in the array.
    pub(super) fn chain(&self, plan: &Plan, header: Option<&BlockHeader>, first: &[u64]) -> Result<Chain> {
        let data_type = self.datatype.data_type()?;
        let compressed = header.filter(|header| header.is_compressed());
        let stages = compressed.map(|header| decoder(header.compression, header.used, header.data_size));
        let inside = first.iter().zip(&plan.strides).map(|(index, stride)| i128::from(*index) * i128::from(*stride));
        let offset = u64::try_from(i128::from(self.offset) + inside.sum::<i128>())
            .map_err(|_| Error::corrupt("an element lies before its block"))?;
        let elements = Elements {
            size: plan.size,
            offset,
            strides: plan.strides.clone(),
            item: item(&data_type, self.datatype.endian()),
        };
        // Where an axis is empty there is no chunk, but one must be thinkable.
        let chunk_shape: Dims = plan.shape.iter().map(|length| (*length).max(1)).collect();
        Chain::strided(&chunk_shape, &data_type, elements, stages.into_iter().collect::<Result<_>>()?)
    }
}

/// What an array of a file is to all that takes arrays.
pub(super) fn metadata(
    chunk_grid: ChunkGrid,
    data_type: DataType,
    codecs: Vec<Named>,
    document: Value,
) -> ArrayMetadata {
    ArrayMetadata {
        zarr_format: 3,
        chunk_grid,
        fill_value: FillValue::zero(&data_type),
        data_type,
        chunk_key_encoding: ChunkKeyEncoding::V2 { separator: '.' },
        codecs,
        attributes: Attributes::new(),
        dimension_names: None,
        document,
    }
}
