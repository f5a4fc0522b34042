//! JSON documents of metadata: parsing, writing, and access to members.

mod number;

use serde_json::{Map, Value};

pub use self::number::Number;
use crate::error::{Error, Place, Result};

/// Parses a document, which must be an object.
///
/// Among attributes, the numbers that JSON or `serde_json` lacks are kept as [`Number`]s: `NaN`, `Infinity` and
/// `-Infinity`, which some writers leave in JSON, and integers of more than 64 bits. Elsewhere the former become strings,
/// which is how metadata spell them, and the latter floating-point numbers. Nesting is limited to 128 levels.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    let mut document = parse_literal(bytes)?;
    simplify_numbers(&mut document);
    Ok(document)
}

/// Parses a document with all numbers: one that consists of attributes, or that will be changed and written again with
/// [`write_literal`]. See [`parse`].
pub(crate) fn parse_literal(bytes: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::metadata(format!("cannot read the JSON: byte {} is not UTF-8", error.valid_up_to())))?;
    match number::parse(text) {
        Ok(document @ Value::Object(_)) => Ok(document),
        Ok(other) => Err(Error::metadata(format!("{} is not an object", show(&other)))),
        Err(error) => Err(Error::metadata(format!("cannot read the JSON: {error}"))),
    }
}

/// Writes a document of [`parse`] or [`parse_literal`].
pub(crate) fn write_literal(document: &Value) -> String {
    number::write(document)
}

/// Makes strings of `NaN` and infinities outside of attributes, and floating-point numbers of long integers.
fn simplify_numbers(value: &mut Value) {
    match value {
        Value::Object(members) => members
            .iter_mut()
            .filter(|(name, _)| *name != "attributes" && !name.ends_with(".zattrs"))
            .for_each(|(_, member)| simplify_numbers(member)),
        Value::Array(items) => items.iter_mut().for_each(simplify_numbers),
        Value::String(_) => match Number::of(value) {
            Some(number @ Number::LongInteger(_)) => *value = number.as_f64().into(),
            Some(Number::Float(number)) => *value = number::name(number).into(),
            _ => {}
        },
        _ => {}
    }
}

/// Returns the text of a value for an error, cut to one line.
pub(crate) fn show(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Returns the members of an object.
pub(crate) fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().ok_or_else(|| Error::metadata(format!("{} is not an object", show(value))))
}

/// Returns a required member.
pub(crate) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a Value> {
    object.get(name).ok_or_else(|| Error::metadata(format!("{name:?} is missing")))
}

/// Reads a required member with `read`, whose errors then name the member.
pub(crate) fn read<'a, T>(
    object: &'a Map<String, Value>,
    name: &str,
    read: impl FnOnce(&'a Value) -> Result<T>,
) -> Result<T> {
    read(member(object, name)?).place(|| name)
}

/// Returns the elements of a list.
pub(crate) fn list(value: &Value) -> Result<&[Value]> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| Error::metadata(format!("{} is not a list", show(value))))
}

/// Returns the text of a string.
pub(crate) fn string(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| Error::metadata(format!("{} is not a string", show(value))))
}

/// Returns an integer. Some writers add a fraction of zero, which is accepted where floating-point numbers are exact.
pub(crate) fn integer(value: &Value) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i128);
    let exact = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
    exact.or(value.as_f64().and_then(whole))
}

/// Returns a list of lengths.
pub(crate) fn lengths(value: &Value) -> Result<Vec<u64>> {
    let length = |value: &Value| {
        value.as_u64().ok_or_else(|| Error::metadata(format!("{} is not an integer from 0 to 2^64 - 1", show(value))))
    };
    list(value)?.iter().map(length).collect()
}

/// Checks the `zarr_format` of a document.
pub(crate) fn check_format(document: &Map<String, Value>, version: u64) -> Result<()> {
    read(document, "zarr_format", |format| match format.as_u64() {
        Some(found) if found == version => Ok(()),
        _ => Err(Error::metadata(format!("{} is not {version}", show(format)))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_lacks_become_strings() {
        let document = parse(br#"{"a": NaN, "b": [-Infinity, Infinity, -1.5], "c": "NaN \" NaN", "I": null}"#).unwrap();
        let expected = r#"{"a":"NaN","b":["-Infinity","Infinity",-1.5],"c":"NaN \" NaN","I":null}"#;
        assert_eq!(document.to_string(), expected);
    }

    #[test]
    fn written_documents_keep_their_numbers() {
        let text = r#"{"a": [NaN, -Infinity, "NaN", Infinity], "b": 1.5, "c": "-Infinity \u0001"}"#;
        let document = parse_literal(text.as_bytes()).unwrap();
        let lines: Vec<_> = write_literal(&document).lines().map(|line| line.trim().to_owned()).collect();
        assert_eq!(lines.join(" ").replace("[ ", "[").replace(" ]", "]").replace("{ ", "{").replace(" }", "}"), text);
    }

    #[test]
    fn integers_of_any_length_are_kept_among_attributes() {
        let text = r#"{"attributes":{"a":[123456789012345678901234567890,-9223372036854775809],"b":18446744073709551615,
            "c":"123456789012345678901234567890","d":1.5e300,"e":NaN,"f":0.12345678901234567890,
            "g":"\u0001number:12x"},"fill_value":100000000000000000000}"#;
        let document = parse(text.as_bytes()).unwrap();
        assert_eq!(document["fill_value"], 1e20);
        let attributes = &document["attributes"];
        let long = |digits: &str| Some(Number::LongInteger(digits.into()));
        assert_eq!(Number::of(&attributes["a"][0]), long("123456789012345678901234567890"));
        assert_eq!(Number::of(&attributes["a"][1]), long("-9223372036854775809"));
        assert_eq!(Number::of(&attributes["b"]), Some(Number::Integer(u64::MAX.into())));
        assert_eq!(attributes["b"].as_u64(), Some(u64::MAX));
        assert_eq!((Number::of(&attributes["c"]), Number::of(&attributes["d"])), (None, Some(Number::Float(1.5e300))));
        assert_eq!(Number::of(&attributes["g"]), None);
        assert!(matches!(Number::of(&attributes["e"]), Some(Number::Float(number)) if number.is_nan()));
        let written = write_literal(&parse_literal(text.as_bytes()).unwrap());
        let bare = |text: &str| text.replace(['\n', ' '], "");
        let due = text.replace("1.5e300", "1.5e+300").replace("0.12345678901234567890", "0.12345678901234568");
        assert_eq!(bare(&written), bare(&due));
        let document = parse_literal(br#"{"n": 100000000000000000000}"#).unwrap();
        assert_eq!(Number::of(&document["n"]), long("100000000000000000000"));
        assert_eq!(Value::from(Number::of(&document["n"]).unwrap()), document["n"]);
        for wrong in ["01234567890123456789012", "1234567890123456789012-1", "--1234567890123456789012"] {
            assert!(parse(format!("{{\"attributes\": {wrong}}}").as_bytes()).is_err(), "{wrong}");
        }
        assert_eq!(Number::integer("-0").unwrap(), Number::Integer(0));
        for wrong in ["1.5", "", "-", "+1", "1e3"] {
            assert!(Number::integer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_that_json_lacks_are_typed() {
        let document = parse_literal(br#"{"a": [NaN, -Infinity, Infinity, "NaN", 1.5, -7]}"#).unwrap();
        let numbers: Vec<_> = document["a"].as_array().unwrap().iter().map(Number::of).collect();
        assert!(matches!(numbers[0], Some(Number::Float(number)) if number.is_nan()));
        let infinite = [f64::NEG_INFINITY, f64::INFINITY].map(|number| Some(Number::Float(number)));
        assert_eq!(numbers[1..3], infinite);
        assert_eq!(numbers[3..], [None, Some(Number::Float(1.5)), Some(Number::Integer(-7))]);
        for (number, value) in numbers.into_iter().zip(document["a"].as_array().unwrap()) {
            assert!(number.is_none_or(|number| Value::from(number) == *value));
        }
    }

    #[test]
    fn documents_that_are_not_objects_are_errors() {
        let deep = "[".repeat(100_000);
        let deep_object = format!("{{\"a\":{}{}}}", &deep, "]".repeat(100_000));
        for text in
            ["", "null", "[1]", "{", "{}x", "{'a': 1}", "\u{feff}{}", "{\"a\": NaNNaN}", "\"NaN", &deep, &deep_object]
        {
            assert!(parse(text.as_bytes()).is_err(), "{}", &text[..text.len().min(20)]);
        }
        assert!(parse(b"{\"a\": \"\xff\"}").unwrap_err().message().contains("byte 7"));
    }

    #[test]
    fn lengths_are_whole_and_fit() {
        let parse = |text: &str| lengths(&serde_json::from_str(text).unwrap());
        assert_eq!(parse("[0, 18446744073709551615]").unwrap(), [0, u64::MAX]);
        for text in [
            "[-1]",
            "[1.5]",
            "[1.0]",
            "[\"1\"]",
            "[null]",
            "[18446744073709551616]",
            "[1e3]",
            "8",
            "null",
            "{\"0\": 8}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
