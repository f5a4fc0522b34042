//! References between nodes: `{$ref: "#/path"}`
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/tree.html#references)).

use std::collections::HashSet;

use super::open::AsdfFile;
use super::uri::percent_decode;
use super::yaml::{NodeId, Scalar};
use crate::error::{Error, Place, Result};

/// References to references in a chain; a longer chain is a mistake or an attack.
const MAX_STEPS: usize = 64;

impl AsdfFile {
    /// Returns the URI of a reference; `None` for other nodes.
    pub fn reference(&self, node: NodeId) -> Option<&str> {
        let tree = self.tree();
        match tree.scalar(tree.get(node, "$ref")?) {
            Ok(Scalar::Str(uri)) => Some(uri),
            _ => None,
        }
    }

    /// Follows references, in this file and others, to a node that is not a reference.
    pub fn follow(&self, node: NodeId) -> Result<(Self, NodeId)> {
        let (mut file, mut node) = (self.clone(), node);
        let mut seen = HashSet::new();
        while let Some(uri) = file.reference(node) {
            if !seen.insert((file.name(), node)) || seen.len() > MAX_STEPS {
                return Err(Error::metadata(format!(
                    "{}: the chain of references is circular or longer than {MAX_STEPS}",
                    self.describe(node)
                )));
            }
            (file, node) = file.target(uri).place(|| format!("reference {uri:?} of {}", file.describe(node)))?;
        }
        Ok((file, node))
    }

    /// Returns the target of a URI: a JSON pointer as fragment, in this file or in the named file of the same folder.
    pub fn target(&self, uri: &str) -> Result<(Self, NodeId)> {
        let (base, fragment) = uri.split_once('#').unwrap_or((uri, ""));
        let file = if base.is_empty() { self.clone() } else { self.open_other(base)? };
        let pointer = percent_decode(fragment);
        let node = pointer.as_deref().and_then(|pointer| file.pointer(pointer));
        let node = node.ok_or_else(|| Error::not_found(format!("no node {fragment:?} in {}", file.name())))?;
        Ok((file, node))
    }

    fn pointer(&self, pointer: &str) -> Option<NodeId> {
        let tree = self.tree();
        if let Some(node) = tree.pointer(pointer) {
            return Some(node);
        }
        // Some writers omit the leading slash.
        tree.pointer(&format!("/{pointer}"))
    }
}
