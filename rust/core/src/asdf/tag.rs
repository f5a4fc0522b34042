//! Tags and the classes of nodes that they mark
//! ([core tags](https://asdf-standard.readthedocs.io/en/latest/schemas/core.html)).

use super::open::AsdfFile;
use super::yaml::NodeId;

/// Class of a node; see [`AsdfFile::class`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// An array in a block, in another file, or in the tree.
    Ndarray,
    /// An array composed of ndarrays.
    Chunked,
    /// A Zarr array with its chunks in blocks.
    Zarr,
    /// A complex number.
    Complex,
    /// An integer of any size.
    Integer,
    /// A reference to another node: `{$ref: "#/path"}`.
    Reference,
    /// Anything else: plain data, or data with a tag that we do not know.
    Other,
}

/// Tag of Zarr V2 arrays.
pub const ZARR_TAG: &str = "asdf://asdf-format.org/zarr/tags/zarr-1.0.0";

/// Tag of Zarr V3 arrays, defined by tegula.
pub const ZARR_V3_TAG: &str = "asdf://tegula/zarr/tags/zarr-v3-1.0.0";

/// Tag of ndarrays that we write.
pub const NDARRAY_TAG: &str = "tag:stsci.edu:asdf/core/ndarray-1.1.0";

/// Tag of complex numbers.
pub const COMPLEX_TAG: &str = "tag:stsci.edu:asdf/core/complex-1.0.0";

/// Tag of large integers that we write.
pub const INTEGER_TAG: &str = "tag:stsci.edu:asdf/core/integer-1.1.0";

/// Known tags. Other versions of a tag may mean anything, so they are unknown.
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

/// Prefixes of the tag of chunked ndarrays, which is only proposed for the standard.
const CHUNKED: &[&str] =
    &["tag:stsci.edu:asdf/core", "tag:asdf-format.org:asdf/core", "asdf://asdf-format.org/core/tags"];

fn is_chunked(tag: &str) -> bool {
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    let is_version =
        |text: &str| text.split_once('.').is_some_and(|(minor, patch)| is_number(minor) && is_number(patch));
    tag.split_once("/chunked-ndarray-1.").is_some_and(|(prefix, rest)| CHUNKED.contains(&prefix) && is_version(rest))
}

impl AsdfFile {
    /// Returns the class of a node, by its tag or its `$ref`.
    pub fn class(&self, node: NodeId) -> Class {
        match self.tree().tag(node) {
            Some(tag) if is_chunked(tag) => Class::Chunked,
            Some(tag) => TABLE.iter().find(|row| row.0 == tag).map_or(Class::Other, |row| row.1),
            None if self.reference(node).is_some() => Class::Reference,
            None => Class::Other,
        }
    }
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
}
