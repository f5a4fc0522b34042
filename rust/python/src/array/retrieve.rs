//! Methods that read regions, selections and encoded chunks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use numpy::PyReadonlyArray2;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tegula::{Dims, OutputBuffer};

use super::geometry::subset_of;
use super::{Array, PartialDecoder};
use crate::buffer::Target;
use crate::call::{Answer, attached, detached, watched};
use crate::errors::exception;
use crate::extract::{bytes, indices, region};
use crate::selection::ParsedIndex;
use crate::subset::tuple;

impl Array {
    /// Allocates an ndarray of a shape, or checks `out`.
    fn target(&self, py: Python<'_>, shape: &[u64], out: Option<&Bound<'_, PyAny>>) -> PyResult<Target> {
        Target::new(py, out, &self.elements, shape, None, self.core.fill_value().bytes())
    }

    /// Reads elements into `target` and returns the ndarray.
    fn read(
        &self,
        py: Python<'_>,
        mut target: Target,
        work: impl FnOnce(&tegula::Array, OutputBuffer<'_>) -> tegula::Result<()> + Send + 'static,
    ) -> Answer {
        let work = |array: &tegula::Array| target.lend(|buffer| work(array, buffer)).map(|()| target);
        self.perform(py, false, work, |py, target| target.into_array(py))
    }
}

fn encoded(py: Python<'_>, stored: Option<Vec<u8>>) -> Answer {
    Ok(stored.map(|stored| bytes(py, &stored)).transpose()?.into_pyobject(py)?.unbind())
}

#[pymethods]
impl Array {
    #[pyo3(signature = (kind, at, out=None))]
    fn retrieve_region(
        &self,
        py: Python<'_>,
        kind: &str,
        at: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
    ) -> Answer {
        let subset = subset_of(&self.core, kind, at)?;
        let target = self.target(py, subset.shape(), out)?;
        self.read(py, target, move |array, buffer| array.retrieve_subset_into(&subset, buffer))
    }

    fn retrieve_selection(&self, py: Python<'_>, index: ParsedIndex<'_, '_>) -> Answer {
        let selection = index.selection(self.core.shape(), self.core.name())?;
        let (shape, result) = (selection.shape(), index.result()?);
        let target = Target::new(py, None, &self.elements, &shape, Some(&result), self.core.fill_value().bytes())?;
        self.read(py, target, move |array, buffer| array.retrieve_selection_into(&selection, buffer))
    }

    /// Reads regions of the same shape. Each row of `starts` is the start of a region.
    #[pyo3(signature = (starts, shape, out=None))]
    fn retrieve_array_subsets(
        &self,
        py: Python<'_>,
        starts: PyReadonlyArray2<'_, i64>,
        shape: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
    ) -> Answer {
        let shape = indices(shape)?;
        let starts = starts.as_array();
        let row =
            |row: numpy::ndarray::ArrayView1<'_, i64>| row.iter().map(|start| u64::try_from(*start).ok()).collect();
        let starts: Option<Vec<Dims>> = starts.rows().into_iter().map(row).collect();
        let starts =
            starts.ok_or_else(|| exception(py, "InvalidSelectionError", "starts of regions must not be negative"))?;
        attached(py, || self.core.check_subsets(&starts, &shape))?;
        let whole: Dims = std::iter::once(starts.len() as u64).chain(shape.iter().copied()).collect();
        let target = self.target(py, &whole, out)?;
        self.read(py, target, move |array, buffer| array.retrieve_array_subsets_into(&starts, &shape, buffer))
    }

    fn retrieve_chunk_if_exists(&self, py: Python<'_>, chunk: &Bound<'_, PyAny>) -> Answer {
        let chunk = indices(chunk)?;
        let shape = attached(py, || self.core.chunk_shape(&chunk))?;
        let mut target = self.target(py, &shape, None)?;
        let work = move |array: &tegula::Array| {
            let exists = target.lend(|buffer| array.retrieve_chunk_if_exists_into(&chunk, buffer))?;
            Ok(exists.then_some(target))
        };
        self.perform(py, false, work, |py, target| target.map_or_else(|| Ok(py.None()), |target| target.into_array(py)))
    }

    /// Returns the indices of the chunks of a region of the grid that are stored.
    fn stored_chunks<'py>(&self, py: Python<'py>, chunks: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let chunks = region(chunks, &self.core().chunk_grid_shape())?;
        let found = detached(py, || {
            let (mut stored, mut found) = (self.core().stored_chunks(&chunks)?, Vec::new());
            loop {
                let batch = stored.take(1 << 16)?;
                if batch.is_empty() {
                    return Ok(found);
                }
                found.extend(batch);
            }
        })?;
        PyList::new(py, found.iter().map(|chunk| tuple(py, chunk)).collect::<PyResult<Vec<_>>>()?)
    }

    /// Returns the number of stored chunks and their total size in bytes.
    fn stored_size(&self, py: Python<'_>) -> PyResult<(u64, u64)> {
        detached(py, || self.core().stored_size())
    }

    /// Decodes all stored chunks. Returns their number, the names and messages of damaged ones, and the keys below the
    /// array that are not those of chunks. `progress` is called with the number of decoded chunks and that of stored ones.
    #[allow(clippy::type_complexity)] // unpacked at once
    fn verify(
        &self,
        py: Python<'_>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(u64, Vec<(String, String)>, Vec<String>)> {
        let (array, done, all) = (self.core().clone(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (seen, total) = (done.clone(), all.clone());
        let work = move || {
            array.verify(&|done, stored| {
                seen.store(done, Ordering::Relaxed);
                total.store(stored.unwrap_or(done), Ordering::Relaxed);
                Ok(())
            })
        };
        let tell = |py: Python<'_>| match &progress {
            Some(progress) => {
                progress.call1(py, (done.load(Ordering::Relaxed), all.load(Ordering::Relaxed))).map(|_| ())
            }
            None => Ok(()),
        };
        let found = watched(py, work, |py, _| tell(py))?;
        tell(py)?;
        let store = self.core().store();
        let problem = |(key, error): (String, tegula::Error)| (store.display(&key), error.message().to_owned());
        Ok((found.chunks, found.problems.into_iter().map(problem).collect(), found.others))
    }

    fn retrieve_encoded_chunk(&self, py: Python<'_>, chunk: &Bound<'_, PyAny>) -> Answer {
        let chunk = indices(chunk)?;
        self.perform(py, false, move |array| array.retrieve_encoded_chunk(&chunk), encoded)
    }

    fn retrieve_encoded_chunks(&self, py: Python<'_>, chunks: &Bound<'_, PyAny>) -> Answer {
        let chunks = region(chunks, &self.core.chunk_grid_shape())?;
        self.perform(
            py,
            false,
            move |array| array.retrieve_encoded_chunks(&chunks),
            |py, chunks| {
                let chunks = chunks.into_iter().map(|chunk| encoded(py, chunk)).collect::<PyResult<Vec<_>>>()?;
                Ok(PyList::new(py, chunks)?.into_any().unbind())
            },
        )
    }

    fn retrieve_encoded_inner_chunk(&self, py: Python<'_>, inner: &Bound<'_, PyAny>) -> Answer {
        let inner = indices(inner)?;
        self.perform(py, false, move |array| array.retrieve_encoded_inner_chunk(&inner), encoded)
    }

    fn partial_decoder(&self, chunk: &Bound<'_, PyAny>) -> PyResult<PartialDecoder> {
        let (py, chunk) = (chunk.py(), indices(chunk)?);
        let decoder = attached(py, || self.core.partial_decoder(&chunk))?;
        Ok(PartialDecoder { decoder, elements: self.elements.clone_ref(py) })
    }

    /// Returns the number of chunks, requests and bytes that a read of a selection takes, by name.
    fn explain<'py>(&self, py: Python<'py>, index: ParsedIndex<'_, '_>) -> PyResult<Bound<'py, PyDict>> {
        let selection = index.selection(self.core.shape(), self.core.name())?;
        let found = detached(py, || self.core.explain(&selection))?;
        let dict = PyDict::new(py);
        for (name, count) in [
            ("chunks", found.chunks),
            ("missing_chunks", found.missing_chunks),
            ("inner_chunks", found.inner_chunks),
            ("missing_inner_chunks", found.missing_inner_chunks),
            ("requests", found.requests),
            ("bytes_read", found.bytes_read),
            ("index_bytes", found.index_bytes),
            ("bytes_decoded", found.bytes_decoded),
            ("bytes_wanted", found.bytes_wanted),
        ] {
            dict.set_item(name, count)?;
        }
        Ok(dict)
    }
}
