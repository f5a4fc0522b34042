//! Stores over HTTP, S3, Google Cloud Storage and Azure; see `tegula::store::RemoteStore`.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::prelude::*;

use crate::call::detached;
use crate::errors::exception;
use crate::store::Store;

type StringMap = BTreeMap<String, String>;

#[cfg(feature = "cloud")]
fn store(url: &str, options: StringMap, headers: StringMap) -> tegula::Result<tegula::store::RemoteStore> {
    tegula::store::RemoteStore::new(url, &tegula::store::RemoteOptions { options, headers })
}

#[cfg(not(feature = "cloud"))]
fn store(url: &str, _options: StringMap, _headers: StringMap) -> tegula::Result<tegula::store::ReadOnlyStore> {
    let scheme = url.split("://").next().unwrap_or_default();
    Err(tegula::Error::unsupported(format!("this build of tegula has no support for {scheme}:// URLs")))
}

/// Returns a store of the objects below a URL.
#[pyfunction]
pub(crate) fn remote_store(py: Python<'_>, url: &str, options: StringMap, headers: StringMap) -> PyResult<Store> {
    detached(py, || Ok(Store(Arc::new(store(url, options, headers)?))))
}

/// Returns counts of this process: all requests, HEAD requests, bytes read and bytes written.
#[pyfunction]
pub(crate) fn remote_stats(
    py: Python<'_>,
    url: &str,
    options: StringMap,
    headers: StringMap,
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

/// Returns the maximum number of concurrent requests.
#[pyfunction]
pub(crate) fn requests() -> usize {
    tegula::requests()
}

/// Sets the maximum number of concurrent requests.
#[pyfunction]
#[pyo3(signature = (requests, /))]
pub(crate) fn set_requests(py: Python<'_>, requests: usize) -> PyResult<()> {
    if requests == 0 {
        return Err(exception(py, "InvalidSelectionError", "the number of concurrent requests must be at least 1"));
    }
    tegula::set_requests(requests);
    Ok(())
}
