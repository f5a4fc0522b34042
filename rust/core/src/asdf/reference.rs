//! What a node of the tree is, by its tag, and where a reference leads
//! ([core tags](https://asdf-standard.readthedocs.io/en/latest/schemas/core.html),
//! [references](https://asdf-standard.readthedocs.io/en/latest/tree.html#references)).

use std::collections::HashSet;

use super::open::{AsdfFile, percent_decoded};
use super::yaml::{NodeId, Scalar};
use crate::error::{Error, Place, Result};

/// What a node of the tree is to us; see [`AsdfFile::class`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// An array in a block, in another file, or written into the tree.
    Ndarray,
    /// An array of ndarrays, each at its place in it.
    Chunked,
    /// A Zarr array, its chunks in blocks.
    Zarr,
    /// A complex number.
    Complex,
    /// An integer of any size.
    Integer,
    /// A reference to another node: `{$ref: "#/path"}`.
    Reference,
    /// Plain data, or data with a tag that means nothing to us.
    Other,
}

/// The tag of arrays of Zarr V2.
pub const ZARR_TAG: &str = "asdf://asdf-format.org/zarr/tags/zarr-1.0.0";

/// The tag of arrays of Zarr V3, which is our own.
pub const ZARR_V3_TAG: &str = "asdf://tegula/zarr/tags/zarr-v3-1.0.0";

/// The tag of ndarrays as we write it.
pub const NDARRAY_TAG: &str = "tag:stsci.edu:asdf/core/ndarray-1.1.0";

/// The tag of complex numbers.
pub const COMPLEX_TAG: &str = "tag:stsci.edu:asdf/core/complex-1.0.0";

/// The tag of large integers as we write it.
pub const INTEGER_TAG: &str = "tag:stsci.edu:asdf/core/integer-1.1.0";

/// Tags and what they say. Another version of a tag may mean anything, so it is not there.
const TABLE: &[(&str, Class)] = &[
    (NDARRAY_TAG, Class::Ndarray),
    ("tag:stsci.edu:asdf/core/ndarray-1.0.0", Class::Ndarray),
    (ZARR_TAG, Class::Zarr),
    ("asdf://stsci.edu/example-project/tags/zarr-1.0.0", Class::Zarr),
    (ZARR_V3_TAG, Class::Zarr),
    (COMPLEX_TAG, Class::Complex),
    (INTEGER_TAG, Class::Integer),
    ("tag:stsci.edu:asdf/core/integer-1.0.0", Class::Integer),
];

/// Where the tag of chunked ndarrays may come from: it is proposed for the standard, and not yet a part of it.
const CHUNKED: &[&str] =
    &["tag:stsci.edu:asdf/core", "tag:asdf-format.org:asdf/core", "asdf://asdf-format.org/core/tags"];

fn is_chunked(tag: &str) -> bool {
    let minor = |version: &str| {
        let numbers = version.split_once('.').map(|(minor, patch)| [minor, patch]);
        numbers.is_some_and(|numbers| numbers.iter().all(|number| number.parse::<u32>().is_ok()))
    };
    tag.split_once("/chunked-ndarray-1.").is_some_and(|(place, version)| CHUNKED.contains(&place) && minor(version))
}

/// References to references: more are a mistake or an attack.
const MOST_STEPS: usize = 64;

impl AsdfFile {
    /// What a node is, by its tag alone.
    pub fn class(&self, node: NodeId) -> Class {
        match self.tree().tag(node) {
            Some(tag) if is_chunked(tag) => Class::Chunked,
            Some(tag) => TABLE.iter().find(|row| row.0 == tag).map_or(Class::Other, |row| row.1),
            None if self.reference(node).is_some() => Class::Reference,
            None => Class::Other,
        }
    }

    /// The URI that a node refers to, if it is a reference.
    pub fn reference(&self, node: NodeId) -> Option<&str> {
        let tree = self.tree();
        if tree.pairs(node)?.is_empty() {
            return None;
        }
        match tree.scalar(tree.get(node, "$ref")?) {
            Ok(Scalar::Str(uri)) => Some(uri),
            _ => None,
        }
    }

    /// Follows references until there is something else, in this file or in another.
    pub fn follow(&self, node: NodeId) -> Result<(Self, NodeId)> {
        let (mut file, mut node) = (self.clone(), node);
        let mut seen = HashSet::new();
        while let Some(uri) = file.reference(node) {
            if !seen.insert((file.key().to_owned(), node)) || seen.len() > MOST_STEPS {
                return Err(Error::metadata(format!("{}: the references lead in a circle", self.describe(node))));
            }
            (file, node) = file.target(uri).place(|| format!("reference {uri:?} of {}", file.describe(node)))?;
        }
        Ok((file, node))
    }

    /// What a URI refers to, seen from this file: a file beside it, this one where none is named, and a JSON pointer.
    pub fn target(&self, uri: &str) -> Result<(Self, NodeId)> {
        let (base, fragment) = uri.split_once('#').unwrap_or((uri, ""));
        let file = if base.is_empty() { self.clone() } else { self.open_other(base)? };
        let pointer = percent_decoded(fragment);
        let node = pointer.as_deref().and_then(|pointer| file.pointer(pointer));
        let node = node.ok_or_else(|| Error::not_found(format!("there is no {fragment:?} in {}", file.name())))?;
        Ok((file, node))
    }

    fn pointer(&self, pointer: &str) -> Option<NodeId> {
        let tree = self.tree();
        if let Some(node) = tree.pointer(pointer) {
            return Some(node);
        }
        // Some writers leave out the slash.
        tree.pointer(&format!("/{pointer}"))
    }

    /// A complex number: `1+2j`, `(1+2j)`, `-infi`.
    pub fn complex(&self, node: NodeId) -> Result<(f64, f64)> {
        let text = self.tree().text(node).unwrap_or_default();
        parse_complex(text).ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            Error::metadata(format!("{}: {text:?} is not a complex number", self.describe(node)))
        })
    }
}

/// Real and imaginary part.
pub(super) fn parse_complex(text: &str) -> Option<(f64, f64)> {
    let text = text.trim();
    let text = text.strip_prefix('(').map_or(Some(text), |rest| rest.strip_suffix(')'))?.trim();
    let Some(body) = text.strip_suffix(['i', 'I', 'j', 'J']) else { return Some((number(text)?, 0.0)) };
    // The sign between the parts is the last that does not belong to an exponent.
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
    fn tags_of_chunked_ndarrays() {
        for tag in
            ["tag:stsci.edu:asdf/core/chunked-ndarray-1.0.0", "asdf://asdf-format.org/core/tags/chunked-ndarray-1.2.10"]
        {
            assert!(is_chunked(tag), "{tag}");
        }
        for rest in ["2.0.0", "1.0", "1.x.0", "1.0.0.0", "1.-1.0"] {
            assert!(!is_chunked(&format!("tag:stsci.edu:asdf/core/chunked-ndarray-{rest}")), "{rest}");
        }
        assert!(!is_chunked("tag:example.org:chunked-ndarray-1.0.0"));
    }

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
