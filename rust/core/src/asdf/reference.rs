//! References between nodes: `{$ref: "#/path"}`
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/tree.html#references)).

use std::collections::HashSet;

use super::open::{AsdfFile, percent_decoded};
use super::yaml::{NodeId, Scalar};
use crate::error::{Error, Place, Result};

/// References to references: more are a mistake or an attack.
const MOST_STEPS: usize = 64;

impl AsdfFile {
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
}
