//! Chunked ndarrays: arrays composed of ndarrays, each in its own block
//! ([the proposal](https://github.com/asdf-format/asdf/issues/1783), as
//! [ASDF.jl](https://github.com/JuliaAstro/ASDF.jl) reads it).
//!
//! ```yaml
//! image: !core/chunked-ndarray-1.0.0
//!   shape: [4, 6]
//!   datatype: float32
//!   chunks:
//!   - !core/ndarray-chunk-1.0.0
//!     start: [0, 0]
//!     ndarray: !core/ndarray-1.1.0 {source: 0, datatype: float32, byteorder: little, shape: [4, 3]}
//! ```
//!
//! `start` is the index of the chunk's first element. Each ndarray has its own compression, byte order and strides. Later
//! chunks cover earlier ones; elements without a chunk are zero.
//!
//! Each axis is cut at the edges of all chunks, so that each cell of the resulting grid has at most one visible chunk.
//! Chunks on a grid are its cells; other chunks are cut into several cells, which share a block.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde_json::json;

use super::block_store::{BlockStore, ChunkData, Chunks};
use super::datatype::{Datatype, byteorder, lengths};
use super::ndarray::{Ndarray, Source, metadata};
use super::open::AsdfFile;
use super::tag::Class;
use super::yaml::NodeId;
use crate::array::Array;
use crate::chunk_grid::ChunkGrid;
use crate::codec::Endian;
use crate::codec::chain::{Chain, Elements, SmallStrides, item};
use crate::error::{Error, Place, Result};
use crate::read::{Chains, EachChain};
use crate::subset::{ArraySubset, Dims, product, tuple};

/// A chunked ndarray node. Its chunks are not read.
#[derive(Clone, Debug, PartialEq)]
pub struct ChunkedNdarray {
    /// Datatype of the elements. Numbers have the byte order of their chunk.
    pub datatype: Datatype,
    /// The shape.
    pub shape: Vec<u64>,
    /// Index of the first element and ndarray node of each chunk.
    pub chunks: Vec<(Vec<u64>, NodeId)>,
}

/// Maximum number of cells, in addition to one for each chunk.
const MAX_CUTS: u64 = 1 << 17;

impl AsdfFile {
    /// Parses a chunked ndarray node.
    pub fn chunked_ndarray(&self, node: NodeId) -> Result<ChunkedNdarray> {
        self.parse_chunked(node).place(|| self.describe(node))
    }

    fn parse_chunked(&self, node: NodeId) -> Result<ChunkedNdarray> {
        let tree = self.tree();
        let get = |node, key| tree.get(node, key).ok_or_else(|| Error::metadata(format!("{key} is missing")));
        let shape = lengths(tree, get(node, "shape")?)?;
        let list = tree.items(get(node, "chunks")?).ok_or_else(|| Error::metadata("chunks is not a list"))?;
        let chunk = |(k, chunk): (usize, &NodeId)| {
            let parse = || {
                let start = lengths(tree, get(*chunk, "start")?).place(|| "start")?;
                if start.len() != shape.len() {
                    let (start, shape) = (tuple(&start), tuple(&shape));
                    return Err(Error::metadata(format!(
                        "start {start} does not match the shape {shape} of the array"
                    )));
                }
                let ndarray = get(*chunk, "ndarray")?;
                match self.class(ndarray) {
                    Class::Ndarray => Ok((start, ndarray)),
                    _ => Err(Error::metadata("the value of ndarray is not an ndarray")),
                }
            };
            parse().place(|| format!("chunk {k}"))
        };
        let chunks = list.iter().enumerate().map(chunk).collect::<Result<Vec<_>>>()?;
        // Text needs a byte order here; numbers do not.
        let first = chunks.first().and_then(|(_, ndarray)| tree.get(*ndarray, "byteorder"));
        let order = tree.get(node, "byteorder").or(first).map(|order| byteorder(tree, order)).transpose()?;
        let order = Some(order.unwrap_or(Endian::NATIVE));
        Ok(ChunkedNdarray { datatype: Datatype::parse(tree, get(node, "datatype")?, order)?, shape, chunks })
    }

    /// Opens the array of a chunked ndarray node. Reads the header of one block.
    pub(super) fn open_chunked(&self, node: NodeId) -> Result<Array> {
        let name = self.describe(node);
        let open = || {
            let chunked = self.parse_chunked(node)?;
            let (cells, grid) = Cells::new(self, &chunked)?;
            let (chain, codecs) = cells.first_chain(&chunked)?;
            let document = json!({
                "datatype": chunked.datatype.code().unwrap_or_else(|| format!("V{}", chunked.datatype.size())),
                "shape": chunked.shape,
                "chunks": chunked.chunks.len(),
                "codecs": codecs.iter().map(|codec| json!(codec.name)).collect::<Vec<_>>(),
            });
            let cells = Arc::new(cells);
            let identity = self.identity().part(("cells", node.index()));
            let store = Arc::new(BlockStore::new(self, identity, cells.clone()));
            let metadata = metadata(grid, chunked.datatype.data_type()?, codecs, document)?;
            Ok(Array::with_chains(store, String::new(), &name, metadata, chain, Chains::Each(cells)))
        };
        open().place(|| &name)
    }
}

/// The cells of the grid, each in at most one chunk.
struct Cells {
    file: AsdfFile,
    chunks: Vec<Chunk>,
    /// Cells in a chunk, by their indices in the grid.
    covered: HashMap<Dims, Cell>,
}

struct Chunk {
    /// Node of the ndarray.
    node: NodeId,
    /// Index of the first element in the array.
    start: Vec<u64>,
    ndarray: Ndarray,
    data: OnceLock<ChunkData>,
}

struct Cell {
    /// Position of its chunk.
    chunk: usize,
    /// Index of its first element in the chunk.
    first: Dims,
    chain: OnceLock<Box<Chain>>,
}

impl Cells {
    fn new(file: &AsdfFile, chunked: &ChunkedNdarray) -> Result<(Self, ChunkGrid)> {
        let chunk = |(k, (start, node)): (usize, &(Vec<u64>, NodeId))| {
            let (node, ndarray) = (*node, file.ndarray(*node)?);
            check(&ndarray, start, chunked).place(|| format!("chunk {k}"))?;
            Ok(Chunk { node, start: start.clone(), ndarray, data: OnceLock::new() })
        };
        let chunks = chunked.chunks.iter().enumerate().map(chunk).collect::<Result<Vec<_>>>()?;
        let edges: Vec<Vec<u64>> = (0..chunked.shape.len())
            .map(|axis| {
                let chunks = chunks.iter().filter(|chunk| !chunk.is_empty()).map(|chunk| chunk.range(axis));
                let mut edges = vec![0, chunked.shape[axis]];
                edges.extend(chunks.flat_map(|range| [range.start, range.end]));
                edges.sort_unstable();
                edges.dedup();
                edges
            })
            .collect();
        let lengths = edges.iter().map(|edges| {
            let lengths: Vec<u64> = edges.windows(2).map(|pair| pair[1] - pair[0]).collect();
            match lengths.first() {
                Some(first) if lengths.iter().all(|length| length == first) => Err(*first),
                _ => Ok(lengths),
            }
        });
        let grid = ChunkGrid::rectilinear(&chunked.shape, lengths.collect())?;
        let mut covered = HashMap::new();
        let mut left = MAX_CUTS.saturating_add(chunks.len() as u64);
        for (number, chunk) in chunks.iter().enumerate().filter(|(_, chunk)| !chunk.is_empty()) {
            let cell_at = |axis: usize, edge| edges[axis].partition_point(|other| *other < edge) as u64;
            let ranges: Vec<Range<u64>> = (0..edges.len())
                .map(|axis| cell_at(axis, chunk.range(axis).start)..cell_at(axis, chunk.range(axis).end))
                .collect();
            let cells = ArraySubset::new_with_ranges(&ranges);
            left = product(cells.shape()).and_then(|count| left.checked_sub(count)).ok_or_else(|| {
                let what = format!("a grid of their edges has over {MAX_CUTS} cells more than there are chunks");
                Error::unsupported(format!("the {} chunks overlap or are off a grid: {what}", chunks.len()))
            })?;
            for cell in cells.indices() {
                let first = (0..edges.len()).map(|axis| edges[axis][cell[axis] as usize] - chunk.start[axis]).collect();
                covered.insert(cell, Cell { chunk: number, first, chain: OnceLock::new() });
            }
        }
        Ok((Self { file: file.clone(), chunks, covered }, grid))
    }

    /// Returns the codec chain of the first chunk that has elements, and its codecs by name.
    fn first_chain(&self, chunked: &ChunkedNdarray) -> Result<(Chain, Vec<crate::codec::Named>)> {
        if let Some(chunk) = self.chunks.iter().find(|chunk| !chunk.is_empty()) {
            let origin = vec![0; chunked.shape.len()];
            let data = self.locate(chunk)?;
            let header = if let ChunkData::Block(_, header) = &data { Some(header) } else { None };
            return Ok((chunk.chain(&data, &origin)?, chunk.ndarray.codecs(header)));
        }
        let (data_type, shape) = (chunked.datatype.data_type()?, vec![1; chunked.shape.len()]);
        let elements = Elements {
            size: data_type.size() as u64,
            offset: 0,
            strides: SmallStrides::from_elem(0, shape.len()),
            item: item(&data_type, Endian::NATIVE),
        };
        Ok((Chain::strided(&shape, &data_type, elements, Vec::new())?, Vec::new()))
    }

    /// Locates the elements of a chunk. Reads the header of its block once.
    fn locate(&self, chunk: &Chunk) -> Result<ChunkData> {
        if let Some(data) = chunk.data.get() {
            return Ok(data.clone());
        }
        let find = || match &chunk.ndarray.source {
            Source::Inline(inline) => Ok(ChunkData::Memory(inline.bytes.clone())),
            Source::Block(number) => Ok(ChunkData::Block(self.file.clone(), self.file.block(*number)?)),
            Source::External(uri) => {
                let file = self.file.open_external_block(uri)?;
                let header = file.block(0)?;
                Ok(ChunkData::Block(file, header))
            }
        };
        let data = find().place(|| self.file.describe(chunk.node))?;
        Ok(chunk.data.get_or_init(|| data).clone())
    }

    /// Whether the array has no axes.
    fn is_point(&self) -> bool {
        self.chunks.first().is_some_and(|chunk| chunk.start.is_empty())
    }
}

impl Chunks for Cells {
    fn find(&self, key: &str) -> Result<Option<ChunkData>> {
        let indices = if key == "0" && self.is_point() {
            Some(Dims::new())
        } else {
            key.split('.').map(|index| index.parse().ok()).collect::<Option<Dims>>()
        };
        let indices = indices.ok_or_else(|| Error::store(format!("{key:?} is not the key of a chunk")))?;
        self.covered.get(&indices).map(|cell| self.locate(&self.chunks[cell.chunk])).transpose()
    }
}

impl EachChain for Cells {
    fn chain(&self, chunk: &[u64]) -> Result<Option<&Chain>> {
        let Some(cell) = self.covered.get(chunk) else { return Ok(None) };
        if let Some(chain) = cell.chain.get() {
            return Ok(Some(chain));
        }
        let within = &self.chunks[cell.chunk];
        let chain = within.chain(&self.locate(within)?, &cell.first).place(|| self.file.describe(within.node))?;
        Ok(Some(cell.chain.get_or_init(|| Box::new(chain))))
    }
}

impl std::fmt::Debug for Cells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cells in {} chunks of {}", self.covered.len(), self.chunks.len(), self.file.name())
    }
}

impl Chunk {
    fn is_empty(&self) -> bool {
        self.ndarray.shape.contains(&0)
    }

    /// Returns its range along an axis, which [`check`] verified.
    fn range(&self, axis: usize) -> Range<u64> {
        self.start[axis]..self.start[axis] + self.ndarray.shape[axis]
    }

    /// Returns the codec chain of the elements from index `first` on.
    fn chain(&self, data: &ChunkData, first: &[u64]) -> Result<Chain> {
        let (size, header) = match data {
            ChunkData::Block(_, header) => (header.data_size, Some(header)),
            ChunkData::Memory(bytes) => (bytes.len() as u64, None),
        };
        self.ndarray.chain(&self.ndarray.layout(size)?, header, first)
    }
}

/// Checks that an ndarray is a valid chunk of an array.
fn check(ndarray: &Ndarray, start: &[u64], array: &ChunkedNdarray) -> Result<()> {
    if ndarray.streamed {
        return Err(Error::unsupported("a chunk cannot be a stream"));
    }
    if ndarray.mask.is_some() {
        return Err(Error::unsupported("a chunk cannot have a mask"));
    }
    if matches!(&ndarray.source, Source::Inline(inline) if inline.nulls.is_some()) {
        return Err(Error::unsupported("a chunk cannot have null elements"));
    }
    let is_same = match (&ndarray.datatype, &array.datatype) {
        (Datatype::Scalar(chunk, _), Datatype::Scalar(array, _)) => chunk == array,
        (chunk, array) => chunk == array,
    };
    if !is_same {
        let what = "the datatype of the chunk, or the byte order of its text or records, is not that of the array";
        return Err(Error::metadata(what));
    }
    let fits = |axis: usize| {
        let end = start[axis].checked_add(ndarray.shape[axis]);
        end.is_some_and(|end| end <= array.shape[axis])
    };
    if ndarray.shape.len() != start.len() || !(0..start.len()).all(fits) {
        let (start, shape, whole) = (tuple(start), tuple(&ndarray.shape), tuple(&array.shape));
        return Err(Error::metadata(format!(
            "a chunk of shape {shape} at {start} is outside the array of shape {whole}"
        )));
    }
    Ok(())
}
