//! How an array is cut into chunks, axis by axis.

use crate::error::{Error, Result};
use crate::subset::{ArraySubset, Dims, tuple};

/// The chunks of an array. All grids are products of one cut for each axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkGrid {
    array_shape: Dims,
    axes: Vec<Cut>,
}

/// How one axis is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cut {
    /// Chunks of one length, the last of which may reach past the array.
    Regular(u64),
}

impl Cut {
    fn count(&self, length: u64) -> u64 {
        match self {
            Self::Regular(chunk) => length.div_ceil(*chunk),
        }
    }

    /// The start and the length of a chunk.
    fn extent(&self, chunk: u64) -> Option<(u64, u64)> {
        match self {
            Self::Regular(length) => chunk.checked_mul(*length).map(|start| (start, *length)),
        }
    }

    fn find(&self, element: u64) -> u64 {
        match self {
            Self::Regular(length) => element / length,
        }
    }
}

impl ChunkGrid {
    /// Chunks of one shape: <https://zarr-specs.readthedocs.io/en/latest/v3/chunk-grids/regular-grid/index.html>
    pub fn regular(array_shape: &[u64], chunk_shape: &[u64]) -> Result<Self> {
        if array_shape.len() != chunk_shape.len() {
            return Err(Error::metadata(format!(
                "chunks of shape {} do not fit an array of shape {}",
                tuple(chunk_shape),
                tuple(array_shape)
            )));
        }
        if chunk_shape.contains(&0) {
            return Err(Error::metadata(format!("chunks of shape {} are empty", tuple(chunk_shape))));
        }
        Ok(Self { array_shape: array_shape.into(), axes: chunk_shape.iter().copied().map(Cut::Regular).collect() })
    }

    /// The shape of the array.
    pub fn array_shape(&self) -> &[u64] {
        &self.array_shape
    }

    /// Number of dimensions.
    pub fn dimensionality(&self) -> usize {
        self.axes.len()
    }

    /// Number of chunks along each axis.
    pub fn shape(&self) -> Dims {
        self.axes.iter().zip(&self.array_shape).map(|(cut, length)| cut.count(*length)).collect()
    }

    /// The shape of all chunks, where it is one.
    pub fn regular_shape(&self) -> Option<Dims> {
        Some(self.axes.iter().map(|Cut::Regular(length)| *length).collect())
    }

    /// The shape of the array with the padding of the chunks at its end.
    pub(crate) fn padded_shape(&self) -> Dims {
        let end = |(cut, length): (&Cut, &u64)| {
            let last = cut.count(*length).checked_sub(1).and_then(|last| cut.extent(last));
            last.map_or(0, |(start, length)| start.saturating_add(length))
        };
        self.axes.iter().zip(&self.array_shape).map(end).collect()
    }

    /// The elements of a chunk, which may reach past the array.
    ///
    /// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection) outside the grid.
    pub fn chunk_subset(&self, chunk: &[u64]) -> Result<ArraySubset> {
        let outside = || {
            Error::selection(format!("chunk {} lies outside a grid of {} chunks", tuple(chunk), tuple(&self.shape())))
        };
        if chunk.len() != self.axes.len() || chunk.iter().zip(self.shape()).any(|(index, count)| *index >= count) {
            return Err(outside());
        }
        let extents: Option<Vec<_>> = self.axes.iter().zip(chunk).map(|(cut, index)| cut.extent(*index)).collect();
        let (start, shape): (Dims, Dims) = extents.ok_or_else(outside)?.into_iter().unzip();
        ArraySubset::new_with_start_shape(&start, &shape)
    }

    /// The elements of a region of chunks, which may reach past the array.
    pub fn chunks_subset(&self, chunks: &ArraySubset) -> Result<ArraySubset> {
        if chunks.dimensionality() != self.dimensionality() || !chunks.inbounds_shape(&self.shape()) {
            return Err(Error::selection(format!(
                "chunks {chunks} do not lie in a grid of {} chunks",
                tuple(&self.shape())
            )));
        }
        let Some(last) = chunks.end_inc() else { return Ok(ArraySubset::new_empty(self.dimensionality())) };
        let start = self.chunk_subset(chunks.start())?;
        ArraySubset::new_with_start_end_exc(start.start(), &self.chunk_subset(&last)?.end_exc())
    }

    /// The chunks that a region of the array touches.
    pub fn chunks_in_subset(&self, subset: &ArraySubset) -> Result<ArraySubset> {
        if !subset.inbounds_shape(&self.array_shape) {
            return Err(out_of_bounds(subset, &self.array_shape));
        }
        let Some(last) = subset.end_inc() else { return Ok(ArraySubset::new_empty(self.dimensionality())) };
        let find = |element: &[u64]| self.axes.iter().zip(element).map(|(cut, i)| cut.find(*i)).collect::<Dims>();
        ArraySubset::new_with_start_end_inc(&find(subset.start()), &find(&last))
    }

    /// The chunk of an element along an axis, and the chunk's start and length.
    pub(crate) fn locate(&self, axis: usize, element: u64) -> (u64, u64, u64) {
        let chunk = self.axes[axis].find(element);
        let (start, length) = self.axes[axis].extent(chunk).unwrap_or((element, 1));
        (chunk, start, length)
    }
}

/// The error of a region that does not lie in an array.
pub(crate) fn out_of_bounds(subset: &ArraySubset, shape: &[u64]) -> Error {
    if subset.dimensionality() != shape.len() {
        return Error::selection(format!(
            "the region {subset} has {} dimensions, the array of shape {} has {}",
            subset.dimensionality(),
            tuple(shape),
            shape.len()
        ));
    }
    Error::selection(format!("the region {subset} lies outside an array of shape {}", tuple(shape)))
}
