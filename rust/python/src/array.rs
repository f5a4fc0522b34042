//! Arrays: opening, geometry, reading and writing; see `tegula::Array`.

use numpy::{PyArrayDescr, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use tegula::metadata::{ArrayMetadata, AttributesChange};
use tegula::{Dims, Field, Heaps, InputBuffer, Kind, OutputBuffer, Selection, Slot};

use crate::buffer::{Elements, Origin, Target};
use crate::cache::ChunkCache;
use crate::call::{attached, detached, perform};
use crate::decoder::PartialDecoder;
use crate::dtype::{field, to_numpy};
use crate::errors::{At, OrRaise, exception};
use crate::extract::{indices, region};
use crate::json::{self, from_python, object_from_python, object_to_python};
use crate::options::CodecOptions;
use crate::selection::{Lists, selection};
use crate::store::Store;
use crate::subset::{ArraySubset, tuple};
use crate::variable::{As, to_python};

/// The native part of `tegula.Array`.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct Array {
    array: tegula::Array,
    elements: Elements,
}

impl Array {
    pub(crate) fn new(py: Python<'_>, array: tegula::Array) -> PyResult<Self> {
        let dtype = to_numpy(py, array.data_type()).map_err(|error| error.at(py, array.name()))?;
        Self::with_dtype(array, dtype)
    }

    /// An array whose elements are something else to NumPy than their data type says.
    pub(crate) fn with_dtype(array: tegula::Array, dtype: Bound<'_, PyArrayDescr>) -> PyResult<Self> {
        Ok(Self { elements: Elements::new(array.data_type(), dtype)?, array })
    }

    /// The array of the core.
    pub(crate) fn core(&self) -> &tegula::Array {
        &self.array
    }

    /// What its elements are, where only NumPy's data type says it.
    pub(crate) fn known(&self, py: Python<'_>) -> PyResult<Option<Field>> {
        if self.array.data_type().kind() != Kind::Raw {
            return Ok(None);
        }
        let known = field(self.elements.dtype.bind(py))?;
        Ok((known.data_type != *self.array.data_type()).then_some(known))
    }

    /// What its elements are in Python.
    pub(crate) fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Another array of the same elements.
    pub(crate) fn like(&self, py: Python<'_>, array: tegula::Array) -> Self {
        Self { array, elements: self.elements.clone_ref(py) }
    }

    /// A call that needs no I/O, whose error names the array.
    fn geometry<T>(&self, py: Python<'_>, call: impl FnOnce(&tegula::Array) -> tegula::Result<T>) -> PyResult<T> {
        attached(py, || call(&self.array).map_err(|error| error.at(self.array.name())))
    }

    /// Reads elements of a shape into `out` or a new array.
    fn read(
        &self,
        py: Python<'_>,
        shape: &[u64],
        out: Option<&Bound<'_, PyAny>>,
        done: Option<Py<PyAny>>,
        work: impl FnOnce(&tegula::Array, OutputBuffer<'_>) -> tegula::Result<()> + Send + 'static,
    ) -> PyResult<Py<PyAny>> {
        let mut target = Target::new(py, out, &self.elements, shape, self.array.fill_value().bytes())?;
        let array = self.array.clone();
        let work = move || target.lend(|buffer| work(&array, buffer)).map(|()| target);
        perform(py, done, work, |py, target| target.into_array(py))
    }

    /// Reads a region that the geometry of chunks told.
    fn read_chunks(
        &self,
        py: Python<'_>,
        subset: tegula::ArraySubset,
        out: Option<&Bound<'_, PyAny>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let shape = Dims::from(subset.shape());
        self.read(py, &shape, out, done, move |array, buffer| array.retrieve_subset_into(&subset, buffer))
    }
}

impl Array {
    /// Writes an ndarray, which must have a shape.
    fn write(
        &self,
        py: Python<'_>,
        shape: &[u64],
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
        work: impl FnOnce(&tegula::Array, InputBuffer<'_>) -> tegula::Result<()> + Send + 'static,
    ) -> PyResult<Py<PyAny>> {
        let (array, origin) = (self.array.clone(), Origin::new(data, &self.elements, shape)?);
        let work = move || work(&array, origin.buffer()).map(|()| origin);
        perform(py, done, work, |py, _| Ok(py.None()))
    }

    /// Writes a region that the geometry of chunks told.
    fn write_chunks(
        &self,
        py: Python<'_>,
        subset: tegula::ArraySubset,
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let shape = Dims::from(subset.shape());
        self.write(py, &shape, data, done, move |array, buffer| array.store_subset_from(&subset, buffer))
    }
}

fn bytes(py: Python<'_>, encoded: Option<Vec<u8>>) -> Option<Bound<'_, PyBytes>> {
    encoded.map(|encoded| PyBytes::new(py, &encoded))
}

#[pymethods]
impl Array {
    #[staticmethod]
    fn open(py: Python<'_>, store: &Bound<'_, Store>, path: &str) -> PyResult<Self> {
        let store = store.get().0.clone();
        Self::new(py, detached(py, || tegula::Array::open(store, path))?)
    }

    /// An array of which the metadata are known; nothing is read.
    #[staticmethod]
    fn restore(
        py: Python<'_>,
        store: &Bound<'_, Store>,
        path: &str,
        zarr_format: u8,
        document: &Bound<'_, PyAny>,
        attributes: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let store = store.get().0.clone();
        let (document, attributes) = (from_python(document)?, from_python(attributes)?);
        let array = attached(py, || {
            let metadata = match zarr_format {
                3 => ArrayMetadata::from_v3(document)?,
                _ => ArrayMetadata::from_v2(document, Some(attributes))?,
            };
            tegula::Array::new_with_metadata(store, path, metadata)
        })?;
        Self::new(py, array)
    }

    fn store_metadata(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.array.store_metadata())
    }

    #[getter]
    fn dtype(&self, py: Python<'_>) -> Py<PyArrayDescr> {
        self.elements.dtype.clone_ref(py)
    }

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.array.shape())
    }

    /// The shape of the chunks that are stored as objects; along axes where they differ, the length of each.
    #[getter]
    fn grid_chunk_shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let grid = self.array.chunk_grid();
        if let Some(shape) = grid.regular_shape() {
            return tuple(py, &shape);
        }
        let axis = |axis| match grid.chunk_length(axis) {
            Some(length) => Ok(length.into_pyobject(py)?.into_any()),
            None => Ok(tuple(py, &grid.chunk_lengths(axis).collect::<Vec<_>>())?.into_any()),
        };
        PyTuple::new(py, (0..grid.dimensionality()).map(axis).collect::<PyResult<Vec<_>>>()?)
    }

    #[getter]
    fn chunk_grid_shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.array.chunk_grid_shape())
    }

    #[getter]
    fn inner_chunk_shape<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.array.inner_chunk_shape().map(|shape| tuple(py, &shape)).transpose()
    }

    #[getter]
    fn inner_chunk_grid_shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.geometry(py, tegula::Array::inner_chunk_grid_shape)?)
    }

    #[getter]
    fn path(&self) -> &str {
        self.array.path()
    }

    #[getter]
    fn name(&self) -> &str {
        self.array.name()
    }

    #[getter]
    fn zarr_format(&self) -> u8 {
        self.array.metadata().zarr_format
    }

    /// The bytes of the fill value; of elements of variable length, an ndarray of it alone.
    #[getter]
    fn fill_value(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let value = self.array.fill_value().bytes();
        let data_type = self.array.data_type();
        if !data_type.is_variable() {
            return Ok(PyBytes::new(py, value).into_any().unbind());
        }
        let slot = Slot { heap: 0, length: value.len() as u32, offset: 0 };
        let shape = PyTuple::empty(py);
        to_python(py, As::Objects, data_type, &shape, &slot.to_bytes(), Heaps::new(value)).map(Bound::unbind)
    }

    #[getter]
    fn dimension_names(&self) -> Option<Vec<Option<String>>> {
        self.array.metadata().dimension_names.clone()
    }

    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        object_to_python(py, self.array.attributes())
    }

    fn attribute<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        json::member(py, self.array.attributes(), name)
    }

    fn attribute_names(&self) -> Vec<String> {
        self.array.attributes().keys().cloned().collect()
    }

    /// Changes the stored attributes, all at once; the same array with those that there are then.
    fn change_attributes(
        &self,
        py: Python<'_>,
        set: &Bound<'_, PyDict>,
        remove: Vec<String>,
        clear: bool,
    ) -> PyResult<Self> {
        let change = AttributesChange { clear, remove, set: object_from_python(set)? };
        Ok(self.like(py, detached(py, || self.array.change_attributes(&change))?))
    }

    /// Which of the changes that this process made it came of.
    #[getter]
    fn turn(&self) -> u64 {
        self.array.turn()
    }

    /// The stored document.
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.array.metadata().document)
    }

    /// The codecs, in the terms of Zarr V3.
    fn codecs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for named in &self.array.metadata().codecs {
            let codec = PyDict::new(py);
            codec.set_item("name", &named.name)?;
            codec.set_item("configuration", object_to_python(py, &named.configuration)?)?;
            list.append(codec)?;
        }
        Ok(list)
    }

    #[getter]
    fn options(&self) -> CodecOptions {
        self.array.options().into()
    }

    fn with_options(&self, py: Python<'_>, options: &Bound<'_, CodecOptions>) -> Self {
        self.like(py, self.array.with_options((*options.get()).into()))
    }

    /// The same array, whose elements of variable length come back as NumPy's `dtype` has them, or (None) as their bytes
    /// and offsets.
    fn with_elements(&self, py: Python<'_>, dtype: Option<&Bound<'_, PyArrayDescr>>) -> PyResult<Self> {
        let mut array = self.like(py, self.array.clone());
        match (dtype, &mut array.elements.variable) {
            (Some(dtype), _) => array.elements = Elements::new(self.array.data_type(), dtype.clone())?,
            (None, Some((_, form))) => *form = As::Parts,
            (None, None) => {
                let message = format!("{}: the elements are {}", self.array.name(), self.array.data_type());
                return Err(exception(py, "InvalidSelectionError", &format!("{message}, not of variable length")));
            }
        }
        Ok(array)
    }

    /// The data type as Zarr calls it, for people.
    #[getter]
    fn data_type(&self) -> String {
        self.array.data_type().to_string()
    }

    /// Whether elements are of variable length.
    #[getter]
    fn is_variable(&self) -> bool {
        self.array.data_type().is_variable()
    }

    fn with_cache(&self, py: Python<'_>, cache: Option<&Bound<'_, ChunkCache>>) -> Self {
        self.like(py, self.array.with_cache(cache.map(|cache| cache.get().cache.clone())))
    }

    fn chunk_origin<'py>(&self, chunk: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, chunk) = (chunk.py(), indices(chunk)?);
        tuple(py, &self.geometry(py, |array| array.chunk_origin(&chunk))?)
    }

    fn chunk_shape<'py>(&self, chunk: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, chunk) = (chunk.py(), indices(chunk)?);
        tuple(py, &self.geometry(py, |array| array.chunk_shape(&chunk))?)
    }

    fn chunk_subset(&self, chunk: &Bound<'_, PyAny>) -> PyResult<ArraySubset> {
        let (py, chunk) = (chunk.py(), indices(chunk)?);
        self.geometry(py, |array| array.chunk_subset(&chunk)).map(ArraySubset)
    }

    fn chunk_subset_bounded(&self, chunk: &Bound<'_, PyAny>) -> PyResult<ArraySubset> {
        let (py, chunk) = (chunk.py(), indices(chunk)?);
        self.geometry(py, |array| array.chunk_subset_bounded(&chunk)).map(ArraySubset)
    }

    fn chunks_subset(&self, chunks: &Bound<'_, PyAny>) -> PyResult<ArraySubset> {
        let (py, chunks) = (chunks.py(), region(chunks, &self.array.chunk_grid_shape())?);
        self.geometry(py, |array| array.chunks_subset(&chunks)).map(ArraySubset)
    }

    fn chunks_subset_bounded(&self, chunks: &Bound<'_, PyAny>) -> PyResult<ArraySubset> {
        let (py, chunks) = (chunks.py(), region(chunks, &self.array.chunk_grid_shape())?);
        self.geometry(py, |array| array.chunks_subset_bounded(&chunks)).map(ArraySubset)
    }

    fn chunks_in_array_subset(&self, subset: &Bound<'_, PyAny>) -> PyResult<ArraySubset> {
        let (py, subset) = (subset.py(), region(subset, self.array.shape())?);
        self.geometry(py, |array| array.chunks_in_array_subset(&subset)).map(ArraySubset)
    }

    /// A region of the grid of chunks, as an `ArraySubset`.
    fn grid_region(&self, chunks: &Bound<'_, PyAny>) -> PyResult<ArraySubset> {
        let (py, chunks) = (chunks.py(), region(chunks, &self.array.chunk_grid_shape())?);
        self.geometry(py, |array| array.chunks_subset(&chunks).map(|_| chunks)).map(ArraySubset)
    }

    fn subset_all(&self) -> ArraySubset {
        ArraySubset(self.array.subset_all())
    }

    fn chunk_key(&self, chunk: &Bound<'_, PyAny>) -> PyResult<String> {
        let (py, chunk) = (chunk.py(), indices(chunk)?);
        self.geometry(py, |array| array.chunk_key(&chunk))
    }

    /// Reads positions along each axis, as (start, step, length), or listed, into an array of their lengths.
    #[pyo3(signature = (axes, out=None, lists=None, order=None, done=None))]
    fn retrieve_selection(
        &self,
        py: Python<'_>,
        axes: Vec<(u64, i64, u64)>,
        out: Option<&Bound<'_, PyAny>>,
        lists: Option<Lists<'_>>,
        order: Option<Vec<usize>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let selection = self.selection(py, axes, lists.as_ref(), order.as_deref())?;
        let shape = selection.shape();
        self.read(py, &shape, out, done, move |array, buffer| array.retrieve_selection_into(&selection, buffer))
    }

    #[pyo3(signature = (subset, out=None, done=None))]
    fn retrieve_array_subset(
        &self,
        py: Python<'_>,
        subset: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let subset = region(subset, self.array.shape())?;
        // Before memory is asked for: a wrong region may be of any size.
        self.geometry(py, |array| array.chunks_in_array_subset(&subset))?;
        self.read_chunks(py, subset, out, done)
    }

    /// Reads regions of one shape that start at the rows of an array of int64.
    #[pyo3(signature = (starts, shape, out=None, done=None))]
    fn retrieve_array_subsets(
        &self,
        py: Python<'_>,
        starts: PyReadonlyArray2<'_, i64>,
        shape: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let shape = indices(shape)?;
        let starts: Option<Vec<Dims>> = starts
            .as_array()
            .rows()
            .into_iter()
            .map(|row| row.iter().map(|start| u64::try_from(*start).ok()).collect())
            .collect();
        let starts = starts.ok_or_else(|| exception(py, "InvalidSelectionError", "a start is negative"))?;
        self.geometry(py, |array| array.check_subsets(&starts, &shape))?;
        let whole: Dims = std::iter::once(starts.len() as u64).chain(shape.iter().copied()).collect();
        self.read(py, &whole, out, done, move |array, buffer| {
            array.retrieve_array_subsets_into(&starts, &shape, buffer)
        })
    }

    #[pyo3(signature = (chunk, out=None, done=None))]
    fn retrieve_chunk(
        &self,
        py: Python<'_>,
        chunk: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let chunk = indices(chunk)?;
        let subset = self.geometry(py, |array| array.chunk_subset(&chunk))?;
        self.read_chunks(py, subset, out, done)
    }

    #[pyo3(signature = (chunk, done=None))]
    fn retrieve_chunk_if_exists(
        &self,
        py: Python<'_>,
        chunk: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let chunk = indices(chunk)?;
        let shape = self.geometry(py, |array| array.chunk_shape(&chunk))?;
        let mut target = Target::new(py, None, &self.elements, &shape, self.array.fill_value().bytes())?;
        let array = self.array.clone();
        let work = move || {
            let exists = target.lend(|buffer| array.retrieve_chunk_if_exists_into(&chunk, buffer))?;
            Ok(exists.then_some(target))
        };
        perform(py, done, work, |py, target| target.map_or_else(|| Ok(py.None()), |target| target.into_array(py)))
    }

    #[pyo3(signature = (chunks, out=None, done=None))]
    fn retrieve_chunks(
        &self,
        py: Python<'_>,
        chunks: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let chunks = region(chunks, &self.array.chunk_grid_shape())?;
        let subset = self.geometry(py, |array| array.chunks_subset(&chunks))?;
        self.read_chunks(py, subset, out, done)
    }

    #[pyo3(signature = (chunk, subset, out=None, done=None))]
    fn retrieve_chunk_subset(
        &self,
        py: Python<'_>,
        chunk: &Bound<'_, PyAny>,
        subset: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let chunk = indices(chunk)?;
        let shape = self.geometry(py, |array| array.chunk_shape(&chunk))?;
        let subset = region(subset, &shape)?;
        let inside = attached(py, || self.array.subset_in_chunk(&chunk, &subset))?;
        self.read_chunks(py, inside, out, done)
    }

    #[pyo3(signature = (inner, out=None, done=None))]
    fn retrieve_inner_chunk(
        &self,
        py: Python<'_>,
        inner: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let inner = indices(inner)?;
        let subset = attached(py, || self.array.inner_chunk_subset(&inner))?;
        self.read_chunks(py, subset, out, done)
    }

    #[pyo3(signature = (inner, out=None, done=None))]
    fn retrieve_inner_chunks(
        &self,
        py: Python<'_>,
        inner: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let grid = self.geometry(py, tegula::Array::inner_chunk_grid_shape)?;
        let inner = region(inner, &grid)?;
        let subset = attached(py, || self.array.inner_chunks_subset(&inner))?;
        self.read_chunks(py, subset, out, done)
    }

    #[pyo3(signature = (chunk, done=None))]
    fn retrieve_encoded_chunk(
        &self,
        py: Python<'_>,
        chunk: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let (array, chunk) = (self.array.clone(), indices(chunk)?);
        let work = move || array.retrieve_encoded_chunk(&chunk);
        perform(py, done, work, |py, encoded| Ok(bytes(py, encoded).into_pyobject(py)?.unbind()))
    }

    #[pyo3(signature = (chunks, done=None))]
    fn retrieve_encoded_chunks(
        &self,
        py: Python<'_>,
        chunks: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let chunks = region(chunks, &self.array.chunk_grid_shape())?;
        let array = self.array.clone();
        let work = move || array.retrieve_encoded_chunks(&chunks);
        perform(py, done, work, |py, encoded| {
            let encoded: Vec<_> = encoded.into_iter().map(|encoded| bytes(py, encoded)).collect();
            Ok(PyList::new(py, encoded)?.into_any().unbind())
        })
    }

    #[pyo3(signature = (inner, done=None))]
    fn retrieve_encoded_inner_chunk(
        &self,
        py: Python<'_>,
        inner: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let (array, inner) = (self.array.clone(), indices(inner)?);
        let work = move || array.retrieve_encoded_inner_chunk(&inner);
        perform(py, done, work, |py, encoded| Ok(bytes(py, encoded).into_pyobject(py)?.unbind()))
    }

    fn partial_decoder(&self, chunk: &Bound<'_, PyAny>) -> PyResult<PartialDecoder> {
        let (py, chunk) = (chunk.py(), indices(chunk)?);
        let decoder = self.geometry(py, |array| array.partial_decoder(&chunk))?;
        Ok(PartialDecoder { decoder, elements: self.elements.clone_ref(py) })
    }

    fn chunk_exists(&self, chunk: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (py, chunk) = (chunk.py(), indices(chunk)?);
        detached(py, || self.array.chunk_exists(&chunk))
    }

    /// What reading positions along each axis would do.
    #[pyo3(signature = (axes, lists=None))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        axes: Vec<(u64, i64, u64)>,
        lists: Option<Lists<'py>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let selection = self.selection(py, axes, lists.as_ref(), None)?;
        let found = detached(py, || self.array.explain(&selection))?;
        let dict = PyDict::new(py);
        for (name, count) in [
            ("chunks", found.chunks),
            ("missing_chunks", found.missing_chunks),
            ("inner_chunks", found.inner_chunks),
            ("missing_inner_chunks", found.missing_inner_chunks),
            ("requests", found.requests),
            ("bytes_read", found.bytes_read),
            ("index_bytes", found.index_bytes),
            ("bytes_decoded", found.bytes_decoded),
            ("bytes_wanted", found.bytes_wanted),
        ] {
            dict.set_item(name, count)?;
        }
        Ok(dict)
    }

    #[pyo3(signature = (chunk, data, done=None))]
    fn store_chunk(
        &self,
        py: Python<'_>,
        chunk: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let chunk = indices(chunk)?;
        let subset = self.geometry(py, |array| array.chunk_subset(&chunk))?;
        self.write_chunks(py, subset, data, done)
    }

    #[pyo3(signature = (chunks, data, done=None))]
    fn store_chunks(
        &self,
        py: Python<'_>,
        chunks: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let chunks = region(chunks, &self.array.chunk_grid_shape())?;
        let subset = self.geometry(py, |array| array.chunks_subset(&chunks))?;
        self.write_chunks(py, subset, data, done)
    }

    #[pyo3(signature = (chunk, subset, data, done=None))]
    fn store_chunk_subset(
        &self,
        py: Python<'_>,
        chunk: &Bound<'_, PyAny>,
        subset: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let chunk = indices(chunk)?;
        let shape = self.geometry(py, |array| array.chunk_shape(&chunk))?;
        let subset = region(subset, &shape)?;
        let inside = attached(py, || self.array.subset_in_chunk(&chunk, &subset))?;
        self.write_chunks(py, inside, data, done)
    }

    #[pyo3(signature = (subset, data, done=None))]
    fn store_array_subset(
        &self,
        py: Python<'_>,
        subset: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let subset = region(subset, self.array.shape())?;
        self.geometry(py, |array| array.chunks_in_array_subset(&subset))?;
        self.write_chunks(py, subset, data, done)
    }

    /// Stores an array at positions along each axis, as (start, step, length), or listed.
    #[pyo3(signature = (axes, data, lists=None, order=None, done=None))]
    fn store_selection(
        &self,
        py: Python<'_>,
        axes: Vec<(u64, i64, u64)>,
        data: &Bound<'_, PyAny>,
        lists: Option<Lists<'_>>,
        order: Option<Vec<usize>>,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let selection = self.selection(py, axes, lists.as_ref(), order.as_deref())?;
        self.write(py, &selection.shape(), data, done, move |array, buffer| {
            array.store_selection_from(&selection, buffer)
        })
    }

    #[pyo3(signature = (chunk, encoded, done=None))]
    fn store_encoded_chunk(
        &self,
        py: Python<'_>,
        chunk: &Bound<'_, PyAny>,
        encoded: PyBackedBytes,
        done: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let (array, chunk) = (self.array.clone(), indices(chunk)?);
        let work = move || array.store_encoded_chunk(&chunk, &encoded);
        perform(py, done, work, |py, ()| Ok(py.None()))
    }

    #[pyo3(signature = (chunk, done=None))]
    fn erase_chunk(&self, py: Python<'_>, chunk: &Bound<'_, PyAny>, done: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let (array, chunk) = (self.array.clone(), indices(chunk)?);
        perform(py, done, move || array.erase_chunk(&chunk), |py, ()| Ok(py.None()))
    }

    #[pyo3(signature = (chunks, done=None))]
    fn erase_chunks(&self, py: Python<'_>, chunks: &Bound<'_, PyAny>, done: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let (array, chunks) = (self.array.clone(), region(chunks, &self.array.chunk_grid_shape())?);
        perform(py, done, move || array.erase_chunks(&chunks), |py, ()| Ok(py.None()))
    }

    #[pyo3(signature = (done=None))]
    fn erase_metadata(&self, py: Python<'_>, done: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let array = self.array.clone();
        perform(py, done, move || array.erase_metadata(), |py, ()| Ok(py.None()))
    }
}

impl Array {
    /// Positions that lie in the array: checked before memory is asked for.
    fn selection(
        &self,
        py: Python<'_>,
        axes: Vec<(u64, i64, u64)>,
        lists: Option<&Lists<'_>>,
        order: Option<&[usize]>,
    ) -> PyResult<Selection> {
        // The lists belong to the interpreter.
        selection(self.array.shape(), axes, lists, order).map_err(|error| error.at(self.array.name())).or_raise(py)
    }
}
