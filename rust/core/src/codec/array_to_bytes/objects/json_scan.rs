//! Splits JSON text into the texts of its values, which stay as they were written.
//!
//! The numbers `NaN`, `Infinity` and `-Infinity`, which Python writes, are accepted.

use std::ops::Range;

use crate::error::{Error, Result};

/// Maximum nesting of lists and objects.
pub(super) const DEPTH: usize = 128;

/// A position in a text.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

/// Returns the text of the single value in `text`, without surrounding space.
pub(super) fn value(text: &[u8]) -> Result<&[u8]> {
    let mut scanner = Scanner { text, at: 0 };
    let span = scanner.value(0)?;
    scanner.end()?;
    Ok(&text[span])
}

/// Returns the ranges of the values of the list in `text`. More than `limit` values are an error.
pub(super) fn items(text: &[u8], limit: usize) -> Result<Vec<Range<usize>>> {
    let (mut scanner, mut items) = (Scanner { text, at: 0 }, Vec::new());
    scanner.expect(b'[')?;
    if !scanner.skip(b']') {
        loop {
            if items.len() == limit {
                return Err(Error::corrupt(format!("JSON: a list of more than {limit} values")));
            }
            items.push(scanner.value(1)?);
            if scanner.skip(b']') {
                break;
            }
            scanner.expect(b',')?;
        }
    }
    scanner.end()?;
    Ok(items)
}

/// Returns the ranges of the names and values of the object in `text`.
pub(super) fn members(text: &[u8]) -> Result<Vec<(Range<usize>, Range<usize>)>> {
    let (mut scanner, mut members) = (Scanner { text, at: 0 }, Vec::new());
    scanner.expect(b'{')?;
    if !scanner.skip(b'}') {
        loop {
            members.push(scanner.member(1)?);
            if scanner.skip(b'}') {
                break;
            }
            scanner.expect(b',')?;
        }
    }
    scanner.end()?;
    Ok(members)
}

/// Returns the code points of the string in `text`, which may include half of a surrogate pair.
pub(super) fn string(text: &[u8]) -> Result<Vec<u32>> {
    let wrong = || Error::corrupt(format!("JSON: {} is not a string", show(text)));
    let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).ok_or_else(wrong)?;
    let mut chars = std::str::from_utf8(inner).map_err(|_| wrong())?.chars();
    let mut points: Vec<u32> = Vec::with_capacity(inner.len());
    // Whether the last code point is the first half of a surrogate pair.
    let mut half = false;
    while let Some(letter) = chars.next() {
        let point = match letter {
            '\\' => match chars.next().ok_or_else(wrong)? {
                'b' => 8,
                'f' => 12,
                'n' => 10,
                'r' => 13,
                't' => 9,
                'u' => {
                    let digits = chars.as_str().get(..4).ok_or_else(wrong)?;
                    chars = chars.as_str()[4..].chars();
                    u32::from_str_radix(digits, 16).map_err(|_| wrong())?
                }
                other => other.into(),
            },
            letter => letter.into(),
        };
        match points.last_mut() {
            Some(first) if half && (0xdc00..0xe000).contains(&point) => {
                *first = 0x10000 + ((*first - 0xd800) << 10) + (point - 0xdc00);
                half = false;
            }
            _ => {
                points.push(point);
                half = (0xd800..0xdc00).contains(&point);
            }
        }
    }
    Ok(points)
}

fn show(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned()
}

impl Scanner<'_> {
    fn wrong(&self) -> Error {
        match self.text.get(self.at) {
            Some(byte) => Error::corrupt(format!("JSON: unexpected {:?} at byte {}", char::from(*byte), self.at)),
            None => Error::corrupt(format!("JSON: truncated at byte {}", self.at)),
        }
    }

    /// Skips space, and returns the next byte.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.skip(byte) { Ok(()) } else { Err(self.wrong()) }
    }

    fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong()),
        }
    }

    /// Skips a value, and returns its range.
    fn value(&mut self, depth: usize) -> Result<Range<usize>> {
        if depth > DEPTH {
            return Err(Error::unsupported(format!("JSON: lists and objects are nested deeper than {DEPTH} levels")));
        }
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'"') => self.string()?,
            Some(b'[') => {
                self.at += 1;
                if !self.skip(b']') {
                    self.value(depth + 1)?;
                    while !self.skip(b']') {
                        self.expect(b',')?;
                        self.value(depth + 1)?;
                    }
                }
            }
            Some(b'{') => {
                self.at += 1;
                if !self.skip(b'}') {
                    self.member(depth + 1)?;
                    while !self.skip(b'}') {
                        self.expect(b',')?;
                        self.member(depth + 1)?;
                    }
                }
            }
            _ => self.word()?,
        }
        Ok(start..self.at)
    }

    fn member(&mut self, depth: usize) -> Result<(Range<usize>, Range<usize>)> {
        self.peek();
        let start = self.at;
        self.string()?;
        let name = start..self.at;
        self.expect(b':')?;
        Ok((name, self.value(depth)?))
    }

    fn string(&mut self) -> Result<()> {
        if self.text.get(self.at) != Some(&b'"') {
            return Err(self.wrong());
        }
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => match self.text.get(self.at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                    Some(b'u') => {
                        let digits = self.text.get(self.at + 2..self.at + 6);
                        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                            return Err(self.wrong());
                        }
                        self.at += 6;
                    }
                    _ => return Err(self.wrong()),
                },
                Some(0x20..) => self.at += 1,
                _ => return Err(self.wrong()),
            }
        }
        self.at += 1;
        Ok(())
    }

    /// Skips a number or a name.
    fn word(&mut self) -> Result<()> {
        let rest = &self.text[self.at..];
        let names: [&[u8]; 6] = [b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity"];
        if let Some(name) = names.iter().find(|name| rest.starts_with(name)) {
            self.at += name.len();
            return Ok(());
        }
        self.at += usize::from(rest.first() == Some(&b'-'));
        // Leading zeros are not allowed.
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<()> {
        let count = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.wrong()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_text() {
        let text = br#" [ 1.50e+3 , "a\"]\u00e9" ,[[],{"b":[NaN,-Infinity]}] ,-0,null,{ }] "#;
        let found: Vec<_> = items(text, 6).unwrap().into_iter().map(|span| show(&text[span])).collect();
        assert_eq!(found, ["1.50e+3", r#""a\"]\u00e9""#, r#"[[],{"b":[NaN,-Infinity]}]"#, "-0", "null", "{ }"]);
        assert!(items(text, 5).is_err());
        let object = br#"{"a" : 1 , "b":[2]}"#;
        let found: Vec<_> = members(object)
            .unwrap()
            .into_iter()
            .map(|(name, value)| (show(&object[name]), show(&object[value])))
            .collect();
        assert_eq!(found, [("\"a\"".into(), "1".into()), ("\"b\"".into(), "[2]".into())]);
        assert_eq!(value(b" 7 ").unwrap(), b"7");
    }

    #[test]
    fn strings_become_code_points() {
        assert_eq!(string("\"a\\u00e9\\n\\/é\\\\\"".as_bytes()).unwrap(), [97, 0xe9, 10, 47, 0xe9, 92]);
        assert_eq!(string(br#""\ud83d\ude00\ud83d""#).unwrap(), [0x1f600, 0xd83d]);
        assert_eq!(string(br#""\ude00x""#).unwrap(), [0xde00, 120]);
        for wrong in ["\"", "\"\\u12\"", "\"\\", "1", "\"\\u+123\""] {
            assert!(value(wrong.as_bytes()).is_err() || string(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn invalid_json_is_an_error() {
        let deep = "[".repeat(100_000);
        for wrong in [
            "",
            "[",
            "]",
            "[1",
            "[1,",
            "[1,]",
            "[,]",
            "{\"a\"}",
            "{\"a\":}",
            "{1:2}",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "nul",
            "nan",
            "'a'",
            "\"\\x\"",
            "\"\n\"",
            "1 2",
            "[1 2]",
            "\"a",
            "-NaN",
            &deep,
        ] {
            assert!(value(wrong.as_bytes()).is_err(), "{}", &wrong[..wrong.len().min(20)]);
        }
    }
}
