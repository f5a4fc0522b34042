//! Selections: positions along each axis, as runs or as lists.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tegula::{AxisSelection, Selection};

use crate::errors::OrRaise;

/// Lists of positions, each with the axes that it applies to.
type Lists<'py> = Vec<(Vec<usize>, Vec<PyReadonlyArray1<'py, i64>>)>;

/// The first members of `tegula._array.selection.ParsedIndex`: runs as (start, step, length) of each axis, lists that replace
/// the runs of some axes, the order of the dimensions, and the shape of the result in NumPy.
pub(crate) struct Positions<'a, 'py>(Borrowed<'a, 'py, PyTuple>);

impl<'a, 'py> FromPyObject<'a, 'py> for Positions<'a, 'py> {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(given.cast::<PyTuple>()?))
    }
}

impl<'py> Positions<'_, 'py> {
    /// Returns the shape of the result, which has as many elements as the selection.
    pub(crate) fn result(&self) -> PyResult<Bound<'py, PyTuple>> {
        Ok(self.0.get_item(3)?.cast_into()?)
    }

    /// Returns the selection if it lies in an array of a shape. Errors name the array.
    pub(crate) fn selection(&self, shape: &[u64], name: &str) -> PyResult<Selection> {
        let axes: Vec<(u64, i64, u64)> = self.0.get_item(0)?.extract()?;
        let lists: Option<Lists<'_>> = self.0.get_item(1)?.extract()?;
        let order: Option<Vec<usize>> = self.0.get_item(2)?.extract()?;
        let found = select(shape, axes, lists.as_ref(), order.as_deref());
        found.map_err(|error| error.at(name)).or_raise(self.0.py())
    }
}

fn select(
    shape: &[u64],
    axes: Vec<(u64, i64, u64)>,
    lists: Option<&Lists<'_>>,
    order: Option<&[usize]>,
) -> tegula::Result<Selection> {
    let axis = |(start, step, length)| AxisSelection { start, step, length };
    let mut selection = Selection::new(axes.into_iter().map(axis).collect())?;
    for (axes, columns) in lists.into_iter().flatten() {
        // A negative position becomes one past 2^63, which the check refuses.
        let positions = |column: &PyReadonlyArray1<'_, i64>| -> Vec<u64> {
            column.as_array().iter().map(|position| position.cast_unsigned()).collect()
        };
        selection = selection.with_list(axes, columns.iter().map(positions).collect())?;
    }
    if let Some(order) = order {
        selection = selection.transposed(order)?;
    }
    selection.check(shape)?;
    Ok(selection)
}
