//! Calls of the core: without the GIL, on this thread or, for asyncio, on another.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use tegula::Result;

use crate::errors::{OrRaise, exception};

/// A result, or the message of a panic: panics must not cross into Python.
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

/// Carries out a call that needs no I/O, with the GIL.
pub(crate) fn attached<T>(py: Python<'_>, work: impl FnOnce() -> Result<T>) -> PyResult<T> {
    unguarded(py, guarded(work))
}

/// Carries out a call without the GIL.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    let result = py.detach(|| guarded(work));
    unguarded(py, result)
}

/// What a method returns that can be deferred: its result, or `done` if another thread brings the result later.
pub(crate) type Answer = PyResult<Py<PyAny>>;

/// Carries out a call without the GIL and returns its answer. With `done`, another thread carries it out and then calls
/// `done(answer, None)` or `done(None, error)`; `done` itself is returned at once.
pub(crate) fn perform<T: Send + 'static>(
    py: Python<'_>,
    done: Option<&Py<PyAny>>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
    answer: impl FnOnce(Python<'_>, T) -> Answer + Send + 'static,
) -> Answer {
    let Some(done) = done else {
        let result = py.detach(|| guarded(work));
        return answer(py, unguarded(py, result)?);
    };
    let called = done.clone_ref(py);
    tegula::spawn(move || {
        let result = guarded(work);
        // While the interpreter shuts down, nobody waits for the answer.
        Python::try_attach(|py| {
            let arguments = match unguarded(py, result).and_then(|value| answer(py, value)) {
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
