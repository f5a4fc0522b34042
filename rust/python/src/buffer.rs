//! Memory that NumPy owns, for the core to read into and to write from.
//!
//! All `unsafe` of the binding is here. Each buffer holds its ndarray, so that the memory stays as long as a call goes
//! on, on whichever thread.

use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use tegula::{Dims, InputBuffer, OutputBuffer, size_in_memory};

use crate::errors::{OrRaise, exception};

/// The elements of an ndarray: what its strides reach, as one run of bytes.
struct Memory {
    array: Py<PyUntypedArray>,
    start: *mut u8,
    length: usize,
    origin: isize,
    strides: Dims<isize>,
}

// SAFETY: the pointer goes with the ndarray that owns the memory, which may be used and dropped on any thread.
unsafe impl Send for Memory {}

impl Memory {
    /// Checks type and shape; the array owns the memory, or its base does, as long as it is referred to.
    fn new(array: &Bound<'_, PyUntypedArray>, dtype: &Bound<'_, PyArrayDescr>, shape: &[u64]) -> PyResult<Self> {
        let py = array.py();
        let own = array.dtype();
        // The core's data types hold no objects, so that an array of such is refused here.
        if !own.is(dtype) && !own.is_equiv_to(dtype) {
            return Err(exception(py, "InvalidSelectionError", &format!("the elements are {dtype}, not {own}")));
        }
        if array.ndim() != shape.len() || array.shape().iter().zip(shape).any(|(own, due)| *own as u64 != *due) {
            let (own, due) = (PyTuple::new(py, array.shape())?, PyTuple::new(py, shape)?);
            let message = format!("an ndarray of shape {own} is given for elements of shape {due}");
            return Err(exception(py, "InvalidSelectionError", &message));
        }
        let strides: Dims<isize> = array.strides().into();
        let (mut low, mut high) = (0, 0);
        for (stride, length) in strides.iter().zip(array.shape()) {
            let reach = stride * (length.max(&1) - 1).cast_signed();
            if reach < 0 { low += reach } else { high += reach }
        }
        let length = if array.is_empty() { 0 } else { (high - low).cast_unsigned() + own.itemsize() };
        // SAFETY: an ndarray's header stays as it is while we hold the GIL; of an array with elements all that the
        // strides reach is its own, so that the lowest element is in bounds.
        let start = unsafe {
            let data = (*array.as_array_ptr()).fields.data.cast::<u8>();
            if array.is_empty() { data } else { data.offset(low) }
        };
        Ok(Self { array: array.clone().unbind(), start, length, origin: -low, strides })
    }
}

/// Elements to be read.
pub(crate) struct Target(Memory);

impl Target {
    /// The caller's array, or a new one where there is none.
    pub(crate) fn new(
        out: Option<&Bound<'_, PyAny>>,
        dtype: &Bound<'_, PyArrayDescr>,
        shape: &[u64],
    ) -> PyResult<Self> {
        static EMPTY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = dtype.py();
        let Some(out) = out else {
            size_in_memory(shape, dtype.itemsize()).or_raise(py)?;
            let array = EMPTY.import(py, "numpy", "empty")?.call1((PyTuple::new(py, shape)?, dtype))?;
            return Memory::new(array.cast()?, dtype, shape).map(Self);
        };
        let array = out
            .cast::<PyUntypedArray>()
            .map_err(|_| PyTypeError::new_err(format!("out must be an ndarray, not {}", out.get_type())))?;
        let memory = Memory::new(array, dtype, shape)?;
        // SAFETY: as in `Memory::new`.
        let flags = unsafe { (*array.as_array_ptr()).fields.flags };
        if flags & numpy::npyffi::flags::NPY_ARRAY_WRITEABLE == 0 {
            return Err(exception(py, "InvalidSelectionError", "out is read-only"));
        }
        if overlaps(&memory.strides, array.shape(), dtype.itemsize()) {
            return Err(exception(py, "InvalidSelectionError", "elements of out overlap in memory"));
        }
        Ok(Self(memory))
    }

    /// The memory, for one call.
    pub(crate) fn buffer(&mut self) -> OutputBuffer<'_> {
        let Memory { start, length, origin, strides, .. } = &self.0;
        // SAFETY: the ndarray, which we hold, keeps the memory; it is writable, and its elements do not overlap. That no
        // other thread uses it meanwhile is up to the caller, as it is for NumPy's own functions without the GIL.
        unsafe { OutputBuffer::from_raw(*start, *length, *origin, strides) }
    }

    /// The array.
    pub(crate) fn into_array(self) -> Py<PyAny> {
        self.0.array.into_any()
    }
}

/// Whether two elements may share bytes: not so where each axis steps over all that the axes with shorter steps reach,
/// as in every slice of an array that owns its elements.
fn overlaps(strides: &[isize], shape: &[usize], size: usize) -> bool {
    if shape.contains(&0) {
        return false;
    }
    let mut axes: Dims<(usize, usize)> =
        strides.iter().map(|stride| stride.unsigned_abs()).zip(shape.iter().copied()).collect();
    axes.sort_unstable();
    let mut reach = size;
    for (stride, length) in axes.into_iter().filter(|(_, length)| *length > 1) {
        if stride < reach {
            return true;
        }
        reach += stride * (length - 1);
    }
    false
}

/// Elements to be written.
pub(crate) struct Origin(Memory);

impl Origin {
    /// The elements of an array.
    pub(crate) fn new(data: &Bound<'_, PyAny>, dtype: &Bound<'_, PyArrayDescr>, shape: &[u64]) -> PyResult<Self> {
        let array = data
            .cast::<PyUntypedArray>()
            .map_err(|_| PyTypeError::new_err(format!("the elements must be an ndarray, not {}", data.get_type())))?;
        Memory::new(array, dtype, shape).map(Self)
    }

    /// The memory, for one call.
    pub(crate) fn buffer(&self) -> InputBuffer<'_> {
        let Memory { start, length, origin, strides, .. } = &self.0;
        // SAFETY: the ndarray, which we hold, keeps the memory. That no other thread writes to it meanwhile is up to the
        // caller, as it is for NumPy's own functions without the GIL.
        let bytes = unsafe { std::slice::from_raw_parts(*start, *length) };
        InputBuffer { bytes, origin: *origin, strides }
    }
}
