//! Keeping others from a chunk of which only a part is written.

use super::Writer;
use crate::error::{Error, Result};
use crate::plan::Region;
use crate::read::Stored;
use crate::store::{Exclusion, Guard, Piece, assemble};
use crate::subset::ArraySubset;

impl Writer<'_> {
    /// Checks, before anything is written, that no chunk of a region is to be written in part where other processes
    /// could change it unnoticed.
    pub(crate) fn check_exclusion(&self, region: &Region) -> Result<()> {
        if !self.refuses_parts() {
            return Ok(());
        }
        let grid = &self.source.grid;
        let (mut aligned, mut around): (bool, Option<ArraySubset>) = (true, None);
        for (chunk, region) in region.split(grid) {
            let inside = grid.chunk_subset(&chunk)?.bound(grid.array_shape())?;
            let shape = if inside.is_empty() { self.source.chain_of(&chunk)?.shape() } else { inside.shape() };
            aligned &= region.covers(shape);
            around = Some(around.map_or(Ok(inside.clone()), |around| around.hull(&inside))?);
        }
        match around {
            Some(around) if !aligned => Err(refusal(&around).at(&self.source.name)),
            _ => Ok(()),
        }
    }

    /// Checks that a chunk may be changed in part.
    pub(super) fn check_change(&self, chunk: &[u64]) -> Result<()> {
        if self.refuses_parts() {
            let grid = &self.source.grid;
            return Err(refusal(&grid.chunk_subset(chunk)?.bound(grid.array_shape())?));
        }
        Ok(())
    }

    /// Locks a chunk of which what is stored stays in part.
    pub(super) fn lock_to_change(&self, chunk: &[u64], key: &str) -> Result<Guard> {
        self.check_change(chunk)?;
        self.source.store.lock(key)
    }

    /// The same writer, for what replaces an object where there is one: no store removes an object by its version.
    pub(super) fn replacing(&self, old: Option<&Stored>) -> Self {
        if old.is_some() && self.compares_versions() { self.keeping() } else { *self }
    }

    /// Stores what has become of a chunk of which `old` was read, under its lock; `None`: nothing is left of it. False:
    /// another process has changed it since; it is to be read again.
    pub(super) fn put_back(&self, key: &str, pieces: Option<&[Piece<'_>]>, old: Option<&Stored>) -> Result<bool> {
        let (store, object) = (&*self.source.store, old.map(|old| &*old.object));
        let done = match (pieces, object) {
            // What was missing stays so.
            (None, None) => Ok(()),
            (Some(pieces), _) if self.compares_versions() => {
                let mut value = Vec::new();
                assemble(pieces, object, store.merge_gap(), &mut value)?;
                return store.set_if(key, Some(&value), old.map(|old| old.stat.version));
            }
            (None, Some(_)) if self.compares_versions() => {
                return store.set_if(key, None, old.map(|old| old.stat.version));
            }
            (None, Some(_)) => store.erase(key),
            (Some([Piece::Bytes(bytes)]), _) => store.set(key, bytes),
            (Some(pieces), _) => store.set_parts(key, pieces, object),
        };
        done.map(|()| true)
    }

    /// Whether what was read may have to be read again.
    pub(super) fn compares_versions(&self) -> bool {
        self.source.store.exclusion() == Exclusion::Versions
    }

    fn refuses_parts(&self) -> bool {
        !self.options.unlocked_writes && self.source.store.exclusion() == Exclusion::Process
    }
}

fn refusal(around: &ArraySubset) -> Error {
    Error::unsupported(format!(
        "chunks would be changed in part, and the store cannot keep other processes from changing them at the same time; \
         the region {around} would be whole chunks, and the option unlocked_writes allows it"
    ))
}
