//! `msgpack2`: stores a chunk as a `MessagePack` document of its elements, their type and their shape.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/other/msgpacks.html>, and
//! <https://github.com/msgpack/msgpack/blob/master/spec.md>.
//!
//! ```json
//! {"name": "numcodecs.msgpack2", "configuration": {"raw": false, "use_bin_type": true, "use_single_float": false}}
//! ```
//!
//! An element is the JSON text of its value, with the numbers `NaN`, `Infinity` and `-Infinity`. Bytes, which JSON
//! lacks, are `{"$binary": "..."}` in base64; with `raw`, all strings are. Application-defined types are not supported.
//!
//! The crate `rmp` was tried instead of the tokens below. Both decode 150 million and encode 10 million tokens per
//! second, but with `rmp` reading takes more lines, lengths must still be checked here, and strings cannot be written
//! for `"use_bin_type": false`.

use serde::Deserialize;

use super::{self as objects, Format, float, json_scan};
use crate::base64;
use crate::codec::{Codec, Configuration, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};
use crate::slot::Slot;
use crate::subset::product;

/// The only member of an object that represents bytes.
const BINARY: &str = "$binary";

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Msgpack2 {
    raw: bool,
    use_bin_type: bool,
    use_single_float: bool,
}

impl Default for Msgpack2 {
    fn default() -> Self {
        Self { raw: false, use_bin_type: true, use_single_float: false }
    }
}

pub(crate) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    objects::create(configure::<Msgpack2>(configuration)?, data_type)
}

fn truncated() -> Error {
    Error::corrupt("MessagePack: truncated")
}

/// A scalar, or the length of a list or map.
enum Token<'a> {
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    List(usize),
    Map(usize),
}

struct Reader<'a> {
    rest: &'a [u8],
    raw: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a big-endian number of `bytes` bytes.
    fn uint(&mut self, bytes: usize) -> Result<u64> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Reads the length of a value whose items have at least `each` bytes, and checks it against the remaining bytes.
    fn length(&mut self, bytes: usize, each: usize) -> Result<usize> {
        let length = self.uint(bytes)?;
        self.fits(length, each)
    }

    fn fits(&self, length: u64, each: usize) -> Result<usize> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length.saturating_mul(each) > self.rest.len() { Err(truncated()) } else { Ok(length) }
    }

    fn token(&mut self) -> Result<Token<'a>> {
        let first = self.take(1)?[0];
        let low = u64::from(first);
        Ok(match first {
            0..0x80 => Token::Int(first.into()),
            0x80..0x90 => Token::Map(self.fits(low & 15, 2)?),
            0x90..0xa0 => Token::List(self.fits(low & 15, 1)?),
            0xa0..0xc0 => Token::Text(self.take((low & 31) as usize)?),
            0xc0 => Token::Nil,
            0xc2 | 0xc3 => Token::Bool(first == 0xc3),
            0xc4..=0xc6 => {
                let length = self.length(1 << (first - 0xc4), 1)?;
                Token::Bytes(self.take(length)?)
            }
            0xca => Token::Float(f32::from_bits(self.uint(4)? as u32).into()),
            0xcb => Token::Float(f64::from_bits(self.uint(8)?)),
            0xcc..=0xcf => Token::Int(self.uint(1 << (first - 0xcc))?.into()),
            0xd0..=0xd3 => {
                let bytes = 1 << (first - 0xd0);
                let unused = 64 - 8 * bytes as u32;
                Token::Int((self.uint(bytes)?.cast_signed() << unused >> unused).into())
            }
            0xd9..=0xdb => {
                let length = self.length(1 << (first - 0xd9), 1)?;
                Token::Text(self.take(length)?)
            }
            0xdc | 0xdd => Token::List(self.length(2 << (first - 0xdc), 1)?),
            0xde | 0xdf => Token::Map(self.length(2 << (first - 0xde), 2)?),
            0xe0.. => Token::Int(first.cast_signed().into()),
            0xc1 => return Err(Error::corrupt("MessagePack: invalid byte 0xc1")),
            0xc7..=0xc9 | 0xd4..=0xd8 => {
                return Err(Error::unsupported("MessagePack: application-defined types are not supported"));
            }
        })
    }

    /// Skips values.
    fn skip(&mut self, count: usize) -> Result<()> {
        // Counting needs no stack for nested lists. Each length was checked against the remaining bytes.
        let mut left = count;
        while left > 0 {
            left -= 1;
            left += match self.token()? {
                Token::List(length) => length,
                Token::Map(length) => 2 * length,
                _ => 0,
            };
        }
        Ok(())
    }

    /// Appends a value as JSON.
    fn json(&mut self, depth: usize, text: &mut Vec<u8>) -> Result<()> {
        if depth > json_scan::DEPTH {
            let deepest = json_scan::DEPTH;
            return Err(Error::unsupported(format!(
                "MessagePack: lists and maps are nested deeper than {deepest} levels"
            )));
        }
        match self.token()? {
            Token::Nil => text.extend_from_slice(b"null"),
            Token::Bool(value) => text.extend_from_slice(if value { b"true" } else { b"false" }),
            Token::Int(number) => text.extend_from_slice(number.to_string().as_bytes()),
            Token::Float(number) => text.extend_from_slice(float(number).as_bytes()),
            Token::Text(bytes) if !self.raw => write_string(bytes, text)?,
            Token::Text(bytes) | Token::Bytes(bytes) => {
                text.extend_from_slice(format!("{{\"{BINARY}\":\"{}\"}}", base64::encode(bytes)).as_bytes());
            }
            Token::List(length) => {
                text.push(b'[');
                for k in 0..length {
                    text.extend_from_slice(if k == 0 { b"" } else { b"," });
                    self.json(depth + 1, text)?;
                }
                text.push(b']');
            }
            Token::Map(length) => {
                text.push(b'{');
                for k in 0..length {
                    text.extend_from_slice(if k == 0 { b"" } else { b"," });
                    match self.token()? {
                        Token::Text(name) => write_string(name, text)?,
                        _ => return Err(Error::unsupported("MessagePack: a map has keys that are not strings")),
                    }
                    text.push(b':');
                    self.json(depth + 1, text)?;
                }
                text.push(b'}');
            }
        }
        Ok(())
    }

    /// Appends the elements of nested lists.
    fn collect(&mut self, lengths: &[u64], text: &mut Vec<u8>, slots: &mut Vec<Slot>) -> Result<()> {
        let Some((length, inner)) = lengths.split_first() else {
            let start = text.len();
            self.json(1, text)?;
            let length = u32::try_from(text.len() - start)
                .map_err(|_| Error::unsupported(format!("an element of {} bytes is too long", text.len() - start)))?;
            slots.push(Slot { heap: 0, length, offset: start as u64 });
            return Ok(());
        };
        match self.token()? {
            Token::List(found) if found as u64 == *length => {
                (0..found).try_for_each(|_| self.collect(inner, text, slots))
            }
            _ => Err(Error::corrupt(format!("MessagePack: a list of {length} elements is missing"))),
        }
    }

    /// Reads the type and the shape at the end.
    fn header(&mut self, rank: usize) -> Result<(String, Vec<u64>)> {
        let wrong = || Error::corrupt("MessagePack: the list does not end with a type and a shape");
        let code = match self.token()? {
            Token::Text(code) | Token::Bytes(code) => String::from_utf8_lossy(code).into_owned(),
            _ => return Err(wrong()),
        };
        let dims = match self.token()? {
            Token::List(length) if length <= rank => (0..length)
                .map(|_| match self.token()? {
                    Token::Int(length) => u64::try_from(length).map_err(|_| wrong()),
                    _ => Err(wrong()),
                })
                .collect::<Result<_>>()?,
            _ => return Err(wrong()),
        };
        match self.rest.len() {
            0 => Ok((code, dims)),
            after => Err(Error::corrupt(format!("MessagePack: {after} bytes follow the document"))),
        }
    }
}

fn write_string(bytes: &[u8], text: &mut Vec<u8>) -> Result<()> {
    let string = std::str::from_utf8(bytes).map_err(|_| Error::corrupt("MessagePack: a string is not UTF-8"))?;
    serde_json::to_writer(text, string).map_err(|error| Error::corrupt(error.to_string()))
}

impl Format for Msgpack2 {
    fn items(&self, encoded: &[u8], shape: &[u64], code: &str) -> Result<(Vec<Slot>, Option<Vec<u8>>)> {
        let mut reader = Reader { rest: encoded, raw: self.raw };
        let count = match reader.token()? {
            Token::List(length @ 2..) => length - 2,
            _ => return Err(Error::corrupt("MessagePack: the document is not a list of elements, a type and a shape")),
        };
        let first = reader.rest;
        reader.skip(count)?;
        let (found, dims) = reader.header(shape.len().max(1))?;
        objects::check(&found, &dims, code, shape)?;
        let (outer, inner) = dims.split_first().map_or((1, &[][..]), |(outer, inner)| (*outer, inner));
        if count as u64 != outer {
            return Err(Error::corrupt(format!("MessagePack: a list of {count} elements instead of {outer}")));
        }
        let (mut text, mut slots) = (Vec::new(), Vec::new());
        reader.rest = first;
        for _ in 0..count {
            reader.collect(inner, &mut text, &mut slots)?;
        }
        Ok((slots, Some(text)))
    }

    fn document(&self, elements: &[&[u8]], shape: &[u64], code: &str, encoded: &mut Vec<u8>) -> Result<()> {
        let outer = shape.first().copied().unwrap_or(1);
        write_length(outer as usize + 2, [0x90, 15, 0xdc], encoded)?;
        let periods: Vec<u64> = (1..shape.len()).map(|axis| product(&shape[axis..]).unwrap_or(u64::MAX)).collect();
        for (k, element) in elements.iter().enumerate() {
            for (period, length) in periods.iter().zip(shape.iter().skip(1)) {
                if (k as u64).is_multiple_of(*period) {
                    write_length(*length as usize, [0x90, 15, 0xdc], encoded)?;
                }
            }
            self.write(element, encoded)?;
        }
        self.write_text(code.as_bytes(), encoded)?;
        write_length(shape.len(), [0x90, 15, 0xdc], encoded)?;
        for length in shape {
            write_int((*length).into(), encoded);
        }
        Ok(())
    }
}

/// Writes the length of a list, map or string: inside the first byte up to `largest`, else after the byte `long`.
fn write_length(length: usize, [short, largest, long]: [u8; 3], encoded: &mut Vec<u8>) -> Result<()> {
    match (u16::try_from(length), u32::try_from(length)) {
        _ if length <= largest.into() => encoded.push(short | length as u8),
        (Ok(length), _) => write_tagged(long, length.to_be_bytes(), encoded),
        (_, Ok(length)) => write_tagged(long + 1, length.to_be_bytes(), encoded),
        _ => return Err(Error::unsupported(format!("MessagePack: cannot encode a list of {length} values"))),
    }
    Ok(())
}

/// Writes a byte, and a number that it announces.
fn write_tagged<const N: usize>(tag: u8, number: [u8; N], encoded: &mut Vec<u8>) {
    encoded.push(tag);
    encoded.extend_from_slice(&number);
}

/// Writes an integer of at most 64 bits in the shortest form.
fn write_int(number: i128, encoded: &mut Vec<u8>) {
    match number {
        -32..0x80 => encoded.push(number as u8),
        -0x80..-32 => write_tagged(0xd0, [number as u8], encoded),
        0x80..0x100 => write_tagged(0xcc, [number as u8], encoded),
        -0x8000..-0x80 => write_tagged(0xd1, (number as i16).to_be_bytes(), encoded),
        0x100..0x1_0000 => write_tagged(0xcd, (number as u16).to_be_bytes(), encoded),
        -0x8000_0000..-0x8000 => write_tagged(0xd2, (number as i32).to_be_bytes(), encoded),
        0x1_0000..0x1_0000_0000 => write_tagged(0xce, (number as u32).to_be_bytes(), encoded),
        ..-0x8000_0000 => write_tagged(0xd3, (number as i64).to_be_bytes(), encoded),
        _ => write_tagged(0xcf, (number as u64).to_be_bytes(), encoded),
    }
}

impl Msgpack2 {
    /// Writes the value of a JSON text that was validated.
    fn write(&self, text: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        match text {
            b"null" => encoded.push(0xc0),
            b"false" => encoded.push(0xc2),
            b"true" => encoded.push(0xc3),
            [b'"', ..] => self.write_text(string(text)?.as_bytes(), encoded)?,
            [b'[', ..] => {
                let items = json_scan::items(text, usize::MAX)?;
                write_length(items.len(), [0x90, 15, 0xdc], encoded)?;
                items.into_iter().try_for_each(|item| self.write(&text[item], encoded))?;
            }
            [b'{', ..] => {
                let members = json_scan::members(text)?;
                if let [(name, value)] = &members[..]
                    && string(&text[name.clone()])? == BINARY
                    && let Some(bytes) = string(&text[value.clone()]).ok().and_then(|text| base64::decode(&text))
                {
                    return self.write_bytes(&bytes, encoded);
                }
                write_length(members.len(), [0x80, 15, 0xde], encoded)?;
                for (name, value) in members {
                    self.write_text(string(&text[name])?.as_bytes(), encoded)?;
                    self.write(&text[value], encoded)?;
                }
            }
            _ => self.write_number(text, encoded)?,
        }
        Ok(())
    }

    fn write_number(&self, text: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let text = String::from_utf8_lossy(text);
        if !text.contains(['.', 'e', 'E', 'N', 'I']) {
            let fits = |number: &i128| (i64::MIN.into()..=u64::MAX.into()).contains(number);
            let number = text.parse().ok().filter(fits);
            let number =
                number.ok_or_else(|| Error::unsupported(format!("MessagePack: {text} has more than 64 bits")))?;
            write_int(number, encoded);
            return Ok(());
        }
        let number: f64 = text.parse().map_err(|_| Error::unsupported(format!("{text} is not a number")))?;
        if self.use_single_float {
            write_tagged(0xca, (number as f32).to_be_bytes(), encoded);
        } else {
            write_tagged(0xcb, number.to_be_bytes(), encoded);
        }
        Ok(())
    }

    fn write_text(&self, text: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        match u8::try_from(text.len()) {
            Ok(length @ 32..) if self.use_bin_type => encoded.extend_from_slice(&[0xd9, length]),
            _ => write_length(text.len(), [0xa0, 31, 0xda], encoded)?,
        }
        encoded.extend_from_slice(text);
        Ok(())
    }

    fn write_bytes(&self, bytes: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        if !self.use_bin_type {
            return self.write_text(bytes, encoded);
        }
        match u8::try_from(bytes.len()) {
            Ok(length) => encoded.extend_from_slice(&[0xc4, length]),
            Err(_) => write_length(bytes.len(), [0, 0, 0xc5], encoded)?,
        }
        encoded.extend_from_slice(bytes);
        Ok(())
    }
}

fn string(text: &[u8]) -> Result<String> {
    let points = json_scan::string(text)?;
    let letters = points.into_iter().map(|point| {
        char::from_u32(point).ok_or_else(|| Error::unsupported("MessagePack: a string has half of a surrogate pair"))
    });
    letters.collect()
}
