//! Sessions of many writes; see `tegula::WriteSession`. What users see of it is in `tegula._array.session`.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tegula::{CacheLimit, Dims, InputBuffer, Selection, WriteSessionOptions};

use crate::array::Array;
use crate::buffer::Origin;
use crate::call::{attached, detached, perform};
use crate::errors::OrRaise;
use crate::extract::{indices, region};
use crate::selection::{Lists, selection};
use crate::subset::tuple;

/// The native part of `tegula.WriteSession`.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct WriteSession {
    session: Arc<tegula::WriteSession>,
    array: Py<Array>,
}

impl WriteSession {
    /// The session of the core.
    pub(crate) fn core(&self) -> &Arc<tegula::WriteSession> {
        &self.session
    }

    fn write(
        &self,
        py: Python<'_>,
        shape: &[u64],
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
        work: impl FnOnce(&tegula::WriteSession, InputBuffer<'_>) -> tegula::Result<()> + Send + 'static,
    ) -> PyResult<Py<PyAny>> {
        let (session, origin) = (self.session.clone(), Origin::new(data, self.array.get().elements(), shape)?);
        let work = move || work(&session, origin.buffer()).map(|()| origin);
        perform(py, done, work, |py, _| Ok(py.None()))
    }

    fn write_subset(
        &self,
        py: Python<'_>,
        subset: tegula::ArraySubset,
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let shape = Dims::from(subset.shape());
        self.write(py, &shape, data, done, move |session, buffer| session.store_subset_from(&subset, buffer))
    }
}

#[pymethods]
impl WriteSession {
    #[staticmethod]
    fn begin(array: Bound<'_, Array>, memory: &Bound<'_, PyAny>) -> PyResult<Self> {
        let memory = match memory.extract::<String>() {
            Ok(text) => match text.parse().or_raise(array.py())? {
                CacheLimit::Bytes(bytes) | CacheLimit::Chunks(bytes) => bytes,
            },
            Err(_) => memory.extract()?,
        };
        let session = Arc::new(array.get().core().write_session(WriteSessionOptions { memory }));
        Ok(Self { session, array: array.unbind() })
    }

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.session.shape())
    }

    #[getter]
    fn staged(&self) -> u64 {
        self.session.staged()
    }

    /// The array as it is to be.
    fn array(&self, py: Python<'_>) -> PyResult<Array> {
        Ok(self.array.get().like(py, attached(py, || self.session.array())?))
    }

    #[pyo3(signature = (chunk, data, done=None))]
    fn store_chunk(
        &self,
        py: Python<'_>,
        chunk: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let chunk = indices(chunk)?;
        let subset = attached(py, || self.session.array()?.chunk_subset(&chunk))?;
        self.write_subset(py, subset, data, done)
    }

    #[pyo3(signature = (chunk, subset, data, done=None))]
    fn store_chunk_subset(
        &self,
        py: Python<'_>,
        chunk: &Bound<'_, PyAny>,
        subset: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let chunk = indices(chunk)?;
        let array = attached(py, || self.session.array())?;
        let shape = attached(py, || array.chunk_shape(&chunk))?;
        let subset = region(subset, &shape)?;
        let inside = attached(py, || array.subset_in_chunk(&chunk, &subset))?;
        self.write_subset(py, inside, data, done)
    }

    #[pyo3(signature = (subset, data, done=None))]
    fn store_array_subset(
        &self,
        py: Python<'_>,
        subset: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let subset = region(subset, &self.session.shape())?;
        let selection = Selection::from(&subset);
        attached(py, || selection.check(&self.session.shape()))?;
        self.write_subset(py, subset, data, done)
    }

    /// Stores an array at positions along each axis, as (start, step, length), or listed.
    #[pyo3(signature = (axes, data, lists=None, order=None, done=None))]
    fn store_selection(
        &self,
        py: Python<'_>,
        axes: Vec<(u64, i64, u64)>,
        data: &Bound<'_, PyAny>,
        lists: Option<Lists<'_>>,
        order: Option<Vec<usize>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let shape = self.session.shape();
        let selection = attached(py, || selection(&shape, axes, lists.as_ref(), order.as_deref()))?;
        self.write(py, &selection.shape(), data, done, move |session, buffer| {
            session.store_selection_from(&selection, buffer)
        })
    }

    #[pyo3(signature = (axis, data, done=None))]
    fn append(
        &self,
        py: Python<'_>,
        axis: usize,
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let given: Vec<u64> = data.getattr("shape")?.extract()?;
        let length = given.get(axis).copied().unwrap_or(0);
        let mut shape = self.session.shape();
        if let Some(own) = shape.get_mut(axis) {
            *own = length;
        }
        let (session, origin) = (self.session.clone(), Origin::new(data, self.array.get().elements(), &shape)?);
        let work = move || {
            let shape = session.append_from(axis, length, origin.buffer())?;
            Ok((shape, origin))
        };
        perform(py, done, work, |py, (shape, _)| Ok(tuple(py, &shape)?.into_any().unbind()))
    }

    #[pyo3(signature = (done=None))]
    fn flush(&self, py: Python<'_>, done: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let session = self.session.clone();
        perform(py, done, move || session.flush(), |py, ()| Ok(py.None()))
    }

    #[pyo3(signature = (done=None))]
    fn finish(&self, py: Python<'_>, done: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let session = self.session.clone();
        perform(py, done, move || session.finish(), |py, ()| Ok(py.None()))
    }

    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.session.discard())
    }
}
