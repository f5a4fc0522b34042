//! Complex numbers in the tree: `1+2j`
//! ([the schema](https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/complex-1.0.0.html)).

use super::open::AsdfFile;
use super::yaml::NodeId;
use crate::error::{Error, Result};

impl AsdfFile {
    /// Returns the real and imaginary parts of a complex number: `1+2j`, `(1+2j)`, `-infi`.
    pub fn complex(&self, node: NodeId) -> Result<(f64, f64)> {
        let text = self.tree().text(node).unwrap_or_default();
        parse_complex(text).ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            Error::metadata(format!("{}: {text:?} is not a complex number", self.describe(node)))
        })
    }
}

/// Parses a complex number into its real and imaginary parts.
pub(super) fn parse_complex(text: &str) -> Option<(f64, f64)> {
    let text = text.trim();
    let text = text.strip_prefix('(').map_or(Some(text), |rest| rest.strip_suffix(')'))?.trim();
    let Some(body) = text.strip_suffix(['i', 'I', 'j', 'J']) else { return Some((number(text)?, 0.0)) };
    // The last sign that is not an exponent's separates the parts.
    let bytes = body.as_bytes();
    let sign = |at: &usize| matches!(bytes[*at], b'+' | b'-') && !matches!(bytes[*at - 1], b'e' | b'E');
    let Some(at) = (1..bytes.len()).rev().find(sign) else { return Some((0.0, imaginary(body)?)) };
    Some((number(&body[..at])?, imaginary(&body[at..])?))
}

fn imaginary(text: &str) -> Option<f64> {
    match text {
        "" | "+" => Some(1.0),
        "-" => Some(-1.0),
        _ => number(text),
    }
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = bare.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let named = ["inf", "infinity", "nan"].iter().any(|name| bare.eq_ignore_ascii_case(name));
    if plain || named { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complex_numbers() {
        for (text, re, im) in [
            ("1+1j", 1.0, 1.0),
            ("(1+2j)", 1.0, 2.0),
            ("1.5e-3-2.5e+4i", 1.5e-3, -2.5e4),
            ("3", 3.0, 0.0),
            ("-4J", 0.0, -4.0),
            ("j", 0.0, 1.0),
            ("2-j", 2.0, -1.0),
            ("-infi", 0.0, f64::NEG_INFINITY),
            ("inf+infj", f64::INFINITY, f64::INFINITY),
            ("(-0-0j)", -0.0, -0.0),
        ] {
            let (a, b) = parse_complex(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((a.to_bits(), b.to_bits()), (re.to_bits(), im.to_bits()), "{text}");
        }
        assert!(parse_complex("nan+nanj").is_some_and(|(re, im)| re.is_nan() && im.is_nan()));
        for text in ["", "(1", "1+", "a", "1++2j", "1+2k", "--1j", "é", "1é+2j"] {
            assert!(parse_complex(text).is_none(), "{text}");
        }
    }
}
