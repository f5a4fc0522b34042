//! Creating and changing documents.
//!
//! A node is first added and then attached to the tree. A node attached in several places is written once, with an
//! anchor.

use std::collections::HashMap;
use std::sync::Arc;

use super::YAML_TAG_PREFIX;
use super::document::{Document, Kind, Node, NodeId};
use super::number::float_text;
use super::scalar::{Style, is_plain_string};
use crate::base64;

impl Document {
    /// Adds a scalar with a style.
    pub fn add_scalar(&mut self, text: impl Into<Box<str>>, style: Style) -> NodeId {
        self.add(Node { tag: None, kind: Kind::Scalar { text: text.into(), style } })
    }

    /// Adds a string; quoted if it would be resolved as another type.
    pub fn add_str(&mut self, text: &str) -> NodeId {
        let style = if is_plain_string(text) { Style::Plain } else { Style::SingleQuoted };
        self.add_scalar(text, style)
    }

    /// Adds an integer.
    pub fn add_int(&mut self, value: impl Into<i128>) -> NodeId {
        self.add_scalar(value.into().to_string(), Style::Plain)
    }

    /// Adds a floating-point number.
    pub fn add_float(&mut self, value: f64) -> NodeId {
        self.add_scalar(float_text(value), Style::Plain)
    }

    /// Adds a boolean.
    pub fn add_bool(&mut self, value: bool) -> NodeId {
        self.add_scalar(if value { "true" } else { "false" }, Style::Plain)
    }

    /// Adds a null.
    pub fn add_null(&mut self) -> NodeId {
        self.add_scalar("null", Style::Plain)
    }

    /// Adds bytes.
    pub fn add_binary(&mut self, bytes: &[u8]) -> NodeId {
        let id = self.add_scalar(base64::encode(bytes), Style::Plain);
        self.set_tag(id, &format!("{YAML_TAG_PREFIX}binary"));
        id
    }

    /// Adds a sequence; in flow style `[a, b]` if all items are scalars.
    pub fn add_sequence(&mut self, items: Vec<NodeId>) -> NodeId {
        let flow = items.iter().all(|item| self.text(*item).is_some());
        self.add(Node { tag: None, kind: Kind::Sequence { items, flow } })
    }

    /// Adds a mapping; in flow style `{a: b}` if all keys and values are scalars.
    pub fn add_mapping(&mut self, pairs: Vec<(NodeId, NodeId)>) -> NodeId {
        let flow = pairs.iter().all(|(key, value)| self.text(*key).is_some() && self.text(*value).is_some());
        self.add(Node { tag: None, kind: Kind::Mapping { pairs, flow } })
    }

    /// Adds a mapping with string keys.
    pub fn add_map<'a>(&mut self, entries: impl IntoIterator<Item = (&'a str, NodeId)>) -> NodeId {
        let pairs = entries.into_iter().map(|(key, value)| (self.add_str(key), value)).collect();
        self.add_mapping(pairs)
    }

    /// Sets the tag of a node, a full URI.
    pub fn set_tag(&mut self, id: NodeId, tag: &str) {
        self.node_mut(id).tag = Some(Arc::from(tag));
    }

    /// Appends to a sequence; ignores other nodes.
    pub fn push(&mut self, sequence: NodeId, item: NodeId) {
        let leaf = self.text(item).is_some();
        if let Kind::Sequence { items, flow } = &mut self.node_mut(sequence).kind {
            items.push(item);
            *flow &= leaf;
        }
    }

    /// Sets the value of a string key of a mapping, in place or at the end; ignores other nodes.
    pub fn insert(&mut self, mapping: NodeId, key: &str, value: NodeId) {
        let Some(pairs) = self.pairs(mapping) else { return };
        let position = pairs.iter().rposition(|(id, _)| self.is_text(*id, key));
        let leaf = self.text(value).is_some();
        let new_key = if position.is_none() { Some(self.add_str(key)) } else { None };
        if let Kind::Mapping { pairs, flow } = &mut self.node_mut(mapping).kind {
            pairs.extend(new_key.map(|key| (key, value)));
            if let Some(position) = position {
                pairs[position].1 = value;
            }
            *flow &= leaf;
        }
    }

    /// Removes all entries of a string key from a mapping.
    pub fn remove(&mut self, mapping: NodeId, key: &str) {
        let Some(pairs) = self.pairs(mapping) else { return };
        let kept = pairs.iter().copied().filter(|(id, _)| !self.is_text(*id, key)).collect();
        if let Kind::Mapping { pairs, .. } = &mut self.node_mut(mapping).kind {
            *pairs = kept;
        }
    }

    /// Copies a node of another document and all nodes reachable from it; shared nodes stay shared.
    pub fn copy_from(&mut self, other: &Self, id: NodeId) -> NodeId {
        let mut copies: HashMap<NodeId, NodeId> = HashMap::new();
        for old in other.reachable(id) {
            copies.insert(old, self.add(other[old].clone()));
        }
        for copy in copies.values() {
            match &mut self.node_mut(*copy).kind {
                Kind::Scalar { .. } => {}
                Kind::Sequence { items, .. } => items.iter_mut().for_each(|item| *item = copies[item]),
                Kind::Mapping { pairs, .. } => {
                    for (key, value) in pairs {
                        (*key, *value) = (copies[key], copies[value]);
                    }
                }
            }
        }
        copies[&id]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asdf::yaml::Scalar;

    #[test]
    fn builds_and_changes() {
        let mut document = Document::new();
        let root = document.root();
        let one = document.add_int(1);
        document.insert(root, "a", one);
        let two = document.add_int(u64::MAX);
        document.insert(root, "a", two);
        let list = document.add_sequence(vec![one]);
        document.insert(root, "list", list);
        document.push(list, root);
        document.remove(root, "nothing");
        assert_eq!(document.pairs(root).unwrap().len(), 2);
        assert_eq!(document.scalar(document.find("a").unwrap()).unwrap(), Scalar::BigInt(u64::MAX.to_string()));
        assert_eq!(document.find("list/1"), Some(root));
        document.remove(root, "a");
        assert_eq!(document.find("a"), None);
        document.push(one, two);
        document.insert(one, "a", two);
        assert_eq!(document.text(one), Some("1"));
    }

    #[test]
    fn copies_keep_identity() {
        let other = Document::parse(b"a: &x [1, *x]\nb: *x\nc: 2").unwrap();
        let mut document = Document::new();
        let copy = document.copy_from(&other, other.root());
        document.set_root(copy);
        assert_eq!(document.find("a"), document.find("b"));
        assert_eq!(document.find("a/1"), document.find("a"));
        assert_eq!(document.compacted().len(), document.len() - 1);
    }
}
