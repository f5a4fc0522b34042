//! Writes. Every method makes a selection, which one writer stores.

use super::{Array, ArrayRegion, AsArrayBytes, InputBuffer};
use crate::error::{Place, Result};
use crate::metadata::{ArrayMetadata, write_node};
use crate::runtime::parallel_map;
use crate::selection::Selection;
use crate::store::{LockScope, Store};
use crate::subset::{ArraySubset, Dims};
use crate::view::c_strides;
use crate::write::{Cut, Input};
use std::sync::Arc;

/// Number of shards that are compacted between two looks at what is stored.
const COMPACTED: usize = 1024;

impl Array {
    /// Creates an array: stores its metadata and nothing else.
    pub fn create(store: Arc<dyn Store>, path: &str, metadata: ArrayMetadata) -> Result<Self> {
        let array = Self::new_with_metadata(store, path, metadata)?;
        array.store_metadata()?;
        Ok(array)
    }

    /// Stores the metadata.
    pub fn store_metadata(&self) -> Result<()> {
        write_node(&**self.store(), self.path(), &self.metadata().files()).place(|| self.name())
    }

    /// Erases the metadata, but no chunks.
    pub fn erase_metadata(&self) -> Result<()> {
        let files: Vec<_> = self.metadata().files().into_iter().map(|(name, _)| (name, None)).collect();
        write_node(&**self.store(), self.path(), &files).place(|| self.name())
    }

    /// Stores elements of a region.
    ///
    /// Chunks that the region covers, as far as they are in the array, are replaced without being read. Other chunks
    /// are read, changed and stored again; of a shard, only the inner chunks that the region touches. Chunks that hold
    /// only the fill value are erased, unless the [options](crate::CodecOptions::store_empty_chunks) keep them.
    ///
    /// Writers of one chunk wait for each other: threads always, and other processes if the store is a folder. If the
    /// store compares versions of objects instead, a writer that finds a change of another writer starts again.
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection), before anything is written, if the elements have
    /// another type or shape.
    pub fn store_region<T: AsArrayBytes + ?Sized>(&self, region: ArrayRegion<'_>, elements: &T) -> Result<()> {
        let subset = self.subset_of(region)?;
        self.with_input(subset.shape(), elements, |input| self.store_subset_from(&subset, input))
    }

    /// Calls `store` with elements of a shape as an input buffer.
    pub(super) fn with_input<T: AsArrayBytes + ?Sized, R>(
        &self,
        shape: &[u64],
        elements: &T,
        store: impl FnOnce(InputBuffer<'_>) -> Result<R>,
    ) -> Result<R> {
        elements.check(self.data_type(), shape).place(|| self.name())?;
        let (bytes, strides) = (elements.array_bytes(), c_strides(shape, self.data_type().size()));
        store(InputBuffer { bytes: &bytes, origin: 0, strides: &strides, heap: &elements.heap() })
    }

    /// Stores a chunk with its padding; see [`store_region`](Self::store_region).
    pub fn store_chunk<T: AsArrayBytes + ?Sized>(&self, chunk: &[u64], elements: &T) -> Result<()> {
        self.store_region(ArrayRegion::Chunk(chunk), elements)
    }

    /// Stores chunks with their padding; see [`store_region`](Self::store_region).
    pub fn store_chunks<T: AsArrayBytes + ?Sized>(&self, chunks: &ArraySubset, elements: &T) -> Result<()> {
        self.store_region(ArrayRegion::Chunks(chunks), elements)
    }

    /// Stores a part of a chunk, relative to the chunk's first element; see [`store_region`](Self::store_region).
    pub fn store_chunk_subset<T>(&self, chunk: &[u64], subset: &ArraySubset, elements: &T) -> Result<()>
    where
        T: AsArrayBytes + ?Sized,
    {
        self.store_region(ArrayRegion::ChunkSubset(chunk, subset), elements)
    }

    /// Stores a subset; see [`store_region`](Self::store_region).
    pub fn store_array_subset<T>(&self, subset: impl Into<ArraySubset>, elements: &T) -> Result<()>
    where
        T: AsArrayBytes + ?Sized,
    {
        self.store_region(ArrayRegion::Subset(&subset.into()), elements)
    }

    /// Stores a subset from memory with any strides. The subset may reach into the padding of the last chunks; see
    /// [`subset_of`](Self::subset_of).
    pub fn store_subset_from(&self, subset: &ArraySubset, input: InputBuffer<'_>) -> Result<()> {
        subset.check_inside(&self.chunk_grid().padded_shape()).place(|| self.name())?;
        self.store_from(&Selection::from(subset), input, &[])
    }

    /// Stores a selection from memory with any strides; see [`store_region`](Self::store_region).
    pub fn store_selection_from(&self, selection: &Selection, input: InputBuffer<'_>) -> Result<()> {
        selection.check(self.shape()).place(|| self.name())?;
        self.store_from(selection, input, &[])
    }

    /// Checks that no chunk would be changed in part while other processes may change it.
    pub(super) fn check_exclusion(&self, subset: &ArraySubset, input: InputBuffer<'_>) -> Result<()> {
        self.writer().check_exclusion(&Selection::from(subset).region(input.strides, input.origin), true)
    }

    pub(super) fn store_from(&self, selection: &Selection, input: InputBuffer<'_>, cuts: &[Cut]) -> Result<()> {
        input.check_rank(&selection.shape())?;
        let InputBuffer { bytes, origin, strides, heap } = input;
        let (writer, region) = (self.writer(), selection.region(strides, origin));
        let _locks = LockScope::new();
        writer.write(&region, Input { bytes, heap, cuts })
    }

    /// Stores the encoded bytes of a chunk without checking them.
    pub fn store_encoded_chunk(&self, chunk: &[u64], bytes: &[u8]) -> Result<()> {
        self.chunk_subset(chunk)?;
        self.writer().store_encoded(chunk, Some(bytes))
    }

    /// Erases a chunk if it is stored.
    pub fn erase_chunk(&self, chunk: &[u64]) -> Result<()> {
        self.chunk_subset(chunk)?;
        self.writer().store_encoded(chunk, None)
    }

    /// Rewrites a shard if it has bytes that no inner chunk uses, or if its inner chunks are not in the
    /// [order](crate::CodecOptions::inner_chunk_order) of the options; returns the number of bytes by which it shrank.
    /// Chunks that are not shards are not changed.
    ///
    /// Only the index is read to find out. With `drop_empty`, inner chunks are decoded too, and those that hold only
    /// the fill value are removed.
    pub fn compact_chunk(&self, chunk: &[u64], drop_empty: bool) -> Result<u64> {
        self.chunk_subset(chunk)?;
        self.writer().compact(chunk, drop_empty)
    }

    /// Rewrites all shards as [`compact_chunk`](Self::compact_chunk) does; returns the total number of bytes by which
    /// they shrank.
    pub fn compact(&self, drop_empty: bool) -> Result<u64> {
        if self.chain().open_shard().is_none() {
            return Ok(0);
        }
        let mut stored = self.stored_chunks(&ArraySubset::new_with_shape(&self.chunk_grid_shape()))?;
        let mut reclaimed = 0;
        loop {
            let batch = stored.take(COMPACTED)?;
            if batch.is_empty() {
                return Ok(reclaimed);
            }
            let compact = |chunk: &Dims| self.compact_chunk(chunk, drop_empty);
            reclaimed += parallel_map(&batch, self.options.concurrency(), compact)?.into_iter().sum::<u64>();
        }
    }
}
