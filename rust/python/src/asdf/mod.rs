//! ASDF files; see `tegula::asdf`. The Python package `tegula.asdf` wraps these classes.

/// Returns a class or function of `tegula.asdf._tree`.
macro_rules! helper {
    ($py:expr, $name:literal) => {{
        static OBJECT: pyo3::sync::PyOnceLock<pyo3::Py<pyo3::PyAny>> = pyo3::sync::PyOnceLock::new();
        OBJECT.import($py, "tegula.asdf._tree", $name)
    }};
}

mod blocks;
mod dtype;
mod memory;
mod tree;
mod write;

pub(crate) use blocks::{ZarrBlocks, block_labels, compress_block, decompress_block};
pub(crate) use write::{AsdfNode, BlockCompression, append_asdf, asdf_leftovers, write_asdf};

use std::collections::HashMap;
use std::sync::Arc;

use numpy::{PyArray1, PyArrayDescr};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use tegula::asdf::yaml::{NodeId, Scalar};
use tegula::asdf::{BlockHeader, Class, OpenOptions, Source};
use tegula::{Error, Result};

use crate::array::Array;
use crate::call::{apart, attached, detached, reaching};
use crate::errors::OrRaise;
use crate::extract::bytes;
use crate::store::Store;
use crate::subset::tuple;

/// The native part of `tegula.asdf.AsdfFile`. Nodes of the tree are identified by numbers.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct AsdfFile(pub(crate) tegula::asdf::AsdfFile);

/// Shape (None for a stream), data type and mask node of an array, and whether it has null elements, from its node.
type Description<'py> = (Option<Bound<'py, PyTuple>>, Bound<'py, PyArrayDescr>, Option<usize>, bool);

/// Offset and strides of elements in a memory map of the file, in bytes.
type Mapped = (u64, Vec<i64>);

/// A block: offset, allocated size, used size and decompressed size in bytes, and compression label.
type Block = (u64, u64, u64, u64, String);

fn label(header: &BlockHeader) -> String {
    String::from_utf8_lossy(&header.compression).trim_end_matches('\0').to_owned()
}

impl AsdfFile {
    fn node(&self, node: usize) -> PyResult<NodeId> {
        self.0.tree().id(node).ok_or_else(|| PyIndexError::new_err(format!("the tree has no node {node}")))
    }

    /// Follows references from a node, and calls a function with the file and the node that they lead to.
    fn follow_and<T: Send>(
        &self,
        py: Python<'_>,
        node: usize,
        call: impl FnOnce(&tegula::asdf::AsdfFile, NodeId) -> Result<T> + Send,
    ) -> PyResult<T> {
        let node = self.node(node)?;
        detached(py, || {
            let (file, node) = self.0.follow(node)?;
            call(&file, node)
        })
    }
}

#[pymethods]
impl AsdfFile {
    /// Opens a file. With `allow_external`, local files and Zarr stores outside its folder may be opened.
    #[staticmethod]
    #[pyo3(signature = (store, key, validate_checksums, allow_external=false))]
    fn open(
        py: Python<'_>,
        store: &Bound<'_, Store>,
        key: &str,
        validate_checksums: bool,
        allow_external: bool,
    ) -> PyResult<Self> {
        let key = key.to_owned();
        let options = OpenOptions { validate_checksums, allow_external, ..OpenOptions::default() };
        let open = move |store: &Arc<dyn tegula::store::Store>| {
            tegula::asdf::AsdfFile::open_with(store.clone(), &key, options)
        };
        reaching(py, &store.get().0, open).map(Self)
    }

    #[getter]
    fn name(&self) -> String {
        self.0.name()
    }

    /// The key of the file in its store.
    #[getter]
    fn key(&self) -> &str {
        self.0.key()
    }

    /// The folder of the file's store, if a reference led from another store to this one.
    #[getter]
    fn outside(&self) -> Option<&std::path::Path> {
        self.0.outside()
    }

    /// The options `validate_checksums` and `allow_external`.
    #[getter]
    fn options(&self) -> (bool, bool) {
        let options = self.0.options();
        (options.validate_checksums, options.allow_external)
    }

    /// The version of the standard, if the header gives it.
    #[getter]
    fn standard(&self) -> Option<&str> {
        self.0.layout().standard.as_deref()
    }

    #[getter]
    fn format(&self) -> &str {
        &self.0.layout().version
    }

    #[getter]
    fn comments(&self) -> Vec<String> {
        self.0.layout().comments.clone()
    }

    /// The version of a local file when it was opened; see `tegula::asdf::FileVersion`.
    #[getter]
    fn file_version(&self) -> Option<[u64; 5]> {
        self.0.file_version().map(|version| version.0)
    }

    /// Returns whether the file in the store is still the file that was opened.
    fn is_current(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.is_current())
    }

    /// The number of the root node.
    #[getter]
    fn root(&self) -> usize {
        self.0.tree().root().index()
    }

    /// Converts a node and its descendants to Python objects. `owner` constructs arrays and references.
    fn tree<'py>(&self, node: usize, owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        tree::convert(&self.0, self.node(node)?, owner)
    }

    /// Converts the node of a chunked ndarray, with the arrays of its chunks.
    fn parts<'py>(&self, node: usize, owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        tree::convert_as(&self.0, self.node(node)?, owner, true)
    }

    fn find(&self, py: Python<'_>, path: &str) -> PyResult<usize> {
        self.0.find(path).map(NodeId::index).or_raise(py)
    }

    fn path_of(&self, node: usize) -> PyResult<String> {
        Ok(self.0.path_of(self.node(node)?))
    }

    /// Returns whether a node is an array or a reference to an array.
    fn is_array(&self, py: Python<'_>, node: usize) -> PyResult<bool> {
        self.follow_and(py, node, |file, node| {
            Ok(matches!(file.class(node), Class::Ndarray | Class::Chunked | Class::Zarr))
        })
    }

    fn is_zarr(&self, node: usize) -> PyResult<bool> {
        Ok(self.0.class(self.node(node)?) == Class::Zarr)
    }

    /// Returns whether a node is a chunked ndarray.
    fn is_chunked(&self, node: usize) -> PyResult<bool> {
        Ok(self.0.class(self.node(node)?) == Class::Chunked)
    }

    /// Returns the nodes of Zarr arrays by the block numbers of their maps.
    fn zarr_nodes(&self) -> HashMap<i64, usize> {
        let tree = self.0.tree();
        let nodes = (0..tree.len()).filter_map(|node| tree.id(node)).filter(|node| self.0.class(*node) == Class::Zarr);
        let map = |node: NodeId| match tree.scalar(tree.get(node, "chunk_block_map")?) {
            Ok(Scalar::Int(block)) => Some((block, node.index())),
            _ => None,
        };
        nodes.filter_map(map).collect()
    }

    /// Returns the file and the node that a URI leads to.
    fn target(&self, py: Python<'_>, uri: &str) -> PyResult<(Self, usize)> {
        let (file, node) = detached(py, || {
            let (file, node) = self.0.target(uri)?;
            file.follow(node)
        })?;
        Ok((Self(file), node.index()))
    }

    /// Returns the file (`None` for this file) and the node that references from a node lead to.
    fn target_of(&self, py: Python<'_>, node: usize) -> PyResult<(Option<Self>, usize)> {
        let (file, found) = self.follow_and(py, node, |file, node| Ok((file.clone(), node)))?;
        let other = (file.name() != self.0.name()).then_some(Self(file));
        Ok((other, found.index()))
    }

    fn describe<'py>(&self, py: Python<'py>, node: usize) -> PyResult<Description<'py>> {
        let node = self.node(node)?;
        if self.0.class(node) == Class::Zarr {
            let metadata = attached(py, || self.0.zarr_metadata(node))?;
            let dtype = crate::dtype::to_numpy(py, &metadata.data_type)?;
            return Ok((Some(tuple(py, metadata.chunk_grid.array_shape())?), dtype, None, false));
        }
        if self.0.class(node) == Class::Chunked {
            let chunked = attached(py, || self.0.chunked_ndarray(node))?;
            return Ok((Some(tuple(py, &chunked.shape)?), dtype::native(py, &chunked.datatype)?, None, false));
        }
        let ndarray = attached(py, || self.0.ndarray(node))?;
        let shape = if ndarray.streamed { None } else { Some(tuple(py, &ndarray.shape)?) };
        let has_nulls = matches!(&ndarray.source, Source::Inline(inline) if inline.nulls.is_some());
        Ok((shape, dtype::native(py, &ndarray.datatype)?, ndarray.mask.map(NodeId::index), has_nulls))
    }

    /// Returns which elements of an array in the tree are null, in C order; None if no element is.
    fn nulls<'py>(&self, py: Python<'py>, node: usize) -> PyResult<Option<Bound<'py, PyArray1<bool>>>> {
        let node = self.node(node)?;
        if self.0.class(node) != Class::Ndarray {
            return Ok(None);
        }
        match attached(py, || self.0.ndarray(node))?.source {
            Source::Inline(inline) => Ok(inline.nulls.map(|nulls| PyArray1::from_slice(py, &nulls))),
            _ => Ok(None),
        }
    }

    /// Returns the kind of storage and the compression label of an ndarray.
    fn storage(&self, py: Python<'_>, node: usize) -> PyResult<(&'static str, String)> {
        let node = self.node(node)?;
        detached(py, || {
            let ndarray = self.0.ndarray(node)?;
            let number = match &ndarray.source {
                Source::Inline(_) => return Ok(("inline", String::new())),
                Source::External(_) => return Ok(("external", String::new())),
                Source::Block(number) => *number,
            };
            let header = self.0.blocks().block(number).map_err(|error| error.at(self.0.describe(node)))?;
            let storage = if header.streamed { "streamed" } else { "internal" };
            Ok((storage, label(&header)))
        })
    }

    /// Returns the stored data type and the shape of an ndarray.
    fn stored<'py>(&self, py: Python<'py>, node: usize) -> PyResult<(Bound<'py, PyArrayDescr>, Bound<'py, PyTuple>)> {
        let node = self.node(node)?;
        let (ndarray, array) = detached(py, || {
            let ndarray = self.0.ndarray(node)?;
            let array = self.0.open_ndarray(node, &ndarray)?;
            Ok((ndarray, array))
        })?;
        Ok((dtype::stored(py, &ndarray.datatype)?, tuple(py, array.shape())?))
    }

    fn array(&self, py: Python<'_>, node: usize) -> PyResult<Array> {
        let node = self.node(node)?;
        match self.0.class(node) {
            Class::Ndarray => {}
            Class::Chunked => {
                let (datatype, array) =
                    detached(py, || Ok((self.0.chunked_ndarray(node)?.datatype, self.0.array_at(node)?)))?;
                return Array::with_dtype(array, dtype::native(py, &datatype)?);
            }
            _ => return Array::new(py, detached(py, || self.0.array_at(node))?),
        }
        let (ndarray, array) = detached(py, || {
            let ndarray = self.0.ndarray(node)?;
            let array = self.0.open_ndarray(node, &ndarray)?;
            Ok((ndarray, array))
        })?;
        Array::with_dtype(array, dtype::native(py, &ndarray.datatype)?)
    }

    /// Returns the offset and strides of an array, if its elements have the same layout in this file and in memory.
    fn mapped(&self, array: &Bound<'_, Array>) -> PyResult<Option<Mapped>> {
        let mapped = attached(array.py(), || array.get().core().mappable())?;
        let name = self.0.name();
        let mapped = mapped.filter(|mapped| !mapped.reversed && mapped.object == name);
        Ok(mapped.map(|mapped| (mapped.offset, mapped.strides)))
    }

    /// Returns the decompressed data of a block.
    fn block<'py>(&self, py: Python<'py>, number: i64) -> PyResult<Bound<'py, PyBytes>> {
        let file = self.0.clone();
        bytes(py, &apart(py, move || file.block_data(number))?)
    }

    fn blocks(&self, py: Python<'_>) -> PyResult<Vec<Block>> {
        detached(py, || {
            let blocks = self.0.blocks();
            let describe = |number: usize| {
                let header = blocks.block(number as i64).map_err(|error| error.at(self.0.name()))?;
                Ok((header.offset, header.allocated, header.used, header.data_size, label(&header)))
            };
            (0..blocks.len()?).map(describe).collect::<Result<_, Error>>()
        })
    }

    fn block_count(&self, py: Python<'_>) -> PyResult<usize> {
        detached(py, || self.0.blocks().len())
    }

    fn check_block(&self, py: Python<'_>, number: usize) -> PyResult<()> {
        detached(py, || self.0.check_block(number))
    }

    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        let file = self.0.clone();
        apart(py, move || file.verify())
    }
}
