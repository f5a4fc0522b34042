//! How an ASDF file is to be written, and the blocks that it will have.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple};
use serde_json::{Map, Value};
use tegula::asdf::yaml::Document;
use tegula::asdf::{
    BlockHeader, Compression, FileOptions, OutBlock, ROOT_TAG, STANDARD, ZarrNode, external_uri, for_standard,
    write_file,
};
use tegula::{Error, Result};

use super::write::helper;
use crate::buffer::Origin;
use crate::errors::OrRaise;
use crate::json;

/// How blocks are compressed, as Python says it: a label or `None`, and options.
#[derive(Clone, Default)]
struct Said {
    label: Option<String>,
    options: Map<String, Value>,
}

impl Said {
    /// Takes the entries of a dict, if it has them.
    fn take(&mut self, key: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        match key {
            "compression" => self.label = value.extract()?,
            "compression_kwargs" if value.is_none() => self.options.clear(),
            "compression_kwargs" => self.options = json::object_from_python(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn compression(&self, item: usize) -> Result<Option<Compression>> {
        let Some(label) = &self.label else { return Ok(None) };
        let mut options = self.options.clone();
        let untyped = options.get("typesize").is_none_or(|size| size.as_str() == Some("auto"));
        if matches!(&**label, "blsc" | "bls2") && untyped {
            // It is given bytes: what they are the elements tell.
            options.insert("typesize".into(), item.clamp(1, 255).into());
        }
        Compression::new(label, &options).map(Some)
    }
}

/// What is said of a file.
pub(super) struct Options {
    said: Said,
    checksums: bool,
    padding: Option<f64>,
    index: bool,
    version: String,
    pub(super) keep_zarr_v3: bool,
}

fn unknown(key: &str) -> PyErr {
    PyTypeError::new_err(format!("unknown option {key:?}"))
}

impl Options {
    pub(super) fn new(py: Python<'_>, dict: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut this = Self {
            said: Said::default(),
            checksums: true,
            padding: None,
            index: true,
            version: STANDARD.to_owned(),
            keep_zarr_v3: false,
        };
        for (key, value) in dict.into_iter().flatten() {
            let key: String = key.extract()?;
            if this.said.take(&key, &value)? {
                continue;
            }
            match &*key {
                "checksums" => this.checksums = value.extract()?,
                "pad_blocks" => {
                    this.padding = match value.cast::<PyBool>() {
                        Ok(pads) => pads.is_true().then_some(1.1),
                        Err(_) => value.extract()?,
                    }
                }
                "include_block_index" => this.index = value.extract()?,
                "version" if value.is_none() => {}
                "version" => this.version = value.extract()?,
                "keep_zarr_v3" => this.keep_zarr_v3 = value.extract()?,
                _ => return Err(unknown(&key)),
            }
        }
        this.said.compression(1).or_raise(py)?;
        Ok(this)
    }

    /// What is said of an array: of itself, or else of the file.
    pub(super) fn of_array(
        &self,
        py: Python<'_>,
        dict: Option<&Bound<'_, PyDict>>,
        item: usize,
    ) -> PyResult<ArrayOptions> {
        let mut said = self.said.clone();
        let (mut storage, mut save_base) = (Storage::Internal, false);
        for (key, value) in dict.into_iter().flatten() {
            let key: String = key.extract()?;
            if key == "compression" {
                said.options.clear();
            }
            if said.take(&key, &value)? {
                continue;
            }
            match &*key {
                "storage" if value.is_none() => {}
                "storage" => {
                    storage = match value.cast::<PyString>()?.to_str()? {
                        "internal" => Storage::Internal,
                        "external" => Storage::External,
                        "streamed" => Storage::Streamed,
                        other => return Err(PyValueError::new_err(format!("unknown storage {other:?}"))),
                    }
                }
                "save_base" => save_base = value.is_truthy()?,
                _ => return Err(unknown(&key)),
            }
        }
        let compression = said.compression(item).or_raise(py)?;
        Ok(ArrayOptions { storage, compression, save_base })
    }
}

/// Where the elements of an array are to be, if not in the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    Internal,
    External,
    Streamed,
}

/// What is said of an array.
pub(super) struct ArrayOptions {
    pub(super) storage: Storage,
    pub(super) compression: Option<Compression>,
    pub(super) save_base: bool,
}

/// A block to be written.
pub(super) enum Block {
    /// The elements of an ndarray that lie in memory as they are to be written.
    Memory(Origin, Option<Compression>),
    /// An ndarray whose elements are yet to be gathered.
    Scattered(Py<PyAny>, Option<Compression>),
    /// A block of a file as it is stored there.
    Copied(tegula::asdf::AsdfFile, BlockHeader),
    /// Which of the blocks of a Zarr array, whose blocks begin with which number.
    Zarr(Arc<ZarrNode>, usize, usize),
}

impl Block {
    fn produce(&self) -> Result<OutBlock<'_>> {
        match self {
            Self::Memory(origin, Some(compression)) if !origin.buffer().bytes.is_empty() => {
                Ok(OutBlock::encoded(origin.buffer().bytes, compression))
            }
            Self::Memory(origin, _) => Ok(OutBlock::new(origin.buffer().bytes)),
            Self::Scattered(array, compression) => {
                let origin = gather(array)?;
                Ok(match compression {
                    Some(compression) => OutBlock::encoded(origin.buffer().bytes.to_vec(), compression),
                    None => OutBlock::pieces(move |sink| sink(origin.buffer().bytes)),
                })
            }
            Self::Copied(file, header) => {
                let block = OutBlock::pieces(|sink| file.blocks().read_pieces(header, sink));
                Ok(if header.is_compressed() { block.compressed(header.compression, header.data_size) } else { block })
            }
            Self::Zarr(node, number, first) => node.block(*number, *first).map(OutBlock::new),
        }
    }
}

/// The elements of an array, one after the other.
fn gather(array: &Py<PyAny>) -> Result<Origin> {
    let gathered = Python::try_attach(|py| origin(&helper(py, "gather")?.call1((array,))?));
    let gathered = gathered.ok_or_else(|| Error::store("Python is on its way out"))?;
    gathered.map_err(|error| Error::store(error.to_string()))
}

/// Memory of bytes.
fn origin(bytes: &Bound<'_, PyAny>) -> PyResult<Origin> {
    Origin::bytes(bytes.cast::<PyUntypedArray>()?)
}

/// Where an array was put.
#[derive(Clone)]
pub(super) enum Put {
    Block(usize),
    Stream,
    External(String),
}

/// The blocks of a file, and the files beside it.
#[derive(Default)]
pub(super) struct Blocks {
    /// Blocks of the file, in their order.
    pub(super) list: Vec<Block>,
    /// The last one, if that is to grow.
    stream: Option<Block>,
    /// Blocks that get files of their own.
    externals: Vec<Block>,
    /// Where memory went that several arrays are views of, by the object that has it.
    shared: HashMap<usize, Put>,
    /// The name of the file without its extension.
    stem: String,
}

impl Blocks {
    pub(super) fn new(path: &Path) -> Self {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self { stem: stem.unwrap_or_default(), ..Self::default() }
    }

    /// Puts the elements of an array into a block.
    pub(super) fn put(&mut self, lie: Lie<'_>, options: ArrayOptions) -> PyResult<Put> {
        let key = lie.base.as_ref().map(|base| base.as_ptr().addr());
        if let Some(put) = key.and_then(|key| self.shared.get(&key)) {
            return Ok(put.clone());
        }
        let ArrayOptions { storage, compression, .. } = options;
        let block = if lie.whole {
            Block::Memory(origin(&lie.data)?, compression)
        } else {
            Block::Scattered(lie.data.unbind(), compression)
        };
        let put = match storage {
            Storage::Internal => {
                self.list.push(block);
                Put::Block(self.list.len() - 1)
            }
            Storage::Streamed if self.stream.is_some() => {
                return Err(PyValueError::new_err("a file has one streamed array, and there is another one already"));
            }
            Storage::Streamed => {
                self.stream = Some(match block {
                    Block::Memory(origin, _) => Block::Memory(origin, None),
                    Block::Scattered(array, _) => Block::Scattered(array, None),
                    other => other,
                });
                Put::Stream
            }
            Storage::External => {
                self.externals.push(block);
                Put::External(external_uri(&self.external(self.externals.len() - 1)))
            }
        };
        if let Some(key) = key {
            self.shared.insert(key, put.clone());
        }
        Ok(put)
    }

    /// The name of a file beside the file.
    fn external(&self, number: usize) -> String {
        format!("{}{number:04}.asdf", self.stem)
    }

    /// Writes the file. It, and each of those beside it, is there when it is complete; the file itself comes last.
    pub(super) fn write(self, path: &Path, mut document: Document, options: &Options) -> Result<()> {
        let Options { checksums, padding, index, version, .. } = options;
        for_standard(&mut document, version)?;
        let file = FileOptions { standard: version, padding: *padding, index: *index, ..FileOptions::default() };
        for (number, block) in self.externals.iter().enumerate() {
            let mut empty = Document::new();
            empty.set_tag(empty.root(), ROOT_TAG);
            for_standard(&mut empty, version)?;
            let block = block.produce().map(|block| block.checksum(*checksums));
            write_file(&path.with_file_name(self.external(number)), &file, Some(&empty), [block])?;
        }
        let blocks = self.list.iter().map(|block| Ok(block.produce()?.checksum(*checksums)));
        let stream = self.stream.iter().map(|block| Ok(block.produce()?.streamed()));
        write_file(path, &file, Some(&document), blocks.chain(stream))
    }
}

/// How the elements of an array lie in memory.
pub(super) struct Lie<'py> {
    /// Bytes, or an array whose elements are yet to be gathered.
    data: Bound<'py, PyAny>,
    whole: bool,
    /// Where the first element lies in these bytes.
    pub(super) offset: u64,
    /// The strides there; `None`: in C order.
    pub(super) strides: Option<Vec<i64>>,
    /// Who has the memory, if all of that is to be written.
    base: Option<Bound<'py, PyAny>>,
}

impl<'py> Lie<'py> {
    /// Takes an array, or, where it is `whole`, its bytes.
    pub(super) fn new(data: Bound<'py, PyAny>, whole: bool, options: &ArrayOptions) -> PyResult<Self> {
        if options.storage != Storage::Streamed {
            if options.save_base
                && let Some(lie) = Self::in_base(&data, whole)?
            {
                return Ok(lie);
            }
            if !whole && let Some((data, strides)) = dense(&data)? {
                return Ok(Self { data, whole: true, offset: 0, strides: Some(strides), base: None });
            }
        }
        Ok(Self { data, whole, offset: 0, strides: None, base: None })
    }

    /// Who has the memory, if its elements lie without gaps.
    pub(super) fn base(&self) -> Option<&Bound<'py, PyAny>> {
        self.base.as_ref()
    }

    /// As a part of the memory that it is a view of.
    fn in_base(data: &Bound<'py, PyAny>, whole: bool) -> PyResult<Option<Self>> {
        let mut base = data.clone();
        while let Ok(next) = base.getattr("base")
            && next.cast::<PyUntypedArray>().is_ok()
        {
            base = next;
        }
        let Some((bytes, _)) = dense(&base)? else { return Ok(None) };
        let array = data.cast::<PyUntypedArray>()?;
        let address = |array: &Bound<'py, PyAny>| array.getattr("ctypes")?.getattr("data")?.extract::<i128>();
        let offset = address(data)? - address(&bytes)?;
        let (mut low, mut high) = (offset, offset + array.dtype().itemsize() as i128);
        for (stride, length) in array.strides().iter().zip(array.shape()) {
            let reach = *stride as i128 * (*length as i128 - 1);
            if reach < 0 { low += reach } else { high += reach }
        }
        let strides: Vec<i64> = array.strides().iter().map(|stride| *stride as i64).collect();
        let inside = low >= 0 && high <= bytes.len()? as i128;
        if array.is_empty() || !inside || strides.contains(&0) {
            return Ok(None);
        }
        let strides = if whole { None } else { Some(strides) };
        Ok(Some(Self { data: bytes, whole: true, offset: offset as u64, strides, base: Some(base) }))
    }
}

/// The bytes of an array whose elements lie without gaps, in whatever order of axes, and its strides.
fn dense<'py>(array: &Bound<'py, PyAny>) -> PyResult<Option<(Bound<'py, PyAny>, Vec<i64>)>> {
    let py = array.py();
    let elements = array.cast::<PyUntypedArray>()?;
    let (shape, strides) = (elements.shape(), elements.strides());
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    // An axis of one element lies anywhere.
    axes.sort_by_key(|axis| std::cmp::Reverse((strides[*axis], shape[*axis])));
    let ordered = array.call_method1("transpose", (PyTuple::new(py, &axes)?,))?;
    if !ordered.getattr("flags")?.getattr("c_contiguous")?.is_truthy()? {
        return Ok(None);
    }
    let mut own = vec![0; shape.len()];
    let mut stride = elements.dtype().itemsize() as i64;
    for axis in axes.into_iter().rev() {
        own[axis] = stride;
        stride *= shape[axis].max(1) as i64;
    }
    Ok(Some((helper(py, "gather")?.call1((ordered,))?, own)))
}
