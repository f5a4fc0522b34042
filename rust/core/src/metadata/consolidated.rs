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

use serde_json::{Map, Value};

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
    /// What is no node, and why.
    Damaged(Error),
}

impl Noted {
    fn kind(&self) -> NodeKind {
        match self {
            Self::V3(kind, _) | Self::V2(kind, ..) => *kind,
            Self::Damaged(_) => NodeKind::Damaged,
        }
    }

    fn node(&self) -> Result<Node> {
        Ok(match self.clone() {
            Self::Damaged(error) => return Err(error),
            Self::V3(NodeKind::Damaged, _) | Self::V2(NodeKind::Damaged, ..) => {
                return Err(Error::metadata("neither an array nor a group"));
            }
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

/// Whether a path or key is inside a node at a path.
pub(super) fn is_below(path: &str, node: &str) -> bool {
    below(path, node).is_some() && !path.is_empty()
}

/// Removes the entries inside a node at a path.
pub(super) fn remove_below(copies: &mut Map<String, Value>, node: &str) {
    copies.retain(|path, _| !is_below(path, node));
}

impl Consolidated {
    /// Sorts the entries. Those that lead out of the store, or into an array, become damaged members.
    pub(super) fn new(mut nodes: Vec<(String, Noted)>) -> Self {
        nodes.sort_by(|(one, _), (other, _)| order(one, other));
        let mut array: Option<String> = None;
        for (path, noted) in &mut nodes {
            if check_key(path).is_err() {
                *noted = Noted::Damaged(Error::metadata(format!("{path:?} is not the path of an array or group")));
            } else if let Some(array) = array.as_deref().filter(|array| is_below(path, array)) {
                *noted = Noted::Damaged(Error::metadata(format!("{path:?} is inside {array:?}, which is an array")));
            } else if noted.kind() == NodeKind::Array {
                array = Some(path.clone());
            }
        }
        Self { nodes }
    }

    /// Returns the metadata at a path; `None` if there is no node.
    pub(crate) fn node(&self, path: &str) -> Option<Result<Node>> {
        let found = self.nodes.binary_search_by(|(other, _)| order(other, path)).ok()?;
        Some(self.nodes[found].1.node().place(|| format!("consolidated metadata of {path:?}")))
    }

    /// Returns paths, relative to a group, and kinds of the group's members; of all descendants if `recursive`.
    pub(crate) fn members(&self, group: &str, recursive: bool) -> Vec<(String, NodeKind)> {
        // A crafted path that leads out of the store is no member, but a problem.
        let named = self.inside(group, recursive).filter(|(path, _)| check_key(path).is_ok());
        named.map(|(path, noted)| (path.to_owned(), noted.kind())).collect()
    }

    /// Returns what is wrong with the copies of [`members`](Self::members), by path relative to the group.
    pub(crate) fn problems(&self, group: &str, recursive: bool) -> Vec<(String, Error)> {
        let problem = |(path, noted): (&str, &Noted)| match noted {
            Noted::Damaged(error) => {
                let place = format!("consolidated metadata of {path:?}");
                Some((path.to_owned(), error.clone().at(place)))
            }
            _ => None,
        };
        self.inside(group, recursive).filter_map(problem).collect()
    }

    fn inside<'a>(&'a self, group: &'a str, recursive: bool) -> impl Iterator<Item = (&'a str, &'a Noted)> {
        let first = self.nodes.partition_point(|(path, _)| order(path, group).is_lt());
        self.nodes[first..]
            .iter()
            .filter(move |(path, _)| path != group)
            .map_while(move |(path, noted)| Some((below(path, group)?, noted)))
            .filter(move |(path, _)| recursive || !path.contains('/'))
    }
}
