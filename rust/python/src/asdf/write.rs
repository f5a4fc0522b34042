//! Conversion of Python objects to ASDF trees, and writing of files.

use std::collections::HashMap;
use std::path::PathBuf;

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyComplex, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use tegula::asdf::yaml::{Document, Kind, NodeId, Style, YAML_TAG_PREFIX};
use tegula::asdf::{BlockLayout, COMPLEX_TAG, FileOptions, FileVersion, INTEGER_TAG, NewArray, Storage, append_rows};

use super::memory::{Callback, base, memory};
use super::{AsdfFile, dtype};
use crate::array::Array;
use crate::buffer::Source;
use crate::call::{apart, attached, detached};
use crate::errors::{OrRaise, exception};
use crate::json;

/// Maximum depth of a tree that readers accept.
const DEEPEST: usize = 900;

/// Longer strings, in bytes, are written once: a tree can hold one string in many places.
const LONG: usize = 256;

/// The compression of blocks: a label and the options of its codec.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct BlockCompression(tegula::asdf::BlockCompression);

#[pymethods]
impl BlockCompression {
    #[new]
    fn new(py: Python<'_>, label: &str, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        tegula::asdf::BlockCompression::new(label, json::object_from_python(options)?).map(Self).or_raise(py)
    }
}

/// Description of the node for an object that is not plain data.
#[pyclass(module = "tegula._tegula")]
pub(crate) enum AsdfNode {
    /// The node of another object.
    Plain { value: Py<PyAny> },
    /// An unquoted scalar.
    Scalar { text: String },
    /// A set, given as a dict with its items as keys.
    Set { items: Py<PyDict> },
    /// A new ndarray.
    Ndarray {
        array: Py<PyUntypedArray>,
        mask: Option<Py<PyUntypedArray>>,
        storage: String,
        compression: Option<Py<BlockCompression>>,
        save_base: bool,
    },
    /// An ndarray of an opened file, copied without decoding.
    Copy { file: Py<AsdfFile>, node: usize },
    /// A Zarr array.
    Zarr { array: Py<Array> },
}

/// Builds a tree. An object that occurs several times becomes one node with aliases.
struct Builder<'py> {
    py: Python<'py>,
    describe: Bound<'py, PyAny>,
    document: Document,
    layout: BlockLayout,
    keep_zarr_v3: bool,
    done: HashMap<usize, NodeId>,
    /// References to converted objects, so that no other object gets the same address.
    kept: Vec<Bound<'py, PyAny>>,
}

/// Options of a write: the attributes of `tegula.asdf._write.WriteJob`.
#[derive(FromPyObject)]
pub(crate) struct WriteJob<'py> {
    /// A callable that returns the `AsdfNode` of an object.
    describe: Bound<'py, PyAny>,
    /// Compression of the blocks of converters.
    block_compression: Option<Bound<'py, BlockCompression>>,
    version: String,
    padding: Option<f64>,
    include_block_index: bool,
    checksums: bool,
    keep_zarr_v3: bool,
    /// Version that the file must have to be replaced; see [`FileVersion`].
    expected: Option<[u64; 5]>,
}

/// Writes a tree to a file, and returns the file's version. `blocks` are callables that return the data of the first
/// blocks; the tree already refers to them by number.
#[pyfunction]
pub(crate) fn write_asdf(
    tree: &Bound<'_, PyAny>,
    path: PathBuf,
    job: WriteJob<'_>,
    blocks: Vec<Py<PyAny>>,
) -> PyResult<Option<[u64; 5]>> {
    let py = tree.py();
    let mut builder = Builder {
        py,
        describe: job.describe,
        document: Document::new(),
        layout: BlockLayout::new(path),
        keep_zarr_v3: job.keep_zarr_v3,
        done: HashMap::new(),
        kept: Vec::new(),
    };
    for data in blocks {
        let compression = job.block_compression.as_ref().map(|compression| &compression.get().0);
        builder.layout.add_block(Box::new(Callback(data)), compression).or_raise(py)?;
    }
    let root = builder.node(tree, 0)?;
    builder.document.set_root(root);
    let Builder { document, layout, .. } = builder;
    let (standard, padding, index, checksums) = (job.version, job.padding, job.include_block_index, job.checksums);
    let expected = job.expected.map(FileVersion);
    apart(py, move || {
        let options = FileOptions { standard: &standard, padding, index, ..FileOptions::default() };
        Ok(layout.write(document, &options, checksums, expected)?.map(|version| version.0))
    })
}

/// Finds what killed writers of a file left in its folder, and removes it with `remove`; returns the paths.
#[pyfunction]
pub(crate) fn asdf_leftovers(py: Python<'_>, path: PathBuf, remove: bool) -> PyResult<Vec<PathBuf>> {
    detached(py, move || tegula::asdf::leftovers(&path, remove))
}

/// Appends rows, in C order, to the streamed array at a path in the tree, and returns the new number of rows.
#[pyfunction]
pub(crate) fn append_asdf(
    py: Python<'_>,
    path: PathBuf,
    node: &str,
    rows: &Bound<'_, PyUntypedArray>,
) -> PyResult<u64> {
    let rows = Source::any(rows)?;
    let node = node.to_owned();
    apart(py, move || append_rows(&path, &node, rows.buffer().bytes))
}

impl<'py> Builder<'py> {
    fn node(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<NodeId> {
        if depth > DEEPEST {
            return Err(exception(
                self.py,
                "UnsupportedError",
                &format!("cannot write a tree that is more than {DEEPEST} levels deep"),
            ));
        }
        if let Ok(text) = object.cast_exact::<PyString>() {
            let text = text.to_str()?;
            if text.len() <= LONG {
                return Ok(self.document.add_str(text));
            }
            let address = object.as_ptr().addr();
            if let Some(done) = self.done.get(&address) {
                return Ok(*done);
            }
            self.kept.push(object.clone());
            let node = self.document.add_str(text);
            self.done.insert(address, node);
            return Ok(node);
        }
        if object.is_none() {
            return Ok(self.document.add_null());
        }
        if let Ok(value) = object.cast::<PyBool>() {
            return Ok(self.document.add_bool(value.is_true()));
        }
        if object.is_exact_instance_of::<PyInt>() {
            return self.integer(object);
        }
        if let Ok(value) = object.cast::<PyFloat>() {
            return Ok(self.document.add_float(value.value()));
        }
        let address = object.as_ptr().addr();
        if let Some(done) = self.done.get(&address) {
            return Ok(*done);
        }
        self.kept.push(object.clone());
        // Lazy nodes of the asdf library are dicts and lists whose content is elsewhere.
        if let Ok(dict) = object.cast::<PyDict>()
            && (dict.len() > 0 || object.len()? == 0)
        {
            return self.mapping(object, dict, depth);
        }
        if let Ok(list) = object.cast::<PyList>()
            && (list.len() > 0 || object.len()? == 0)
        {
            return self.sequence(object, list.iter(), depth);
        }
        if let Ok(tuple) = object.cast::<PyTuple>() {
            return self.sequence(object, tuple.iter(), depth);
        }
        let node = self.other(object, depth)?;
        self.done.insert(address, node);
        Ok(node)
    }

    /// Adds the node of an object that is neither plain data nor a collection.
    fn other(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<NodeId> {
        if let Ok(text) = object.cast::<PyString>() {
            let node = self.document.add_str(text.to_str()?);
            return self.tagged(object, node);
        }
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(self.document.add_binary(bytes.as_bytes()));
        }
        if let Ok(value) = object.cast_exact::<PyComplex>() {
            let node = self.document.add_scalar(value.str()?.to_str()?, Style::Plain);
            self.document.set_tag(node, COMPLEX_TAG);
            return Ok(node);
        }
        let answer = self.describe.call1((object,))?;
        match &*answer.cast::<AsdfNode>()?.borrow() {
            AsdfNode::Plain { value } => self.node(value.bind(self.py), depth + 1),
            AsdfNode::Scalar { text } => Ok(self.document.add_scalar(text.as_str(), Style::Plain)),
            AsdfNode::Set { items } => {
                let node = self.node(items.bind(self.py), depth + 1)?;
                self.document.set_tag(node, &format!("{YAML_TAG_PREFIX}set"));
                Ok(node)
            }
            AsdfNode::Ndarray { array, mask, storage, compression, save_base } => {
                let (array, storage) = (array.bind(self.py), storage_from(storage)?);
                let mask = match mask.as_ref().map(|mask| mask.bind(self.py)) {
                    Some(mask) if storage == Storage::Inline => Some(self.ndarray(mask, None, storage, None, false)?),
                    Some(mask) => Some(self.node(mask, depth + 1)?),
                    None => None,
                };
                self.ndarray(array, mask, storage, compression.as_ref().map(Py::get), *save_base)
            }
            AsdfNode::Copy { file, node } => {
                let (file, node) = (file.get(), file.get().node(*node)?);
                attached(self.py, || self.layout.add_copy(&mut self.document, &file.0, node))
            }
            AsdfNode::Zarr { array } => {
                let array = array.get().core();
                detached(self.py, || self.layout.add_zarr(&mut self.document, array, self.keep_zarr_v3))
            }
        }
    }

    fn ndarray(
        &mut self,
        array: &Bound<'py, PyUntypedArray>,
        mask: Option<NodeId>,
        storage: Storage,
        compression: Option<&BlockCompression>,
        save_base: bool,
    ) -> PyResult<NodeId> {
        let array = NewArray {
            datatype: &dtype::from_numpy(&array.dtype())?,
            memory: memory(array)?,
            base: if save_base { Some(base(array)?) } else { None },
            storage,
            compression: compression.map(|compression| &compression.0),
            mask,
        };
        self.layout.add_array(&mut self.document, array).or_raise(self.py)
    }

    /// Sets the tag of an object, if it has one.
    fn tagged(&mut self, object: &Bound<'py, PyAny>, node: NodeId) -> PyResult<NodeId> {
        if let Some(tag) = helper!(self.py, "tag_of")?.call1((object,))?.extract::<Option<String>>()? {
            self.document.set_tag(node, &tag);
        }
        Ok(node)
    }

    fn is_leaf(&self, id: NodeId) -> bool {
        self.document.text(id).is_some()
    }

    fn sequence(
        &mut self,
        object: &Bound<'py, PyAny>,
        values: impl Iterator<Item = Bound<'py, PyAny>>,
        depth: usize,
    ) -> PyResult<NodeId> {
        let node = self.document.add_sequence(Vec::new());
        // Registered before its items are converted, as a list can contain itself.
        self.done.insert(object.as_ptr().addr(), node);
        let items: Vec<_> = values.map(|value| self.node(&value, depth + 1)).collect::<PyResult<_>>()?;
        let flow = items.iter().all(|item| self.is_leaf(*item));
        self.document.node_mut(node).kind = Kind::Sequence { items, flow };
        if object.is_exact_instance_of::<PyList>() { Ok(node) } else { self.tagged(object, node) }
    }

    fn mapping(&mut self, object: &Bound<'py, PyAny>, dict: &Bound<'py, PyDict>, depth: usize) -> PyResult<NodeId> {
        let node = self.document.add_mapping(Vec::new());
        self.done.insert(object.as_ptr().addr(), node);
        let mut pairs = Vec::with_capacity(dict.len());
        for (key, value) in dict.iter() {
            pairs.push((self.key(&key)?, self.node(&value, depth + 1)?));
        }
        let flow = pairs.iter().all(|(_, value)| self.is_leaf(*value));
        self.document.node_mut(node).kind = Kind::Mapping { pairs, flow };
        if object.is_exact_instance_of::<PyDict>() { Ok(node) } else { self.tagged(object, node) }
    }

    fn key(&mut self, key: &Bound<'py, PyAny>) -> PyResult<NodeId> {
        let Ok(text) = key.cast::<PyString>() else {
            if key.is_instance_of::<PyInt>() && (key.is_instance_of::<PyBool>() || key.extract::<i64>().is_ok()) {
                return self.node(key, 0);
            }
            let message = format!(
                "cannot write a mapping with a key of {}: keys must be str, bool or int of 64 bits",
                key.get_type()
            );
            return Err(exception(self.py, "UnsupportedError", &message));
        };
        Ok(self.document.add_str(text.to_str()?))
    }

    /// Adds an integer. An integer outside the range of i64 becomes a node with 32-bit words.
    fn integer(&mut self, object: &Bound<'py, PyAny>) -> PyResult<NodeId> {
        if let Ok(value) = object.extract::<i64>() {
            return Ok(self.document.add_int(value));
        }
        let (sign, words, digits): (String, Vec<u32>, String) =
            helper!(self.py, "words")?.call1((object,))?.extract()?;
        let document = &mut self.document;
        let length = document.add_int(words.len() as u64);
        let words = words.iter().map(|word| document.add_int(*word)).collect();
        let words = [
            ("data", document.add_sequence(words)),
            ("datatype", document.add_str("uint32")),
            ("shape", document.add_sequence(vec![length])),
        ];
        let words = document.add_map(words);
        document.set_tag(words, tegula::asdf::NDARRAY_TAG);
        let entries = [("sign", document.add_str(&sign)), ("string", document.add_str(&digits)), ("words", words)];
        let node = document.add_map(entries);
        document.set_tag(node, INTEGER_TAG);
        Ok(node)
    }
}

fn storage_from(name: &str) -> PyResult<Storage> {
    match name {
        "internal" => Ok(Storage::Internal),
        "inline" => Ok(Storage::Inline),
        "external" => Ok(Storage::External),
        "streamed" => Ok(Storage::Streamed),
        _ => Err(PyValueError::new_err(format!(
            "unknown array storage {name:?}; use internal, inline, external or streamed"
        ))),
    }
}
