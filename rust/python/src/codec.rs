//! Codecs of Python packages in the codec chains of the core; `tegula.codecs` finds them.

use std::sync::Arc;

use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use tegula::codec::{ArrayToArray, ArrayToBytes, BytesToBytes, Codec, Named, Size, register_codecs};
use tegula::{DataType, Error, Result};

use crate::dtype::{from_numpy, to_numpy};
use crate::ending::attach;
use crate::errors::wrapped;
use crate::extract::bytes;
use crate::json::object_to_python;
use crate::subset::tuple;

/// A Python object with `decode(bytes, shape)` and `encode(bytes, shape)`, which return bytes.
#[derive(Debug)]
struct PythonCodec {
    name: String,
    codec: Py<PyAny>,
    encoded: DataType,
}

impl PythonCodec {
    fn call(&self, method: &str, given: &[u8], shape: Option<&[u64]>) -> Result<Vec<u8>> {
        let call = |py: Python<'_>| -> PyResult<Vec<u8>> {
            let shape: Option<Bound<'_, PyTuple>> = shape.map(|shape| tuple(py, shape)).transpose()?;
            let answer = self.codec.bind(py).call_method1(method, (bytes(py, given)?, shape))?;
            let (answer, mut copy) = (answer.cast::<PyBytes>()?.as_bytes(), Vec::new());
            copy.try_reserve_exact(answer.len()).map_err(|_| PyMemoryError::new_err(()))?;
            copy.extend_from_slice(answer);
            Ok(copy)
        };
        let describe = |message| Error::corrupt(format!("{}: cannot {method}: {message}", self.name));
        attach(|py| call(py).map_err(|error| wrapped(py, error, describe)))?
    }

    fn fill(&self, method: &str, given: &[u8], shape: Option<&[u64]>, into: &mut [u8]) -> Result<()> {
        let bytes = self.call(method, given, shape)?;
        if bytes.len() != into.len() {
            let (found, expected) = (bytes.len(), into.len());
            return Err(Error::corrupt(format!(
                "{}: {method} returned {found} bytes instead of {expected}",
                self.name
            )));
        }
        into.copy_from_slice(&bytes);
        Ok(())
    }
}

impl BytesToBytes for PythonCodec {
    fn encoded_size(&self, _: Size) -> Size {
        Size::Bounded(u64::MAX)
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        self.fill("decode", encoded, None, decoded)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let bytes = self.call("decode", encoded, None)?;
        if bytes.len() > limit {
            return Err(Error::corrupt(format!("{}: decodes to more than {limit} bytes", self.name)));
        }
        decoded.extend_from_slice(&bytes);
        Ok(())
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        encoded.extend_from_slice(&self.call("encode", decoded, None)?);
        Ok(())
    }
}

impl ArrayToBytes for PythonCodec {
    fn encoded_size(&self, _: &[u64]) -> Size {
        Size::Bounded(u64::MAX)
    }

    fn decode(&self, encoded: &[u8], shape: &[u64], decoded: &mut [u8]) -> Result<()> {
        self.fill("decode", encoded, Some(shape), decoded)
    }

    fn encode(&self, decoded: &[u8], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        encoded.extend_from_slice(&self.call("encode", decoded, Some(shape))?);
        Ok(())
    }
}

impl ArrayToArray for PythonCodec {
    fn encoded_type(&self) -> &DataType {
        &self.encoded
    }

    fn elementwise(&self) -> bool {
        false
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        self.fill("decode", encoded, None, decoded)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        self.fill("encode", decoded, None, encoded)
    }
}

/// Looks up a codec in `tegula.codecs`.
fn find(py: Python<'_>, named: &Named, data_type: &DataType, of_bytes: bool) -> PyResult<Option<Codec>> {
    let configuration = object_to_python(py, &named.configuration)?;
    let dtype = to_numpy(py, data_type)?;
    let codec = py.import("tegula.codecs")?.call_method1("find", (&named.name, configuration, dtype, of_bytes))?;
    if codec.is_none() {
        return Ok(None);
    }
    let kind: String = codec.getattr("kind")?.extract()?;
    let encoded =
        if kind == "array_to_array" { from_numpy(&codec.getattr("encoded_dtype")?)? } else { data_type.clone() };
    let codec = Arc::new(PythonCodec { name: named.name.clone(), codec: codec.unbind(), encoded });
    Ok(Some(match &*kind {
        "array_to_array" => Codec::ArrayToArray(codec),
        "array_to_bytes" => Codec::ArrayToBytes(codec),
        _ => Codec::BytesToBytes(codec),
    }))
}

/// Registers Python as the source of codecs that the core lacks.
pub(crate) fn register() {
    register_codecs(Arc::new(|named, data_type, of_bytes| {
        attach(|py| {
            let describe = |error: PyErr| {
                let message = error.value(py).to_string();
                wrapped(py, error, |_| Error::unsupported(message))
            };
            find(py, named, data_type, of_bytes).map_err(describe)
        })?
    }));
}

/// Returns whether a name is that of an array-to-bytes codec of the core.
#[pyfunction]
#[pyo3(signature = (name, /))]
pub(crate) fn is_array_to_bytes(name: &str) -> bool {
    tegula::codec::is_array_to_bytes(name)
}

/// Returns the names of the codecs of the core.
#[pyfunction]
pub(crate) fn codec_names() -> Vec<&'static str> {
    tegula::codec::names()
}
