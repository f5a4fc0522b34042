//! NumPy's arrays of strings of variable length, through the part of its C API that is for them.
//!
//! <https://numpy.org/doc/stable/reference/c-api/strings.html>

use std::ffi::{c_char, c_int, c_void};

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError};
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

/// The size of an element, which says where its string is.
const PACKED: usize = 16;

/// Where the functions stand in NumPy's table, since its version 2.0.
const LOAD: usize = 313;
const PACK: usize = 314;
const ACQUIRE: usize = 316;
const RELEASE: usize = 318;

#[repr(C)]
struct Static {
    size: usize,
    start: *const c_char,
}

type Load = unsafe extern "C" fn(*mut c_void, *const c_void, *mut Static) -> c_int;
type Pack = unsafe extern "C" fn(*mut c_void, *mut c_void, *const c_char, usize) -> c_int;
type Acquire = unsafe extern "C" fn(*mut PyObject) -> *mut c_void;
type Release = unsafe extern "C" fn(*mut c_void);

/// The elements of an array of strings, while its allocator is ours.
struct Strings<'py> {
    start: *mut u8,
    count: usize,
    allocator: *mut c_void,
    load: Load,
    pack: Pack,
    release: Release,
    /// Keeps the memory and the allocator.
    _array: Bound<'py, PyUntypedArray>,
}

impl<'py> Strings<'py> {
    /// Of an array whose elements follow one another.
    fn new(array: &Bound<'py, PyUntypedArray>) -> PyResult<Self> {
        let py = array.py();
        let dtype = array.dtype();
        let kind: String = dtype.getattr("kind")?.extract()?;
        if kind != "T" || dtype.getattr("itemsize")?.extract::<usize>()? != PACKED || !array.is_c_contiguous() {
            return Err(PyRuntimeError::new_err("not an array of strings that follow one another"));
        }
        let table = py.import("numpy._core.multiarray")?.getattr("_ARRAY_API")?.cast_into::<PyCapsule>()?;
        let table = table.pointer_checked(None)?.cast::<*const c_void>();
        // SAFETY: an array of this type exists, so that the table has these functions, with these signatures; it lives
        // as long as the process. The array's header stays as it is while we hold the GIL.
        unsafe {
            let function = |at: usize| table.add(at).read();
            let acquire = std::mem::transmute::<*const c_void, Acquire>(function(ACQUIRE));
            Ok(Self {
                start: (*array.as_array_ptr()).fields.data.cast(),
                count: array.len(),
                load: std::mem::transmute::<*const c_void, Load>(function(LOAD)),
                pack: std::mem::transmute::<*const c_void, Pack>(function(PACK)),
                release: std::mem::transmute::<*const c_void, Release>(function(RELEASE)),
                allocator: acquire(dtype.as_ptr()),
                _array: array.clone(),
            })
        }
    }

    fn element(&self, k: usize) -> *mut c_void {
        // SAFETY: callers stay below `count`, and the elements follow one another.
        unsafe { self.start.add(k * PACKED).cast() }
    }
}

impl Drop for Strings<'_> {
    fn drop(&mut self) {
        // SAFETY: it is ours since `new`.
        unsafe { (self.release)(self.allocator) }
    }
}

/// Writes strings, which are UTF-8, into a new array of them in C order.
pub(crate) fn write<'a>(
    array: &Bound<'_, PyUntypedArray>,
    elements: impl ExactSizeIterator<Item = &'a [u8]>,
) -> PyResult<()> {
    let strings = Strings::new(array)?;
    for (k, element) in elements.enumerate().take(strings.count) {
        // SAFETY: the element lies in the array, whose allocator is ours; the bytes are copied.
        let failed =
            unsafe { (strings.pack)(strings.allocator, strings.element(k), element.as_ptr().cast(), element.len()) };
        if failed != 0 {
            return Err(PyMemoryError::new_err("no memory for strings"));
        }
    }
    Ok(())
}

/// Calls `take` with each string of an array in C order; `None`: it is missing.
pub(crate) fn read(
    array: &Bound<'_, PyUntypedArray>,
    mut take: impl FnMut(Option<&[u8]>) -> PyResult<()>,
) -> PyResult<()> {
    let strings = Strings::new(array)?;
    for k in 0..strings.count {
        let mut found = Static { size: 0, start: std::ptr::null() };
        // SAFETY: the element lies in the array, whose allocator is ours.
        let state = unsafe { (strings.load)(strings.allocator, strings.element(k), &raw mut found) };
        match state {
            0 if found.size == 0 => take(Some(&[]))?,
            // SAFETY: so many bytes are there as long as the allocator is ours.
            0 => take(Some(unsafe { std::slice::from_raw_parts(found.start.cast(), found.size) }))?,
            1 => take(None)?,
            _ => return Err(PyMemoryError::new_err("no memory for strings")),
        }
    }
    Ok(())
}
