//! The rows of the codec tables.

use super::{Codec, Configuration};
use crate::data_type::DataType;
use crate::error::Result;

/// A codec's entry in the table of its kind: what other code and the tests must know about it.
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) struct Row {
    /// The name in metadata.
    pub(crate) name: &'static str,
    /// Other names with the same meaning.
    pub(crate) aliases: &'static [&'static str],
    /// Creates the codec from its configuration, for elements of a data type.
    pub(crate) create: fn(&Configuration, &DataType) -> Result<Codec>,
    /// An example of a configuration, for chunks of shape 8 x 12, that numcodecs would accept too if it has the codec.
    pub(crate) example: &'static str,
    /// Damage that the codec does not detect, if the decoded size is unknown.
    pub(crate) undetected: &'static [Damage],
    /// Data types whose elements the example changes when it first encodes them.
    pub(crate) lossy: &'static [&'static str],
    /// Data types for which the example can encode no element.
    pub(crate) unencodable: &'static [&'static str],
    /// Whether the codec is always refused, with an explanation.
    pub(crate) is_refused: bool,
}

/// Damage of encoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The end is missing.
    Truncation,
    /// The end is missing, but is not needed: the decoded elements are correct.
    UnusedEnd,
    /// All bytes are missing.
    Erasure,
    /// Arbitrary bytes of the right length.
    Noise,
}

impl Row {
    /// Creates the row of a codec that detects all damage and refuses elements that it cannot encode.
    pub(super) const fn new(
        name: &'static str,
        aliases: &'static [&'static str],
        create: fn(&Configuration, &DataType) -> Result<Codec>,
        example: &'static str,
    ) -> Self {
        Self { name, aliases, create, example, undetected: &[], lossy: &[], unencodable: &[], is_refused: false }
    }

    /// Whether the row has a name, or an alias of it.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    pub(super) const fn undetected(self, undetected: &'static [Damage]) -> Self {
        Self { undetected, ..self }
    }

    pub(super) const fn lossy(self, lossy: &'static [&'static str]) -> Self {
        Self { lossy, ..self }
    }

    pub(super) const fn unencodable(self, unencodable: &'static [&'static str]) -> Self {
        Self { unencodable, ..self }
    }

    pub(super) const fn refused(self) -> Self {
        Self { is_refused: true, ..self }
    }
}
