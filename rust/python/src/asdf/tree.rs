//! Conversion of ASDF trees to Python objects.
//!
//! `owner` constructs arrays from the numbers of their nodes; other nodes are converted directly. Each node is
//! converted once: aliases become the same object, and a tree can contain itself. References within the file are
//! resolved last.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyComplex, PyDict, PyFloat, PyList, PySet, PyString, PyTuple};
use tegula::asdf::yaml::{Document, Kind, NodeId, Scalar, YAML_TAG_PREFIX};
use tegula::asdf::{AsdfFile, Class, Source};

use crate::call::attached;
use crate::errors::{OrRaise, exception};

/// Converts a node and its descendants.
pub(super) fn convert<'py>(file: &AsdfFile, node: NodeId, owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    convert_as(file, node, owner, false)
}

/// Converts a node and its descendants. With `in_parts`, a chunked ndarray at the node becomes a mapping with the
/// arrays of its chunks.
pub(super) fn convert_as<'py>(
    file: &AsdfFile,
    node: NodeId,
    owner: &Bound<'py, PyAny>,
    in_parts: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let tree = file.tree();
    let done = (0..tree.len()).map(|_| None).collect();
    let in_parts = in_parts.then_some(node);
    let mut converter =
        Converter { py: owner.py(), file, tree, owner, in_parts, done, keys: HashMap::new(), references: Vec::new() };
    let converted = converter.node(node)?;
    converter.set_references()?;
    Ok(converted)
}

struct Converter<'a, 'py> {
    py: Python<'py>,
    file: &'a AsdfFile,
    tree: &'a Document,
    owner: &'a Bound<'py, PyAny>,
    /// The chunked ndarray that becomes a mapping.
    in_parts: Option<NodeId>,
    done: Vec<Option<Bound<'py, PyAny>>>,
    keys: HashMap<&'a str, Bound<'py, PyString>>,
    /// The collection, the key and the node of each reference.
    references: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>, NodeId)>,
}

/// Returns whether a tag is missing, or is the YAML tag of a mapping, a sequence or a string.
fn is_plain(tag: Option<&str>) -> bool {
    tag.is_none_or(|tag| matches!(tag.strip_prefix(YAML_TAG_PREFIX), Some("map" | "seq" | "str")))
}

/// Maximum number of 32-bit words of an integer.
const MAX_WORDS: u64 = 1 << 20;

/// Maximum nesting of lists in a key.
const DEEPEST_KEY: usize = 8;

/// Longer scalars are converted once for all their aliases, in bytes.
const LONG: usize = 64;

/// Prefix of the root's tag.
const ROOT_TAG: &str = "tag:stsci.edu:asdf/core/asdf-";

impl<'a, 'py> Converter<'a, 'py> {
    fn node(&mut self, id: NodeId) -> PyResult<Bound<'py, PyAny>> {
        if let Some(done) = &self.done[id.index()] {
            return Ok(done.clone());
        }
        if let Kind::Scalar { text, .. } = &self.tree[id].kind {
            if self.is_root(id) && (text.is_empty() || matches!(self.tree.scalar(id), Ok(Scalar::Null))) {
                return Ok(PyDict::new(self.py).into_any());
            }
            let scalar = self.scalar(id, text)?;
            if text.len() > LONG {
                // Aliases in a short file can repeat a long text many times.
                self.done[id.index()] = Some(scalar.clone());
            }
            return Ok(scalar);
        }
        let converted = match self.file.class(id) {
            Class::Ndarray => self.ndarray(id)?,
            Class::Zarr => self.array(id)?,
            Class::Chunked if Some(id) != self.in_parts => self.array(id)?,
            Class::Integer => self.integer(id)?,
            _ => return self.collection(id),
        };
        self.done[id.index()] = Some(converted.clone());
        Ok(converted)
    }

    fn array(&self, id: NodeId) -> PyResult<Bound<'py, PyAny>> {
        self.owner.call_method1("array", (id.index(),))
    }

    /// Converts an ndarray. Inline elements are read now; if that fails, the array raises the error when it is used.
    fn ndarray(&mut self, id: NodeId) -> PyResult<Bound<'py, PyAny>> {
        let array = self.array(id)?;
        let tree = self.tree;
        let inline = tree.pairs(id).is_none() || tree.get(id, "data").is_some();
        if !inline {
            return Ok(array);
        }
        match array.get_item(self.py.Ellipsis()) {
            Ok(elements) => {
                self.owner.call_method1("inline", (&elements,))?;
                Ok(elements)
            }
            Err(error) if is_ours(self.py, &error)? => Ok(array),
            Err(error) => Err(error),
        }
    }

    fn is_root(&self, id: NodeId) -> bool {
        id == self.tree.root() && self.tree.tag(id).is_none_or(|tag| tag.starts_with(ROOT_TAG))
    }

    fn collection(&mut self, id: NodeId) -> PyResult<Bound<'py, PyAny>> {
        let (py, tag) = (self.py, self.tree.tag(id));
        let kind = tag.and_then(|tag| tag.strip_prefix(YAML_TAG_PREFIX));
        let plain = is_plain(tag) || self.is_root(id);
        if let Kind::Sequence { items, .. } = &self.tree[id].kind {
            if matches!(kind, Some("omap" | "pairs")) {
                return self.pairs(id, items, kind == Some("omap"));
            }
            if plain {
                let list = PyList::empty(py);
                self.done[id.index()] = Some(list.clone().into_any());
                for item in items {
                    let value = self.item(list.as_any(), *item, |_| Ok(list.len().into_pyobject(py)?.into_any()))?;
                    list.append(value)?;
                }
                return Ok(list.into_any());
            }
            let list = helper!(py, "TaggedList")?.call1((tag,))?;
            self.done[id.index()] = Some(list.clone());
            let inner = list.cast::<PyList>()?;
            for item in items {
                let value = self.item(&list, *item, |_| Ok(inner.len().into_pyobject(py)?.into_any()))?;
                inner.append(value)?;
            }
            return Ok(list);
        }
        if kind == Some("set") {
            let set = PySet::empty(py)?;
            self.done[id.index()] = Some(set.clone().into_any());
            for (key, _) in self.tree.entries(id).or_raise(py)?.iter() {
                let key = self.key(*key)?;
                set.add(key).map_err(|error| unhashable(py, &error))?;
            }
            return Ok(set.into_any());
        }
        let dict = if plain { PyDict::new(py).into_any() } else { helper!(py, "TaggedDict")?.call1((tag,))? };
        self.done[id.index()] = Some(dict.clone());
        let inner = dict.cast::<PyDict>()?.clone();
        for (key, value) in self.tree.entries(id).map_err(|error| error.at(self.file.describe(id))).or_raise(py)?.iter()
        {
            let key = self.key(*key)?;
            let value = self.item(&dict, *value, |_| Ok(key.clone()))?;
            inner.set_item(&key, value).map_err(|error| unhashable(py, &error))?;
        }
        Ok(dict)
    }

    /// Converts an item of a collection. References are recorded, and resolved later.
    fn item(
        &mut self,
        collection: &Bound<'py, PyAny>,
        id: NodeId,
        key: impl FnOnce(&Self) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.file.class(id) == Class::Reference {
            let key = key(self)?;
            self.references.push((collection.clone(), key, id));
            return Ok(self.py.None().into_bound(self.py));
        }
        self.node(id)
    }

    fn key(&mut self, id: NodeId) -> PyResult<Bound<'py, PyAny>> {
        self.nested_key(id, 0)
    }

    fn nested_key(&mut self, id: NodeId, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        let tree = self.tree;
        match (&tree[id].kind, tree.tag(id), tree.scalar(id)) {
            (_, None, Ok(Scalar::Str(text))) => {
                let py = self.py;
                let key = self.keys.entry(text).or_insert_with(|| PyString::new(py, text));
                Ok(key.clone().into_any())
            }
            (Kind::Sequence { items, .. }, _, _) if depth < DEEPEST_KEY => {
                let items: Vec<_> =
                    items.iter().map(|item| self.nested_key(*item, depth + 1)).collect::<PyResult<_>>()?;
                Ok(PyTuple::new(self.py, items)?.into_any())
            }
            (Kind::Mapping { .. } | Kind::Sequence { .. }, _, _) => Err(exception(
                self.py,
                "InvalidMetadataError",
                "a key of a mapping is a mapping or a deeply nested list",
            )),
            _ => self.node(id),
        }
    }

    /// Converts `!!omap` and `!!pairs`: lists of mappings with one entry each.
    fn pairs(&mut self, id: NodeId, items: &'a [NodeId], ordered: bool) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let (dict, list) = (PyDict::new(py), PyList::empty(py));
        self.done[id.index()] = Some(if ordered { dict.clone().into_any() } else { list.clone().into_any() });
        for item in items {
            let Some([(key, value)]) = self.tree.pairs(*item) else {
                return Err(exception(
                    py,
                    "InvalidMetadataError",
                    "an item of a !!pairs or !!omap list is not a mapping with one entry",
                ));
            };
            let (key, value) = (self.key(*key)?, self.node(*value)?);
            if ordered {
                dict.set_item(key, value).map_err(|error| unhashable(py, &error))?;
            } else {
                list.append((key, value))?;
            }
        }
        Ok(if ordered { dict.into_any() } else { list.into_any() })
    }

    fn scalar(&mut self, id: NodeId, text: &str) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let tag = self.tree.tag(id);
        if tag.is_some() && self.file.class(id) == Class::Complex {
            let (re, im) = attached(py, || self.file.complex(id))?;
            return Ok(PyComplex::from_doubles(py, re, im).into_any());
        }
        let scalar = attached(py, || self.tree.scalar(id).map_err(|error| error.at(self.file.describe(id))))?;
        Ok(match scalar {
            Scalar::Null => py.None().into_bound(py),
            Scalar::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
            Scalar::Int(value) => value.into_pyobject(py)?.into_any(),
            Scalar::Float(value) => PyFloat::new(py, value).into_any(),
            Scalar::Binary(bytes) => PyBytes::new(py, &bytes).into_any(),
            Scalar::BigInt(digits) => helper!(py, "integer")?.call1((digits,))?,
            Scalar::Timestamp(text) => helper!(py, "timestamp")?.call1((text,))?,
            Scalar::Str(_) if !is_plain(tag) => helper!(py, "TaggedString")?.call1((text, tag))?,
            Scalar::Str(text) => PyString::new(py, text).into_any(),
        })
    }

    /// Converts an integer. Inline 32-bit words come first, then the decimal string, then words in a block.
    fn integer(&mut self, id: NodeId) -> PyResult<Bound<'py, PyAny>> {
        let (py, file, tree) = (self.py, self.file, self.tree);
        let text = |key| tree.get(id, key).and_then(|value| tree.text(value));
        let words = tree.get(id, "words");
        let inline = |words| matches!(file.ndarray(words), Ok(ndarray) if matches!(ndarray.source, Source::Inline(_)));
        match (words, text("string")) {
            (words, Some(digits)) if !words.is_some_and(inline) => {
                Ok(helper!(py, "integer")?.call1((digits, text("sign")))?)
            }
            (Some(words), _) => {
                let ndarray = attached(py, || file.ndarray(words))?;
                let count = ndarray.shape.iter().fold(1u64, |count, length| count.saturating_mul(*length));
                if count > MAX_WORDS {
                    let what =
                        format!("{}: an integer of {count} words, at most {MAX_WORDS} are read", file.describe(id));
                    return Err(exception(py, "InvalidMetadataError", &what));
                }
                let words = self.array(words)?;
                Ok(helper!(py, "integer_of_words")?.call1((words, text("sign")))?)
            }
            _ => Err(exception(py, "InvalidMetadataError", &format!("{}: \"words\" is missing", file.describe(id)))),
        }
    }

    /// Resolves references. Those to other files, and dangling references, become `Reference` objects.
    fn set_references(&mut self) -> PyResult<()> {
        // Converting a target can add more references.
        while let Some((collection, key, id)) = self.references.pop() {
            let uri = self.file.reference(id).unwrap_or_default();
            let local = uri.starts_with('#');
            let target = if local { self.file.follow(id).ok() } else { None };
            let target = target.filter(|(file, _)| file.name() == self.file.name()).map(|(_, node)| node);
            let value = match target {
                Some(node) => self.node(node)?,
                None => self.owner.call_method1("reference", (uri,))?,
            };
            collection.set_item(key, value)?;
        }
        Ok(())
    }
}

/// Whether an exception is a `tegula.Error`.
fn is_ours(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    Ok(error.is_instance(py, &py.import("tegula.errors")?.getattr("Error")?))
}

fn unhashable(py: Python<'_>, error: &PyErr) -> PyErr {
    exception(py, "InvalidMetadataError", &format!("a mapping has a key that Python cannot hash: {error}"))
}
