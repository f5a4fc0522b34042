//! Real numbers of every data type, loaded into and stored from blocks of four wide types, so that codecs only handle
//! these.
//!
//! Conversions are those of NumPy; see `numpy.rs`.

use serde_json::Value;

use super::numpy::Number;
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::float::{Format, from_bf16, from_f16};
use crate::json::{integer, show};

/// A data type of real numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Real {
    Bool,
    /// Item size in bytes, and number of significant bits.
    Int(usize, u32),
    UInt(usize, u32),
    F32,
    F64,
    /// `float16`, `bfloat16` and smaller.
    Small(&'static Format),
}

/// The numbers of a block.
#[derive(Clone, Debug)]
pub(crate) enum Wide {
    I64(Vec<i64>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Wide {
    pub(crate) fn i64s(self) -> Vec<i64> {
        match self {
            Self::I64(numbers) => numbers,
            Self::U64(numbers) => numbers.into_iter().map(Number::int64).collect(),
            Self::F32(numbers) => numbers.into_iter().map(Number::int64).collect(),
            Self::F64(numbers) => numbers.into_iter().map(Number::int64).collect(),
        }
    }

    pub(crate) fn f32s(self) -> Vec<f32> {
        match self {
            Self::I64(numbers) => numbers.into_iter().map(Number::float32).collect(),
            Self::U64(numbers) => numbers.into_iter().map(Number::float32).collect(),
            Self::F32(numbers) => numbers,
            Self::F64(numbers) => numbers.into_iter().map(Number::float32).collect(),
        }
    }

    pub(crate) fn f64s(self) -> Vec<f64> {
        match self {
            Self::I64(numbers) => numbers.into_iter().map(Number::float64).collect(),
            Self::U64(numbers) => numbers.into_iter().map(Number::float64).collect(),
            Self::F32(numbers) => numbers.into_iter().map(Number::float64).collect(),
            Self::F64(numbers) => numbers,
        }
    }
}

/// Elements per block, few enough for the L1 cache.
const BLOCK: usize = 1024;

impl Real {
    /// Returns the real number type of a data type.
    pub(crate) fn of(data_type: &DataType) -> Result<Self> {
        let (size, bits) = (data_type.size(), data_type.bits() as u32);
        let real = match (data_type.kind(), data_type.name()) {
            (Kind::Bool, _) => Some(Self::Bool),
            (Kind::Int, _) => Some(Self::Int(size, bits)),
            (Kind::UInt, _) => Some(Self::UInt(size, bits)),
            (Kind::Float, "float32") => Some(Self::F32),
            (Kind::Float, "float64") => Some(Self::F64),
            (Kind::Float, name) => Format::of(name).map(Self::Small),
            _ => None,
        };
        real.ok_or_else(|| {
            Error::unsupported(format!("cannot encode elements of {data_type}: they are not real numbers"))
        })
    }

    /// Returns the item size in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Int(size, _) | Self::UInt(size, _) => size,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Small(format) => format.size(),
        }
    }

    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Self::Int(..) | Self::UInt(..))
    }

    pub(crate) fn is_half(self) -> bool {
        matches!(self, Self::Small(format) if format.name == "float16")
    }

    /// Whether NumPy has the type without extensions.
    pub(crate) fn is_numpy(self) -> bool {
        match self {
            Self::Int(size, bits) | Self::UInt(size, bits) => size * 8 == bits as usize,
            Self::Small(_) => self.is_half(),
            _ => true,
        }
    }

    /// Returns the smallest and largest integer.
    pub(crate) fn range(self) -> (i128, i128) {
        match self {
            Self::Int(_, bits) => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            Self::UInt(_, bits) => (0, (1 << bits) - 1),
            _ => (0, 1),
        }
    }

    /// Returns the type in which NumPy computes with numbers of two types.
    pub(crate) fn common(self, other: Self) -> Self {
        let float = |float: Self, bytes: usize| match bytes {
            2 if float.is_half() => Self::F32,
            1 | 2 => float,
            _ => Self::F64,
        };
        match (self, other) {
            (Self::Bool, other) | (other, Self::Bool) => other,
            (Self::Int(signed, _), Self::UInt(size, _)) | (Self::UInt(size, _), Self::Int(signed, _)) => {
                match signed.max(2 * size) {
                    16 => Self::F64,
                    size => Self::Int(size, 8 * size as u32),
                }
            }
            (a, b) if a.is_integer() != b.is_integer() => {
                let (integer, real) = if a.is_integer() { (a, b) } else { (b, a) };
                float(real, integer.size())
            }
            (a, b) if a.size() > b.size() => a,
            (_, b) => b,
        }
    }

    /// Loads a block.
    pub(crate) fn load(self, bytes: &[u8]) -> Wide {
        match self {
            Self::Bool => Wide::I64(read(bytes, |[byte]| i64::from(byte != 0))),
            Self::Int(1, bits) => {
                Wide::I64(read(bytes, |[byte]| i64::from((byte << (8 - bits)).cast_signed() >> (8 - bits))))
            }
            Self::Int(2, _) => Wide::I64(read(bytes, |word| i16::from_ne_bytes(word).into())),
            Self::Int(4, _) => Wide::I64(read(bytes, |word| i32::from_ne_bytes(word).into())),
            Self::Int(..) => Wide::I64(read(bytes, i64::from_ne_bytes)),
            Self::UInt(1, bits) => Wide::U64(read(bytes, |[byte]| u64::from(byte << (8 - bits) >> (8 - bits)))),
            Self::UInt(2, _) => Wide::U64(read(bytes, |word| u16::from_ne_bytes(word).into())),
            Self::UInt(4, _) => Wide::U64(read(bytes, |word| u32::from_ne_bytes(word).into())),
            Self::UInt(..) => Wide::U64(read(bytes, u64::from_ne_bytes)),
            Self::F32 => Wide::F32(read(bytes, f32::from_ne_bytes)),
            Self::F64 => Wide::F64(read(bytes, f64::from_ne_bytes)),
            Self::Small(format) if format.size() == 1 => Wide::F32(read(bytes, |[byte]| format.small(byte))),
            Self::Small(_) if self.is_half() => Wide::F32(read(bytes, |word| from_f16(u16::from_ne_bytes(word)))),
            Self::Small(_) => Wide::F32(read(bytes, |word| from_bf16(u16::from_ne_bytes(word)))),
        }
    }

    /// Returns the text of one element for an error.
    pub(crate) fn show(self, elements: &[u8], number: usize) -> String {
        match self.load(&elements[number * self.size()..][..self.size()]) {
            Wide::I64(numbers) => numbers[0].to_string(),
            Wide::U64(numbers) => numbers[0].to_string(),
            Wide::F32(numbers) => numbers[0].to_string(),
            Wide::F64(numbers) => numbers[0].to_string(),
        }
    }

    /// Stores a block, converted as NumPy does.
    pub(crate) fn store(self, numbers: &Wide, bytes: &mut [u8]) {
        match numbers {
            Wide::I64(numbers) => self.store_all(numbers, bytes),
            Wide::U64(numbers) => self.store_all(numbers, bytes),
            Wide::F32(numbers) => self.store_all(numbers, bytes),
            Wide::F64(numbers) => self.store_all(numbers, bytes),
        }
    }

    /// Stores a block of numbers that were loaded from type `from`.
    pub(crate) fn store_from(self, from: Self, numbers: Wide, bytes: &mut [u8]) {
        // NumPy converts float16 in another way than larger floats, which matters for infinity and NaN.
        if from.is_half() && self == Self::UInt(4, 32) {
            self.store(&Wide::I64(numbers.i64s()), bytes);
        } else {
            self.store(&numbers, bytes);
        }
    }

    fn store_all<T: Number>(self, numbers: &[T], bytes: &mut [u8]) {
        match self {
            Self::Bool => write(numbers, bytes, |number| [u8::from(number.truth())]),
            Self::Int(1, bits) | Self::UInt(1, bits) => {
                write(numbers, bytes, |number| [number.int32() as u8 & (0xff >> (8 - bits))]);
            }
            Self::Int(2, _) | Self::UInt(2, _) => write(numbers, bytes, |number| (number.int32() as u16).to_ne_bytes()),
            Self::Int(4, _) => write(numbers, bytes, |number| number.int32().to_ne_bytes()),
            Self::UInt(4, _) => write(numbers, bytes, |number| number.uint32().to_ne_bytes()),
            Self::Int(..) => write(numbers, bytes, |number| number.int64().to_ne_bytes()),
            Self::UInt(..) => write(numbers, bytes, |number| number.uint64().to_ne_bytes()),
            Self::F32 => write(numbers, bytes, |number| number.float32().to_ne_bytes()),
            Self::F64 => write(numbers, bytes, |number| number.float64().to_ne_bytes()),
            Self::Small(format) if self.is_half() => {
                write(numbers, bytes, |number| (format.encode(number.before_half()) as u16).to_ne_bytes());
            }
            // The package ml_dtypes converts every number to float32 first.
            Self::Small(format) if format.size() == 1 => {
                write(numbers, bytes, |number| [format.encode(number.float32().into()) as u8]);
            }
            Self::Small(format) => {
                write(numbers, bytes, |number| (format.encode(number.float32().into()) as u16).to_ne_bytes());
            }
        }
    }

    /// Parses a number spelled as a fill value of Zarr V3. Returns its bits.
    pub(crate) fn parse(self, value: &Value) -> Result<u64> {
        let code = match self {
            Self::Bool => value.as_bool().map(u64::from),
            Self::Int(..) | Self::UInt(..) => {
                let (low, high) = self.range();
                integer(value).filter(|number| (low..=high).contains(number)).map(|number| self.code(number))
            }
            Self::F32 => Format::of("float32").and_then(|format| format.parse(value)),
            Self::F64 => Format::of("float64").and_then(|format| format.parse(value)),
            Self::Small(format) => format.parse(value),
        };
        code.ok_or_else(|| Error::metadata(format!("{} is not a value of {self}", show(value))))
    }

    /// Returns the bits of an integer.
    pub(crate) fn code(self, number: i128) -> u64 {
        match self {
            Self::Int(_, bits) | Self::UInt(_, bits) => number as u64 & (u64::MAX >> (64 - bits)),
            _ => number as u64,
        }
    }

    /// Returns the number with these bits, as a block.
    pub(crate) fn value(self, code: u64) -> Wide {
        let mut bytes = vec![0; self.size()];
        write_codes(&[code], &mut bytes);
        self.load(&bytes)
    }
}

impl std::fmt::Display for Real {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int(_, bits) => write!(f, "int{bits}"),
            Self::UInt(_, bits) => write!(f, "uint{bits}"),
            Self::F32 => f.write_str("float32"),
            Self::F64 => f.write_str("float64"),
            Self::Small(format) => f.write_str(format.name),
        }
    }
}

/// Returns the data type that a configuration of numcodecs names (`"<f4"`, `"float32"`), or that of the array. Elements
/// are reinterpreted as it, so that the item sizes must be equal.
pub(crate) fn named_type(name: Option<&str>, decoded: &DataType) -> Result<DataType> {
    let Some(name) = name else { return Ok(decoded.clone()) };
    let code = name.strip_prefix(['<', '>', '|', '=']).unwrap_or(name);
    let data_type = DataType::from_code(code).or_else(|error| DataType::from_name(code).map_err(|_| error))?;
    if data_type.size() == decoded.size() {
        Ok(data_type)
    } else {
        Err(Error::metadata(format!("cannot reinterpret elements of {decoded} as {name:?}: the item sizes differ")))
    }
}

/// Returns the data type of encoded elements that a configuration of numcodecs names, or that of the decoded ones.
pub(crate) fn encoded_type(name: Option<&str>, decoded: &DataType) -> Result<DataType> {
    let Some(name) = name else { return Ok(decoded.clone()) };
    let code = name.strip_prefix(['<', '>', '|', '=']).unwrap_or(name);
    DataType::from_code(code).or_else(|error| DataType::from_name(code).map_err(|_| error))
}

/// Calls `step` with each pair of blocks of two slices of elements, and with the index of their first element.
pub(crate) fn blocks(
    (from, source): (Real, &[u8]),
    (to, target): (Real, &mut [u8]),
    mut step: impl FnMut(usize, &[u8], &mut [u8]) -> Result<()>,
) -> Result<()> {
    let count = source.len() / from.size();
    if source.len() != count * from.size() || Some(target.len()) != count.checked_mul(to.size()) {
        let (source, target) = (source.len(), target.len());
        return Err(Error::corrupt(format!("cannot convert {source} bytes of {from} to {target} bytes of {to}")));
    }
    let pairs = source.chunks(BLOCK * from.size()).zip(target.chunks_mut(BLOCK * to.size()));
    pairs.enumerate().try_for_each(|(k, (source, target))| step(k * BLOCK, source, target))
}

/// Converts elements as NumPy does.
pub(crate) fn cast(from: (Real, &[u8]), to: (Real, &mut [u8])) -> Result<()> {
    let (source, target) = (from.0, to.0);
    blocks(from, to, |_, from, to| {
        if source == target && source != Real::Bool {
            to.copy_from_slice(from);
            return Ok(());
        }
        target.store_from(source, source.load(from), to);
        Ok(())
    })
}

fn read<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|word| number(*word)).collect()
}

fn write<const N: usize, T: Copy>(numbers: &[T], bytes: &mut [u8], word: impl Fn(T) -> [u8; N]) {
    for (into, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
        *into = word(*number);
    }
}

/// Writes the bits of elements. Their number determines the item size.
pub(crate) fn write_codes(codes: &[u64], bytes: &mut [u8]) {
    match bytes.len() / codes.len().max(1) {
        1 => write(codes, bytes, |code| [code as u8]),
        2 => write(codes, bytes, |code| (code as u16).to_ne_bytes()),
        4 => write(codes, bytes, |code| (code as u32).to_ne_bytes()),
        _ => write(codes, bytes, u64::to_ne_bytes),
    }
}
