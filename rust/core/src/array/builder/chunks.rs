//! The shapes of chunks and shards of a new array, given or automatic.

use crate::chunk_grid::ChunkGrid;
use crate::error::{Error, Place, Result};
use crate::subset::{product, tuple};

/// Maximum size of automatic chunks, in bytes.
const AUTO_BYTES: u64 = 1 << 20;

/// Maximum number of chunks without automatic shards.
const MANY: u64 = 10_000;

/// Minimum number of chunks per automatic shard.
const CHUNKS_PER_SHARD: u64 = 64;

/// How an array is divided into chunks or shards.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chunks {
    /// Chunks of at most 1 MiB: the longest axis is halved until the chunk is small enough. Within shards, it is
    /// divided into equal parts. For shards see [`ArrayBuilder::shards`](crate::ArrayBuilder::shards).
    Auto,
    /// One shape for all chunks.
    Shape(Vec<u64>),
    /// The lengths of the chunks along each axis, whose sums are at least the array's shape (rectilinear, Zarr V3).
    Lengths(Vec<Vec<u64>>),
    /// A grid for an array of the same shape.
    Grid(ChunkGrid),
}

impl<const N: usize> From<[u64; N]> for Chunks {
    fn from(shape: [u64; N]) -> Self {
        Self::Shape(shape.into())
    }
}

impl From<&[u64]> for Chunks {
    fn from(shape: &[u64]) -> Self {
        Self::Shape(shape.into())
    }
}

impl From<Vec<u64>> for Chunks {
    fn from(shape: Vec<u64>) -> Self {
        Self::Shape(shape)
    }
}

impl From<Vec<Vec<u64>>> for Chunks {
    fn from(lengths: Vec<Vec<u64>>) -> Self {
        Self::Lengths(lengths)
    }
}

impl From<ChunkGrid> for Chunks {
    fn from(grid: ChunkGrid) -> Self {
        Self::Grid(grid)
    }
}

impl Chunks {
    /// Returns the grid of an array of a shape, or `None` if it is automatic.
    fn grid(&self, shape: &[u64], field: &str) -> Result<Option<ChunkGrid>> {
        let grid = match self {
            Self::Auto => return Ok(None),
            Self::Shape(chunk) => ChunkGrid::regular(shape, chunk),
            Self::Lengths(lengths) => ChunkGrid::rectilinear(shape, lengths.iter().cloned().map(Ok).collect()),
            Self::Grid(grid) if grid.array_shape() == shape => Ok(grid.clone()),
            Self::Grid(grid) => Err(Error::metadata(format!(
                "the grid is for an array of shape {}, not {}",
                tuple(grid.array_shape()),
                tuple(shape)
            ))),
        };
        grid.map(Some).place(|| field)
    }
}

/// Returns the grid of chunks (of inner chunks, if there are shards) and the grid of shards.
pub(super) fn cut(
    shape: &[u64],
    chunks: &Chunks,
    shards: Option<&Chunks>,
    item_size: usize,
) -> Result<(ChunkGrid, Option<ChunkGrid>)> {
    let outer = shards.map(|shards| shards.grid(shape, "shards")).transpose()?;
    let whole: Vec<u64> = shape.iter().map(|length| (*length).max(1)).collect();
    let Some(inner) = chunks.grid(shape, "chunks")? else {
        let regular = |chunk: &[u64]| ChunkGrid::regular(shape, chunk);
        if let Some(Some(outer)) = outer {
            let shard = outer.regular_shape().map_or(whole, |shard| shard.to_vec());
            return Ok((regular(&auto(shard, item_size, true))?, Some(outer)));
        }
        let chunk = auto(whole.clone(), item_size, false);
        let shards = outer.and_then(|_| auto_shards(&whole, &chunk));
        return Ok((regular(&chunk)?, shards.map(|shard| regular(&shard)).transpose()?));
    };
    Ok((inner, outer.flatten()))
}

/// Divides the longest axis until the piece is small enough; `divide`: only into equal parts.
fn auto(mut piece: Vec<u64>, item_size: usize, divide: bool) -> Vec<u64> {
    let bytes = |piece: &[u64]| product(piece)?.checked_mul(item_size as u64);
    while bytes(&piece).is_none_or(|bytes| bytes > AUTO_BYTES) {
        // If several axes are equally long, `max` takes the last in iteration order: the first axis.
        let Some(longest) = piece.iter_mut().rev().max().filter(|longest| **longest > 1) else { break };
        *longest = longest.div_ceil(if divide { smallest_factor(*longest) } else { 2 });
    }
    piece
}

fn smallest_factor(number: u64) -> u64 {
    (2..=number.isqrt()).find(|factor| number.is_multiple_of(*factor)).unwrap_or(number)
}

/// Returns the shape of shards for an array of very many chunks, or `None` for other arrays. The axis with the most
/// chunks is doubled until a shard has enough.
fn auto_shards(whole: &[u64], chunk: &[u64]) -> Option<Vec<u64>> {
    let counts: Vec<u64> = whole.iter().zip(chunk).map(|(length, chunk)| length.div_ceil(*chunk)).collect();
    if product(&counts).is_some_and(|count| count <= MANY) {
        return None;
    }
    let mut times = vec![1; counts.len()];
    while times.iter().product::<u64>() < CHUNKS_PER_SHARD {
        let shards = |axis: usize| counts[axis] as f64 / times[axis] as f64;
        let most = (0..counts.len()).rev().max_by(|one, other| shards(*one).total_cmp(&shards(*other)))?;
        times[most] *= 2;
    }
    Some(chunk.iter().zip(times).map(|(chunk, times)| chunk.saturating_mul(times)).collect())
}
