//! Write sessions, which collect the elements of each chunk before they store it.

use std::sync::{Arc, Mutex};
use std::{fmt, process};

use smallvec::SmallVec;

use super::staged::{Claim, Staged};
use super::{Array, ArrayRegion, AsArrayBytes, InputBuffer};
use crate::error::{Error, Place, Result};
use crate::metadata::{change_shape, lock_node};
use crate::plan::Region;
use crate::runtime::{Call, current, lock, parallel};
use crate::selection::Selection;
use crate::subset::{ArraySubset, Dims, tuple};
use crate::write::{Cut, Input, Layer, Stage};

/// Options of a [`WriteSession`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteSessionOptions {
    /// Maximum number of staged bytes; beyond it the fullest chunks are stored early.
    pub memory: u64,
}

impl Default for WriteSessionOptions {
    fn default() -> Self {
        Self { memory: 256_000_000 }
    }
}

/// Collects writes, in any order and from many threads, into whole chunks; see [`Array::write_session`].
///
/// A chunk (of a sharded array, a shard) is stored once, as soon as all its elements in the array were given, by the
/// thread that gave the last of them; a chunk that a single call covers is stored at once. If more bytes are staged
/// than the [memory](WriteSessionOptions::memory) allows, the fullest chunks are stored early, after their missing
/// elements are read. Chunks that are being stored take memory beyond that.
///
/// Reads of the array do not see staged elements. If two calls write the same element, the later one wins. If a chunk
/// cannot be stored, the call that tried fails with an error that names the chunk; the chunk stays staged, and storing
/// it can be tried again. [`finish`](Self::finish) stores all staged chunks; dropping a session discards them.
pub struct WriteSession {
    pub(super) base: Array,
    growth: Mutex<Growth>,
    /// Held while the stored shape is read or changed.
    shaping: Mutex<()>,
    staged: Staged,
    memory: u64,
    /// The calls that use the session.
    users: Mutex<Vec<Arc<Call>>>,
    process: u32,
}

/// The growth of the array during the session.
struct Growth {
    /// The array with the shape at its last use.
    array: Array,
    shape: Dims,
    /// The stored shape when the array began to grow.
    stored: Dims,
    /// For each axis, whether the array grew along it.
    axes: Vec<bool>,
    /// Whether chunks past the end of the stored shape may be stored.
    outside: bool,
}

/// Number of whole chunks from one call that are stored together.
const BATCH: usize = 4096;

impl Array {
    /// Starts a session of writes.
    pub fn write_session(&self, options: WriteSessionOptions) -> WriteSession {
        let axes = vec![false; self.dimensionality()];
        let shape = Dims::from(self.shape());
        let growth = Growth { array: self.clone(), stored: shape.clone(), shape, axes, outside: false };
        WriteSession {
            base: self.clone(),
            growth: Mutex::new(growth),
            shaping: Mutex::default(),
            staged: Staged::default(),
            memory: options.memory,
            users: Mutex::default(),
            process: process::id(),
        }
    }
}

/// A call that uses a session, until this is dropped.
struct Use<'a>(&'a WriteSession, Arc<Call>);

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let mut users = lock(&self.0.users);
        if let Some(own) = users.iter().position(|call| Arc::ptr_eq(call, &self.1)) {
            users.swap_remove(own);
        }
    }
}

impl fmt::Debug for WriteSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a write session of {} with {} bytes staged", self.base.name(), self.staged())
    }
}

impl WriteSession {
    /// Returns the array with its new shape.
    pub fn array(&self) -> Result<Array> {
        let mut growth = lock(&self.growth);
        if growth.array.shape() != &growth.shape[..] {
            growth.array = growth.array.with_shape(&growth.shape)?;
        }
        Ok(growth.array.clone())
    }

    /// Returns the shape, including appended elements.
    pub fn shape(&self) -> Dims {
        lock(&self.growth).shape.clone()
    }

    /// Returns the number of staged bytes.
    pub fn staged(&self) -> u64 {
        self.staged.bytes()
    }

    /// Stages a region; see [`Array::store_region`]. The region is checked against the new shape.
    pub fn store_region<T: AsArrayBytes + ?Sized>(&self, region: ArrayRegion<'_>, elements: &T) -> Result<()> {
        let subset = self.array()?.subset_of(region)?;
        self.base.with_input(subset.shape(), elements, |input| self.store_subset_from(&subset, input))
    }

    /// Stages a chunk; see [`Array::store_chunk`].
    pub fn store_chunk<T: AsArrayBytes + ?Sized>(&self, chunk: &[u64], elements: &T) -> Result<()> {
        self.store_region(ArrayRegion::Chunk(chunk), elements)
    }

    /// Stages a part of a chunk; see [`Array::store_chunk_subset`].
    pub fn store_chunk_subset<T>(&self, chunk: &[u64], subset: &ArraySubset, elements: &T) -> Result<()>
    where
        T: AsArrayBytes + ?Sized,
    {
        self.store_region(ArrayRegion::ChunkSubset(chunk, subset), elements)
    }

    /// Stages a subset; see [`Array::store_array_subset`].
    pub fn store_array_subset<T>(&self, subset: impl Into<ArraySubset>, elements: &T) -> Result<()>
    where
        T: AsArrayBytes + ?Sized,
    {
        self.store_region(ArrayRegion::Subset(&subset.into()), elements)
    }

    /// Stages a subset from memory with any strides; see [`Array::store_subset_from`].
    pub fn store_subset_from(&self, subset: &ArraySubset, input: InputBuffer<'_>) -> Result<()> {
        let inside = subset.check_inside(&self.shape());
        if inside.is_err() {
            subset.check_inside(&self.array()?.chunk_grid().padded_shape()).place(|| self.base.name())?;
        }
        self.store_from(&Selection::from(subset), input, &[])
    }

    /// Stages a selection from memory with any strides; see [`Array::store_selection_from`].
    pub fn store_selection_from(&self, selection: &Selection, input: InputBuffer<'_>) -> Result<()> {
        selection.check(&self.shape()).place(|| self.base.name())?;
        self.store_from(selection, input, &[])
    }

    pub(super) fn store_from(&self, selection: &Selection, input: InputBuffer<'_>, cuts: &[Cut]) -> Result<()> {
        input.check_rank(&selection.shape())?;
        let InputBuffer { bytes, origin, strides, heap } = input;
        self.stage(&selection.region(strides, origin), Input { bytes, heap, cuts })
    }

    /// Appends elements of a length along an axis; returns the new shape.
    ///
    /// The array grows from the shape that was stored at the session's first append. The stored shape changes last,
    /// after [`finish`](Self::finish) or [`flush`](Self::flush) has stored all chunks. No other writer may append until
    /// then.
    pub fn append<T: AsArrayBytes + ?Sized>(&self, axis: usize, length: u64, elements: &T) -> Result<Dims> {
        let mut shape = self.shape();
        if let Some(along) = shape.get_mut(axis) {
            *along = length;
        }
        self.base.with_input(&shape, elements, |input| self.append_from(axis, length, input))
    }

    /// Does the same as [`append`](Self::append) from memory with any strides.
    pub fn append_from(&self, axis: usize, length: u64, input: InputBuffer<'_>) -> Result<Dims> {
        let _use = self.check()?;
        let (start, shape) = self.grow(axis, length).place(|| self.base.name())?;
        let mut first = Dims::from_elem(0, shape.len());
        let mut lengths = shape.clone();
        (first[axis], lengths[axis]) = (start, length);
        self.store_from(&Selection::from(&ArraySubset::new_with_start_shape(&first, &lengths)?), input, &[])?;
        Ok(shape)
    }

    fn grow(&self, axis: usize, length: u64) -> Result<(u64, Dims)> {
        let _shaping = lock(&self.shaping);
        let dimensions = self.base.dimensionality();
        if axis >= dimensions {
            let message = format!("axis {axis} does not exist; the array has {dimensions} dimensions");
            return Err(Error::selection(message));
        }
        let has_grown = lock(&self.growth).axes.contains(&true);
        let stored = if has_grown { None } else { Some(self.base.reopen()?) };
        let mut growth = lock(&self.growth);
        if let Some(stored) = stored {
            let same = stored.shape().iter().zip(&growth.shape).enumerate();
            if same.into_iter().any(|(k, (stored, ours))| k != axis && stored != ours) {
                let (stored, ours) = (tuple(stored.shape()), tuple(&growth.shape));
                return Err(Error::selection(format!("the stored shape changed from {ours} to {stored}")));
            }
            growth.shape = stored.shape().into();
            growth.stored = Dims::from(&growth.shape[..]);
        }
        let start = growth.shape[axis];
        let end = start.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
        let end =
            end.ok_or_else(|| Error::selection(format!("axis {axis} of length {start} cannot grow by {length}")))?;
        growth.shape[axis] = end;
        growth.axes[axis] = true;
        Ok((start, growth.shape.clone()))
    }

    /// Fails if the session cannot be used: it has ended, was forked, or is in use by the call that waits for this one.
    fn check(&self) -> Result<Use<'_>> {
        let check = || {
            if self.process != process::id() {
                return Err(Error::selection("a write session cannot be used in a forked child"));
            }
            let call = current();
            self.check_users(&call)?;
            self.staged.check()?;
            lock(&self.users).push(call.clone());
            Ok(Use(self, call))
        };
        check().place(|| self.base.name())
    }

    fn check_users(&self, call: &Call) -> Result<()> {
        if lock(&self.users).iter().any(|user| call.is_in(user)) {
            return Err(Error::store("a store or a codec cannot use the write session that is using it"));
        }
        Ok(())
    }

    /// Whether elements are staged, or the shape has grown and is not stored.
    pub fn has_unsaved(&self) -> bool {
        let growth = lock(&self.growth);
        let has_grown = growth.axes.contains(&true) && growth.shape != growth.stored;
        self.staged.check().is_ok() && (self.staged.bytes() > 0 || has_grown)
    }

    fn stage(&self, region: &Region, input: Input<'_>) -> Result<()> {
        let _use = self.check()?;
        // Regular grids have the same chunks for every shape.
        let regular = self.base.chunk_grid().regular_shape().is_some();
        let array = if regular { self.base.clone() } else { self.array()? };
        let (shape, grown) = {
            let growth = lock(&self.growth);
            (growth.shape.clone(), growth.axes.clone())
        };
        let (mut whole, mut complete, mut done) = (Vec::new(), Vec::new(), Ok(()));
        for (chunk, part) in region.split(array.chunk_grid()) {
            let inside = inside(&array, &chunk, &shape, &grown)?;
            if input.cuts.is_empty() && part.covers(&inside) {
                whole.push((chunk, part));
                if whole.len() >= BATCH {
                    done = done.and(self.write(std::mem::take(&mut complete)));
                    done = done.and_then(|()| self.store_whole(std::mem::take(&mut whole), input));
                }
                continue;
            }
            let chain = array.parts.source.chain_of(&chunk)?;
            let add = |stage: &mut Stage| stage.add(&part, input, &inside);
            if self.staged.add(&chunk, || Stage::new(chain, &inside), add)? {
                complete.extend(self.staged.claim(&chunk));
            }
            // After an error, the other chunks are still staged.
            if self.staged.bytes() > self.memory && done.is_ok() {
                done = self.write(std::mem::take(&mut complete)).and_then(|()| self.store_early());
            }
        }
        done = done.and_then(|()| self.write(complete));
        done.and_then(|()| self.store_whole(whole, input))
    }

    /// Stores chunks that one call covers.
    fn store_whole(&self, mut chunks: Vec<(Dims, Region)>, input: Input<'_>) -> Result<()> {
        let array = self.writing()?;
        while !chunks.is_empty() {
            let mut claims = Vec::new();
            chunks.retain(|(chunk, region)| match self.staged.claim(chunk) {
                Some(claim) => {
                    claims.push((Mutex::new(Some(claim)), region.clone()));
                    false
                }
                None => true,
            });
            if let ([], [(chunk, _), ..]) = (&claims[..], &chunks[..]) {
                self.staged.wait_for(chunk)?;
                continue;
            }
            parallel(&claims, array.options().concurrency(), |(claim, region)| {
                let Some(mut claim) = lock(claim).take() else { return Ok(()) };
                let layers =
                    SmallVec::from_iter([Layer { region: region.clone(), bytes: input.bytes, mask: None, cuts: &[] }]);
                array.writer().store_layers(&claim.chunk, layers, input.heap, true)?;
                claim.set_stored();
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Stores staged chunks.
    fn write(&self, claims: Vec<Claim<'_>>) -> Result<()> {
        if claims.is_empty() {
            return Ok(());
        }
        let array = self.writing()?;
        let claims: Vec<_> = claims.into_iter().map(|claim| Mutex::new(Some(claim))).collect();
        parallel(&claims, array.options().concurrency(), |claim| {
            let Some(mut claim) = lock(claim).take() else { return Ok(()) };
            if let Some(stage) = &claim.stage {
                let (layers, heap) = stage.layers();
                array.writer().store_layers(&claim.chunk, layers, heap, stage.is_complete())?;
            }
            claim.set_stored();
            Ok(())
        })
    }

    /// Returns the array for storing chunks.
    fn writing(&self) -> Result<Array> {
        let array = self.array()?;
        let mut growth = lock(&self.growth);
        growth.outside |= growth.axes.contains(&true);
        Ok(array)
    }

    /// Stores the fullest chunks until the staged bytes fit into the memory.
    fn store_early(&self) -> Result<()> {
        while self.staged.bytes() > self.memory {
            let excess = self.staged.waiting().saturating_sub(self.memory / 4 * 3);
            let claims = if excess > 0 { self.staged.claim_fullest(excess) } else { Vec::new() };
            if claims.is_empty() {
                // Only chunks that other threads are storing are left.
                self.staged.check()?;
                self.staged.wait_for_any()?;
            }
            self.write(claims)?;
        }
        Ok(())
    }

    /// Stores all staged chunks, and the shape if it changed. After an error, the call can be repeated.
    pub fn flush(&self) -> Result<()> {
        let _use = self.check()?;
        let mut left = self.staged.chunks();
        while !left.is_empty() {
            let mut claims = Vec::new();
            left.retain(|chunk| match self.staged.claim(chunk) {
                Some(claim) => {
                    claims.push(claim);
                    false
                }
                None => true,
            });
            if let ([], [chunk, ..]) = (&claims[..], &left[..]) {
                self.staged.wait_for(chunk)?;
            }
            self.write(claims)?;
        }
        self.store_shape().place(|| self.base.name())
    }

    fn store_shape(&self) -> Result<()> {
        let _shaping = lock(&self.shaping);
        let (shape, before) = {
            let growth = lock(&self.growth);
            if !growth.axes.contains(&true) {
                return Ok(());
            }
            (growth.shape.clone(), growth.stored.clone())
        };
        let (store, path) = (&**self.base.store(), self.base.path());
        let _guard = lock_node(store, path)?;
        let stored = self.base.reopen()?;
        let grown = stored.with_shape(&shape)?;
        if *stored.shape() != before[..] || !change_shape(store, path, grown.metadata(), stored.shape())? {
            let (stored, before) = (tuple(self.base.reopen()?.shape()), tuple(&before));
            let message = format!("the stored shape changed from {before} to {stored} while a session appended");
            return Err(Error::selection(message));
        }
        let mut growth = lock(&self.growth);
        growth.stored = shape;
        growth.outside = false;
        Ok(())
    }

    /// [Stores](Self::flush) all staged chunks and ends the session. After an error, the session continues.
    pub fn finish(&self) -> Result<()> {
        loop {
            self.flush()?;
            if self.staged.end() {
                return Ok(());
            }
        }
    }

    /// Ends the session and drops the staged chunks. Stored chunks stay, except those past the array's end.
    pub fn discard(&self) -> Result<()> {
        if self.process != process::id() {
            return Ok(());
        }
        self.check_users(&current()).place(|| self.base.name())?;
        let outside = self.staged.discard() && std::mem::take(&mut lock(&self.growth).outside);
        if outside { self.base.reopen()?.erase_outside() } else { Ok(()) }
    }
}

impl Drop for WriteSession {
    fn drop(&mut self) {
        // There is no caller to return an error to.
        let _ = self.discard();
    }
}

/// Returns the shape of a chunk clipped to the array; along axes that grow, the whole length of the chunk.
fn inside(array: &Array, chunk: &[u64], shape: &[u64], grown: &[bool]) -> Result<Dims> {
    let grid = array.chunk_grid();
    let length = |(axis, (chunk, end)): (usize, (&u64, &u64))| {
        let (start, length) = grid.extent(axis, *chunk)?;
        Some(if grown[axis] { length } else { length.min(end.saturating_sub(start)) })
    };
    let inside = chunk.iter().zip(shape).enumerate().map(length).collect::<Option<Dims>>();
    inside.ok_or_else(|| Error::selection(format!("{} has no chunk {}", array.name(), tuple(chunk))))
}
