//! Copying an array to another one of the same shape and data type but any chunks, codecs and fill value, in bounded
//! memory.
//!
//! If the chunks do not differ, they are copied without decoding. Otherwise blocks of whole target chunks are read and
//! written one after the other ([`blocks`]), each on all threads.

mod blocks;
mod conventions;
mod fields;
mod metadata;

use std::borrow::Cow;
use std::collections::HashSet;

use blocks::Blocks;
use fields::Conversion;
pub use metadata::{copied, copied_group, store_metadata};

use crate::array::{Array, InputBuffer, OutputBuffer};
use crate::data_type::Field;
use crate::error::{Error, Place, Result};
use crate::options::{CodecOptions, MissingChunks};
use crate::runtime::{advance, check, parallel, parallel_map, reset_advance};
use crate::selection::size_in_memory;
use crate::slot::{Heaps, Slot, Variable};
use crate::subset::{ArraySubset, Dims, tuple};
use crate::view::{c_strides, zeroed};

/// Progress of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of elements copied so far; an element of variable length counts as its [slot](Slot).
    pub done: u64,
    /// Bytes of all elements.
    pub total: u64,
}

/// Options of a copy.
#[derive(Clone, Copy)]
pub struct CopyOptions<'a> {
    /// Memory limit in bytes; `None` for 1 GiB, or the needs of one chunk if they are larger.
    pub max_memory: Option<u64>,
    /// Whether the target has no stored chunks, so that none must be erased.
    pub target_is_new: bool,
    /// Data type of the source's elements if the source has [raw](crate::Kind::Raw) bytes, as some ASDF arrays do.
    pub elements: Option<&'a Field>,
    /// Called on the caller's thread at the beginning and after each step. An error ends the copy between two steps, so
    /// each target chunk is either unchanged or completely copied.
    pub progress: &'a dyn Fn(Progress) -> Result<()>,
}

impl Default for CopyOptions<'_> {
    fn default() -> Self {
        Self { max_memory: None, target_is_new: false, elements: None, progress: &|_| Ok(()) }
    }
}

/// Bytes copied between two calls of `progress`, unless a chunk is larger.
const STEP: u64 = 64 << 20;

/// Number of chunks whose existence is checked concurrently.
const CHECKED: usize = 256;

/// Maximum number of chunks of a copy that has to look at each.
const MOST_CHUNKS: u64 = 1 << 32;

/// Copies all elements of an array into another one.
///
/// If both have the same fill value, chunks missing in the source stay missing in the target.
///
/// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection), before anything is written, if the shapes or
/// data types differ, or if one chunk does not fit into the memory.
pub fn copy(source: &Array, target: &Array, options: &CopyOptions<'_>) -> Result<()> {
    let mut copying = Copying::new(source, target, options)?;
    (options.progress)(copying.progress)?;
    if copying.chunks_are_equal() { copying.copy_encoded() } else { copying.copy_blocks() }
}

struct Copying<'a> {
    source: Cow<'a, Array>,
    target: Cow<'a, Array>,
    options: &'a CopyOptions<'a>,
    conversion: Conversion,
    progress: Progress,
}

impl<'a> Copying<'a> {
    fn new(source: &'a Array, target: &'a Array, options: &'a CopyOptions<'a>) -> Result<Self> {
        let place = || format!("cannot copy {} to {}", source.name(), target.name());
        if source.shape() != target.shape() {
            let (from, to) = (tuple(source.shape()), tuple(target.shape()));
            return Err(Error::selection(format!("its shape is {from}, not {to}")).at(place()));
        }
        let conversion = Conversion::new(source.data_type(), options.elements, target.data_type()).place(place)?;
        let total = source.subset_all().num_elements().saturating_mul(source.data_type().size() as u64);
        let progress = Progress { done: 0, total };
        let (source, target) = (Cow::Borrowed(source), Cow::Borrowed(target));
        Ok(Self { source, target, options, conversion, progress })
    }

    /// Reports the progress of a step.
    fn copied(&mut self, elements: u64) -> Result<()> {
        let bytes = elements.saturating_mul(self.source.data_type().size() as u64);
        self.progress.done = self.progress.done.saturating_add(bytes).min(self.progress.total);
        reset_advance();
        check()?;
        (self.options.progress)(self.progress)
    }

    /// Reports the end of the copy. Chunks that are not stored were not reported one by one.
    fn finished(&mut self) -> Result<()> {
        if self.progress.done < self.progress.total {
            self.progress.done = self.progress.total;
            (self.options.progress)(self.progress)?;
        }
        Ok(())
    }

    /// Refuses to look at each chunk of a vast grid.
    fn check_grid(&self, array: &Array, why: &str) -> Result<()> {
        let count = ArraySubset::new_with_shape(&array.chunk_grid_shape()).num_elements();
        if count <= MOST_CHUNKS {
            return Ok(());
        }
        let place = format!("cannot copy {} to {}", self.source.name(), self.target.name());
        Err(Error::unsupported(format!("the grid of {} has {count} chunks, and {why}", array.name())).at(place))
    }

    /// Erases the stored chunks of the target for which `is_vacant` returns true.
    fn erase_vacant(&self, is_vacant: impl Fn(&Dims) -> Result<bool> + Sync) -> Result<()> {
        let target: &Array = &self.target;
        if self.options.target_is_new {
            return Ok(());
        }
        let mut stored = target.stored_chunks(&ArraySubset::new_with_shape(&target.chunk_grid_shape()))?;
        loop {
            let batch = stored.take(CHECKED)?;
            if batch.is_empty() {
                return Ok(());
            }
            let erase = |chunk: &Dims| if is_vacant(chunk)? { target.erase_chunk(chunk) } else { Ok(()) };
            parallel(&batch, target.options().concurrency(), erase)?;
        }
    }

    /// Whether target chunks are stored exactly as source chunks are.
    fn chunks_are_equal(&self) -> bool {
        let (source, target) = (self.source.metadata(), self.target.metadata());
        // The codecs of arrays in ASDF blocks do not describe all of their encoding.
        let told = |document: &serde_json::Value| document.get("zarr_format").is_some();
        self.source.options().missing_chunks == MissingChunks::Fill
            && told(&source.document)
            && told(&target.document)
            && source.codecs == target.codecs
            && source.data_type == target.data_type
            && source.chunk_grid == target.chunk_grid
            && self.source.fill_value() == self.target.fill_value()
    }

    fn copy_encoded(&mut self) -> Result<()> {
        let largest = self.source.chunk_grid().largest_shape();
        let size = size_in_memory(&largest, self.source.data_type().size())?.max(1) as u64;
        let (source, target): (&Array, &Array) = (&self.source.clone(), &self.target.clone());
        let (threads, is_new) = (target.options().concurrency() as u64, self.options.target_is_new);
        let memory = self.options.max_memory.unwrap_or(u64::MAX);
        let limit = (memory / size).clamp(1, threads) as usize;
        let step = (STEP / size).clamp(threads, 8192) as usize;
        let all = ArraySubset::new_with_shape(&source.chunk_grid_shape());
        let (mut listed, mut chunks) = (source.listed_chunks(&all)?, all.indices());
        match &listed {
            Some(_) => self.erase_vacant(|chunk| Ok(!source.chunk_exists(chunk)?))?,
            None => self.check_grid(source, "its store cannot be listed")?,
        }
        loop {
            let batch: Vec<Dims> = match &mut listed {
                Some(stored) => stored.take(step)?,
                None => chunks.by_ref().take(step).collect(),
            };
            if batch.is_empty() {
                return self.finished();
            }
            parallel(&batch, limit, |chunk| {
                match source.retrieve_encoded_chunk(chunk)? {
                    Some(bytes) => target.store_encoded_chunk(chunk, &bytes)?,
                    None if is_new => {}
                    None => target.erase_chunk(chunk)?,
                }
                // Read and stored.
                advance(2 * size);
                Ok(())
            })?;
            let elements = |chunk: &Dims| Ok(source.chunk_subset_bounded(chunk)?.num_elements());
            self.copied(batch.iter().map(elements).sum::<Result<u64>>()?)?;
        }
    }

    fn copy_blocks(&mut self) -> Result<()> {
        let element = if self.source.data_type().is_variable() {
            // Its slot, its offset, and two copies of its bytes while they are gathered.
            (Slot::SIZE + 8) as u64 + 2 * self.sampled()?
        } else {
            self.conversion.memory() as u64
        };
        let blocks = Blocks::new(&self.source, &self.target, element, self.options.max_memory)?;
        let limited = |array: &Array| {
            array.with_options(CodecOptions { concurrent_target: blocks.concurrency(), ..array.options() })
        };
        self.source = Cow::Owned(limited(&self.source));
        self.target = Cow::Owned(limited(&self.target));
        let mut memory = Vec::new();
        let source: Array = self.source.clone().into_owned();
        let listed = if self.keeps_missing() {
            source.listed_chunks(&ArraySubset::new_with_shape(&source.chunk_grid_shape()))?
        } else {
            None
        };
        let Some(mut stored) = listed else {
            let why = if self.keeps_missing() { "its store cannot be listed" } else { "all of them must be stored" };
            self.check_grid(&self.target, why)?;
            for block in blocks.all().indices() {
                let chunks = blocks.chunks(&block);
                let region = self.target.chunks_subset_bounded(&chunks)?;
                if !self.is_vacant(&region)? {
                    self.copy_region(&region, &mut memory)?;
                } else if !self.options.target_is_new {
                    self.target.erase_chunks(&chunks)?;
                }
                self.copied(region.num_elements())?;
            }
            return Ok(());
        };
        let mut done = HashSet::new();
        loop {
            let batch = stored.take(CHECKED)?;
            if batch.is_empty() {
                break;
            }
            for chunk in batch {
                let elements = source.chunk_subset_bounded(&chunk)?;
                for block in blocks.of(&self.target.chunks_in_array_subset(&elements)?).indices() {
                    if done.contains(&block) {
                        continue;
                    }
                    let region = self.target.chunks_subset_bounded(&blocks.chunks(&block))?;
                    self.copy_region(&region, &mut memory)?;
                    self.copied(region.num_elements())?;
                    done.insert(block);
                }
            }
        }
        self.erase_vacant(|chunk| Ok(!done.contains(&blocks.of_chunk(chunk))))?;
        self.finished()
    }

    /// Whether chunks that are missing in the source can be missing in the target: both have the same fill value.
    fn keeps_missing(&self) -> bool {
        let (source, target) = (self.source.fill_value(), self.target.fill_value());
        source.known().is_ok_and(|fill| self.conversion.apply(fill) == target.bytes())
            && !self.target.options().store_empty_chunks
            && self.source.options().missing_chunks != MissingChunks::Error
    }

    /// Whether a region needs no copy: no chunk of it is stored, and both arrays have the same fill value.
    fn is_vacant(&self, region: &ArraySubset) -> Result<bool> {
        if !self.keeps_missing() || region.is_empty() {
            return Ok(false);
        }
        let mut chunks = self.source.chunks_in_array_subset(region)?.indices();
        // Usually the first chunk exists, so only that one is checked at first.
        let mut count = 1;
        loop {
            let batch: Vec<Dims> = chunks.by_ref().take(count).collect();
            if batch.is_empty() {
                return Ok(true);
            }
            let source: &Array = &self.source;
            if parallel_map(&batch, source.options().concurrency(), |chunk| source.chunk_exists(chunk))?.contains(&true)
            {
                return Ok(false);
            }
            count = CHECKED;
        }
    }

    fn copy_region(&self, region: &ArraySubset, memory: &mut Vec<u8>) -> Result<()> {
        let shape = region.shape();
        let size = size_in_memory(shape, self.source.data_type().size())?;
        if memory.len() < size {
            // Frees the old memory before new memory is allocated.
            *memory = Vec::new();
            *memory = zeroed(size)?;
        }
        let buffer = &mut memory[..size];
        let mut heap = Vec::new();
        let output = OutputBuffer::new(buffer, shape, self.source.data_type().size())?;
        if self.source.data_type().is_variable() {
            let heaps = Heaps::new(self.source.fill_value().bytes());
            self.source.retrieve_subset_into(region, output.with_heaps(&heaps))?;
            heap = gathered(buffer, &heaps.into_inner())?;
        } else {
            self.source.retrieve_subset_into(region, output)?;
        }
        let converted = self.conversion.apply(buffer);
        let strides = c_strides(shape, self.target.data_type().size());
        let input = InputBuffer { bytes: &converted, origin: 0, strides: &strides, heap: &heap };
        self.target.store_subset_from(region, input)
    }

    /// Estimates the bytes of an element of variable length from the first stored elements.
    fn sampled(&self) -> Result<u64> {
        const TRIED: usize = 16;
        const GUESS: u64 = 32;
        for chunk in ArraySubset::new_with_shape(&self.source.chunk_grid_shape()).indices().take(TRIED) {
            if !self.source.chunk_exists(&chunk)? {
                continue;
            }
            let chunk = self.source.chunk_subset_bounded(&chunk)?;
            let shape = self.source.inner_chunk_shape().unwrap_or_else(|| chunk.shape().into());
            let region = ArraySubset::new_with_start_shape(chunk.start(), &shape)?.bound(&chunk.end_exc())?;
            let mut slots = OutputBuffer::slots(region.shape())?;
            let heaps = Heaps::new(self.source.fill_value().bytes());
            let output = OutputBuffer::new(&mut slots, region.shape(), Slot::SIZE)?;
            self.source.retrieve_subset_into(&region, output.with_heaps(&heaps))?;
            let bytes: u64 = Slot::all(&slots).map(|slot| u64::from(slot.length)).sum();
            return Ok((2 * bytes).div_ceil(region.num_elements().max(1)).max(GUESS));
        }
        Ok(GUESS)
    }
}

/// Gathers the bytes of elements into the one heap that a writer takes.
fn gathered(slots: &mut [u8], heaps: &[Vec<u8>]) -> Result<Vec<u8>> {
    let (heap, offsets) = Variable::new(slots, heaps).concatenated()?;
    for (slot, ends) in slots.as_chunks_mut::<{ Slot::SIZE }>().0.iter_mut().zip(offsets.windows(2)) {
        let length = (ends[1] - ends[0]) as u32;
        *slot = Slot { heap: InputBuffer::HEAP, length, offset: ends[0] as u64 }.to_bytes();
    }
    Ok(heap)
}

#[cfg(test)]
mod tests;
