//! Memory of the caller: buffers that reads fill, and buffers that writes take elements from.

use std::marker::PhantomData;

use crate::error::{Error, Result};
use crate::plan::Region;
use crate::selection::{Selection, size_in_memory};
use crate::slot::{Heaps, Keeping, Sink, Slot};
use crate::subset::{Dims, tuple};
use crate::view::{Output, Zeroable, c_strides, zeroed};

/// Checks that a buffer has the shape of the elements that are read or written.
pub fn check_shape(buffer: &[u64], elements: &[u64]) -> Result<()> {
    if buffer == elements {
        return Ok(());
    }
    let (buffer, elements) = (tuple(buffer), tuple(elements));
    Err(Error::selection(format!("a buffer of shape {buffer} cannot hold elements of shape {elements}")))
}

/// Checks that the number of given bytes is `size`, which the elements take.
pub(super) fn check_length(given: usize, size: usize, shape: &[u64]) -> Result<()> {
    if given == size {
        return Ok(());
    }
    let shape = tuple(shape);
    Err(Error::selection(format!("a buffer of {given} bytes cannot hold elements of shape {shape}, which take {size}")))
}

/// Allocates zeroed memory for the result of a read: `size` bytes for each element of `shape`, as values of `E`.
pub(super) fn allocate<E: Zeroable>(shape: &[u64], size: usize) -> Result<Vec<E>> {
    zeroed(size_in_memory(shape, size)? / size_of::<E>())
}

/// Memory to read into: a buffer, its shape, the offset of the first element, and strides in bytes.
pub struct OutputBuffer<'a> {
    start: *mut u8,
    length: usize,
    origin: isize,
    shape: Dims,
    strides: Dims<isize>,
    keeping: Option<Keeping<'a>>,
    _buffer: PhantomData<&'a mut [u8]>,
}

impl<'a> OutputBuffer<'a> {
    /// Wraps a buffer for elements of a shape and an item size, in C order.
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection) if the buffer has another length.
    pub fn new(buffer: &'a mut [u8], shape: &[u64], size: usize) -> Result<Self> {
        check_length(buffer.len(), size_in_memory(shape, size)?, shape)?;
        let (start, length, strides) = (buffer.as_mut_ptr(), buffer.len(), c_strides(shape, size));
        Ok(Self { start, length, origin: 0, shape: shape.into(), strides, keeping: None, _buffer: PhantomData })
    }

    /// Allocates memory for the [slots](Slot) of elements of variable length. All slots are empty.
    pub fn slots(shape: &[u64]) -> Result<Vec<u8>> {
        allocate(shape, Slot::SIZE)
    }

    /// Wraps memory of another owner.
    ///
    /// # Safety
    /// For `'a`, `length` bytes from `start` must be writable and used by nobody else. No two elements that the strides
    /// reach from `origin` may overlap.
    pub unsafe fn from_raw(start: *mut u8, length: usize, origin: isize, shape: &[u64], strides: &[isize]) -> Self {
        let (shape, strides) = (shape.into(), strides.into());
        Self { start, length, origin, shape, strides, keeping: None, _buffer: PhantomData }
    }

    /// Returns the memory for elements of variable length: it gets their [slots](Slot), and `heaps` their bytes.
    #[must_use]
    pub fn with_heaps(self, heaps: &'a Heaps) -> Self {
        Self { keeping: Some(Keeping::Heaps(heaps)), ..self }
    }

    /// Returns the memory for elements of variable length, which `sink` writes to it.
    #[must_use]
    pub fn with_sink(self, sink: &'a dyn Sink) -> Self {
        Self { keeping: Some(Keeping::Sink(sink)), ..self }
    }

    /// Returns the region of this memory that a selection fills.
    pub(super) fn region(&self, selection: &Selection) -> Result<Region> {
        check_shape(&self.shape, &selection.shape())?;
        Ok(selection.region(&self.strides, self.origin))
    }

    /// Splits off the first axis: returns its stride and, for the other axes, the strides and the offset of the first
    /// element.
    pub(super) fn rows(&self, count: usize, shape: &[u64]) -> Result<(isize, Dims<isize>, isize)> {
        let expected: Dims = std::iter::once(count as u64).chain(shape.iter().copied()).collect();
        check_shape(&self.shape, &expected)?;
        Ok((self.strides[0], self.strides[1..].into(), self.origin))
    }

    /// Shares the memory among the threads of a read.
    pub(super) fn share(&mut self) -> Output<'_> {
        // SAFETY: the memory is writable and used by nobody else as long as `self` lives, by the constructors; the planner
        // gives each element of it to one chunk.
        unsafe { Output::from_raw(self.start, self.length) }.keeping(self.keeping)
    }
}

/// Memory to write from: a buffer, the offset of the first element, and strides in bytes.
#[derive(Clone, Copy, Debug)]
pub struct InputBuffer<'a> {
    /// The buffer.
    pub bytes: &'a [u8],
    /// Offset of the first element, in bytes.
    pub origin: isize,
    /// Stride of each axis, in bytes.
    pub strides: &'a [isize],
    /// The bytes of elements of variable length, whose [slots](Slot) the buffer contains. A slot of heap
    /// [`InputBuffer::HEAP`] refers to these bytes; any other slot stands for the fill value.
    pub heap: &'a [u8],
}

impl InputBuffer<'_> {
    /// The heap number of slots that refer to [`heap`](Self::heap).
    pub const HEAP: u32 = crate::write::GIVEN;

    /// Checks that the buffer has as many dimensions as the elements that are written.
    pub(super) fn check_rank(&self, shape: &[u64]) -> Result<()> {
        if self.strides.len() == shape.len() {
            return Ok(());
        }
        let (rank, shape) = (self.strides.len(), tuple(shape));
        Err(Error::selection(format!("a buffer of {rank} dimensions cannot hold elements of shape {shape}")))
    }
}
