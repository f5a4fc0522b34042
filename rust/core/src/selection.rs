//! What of an array is asked for: evenly spaced positions along each axis.

use crate::chunk_grid::out_of_bounds;
use crate::error::{Error, Result};
use crate::plan::{Region, Run};
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

/// A selection of an array's elements: the product of one [`AxisSelection`] for each dimension.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    axes: Vec<AxisSelection>,
}

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
        Ok(Self { axes })
    }

    /// Positions along each axis.
    pub fn axes(&self) -> &[AxisSelection] {
        &self.axes
    }

    /// The shape of what is selected.
    pub fn shape(&self) -> Dims {
        self.axes.iter().map(|axis| axis.length).collect()
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
        for (axis, (selected, length)) in self.axes.iter().zip(shape).enumerate() {
            let last = selected.start.wrapping_add_signed(selected.step.wrapping_mul(selected.length as i64 - 1));
            if selected.length > 0 && selected.start.max(last) >= *length {
                return Err(Error::selection(format!(
                    "position {} lies outside axis {axis} of an array of shape {}",
                    selected.start.max(last),
                    tuple(shape)
                )));
            }
        }
        Ok(())
    }

    /// The region for an output with strides in bytes, whose first element lies at offset `origin`.
    pub(crate) fn region(&self, strides: &[isize], origin: isize) -> Region {
        let run = |(axis, stride): (&AxisSelection, &isize)| Run {
            start: axis.start,
            step: axis.step,
            length: axis.length,
            stride: *stride,
        };
        Region { runs: self.axes.iter().zip(strides).map(run).collect(), origin }
    }
}

impl From<&ArraySubset> for Selection {
    fn from(subset: &ArraySubset) -> Self {
        let axis = |(start, length): (&u64, &u64)| AxisSelection { start: *start, step: 1, length: *length };
        Self { axes: subset.start().iter().zip(subset.shape()).map(axis).collect() }
    }
}

/// Checks that a subset lies in a shape.
pub(crate) fn check_subset(subset: &ArraySubset, shape: &[u64]) -> Result<()> {
    if subset.inbounds_shape(shape) { Ok(()) } else { Err(out_of_bounds(subset, shape)) }
}

/// Bytes of elements of a shape in memory.
///
/// Fails with [`InvalidSelection`](crate::ErrorKind::InvalidSelection) where no memory can hold them.
pub fn size_in_memory(shape: &[u64], size: usize) -> Result<usize> {
    product(shape)
        .and_then(|elements| elements.checked_mul(size as u64))
        .and_then(|bytes| isize::try_from(bytes).ok())
        .map(|bytes| bytes as usize)
        .ok_or_else(|| Error::selection(format!("elements of shape {} do not fit in memory", tuple(shape))))
}
