//! Sessions of many writes, which put chunks together before they are stored.

use std::fmt;
use std::sync::Mutex;

use smallvec::SmallVec;

use super::staged::{Claim, Staged};
use super::{Array, AsArrayBytes, InputBuffer};
use crate::error::{Error, Place, Result};
use crate::metadata::{change_shape, lock_node};
use crate::plan::Region;
use crate::runtime::{lock, parallel};
use crate::selection::Selection;
use crate::subset::{ArraySubset, Dims, tuple};
use crate::view::c_strides;
use crate::write::{Cut, Input, Layer, Stage};

/// How a [`WriteSession`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteSessionOptions {
    /// When more bytes than these are staged, the fullest chunks are stored early.
    pub memory: u64,
}

impl Default for WriteSessionOptions {
    fn default() -> Self {
        Self { memory: 256_000_000 }
    }
}

/// Writes that come in any order and from many threads, put together to chunks; see [`Array::write_session`].
///
/// A chunk (a shard, of a sharded array) is stored as soon as all of its elements in the array are there, once, by the
/// thread that brought the last of them; one that a single call covers is stored at once. When more is staged than the
/// [memory](WriteSessionOptions::memory) allows, the fullest chunks are stored early: what is missing of them is read,
/// if it is stored. Besides there are chunks that are being stored.
///
/// Reads of the array do not see what is staged. Of two calls that write the same element the later one counts. Where a
/// chunk cannot be stored, the call that tried fails, with the chunk in its message; what is staged stays so, to be tried
/// again. [`finish`](Self::finish) stores the rest; a session that is dropped before discards it.
pub struct WriteSession {
    pub(super) base: Array,
    growth: Mutex<Growth>,
    staged: Staged,
    memory: u64,
}

/// What the array has become.
struct Growth {
    /// With the shape that it had when it was last needed.
    array: Array,
    shape: Dims,
    /// The shape that was stored when it began to grow.
    stored: Dims,
    /// The axes along which it grew.
    axes: Vec<bool>,
    /// Whether chunks may lie past the end of what is stored.
    outside: bool,
}

/// Chunks that are covered whole wait to be stored together until there are so many.
const BATCH: usize = 4096;

impl Array {
    /// Begins a session of writes.
    pub fn write_session(&self, options: WriteSessionOptions) -> WriteSession {
        let axes = vec![false; self.dimensionality()];
        let shape = Dims::from(self.shape());
        let growth = Growth { array: self.clone(), stored: shape.clone(), shape, axes, outside: false };
        WriteSession {
            base: self.clone(),
            growth: Mutex::new(growth),
            staged: Staged::default(),
            memory: options.memory,
        }
    }
}

impl fmt::Debug for WriteSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a write session of {} with {} bytes staged", self.base.name(), self.staged())
    }
}

impl WriteSession {
    /// The array as it is to be.
    pub fn array(&self) -> Result<Array> {
        let mut growth = lock(&self.growth);
        if growth.array.shape() != &growth.shape[..] {
            growth.array = growth.array.with_shape(&growth.shape)?;
        }
        Ok(growth.array.clone())
    }

    /// Its shape, with what was appended.
    pub fn shape(&self) -> Dims {
        lock(&self.growth).shape.clone()
    }

    /// Bytes that are staged.
    pub fn staged(&self) -> u64 {
        self.staged.bytes()
    }

    /// As [`Array::store_chunk`].
    pub fn store_chunk<T: AsArrayBytes + ?Sized>(&self, chunk: &[u64], elements: &T) -> Result<()> {
        let array = self.array()?;
        self.store_elements(&array.chunk_subset(chunk)?, elements)
    }

    /// As [`Array::store_chunk_subset`].
    pub fn store_chunk_subset<T>(&self, chunk: &[u64], subset: &ArraySubset, elements: &T) -> Result<()>
    where
        T: AsArrayBytes + ?Sized,
    {
        self.store_elements(&self.array()?.subset_in_chunk(chunk, subset)?, elements)
    }

    /// As [`Array::store_array_subset`].
    pub fn store_array_subset<T: AsArrayBytes + ?Sized>(&self, subset: &ArraySubset, elements: &T) -> Result<()> {
        subset.check_inside(&self.shape()).place(|| self.base.name())?;
        self.store_elements(subset, elements)
    }

    fn store_elements<T: AsArrayBytes + ?Sized>(&self, subset: &ArraySubset, elements: &T) -> Result<()> {
        elements.check(self.base.data_type(), subset.shape()).place(|| self.base.name())?;
        let strides = c_strides(subset.shape(), self.base.data_type().size());
        let (bytes, heap) = (elements.array_bytes(), elements.heap());
        self.store_subset_from(subset, InputBuffer { bytes: &bytes, origin: 0, strides: &strides, heap })
    }

    /// As [`Array::store_subset_from`].
    pub fn store_subset_from(&self, subset: &ArraySubset, input: InputBuffer<'_>) -> Result<()> {
        let inside = subset.check_inside(&self.shape());
        if inside.is_err() {
            subset.check_inside(&self.array()?.chunk_grid().padded_shape()).place(|| self.base.name())?;
        }
        self.store_from(&Selection::from(subset), input, &[])
    }

    /// As [`Array::store_selection_from`].
    pub fn store_selection_from(&self, selection: &Selection, input: InputBuffer<'_>) -> Result<()> {
        selection.check(&self.shape()).place(|| self.base.name())?;
        self.store_from(selection, input, &[])
    }

    pub(super) fn store_from(&self, selection: &Selection, input: InputBuffer<'_>, cuts: &[Cut]) -> Result<()> {
        input.check_rank(&selection.shape())?;
        let InputBuffer { bytes, origin, strides, heap } = input;
        self.store_region(&selection.region(strides, origin), Input { bytes, heap, cuts })
    }

    /// Writes elements behind the end of an axis, along which they have a length; returns the new shape.
    ///
    /// The array grows as it was stored when the session first appended to it; its stored shape changes when everything
    /// else is written, at the [end](Self::finish) or by [`flush`](Self::flush). Nobody else may append meanwhile.
    pub fn append<T: AsArrayBytes + ?Sized>(&self, axis: usize, length: u64, elements: &T) -> Result<Dims> {
        let mut shape = self.shape();
        if let Some(own) = shape.get_mut(axis) {
            *own = length;
        }
        elements.check(self.base.data_type(), &shape).place(|| self.base.name())?;
        let strides = c_strides(&shape, self.base.data_type().size());
        let (bytes, heap) = (elements.array_bytes(), elements.heap());
        self.append_from(axis, length, InputBuffer { bytes: &bytes, origin: 0, strides: &strides, heap })
    }

    /// [`append`](Self::append) out of memory with any strides.
    pub fn append_from(&self, axis: usize, length: u64, input: InputBuffer<'_>) -> Result<Dims> {
        self.check()?;
        let (start, shape) = self.grow(axis, length).place(|| self.base.name())?;
        let mut first = Dims::from_elem(0, shape.len());
        let mut lengths = shape.clone();
        (first[axis], lengths[axis]) = (start, length);
        self.store_from(&Selection::from(&ArraySubset::new_with_start_shape(&first, &lengths)?), input, &[])?;
        Ok(shape)
    }

    fn grow(&self, axis: usize, length: u64) -> Result<(u64, Dims)> {
        let mut growth = lock(&self.growth);
        if axis >= growth.shape.len() {
            return Err(Error::selection(format!("there is no axis {axis} of {}", growth.shape.len())));
        }
        if !growth.axes.contains(&true) {
            let stored = self.base.reopen()?;
            let same = stored.shape().iter().zip(&growth.shape).enumerate();
            if same.into_iter().any(|(k, (stored, own))| k != axis && stored != own) {
                let (stored, own) = (tuple(stored.shape()), tuple(&growth.shape));
                return Err(Error::selection(format!("the array is stored with shape {stored} by now, not {own}")));
            }
            growth.shape = stored.shape().into();
            growth.stored = Dims::from(&growth.shape[..]);
        }
        let start = growth.shape[axis];
        let end = start.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
        let end = end.ok_or_else(|| Error::selection(format!("{length} more than {start} are too many")))?;
        growth.shape[axis] = end;
        growth.axes[axis] = true;
        Ok((start, growth.shape.clone()))
    }

    fn check(&self) -> Result<()> {
        self.staged.check().place(|| self.base.name())
    }

    fn store_region(&self, region: &Region, input: Input<'_>) -> Result<()> {
        self.check()?;
        // A regular grid is the same at any shape.
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
            // After an error the rest is staged all the same.
            if self.staged.bytes() > self.memory && done.is_ok() {
                done = self.write(std::mem::take(&mut complete)).and_then(|()| self.relieve());
            }
        }
        done = done.and_then(|()| self.write(complete));
        done.and_then(|()| self.store_whole(whole, input))
    }

    /// Stores chunks that are covered by one write.
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
                self.staged.wait_for(chunk);
                continue;
            }
            parallel(&claims, array.options().concurrency(), |(claim, region)| {
                let Some(mut claim) = lock(claim).take() else { return Ok(()) };
                let layers =
                    SmallVec::from_iter([Layer { region: region.clone(), bytes: input.bytes, mask: None, cuts: &[] }]);
                array.writer().store_layers(&claim.chunk, layers, input.heap, true)?;
                claim.written();
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Stores what is staged of chunks.
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
            claim.written();
            Ok(())
        })
    }

    /// The array, of which chunks are to be stored now.
    fn writing(&self) -> Result<Array> {
        let array = self.array()?;
        let mut growth = lock(&self.growth);
        growth.outside |= growth.axes.contains(&true);
        Ok(array)
    }

    /// Stores the fullest chunks until no more is staged than the memory allows.
    fn relieve(&self) -> Result<()> {
        while self.staged.bytes() > self.memory {
            let excess = self.staged.waiting().saturating_sub(self.memory / 4 * 3);
            let claims = if excess > 0 { self.staged.claim_fullest(excess) } else { Vec::new() };
            if claims.is_empty() {
                // Others are at it.
                self.check()?;
                self.staged.wait_for_any();
            }
            self.write(claims)?;
        }
        Ok(())
    }

    /// Stores everything that is staged, and the shape if it changed. Where that fails it can be tried again.
    pub fn flush(&self) -> Result<()> {
        self.check()?;
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
                self.staged.wait_for(chunk);
            }
            self.write(claims)?;
        }
        self.store_shape().place(|| self.base.name())
    }

    fn store_shape(&self) -> Result<()> {
        let mut growth = lock(&self.growth);
        if !growth.axes.contains(&true) {
            return Ok(());
        }
        let (store, path) = (&**self.base.store(), self.base.path());
        let _guard = lock_node(store, path)?;
        let stored = self.base.reopen()?;
        let grown = stored.with_shape(&growth.shape)?;
        if *stored.shape() != growth.stored[..] || !change_shape(store, path, grown.metadata(), stored.shape())? {
            let (stored, before) = (tuple(self.base.reopen()?.shape()), tuple(&growth.stored));
            let message = format!("others changed the stored shape from {before} to {stored} while a session appended");
            return Err(Error::selection(message));
        }
        growth.stored = Dims::from(&growth.shape[..]);
        growth.outside = false;
        Ok(())
    }

    /// [Stores](Self::flush) everything and ends the session. Where that fails, the session goes on.
    pub fn finish(&self) -> Result<()> {
        loop {
            self.flush()?;
            if self.staged.end() {
                return Ok(());
            }
        }
    }

    /// Ends the session without what is not written yet. Chunks that are written stay, but for those past the array's end.
    pub fn discard(&self) -> Result<()> {
        let outside = self.staged.discard() && std::mem::take(&mut lock(&self.growth).outside);
        if outside { self.base.reopen()?.erase_outside() } else { Ok(()) }
    }
}

impl Drop for WriteSession {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.discard();
    }
}

/// What of a chunk counts, until it is complete: along axes that the array grows along also what lies past its end.
fn inside(array: &Array, chunk: &[u64], shape: &[u64], grown: &[bool]) -> Result<Dims> {
    let grid = array.chunk_grid();
    let length = |(axis, (chunk, end)): (usize, (&u64, &u64))| {
        let (start, length) = grid.extent(axis, *chunk)?;
        Some(if grown[axis] { length } else { length.min(end.saturating_sub(start)) })
    };
    let inside = chunk.iter().zip(shape).enumerate().map(length).collect::<Option<Dims>>();
    inside.ok_or_else(|| Error::selection(format!("{} has no chunk {}", array.name(), tuple(chunk))))
}
