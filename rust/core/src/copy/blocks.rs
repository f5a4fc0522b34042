//! Blocks of whole target chunks, which a copy reads and writes one after the other.
//!
//! A source chunk that several blocks overlap is decoded for each of them. Along an axis, the number of extra decodes
//! depends only on how many block ends are not ends of source chunks; the work of all axes multiplies, as do the
//! lengths of a block. The best block for a memory limit is therefore found axis by axis, keeping only blocks that no
//! other beats in both size and work.

use crate::array::Array;
use crate::chunk_grid::ChunkGrid;
use crate::error::{Error, Result};
use crate::subset::{ArraySubset, Dims, product};

/// Memory limit in bytes if none is given.
const DEFAULT_MEMORY: u64 = 1 << 30;

/// Size of a block in bytes, if memory allows, that gives all threads enough work.
const MIN_BLOCK: u64 = 64 << 20;

/// Factor of additional work accepted for a smaller block.
const TOLERANCE: f64 = 1.05;

/// Maximum number of block ends examined along an axis.
const MAX_ENDS: u64 = 512;

/// Size in bytes from which a run of contiguous plain elements is read separately.
const ROW: u64 = 64 << 10;

/// Division of the chunk grid into blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Number of chunks along each axis, in the grid and in a block.
    counts: Dims,
    block: Dims,
    concurrency: usize,
}

/// A block whose first axes are chosen.
#[derive(Clone, Debug)]
struct Candidate {
    counts: Dims,
    bytes: u64,
    /// Mean number of times that a source chunk is decoded.
    work: f64,
}

/// Memory limit and needs of a copy.
struct Budget {
    memory: u64,
    threads: u64,
    /// Bytes that a thread needs besides the block, while reading and while writing.
    reading: u64,
    writing: u64,
}

impl Budget {
    /// Returns the memory for a block of `bytes` bytes in `chunks` chunks, including that of reading and writing it.
    fn needed(&self, threads: u64, bytes: u64, chunks: u64) -> u64 {
        let writing = self.writing.saturating_mul(threads.min(chunks));
        bytes.saturating_add(writing.max(self.reading.saturating_mul(threads)))
    }
}

impl Blocks {
    /// Chooses blocks that fit into the memory. `element` is the size of an element in memory, in bytes.
    pub(super) fn new(source: &Array, target: &Array, element: u64, max_memory: Option<u64>) -> Result<Self> {
        let bytes = |shape: &[u64]| product(shape).and_then(|count| count.checked_mul(element)).unwrap_or(u64::MAX);
        let (grid, units) = (target.chunk_grid(), units(source)?);
        let counts = grid.shape();
        if counts.contains(&0) {
            return Ok(Self { block: Dims::from_elem(1, counts.len()), counts, concurrency: 1 });
        }
        let largest = grid.largest_shape();
        let inside: Dims = largest.iter().zip(grid.array_shape()).map(|(chunk, length)| *chunk.min(length)).collect();
        let reads_parts = source.chain().raw().is_some();
        let mut budget = Budget {
            memory: max_memory.unwrap_or(DEFAULT_MEMORY),
            threads: target.options().concurrency() as u64,
            // Each thread holds the encoded and the decoded bytes of a chunk.
            reading: if reads_parts { 0 } else { bytes(&units.largest_shape()).saturating_mul(2) },
            writing: bytes(&largest).saturating_mul(2),
        };
        let smallest = bytes(&inside);
        let needed = budget.needed(1, smallest, 1);
        if max_memory.is_none() {
            budget.memory = budget.memory.max(needed);
        } else if needed > budget.memory {
            let message = format!("a copy of {} needs {needed} bytes of memory", source.name());
            return Err(Error::selection(format!("{message} for one of its chunks; max_memory is {}", budget.memory)));
        }
        while budget.threads > 1 && budget.needed(budget.threads, smallest, 1) > budget.memory {
            budget.threads -= 1;
        }
        let block = best(&budget, grid, &units, element);
        Ok(Self { counts, block, concurrency: budget.threads as usize })
    }

    /// Returns the number of chunks that may be read or written concurrently.
    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Returns the numbers of all blocks along each axis.
    pub(super) fn all(&self) -> ArraySubset {
        let blocks: Dims = self.counts.iter().zip(&self.block).map(|(count, block)| count.div_ceil(*block)).collect();
        ArraySubset::new_with_shape(&blocks)
    }

    /// Returns the chunks of a block.
    pub(super) fn chunks(&self, block: &[u64]) -> ArraySubset {
        let range = |axis: usize| {
            let start = block[axis] * self.block[axis];
            start..start.saturating_add(self.block[axis]).min(self.counts[axis])
        };
        ArraySubset::new_with_ranges(&(0..block.len()).map(range).collect::<Vec<_>>())
    }

    /// Returns the block of a chunk.
    pub(super) fn of_chunk(&self, chunk: &[u64]) -> Dims {
        chunk.iter().zip(&self.block).map(|(chunk, block)| chunk / block).collect()
    }

    /// Returns the blocks of a range of chunks.
    pub(super) fn of(&self, chunks: &ArraySubset) -> ArraySubset {
        let Some(last) = chunks.end_inc() else { return ArraySubset::new_empty(chunks.dimensionality()) };
        let ranges = self.of_chunk(chunks.start()).into_iter().zip(self.of_chunk(&last)).map(|(a, b)| a..b + 1);
        ArraySubset::new_with_ranges(&ranges.collect::<Vec<_>>())
    }
}

/// Returns the grid of what is decoded separately: inner chunks, chunks, or rows of plain elements.
fn units(source: &Array) -> Result<ChunkGrid> {
    let chain = source.chain();
    if chain.open_shard().is_some() {
        return source.inner_chunk_grid();
    }
    let (Some(elements), Some(mut shape)) = (chain.raw(), source.chunk_grid().regular_shape()) else {
        return Ok(source.chunk_grid().clone());
    };
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    axes.sort_by_key(|axis| elements.strides[*axis].unsigned_abs());
    let mut run = elements.item.size as u64;
    for axis in axes {
        if run >= ROW {
            shape[axis] = 1;
        }
        run = run.saturating_mul(shape[axis]);
    }
    ChunkGrid::regular(source.shape(), &shape)
}

fn best(budget: &Budget, grid: &ChunkGrid, units: &ChunkGrid, element: u64) -> Dims {
    let axes: Vec<_> = (0..grid.dimensionality()).map(|axis| choices(grid, units, axis)).collect();
    let fits = |candidate: &Candidate| {
        let chunks = product(&candidate.counts).unwrap_or(u64::MAX);
        budget.needed(budget.threads, candidate.bytes, chunks) <= budget.memory
    };
    let mut found = vec![Candidate { counts: Dims::new(), bytes: element, work: 1.0 }];
    for choices in &axes {
        let longer = |candidate: &Candidate, choice: &Choice| Candidate {
            counts: candidate.counts.iter().copied().chain([choice.count]).collect(),
            bytes: candidate.bytes.saturating_mul(choice.length),
            work: candidate.work * choice.work,
        };
        let mut all: Vec<_> =
            found.iter().flat_map(|candidate| choices.iter().map(move |choice| longer(candidate, choice))).collect();
        all.retain(|candidate| candidate.bytes <= budget.memory);
        all.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(a.work.total_cmp(&b.work)));
        let mut least = f64::INFINITY;
        all.retain(|candidate| {
            let better = candidate.work < least;
            least = least.min(candidate.work);
            better
        });
        found = all;
    }
    found.retain(fits);
    // A block of one chunk fits: `new` has checked that.
    let work = found.last().map_or(1.0, |candidate| candidate.work);
    let best = found.into_iter().find(|candidate| candidate.work <= work * TOLERANCE);
    let Some(mut best) = best else { return Dims::from_elem(1, grid.dimensionality()) };
    // Adds chunks that cost no more work, along the last axis first, whose elements are contiguous in most files.
    for (axis, choices) in axes.iter().enumerate().rev() {
        let Some(old) = choices.iter().find(|choice| choice.count == best.counts[axis]) else { continue };
        for choice in choices.iter().filter(|choice| choice.count > old.count && choice.work <= old.work) {
            let mut grown = best.clone();
            grown.counts[axis] = choice.count;
            grown.bytes = best.counts.iter().zip(&axes).enumerate().fold(element, |bytes, (k, (count, choices))| {
                let count = if k == axis { choice.count } else { *count };
                let length = choices.iter().find(|choice| choice.count == count).map_or(1, |choice| choice.length);
                bytes.saturating_mul(length)
            });
            if best.bytes >= MIN_BLOCK || !fits(&grown) {
                break;
            }
            best = grown;
        }
    }
    best.counts
}

/// A possible length of blocks along an axis.
#[derive(Debug)]
struct Choice {
    /// Length in chunks, and maximum length in elements.
    count: u64,
    length: u64,
    work: f64,
}

/// Returns the lengths to consider: repeated doublings of one chunk, and of the shortest length that ends at an end of
/// a source chunk.
fn choices(grid: &ChunkGrid, units: &ChunkGrid, axis: usize) -> Vec<Choice> {
    let (total, whole) = (grid.shape()[axis], grid.array_shape()[axis]);
    let chunk = grid.largest_shape()[axis];
    let step = match (grid.chunk_length(axis), units.chunk_length(axis)) {
        (Some(chunk), Some(unit)) => unit / gcd(unit, chunk),
        _ => 1,
    };
    let doubled = |first: u64| std::iter::successors(Some(first), |count| count.checked_mul(2));
    let mut counts: Vec<u64> = doubled(1).chain(doubled(step)).filter(|count| *count < total).chain([total]).collect();
    counts.sort_unstable();
    counts.dedup();
    let choice = |count: u64| {
        let ends = total.div_ceil(count) - 1;
        let seen = ends.min(MAX_ENDS);
        let cuts = |block: u64| {
            let end = grid.chunk_start(axis, block * count);
            units.locate(axis, end).1 != end
        };
        let cut = (1..=seen).filter(|block| cuts(*block)).count() as f64 * ends as f64 / seen.max(1) as f64;
        let units = units.shape()[axis].max(1) as f64;
        Choice { count, length: count.saturating_mul(chunk).min(whole), work: (units + cut) / units }
    };
    counts.into_iter().map(choice).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { memory: 1 << 40, threads: 2, reading: 0, writing: 0 };

    fn block(shape: &[u64], from: &[u64], to: &[u64], memory: u64) -> Vec<u64> {
        let [units, grid] = [from, to].map(|chunk| ChunkGrid::regular(shape, chunk).unwrap());
        best(&Budget { memory, ..BUDGET }, &grid, &units, 4).to_vec()
    }

    #[test]
    fn a_block_holds_whole_chunks_of_both_where_it_can() {
        // Planes into columns: a block has all planes of as many columns as fit.
        assert_eq!(block(&[1000, 1000, 1000], &[1, 1000, 1000], &[1000, 10, 10], 4_000_000_000), [1, 100, 100]);
        // If the least common multiple fits, nothing is decoded twice.
        assert_eq!(block(&[1 << 20], &[30], &[20], 1 << 20).iter().map(|count| count % 3).sum::<u64>(), 0);
        // Otherwise the block grows along the axis that saves most.
        assert_eq!(block(&[1000, 1000, 1000], &[1, 1000, 1000], &[1000, 10, 10], 400_000_000)[0], 1);
        // Equal chunks need blocks only large enough for all threads.
        let same = block(&[1 << 20, 64], &[64, 64], &[64, 64], 1 << 40);
        let bytes = same[0] * 64 * 64 * 4;
        assert!((MIN_BLOCK..=2 * MIN_BLOCK).contains(&bytes), "{same:?}");
        assert_eq!(block(&[], &[], &[], 1 << 20), [0; 0]);
    }

    #[test]
    fn blocks_are_all_chunks_once() {
        let blocks = Blocks { counts: Dims::from_slice(&[5, 3]), block: Dims::from_slice(&[2, 3]), concurrency: 1 };
        let all = blocks.all().indices();
        let chunks: Vec<_> = all.flat_map(|block| blocks.chunks(&block).indices().collect::<Vec<_>>()).collect();
        assert_eq!(chunks, ArraySubset::new_with_shape(&[5, 3]).indices().collect::<Vec<_>>());
        assert_eq!(
            blocks.of(&ArraySubset::new_with_ranges(&[1..5, 0..3])),
            ArraySubset::new_with_ranges(&[0..3, 0..1])
        );
        assert_eq!(&blocks.of_chunk(&[4, 2])[..], [2, 0]);
    }

    #[test]
    fn threads_count_only_where_they_have_a_chunk() {
        let budget = Budget { memory: 0, threads: 8, reading: 3, writing: 10 };
        assert_eq!(budget.needed(8, 100, 1), 124);
        assert_eq!(budget.needed(8, 100, 50), 180);
    }
}
