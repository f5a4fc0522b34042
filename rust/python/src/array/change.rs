//! Methods that change attributes and shape. Each returns the changed array.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tegula::metadata::AttributesChange;

use super::Array;
use crate::buffer::Source;
use crate::call::{Answer, detached, perform};
use crate::extract::indices;
use crate::json::attributes_from_python;

impl Array {
    /// Calls the core for a change, and wraps the changed array.
    fn changed(
        slf: &Bound<'_, Self>,
        work: impl FnOnce(&tegula::Array) -> tegula::Result<tegula::Array> + Send + 'static,
    ) -> Answer {
        let (own, before) = (slf.get(), slf.clone().unbind());
        let array = own.core.clone();
        perform(
            slf.py(),
            own.done.as_ref(),
            array.is_slow(true),
            move || work(&array),
            move |py, after| Ok(Py::new(py, before.get().like(py, after))?.into_any()),
        )
    }
}

#[pymethods]
impl Array {
    /// Changes the stored attributes with one write.
    fn change_attributes(
        &self,
        py: Python<'_>,
        set: &Bound<'_, PyDict>,
        remove: Vec<String>,
        clear: bool,
    ) -> PyResult<Self> {
        let change = AttributesChange { clear, remove, set: attributes_from_python(set)? };
        Ok(self.like(py, detached(py, || self.core.change_attributes(&change))?))
    }

    /// Returns keys of objects at the path that are chunks of this array or of one with another rank.
    fn chunk_keys(&self, py: Python<'_>, most: usize) -> PyResult<Vec<String>> {
        detached(py, || self.core.chunk_keys(most))
    }

    /// Erases all chunks at the path.
    fn erase_all_chunks(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.core.erase_all_chunks())
    }

    /// Changes the stored shape.
    fn resize(slf: &Bound<'_, Self>, shape: &Bound<'_, PyAny>) -> Answer {
        let shape = indices(shape)?;
        Self::changed(slf, move |array| array.resize(&shape))
    }

    /// Stores an ndarray after the stored end of an axis.
    fn append(slf: &Bound<'_, Self>, axis: usize, data: &Bound<'_, PyAny>) -> Answer {
        let shape = indices(&data.getattr("shape")?)?;
        let source = Source::new(data, &slf.get().elements, &shape)?;
        let (own, before) = (slf.get(), slf.clone().unbind());
        let array = own.core.clone();
        let work = move || array.append_from(&shape, axis, source.buffer()).map(|after| (after, source));
        perform(slf.py(), own.done.as_ref(), own.core.is_slow(true), work, move |py, (after, _)| {
            Ok(Py::new(py, before.get().like(py, after))?.into_any())
        })
    }
}
