//! JSON as metadata have it: read from bytes, and its members looked at one by one.

use serde_json::{Map, Value};

use crate::error::{Error, Place, Result};

/// Reads a document of JSON, which must be an object.
///
/// The numbers `NaN`, `Infinity` and `-Infinity`, which JSON does not have but some writers left in it, come back as
/// strings of that name, which is how metadata spell them. Nesting is limited to 128 levels. Integers of more than 64 bits
/// among attributes are [kept](integer_text); elsewhere they are floating-point numbers.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    let mut document = parse_marked(bytes, "")?;
    settle(&mut document);
    Ok(document)
}

/// Reads a document that is nothing but attributes; see [`parse`].
pub(crate) fn parse_attributes(bytes: &[u8]) -> Result<Value> {
    parse_marked(bytes, "")
}

/// Stands before the numbers that JSON, or a [`Value`], does not have in a document that is to be written again.
const MARK: &str = "\u{1}number:";

/// Reads a document that is to be changed and written again by [`write_literal`]: the numbers that JSON does not have
/// are then what they were.
pub(crate) fn parse_literal(bytes: &[u8]) -> Result<Value> {
    parse_marked(bytes, MARK)
}

/// The text of a document that was read by one of the functions above.
pub(crate) fn write_literal(document: &Value) -> String {
    let text = format!("{document:#}");
    let mark = format!("\"\\u0001{}", &MARK[1..]);
    let mut parts = text.split(mark.as_str());
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('"').filter(|(number, _)| NUMBERS.contains(number) || is_integer(number)) {
            Some((number, rest)) => written.extend([number, rest]),
            None => written.extend([mark.as_str(), part]),
        }
    }
    written
}

/// The digits of an integer of more than 64 bits, which a [`Value`] holds as a string of a form of its own; see
/// [`integer_value`].
pub fn integer_text(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix(MARK).filter(|text| is_integer(text))
}

/// An integer by its digits, however many: as JSON has it, where it has 64 bits at most.
pub fn integer_value(text: &str) -> Result<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number.into());
    }
    match text.parse::<u64>() {
        Ok(number) => Ok(number.into()),
        Err(_) if is_integer(text) => Ok(format!("{MARK}{text}").into()),
        Err(_) => Err(Error::metadata(format!("{text:?} is not an integer"))),
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Makes floating-point numbers of long integers where there are no attributes.
fn settle(value: &mut Value) {
    match value {
        Value::Object(members) => members
            .iter_mut()
            .filter(|(name, _)| *name != "attributes" && !name.ends_with(".zattrs"))
            .for_each(|(_, member)| settle(member)),
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::String(_) => {
            if let Some(number) = integer_text(value).and_then(|text| text.parse::<f64>().ok()) {
                *value = number.into();
            }
        }
        _ => {}
    }
}

fn parse_marked(bytes: &[u8], mark: &str) -> Result<Value> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::metadata(format!("cannot read the JSON: byte {} is not UTF-8", error.valid_up_to())))?;
    let plain = if bytes.chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit()).any(|run| run.len() >= LONG) {
        quote_numbers(text, mark).and_then(|quoted| serde_json::from_str(&quoted).ok())
    } else {
        None
    };
    let parsed = plain.map_or_else(|| serde_json::from_str(text), Ok);
    let parsed = parsed.or_else(|error| match quote_numbers(text, mark) {
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

/// An integer of fewer digits has 64 bits at most.
const LONG: usize = 19;

/// Puts numbers that JSON does not have in quotes, behind a mark, and integers of more than 64 bits behind [`MARK`]; `None`:
/// there are none.
fn quote_numbers(text: &str, mark: &str) -> Option<String> {
    let escaped = |mark: &str| mark.replace('\u{1}', "\\u0001");
    let (mark, integer) = (escaped(mark), escaped(MARK));
    let mut quoted = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| matches!(c, '"' | 'N' | 'I' | '-' | '0'..='9')) {
        let (before, token) = rest.split_at(at);
        quoted.push_str(before);
        let length = if token.starts_with('"') {
            string_length(token)
        } else if let Some(number) = NUMBERS.iter().find(|number| token.starts_with(**number)) {
            quoted.extend(["\"", &mark, number, "\""]);
            rest = &token[number.len()..];
            continue;
        } else {
            let part = |c: char| matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-');
            let length = token.find(|c| !part(c)).unwrap_or(token.len()).max(1);
            let number = &token[..length];
            let leading = number.trim_start_matches('-').starts_with('0');
            if number.len() >= LONG && !leading && integer_value(number).is_ok_and(|value| value.is_string()) {
                quoted.extend(["\"", &integer, number, "\""]);
                rest = &token[length..];
                continue;
            }
            length
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
    fn integers_of_any_length_are_kept_among_attributes() {
        let text = r#"{"attributes":{"a":[123456789012345678901234567890,-9223372036854775809],"b":18446744073709551615,
            "c":"123456789012345678901234567890","d":1.5e300,"e":NaN,"f":0.12345678901234567890,
            "g":"\u0001number:12x"},"fill_value":100000000000000000000}"#;
        let document = parse(text.as_bytes()).unwrap();
        assert_eq!(document["fill_value"], 1e20);
        let attributes = &document["attributes"];
        assert_eq!(integer_text(&attributes["a"][0]).unwrap(), "123456789012345678901234567890");
        assert_eq!(integer_text(&attributes["a"][1]).unwrap(), "-9223372036854775809");
        assert_eq!((integer_text(&attributes["b"]), attributes["b"].as_u64()), (None, Some(u64::MAX)));
        assert_eq!((integer_text(&attributes["c"]), attributes["d"].as_f64()), (None, Some(1.5e300)));
        assert_eq!(attributes["e"], "NaN");
        let written = write_literal(&parse_literal(text.as_bytes()).unwrap());
        let bare = |text: &str| text.replace(['\n', ' '], "");
        let due = text.replace("1.5e300", "1.5e+300").replace("0.12345678901234567890", "0.12345678901234568");
        assert_eq!(bare(&written), bare(&due));
        assert_eq!(
            parse_attributes(br#"{"n": 100000000000000000000}"#).unwrap()["n"],
            "\u{1}number:100000000000000000000"
        );
        for wrong in ["01234567890123456789012", "1234567890123456789012-1", "--1234567890123456789012"] {
            assert!(parse(format!("{{\"attributes\": {wrong}}}").as_bytes()).is_err(), "{wrong}");
        }
        assert_eq!(integer_value("-0").unwrap(), 0);
        assert!(integer_value("1.5").is_err());
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
