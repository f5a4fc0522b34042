//! How arrays are read and written; see `tegula::CodecOptions`.

use pyo3::prelude::*;
use tegula::InnerChunkOrder;

use crate::errors::{OrRaise, exception};

#[pyclass(module = "tegula", frozen, eq, hash)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[doc = include_str!("docs/codec_options.txt")]
pub(crate) struct CodecOptions {
    /// int : At most so many chunks are decoded at once; 0: as many as there are threads.
    #[pyo3(get)]
    concurrent_target: usize,
    /// bool : Whether a checksum that does not fit is an error.
    #[pyo3(get)]
    validate_checksums: bool,
    /// bool : Whether chunks of nothing but the fill value are stored; otherwise they are erased.
    #[pyo3(get)]
    store_empty_chunks: bool,
    inner_chunk_order: InnerChunkOrder,
    /// bool : Whether chunks are changed in part where the store cannot keep other processes from doing the same.
    #[pyo3(get)]
    unlocked_writes: bool,
}

impl From<tegula::CodecOptions> for CodecOptions {
    fn from(options: tegula::CodecOptions) -> Self {
        let tegula::CodecOptions {
            concurrent_target,
            validate_checksums,
            store_empty_chunks,
            inner_chunk_order,
            unlocked_writes,
        } = options;
        Self { concurrent_target, validate_checksums, store_empty_chunks, inner_chunk_order, unlocked_writes }
    }
}

impl From<CodecOptions> for tegula::CodecOptions {
    fn from(options: CodecOptions) -> Self {
        let CodecOptions {
            concurrent_target,
            validate_checksums,
            store_empty_chunks,
            inner_chunk_order,
            unlocked_writes,
        } = options;
        Self { concurrent_target, validate_checksums, store_empty_chunks, inner_chunk_order, unlocked_writes }
    }
}

#[pymethods]
impl CodecOptions {
    #[new]
    #[pyo3(signature = (*, concurrent_target=None, validate_checksums=None, store_empty_chunks=None, inner_chunk_order=None, unlocked_writes=None))]
    fn new(
        py: Python<'_>,
        concurrent_target: Option<usize>,
        validate_checksums: Option<bool>,
        store_empty_chunks: Option<bool>,
        inner_chunk_order: Option<&str>,
        unlocked_writes: Option<bool>,
    ) -> PyResult<Self> {
        let options = Self::from(tegula::global_options());
        options.replace(
            py,
            concurrent_target,
            validate_checksums,
            store_empty_chunks,
            inner_chunk_order,
            unlocked_writes,
        )
    }

    /// str : In which order inner chunks lie in the shards that are written: "C" or "morton".
    #[getter]
    fn inner_chunk_order(&self) -> &'static str {
        self.inner_chunk_order.name()
    }

    /// The same options with some of them changed.
    #[pyo3(signature = (*, concurrent_target=None, validate_checksums=None, store_empty_chunks=None, inner_chunk_order=None, unlocked_writes=None))]
    fn replace(
        &self,
        py: Python<'_>,
        concurrent_target: Option<usize>,
        validate_checksums: Option<bool>,
        store_empty_chunks: Option<bool>,
        inner_chunk_order: Option<&str>,
        unlocked_writes: Option<bool>,
    ) -> PyResult<Self> {
        let order = inner_chunk_order.map(str::parse).transpose().or_raise(py)?;
        Ok(Self {
            concurrent_target: concurrent_target.unwrap_or(self.concurrent_target),
            validate_checksums: validate_checksums.unwrap_or(self.validate_checksums),
            store_empty_chunks: store_empty_chunks.unwrap_or(self.store_empty_chunks),
            inner_chunk_order: order.unwrap_or(self.inner_chunk_order),
            unlocked_writes: unlocked_writes.unwrap_or(self.unlocked_writes),
        })
    }

    fn __repr__(&self) -> String {
        let python = |value: bool| if value { "True" } else { "False" };
        format!(
            "CodecOptions(concurrent_target={}, validate_checksums={}, store_empty_chunks={}, inner_chunk_order='{}', unlocked_writes={})",
            self.concurrent_target,
            python(self.validate_checksums),
            python(self.store_empty_chunks),
            self.inner_chunk_order.name(),
            python(self.unlocked_writes)
        )
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<((), Bound<'py, pyo3::types::PyDict>)> {
        let fields = pyo3::types::PyDict::new(py);
        fields.set_item("concurrent_target", self.concurrent_target)?;
        fields.set_item("validate_checksums", self.validate_checksums)?;
        fields.set_item("store_empty_chunks", self.store_empty_chunks)?;
        fields.set_item("inner_chunk_order", self.inner_chunk_order.name())?;
        fields.set_item("unlocked_writes", self.unlocked_writes)?;
        Ok(((), fields))
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
        return Err(exception(py, "InvalidSelectionError", "a pool has at least one thread"));
    }
    tegula::set_threads(threads);
    Ok(())
}
