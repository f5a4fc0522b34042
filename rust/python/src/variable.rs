//! Elements of variable length: what they become in Python, and out of what they are written.

use numpy::{IntoPyArray, PyArray1, PyArrayDescr, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyString, PyTuple};
use tegula::{DataType, Heaps, InputBuffer, Kind, Slot, Variable};

use crate::dtype::to_numpy;
use crate::errors::{OrRaise, exception};
use crate::strings;

/// What elements of variable length come back as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// An ndarray of NumPy's strings, which [`Strings`](crate::strings::Strings) writes.
    Strings,
    /// An ndarray of objects.
    Objects,
    /// Their bytes and offsets.
    Parts,
}

/// Turns elements that were read into an ndarray of a shape, or into (bytes, offsets).
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    form: As,
    data_type: &DataType,
    shape: &Bound<'py, PyTuple>,
    slots: &[u8],
    heaps: Heaps,
) -> PyResult<Bound<'py, PyAny>> {
    let heaps = heaps.into_inner();
    let elements = Variable::new(slots, &heaps);
    match form {
        As::Parts => {
            let (bytes, offsets) = py.detach(|| elements.concatenated()).or_raise(py)?;
            Ok((bytes.into_pyarray(py), offsets.into_pyarray(py)).into_pyobject(py)?.into_any())
        }
        As::Strings | As::Objects => {
            let objects = objects(py, data_type, &elements)?;
            PyArray1::from_vec(py, objects).call_method1("reshape", (shape,))
        }
    }
}

fn objects(py: Python<'_>, data_type: &DataType, elements: &Variable<'_>) -> PyResult<Vec<Py<PyAny>>> {
    let text = |bytes| {
        std::str::from_utf8(bytes).map_err(|error| exception(py, "CorruptDataError", &format!("no UTF-8: {error}")))
    };
    match data_type.kind() {
        Kind::String => {
            elements.iter().map(|element| Ok(PyString::new(py, text(element)?).into_any().unbind())).collect()
        }
        Kind::Object => {
            // Python's own reader, as NaN and Infinity are among what its writer leaves; once for all.
            let total = elements.iter().map(|element| element.len() + 1).sum::<usize>() + 2;
            let mut all = String::with_capacity(total);
            all.push('[');
            for (k, element) in elements.iter().enumerate() {
                if k > 0 {
                    all.push(',');
                }
                all.push_str(text(element)?);
            }
            all.push(']');
            // Bytes, which MessagePack has and JSON has not, are spelled as an object of one member.
            let hook = PyDict::new(py);
            if all.contains("$binary") {
                hook.set_item("object_hook", py.import("tegula._array.variable")?.getattr("from_binary")?)?;
            }
            let found = py.import("json")?.call_method("loads", (all,), Some(&hook));
            let found = found.map_err(|error| exception(py, "CorruptDataError", &format!("no JSON: {error}")))?;
            Ok(found.cast::<PyList>()?.iter().map(Bound::unbind).collect())
        }
        Kind::List => {
            let Some(item) = data_type.item() else { return Ok(Vec::new()) };
            let dtype = to_numpy(py, &item.data_type)?;
            let stored =
                if item.swapped { dtype.call_method1("newbyteorder", ("S",))? } else { dtype.clone().into_any() };
            let frombuffer = py.import("numpy")?.getattr("frombuffer")?;
            let list = |element: &[u8]| {
                // A copy that can be written to.
                let list = frombuffer.call1((PyBytes::new(py, element), &stored))?;
                Ok(list.call_method1("astype", (&dtype,))?.unbind())
            };
            elements.iter().map(list).collect()
        }
        _ => elements.iter().map(|element| Ok(PyBytes::new(py, element).into_any().unbind())).collect(),
    }
}

/// Elements to be written: slots in C order, and their bytes.
pub(crate) struct Given {
    pub(crate) slots: Vec<u8>,
    pub(crate) heap: Vec<u8>,
}

impl Given {
    fn add(&mut self, py: Python<'_>, element: &[u8]) -> PyResult<()> {
        let length = u32::try_from(element.len())
            .map_err(|_| exception(py, "UnsupportedError", "an element has more than 2^32 bytes"))?;
        let slot = Slot { heap: InputBuffer::HEAP, length, offset: self.heap.len() as u64 };
        self.slots.extend_from_slice(&slot.to_bytes());
        self.heap.extend_from_slice(element);
        Ok(())
    }

    /// From an ndarray of strings or of objects.
    pub(crate) fn new(array: &Bound<'_, PyUntypedArray>, data_type: &DataType) -> PyResult<Self> {
        let py = array.py();
        let mut given = Self { slots: Vec::with_capacity(array.len() * Slot::SIZE), heap: Vec::new() };
        let kind: String = array.dtype().getattr("kind")?.extract()?;
        if kind == "T" && data_type.kind() == Kind::String {
            let array = py.import("numpy")?.call_method1("ascontiguousarray", (array,))?;
            strings::read(array.cast()?, |element| match element {
                Some(element) => given.add(py, element),
                None => Err(missing(py)),
            })?;
            return Ok(given);
        }
        for element in array.call_method1("astype", ("O",))?.call_method0("ravel")?.try_iter()? {
            given.add_object(data_type, &element?)?;
        }
        Ok(given)
    }

    fn add_object(&mut self, data_type: &DataType, element: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = element.py();
        match data_type.kind() {
            Kind::String => match element.cast::<PyString>() {
                Ok(text) => self.add(py, text.to_str()?.as_bytes()),
                Err(_) if element.is_none() => Err(missing(py)),
                Err(_) => Err(refused(element, "a string")),
            },
            Kind::Bytes => {
                if let Ok(bytes) = element.cast::<PyBytes>() {
                    self.add(py, bytes.as_bytes())
                } else if let Ok(bytes) = element.cast::<PyByteArray>() {
                    self.add(py, &bytes.to_vec())
                } else {
                    Err(refused(element, "bytes"))
                }
            }
            Kind::Object => {
                let hook = PyDict::new(py);
                hook.set_item("default", py.import("tegula._array.variable")?.getattr("to_binary")?)?;
                let text = py.import("json")?.call_method("dumps", (element,), Some(&hook))?;
                self.add(py, text.cast::<PyString>()?.to_str()?.as_bytes())
            }
            _ => {
                let Some(item) = data_type.item() else { return Err(refused(element, "a list")) };
                let dtype = to_numpy(py, &item.data_type)?;
                let stored = if item.swapped { dtype.call_method1("newbyteorder", ("S",))? } else { dtype.into_any() };
                let bytes = py.import("numpy")?.call_method1("asarray", (element, stored))?.call_method0("tobytes")?;
                self.add(py, bytes.cast::<PyBytes>()?.as_bytes())
            }
        }
    }
}

fn missing(py: Python<'_>) -> PyErr {
    exception(py, "InvalidSelectionError", "an element is missing: Zarr's strings have no missing ones")
}

fn refused(element: &Bound<'_, PyAny>, due: &str) -> PyErr {
    PyTypeError::new_err(format!("an element is {}, not {due}", element.get_type()))
}

/// What elements of a data type come back as where NumPy's type is `dtype`.
pub(crate) fn form(data_type: &DataType, dtype: &Bound<'_, PyArrayDescr>) -> PyResult<As> {
    let kind: String = dtype.getattr("kind")?.extract()?;
    Ok(if kind == "T" && data_type.kind() == Kind::String { As::Strings } else { As::Objects })
}
