//! JSON forms of data types in Zarr V3: a name, or a name with a configuration.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/data-types/index.html>, and for extensions
//! <https://github.com/zarr-developers/zarr-extensions/tree/main/data-types>

use serde_json::{Map, Value, json};

use crate::codec::{Named, parse_named};
use crate::data_type::{DataType, Field, Kind};
use crate::error::{Error, Place, Result};
use crate::json::{list, member, object, read, show, string};

/// Maximum nesting of structs; deeper nesting is a mistake or an attack.
pub(crate) const MAX_DEPTH: usize = 32;

/// Aliases of data type names.
const ALIASES: &[(&str, &str)] =
    &[("complex_float32", "complex64"), ("complex_float64", "complex128"), ("binary", "variable_length_bytes")];

/// Parses a data type of Zarr V3.
pub fn data_type_from_json(value: &Value) -> Result<DataType> {
    nested(value, 0)
}

fn nested(value: &Value, depth: usize) -> Result<DataType> {
    if depth > MAX_DEPTH {
        return Err(Error::metadata(format!("structs are nested more than {MAX_DEPTH} deep")));
    }
    let Named { name, configuration } = parse_named(value)?;
    let members = |known: &[&str]| refuse_others(&configuration, known);
    let bytes = || read(&configuration, "length_bytes", length);
    match &*name {
        "raw_bytes" => members(&["length_bytes"]).and_then(|()| DataType::raw(bytes()?)),
        "null_terminated_bytes" => members(&["length_bytes"]).and_then(|()| DataType::fixed_bytes(bytes()?)),
        "fixed_length_utf32" => {
            members(&["length_bytes"])?;
            match bytes()? {
                bytes if bytes.is_multiple_of(4) => DataType::fixed_text(bytes / 4),
                bytes => Err(Error::metadata(format!("length_bytes: {bytes} is not a multiple of 4"))),
            }
        }
        "numpy.datetime64" | "numpy.timedelta64" => {
            members(&["unit", "scale_factor"])?;
            let kind = if name == "numpy.datetime64" { Kind::DateTime } else { Kind::TimeDelta };
            let unit = read(&configuration, "unit", string)?;
            let scale = read(&configuration, "scale_factor", |value| {
                let scale = value.as_u64().and_then(|scale| u32::try_from(scale).ok());
                scale.ok_or_else(|| Error::metadata(format!("{} is not a valid scale_factor", show(value))))
            })?;
            DataType::time(kind, unit, scale)
        }
        "struct" | "structured" => {
            members(&["fields"])?;
            let fields = read(&configuration, "fields", list)?;
            let fields = fields.iter().map(|field| self::field(field, depth)).collect::<Result<Vec<_>>>();
            packed(fields.place(|| &name)?)
        }
        _ => {
            let known = ALIASES.iter().find(|alias| alias.0 == name).map_or(&*name, |alias| alias.1);
            let data_type = DataType::from_name(known)?;
            members(&[])?;
            Ok(data_type)
        }
    }
}

/// Parses a size in bytes.
fn length(value: &Value) -> Result<usize> {
    let bytes = value.as_u64().and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| Error::metadata(format!("{} is not a number of bytes", show(value))))
}

/// Parses a field: `{"name": ..., "data_type": ...}`, or `[name, data_type]` from older writers.
fn field(value: &Value, depth: usize) -> Result<(String, DataType)> {
    let (name, data_type) = match value.as_array().map(Vec::as_slice) {
        Some([name, data_type]) => (name, data_type),
        Some(_) => return Err(Error::metadata(format!("{} is not a field", show(value)))),
        None => {
            let field = object(value)?;
            refuse_others(field, &["name", "data_type"])?;
            (member(field, "name")?, member(field, "data_type")?)
        }
    };
    let name = string(name)?;
    if name.is_empty() {
        return Err(Error::metadata(format!("{} has a field without a name", show(value))));
    }
    let data_type = nested(data_type, depth + 1).place(|| format!("field {name:?}"))?;
    Ok((name.to_owned(), data_type))
}

/// Creates a struct of fields without gaps.
fn packed(fields: Vec<(String, DataType)>) -> Result<DataType> {
    let mut offset = 0usize;
    let field = |(name, data_type): (String, DataType)| {
        let field = Field { name, offset, data_type, swapped: false, shape: Vec::new() };
        offset = offset.saturating_add(field.size());
        field
    };
    let fields = fields.into_iter().map(field).collect();
    DataType::structure(fields, offset)
}

/// Returns the JSON form of a data type in Zarr V3.
///
/// Fails with [`Unsupported`](crate::ErrorKind::Unsupported) if Zarr V3 cannot express the data type.
pub fn data_type_to_json(data_type: &DataType) -> Result<Value> {
    let configured = |configuration: Value| json!({"name": data_type.name(), "configuration": configuration});
    Ok(match data_type.kind() {
        Kind::FixedBytes | Kind::FixedText => configured(json!({"length_bytes": data_type.size()})),
        Kind::DateTime | Kind::TimeDelta => {
            let (unit, scale) = data_type.unit().unwrap_or(("generic", 1));
            configured(json!({"unit": unit, "scale_factor": scale}))
        }
        Kind::Struct => {
            let mut offset = 0;
            let field = |field: &Field| {
                let wrong = if field.offset != offset {
                    "gaps between its fields"
                } else if field.swapped {
                    "fields of different byte orders"
                } else if !field.shape.is_empty() {
                    "array fields"
                } else {
                    offset += field.size();
                    return Ok(json!({"name": field.name, "data_type": data_type_to_json(&field.data_type)?}));
                };
                Err(Error::unsupported(format!("Zarr V3 cannot express {data_type}: it has {wrong}; use Zarr V2")))
            };
            let fields = data_type.fields().iter().map(field).collect::<Result<Vec<_>>>()?;
            if offset != data_type.size() {
                return Err(Error::unsupported(format!(
                    "Zarr V3 cannot express {data_type}: it ends in a gap; use Zarr V2"
                )));
            }
            configured(json!({"fields": fields}))
        }
        Kind::List | Kind::Object => {
            return Err(Error::unsupported(format!("Zarr V3 cannot express {data_type}; use Zarr V2")));
        }
        _ => data_type.name().into(),
    })
}

/// Fails if a configuration has members other than the known ones.
pub(super) fn refuse_others(configuration: &Map<String, Value>, known: &[&str]) -> Result<()> {
    match configuration.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Error::metadata(format!("configuration: unknown member {name:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn parse(text: &str) -> Result<DataType> {
        data_type_from_json(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn data_types_are_read_and_spelled() {
        for (text, shown) in [
            (r#""float8_e4m3fn""#, "float8_e4m3fn"),
            (r#""r24""#, "r24"),
            (r#""string""#, "string"),
            (r#""variable_length_bytes""#, "variable_length_bytes"),
            (r#"{"name":"fixed_length_utf32","configuration":{"length_bytes":20}}"#, "fixed_length_utf32 of 5"),
            (r#"{"name":"null_terminated_bytes","configuration":{"length_bytes":5}}"#, "null_terminated_bytes of 5"),
            (
                r#"{"name":"numpy.datetime64","configuration":{"unit":"us","scale_factor":10}}"#,
                "numpy.datetime64[10us]",
            ),
            (
                r#"{"name":"numpy.timedelta64","configuration":{"unit":"generic","scale_factor":1}}"#,
                "numpy.timedelta64[generic]",
            ),
            (
                concat!(
                    r#"{"name":"struct","configuration":{"fields":[{"name":"n","data_type":"#,
                    r#"{"name":"struct","configuration":{"fields":[{"name":"p","data_type":"int16"}]}}},"#,
                    r#"{"name":"z","data_type":"uint8"}]}}"#
                ),
                "struct {n: struct {p: int16}, z: uint8}",
            ),
        ] {
            let data_type = parse(text).unwrap();
            assert_eq!(data_type.to_string(), shown);
            assert_eq!(data_type_to_json(&data_type).unwrap().to_string(), text);
        }
        for data_type in DataType::all() {
            assert_eq!(data_type_from_json(&data_type_to_json(&data_type).unwrap()).unwrap(), data_type);
        }
    }

    #[test]
    fn other_spellings_are_read() {
        for (text, same) in [
            (r#"{"name": "int32"}"#, r#""int32""#),
            (r#"{"name": "int32", "configuration": {}}"#, r#""int32""#),
            (r#""bytes""#, r#""variable_length_bytes""#),
            (r#""complex_float64""#, r#""complex128""#),
            (r#"{"name": "raw_bytes", "configuration": {"length_bytes": 3}}"#, r#""r24""#),
            (
                r#"{"name": "numpy.datetime64", "configuration": {"unit": "μs", "scale_factor": 1}}"#,
                r#"{"name": "numpy.datetime64", "configuration": {"unit": "us", "scale_factor": 1}}"#,
            ),
            (
                r#"{"name": "structured", "configuration": {"fields": [["a", "int8"], ["b", {"name": "float64"}]]}}"#,
                r#"{"name": "struct", "configuration": {"fields": [{"name": "a", "data_type": "int8"},
                    {"name": "b", "data_type": "float64"}]}}"#,
            ),
        ] {
            assert_eq!(parse(text).unwrap(), parse(same).unwrap(), "{text}");
        }
        let structure = parse(r#"{"name": "struct", "configuration": {"fields": [["a", "int8"], ["b", "int64"]]}}"#);
        assert_eq!(structure.unwrap().fields()[1].offset, 1);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let sized = |name: &str, length: &str| {
            format!(r#"{{"name": "{name}", "configuration": {{"length_bytes": {length}}}}}"#)
        };
        let fields = |fields: &str| format!(r#"{{"name": "struct", "configuration": {{"fields": {fields}}}}}"#);
        let time = |members: &str| format!(r#"{{"name": "numpy.datetime64", "configuration": {{{members}}}}}"#);
        for text in [
            sized("fixed_length_utf32", "7"),
            sized("fixed_length_utf32", "-4"),
            sized("null_terminated_bytes", "1.5"),
            sized("raw_bytes", "null"),
            sized("int32", "4"),
            r#""fixed_length_utf32""#.into(),
            time(r#""unit": "s""#),
            time(r#""unit": "lightyear", "scale_factor": 1"#),
            time(r#""unit": "s", "scale_factor": 0"#),
            time(r#""unit": "s", "scale_factor": 4294967297"#),
            time(r#""unit": "s", "scale_factor": 1, "zone": "UTC""#),
            fields("[]"),
            fields("{}"),
            fields(r#"["a"]"#),
            fields(r#"[["a"]]"#),
            fields(r#"[["", "int8"]]"#),
            fields(r#"[["a", "int8"], ["a", "int8"]]"#),
            fields(r#"[{"name": "a"}]"#),
            fields(r#"[{"name": "a", "data_type": "int8", "offset": 4}]"#),
        ] {
            let error = parse(&text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidMetadata, "{text}: {error}");
        }
        for text in [
            sized("fixed_length_utf32", "0"),
            sized("fixed_length_utf32", "18446744073709551612"),
            sized("null_terminated_bytes", "18446744073709551615"),
            sized("raw_bytes", "1000000000"),
            fields(r#"[["a", "string"]]"#),
            fields(r#"[["a", "r1048576"], ["b", "r1048576"]]"#),
            r#""optional""#.into(),
        ] {
            let error = parse(&text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}: {error}");
        }
        let deep = (0..=MAX_DEPTH)
            .fold(json!("int8"), |inner, _| json!({"name": "struct", "configuration": {"fields": [["a", inner]]}}));
        assert!(data_type_from_json(&deep).unwrap_err().message().contains("deep"));
        assert!(data_type_from_json(&deep["configuration"]["fields"][0][1]).is_ok());
    }
}
