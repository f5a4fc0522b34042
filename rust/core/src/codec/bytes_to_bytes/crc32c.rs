//! `crc32c`: four bytes behind the others that tell whether they are damaged.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/crc32c/index.html>
//!
//! ```json
//! {"name": "crc32c"}
//! {"name": "crc32c", "configuration": {"location": "start"}}
//! ```
//!
//! That they may stand before the others is an addition of numcodecs.

use std::sync::Arc;

use super::checksum::{Located, Location};
use super::sizes::{extend, fill};
use crate::codec::{BytesToBytes, Codec, Configuration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Debug)]
struct Crc32c {
    location: Location,
}

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let location = configure::<Located>(configuration)?.location.unwrap_or(Location::End);
    Ok(Codec::BytesToBytes(Arc::new(Crc32c { location })))
}

const CHECKSUM: usize = 4;

impl Crc32c {
    fn check<'a>(&self, encoded: &'a [u8], validate: bool) -> Result<&'a [u8]> {
        let Some((stored, decoded)) = self.location.split(encoded) else {
            return Err(Error::corrupt(format!("crc32c: {} bytes hold no checksum", encoded.len())));
        };
        if validate && crc32c::crc32c(decoded) != stored {
            return Err(Error::corrupt("crc32c: the checksum does not match"));
        }
        Ok(decoded)
    }
}

impl BytesToBytes for Crc32c {
    fn encoded_size(&self, decoded: Size) -> Size {
        match decoded {
            Size::Exact(size) => Size::Exact(size.saturating_add(CHECKSUM as u64)),
            Size::Bounded(size) => Size::Bounded(size.saturating_add(CHECKSUM as u64)),
        }
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        fill("crc32c", self.check(encoded, true)?, decoded)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        extend("crc32c", self.check(encoded, true)?, limit, decoded)
    }

    fn strip<'a>(&self, encoded: &'a [u8], validate: bool) -> Result<Option<&'a [u8]>> {
        self.check(encoded, validate).map(Some)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        self.location.join(crc32c::crc32c(decoded), decoded, encoded);
        Ok(())
    }
}
