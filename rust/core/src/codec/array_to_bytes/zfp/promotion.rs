//! Promotion of data types that zfp lacks to those that it has.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/zfp>, section "Compression". It
//! does not cover unsigned integers of 32 and 64 bits. As in zarrs, these are reinterpreted as signed, and larger numbers
//! cannot be encoded.

use half::{bf16, f16};
use zfp_rs::ZfpScalarType;

use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};

/// How a number is promoted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Promotion {
    /// Not at all.
    None(ZfpScalarType),
    /// Signed integers of `bits` bits in `size` bytes: shifted to the top of 31 bits.
    Signed { bits: usize, size: usize },
    /// Unsigned integers: the middle of their range becomes zero.
    Unsigned { bits: usize, size: usize },
    /// Unsigned integers that are reinterpreted as signed.
    Half(ZfpScalarType),
    /// `float16`.
    Float16,
    /// `bfloat16`.
    BFloat16,
}

impl Promotion {
    /// Returns the promotion of a data type; `None` if zfp cannot encode it.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        let (bits, size) = (data_type.bits(), data_type.size());
        match (data_type.kind(), bits) {
            (Kind::Int, 32) => Some(Self::None(ZfpScalarType::I32)),
            (Kind::Int | Kind::DateTime | Kind::TimeDelta, 64) => Some(Self::None(ZfpScalarType::I64)),
            (Kind::Float, 32) => Some(Self::None(ZfpScalarType::F32)),
            (Kind::Float, 64) => Some(Self::None(ZfpScalarType::F64)),
            (Kind::Int, 1..=16) => Some(Self::Signed { bits, size }),
            (Kind::UInt, 1..=16) => Some(Self::Unsigned { bits, size }),
            (Kind::UInt, 32) => Some(Self::Half(ZfpScalarType::I32)),
            (Kind::UInt, 64) => Some(Self::Half(ZfpScalarType::I64)),
            (Kind::Float, 16) if data_type.name() == "float16" => Some(Self::Float16),
            (Kind::Float, 16) if data_type.name() == "bfloat16" => Some(Self::BFloat16),
            _ => None,
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None(_))
    }

    /// Returns the type that zfp encodes.
    pub(crate) fn scalar(self) -> ZfpScalarType {
        match self {
            Self::None(scalar) | Self::Half(scalar) => scalar,
            Self::Signed { .. } | Self::Unsigned { .. } => ZfpScalarType::I32,
            Self::Float16 | Self::BFloat16 => ZfpScalarType::F32,
        }
    }

    /// Returns the item size in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::None(scalar) | Self::Half(scalar) => match scalar {
                ZfpScalarType::I32 | ZfpScalarType::F32 => 4,
                ZfpScalarType::I64 | ZfpScalarType::F64 => 8,
            },
            Self::Signed { size, .. } | Self::Unsigned { size, .. } => size,
            Self::Float16 | Self::BFloat16 => 2,
        }
    }

    /// Promotes elements.
    pub(crate) fn promote(self, elements: &[u8], promoted: &mut [u8]) -> Result<()> {
        match self {
            Self::None(_) => promoted.copy_from_slice(elements),
            Self::Half(_) => {
                // The first or the last byte has the top bit.
                let (size, top) = (self.size(), if cfg!(target_endian = "big") { 0 } else { self.size() - 1 });
                if let Some(k) = elements.chunks_exact(size).position(|element| element[top] >= 0x80) {
                    let largest = (1_u64 << (8 * size - 1)) - 1;
                    return Err(Error::unsupported(format!(
                        "zfp: cannot encode element {k}: it is larger than {largest}"
                    )));
                }
                promoted.copy_from_slice(elements);
            }
            Self::Signed { bits, size } => {
                for (element, into) in elements.chunks_exact(size).zip(promoted.as_chunks_mut().0) {
                    *into = (signed(element) << (31 - bits)).to_ne_bytes();
                }
            }
            Self::Unsigned { bits, size } => {
                for (element, into) in elements.chunks_exact(size).zip(promoted.as_chunks_mut().0) {
                    *into = ((unsigned(element) - (1 << (bits - 1))) << (31 - bits)).to_ne_bytes();
                }
            }
            Self::Float16 => {
                for (element, into) in elements.as_chunks().0.iter().zip(promoted.as_chunks_mut().0) {
                    *into = f16::from_ne_bytes(*element).to_f32().to_ne_bytes();
                }
            }
            Self::BFloat16 => {
                for (element, into) in elements.as_chunks().0.iter().zip(promoted.as_chunks_mut().0) {
                    *into = bf16::from_ne_bytes(*element).to_f32().to_ne_bytes();
                }
            }
        }
        Ok(())
    }

    /// Undoes the promotion. Numbers outside of the range become its ends.
    pub(crate) fn demote(self, promoted: &[u8], elements: &mut [u8]) {
        let integers = promoted.as_chunks().0.iter().map(|number| i32::from_ne_bytes(*number));
        let floats = promoted.as_chunks().0.iter().map(|number| f32::from_ne_bytes(*number));
        match self {
            Self::None(_) => elements.copy_from_slice(promoted),
            Self::Half(ZfpScalarType::I32) => {
                for (number, into) in integers.zip(elements.as_chunks_mut().0) {
                    *into = number.max(0).to_ne_bytes();
                }
            }
            Self::Half(_) => {
                for (number, into) in promoted.as_chunks().0.iter().zip(elements.as_chunks_mut().0) {
                    *into = i64::from_ne_bytes(*number).max(0).to_ne_bytes();
                }
            }
            Self::Signed { bits, size } => {
                let (low, high) = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
                for (number, into) in integers.zip(elements.chunks_exact_mut(size)) {
                    put((number >> (31 - bits)).clamp(low, high), into);
                }
            }
            Self::Unsigned { bits, size } => {
                for (number, into) in integers.zip(elements.chunks_exact_mut(size)) {
                    put(((number >> (31 - bits)) + (1 << (bits - 1))).clamp(0, (1 << bits) - 1), into);
                }
            }
            Self::Float16 => {
                for (number, into) in floats.zip(elements.as_chunks_mut().0) {
                    *into = f16::from_f32(number).to_ne_bytes();
                }
            }
            Self::BFloat16 => {
                for (number, into) in floats.zip(elements.as_chunks_mut().0) {
                    *into = bf16::from_f32(number).to_ne_bytes();
                }
            }
        }
    }
}

/// Reads a number of one or two bytes.
fn signed(element: &[u8]) -> i32 {
    match element {
        [a, b] => i16::from_ne_bytes([*a, *b]).into(),
        _ => i32::from(element[0].cast_signed()),
    }
}

fn unsigned(element: &[u8]) -> i32 {
    match element {
        [a, b] => u16::from_ne_bytes([*a, *b]).into(),
        _ => element[0].into(),
    }
}

/// Writes the low bits of a number to one or two bytes.
fn put(number: i32, element: &mut [u8]) {
    match element {
        [_, _] => element.copy_from_slice(&(number as i16).to_ne_bytes()),
        _ => element[0] = number as u8,
    }
}
