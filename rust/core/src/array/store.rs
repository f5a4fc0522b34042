//! Writing: whole chunks and regions of whole chunks.

use super::{Array, AsArrayBytes};
use crate::error::{Place, Result};
use crate::metadata::{ArrayMetadata, write_node};
use crate::selection::check_subset;
use crate::store::Store;
use crate::subset::ArraySubset;
use crate::view::c_strides;
use crate::write::Input;
use std::sync::Arc;

/// Elements to write: a buffer, the offset of the first element in it, and strides in bytes.
#[derive(Clone, Copy, Debug)]
pub struct InputBuffer<'a> {
    /// The buffer.
    pub bytes: &'a [u8],
    /// The offset of the first element.
    pub origin: isize,
    /// Bytes from one element to the next, for each axis.
    pub strides: &'a [isize],
    /// Of elements of variable length, of which the buffer holds [slots](crate::Slot): their bytes. Slots of heap
    /// [`InputBuffer::HEAP`] lie there, all others are the fill value.
    pub heap: &'a [u8],
}

impl InputBuffer<'_> {
    /// The number of the heap that slots tell of.
    pub const HEAP: u32 = crate::write::GIVEN;
}

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

    /// Stores a chunk, padding included. One that holds nothing but the fill value is erased, unless the options say
    /// otherwise.
    ///
    /// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection), before anything is written, where the
    /// elements are of another type or shape.
    pub fn store_chunk<T: AsArrayBytes + ?Sized>(&self, chunk: &[u64], elements: &T) -> Result<()> {
        let subset = self.chunk_subset(chunk).place(|| self.name())?;
        elements.check(self.data_type(), subset.shape()).place(|| self.name())?;
        let strides = c_strides(subset.shape(), self.data_type().size());
        let bytes = elements.array_bytes();
        self.store_chunk_from(chunk, InputBuffer { bytes: &bytes, origin: 0, strides: &strides, heap: elements.heap() })
    }

    /// Stores a chunk out of memory with any strides; see [`store_chunk`](Self::store_chunk).
    pub fn store_chunk_from(&self, chunk: &[u64], input: InputBuffer<'_>) -> Result<()> {
        self.chunk_subset(chunk).place(|| self.name())?;
        let InputBuffer { bytes, origin, strides, heap } = input;
        crate::subset::same_rank(&vec![0; strides.len()], chunk)?;
        self.writer().store_chunk(chunk, Input { bytes, origin, strides, heap })
    }

    /// Stores a region, which must consist of whole chunks as far as these lie in the array.
    ///
    /// Fails with [`Unsupported`](crate::ErrorKind::Unsupported), before anything is written, where a chunk is covered
    /// in part; the message names a region that would do.
    pub fn store_array_subset<T: AsArrayBytes + ?Sized>(&self, subset: &ArraySubset, elements: &T) -> Result<()> {
        elements.check(self.data_type(), subset.shape()).place(|| self.name())?;
        let strides = c_strides(subset.shape(), self.data_type().size());
        let bytes = elements.array_bytes();
        self.store_array_subset_from(
            subset,
            InputBuffer { bytes: &bytes, origin: 0, strides: &strides, heap: elements.heap() },
        )
    }

    /// Stores a region out of memory with any strides; see [`store_array_subset`](Self::store_array_subset).
    pub fn store_array_subset_from(&self, subset: &ArraySubset, input: InputBuffer<'_>) -> Result<()> {
        check_subset(subset, self.shape()).place(|| self.name())?;
        let InputBuffer { bytes, origin, strides, heap } = input;
        crate::subset::same_rank(&vec![0; strides.len()], subset.shape())?;
        self.writer().store_subset(subset, Input { bytes, origin, strides, heap })
    }

    /// Erases a chunk, if it is stored.
    pub fn erase_chunk(&self, chunk: &[u64]) -> Result<()> {
        let key = self.chunk_key(chunk).place(|| self.name())?;
        self.store().erase(&key)
    }
}
