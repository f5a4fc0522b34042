//! JSON forms of data types in Zarr V2: NumPy's codes with a byte order; the type of objects follows from a filter.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html#data-type-encoding>

use serde_json::{Value, json};

use crate::codec::Endian;
use crate::data_type::{DataType, Field, Kind};
use crate::error::{Error, Place, Result};
use crate::json::{lengths, list, member, object, show, string};
use crate::metadata::v3::data_type::MAX_DEPTH;

/// Parses a data type of Zarr V2. Also returns the byte order of its elements; `None` if they have none, or one per
/// field.
///
/// `codecs` are the filters and the compressor; one of them determines the type of objects.
pub(super) fn dtype_from_json<'a>(
    value: &Value,
    codecs: impl IntoIterator<Item = &'a Value>,
) -> Result<(DataType, Option<Endian>)> {
    match value {
        Value::Array(fields) => Ok((structure(fields, 0)?, None)),
        Value::String(text) if text == "|O" => Ok((objects(codecs)?, None)),
        _ => simple(value),
    }
}

/// Returns the JSON form of a data type in Zarr V2, little-endian except for swapped fields.
pub(super) fn dtype_to_json(data_type: &DataType) -> Value {
    match data_type.kind() {
        Kind::Struct => fields_to_json(data_type).into(),
        _ => code(data_type, Endian::Little).into(),
    }
}

fn code(data_type: &DataType, endian: Endian) -> String {
    let order = match endian {
        _ if data_type.is_extended() => "",
        _ if data_type.word() == 1 => "|",
        Endian::Little => "<",
        Endian::Big => ">",
    };
    format!("{order}{}", data_type.code())
}

/// Returns the filter that encodes objects of a type; `None` for other types.
pub(super) fn object_filter(data_type: &DataType) -> Option<Value> {
    let item = |item: &Field| code(&item.data_type, field_endian(item.swapped));
    match data_type.kind() {
        Kind::String => Some(json!({"id": "vlen-utf8"})),
        Kind::Bytes => Some(json!({"id": "vlen-bytes"})),
        Kind::List => Some(json!({"id": "vlen-array", "dtype": data_type.item().map(item)})),
        Kind::Object => Some(json!({"id": "json2"})),
        _ => None,
    }
}

/// Lists fields as NumPy does; gaps become fields without a name.
fn fields_to_json(data_type: &DataType) -> Vec<Value> {
    let mut fields: Vec<_> = data_type.fields().iter().collect();
    fields.sort_by_key(|field| field.offset);
    let (mut listed, mut end) = (Vec::new(), 0);
    let gap = |from: usize, to: usize| (from < to).then(|| json!(["", format!("|V{}", to - from)]));
    for field in fields {
        listed.extend(gap(end, field.offset));
        end = field.offset + field.size();
        let inner = match field.data_type.kind() {
            Kind::Struct => fields_to_json(&field.data_type).into(),
            _ => code(&field.data_type, field_endian(field.swapped)).into(),
        };
        let mut descr = vec![field.name.clone().into(), inner];
        if !field.shape.is_empty() {
            descr.push(json!(field.shape));
        }
        listed.push(Value::Array(descr));
    }
    listed.extend(gap(end, data_type.size()));
    listed
}

fn field_endian(swapped: bool) -> Endian {
    match (swapped, Endian::NATIVE) {
        (false, native) => native,
        (true, Endian::Little) => Endian::Big,
        (true, Endian::Big) => Endian::Little,
    }
}

/// Parses a byte order and a NumPy code, or the name of a type that NumPy lacks.
fn simple(value: &Value) -> Result<(DataType, Option<Endian>)> {
    let text = string(value)?;
    let refused = || Error::metadata(format!("{text:?} is not a data type"));
    let Some(code) = text.strip_prefix(['<', '>', '|']) else {
        let data_type = DataType::from_code(text).ok().filter(DataType::is_extended).ok_or_else(refused)?;
        let endian = (data_type.word() > 1).then_some(Endian::Little);
        return Ok((data_type, endian));
    };
    let data_type = DataType::from_code(code)?;
    let endian = match text.as_bytes()[0] {
        _ if data_type.is_extended() => return Err(refused()),
        _ if data_type.word() == 1 => None,
        b'<' => Some(Endian::Little),
        b'>' => Some(Endian::Big),
        _ => return Err(Error::metadata(format!("{text:?} lacks a byte order"))),
    };
    Ok((data_type, endian))
}

/// Parses fields as NumPy lists them: `[name, code]` or `[name, code, shape]`; a code can be a list of fields.
fn structure(descr: &[Value], depth: usize) -> Result<DataType> {
    if depth > MAX_DEPTH {
        return Err(Error::metadata(format!("structs are nested more than {MAX_DEPTH} deep")));
    }
    let mut fields = Vec::new();
    let mut offset = 0usize;
    for (k, value) in descr.iter().enumerate() {
        let field = field(value, k, offset, depth)?;
        offset = offset.saturating_add(field.0.size());
        // Raw bytes without a name are padding.
        if !field.1 {
            fields.push(field.0);
        }
    }
    DataType::structure(fields, offset)
}

/// Parses a field. Also returns whether the field is only padding.
fn field(value: &Value, number: usize, offset: usize, depth: usize) -> Result<(Field, bool)> {
    let (name, code, shape) = match list(value)? {
        [name, code] => (name, code, None),
        [name, code, shape] => (name, code, Some(shape)),
        _ => return Err(Error::metadata(format!("{} is not a field", show(value)))),
    };
    let name = match name {
        // A title precedes the name, and is an alias.
        Value::Array(both) => match &both[..] {
            [_, name] => string(name)?,
            _ => return Err(Error::metadata(format!("{} is not a field name", show(name)))),
        },
        _ => string(name)?,
    };
    let read = || {
        let (data_type, endian) = match code {
            Value::Array(fields) => (structure(fields, depth + 1)?, None),
            Value::String(text) if text == "|O" => {
                return Err(Error::unsupported("Python objects in a struct; all fields must have a fixed size"));
            }
            _ => simple(code)?,
        };
        let shape = match shape {
            None => Vec::new(),
            Some(Value::Number(_)) => self::shape(&json!([shape]))?,
            Some(shape) => self::shape(shape)?,
        };
        Ok((data_type, endian, shape))
    };
    let (data_type, endian, shape) = read().place(|| format!("field {name:?}"))?;
    let padding = name.is_empty() && data_type.kind() == Kind::Raw;
    let name = if name.is_empty() { format!("f{number}") } else { name.to_owned() };
    let swapped = endian.is_some_and(|endian| endian != Endian::NATIVE);
    Ok((Field { name, offset, data_type, swapped, shape }, padding))
}

fn shape(value: &Value) -> Result<Vec<usize>> {
    let length = |length: u64| match usize::try_from(length) {
        Ok(length @ 1..) => Ok(length),
        _ => Err(Error::unsupported(format!("a field of shape {}", show(value)))),
    };
    lengths(value)?.into_iter().map(length).collect()
}

/// Returns the data type of Python objects, by the filter that encodes them.
fn objects<'a>(codecs: impl IntoIterator<Item = &'a Value>) -> Result<DataType> {
    for codec in codecs {
        match codec.get("id").and_then(Value::as_str).unwrap_or_default() {
            "vlen-utf8" | "categorize" => return DataType::from_name("string"),
            "vlen-bytes" => return DataType::from_name("bytes"),
            "vlen-array" => {
                let item = object(codec).and_then(|codec| simple(member(codec, "dtype")?));
                let (item, endian) = item.place(|| "vlen-array: dtype")?;
                return DataType::list(item, endian.is_some_and(|endian| endian != Endian::NATIVE));
            }
            "json" | "json2" | "msgpack" | "msgpack2" => return Ok(DataType::object()),
            "pickle" => {
                return Err(Error::unsupported(
                    "\"|O\" with the filter \"pickle\": unpickling runs code from the data and is not supported; if you trust \
                     the data, rewrite them with vlen-utf8, json2 or msgpack2",
                ));
            }
            _ => {}
        }
    }
    Err(Error::unsupported(
        "\"|O\" needs a filter that encodes Python objects: vlen-utf8, vlen-bytes, \
         vlen-array, json2, msgpack2 and categorize",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn parse(value: &Value) -> Result<(DataType, Option<Endian>)> {
        dtype_from_json(value, [])
    }

    #[test]
    fn codes_are_read_and_spelled() {
        for (code, name, endian) in [
            ("<i4", "int32", Some(Endian::Little)),
            (">c16", "complex128", Some(Endian::Big)),
            ("|b1", "bool", None),
            ("<u1", "uint8", None),
            ("|V3", "r24", None),
            ("|S7", "null_terminated_bytes of 7", None),
            (">U5", "fixed_length_utf32 of 5", Some(Endian::Big)),
            ("<M8[25us]", "numpy.datetime64[25us]", Some(Endian::Little)),
            (">m8", "numpy.timedelta64[generic]", Some(Endian::Big)),
            ("bfloat16", "bfloat16", Some(Endian::Little)),
            ("float8_e5m2", "float8_e5m2", None),
            ("int4", "int4", None),
        ] {
            let (data_type, found) = parse(&code.into()).unwrap();
            assert_eq!((data_type.to_string(), found), (name.to_owned(), endian), "{code}");
            let spelled = dtype_to_json(&data_type);
            assert_eq!(parse(&spelled).unwrap().0, data_type);
            if endian != Some(Endian::Big) && code != "<u1" {
                assert_eq!(spelled, code);
            }
        }
    }

    #[test]
    fn fields_are_read_and_spelled() {
        let swapped = |data_type: &DataType| data_type.fields().iter().map(|field| field.swapped).collect::<Vec<_>>();
        let descr = json!([
            ["x", ">u2"],
            ["", "|V3"],
            ["m", "<f4", [2, 3]],
            ["s", "|S5"],
            ["n", [["p", "<i2"], ["q", ">f8"]], [2]],
            ["", "|V1"]
        ]);
        let (data_type, endian) = parse(&descr).unwrap();
        assert_eq!(endian, None);
        assert_eq!(
            data_type.fields().iter().map(|field| (&*field.name, field.offset, &field.shape[..])).collect::<Vec<_>>(),
            [("x", 0, &[][..]), ("m", 5, &[2, 3]), ("s", 29, &[]), ("n", 34, &[2])]
        );
        assert_eq!(data_type.size(), 2 + 3 + 24 + 5 + 20 + 1);
        let little = cfg!(target_endian = "little");
        assert_eq!(swapped(&data_type), [little, !little, false, false]);
        assert_eq!(swapped(&data_type.fields()[3].data_type), [!little, little]);
        assert_eq!(dtype_to_json(&data_type), descr);
        // Titles are dropped, a number is a shape of one axis, and typed fields without a name get NumPy's default
        // name.
        let (data_type, _) = parse(&json!([[["Title", "a"], "<i4"], ["", "<f4"], ["b", "|u1", 2]])).unwrap();
        assert_eq!(dtype_to_json(&data_type), json!([["a", "<i4"], ["f1", "<f4"], ["b", "|u1", [2]]]));
    }

    #[test]
    fn objects_are_what_their_filter_says() {
        let read = |filters: Value| dtype_from_json(&json!("|O"), filters.as_array().unwrap());
        for (filters, name) in [
            (json!([{"id": "vlen-utf8"}]), "string"),
            (json!([{"id": "categorize", "labels": ["a"], "dtype": "|O", "astype": "|u1"}]), "string"),
            (json!([{"id": "vlen-bytes"}, {"id": "zlib"}]), "variable_length_bytes"),
            (json!([{"id": "vlen-array", "dtype": "<i4"}]), "list of int32"),
            (json!([{"id": "json2", "encoding": "utf-8"}]), "object"),
            (json!([{"id": "msgpack2"}]), "object"),
        ] {
            let data_type = read(filters).unwrap().0;
            assert_eq!(data_type.to_string(), name);
            let filter = object_filter(&data_type).unwrap();
            assert_eq!(read(json!([filter])).unwrap().0, data_type);
            assert_eq!(dtype_to_json(&data_type), "|O");
        }
        for (filters, why) in [
            (json!([]), "needs a filter"),
            (json!([{"id": "delta"}, 5]), "needs a filter"),
            (json!([{"id": "pickle"}]), "runs code"),
        ] {
            let error = read(filters).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains(why), "{error}");
        }
        for wrong in [json!({"id": "vlen-array"}), json!({"id": "vlen-array", "dtype": "|O"})] {
            assert!(read(json!([wrong])).is_err());
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let huge = 1u64 << 40;
        for value in [
            json!(null),
            json!("f4"),
            json!("|f4"),
            json!("<bfloat16"),
            json!("<V99999999999999999999"),
            json!([]),
            json!(["a"]),
            json!([["a"]]),
            json!([["a", "<i4"], ["a", "<f4"]]),
            json!([["a", "<i4", [2], 1]]),
            json!([["a", "|O"]]),
            json!([["a", "<i4", [0]]]),
            json!([["a", "<i4", [-1]]]),
            json!([["a", "<i4", 1.5]]),
            json!([["a", "<i4", [huge, huge, huge]]]),
            json!([["a", "|V131072"], ["b", "|V131072"]]),
            json!([["", "|V4"]]),
            json!([[["a", "b", "c"], "<i4"]]),
        ] {
            assert!(parse(&value).is_err(), "{value}");
        }
        let deep = (0..=MAX_DEPTH + 1).fold(json!("<i4"), |inner, _| json!([["a", inner]]));
        assert!(parse(&deep).unwrap_err().message().contains("deep"));
        let many: Vec<_> = (0..100_000).map(|k| json!([format!("a{k}"), "|u1"])).collect();
        assert_eq!(parse(&many.into()).unwrap().0.size(), 100_000);
    }
}
