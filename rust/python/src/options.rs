//! Options of reads and writes; see `tegula::CodecOptions`. The table `options!` has a row for each option.

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use tegula::{InnerChunkOrder, MissingChunks};

use crate::errors::{OrRaise, exception};

/// Conversion of an option to Python and back.
trait PythonOption: Sized {
    fn to_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>>;
    fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self>;
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl PythonOption for $type {
            fn to_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
                self.into_bound_py_any(py)
            }

            fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self> {
                value.extract()
            }
        }
    )*};
}

plain!(bool, usize);

macro_rules! named {
    ($($type:ty),*) => {$(
        impl PythonOption for $type {
            fn to_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
                Ok(PyString::new(py, self.name()).into_any())
            }

            fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self> {
                value.extract::<&str>()?.parse().or_raise(value.py())
            }
        }
    )*};
}

named!(InnerChunkOrder, MissingChunks);

macro_rules! options {
    ($($name:ident: $type:literal, $doc:literal;)*) => {
        #[pyclass(module = "tegula", frozen, eq, hash)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[doc = concat!(
            "Options of reads and writes.\n\nOptions that are not passed have the values of `tegula.config`.\n\n",
            "Parameters\n----------\n",
            $(stringify!($name), " : ", $type, ", optional\n    ", $doc, "\n",)*
            "\n", include_str!("docs/codec_options_examples.txt"),
        )]
        pub(crate) struct CodecOptions(tegula::CodecOptions);

        #[pymethods]
        impl CodecOptions {
            $(
                #[doc = concat!($type, " : ", $doc)]
                #[getter]
                fn $name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                    self.0.$name.to_python(py)
                }
            )*

            /// Return a copy with some options changed.
            #[pyo3(signature = (**changes))]
            fn replace(&self, changes: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
                let mut options = self.0;
                for (name, value) in changes.into_iter().flatten() {
                    match name.cast::<PyString>()?.to_str()? {
                        name if ![$(stringify!($name)),*].contains(&name) => {
                            let names = [$(stringify!($name)),*].join(", ");
                            return Err(PyTypeError::new_err(format!("unknown option {name:?}; the options are {names}")));
                        }
                        _ if value.is_none() => {}
                        $(stringify!($name) => options.$name = PythonOption::from_python(&value)?,)*
                        _ => {}
                    }
                }
                Ok(Self(options))
            }

            fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<((), Bound<'py, PyDict>)> {
                let options = PyDict::new(py);
                $(options.set_item(stringify!($name), self.0.$name.to_python(py)?)?;)*
                Ok(((), options))
            }
        }
    };
}

options! {
    concurrent_target: "int", "The maximum number of chunks that are decoded at once; 0 for the number of threads.";
    validate_checksums: "bool", "Whether a wrong checksum is an error.";
    store_empty_chunks: "bool",
        "Whether chunks that contain only the fill value are stored; otherwise they are erased.";
    inner_chunk_order: "{\"C\", \"morton\"}",
        "The order of inner chunks in new shards: C order, or Morton order, which keeps neighbors on all axes close.";
    unlocked_writes: "bool",
        "Whether to allow partial writes of chunks in stores that cannot exclude other processes, such as a mapping \
         that is not a dict. If two processes change a chunk at the same time, one of the changes is lost.";
    missing_chunks: "{\"fill\", \"error\"}",
        "What a read finds in chunks, and inner chunks of shards, that are not stored: the fill value, or a \
         `NotFoundError`, which is also a `KeyError`.";
}

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
        let options = options.iter().map(|(name, value)| Ok(format!("{name}={}", value.repr()?)));
        Ok(format!("CodecOptions({})", options.collect::<PyResult<Vec<_>>>()?.join(", ")))
    }
}

/// Returns the options of arrays that are opened from now on.
#[pyfunction]
pub(crate) fn global_options() -> CodecOptions {
    tegula::global_options().into()
}

/// Sets the options of arrays that are opened from now on.
#[pyfunction]
#[pyo3(signature = (options, /))]
pub(crate) fn set_global_options(options: &Bound<'_, CodecOptions>) {
    tegula::set_global_options((*options.get()).into());
}

/// Returns the number of threads of the pool.
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
