//! A YAML document as an arena of nodes: what the
//! [representation graph of YAML 1.1](https://yaml.org/spec/1.1/#id861060) holds, before scalars are resolved.
//!
//! Tags are full URIs; an alias is the same [`NodeId`] once more, so identity is kept and a tree may contain itself.
//! Merge keys (`<<`) and duplicate keys stay as they are written: [`Document::entries`] and [`Document::get`] give the
//! view that `PyYAML` has of them.

use std::collections::HashSet;
use std::ops::Index;
use std::sync::Arc;

use super::scalar::{Scalar, Style};
use crate::error::{Error, Result};

/// A node of one [`Document`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// Its position among the nodes of the document.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node: its tag, and what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The tag as a full URI; `None` where the file writes none.
    pub tag: Option<Arc<str>>,
    /// What the node is.
    pub kind: Kind,
}

/// The three kinds of nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A text; what it means is for [`Document::scalar`] to say.
    Scalar {
        /// The text, without quotes and escapes.
        text: Box<str>,
        /// How it is written; only a plain text without a tag can mean anything but itself.
        style: Style,
    },
    /// A list.
    Sequence {
        /// The items.
        items: Vec<NodeId>,
        /// Written `[a, b]`.
        flow: bool,
    },
    /// A mapping in the order of the file.
    Mapping {
        /// Keys and values.
        pairs: Vec<(NodeId, NodeId)>,
        /// Written `{a: b}`.
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
    /// A document whose root is an empty mapping.
    pub fn new() -> Self {
        let root = Node { tag: None, kind: Kind::Mapping { pairs: Vec::new(), flow: false } };
        Self { nodes: vec![root], root: NodeId(0), version: None, handles: Vec::new() }
    }

    /// The node everything hangs on.
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// Hangs everything on another node.
    pub fn set_root(&mut self, id: NodeId) {
        self.root = id;
    }

    /// The number of nodes, reachable from the root or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node; never so, as there is always a root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node at a position; see [`NodeId::index`].
    pub fn id(&self, index: usize) -> Option<NodeId> {
        u32::try_from(index).ok().filter(|_| index < self.nodes.len()).map(NodeId)
    }

    /// The version of the `%YAML` line.
    pub fn version(&self) -> Option<(i32, i32)> {
        self.version
    }

    /// Handles and prefixes of the `%TAG` lines.
    pub fn handles(&self) -> &[(String, String)] {
        &self.handles
    }

    /// Abbreviates a prefix of tags when the document is written; `handle` is `!` or `!name!`.
    pub fn set_handle(&mut self, handle: &str, prefix: &str) {
        self.handles.retain(|(other, _)| other != handle);
        self.handles.push((handle.to_owned(), prefix.to_owned()));
    }

    /// All nodes, in the order in which they begin in the text.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index as u32), node))
    }

    /// A node, to be changed.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// Adds a node that nothing refers to yet.
    ///
    /// # Panics
    /// With more than 2^32 nodes, which no text that is short enough to be parsed has.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        self.nodes.push(node);
        id
    }

    /// The tag of a node as a full URI.
    pub fn tag(&self, id: NodeId) -> Option<&str> {
        self[id].tag.as_deref()
    }

    /// The text of a scalar, whatever it means.
    pub fn text(&self, id: NodeId) -> Option<&str> {
        match &self[id].kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What a scalar means under YAML 1.1; an error for a collection and for a text that its tag forbids.
    pub fn scalar(&self, id: NodeId) -> Result<Scalar<'_>> {
        match &self[id].kind {
            Kind::Scalar { text, style } => Scalar::construct(self.tag(id), text, *style),
            Kind::Sequence { .. } => Err(Error::metadata("a sequence where a scalar is expected")),
            Kind::Mapping { .. } => Err(Error::metadata("a mapping where a scalar is expected")),
        }
    }

    /// The items of a sequence.
    pub fn items(&self, id: NodeId) -> Option<&[NodeId]> {
        match &self[id].kind {
            Kind::Sequence { items, .. } => Some(items),
            _ => None,
        }
    }

    /// The pairs of a mapping as they are written; see [`Document::entries`] for what they mean.
    pub fn pairs(&self, id: NodeId) -> Option<&[(NodeId, NodeId)]> {
        match &self[id].kind {
            Kind::Mapping { pairs, .. } => Some(pairs),
            _ => None,
        }
    }

    /// The same document with its nodes cleared of what the root does not reach.
    #[must_use]
    pub fn compacted(&self) -> Self {
        let mut compact = Self { handles: self.handles.clone(), version: self.version, ..Self::new() };
        compact.nodes.clear();
        compact.root = compact.copy_from(self, self.root);
        compact
    }

    /// Nodes in the order of a first visit from `from`, each once.
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
