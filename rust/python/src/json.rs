//! JSON as Python's dicts, lists, strings and numbers, and back.

use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};
use tegula::metadata::{integer_text, integer_value};

use crate::errors::OrRaise;

/// Nothing deeper is taken: it is a list that holds itself.
const DEPTH: usize = 200;

pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => integer.into_pyobject(py)?.into_any(),
            (_, Some(integer)) => integer.into_pyobject(py)?.into_any(),
            _ => PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any(),
        },
        Value::String(text) => match integer_text(value) {
            Some(digits) => py.import("builtins")?.getattr("int")?.call1((digits,))?,
            None => PyString::new(py, text).into_any(),
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

/// A member by its name, or a `KeyError`.
pub(crate) fn member<'py>(py: Python<'py>, members: &Map<String, Value>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    members.get(name).map_or_else(|| Err(PyKeyError::new_err(name.to_owned())), |value| to_python(py, value))
}

pub(crate) fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    convert(value, 0)
}

pub(crate) fn object_from_python(value: &Bound<'_, PyAny>) -> PyResult<Map<String, Value>> {
    match convert(value, 0)? {
        Value::Object(members) => Ok(members),
        _ => Err(PyTypeError::new_err(format!("expected a dict, not {}", value.get_type()))),
    }
}

fn convert(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > DEPTH {
        return Err(PyValueError::new_err(format!("more than {DEPTH} levels of lists and dicts")));
    }
    let items = |iter: &mut dyn Iterator<Item = Bound<'_, PyAny>>| {
        iter.map(|item| convert(&item, depth + 1)).collect::<PyResult<Vec<_>>>().map(Value::Array)
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
        return integer_value(digits.to_str()?).or_raise(value.py());
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Number::from_f64(number.value())
            .map(Value::Number)
            .ok_or_else(|| PyValueError::new_err(format!("JSON has no {}", number.value())));
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
            members.insert(name.cast::<PyString>()?.to_str()?.to_owned(), convert(&member, depth + 1)?);
        }
        return Ok(Value::Object(members));
    }
    // NumPy's scalars and arrays.
    if let Ok(plain) = value.call_method0("tolist") {
        return convert(&plain, depth + 1);
    }
    Err(PyTypeError::new_err(format!("JSON has no {}", value.get_type())))
}
