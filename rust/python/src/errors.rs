//! Conversion of errors of the core to exceptions of `tegula.errors`.

use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::PyType;
use tegula::{Error, ErrorKind};

/// Returns an exception of a class in `tegula.errors`.
pub(crate) fn exception(py: Python<'_>, class: &str, message: &str) -> PyErr {
    let class = py.import("tegula.errors").and_then(|errors| Ok(errors.getattr(class)?.cast_into::<PyType>()?));
    match class {
        Ok(class) => PyErr::from_type(class, (message.to_owned(),)),
        Err(error) => error,
    }
}

/// Returns the class name for a kind of error: `NotFound` becomes `NotFoundError`.
fn class_name(kind: ErrorKind) -> String {
    format!("{kind:?}Error")
}

/// Converts results of the core to results of Python.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for tegula::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, &error))
    }
}

/// Adds a location to the message of an exception.
pub(crate) trait AtLocation {
    fn at(self, py: Python<'_>, location: &str) -> PyErr;
}

impl AtLocation for PyErr {
    fn at(self, py: Python<'_>, location: &str) -> PyErr {
        let message = format!("{location}: {}", self.value(py));
        PyErr::from_type(self.get_type(py), (message,))
    }
}

/// Returns the exception for an error. An exception that a store or codec raised is its cause, or passes unchanged if it
/// is not about the store or codec, such as `KeyboardInterrupt`.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<PyErr>());
    if let Some(cause) = cause.filter(|cause| passes(py, cause)) {
        return cause.clone_ref(py);
    }
    let raised = exception(py, &class_name(error.kind()), error.message());
    if let Some(cause) = cause {
        raised.set_cause(py, Some(cause.clone_ref(py)));
    }
    raised
}

/// Whether an exception passes through the core unchanged.
fn passes(py: Python<'_>, error: &PyErr) -> bool {
    !error.is_instance_of::<PyException>(py) || error.is_instance_of::<PyMemoryError>(py)
}

/// Returns the error for an exception that Python code raised for the core. `describe` makes one of its message.
pub(crate) fn wrapped(py: Python<'_>, error: PyErr, describe: impl FnOnce(String) -> Error) -> Error {
    if passes(py, &error) {
        return Error::interrupted(error.to_string()).with_source(error);
    }
    describe(error.to_string()).with_source(error)
}

/// Returns the class names of all exceptions for errors of the core.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<String> {
    ErrorKind::ALL.iter().map(|kind| class_name(*kind)).collect()
}
