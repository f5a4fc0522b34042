//! Calls of the core: without the GIL, on this thread or, for asyncio, on another.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use tegula::Result;

use crate::errors::{OrRaise, exception};

/// A result, or the message of a panic, which must not cross into Python.
type Guarded<T> = std::result::Result<Result<T>, String>;

fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Guarded<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("a bug in tegula: {}", message.unwrap_or("a panic without a message"))
    })
}

fn unguarded<T>(py: Python<'_>, result: Guarded<T>) -> PyResult<T> {
    result.map_err(|message| exception(py, "Error", &message))?.or_raise(py)
}

/// Carries out a call that needs no I/O.
pub(crate) fn attached<T>(py: Python<'_>, work: impl FnOnce() -> Result<T>) -> PyResult<T> {
    unguarded(py, guarded(work))
}

/// Carries out a call without the GIL.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    let result = py.detach(|| guarded(work));
    unguarded(py, result)
}

/// Carries out a call without the GIL and gives its answer. With `done`, the call is left to another thread and None
/// comes back at once; later that thread calls `done(answer, None)` or `done(None, error)`.
pub(crate) fn perform<T: Send + 'static>(
    py: Python<'_>,
    done: Option<Py<PyAny>>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
    answer: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
) -> PyResult<Py<PyAny>> {
    let Some(done) = done else { return answer(py, detached(py, work)?) };
    tegula::spawn(move || {
        let result = guarded(work);
        // Where the interpreter is on its way out, nobody waits any more.
        Python::try_attach(|py| {
            let arguments = match unguarded(py, result).and_then(|value| answer(py, value)) {
                Ok(value) => (value, py.None()),
                Err(error) => (py.None(), error.into_value(py).into_any()),
            };
            if let Err(error) = done.call1(py, arguments) {
                error.write_unraisable(py, None);
            }
        });
    });
    Ok(py.None())
}
