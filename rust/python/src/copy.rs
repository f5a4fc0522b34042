//! Copies of arrays, groups and objects; see `tegula::copy`.

use std::cell::RefCell;

use pyo3::prelude::*;
use pyo3::types::PyList;
use serde_json::Value;
use tegula::codec::Named;
use tegula::metadata::Order;
use tegula::{CacheLimit, ChunkGrid, CopyOptions, Encoding, Error, FillValue, Layout, Progress};

use crate::array::Array;
use crate::call::detached;
use crate::errors::{OrRaise, exception};
use crate::extract::indices;
use crate::group::Group;
use crate::json::{from_python, object_from_python};
use crate::store::Store;

/// A number of bytes, or text like "2 GB".
#[pyfunction]
#[pyo3(signature = (value, /))]
pub(crate) fn bytes_of(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let Ok(text) = value.extract::<String>() else { return value.extract() };
    match text.parse::<CacheLimit>().or_raise(value.py())? {
        CacheLimit::Bytes(bytes) => Ok(bytes),
        CacheLimit::Chunks(_) => Err(exception(value.py(), "InvalidSelectionError", "it is no number of bytes")),
    }
}

/// Copies all elements of an array into another one. `progress` is called with the bytes that are copied and those of all;
/// what it raises, and what signals raise, ends the copy.
#[pyfunction]
#[pyo3(signature = (source, target, *, max_memory, is_new, progress))]
pub(crate) fn copy_array(
    py: Python<'_>,
    source: &Bound<'_, Array>,
    target: &Bound<'_, Array>,
    max_memory: Option<u64>,
    is_new: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let elements = source.get().known(py)?;
    let (source, target) = (source.get().core().clone(), target.get().core().clone());
    let mut raised = None;
    let result = detached(py, || {
        let thrown = RefCell::new(None);
        let report = |step: Progress| {
            let called = Python::attach(|py| {
                py.check_signals()?;
                progress.as_ref().map(|progress| progress.call1(py, (step.done, step.total))).transpose()
            });
            called.map(|_| ()).map_err(|error| {
                thrown.replace(Some(error));
                Error::store("the copy was ended")
            })
        };
        let options = CopyOptions { max_memory, target_is_new: is_new, elements: elements.as_ref(), progress: &report };
        let result = tegula::copy(&source, &target, &options);
        raised = thrown.take();
        result
    });
    raised.map_or(result, Err)
}

/// A copy of an array, of which nothing is stored yet. `codecs` are those of Zarr V3, or the filters of V2 and, last, its
/// compressor or None; without them, no metadata differ.
#[pyfunction]
#[pyo3(signature = (source, store, path, *, codecs=None, order='C', zarr_format=3, chunk_shape=None, fill_value=None))]
#[allow(clippy::too_many_arguments)] // what may differ
pub(crate) fn copied_array(
    py: Python<'_>,
    source: &Bound<'_, Array>,
    store: &Bound<'_, Store>,
    path: &str,
    codecs: Option<&Bound<'_, PyList>>,
    order: char,
    zarr_format: u8,
    chunk_shape: Option<&Bound<'_, PyAny>>,
    fill_value: Option<Vec<u8>>,
) -> PyResult<Array> {
    let elements = source.get().known(py)?;
    let (source, store) = (source.get().core(), store.get().0.clone());
    let encoding = match codecs {
        None => Encoding::Same,
        Some(codecs) if zarr_format == 3 => Encoding::V3(named(codecs)?),
        Some(codecs) => {
            let (filters, compressor) = numcodecs(codecs)?;
            Encoding::V2 { filters, compressor, order: axes(order) }
        }
    };
    let grid = |shape| ChunkGrid::regular(source.shape(), &indices(shape)?).or_raise(py);
    let chunk_grid = chunk_shape.map(grid).transpose()?;
    let layout = Layout { elements, encoding, chunk_grid, fill_value: fill_value.map(FillValue::new) };
    let made = detached(py, || {
        let metadata = tegula::copied_metadata(source, &layout)?;
        tegula::Array::new_with_metadata(store, path, metadata)
    })?;
    Array::new(py, made)
}

/// Codecs of Zarr V3.
pub(crate) fn named(codecs: &Bound<'_, PyList>) -> PyResult<Vec<Named>> {
    let named = |codec: Bound<'_, PyAny>| {
        Ok(Named {
            name: codec.get_item("name")?.extract()?,
            configuration: object_from_python(&codec.get_item("configuration")?)?,
        })
    };
    codecs.iter().map(named).collect()
}

/// The order of axes of Zarr V2.
pub(crate) fn axes(order: char) -> Order {
    if order == 'F' { Order::F } else { Order::C }
}

/// The filters of Zarr V2 and, last, its compressor or None.
pub(crate) fn numcodecs(codecs: &Bound<'_, PyList>) -> PyResult<(Vec<Value>, Option<Value>)> {
    let mut filters: Vec<_> = codecs.iter().map(|codec| from_python(&codec)).collect::<PyResult<_>>()?;
    let compressor = filters.pop().filter(|compressor| !compressor.is_null());
    Ok((filters, compressor))
}

/// Stores a copy of a group, without what lies in it.
#[pyfunction]
pub(crate) fn copied_group(
    py: Python<'_>,
    source: &Bound<'_, Group>,
    store: &Bound<'_, Store>,
    path: &str,
    zarr_format: u8,
) -> PyResult<Group> {
    let (source, store) = (source.get().0.clone(), store.get().0.clone());
    detached(py, || tegula::copied_group(&source, store, path, zarr_format)).map(Group)
}

/// Stores the metadata of many arrays, on all threads.
#[pyfunction]
pub(crate) fn store_metadata(py: Python<'_>, arrays: Vec<Bound<'_, Array>>) -> PyResult<()> {
    let arrays: Vec<_> = arrays.iter().map(|array| array.get().core().clone()).collect();
    detached(py, || tegula::store_metadata(&arrays))
}
