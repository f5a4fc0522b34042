//! Reading. Every method is one selection for the same reader; `retrieve_selection_into` is that reader's door.

use super::{Array, FromArrayBytes};
use crate::cache::shared_cache;
use crate::error::{Error, Place, Result};
use crate::read::{Caching, Explanation, Reader};
use crate::runtime::{gather_map, parallel_map};
use crate::selection::{Selection, check_subset, size_in_memory};
use crate::slot::{Heaps, Keeping, Sink, Slot};
use crate::subset::{ArraySubset, Dims, tuple};
use crate::view::{Output, c_strides};

/// Memory to read into: a buffer, the offset of the first element in it, and strides in bytes.
pub struct OutputBuffer<'a> {
    start: *mut u8,
    length: usize,
    origin: isize,
    strides: Dims<isize>,
    keeping: Option<Keeping<'a>>,
    _buffer: std::marker::PhantomData<&'a mut [u8]>,
}

impl<'a> OutputBuffer<'a> {
    /// A buffer for elements of a shape and size in C order.
    pub fn new(buffer: &'a mut [u8], shape: &[u64], size: usize) -> Result<Self> {
        let due = size_in_memory(shape, size)?;
        if buffer.len() != due {
            let shape = tuple(shape);
            return Err(Error::selection(format!(
                "a buffer of {} bytes for shape {shape}, which takes {due}",
                buffer.len()
            )));
        }
        let strides = c_strides(shape, size);
        let (start, length) = (buffer.as_mut_ptr(), buffer.len());
        Ok(Self { start, length, origin: 0, strides, keeping: None, _buffer: std::marker::PhantomData })
    }

    /// Memory for the [slots](crate::Slot) of elements of variable length of a shape; they are none so far.
    pub fn slots(shape: &[u64]) -> Result<Vec<u8>> {
        crate::view::zeroed(size_in_memory(shape, Slot::SIZE)?)
    }

    /// Memory that others own.
    ///
    /// # Safety
    /// `length` bytes from `start` on must be writable as long as `'a` lasts, and used by nobody else meanwhile; no two
    /// positions that the strides reach from `origin` may overlap.
    pub unsafe fn from_raw(start: *mut u8, length: usize, origin: isize, strides: &[isize]) -> Self {
        Self { start, length, origin, strides: strides.into(), keeping: None, _buffer: std::marker::PhantomData }
    }

    /// The same memory for elements of variable length: it gets their [slots](crate::Slot), and the heaps their bytes.
    #[must_use]
    pub fn with_heaps(self, heaps: &'a Heaps) -> Self {
        Self { keeping: Some(Keeping::Heaps(heaps)), ..self }
    }

    /// The same memory for elements of variable length, which a sink writes there.
    #[must_use]
    pub fn with_sink(self, sink: &'a dyn Sink) -> Self {
        Self { keeping: Some(Keeping::Sink(sink)), ..self }
    }
}

/// Reads positions that were checked, or that lie in the padding of a chunk; returns how many chunks are missing.
#[allow(clippy::needless_pass_by_value)] // the buffer is given away
fn read_into(reader: Reader<'_>, selection: &Selection, output: OutputBuffer<'_>) -> Result<u64> {
    if output.strides.len() != selection.shape().len() {
        return Err(Error::selection(format!(
            "a buffer of {} dimensions for a selection of {}",
            output.strides.len(),
            selection.shape().len()
        )));
    }
    let region = selection.region(&output.strides, output.origin);
    // SAFETY: the buffer is writable and ours alone as long as `output` lives, by its constructors; the planner
    // gives each position of it to one chunk.
    let output = unsafe { Output::from_raw(output.start, output.length) }.keeping(output.keeping);
    reader.read(&region, &output)
}

impl Array {
    /// Reads a selection into memory that is there already.
    ///
    /// Where the array has no cache of its own, compressed chunks of which it wants only a part are kept in the
    /// process's [`shared_cache`](crate::shared_cache): selections are often neighbours.
    ///
    /// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection), before anything is read, where the selection
    /// does not lie in the array.
    pub fn retrieve_selection_into(&self, selection: &Selection, output: OutputBuffer<'_>) -> Result<()> {
        selection.check(self.shape()).place(|| self.name())?;
        let cache = self.cache.as_ref().map_or(Caching::Shared(shared_cache()), Caching::Own);
        read_into(Reader { cache, ..self.reader() }, selection, output).map(|_| ())
    }

    /// Reads a region into memory that is there already. The region may reach into the padding of chunks at the array's
    /// end, as that of a whole chunk does.
    pub fn retrieve_subset_into(&self, subset: &ArraySubset, output: OutputBuffer<'_>) -> Result<()> {
        check_subset(subset, &self.chunk_grid().padded_shape()).place(|| self.name())?;
        read_into(self.reader(), &Selection::from(subset), output).map(|_| ())
    }

    fn read_subset<T: FromArrayBytes>(&self, subset: &ArraySubset) -> Result<(T, u64)> {
        T::check(self.data_type()).place(|| self.name())?;
        let selection = Selection::from(subset);
        let mut missing = 0;
        let elements = T::read(self.data_type(), subset.shape(), &mut |bytes| {
            let heaps = Heaps::new(self.fill_value().bytes());
            let output = OutputBuffer::new(bytes, subset.shape(), self.data_type().size())?.with_heaps(&heaps);
            missing = read_into(self.reader(), &selection, output)?;
            Ok(heaps)
        })?;
        Ok((elements, missing))
    }

    /// Reads a region. Chunks that are not stored give the fill value.
    ///
    /// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection), before anything is read, where the region
    /// does not lie in the array or the elements are of another type, and with
    /// [`CorruptData`](crate::ErrorKind::CorruptData) where a chunk cannot be decoded.
    pub fn retrieve_array_subset<T: FromArrayBytes>(&self, subset: &ArraySubset) -> Result<T> {
        check_subset(subset, self.shape()).place(|| self.name())?;
        Ok(self.read_subset(subset)?.0)
    }

    /// Checks that regions of one shape lie in the array.
    pub fn check_subsets(&self, starts: &[Dims], shape: &[u64]) -> Result<()> {
        let check = |start: &Dims| check_subset(&ArraySubset::new_with_start_shape(start, shape)?, self.shape());
        starts.iter().try_for_each(check)
    }

    /// Reads many regions of one shape, one after the other in one buffer of shape (regions, `shape`).
    pub fn retrieve_array_subsets<T: FromArrayBytes>(&self, starts: &[Dims], shape: &[u64]) -> Result<T> {
        T::check(self.data_type()).place(|| self.name())?;
        let mut whole = vec![starts.len() as u64];
        whole.extend_from_slice(shape);
        T::read(self.data_type(), &whole, &mut |bytes| {
            let heaps = Heaps::new(self.fill_value().bytes());
            let output = OutputBuffer::new(bytes, &whole, self.data_type().size())?.with_heaps(&heaps);
            self.retrieve_array_subsets_into(starts, shape, output)?;
            Ok(heaps)
        })
    }

    /// Reads many regions of one shape into memory of shape (regions, `shape`) that is there already.
    #[allow(clippy::needless_pass_by_value)] // the buffer is used up, as by the methods above
    pub fn retrieve_array_subsets_into(&self, starts: &[Dims], shape: &[u64], output: OutputBuffer<'_>) -> Result<()> {
        self.check_subsets(starts, shape).place(|| self.name())?;
        let Some((apart, strides)) = output.strides.split_first().filter(|(_, strides)| strides.len() == shape.len())
        else {
            return Err(Error::selection(format!(
                "a buffer of {} dimensions for regions of {}",
                output.strides.len(),
                shape.len()
            )));
        };
        let numbered: Vec<_> = starts.iter().enumerate().collect();
        // SAFETY: as in `read_into`; each region has a part of its own.
        let memory = unsafe { Output::from_raw(output.start, output.length) }.keeping(output.keeping);
        let one = self.with_options(crate::CodecOptions { concurrent_target: 1, ..self.options });
        let bytes = |_: &_| 0; // which each region's own chunks take
        self.reader().source.each(&numbered, self.options.concurrency(), bytes, |(number, start)| {
            let subset = ArraySubset::new_with_start_shape(start, shape)?;
            let origin = output.origin + *number as isize * apart;
            one.reader().read(&Selection::from(&subset).region(strides, origin), &memory).map(|_| ())
        })
    }

    /// Reads a chunk, padding included as it is stored; the fill value where it is not stored.
    pub fn retrieve_chunk<T: FromArrayBytes>(&self, chunk: &[u64]) -> Result<T> {
        Ok(self.read_subset(&self.chunk_subset(chunk).place(|| self.name())?)?.0)
    }

    /// Reads a chunk; `None`: it is not stored.
    pub fn retrieve_chunk_if_exists<T: FromArrayBytes>(&self, chunk: &[u64]) -> Result<Option<T>> {
        let subset = self.chunk_subset(chunk).place(|| self.name())?;
        T::check(self.data_type()).place(|| self.name())?;
        // On another machine, reading it asks as well.
        if !self.reader().source.store.is_remote() && !self.chunk_exists(chunk)? {
            return Ok(None);
        }
        let (elements, missing) = self.read_subset(&subset)?;
        Ok((missing == 0).then_some(elements))
    }

    /// Reads a chunk into memory that is there already; false: it is not stored, and the memory holds nothing of use.
    pub fn retrieve_chunk_if_exists_into(&self, chunk: &[u64], output: OutputBuffer<'_>) -> Result<bool> {
        let subset = self.chunk_subset(chunk).place(|| self.name())?;
        let there = self.reader().source.store.is_remote() || self.chunk_exists(chunk)?;
        Ok(there && read_into(self.reader(), &Selection::from(&subset), output)? == 0)
    }

    /// Whether a chunk is stored.
    pub fn chunk_exists(&self, chunk: &[u64]) -> Result<bool> {
        let source = self.reader().source;
        let key = self.chunk_key(chunk).place(|| self.name())?;
        Ok(source.store.open(&key)?.stat()?.is_some())
    }

    /// Reads a region of chunks, padding included as it is stored.
    pub fn retrieve_chunks<T: FromArrayBytes>(&self, chunks: &ArraySubset) -> Result<T> {
        Ok(self.read_subset(&self.chunks_subset(chunks).place(|| self.name())?)?.0)
    }

    /// Reads a region of a chunk, as seen from the chunk's first element.
    pub fn retrieve_chunk_subset<T: FromArrayBytes>(&self, chunk: &[u64], subset: &ArraySubset) -> Result<T> {
        Ok(self.read_subset(&self.subset_in_chunk(chunk, subset)?)?.0)
    }

    /// The region of a chunk, as seen from the array's first element.
    pub fn subset_in_chunk(&self, chunk: &[u64], subset: &ArraySubset) -> Result<ArraySubset> {
        let whole = self.chunk_subset(chunk).place(|| self.name())?;
        check_subset(subset, whole.shape()).place(|| format!("chunk {} of {}", tuple(chunk), self.name()))?;
        let start: Dims = subset.start().iter().zip(whole.start()).map(|(start, origin)| start + origin).collect();
        ArraySubset::new_with_start_shape(&start, subset.shape())
    }

    /// Reads an inner chunk of a sharded array, or a chunk of one that is not sharded.
    pub fn retrieve_inner_chunk<T: FromArrayBytes>(&self, inner: &[u64]) -> Result<T> {
        Ok(self.read_subset(&self.inner_chunk_subset(inner)?)?.0)
    }

    /// Reads a region of inner chunks of a sharded array, or of chunks of one that is not sharded.
    pub fn retrieve_inner_chunks<T: FromArrayBytes>(&self, inner: &ArraySubset) -> Result<T> {
        Ok(self.read_subset(&self.inner_chunks_subset(inner)?)?.0)
    }

    /// Reads a chunk as it is stored; `None`: it is not stored.
    pub fn retrieve_encoded_chunk(&self, chunk: &[u64]) -> Result<Option<Vec<u8>>> {
        self.chunk_subset(chunk).place(|| self.name())?;
        self.reader().encoded(chunk, None)
    }

    /// Reads a region of chunks as they are stored, in the order of [`ArraySubset::indices`].
    pub fn retrieve_encoded_chunks(&self, chunks: &ArraySubset) -> Result<Vec<Option<Vec<u8>>>> {
        self.chunks_subset(chunks).place(|| self.name())?;
        let indices: Vec<_> = chunks.indices().collect();
        let read = |chunk: &Dims| self.reader().encoded(chunk, None);
        if self.reader().source.store.is_remote() {
            return gather_map(&indices, read);
        }
        parallel_map(&indices, self.options.concurrency(), read)
    }

    /// Reads an inner chunk of a sharded array as it is stored in its shard, or a chunk of one that is not sharded;
    /// `None`: it is not stored.
    pub fn retrieve_encoded_inner_chunk(&self, inner: &[u64]) -> Result<Option<Vec<u8>>> {
        let (shard, inside) = self.shard_of(inner).place(|| self.name())?;
        let inside = inside.map(|inside| self.chain().order().iter().map(|axis| inside[*axis]).collect::<Dims>());
        self.reader().encoded(&shard, inside.as_deref())
    }

    /// What reading a selection would do: chunks, requests, bytes. Reads the indexes of shards, but no chunk.
    pub fn explain(&self, selection: &Selection) -> Result<Explanation> {
        selection.check(self.shape()).place(|| self.describe())?;
        let strides = c_strides(&selection.shape(), self.data_type().size());
        self.reader().explain(&selection.region(&strides, 0))
    }

    /// Calls `f` for each chunk of a region of chunks, at most `concurrency` at once; the results are in index order.
    pub fn map_chunks<R: Send>(
        &self,
        chunks: &ArraySubset,
        concurrency: usize,
        f: impl Fn(&[u64]) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        self.chunks_subset(chunks).place(|| self.name())?;
        let indices: Vec<_> = chunks.indices().collect();
        parallel_map(&indices, concurrency, |chunk| f(chunk))
    }
}
