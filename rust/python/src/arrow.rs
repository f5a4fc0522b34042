//! Exports elements of variable length to Arrow libraries, without a copy.
//!
//! <https://arrow.apache.org/docs/format/CDataInterface.html> and, for the capsules,
//! <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};

use numpy::{PyArray1, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::ffi;
use pyo3::prelude::*;

#[repr(C)]
struct Schema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    n_children: i64,
    children: *mut *mut Schema,
    dictionary: *mut Schema,
    release: Option<unsafe extern "C" fn(*mut Schema)>,
    private_data: *mut c_void,
}

#[repr(C)]
struct Array {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *const *const c_void,
    children: *mut *mut Array,
    dictionary: *mut Array,
    release: Option<unsafe extern "C" fn(*mut Array)>,
    private_data: *mut c_void,
}

/// Private data of an array until its release: pointers to the buffers, and the ndarrays that own them.
struct Owned {
    buffers: [*const c_void; 3],
    _owners: (Py<PyArray1<i64>>, Py<PyArray1<u8>>),
}

/// Formats of large strings and large binary, which have 64-bit offsets.
const TEXT: &CStr = c"U";
const BYTES: &CStr = c"Z";

unsafe extern "C" fn release_schema(schema: *mut Schema) {
    // SAFETY: the consumer calls this once, with a schema of `arrow_schema`.
    unsafe { (*schema).release = None }
}

unsafe extern "C" fn release_array(array: *mut Array) {
    // SAFETY: the consumer calls this once, with an array of `arrow_array`. The ndarrays are dropped with the GIL.
    unsafe {
        let owned = Box::from_raw((*array).private_data.cast::<Owned>());
        (*array).release = None;
        let _ = crate::ending::attach(|_| drop(owned));
    }
}

unsafe extern "C" fn drop_schema(capsule: *mut ffi::PyObject) {
    // SAFETY: `arrow_schema` made the capsule with a pointer to a boxed schema.
    unsafe {
        let schema = ffi::PyCapsule_GetPointer(capsule, c"arrow_schema".as_ptr()).cast::<Schema>();
        if let Some(release) = (*schema).release {
            release(schema);
        }
        drop(Box::from_raw(schema));
    }
}

unsafe extern "C" fn drop_array(capsule: *mut ffi::PyObject) {
    // SAFETY: `arrow_array` made the capsule with a pointer to a boxed array. After a consumer moved the array out, its
    // `release` is null.
    unsafe {
        let array = ffi::PyCapsule_GetPointer(capsule, c"arrow_array".as_ptr()).cast::<Array>();
        if let Some(release) = (*array).release {
            release(array);
        }
        drop(Box::from_raw(array));
    }
}

/// Returns the capsule of an Arrow schema of large strings, or of large binary.
#[pyfunction]
pub(crate) fn arrow_schema(py: Python<'_>, text: bool) -> PyResult<Bound<'_, PyAny>> {
    let schema = Schema {
        format: if text { TEXT } else { BYTES }.as_ptr(),
        name: c"".as_ptr(),
        metadata: null(),
        flags: 0,
        n_children: 0,
        children: null_mut(),
        dictionary: null_mut(),
        release: Some(release_schema),
        private_data: null_mut(),
    };
    // SAFETY: the destructor of the capsule frees the box.
    unsafe {
        let pointer = Box::into_raw(Box::new(schema)).cast();
        Bound::from_owned_ptr_or_err(py, ffi::PyCapsule_New(pointer, c"arrow_schema".as_ptr(), Some(drop_schema)))
    }
}

/// Returns the capsule of an Arrow array: concatenated elements in `bytes`, and their n + 1 `offsets`.
#[pyfunction]
pub(crate) fn arrow_array<'py>(
    offsets: &Bound<'py, PyArray1<i64>>,
    bytes: &Bound<'py, PyArray1<u8>>,
) -> PyResult<Bound<'py, PyAny>> {
    let buffers = [null(), offsets.data().cast_const().cast(), bytes.data().cast_const().cast()];
    let owned = Box::new(Owned { buffers, _owners: (offsets.clone().unbind(), bytes.clone().unbind()) });
    let array = Array {
        length: offsets.len().saturating_sub(1) as i64,
        null_count: 0,
        offset: 0,
        n_buffers: 3,
        n_children: 0,
        buffers: owned.buffers.as_ptr(),
        children: null_mut(),
        dictionary: null_mut(),
        release: Some(release_array),
        private_data: Box::into_raw(owned).cast(),
    };
    // SAFETY: the destructor of the capsule frees the boxes and releases the ndarrays.
    unsafe {
        let pointer = Box::into_raw(Box::new(array)).cast();
        Bound::from_owned_ptr_or_err(
            offsets.py(),
            ffi::PyCapsule_New(pointer, c"arrow_array".as_ptr(), Some(drop_array)),
        )
    }
}
