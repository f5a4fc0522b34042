//! Versions of the standard that can be written, and their tags
//! ([changes](https://asdf-standard.readthedocs.io/en/latest/changes.html)).

use std::sync::Arc;

use super::tag::{INTEGER_TAG, NDARRAY_TAG};
use super::yaml::Document;
use crate::error::{Error, Result};

/// The version of the standard that is written by default.
pub const STANDARD: &str = "1.6.0";

/// The tag of the root of a tree.
pub const ROOT_TAG: &str = "tag:stsci.edu:asdf/core/asdf-1.1.0";

/// The versions that can be written.
const VERSIONS: [&str; 7] = ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0", STANDARD];

/// Tags of the default version, the version that introduced them, and the tag before.
const TAGS: &[(&str, &str, Option<&str>)] = &[
    (ROOT_TAG, "1.2.0", Some("tag:stsci.edu:asdf/core/asdf-1.0.0")),
    (NDARRAY_TAG, STANDARD, Some("tag:stsci.edu:asdf/core/ndarray-1.0.0")),
    (INTEGER_TAG, STANDARD, Some("tag:stsci.edu:asdf/core/integer-1.0.0")),
    ("tag:stsci.edu:asdf/core/integer-1.0.0", "1.3.0", None),
];

/// Replaces the tags of a tree by those of another version of the standard. Fails if that version lacks one.
pub fn for_standard(document: &mut Document, version: &str) -> Result<()> {
    if !VERSIONS.contains(&version) {
        let versions = VERSIONS.join(", ");
        return Err(Error::unsupported(format!(
            "unknown version {version:?} of the ASDF standard; use one of {versions}"
        )));
    }
    // The versions sort as text.
    for (tag, since, before) in TAGS.iter().filter(|(_, since, _)| version < *since) {
        let before = before.map(Arc::from);
        for node in 0..document.len() {
            let Some(node) = document.id(node).filter(|node| document.tag(*node) == Some(tag)) else { continue };
            if before.is_none() {
                let what =
                    format!("cannot write integers of more than 64 bits before version {since} of the ASDF standard");
                return Err(Error::unsupported(what));
            }
            let half =
                document.get(node, "datatype").is_some_and(|datatype| document.text(datatype) == Some("float16"));
            if *tag == NDARRAY_TAG && half {
                let what = format!("cannot write arrays of float16 before version {since} of the ASDF standard");
                return Err(Error::unsupported(what));
            }
            document.node_mut(node).tag.clone_from(&before);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asdf::Datatype;

    #[test]
    fn trees_of_other_versions_have_other_tags() {
        let tree = |code: &str| {
            let mut document = Document::new();
            let datatype = Datatype::from_code(code).unwrap();
            let node = document.add_ndarray(0, &datatype, &[3], None);
            let root = document.root();
            document.insert(root, "a", node);
            document.set_tag(root, ROOT_TAG);
            (document, node)
        };
        for (version, root, ndarray) in
            [("1.6.0", "1.1.0", "1.1.0"), ("1.5.0", "1.1.0", "1.0.0"), ("1.1.0", "1.0.0", "1.0.0")]
        {
            let (mut document, node) = tree("<i2");
            for_standard(&mut document, version).unwrap();
            assert!(document.tag(document.root()).unwrap().ends_with(&format!("/asdf-{root}")));
            assert!(document.tag(node).unwrap().ends_with(&format!("/ndarray-{ndarray}")));
        }
        for_standard(&mut tree("<f2").0, "1.6.0").unwrap();
        assert!(for_standard(&mut tree("<f2").0, "1.5.0").is_err());
        assert!(for_standard(&mut tree("<i2").0, "1.7.0").is_err());
        let (mut document, node) = tree("<i2");
        document.set_tag(node, INTEGER_TAG);
        assert!(for_standard(&mut document.clone(), "1.3.0").is_ok());
        assert!(for_standard(&mut document, "1.2.0").is_err());
    }
}
