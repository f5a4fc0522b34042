//! Chunk grids: how an array is divided into chunks, axis by axis.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::subset::{ArraySubset, Dims, tuple};

/// The chunks of an array: the product of one division for each axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkGrid {
    array_shape: Dims,
    axes: Vec<Cut>,
}

/// How one axis is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cut {
    /// Chunks of one length; the last may reach past the array.
    Regular(u64),
    /// Chunks of given lengths.
    Irregular(Arc<Irregular>),
}

#[derive(Debug, PartialEq, Eq)]
struct Irregular {
    ends: Vec<u64>,
    /// The distinct lengths, sorted.
    lengths: Vec<u64>,
}

impl Cut {
    fn count(&self, length: u64) -> u64 {
        match self {
            Self::Regular(chunk) => length.div_ceil(*chunk),
            // Listed chunks past the end of an array that was shrunk do not count.
            Self::Irregular(cut) => cut.ends.partition_point(|end| *end < length) as u64 + u64::from(length > 0),
        }
    }

    /// Returns start and length of a chunk.
    fn extent(&self, chunk: u64) -> Option<(u64, u64)> {
        match self {
            Self::Regular(length) => chunk.checked_mul(*length).map(|start| (start, *length)),
            Self::Irregular(cut) => {
                let chunk = usize::try_from(chunk).ok()?;
                let start = if chunk == 0 { 0 } else { *cut.ends.get(chunk - 1)? };
                Some((start, cut.ends.get(chunk)? - start))
            }
        }
    }

    fn find(&self, element: u64) -> u64 {
        match self {
            Self::Regular(length) => element / length,
            Self::Irregular(cut) => cut.ends.partition_point(|end| *end <= element) as u64,
        }
    }

    /// Returns the distinct lengths of the chunks, sorted.
    fn lengths(&self) -> &[u64] {
        match self {
            Self::Regular(length) => std::slice::from_ref(length),
            Self::Irregular(cut) => &cut.lengths,
        }
    }
}

impl ChunkGrid {
    /// Divides an array into chunks of one shape. Chunks of an array without elements may have lengths of 0, as some
    /// writers give them the shape of the array; these lengths count as 1.
    ///
    /// Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/chunk-grids/regular-grid/index.html>
    pub fn regular(array_shape: &[u64], chunk_shape: &[u64]) -> Result<Self> {
        if array_shape.len() != chunk_shape.len() {
            return Err(Error::metadata(format!(
                "chunks of shape {} do not fit an array of shape {}",
                tuple(chunk_shape),
                tuple(array_shape)
            )));
        }
        if chunk_shape.contains(&0) && !array_shape.contains(&0) {
            return Err(Error::metadata(format!("chunks of shape {} are empty", tuple(chunk_shape))));
        }
        let axes = chunk_shape.iter().map(|length| Cut::Regular((*length).max(1))).collect();
        Ok(Self { array_shape: array_shape.into(), axes })
    }

    /// Divides each axis into chunks of one length (`Err`), or of the listed lengths (`Ok`), whose sum must be at least
    /// the length of the array.
    ///
    /// Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/chunk-grids/rectilinear>
    pub fn rectilinear(array_shape: &[u64], lengths: Vec<Result<Vec<u64>, u64>>) -> Result<Self> {
        if lengths.len() != array_shape.len() {
            return Err(Error::metadata(format!(
                "chunks along {} axes do not fit an array of shape {}",
                lengths.len(),
                tuple(array_shape)
            )));
        }
        let cut = |(axis, lengths): (usize, Result<Vec<u64>, u64>)| {
            let lengths = match lengths {
                Err(0) if array_shape.contains(&0) => return Ok(Cut::Regular(1)),
                Err(0) => return Err(Error::metadata(format!("chunks along axis {axis} are empty"))),
                Err(length) => return Ok(Cut::Regular(length)),
                Ok(lengths) => lengths,
            };
            let mut end = 0u64;
            let mut ends = Vec::with_capacity(lengths.len());
            for length in &lengths {
                end = end.checked_add(*length).filter(|_| *length > 0).ok_or_else(|| {
                    Error::metadata(format!("a chunk of length {length} along axis {axis} is empty or ends past 2^64"))
                })?;
                ends.push(end);
            }
            if end < array_shape[axis] {
                return Err(Error::metadata(format!(
                    "the chunks along axis {axis} end at {end}, but the array has length {}",
                    array_shape[axis]
                )));
            }
            let mut lengths = lengths;
            lengths.sort_unstable();
            lengths.dedup();
            lengths.shrink_to_fit();
            Ok(Cut::Irregular(Arc::new(Irregular { ends, lengths })))
        };
        let axes = lengths.into_iter().enumerate().map(cut).collect::<Result<Vec<_>>>()?;
        Ok(Self { array_shape: array_shape.into(), axes })
    }

    /// Returns the shape of the array.
    pub fn array_shape(&self) -> &[u64] {
        &self.array_shape
    }

    /// Returns the number of dimensions.
    pub fn dimensionality(&self) -> usize {
        self.axes.len()
    }

    /// Returns the number of chunks along each axis.
    pub fn shape(&self) -> Dims {
        self.axes.iter().zip(&self.array_shape).map(|(cut, length)| cut.count(*length)).collect()
    }

    /// Returns the chunk shape if all chunks have the same.
    pub fn regular_shape(&self) -> Option<Dims> {
        self.axes.iter().map(|cut| if let [length] = cut.lengths() { Some(*length) } else { None }).collect()
    }

    /// Returns the length of the chunks along an axis if all have the same.
    pub fn chunk_length(&self, axis: usize) -> Option<u64> {
        if let [length] = self.axes.get(axis)?.lengths() { Some(*length) } else { None }
    }

    /// Returns the lengths of the chunks along an axis, in order.
    pub fn chunk_lengths(&self, axis: usize) -> impl Iterator<Item = u64> + '_ {
        let count = self.axes.get(axis).map_or(0, |cut| cut.count(self.array_shape[axis]));
        (0..count).map_while(move |chunk| self.axes[axis].extent(chunk).map(|(_, length)| length))
    }

    /// Returns the lengths along each axis as [`rectilinear`](Self::rectilinear) takes them.
    pub(crate) fn edges(&self) -> Vec<Result<Vec<u64>, u64>> {
        let edges = |cut: &Cut| match cut {
            Cut::Regular(length) => Err(*length),
            Cut::Irregular(cut) => {
                let starts = std::iter::once(&0).chain(&cut.ends);
                Ok(cut.ends.iter().zip(starts).map(|(end, start)| end - start).collect())
            }
        };
        self.axes.iter().map(edges).collect()
    }

    /// Returns the grid of an array of another shape. Listed chunks keep their lengths; if the array reaches past them,
    /// one more chunk covers the rest.
    pub(crate) fn resized(&self, array_shape: &[u64]) -> Result<Self> {
        let mut edges = self.edges();
        for ((edges, cut), length) in edges.iter_mut().zip(&self.axes).zip(array_shape) {
            if let (Ok(edges), Cut::Irregular(cut)) = (edges, cut) {
                let end = cut.ends.last().copied().unwrap_or(0);
                edges.extend(length.checked_sub(end).filter(|missing| *missing > 0));
            }
        }
        Self::rectilinear(array_shape, edges)
    }

    /// Returns the start of a chunk of the grid along an axis.
    pub(crate) fn chunk_start(&self, axis: usize, chunk: u64) -> u64 {
        self.axes.get(axis).and_then(|cut| cut.extent(chunk)).map_or(0, |(start, _)| start)
    }

    /// Returns the shape of the first chunk.
    pub(crate) fn first_shape(&self) -> Dims {
        self.axes.iter().map(|cut| cut.extent(0).map_or(1, |(_, length)| length)).collect()
    }

    /// Returns the greatest length of a chunk along each axis.
    pub(crate) fn largest_shape(&self) -> Dims {
        self.axes.iter().map(|cut| cut.lengths().last().copied().unwrap_or(1)).collect()
    }

    /// Returns the number of distinct chunk shapes.
    pub(crate) fn shapes(&self) -> u64 {
        self.axes.iter().fold(1, |count: u64, cut| count.saturating_mul(cut.lengths().len() as u64))
    }

    /// Returns the number of a shape among the distinct chunk shapes.
    pub(crate) fn shape_number(&self, shape: &[u64]) -> usize {
        let number = |cut: &Cut, length| cut.lengths().binary_search(length).unwrap_or(0);
        self.axes.iter().zip(shape).fold(0, |all, (cut, length)| all * cut.lengths().len() + number(cut, length))
    }

    /// Returns the shape of the array including the padding of its last chunks.
    pub(crate) fn padded_shape(&self) -> Dims {
        let end = |(cut, length): (&Cut, &u64)| {
            let last = cut.count(*length).checked_sub(1).and_then(|last| cut.extent(last));
            last.map_or(0, |(start, length)| start.saturating_add(length))
        };
        self.axes.iter().zip(&self.array_shape).map(end).collect()
    }

    /// Returns the elements of a chunk, which may reach past the array.
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection) if the chunk is outside the grid.
    pub fn chunk_subset(&self, chunk: &[u64]) -> Result<ArraySubset> {
        let outside =
            || Error::selection(format!("chunk {} is outside a grid of {} chunks", tuple(chunk), tuple(&self.shape())));
        if chunk.len() != self.axes.len() || chunk.iter().zip(self.shape()).any(|(index, count)| *index >= count) {
            return Err(outside());
        }
        let extents: Option<Vec<_>> = self.axes.iter().zip(chunk).map(|(cut, index)| cut.extent(*index)).collect();
        let (start, shape): (Dims, Dims) = extents.ok_or_else(outside)?.into_iter().unzip();
        ArraySubset::new_with_start_shape(&start, &shape)
    }

    /// Returns the elements of a region of chunks, which may reach past the array.
    pub fn chunks_subset(&self, chunks: &ArraySubset) -> Result<ArraySubset> {
        if chunks.dimensionality() != self.dimensionality() || !chunks.inbounds_shape(&self.shape()) {
            return Err(Error::selection(format!(
                "chunks {chunks} are not inside a grid of {} chunks",
                tuple(&self.shape())
            )));
        }
        let Some(last) = chunks.end_inc() else { return Ok(ArraySubset::new_empty(self.dimensionality())) };
        let start = self.chunk_subset(chunks.start())?;
        ArraySubset::new_with_start_end_exc(start.start(), &self.chunk_subset(&last)?.end_exc())
    }

    /// Returns the chunks that a region of the array touches.
    pub fn chunks_in_subset(&self, subset: &ArraySubset) -> Result<ArraySubset> {
        subset.check_inside(&self.array_shape)?;
        let Some(last) = subset.end_inc() else { return Ok(ArraySubset::new_empty(self.dimensionality())) };
        let find = |element: &[u64]| self.axes.iter().zip(element).map(|(cut, i)| cut.find(*i)).collect::<Dims>();
        ArraySubset::new_with_start_end_inc(&find(subset.start()), &find(&last))
    }

    /// Returns start and length of a chunk along an axis, which may be past the end of the array.
    pub(crate) fn extent(&self, axis: usize, chunk: u64) -> Option<(u64, u64)> {
        self.axes.get(axis)?.extent(chunk)
    }

    /// Returns the chunk of an element along an axis, with the chunk's start and length.
    pub(crate) fn locate(&self, axis: usize, element: u64) -> (u64, u64, u64) {
        let chunk = self.axes[axis].find(element);
        let (start, length) = self.axes[axis].extent(chunk).unwrap_or((element, 1));
        (chunk, start, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_any_lengths() {
        let grid = ChunkGrid::rectilinear(&[10, 7, 3], vec![Ok(vec![3, 4, 2, 2]), Err(5), Ok(vec![3, 1])]).unwrap();
        assert_eq!(&grid.shape()[..], [4, 2, 1]);
        assert_eq!(&grid.padded_shape()[..], [11, 10, 3]);
        assert_eq!((grid.regular_shape(), grid.shapes()), (None, 6));
        assert_eq!(grid.chunk_lengths(0).collect::<Vec<_>>(), [3, 4, 2, 2]);
        assert_eq!((&grid.first_shape()[..], &grid.largest_shape()[..]), (&[3, 5, 3][..], &[4, 5, 3][..]));
        let chunk = grid.chunk_subset(&[2, 1, 0]).unwrap();
        assert_eq!((chunk.start(), chunk.shape()), (&[7, 5, 0][..], &[2, 5, 3][..]));
        assert!(grid.chunk_subset(&[4, 0, 0]).is_err());
        for (element, found) in [(0, (0, 0, 3)), (2, (0, 0, 3)), (3, (1, 3, 4)), (9, (3, 9, 2))] {
            assert_eq!(grid.locate(0, element), found);
        }
        let mut numbers: Vec<_> = [[2, 5, 1], [2, 5, 3], [3, 5, 1], [3, 5, 3], [4, 5, 1], [4, 5, 3]]
            .iter()
            .map(|shape| grid.shape_number(shape))
            .collect();
        numbers.dedup();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        assert_eq!(&ChunkGrid::rectilinear(&[4], vec![Ok(vec![2, 2])]).unwrap().regular_shape().unwrap()[..], [2]);
        assert_eq!(&ChunkGrid::rectilinear(&[0], vec![Ok(vec![])]).unwrap().shape()[..], [0]);
        for grid in [ChunkGrid::regular(&[0, 5], &[0, 2]), ChunkGrid::rectilinear(&[0, 5], vec![Err(0), Err(2)])] {
            let grid = grid.unwrap();
            assert_eq!((&grid.shape()[..], &grid.first_shape()[..]), (&[0, 3][..], &[1, 2][..]));
        }
        assert!(ChunkGrid::regular(&[3, 5], &[0, 2]).is_err());
        for lengths in [vec![Ok(vec![3, 4])], vec![Ok(vec![10, 0])], vec![Ok(vec![u64::MAX, 1])], vec![Err(0)], vec![]]
        {
            assert!(ChunkGrid::rectilinear(&[10], lengths).is_err());
        }
    }
}
