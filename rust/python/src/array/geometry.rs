//! Regions of chunks; see `tegula::ArrayRegion`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tegula::ArrayRegion;

use super::Array;
use crate::call::{attached, detached};
use crate::extract::{indices, region};
use crate::subset::ArraySubset;

/// Returns a region of the array. `kind` names a variant of [`ArrayRegion`], and `at` is its index or range.
pub(super) fn subset_of(array: &tegula::Array, kind: &str, at: &Bound<'_, PyAny>) -> PyResult<tegula::ArraySubset> {
    let find = |region: ArrayRegion<'_>| attached(at.py(), || array.subset_of(region));
    match kind {
        "subset" => find(ArrayRegion::Subset(&region(at, array.shape())?)),
        "chunk" => find(ArrayRegion::Chunk(&indices(at)?)),
        "chunks" => find(ArrayRegion::Chunks(&region(at, &array.chunk_grid_shape())?)),
        "chunk_subset" => {
            let (chunk, subset): (Bound<'_, PyAny>, Bound<'_, PyAny>) = at.extract()?;
            let chunk = indices(&chunk)?;
            let whole = find(ArrayRegion::Chunk(&chunk))?;
            find(ArrayRegion::ChunkSubset(&chunk, &region(&subset, whole.shape())?))
        }
        "inner_chunk" => find(ArrayRegion::InnerChunk(&indices(at)?)),
        "inner_chunks" => {
            let grid = attached(at.py(), || array.inner_chunk_grid_shape())?;
            find(ArrayRegion::InnerChunks(&region(at, &grid)?))
        }
        _ => Err(PyValueError::new_err(format!("unknown kind of region {kind:?}"))),
    }
}

#[pymethods]
impl Array {
    /// Returns a region; see [`subset_of`].
    fn region(&self, kind: &str, at: &Bound<'_, PyAny>) -> PyResult<ArraySubset> {
        subset_of(&self.core, kind, at).map(ArraySubset)
    }

    /// Returns a range of chunks as a region of the chunk grid.
    fn grid_region(&self, chunks: &Bound<'_, PyAny>) -> PyResult<ArraySubset> {
        let found = region(chunks, &self.core.chunk_grid_shape())?;
        attached(chunks.py(), || self.core.chunks_subset(&found))?;
        Ok(ArraySubset(found))
    }

    fn chunks_in_array_subset(&self, subset: &Bound<'_, PyAny>) -> PyResult<ArraySubset> {
        let found = region(subset, self.core.shape())?;
        attached(subset.py(), || self.core.chunks_in_array_subset(&found)).map(ArraySubset)
    }

    fn chunk_key(&self, chunk: &Bound<'_, PyAny>) -> PyResult<String> {
        let index = indices(chunk)?;
        attached(chunk.py(), || self.core.chunk_key(&index))
    }

    fn chunk_exists(&self, chunk: &Bound<'_, PyAny>) -> PyResult<bool> {
        let index = indices(chunk)?;
        detached(chunk.py(), || self.core.chunk_exists(&index))
    }
}
