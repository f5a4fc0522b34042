//! Rewriting shards without dead bytes; see `tegula::Array::compact`.

use pyo3::prelude::*;

use crate::array::Array;
use crate::call::perform;
use crate::extract::indices;

/// Rewrites the shard that a chunk is, or all; returns how many bytes shorter they are.
#[pyfunction]
#[pyo3(signature = (array, chunk, drop_empty, done=None))]
pub(crate) fn compact(
    array: &Bound<'_, Array>,
    chunk: Option<&Bound<'_, PyAny>>,
    drop_empty: bool,
    done: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let (py, chunk) = (array.py(), chunk.map(indices).transpose()?);
    let array = array.get().core().clone();
    let work = move || match chunk {
        Some(chunk) => array.compact_chunk(&chunk, drop_empty),
        None => array.compact(drop_empty),
    };
    perform(py, done, work, |py, reclaimed| Ok(reclaimed.into_pyobject(py)?.into_any().unbind()))
}
