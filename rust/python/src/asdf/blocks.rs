//! What the `asdf` library's own reader and writer get of us: blocks of Zarr arrays, and codecs of blocks by their labels.

use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use tegula::asdf::{Compression, ZarrNode, compression_label, compression_labels, decompress};

use crate::array::Array;
use crate::call::detached;
use crate::errors::OrRaise;
use crate::json;

/// An array as the node and the blocks of a file.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct ZarrBlocks(Arc<ZarrNode>);

#[pymethods]
impl ZarrBlocks {
    /// Looks which chunks there are. `keep_v3`: an array of Zarr V3 stays such.
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

    /// What stands in the node beside `chunk_block_map`.
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

    /// The places of the chunks in the map, block by block.
    fn places(&self) -> Vec<usize> {
        self.0.places()
    }

    /// The bytes of one of its blocks, which are counted from `first` on in the file; the last is the map.
    fn block<'py>(&self, py: Python<'py>, number: usize, first: usize) -> PyResult<Bound<'py, PyBytes>> {
        let node = self.0.clone();
        Ok(PyBytes::new(py, &detached(py, move || node.block(number, first))?))
    }
}

/// The labels of blocks that there are codecs for.
#[pyfunction]
pub(crate) fn block_labels() -> Vec<String> {
    compression_labels()
}

/// Encodes data; the options are those that the Python libraries have for a label.
#[pyfunction]
#[pyo3(signature = (label, data, **options))]
pub(crate) fn compress_block<'py>(
    py: Python<'py>,
    label: &str,
    data: PyBackedBytes,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let options = options.map(|options| json::object_from_python(options)).transpose()?.unwrap_or_default();
    let compression = Compression::new(label, &options).or_raise(py)?;
    Ok(PyBytes::new(py, &detached(py, move || compression.encode(&data))?))
}

/// Decodes data that are to become `size` bytes.
#[pyfunction]
pub(crate) fn decompress_block<'py>(
    py: Python<'py>,
    label: &str,
    data: PyBackedBytes,
    size: u64,
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let label = compression_label(label).or_raise(py)?;
    Ok(detached(py, move || decompress(label, &data, size))?.into_pyarray(py))
}
