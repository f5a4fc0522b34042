//! Conversion between data types of ASDF and `NumPy`.

use numpy::PyArrayDescr;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use tegula::asdf::{Datatype, Field};

use crate::errors::{OrRaise, exception};
use crate::subset::tuple;

/// Returns the data type of stored elements.
pub(super) fn stored<'py>(py: Python<'py>, datatype: &Datatype) -> PyResult<Bound<'py, PyArrayDescr>> {
    let Datatype::Record(fields) = datatype else {
        let descr = PyArrayDescr::new(py, datatype.code().unwrap_or_default());
        return descr.map_err(|error| exception(py, "InvalidMetadataError", &format!("datatype: {error}")));
    };
    let list = PyList::empty(py);
    for field in fields {
        let name = field.name.as_deref().unwrap_or_default();
        let inner = stored(py, &field.datatype)?;
        list.append(if field.shape.is_empty() {
            (name, inner).into_pyobject(py)?
        } else {
            (name, inner, tuple(py, &field.shape)?).into_pyobject(py)?.into_any().cast_into::<PyTuple>()?
        })?;
    }
    // NumPy refuses duplicate and reserved names.
    PyArrayDescr::new(py, list).map_err(|error| exception(py, "InvalidMetadataError", &format!("datatype: {error}")))
}

/// Returns the data type of elements that were read: numbers have native byte order, records are as stored.
pub(super) fn native<'py>(py: Python<'py>, datatype: &Datatype) -> PyResult<Bound<'py, PyArrayDescr>> {
    let descr = stored(py, datatype)?;
    match datatype {
        Datatype::Scalar(..) => Ok(descr.call_method1("newbyteorder", ("=",))?.cast_into()?),
        _ => Ok(descr),
    }
}

/// Converts the NumPy data type of elements to write, without gaps between fields.
pub(super) fn from_numpy(descr: &Bound<'_, PyArrayDescr>) -> PyResult<Datatype> {
    let names = descr.getattr("names")?;
    if names.is_none() {
        let code: String = descr.getattr("str")?.extract()?;
        return Datatype::from_code(&code).or_raise(descr.py());
    }
    let fields = descr.getattr("fields")?;
    let field = |name: Bound<'_, PyAny>| {
        let inner = fields.get_item(&name)?.get_item(0)?;
        let shape = inner.getattr("shape")?.extract()?;
        let datatype = from_numpy(inner.getattr("base")?.cast()?)?;
        Ok(Field { name: Some(name.extract()?), datatype, shape })
    };
    names.try_iter()?.map(|name| field(name?)).collect::<PyResult<_>>().map(Datatype::Record)
}
