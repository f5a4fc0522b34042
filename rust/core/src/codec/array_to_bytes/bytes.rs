//! `bytes`: stores elements in C order, little- or big-endian.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/bytes/index.html>
//!
//! ```json
//! {"name": "bytes", "configuration": {"endian": "little"}}
//! ```

use serde::Deserialize;

use crate::codec::{Codec, Configuration, configure};
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};

/// Byte order of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    /// The least significant byte first.
    Little,
    /// The most significant byte first.
    Big,
}

impl Endian {
    /// Byte order of this machine.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BytesConfiguration {
    endian: Option<Endian>,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    match configure::<BytesConfiguration>(configuration)?.endian {
        Some(endian) => Ok(Codec::Bytes(endian)),
        None if data_type.word() == 1 => Ok(Codec::Bytes(Endian::NATIVE)),
        // Some writers leave out the byte order of text.
        None if data_type.kind() == Kind::FixedText => Ok(Codec::Bytes(Endian::Little)),
        None => Err(Error::metadata(format!("elements of {data_type} need an \"endian\""))),
    }
}
