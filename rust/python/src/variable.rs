//! Conversion of elements of variable length to Python and back.

use numpy::{IntoPyArray, PyArray1, PyArrayDescr, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyString, PyTuple};
use tegula::{DataType, Heaps, InputBuffer, Kind, Slot, Variable};

use crate::dtype::to_numpy;
use crate::errors::{OrRaise, exception};
use crate::extract::bytes;
use crate::strings;

/// Form of elements of variable length in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VariableForm {
    /// An ndarray of NumPy's `StringDType`; see [`Strings`](crate::strings::Strings).
    Strings,
    /// An ndarray of objects.
    Objects,
    /// Concatenated bytes, and offsets.
    Parts,
}

/// Converts elements that were read to an ndarray of a shape, or to (bytes, offsets).
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    form: VariableForm,
    data_type: &DataType,
    shape: &Bound<'py, PyTuple>,
    slots: &[u8],
    heaps: Heaps,
) -> PyResult<Bound<'py, PyAny>> {
    let heaps = heaps.into_inner();
    let elements = Variable::new(slots, &heaps);
    match form {
        VariableForm::Parts => {
            let (heap, offsets) = py.detach(|| elements.concatenated()).or_raise(py)?;
            Ok((heap.into_pyarray(py), offsets.into_pyarray(py)).into_pyobject(py)?.into_any())
        }
        VariableForm::Strings | VariableForm::Objects => {
            let objects = objects(py, data_type, &elements)?;
            PyArray1::from_vec(py, objects).call_method1("reshape", (shape,))
        }
    }
}

fn objects(py: Python<'_>, data_type: &DataType, elements: &Variable<'_>) -> PyResult<Vec<Py<PyAny>>> {
    let text = |bytes| {
        std::str::from_utf8(bytes)
            .map_err(|error| exception(py, "CorruptDataError", &format!("an element is not UTF-8: {error}")))
    };
    match data_type.kind() {
        Kind::String => {
            elements.iter().map(|element| Ok(PyString::new(py, text(element)?).into_any().unbind())).collect()
        }
        Kind::Object => {
            // Python's `json` module writes NaN and Infinity, so only it can read them. One call parses all elements.
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
            // MessagePack has bytes, which JSON lacks: they are encoded as {"$binary": base64}.
            let hook = PyDict::new(py);
            if all.contains("$binary") {
                hook.set_item("object_hook", py.import("tegula._array.variable")?.getattr("from_binary")?)?;
            }
            let found = py.import("json")?.call_method("loads", (all,), Some(&hook));
            let found = found
                .map_err(|error| exception(py, "CorruptDataError", &format!("an element is not JSON: {error}")))?;
            Ok(found.cast::<PyList>()?.iter().map(Bound::unbind).collect())
        }
        Kind::List => {
            let Some(item) = data_type.item() else { return Ok(Vec::new()) };
            let dtype = to_numpy(py, &item.data_type)?;
            let stored =
                if item.swapped { dtype.call_method1("newbyteorder", ("S",))? } else { dtype.clone().into_any() };
            let frombuffer = py.import("numpy")?.getattr("frombuffer")?;
            let list = |element: &[u8]| {
                // `astype` makes a writable copy.
                let list = frombuffer.call1((bytes(py, element)?, &stored))?;
                Ok(list.call_method1("astype", (&dtype,))?.unbind())
            };
            elements.iter().map(list).collect()
        }
        _ => elements.iter().map(|element| Ok(bytes(py, element)?.into_any().unbind())).collect(),
    }
}

/// Elements to write: slots in C order, and a heap of their bytes.
pub(crate) struct VariableInput {
    pub(crate) slots: Vec<u8>,
    pub(crate) heap: Vec<u8>,
}

impl VariableInput {
    fn add(&mut self, py: Python<'_>, element: &[u8]) -> PyResult<()> {
        let length = u32::try_from(element.len())
            .map_err(|_| exception(py, "UnsupportedError", "an element has 4 GiB or more, which exceeds the limit"))?;
        let slot = Slot { heap: InputBuffer::HEAP, length, offset: self.heap.len() as u64 };
        self.slots.extend_from_slice(&slot.to_bytes());
        self.heap.extend_from_slice(element);
        Ok(())
    }

    /// Converts an ndarray of strings or of objects.
    pub(crate) fn new(array: &Bound<'_, PyUntypedArray>, data_type: &DataType) -> PyResult<Self> {
        let py = array.py();
        let mut input = Self { slots: Vec::with_capacity(array.len() * Slot::SIZE), heap: Vec::new() };
        let kind: String = array.dtype().getattr("kind")?.extract()?;
        if kind == "T" && data_type.kind() == Kind::String {
            let array = py.import("numpy")?.call_method1("ascontiguousarray", (array,))?;
            strings::read(array.cast()?, |element| match element {
                Some(element) => input.add(py, element),
                None => Err(missing_string()),
            })?;
            return Ok(input);
        }
        for element in array.call_method1("astype", ("O",))?.call_method0("ravel")?.try_iter()? {
            input.add_object(data_type, &element?)?;
        }
        Ok(input)
    }

    fn add_object(&mut self, data_type: &DataType, element: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = element.py();
        match data_type.kind() {
            Kind::String => match element.cast::<PyString>() {
                Ok(text) => self.add(py, text.to_str()?.as_bytes()),
                Err(_) if element.is_none() => Err(missing_string()),
                Err(_) => Err(wrong_type(element, "a string")),
            },
            Kind::Bytes => {
                if let Ok(bytes) = element.cast::<PyBytes>() {
                    self.add(py, bytes.as_bytes())
                } else if let Ok(bytes) = element.cast::<PyByteArray>() {
                    self.add(py, &bytes.to_vec())
                } else {
                    Err(wrong_type(element, "bytes"))
                }
            }
            Kind::Object => {
                let hook = PyDict::new(py);
                hook.set_item("default", py.import("tegula._array.variable")?.getattr("to_binary")?)?;
                let text = py.import("json")?.call_method("dumps", (element,), Some(&hook))?;
                self.add(py, text.cast::<PyString>()?.to_str()?.as_bytes())
            }
            _ => {
                let Some(item) = data_type.item() else { return Err(wrong_type(element, "a list")) };
                let dtype = to_numpy(py, &item.data_type)?;
                let stored = if item.swapped { dtype.call_method1("newbyteorder", ("S",))? } else { dtype.into_any() };
                let bytes = py
                    .import("tegula._elements")?
                    .call_method1("as_elements", (element, stored))?
                    .call_method0("tobytes")?;
                self.add(py, bytes.cast::<PyBytes>()?.as_bytes())
            }
        }
    }
}

fn missing_string() -> PyErr {
    PyTypeError::new_err(
        "cannot store a missing value as text: Zarr has no missing values; replace it, for example by an empty string",
    )
}

fn wrong_type(element: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    PyTypeError::new_err(format!("each element must be {expected}, not {}", element.get_type()))
}

/// Returns the form of elements for a NumPy data type.
pub(crate) fn form_of(data_type: &DataType, dtype: &Bound<'_, PyArrayDescr>) -> PyResult<VariableForm> {
    let kind: String = dtype.getattr("kind")?.extract()?;
    Ok(if kind == "T" && data_type.kind() == Kind::String { VariableForm::Strings } else { VariableForm::Objects })
}
