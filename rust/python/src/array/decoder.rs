//! Reads parts of one chunk; see `tegula::PartialDecoder`.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::buffer::{ElementType, Target};
use crate::call::{attached, detached};
use crate::extract::region;
use crate::subset::tuple;

#[pyclass(module = "tegula", frozen)]
#[doc = include_str!("../docs/partial_decoder.txt")]
pub(crate) struct PartialDecoder {
    pub(super) decoder: tegula::PartialDecoder,
    pub(super) elements: ElementType,
}

#[pymethods]
impl PartialDecoder {
    /// tuple of int : The index of the chunk.
    #[getter]
    fn chunk<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.decoder.chunk())
    }

    /// int : The size of the cached data, in bytes.
    #[getter]
    fn size_held(&self) -> u64 {
        self.decoder.size_held()
    }

    /// Whether the chunk is stored.
    fn exists(&self, py: Python<'_>) -> PyResult<bool> {
        detached(py, || self.decoder.exists())
    }

    #[doc = include_str!("../docs/partial_decode.txt")]
    #[pyo3(signature = (subsets, /))]
    fn partial_decode<'py>(&self, py: Python<'py>, subsets: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let (array, chunk) = (self.decoder.array(), self.decoder.chunk());
        let chunk_shape = attached(py, || array.chunk_shape(chunk))?;
        let mut parts = Vec::new();
        for subset in subsets.try_iter()? {
            let subset = region(&subset?, &chunk_shape)?;
            let inside = attached(py, || array.subset_in_chunk(chunk, &subset))?;
            let fill_value = array.fill_value().bytes();
            parts.push((inside, Target::new(py, None, &self.elements, subset.shape(), None, fill_value)?));
        }
        detached(py, || {
            parts
                .iter_mut()
                .try_for_each(|(subset, target)| target.lend(|buffer| array.retrieve_subset_into(subset, buffer)))
        })?;
        let arrays = parts.into_iter().map(|(_, target)| target.into_array(py));
        PyList::new(py, arrays.collect::<PyResult<Vec<_>>>()?)
    }
}
