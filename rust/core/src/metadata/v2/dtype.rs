//! How data types are spelled in Zarr V2: as NumPy does, with the byte order, and objects by the filter that encodes them.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html#data-type-encoding>

use serde_json::{Value, json};

use crate::codec::Endian;
use crate::data_type::{DataType, Field, Kind};
use crate::error::{Error, Place, Result};
use crate::json::{lengths, list, member, object, show, string};
use crate::metadata::v3::data_type::DEEPEST;

/// Reads the data type of Zarr V2, and the byte order of its elements; `None`: they have none, or one for each field.
///
/// `codecs` are the filters and the compressor: objects are what the one for objects says.
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

/// Spells a data type for Zarr V2, little-endian but for fields that are kept in another order.
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

/// The filter that encodes objects of a type; `None`: they are no objects.
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

/// The fields as NumPy lists them, with fields of no name for the gaps.
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

/// A byte order and a code of NumPy; types that NumPy does not have go by their name.
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
        _ => return Err(Error::metadata(format!("{text:?} has no byte order"))),
    };
    Ok((data_type, endian))
}

/// Fields as NumPy lists them: `[name, code]`, `[name, code, shape]`, where a code may be a list of fields.
fn structure(descr: &[Value], depth: usize) -> Result<DataType> {
    if depth > DEEPEST {
        return Err(Error::metadata(format!("structs are nested more than {DEEPEST} deep")));
    }
    let mut fields = Vec::new();
    let mut offset = 0usize;
    for (k, value) in descr.iter().enumerate() {
        let field = field(value, k, offset, depth)?;
        offset = offset.saturating_add(field.0.size());
        // What has no name and no meaning is padding.
        if !field.1 {
            fields.push(field.0);
        }
    }
    DataType::structure(fields, offset)
}

/// A field, and whether it is only padding.
fn field(value: &Value, number: usize, offset: usize, depth: usize) -> Result<(Field, bool)> {
    let (name, code, shape) = match list(value)? {
        [name, code] => (name, code, None),
        [name, code, shape] => (name, code, Some(shape)),
        _ => return Err(Error::metadata(format!("{} is not a field", show(value)))),
    };
    let name = match name {
        // A title stands before the name, and is another name for the same.
        Value::Array(both) => match &both[..] {
            [_, name] => string(name)?,
            _ => return Err(Error::metadata(format!("{} is not the name of a field", show(name)))),
        },
        _ => string(name)?,
    };
    let read = || {
        let (data_type, endian) = match code {
            Value::Array(fields) => (structure(fields, depth + 1)?, None),
            Value::String(text) if text == "|O" => {
                return Err(Error::unsupported("Python objects in a struct; there are elements of fixed size"));
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
        _ => Err(Error::unsupported(format!("an array of shape {} as a field", show(value)))),
    };
    lengths(value)?.into_iter().map(length).collect()
}

/// What Python objects are, by the filter that encodes them.
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
                    "\"|O\" with the filter \"pickle\": to read pickled objects is to run code that came with the data; \
                     whoever trusts them can write them anew with vlen-utf8, json2 or msgpack2",
                ));
            }
            _ => {}
        }
    }
    Err(Error::unsupported(
        "\"|O\" is for Python objects, and no filter says how these are stored; there are vlen-utf8, vlen-bytes, \
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
        // Titles go, numbers are shapes of one axis, and what has no name but a meaning is called as NumPy does.
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
            (json!([]), "no filter says"),
            (json!([{"id": "delta"}, 5]), "no filter says"),
            (json!([{"id": "pickle"}]), "run code"),
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
        let deep = (0..=DEEPEST + 1).fold(json!("<i4"), |inner, _| json!([["a", inner]]));
        assert!(parse(&deep).unwrap_err().message().contains("deep"));
        let many: Vec<_> = (0..100_000).map(|k| json!([format!("a{k}"), "|u1"])).collect();
        assert_eq!(parse(&many.into()).unwrap().0.size(), 100_000);
    }
}
