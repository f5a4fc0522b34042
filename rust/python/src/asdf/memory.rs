//! Memory of Python as bytes of blocks.

use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use tegula::asdf::{BlockData, Memory};
use tegula::{Error, Result};

use crate::buffer::Origin;

/// The memory of an ndarray.
struct ArrayMemory(Origin);

impl BlockData for ArrayMemory {
    fn lend(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        take(self.0.buffer().bytes)
    }
}

/// Returns the elements of an ndarray, where they are.
pub(super) fn memory(array: &Bound<'_, PyUntypedArray>) -> PyResult<Memory> {
    let origin = Origin::any(array)?;
    let buffer = origin.buffer();
    Ok(Memory {
        address: buffer.bytes.as_ptr().addr(),
        offset: buffer.origin.cast_unsigned(),
        shape: array.shape().iter().map(|length| *length as u64).collect(),
        strides: array.strides().iter().map(|stride| *stride as i64).collect(),
        item_size: array.dtype().itemsize(),
        data: Box::new(ArrayMemory(origin)),
    })
}

/// Returns the memory that an ndarray is a view of.
pub(super) fn base(array: &Bound<'_, PyUntypedArray>) -> PyResult<Memory> {
    let mut base = array.clone();
    while let Ok(next) = base.getattr("base")?.cast_into() {
        base = next;
    }
    memory(&base)
}

/// A callable of a converter that returns the ndarray of a block.
pub(super) struct Callback(pub(super) Py<PyAny>);

impl BlockData for Callback {
    fn lend(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let call = |py: Python<'_>| memory(self.0.bind(py).call0()?.cast()?);
        let memory = Python::try_attach(call).ok_or_else(|| Error::store("the Python interpreter is shutting down"))?;
        memory.map_err(|error| Error::store(format!("the data of a block: {error}")))?.lend_gathered(take)
    }
}
