//! Changes of the stored attributes and shape. Each method returns the array as it is after the change.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tegula::metadata::AttributesChange;

use super::Array;
use crate::buffer::Origin;
use crate::call::{Answer, detached, perform};
use crate::extract::indices;
use crate::json::object_from_python;

impl Array {
    /// Carries out work that returns the changed array of the core.
    fn changed(
        slf: &Bound<'_, Self>,
        work: impl FnOnce(&tegula::Array) -> tegula::Result<tegula::Array> + Send + 'static,
    ) -> Answer {
        let (own, before) = (slf.get(), slf.clone().unbind());
        let array = own.core.clone();
        perform(
            slf.py(),
            own.done.as_ref(),
            move || work(&array),
            move |py, after| Ok(Py::new(py, before.get().like(py, after))?.into_any()),
        )
    }
}

#[pymethods]
impl Array {
    /// Changes the stored attributes in one write.
    fn change_attributes(
        &self,
        py: Python<'_>,
        set: &Bound<'_, PyDict>,
        remove: Vec<String>,
        clear: bool,
    ) -> PyResult<Self> {
        let change = AttributesChange { clear, remove, set: object_from_python(set)? };
        Ok(self.like(py, detached(py, || self.core.change_attributes(&change))?))
    }

    /// Changes the stored shape.
    fn resize(slf: &Bound<'_, Self>, shape: &Bound<'_, PyAny>) -> Answer {
        let shape = indices(shape)?;
        Self::changed(slf, move |array| array.resize(&shape))
    }

    /// Stores an ndarray after the end of an axis of the array as it is stored now.
    fn append(slf: &Bound<'_, Self>, axis: usize, data: &Bound<'_, PyAny>) -> Answer {
        let shape = indices(&data.getattr("shape")?)?;
        let origin = Origin::new(data, &slf.get().elements, &shape)?;
        let (own, before) = (slf.get(), slf.clone().unbind());
        let array = own.core.clone();
        let work = move || array.append_from(&shape, axis, origin.buffer()).map(|after| (after, origin));
        perform(slf.py(), own.done.as_ref(), work, move |py, (after, _)| {
            Ok(Py::new(py, before.get().like(py, after))?.into_any())
        })
    }
}
