//! Extraction of selections: positions along each axis, as runs or as lists.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tegula::{AxisSelection, Selection};

use crate::errors::OrRaise;

/// Lists of positions: the axes that each list selects along, and the positions along each of these axes.
type Lists<'py> = Vec<(Vec<usize>, Vec<PyReadonlyArray1<'py, i64>>)>;

/// The first four members of `tegula._array.selection.ParsedIndex`: a run (start, step, length) for each axis, lists
/// that replace the runs of some axes, the order of the dimensions, and the NumPy shape of the result.
pub(crate) struct ParsedIndex<'a, 'py>(Borrowed<'a, 'py, PyTuple>);

impl<'a, 'py> FromPyObject<'a, 'py> for ParsedIndex<'a, 'py> {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(given.cast::<PyTuple>()?))
    }
}

impl<'py> ParsedIndex<'_, 'py> {
    /// Returns the NumPy shape of the result.
    pub(crate) fn result(&self) -> PyResult<Bound<'py, PyTuple>> {
        Ok(self.0.get_item(3)?.cast_into()?)
    }

    /// Returns the selection, checked against the shape of the array `name`.
    pub(crate) fn selection(&self, shape: &[u64], name: &str) -> PyResult<Selection> {
        let axes: Vec<(u64, i64, u64)> = self.0.get_item(0)?.extract()?;
        let lists: Option<Lists<'_>> = self.0.get_item(1)?.extract()?;
        let order: Option<Vec<usize>> = self.0.get_item(2)?.extract()?;
        let selection = select(shape, axes, lists.as_ref(), order.as_deref());
        selection.map_err(|error| error.at(name)).or_raise(self.0.py())
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
        // A negative position becomes a number above 2^63, which the check below refuses.
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
