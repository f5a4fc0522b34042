//! Calls of the core, without the GIL: on this thread or, for asyncio, on another thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use tegula::Result;

use crate::errors::{OrRaise, exception};

/// A result, or the message of a panic. Panics must not cross into Python.
type Guarded<T> = std::result::Result<Result<T>, String>;

fn catch_panics<T>(work: impl FnOnce() -> Result<T>) -> Guarded<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("internal error in tegula, please report it: {}", message.unwrap_or("a panic without a message"))
    })
}

fn or_raise<T>(py: Python<'_>, result: Guarded<T>) -> PyResult<T> {
    result.map_err(|message| exception(py, "Error", &message))?.or_raise(py)
}

/// Calls the core with the GIL, for work without I/O.
pub(crate) fn attached<T>(py: Python<'_>, work: impl FnOnce() -> Result<T>) -> PyResult<T> {
    or_raise(py, catch_panics(work))
}

/// Calls the core without the GIL.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    let result = py.detach(|| catch_panics(work));
    or_raise(py, result)
}

/// Return value of a method that can be deferred: the result, or `done` if another thread passes it the result.
pub(crate) type Answer = PyResult<Py<PyAny>>;

/// Calls the core without the GIL and returns the answer. With `done`, another thread does the work and then calls
/// `done(answer, None)` or `done(None, error)`; this function returns `done` immediately.
pub(crate) fn perform<T: Send + 'static>(
    py: Python<'_>,
    done: Option<&Py<PyAny>>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
    answer: impl FnOnce(Python<'_>, T) -> Answer + Send + 'static,
) -> Answer {
    let Some(done) = done else {
        let result = py.detach(|| catch_panics(work));
        return answer(py, or_raise(py, result)?);
    };
    let called = done.clone_ref(py);
    tegula::spawn(move || {
        let result = catch_panics(work);
        // If the interpreter is shutting down, nothing waits for the answer.
        Python::try_attach(|py| {
            let arguments = match or_raise(py, result).and_then(|value| answer(py, value)) {
                Ok(value) => (value, py.None()),
                Err(error) => (py.None(), error.into_value(py).into_any()),
            };
            if let Err(error) = called.call1(py, arguments) {
                error.write_unraisable(py, None);
            }
        });
    });
    Ok(done.clone_ref(py))
}
