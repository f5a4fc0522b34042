//! The chunks of a write session that are not stored yet, shared by many threads.
//!
//! A thread holds a chunk's [`Claim`] while it stores the chunk, so that earlier elements never overwrite later ones.
//! Elements that arrive during that time go into a new stage. A thread that holds a claim never waits for another
//! claim.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::runtime::{Call, check, current, lock};
use crate::subset::Dims;
use crate::write::Stage;

/// Time after which a waiting thread looks whether its call was interrupted.
const INTERVAL: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(super) struct Staged {
    state: Mutex<State>,
    changed: Condvar,
    bytes: AtomicU64,
    /// Number of the staged bytes that are being stored.
    writing: AtomicU64,
}

#[derive(Default)]
struct State {
    chunks: HashMap<Dims, Entry>,
    ended: bool,
}

#[derive(Default)]
struct Entry {
    cell: Option<Arc<Cell>>,
    /// The call that holds the claim.
    claimed: Option<Arc<Call>>,
}

/// A stage, until a claim takes it.
struct Cell {
    stage: Mutex<Option<Stage>>,
    /// Its fullness in millionths, and its size in bytes.
    fullness: AtomicU64,
    size: AtomicU64,
}

impl Cell {
    fn new(stage: Stage) -> Arc<Self> {
        let cell = Self { fullness: AtomicU64::new(0), size: AtomicU64::new(0), stage: Mutex::default() };
        cell.record(&stage);
        *lock(&cell.stage) = Some(stage);
        Arc::new(cell)
    }

    fn record(&self, stage: &Stage) {
        self.fullness.store((stage.fullness() * 1e6) as u64, Ordering::Relaxed);
        self.size.store(stage.size(), Ordering::Relaxed);
    }
}

/// The right to store a chunk, with its stage. A stage that was not [stored](Self::set_stored) is put back when the
/// claim is dropped.
pub(super) struct Claim<'a> {
    staged: &'a Staged,
    pub(super) chunk: Dims,
    pub(super) stage: Option<Stage>,
    size: u64,
}

fn ended() -> Error {
    Error::selection("the write session has ended")
}

impl Staged {
    /// Returns an error if the session has ended.
    pub(super) fn check(&self) -> Result<()> {
        if lock(&self.state).ended { Err(ended()) } else { Ok(()) }
    }

    /// Returns the number of staged bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns the number of staged bytes that are not being stored.
    pub(super) fn waiting(&self) -> u64 {
        self.bytes().saturating_sub(self.writing.load(Ordering::Relaxed))
    }

    /// Adds elements to the stage of a chunk; returns whether the chunk is complete.
    pub(super) fn add(
        &self,
        chunk: &Dims,
        make: impl Fn() -> Result<Stage>,
        add: impl FnOnce(&mut Stage) -> Result<()>,
    ) -> Result<bool> {
        loop {
            let cell = {
                let mut state = lock(&self.state);
                if state.ended {
                    return Err(ended());
                }
                if let Some(cell) = state.chunks.get(chunk).and_then(|entry| entry.cell.clone()) {
                    cell
                } else {
                    let cell = Cell::new(make()?);
                    self.bytes.fetch_add(cell.size.load(Ordering::Relaxed), Ordering::Relaxed);
                    state.chunks.entry(chunk.clone()).or_default().cell = Some(cell.clone());
                    cell
                }
            };
            // If a claim has taken the stage in between, the map has another cell or none.
            if let Some(stage) = &mut *lock(&cell.stage) {
                let before = stage.size();
                let added = add(stage);
                cell.record(stage);
                self.bytes.fetch_add(stage.size().wrapping_sub(before), Ordering::Relaxed);
                return added.map(|()| stage.is_complete());
            }
        }
    }

    /// Claims a chunk with its stage; `None` if another thread holds the claim.
    pub(super) fn claim(&self, chunk: &Dims) -> Option<Claim<'_>> {
        let cell = {
            let mut state = lock(&self.state);
            let entry = state.chunks.entry(chunk.clone()).or_default();
            if entry.claimed.is_some() {
                return None;
            }
            entry.claimed = Some(current());
            entry.cell.take()
        };
        let stage = cell.and_then(|cell| lock(&cell.stage).take());
        let size = stage.as_ref().map_or(0, Stage::size);
        self.writing.fetch_add(size, Ordering::Relaxed);
        Some(Claim { staged: self, chunk: chunk.clone(), stage, size })
    }

    /// Returns the chunks that are staged or being stored.
    pub(super) fn chunks(&self) -> Vec<Dims> {
        lock(&self.state).chunks.keys().cloned().collect()
    }

    /// Claims the fullest unclaimed chunks until they have at least `bytes` staged bytes.
    pub(super) fn claim_fullest(&self, bytes: u64) -> Vec<Claim<'_>> {
        let mut found: Vec<_> = lock(&self.state)
            .chunks
            .iter()
            .filter(|(_, entry)| entry.claimed.is_none())
            .filter_map(|(chunk, entry)| {
                let cell = entry.cell.as_ref()?;
                Some((cell.fullness.load(Ordering::Relaxed), cell.size.load(Ordering::Relaxed), chunk.clone()))
            })
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let mut claimed = 0;
        let mut claims = Vec::new();
        for (_, _, chunk) in found {
            if claimed >= bytes {
                break;
            }
            let Some(claim) = self.claim(&chunk) else { continue };
            claimed += claim.size;
            claims.push(claim);
        }
        claims
    }

    /// Waits until a chunk is unclaimed.
    pub(super) fn wait_for(&self, chunk: &Dims) -> Result<()> {
        let claimed = |state: &State| state.chunks.get(chunk).is_some_and(|entry| entry.claimed.is_some());
        let mut state = lock(&self.state);
        while claimed(&state) {
            state = self.wait(state)?;
        }
        Ok(())
    }

    /// Waits until a claim may have ended. Fails if the call was interrupted.
    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>> {
        drop(self.changed.wait_timeout(state, INTERVAL).unwrap_or_else(PoisonError::into_inner));
        check()?;
        Ok(lock(&self.state))
    }

    /// Waits until any claim ends, if there are claims.
    pub(super) fn wait_for_any(&self) -> Result<()> {
        let state = lock(&self.state);
        if state.chunks.values().any(|entry| entry.claimed.is_some()) {
            drop(self.wait(state)?);
        }
        Ok(())
    }

    /// Ends the session if nothing is staged or being stored; returns whether it has ended.
    pub(super) fn end(&self) -> bool {
        let mut state = lock(&self.state);
        state.ended |= state.chunks.is_empty();
        state.ended
    }

    /// Ends the session and drops all stages, after running stores have finished, except those of interrupted calls,
    /// which store nothing more; returns false if it had already ended.
    pub(super) fn discard(&self) -> bool {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.ended, true) {
            return false;
        }
        for entry in state.chunks.values_mut() {
            entry.cell = None;
        }
        let is_running = |entry: &Entry| entry.claimed.as_ref().is_some_and(|call| !call.is_interrupted());
        while state.chunks.values().any(is_running) {
            state = self.changed.wait_timeout(state, INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.chunks.clear();
        self.bytes.store(0, Ordering::Relaxed);
        true
    }
}

impl Claim<'_> {
    /// Drops the stage after it was stored.
    pub(super) fn set_stored(&mut self) {
        if self.stage.take().is_some() {
            self.staged.bytes.fetch_sub(self.size, Ordering::Relaxed);
        }
    }

    /// Puts the stage back below elements that were staged since.
    fn put_back(&self, older: Stage) {
        let staged = self.staged;
        let newer = {
            let mut state = lock(&staged.state);
            let ended = state.ended;
            let Some(entry) = state.chunks.get_mut(&self.chunk).filter(|_| !ended) else { return };
            let Some(cell) = &entry.cell else {
                entry.cell = Some(Cell::new(older));
                return;
            };
            cell.clone()
        };
        // The claim is still held, so no thread takes the newer stage.
        if let Some(stage) = &mut *lock(&newer.stage) {
            let before = stage.size() + self.size;
            // After an error the count of elements is too small, which only delays storing the chunk.
            let _ = stage.put_under(older);
            newer.record(stage);
            staged.bytes.fetch_add(stage.size().wrapping_sub(before), Ordering::Relaxed);
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(older) = self.stage.take() {
            self.put_back(older);
        }
        self.staged.writing.fetch_sub(self.size, Ordering::Relaxed);
        let mut state = lock(&self.staged.state);
        if let Some(entry) = state.chunks.get_mut(&self.chunk) {
            entry.claimed = None;
            if entry.cell.is_none() {
                state.chunks.remove(&self.chunk);
            }
        }
        drop(state);
        self.staged.changed.notify_all();
    }
}
