//! `packbits`: stores only some bits of each element, without gaps.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/packbits>
//!
//! ```json
//! {"name": "packbits", "configuration": {"padding_encoding": "first_byte", "first_bit": 0, "last_bit": 3}}
//! ```
//!
//! The least significant bits come first, both of elements and of bytes. Complex numbers are packed as two components.
//! With a padding encoding, an extra first or last byte holds the number of padding bits of the last packed byte.
//!
//! `numcodecs.packbits`, for elements of `bool`, has the padding in the first byte and the most significant bits of a
//! byte first. The result is an array, so that `bytes` follows.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/filter/packbits.html>
//!
//! ```json
//! {"name": "numcodecs.packbits"}
//! ```

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;

use crate::buffer::to_usize;
use crate::codec::append::append;
use crate::codec::{ArrayToBytes, Codec, Configuration, NoConfiguration, Size, configure};
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::subset::product;

#[derive(Debug)]
struct PackBits {
    /// Size of a component in bytes, and number of its significant bits.
    size: usize,
    bits: u32,
    components: u64,
    kind: Kind,
    /// The first stored bit, and the number of stored bits.
    first: u32,
    kept: u32,
    padding: Padding,
    /// Whether bytes begin with the most significant bit, as in numcodecs.
    reversed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Padding {
    #[default]
    None,
    FirstByte,
    LastByte,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackBitsConfiguration {
    #[serde(default)]
    padding_encoding: Padding,
    first_bit: Option<u32>,
    last_bit: Option<u32>,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let PackBitsConfiguration { padding_encoding: padding, first_bit, last_bit } = configure(configuration)?;
    let components = match data_type.kind() {
        Kind::Bool | Kind::Int | Kind::UInt | Kind::Float | Kind::DateTime | Kind::TimeDelta => 1,
        Kind::Complex => 2,
        _ => return Err(Error::unsupported(format!("cannot pack elements of {data_type}"))),
    };
    let bits = data_type.bits() as u32 / components;
    let (first, last) = (first_bit.unwrap_or(0), last_bit.unwrap_or(bits - 1));
    if first > last || last >= bits {
        return Err(Error::metadata(format!("bits {first} to {last} are not among {bits} bits")));
    }
    Ok(Codec::ArrayToBytes(Arc::new(PackBits {
        size: data_type.size() / components as usize,
        bits,
        components: components.into(),
        kind: data_type.kind(),
        first,
        kept: last - first + 1,
        padding,
        reversed: false,
    })))
}

pub(super) fn create_numcodecs(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    configure::<NoConfiguration>(configuration)?;
    if data_type.kind() != Kind::Bool {
        return Err(Error::unsupported(format!("cannot pack elements of {data_type}, only of bool")));
    }
    Ok(Codec::ArrayToBytes(Arc::new(PackBits {
        size: 1,
        bits: 1,
        components: 1,
        kind: Kind::Bool,
        first: 0,
        kept: 1,
        padding: Padding::FirstByte,
        reversed: true,
    })))
}

impl PackBits {
    /// Returns the number of bits of elements.
    fn total(&self, count: u64) -> Option<u64> {
        count.checked_mul(self.components)?.checked_mul(self.kept.into())
    }

    /// Returns the number of bytes before and after the packed elements.
    fn around(&self) -> (usize, usize) {
        (usize::from(self.padding == Padding::FirstByte), usize::from(self.padding == Padding::LastByte))
    }

    fn byte(&self, byte: u8) -> u8 {
        if self.reversed { byte.reverse_bits() } else { byte }
    }

    /// Unpacks components after skipping `skip` bits, at most 7.
    fn unpack(&self, packed: &[u8], skip: u32, elements: &mut [u8]) -> Result<()> {
        let size = self.total((elements.len() / self.size) as u64 / self.components);
        let size = size.and_then(|bits| bits.checked_add(skip.into())).map(|bits| bits.div_ceil(8));
        if size != Some(packed.len() as u64) {
            return Err(Error::corrupt(format!("{} bytes are not the size of the packed elements", packed.len())));
        }
        match self.size {
            1 => self.unpack_words(packed, skip, elements, |bits| [bits as u8]),
            2 => self.unpack_words(packed, skip, elements, |bits| (bits as u16).to_ne_bytes()),
            4 => self.unpack_words(packed, skip, elements, |bits| (bits as u32).to_ne_bytes()),
            _ => self.unpack_words(packed, skip, elements, u64::to_ne_bytes),
        }
        Ok(())
    }

    fn unpack_words<const N: usize>(&self, packed: &[u8], skip: u32, elements: &mut [u8], word: fn(u64) -> [u8; N]) {
        let (mut next, mut have, mut window) = (packed.iter(), 0, 0_u128);
        let (kept, mask, all) = (self.kept, ones(self.kept), ones(self.bits));
        let sign = if self.kind == Kind::Int { 1 << (kept - 1) } else { 0 };
        let mut skip = skip;
        for element in elements.as_chunks_mut().0 {
            while have < kept + skip {
                window |= u128::from(self.byte(next.next().copied().unwrap_or(0))) << have;
                have += 8;
            }
            let bits = (window >> skip) as u64 & mask;
            window >>= kept + skip;
            have -= kept + skip;
            skip = 0;
            // Extend the sign.
            let bits = (bits ^ sign).wrapping_sub(sign);
            *element = word(bits << self.first & all);
        }
    }

    fn pack_words<const N: usize>(&self, elements: &[u8], packed: &mut [u8], number: fn([u8; N]) -> u64) {
        let (mut next, mut have, mut window) = (packed.iter_mut(), 0, 0_u128);
        let mut push = |byte: u8| {
            if let Some(into) = next.next() {
                *into = self.byte(byte);
            }
        };
        for element in elements.as_chunks().0 {
            let bits = number(*element);
            let bits = if self.kind == Kind::Bool { u64::from(bits != 0) } else { bits };
            window |= u128::from(bits >> self.first & ones(self.kept)) << have;
            have += self.kept;
            while have >= 8 {
                push(window as u8);
                window >>= 8;
                have -= 8;
            }
        }
        if have > 0 {
            push(window as u8);
        }
    }
}

/// Returns a mask of the lowest bits.
fn ones(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

impl ArrayToBytes for PackBits {
    fn encoded_size(&self, shape: &[u64]) -> Size {
        let bits = product(shape).and_then(|count| self.total(count)).unwrap_or(u64::MAX);
        let (before, after) = self.around();
        Size::Exact(bits.div_ceil(8).saturating_add((before + after) as u64))
    }

    fn decode(&self, encoded: &[u8], shape: &[u64], decoded: &mut [u8]) -> Result<()> {
        let size = self.encoded_size(shape).bound();
        if encoded.len() as u64 != size {
            return Err(Error::corrupt(format!("{} bytes instead of {size}", encoded.len())));
        }
        let (before, after) = self.around();
        let packed = &encoded[before..encoded.len() - after];
        let padding = match self.padding {
            Padding::None => None,
            Padding::FirstByte => encoded.first(),
            Padding::LastByte => encoded.last(),
        };
        let bits = product(shape).and_then(|count| self.total(count)).unwrap_or(u64::MAX);
        let expected = (packed.len() as u64 * 8).wrapping_sub(bits);
        match padding {
            Some(padding) if u64::from(*padding) != expected => {
                Err(Error::corrupt(format!("{padding} bits of padding instead of {expected}")))
            }
            _ => self.unpack(packed, 0, decoded),
        }
    }

    fn encode(&self, decoded: &[u8], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        let size = to_usize(self.encoded_size(shape).bound())?;
        let (before, after) = self.around();
        let bits = self.total((decoded.len() / self.size) as u64 / self.components);
        if bits.map(|bits| bits.div_ceil(8)) != Some((size - before - after) as u64) {
            return Err(Error::selection(format!("{} bytes are not the size of the chunk", decoded.len())));
        }
        let padding = ((size - before - after) as u64 * 8 - bits.unwrap_or(0)) as u8;
        append(encoded, size, |encoded| {
            match self.padding {
                Padding::None => {}
                Padding::FirstByte => encoded[0] = padding,
                Padding::LastByte => encoded[size - 1] = padding,
            }
            let packed = &mut encoded[before..size - after];
            match self.size {
                1 => self.pack_words(decoded, packed, |[byte]| byte.into()),
                2 => self.pack_words(decoded, packed, |word| u16::from_ne_bytes(word).into()),
                4 => self.pack_words(decoded, packed, |word| u32::from_ne_bytes(word).into()),
                _ => self.pack_words(decoded, packed, u64::from_ne_bytes),
            }
            Ok(size)
        })?;
        Ok(())
    }

    fn part(&self, first: u64, count: u64, shape: &[u64]) -> Option<Range<u64>> {
        // The padding has to be checked.
        if self.padding != Padding::None {
            return None;
        }
        let end = first.checked_add(count).filter(|end| product(shape).is_some_and(|total| *end <= total))?;
        Some(self.total(first)? / 8..self.total(end)?.div_ceil(8))
    }

    fn decode_part(&self, part: &[u8], first: u64, decoded: &mut [u8]) -> Result<()> {
        let skip = self.total(first).ok_or_else(|| Error::corrupt(format!("element {first} is out of range")))? % 8;
        self.unpack(part, skip as u32, decoded)
    }

    fn leaves_array(&self) -> bool {
        self.reversed
    }
}
