//! Rectangular regions of arrays and of chunk grids.

use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

use crate::error::{Error, Result};

/// One number for each dimension. Up to six take no allocation.
pub type Dims<T = u64> = SmallVec<[T; 6]>;

/// Formats numbers as a Python tuple.
pub(crate) fn tuple<T: fmt::Display>(numbers: &[T]) -> String {
    match numbers {
        [one] => format!("({one},)"),
        many => format!("({})", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Returns the product of a shape, or `None` if it is 2^64 or more.
pub(crate) fn product(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1u64, |product, length| product.checked_mul(*length))
}

/// A rectangular region of elements or of chunks: a start and a shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct ArraySubset {
    start: Dims,
    shape: Dims,
}

impl From<&Self> for ArraySubset {
    fn from(subset: &Self) -> Self {
        subset.clone()
    }
}

impl From<Range<u64>> for ArraySubset {
    fn from(range: Range<u64>) -> Self {
        Self::new_with_ranges(&[range])
    }
}

impl<const N: usize> From<[Range<u64>; N]> for ArraySubset {
    fn from(ranges: [Range<u64>; N]) -> Self {
        Self::new_with_ranges(&ranges)
    }
}

impl<const N: usize> From<&[Range<u64>; N]> for ArraySubset {
    fn from(ranges: &[Range<u64>; N]) -> Self {
        Self::new_with_ranges(ranges)
    }
}

impl ArraySubset {
    /// Creates a region from a range for each dimension. A range that ends before its start is empty.
    pub fn new_with_ranges(ranges: &[Range<u64>]) -> Self {
        Self {
            start: ranges.iter().map(|range| range.start).collect(),
            shape: ranges.iter().map(|range| range.end.saturating_sub(range.start)).collect(),
        }
    }

    /// Creates the region of a shape at the origin.
    pub fn new_with_shape(shape: &[u64]) -> Self {
        Self { start: SmallVec::from_elem(0, shape.len()), shape: shape.into() }
    }

    /// Creates an empty region of some dimensions.
    pub fn new_empty(dimensionality: usize) -> Self {
        Self { start: SmallVec::from_elem(0, dimensionality), shape: SmallVec::from_elem(0, dimensionality) }
    }

    /// Creates a region from a start and a shape.
    ///
    /// This and the constructors below fail with [`InvalidSelection`](crate::ErrorKind::InvalidSelection) if the arguments
    /// have different lengths or the end passes 2^64.
    pub fn new_with_start_shape(start: &[u64], shape: &[u64]) -> Result<Self> {
        same_rank(start, shape)?;
        if start.iter().zip(shape).any(|(start, length)| start.checked_add(*length).is_none()) {
            return Err(Error::selection(format!("{} + {} passes 2^64", tuple(start), tuple(shape))));
        }
        Ok(Self { start: start.into(), shape: shape.into() })
    }

    /// Creates a region from a start and an exclusive end.
    pub fn new_with_start_end_exc(start: &[u64], end: &[u64]) -> Result<Self> {
        same_rank(start, end)?;
        let shape: Option<Dims> = start.iter().zip(end).map(|(start, end)| end.checked_sub(*start)).collect();
        let shape = shape
            .ok_or_else(|| Error::selection(format!("the end {} is before the start {}", tuple(end), tuple(start))))?;
        Ok(Self { start: start.into(), shape })
    }

    /// Creates a region from a start and an inclusive end.
    pub fn new_with_start_end_inc(start: &[u64], end: &[u64]) -> Result<Self> {
        let end: Option<Dims> = end.iter().map(|end| end.checked_add(1)).collect();
        Self::new_with_start_end_exc(start, &end.ok_or_else(|| Error::selection("the end passes 2^64"))?)
    }

    /// Returns the index of the first element.
    pub fn start(&self) -> &[u64] {
        &self.start
    }

    /// Returns the shape.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Returns the exclusive end.
    pub fn end_exc(&self) -> Dims {
        self.start.iter().zip(&self.shape).map(|(start, length)| start + length).collect()
    }

    /// Returns the index of the last element, or `None` if the region is empty.
    pub fn end_inc(&self) -> Option<Dims> {
        (!self.is_empty()).then(|| self.end_exc().iter().map(|end| end - 1).collect())
    }

    /// Returns a range for each dimension.
    pub fn to_ranges(&self) -> Vec<Range<u64>> {
        self.start.iter().zip(&self.shape).map(|(start, length)| *start..start + length).collect()
    }

    /// Returns the number of dimensions.
    pub fn dimensionality(&self) -> usize {
        self.start.len()
    }

    /// Returns the number of elements, at most 2^64 - 1.
    pub fn num_elements(&self) -> u64 {
        product(&self.shape).unwrap_or(u64::MAX)
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Returns whether the region contains an element.
    pub fn contains(&self, indices: &[u64]) -> bool {
        indices.len() == self.dimensionality()
            && indices
                .iter()
                .zip(self.start.iter().zip(&self.shape))
                .all(|(i, (start, length))| i.checked_sub(*start).is_some_and(|offset| offset < *length))
    }

    /// Returns whether the region is inside another. An empty region must start and end there.
    pub fn inbounds(&self, other: &Self) -> bool {
        self.dimensionality() == other.dimensionality()
            && (0..self.dimensionality()).all(|axis| {
                self.start[axis] >= other.start[axis]
                    && self.start[axis] + self.shape[axis] <= other.start[axis] + other.shape[axis]
            })
    }

    /// Returns whether the region is inside an array of a shape.
    pub fn inbounds_shape(&self, shape: &[u64]) -> bool {
        self.inbounds(&Self::new_with_shape(shape))
    }

    /// Checks that the region is inside an array of a shape.
    pub(crate) fn check_inside(&self, shape: &[u64]) -> Result<()> {
        if self.inbounds_shape(shape) {
            return Ok(());
        }
        if self.dimensionality() != shape.len() {
            let (rank, array_rank, shape) = (self.dimensionality(), shape.len(), tuple(shape));
            let message =
                format!("the region {self} has {rank} dimensions, the array of shape {shape} has {array_rank}");
            return Err(Error::selection(message));
        }
        Err(Error::selection(format!("the region {self} is outside an array of shape {}", tuple(shape))))
    }

    /// Returns the intersection of two regions.
    pub fn overlap(&self, other: &Self) -> Result<Self> {
        same_rank(&self.start, &other.start)?;
        let start: Dims = self.start.iter().zip(&other.start).map(|(a, b)| *a.max(b)).collect();
        let end = self.end_exc().iter().zip(other.end_exc()).map(|(a, b)| *a.min(&b)).collect::<Dims>();
        let shape = start.iter().zip(&end).map(|(start, end)| end.saturating_sub(*start)).collect();
        Ok(Self { start, shape })
    }

    /// Returns the part of the region before `end`.
    pub fn bound(&self, end: &[u64]) -> Result<Self> {
        same_rank(&self.start, end)?;
        let start: Dims = self.start.iter().zip(end).map(|(start, end)| *start.min(end)).collect();
        let shape = self
            .end_exc()
            .iter()
            .zip(end)
            .zip(&start)
            .map(|((region_end, end), start)| region_end.min(end) - start)
            .collect();
        Ok(Self { start, shape })
    }

    /// Returns the smallest region that contains both.
    pub fn hull(&self, other: &Self) -> Result<Self> {
        same_rank(&self.start, &other.start)?;
        let start: Dims = self.start.iter().zip(&other.start).map(|(a, b)| *a.min(b)).collect();
        let ends = self.end_exc().into_iter().zip(other.end_exc());
        let shape = ends.zip(&start).map(|((a, b), start)| a.max(b) - start).collect();
        Ok(Self { start, shape })
    }

    /// Returns the region relative to `origin`, which must not be after its start.
    pub fn relative_to(&self, origin: &[u64]) -> Result<Self> {
        same_rank(&self.start, origin)?;
        let start: Option<Dims> =
            self.start.iter().zip(origin).map(|(start, origin)| start.checked_sub(*origin)).collect();
        let start = start.ok_or_else(|| {
            Error::selection(format!("{} is after the start {} of the region", tuple(origin), tuple(&self.start)))
        })?;
        Ok(Self { start, shape: self.shape.clone() })
    }

    /// Returns all indices of the region in C order.
    pub fn indices(&self) -> Indices {
        Indices {
            next: (!self.is_empty()).then(|| self.start.clone()),
            left: self.num_elements(),
            subset: self.clone(),
        }
    }
}

impl fmt::Display for ArraySubset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.start.iter().zip(&self.shape).map(|(start, length)| format!("{start}:{}", start + length));
        write!(f, "[{}]", ranges.collect::<Vec<_>>().join(", "))
    }
}

/// The indices of an [`ArraySubset`] in C order; see [`ArraySubset::indices`].
#[derive(Clone, Debug)]
pub struct Indices {
    subset: ArraySubset,
    next: Option<Dims>,
    left: u64,
}

impl Iterator for Indices {
    type Item = Dims;

    fn next(&mut self) -> Option<Dims> {
        let current = self.next.take()?;
        self.left = self.left.saturating_sub(1);
        let mut next = current.clone();
        for axis in (0..next.len()).rev() {
            next[axis] += 1;
            if next[axis] < self.subset.start[axis] + self.subset.shape[axis] {
                self.next = Some(next);
                break;
            }
            next[axis] = self.subset.start[axis];
        }
        Some(current)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Indices {}

pub(crate) fn same_rank(a: &[u64], b: &[u64]) -> Result<()> {
    if a.len() == b.len() {
        return Ok(());
    }
    Err(Error::selection(format!("{} has {} dimensions where {} has {}", tuple(a), a.len(), tuple(b), b.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_run_in_c_order() {
        let subset = ArraySubset::new_with_ranges(&[1..3, 5..7]);
        let indices: Vec<_> = subset.indices().map(|index| index.to_vec()).collect();
        assert_eq!(indices, [[1, 5], [1, 6], [2, 5], [2, 6]]);
        assert_eq!(subset.indices().len(), 4);
        assert_eq!(ArraySubset::new_with_shape(&[]).indices().count(), 1);
        assert_eq!(ArraySubset::new_with_shape(&[3, 0]).indices().count(), 0);
    }

    #[test]
    fn regions_overlap_and_move() {
        let a = ArraySubset::new_with_ranges(&[2..8, 0..4]);
        let b = ArraySubset::new_with_ranges(&[5..20, 1..3]);
        assert_eq!(a.overlap(&b).unwrap(), ArraySubset::new_with_ranges(&[5..8, 1..3]));
        assert_eq!(a.relative_to(&[2, 0]).unwrap(), ArraySubset::new_with_shape(&[6, 4]));
        assert_eq!(a.bound(&[4, 9]).unwrap(), ArraySubset::new_with_ranges(&[2..4, 0..4]));
        assert!(a.relative_to(&[3, 0]).is_err());
        assert!(a.contains(&[7, 3]) && !a.contains(&[8, 3]) && !a.contains(&[7]));
        assert!(ArraySubset::new_with_start_shape(&[u64::MAX], &[1]).is_err());
        assert_eq!(a.to_string(), "[2:8, 0:4]");
    }
}
