//! Tags, and the kinds of nodes that they mark
//! ([core tags](https://asdf-standard.readthedocs.io/en/latest/schemas/core.html)).

use super::open::AsdfFile;
use super::yaml::NodeId;

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
