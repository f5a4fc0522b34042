//! Encoders of parts of one chunk; see `tegula::PartialEncoder`.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::array::Array;
use crate::buffer::{Elements, Origin};
use crate::call::{attached, perform};
use crate::extract::{indices, region};
use crate::subset::tuple;

#[pyclass(module = "tegula", frozen)]
#[doc = include_str!("docs/partial_encoder.txt")]
pub(crate) struct PartialEncoder {
    encoder: tegula::PartialEncoder,
    elements: Elements,
}

/// An encoder of parts of a chunk of an array.
#[pyfunction]
pub(crate) fn partial_encoder(array: &Bound<'_, Array>, chunk: &Bound<'_, PyAny>) -> PyResult<PartialEncoder> {
    let (py, chunk) = (array.py(), indices(chunk)?);
    let array = array.get();
    let encoder = attached(py, || array.core().partial_encoder(&chunk))?;
    Ok(PartialEncoder { encoder, elements: array.elements().clone_ref(py) })
}

#[pymethods]
impl PartialEncoder {
    /// tuple of int : The index of the chunk.
    #[getter]
    fn chunk<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.encoder.chunk())
    }

    #[doc = include_str!("docs/partial_encode.txt")]
    #[pyo3(signature = (parts, /, *, done=None))]
    fn partial_encode(&self, py: Python<'_>, parts: &Bound<'_, PyAny>, done: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let (array, chunk) = (self.encoder.array(), self.encoder.chunk());
        let chunk_shape = attached(py, || array.chunk_shape(chunk))?;
        let asarray = py.import("numpy")?.getattr("asarray")?;
        let ndarray = py.import("numpy")?.getattr("ndarray")?;
        let mut origins = Vec::new();
        for part in parts.try_iter()? {
            let (subset, data): (Bound<'_, PyAny>, Bound<'_, PyAny>) = part?.extract()?;
            let subset = region(&subset, &chunk_shape)?;
            attached(py, || array.subset_in_chunk(chunk, &subset))?;
            let data =
                if data.is_instance(&ndarray)? { data } else { asarray.call1((data, self.elements.dtype.bind(py)))? };
            let origin = Origin::new(&data, &self.elements, subset.shape())?;
            origins.push((subset, origin));
        }
        let encoder = self.encoder.clone();
        let work = move || {
            let parts: Vec<_> = origins.iter().map(|(subset, origin)| (subset.clone(), origin.buffer())).collect();
            encoder.partial_encode_from(&parts)?;
            drop(parts);
            Ok(origins)
        };
        perform(py, done, work, |py, _| Ok(py.None()))
    }

    /// Erase the chunk, if it is stored.
    #[pyo3(signature = (*, done=None))]
    fn erase(&self, py: Python<'_>, done: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let encoder = self.encoder.clone();
        perform(py, done, move || encoder.erase(), |py, ()| Ok(py.None()))
    }
}
