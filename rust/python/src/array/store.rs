//! Writing of regions, selections, fields and encoded chunks, of arrays and of sessions.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use tegula::{ArraySubset, DataType, Field, InputBuffer, Result, Selection};

use super::geometry::subset_of;
use super::{Array, PartialEncoder};
use crate::buffer::{Elements, Origin};
use crate::call::{Answer, attached, perform};
use crate::dtype::to_numpy;
use crate::errors::OrRaise;
use crate::extract::{indices, region};
use crate::selection::Positions;

/// What stores elements: an array, or a session of writes to one.
pub(super) trait Storing: Clone + Send + 'static {
    fn store_subset(&self, subset: &ArraySubset, input: InputBuffer<'_>) -> Result<()>;
    fn store_selection(&self, selection: &Selection, input: InputBuffer<'_>) -> Result<()>;
    fn store_fields(&self, selection: &Selection, fields: &[&str], input: InputBuffer<'_>) -> Result<()>;
}

impl Storing for tegula::Array {
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

/// Where a call stores elements, and how it answers.
pub(super) struct Writer<'a, S> {
    pub(super) storing: &'a S,
    /// The array with the shape that regions and selections apply to.
    pub(super) array: &'a tegula::Array,
    pub(super) elements: &'a Elements,
    pub(super) done: Option<&'a Py<PyAny>>,
}

impl<S: Storing> Writer<'_, S> {
    /// Stores an ndarray in a region.
    pub(super) fn store_region(&self, kind: &str, at: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> Answer {
        let subset = subset_of(self.array, kind, at)?;
        let origin = Origin::new(data, self.elements, subset.shape())?;
        self.store(data.py(), origin, move |storing, input| storing.store_subset(&subset, input))
    }

    /// Stores an ndarray in a selection. With `fields`, it has packed records of only these fields.
    pub(super) fn store_selection(
        &self,
        positions: Positions<'_, '_>,
        data: &Bound<'_, PyAny>,
        fields: Option<Vec<String>>,
    ) -> Answer {
        let py = data.py();
        let selection = positions.selection(self.array.shape(), self.array.name())?;
        let shape = selection.shape();
        let Some(fields) = fields else {
            let origin = Origin::new(data, self.elements, &shape)?;
            return self.store(py, origin, move |storing, input| storing.store_selection(&selection, input));
        };
        let data_type = records(self.array.data_type(), &fields).map_err(|error| error.at(self.array.name()));
        let data_type = data_type.or_raise(py)?;
        let origin = Origin::new(data, &Elements::new(&data_type, to_numpy(py, &data_type)?)?, &shape)?;
        self.store(py, origin, move |storing, input| {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            storing.store_fields(&selection, &fields, input)
        })
    }

    fn store(
        &self,
        py: Python<'_>,
        origin: Origin,
        work: impl FnOnce(&S, InputBuffer<'_>) -> Result<()> + Send + 'static,
    ) -> Answer {
        let storing = self.storing.clone();
        // The ndarray is dropped with the GIL.
        perform(py, self.done, move || work(&storing, origin.buffer()).map(|()| origin), |py, _| Ok(py.None()))
    }
}

/// Returns a struct of some fields without gaps.
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
        Writer { storing: &self.core, array: &self.core, elements: &self.elements, done: self.done.as_ref() }
    }

    /// Carries out work that gives nothing back.
    fn command(&self, py: Python<'_>, work: impl FnOnce(&tegula::Array) -> Result<()> + Send + 'static) -> Answer {
        self.perform(py, work, |py, ()| Ok(py.None()))
    }
}

#[pymethods]
impl Array {
    fn store_region(&self, kind: &str, at: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> Answer {
        self.writer().store_region(kind, at, data)
    }

    #[pyo3(signature = (positions, data, fields=None))]
    fn store_selection(
        &self,
        positions: Positions<'_, '_>,
        data: &Bound<'_, PyAny>,
        fields: Option<Vec<String>>,
    ) -> Answer {
        self.writer().store_selection(positions, data, fields)
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

    /// Rewrites a chunk (None: all chunks) that is a larger shard than needed; returns the number of bytes saved.
    fn compact(&self, py: Python<'_>, chunk: Option<&Bound<'_, PyAny>>, drop_empty: bool) -> Answer {
        let chunk = chunk.map(indices).transpose()?;
        let work = move |array: &tegula::Array| match chunk {
            Some(chunk) => array.compact_chunk(&chunk, drop_empty),
            None => array.compact(drop_empty),
        };
        self.perform(py, work, |py, saved| Ok(saved.into_pyobject(py)?.into_any().unbind()))
    }
}
