//! `vlen-utf8` and `vlen-bytes`: elements of variable length, each behind its length, all behind their number. Numbers
//! have four bytes, little-endian.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/vlen-utf8>
//!
//! ```json
//! {"name": "vlen-utf8"}
//! ```

use std::sync::Arc;

use serde::Deserialize;

use super::{Codec, Configuration, VariableToBytes, configure};
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::slot::Slot;
use crate::subset::product;

#[derive(Debug)]
struct Vlen;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoConfiguration {}

pub(super) fn create_utf8(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    create(configuration, data_type, Kind::String)
}

pub(super) fn create_bytes(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    create(configuration, data_type, Kind::Bytes)
}

fn create(configuration: &Configuration, data_type: &DataType, kind: Kind) -> Result<Codec> {
    let NoConfiguration {} = configure(configuration)?;
    if data_type.kind() != kind {
        return Err(Error::metadata(format!("it cannot encode elements of {data_type}")));
    }
    Ok(Codec::VariableToBytes(Arc::new(Vlen)))
}

/// Takes a number off the front.
fn number(bytes: &[u8], at: usize) -> Result<u32> {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>);
    found
        .map(|number| u32::from_le_bytes(*number))
        .ok_or_else(|| Error::corrupt(format!("the {} bytes end before the elements do", bytes.len())))
}

/// The elements of a chunk of a shape.
pub(super) fn decode(encoded: &[u8], shape: &[u64]) -> Result<Vec<Slot>> {
    let (found, due) = (u64::from(number(encoded, 0)?), product(shape).unwrap_or(u64::MAX));
    if found != due {
        return Err(Error::corrupt(format!("{found} elements instead of {due}")));
    }
    // Each takes four bytes at least: a wrong number asks for no more memory than there are bytes.
    if found > encoded.len() as u64 / 4 {
        return Err(Error::corrupt(format!("{} bytes cannot hold {found} elements", encoded.len())));
    }
    let mut slots = Vec::with_capacity(found as usize);
    let mut at = 4;
    for _ in 0..found {
        let length = number(encoded, at)?;
        at += 4;
        if length as usize > encoded.len() - at {
            return Err(Error::corrupt(format!(
                "element {} of {length} bytes reaches past the {} bytes there are",
                slots.len(),
                encoded.len()
            )));
        }
        slots.push(Slot { heap: 0, length, offset: at as u64 });
        at += length as usize;
    }
    if at != encoded.len() {
        return Err(Error::corrupt(format!("{} bytes follow the last element", encoded.len() - at)));
    }
    Ok(slots)
}

/// Appends elements.
pub(super) fn encode(elements: &[&[u8]], encoded: &mut Vec<u8>) -> Result<()> {
    let size = |length: usize| {
        u32::try_from(length).map(u32::to_le_bytes).map_err(|_| {
            Error::unsupported(format!("{length} elements of a chunk, or bytes of an element, are more than 2^32"))
        })
    };
    let total = elements.iter().fold(4, |total: usize, element| total.saturating_add(4).saturating_add(element.len()));
    encoded.try_reserve_exact(total).map_err(|_| Error::store(format!("no memory for {total} bytes")))?;
    encoded.extend_from_slice(&size(elements.len())?);
    for element in elements {
        encoded.extend_from_slice(&size(element.len())?);
        encoded.extend_from_slice(element);
    }
    Ok(())
}

impl VariableToBytes for Vlen {
    fn decode(&self, encoded: &[u8], shape: &[u64]) -> Result<(Vec<Slot>, Option<Vec<u8>>)> {
        Ok((decode(encoded, shape)?, None))
    }

    fn encode(&self, elements: &[&[u8]], _: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        encode(elements, encoded)
    }
}
