//! JSON as metadata have it: read from bytes, and its members looked at one by one.

use serde_json::{Map, Value};

use crate::error::{Error, Place, Result};

/// Reads a document of JSON, which must be an object.
///
/// The numbers `NaN`, `Infinity` and `-Infinity`, which JSON does not have but some writers left in it, come back as
/// strings of that name, which is how metadata spell them. Nesting is limited to 128 levels.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    parse_marked(bytes, "")
}

/// Stands before the numbers that JSON does not have in a document that is to be written again.
const MARK: &str = "\u{1}number:";

/// Reads a document that is to be changed and written again by [`write_literal`]: the numbers that JSON does not have
/// are then what they were.
pub(crate) fn parse_literal(bytes: &[u8]) -> Result<Value> {
    parse_marked(bytes, MARK)
}

/// The text of a document that was read by [`parse_literal`].
pub(crate) fn write_literal(document: &Value) -> String {
    let text = format!("{document:#}");
    let restore = |text: String, number: &&str| text.replace(&format!("\"\\u0001{}{number}\"", &MARK[1..]), number);
    NUMBERS.iter().fold(text, restore)
}

fn parse_marked(bytes: &[u8], mark: &str) -> Result<Value> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::metadata(format!("cannot read the JSON: byte {} is not UTF-8", error.valid_up_to())))?;
    let parsed = serde_json::from_str(text).or_else(|error| match quote_numbers(text, mark) {
        Some(quoted) => serde_json::from_str(&quoted).map_err(|_| error),
        None => Err(error),
    });
    match parsed {
        Ok(document @ Value::Object(_)) => Ok(document),
        Ok(other) => Err(Error::metadata(format!("{} is not an object", show(&other)))),
        Err(error) => Err(Error::metadata(format!("cannot read the JSON: {error}"))),
    }
}

/// Numbers that JSON does not have.
const NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Puts numbers that JSON does not have in quotes, behind a mark; `None`: there are none.
fn quote_numbers(text: &str, mark: &str) -> Option<String> {
    let mark = mark.replace('\u{1}', "\\u0001");
    let mut quoted = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['"', 'N', 'I', '-']) {
        let (before, token) = rest.split_at(at);
        quoted.push_str(before);
        let length = if token.starts_with('"') {
            string_length(token)
        } else if let Some(number) = NUMBERS.iter().find(|number| token.starts_with(**number)) {
            quoted.extend(["\"", &mark, number, "\""]);
            rest = &token[number.len()..];
            continue;
        } else {
            1
        };
        quoted.push_str(&token[..length]);
        rest = &token[length..];
    }
    quoted.push_str(rest);
    (quoted.len() > text.len()).then_some(quoted)
}

/// The length of the string that `text` starts with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A value as an error shows it: not longer than a line.
pub(crate) fn show(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The members of an object.
pub(crate) fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().ok_or_else(|| Error::metadata(format!("{} is not an object", show(value))))
}

/// A member that must be there.
pub(crate) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a Value> {
    object.get(name).ok_or_else(|| Error::metadata(format!("{name:?} is missing")))
}

/// A member that must be there, read by `read`, in whose errors the member is named.
pub(crate) fn read<'a, T>(
    object: &'a Map<String, Value>,
    name: &str,
    read: impl FnOnce(&'a Value) -> Result<T>,
) -> Result<T> {
    read(member(object, name)?).place(|| name)
}

/// The elements of a list.
pub(crate) fn list(value: &Value) -> Result<&[Value]> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| Error::metadata(format!("{} is not a list", show(value))))
}

/// The text of a string.
pub(crate) fn string(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| Error::metadata(format!("{} is not a string", show(value))))
}

/// An integer, which may be written with a fraction of zero, as some writers do, where that leaves no doubt of the value.
pub(crate) fn integer(value: &Value) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i128);
    let exact = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
    exact.or(value.as_f64().and_then(whole))
}

/// A list of lengths.
pub(crate) fn lengths(value: &Value) -> Result<Vec<u64>> {
    let length = |value: &Value| {
        value.as_u64().ok_or_else(|| Error::metadata(format!("{} is not an integer from 0 to 2^64 - 1", show(value))))
    };
    list(value)?.iter().map(length).collect()
}

/// Checks that a document says it is of a version of Zarr.
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
    fn numbers_that_json_does_not_have_become_strings() {
        let document = parse(br#"{"a": NaN, "b": [-Infinity, Infinity, -1.5], "c": "NaN \" NaN", "I": null}"#).unwrap();
        let expected = r#"{"a":"NaN","b":["-Infinity","Infinity",-1.5],"c":"NaN \" NaN","I":null}"#;
        assert_eq!(document.to_string(), expected);
    }

    #[test]
    fn what_is_written_again_is_what_was_read() {
        let text = r#"{"a": [NaN, -Infinity, "NaN", Infinity], "b": 1.5, "c": "-Infinity \u0001"}"#;
        let document = parse_literal(text.as_bytes()).unwrap();
        let lines: Vec<_> = write_literal(&document).lines().map(|line| line.trim().to_owned()).collect();
        assert_eq!(lines.join(" ").replace("[ ", "[").replace(" ]", "]").replace("{ ", "{").replace(" }", "}"), text);
    }

    #[test]
    fn what_is_no_object_is_an_error() {
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
