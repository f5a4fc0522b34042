//! Writes parts of one chunk; see `tegula::PartialEncoder`.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::buffer::{ElementType, Source};
use crate::call::{attached, detached};
use crate::extract::region;
use crate::subset::tuple;

#[pyclass(module = "tegula", frozen)]
#[doc = include_str!("../docs/partial_encoder.txt")]
pub(crate) struct PartialEncoder {
    pub(super) encoder: tegula::PartialEncoder,
    pub(super) elements: ElementType,
}

#[pymethods]
impl PartialEncoder {
    /// tuple of int : The index of the chunk.
    #[getter]
    fn chunk<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.encoder.chunk())
    }

    #[doc = include_str!("../docs/partial_encode.txt")]
    #[pyo3(signature = (parts, /))]
    fn partial_encode(&self, py: Python<'_>, parts: &Bound<'_, PyAny>) -> PyResult<()> {
        let (array, chunk) = (self.encoder.array(), self.encoder.chunk());
        let chunk_shape = attached(py, || array.chunk_shape(chunk))?;
        let elements = py.import("tegula._elements")?.getattr("exact_elements")?;
        let mut sources = Vec::new();
        for part in parts.try_iter()? {
            let (subset, data): (Bound<'_, PyAny>, Bound<'_, PyAny>) = part?.extract()?;
            let subset = region(&subset, &chunk_shape)?;
            attached(py, || array.subset_in_chunk(chunk, &subset))?;
            let data = elements.call1((data, self.elements.dtype.bind(py)))?;
            let source = Source::new(&data, &self.elements, subset.shape())?;
            sources.push((subset, source));
        }
        let parts: Vec<_> = sources.iter().map(|(subset, source)| (subset.clone(), source.buffer())).collect();
        detached(py, || self.encoder.partial_encode_from(&parts))
    }

    /// Erase the chunk, if it is stored.
    fn erase(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.encoder.erase())
    }
}
