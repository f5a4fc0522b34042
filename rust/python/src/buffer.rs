//! Memory that NumPy owns, for the core to read into and to write from.
//!
//! Each buffer holds its ndarray, so that the memory stays as long as a call goes on, on whichever thread.

use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyMemoryError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use tegula::{DataType, Dims, Heaps, InputBuffer, OutputBuffer, Slot, check_shape, size_in_memory};

use crate::errors::{OrRaise, exception};
use crate::strings::Strings;
use crate::subset::tuple;
use crate::variable::{self, As, Given};

/// The elements of an ndarray: what its strides reach, as one run of bytes.
pub(crate) struct Memory {
    array: Py<PyUntypedArray>,
    start: *mut u8,
    length: usize,
    origin: isize,
    shape: Dims,
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
        same_shape(array, shape)?;
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
        Ok(Self { array: array.clone().unbind(), start, length, origin: -low, shape: shape.into(), strides })
    }
}

/// What elements are in Python: their data type, and that of NumPy.
pub(crate) struct Elements {
    pub(crate) dtype: Py<PyArrayDescr>,
    /// Elements of variable length, and what they come back as.
    pub(crate) variable: Option<(DataType, As)>,
}

impl Elements {
    pub(crate) fn new(data_type: &DataType, dtype: Bound<'_, PyArrayDescr>) -> PyResult<Self> {
        let variable =
            if data_type.is_variable() { Some((data_type.clone(), variable::form(data_type, &dtype)?)) } else { None };
        Ok(Self { dtype: dtype.unbind(), variable })
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self { dtype: self.dtype.clone_ref(py), variable: self.variable.clone() }
    }
}

/// Elements to be read.
pub(crate) enum Target {
    /// Of fixed size: in an ndarray.
    Fixed(Memory),
    /// Text: in an ndarray of NumPy's strings.
    Strings(Memory, Strings),
    /// Of variable length: what they become in the end.
    Variable { slots: Vec<u8>, heaps: Heaps, shape: Dims, data_type: DataType, form: As, out: Option<Py<PyAny>> },
}

impl Target {
    /// The caller's array, or a new one where there is none. The fill value is that of elements of variable length.
    pub(crate) fn new(
        py: Python<'_>,
        out: Option<&Bound<'_, PyAny>>,
        elements: &Elements,
        shape: &[u64],
        fill_value: &[u8],
    ) -> PyResult<Self> {
        static EMPTY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let dtype = elements.dtype.bind(py);
        if let Some((data_type, form)) = &elements.variable {
            size_in_memory(shape, Slot::SIZE).or_raise(py)?;
            let found = out.map(|out| checked(out, shape)).transpose()?;
            let kind = found.map(|out| out.dtype().getattr("kind")?.extract::<char>()).transpose()?;
            let form = match (kind, form) {
                (None, form) => *form,
                (Some('T'), As::Strings) => As::Strings,
                (Some('O'), As::Strings | As::Objects) => As::Objects,
                _ => {
                    return Err(exception(
                        py,
                        "InvalidSelectionError",
                        &format!("elements of {data_type} need objects"),
                    ));
                }
            };
            if form != As::Strings {
                let slots = OutputBuffer::slots(shape).map_err(|error| PyMemoryError::new_err(error.to_string()))?;
                let (heaps, shape, data_type) = (Heaps::new(fill_value), shape.into(), data_type.clone());
                let out = found.map(|out| out.clone().into_any().unbind());
                return Ok(Self::Variable { slots, heaps, shape, data_type, form, out });
            }
        }
        let Some(out) = out else {
            size_in_memory(shape, dtype.itemsize()).or_raise(py)?;
            let array = EMPTY.import(py, "numpy", "empty")?.call1((PyTuple::new(py, shape)?, dtype))?;
            return Memory::new(array.cast()?, dtype, shape).and_then(|memory| Self::of(py, memory, elements));
        };
        let array = checked(out, shape)?;
        let memory = Memory::new(array, dtype, shape)?;
        // SAFETY: as in `Memory::new`.
        let flags = unsafe { (*array.as_array_ptr()).fields.flags };
        if flags & numpy::npyffi::flags::NPY_ARRAY_WRITEABLE == 0 {
            return Err(exception(py, "InvalidSelectionError", "out is read-only"));
        }
        if overlaps(&memory.strides, array.shape(), dtype.itemsize()) {
            return Err(exception(py, "InvalidSelectionError", "elements of out overlap in memory"));
        }
        Self::of(py, memory, elements)
    }

    fn of(py: Python<'_>, memory: Memory, elements: &Elements) -> PyResult<Self> {
        if elements.variable.is_none() {
            return Ok(Self::Fixed(memory));
        }
        let strings = Strings::new(memory.array.bind(py), memory.start)?;
        Ok(Self::Strings(memory, strings))
    }

    /// The memory, for one call, which must not want the GIL.
    pub(crate) fn lend<T>(&mut self, call: impl FnOnce(OutputBuffer<'_>) -> tegula::Result<T>) -> tegula::Result<T> {
        let lent = |memory: &Memory| {
            let Memory { start, length, origin, shape, strides, .. } = memory;
            // SAFETY: the ndarray, which we hold, keeps the memory; it is writable, and its elements do not overlap. That
            // no other thread uses it meanwhile is up to the caller, as it is for NumPy's own functions without the GIL.
            unsafe { OutputBuffer::from_raw(*start, *length, *origin, shape, strides) }
        };
        match self {
            Self::Fixed(memory) => call(lent(memory)),
            Self::Strings(memory, strings) => call(lent(memory).with_sink(&strings.acquire())),
            Self::Variable { slots, heaps, shape, .. } => {
                call(OutputBuffer::new(slots, shape, Slot::SIZE)?.with_heaps(heaps))
            }
        }
    }

    /// The array; of elements of variable length what they are to be.
    pub(crate) fn into_array(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Fixed(memory) | Self::Strings(memory, _) => Ok(memory.array.into_any()),
            Self::Variable { slots, heaps, shape, data_type, form, out } => {
                let array = variable::to_python(py, form, &data_type, &tuple(py, &shape)?, &slots, heaps)?;
                let Some(out) = out else { return Ok(array.unbind()) };
                py.import("numpy")?.call_method1("copyto", (&out, array, "unsafe"))?;
                Ok(out)
            }
        }
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
pub(crate) enum Origin {
    /// Of fixed size: in an ndarray.
    Fixed(Memory),
    /// Of variable length, in C order of a shape.
    Variable(Given, Dims<isize>),
}

impl Origin {
    /// The elements of an array.
    pub(crate) fn new(data: &Bound<'_, PyAny>, elements: &Elements, shape: &[u64]) -> PyResult<Self> {
        let array = data
            .cast::<PyUntypedArray>()
            .map_err(|_| PyTypeError::new_err(format!("the elements must be an ndarray, not {}", data.get_type())))?;
        let Some((data_type, _)) = &elements.variable else {
            return Memory::new(array, elements.dtype.bind(data.py()), shape).map(Self::Fixed);
        };
        same_shape(array, shape)?;
        let mut strides = Dims::from_elem(0, shape.len());
        let mut stride = Slot::SIZE as isize;
        for axis in (0..shape.len()).rev() {
            strides[axis] = stride;
            stride *= array.shape()[axis].max(1).cast_signed();
        }
        Ok(Self::Variable(Given::new(array, data_type)?, strides))
    }

    /// Bytes.
    pub(crate) fn bytes(array: &Bound<'_, PyUntypedArray>) -> PyResult<Self> {
        Memory::new(array, &array.dtype(), &[array.len() as u64]).map(Self::Fixed)
    }

    /// The memory, for one call.
    pub(crate) fn buffer(&self) -> InputBuffer<'_> {
        let Memory { start, length, origin, strides, .. } = match self {
            Self::Fixed(memory) => memory,
            Self::Variable(given, strides) => {
                return InputBuffer { bytes: &given.slots, origin: 0, strides, heap: &given.heap };
            }
        };
        // SAFETY: the ndarray, which we hold, keeps the memory. That no other thread writes to it meanwhile is up to the
        // caller, as it is for NumPy's own functions without the GIL.
        let bytes = unsafe { std::slice::from_raw_parts(*start, *length) };
        InputBuffer { bytes, origin: *origin, strides, heap: &[] }
    }
}

/// The array that a caller wants to be filled.
fn checked<'a, 'py>(out: &'a Bound<'py, PyAny>, shape: &[u64]) -> PyResult<&'a Bound<'py, PyUntypedArray>> {
    let array = out
        .cast::<PyUntypedArray>()
        .map_err(|_| PyTypeError::new_err(format!("out must be an ndarray, not {}", out.get_type())))?;
    same_shape(array, shape)?;
    Ok(array)
}

fn same_shape(array: &Bound<'_, PyUntypedArray>, shape: &[u64]) -> PyResult<()> {
    let found: Dims = array.shape().iter().map(|length| *length as u64).collect();
    check_shape(&found, shape).or_raise(array.py())
}
