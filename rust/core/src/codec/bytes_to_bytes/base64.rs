//! `base64`: encodes bytes as text.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/other/base64.html>, RFC 4648, section 4
//!
//! ```json
//! {"name": "base64"}
//! ```
//!
//! Line breaks are allowed and padding is required. Other characters outside the alphabet are damage, though numcodecs
//! skips them.

use std::borrow::Cow;
use std::sync::Arc;

use super::sizes::{copy_bounded, copy_exact};
use crate::base64;
use crate::codec::{BytesToBytes, Codec, Configuration, NoConfiguration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Debug)]
struct Base64;

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    configure::<NoConfiguration>(configuration)?;
    Ok(Codec::BytesToBytes(Arc::new(Base64)))
}

/// Decodes to about `limit` bytes at most.
fn decode(encoded: &[u8], limit: usize) -> Result<Vec<u8>> {
    let bad = || Error::corrupt("base64: damaged or truncated");
    let text = std::str::from_utf8(encoded).map_err(|_| bad())?;
    let is_break = |digit: char| digit.is_ascii_whitespace();
    let text = if text.contains(is_break) { Cow::Owned(text.replace(is_break, "")) } else { Cow::Borrowed(text) };
    if text.len() / 4 > limit.div_ceil(3) {
        return Err(Error::corrupt(format!("base64: decodes to more than {limit} bytes")));
    }
    base64::decode(&text).ok_or_else(bad)
}

impl BytesToBytes for Base64 {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        copy_exact("base64", &decode(encoded, decoded.len())?, decoded)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        copy_bounded("base64", &decode(encoded, limit)?, limit, decoded)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        encoded.extend_from_slice(base64::encode(decoded).as_bytes());
        Ok(())
    }
}
