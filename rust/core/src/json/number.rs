//! Numbers that JSON or `serde_json` cannot hold: `NaN`, infinities, and integers of more than 64 bits.
//!
//! [`Number`] is the typed form. Documents stay `serde_json` values, which serde, attributes and the public API use, so
//! that inside a document such a number is a string with a mark. Only this file knows the mark.

use serde_json::Value;

use crate::error::{Error, Result};

/// A number in a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// An integer that `i64` or `u64` can hold.
    Integer(i128),
    /// The decimal digits of a longer integer, perhaps after a minus sign.
    LongInteger(String),
    /// A floating-point number.
    Float(f64),
}

/// Precedes the text of a number inside a string.
const MARK: &str = "\u{1}number:";

/// [`MARK`] as JSON escapes it.
const ESCAPED_MARK: &str = "\\u0001number:";

/// The numbers that JSON lacks.
const LITERALS: [(&str, f64); 3] = [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];

/// Shorter integers have at most 64 bits.
const LONG: usize = 19;

impl Number {
    /// Returns the number in a document's value; `None` if it is not a number.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text.strip_prefix(MARK)?),
            Value::Number(number) => Some(match (number.as_i64(), number.as_u64()) {
                (Some(integer), _) => Self::Integer(integer.into()),
                (_, Some(integer)) => Self::Integer(integer.into()),
                _ => Self::Float(number.as_f64()?),
            }),
            _ => None,
        }
    }

    /// Reads decimal digits, perhaps after a minus sign.
    pub fn integer(text: &str) -> Result<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::metadata(format!("{text:?} is not an integer")));
        }
        let short: Option<i128> =
            text.parse().ok().filter(|integer| (i64::MIN.into()..=u64::MAX.into()).contains(integer));
        Ok(short.map_or_else(|| Self::LongInteger(text.to_owned()), Self::Integer))
    }

    /// Parses the text after a mark.
    fn parse(text: &str) -> Option<Self> {
        let literal = LITERALS.iter().find(|(name, _)| *name == text);
        literal.map(|(_, number)| Self::Float(*number)).or_else(|| Self::integer(text).ok())
    }

    /// Returns the nearest floating-point number.
    pub(super) fn as_f64(&self) -> f64 {
        match self {
            Self::Integer(integer) => *integer as f64,
            Self::LongInteger(digits) => digits.parse().unwrap_or(f64::NAN),
            Self::Float(number) => *number,
        }
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Integer(integer) => match (i64::try_from(integer), u64::try_from(integer)) {
                (Ok(integer), _) => integer.into(),
                (_, Ok(integer)) => integer.into(),
                _ => format!("{MARK}{integer}").into(),
            },
            Number::LongInteger(digits) => format!("{MARK}{digits}").into(),
            Number::Float(number) if number.is_finite() => number.into(),
            Number::Float(number) => format!("{MARK}{}", name(number)).into(),
        }
    }
}

/// Returns the name of a number that JSON lacks, which metadata write as a string.
pub(super) fn name(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Parses a document that may contain such numbers.
pub(super) fn parse(text: &str) -> serde_json::Result<Value> {
    let has_long =
        text.as_bytes().chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit()).any(|run| run.len() >= LONG);
    let plain = if has_long { quote(text).and_then(|quoted| serde_json::from_str(&quoted).ok()) } else { None };
    plain.map_or_else(|| serde_json::from_str(text), Ok).or_else(|error| match quote(text) {
        Some(quoted) => serde_json::from_str(&quoted).map_err(|_| error),
        None => Err(error),
    })
}

/// Writes a document, with all numbers as they were read.
pub(super) fn write(document: &Value) -> String {
    let text = format!("{document:#}");
    let mark = format!("\"{ESCAPED_MARK}");
    let mut parts = text.split(mark.as_str());
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('"').filter(|(number, _)| Number::parse(number).is_some()) {
            Some((number, rest)) => written.extend([number, rest]),
            None => written.extend([mark.as_str(), part]),
        }
    }
    written
}

/// Puts quotes around such numbers, and a mark before them; `None` if there are none.
fn quote(text: &str) -> Option<String> {
    let mut quoted = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| matches!(c, '"' | 'N' | 'I' | '-' | '0'..='9')) {
        let (before, token) = rest.split_at(at);
        quoted.push_str(before);
        let length = if token.starts_with('"') {
            string_length(token)
        } else if let Some((name, _)) = LITERALS.iter().find(|(name, _)| token.starts_with(name)) {
            quoted.extend(["\"", ESCAPED_MARK, name, "\""]);
            rest = &token[name.len()..];
            continue;
        } else {
            let part = |c: char| matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-');
            let length = token.find(|c| !part(c)).unwrap_or(token.len()).max(1);
            let number = &token[..length];
            let has_leading_zero = number.trim_start_matches('-').starts_with('0');
            let is_long = || matches!(Number::integer(number), Ok(Number::LongInteger(_)));
            if number.len() >= LONG && !has_leading_zero && is_long() {
                quoted.extend(["\"", ESCAPED_MARK, number, "\""]);
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

/// Returns the length of the string at the start of `text`, including its quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
