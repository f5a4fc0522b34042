//! Copies arrays and groups; see `tegula::copy`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use tegula::{CacheLimit, CopyOptions};

use crate::array::Array;
use crate::call::{detached, watched};
use crate::errors::{OrRaise, exception};
use crate::group::Group;
use crate::progress::Progress;
use crate::store::Store;

/// Converts a number of bytes, or text like "2 GB", to a number.
#[pyfunction]
#[pyo3(signature = (value, /))]
pub(crate) fn bytes_of(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let Ok(text) = value.extract::<String>() else { return value.extract() };
    match text.parse::<CacheLimit>().or_raise(value.py())? {
        CacheLimit::Bytes(bytes) => Ok(bytes),
        CacheLimit::Chunks(_) => {
            Err(exception(value.py(), "InvalidSelectionError", "expected a number of bytes, not of chunks"))
        }
    }
}

/// Copies all elements of an array into another array. `progress` is called with the number of copied bytes and the
/// total. An exception in `progress` or in a signal handler ends the copy.
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
    let elements = source.get().numpy_field(py)?;
    let (source, target) = (source.get().core().clone(), target.get().core().clone());
    let total = source.subset_all().num_elements().saturating_mul(source.data_type().size() as u64);
    let progress = progress.map(|report| Progress::new(report, total));
    let tell = |py: Python<'_>, done: u64| progress.as_ref().map_or(Ok(()), |progress| progress.tell(py, done));
    let copied = Arc::new(AtomicU64::new(0));
    let given = copied.clone();
    let work = move || {
        let report = |step: tegula::Progress| {
            given.store(step.done, Ordering::Relaxed);
            Ok(())
        };
        let options = CopyOptions { max_memory, target_is_new: is_new, elements: elements.as_ref(), progress: &report };
        tegula::copy(&source, &target, &options)
    };
    tell(py, 0)?;
    // Of the step under way, elements were read, and some of them stored.
    watched(py, work, |py, call| tell(py, copied.load(Ordering::Relaxed) + call.advanced() / 2))?;
    tell(py, total)
}

/// Stores a copy of a group, without its members.
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

/// Stores the metadata of many arrays, in parallel.
#[pyfunction]
pub(crate) fn store_metadata(py: Python<'_>, arrays: Vec<Bound<'_, Array>>) -> PyResult<()> {
    let arrays: Vec<_> = arrays.iter().map(|array| array.get().core().clone()).collect();
    detached(py, || tegula::store_metadata(&arrays))
}
