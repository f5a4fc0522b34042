//! JSON forms of fill values in Zarr V2: those of V3, other forms for bytes and times, and null.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html#fill-value-encoding>

use serde_json::Value;

use crate::base64;
use crate::codec::Endian;
use crate::data_type::{DataType, Kind};
use crate::error::Result;
use crate::fill_value::FillValue;
use crate::json::show;
use crate::metadata::fill_value::{fill_value_from_json, fill_value_read, fill_value_to_json, no_fill_value};

/// Parses a fill value; see [`fill_value_read`].
pub(super) fn fill_value(value: &Value, data_type: &DataType) -> Result<FillValue> {
    match (data_type.kind(), value) {
        (_, Value::Null) => Ok(no_fill_value(data_type)),
        (Kind::Object, _) => fill_value_from_json(value, data_type),
        (Kind::Struct, Value::Object(_)) => {
            Ok(FillValue::unknown(data_type, &format!("{} is not base64", show(value))))
        }
        (_, Value::String(text)) if data_type.is_extended() => {
            let found = fill_value_read(value, data_type, Endian::NATIVE)?;
            let bytes = base64::decode(text).filter(|bytes| bytes.len() == data_type.size());
            Ok(match (found.known(), bytes) {
                (Err(_), Some(bytes)) => FillValue::new(bytes),
                _ => found,
            })
        }
        // The base64 form of a struct contains the stored bytes, whose layout is the one in memory.
        _ => fill_value_read(value, data_type, Endian::NATIVE),
    }
}

/// Returns the JSON form of a fill value. Zarr V2 cannot express the payload of a NaN.
pub(super) fn fill_value_to_json_v2(fill_value: &FillValue, data_type: &DataType) -> Value {
    let nan = |value: Value| match value {
        Value::String(text) if text.starts_with("0x") => "NaN".into(),
        other => other,
    };
    match (data_type.kind(), fill_value_to_json(fill_value, data_type)) {
        (Kind::Raw | Kind::Struct, _) => base64::encode(fill_value.bytes()).into(),
        (Kind::DateTime | Kind::TimeDelta, Value::String(_)) => i64::MIN.into(),
        (Kind::Complex, Value::Array(parts)) => parts.into_iter().map(nan).collect(),
        (Kind::Float, value) => nan(value),
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::metadata::v2::dtype::dtype_from_json;

    #[test]
    fn every_spelling_of_a_fill_value_is_read() {
        for (text, code, bytes) in [
            ("null", "f8", vec![0; 8]),
            ("null", "V3", vec![0; 3]),
            ("0", "b1", vec![0]),
            ("1", "b1", vec![1]),
            ("true", "b1", vec![1]),
            ("0.0", "i2", vec![0; 2]),
            ("18446744073709551615", "u8", vec![0xff; 8]),
            ("0", "c8", vec![0; 8]),
            ("[\"NaN\", 0.0]", "c8", [0x7fc0_0000u32.to_ne_bytes(), [0; 4]].concat()),
            ("\"-Infinity\"", "f2", 0xfc00u16.to_ne_bytes().to_vec()),
            ("\"AQID\"", "V3", vec![1, 2, 3]),
            ("0", "V3", vec![0; 3]),
            ("\"\"", "V3", vec![0; 3]),
            ("null", "M8[s]", i64::MIN.to_ne_bytes().to_vec()),
            ("0", "M8[s]", vec![0; 8]),
            ("\"NaT\"", "m8", i64::MIN.to_ne_bytes().to_vec()),
            ("null", "U2", vec![0; 8]),
            ("0", "U1", vec![0; 4]),
            ("\"abc\"", "U1", u32::from('a').to_ne_bytes().to_vec()),
            ("0", "S2", vec![0; 2]),
            ("\"YQ==\"", "S2", b"a\0".to_vec()),
            ("1.0", "bfloat16", 0x3f80u16.to_ne_bytes().to_vec()),
            ("\"Ag==\"", "float4_e2m1fn", vec![2]),
        ] {
            let data_type = DataType::from_code(code).unwrap();
            let value = serde_json::from_str(text).unwrap();
            assert_eq!(fill_value(&value, &data_type).unwrap().bytes(), bytes, "{text} {code}");
        }
        for (text, code) in
            [("-1", "u1"), ("2", "b1"), ("\"x\"", "i4"), ("\"AQI=\"", "V3"), ("\"?\"", "V3"), ("1", "V3")]
        {
            let value = serde_json::from_str(text).unwrap();
            let read = fill_value(&value, &DataType::from_code(code).unwrap()).unwrap();
            assert!(read.known().unwrap_err().message().contains("the fill value is invalid"), "{text} {code}");
        }
        let structure = dtype_from_json(&json!([["a", ">u2"], ["b", "|S1"]]), []).unwrap().0;
        for (value, bytes) in [(json!(null), [0, 0, 0]), (json!(0), [0, 0, 0]), (json!("AQJh"), [1, 2, b'a'])] {
            assert_eq!(fill_value(&value, &structure).unwrap().bytes(), bytes);
        }
        for wrong in [json!("AQI="), json!([1, 2]), json!({"a": 1, "b": ""})] {
            assert!(fill_value(&wrong, &structure).unwrap().known().is_err());
        }
        let [string, bytes] = ["string", "bytes"].map(|name| DataType::from_name(name).unwrap());
        let list = DataType::list(DataType::from_code("i4").unwrap(), false).unwrap();
        for (value, data_type, bytes) in [
            (json!(null), &string, &b""[..]),
            (json!(0), &string, b""),
            (json!("n/a"), &string, b"n/a"),
            (json!(null), &bytes, b""),
            (json!("eHk="), &bytes, b"xy"),
            (json!(null), &list, b""),
            (json!(null), &DataType::object(), b"null"),
            (json!({"a": 0}), &DataType::object(), b"{\"a\":0}"),
        ] {
            assert_eq!(fill_value(&value, data_type).unwrap().bytes(), bytes, "{value} {data_type}");
        }
        assert!(fill_value(&json!(5), &string).is_err());
    }
}
