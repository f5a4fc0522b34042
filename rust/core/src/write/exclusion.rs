//! Excludes other writers while a part of a chunk is changed.

use super::Writer;
use crate::error::{Error, Result};
use crate::plan::Region;
use crate::read::{Need, Stored};
use crate::store::Exclusion;
use crate::subset::ArraySubset;

impl Writer<'_> {
    /// Checks, before anything is written, that no write to a part of a chunk could overlap a change by another
    /// process. `whole`: all bytes of each element are written.
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

    /// Checks that parts of a chunk may be written.
    pub(super) fn check_change(&self, chunk: &[u64]) -> Result<()> {
        if self.is_unlocked() {
            let grid = &self.source.grid;
            return Err(unaligned(&grid.chunk_subset(chunk)?.bound(grid.array_shape())?));
        }
        Ok(())
    }

    /// Locks a chunk's key, reads the chunk and calls `change` with it and with a writer that does not wait for the
    /// pool. If `change` returns false because another process has changed the chunk, starts again with the new
    /// content.
    pub(super) fn change(
        &self,
        chunk: &[u64],
        key: &str,
        mut change: impl FnMut(Self, Option<&Stored>) -> Result<bool>,
    ) -> Result<()> {
        let _guard = self.source.store.lock(key)?;
        let writer = self.single_threaded();
        while !change(writer, writer.reader().open(chunk, Need::Whole)?.as_ref())? {}
        Ok(())
    }

    /// Replaces `old`, whose key is locked; returns false if another process has changed it since.
    pub(super) fn replace(&self, key: &str, bytes: Option<&[u8]>, old: Option<&Stored>) -> Result<bool> {
        let store = &*self.source.store;
        match bytes {
            // The chunk was missing and still is.
            None if old.is_none() => Ok(true),
            _ if self.compares_versions() => store.set_if(key, bytes, old.map(|old| old.stat.version)),
            Some(bytes) => store.set(key, bytes).map(|()| true),
            None => store.erase(key).map(|()| true),
        }
    }

    /// Whether the store compares versions, so that a change may have to start again.
    pub(super) fn compares_versions(&self) -> bool {
        self.source.store.exclusion() == Exclusion::Versions
    }

    /// Whether other processes may change a chunk unnoticed during a change.
    fn is_unlocked(&self) -> bool {
        !self.options.unlocked_writes && self.source.store.exclusion() == Exclusion::Process
    }
}

/// Returns the error of a write to parts of chunks that cannot be excluded from others.
fn unaligned(around: &ArraySubset) -> Error {
    Error::unsupported(format!(
        "the write would change parts of chunks, and the store cannot exclude other writers; write the whole \
         chunks {around}, or set the option unlocked_writes"
    ))
}
