//! `json2`: stores a chunk as a JSON document of its elements, their type and their shape.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/other/json.html>
//!
//! ```json
//! {"name": "numcodecs.json2", "configuration": {"encoding": "utf-8", "strict": true}}
//! ```
//!
//! An element is the text of its value, which may have the numbers `NaN`, `Infinity` and `-Infinity`, as in Python. The
//! layout (`indent`, `separators`, ...) is ignored: documents are written without spaces, and in ASCII if
//! `ensure_ascii` or the encoding asks for it.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{self as objects, Format, json_scan};
use crate::codec::{Codec, Configuration, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};
use crate::slot::Slot;
use crate::subset::product;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Json2Configuration {
    encoding: String,
    ensure_ascii: bool,
    strict: bool,
    #[serde(rename = "skipkeys")]
    _skip_keys: IgnoredAny,
    #[serde(rename = "check_circular")]
    _check_circular: IgnoredAny,
    #[serde(rename = "allow_nan")]
    _allow_nan: IgnoredAny,
    #[serde(rename = "sort_keys")]
    _sort_keys: IgnoredAny,
    #[serde(rename = "indent")]
    _indent: IgnoredAny,
    #[serde(rename = "separators")]
    _separators: IgnoredAny,
}

impl Default for Json2Configuration {
    fn default() -> Self {
        let any = IgnoredAny;
        Self {
            encoding: "utf-8".into(),
            ensure_ascii: true,
            strict: true,
            _skip_keys: any,
            _check_circular: any,
            _allow_nan: any,
            _sort_keys: any,
            _indent: any,
            _separators: any,
        }
    }
}

#[derive(Debug)]
struct Json2 {
    latin: bool,
    /// Whether to write ASCII.
    ascii: bool,
    /// Whether unescaped control characters in strings are errors.
    strict: bool,
}

pub(crate) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let given: Json2Configuration = configure(configuration)?;
    let (latin, ascii) = match &*given.encoding.to_lowercase().replace('_', "-") {
        "utf-8" | "utf8" => (false, given.ensure_ascii),
        "ascii" | "us-ascii" => (false, true),
        "latin-1" | "latin1" | "iso-8859-1" => (true, true),
        _ => {
            return Err(Error::unsupported(format!("encoding {:?} is not utf-8, ascii or latin-1", given.encoding)));
        }
    };
    objects::create(Json2 { latin, ascii, strict: given.strict }, data_type)
}

impl Json2 {
    /// Returns the document in UTF-8 with escaped control characters; `None` if it already is.
    fn text(&self, encoded: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut converted = None;
        if self.latin && !encoded.is_ascii() {
            converted = Some(encoded.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes());
        } else if let Err(error) = std::str::from_utf8(encoded) {
            return Err(Error::corrupt(format!("byte {} of the JSON is not UTF-8", error.valid_up_to())));
        }
        if !self.strict {
            converted = Some(escape_controls(converted.as_deref().unwrap_or(encoded)));
        }
        Ok(converted)
    }
}

/// Escapes the control characters in strings.
fn escape_controls(text: &[u8]) -> Vec<u8> {
    let (mut escaped, mut inside, mut literal) = (Vec::with_capacity(text.len()), false, false);
    for byte in text {
        match byte {
            0..0x20 if inside => escaped.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => escaped.push(*byte),
        }
        inside ^= *byte == b'"' && !literal;
        literal = inside && *byte == b'\\' && !literal;
    }
    escaped
}

/// Appends the slots of the elements of nested lists, the outermost with `lengths[0]` items.
fn collect(text: &[u8], span: Range<usize>, lengths: &[u64], slots: &mut Vec<Slot>) -> Result<()> {
    let Some((length, inner)) = lengths.split_first() else {
        let length = u32::try_from(span.len())
            .map_err(|_| Error::unsupported(format!("an element of {} bytes is too long", span.len())))?;
        slots.push(Slot { heap: 0, length, offset: span.start as u64 });
        return Ok(());
    };
    let items = json_scan::items(&text[span.clone()], usize::try_from(*length).unwrap_or(usize::MAX))?;
    if items.len() as u64 != *length {
        return Err(Error::corrupt(format!("a list of {} elements instead of {length}", items.len())));
    }
    for item in items {
        collect(text, span.start + item.start..span.start + item.end, inner, slots)?;
    }
    Ok(())
}

impl Format for Json2 {
    fn items(&self, encoded: &[u8], shape: &[u64], code: &str) -> Result<(Vec<Slot>, Option<Vec<u8>>)> {
        let converted = self.text(encoded)?;
        let text = converted.as_deref().unwrap_or(encoded);
        let count = usize::try_from(product(shape).unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let mut items = json_scan::items(text, count.saturating_add(2))?;
        let (Some(dims), Some(found)) = (items.pop(), items.pop()) else {
            return Err(Error::corrupt("JSON: the list does not end with a type and a shape"));
        };
        let dims: Vec<u64> = json_scan::items(&text[dims.clone()], shape.len().max(1))?
            .into_iter()
            .map(|span| {
                std::str::from_utf8(&text[dims.start + span.start..dims.start + span.end])
                    .ok()
                    .and_then(|length| length.parse().ok())
                    .ok_or_else(|| Error::corrupt("JSON: the shape is not a list of lengths"))
            })
            .collect::<Result<_>>()?;
        let found: String =
            json_scan::string(&text[found])?.into_iter().map(|point| char::from_u32(point).unwrap_or('?')).collect();
        objects::check(&found, &dims, code, shape)?;
        // A chunk without axes is a list of one element.
        let (outer, inner) = dims.split_first().map_or((1, &[][..]), |(outer, inner)| (*outer, inner));
        if items.len() as u64 != outer {
            return Err(Error::corrupt(format!("a list of {} elements instead of {outer}", items.len())));
        }
        let mut slots = Vec::new();
        for item in items {
            collect(text, item, inner, &mut slots)?;
        }
        Ok((slots, converted))
    }

    fn document(&self, elements: &[&[u8]], shape: &[u64], code: &str, encoded: &mut Vec<u8>) -> Result<()> {
        let start = encoded.len();
        encoded.push(b'[');
        // The number of elements in a list at each depth but the outermost.
        let periods: Vec<u64> = (1..shape.len()).map(|axis| product(&shape[axis..]).unwrap_or(u64::MAX)).collect();
        for (k, element) in elements.iter().enumerate() {
            let k = k as u64;
            encoded.extend(periods.iter().filter(|period| k.is_multiple_of(**period)).map(|_| b'['));
            encoded.extend_from_slice(element);
            encoded.extend(periods.iter().filter(|period| (k + 1).is_multiple_of(**period)).map(|_| b']'));
            encoded.push(b',');
        }
        let lengths: Vec<_> = shape.iter().map(u64::to_string).collect();
        encoded.extend_from_slice(format!("\"{code}\",[{}]]", lengths.join(",")).as_bytes());
        if self.ascii && !encoded[start..].is_ascii() {
            let text = String::from_utf8(encoded.split_off(start))
                .map_err(|_| Error::unsupported("an element is not UTF-8"))?;
            escape_others(&text, encoded);
        }
        Ok(())
    }
}

/// Appends JSON text as ASCII. Only its strings contain other letters.
fn escape_others(text: &str, escaped: &mut Vec<u8>) {
    for letter in text.chars() {
        if letter.is_ascii() {
            escaped.push(letter as u8);
        } else {
            for half in letter.encode_utf16(&mut [0; 2]) {
                escaped.extend_from_slice(format!("\\u{half:04x}").as_bytes());
            }
        }
    }
}
