//! Verifying: decodes everything that is stored of a chunk, one inner chunk after the other, and keeps nothing.

use std::collections::HashSet;

use super::open::{Handles, Need};
use super::reader::{Caching, Counts, Reader};
use super::stored::Stored;
use crate::chunk_grid::ChunkGrid;
use crate::codec::chain::{Chain, Layout};
use crate::error::{Error, Place, Result};
use crate::subset::{Dims, tuple};

/// Maximum number of damaged inner chunks reported for a chunk.
const REPORTED: usize = 100;

/// The problems of a chunk.
struct Verifying<'r> {
    reader: Reader<'r>,
    /// The index of the inner chunk at each level of shards.
    path: Vec<Dims>,
    problems: Vec<Error>,
}

impl Reader<'_> {
    /// Decodes a chunk and compares its checksums. Returns what is damaged, or `None` if the chunk is not stored. Of a
    /// shard, each inner chunk is decoded alone, so that memory is bounded by the largest one.
    pub(crate) fn verify(&self, chunk: &[u64]) -> Result<Option<Vec<Error>>> {
        let mut reader = Reader { cache: Caching::Off, ..*self };
        reader.options.validate_checksums = true;
        let chain = self.source.chain_of(chunk)?;
        let mut verifying = Verifying { reader, path: Vec::new(), problems: Vec::new() };
        match reader.open_located(chunk, Need::Chunk, &Handles::default()) {
            Ok(None) => return Ok(None),
            Ok(Some(stored)) => verifying.visit(&stored, chain),
            Err(error) => verifying.problems.push(error),
        }
        Ok(Some(verifying.problems.into_iter().map(|error| error.at(self.describe(chunk))).collect()))
    }

    /// Returns how many bytes of memory [`verify`](Self::verify) needs for a chunk.
    pub(crate) fn verify_memory(&self) -> u64 {
        let mut chain = &self.source.chain;
        while let Some(shard) = chain.open_shard() {
            chain = &shard.inner;
        }
        chain.decoded_size().saturating_mul(2)
    }

    fn check(&self, stored: &Stored, chain: &Chain) -> Result<()> {
        let bytes = stored.read(chain.stored_size().bound())?;
        let decoded = chain.decode(&bytes, true)?;
        match chain.array_codecs() {
            Some(packed) => match packed.variable() {
                Some(codec) => packed.slots(codec, &decoded).map(|_| ()),
                None => self.unpack(packed, &decoded).map(|_| ()),
            },
            None => Ok(()),
        }
    }
}

impl Verifying<'_> {
    fn visit(&mut self, stored: &Stored, chain: &Chain) {
        let result = match chain.layout() {
            Layout::Shard(shard) => {
                let counts = Counts::default();
                let opened = if chain.open_shard().is_some() {
                    Ok(stored.clone())
                } else {
                    self.reader.decoded_shard(stored, chain, &counts)
                };
                opened.and_then(|stored| {
                    let index = self.reader.index(&stored, shard, &counts).place(|| "shard index")?;
                    self.visit_inner(&stored, &shard.inner, &shard.grid, |number| index.entry(number));
                    Ok(())
                })
            }
            _ => self.reader.check(stored, chain),
        };
        if let Err(error) = result
            && self.problems.len() < REPORTED
        {
            let place = |error: Error, inner: &Dims| error.at(format!("inner chunk {}", tuple(inner)));
            self.problems.push(self.path.iter().rev().fold(error, place));
        }
    }

    fn visit_inner(
        &mut self,
        shard: &Stored,
        chain: &Chain,
        grid: &ChunkGrid,
        entry: impl Fn(usize) -> Option<(u64, u64)>,
    ) {
        // Crafted entries could name one inner chunk many times.
        let mut seen = HashSet::new();
        let count = grid.shape().iter().try_fold(1usize, |count, axis| count.checked_mul(*axis as usize)).unwrap_or(0);
        for number in 0..count {
            let Some(place) = entry(number).filter(|place| seen.insert(*place)) else { continue };
            let inner = index_of(number as u64, &grid.shape());
            self.path.push(inner.clone());
            match shard.inner(&inner, place) {
                Ok(stored) => self.visit(&stored, chain),
                Err(error) if self.problems.len() < REPORTED => self.problems.push(error),
                Err(_) => {}
            }
            self.path.pop();
        }
    }
}

/// Returns the index with a number in C order.
fn index_of(mut number: u64, shape: &[u64]) -> Dims {
    let mut index = Dims::from_elem(0, shape.len());
    for (axis, length) in shape.iter().enumerate().rev() {
        (index[axis], number) = (number % length, number / length);
    }
    index
}
