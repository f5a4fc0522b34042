//! Reads. Every method makes a selection, which one reader reads.

use super::Array;
use super::buffers::OutputBuffer;
use super::element::FromArrayBytes;
use super::geometry::ArrayRegion;
use crate::cache::shared_cache;
use crate::error::{Place, Result};
use crate::options::{CodecOptions, MissingChunks};
use crate::read::{Caching, Explanation, Reader};
use crate::runtime::{gather_map, parallel_map};
use crate::selection::Selection;
use crate::slot::Heaps;
use crate::subset::{ArraySubset, Dims};
use crate::view::c_strides;

impl Array {
    /// Reads a selection into memory of the caller.
    ///
    /// If the array has no cache, compressed chunks that are read in part are kept in the process's
    /// [`shared_cache`](crate::shared_cache), because consecutive selections are often neighbors.
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection), before anything is read, if the selection is outside
    /// the array or the memory has another shape.
    pub fn retrieve_selection_into(&self, selection: &Selection, output: OutputBuffer<'_>) -> Result<()> {
        selection.check(self.shape()).place(|| self.name())?;
        let cache = self.cache.as_ref().map_or(Caching::Shared(shared_cache()), Caching::Array);
        self.read_into(Reader { cache, ..self.reader() }, selection, output).map(|_| ())
    }

    /// Reads a subset into memory of the caller. The subset may reach into the padding of the last chunks; see
    /// [`subset_of`](Self::subset_of).
    pub fn retrieve_subset_into(&self, subset: &ArraySubset, output: OutputBuffer<'_>) -> Result<()> {
        subset.check_inside(&self.chunk_grid().padded_shape()).place(|| self.name())?;
        self.read_into(self.reader(), &Selection::from(subset), output).map(|_| ())
    }

    /// Reads a region. Elements of chunks that are not stored have the fill value.
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection), before anything is read, if the region is outside the
    /// array or `T` has elements of another data type; [`CorruptData`](crate::ErrorKind::CorruptData) if a chunk cannot
    /// be decoded.
    pub fn retrieve_region<T: FromArrayBytes>(&self, region: ArrayRegion<'_>) -> Result<T> {
        Ok(self.read(&self.subset_of(region)?)?.0)
    }

    /// Reads a checked selection; returns the number of chunks that are not stored.
    fn read_into(&self, reader: Reader<'_>, selection: &Selection, mut output: OutputBuffer<'_>) -> Result<u64> {
        let region = output.region(selection).place(|| self.name())?;
        reader.read(&region, &output.share())
    }

    /// Reads a checked subset into new memory; also returns the number of chunks that are not stored.
    fn read<T: FromArrayBytes>(&self, subset: &ArraySubset) -> Result<(T, u64)> {
        let selection = Selection::from(subset);
        let mut missing = 0;
        let elements = self.read_new(subset.shape(), |output| {
            missing = self.read_into(self.reader(), &selection, output)?;
            Ok(())
        })?;
        Ok((elements, missing))
    }

    /// Allocates memory for elements of a shape, which `read` fills.
    fn read_new<T: FromArrayBytes>(
        &self,
        shape: &[u64],
        mut read: impl FnMut(OutputBuffer<'_>) -> Result<()>,
    ) -> Result<T> {
        T::check(self.data_type()).place(|| self.name())?;
        T::read(self.data_type(), shape, &mut |bytes| {
            let heaps = Heaps::new(self.fill_value().bytes());
            read(OutputBuffer::new(bytes, shape, self.data_type().size())?.with_heaps(&heaps))?;
            Ok(heaps)
        })
    }

    /// Reads a subset; see [`retrieve_region`](Self::retrieve_region).
    pub fn retrieve_array_subset<T: FromArrayBytes>(&self, subset: impl Into<ArraySubset>) -> Result<T> {
        self.retrieve_region(ArrayRegion::Subset(&subset.into()))
    }

    /// Checks that regions of one shape are inside the array.
    pub fn check_subsets(&self, starts: &[Dims], shape: &[u64]) -> Result<()> {
        let check = |start: &Dims| ArraySubset::new_with_start_shape(start, shape)?.check_inside(self.shape());
        starts.iter().try_for_each(check).place(|| self.name())
    }

    /// Reads many regions of one shape into one buffer of shape (number of regions, *`shape`).
    pub fn retrieve_array_subsets<T: FromArrayBytes>(&self, starts: &[Dims], shape: &[u64]) -> Result<T> {
        let whole: Dims = std::iter::once(starts.len() as u64).chain(shape.iter().copied()).collect();
        self.read_new(&whole, |output| self.retrieve_array_subsets_into(starts, shape, output))
    }

    /// Reads many regions of one shape into memory of shape (number of regions, *`shape`).
    pub fn retrieve_array_subsets_into(
        &self,
        starts: &[Dims],
        shape: &[u64],
        mut output: OutputBuffer<'_>,
    ) -> Result<()> {
        self.check_subsets(starts, shape)?;
        let (apart, strides, origin) = output.rows(starts.len(), shape).place(|| self.name())?;
        let numbered: Vec<_> = starts.iter().enumerate().collect();
        let memory = output.share();
        let one = self.with_options(CodecOptions { concurrent_target: 1, ..self.options });
        let bytes = |_: &_| 0; // The chunks of each region are counted when they are read.
        self.reader().source.each(&numbered, self.options.concurrency(), bytes, |(number, start)| {
            let subset = ArraySubset::new_with_start_shape(start, shape)?;
            let origin = origin + *number as isize * apart;
            one.reader().read(&Selection::from(&subset).region(&strides, origin), &memory).map(|_| ())
        })
    }

    /// Reads a chunk with its padding. The elements of a chunk that is not stored have the fill value.
    pub fn retrieve_chunk<T: FromArrayBytes>(&self, chunk: &[u64]) -> Result<T> {
        self.retrieve_region(ArrayRegion::Chunk(chunk))
    }

    /// Reads a chunk with its padding; `None` if it is not stored.
    pub fn retrieve_chunk_if_exists<T: FromArrayBytes>(&self, chunk: &[u64]) -> Result<Option<T>> {
        let subset = self.chunk_subset(chunk)?;
        T::check(self.data_type()).place(|| self.name())?;
        if !self.may_exist(chunk)? {
            return Ok(None);
        }
        let (elements, missing) = self.read(&subset)?;
        Ok((missing == 0).then_some(elements))
    }

    /// Reads a chunk with its padding into memory of the caller. Returns false if the chunk is not stored; then the
    /// memory has arbitrary values.
    pub fn retrieve_chunk_if_exists_into(&self, chunk: &[u64], output: OutputBuffer<'_>) -> Result<bool> {
        let selection = Selection::from(&self.chunk_subset(chunk)?);
        Ok(self.may_exist(chunk)? && self.read_into(self.reader(), &selection, output)? == 0)
    }

    /// Returns false if a chunk is known not to be stored. In a remote store, only the read finds that out, unless a
    /// missing chunk is an error.
    fn may_exist(&self, chunk: &[u64]) -> Result<bool> {
        let read_tells = self.store().profile().remote && self.options.missing_chunks == MissingChunks::Fill;
        Ok(read_tells || self.chunk_exists(chunk)?)
    }

    /// Returns whether a chunk is stored.
    pub fn chunk_exists(&self, chunk: &[u64]) -> Result<bool> {
        Ok(self.store().open(&self.chunk_key(chunk)?)?.stat()?.is_some())
    }

    /// Reads a range of chunks, with padding.
    pub fn retrieve_chunks<T: FromArrayBytes>(&self, chunks: &ArraySubset) -> Result<T> {
        self.retrieve_region(ArrayRegion::Chunks(chunks))
    }

    /// Reads a part of a chunk, relative to the first element of the chunk.
    pub fn retrieve_chunk_subset<T: FromArrayBytes>(&self, chunk: &[u64], subset: &ArraySubset) -> Result<T> {
        self.retrieve_region(ArrayRegion::ChunkSubset(chunk, subset))
    }

    /// Reads an inner chunk of a sharded array; of an array that is not sharded, a chunk.
    pub fn retrieve_inner_chunk<T: FromArrayBytes>(&self, inner: &[u64]) -> Result<T> {
        self.retrieve_region(ArrayRegion::InnerChunk(inner))
    }

    /// Reads a range of inner chunks of a sharded array; of an array that is not sharded, of chunks.
    pub fn retrieve_inner_chunks<T: FromArrayBytes>(&self, inner: &ArraySubset) -> Result<T> {
        self.retrieve_region(ArrayRegion::InnerChunks(inner))
    }

    /// Reads the stored bytes of a chunk; `None` if it is not stored.
    pub fn retrieve_encoded_chunk(&self, chunk: &[u64]) -> Result<Option<Vec<u8>>> {
        self.chunk_subset(chunk)?;
        self.reader().encoded(chunk, None)
    }

    /// Reads the stored bytes of a range of chunks, in the order of [`ArraySubset::indices`].
    pub fn retrieve_encoded_chunks(&self, chunks: &ArraySubset) -> Result<Vec<Option<Vec<u8>>>> {
        self.chunks_subset(chunks)?;
        let indices: Vec<_> = chunks.indices().collect();
        self.each_chunk(&indices, |chunk| self.reader().encoded(chunk, None))
    }

    /// Calls `work` for chunks: in a remote store concurrently on threads that wait, otherwise on the threads of the pool.
    pub(super) fn each_chunk<R: Send>(
        &self,
        chunks: &[Dims],
        work: impl Fn(&Dims) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        if self.store().profile().remote {
            return gather_map(chunks, work);
        }
        parallel_map(chunks, self.options.concurrency(), work)
    }

    /// Reads the stored bytes of an inner chunk (of an array that is not sharded, of a chunk); `None` if it is not stored.
    pub fn retrieve_encoded_inner_chunk(&self, inner: &[u64]) -> Result<Option<Vec<u8>>> {
        let (shard, inside) = self.shard_of(inner)?;
        let inside = inside.map(|inside| self.chain().order().iter().map(|axis| inside[*axis]).collect::<Dims>());
        self.reader().encoded(&shard, inside.as_deref())
    }

    /// Returns the chunks, requests and bytes that a read of a selection takes. Reads the indexes of shards, but no
    /// chunks.
    pub fn explain(&self, selection: &Selection) -> Result<Explanation> {
        selection.check(self.shape()).place(|| self.name())?;
        let strides = c_strides(&selection.shape(), self.data_type().size());
        self.reader().explain(&selection.region(&strides, 0))
    }

    /// Calls `f` for each chunk of a range of chunks, at most `concurrency` at once; returns the results in index
    /// order.
    pub fn map_chunks<R: Send>(
        &self,
        chunks: &ArraySubset,
        concurrency: usize,
        f: impl Fn(&[u64]) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        self.chunks_subset(chunks)?;
        let indices: Vec<_> = chunks.indices().collect();
        parallel_map(&indices, concurrency, |chunk| f(chunk))
    }
}
