//! Arrays of NumPy's `StringDType`, through NumPy's C API for strings.
//!
//! <https://numpy.org/doc/stable/reference/c-api/strings.html>

use std::ffi::{c_char, c_int, c_void};
use std::sync::Mutex;

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError};
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};
use tegula::{Error, Put, Sink};

/// Size of a packed string, in bytes.
const PACKED: usize = 16;

/// Indices of the functions in NumPy's API table, since NumPy 2.0.
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

/// API functions, descriptor and elements of an array of strings. The array owns the descriptor and the elements.
#[derive(Clone, Copy)]
pub(crate) struct Strings {
    start: *mut u8,
    descriptor: *mut PyObject,
    load: Load,
    pack: Pack,
    acquire: Acquire,
    release: Release,
}

// SAFETY: a thread that has acquired the allocator may call the functions without the GIL.
unsafe impl Send for Strings {}
// SAFETY: as above.
unsafe impl Sync for Strings {}

impl Strings {
    /// Returns access to an array whose first element is at `start`. It must not be used after the array is dropped.
    pub(crate) fn new(array: &Bound<'_, PyUntypedArray>, start: *mut u8) -> PyResult<Self> {
        let py = array.py();
        let dtype = array.dtype();
        if dtype.getattr("kind")?.extract::<char>()? != 'T' || dtype.getattr("itemsize")?.extract::<usize>()? != PACKED
        {
            return Err(PyRuntimeError::new_err("expected an array of StringDType"));
        }
        let table = py.import("numpy._core.multiarray")?.getattr("_ARRAY_API")?.cast_into::<PyCapsule>()?;
        let table = table.pointer_checked(None)?.cast::<*const c_void>();
        // SAFETY: an array of this type exists, so the table has these functions with these signatures. The table lives
        // as long as the process.
        unsafe {
            let function = |at: usize| table.add(at).read();
            Ok(Self {
                start,
                descriptor: dtype.as_ptr(),
                load: std::mem::transmute::<*const c_void, Load>(function(LOAD)),
                pack: std::mem::transmute::<*const c_void, Pack>(function(PACK)),
                acquire: std::mem::transmute::<*const c_void, Acquire>(function(ACQUIRE)),
                release: std::mem::transmute::<*const c_void, Release>(function(RELEASE)),
            })
        }
    }

    /// Locks the allocator. Until it is released, this thread must not take the GIL: another thread may hold the GIL
    /// and wait for the allocator.
    pub(crate) fn acquire(&self) -> Acquired<'_> {
        // SAFETY: the descriptor lives as long as its array.
        Acquired { strings: self, allocator: unsafe { (self.acquire)(self.descriptor) }, mutex: Mutex::new(()) }
    }
}

/// An array of strings with a locked allocator.
pub(crate) struct Acquired<'a> {
    strings: &'a Strings,
    allocator: *mut c_void,
    mutex: Mutex<()>,
}

// SAFETY: the mutex lets one thread at a time use the allocator.
unsafe impl Sync for Acquired<'_> {}

impl Drop for Acquired<'_> {
    fn drop(&mut self) {
        // SAFETY: `acquire` locked the allocator.
        unsafe { (self.strings.release)(self.allocator) }
    }
}

impl Sink for Acquired<'_> {
    fn lock(&self) -> Put<'_> {
        let guard = self.mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Box::new(move |at, element| {
            let _ = &guard;
            // SAFETY: the core has checked that `at` is the offset of an element. We hold the allocator and the mutex,
            // and NumPy copies the bytes.
            let failed = unsafe {
                let packed = self.strings.start.add(at).cast();
                (self.strings.pack)(self.allocator, packed, element.as_ptr().cast(), element.len())
            };
            if failed == 0 { Ok(()) } else { Err(Error::store("out of memory for strings")) }
        })
    }
}

/// Calls `take` with each string of a contiguous array; with `None` for a missing string.
pub(crate) fn read(
    array: &Bound<'_, PyUntypedArray>,
    mut take: impl FnMut(Option<&[u8]>) -> PyResult<()>,
) -> PyResult<()> {
    // SAFETY: the header of an ndarray does not change while we hold the GIL.
    let strings = Strings::new(array, unsafe { (*array.as_array_ptr()).fields.data.cast() })?;
    let acquired = strings.acquire();
    for k in 0..array.len() {
        let mut found = Static { size: 0, start: std::ptr::null() };
        // SAFETY: the element is in the array, and we hold the allocator.
        let state = unsafe { (strings.load)(acquired.allocator, strings.start.add(k * PACKED).cast(), &raw mut found) };
        match state {
            0 if found.size == 0 => take(Some(&[]))?,
            // SAFETY: the bytes are valid until the allocator is released.
            0 => take(Some(unsafe { std::slice::from_raw_parts(found.start.cast(), found.size) }))?,
            1 => take(None)?,
            _ => return Err(PyMemoryError::new_err("out of memory for strings")),
        }
    }
    Ok(())
}
