//! Write sessions; see `tegula::WriteSession`.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tegula::{InputBuffer, Result, Selection, WriteSessionOptions};

use super::Array;
use super::store::{WriteTarget, Writer};
use crate::buffer::Source;
use crate::call::{Answer, attached, detached, perform};
use crate::copy::bytes_of;
use crate::selection::ParsedIndex;
use crate::subset::tuple;

/// The native part of `tegula.WriteSession`. Like an [`Array`], it can be deferred for one asynchronous call.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct WriteSession {
    session: Arc<tegula::WriteSession>,
    array: Py<Array>,
    done: Option<Py<PyAny>>,
}

impl WriteTarget for Arc<tegula::WriteSession> {
    fn store_subset(&self, subset: &tegula::ArraySubset, input: InputBuffer<'_>) -> Result<()> {
        self.store_subset_from(subset, input)
    }

    fn store_selection(&self, selection: &Selection, input: InputBuffer<'_>) -> Result<()> {
        self.store_selection_from(selection, input)
    }

    fn store_fields(&self, selection: &Selection, fields: &[&str], input: InputBuffer<'_>) -> Result<()> {
        self.store_fields_from(selection, fields, input)
    }
}

impl WriteSession {
    fn write(&self, py: Python<'_>, store: impl FnOnce(&Writer<'_, Arc<tegula::WriteSession>>) -> Answer) -> Answer {
        let array = attached(py, || self.session.array())?;
        let (elements, done) = (&self.array.get().elements, self.done.as_ref());
        store(&Writer { target: &self.session, array: &array, elements, done })
    }

    fn perform<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&tegula::WriteSession) -> Result<T> + Send + 'static,
        answer: impl FnOnce(Python<'_>, T) -> Answer + Send + 'static,
    ) -> Answer {
        let session = self.session.clone();
        let is_slow = self.array.get().core().is_slow(true);
        perform(py, self.done.as_ref(), is_slow, move || work(&session), answer)
    }
}

impl WriteSession {
    /// Stores staged elements and returns the new shape of the array.
    fn store_staged(&self, py: Python<'_>, store: fn(&tegula::WriteSession) -> Result<()>) -> Answer {
        let work = move |session: &tegula::WriteSession| store(session).map(|()| session.shape());
        self.perform(py, work, |py, shape| Ok(tuple(py, &shape)?.into_any().unbind()))
    }
}

#[pymethods]
impl WriteSession {
    /// Begins a session that stages at most `memory` bytes.
    #[new]
    fn new(array: Bound<'_, Array>, memory: &Bound<'_, PyAny>) -> PyResult<Self> {
        let memory = bytes_of(memory)?;
        let session = Arc::new(array.get().core().write_session(WriteSessionOptions { memory }));
        Ok(Self { session, array: array.unbind(), done: None })
    }

    fn deferred(&self, py: Python<'_>, done: Py<PyAny>) -> Self {
        Self { session: self.session.clone(), array: self.array.clone_ref(py), done: Some(done) }
    }

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.session.shape())
    }

    #[getter]
    fn staged(&self) -> u64 {
        self.session.staged()
    }

    #[getter]
    fn has_unsaved(&self) -> bool {
        self.session.has_unsaved()
    }

    /// Returns the array with the shape that includes appended elements.
    fn array(&self, py: Python<'_>) -> PyResult<Array> {
        Ok(self.array.get().like(py, attached(py, || self.session.array())?))
    }

    fn store_region(&self, kind: &str, at: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> Answer {
        self.write(data.py(), |writer| writer.store_region(kind, at, data))
    }

    #[pyo3(signature = (index, data, fields=None))]
    fn store_selection(
        &self,
        index: ParsedIndex<'_, '_>,
        data: &Bound<'_, PyAny>,
        fields: Option<Vec<String>>,
    ) -> Answer {
        self.write(data.py(), |writer| writer.store_selection(index, data, fields))
    }

    /// Appends an ndarray along an axis and returns the new shape.
    fn append(&self, py: Python<'_>, axis: usize, data: &Bound<'_, PyAny>) -> Answer {
        let data_shape: Vec<u64> = data.getattr("shape")?.extract()?;
        let length = data_shape.get(axis).copied().unwrap_or(0);
        let mut shape = self.session.shape();
        if let Some(along) = shape.get_mut(axis) {
            *along = length;
        }
        let source = Source::new(data, &self.array.get().elements, &shape)?;
        self.perform(
            py,
            move |session| Ok((session.append_from(axis, length, source.buffer())?, source)),
            |py, (shape, _)| Ok(tuple(py, &shape)?.into_any().unbind()),
        )
    }

    fn flush(&self, py: Python<'_>) -> Answer {
        self.store_staged(py, tegula::WriteSession::flush)
    }

    fn finish(&self, py: Python<'_>) -> Answer {
        self.store_staged(py, tegula::WriteSession::finish)
    }

    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.session.discard())
    }
}
