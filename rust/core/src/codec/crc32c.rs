//! `crc32c`: four bytes behind the others that tell whether they are damaged.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/codecs/crc32c/index.html>
//!
//! ```json
//! {"name": "crc32c"}
//! ```

use std::sync::Arc;

use serde::Deserialize;

use super::{BytesToBytes, Codec, Configuration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Debug)]
struct Crc32c;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoConfiguration {}

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let NoConfiguration {} = configure(configuration)?;
    Ok(Codec::BytesToBytes(Arc::new(Crc32c)))
}

const CHECKSUM: usize = 4;

fn check(encoded: &[u8], validate: bool) -> Result<&[u8]> {
    let Some((decoded, stored)) = encoded.split_last_chunk::<CHECKSUM>() else {
        return Err(Error::corrupt(format!("crc32c: {} bytes hold no checksum", encoded.len())));
    };
    if validate && crc32c::crc32c(decoded) != u32::from_le_bytes(*stored) {
        return Err(Error::corrupt("crc32c: the checksum does not match"));
    }
    Ok(decoded)
}

impl BytesToBytes for Crc32c {
    fn encoded_size(&self, decoded: Size) -> Size {
        match decoded {
            Size::Exact(size) => Size::Exact(size.saturating_add(CHECKSUM as u64)),
            Size::Bounded(size) => Size::Bounded(size.saturating_add(CHECKSUM as u64)),
        }
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let bytes = check(encoded, true)?;
        if bytes.len() != decoded.len() {
            return Err(Error::corrupt(format!("crc32c: {} bytes instead of {}", bytes.len(), decoded.len())));
        }
        decoded.copy_from_slice(bytes);
        Ok(())
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let bytes = check(encoded, true)?;
        if bytes.len() > limit {
            return Err(Error::corrupt(format!("crc32c: {} bytes where at most {limit} belong", bytes.len())));
        }
        decoded.extend_from_slice(bytes);
        Ok(())
    }

    fn strip<'a>(&self, encoded: &'a [u8], validate: bool) -> Result<Option<&'a [u8]>> {
        check(encoded, validate).map(Some)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        encoded.extend_from_slice(decoded);
        encoded.extend_from_slice(&crc32c::crc32c(decoded).to_le_bytes());
        Ok(())
    }
}
