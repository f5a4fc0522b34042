//! Keeping others from a chunk of which only a part is written.

use super::{Part, Writer};
use crate::error::{Error, Result};
use crate::plan::Region;
use crate::store::{Exclusion, Guard};
use crate::subset::{ArraySubset, Dims};

impl Writer<'_> {
    /// Checks, before anything is written, that no chunk of a region is to be written in part where other processes
    /// could change it unnoticed.
    pub(crate) fn check_exclusion(&self, region: &Region) -> Result<()> {
        if !self.refuses_parts() {
            return Ok(());
        }
        let grid = &self.source.grid;
        let (mut bounds, mut whole): (Option<(Dims, Dims)>, _) = (None, true);
        for (chunk, region) in region.split(grid) {
            let inside = grid.chunk_subset(&chunk)?.bound(grid.array_shape())?.shape().into();
            whole &= Part { region, inside }.covers(self.source.chain_of(&chunk)?.shape());
            let Some((first, last)) = &mut bounds else {
                bounds = Some((chunk.clone(), chunk));
                continue;
            };
            first.iter_mut().zip(&chunk).for_each(|(first, index)| *first = (*first).min(*index));
            last.iter_mut().zip(&chunk).for_each(|(last, index)| *last = (*last).max(*index));
        }
        match bounds {
            Some((first, last)) if !whole => Err(self.refusal(&ArraySubset::new_with_start_end_inc(&first, &last)?)),
            _ => Ok(()),
        }
    }

    /// Locks a chunk of which what is stored stays in part.
    pub(super) fn lock_to_change(&self, chunk: &[u64], key: &str) -> Result<Guard> {
        if self.refuses_parts() {
            return Err(self.refusal(&ArraySubset::new_with_start_end_inc(chunk, chunk)?));
        }
        self.source.store.lock(key)
    }

    /// Stores what has become of a chunk that was read, of a version, under its lock. False: another process has changed
    /// it since; it is to be read again.
    pub(super) fn put_back(&self, key: &str, bytes: Option<&[u8]>, version: Option<u64>) -> Result<bool> {
        if self.compares_versions() {
            return self.source.store.set_if(key, bytes, version);
        }
        self.set_locked(key, bytes).map(|()| true)
    }

    /// Whether what was read may have to be read again.
    pub(super) fn compares_versions(&self) -> bool {
        self.source.store.exclusion() == Exclusion::Versions
    }

    fn refuses_parts(&self) -> bool {
        !self.options.unlocked_writes && self.source.store.exclusion() == Exclusion::Process
    }

    fn refusal(&self, chunks: &ArraySubset) -> Error {
        let region = self.source.grid.chunks_subset(chunks).and_then(|all| all.bound(self.source.grid.array_shape()));
        let region = region.map_or_else(|_| "more of them".to_owned(), |region| format!("the region {region}"));
        Error::unsupported(format!(
            "chunks would be changed in part, and the store cannot keep other processes from changing them at the same \
             time; {region} would be whole chunks, and the option unlocked_writes allows it"
        ))
        .at(&self.source.name)
    }
}
