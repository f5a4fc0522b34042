//! `lz4`: the decoded size in four bytes, then one LZ4 block.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/compression/lz4.html>,
//! <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>
//!
//! ```json
//! {"name": "lz4", "configuration": {"acceleration": 1}}
//! ```
//!
//! `acceleration` is ignored.

use std::sync::Arc;

use lz4_flex::block;
use serde::Deserialize;

use super::sizes::{check_limit, check_size};
use crate::codec::append::append;
use crate::codec::{BytesToBytes, Codec, Configuration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Debug)]
struct Lz4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lz4Configuration {
    #[serde(default, rename = "acceleration")]
    _acceleration: i64,
}

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let _: Lz4Configuration = configure(configuration)?;
    Ok(Codec::BytesToBytes(Arc::new(Lz4)))
}

const HEADER: usize = 4;

/// Maximum decoded size of a block in bytes.
const MAX_SIZE: usize = 0x7e00_0000;

/// Returns the decoded size and the block.
fn split(encoded: &[u8]) -> Result<(usize, &[u8])> {
    let Some((header, block)) = encoded.split_first_chunk::<HEADER>() else {
        return Err(Error::corrupt(format!("lz4: {} bytes are too few for a size", encoded.len())));
    };
    let size = u32::from_le_bytes(*header) as usize;
    // A byte of a block decodes to at most 255 bytes.
    if size > MAX_SIZE || size > block.len().saturating_mul(255) {
        return Err(Error::corrupt(format!("lz4: {} bytes cannot decode to {size}", block.len())));
    }
    Ok((size, block))
}

fn decode(block: &[u8], decoded: &mut [u8]) -> Result<()> {
    match block::decompress_into(block, decoded) {
        Ok(size) => check_size("lz4", size, decoded.len()),
        Err(error) => Err(Error::corrupt(format!("lz4: {error}"))),
    }
}

impl BytesToBytes for Lz4 {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let (size, block) = split(encoded)?;
        check_size("lz4", size, decoded.len())?;
        decode(block, decoded)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let (size, block) = split(encoded)?;
        check_limit("lz4", size, limit)?;
        append(decoded, size, |slice| decode(block, slice).map(|()| size))?;
        Ok(())
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let size = decoded.len();
        if size > MAX_SIZE {
            return Err(Error::unsupported(format!(
                "lz4: cannot encode {size} bytes; at most {MAX_SIZE} are possible"
            )));
        }
        encoded.extend_from_slice(&(size as u32).to_le_bytes());
        append(encoded, block::get_maximum_output_size(size), |slice| {
            block::compress_into(decoded, slice)
                .map_err(|error| Error::unsupported(format!("lz4: cannot encode: {error}")))
        })?;
        Ok(())
    }
}
