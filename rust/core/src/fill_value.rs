//! The fill value: the value of elements that were never stored.

use crate::data_type::{DataType, Kind};

/// The bytes of one element, native-endian. For variable length, the bytes of the element, not those of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FillValue(Vec<u8>);

impl FillValue {
    /// Creates a value from the native-endian bytes of an element.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Creates a value of zero bytes; for variable length, an empty one.
    pub fn zero(data_type: &DataType) -> Self {
        Self(match data_type.kind() {
            Kind::Object => b"null".to_vec(),
            _ if data_type.is_variable() => Vec::new(),
            _ => vec![0; data_type.size()],
        })
    }

    /// Returns the native-endian bytes of the element.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Whether all elements equal this value bit by bit: -0.0 differs from 0.0, and NaN equals itself.
    pub fn fills(&self, elements: &[u8]) -> bool {
        let size = self.0.len();
        elements.len() >= size && elements[..size] == self.0 && elements[size..] == elements[..elements.len() - size]
    }
}
