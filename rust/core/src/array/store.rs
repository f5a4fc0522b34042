//! Writing. Every method is one selection for the same writer.

use super::{Array, ArrayRegion, AsArrayBytes, InputBuffer};
use crate::error::{Place, Result};
use crate::metadata::{ArrayMetadata, write_node};
use crate::selection::Selection;
use crate::store::{LockScope, Store};
use crate::subset::ArraySubset;
use crate::view::c_strides;
use crate::write::{Cut, Input};
use std::sync::Arc;

impl Array {
    /// Creates an array: writes its metadata and nothing else.
    pub fn create(store: Arc<dyn Store>, path: &str, metadata: ArrayMetadata) -> Result<Self> {
        let array = Self::new_with_metadata(store, path, metadata)?;
        array.store_metadata()?;
        Ok(array)
    }

    /// Writes the metadata.
    pub fn store_metadata(&self) -> Result<()> {
        write_node(&**self.store(), self.path(), &self.metadata().files()).place(|| self.name())
    }

    /// Erases the metadata, which leaves chunks that nobody finds.
    pub fn erase_metadata(&self) -> Result<()> {
        let files: Vec<_> = self.metadata().files().into_iter().map(|(name, _)| (name, None)).collect();
        write_node(&**self.store(), self.path(), &files).place(|| self.name())
    }

    /// Stores a chunk, padding included. One that holds nothing but the fill value is erased, unless the options say
    /// otherwise.
    ///
    /// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection), before anything is written, where the
    /// elements are of another type or shape; so do the methods below.
    pub fn store_chunk<T: AsArrayBytes + ?Sized>(&self, chunk: &[u64], elements: &T) -> Result<()> {
        self.store_elements(&self.chunk_subset(chunk)?, elements)
    }

    /// Stores a region of chunks, padding included.
    pub fn store_chunks<T: AsArrayBytes + ?Sized>(&self, chunks: &ArraySubset, elements: &T) -> Result<()> {
        self.store_elements(&self.chunks_subset(chunks)?, elements)
    }

    /// Stores a region of a chunk, as seen from the chunk's first element; see
    /// [`store_array_subset`](Self::store_array_subset).
    pub fn store_chunk_subset<T>(&self, chunk: &[u64], subset: &ArraySubset, elements: &T) -> Result<()>
    where
        T: AsArrayBytes + ?Sized,
    {
        self.store_elements(&self.subset_in_chunk(chunk, subset)?, elements)
    }

    /// Stores a region.
    ///
    /// Chunks that the region covers, as far as they lie in the array, are stored without a look at what is there. Others
    /// are read, changed and stored again, of shards no more than the inner chunks that are touched. Writers that touch
    /// the same chunk wait for each other: threads always, other processes where the store is a folder; where versions of
    /// objects are compared instead, who meets another's change begins again.
    pub fn store_array_subset<T: AsArrayBytes + ?Sized>(&self, subset: &ArraySubset, elements: &T) -> Result<()> {
        self.store_elements(&self.subset_of(ArrayRegion::Subset(subset))?, elements)
    }

    fn store_elements<T: AsArrayBytes + ?Sized>(&self, subset: &ArraySubset, elements: &T) -> Result<()> {
        elements.check(self.data_type(), subset.shape()).place(|| self.name())?;
        let strides = c_strides(subset.shape(), self.data_type().size());
        let bytes = elements.array_bytes();
        self.store_subset_from(
            subset,
            InputBuffer { bytes: &bytes, origin: 0, strides: &strides, heap: elements.heap() },
        )
    }

    /// Stores a region out of memory with any strides. It may reach into the padding of chunks at the array's end, as that
    /// of a whole chunk does.
    pub fn store_subset_from(&self, subset: &ArraySubset, input: InputBuffer<'_>) -> Result<()> {
        subset.check_inside(&self.chunk_grid().padded_shape()).place(|| self.name())?;
        self.store_from(&Selection::from(subset), input, &[])
    }

    /// Stores a selection out of memory with any strides; see [`store_array_subset`](Self::store_array_subset).
    pub fn store_selection_from(&self, selection: &Selection, input: InputBuffer<'_>) -> Result<()> {
        selection.check(self.shape()).place(|| self.name())?;
        self.store_from(selection, input, &[])
    }

    /// Fails where chunks of a region are not to be written in part.
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

    /// Stores a chunk that is encoded already. Its bytes are not looked at.
    pub fn store_encoded_chunk(&self, chunk: &[u64], bytes: &[u8]) -> Result<()> {
        self.chunk_subset(chunk)?;
        self.writer().store_encoded(chunk, Some(bytes))
    }

    /// Erases a chunk, if it is stored.
    pub fn erase_chunk(&self, chunk: &[u64]) -> Result<()> {
        self.chunk_subset(chunk)?;
        self.writer().store_encoded(chunk, None)
    }

    /// Rewrites the shard that a chunk is, if it has bytes that no inner chunk needs or its inner chunks lie in another
    /// [order](crate::CodecOptions::inner_chunk_order); returns how many bytes shorter it is. Other shards, and chunks that
    /// are none, stay as they are.
    ///
    /// Only indexes are compared. With `drop_empty` inner chunks are decoded, too, and go where they hold nothing but the
    /// fill value.
    pub fn compact_chunk(&self, chunk: &[u64], drop_empty: bool) -> Result<u64> {
        self.chunk_subset(chunk)?;
        self.writer().compact(chunk, drop_empty)
    }

    /// Rewrites all shards as [`compact_chunk`](Self::compact_chunk) does; returns how many bytes shorter they are in all.
    pub fn compact(&self, drop_empty: bool) -> Result<u64> {
        if self.chain().open_shard().is_none() {
            return Ok(0);
        }
        let chunks = ArraySubset::new_with_shape(&self.chunk_grid_shape());
        let reclaimed =
            self.map_chunks(&chunks, self.options.concurrency(), |chunk| self.compact_chunk(chunk, drop_empty))?;
        Ok(reclaimed.into_iter().sum())
    }

    /// Erases those of a region of chunks that are stored.
    pub fn erase_chunks(&self, chunks: &ArraySubset) -> Result<()> {
        let _locks = LockScope::new();
        self.map_chunks(chunks, self.options.concurrency(), |chunk| self.erase_chunk(chunk)).map(|_| ())
    }
}
