//! Selections of elements: evenly spaced positions along each axis, or listed positions.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::plan::{Columns, List, Region, Run};
use crate::subset::{ArraySubset, Dims, product, tuple};

/// Positions along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AxisSelection {
    /// The first position.
    pub start: u64,
    /// Distance from one position to the next; may be negative, but not 0.
    pub step: i64,
    /// Number of positions.
    pub length: u64,
}

/// A selection of elements: the product of an [`AxisSelection`] for each axis, or of lists of positions for some axes.
///
/// ```
/// use tegula::{ArraySubset, Selection};
///
/// # fn main() -> tegula::Result<()> {
/// // Orthogonal: columns 2 and 5 of rows 7, 0 and 7.
/// let all = Selection::from(&ArraySubset::new_with_shape(&[10, 20]));
/// let corners = all.with_list(&[0], vec![vec![7, 0, 7]])?.with_list(&[1], vec![vec![2, 5]])?;
/// assert_eq!(corners.shape()[..], [3, 2]);
/// // Points: the elements (7, 2), (0, 5) and (7, 3).
/// let points = Selection::points(vec![vec![7, 0, 7], vec![2, 5, 3]])?;
/// assert_eq!(points.shape()[..], [3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// A listed axis has one position at 0.
    axes: Vec<AxisSelection>,
    lists: Vec<Listed>,
    /// The axis or the list of each dimension of the result.
    dimensions: Vec<Dimension>,
}

/// Positions along several axes: one element for each entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Listed {
    axes: Vec<usize>,
    positions: Arc<Columns>,
}

impl Listed {
    fn len(&self) -> u64 {
        self.positions.first().map_or(0, Vec::len) as u64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Dimension {
    Axis(usize),
    List(usize),
}

/// The positions of a listed axis.
const LISTED: AxisSelection = AxisSelection { start: 0, step: 1, length: 1 };

impl Selection {
    /// Selects positions along each axis.
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection) if a step is 0, or if a position is negative or 2^63 or
    /// more.
    pub fn new(axes: Vec<AxisSelection>) -> Result<Self> {
        for axis in &axes {
            let last = axis.length.saturating_sub(1);
            let last = i128::from(axis.start) + i128::from(axis.step) * i128::from(last);
            let inside = |position: i128| (0..=i128::from(i64::MAX)).contains(&position);
            if axis.step == 0 || (axis.length > 0 && !(inside(axis.start.into()) && inside(last))) {
                let AxisSelection { start, step, length } = axis;
                let message = format!("cannot select {length} positions from {start} with step {step}");
                return Err(Error::selection(message));
            }
        }
        Ok(Self::of(axes))
    }

    fn of(axes: Vec<AxisSelection>) -> Self {
        let dimensions = (0..axes.len()).map(Dimension::Axis).collect();
        Self { axes, lists: Vec::new(), dimensions }
    }

    /// Selects single elements: `positions[k]` has the position of each element along axis `k`. The result has one
    /// dimension.
    ///
    /// # Errors
    /// As [`with_list`](Self::with_list).
    pub fn points(positions: Vec<Vec<u64>>) -> Result<Self> {
        let axes: Vec<usize> = (0..positions.len()).collect();
        Self::of(vec![LISTED; axes.len()]).with_list(&axes, positions)
    }

    /// Replaces one axis, or several axes together, by listed positions: `positions[k]` has those along `axes[k]`.
    /// Positions may repeat, in any order; in a write, the last of several equal positions wins. In the result, a
    /// single dimension replaces those of the listed axes, in the place of the first.
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection) if an axis is already listed or does not exist, if the
    /// lists have different lengths, or if a position is 2^63 or more.
    pub fn with_list(mut self, axes: &[usize], positions: Vec<Vec<u64>>) -> Result<Self> {
        let new = |axis: &usize| self.dimensions.contains(&Dimension::Axis(*axis));
        let distinct = axes.iter().enumerate().all(|(k, axis)| new(axis) && !axes[..k].contains(axis));
        let Some(first) = axes.iter().min().filter(|_| distinct && axes.len() == positions.len()) else {
            return Err(Error::selection(format!(
                "cannot list positions along {} axes for axes {}: each axis takes one list, and can be listed once",
                positions.len(),
                tuple(axes)
            )));
        };
        if positions.iter().any(|column| column.len() != positions[0].len()) {
            let lengths: Vec<usize> = positions.iter().map(Vec::len).collect();
            return Err(Error::selection(format!("cannot combine lists of lengths {}", tuple(&lengths))));
        }
        if let Some(far) = positions.iter().flatten().max().filter(|position| **position > i64::MAX as u64) {
            return Err(Error::selection(format!("cannot select position {far}: it is 2^63 or more")));
        }
        for axis in axes {
            self.axes[*axis] = LISTED;
        }
        let list = self.lists.len();
        self.dimensions.retain_mut(|dimension| match dimension {
            Dimension::Axis(axis) if axis == first => {
                *dimension = Dimension::List(list);
                true
            }
            Dimension::Axis(axis) => !axes.contains(axis),
            Dimension::List(_) => true,
        });
        self.lists.push(Listed { axes: axes.to_vec(), positions: Arc::new(positions) });
        Ok(self)
    }

    /// Reorders the dimensions of the result: dimension `k` was dimension `order[k]`.
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection) if `order` is not a permutation.
    pub fn transposed(self, order: &[usize]) -> Result<Self> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.dimensions.len()) {
            let count = self.dimensions.len();
            return Err(Error::selection(format!("{} is not a permutation of {count} dimensions", tuple(order))));
        }
        Ok(Self { dimensions: order.iter().map(|old| self.dimensions[*old]).collect(), ..self })
    }

    /// Returns the positions along each axis; a listed axis has one position at 0.
    pub fn axes(&self) -> &[AxisSelection] {
        &self.axes
    }

    /// Returns the shape of the result.
    pub fn shape(&self) -> Dims {
        let length = |dimension: &Dimension| match dimension {
            Dimension::Axis(axis) => self.axes[*axis].length,
            Dimension::List(list) => self.lists[*list].len(),
        };
        self.dimensions.iter().map(length).collect()
    }

    /// Checks that all positions are inside an array of a shape.
    pub fn check(&self, shape: &[u64]) -> Result<()> {
        if self.axes.len() != shape.len() {
            return Err(Error::selection(format!(
                "a selection of {} dimensions does not fit an array of shape {}",
                self.axes.len(),
                tuple(shape)
            )));
        }
        let outside = |position: u64, axis: usize| {
            let shape = tuple(shape);
            Err(Error::selection(format!("position {position} is outside axis {axis} of an array of shape {shape}")))
        };
        for (axis, (selected, length)) in self.axes.iter().zip(shape).enumerate() {
            let reach = i128::from(selected.step).checked_mul(i128::from(selected.length) - 1);
            let last = reach.and_then(|reach| u64::try_from(reach.checked_add(selected.start.into())?).ok());
            let last = last.unwrap_or(u64::MAX);
            let listed = self.lists.iter().any(|list| list.axes.contains(&axis));
            if selected.length > 0 && selected.start.max(last) >= *length && !listed {
                return outside(selected.start.max(last), axis);
            }
        }
        for list in &self.lists {
            for (axis, positions) in list.axes.iter().zip(&*list.positions) {
                if let Some(far) = positions.iter().max().filter(|position| **position >= shape[*axis]) {
                    return outside(*far, *axis);
                }
            }
        }
        Ok(())
    }

    /// Returns the region for an output with strides in bytes and the offset `origin` of the first element.
    pub(crate) fn region(&self, strides: &[isize], origin: isize) -> Region {
        let run = |axis: &AxisSelection| Run { start: axis.start, step: axis.step, length: axis.length, stride: 0 };
        let mut region = Region { runs: self.axes.iter().map(run).collect(), lists: SmallVec::new(), origin };
        for (dimension, stride) in self.dimensions.iter().zip(strides) {
            match dimension {
                Dimension::Axis(axis) => region.runs[*axis].stride = *stride,
                Dimension::List(list) => {
                    let Listed { axes, positions } = &self.lists[*list];
                    region.lists.push(List::new(axes, positions.clone(), *stride));
                }
            }
        }
        region
    }
}

impl From<&ArraySubset> for Selection {
    fn from(subset: &ArraySubset) -> Self {
        let axis = |(start, length): (&u64, &u64)| AxisSelection { start: *start, step: 1, length: *length };
        Self::of(subset.start().iter().zip(subset.shape()).map(axis).collect())
    }
}

/// Returns the number of bytes that elements of a shape and item size take in memory.
///
/// # Errors
/// [`InvalidSelection`](crate::ErrorKind::InvalidSelection) if that is more than a process can address.
pub fn size_in_memory(shape: &[u64], size: usize) -> Result<usize> {
    product(shape)
        .and_then(|elements| elements.checked_mul(size as u64))
        .and_then(|bytes| isize::try_from(bytes).ok())
        .map(|bytes| bytes as usize)
        .ok_or_else(|| Error::selection(format!("elements of shape {} do not fit in memory", tuple(shape))))
}
