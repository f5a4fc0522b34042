//! Consolidated metadata: copies of the metadata of all descendants, stored in a group.
//!
//! Zarr V3 stores them in the group's `zarr.json`, by path relative to the group:
//!
//! ```json
//! {"consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": {"a": {}, "a/b": {}}}}
//! ```
//!
//! Zarr V2 stores them in a file `.zmetadata` next to the group's `.zgroup`, by key:
//!
//! ```json
//! {"zarr_consolidated_format": 1, "metadata": {"a/.zgroup": {}, "a/b/.zarray": {}, "a/b/.zattrs": {}}}
//! ```
//!
//! Specification: <https://github.com/zarr-developers/zarr-specs/pull/309>,
//! <https://zarr.readthedocs.io/en/stable/user-guide/consolidated_metadata/>

use std::cmp::Ordering;

use serde_json::Value;

use super::{ArrayMetadata, GroupMetadata, Node, NodeKind};
use crate::error::{Error, Place, Result};
use crate::store::check_key;

/// Consolidated metadata of a group.
#[derive(Clone, Debug)]
pub(crate) struct Consolidated {
    /// Metadata of the descendants, sorted by path; each group precedes its members.
    nodes: Vec<(String, Noted)>,
}

/// Copied metadata of a node.
#[derive(Clone, Debug)]
pub(super) enum Noted {
    /// The `zarr.json` of a node.
    V3(NodeKind, Value),
    /// The `.zarray` or `.zgroup`, and the `.zattrs`.
    V2(NodeKind, Value, Option<Value>),
}

impl Noted {
    fn kind(&self) -> NodeKind {
        match self {
            Self::V3(kind, _) | Self::V2(kind, ..) => *kind,
        }
    }

    fn node(&self) -> Result<Node> {
        let node = self.clone();
        Ok(match node {
            Self::V3(NodeKind::Array, document) => Node::Array(ArrayMetadata::from_v3(document)?.into()),
            Self::V3(NodeKind::Group, document) => Node::Group(GroupMetadata::from_v3(document)?.into()),
            Self::V2(NodeKind::Array, zarray, zattrs) => Node::Array(ArrayMetadata::from_v2(zarray, zattrs)?.into()),
            Self::V2(NodeKind::Group, zgroup, zattrs) => Node::Group(GroupMetadata::from_v2(zgroup, zattrs)?.into()),
        })
    }
}

/// Compares paths so that each group precedes its members.
fn order(one: &str, other: &str) -> Ordering {
    one.split('/').cmp(other.split('/'))
}

/// Returns a path relative to a group; `None` if the path is not inside the group.
fn below<'a>(path: &'a str, group: &str) -> Option<&'a str> {
    if group.is_empty() { Some(path) } else { path.strip_prefix(group)?.strip_prefix('/') }
}

impl Consolidated {
    /// Checks that all paths are inside the group, and that no node is inside an array.
    pub(super) fn new(mut nodes: Vec<(String, Noted)>) -> Result<Self> {
        // A crafted path could lead out of the store.
        if let Some((path, _)) = nodes.iter().find(|(path, _)| check_key(path).is_err()) {
            return Err(Error::metadata(format!("{path:?} is not the path of an array or group")));
        }
        nodes.sort_by(|(one, _), (other, _)| order(one, other));
        let mut array: Option<&str> = None;
        for (path, noted) in &nodes {
            if let Some(array) = array
                && below(path, array).is_some()
            {
                return Err(Error::metadata(format!("{path:?} is inside {array:?}, which is an array")));
            }
            if noted.kind() == NodeKind::Array {
                array = Some(path);
            }
        }
        Ok(Self { nodes })
    }

    /// Returns the metadata at a path; `None` if there is no node.
    pub(crate) fn node(&self, path: &str) -> Option<Result<Node>> {
        let found = self.nodes.binary_search_by(|(other, _)| order(other, path)).ok()?;
        Some(self.nodes[found].1.node().place(|| format!("consolidated metadata of {path:?}")))
    }

    /// Returns paths, relative to a group, and kinds of the group's members; of all descendants if `recursive`.
    pub(crate) fn members(&self, group: &str, recursive: bool) -> Vec<(String, NodeKind)> {
        let first = self.nodes.partition_point(|(path, _)| order(path, group).is_lt());
        self.nodes[first..]
            .iter()
            .filter(|(path, _)| path != group)
            .map_while(|(path, noted)| Some((below(path, group)?, noted.kind())))
            .filter(|(path, _)| recursive || !path.contains('/'))
            .map(|(path, kind)| (path.to_owned(), kind))
            .collect()
    }
}
