//! New arrays; see `tegula::ArrayBuilder`.

use pyo3::prelude::*;
use serde_json::Value;
use tegula::metadata::{Order, chunk_key_encoding_from_json};
use tegula::{Chunks, FillValue};

use crate::array::Array;
use crate::call::{attached, detached};
use crate::dtype::from_numpy;
use crate::extract::indices;
use crate::json::{attributes_from_python, from_python};
use crate::store::Store;

/// Properties of a new array. `build` checks them.
#[pyclass(module = "tegula._tegula")]
pub(crate) struct ArrayBuilder(tegula::ArrayBuilder);

/// Converts "auto", a chunk shape, or the chunk lengths along each axis.
fn chunks(value: &Bound<'_, PyAny>) -> PyResult<Chunks> {
    if value.extract::<String>().is_ok_and(|text| text == "auto") {
        return Ok(Chunks::Auto);
    }
    if let Ok(lengths) = value.extract::<Vec<Vec<u64>>>()
        && !lengths.is_empty()
    {
        return Ok(Chunks::Lengths(lengths));
    }
    Ok(Chunks::Shape(indices(value)?.to_vec()))
}

fn codecs(value: &Bound<'_, PyAny>) -> PyResult<Vec<Value>> {
    value.try_iter()?.map(|codec| from_python(&codec?)).collect()
}

#[pymethods]
impl ArrayBuilder {
    #[new]
    fn new(shape: &Bound<'_, PyAny>, data_type: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(tegula::ArrayBuilder::new(indices(shape)?.to_vec(), from_numpy(data_type)?)))
    }

    /// Returns a builder of a copy of an array; `zarr_format` and `fill_value` default to those of the source.
    #[staticmethod]
    #[pyo3(signature = (source, *, zarr_format=None, fill_value=None))]
    fn copied(
        py: Python<'_>,
        source: &Bound<'_, Array>,
        zarr_format: Option<u8>,
        fill_value: Option<Vec<u8>>,
    ) -> PyResult<Self> {
        let elements = source.get().numpy_field(py)?;
        let (source, fill_value) = (source.get().core(), fill_value.map(FillValue::new));
        detached(py, || tegula::copied(source, zarr_format, elements.as_ref(), fill_value.as_ref())).map(Self)
    }

    #[setter]
    fn zarr_format(&mut self, value: u8) {
        self.0.zarr_format(value);
    }

    #[setter]
    fn chunks(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.chunks(chunks(value)?);
        Ok(())
    }

    #[setter]
    fn shards(&mut self, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match value {
            None => self.0.without_shards(),
            Some(value) => self.0.shards(chunks(value)?),
        };
        Ok(())
    }

    #[setter]
    fn filters(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.filters(codecs(value)?);
        Ok(())
    }

    #[setter]
    fn compressors(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.compressors(codecs(value)?);
        Ok(())
    }

    #[setter]
    fn codecs(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.codecs(codecs(value)?);
        Ok(())
    }

    #[setter]
    fn serializer(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.serializer(from_python(value)?);
        Ok(())
    }

    #[setter]
    fn order(&mut self, value: &str) {
        self.0.order(if value == "F" { Order::F } else { Order::C });
    }

    #[setter]
    fn chunk_key_encoding(&mut self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let encoding = from_python(value)?;
        let read = || chunk_key_encoding_from_json(&encoding).map_err(|error| error.at("chunk_key_encoding"));
        let encoding = attached(py, read)?;
        self.0.chunk_key_encoding(encoding);
        Ok(())
    }

    /// Sets the fill value from the bytes of an element.
    #[setter]
    fn fill_value(&mut self, value: Vec<u8>) {
        self.0.fill_value(FillValue::new(value));
    }

    #[setter]
    fn attributes(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.attributes(attributes_from_python(value)?);
        Ok(())
    }

    #[setter]
    fn dimension_names(&mut self, value: Vec<Option<String>>) {
        self.0.dimension_names(value.iter().map(Option::as_deref));
    }

    /// Returns the array at a path, without storing anything.
    fn build(&self, py: Python<'_>, store: &Bound<'_, Store>, path: &str) -> PyResult<Array> {
        let store = store.get().0.clone();
        Array::new(py, attached(py, || tegula::Array::new_with_metadata(store, path, self.0.build()?))?)
    }
}
