//! What of an array is asked for: evenly spaced positions along each axis, or positions that are listed.

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
    /// From one position to the next; may be negative, not 0.
    pub step: i64,
    /// Number of positions.
    pub length: u64,
}

/// A selection of an array's elements: the product of one [`AxisSelection`] for each dimension, or of lists of positions
/// for some of them.
///
/// ```
/// use tegula::{ArraySubset, Selection};
///
/// # fn main() -> tegula::Result<()> {
/// // Orthogonal: of rows 7, 0 and 7 the columns 2 and 5.
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
    /// Of axes that are listed, one position at 0.
    axes: Vec<AxisSelection>,
    lists: Vec<Listed>,
    /// What each dimension of the result is.
    dimensions: Vec<Dimension>,
}

/// Positions along some axes that go together.
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

/// What stands for an axis that is listed.
const LISTED: AxisSelection = AxisSelection { start: 0, step: 1, length: 1 };

impl Selection {
    /// From positions along each axis.
    ///
    /// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection) where a step is 0 or a position would be
    /// negative or past 2^63.
    pub fn new(axes: Vec<AxisSelection>) -> Result<Self> {
        for axis in &axes {
            let last = axis.length.saturating_sub(1);
            let last = i128::from(axis.start) + i128::from(axis.step) * i128::from(last);
            let inside = |position: i128| (0..=i128::from(i64::MAX)).contains(&position);
            if axis.step == 0 || (axis.length > 0 && !(inside(axis.start.into()) && inside(last))) {
                return Err(Error::selection(format!(
                    "{} positions from {} by {} cannot be selected",
                    axis.length, axis.start, axis.step
                )));
            }
        }
        Ok(Self::of(axes))
    }

    fn of(axes: Vec<AxisSelection>) -> Self {
        let dimensions = (0..axes.len()).map(Dimension::Axis).collect();
        Self { axes, lists: Vec::new(), dimensions }
    }

    /// Single elements: the positions of each along the first axis, along the second, and so on. The result has one
    /// dimension.
    ///
    /// Fails as [`with_list`](Self::with_list) does.
    pub fn points(positions: Vec<Vec<u64>>) -> Result<Self> {
        let axes: Vec<usize> = (0..positions.len()).collect();
        Self::of(vec![LISTED; axes.len()]).with_list(&axes, positions)
    }

    /// The same selection, but with listed positions along an axis; or along several axes, the positions of which go
    /// together: `positions[k]` are those along `axes[k]`. They may repeat, and come in any order. The result has one
    /// dimension for them, where the first of the axes had its own; of the others nothing is left. Of positions that
    /// repeat when they are written, the last stays.
    ///
    /// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection) where an axis is listed already or is none,
    /// where there are not as many positions along each axis, or where one lies past 2^63.
    pub fn with_list(mut self, axes: &[usize], positions: Vec<Vec<u64>>) -> Result<Self> {
        let new = |axis: &usize| self.dimensions.contains(&Dimension::Axis(*axis));
        let distinct = axes.iter().enumerate().all(|(k, axis)| new(axis) && !axes[..k].contains(axis));
        let Some(first) = axes.iter().min().filter(|_| distinct && axes.len() == positions.len()) else {
            return Err(Error::selection(format!(
                "positions along {} axes cannot be listed for the axes {}",
                positions.len(),
                tuple(axes)
            )));
        };
        if positions.iter().any(|column| column.len() != positions[0].len()) {
            let lengths: Vec<usize> = positions.iter().map(Vec::len).collect();
            return Err(Error::selection(format!("lists of lengths {} do not go together", tuple(&lengths))));
        }
        if let Some(far) = positions.iter().flatten().max().filter(|position| **position > i64::MAX as u64) {
            return Err(Error::selection(format!("position {far} cannot be selected")));
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

    /// The same selection, of which dimension `k` of the result is what was dimension `order[k]`.
    ///
    /// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection) where `order` has not each dimension once.
    pub fn transposed(self, order: &[usize]) -> Result<Self> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.dimensions.len()) {
            let count = self.dimensions.len();
            return Err(Error::selection(format!("{} is no order of {count} dimensions", tuple(order))));
        }
        Ok(Self { dimensions: order.iter().map(|old| self.dimensions[*old]).collect(), ..self })
    }

    /// Positions along each axis; of axes that are listed, one position at 0.
    pub fn axes(&self) -> &[AxisSelection] {
        &self.axes
    }

    /// The shape of what is selected.
    pub fn shape(&self) -> Dims {
        let length = |dimension: &Dimension| match dimension {
            Dimension::Axis(axis) => self.axes[*axis].length,
            Dimension::List(list) => self.lists[*list].len(),
        };
        self.dimensions.iter().map(length).collect()
    }

    /// Checks that all positions lie in an array of a shape.
    pub fn check(&self, shape: &[u64]) -> Result<()> {
        if self.axes.len() != shape.len() {
            return Err(Error::selection(format!(
                "{} dimensions are selected of an array of shape {}",
                self.axes.len(),
                tuple(shape)
            )));
        }
        let outside = |position: u64, axis: usize| {
            let shape = tuple(shape);
            Err(Error::selection(format!("position {position} lies outside axis {axis} of an array of shape {shape}")))
        };
        for (axis, (selected, length)) in self.axes.iter().zip(shape).enumerate() {
            let last = selected.start.wrapping_add_signed(selected.step.wrapping_mul(selected.length as i64 - 1));
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

    /// The region for an output with strides in bytes, whose first element lies at offset `origin`.
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
/// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection) if that is more than any memory holds.
pub fn size_in_memory(shape: &[u64], size: usize) -> Result<usize> {
    product(shape)
        .and_then(|elements| elements.checked_mul(size as u64))
        .and_then(|bytes| isize::try_from(bytes).ok())
        .map(|bytes| bytes as usize)
        .ok_or_else(|| Error::selection(format!("elements of shape {} do not fit in memory", tuple(shape))))
}
