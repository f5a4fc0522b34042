//! Selections: positions along each axis, of which some are listed.

use numpy::PyReadonlyArray1;
use tegula::{AxisSelection, Selection};

/// Lists of positions, each with the axes that it is for.
pub(crate) type Lists<'py> = Vec<(Vec<usize>, Vec<PyReadonlyArray1<'py, i64>>)>;

/// A selection that lies in an array of a shape: positions along each axis as (start, step, length), lists for some axes
/// instead, and the order of the dimensions.
pub(crate) fn selection(
    shape: &[u64],
    axes: Vec<(u64, i64, u64)>,
    lists: Option<&Lists<'_>>,
    order: Option<&[usize]>,
) -> tegula::Result<Selection> {
    let axis = |(start, step, length)| AxisSelection { start, step, length };
    let mut selection = Selection::new(axes.into_iter().map(axis).collect())?;
    for (axes, columns) in lists.into_iter().flatten() {
        // What is negative comes to lie past 2^63, which is an error.
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
