//! How arrays are read and written; see `tegula::CodecOptions`. The table `options!` has a row for each option.

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use tegula::InnerChunkOrder;

use crate::errors::{OrRaise, exception};

/// How an option is spelled in Python.
trait Spelled: Sized {
    fn spell(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>>;
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self>;
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Spelled for $type {
            fn spell(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
                self.into_bound_py_any(py)
            }

            fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
                value.extract()
            }
        }
    )*};
}

plain!(bool, usize);

impl Spelled for InnerChunkOrder {
    fn spell(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok(PyString::new(py, self.name()).into_any())
    }

    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        value.extract::<&str>()?.parse().or_raise(value.py())
    }
}

macro_rules! options {
    ($(#[doc = $doc:literal] $name:ident),* $(,)?) => {
        #[pymethods]
        impl CodecOptions {
            $(
                #[doc = $doc]
                #[getter]
                fn $name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                    self.0.$name.spell(py)
                }
            )*

            /// Return the options with some of them changed.
            #[pyo3(signature = (**changes))]
            fn replace(&self, changes: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
                let mut options = self.0;
                for (name, value) in changes.into_iter().flatten() {
                    match name.cast::<PyString>()?.to_str()? {
                        name if ![$(stringify!($name)),*].contains(&name) => {
                            return Err(PyTypeError::new_err(format!("{name:?} is not an option")));
                        }
                        _ if value.is_none() => {}
                        $(stringify!($name) => options.$name = Spelled::read(&value)?,)*
                        _ => {}
                    }
                }
                Ok(Self(options))
            }

            fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<((), Bound<'py, PyDict>)> {
                let options = PyDict::new(py);
                $(options.set_item(stringify!($name), self.0.$name.spell(py)?)?;)*
                Ok(((), options))
            }
        }
    };
}

options! {
    /// int : The number of chunks that are decoded at once; 0 for the number of threads.
    concurrent_target,
    /// bool : Whether a wrong checksum is an error.
    validate_checksums,
    /// bool : Whether chunks that hold only the fill value are stored; otherwise they are erased.
    store_empty_chunks,
    /// str : The order of inner chunks in new shards: "C" or "morton".
    inner_chunk_order,
    /// bool : Whether chunks are changed in part in stores that cannot keep other processes from changing them too.
    unlocked_writes,
}

#[pyclass(module = "tegula", frozen, eq, hash)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[doc = include_str!("docs/codec_options.txt")]
pub(crate) struct CodecOptions(tegula::CodecOptions);

impl From<tegula::CodecOptions> for CodecOptions {
    fn from(options: tegula::CodecOptions) -> Self {
        Self(options)
    }
}

impl From<CodecOptions> for tegula::CodecOptions {
    fn from(options: CodecOptions) -> Self {
        options.0
    }
}

#[pymethods]
impl CodecOptions {
    #[new]
    #[pyo3(signature = (**changes))]
    fn new(changes: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Self(tegula::global_options()).replace(changes)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let ((), options) = self.__getnewargs_ex__(py)?;
        let spelled = options.iter().map(|(name, value)| Ok(format!("{name}={}", value.repr()?)));
        Ok(format!("CodecOptions({})", spelled.collect::<PyResult<Vec<_>>>()?.join(", ")))
    }
}

/// The options that an array takes when it is opened.
#[pyfunction]
pub(crate) fn global_options() -> CodecOptions {
    tegula::global_options().into()
}

/// Changes the options for all arrays that are opened from now on.
#[pyfunction]
#[pyo3(signature = (options, /))]
pub(crate) fn set_global_options(options: &Bound<'_, CodecOptions>) {
    tegula::set_global_options((*options.get()).into());
}

/// The number of threads of the pool.
#[pyfunction]
pub(crate) fn threads() -> usize {
    tegula::threads()
}

/// Sets the number of threads of the pool.
#[pyfunction]
#[pyo3(signature = (threads, /))]
pub(crate) fn set_threads(py: Python<'_>, threads: usize) -> PyResult<()> {
    if threads == 0 {
        return Err(exception(py, "InvalidSelectionError", "the number of threads must be at least 1"));
    }
    tegula::set_threads(threads);
    Ok(())
}
