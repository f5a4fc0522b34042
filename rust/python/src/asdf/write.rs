//! Python's objects as trees of ASDF files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyComplex, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use tegula::asdf::yaml::{Document, Kind, NodeId, Style, YAML_TAG_PREFIX};
use tegula::asdf::{BlockHeader, COMPLEX_TAG, INTEGER_TAG, NewNdarray, Target, ZarrNode, append_rows};
use tegula::store::Identity;

use super::out::{Block, Blocks, Lie, Options, Put, Storage};
use super::{AsdfFile, dtype};
use crate::array::Array;
use crate::buffer::Origin;
use crate::call::detached;
use crate::errors::{OrRaise, exception};

/// As deep as trees can be read again.
const DEEPEST: usize = 900;

/// Makes a tree; each object becomes one node, wherever it stands.
struct Builder<'py> {
    py: Python<'py>,
    document: Document,
    done: HashMap<usize, NodeId>,
    /// Objects stay alive, so that no other gets their address.
    kept: Vec<Bound<'py, PyAny>>,
    blocks: Blocks,
    /// Blocks of files, by the file and the offset there.
    copied: HashMap<(Identity, u64), usize>,
    options: Options,
}

/// Writes a tree to a file. Options: `compression` (a label or None), `compression_kwargs`, `checksums`, `pad_blocks` (a
/// bool or a factor), `include_block_index`, `version` (of the standard), `keep_zarr_v3`.
///
/// Of an ndarray, `simplify` can say `storage` ("internal", "external" or "streamed"), `compression`,
/// `compression_kwargs` and `save_base` in a dict behind all else.
#[pyfunction]
#[pyo3(signature = (tree, path, options=None))]
pub(crate) fn write_asdf(tree: &Bound<'_, PyAny>, path: PathBuf, options: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let py = tree.py();
    let mut builder = Builder {
        py,
        document: Document::new(),
        done: HashMap::new(),
        kept: Vec::new(),
        blocks: Blocks::new(&path),
        copied: HashMap::new(),
        options: Options::new(py, options)?,
    };
    // What converters want in blocks of their own: their numbers are in the tree already.
    for data in tree.getattr("blocks")?.try_iter()? {
        let compression = builder.options.of_array(py, None, 1)?.compression;
        builder.blocks.list.push(Block::Scattered(data?.unbind(), compression));
    }
    let root = builder.node(tree, 0)?;
    builder.document.set_root(root);
    let Builder { document, blocks, options, .. } = builder;
    detached(py, move || blocks.write(&path, document, &options))
}

/// Adds rows to a stream, by the path of its node; how many there are then.
#[pyfunction]
pub(crate) fn append_asdf(
    py: Python<'_>,
    path: PathBuf,
    node: &str,
    rows: &Bound<'_, PyUntypedArray>,
) -> PyResult<u64> {
    let rows = Origin::bytes(rows)?;
    detached(py, move || append_rows(&path, node, rows.buffer().bytes))
}

/// A function of the Python package.
pub(super) fn helper<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || Ok::<_, PyErr>(py.import("tegula.asdf._write")?.into_any().unbind()))?;
    module.bind(py).getattr(name)
}

impl<'py> Builder<'py> {
    fn node(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<NodeId> {
        if depth > DEEPEST {
            return Err(exception(self.py, "UnsupportedError", "the tree is too deep for a file"));
        }
        if let Ok(text) = object.cast_exact::<PyString>() {
            return Ok(self.document.add_str(text.to_str()?));
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
        if let Ok(dict) = object.cast::<PyDict>() {
            return self.mapping(object, dict, depth);
        }
        if let Ok(list) = object.cast::<PyList>() {
            return self.sequence(object, list.iter(), depth);
        }
        if let Ok(tuple) = object.cast::<PyTuple>() {
            return self.sequence(object, tuple.iter(), depth);
        }
        let node = self.other(object, depth)?;
        self.done.insert(address, node);
        Ok(node)
    }

    /// Everything that is neither plain data nor a collection of such.
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
        let (kind, parts): (String, Bound<'py, PyTuple>) = helper(self.py, "simplify")?.call1((object,))?.extract()?;
        match &*kind {
            "same" => self.node(&parts.get_item(0)?, depth + 1),
            "ndarray" => self.ndarray(&parts, depth),
            "copy" => self.copy(parts.get_item(0)?.cast()?, parts.get_item(1)?.extract()?),
            "zarr" => self.zarr(parts.get_item(0)?.cast()?),
            "timestamp" => Ok(self.document.add_scalar(parts.get_item(0)?.extract::<String>()?, Style::Plain)),
            _ => {
                let node = self.node(&parts.get_item(0)?, depth + 1)?;
                self.document.set_tag(node, &format!("{YAML_TAG_PREFIX}{kind}"));
                Ok(node)
            }
        }
    }

    /// Gives a node the tag of the object, if that has one.
    fn tagged(&mut self, object: &Bound<'py, PyAny>, node: NodeId) -> PyResult<NodeId> {
        if let Some(tag) = object.getattr_opt("tag")?
            && let Ok(tag) = tag.cast::<PyString>()
        {
            self.document.set_tag(node, tag.to_str()?);
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
        // What holds itself meets itself here.
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
            if key.is_instance_of::<PyInt>() {
                return self.node(key, 0);
            }
            let message = format!("{} is the key of a mapping: ASDF has str, int and bool", key.get_type());
            return Err(exception(self.py, "UnsupportedError", &message));
        };
        Ok(self.document.add_str(text.to_str()?))
    }

    /// ASDF has literals of 64 bits only; other integers are words in the tree.
    fn integer(&mut self, object: &Bound<'py, PyAny>) -> PyResult<NodeId> {
        if let Ok(value) = object.extract::<i64>() {
            return Ok(self.document.add_int(value));
        }
        let (sign, words, digits): (String, Vec<u32>, String) =
            helper(self.py, "words")?.call1((object,))?.extract()?;
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

    /// An array out of its bytes (or itself, where these are not at hand), data type, shape, mask, which of both, and
    /// what is said of it.
    fn ndarray(&mut self, parts: &Bound<'py, PyTuple>, depth: usize) -> PyResult<NodeId> {
        let descr = parts.get_item(1)?.cast_into::<PyArrayDescr>()?;
        let datatype = dtype::of(&descr)?;
        let shape: Vec<u64> = parts.get_item(2)?.extract()?;
        let (data, mask) = (parts.get_item(0)?, parts.get_item(3)?);
        let said: Option<Bound<'py, PyDict>> = if parts.len() > 5 { parts.get_item(5)?.extract()? } else { None };
        let options = self.options.of_array(self.py, said.as_ref(), descr.itemsize())?;
        if options.storage == Storage::Streamed && shape.is_empty() {
            return Err(exception(self.py, "UnsupportedError", "an array without axes cannot be a stream"));
        }
        let lie = Lie::new(data, parts.get_item(4)?.is_truthy()?, &options)?;
        self.kept.extend(lie.base().cloned());
        let (offset, strides) = (lie.offset, lie.strides.clone());
        let put = self.blocks.put(lie, options)?;
        let mask = if mask.is_none() { None } else { Some(self.node(&mask, depth + 1)?) };
        let target = match &put {
            Put::Block(number) => Target::Block(*number),
            Put::Stream => Target::Stream,
            Put::External(uri) => Target::External(uri),
        };
        let strides = strides.as_deref();
        let array = NewNdarray { target, datatype: &datatype, shape: &shape, offset, strides, mask };
        Ok(self.document.add_new_ndarray(&array))
    }

    /// An ndarray of an opened file: its block is copied as it is.
    fn copy(&mut self, file: &Bound<'py, AsdfFile>, node: usize) -> PyResult<NodeId> {
        let (blocks, copied) = (&mut self.blocks.list, &mut self.copied);
        let mut number = |file: &tegula::asdf::AsdfFile, header: BlockHeader| {
            *copied.entry((file.identity(), header.offset)).or_insert_with(|| {
                blocks.push(Block::Copied(file.clone(), header));
                blocks.len() - 1
            })
        };
        let id = file.get().node(node)?;
        file.get().0.copy_ndarray(id, &mut self.document, &mut number).or_raise(self.py)
    }

    fn zarr(&mut self, array: &Bound<'py, Array>) -> PyResult<NodeId> {
        let array = array.get().core().clone();
        let keep_v3 = self.options.keep_zarr_v3;
        let node = Arc::new(detached(self.py, || ZarrNode::new(&array, keep_v3))?);
        let first = self.blocks.list.len();
        let id = node.to_node(&mut self.document, first);
        self.blocks.list.extend((0..node.blocks()).map(|number| Block::Zarr(node.clone(), number, first)));
        Ok(id)
    }
}
