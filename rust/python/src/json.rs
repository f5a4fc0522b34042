//! Conversion between JSON and Python objects.

use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Value};
use tegula::metadata::Number;

use crate::errors::OrRaise;

/// Maximum nesting, which also stops at lists that contain themselves.
const DEPTH: usize = 200;

pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Value::Number(_) | Value::String(_) => match Number::of(value) {
            Some(Number::Integer(integer)) => integer.into_pyobject(py)?.into_any(),
            Some(Number::LongInteger(digits)) => py.import("builtins")?.getattr("int")?.call1((digits,))?,
            Some(Number::Float(number)) => PyFloat::new(py, number).into_any(),
            None => PyString::new(py, value.as_str().unwrap_or_default()).into_any(),
        },
        Value::Array(items) => {
            let list = PyList::empty(py);
            items.iter().try_for_each(|item| list.append(to_python(py, item)?))?;
            list.into_any()
        }
        Value::Object(members) => object_to_python(py, members)?.into_any(),
    })
}

pub(crate) fn object_to_python<'py>(py: Python<'py>, members: &Map<String, Value>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    members.iter().try_for_each(|(name, member)| dict.set_item(name, to_python(py, member)?))?;
    Ok(dict)
}

/// Converts a member by its name; raises `KeyError` if there is none.
pub(crate) fn member<'py>(py: Python<'py>, members: &Map<String, Value>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    members.get(name).map_or_else(|| Err(PyKeyError::new_err(name.to_owned())), |value| to_python(py, value))
}

pub(crate) fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    convert(value, false, 0)
}

pub(crate) fn object_from_python(value: &Bound<'_, PyAny>) -> PyResult<Map<String, Value>> {
    object(value, false)
}

/// Converts attributes, or a document with attributes, among which NaN and infinities are numbers.
pub(crate) fn attributes_from_python(value: &Bound<'_, PyAny>) -> PyResult<Map<String, Value>> {
    object(value, true)
}

fn object(value: &Bound<'_, PyAny>, has_literals: bool) -> PyResult<Map<String, Value>> {
    match convert(value, has_literals, 0)? {
        Value::Object(members) => Ok(members),
        _ => Err(PyTypeError::new_err(format!("expected a dict, not {}", value.get_type()))),
    }
}

fn convert(value: &Bound<'_, PyAny>, has_literals: bool, depth: usize) -> PyResult<Value> {
    if depth > DEPTH {
        return Err(PyValueError::new_err(format!(
            "cannot convert to JSON: more than {DEPTH} levels of lists and dicts"
        )));
    }
    let items = |iter: &mut dyn Iterator<Item = Bound<'_, PyAny>>| {
        iter.map(|item| convert(&item, has_literals, depth + 1)).collect::<PyResult<Vec<_>>>().map(Value::Array)
    };
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(Value::Bool(value.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        if let Ok(number) = value.extract::<i64>() {
            return Ok(number.into());
        }
        let digits = value.call_method0("__index__")?.str()?;
        return Number::integer(digits.to_str()?).map(Value::from).or_raise(value.py());
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        let number = number.value();
        if !number.is_finite() && !has_literals {
            return Err(PyValueError::new_err(format!("cannot convert {number} to JSON")));
        }
        return Ok(Number::Float(number).into());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::String(text.to_str()?.to_owned()));
    }
    if let Ok(list) = value.cast::<PyList>() {
        return items(&mut list.iter());
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return items(&mut tuple.iter());
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let mut members = Map::new();
        for (name, member) in dict.iter() {
            let Ok(name) = name.cast::<PyString>() else {
                let message = format!("the names in a JSON object are str, not {}: {}", name.get_type(), name.repr()?);
                return Err(PyTypeError::new_err(message));
            };
            members.insert(name.to_str()?.to_owned(), convert(&member, has_literals, depth + 1)?);
        }
        return Ok(Value::Object(members));
    }
    // NumPy scalars and arrays.
    if let Ok(plain) = value.call_method0("tolist") {
        return convert(&plain, has_literals, depth + 1);
    }
    Err(PyTypeError::new_err(format!("cannot convert {} to JSON", value.get_type())))
}
