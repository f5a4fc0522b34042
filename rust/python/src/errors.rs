//! Conversion of errors of the core to exceptions of `tegula.errors`.

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

/// Returns the exception for an error.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, &class_name(error.kind()), error.message())
}

/// Returns the class names of all exceptions for errors of the core.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<String> {
    ErrorKind::ALL.iter().map(|kind| class_name(*kind)).collect()
}
