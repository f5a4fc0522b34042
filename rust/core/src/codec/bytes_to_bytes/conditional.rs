//! `conditional`: a list of codecs; each chunk records which of them it uses.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/conditional>
//!
//! ```json
//! {"name": "conditional", "configuration": {"header_bits": 8, "codecs": [{"name": "zstd", "configuration": {"level": 3}}]}}
//! ```
//!
//! A chunk begins with a bit for each codec, lowest bit first, that tells whether the chunk uses it. `header_bits`
//! defaults to the number of codecs, rounded up to whole bytes. Encoding uses all codecs if that makes a chunk smaller,
//! else none.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use super::sizes::{copy_bounded, copy_exact};
use crate::buffer::to_usize;
use crate::codec::append::append;
use crate::codec::{BytesToBytes, Codec, Configuration, Size, configure, parse_named_list};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};

pub(super) const EXAMPLE: &str =
    r#"{"codecs": [{"name": "shuffle", "configuration": {"elementsize": 4}}, {"name": "zlib"}], "header_bits": 16}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionalConfiguration {
    codecs: serde_json::Value,
    header_bits: Option<u64>,
}

#[derive(Debug)]
struct Conditional {
    codecs: Vec<Arc<dyn BytesToBytes>>,
    /// Size of the header in bytes.
    header: usize,
}

/// The first codec that a chunk uses, if any, and the bytes that it has to decode.
type Remaining<'c, 'a> = (Option<&'c dyn BytesToBytes>, Cow<'a, [u8]>);

/// Maximum size of the header in bits; a larger one is a mistake or an attack.
const MAX_BITS: u64 = 1 << 16;

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let given: ConditionalConfiguration = configure(configuration)?;
    let codecs = parse_named_list(&given.codecs).place(|| "codecs")?;
    let least = codecs.len() as u64;
    let bits = given.header_bits.unwrap_or(least.next_multiple_of(8));
    if !bits.is_multiple_of(8) || bits < least || bits > MAX_BITS {
        let range = format!("a multiple of 8 in {least} to {MAX_BITS}");
        return Err(Error::metadata(format!("header_bits {bits} is not {range}")));
    }
    let of_bytes = |named| match crate::codec::create(named, data_type)? {
        Codec::BytesToBytes(codec) => Ok(codec),
        _ => Err(Error::metadata(format!("codec {} is not a bytes-to-bytes codec", named.name))),
    };
    let codecs = codecs.iter().map(of_bytes).collect::<Result<_>>()?;
    Ok(Codec::BytesToBytes(Arc::new(Conditional { codecs, header: bits as usize / 8 })))
}

impl Conditional {
    /// Returns the codecs that a chunk uses, and its encoded bytes.
    fn split<'a>(&self, encoded: &'a [u8]) -> Result<(Vec<&dyn BytesToBytes>, &'a [u8])> {
        let Some((header, bytes)) = encoded.split_at_checked(self.header) else {
            let (size, header) = (encoded.len(), self.header);
            return Err(Error::corrupt(format!("conditional: {size} bytes are too few for the header of {header}")));
        };
        let bits =
            header.iter().enumerate().flat_map(|(at, byte)| (0..8).map(move |bit| (at * 8 + bit, byte >> bit & 1)));
        let used = bits.filter(|(_, is_set)| *is_set == 1).map(|(index, _)| match self.codecs.get(index) {
            Some(codec) => Ok(&**codec),
            None => Err(Error::corrupt(format!("conditional: bit {index} is set, but there is no such codec"))),
        });
        Ok((used.collect::<Result<_>>()?, bytes))
    }

    /// Decodes all codecs of a chunk but the first, which decodes to `size`.
    fn decode<'a>(&self, encoded: &'a [u8], size: Size) -> Result<Remaining<'_, 'a>> {
        let (used, bytes) = self.split(encoded)?;
        let mut current = Cow::Borrowed(bytes);
        let Some((first, others)) = used.split_first() else { return Ok((None, current)) };
        let mut sizes = vec![first.encoded_size(size)];
        for codec in others {
            sizes.push(codec.encoded_size(sizes[sizes.len() - 1]));
        }
        for (codec, size) in others.iter().zip(sizes).rev() {
            let mut decoded = Vec::new();
            match size {
                Size::Exact(size) => {
                    let size = to_usize(size)?;
                    append(&mut decoded, size, |slice| codec.decode_into(&current, slice).map(|()| size))?;
                }
                Size::Bounded(limit) => {
                    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                    codec.decode_bounded(&current, limit, &mut decoded)?;
                }
            }
            current = Cow::Owned(decoded);
        }
        Ok((Some(*first), current))
    }
}

impl BytesToBytes for Conditional {
    fn encoded_size(&self, decoded: Size) -> Size {
        let mut bound = decoded.bound();
        let mut size = decoded;
        for codec in &self.codecs {
            size = codec.encoded_size(size);
            bound = bound.max(size.bound());
        }
        Size::Bounded(bound.saturating_add(self.header as u64))
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        match self.decode(encoded, Size::Exact(decoded.len() as u64))? {
            (Some(first), bytes) => first.decode_into(&bytes, decoded),
            (None, bytes) => copy_exact("conditional", &bytes, decoded),
        }
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        match self.decode(encoded, Size::Bounded(limit as u64))? {
            (Some(first), bytes) => first.decode_bounded(&bytes, limit, decoded),
            (None, bytes) => copy_bounded("conditional", &bytes, limit, decoded),
        }
    }

    fn strip<'a>(&self, encoded: &'a [u8], _: bool) -> Result<Option<&'a [u8]>> {
        let (used, bytes) = self.split(encoded)?;
        Ok(used.is_empty().then_some(bytes))
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let mut current = Cow::Borrowed(decoded);
        for codec in &self.codecs {
            let mut next = Vec::new();
            codec.encode(&current, &mut next)?;
            current = Cow::Owned(next);
        }
        let start = encoded.len();
        encoded.resize(start + self.header, 0);
        if current.len() < decoded.len() {
            for index in 0..self.codecs.len() {
                encoded[start + index / 8] |= 1 << (index % 8);
            }
            encoded.extend_from_slice(&current);
        } else {
            encoded.extend_from_slice(decoded);
        }
        Ok(())
    }
}
