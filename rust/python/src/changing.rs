//! Growing and shrinking arrays.

use pyo3::prelude::*;
use pyo3::types::PyAny;

use crate::array::Array;
use crate::buffer::Origin;
use crate::call::perform;
use crate::extract::indices;

/// Writes an ndarray behind the end of an axis of the array as it is stored by now; the array of the new shape.
#[pyfunction]
#[pyo3(signature = (array, axis, data, done=None))]
pub(crate) fn append(
    py: Python<'_>,
    array: &Bound<'_, Array>,
    axis: usize,
    data: &Bound<'_, PyAny>,
    done: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let (shape, own) = (indices(&data.getattr("shape")?)?, array.get());
    let (origin, core, like) = (Origin::new(data, own.elements(), &shape)?, own.core().clone(), array.clone().unbind());
    let work = move || core.append_from(&shape, axis, origin.buffer()).map(|grown| (grown, origin));
    perform(py, done, work, move |py, (grown, _)| Ok(Py::new(py, like.get().like(py, grown))?.into_any()))
}

/// Changes the stored shape; the same array with it.
#[pyfunction]
#[pyo3(signature = (array, shape, done=None))]
pub(crate) fn resize(
    py: Python<'_>,
    array: &Bound<'_, Array>,
    shape: &Bound<'_, PyAny>,
    done: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let (core, shape, like) = (array.get().core().clone(), indices(shape)?, array.clone().unbind());
    perform(
        py,
        done,
        move || core.resize(&shape),
        move |py, resized| Ok(Py::new(py, like.get().like(py, resized))?.into_any()),
    )
}
