//! What xarray keeps in the metadata of arrays, which it spells differently in each version of Zarr.
//!
//! | | Zarr V2 | Zarr V3 |
//! |---|---|---|
//! | names of dimensions | the attribute `_ARRAY_DIMENSIONS` | `dimension_names` |
//! | value of missing elements | the fill value; null if there is none | the attribute `_FillValue` |
//!
//! In Zarr V3, `_FillValue` of floating-point numbers is base64 of eight bytes, little-endian.
//!
//! <https://docs.xarray.dev/en/stable/internals/zarr-encoding-spec.html>

use serde_json::{Value, json};

use crate::base64;
use crate::data_type::{DataType, Kind};
use crate::fill_value::FillValue;
use crate::metadata::{ArrayMetadata, Attributes, fill_value_from_json, fill_value_to_json};

const DIMENSIONS: &str = "_ARRAY_DIMENSIONS";
const MISSING: &str = "_FillValue";

/// Names of dimensions.
pub(super) type Names = Vec<Option<String>>;

/// Removes the names of dimensions from the attributes of an array of Zarr V2, and returns them. Without the attribute,
/// the names are those of netCDF's metadata.
pub(super) fn take_names(array: &ArrayMetadata, attributes: &mut Attributes) -> Option<Names> {
    let rank = array.chunk_grid.dimensionality();
    let all = |names: &Value, name: fn(&str) -> &str| -> Option<Names> {
        let name = |value: &Value| match value {
            Value::Null => Some(None),
            _ => value.as_str().map(|text| Some(name(text).to_owned())),
        };
        names.as_array()?.iter().map(name).collect::<Option<Names>>().filter(|names| names.len() == rank)
    };
    if let Some(names) = attributes.get(DIMENSIONS) {
        let names = all(names, |name| name)?;
        attributes.shift_remove(DIMENSIONS);
        return Some(names);
    }
    // NetCDF names dimensions by their paths.
    let references = array.document.pointer("/_NCZARR_ARRAY/dimrefs");
    all(references?, |path| path.rsplit('/').next().unwrap_or(path))
}

/// Adds the names of dimensions to the attributes of a copy in Zarr V2. A scalar has none, which xarray needs to know.
pub(super) fn put_names(array: &ArrayMetadata, attributes: &mut Attributes) {
    match &array.dimension_names {
        Some(names) => drop(attributes.insert(DIMENSIONS.into(), json!(names))),
        None if array.chunk_grid.dimensionality() == 0 => {
            attributes.entry(DIMENSIONS).or_insert_with(|| json!([]));
        }
        None => {}
    }
}

/// Whether xarray opens an array of Zarr V3.
pub(super) fn has_names(array: &ArrayMetadata) -> bool {
    array.chunk_grid.dimensionality() == 0 || array.dimension_names.is_some()
}

/// Adds the fill value of an array of Zarr V2 to the attributes of its copy in V3, as the value of missing elements.
pub(super) fn put_missing(array: &ArrayMetadata, attributes: &mut Attributes) {
    let known = array.has_fill_value() && array.fill_value.known().is_ok();
    if let Some(spelled) = known.then(|| spell(&array.fill_value, &array.data_type)).flatten() {
        attributes.insert(MISSING.into(), spelled);
    }
}

/// Removes the value of missing elements from the attributes of an array of Zarr V3, and returns it.
pub(super) fn take_missing(array: &ArrayMetadata, attributes: &mut Attributes) -> Option<FillValue> {
    let found = read(attributes.get(MISSING)?, &array.data_type)?;
    attributes.shift_remove(MISSING);
    Some(found)
}

/// Returns the spelling in the attributes of Zarr V3; `None` for data types for which xarray has none.
fn spell(fill_value: &FillValue, data_type: &DataType) -> Option<Value> {
    let bytes = fill_value.bytes();
    match data_type.kind() {
        Kind::Bool => Some(fill_value_to_json(fill_value, data_type)),
        Kind::Int | Kind::UInt if data_type.bits() >= 8 => Some(fill_value_to_json(fill_value, data_type)),
        Kind::Float => Some(encoded(bytes)?.into()),
        Kind::Complex => bytes.chunks(data_type.word()).map(encoded).collect::<Option<Vec<_>>>().map(Value::from),
        _ => None,
    }
}

/// Returns base64 of a floating-point number, widened to eight bytes.
fn encoded(bytes: &[u8]) -> Option<String> {
    let number = match bytes {
        [a, b] => f64::from(crate::float::from_f16(u16::from_ne_bytes([*a, *b]))),
        [a, b, c, d] => f64::from(f32::from_ne_bytes([*a, *b, *c, *d])),
        _ => f64::from_ne_bytes(bytes.try_into().ok()?),
    };
    Some(base64::encode(&number.to_le_bytes()))
}

fn read(value: &Value, data_type: &DataType) -> Option<FillValue> {
    let number = |value: &Value| match value {
        Value::String(text) => {
            let number = f64::from_le_bytes(base64::decode(text)?.try_into().ok()?);
            Some(match number {
                _ if number.is_nan() => "NaN".into(),
                f64::INFINITY => "Infinity".into(),
                f64::NEG_INFINITY => "-Infinity".into(),
                _ => number.into(),
            })
        }
        Value::Number(_) => Some(value.clone()),
        _ => None,
    };
    let value = match data_type.kind() {
        Kind::Bool | Kind::Int | Kind::UInt => value.clone(),
        Kind::Float => number(value)?,
        Kind::Complex => value.as_array()?.iter().map(number).collect::<Option<Value>>()?,
        _ => return None,
    };
    fill_value_from_json(&value, data_type).ok()
}

/// Whether a fill value of Zarr V2 that stands for missing elements shows nothing as missing that was not: it is NaN.
pub(super) fn is_harmless(fill_value: &FillValue, data_type: &DataType) -> bool {
    match data_type.kind() {
        Kind::Float => fill_value_to_json(fill_value, data_type).as_str().is_some_and(|text| text == "NaN"),
        Kind::DateTime | Kind::TimeDelta => fill_value.bytes() == i64::MIN.to_ne_bytes(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_values_are_spelled_as_xarray_does() {
        let eight = |number: f64| base64::encode(&number.to_le_bytes());
        for (name, fill_value, spelled) in [
            ("int16", json!(-9999), json!(-9999)),
            ("uint64", json!(u64::MAX), json!(u64::MAX)),
            ("bool", json!(true), json!(true)),
            ("float64", json!("NaN"), json!("AAAAAAAA+H8=")),
            ("float32", json!(1.5), json!(eight(1.5))),
            ("float16", json!("-Infinity"), json!(eight(f64::NEG_INFINITY))),
            ("complex64", json!([1.0, "NaN"]), json!([eight(1.0), "AAAAAAAA+H8="])),
        ] {
            let data_type = DataType::from_name(name).unwrap();
            let fill_value = fill_value_from_json(&fill_value, &data_type).unwrap();
            assert_eq!(spell(&fill_value, &data_type).as_ref(), Some(&spelled), "{name}");
            assert_eq!(read(&spelled, &data_type), Some(fill_value), "{name}");
        }
        let string = DataType::from_name("string").unwrap();
        assert_eq!(spell(&FillValue::new(*b"n/a"), &string), None);
        let float = DataType::from_name("float32").unwrap();
        for wrong in [json!("x"), json!("AAAA"), json!([1]), json!(null)] {
            assert_eq!(read(&wrong, &float), None, "{wrong}");
        }
    }
}
