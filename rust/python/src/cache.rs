//! Caches of chunks; see `tegula::ChunkCache`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use tegula::CacheLimit;

use crate::errors::OrRaise;

#[pyclass(module = "tegula", frozen)]
#[doc = include_str!("docs/chunk_cache.txt")]
pub(crate) struct ChunkCache {
    pub(crate) cache: tegula::ChunkCache,
    decoded: bool,
    limit: CacheLimit,
    per_thread: bool,
}

fn limit(chunks: Option<u64>, bytes: Option<&Bound<'_, PyAny>>) -> PyResult<CacheLimit> {
    match (chunks, bytes) {
        (Some(chunks), None) => Ok(CacheLimit::Chunks(chunks)),
        (None, Some(bytes)) => match bytes.extract::<String>() {
            Ok(text) => text.parse::<CacheLimit>().or_raise(bytes.py()),
            Err(_) => bytes.extract().map(CacheLimit::Bytes),
        },
        _ => Err(PyTypeError::new_err("pass either chunks or bytes")),
    }
}

impl ChunkCache {
    fn new(decoded: bool, limit: CacheLimit, per_thread: bool) -> Self {
        let cache = if decoded { tegula::ChunkCache::decoded(limit) } else { tegula::ChunkCache::encoded(limit) };
        let cache = if per_thread { cache.per_thread() } else { cache };
        Self { cache, decoded, limit, per_thread }
    }

    fn parts(&self) -> (&'static str, Option<u64>, Option<u64>) {
        let name = if self.decoded { "decoded" } else { "encoded" };
        match self.limit {
            CacheLimit::Chunks(chunks) => (name, Some(chunks), None),
            CacheLimit::Bytes(bytes) => (name, None, Some(bytes)),
        }
    }
}

#[pymethods]
impl ChunkCache {
    /// Return a cache of decoded chunks, which saves reads and decoding.
    #[staticmethod]
    #[pyo3(name = "decoded", signature = (*, chunks=None, bytes=None, per_thread=false))]
    fn new_decoded(chunks: Option<u64>, bytes: Option<&Bound<'_, PyAny>>, per_thread: bool) -> PyResult<Self> {
        Ok(Self::new(true, limit(chunks, bytes)?, per_thread))
    }

    /// Return a cache of encoded chunks, which saves reads.
    #[staticmethod]
    #[pyo3(name = "encoded", signature = (*, chunks=None, bytes=None, per_thread=false))]
    fn new_encoded(chunks: Option<u64>, bytes: Option<&Bound<'_, PyAny>>, per_thread: bool) -> PyResult<Self> {
        Ok(Self::new(false, limit(chunks, bytes)?, per_thread))
    }

    /// Return hits, misses, and the chunks and bytes in the cache.
    fn counts(&self) -> (u64, u64, u64, u64) {
        let info = self.cache.info();
        (info.hits, info.misses, info.chunks, info.bytes)
    }

    /// Remove all chunks.
    fn clear(&self, py: Python<'_>) {
        py.detach(|| self.cache.clear());
    }

    fn __repr__(&self) -> String {
        let (name, chunks, bytes) = self.parts();
        let limit =
            chunks.map_or_else(|| format!("bytes={}", bytes.unwrap_or_default()), |chunks| format!("chunks={chunks}"));
        format!("ChunkCache.{name}({limit}{})", if self.per_thread { ", per_thread=True" } else { "" })
    }

    /// A cache is pickled without its chunks.
    #[allow(clippy::type_complexity)] // the protocol of pickle
    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (&'static str, Option<u64>, Option<u64>, bool))> {
        let own = slf.get();
        let (name, chunks, bytes) = own.parts();
        Ok((slf.get_type().getattr("_restore")?, (name, chunks, bytes, own.per_thread)))
    }

    #[staticmethod]
    #[pyo3(signature = (name, chunks, bytes, per_thread, /))]
    fn _restore(name: &str, chunks: Option<u64>, bytes: Option<u64>, per_thread: bool) -> Self {
        let limit = chunks.map_or(CacheLimit::Bytes(bytes.unwrap_or_default()), CacheLimit::Chunks);
        Self::new(name == "decoded", limit, per_thread)
    }
}
