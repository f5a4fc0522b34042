//! Extraction of indices and regions from Python objects, and bytes for Python.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyRange, PyRangeMethods, PySlice, PyTuple};
use tegula::Dims;

use crate::errors::exception;
use crate::subset::ArraySubset;

/// Returns a copy of bytes. Unlike [`PyBytes::new`], it fails if there is no memory.
pub(crate) fn bytes<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, bytes.len(), |copy| {
        copy.copy_from_slice(bytes);
        Ok(())
    })
}

/// Extracts a non-negative integer.
fn number(item: &Bound<'_, PyAny>) -> PyResult<u64> {
    match item.extract::<i64>() {
        Ok(number) => u64::try_from(number).map_err(|_| {
            exception(
                item.py(),
                "InvalidSelectionError",
                &format!("indices and regions must not be negative: {number}"),
            )
        }),
        Err(_) => item.extract(),
    }
}

/// Extracts an index or a shape: a sequence of integers, or one integer for one dimension.
pub(crate) fn indices(index: &Bound<'_, PyAny>) -> PyResult<Dims> {
    match index.try_iter() {
        Ok(items) => items.map(|item| number(&item?)).collect(),
        Err(_) => Ok(Dims::from_elem(number(index)?, 1)),
    }
}

/// Extracts a region: an `ArraySubset`, or a slice, a range or a pair (start, stop) for each axis. A slice without a
/// stop ends at the end of the axis in `shape`.
pub(crate) fn region(region: &Bound<'_, PyAny>, shape: &[u64]) -> PyResult<tegula::ArraySubset> {
    if let Ok(subset) = region.cast::<ArraySubset>() {
        return Ok(subset.get().0.clone());
    }
    let mut ranges = Vec::with_capacity(shape.len());
    let mut add = |item: &Bound<'_, PyAny>| -> PyResult<()> {
        ranges.push(axis(item, shape.get(ranges.len()).copied().unwrap_or(0))?);
        Ok(())
    };
    if region.is_instance_of::<PySlice>() || region.is_instance_of::<PyRange>() {
        add(region)?;
    } else if let Ok(items) = region.cast::<PyTuple>() {
        items.iter().try_for_each(|item| add(&item))?;
    } else if let Ok(items) = region.cast::<PyList>() {
        items.iter().try_for_each(|item| add(&item))?;
    } else {
        return Err(PyTypeError::new_err(format!(
            "a region must be an ArraySubset, or a slice, range or pair (start, stop) for each axis, not {}",
            region.get_type()
        )));
    }
    Ok(tegula::ArraySubset::new_with_ranges(&ranges))
}

fn axis(item: &Bound<'_, PyAny>, length: u64) -> PyResult<std::ops::Range<u64>> {
    let py = item.py();
    let (start, stop, step) = if let Ok(slice) = item.cast::<PySlice>() {
        let part = |name: &str, default: u64| {
            let value = slice.getattr(name)?;
            if value.is_none() { Ok(default) } else { number(&value) }
        };
        (part("start", 0)?, part("stop", length)?, part("step", 1)?)
    } else if let Ok(range) = item.cast::<PyRange>() {
        let step = u64::try_from(range.step()?).unwrap_or(0);
        (number(&item.getattr("start")?)?, number(&item.getattr("stop")?)?, step)
    } else {
        let pair = match (item.cast::<PyTuple>(), item.cast::<PyList>()) {
            (Ok(pair), _) if pair.len() == 2 => (pair.get_item(0)?, pair.get_item(1)?),
            (_, Ok(pair)) if pair.len() == 2 => (pair.get_item(0)?, pair.get_item(1)?),
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "an axis of a region must be a slice, a range or a pair (start, stop), not {}",
                    item.repr()?
                )));
            }
        };
        (number(&pair.0)?, number(&pair.1)?, 1)
    };
    if step != 1 {
        return Err(exception(
            py,
            "InvalidSelectionError",
            "a region must have step 1; use array[...] for other steps",
        ));
    }
    Ok(start..stop)
}
