//! `crc32`, `adler32`, `fletcher32` and `jenkins_lookup3`: four bytes, before the others or behind them, that tell
//! whether they are damaged.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/checksum32.html>; the last two are those of HDF5,
//! <https://github.com/HDFGroup/hdf5/blob/develop/src/H5checksum.c>
//!
//! ```json
//! {"name": "crc32", "configuration": {"location": "start"}}
//! {"name": "adler32", "configuration": {"location": "start"}}
//! {"name": "fletcher32"}
//! {"name": "jenkins_lookup3", "configuration": {"initval": 0, "prefix": null}}
//! ```
//!
//! The first two stand at the start unless it is said otherwise, the last two always at the end. The checksum itself is
//! little-endian everywhere. `crc32c` has a file of its own.

use std::sync::Arc;

use serde::Deserialize;

use super::sizes::{extend, fill};
use crate::codec::{BytesToBytes, Codec, Configuration, NoConfiguration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

/// Where a checksum stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Location {
    Start,
    End,
}

#[derive(Debug)]
enum Sum {
    Crc32,
    Adler32,
    Fletcher32,
    Jenkins {
        seed: u32,
        /// What is summed before the bytes, and not stored.
        prefix: Vec<u8>,
    },
}

#[derive(Debug)]
struct Checksum {
    name: &'static str,
    location: Location,
    sum: Sum,
}

/// A configuration that may say so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Located {
    pub(super) location: Option<Location>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seeded {
    #[serde(default)]
    initval: u32,
    prefix: Option<Vec<u8>>,
}

pub(super) fn create_crc32(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let location = configure::<Located>(configuration)?.location.unwrap_or(Location::Start);
    Ok(create("crc32", location, Sum::Crc32))
}

pub(super) fn create_adler32(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let location = configure::<Located>(configuration)?.location.unwrap_or(Location::Start);
    Ok(create("adler32", location, Sum::Adler32))
}

pub(super) fn create_fletcher32(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    configure::<NoConfiguration>(configuration)?;
    Ok(create("fletcher32", Location::End, Sum::Fletcher32))
}

pub(super) fn create_jenkins(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let Seeded { initval: seed, prefix } = configure(configuration)?;
    let sum = Sum::Jenkins { seed, prefix: prefix.unwrap_or_default() };
    Ok(create("jenkins_lookup3", Location::End, sum))
}

fn create(name: &'static str, location: Location, sum: Sum) -> Codec {
    Codec::BytesToBytes(Arc::new(Checksum { name, location, sum }))
}

const CHECKSUM: usize = 4;

impl Location {
    /// The checksum and the bytes it stands at; `None`: there are too few.
    pub(super) fn split(self, encoded: &[u8]) -> Option<(u32, &[u8])> {
        let (stored, decoded) = match self {
            Self::Start => encoded.split_first_chunk::<CHECKSUM>()?,
            Self::End => encoded.split_last_chunk::<CHECKSUM>().map(|(decoded, stored)| (stored, decoded))?,
        };
        Some((u32::from_le_bytes(*stored), decoded))
    }

    /// Puts bytes with their checksum behind `encoded`.
    pub(super) fn join(self, sum: u32, decoded: &[u8], encoded: &mut Vec<u8>) {
        let sum = sum.to_le_bytes();
        let [first, second] = match self {
            Self::Start => [&sum[..], decoded],
            Self::End => [decoded, &sum[..]],
        };
        // Not twice as much for the sake of four bytes.
        encoded.reserve_exact(first.len() + second.len());
        encoded.extend_from_slice(first);
        encoded.extend_from_slice(second);
    }
}

impl Sum {
    fn of(&self, bytes: &[u8]) -> u32 {
        match self {
            Self::Crc32 => libdeflater::crc32(bytes),
            Self::Adler32 => libdeflater::adler32(bytes),
            Self::Fletcher32 => fletcher32(bytes),
            Self::Jenkins { seed, prefix } if prefix.is_empty() => jenkins(*seed, bytes),
            Self::Jenkins { seed, prefix } => jenkins(*seed, &[prefix, bytes].concat()),
        }
    }
}

/// Fletcher's sum of big-endian words of two bytes, as HDF5 has it: an odd last byte is the upper one of a word, and a
/// sum that is a multiple of 65535 may be that rather than 0.
fn fletcher32(bytes: &[u8]) -> u32 {
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let (words, odd) = bytes.as_chunks::<2>();
    let (mut first, mut second) = (0u32, 0u32);
    // The second sum of more words than these would not fit.
    for words in words.chunks(360) {
        for word in words {
            first += u32::from(u16::from_be_bytes(*word));
            second += first;
        }
        (first, second) = (fold(first), fold(second));
    }
    if let [byte] = odd {
        first += u32::from(*byte) << 8;
        second += first;
        (first, second) = (fold(first), fold(second));
    }
    fold(second) << 16 | fold(first)
}

/// Bob Jenkins' `lookup3`, of 12 bytes at a time; the last 1 to 12 are mixed in another way.
fn jenkins(seed: u32, bytes: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(bytes.len() as u32).wrapping_add(seed);
    let mut state = [start; 3];
    let (whole, last) = bytes.split_at(bytes.len().saturating_sub(1) / 12 * 12);
    for block in whole.as_chunks::<12>().0 {
        let [mut a, mut b, mut c] = add(state, block);
        for rotations in [[4, 6, 8], [16, 19, 4]] {
            a = a.wrapping_sub(c) ^ c.rotate_left(rotations[0]);
            c = c.wrapping_add(b);
            b = b.wrapping_sub(a) ^ a.rotate_left(rotations[1]);
            a = a.wrapping_add(c);
            c = c.wrapping_sub(b) ^ b.rotate_left(rotations[2]);
            b = b.wrapping_add(a);
        }
        state = [a, b, c];
    }
    if last.is_empty() {
        return start;
    }
    let mut block = [0; 12];
    block[..last.len()].copy_from_slice(last);
    let [mut a, mut b, mut c] = add(state, &block);
    let mix = |to: u32, from: u32, rotation| (to ^ from).wrapping_sub(from.rotate_left(rotation));
    c = mix(c, b, 14);
    a = mix(a, c, 11);
    b = mix(b, a, 25);
    c = mix(c, b, 16);
    a = mix(a, c, 4);
    b = mix(b, a, 14);
    mix(c, b, 24)
}

/// Adds the three words of a block.
fn add(state: [u32; 3], block: &[u8; 12]) -> [u32; 3] {
    let words = block.as_chunks::<4>().0;
    std::array::from_fn(|at| state[at].wrapping_add(u32::from_le_bytes(words[at])))
}

impl Checksum {
    fn check<'a>(&self, encoded: &'a [u8], validate: bool) -> Result<&'a [u8]> {
        let name = self.name;
        let Some((stored, decoded)) = self.location.split(encoded) else {
            return Err(Error::corrupt(format!("{name}: {} bytes hold no checksum", encoded.len())));
        };
        if validate && self.sum.of(decoded) != stored {
            return Err(Error::corrupt(format!("{name}: the checksum does not match")));
        }
        Ok(decoded)
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
        fill(self.name, self.check(encoded, true)?, decoded)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        extend(self.name, self.check(encoded, true)?, limit, decoded)
    }

    fn strip<'a>(&self, encoded: &'a [u8], validate: bool) -> Result<Option<&'a [u8]>> {
        self.check(encoded, validate).map(Some)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        self.location.join(self.sum.of(decoded), decoded, encoded);
        Ok(())
    }
}
