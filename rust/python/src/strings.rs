//! NumPy's arrays of strings of variable length, through the part of its C API that is for them.
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

/// The functions, the descriptor and the elements of an array of strings. Its header keeps all of them.
#[derive(Clone, Copy)]
pub(crate) struct Strings {
    start: *mut u8,
    descriptor: *mut PyObject,
    load: Load,
    pack: Pack,
    acquire: Acquire,
    release: Release,
}

// SAFETY: NumPy allows its functions without the GIL, on any thread, for whoever has acquired the allocator.
unsafe impl Send for Strings {}
// SAFETY: as above.
unsafe impl Sync for Strings {}

impl Strings {
    /// Of an array of strings, whose first byte in memory is `start`, as long as the array is there.
    pub(crate) fn new(array: &Bound<'_, PyUntypedArray>, start: *mut u8) -> PyResult<Self> {
        let py = array.py();
        let dtype = array.dtype();
        if dtype.getattr("kind")?.extract::<char>()? != 'T' || dtype.getattr("itemsize")?.extract::<usize>()? != PACKED
        {
            return Err(PyRuntimeError::new_err("not an array of strings"));
        }
        let table = py.import("numpy._core.multiarray")?.getattr("_ARRAY_API")?.cast_into::<PyCapsule>()?;
        let table = table.pointer_checked(None)?.cast::<*const c_void>();
        // SAFETY: an array of this type exists, so that the table has these functions, with these signatures; it lives
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

    /// Makes the allocator ours. Whoever waits for it with the GIL holds that: this one must not want the GIL meanwhile.
    pub(crate) fn acquire(&self) -> Acquired<'_> {
        // SAFETY: the descriptor lives as long as its array.
        Acquired { strings: self, allocator: unsafe { (self.acquire)(self.descriptor) }, turn: Mutex::new(()) }
    }
}

/// An array of strings whose allocator is ours.
pub(crate) struct Acquired<'a> {
    strings: &'a Strings,
    allocator: *mut c_void,
    turn: Mutex<()>,
}

// SAFETY: the allocator is used by one thread at a time, whose turn it is.
unsafe impl Sync for Acquired<'_> {}

impl Drop for Acquired<'_> {
    fn drop(&mut self) {
        // SAFETY: it is ours since `acquire`.
        unsafe { (self.strings.release)(self.allocator) }
    }
}

impl Sink for Acquired<'_> {
    fn lock(&self) -> Put<'_> {
        let turn = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Box::new(move |at, element| {
            let _ = &turn;
            // SAFETY: the core has checked that an element lies there; the allocator is ours and it is our turn; the bytes
            // are copied.
            let failed = unsafe {
                let place = self.strings.start.add(at).cast();
                (self.strings.pack)(self.allocator, place, element.as_ptr().cast(), element.len())
            };
            if failed == 0 { Ok(()) } else { Err(Error::store("no memory for strings")) }
        })
    }
}

/// Calls `take` with each string of an array whose elements follow one another; `None`: it is missing.
pub(crate) fn read(
    array: &Bound<'_, PyUntypedArray>,
    mut take: impl FnMut(Option<&[u8]>) -> PyResult<()>,
) -> PyResult<()> {
    // SAFETY: an ndarray's header stays as it is while we hold the GIL.
    let strings = Strings::new(array, unsafe { (*array.as_array_ptr()).fields.data.cast() })?;
    let acquired = strings.acquire();
    for k in 0..array.len() {
        let mut found = Static { size: 0, start: std::ptr::null() };
        // SAFETY: the element lies in the array, whose allocator is ours.
        let state = unsafe { (strings.load)(acquired.allocator, strings.start.add(k * PACKED).cast(), &raw mut found) };
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
