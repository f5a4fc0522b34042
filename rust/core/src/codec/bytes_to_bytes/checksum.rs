//! `crc32`, `adler32`, `fletcher32` and `jenkins_lookup3`: add a checksum of four bytes.
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
//! The first two are at the start by default, the last two always at the end. `prefix` is summed before the bytes, and
//! not stored.

use serde::Deserialize;

use super::crc32c::{Checksum, Location, read_location};
use crate::codec::{Codec, Configuration, NoConfiguration, configure};
use crate::data_type::DataType;
use crate::error::Result;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JenkinsConfiguration {
    #[serde(default)]
    initval: u32,
    prefix: Option<Vec<u8>>,
}

pub(super) fn create_crc32(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let location = read_location(configuration, Location::Start)?;
    Ok(Checksum { name: "crc32", location, sum: Box::new(libdeflater::crc32) }.into())
}

pub(super) fn create_adler32(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let location = read_location(configuration, Location::Start)?;
    Ok(Checksum { name: "adler32", location, sum: Box::new(libdeflater::adler32) }.into())
}

pub(super) fn create_fletcher32(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    configure::<NoConfiguration>(configuration)?;
    Ok(Checksum { name: "fletcher32", location: Location::End, sum: Box::new(fletcher32) }.into())
}

pub(super) fn create_jenkins(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let JenkinsConfiguration { initval: seed, prefix } = configure(configuration)?;
    let prefix = prefix.unwrap_or_default();
    let sum =
        Box::new(
            move |bytes: &[u8]| {
                if prefix.is_empty() { jenkins(seed, bytes) } else { jenkins(seed, &[&prefix, bytes].concat()) }
            },
        );
    Ok(Checksum { name: "jenkins_lookup3", location: Location::End, sum }.into())
}

/// Returns Fletcher's checksum of big-endian words of two bytes, as HDF5 computes it: an odd last byte is the upper one
/// of a word, and a sum that is a multiple of 65535 may be 65535 instead of 0.
fn fletcher32(bytes: &[u8]) -> u32 {
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let (words, odd) = bytes.as_chunks::<2>();
    let (mut first, mut second) = (0u32, 0u32);
    // The second sum cannot overflow within 360 words.
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

/// Returns Bob Jenkins' checksum `lookup3`. It mixes blocks of 12 bytes; the last 1 to 12 bytes are mixed differently.
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
