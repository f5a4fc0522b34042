//! Python's objects as trees of ASDF files, and the writing of them with their blocks.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use numpy::{PyArrayDescr, PyUntypedArray};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyComplex, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use tegula::asdf::yaml::{Document, Kind, NodeId, Style, YAML_TAG_PREFIX};
use tegula::asdf::{
    BlockHeader, COMPLEX_TAG, INTEGER_TAG, OutBlock, Preamble, ZarrNode, compress, compression_label, write_file,
};
use tegula::{Error, Result};

use super::{AsdfFile, dtype};
use crate::array::Array;
use crate::buffer::Origin;
use crate::call::detached;
use crate::errors::{OrRaise, exception};

/// As deep as trees can be read again.
const DEEPEST: usize = 900;

/// A block to be written.
enum Block {
    /// The elements of an ndarray that lie in memory as they are to be written.
    Memory(Origin),
    /// An ndarray whose elements are yet to be gathered.
    Scattered(Py<PyAny>),
    /// A block of a file as it is stored there.
    Copied(tegula::asdf::AsdfFile, BlockHeader),
    /// Which of the blocks of a Zarr array, whose blocks begin with which number.
    Zarr(Arc<ZarrNode>, usize, usize),
}

/// Makes a tree; each object becomes one node, wherever it stands.
struct Builder<'py> {
    py: Python<'py>,
    document: Document,
    done: HashMap<usize, NodeId>,
    /// Objects stay alive, so that no other gets their address.
    kept: Vec<Bound<'py, PyAny>>,
    blocks: Vec<Block>,
    /// Blocks of files, by the file and the offset there.
    copied: HashMap<(u64, u64), usize>,
    keep_zarr_v3: bool,
}

/// Writes a tree to a file. Without checksums, blocks have none.
#[pyfunction]
pub(crate) fn write_asdf(
    tree: &Bound<'_, PyAny>,
    path: PathBuf,
    compression: Option<&str>,
    checksums: bool,
    keep_zarr_v3: bool,
) -> PyResult<()> {
    let py = tree.py();
    let label = compression.map(compression_label).transpose().or_raise(py)?;
    let mut builder = Builder {
        py,
        document: Document::new(),
        done: HashMap::new(),
        kept: Vec::new(),
        blocks: Vec::new(),
        copied: HashMap::new(),
        keep_zarr_v3,
    };
    // What converters want in blocks of their own: their numbers are in the tree already.
    for data in tree.getattr("blocks")?.try_iter()? {
        builder.blocks.push(Block::Scattered(data?.unbind()));
    }
    let root = builder.node(tree, 0)?;
    builder.document.set_root(root);
    let Builder { document, blocks, .. } = builder;
    detached(py, move || {
        let blocks = blocks.iter().map(|block| Ok(block.produce(label)?.checksum(checksums)));
        write_file(&path, &Preamble::default(), Some(&document), blocks)
    })
}

impl Block {
    fn produce(&self, label: Option<[u8; 4]>) -> Result<OutBlock<'_>> {
        let encoded =
            |label, data: &[u8]| Ok(OutBlock::new(compress(label, data)?).compressed(label, data.len() as u64));
        match (self, label) {
            (Self::Memory(origin), Some(label)) if !origin.buffer().bytes.is_empty() => {
                encoded(label, origin.buffer().bytes)
            }
            (Self::Memory(origin), _) => Ok(OutBlock::new(origin.buffer().bytes)),
            (Self::Scattered(array), label) => {
                let origin = gather(array)?;
                match label {
                    Some(label) => encoded(label, origin.buffer().bytes),
                    None => Ok(OutBlock::pieces(move |sink| sink(origin.buffer().bytes))),
                }
            }
            (Self::Copied(file, header), _) => {
                let mut bytes = Vec::new();
                file.blocks().read(header, &mut bytes)?;
                let block = OutBlock::new(bytes);
                Ok(if header.is_compressed() { block.compressed(header.compression, header.data_size) } else { block })
            }
            (Self::Zarr(node, number, first), _) => node.block(*number, *first).map(OutBlock::new),
        }
    }
}

/// The elements of an array, one after the other.
fn gather(array: &Py<PyAny>) -> Result<Origin> {
    let gathered = Python::try_attach(|py| {
        let bytes = helper(py, "gather")?.call1((array,))?;
        origin(&bytes)
    });
    let gathered = gathered.ok_or_else(|| Error::store("Python is on its way out"))?;
    gathered.map_err(|error| Error::store(error.to_string()))
}

/// Memory of bytes.
fn origin(bytes: &Bound<'_, PyAny>) -> PyResult<Origin> {
    let array = bytes.cast::<PyUntypedArray>()?;
    Origin::bytes(array)
}

fn helper<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
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

    /// An array out of its bytes (or itself, where these are not at hand), data type, shape and mask.
    fn ndarray(&mut self, parts: &Bound<'py, PyTuple>, depth: usize) -> PyResult<NodeId> {
        let descr = parts.get_item(1)?;
        let datatype = dtype::of(descr.cast::<PyArrayDescr>()?)?;
        let shape: Vec<u64> = parts.get_item(2)?.extract()?;
        let (data, mask) = (parts.get_item(0)?, parts.get_item(3)?);
        let number = self.blocks.len();
        let whole = parts.get_item(4)?.is_truthy()?;
        self.blocks.push(if whole { Block::Memory(origin(&data)?) } else { Block::Scattered(data.unbind()) });
        let mask = if mask.is_none() { None } else { Some(self.node(&mask, depth + 1)?) };
        Ok(self.document.add_ndarray(number, &datatype, &shape, mask))
    }

    /// An ndarray of an opened file: its block is copied as it is.
    fn copy(&mut self, file: &Bound<'py, AsdfFile>, node: usize) -> PyResult<NodeId> {
        let (blocks, copied) = (&mut self.blocks, &mut self.copied);
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
        let keep_v3 = self.keep_zarr_v3;
        let node = Arc::new(detached(self.py, || ZarrNode::new(&array, keep_v3))?);
        let first = self.blocks.len();
        let id = node.to_node(&mut self.document, first);
        self.blocks.extend((0..node.blocks()).map(|number| Block::Zarr(node.clone(), number, first)));
        Ok(id)
    }
}
