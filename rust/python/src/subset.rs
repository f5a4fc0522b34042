//! Rectangular regions; see `tegula::ArraySubset`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::{PySlice, PyTuple};

use crate::call::attached;
use crate::extract::indices;

/// Returns a tuple of integers.
pub(crate) fn tuple<'py>(py: Python<'py>, numbers: &[u64]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, numbers)
}

#[pyclass(module = "tegula", frozen, eq)]
#[derive(PartialEq)]
#[doc = include_str!("docs/array_subset.txt")]
pub(crate) struct ArraySubset(pub(crate) tegula::ArraySubset);

#[pymethods]
impl ArraySubset {
    #[new]
    fn new(start: &Bound<'_, PyAny>, shape: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::new_with_start_shape(start, shape)
    }

    /// Return a region from a slice, range or pair (start, stop) for each axis. Slices must have a stop.
    #[staticmethod]
    #[pyo3(signature = (ranges, /))]
    fn new_with_ranges(ranges: &Bound<'_, PyAny>) -> PyResult<Self> {
        crate::extract::region(ranges, &[]).map(Self)
    }

    /// Return a region from its first element and its shape.
    #[staticmethod]
    fn new_with_start_shape(start: &Bound<'_, PyAny>, shape: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (py, start, shape) = (start.py(), indices(start)?, indices(shape)?);
        attached(py, || tegula::ArraySubset::new_with_start_shape(&start, &shape)).map(Self)
    }

    /// Return a region from its first element and an exclusive end.
    #[staticmethod]
    fn new_with_start_end_exc(start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (py, start, end) = (start.py(), indices(start)?, indices(end)?);
        attached(py, || tegula::ArraySubset::new_with_start_end_exc(&start, &end)).map(Self)
    }

    /// Return a region from its first and its last element.
    #[staticmethod]
    fn new_with_start_end_inc(start: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (py, start, end) = (start.py(), indices(start)?, indices(end)?);
        attached(py, || tegula::ArraySubset::new_with_start_end_inc(&start, &end)).map(Self)
    }

    /// Return a region that starts at the origin.
    #[staticmethod]
    fn new_with_shape(shape: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(tegula::ArraySubset::new_with_shape(&indices(shape)?)))
    }

    /// Return an empty region with `ndim` dimensions.
    #[staticmethod]
    fn new_empty(ndim: usize) -> Self {
        Self(tegula::ArraySubset::new_empty(ndim))
    }

    /// tuple of int : The first element.
    #[getter]
    fn start<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.0.start())
    }

    /// tuple of int : The number of elements along each axis.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.0.shape())
    }

    /// tuple of int : The exclusive end.
    #[getter]
    fn end_exc<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.end_exc())
    }

    /// tuple of int or None : The last element; None for an empty region.
    #[getter]
    fn end_inc<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.0.end_inc().map(|end| tuple(py, &end)).transpose()
    }

    /// int : The number of dimensions.
    #[getter]
    fn ndim(&self) -> usize {
        self.0.dimensionality()
    }

    /// int : The number of elements, at most 2**64 - 1.
    #[getter]
    fn num_elements(&self) -> u64 {
        self.0.num_elements()
    }

    /// Return whether the region has no elements.
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Return whether an element is in the region.
    fn contains(&self, index: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.0.contains(&indices(index)?))
    }

    fn __contains__(&self, index: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.contains(index)
    }

    /// Return whether the region is inside another region, or inside an array of a shape.
    fn inbounds(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        match other.cast::<Self>() {
            Ok(other) => Ok(self.0.inbounds(&other.get().0)),
            Err(_) => Ok(self.0.inbounds_shape(&indices(other)?)),
        }
    }

    /// Return the intersection of two regions, which can be empty.
    fn overlap(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<Self> {
        attached(py, || self.0.overlap(&other.get().0)).map(Self)
    }

    /// Return the region relative to `origin`, which must not be past the start of the region.
    fn relative_to(&self, origin: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (py, origin) = (origin.py(), indices(origin)?);
        attached(py, || self.0.relative_to(&origin)).map(Self)
    }

    /// Return the region clipped to `end`.
    fn bound(&self, end: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (py, end) = (end.py(), indices(end)?);
        attached(py, || self.0.bound(&end)).map(Self)
    }

    /// Return an iterator over the indices of all elements, in C order.
    fn indices(&self) -> ArraySubsetIndices {
        ArraySubsetIndices(Mutex::new(self.0.indices()))
    }

    /// Return a slice for each axis, for indexing an ndarray.
    fn to_slices<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let slices = self.0.to_ranges().into_iter();
        PyTuple::new(
            py,
            slices
                .map(|range| PySlice::new(py, range.start.cast_signed() as isize, range.end.cast_signed() as isize, 1))
                .collect::<Vec<_>>(),
        )
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!("ArraySubset({})", self.0)
    }

    fn __getnewargs__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyTuple>)> {
        Ok((tuple(py, self.0.start())?, tuple(py, self.0.shape())?))
    }
}

/// Iterates over the indices of an `ArraySubset`, in C order.
#[pyclass(module = "tegula._tegula", frozen)]
pub(crate) struct ArraySubsetIndices(Mutex<tegula::Indices>);

#[pymethods]
impl ArraySubsetIndices {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let next = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
        next.map(|index| tuple(py, &index)).transpose()
    }

    fn __len__(&self) -> usize {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len()
    }
}
