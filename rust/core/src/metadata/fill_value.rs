//! JSON forms of fill values.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/data-types/index.html#permitted-fill-values>, and the
//! specifications of extension data types.

use serde_json::{Map, Value};

use crate::base64;
use crate::codec::Endian;
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Place, Result};
use crate::fill_value::FillValue;
use crate::float::Format;
use crate::json::{self, list, member, show};

/// Parses a fill value as the specification of Zarr V3 spells it.
pub fn fill_value_from_json(value: &Value, data_type: &DataType) -> Result<FillValue> {
    fill_value_stored(value, data_type, Endian::Little)
}

/// Returns the value used without a fill value: zero, or `NaT` for times, as in the reference implementation of V2.
pub(super) fn no_fill_value(data_type: &DataType) -> FillValue {
    match data_type.kind() {
        Kind::DateTime | Kind::TimeDelta => FillValue::new(i64::MIN.to_ne_bytes()),
        _ => FillValue::zero(data_type),
    }
}

/// Parses the fill value of stored metadata: also a number as text or with a fraction of zero, a boolean for a number
/// and the reverse, and zero for bytes and text.
///
/// Only elements that are not stored need the fill value, so one that is not an element of the data type is returned
/// as [unknown](FillValue::unknown). Elements of variable length must have a valid one.
pub(super) fn fill_value_read(value: &Value, data_type: &DataType, stored: Endian) -> Result<FillValue> {
    let error = match fill_value_stored(value, data_type, stored) {
        Err(error) => error,
        known => return known,
    };
    if let Some(found) = respelled(value, data_type).and_then(|value| fill_value_stored(&value, data_type, stored).ok())
    {
        return Ok(found);
    }
    if data_type.is_variable() { Err(error) } else { Ok(FillValue::unknown(data_type, error.message())) }
}

/// Returns another spelling of a fill value in the one that the specification has, as NumPy would convert it; `None` if
/// there is none without a doubt.
fn respelled(value: &Value, data_type: &DataType) -> Option<Value> {
    let zero = value.as_f64() == Some(0.0);
    let zeros = || base64::encode(&vec![0; data_type.size()]);
    match (data_type.kind(), value) {
        (Kind::Bool, Value::Number(number)) => match number.as_f64()? {
            0.0 => Some(false.into()),
            1.0 => Some(true.into()),
            _ => None,
        },
        (Kind::Bool, Value::String(text)) => match &*text.trim().to_ascii_lowercase() {
            "true" | "1" | "1.0" => Some(true.into()),
            "false" | "0" | "0.0" => Some(false.into()),
            _ => None,
        },
        (Kind::Int | Kind::UInt | Kind::Float, Value::Bool(set)) => Some(u8::from(*set).into()),
        (Kind::Int | Kind::UInt | Kind::Float | Kind::DateTime | Kind::TimeDelta, Value::String(text)) => {
            number_of(text, data_type.kind())
        }
        (Kind::Complex, Value::Number(_)) => Some(vec![value.clone(), 0.0.into()].into()),
        (Kind::Complex, Value::String(text)) => Some(vec![number_of(text, Kind::Float)?, 0.0.into()].into()),
        (Kind::Complex, Value::Array(parts)) => parts
            .iter()
            .map(|part| part.as_str().map_or_else(|| Some(part.clone()), |text| number_of(text, Kind::Float)))
            .collect(),
        (Kind::Raw | Kind::FixedBytes | Kind::FixedText | Kind::Struct, Value::Number(_)) if zero => {
            Some(if data_type.kind() == Kind::FixedText { "".into() } else { zeros().into() })
        }
        (Kind::String | Kind::Bytes | Kind::List, Value::Number(_)) if zero => Some("".into()),
        (Kind::Raw, Value::String(text)) if text.is_empty() => Some(zeros().into()),
        // NumPy cuts text to the length of the data type.
        (Kind::FixedText, Value::String(text)) => {
            Some(text.chars().take(data_type.size() / 4).collect::<String>().into())
        }
        _ => None,
    }
}

/// Returns the number that a text spells, as metadata spell it.
fn number_of(text: &str, kind: Kind) -> Option<Value> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    if matches!(kind, Kind::DateTime | Kind::TimeDelta) {
        return text.eq_ignore_ascii_case("nat").then(|| "NaT".into());
    }
    // Rust parses names of any case; it takes neither hexadecimal digits nor spaces.
    Some(match text.parse::<f64>().ok()? {
        number if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        number => number.into(),
    })
}

/// Parses a fill value. The fill value of a struct can be base64 of its bytes, with words in byte order `stored`.
pub(super) fn fill_value_stored(value: &Value, data_type: &DataType, stored: Endian) -> Result<FillValue> {
    let mismatch = || mismatch(value, data_type);
    let bytes = match data_type.kind() {
        Kind::Bool => value.as_bool().map(|set| vec![u8::from(set)]).ok_or_else(mismatch)?,
        Kind::Int | Kind::UInt => integer(value, data_type)?,
        Kind::Float => float(value, data_type.name()).ok_or_else(mismatch)?,
        Kind::Complex => complex(value, data_type)?,
        Kind::DateTime | Kind::TimeDelta => match value {
            Value::String(text) if text == "NaT" => i64::MIN.to_ne_bytes().to_vec(),
            _ => integer(value, data_type)?,
        },
        Kind::Raw => bytes(value)?.filter(|bytes| bytes.len() == data_type.size()).ok_or_else(mismatch)?,
        Kind::FixedBytes => bytes(value)?.and_then(|bytes| padded(bytes, data_type)).ok_or_else(mismatch)?,
        Kind::FixedText => value.as_str().and_then(|text| fixed_text(text, data_type)).ok_or_else(mismatch)?,
        Kind::Struct => match value {
            Value::Object(fields) => structure(fields, data_type, stored)?,
            _ => stored_struct(value, data_type, stored).ok_or_else(mismatch)?,
        },
        Kind::String => value.as_str().map(|text| text.as_bytes().to_vec()).ok_or_else(mismatch)?,
        Kind::Bytes => bytes(value)?.ok_or_else(mismatch)?,
        Kind::List => {
            let item = data_type.item().map_or(1, |item| item.data_type.size());
            bytes(value)?.filter(|bytes| bytes.len().is_multiple_of(item)).ok_or_else(mismatch)?
        }
        Kind::Object => value.to_string().into_bytes(),
    };
    Ok(FillValue::new(bytes))
}

/// Returns the JSON form of a fill value in Zarr V3, which reads back bit for bit.
pub fn fill_value_to_json(fill_value: &FillValue, data_type: &DataType) -> Value {
    to_json(fill_value.bytes(), data_type)
}

fn to_json(bytes: &[u8], data_type: &DataType) -> Value {
    match data_type.kind() {
        Kind::Bool => Value::Bool(bytes.iter().any(|byte| *byte != 0)),
        Kind::Int => signed(bytes, data_type).into(),
        Kind::UInt => (word(bytes) & mask(data_type)).into(),
        Kind::Float => float_to_json(bytes, data_type.name()),
        Kind::Complex => bytes.chunks(data_type.word()).map(|part| float_to_json(part, part_name(data_type))).collect(),
        Kind::DateTime | Kind::TimeDelta => match signed(bytes, data_type) {
            i64::MIN => "NaT".into(),
            number => number.into(),
        },
        Kind::FixedText => text(bytes).into(),
        Kind::FixedBytes => base64::encode(without_padding(bytes)).into(),
        Kind::Struct => {
            let field = |field: &crate::data_type::Field| {
                let element = bytes.get(field.offset..field.offset + field.data_type.size()).unwrap_or_default();
                (field.name.clone(), to_json(element, &field.data_type))
            };
            Value::Object(data_type.fields().iter().map(field).collect())
        }
        Kind::String => String::from_utf8_lossy(bytes).into(),
        Kind::Bytes | Kind::List => base64::encode(bytes).into(),
        Kind::Object => serde_json::from_slice(bytes).unwrap_or_default(),
        Kind::Raw => bytes.iter().copied().collect(),
    }
}

fn mismatch(value: &Value, data_type: &DataType) -> Error {
    Error::metadata(format!("{} is not a value of {data_type}", show(value)))
}

/// Returns the low `size` bytes of a number, native-endian.
fn native(number: u64, size: usize) -> Vec<u8> {
    let bytes = number.to_ne_bytes();
    if cfg!(target_endian = "big") { bytes[8 - size..].to_vec() } else { bytes[..size].to_vec() }
}

/// Returns the number of up to eight native-endian bytes.
fn word(bytes: &[u8]) -> u64 {
    let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    if cfg!(target_endian = "big") { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) }
}

/// Returns a mask of the bits that a data type uses.
fn mask(data_type: &DataType) -> u64 {
    u64::MAX >> (64 - data_type.bits().clamp(1, 64))
}

fn signed(bytes: &[u8], data_type: &DataType) -> i64 {
    let unused = 64 - data_type.bits().clamp(1, 64);
    (word(bytes) << unused) as i64 >> unused
}

fn integer(value: &Value, data_type: &DataType) -> Result<Vec<u8>> {
    let bits = data_type.bits();
    let range = match data_type.kind() {
        Kind::UInt => 0..1 << bits,
        _ => -(1i128 << (bits - 1))..1 << (bits - 1),
    };
    match json::integer(value) {
        Some(number) if range.contains(&number) => Ok(native(number as u64 & mask(data_type), data_type.size())),
        _ => Err(mismatch(value, data_type)),
    }
}

fn float(value: &Value, name: &str) -> Option<Vec<u8>> {
    let format = Format::of(name)?;
    Some(native(format.parse(value)?, format.size()))
}

fn float_to_json(bytes: &[u8], name: &str) -> Value {
    Format::of(name).map_or(Value::Null, |format| format.spell(word(bytes)))
}

/// Returns the data type of the two parts of a complex number.
fn part_name(data_type: &DataType) -> &'static str {
    if data_type.word() == 4 { "float32" } else { "float64" }
}

fn complex(value: &Value, data_type: &DataType) -> Result<Vec<u8>> {
    let part = |value| float(value, part_name(data_type));
    let parts = match value.as_array().map(Vec::as_slice) {
        Some([re, im]) => part(re).zip(part(im)),
        _ => None,
    };
    parts.map(|(re, im)| [re, im].concat()).ok_or_else(|| mismatch(value, data_type))
}

/// Parses bytes from base64 or a list of integers.
fn bytes(value: &Value) -> Result<Option<Vec<u8>>> {
    Ok(match value {
        Value::String(text) => base64::decode(text),
        _ => list(value)?.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect(),
    })
}

/// Pads bytes with zeros to the size of the data type; `None` if they are too long.
fn padded(mut bytes: Vec<u8>, data_type: &DataType) -> Option<Vec<u8>> {
    let fits = bytes.len() <= data_type.size();
    bytes.resize(data_type.size(), 0);
    fits.then_some(bytes)
}

fn without_padding(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]
}

fn fixed_text(text: &str, data_type: &DataType) -> Option<Vec<u8>> {
    padded(text.chars().flat_map(|letter| u32::from(letter).to_ne_bytes()).collect(), data_type)
}

fn text(bytes: &[u8]) -> String {
    let letter = |bytes: &[u8; 4]| char::from_u32(u32::from_ne_bytes(*bytes)).unwrap_or(char::REPLACEMENT_CHARACTER);
    let text: String = bytes.as_chunks().0.iter().map(letter).collect();
    text.trim_end_matches('\0').to_owned()
}

/// Parses a struct from an object with a member for each field.
fn structure(fields: &Map<String, Value>, data_type: &DataType, stored: Endian) -> Result<Vec<u8>> {
    let mut bytes = vec![0; data_type.size()];
    for field in data_type.fields() {
        let value = member(fields, &field.name)?;
        let value = fill_value_stored(value, &field.data_type, stored).place(|| &field.name)?;
        bytes[field.offset..][..value.bytes().len()].copy_from_slice(value.bytes());
    }
    match fields.keys().find(|name| data_type.fields().iter().all(|field| field.name != **name)) {
        None => Ok(bytes),
        Some(name) => Err(Error::metadata(format!("{data_type} has no field {name:?}"))),
    }
}

/// Parses a struct from base64 of its stored bytes.
fn stored_struct(value: &Value, data_type: &DataType, stored: Endian) -> Option<Vec<u8>> {
    let mut bytes = base64::decode(value.as_str()?).filter(|bytes| bytes.len() == data_type.size())?;
    if stored != Endian::NATIVE {
        for (offset, word, count) in data_type.words() {
            bytes[offset..offset + word * count].chunks_mut(word).for_each(<[u8]>::reverse);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns the data type of a Zarr V3 name or a NumPy code.
    fn named(name: &str) -> DataType {
        DataType::from_name(name).unwrap_or_else(|_| DataType::from_code(name).unwrap())
    }

    fn structure() -> DataType {
        let fields = json!([["x", "uint16"], ["s", {"name": "null_terminated_bytes", "configuration": {"length_bytes": 3}}],
            ["n", {"name": "struct", "configuration": {"fields": [["f", "float32"]]}}]]);
        super::super::data_type_from_json(&json!({"name": "struct", "configuration": {"fields": fields}})).unwrap()
    }

    fn read(text: &str, data_type: &str) -> Result<FillValue> {
        fill_value_from_json(&serde_json::from_str(text).unwrap(), &named(data_type))
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
            ("-8", "int4", vec![8]),
            ("3", "uint2", vec![3]),
            ("1.5", "bfloat16", 0x3fc0u16.to_ne_bytes().to_vec()),
            ("0.1", "bfloat16", 0x3dcdu16.to_ne_bytes().to_vec()),
            ("\"NaN\"", "bfloat16", 0x7fc0u16.to_ne_bytes().to_vec()),
            ("\"NaN\"", "float8_e4m3fn", vec![0x7f]),
            ("\"NaN\"", "float8_e5m2fnuz", vec![0x80]),
            ("\"-Infinity\"", "float8_e5m2", vec![0xfc]),
            ("\"0x81\"", "float8_e4m3fn", vec![0x81]),
            ("-6", "float4_e2m1fn", vec![0xf]),
            ("0.5", "float8_e8m0fnu", vec![0x7e]),
            ("\"NaT\"", "M8[ns]", i64::MIN.to_ne_bytes().to_vec()),
            ("-9223372036854775808", "m8[s]", i64::MIN.to_ne_bytes().to_vec()),
            ("1234", "M8[10us]", 1234i64.to_ne_bytes().to_vec()),
            ("\"é\"", "U2", [0xe9u32.to_ne_bytes(), [0; 4]].concat()),
            ("\"\"", "U1", vec![0; 4]),
            ("\"YWI=\"", "S3", b"ab\0".to_vec()),
            ("\"\"", "S3", vec![0; 3]),
            ("[97]", "S3", b"a\0\0".to_vec()),
            ("\"n/a\"", "string", b"n/a".to_vec()),
            ("\"eHk=\"", "variable_length_bytes", b"xy".to_vec()),
            ("[1, 2, 3]", "variable_length_bytes", vec![1, 2, 3]),
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
            ("8", "int4"),
            ("-9", "int4"),
            ("4", "uint2"),
            ("7", "float4_e2m1fn"),
            ("465", "float8_e4m3fn"),
            ("1e39", "bfloat16"),
            ("0.0", "float8_e8m0fnu"),
            ("\"NaN\"", "float6_e2m3fn"),
            ("\"Infinity\"", "float8_e4m3fn"),
            ("\"-Infinity\"", "float8_e8m0fnu"),
            ("\"0x0081\"", "float8_e4m3fn"),
            ("\"nat\"", "M8[ns]"),
            ("\"2020-01-01\"", "M8[D]"),
            ("0.5", "m8[s]"),
            ("9223372036854775808", "m8[s]"),
            ("\"abc\"", "U2"),
            ("0", "U2"),
            ("\"YWJj\"", "S2"),
            ("\"ab\"", "S2"),
            ("0", "string"),
            ("\"é\"", "variable_length_bytes"),
            ("[256]", "variable_length_bytes"),
        ] {
            let error = read(text, data_type).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidMetadata, "{text} {data_type}");
        }
    }

    fn assert_read_back(bytes: &[u8], data_type: &DataType) {
        let json = fill_value_to_json(&FillValue::new(bytes), data_type);
        assert_eq!(fill_value_from_json(&json, data_type).unwrap().bytes(), bytes, "{json} {data_type}");
    }

    #[test]
    fn structs_are_spelled_by_field_or_by_byte() {
        let data_type = structure();
        let due = [&258u16.to_ne_bytes()[..], b"ab\0", &1.5f32.to_ne_bytes()].concat();
        let by_field = json!({"x": 258, "s": "YWI=", "n": {"f": 1.5}});
        assert_eq!(fill_value_from_json(&by_field, &data_type).unwrap().bytes(), due);
        assert_eq!(fill_value_to_json(&FillValue::new(due.clone()), &data_type), by_field);
        let little = base64::encode(b"\x02\x01ab\0\x00\x00\xc0\x3f").into();
        assert_eq!(fill_value_from_json(&little, &data_type).unwrap().bytes(), due);
        let big = base64::encode(b"\x01\x02ab\0\x3f\xc0\x00\x00").into();
        assert_eq!(fill_value_stored(&big, &data_type, Endian::Big).unwrap().bytes(), due);
        for wrong in [
            json!({"x": 258, "s": "YWI="}),
            json!({"x": 258, "s": "YWI=", "n": {"f": 1.5}, "y": 1}),
            json!({"x": 258, "s": "YWI=", "n": 1.5}),
            json!({"x": -1, "s": "YWI=", "n": {"f": 1.5}}),
            json!("AAAA"),
            json!([258, "YWI=", [1.5]]),
            json!(0),
        ] {
            assert!(fill_value_from_json(&wrong, &data_type).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_has_whole_items() {
        let list = DataType::list(named("int16"), false).unwrap();
        assert_eq!(fill_value_from_json(&json!("AQI="), &list).unwrap().bytes(), [1, 2]);
        assert!(fill_value_from_json(&json!("AQID"), &list).is_err());
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
        let others = ["r24", "M8[ns]", "m8[7D]", "S9", "variable_length_bytes"].map(named);
        for data_type in DataType::all().chain(others).chain([structure()]) {
            for pattern in patterns {
                let mut bytes = [pattern.to_ne_bytes(), pattern.rotate_left(16).to_ne_bytes()].concat();
                bytes.truncate(data_type.size());
                if data_type.bits() < 8 {
                    bytes[0] &= mask(&data_type) as u8;
                }
                assert_read_back(&bytes, &data_type);
            }
            if data_type.size() == 1 {
                (0..=mask(&data_type) as u8).for_each(|byte| assert_read_back(&[byte], &data_type));
            }
        }
        for text in ["", "a", "é\u{10ffff}", "\0b"] {
            assert_read_back(text.as_bytes(), &named("string"));
            assert_read_back(&fixed_text(text, &named("U4")).unwrap(), &named("U4"));
        }
        for text in ["null", "{\"a\":[1,\"b\"]}"] {
            assert_read_back(text.as_bytes(), &DataType::object());
        }
        let spelled =
            |text, data_type| fill_value_to_json(&read(text, data_type).unwrap(), &named(data_type)).to_string();
        assert_eq!(spelled("0.1", "float32"), "0.10000000149011612");
        assert_eq!(spelled("\"0x7fc00000\"", "float32"), "\"NaN\"");
        assert_eq!(spelled("\"0x7fc00001\"", "float32"), "\"0x7fc00001\"");
        assert_eq!(spelled("-1", "int16"), "-1");
        assert_eq!(spelled("-1", "int2"), "-1");
        assert_eq!(spelled("-448", "float8_e4m3fn"), "-448.0");
        assert_eq!(spelled("-9223372036854775808", "M8[s]"), "\"NaT\"");
        assert_eq!(spelled("[97, 0]", "S4"), "\"YQ==\"");
        assert_eq!(spelled("[\"Infinity\", -0.0]", "complex128"), "[\"Infinity\",-0.0]");
    }
}
