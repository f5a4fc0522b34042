//! Stores over HTTP, S3, Google Cloud Storage and Azure; see `tegula::store::RemoteStore`.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::prelude::*;

use crate::call::detached;
use crate::errors::exception;
use crate::store::Store;

type Texts = BTreeMap<String, String>;

#[cfg(feature = "cloud")]
fn store(url: &str, options: Texts, headers: Texts) -> tegula::Result<tegula::store::RemoteStore> {
    tegula::store::RemoteStore::new(url, &tegula::store::RemoteOptions { options, headers })
}

#[cfg(not(feature = "cloud"))]
fn store(url: &str, _options: Texts, _headers: Texts) -> tegula::Result<tegula::store::ReadOnlyStore> {
    let scheme = url.split("://").next().unwrap_or_default();
    Err(tegula::Error::unsupported(format!("this build of tegula has no stores for {scheme}:// URLs")))
}

/// The objects below a URL.
#[pyfunction]
pub(crate) fn remote_store(py: Python<'_>, url: &str, options: Texts, headers: Texts) -> PyResult<Store> {
    detached(py, || Ok(Store(Arc::new(store(url, options, headers)?))))
}

/// What this process's client has done: requests, of these HEAD, bytes read, bytes written.
#[pyfunction]
pub(crate) fn remote_stats(
    py: Python<'_>,
    url: &str,
    options: Texts,
    headers: Texts,
) -> PyResult<(u64, u64, u64, u64)> {
    detached(py, || {
        let store = store(url, options, headers)?;
        #[cfg(feature = "cloud")]
        {
            let stats = store.stats()?;
            Ok((stats.requests, stats.heads, stats.bytes_read, stats.bytes_written))
        }
        #[cfg(not(feature = "cloud"))]
        {
            drop(store);
            Ok((0, 0, 0, 0))
        }
    })
}

/// How many requests are under way at once.
#[pyfunction]
pub(crate) fn requests() -> usize {
    tegula::requests()
}

/// Sets how many requests are under way at once.
#[pyfunction]
#[pyo3(signature = (requests, /))]
pub(crate) fn set_requests(py: Python<'_>, requests: usize) -> PyResult<()> {
    if requests == 0 {
        return Err(exception(py, "InvalidSelectionError", "at least one request is under way"));
    }
    tegula::set_requests(requests);
    Ok(())
}
