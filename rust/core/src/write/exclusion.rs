//! Keeping others from a chunk of which only a part is written.

use super::Writer;
use crate::error::{Error, Result};
use crate::plan::Region;
use crate::read::{Need, Stored};
use crate::store::Exclusion;
use crate::subset::ArraySubset;

impl Writer<'_> {
    /// Checks, before anything is written, that no chunk of a region is to be changed in part where others may change it
    /// at the same time. `whole`: all of each element is written.
    pub(crate) fn check_exclusion(&self, region: &Region, whole: bool) -> Result<()> {
        if !self.is_unlocked() {
            return Ok(());
        }
        let grid = &self.source.grid;
        let (mut aligned, mut around): (bool, Option<ArraySubset>) = (whole, None);
        for (chunk, region) in region.split(grid) {
            let inside = grid.chunk_subset(&chunk)?.bound(grid.array_shape())?;
            let shape = if inside.is_empty() { self.source.chain_of(&chunk)?.shape() } else { inside.shape() };
            aligned &= region.covers(shape);
            around = Some(around.map_or(Ok(inside.clone()), |around| around.hull(&inside))?);
        }
        match around {
            Some(around) if !aligned => Err(unaligned(&around).at(&self.source.name)),
            _ => Ok(()),
        }
    }

    /// Checks that a chunk may be changed in part.
    pub(super) fn check_change(&self, chunk: &[u64]) -> Result<()> {
        if self.is_unlocked() {
            let grid = &self.source.grid;
            return Err(unaligned(&grid.chunk_subset(chunk)?.bound(grid.array_shape())?));
        }
        Ok(())
    }

    /// Changes a chunk that is stored as `old`, while its key is locked. `change` is told of a writer that does not wait
    /// for the pool; where it returns false, another process has changed the chunk since, and it is read again.
    pub(super) fn change(
        &self,
        chunk: &[u64],
        key: &str,
        mut change: impl FnMut(Self, Option<&Stored>) -> Result<bool>,
    ) -> Result<()> {
        let _guard = self.source.store.lock(key)?;
        let alone = self.alone();
        while !change(alone, alone.reader().open(chunk, Need::Whole)?.as_ref())? {}
        Ok(())
    }

    /// Stores what has become of `old`, under its lock. False: another process has changed it since.
    pub(super) fn put_back(&self, key: &str, bytes: Option<&[u8]>, old: Option<&Stored>) -> Result<bool> {
        let store = &*self.source.store;
        match bytes {
            // What was missing and stays so.
            None if old.is_none() => Ok(true),
            _ if self.compares_versions() => store.set_if(key, bytes, old.map(|old| old.stat.version)),
            Some(bytes) => store.set(key, bytes).map(|()| true),
            None => store.erase(key).map(|()| true),
        }
    }

    /// Whether what was read may have to be read again.
    pub(super) fn compares_versions(&self) -> bool {
        self.source.store.exclusion() == Exclusion::Versions
    }

    /// Whether others may change a chunk unnoticed while it is changed here.
    fn is_unlocked(&self) -> bool {
        !self.options.unlocked_writes && self.source.store.exclusion() == Exclusion::Process
    }
}

/// Why a chunk is not changed in part.
fn unaligned(around: &ArraySubset) -> Error {
    Error::unsupported(format!(
        "chunks would be changed in part, and the store cannot keep other processes from changing them at the same \
         time; the region {around} would be whole chunks, and the option unlocked_writes allows it"
    ))
}
