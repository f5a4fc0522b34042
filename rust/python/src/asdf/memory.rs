//! Memory of Python objects as data of blocks.

use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use tegula::asdf::{BlockData, Memory};
use tegula::{Error, Result};

use crate::buffer::Source;
use crate::ending::attach;
use crate::errors::wrapped;

/// The memory of an ndarray.
struct ArrayMemory(Source);

impl BlockData for ArrayMemory {
    fn lend(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        take(self.0.buffer().bytes)
    }
}

/// Returns the memory of an ndarray, without a copy.
pub(super) fn memory(array: &Bound<'_, PyUntypedArray>) -> PyResult<Memory> {
    let source = Source::any(array)?;
    let buffer = source.buffer();
    Ok(Memory {
        address: buffer.bytes.as_ptr().addr(),
        offset: buffer.origin.cast_unsigned(),
        shape: array.shape().iter().map(|length| *length as u64).collect(),
        strides: array.strides().iter().map(|stride| *stride as i64).collect(),
        item_size: array.dtype().itemsize(),
        data: Box::new(ArrayMemory(source)),
    })
}

/// Returns the memory of the base array of an ndarray.
pub(super) fn base(array: &Bound<'_, PyUntypedArray>) -> PyResult<Memory> {
    let mut base = array.clone();
    while let Ok(next) = base.getattr("base")?.cast_into() {
        base = next;
    }
    memory(&base)
}

/// A callable of a converter, which returns the data of a block as an ndarray.
pub(super) struct Callback(pub(super) Py<PyAny>);

impl BlockData for Callback {
    fn lend(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let call = |py: Python<'_>| memory(self.0.bind(py).call0()?.cast()?);
        let describe = |message| Error::store(format!("cannot get the data of a block: {message}"));
        attach(|py| call(py).map_err(|error| wrapped(py, error, describe)))??.lend_gathered(take)
    }
}
