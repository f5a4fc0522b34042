//! Blocks of Zarr arrays, and block codecs, for the `asdf` library.

use std::sync::Arc;

use numpy::{PyReadonlyArray1, PyReadwriteArray1};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use tegula::asdf::{Compression, ZarrNode, compression_label, compression_labels, decompress_into};

use crate::array::Array;
use crate::call::detached;
use crate::errors::OrRaise;
use crate::extract::bytes;
use crate::json;

/// A Zarr array as a node and blocks of a file.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct ZarrBlocks(Arc<ZarrNode>);

#[pymethods]
impl ZarrBlocks {
    /// Lists the stored chunks of an array. With `keep_v3`, a Zarr V3 array stays V3.
    #[new]
    fn new(py: Python<'_>, array: &Bound<'_, Array>, keep_v3: bool) -> PyResult<Self> {
        let array = array.get().core().clone();
        detached(py, || ZarrNode::new(&array, keep_v3)).map(|node| Self(Arc::new(node)))
    }

    /// The tag of the node.
    #[getter]
    fn tag(&self) -> &'static str {
        self.0.tag()
    }

    /// Returns the entries of the node except `chunk_block_map`.
    fn documents<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, value) in self.0.documents() {
            dict.set_item(name, json::to_python(py, &value)?)?;
        }
        Ok(dict)
    }

    fn __len__(&self) -> usize {
        self.0.blocks()
    }

    /// Returns the index of each block's chunk in the map.
    fn places(&self) -> Vec<usize> {
        self.0.places()
    }

    /// Returns the bytes of a block; the last block is the map. `first` is the number of the array's first block in the
    /// file.
    fn block<'py>(&self, py: Python<'py>, number: usize, first: usize) -> PyResult<Bound<'py, PyBytes>> {
        let node = self.0.clone();
        bytes(py, &detached(py, move || node.block(number, first))?)
    }
}

/// Returns the compression labels with a codec.
#[pyfunction]
pub(crate) fn block_labels() -> Vec<String> {
    compression_labels()
}

/// Compresses data and returns consecutive parts. The options are those of Python's compression libraries.
#[pyfunction]
#[pyo3(signature = (label, data, **options))]
pub(crate) fn compress_block<'py>(
    py: Python<'py>,
    label: &str,
    data: PyReadonlyArray1<'py, u8>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let options = options.map(|options| json::object_from_python(options)).transpose()?.unwrap_or_default();
    let compression = Compression::new(label, &options).or_raise(py)?;
    let data = data.as_slice()?;
    let mut parts = Vec::new();
    let mut take = |part| {
        parts.push(part);
        Ok(())
    };
    detached(py, || compression.encode_to(data, &mut take))?;
    parts.into_iter().map(|part| bytes(py, &part)).collect()
}

/// Decompresses data into an array of the exact size.
#[pyfunction]
pub(crate) fn decompress_block(
    py: Python<'_>,
    label: &str,
    data: PyBackedBytes,
    mut out: PyReadwriteArray1<'_, u8>,
) -> PyResult<()> {
    let label = compression_label(label).or_raise(py)?;
    let out = out.as_slice_mut()?;
    detached(py, || decompress_into(label, &data, out))
}
