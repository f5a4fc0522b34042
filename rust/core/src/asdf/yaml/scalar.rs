//! Scalars: the implicit types of [YAML 1.1](https://yaml.org/type/) as `PyYAML`'s `SafeLoader` resolves them, since it
//! writes and reads nearly every ASDF file.
//!
//! They differ from YAML 1.2: `yes` is true, `010` is 8, `1:30` is 90, `1_000` is 1000, and `1e3` is a string. Texts that
//! `PyYAML` fails to construct, such as `0b_`, are strings.

use super::YAML_TAG_PREFIX;
use super::number::{is_float, is_int, is_number_in_12, parse_float, parse_int};
use crate::base64;
use crate::error::{Error, Result};

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'a'`
    SingleQuoted,
    /// `"a"`
    DoubleQuoted,
    /// `|`, line by line
    Literal,
    /// `>`, with lines folded
    Folded,
}

/// The type of a plain text without a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolved {
    /// `~`, `null` or an empty text
    Null,
    /// `yes`, `false`, `On` and so on
    Bool,
    /// `12`, `0x1F`, `010`, `1_000`, `1:30`
    Int,
    /// `1.5`, `.inf`, `1.0e+3`
    Float,
    /// `2001-12-14`
    Timestamp,
    /// `<<`, the key of a mapping that is merged into this one
    Merge,
    /// `=`, a string
    Value,
    /// any other text
    Str,
}

/// The value of a scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A larger integer as decimal digits, after `-` if negative.
    BigInt(String),
    /// A floating-point number.
    Float(f64),
    /// A string, or the text of a scalar with a tag that is not YAML's.
    Str(&'a str),
    /// A date, or a date and time, as written.
    Timestamp(&'a str),
    /// Bytes, written in base64.
    Binary(Vec<u8>),
}

impl<'a> Scalar<'a> {
    /// Resolves a text with its tag and style; an error if the text does not match the tag.
    pub(super) fn construct(tag: Option<&str>, text: &'a str, style: Style) -> Result<Self> {
        let Some(tag) = tag else {
            return match style {
                // A text that only looks like a number is a string.
                Style::Plain => Self::of(resolve(text), text).or(Ok(Self::Str(text))),
                _ => Ok(Self::Str(text)),
            };
        };
        let resolved = match tag.strip_prefix(YAML_TAG_PREFIX) {
            Some("null") => Resolved::Null,
            Some("bool") => Resolved::Bool,
            Some("int") => Resolved::Int,
            Some("float") => Resolved::Float,
            Some("timestamp") => Resolved::Timestamp,
            Some("binary") => {
                return base64::decode_loosely(text).map(Self::Binary).ok_or_else(|| mismatch("binary", text));
            }
            _ => Resolved::Str,
        };
        Self::of(resolved, text)
    }

    fn of(resolved: Resolved, text: &'a str) -> Result<Self> {
        match resolved {
            Resolved::Null => Ok(Self::Null),
            Resolved::Bool => parse_bool(text).map(Self::Bool).ok_or_else(|| mismatch("bool", text)),
            Resolved::Int => {
                let digits = parse_int(text).ok_or_else(|| mismatch("int", text))?;
                Ok(digits.parse().map_or_else(|_| Self::BigInt(digits), Self::Int))
            }
            Resolved::Float => parse_float(text).map(Self::Float).ok_or_else(|| mismatch("float", text)),
            Resolved::Timestamp if is_timestamp(text) => Ok(Self::Timestamp(text)),
            Resolved::Timestamp => Err(mismatch("timestamp", text)),
            Resolved::Merge | Resolved::Value | Resolved::Str => Ok(Self::Str(text)),
        }
    }
}

fn mismatch(tag: &str, text: &str) -> Error {
    let start: String = text.chars().take(40).collect();
    Error::metadata(format!("YAML: {start:?} is not a !!{tag}"))
}

/// Returns the type of a plain text without a tag.
pub fn resolve(text: &str) -> Resolved {
    let Some(first) = text.bytes().next() else { return Resolved::Null };
    match first {
        b'~' if text == "~" => Resolved::Null,
        b'<' if text == "<<" => Resolved::Merge,
        b'=' if text == "=" => Resolved::Value,
        b'n' | b'N' if matches!(text, "null" | "Null" | "NULL") => Resolved::Null,
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' if is_bool(text) => Resolved::Bool,
        b'-' | b'+' | b'.' | b'0'..=b'9' if is_float(text) => Resolved::Float,
        b'-' | b'+' | b'0'..=b'9' if is_int(text) => Resolved::Int,
        b'0'..=b'9' if is_implicit_timestamp(text) => Resolved::Timestamp,
        _ => Resolved::Str,
    }
}

/// Whether a plain text is a string for readers of both YAML 1.1 and
/// [YAML 1.2](https://yaml.org/spec/1.2.2/#1032-tag-resolution), whose nulls and booleans are among those of YAML 1.1.
pub fn is_plain_string(text: &str) -> bool {
    resolve(text) == Resolved::Str && !is_number_in_12(text)
}

fn is_bool(text: &str) -> bool {
    matches!(text, "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF")
        || matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
}

fn parse_bool(text: &str) -> Option<bool> {
    let is = |names: [&str; 3]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    if is(["yes", "true", "on"]) {
        Some(true)
    } else if is(["no", "false", "off"]) {
        Some(false)
    } else {
        None
    }
}

/// Whether `PyYAML` resolves a plain text to a timestamp: `2001-01-01`, or a date and time with one or two digits each.
fn is_implicit_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [_, _, _, _, b'-', _, _, b'-', _, _] => is_timestamp(text),
        _ => bytes.len() > 10 && is_timestamp(text),
    }
}

/// Whether a text has the form of a [timestamp](https://yaml.org/type/timestamp.html); the numbers may be out of range.
fn is_timestamp(text: &str) -> bool {
    /// Strips `least` to `most` digits.
    fn digits(text: &[u8], least: usize, most: usize) -> Option<&[u8]> {
        let count = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        (count >= least).then(|| &text[count..])
    }
    fn byte<'a>(text: &'a [u8], allowed: &[u8]) -> Option<&'a [u8]> {
        text.split_first().filter(|(first, _)| allowed.contains(first)).map(|(_, rest)| rest)
    }
    fn blanks(text: &[u8]) -> &[u8] {
        &text[text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()..]
    }
    let zone = |text: &[u8]| -> Option<()> {
        if let Some(rest) = byte(text, b"Z") {
            return rest.is_empty().then_some(());
        }
        let rest = digits(byte(text, b"+-")?, 1, 2)?;
        let rest = if rest.is_empty() { rest } else { digits(byte(rest, b":")?, 2, 2)? };
        rest.is_empty().then_some(())
    };
    let timestamp = || -> Option<()> {
        let rest = byte(digits(text.as_bytes(), 4, 4)?, b"-")?;
        let rest = digits(byte(digits(rest, 1, 2)?, b"-")?, 1, 2)?;
        if rest.is_empty() {
            return Some(());
        }
        let time = byte(rest, b"Tt").or_else(|| byte(rest, b" \t").map(blanks))?;
        let rest = byte(digits(time, 1, 2)?, b":")?;
        let rest = digits(byte(digits(rest, 2, 2)?, b":")?, 2, 2)?;
        let rest = byte(rest, b".").map_or(rest, |rest| digits(rest, 0, usize::MAX).unwrap_or(rest));
        if rest.is_empty() { Some(()) } else { zone(blanks(rest)) }
    };
    timestamp().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar<'_> {
        Scalar::construct(None, text, Style::Plain).unwrap()
    }

    #[test]
    fn plain_scalars_resolve_as_in_pyyaml() {
        for text in ["yes", "Yes", "on", "On", "true", "True", "TRUE"] {
            assert_eq!(plain(text), Scalar::Bool(true), "{text}");
        }
        for text in ["no", "No", "off", "OFF", "false"] {
            assert_eq!(plain(text), Scalar::Bool(false), "{text}");
        }
        for text in ["~", "null", "Null", "NULL", ""] {
            assert_eq!(plain(text), Scalar::Null, "{text}");
        }
    }

    /// Iterates over texts and their expected values.
    fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
        table.split_whitespace().map(|row| row.split_once('=').unwrap())
    }

    #[test]
    fn numbers_resolve_as_in_pyyaml() {
        let integers = "
            0=0 -0=0 42=42 +42=42 -42=-42 1_000=1000 010=8 0777=511 -010=-8 0_=0 00=0 0b101=5 -0b1_1=-3 0x1F=31 -0x1f=-31
            1:30=90 190:20:30=685230 -1:30=-90 1_0:30=630 9223372036854775807=9223372036854775807
            -9223372036854775808=-9223372036854775808 -0x8000000000000000=-9223372036854775808";
        for (text, value) in rows(integers) {
            assert_eq!(plain(text), Scalar::Int(value.parse().unwrap()), "{text}");
        }
        let big = "
            12345678901234567890=12345678901234567890 9223372036854775808=9223372036854775808
            -0x8000000000000001=-9223372036854775809 18446744073709551616=18446744073709551616
            0x1_0000_0000_0000_0000=18446744073709551616 02000000000000000000000=18446744073709551616
            +123456789012345678901234567890123456789=123456789012345678901234567890123456789
            307445734561825860:16=18446744073709551616 -1:00:00:00:00:00:00:00:00:00:00:00=-36279705600000000000";
        for (text, digits) in rows(big) {
            assert_eq!(plain(text), Scalar::BigInt(digits.into()), "{text}");
        }
        let floats = "
            190:20:30.15=685230.15 1.0=1 1.=1 .5=0.5 -1.5=-1.5 1.e+3=1e3 1.5e+3=1500 1_000.5=1000.5 .inf=inf -.inf=-inf
            +.inf=inf .Inf=inf .INF=inf 0:30.5=30.5 1._=1 .5e-1=0.05 01.5=1.5 1.0e+400=inf";
        for (text, value) in rows(floats) {
            assert_eq!(plain(text), Scalar::Float(value.parse().unwrap()), "{text}");
        }
        for text in [".nan", ".NaN", ".NAN"] {
            assert!(matches!(plain(text), Scalar::Float(value) if value.is_nan()), "{text}");
        }
    }

    #[test]
    fn timestamps_and_texts() {
        let timestamps = [
            "2001-01-01",
            "2001-12-14 21:59:43.10 -5",
            "2001-12-14t21:59:43Z",
            "2001-1-1 1:00:00",
            "2001-12-14T21:59:43.",
            "2001-12-14 \t 21:59:43+05:30",
            "2001-99-99",
        ];
        for text in timestamps {
            assert_eq!(plain(text), Scalar::Timestamp(text));
        }
        let texts = "
            y n Y yEs None 0o10 08 0XFF 1:60 -.5 +.5 1e3 1.5e3 1E-3 inf Infinity nan +.nan 1+1j = << 2001-1-1 2001-01-01T
            0:30 0b 0b_ 0x_ 1: :30 _1 - + . 1.5e+ 1.5.5 1:30: 0o";
        let texts = texts.split_whitespace().chain(["2001-12-14 21:59:43 ", "2001-12-14 21:59:43+5:3"]);
        for text in texts {
            assert_eq!(plain(text), Scalar::Str(text));
        }
    }

    #[test]
    fn tags_and_quotes_decide() {
        let tagged = |tag: &str, text: &'static str| {
            Scalar::construct(Some(&format!("tag:yaml.org,2002:{tag}")), text, Style::DoubleQuoted)
        };
        assert_eq!(tagged("str", "123").unwrap(), Scalar::Str("123"));
        assert_eq!(tagged("int", "12").unwrap(), Scalar::Int(12));
        assert_eq!(tagged("int", "1:99").unwrap(), Scalar::Int(159));
        assert_eq!(tagged("float", "3").unwrap(), Scalar::Float(3.0));
        assert_eq!(tagged("float", "1e5").unwrap(), Scalar::Float(1e5));
        assert_eq!(tagged("bool", "yeS").unwrap(), Scalar::Bool(true));
        assert_eq!(tagged("null", "any").unwrap(), Scalar::Null);
        assert_eq!(tagged("timestamp", "2001-1-1").unwrap(), Scalar::Timestamp("2001-1-1"));
        assert_eq!(tagged("binary", "aGVs\nbG8=").unwrap(), Scalar::Binary(b"hello".to_vec()));
        for (tag, text) in [
            ("int", "08"),
            ("int", ""),
            ("int", "1.5"),
            ("int", "0b"),
            ("int", "+-5"),
            ("int", "1:"),
            ("int", "0x-5"),
            ("float", "x"),
            ("float", ""),
            ("bool", "y"),
            ("timestamp", "soon"),
            ("binary", "aGVsbG8"),
            ("binary", "é"),
        ] {
            assert!(tagged(tag, text).is_err(), "!!{tag} {text}");
        }
        assert_eq!(Scalar::construct(Some("!x"), "12", Style::Plain).unwrap(), Scalar::Str("12"));
        assert_eq!(Scalar::construct(None, "12", Style::SingleQuoted).unwrap(), Scalar::Str("12"));
    }

    #[test]
    fn huge_integers_are_texts_or_digits() {
        let hex = format!("0x{}", "f".repeat(100_000));
        assert_eq!(plain(&hex), Scalar::Str(&hex));
        let decimal = "7".repeat(100_000);
        assert_eq!(plain(&decimal), Scalar::BigInt(decimal.clone()));
    }

    #[test]
    fn strings_of_yaml_11_and_12() {
        for text in ["1e3", "0o17", "08", "-.5", "1.5e3", "yes", "~", "", "1_000", "+.5", "1e-3", "0x_"] {
            assert!(!is_plain_string(text), "{text}");
        }
        for text in ["y", "a", "1+1j", "e3", ".", "-", "1e", "0o8", "0.1.2", "é"] {
            assert!(is_plain_string(text), "{text}");
        }
    }
}
