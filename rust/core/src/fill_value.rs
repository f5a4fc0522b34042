//! The value of elements that were never stored.

use crate::data_type::{DataType, Kind};

/// The bytes of one element, native-endian; of variable length, its own and not those of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FillValue(Vec<u8>);

impl FillValue {
    /// From the bytes of an element, native-endian.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// All bytes zero; of variable length, none.
    pub fn zero(data_type: &DataType) -> Self {
        Self(match data_type.kind() {
            Kind::Object => b"null".to_vec(),
            _ if data_type.is_variable() => Vec::new(),
            _ => vec![0; data_type.size()],
        })
    }

    /// The bytes of an element, native-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Whether all elements are bitwise this value, so that -0.0 is not 0.0 and NaN is itself.
    pub fn fills(&self, elements: &[u8]) -> bool {
        let size = self.0.len();
        elements.len() >= size && elements[..size] == self.0 && elements[size..] == elements[..elements.len() - size]
    }
}
