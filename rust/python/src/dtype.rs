//! Conversion between data types of the core and of NumPy.

use numpy::{PyArrayDescr, PyArrayDescrMethods};
use pyo3::exceptions::{PyAttributeError, PyImportError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use tegula::{DataType, Field, Kind};

use crate::errors::{OrRaise, exception};
use crate::subset::tuple;

/// Returns the NumPy data type. Text of variable length gets `StringDType`, or `object` before NumPy 2.
pub(crate) fn to_numpy<'py>(py: Python<'py>, data_type: &DataType) -> PyResult<Bound<'py, PyArrayDescr>> {
    match data_type.kind() {
        Kind::Struct => structure(py, data_type),
        Kind::String => match strings(py)? {
            Some(dtype) => Ok(dtype),
            None => PyArrayDescr::new(py, "O"),
        },
        _ if data_type.is_extended() => extended(py, data_type.name()),
        _ => PyArrayDescr::new(py, data_type.code()),
    }
}

/// Returns NumPy's `StringDType`, which exists since NumPy 2.
pub(crate) fn strings(py: Python<'_>) -> PyResult<Option<Bound<'_, PyArrayDescr>>> {
    match py.import("numpy")?.getattr("dtypes")?.getattr("StringDType") {
        Ok(class) => Ok(Some(class.call0()?.cast_into()?)),
        Err(error) if error.is_instance_of::<PyAttributeError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns a data type of the package ml_dtypes.
fn extended<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyArrayDescr>> {
    let module = py.import("ml_dtypes").map_err(|error| {
        if error.is_instance_of::<PyImportError>(py) {
            let message = format!("the data type {name} needs the package ml_dtypes: pip install ml_dtypes");
            return exception(py, "UnsupportedError", &message);
        }
        error
    })?;
    match module.getattr(name) {
        Ok(class) => PyArrayDescr::new(py, class),
        Err(_) => Err(exception(py, "UnsupportedError", &format!("the installed ml_dtypes has no {name}"))),
    }
}

fn structure<'py>(py: Python<'py>, data_type: &DataType) -> PyResult<Bound<'py, PyArrayDescr>> {
    let (names, formats, offsets) = (PyList::empty(py), PyList::empty(py), PyList::empty(py));
    for field in data_type.fields() {
        names.append(&field.name)?;
        offsets.append(field.offset)?;
        let mut format = to_numpy(py, &field.data_type)?;
        if field.swapped {
            format = format.call_method1("newbyteorder", ("S",))?.cast_into()?;
        }
        if field.shape.is_empty() {
            formats.append(format)?;
        } else {
            let shape: Vec<u64> = field.shape.iter().map(|length| *length as u64).collect();
            formats.append((format, tuple(py, &shape)?))?;
        }
    }
    let form = PyDict::new(py);
    form.set_item("names", names)?;
    form.set_item("formats", formats)?;
    form.set_item("offsets", offsets)?;
    form.set_item("itemsize", data_type.size())?;
    // NumPy refuses duplicate and reserved names.
    PyArrayDescr::new(py, form).map_err(|error| exception(py, "InvalidMetadataError", &format!("data type: {error}")))
}

/// Converts a NumPy data type, or a name such as `"string"` or `"bytes"`.
pub(crate) fn from_numpy(dtype: &Bound<'_, PyAny>) -> PyResult<DataType> {
    let py = dtype.py();
    if let Ok(name) = dtype.cast::<PyString>() {
        return DataType::from_name(name.to_str()?).or_raise(py);
    }
    field(dtype.cast()?).map(|field| field.data_type)
}

/// Converts a NumPy data type, with byte order and inner shape, to a field without a name.
pub(crate) fn field(dtype: &Bound<'_, PyArrayDescr>) -> PyResult<Field> {
    let py = dtype.py();
    let shape: Vec<usize> = dtype.getattr("shape")?.extract()?;
    let base = dtype.base();
    let swapped = !base.getattr("isnative")?.extract::<bool>()? && !base.has_fields();
    let data_type = if base.has_fields() {
        let (names, all) = (base.getattr("names")?, base.getattr("fields")?);
        let mut fields = Vec::new();
        for name in names.try_iter()? {
            let name = name?;
            let found = all.get_item(&name)?;
            let inner = field(found.get_item(0)?.cast()?)?;
            fields.push(Field { name: name.extract()?, offset: found.get_item(1)?.extract()?, ..inner });
        }
        DataType::structure(fields, base.itemsize())
    } else if base.getattr("kind")?.extract::<String>()? == "T" {
        DataType::from_name("string")
    } else {
        let name: String = base.getattr("name")?.extract()?;
        let code: String = base.getattr("str")?.extract()?;
        match DataType::from_name(&name) {
            Ok(found) if found.is_extended() => Ok(found),
            _ => DataType::from_code(code.trim_start_matches(['<', '>', '|', '='])),
        }
    };
    Ok(Field { name: String::new(), offset: 0, data_type: data_type.or_raise(py)?, swapped, shape })
}
