//! Progress of calls that take long, told to Python while they run.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;

/// Calls a callable with the amount that is done and the total. In place of the callable of a
/// [deferred](crate::array::Array::deferred) handle, it makes the next call of the handle tell its progress.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct Progress {
    report: Py<PyAny>,
    total: u64,
    told: AtomicU64,
}

/// What is told before anything is.
const NEVER: u64 = u64::MAX;

#[pymethods]
impl Progress {
    #[new]
    pub(crate) fn new(report: Py<PyAny>, total: u64) -> Self {
        Self { report, total: total.min(NEVER - 1), told: AtomicU64::new(NEVER) }
    }
}

impl Progress {
    /// Tells that `done` are done, unless no fewer were before.
    pub(crate) fn tell(&self, py: Python<'_>, done: u64) -> PyResult<()> {
        let (done, told) = (done.min(self.total), self.told.load(Ordering::Relaxed));
        if told == NEVER || done > told {
            self.told.store(done, Ordering::Relaxed);
            self.report.call1(py, (done, self.total))?;
        }
        Ok(())
    }

    /// Tells that everything is done.
    pub(crate) fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.tell(py, self.total)
    }
}
