//! Reads that do not block the caller: each runs on a thread of the driver, and decodes on the pool like any other
//! read.

use super::{Array, FromArrayBytes};
use crate::error::Result;
use crate::runtime::Pending;
use crate::subset::{ArraySubset, Dims};

impl Array {
    /// Starts a call on another thread.
    pub fn asynchronously<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        let array = self.clone();
        Pending::start(move || call(&array))
    }

    /// Calls [`retrieve_array_subset`](Self::retrieve_array_subset) on another thread.
    pub fn async_retrieve_array_subset<T>(&self, subset: impl Into<ArraySubset>) -> Pending<T>
    where
        T: FromArrayBytes + Send + 'static,
    {
        let subset = subset.into();
        self.asynchronously(move |array| array.retrieve_array_subset(&subset))
    }

    /// Calls [`retrieve_array_subsets`](Self::retrieve_array_subsets) on another thread.
    pub fn async_retrieve_array_subsets<T>(&self, starts: &[Dims], shape: &[u64]) -> Pending<T>
    where
        T: FromArrayBytes + Send + 'static,
    {
        let (starts, shape) = (starts.to_vec(), shape.to_vec());
        self.asynchronously(move |array| array.retrieve_array_subsets(&starts, &shape))
    }

    /// Calls [`retrieve_chunk`](Self::retrieve_chunk) on another thread.
    pub fn async_retrieve_chunk<T: FromArrayBytes + Send + 'static>(&self, chunk: &[u64]) -> Pending<T> {
        let chunk = chunk.to_vec();
        self.asynchronously(move |array| array.retrieve_chunk(&chunk))
    }

    /// Calls [`retrieve_chunk_if_exists`](Self::retrieve_chunk_if_exists) on another thread.
    pub fn async_retrieve_chunk_if_exists<T>(&self, chunk: &[u64]) -> Pending<Option<T>>
    where
        T: FromArrayBytes + Send + 'static,
    {
        let chunk = chunk.to_vec();
        self.asynchronously(move |array| array.retrieve_chunk_if_exists(&chunk))
    }

    /// Calls [`retrieve_chunks`](Self::retrieve_chunks) on another thread.
    pub fn async_retrieve_chunks<T: FromArrayBytes + Send + 'static>(&self, chunks: &ArraySubset) -> Pending<T> {
        let chunks = chunks.clone();
        self.asynchronously(move |array| array.retrieve_chunks(&chunks))
    }

    /// Calls [`retrieve_chunk_subset`](Self::retrieve_chunk_subset) on another thread.
    pub fn async_retrieve_chunk_subset<T>(&self, chunk: &[u64], subset: &ArraySubset) -> Pending<T>
    where
        T: FromArrayBytes + Send + 'static,
    {
        let (chunk, subset) = (chunk.to_vec(), subset.clone());
        self.asynchronously(move |array| array.retrieve_chunk_subset(&chunk, &subset))
    }

    /// Calls [`retrieve_inner_chunk`](Self::retrieve_inner_chunk) on another thread.
    pub fn async_retrieve_inner_chunk<T: FromArrayBytes + Send + 'static>(&self, inner: &[u64]) -> Pending<T> {
        let inner = inner.to_vec();
        self.asynchronously(move |array| array.retrieve_inner_chunk(&inner))
    }

    /// Calls [`retrieve_inner_chunks`](Self::retrieve_inner_chunks) on another thread.
    pub fn async_retrieve_inner_chunks<T: FromArrayBytes + Send + 'static>(&self, inner: &ArraySubset) -> Pending<T> {
        let inner = inner.clone();
        self.asynchronously(move |array| array.retrieve_inner_chunks(&inner))
    }

    /// Calls [`retrieve_encoded_chunk`](Self::retrieve_encoded_chunk) on another thread.
    pub fn async_retrieve_encoded_chunk(&self, chunk: &[u64]) -> Pending<Option<Vec<u8>>> {
        let chunk = chunk.to_vec();
        self.asynchronously(move |array| array.retrieve_encoded_chunk(&chunk))
    }

    /// Calls [`retrieve_encoded_chunks`](Self::retrieve_encoded_chunks) on another thread.
    pub fn async_retrieve_encoded_chunks(&self, chunks: &ArraySubset) -> Pending<Vec<Option<Vec<u8>>>> {
        let chunks = chunks.clone();
        self.asynchronously(move |array| array.retrieve_encoded_chunks(&chunks))
    }
}
