//! Decoders of parts of one chunk; see `tegula::PartialDecoder`.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::buffer::{Elements, Target};
use crate::call::{attached, detached, perform};
use crate::extract::region;
use crate::subset::tuple;

#[pyclass(module = "tegula", frozen)]
#[doc = include_str!("docs/partial_decoder.txt")]
pub(crate) struct PartialDecoder {
    pub(crate) decoder: tegula::PartialDecoder,
    pub(crate) elements: Elements,
}

#[pymethods]
impl PartialDecoder {
    /// tuple of int : The index of the chunk.
    #[getter]
    fn chunk<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.decoder.chunk())
    }

    /// int : The bytes that the decoder keeps.
    #[getter]
    fn size_held(&self) -> u64 {
        self.decoder.size_held()
    }

    /// Whether the chunk is stored.
    fn exists(&self, py: Python<'_>) -> PyResult<bool> {
        detached(py, || self.decoder.exists())
    }

    #[doc = include_str!("docs/partial_decode.txt")]
    #[pyo3(signature = (subsets, /, *, done=None))]
    fn partial_decode(
        &self,
        py: Python<'_>,
        subsets: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let array = self.decoder.array();
        let chunk_shape = attached(py, || array.chunk_shape(self.decoder.chunk()))?;
        let mut parts = Vec::new();
        for subset in subsets.try_iter()? {
            let subset = region(&subset?, &chunk_shape)?;
            let inside = attached(py, || array.subset_in_chunk(self.decoder.chunk(), &subset))?;
            let fill_value = array.fill_value().bytes();
            parts.push((inside, Target::new(py, None, &self.elements, subset.shape(), fill_value)?));
        }
        let array = array.clone();
        let work = move || {
            for (subset, target) in &mut parts {
                target.lend(|buffer| array.retrieve_subset_into(subset, buffer))?;
            }
            Ok(parts)
        };
        perform(py, done, work, |py, parts| {
            let arrays = parts.into_iter().map(|(_, target)| target.into_array(py));
            Ok(PyList::new(py, arrays.collect::<PyResult<Vec<_>>>()?)?.into_any().unbind())
        })
    }
}
