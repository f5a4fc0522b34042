//! Methods that write regions, selections, fields and encoded chunks. Arrays and sessions share them.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use tegula::{ArraySubset, DataType, Field, InputBuffer, Result, Selection};

use super::geometry::subset_of;
use super::{Array, PartialEncoder};
use crate::buffer::{ElementType, Source};
use crate::call::{Answer, attached, perform};
use crate::dtype::to_numpy;
use crate::errors::OrRaise;
use crate::extract::{indices, region};
use crate::selection::ParsedIndex;

/// An array or a write session.
pub(super) trait WriteTarget: Clone + Send + 'static {
    fn store_subset(&self, subset: &ArraySubset, input: InputBuffer<'_>) -> Result<()>;
    fn store_selection(&self, selection: &Selection, input: InputBuffer<'_>) -> Result<()>;
    fn store_fields(&self, selection: &Selection, fields: &[&str], input: InputBuffer<'_>) -> Result<()>;
}

impl WriteTarget for tegula::Array {
    fn store_subset(&self, subset: &ArraySubset, input: InputBuffer<'_>) -> Result<()> {
        self.store_subset_from(subset, input)
    }

    fn store_selection(&self, selection: &Selection, input: InputBuffer<'_>) -> Result<()> {
        self.store_selection_from(selection, input)
    }

    fn store_fields(&self, selection: &Selection, fields: &[&str], input: InputBuffer<'_>) -> Result<()> {
        self.store_fields_from(selection, fields, input)
    }
}

/// The target, element type and `done` callable of a write.
pub(super) struct Writer<'a, S> {
    pub(super) target: &'a S,
    /// The array whose shape bounds regions and selections.
    pub(super) array: &'a tegula::Array,
    pub(super) elements: &'a ElementType,
    pub(super) done: Option<&'a Py<PyAny>>,
}

impl<S: WriteTarget> Writer<'_, S> {
    /// Stores an ndarray in a region.
    pub(super) fn store_region(&self, kind: &str, at: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> Answer {
        let subset = subset_of(self.array, kind, at)?;
        let source = Source::new(data, self.elements, subset.shape())?;
        self.store(data.py(), source, move |target, input| target.store_subset(&subset, input))
    }

    /// Stores an ndarray in a selection. With `fields`, the ndarray has packed records of only these fields.
    pub(super) fn store_selection(
        &self,
        index: ParsedIndex<'_, '_>,
        data: &Bound<'_, PyAny>,
        fields: Option<Vec<String>>,
    ) -> Answer {
        let py = data.py();
        let selection = index.selection(self.array.shape(), self.array.name())?;
        let shape = selection.shape();
        let Some(fields) = fields else {
            let source = Source::new(data, self.elements, &shape)?;
            return self.store(py, source, move |target, input| target.store_selection(&selection, input));
        };
        let data_type = records(self.array.data_type(), &fields).map_err(|error| error.at(self.array.name()));
        let data_type = data_type.or_raise(py)?;
        let source = Source::new(data, &ElementType::new(&data_type, to_numpy(py, &data_type)?)?, &shape)?;
        self.store(py, source, move |target, input| {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            target.store_fields(&selection, &fields, input)
        })
    }

    fn store(
        &self,
        py: Python<'_>,
        source: Source,
        work: impl FnOnce(&S, InputBuffer<'_>) -> Result<()> + Send + 'static,
    ) -> Answer {
        let (target, is_slow) = (self.target.clone(), self.array.is_slow(true));
        // The answer drops the ndarray with the GIL.
        perform(py, self.done, is_slow, move || work(&target, source.buffer()).map(|()| source), |py, _| Ok(py.None()))
    }
}

/// Returns a struct data type of some fields, without gaps.
fn records(data_type: &DataType, names: &[String]) -> Result<DataType> {
    let (mut fields, mut offset) = (Vec::new(), 0);
    for field in names.iter().filter_map(|name| data_type.fields().iter().find(|field| field.name == *name)) {
        fields.push(Field { offset, ..field.clone() });
        offset += field.size();
    }
    DataType::structure(fields, offset)
}

impl Array {
    fn writer(&self) -> Writer<'_, tegula::Array> {
        Writer { target: &self.core, array: &self.core, elements: &self.elements, done: self.done.as_ref() }
    }

    /// Calls the core for work without a result.
    fn command(&self, py: Python<'_>, work: impl FnOnce(&tegula::Array) -> Result<()> + Send + 'static) -> Answer {
        self.perform(py, true, work, |py, ()| Ok(py.None()))
    }
}

#[pymethods]
impl Array {
    fn store_region(&self, kind: &str, at: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> Answer {
        self.writer().store_region(kind, at, data)
    }

    #[pyo3(signature = (index, data, fields=None))]
    fn store_selection(
        &self,
        index: ParsedIndex<'_, '_>,
        data: &Bound<'_, PyAny>,
        fields: Option<Vec<String>>,
    ) -> Answer {
        self.writer().store_selection(index, data, fields)
    }

    fn store_encoded_chunk(&self, py: Python<'_>, chunk: &Bound<'_, PyAny>, encoded: PyBackedBytes) -> Answer {
        let chunk = indices(chunk)?;
        self.command(py, move |array| array.store_encoded_chunk(&chunk, &encoded))
    }

    fn erase_chunk(&self, py: Python<'_>, chunk: &Bound<'_, PyAny>) -> Answer {
        let chunk = indices(chunk)?;
        self.command(py, move |array| array.erase_chunk(&chunk))
    }

    fn erase_chunks(&self, py: Python<'_>, chunks: &Bound<'_, PyAny>) -> Answer {
        let chunks = region(chunks, &self.core.chunk_grid_shape())?;
        self.command(py, move |array| array.erase_chunks(&chunks))
    }

    fn erase_metadata(&self, py: Python<'_>) -> Answer {
        self.command(py, tegula::Array::erase_metadata)
    }

    fn partial_encoder(&self, chunk: &Bound<'_, PyAny>) -> PyResult<PartialEncoder> {
        let (py, chunk) = (chunk.py(), indices(chunk)?);
        let encoder = attached(py, || self.core.partial_encoder(&chunk))?;
        Ok(PartialEncoder { encoder, elements: self.elements.clone_ref(py) })
    }

    /// Rewrites a shard (`None`: all shards) that is larger than necessary, and returns the number of bytes saved.
    fn compact(&self, py: Python<'_>, chunk: Option<&Bound<'_, PyAny>>, drop_empty: bool) -> Answer {
        let chunk = chunk.map(indices).transpose()?;
        let work = move |array: &tegula::Array| match chunk {
            Some(chunk) => array.compact_chunk(&chunk, drop_empty),
            None => array.compact(drop_empty),
        };
        self.perform(py, true, work, |py, saved| Ok(saved.into_pyobject(py)?.into_any().unbind()))
    }
}
