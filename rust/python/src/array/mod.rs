//! Arrays: opening, properties and derived handles; see `tegula::Array`.

mod change;
mod decoder;
mod encoder;
mod geometry;
mod retrieve;
mod session;
mod store;

use numpy::PyArrayDescr;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use tegula::metadata::ArrayMetadata;
use tegula::{Field, Heaps, Kind, Slot};

pub(crate) use self::decoder::PartialDecoder;
pub(crate) use self::encoder::PartialEncoder;
pub(crate) use self::session::WriteSession;
use crate::buffer::ElementType;
use crate::cache::ChunkCache;
use crate::call::{Answer, attached, perform, reaching};
use crate::dtype::{field, to_numpy};
use crate::errors::{AtLocation, exception};
use crate::json::{self, attributes_from_python, object_to_python};
use crate::options::CodecOptions;
use crate::store::Store;
use crate::subset::tuple;
use crate::variable::{VariableForm, to_python};

/// The native part of `tegula.Array`.
///
/// Methods that read or write chunks return their answer; a [deferred](Array::deferred) array passes it to `done`.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct Array {
    core: tegula::Array,
    elements: ElementType,
    /// A callable for the answer, called on another thread; `None` if the caller waits.
    done: Option<Py<PyAny>>,
}

impl Array {
    pub(crate) fn new(py: Python<'_>, array: tegula::Array) -> PyResult<Self> {
        let dtype = to_numpy(py, array.data_type()).map_err(|error| error.at(py, array.name()))?;
        Self::with_dtype(array, dtype)
    }

    /// Wraps an array whose elements have a given NumPy data type.
    pub(crate) fn with_dtype(array: tegula::Array, dtype: Bound<'_, PyArrayDescr>) -> PyResult<Self> {
        Ok(Self { elements: ElementType::new(array.data_type(), dtype)?, core: array, done: None })
    }

    /// Returns the array of the core.
    pub(crate) fn core(&self) -> &tegula::Array {
        &self.core
    }

    /// Returns the NumPy type of the elements, if the data type of the array is just raw bytes.
    pub(crate) fn numpy_field(&self, py: Python<'_>) -> PyResult<Option<Field>> {
        if self.core.data_type().kind() != Kind::Raw {
            return Ok(None);
        }
        let field_type = field(self.elements.dtype.bind(py))?;
        Ok((field_type.data_type != *self.core.data_type()).then_some(field_type))
    }

    /// Wraps another array of the core with the same element type.
    pub(crate) fn like(&self, py: Python<'_>, array: tegula::Array) -> Self {
        Self { core: array, elements: self.elements.clone_ref(py), done: None }
    }

    /// Calls the core without the GIL; `stores` says whether chunks are stored. `answer` converts the result to a Python
    /// object.
    fn perform<T: Send + 'static>(
        &self,
        py: Python<'_>,
        stores: bool,
        work: impl FnOnce(&tegula::Array) -> tegula::Result<T> + Send + 'static,
        answer: impl FnOnce(Python<'_>, T) -> Answer + Send + 'static,
    ) -> Answer {
        let array = self.core.clone();
        perform(py, self.done.as_ref(), array.is_slow(stores), move || work(&array), answer)
    }
}

#[pymethods]
impl Array {
    #[staticmethod]
    #[pyo3(signature = (store, path, zarr_format=None))]
    fn open(py: Python<'_>, store: &Bound<'_, Store>, path: &str, zarr_format: Option<u8>) -> PyResult<Self> {
        let path = path.to_owned();
        Self::new(
            py,
            reaching(py, &store.get().0, move |store| tegula::Array::open_as(store.clone(), &path, zarr_format))?,
        )
    }

    /// Returns an array with known metadata, without reading.
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
        let (document, attributes) =
            (attributes_from_python(document)?.into(), attributes_from_python(attributes)?.into());
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
        let array = self.core.clone();
        reaching(py, self.core.store(), move |_| array.store_metadata())
    }

    #[getter]
    fn dtype(&self, py: Python<'_>) -> Py<PyArrayDescr> {
        self.elements.dtype.clone_ref(py)
    }

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.core.shape())
    }

    /// Shape of a chunk (a shard, if the array is sharded). If lengths vary along an axis, its item is a tuple of them.
    #[getter]
    fn grid_chunk_shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let grid = self.core.chunk_grid();
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
        tuple(py, &self.core.chunk_grid_shape())
    }

    #[getter]
    fn inner_chunk_shape<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.core.inner_chunk_shape().map(|shape| tuple(py, &shape)).transpose()
    }

    #[getter]
    fn inner_chunk_grid_shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &attached(py, || self.core.inner_chunk_grid_shape())?)
    }

    #[getter]
    fn path(&self) -> &str {
        self.core.path()
    }

    #[getter]
    fn name(&self) -> &str {
        self.core.name()
    }

    #[getter]
    fn zarr_format(&self) -> u8 {
        self.core.metadata().zarr_format
    }

    /// Bytes of the fill value; for elements of variable length, an ndarray of shape ().
    #[getter]
    fn fill_value(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let value = attached(py, || self.core.fill_value().known().map_err(|error| error.at(self.core.name())))?;
        let data_type = self.core.data_type();
        if !data_type.is_variable() {
            return Ok(PyBytes::new(py, value).into_any().unbind());
        }
        let slot = Slot { heap: 0, length: value.len() as u32, offset: 0 };
        let shape = PyTuple::empty(py);
        to_python(py, VariableForm::Objects, data_type, &shape, &slot.to_bytes(), Heaps::new(value)).map(Bound::unbind)
    }

    #[getter]
    fn dimension_names(&self) -> Option<Vec<Option<String>>> {
        self.core.metadata().dimension_names.clone()
    }

    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        object_to_python(py, self.core.attributes())
    }

    fn attribute<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        json::member(py, self.core.attributes(), name)
    }

    fn attribute_names(&self) -> Vec<String> {
        self.core.attributes().keys().cloned().collect()
    }

    /// Revision of the metadata, counted per process.
    #[getter]
    fn revision(&self) -> u64 {
        self.core.revision()
    }

    /// The stored metadata document.
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.core.metadata().document)
    }

    /// The codecs, named and configured as in Zarr V3.
    fn codecs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for named in &self.core.metadata().codecs {
            let codec = PyDict::new(py);
            codec.set_item("name", &named.name)?;
            codec.set_item("configuration", object_to_python(py, &named.configuration)?)?;
            list.append(codec)?;
        }
        Ok(list)
    }

    #[getter]
    fn options(&self) -> CodecOptions {
        self.core.options().into()
    }

    fn with_options(&self, py: Python<'_>, options: &Bound<'_, CodecOptions>) -> Self {
        self.like(py, self.core.with_options((*options.get()).into()))
    }

    /// Returns an array that reads elements of variable length as NumPy's `dtype`, or (`None`) as bytes and offsets.
    fn with_elements(&self, py: Python<'_>, dtype: Option<&Bound<'_, PyArrayDescr>>) -> PyResult<Self> {
        let mut array = self.like(py, self.core.clone());
        match (dtype, &mut array.elements.variable) {
            (Some(dtype), _) => array.elements = ElementType::new(self.core.data_type(), dtype.clone())?,
            (None, Some((_, form))) => *form = VariableForm::Parts,
            (None, None) => {
                let (name, data_type) = (self.core.name(), self.core.data_type());
                let message = format!("{name}: elements of {data_type} have a fixed size, not a variable length");
                return Err(exception(py, "InvalidSelectionError", &message));
            }
        }
        Ok(array)
    }

    /// The Zarr name of the data type.
    #[getter]
    fn data_type(&self) -> String {
        self.core.data_type().to_string()
    }

    /// Whether elements have variable lengths.
    #[getter]
    fn is_variable(&self) -> bool {
        self.core.data_type().is_variable()
    }

    /// Returns an array for one asynchronous call: another thread does the work and then calls `done(answer, None)` or
    /// `done(None, error)`. The call itself returns `done` immediately.
    fn deferred(&self, py: Python<'_>, done: Py<PyAny>) -> Self {
        Self { done: Some(done), ..self.like(py, self.core.clone()) }
    }

    fn with_cache(&self, py: Python<'_>, cache: Option<&Bound<'_, ChunkCache>>) -> Self {
        self.like(py, self.core.with_cache(cache.map(|cache| cache.get().cache.clone())))
    }
}
