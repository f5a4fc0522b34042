//! Errors of the core as the exceptions of `tegula.errors`.

use pyo3::prelude::*;
use pyo3::types::PyType;
use tegula::{Error, ErrorKind};

/// The exception of a name in `tegula.errors`, with a message.
pub(crate) fn exception(py: Python<'_>, class: &str, message: &str) -> PyErr {
    let class = py.import("tegula.errors").and_then(|errors| Ok(errors.getattr(class)?.cast_into::<PyType>()?));
    match class {
        Ok(class) => PyErr::from_type(class, (message.to_owned(),)),
        Err(error) => error,
    }
}

/// The name of the exception for a kind of error: that of the kind with `Error` behind it.
fn class_name(kind: ErrorKind) -> String {
    format!("{kind:?}Error")
}

/// Turns the core's results into Python's.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for tegula::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, &error))
    }
}

/// Puts a place before the message of an exception.
pub(crate) trait At {
    fn at(self, py: Python<'_>, place: &str) -> PyErr;
}

impl At for PyErr {
    fn at(self, py: Python<'_>, place: &str) -> PyErr {
        let message = format!("{place}: {}", self.value(py));
        PyErr::from_type(self.get_type(py), (message,))
    }
}

/// The exception for an error.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, &class_name(error.kind()), error.message())
}

/// The names of the exceptions that the core's errors become.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<String> {
    ErrorKind::ALL.iter().map(|kind| class_name(*kind)).collect()
}
