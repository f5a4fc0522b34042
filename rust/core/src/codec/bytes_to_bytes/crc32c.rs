//! `crc32c`: appends a checksum of four bytes.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/crc32c/index.html>
//!
//! ```json
//! {"name": "crc32c"}
//! {"name": "crc32c", "configuration": {"location": "start"}}
//! ```
//!
//! The location is an extension by numcodecs.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::sizes::{copy_bounded, copy_exact};
use crate::codec::{BytesToBytes, Codec, Configuration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocationConfiguration {
    location: Option<Location>,
}

/// Location of the checksum.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Location {
    Start,
    End,
}

type Sum = dyn Fn(&[u8]) -> u32 + Send + Sync;

/// A codec that adds a little-endian checksum of four bytes.
pub(super) struct Checksum {
    pub(super) name: &'static str,
    pub(super) location: Location,
    pub(super) sum: Box<Sum>,
}

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let location = read_location(configuration, Location::End)?;
    Ok(Checksum { name: "crc32c", location, sum: Box::new(crc32c::crc32c) }.into())
}

pub(super) fn read_location(configuration: &Configuration, default: Location) -> Result<Location> {
    Ok(configure::<LocationConfiguration>(configuration)?.location.unwrap_or(default))
}

const CHECKSUM: usize = 4;

impl From<Checksum> for Codec {
    fn from(checksum: Checksum) -> Self {
        Self::BytesToBytes(Arc::new(checksum))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at the {:?}", self.name, self.location)
    }
}

impl BytesToBytes for Checksum {
    fn encoded_size(&self, decoded: Size) -> Size {
        match decoded {
            Size::Exact(size) => Size::Exact(size.saturating_add(CHECKSUM as u64)),
            Size::Bounded(size) => Size::Bounded(size.saturating_add(CHECKSUM as u64)),
        }
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        copy_exact(self.name, self.split(encoded, true)?, decoded)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        copy_bounded(self.name, self.split(encoded, true)?, limit, decoded)
    }

    fn strip<'a>(&self, encoded: &'a [u8], validate: bool) -> Result<Option<&'a [u8]>> {
        self.split(encoded, validate).map(Some)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let sum = (self.sum)(decoded).to_le_bytes();
        let [first, second] = match self.location {
            Location::Start => [&sum[..], decoded],
            Location::End => [decoded, &sum[..]],
        };
        // Exact, because ordinary growth could double the memory.
        encoded.reserve_exact(first.len() + second.len());
        encoded.extend_from_slice(first);
        encoded.extend_from_slice(second);
        Ok(())
    }
}

impl Checksum {
    /// Returns the bytes without the checksum, which `validate` checks.
    fn split<'a>(&self, encoded: &'a [u8], validate: bool) -> Result<&'a [u8]> {
        let parts = match self.location {
            Location::Start => encoded.split_first_chunk::<CHECKSUM>(),
            Location::End => encoded.split_last_chunk::<CHECKSUM>().map(|(decoded, sum)| (sum, decoded)),
        };
        let Some((sum, decoded)) = parts else {
            let (name, size) = (self.name, encoded.len());
            return Err(Error::corrupt(format!("{name}: {size} bytes are too few for a checksum")));
        };
        if validate && (self.sum)(decoded) != u32::from_le_bytes(*sum) {
            return Err(Error::corrupt(format!("{}: the checksum does not match", self.name)));
        }
        Ok(decoded)
    }
}
