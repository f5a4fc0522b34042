//! Writing fields of structured elements.

use pyo3::prelude::*;
use tegula::{DataType, Field};

use crate::array::Array;
use crate::buffer::{Elements, Origin};
use crate::call::{attached, perform};
use crate::dtype::to_numpy;
use crate::errors::OrRaise;
use crate::selection::{Lists, selection};
use crate::session::WriteSession;

/// Stores records of some fields, which lie in them without gaps, at positions of an array or of a session.
#[pyfunction]
#[pyo3(signature = (target, fields, axes, data, lists=None, order=None, done=None))]
#[allow(clippy::too_many_arguments)] // a selection, and what is stored
pub(crate) fn store_fields(
    py: Python<'_>,
    target: &Bound<'_, PyAny>,
    fields: Vec<String>,
    axes: Vec<(u64, i64, u64)>,
    data: &Bound<'_, PyAny>,
    lists: Option<Lists<'_>>,
    order: Option<Vec<usize>>,
    done: Option<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let session = target.cast::<WriteSession>().ok().map(|session| session.get().core().clone());
    let array = match &session {
        Some(session) => attached(py, || session.array())?,
        None => target.cast::<Array>()?.get().core().clone(),
    };
    let given = selection(array.shape(), axes, lists.as_ref(), order.as_deref());
    let given = given.map_err(|error| error.at(array.name())).or_raise(py)?;
    let data_type = records(array.data_type(), &fields).map_err(|error| error.at(array.name())).or_raise(py)?;
    let origin = Origin::new(data, &Elements::new(&data_type, to_numpy(py, &data_type)?)?, &given.shape())?;
    let work = move || {
        let (fields, buffer): (Vec<&str>, _) = (fields.iter().map(String::as_str).collect(), origin.buffer());
        match session {
            Some(session) => session.store_fields_from(&given, &fields, buffer),
            None => array.store_fields_from(&given, &fields, buffer),
        }
        .map(|()| origin)
    };
    perform(py, done, work, |py, _| Ok(py.None()))
}

/// Some fields of a struct, one behind the other.
fn records(data_type: &DataType, names: &[String]) -> tegula::Result<DataType> {
    let (mut fields, mut offset) = (Vec::new(), 0);
    for field in names.iter().filter_map(|name| data_type.fields().iter().find(|field| field.name == *name)) {
        fields.push(Field { offset, ..field.clone() });
        offset += field.size();
    }
    DataType::structure(fields, offset)
}
