//! `vlen-utf8`, `vlen-bytes` and `vlen-array`: the number of elements, then each element after its length in bytes.
//! Numbers have four bytes, little-endian.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/vlen-utf8>, and
//! <https://numcodecs.readthedocs.io/en/stable/other/vlen.html>
//!
//! ```json
//! {"name": "vlen-utf8"}
//! {"name": "numcodecs.vlen-array", "configuration": {"dtype": "<i2"}}
//! ```

use std::sync::Arc;

use serde::Deserialize;

use crate::codec::{Codec, Configuration, Endian, NoConfiguration, VariableToBytes, configure};
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::slot::Slot;
use crate::subset::product;

/// The codec. Lengths of elements are multiples of this number of bytes.
#[derive(Debug)]
struct Vlen(u32);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArrayConfiguration {
    dtype: String,
}

pub(super) fn create_utf8(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    create(configuration, data_type, Kind::String)
}

pub(super) fn create_bytes(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    create(configuration, data_type, Kind::Bytes)
}

fn create(configuration: &Configuration, data_type: &DataType, kind: Kind) -> Result<Codec> {
    configure::<NoConfiguration>(configuration)?;
    if data_type.kind() != kind {
        return Err(Error::metadata(format!("cannot encode elements of {data_type}")));
    }
    Ok(Codec::VariableToBytes(Arc::new(Vlen(1))))
}

pub(super) fn create_array(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let ArrayConfiguration { dtype } = configure(configuration)?;
    let Some(item) = data_type.item() else {
        return Err(Error::metadata(format!("cannot encode elements of {data_type}")));
    };
    let endian = match dtype.as_bytes().first() {
        Some(b'<') => Endian::Little,
        Some(b'>') => Endian::Big,
        _ => Endian::NATIVE,
    };
    let swapped = item.data_type.word() > 1 && (endian != Endian::NATIVE);
    let code = dtype.trim_start_matches(['<', '>', '|', '=']);
    if code != item.data_type.code() || swapped != item.swapped {
        return Err(Error::metadata(format!("dtype {dtype:?} is not that of {data_type}")));
    }
    Ok(Codec::VariableToBytes(Arc::new(Vlen(item.data_type.size() as u32))))
}

/// Finds the elements of a chunk.
pub(super) fn decode(encoded: &[u8], shape: &[u64]) -> Result<Vec<Slot>> {
    let truncated = || Error::corrupt(format!("the elements are truncated after {} bytes", encoded.len()));
    let (found, mut rest) = encoded.split_first_chunk().ok_or_else(truncated)?;
    let (found, expected) = (u64::from(u32::from_le_bytes(*found)), product(shape).unwrap_or(u64::MAX));
    if found != expected {
        return Err(Error::corrupt(format!("{found} elements instead of {expected}")));
    }
    // An element has at least four bytes. This bounds the memory for a wrong number.
    if found > rest.len() as u64 / 4 {
        return Err(Error::corrupt(format!("{} bytes cannot hold {found} elements", encoded.len())));
    }
    let mut slots = Vec::with_capacity(found as usize);
    for _ in 0..found {
        let (length, element) = rest.split_first_chunk().ok_or_else(truncated)?;
        let length = u32::from_le_bytes(*length);
        slots.push(Slot { heap: 0, length, offset: (encoded.len() - element.len()) as u64 });
        rest = element.get(length as usize..).ok_or_else(|| {
            let (k, size) = (slots.len() - 1, encoded.len());
            Error::corrupt(format!("element {k} of {length} bytes ends after the {size} encoded bytes"))
        })?;
    }
    if rest.is_empty() {
        Ok(slots)
    } else {
        Err(Error::corrupt(format!("{} bytes follow the last element", rest.len())))
    }
}

/// Appends elements.
pub(super) fn encode(elements: &[&[u8]], encoded: &mut Vec<u8>) -> Result<()> {
    let size = |length: usize| {
        u32::try_from(length).map(u32::to_le_bytes).map_err(|_| {
            Error::unsupported(format!(
                "cannot encode {length} elements or bytes of an element; at most 2^32 - 1 are possible"
            ))
        })
    };
    let total = elements.iter().fold(4, |total: usize, element| total.saturating_add(4).saturating_add(element.len()));
    encoded.try_reserve_exact(total).map_err(|_| Error::memory(format_args!("{total} bytes")))?;
    encoded.extend_from_slice(&size(elements.len())?);
    for element in elements {
        encoded.extend_from_slice(&size(element.len())?);
        encoded.extend_from_slice(element);
    }
    Ok(())
}

impl VariableToBytes for Vlen {
    fn decode(&self, encoded: &[u8], shape: &[u64]) -> Result<(Vec<Slot>, Option<Vec<u8>>)> {
        let (slots, item) = (decode(encoded, shape)?, self.0);
        match slots.iter().position(|slot| item > 1 && !slot.length.is_multiple_of(item)) {
            Some(k) => {
                let length = slots[k].length;
                Err(Error::corrupt(format!(
                    "the length of element {k}, {length} bytes, is not a multiple of the item size of {item} bytes"
                )))
            }
            None => Ok((slots, None)),
        }
    }

    fn encode(&self, elements: &[&[u8]], _: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        if let Some(element) = elements.iter().find(|element| !element.len().is_multiple_of(self.0 as usize)) {
            let (length, item) = (element.len(), self.0);
            return Err(Error::selection(format!(
                "an element of {length} bytes is not a multiple of the item size of {item} bytes"
            )));
        }
        encode(elements, encoded)
    }
}
