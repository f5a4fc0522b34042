//! `bitround`: rounds numbers to fewer significant bits, so that they compress better. Decoding changes nothing.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/bitround>
//!
//! ```json
//! {"name": "bitround", "configuration": {"keepbits": 10}}
//! ```
//!
//! `keepbits` counts bits of the fraction of floating-point numbers, and bits from the highest set one of integers.
//! Ties round to even. NaN and `NaT` are kept.

use std::sync::Arc;

use serde::Deserialize;

use crate::codec::{ArrayToArray, Codec, Configuration, configure};
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};

#[derive(Debug)]
struct BitRound {
    data_type: DataType,
    keep: u32,
    word: Word,
}

#[derive(Clone, Copy, Debug)]
enum Word {
    /// The number of dropped bits of the fraction, and the bits of infinity.
    Float {
        drop: u32,
        infinity: u64,
    },
    /// The number of bits, and whether the smallest integer is `NaT`.
    Int {
        bits: u32,
        time: bool,
    },
    UInt {
        bits: u32,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BitRoundConfiguration {
    keepbits: u32,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let BitRoundConfiguration { keepbits: keep } = configure(configuration)?;
    let bits = 8 * data_type.word() as u32;
    let whole = data_type.size() * 8 == data_type.bits();
    let word = match data_type.kind() {
        Kind::Float | Kind::Complex if bits >= 16 => {
            let fraction = match data_type.name() {
                "bfloat16" => 7,
                _ => [10, 23, 52][(bits / 32) as usize],
            };
            if keep > fraction {
                return Err(Error::metadata(format!("keepbits {keep}: a {data_type} has {fraction} bits of fraction")));
            }
            Word::Float { drop: fraction - keep, infinity: (1 << (bits - 1)) - (1 << fraction) }
        }
        Kind::Int if whole => Word::Int { bits, time: false },
        Kind::DateTime | Kind::TimeDelta => Word::Int { bits, time: true },
        Kind::UInt if whole => Word::UInt { bits },
        _ => return Err(Error::unsupported(format!("cannot round elements of {data_type}"))),
    };
    if keep == 0 && !matches!(word, Word::Float { .. }) {
        return Err(Error::metadata("keepbits must be at least 1 for integers"));
    }
    Ok(Codec::ArrayToArray(Arc::new(BitRound { data_type: data_type.clone(), keep, word })))
}

impl BitRound {
    fn round(&self, bits: u64) -> u64 {
        match self.word {
            Word::Float { drop, infinity } => {
                let nan = bits & self.not_sign() > infinity;
                if drop == 0 || nan {
                    bits
                } else {
                    (bits + ((bits >> drop) & 1) + (1 << (drop - 1)) - 1) >> drop << drop
                }
            }
            Word::UInt { bits: width } => self.magnitude(bits, u64::MAX >> (64 - width)),
            Word::Int { bits: width, time } => {
                let number = (bits << (64 - width)).cast_signed() >> (64 - width);
                if time && number == i64::MIN {
                    return bits;
                }
                let largest = (u64::MAX >> (65 - width)) + u64::from(number < 0);
                let rounded = self.magnitude(number.unsigned_abs(), largest);
                if number < 0 { rounded.wrapping_neg() } else { rounded }
            }
        }
    }

    /// Returns a mask of all bits but the sign.
    fn not_sign(&self) -> u64 {
        u64::MAX >> (65 - 8 * self.data_type.word())
    }

    /// Rounds a number, downwards if it would exceed `largest`.
    fn magnitude(&self, number: u64, largest: u64) -> u64 {
        let drop = (64 - number.leading_zeros()).saturating_sub(self.keep);
        if drop == 0 {
            return number;
        }
        let (kept, half, rest) = (number >> drop, 1 << (drop - 1), number & (u64::MAX >> (64 - drop)));
        let up = u128::from(kept + u64::from(rest > half || rest == half && kept & 1 == 1)) << drop;
        if up <= u128::from(largest) { up as u64 } else { kept << drop }
    }

    fn words<const N: usize>(&self, from: &[u8], to: &mut [u8], number: fn([u8; N]) -> u64, word: fn(u64) -> [u8; N]) {
        for (into, from) in to.as_chunks_mut().0.iter_mut().zip(from.as_chunks().0) {
            *into = word(self.round(number(*from)));
        }
    }
}

impl ArrayToArray for BitRound {
    fn encoded_type(&self) -> &DataType {
        &self.data_type
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        check(encoded, decoded)?;
        decoded.copy_from_slice(encoded);
        Ok(())
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        check(decoded, encoded)?;
        match self.data_type.word() {
            2 => self.words(decoded, encoded, |word| u16::from_ne_bytes(word).into(), |n| (n as u16).to_ne_bytes()),
            4 => self.words(decoded, encoded, |word| u32::from_ne_bytes(word).into(), |n| (n as u32).to_ne_bytes()),
            8 => self.words(decoded, encoded, u64::from_ne_bytes, u64::to_ne_bytes),
            _ => self.words(decoded, encoded, |[byte]| byte.into(), |number| [number as u8]),
        }
        Ok(())
    }
}

fn check(from: &[u8], to: &[u8]) -> Result<()> {
    if from.len() == to.len() {
        return Ok(());
    }
    Err(Error::corrupt(format!("{} bytes instead of {}", from.len(), to.len())))
}
