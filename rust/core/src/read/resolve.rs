//! Resolves chunks to leaves: opens the object of each chunk and looks inner chunks up in the indexes of shards.

use std::sync::{Arc, Mutex, PoisonError};

use super::leaf::{InnerPath, Leaf};
use super::open::{Handles, Need};
use super::reader::{Counts, Reader};
use super::stored::Stored;
use crate::codec::chain::{Chain, Layout};
use crate::error::{Error, Place, Result};
use crate::options::MissingChunks;
use crate::plan::Region;
use crate::runtime::lock;
use crate::store::Object;
use crate::subset::{Dims, tuple};
use crate::view::Output;

/// Why chunks are resolved.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'o> {
    /// To read them. Missing chunks are filled in the output.
    Read(&'o Output<'o>),
    /// To explain a read.
    Explain,
}

/// The leaves of a batch of chunks.
#[derive(Default)]
pub(super) struct Resolved<'a> {
    pub(super) leaves: Vec<Leaf<'a>>,
    /// In a remote store, the object of each chunk. It may not have been read yet.
    pub(super) objects: Vec<(usize, Arc<dyn Object>)>,
}

/// Collects the leaves of one chunk, level by level of shards.
struct Descent<'r, 'a> {
    reader: &'r Reader<'a>,
    purpose: Purpose<'r>,
    counts: &'r Counts,
    /// Number of the chunk in its batch.
    chunk: usize,
    path: InnerPath,
    leaves: Vec<Leaf<'a>>,
}

impl<'a> Descent<'_, 'a> {
    fn descend(&mut self, stored: Stored, chain: &'a Chain, region: &Region) -> Result<()> {
        if let Some(elements) = chain.elements() {
            let (chunk, inner, region) = (self.chunk, self.path.clone(), region.clone());
            self.leaves.push(Leaf { chunk, inner, stored, chain, elements, region });
            return Ok(());
        }
        let Layout::Shard(shard) = chain.layout() else { return Ok(()) };
        let reader = self.reader;
        let stored =
            if chain.open_shard().is_some() { stored } else { reader.decoded_shard(&stored, chain, self.counts)? };
        // Such a store may read the whole shard into memory, so its size is checked first.
        if reader.source.store.profile().whole_reads {
            stored.check_length(chain.stored_size().bound())?;
        }
        let index = reader.index(&stored, shard, self.counts).place(|| "shard index")?;
        for (inner, part) in region.permuted(chain.order()).split(&shard.grid) {
            let Some(entry) = index.get(&inner, &shard.grid) else {
                self.counts.add_missing_inner();
                if reader.options.missing_chunks == MissingChunks::Error && matches!(self.purpose, Purpose::Read(_)) {
                    let key = reader.source.store.display(&stored.key);
                    let message = format!("it is not stored in the shard {key}, and missing_chunks is \"error\"");
                    return Err(Error::not_found(message).at(format!("inner chunk {}", tuple(&inner))));
                }
                self.fill(&part)?;
                continue;
            };
            let stored = stored.inner(&inner, entry)?;
            self.path.push(inner.clone());
            self.descend(stored, &shard.inner, &part).place(|| format!("inner chunk {}", tuple(&inner)))?;
            self.path.pop();
        }
        Ok(())
    }

    /// Writes the fill value to a region that is not stored.
    fn fill(&self, region: &Region) -> Result<()> {
        match self.purpose {
            Purpose::Read(output) => self.reader.fill(region, output),
            Purpose::Explain => Ok(()),
        }
    }
}

impl<'a> Reader<'a> {
    /// Resolves the chunks of a batch to leaves, on at most `limit` threads.
    pub(super) fn resolve(
        &self,
        batch: &[(Dims, Region)],
        limit: usize,
        purpose: Purpose<'_>,
        counts: &Counts,
    ) -> Result<Resolved<'a>> {
        let handles = Handles::default();
        let need = if matches!(purpose, Purpose::Explain) { Need::Stat } else { Need::Chunk };
        let all = Mutex::new(Resolved::default());
        let numbered: Vec<_> = batch.iter().enumerate().collect();
        let bytes = |(_, (chunk, _)): &(usize, &(Dims, Region))| self.open_memory(chunk, need);
        self.source.each(&numbered, limit, bytes, |(number, (chunk, part))| {
            let mut descent =
                Descent { reader: self, purpose, counts, chunk: *number, path: InnerPath::new(), leaves: Vec::new() };
            let Some(stored) = self.open_located(chunk, need, &handles)? else {
                counts.add_missing();
                if matches!(purpose, Purpose::Read(_)) {
                    self.check_missing(chunk)?;
                }
                return descent.fill(part);
            };
            let object = stored.object.clone();
            if self.source.store.profile().remote {
                lock(&all).objects.push((*number, object.clone()));
            }
            let resolved = descent.descend(stored, self.source.chain_of(chunk)?, part);
            if resolved.is_err() && object.changed() {
                // The change is found again and handled when the object is confirmed.
                return Ok(());
            }
            resolved.place(|| self.describe(chunk))?;
            lock(&all).leaves.append(&mut descent.leaves);
            Ok(())
        })?;
        Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves a shard in memory to leaves, and fills the regions of inner chunks that it does not contain.
    pub(super) fn resolve_shard(
        &self,
        shard: Stored,
        chain: &'a Chain,
        region: &Region,
        output: &Output<'_>,
    ) -> Result<Vec<Leaf<'a>>> {
        let (purpose, counts) = (Purpose::Read(output), &Counts::default());
        let mut descent =
            Descent { reader: self, purpose, counts, chunk: 0, path: InnerPath::new(), leaves: Vec::new() };
        descent.descend(shard, chain, region)?;
        Ok(descent.leaves)
    }
}
