//! How fill values are spelled in JSON.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/data-types/index.html#permitted-fill-values>

use half::f16;
use serde_json::Value;

use crate::base64;
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::fill_value::FillValue;
use crate::json::{list, show};

/// Reads a fill value as Zarr V3 spells it.
pub fn fill_value_from_json(value: &Value, data_type: &DataType) -> Result<FillValue> {
    let word = data_type.size().min(16);
    let bytes = match data_type.kind() {
        Kind::Bool => value.as_bool().map(|set| vec![u8::from(set)]).ok_or_else(|| mismatch(value, data_type))?,
        Kind::Int | Kind::UInt => integer(value, data_type)?,
        Kind::Float => float(value, word).ok_or_else(|| mismatch(value, data_type))?,
        Kind::Complex => complex(value, data_type)?,
        Kind::Raw => raw(value, data_type)?,
        Kind::String => {
            value.as_str().map(|text| text.as_bytes().to_vec()).ok_or_else(|| mismatch(value, data_type))?
        }
        _ => return Err(Error::unsupported(format!("fill values of {data_type}"))),
    };
    Ok(FillValue::new(bytes))
}

/// Spells a fill value for Zarr V3 so that it is read back bit by bit.
pub fn fill_value_to_json(fill_value: &FillValue, data_type: &DataType) -> Value {
    let bytes = fill_value.bytes();
    match data_type.kind() {
        Kind::Bool => Value::Bool(bytes.iter().any(|byte| *byte != 0)),
        Kind::Int => (bits(bytes) as i64 >> shift(bytes.len())).into(),
        Kind::UInt => (bits(bytes) >> shift(bytes.len())).into(),
        Kind::Float => float_to_json(bytes),
        Kind::Complex => bytes.chunks(data_type.word()).map(float_to_json).collect(),
        Kind::String => String::from_utf8_lossy(bytes).into(),
        _ => bytes.iter().copied().collect(),
    }
}

fn mismatch(value: &Value, data_type: &DataType) -> Error {
    Error::metadata(format!("{} is not a value of {data_type}", show(value)))
}

/// The low `size` bytes of a number, native-endian.
fn native(number: u64, size: usize) -> Vec<u8> {
    let bytes = number.to_ne_bytes();
    if cfg!(target_endian = "big") { bytes[8 - size..].to_vec() } else { bytes[..size].to_vec() }
}

/// A number of up to eight native-endian bytes, in the high bits.
fn bits(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (k, byte) in bytes.iter().take(8).enumerate() {
        word[if cfg!(target_endian = "big") { k } else { 8 - bytes.len().min(8) + k }] = *byte;
    }
    u64::from_ne_bytes(word)
}

/// How far the number that [`bits`] made out of so many bytes is too high.
fn shift(size: usize) -> usize {
    64 - 8 * size.clamp(1, 8)
}

/// Integers may be written with a fraction of zero, as some writers do, where that leaves no doubt of the value.
fn integer(value: &Value, data_type: &DataType) -> Result<Vec<u8>> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i128);
    let Value::Number(number) = value else { return Err(mismatch(value, data_type)) };
    let number =
        number.as_i64().map(i128::from).or(number.as_u64().map(i128::from)).or(number.as_f64().and_then(whole));
    let size = data_type.size();
    let range = match data_type.kind() {
        Kind::Int => -(1i128 << (8 * size - 1))..1 << (8 * size - 1),
        _ => 0..1 << (8 * size),
    };
    match number {
        Some(number) if range.contains(&number) => Ok(native(number as u64, size)),
        _ => Err(mismatch(value, data_type)),
    }
}

fn float(value: &Value, size: usize) -> Option<Vec<u8>> {
    let bits = match value {
        Value::Number(number) => {
            let number = number.as_f64()?;
            let bits = float_bits(number, size)?;
            // Finite numbers that do not fit are refused rather than made infinite.
            (float_value(bits, size)?.is_finite()).then_some(bits)?
        }
        Value::String(text) => match &**text {
            "NaN" => canonical_nan(size)?,
            "Infinity" => float_bits(f64::INFINITY, size)?,
            "-Infinity" => float_bits(f64::NEG_INFINITY, size)?,
            _ => hex(text, size)?,
        },
        _ => return None,
    };
    Some(native(bits, size))
}

fn hex(text: &str, size: usize) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    let all_hex = digits.len() == 2 * size && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if all_hex { u64::from_str_radix(digits, 16).ok() } else { None }
}

fn canonical_nan(size: usize) -> Option<u64> {
    match size {
        2 => Some(0x7e00),
        4 => Some(0x7fc0_0000),
        8 => Some(0x7ff8_0000_0000_0000),
        _ => None,
    }
}

fn float_bits(number: f64, size: usize) -> Option<u64> {
    match size {
        2 => Some(f16::from_f64(number).to_bits().into()),
        4 => Some((number as f32).to_bits().into()),
        8 => Some(number.to_bits()),
        _ => None,
    }
}

fn float_value(bits: u64, size: usize) -> Option<f64> {
    match size {
        2 => Some(f16::from_bits(bits as u16).to_f64()),
        4 => Some(f32::from_bits(bits as u32).into()),
        8 => Some(f64::from_bits(bits)),
        _ => None,
    }
}

fn float_to_json(bytes: &[u8]) -> Value {
    let size = bytes.len();
    let bits = bits(bytes) >> shift(size);
    match float_value(bits, size) {
        _ if canonical_nan(size) == Some(bits) => "NaN".into(),
        Some(f64::INFINITY) => "Infinity".into(),
        Some(f64::NEG_INFINITY) => "-Infinity".into(),
        Some(number) if number.is_finite() => number.into(),
        _ => format!("0x{bits:0width$x}", width = 2 * size).into(),
    }
}

fn complex(value: &Value, data_type: &DataType) -> Result<Vec<u8>> {
    let part = |value| float(value, data_type.word());
    let parts = match value.as_array().map(Vec::as_slice) {
        Some([re, im]) => part(re).zip(part(im)),
        _ => None,
    };
    parts.map(|(re, im)| [re, im].concat()).ok_or_else(|| mismatch(value, data_type))
}

fn raw(value: &Value, data_type: &DataType) -> Result<Vec<u8>> {
    let bytes = match value {
        Value::String(text) => base64::decode(text),
        _ => list(value)?.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect(),
    };
    bytes.filter(|bytes| bytes.len() == data_type.size()).ok_or_else(|| mismatch(value, data_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, data_type: &str) -> Result<FillValue> {
        fill_value_from_json(&serde_json::from_str(text).unwrap(), &DataType::from_name(data_type).unwrap())
    }

    #[test]
    fn every_spelling_is_read() {
        let float32 = |bits: u32| bits.to_ne_bytes().to_vec();
        let two = |re: u32, im: u32| [re.to_ne_bytes(), im.to_ne_bytes()].concat();
        for (text, data_type, bytes) in [
            ("true", "bool", vec![1]),
            ("-128", "int8", vec![0x80]),
            ("1.0", "int16", 1i16.to_ne_bytes().to_vec()),
            ("-9223372036854775808", "int64", i64::MIN.to_ne_bytes().to_vec()),
            ("18446744073709551615", "uint64", u64::MAX.to_ne_bytes().to_vec()),
            ("9007199254740993", "int64", 9_007_199_254_740_993i64.to_ne_bytes().to_vec()),
            ("-0.0", "float32", float32(0x8000_0000)),
            ("2", "float32", float32(0x4000_0000)),
            ("\"NaN\"", "float32", float32(0x7fc0_0000)),
            ("\"-Infinity\"", "float32", float32(0xff80_0000)),
            ("\"0x7fa00001\"", "float32", float32(0x7fa0_0001)),
            ("\"0x7D00\"", "float16", 0x7d00u16.to_ne_bytes().to_vec()),
            ("65504", "float16", 0x7bffu16.to_ne_bytes().to_vec()),
            ("2049", "float16", 0x6800u16.to_ne_bytes().to_vec()),
            ("\"0x7ff4000000000001\"", "float64", 0x7ff4_0000_0000_0001u64.to_ne_bytes().to_vec()),
            ("[1.5, \"0x7fa00001\"]", "complex64", two(0x3fc0_0000, 0x7fa0_0001)),
            ("[\"Infinity\", \"NaN\"]", "complex64", two(0x7f80_0000, 0x7fc0_0000)),
            ("[1, 255]", "r16", vec![1, 255]),
            ("\"Af8=\"", "r16", vec![1, 255]),
        ] {
            assert_eq!(read(text, data_type).unwrap().bytes(), bytes, "{text} {data_type}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, data_type) in [
            ("null", "float32"),
            ("0", "bool"),
            ("\"true\"", "bool"),
            ("true", "int8"),
            ("128", "int8"),
            ("-1", "uint8"),
            ("256", "uint8"),
            ("1.5", "int32"),
            ("\"1\"", "int32"),
            ("18446744073709551616", "uint64"),
            ("-9223372036854775809", "int64"),
            ("1e30", "int64"),
            ("1e39", "float32"),
            ("65520", "float16"),
            ("\"nan\"", "float32"),
            ("\"0x7fc000\"", "float32"),
            ("\"0x7fc000000\"", "float32"),
            ("\"7fc00000\"", "float32"),
            ("\"0x+fc00000\"", "float32"),
            ("\"0xzz000000\"", "float32"),
            ("\"0x00\"", "int8"),
            ("[0]", "int32"),
            ("1.0", "complex64"),
            ("[1.0]", "complex64"),
            ("[1, 2, 3]", "complex64"),
            ("[\"0x00\", 0]", "complex64"),
            ("[1]", "r16"),
            ("[1, 256]", "r16"),
            ("\"AA==\"", "r16"),
            ("0", "r8"),
            ("{}", "float64"),
        ] {
            let error = read(text, data_type).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidMetadata, "{text} {data_type}");
        }
    }

    #[test]
    fn fill_values_are_read_back_bit_by_bit() {
        let patterns = [
            0u64,
            u64::MAX,
            0x8000_0000_0000_0000,
            0x0123_4567_89ab_cdef,
            0x7ff0_7f80_7c00_0001,
            0x7fa0_0001_7fa0_0001,
        ];
        for data_type in DataType::all().chain([DataType::from_name("r24").unwrap()]) {
            for pattern in patterns {
                let mut bytes = [pattern.to_ne_bytes(), pattern.rotate_left(16).to_ne_bytes()].concat();
                bytes.truncate(data_type.size());
                if data_type.kind() == Kind::Bool {
                    bytes[0] &= 1;
                }
                let json = fill_value_to_json(&FillValue::new(bytes.clone()), &data_type);
                assert_eq!(fill_value_from_json(&json, &data_type).unwrap().bytes(), bytes, "{json} {data_type}");
            }
        }
        let spelled = |text, data_type| {
            fill_value_to_json(&read(text, data_type).unwrap(), &DataType::from_name(data_type).unwrap()).to_string()
        };
        assert_eq!(spelled("0.1", "float32"), "0.10000000149011612");
        assert_eq!(spelled("\"0x7fc00000\"", "float32"), "\"NaN\"");
        assert_eq!(spelled("\"0x7fc00001\"", "float32"), "\"0x7fc00001\"");
        assert_eq!(spelled("-1", "int16"), "-1");
        assert_eq!(spelled("[\"Infinity\", -0.0]", "complex128"), "[\"Infinity\",-0.0]");
    }
}
