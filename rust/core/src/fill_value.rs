//! The fill value: the value of elements that were never stored.

use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};

/// The bytes of one element, native-endian. For variable length, the bytes of the element, not those of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FillValue {
    bytes: Vec<u8>,
    /// Why the metadata define no fill value; then only elements that are stored can be read.
    problem: Option<Box<str>>,
}

impl FillValue {
    /// Creates a value from the native-endian bytes of an element.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), problem: None }
    }

    /// Creates a value of zero bytes; for variable length, an empty one.
    pub fn zero(data_type: &DataType) -> Self {
        Self::new(match data_type.kind() {
            Kind::Object => b"null".to_vec(),
            _ if data_type.is_variable() => Vec::new(),
            _ => vec![0; data_type.size()],
        })
    }

    /// Stands for the fill value of metadata whose fill value is not an element, for the reason that `problem` gives.
    pub(crate) fn unknown(data_type: &DataType, problem: &str) -> Self {
        Self { problem: Some(problem.into()), ..Self::zero(data_type) }
    }

    /// Returns this problem, if there is one, with the bytes of another data type.
    pub(crate) fn still_unknown(&self, data_type: &DataType) -> Option<Self> {
        self.problem.as_deref().map(|problem| Self::unknown(data_type, problem))
    }

    /// Returns the native-endian bytes of the element; zero bytes if the fill value is not [known](Self::known).
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the native-endian bytes of the element.
    ///
    /// # Errors
    /// [`InvalidMetadata`](crate::ErrorKind::InvalidMetadata) if the metadata have a fill value that is not an element
    /// of the data type, so that elements that were never stored have no value.
    pub fn known(&self) -> Result<&[u8]> {
        match &self.problem {
            None => Ok(&self.bytes),
            Some(problem) => Err(Error::metadata(format!(
                "elements that are not stored have no value, because the fill value is invalid: {problem}"
            ))),
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Whether all elements equal this value bit by bit: -0.0 differs from 0.0, and NaN equals itself.
    pub fn fills(&self, elements: &[u8]) -> bool {
        let size = self.bytes.len();
        self.problem.is_none()
            && elements.len() >= size
            && elements[..size] == self.bytes
            && elements[size..] == elements[..elements.len() - size]
    }
}
