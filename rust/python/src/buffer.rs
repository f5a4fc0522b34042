//! Memory of ndarrays for the core: targets of reads and sources of writes.
//!
//! A buffer holds a reference to its ndarray, so that the memory outlives the call, on any thread.

use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyMemoryError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use tegula::{DataType, Dims, Heaps, InputBuffer, OutputBuffer, Slot, check_shape, size_in_memory};

use crate::errors::{OrRaise, exception};
use crate::strings::Strings;
use crate::subset::tuple;
use crate::variable::{self, VariableForm, VariableInput};

/// Memory of an ndarray: the byte range that its strides span.
pub(crate) struct Memory {
    array: Py<PyUntypedArray>,
    start: *mut u8,
    length: usize,
    origin: isize,
    shape: Dims,
    strides: Dims<isize>,
}

// SAFETY: the struct holds the ndarray that owns the memory, which may be used and dropped on any thread.
unsafe impl Send for Memory {}

impl Memory {
    /// Checks data type and shape of an ndarray. The ndarray or its base owns the memory.
    fn new(array: &Bound<'_, PyUntypedArray>, dtype: &Bound<'_, PyArrayDescr>, shape: &[u64]) -> PyResult<Self> {
        let py = array.py();
        let found = array.dtype();
        // Arrays of objects fail here, as no data type of the core is equivalent to them.
        if !found.is(dtype) && !found.is_equiv_to(dtype) {
            return Err(exception(py, "InvalidSelectionError", &format!("the elements are {dtype}, not {found}")));
        }
        check_same_shape(array, shape)?;
        let strides: Dims<isize> = array.strides().into();
        let (mut low, mut high) = (0, 0);
        for (stride, length) in strides.iter().zip(array.shape()) {
            let reach = stride * (length.max(&1) - 1).cast_signed();
            if reach < 0 { low += reach } else { high += reach }
        }
        let length = if array.is_empty() { 0 } else { (high - low).cast_unsigned() + found.itemsize() };
        // SAFETY: the header of an ndarray does not change while we hold the GIL. If the array has elements, it owns
        // all memory that its strides span, so the lowest element is in bounds.
        let start = unsafe {
            let data = (*array.as_array_ptr()).fields.data.cast::<u8>();
            if array.is_empty() { data } else { data.offset(low) }
        };
        Ok(Self { array: array.clone().unbind(), start, length, origin: -low, shape: shape.into(), strides })
    }

    /// Allocates an ndarray in C order; see [`Target::new`] for `result`.
    fn empty(dtype: &Bound<'_, PyArrayDescr>, shape: &[u64], result: Option<&Bound<'_, PyTuple>>) -> PyResult<Self> {
        static EMPTY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = dtype.py();
        let length = size_in_memory(shape, dtype.itemsize()).or_raise(py)?;
        let dimensions = result.map_or_else(|| tuple(py, shape), |result| Ok(result.clone()))?;
        let array = EMPTY.import(py, "numpy", "empty")?.call1((dimensions, dtype))?.cast_into::<PyUntypedArray>()?;
        // SAFETY: the header of an ndarray does not change while we hold the GIL.
        let start = unsafe { (*array.as_array_ptr()).fields.data.cast::<u8>() };
        let strides = c_strides(shape, dtype.itemsize());
        Ok(Self { array: array.unbind(), start, length, origin: 0, shape: shape.into(), strides })
    }
}

/// Type of the elements in Python.
pub(crate) struct ElementType {
    pub(crate) dtype: Py<PyArrayDescr>,
    /// For elements of variable length: their data type, and the form in Python.
    pub(crate) variable: Option<(DataType, VariableForm)>,
}

impl ElementType {
    pub(crate) fn new(data_type: &DataType, dtype: Bound<'_, PyArrayDescr>) -> PyResult<Self> {
        let variable = if data_type.is_variable() {
            Some((data_type.clone(), variable::form_of(data_type, &dtype)?))
        } else {
            None
        };
        Ok(Self { dtype: dtype.unbind(), variable })
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self { dtype: self.dtype.clone_ref(py), variable: self.variable.clone() }
    }
}

/// Target of a read.
pub(crate) enum Target {
    /// An ndarray of elements of fixed size.
    Fixed(Memory),
    /// An ndarray of NumPy's `StringDType`.
    Strings(Memory, Strings),
    /// Elements of variable length, converted to objects, or to bytes and offsets, after the read.
    Variable {
        slots: Vec<u8>,
        heaps: Heaps,
        shape: Dims,
        result: Py<PyTuple>,
        data_type: DataType,
        form: VariableForm,
        out: Option<Py<PyAny>>,
    },
}

impl Target {
    /// Allocates an ndarray of a shape, or checks `out`. If `result` is given, it is the shape of the new ndarray and
    /// has as many elements. `fill_value` is for elements of variable length.
    pub(crate) fn new(
        py: Python<'_>,
        out: Option<&Bound<'_, PyAny>>,
        elements: &ElementType,
        shape: &[u64],
        result: Option<&Bound<'_, PyTuple>>,
        fill_value: &[u8],
    ) -> PyResult<Self> {
        let dtype = elements.dtype.bind(py);
        let out = out.map(|out| check_out(out, shape)).transpose()?;
        if let Some((data_type, form)) = &elements.variable {
            size_in_memory(shape, Slot::SIZE).or_raise(py)?;
            let kind = out.map(|out| out.dtype().getattr("kind")?.extract::<char>()).transpose()?;
            let form = match (kind, form) {
                (None, form) => *form,
                (Some('T'), VariableForm::Strings) => VariableForm::Strings,
                (Some('O'), VariableForm::Strings | VariableForm::Objects) => VariableForm::Objects,
                _ => {
                    let message = format!("out must be an ndarray of objects for elements of {data_type}");
                    return Err(exception(py, "InvalidSelectionError", &message));
                }
            };
            if form != VariableForm::Strings {
                let slots = OutputBuffer::slots(shape).map_err(|error| PyMemoryError::new_err(error.to_string()))?;
                let (heaps, data_type) = (Heaps::new(fill_value), data_type.clone());
                let result = result.map_or_else(|| tuple(py, shape), |result| Ok(result.clone()))?.unbind();
                let out = out.map(|out| out.clone().into_any().unbind());
                return Ok(Self::Variable { slots, heaps, shape: shape.into(), result, data_type, form, out });
            }
        }
        let Some(out) = out else {
            return Memory::empty(dtype, shape, result).and_then(|memory| Self::of(py, memory, elements));
        };
        let memory = Memory::new(out, dtype, shape)?;
        // SAFETY: as in `Memory::new`.
        let flags = unsafe { (*out.as_array_ptr()).fields.flags };
        if flags & numpy::npyffi::flags::NPY_ARRAY_WRITEABLE == 0 {
            return Err(exception(py, "InvalidSelectionError", "out is read-only"));
        }
        if overlaps(&memory.strides, out.shape(), dtype.itemsize()) {
            return Err(exception(py, "InvalidSelectionError", "out has elements that overlap in memory"));
        }
        Self::of(py, memory, elements)
    }

    fn of(py: Python<'_>, memory: Memory, elements: &ElementType) -> PyResult<Self> {
        if elements.variable.is_none() {
            return Ok(Self::Fixed(memory));
        }
        let strings = Strings::new(memory.array.bind(py), memory.start)?;
        Ok(Self::Strings(memory, strings))
    }

    /// Calls a function with the memory. The function must not take the GIL.
    pub(crate) fn lend<T>(&mut self, call: impl FnOnce(OutputBuffer<'_>) -> tegula::Result<T>) -> tegula::Result<T> {
        let lent = |memory: &Memory| {
            let Memory { start, length, origin, shape, strides, .. } = memory;
            // SAFETY: we hold the ndarray that owns the memory; it is writable, and its elements do not overlap. As
            // with NumPy functions that release the GIL, the caller must not use it on other threads.
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

    /// Returns the ndarray that was read, or (bytes, offsets).
    pub(crate) fn into_array(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Fixed(memory) | Self::Strings(memory, _) => Ok(memory.array.into_any()),
            Self::Variable { slots, heaps, result, data_type, form, out, .. } => {
                let array = variable::to_python(py, form, &data_type, result.bind(py), &slots, heaps)?;
                let Some(out) = out else { return Ok(array.unbind()) };
                py.import("numpy")?.call_method1("copyto", (&out, array, "unsafe"))?;
                Ok(out)
            }
        }
    }
}

/// Returns the stride of each axis in C order, in bytes.
fn c_strides(shape: &[u64], size: usize) -> Dims<isize> {
    let mut strides = Dims::from_elem(0, shape.len());
    let mut stride = size as isize;
    for axis in (0..shape.len()).rev() {
        strides[axis] = stride;
        stride *= shape[axis].max(1) as isize;
    }
    strides
}

/// Returns whether two elements may share bytes. They do not if the stride of each axis exceeds the extent of the axes
/// with shorter strides. This holds for every slice of an array that owns its elements.
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

/// Source of a write.
pub(crate) enum Source {
    /// An ndarray of elements of fixed size.
    Fixed(Memory),
    /// Elements of variable length in C order, and the strides of their slots.
    Variable(VariableInput, Dims<isize>),
}

impl Source {
    /// Checks data type and shape of an ndarray.
    pub(crate) fn new(data: &Bound<'_, PyAny>, elements: &ElementType, shape: &[u64]) -> PyResult<Self> {
        let array = data
            .cast::<PyUntypedArray>()
            .map_err(|_| PyTypeError::new_err(format!("the elements must be an ndarray, not {}", data.get_type())))?;
        let Some((data_type, _)) = &elements.variable else {
            return Memory::new(array, elements.dtype.bind(data.py()), shape).map(Self::Fixed);
        };
        check_same_shape(array, shape)?;
        let strides = c_strides(shape, Slot::SIZE);
        Ok(Self::Variable(VariableInput::new(array, data_type)?, strides))
    }

    /// Wraps an ndarray of any data type.
    pub(crate) fn any(array: &Bound<'_, PyUntypedArray>) -> PyResult<Self> {
        let shape: Dims = array.shape().iter().map(|length| *length as u64).collect();
        Memory::new(array, &array.dtype(), &shape).map(Self::Fixed)
    }

    /// Returns the memory.
    pub(crate) fn buffer(&self) -> InputBuffer<'_> {
        let Memory { start, length, origin, strides, .. } = match self {
            Self::Fixed(memory) => memory,
            Self::Variable(input, strides) => {
                return InputBuffer { bytes: &input.slots, origin: 0, strides, heap: &input.heap };
            }
        };
        // SAFETY: we hold the ndarray that owns the memory. As with NumPy functions that release the GIL, the caller
        // must not write to it on other threads.
        let bytes = unsafe { std::slice::from_raw_parts(*start, *length) };
        InputBuffer { bytes, origin: *origin, strides, heap: &[] }
    }
}

/// Returns `out` if it is an ndarray of a shape.
fn check_out<'a, 'py>(out: &'a Bound<'py, PyAny>, shape: &[u64]) -> PyResult<&'a Bound<'py, PyUntypedArray>> {
    let array = out
        .cast::<PyUntypedArray>()
        .map_err(|_| PyTypeError::new_err(format!("out must be an ndarray, not {}", out.get_type())))?;
    check_same_shape(array, shape)?;
    Ok(array)
}

fn check_same_shape(array: &Bound<'_, PyUntypedArray>, shape: &[u64]) -> PyResult<()> {
    let found: Dims = array.shape().iter().map(|length| *length as u64).collect();
    check_shape(&found, shape).or_raise(array.py())
}
