//! YAML documents as arenas of nodes: the
//! [representation graph of YAML 1.1](https://yaml.org/spec/1.1/#id861060) with unresolved scalars.
//!
//! Tags are full URIs. An alias is a repeated [`NodeId`], so nodes can be shared and a tree can contain itself. Merge keys
//! (`<<`) and duplicate keys are stored as written; [`Document::entries`] and [`Document::get`] interpret them as
//! `PyYAML` does.

use std::collections::HashSet;
use std::ops::Index;
use std::sync::Arc;

use super::scalar::{Scalar, Style};
use crate::error::{Error, Result};

/// Identifies a node of one [`Document`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// Returns the position among the nodes of the document.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node: a tag and a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The tag as a full URI; `None` without one.
    pub tag: Option<Arc<str>>,
    /// The value of the node.
    pub kind: Kind,
}

/// The value of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A text, which [`Document::scalar`] resolves.
    Scalar {
        /// The text, without quotes and escapes.
        text: Box<str>,
        /// How it is written; of texts without a tag, only plain ones can be other than strings.
        style: Style,
    },
    /// A list.
    Sequence {
        /// The items.
        items: Vec<NodeId>,
        /// Whether it is written `[a, b]`.
        flow: bool,
    },
    /// A mapping in the order of the file.
    Mapping {
        /// Keys and values.
        pairs: Vec<(NodeId, NodeId)>,
        /// Whether it is written `{a: b}`.
        flow: bool,
    },
}

/// A YAML document.
#[derive(Clone, Debug)]
pub struct Document {
    pub(super) nodes: Vec<Node>,
    root: NodeId,
    pub(super) version: Option<(i32, i32)>,
    pub(super) handles: Vec<(String, String)>,
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

impl Index<NodeId> for Document {
    type Output = Node;

    fn index(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

impl Document {
    /// Creates a document whose root is an empty mapping.
    pub fn new() -> Self {
        let root = Node { tag: None, kind: Kind::Mapping { pairs: Vec::new(), flow: false } };
        Self { nodes: vec![root], root: NodeId(0), version: None, handles: Vec::new() }
    }

    /// Returns the root.
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// Makes another node the root.
    pub fn set_root(&mut self, id: NodeId) {
        self.root = id;
    }

    /// Returns the number of nodes, reachable from the root or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether the document has no nodes, which is never the case.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns the node at a position; see [`NodeId::index`].
    pub fn id(&self, index: usize) -> Option<NodeId> {
        u32::try_from(index).ok().filter(|_| index < self.nodes.len()).map(NodeId)
    }

    /// Returns the version of the `%YAML` line.
    pub fn version(&self) -> Option<(i32, i32)> {
        self.version
    }

    /// Returns the handles and prefixes of the `%TAG` lines.
    pub fn handles(&self) -> &[(String, String)] {
        &self.handles
    }

    /// Sets the handle that abbreviates a prefix of tags in the written document: `!` or `!name!`.
    pub fn set_handle(&mut self, handle: &str, prefix: &str) {
        self.handles.retain(|(other, _)| other != handle);
        self.handles.push((handle.to_owned(), prefix.to_owned()));
    }

    /// Iterates over all nodes, in the order of their start in the text.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index as u32), node))
    }

    /// Returns a node to be changed.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// Adds a node, which is not attached to the tree yet.
    ///
    /// # Panics
    /// With more than 2^32 nodes, which exceed every limit of a parsed text.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        self.nodes.push(node);
        id
    }

    /// Returns the tag of a node as a full URI.
    pub fn tag(&self, id: NodeId) -> Option<&str> {
        self[id].tag.as_deref()
    }

    /// Returns the unresolved text of a scalar.
    pub fn text(&self, id: NodeId) -> Option<&str> {
        match &self[id].kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Resolves a scalar by the rules of YAML 1.1; an error for a collection and for a text that does not match its tag.
    pub fn scalar(&self, id: NodeId) -> Result<Scalar<'_>> {
        match &self[id].kind {
            Kind::Scalar { text, style } => Scalar::construct(self.tag(id), text, *style),
            Kind::Sequence { .. } => Err(Error::metadata("expected a scalar, found a sequence")),
            Kind::Mapping { .. } => Err(Error::metadata("expected a scalar, found a mapping")),
        }
    }

    /// Returns the items of a sequence.
    pub fn items(&self, id: NodeId) -> Option<&[NodeId]> {
        match &self[id].kind {
            Kind::Sequence { items, .. } => Some(items),
            _ => None,
        }
    }

    /// Returns the pairs of a mapping as written; see [`Document::entries`] for merged ones.
    pub fn pairs(&self, id: NodeId) -> Option<&[(NodeId, NodeId)]> {
        match &self[id].kind {
            Kind::Mapping { pairs, .. } => Some(pairs),
            _ => None,
        }
    }

    /// Returns the document without the nodes that are not reachable from the root.
    #[must_use]
    pub fn compacted(&self) -> Self {
        let mut compact = Self { handles: self.handles.clone(), version: self.version, ..Self::new() };
        compact.nodes.clear();
        compact.root = compact.copy_from(self, self.root);
        compact
    }

    /// Iterates over the nodes reachable from `from`, depth first, each once.
    pub fn reachable(&self, from: NodeId) -> impl Iterator<Item = NodeId> {
        let mut seen = HashSet::new();
        let mut stack = vec![from];
        std::iter::from_fn(move || {
            let id = std::iter::from_fn(|| stack.pop()).find(|id| seen.insert(*id))?;
            self.for_each_child_reversed(id, |child| stack.push(child));
            Some(id)
        })
    }

    pub(super) fn for_each_child_reversed(&self, id: NodeId, mut visit: impl FnMut(NodeId)) {
        match &self[id].kind {
            Kind::Scalar { .. } => {}
            Kind::Sequence { items, .. } => items.iter().rev().for_each(|item| visit(*item)),
            Kind::Mapping { pairs, .. } => pairs.iter().rev().for_each(|(key, value)| {
                visit(*value);
                visit(*key);
            }),
        }
    }
}
