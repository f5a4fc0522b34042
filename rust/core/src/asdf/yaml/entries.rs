//! Entries of mappings, and finding nodes by paths.
//!
//! [Merge keys](https://yaml.org/type/merge.html) and duplicate keys are interpreted as by `PyYAML`: a mapping's own
//! entries win over merged ones, earlier merged mappings win over later ones, and the last of equal keys wins.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use super::YAML_TAG_PREFIX;
use super::document::{Document, Kind, NodeId};
use super::scalar::{Scalar, Style};
use crate::error::{Error, Result};

/// Keys and values.
type Pairs = Vec<(NodeId, NodeId)>;

/// Keys and values, borrowed from the document if there are no merged or duplicate keys.
pub(super) type Entries<'a> = Cow<'a, [(NodeId, NodeId)]>;

/// Maximum nesting of merged mappings; a chain of aliases can be as long as the file.
const MAX_MERGE_DEPTH: usize = 100;

/// Maximum number of pairs that merging visits, and that all mappings of a document get by merging.
const MAX_MERGE_PAIRS: usize = 1 << 20;

/// Type and value of a key, for comparison.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(u64),
    Text(u8, Cow<'a, str>),
    Bytes(Vec<u8>),
    Node(NodeId),
}

impl Document {
    /// Returns the entries of a mapping, with merged mappings and without duplicate keys.
    pub fn entries(&self, id: NodeId) -> Result<Entries<'_>> {
        self.entries_with_cost(id).map(|(entries, _)| entries)
    }

    /// Returns the entries, and the number of pairs that were visited.
    pub(super) fn entries_with_cost(&self, id: NodeId) -> Result<(Entries<'_>, usize)> {
        let Some(pairs) = self.pairs(id) else { return Err(Error::metadata("expected a mapping")) };
        if pairs.iter().any(|(key, _)| self.is_merge(*key)) {
            let mut merge = Merge { document: self, done: HashMap::new(), open: Vec::new(), pairs: 0 };
            let flat = merge.flatten(id, pairs)?.to_vec();
            return Ok((Cow::Owned(flat), merge.pairs));
        }
        let unique = self.deduplicate(pairs.iter().copied());
        let entries = if unique.len() == pairs.len() { Cow::Borrowed(pairs) } else { Cow::Owned(unique) };
        Ok((entries, pairs.len()))
    }

    /// Checks that merging adds a bounded number of pairs to all mappings together: a short text can merge a long mapping
    /// many times. Other errors of merging are those of [`entries`](Self::entries).
    pub(super) fn check_merges(&self) -> Result<()> {
        let mut merge = Merge { document: self, done: HashMap::new(), open: Vec::new(), pairs: 0 };
        for (id, _) in self.iter() {
            let pairs = self.pairs(id).filter(|pairs| pairs.iter().any(|(key, _)| self.is_merge(*key)));
            if pairs.is_some_and(|pairs| merge.flatten(id, pairs).is_err()) {
                check_pairs(merge.pairs)?;
                merge.open.clear();
            }
        }
        Ok(())
    }

    /// Returns the value of a string key; `None` without it, and if `map` is not a mapping.
    pub fn get(&self, map: NodeId, key: &str) -> Option<NodeId> {
        let pairs = self.pairs(map)?;
        let own = pairs.iter().rev().find(|(id, _)| self.is_text(*id, key) && !self.is_merge(*id));
        if let Some((_, value)) = own {
            return Some(*value);
        }
        if !pairs.iter().any(|(key, _)| self.is_merge(*key)) {
            return None;
        }
        self.entries(map).ok()?.iter().find(|(id, _)| self.is_text(*id, key)).map(|(_, value)| *value)
    }

    /// Returns the child of a node by name: the value of a key, or the item of a sequence, counted from 0 or backward from -1.
    pub fn child(&self, id: NodeId, name: &str) -> Option<NodeId> {
        match &self[id].kind {
            Kind::Scalar { .. } => None,
            Kind::Sequence { items, .. } => {
                let index: i64 = name.parse().ok()?;
                let index = if index < 0 { index.checked_add(i64::try_from(items.len()).ok()?)? } else { index };
                items.get(usize::try_from(index).ok()?).copied()
            }
            Kind::Mapping { .. } => self.get(id, name).or_else(|| {
                // Other keys than strings are found by their text.
                let entries = self.entries(id).ok()?;
                entries.iter().find(|(key, _)| self.text(*key) == Some(name)).map(|(_, value)| *value)
            }),
        }
    }

    /// Returns the node at a path of names and indices such as `roman/data/0`; the root for the empty path.
    pub fn find(&self, path: &str) -> Option<NodeId> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(self.root(), |id, name| self.child(id, name))
    }

    /// Returns the node of a [JSON pointer](https://www.rfc-editor.org/rfc/rfc6901) such as `/a~1b/0`.
    pub fn pointer(&self, pointer: &str) -> Option<NodeId> {
        if pointer.is_empty() {
            return Some(self.root());
        }
        let mut names = pointer.strip_prefix('/')?.split('/');
        names.try_fold(self.root(), |id, name| self.child(id, &name.replace("~1", "/").replace("~0", "~")))
    }

    pub(super) fn is_text(&self, id: NodeId, text: &str) -> bool {
        self.text(id) == Some(text) && matches!(self.scalar(id), Ok(Scalar::Str(_)))
    }

    fn is_merge(&self, id: NodeId) -> bool {
        match (self.tag(id), &self[id].kind) {
            (None, Kind::Scalar { text, style: Style::Plain }) => &**text == "<<",
            (Some(tag), _) => tag.strip_prefix(YAML_TAG_PREFIX) == Some("merge"),
            _ => false,
        }
    }

    fn key(&self, id: NodeId) -> Key<'_> {
        match self.scalar(id) {
            Ok(Scalar::Null) => Key::Null,
            Ok(Scalar::Bool(value)) => Key::Bool(value),
            Ok(Scalar::Int(value)) => Key::Int(value),
            Ok(Scalar::BigInt(digits)) => Key::Text(0, digits.into()),
            Ok(Scalar::Float(value)) => Key::Float(value.to_bits()),
            Ok(Scalar::Str(text)) => Key::Text(1, text.into()),
            Ok(Scalar::Timestamp(text)) => Key::Text(2, text.into()),
            Ok(Scalar::Binary(bytes)) => Key::Bytes(bytes),
            Err(_) => Key::Node(id),
        }
    }

    /// Keeps the position of the first of equal keys with the value of the last.
    fn deduplicate(&self, pairs: impl ExactSizeIterator<Item = (NodeId, NodeId)>) -> Pairs {
        let mut positions: HashMap<Key<'_>, usize> = HashMap::with_capacity(pairs.len());
        let mut unique = Pairs::with_capacity(pairs.len());
        for (key, value) in pairs {
            match positions.entry(self.key(key)) {
                Entry::Occupied(position) => unique[*position.get()].1 = value,
                Entry::Vacant(position) => {
                    position.insert(unique.len());
                    unique.push((key, value));
                }
            }
        }
        unique
    }
}

/// Flattens mappings with merge keys.
struct Merge<'a> {
    document: &'a Document,
    /// Flattened mappings; without them, repeated merging takes exponential time.
    done: HashMap<NodeId, Rc<Pairs>>,
    /// Mappings being flattened.
    open: Vec<NodeId>,
    /// Number of pairs visited.
    pairs: usize,
}

impl Merge<'_> {
    fn flatten(&mut self, id: NodeId, pairs: &[(NodeId, NodeId)]) -> Result<Rc<Pairs>> {
        if let Some(done) = self.done.get(&id) {
            return Ok(Rc::clone(done));
        }
        if self.open.contains(&id) {
            // A mapping that merges itself gets nothing from it.
            return Ok(Rc::default());
        }
        if self.open.len() >= MAX_MERGE_DEPTH {
            return Err(Error::metadata(format!("YAML: merged mappings are nested deeper than {MAX_MERGE_DEPTH}")));
        }
        self.open.push(id);
        let (mut merged, mut own) = (Pairs::new(), Pairs::new());
        for (key, value) in pairs {
            if self.document.is_merge(*key) {
                self.merge(*value, &mut merged)?;
            } else {
                own.push((*key, *value));
            }
        }
        self.open.pop();
        merged.append(&mut own);
        self.pairs = self.pairs.saturating_add(merged.len());
        check_pairs(self.pairs)?;
        let flat = Rc::new(self.document.deduplicate(merged.into_iter()));
        self.done.insert(id, Rc::clone(&flat));
        Ok(flat)
    }

    /// Adds the pairs of a merge key's value.
    fn merge(&mut self, id: NodeId, merged: &mut Pairs) -> Result<()> {
        let no_mapping = || Error::metadata("YAML: the value of << is neither a mapping nor a list of mappings");
        let sources = match &self.document[id].kind {
            Kind::Mapping { .. } => std::slice::from_ref(&id),
            Kind::Sequence { items, .. } => items,
            Kind::Scalar { .. } => return Err(no_mapping()),
        };
        for source in sources.iter().rev() {
            let pairs = self.document.pairs(*source).ok_or_else(no_mapping)?;
            merged.extend_from_slice(&self.flatten(*source, pairs)?);
            check_pairs(merged.len())?;
        }
        Ok(())
    }
}

fn check_pairs(pairs: usize) -> Result<()> {
    if pairs <= MAX_MERGE_PAIRS {
        return Ok(());
    }
    Err(Error::metadata(format!("YAML: merged mappings have more than {MAX_MERGE_PAIRS} pairs")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str) -> Vec<(String, String)> {
        let document = Document::parse(text.as_bytes()).unwrap();
        let id = document.find("m").unwrap();
        let text = |id| document.text(id).unwrap().to_owned();
        document.entries(id).unwrap().iter().map(|(key, value)| (text(*key), text(*value))).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn last_of_equal_keys_wins() {
        assert_eq!(view("m: {a: 1, b: 2, a: 3, \"a\": 4, 1: x, 0x1: y}"), pairs(&[("a", "4"), ("b", "2"), ("1", "y")]));
    }

    #[test]
    fn merges_as_pyyaml_does() {
        let bases = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\n";
        let merged = |m: &str| view(&format!("{bases}m: {m}"));
        assert_eq!(merged("{b: 0, <<: *x}"), pairs(&[("a", "1"), ("b", "0")]));
        assert_eq!(merged("{<<: [*x, *y]}"), pairs(&[("b", "2"), ("c", "4"), ("a", "1")]));
        assert_eq!(merged("{<<: *x, <<: *y}"), pairs(&[("a", "1"), ("b", "3"), ("c", "4")]));
        assert_eq!(merged("{\"<<\": 1}"), pairs(&[("<<", "1")]));
        assert_eq!(view("m: &m {<<: *m, a: 1}"), pairs(&[("a", "1")]));
        let document = Document::parse(b"m: {<<: 1}").unwrap();
        assert!(document.entries(document.find("m").unwrap()).is_err());
    }

    #[test]
    fn merging_is_bounded() {
        use std::fmt::Write;
        let mut wide = "a0: &a0 {x: 1}\n".to_owned();
        for level in 1..60 {
            writeln!(wide, "a{level}: &a{level} {{<<: [*a{0}, *a{0}, *a{0}], k{level}: 1}}", level - 1).unwrap();
        }
        let document = Document::parse(wide.as_bytes()).unwrap();
        assert_eq!(document.entries(document.find("a59").unwrap()).unwrap().len(), 60);
        let mut deep = "a0: &a0 {x: 1}\n".to_owned();
        for level in 1..100_000 {
            writeln!(deep, "a{level}: &a{level} {{<<: *a{}}}", level - 1).unwrap();
        }
        let document = Document::parse(deep.as_bytes()).unwrap();
        assert!(document.entries(document.find("a99999").unwrap()).is_err());
        let keys: Vec<_> = (0..10_000).map(|key| format!("k{key}: 1")).collect();
        let mut many = format!("a: &a {{{}}}\n", keys.join(", "));
        for name in 0..1000 {
            writeln!(many, "b{name}: {{<<: *a}}").unwrap();
        }
        assert!(Document::parse(many.as_bytes()).unwrap_err().to_string().contains("merged mappings"));
    }

    #[test]
    fn finds_by_path_and_pointer() {
        let document = Document::parse(b"roman: {data: [10, 20], a/b: 1, m~n: 2, 1: one, yes: si}").unwrap();
        let text = |id: Option<NodeId>| id.and_then(|id| document.text(id));
        assert_eq!(text(document.find("roman/data/0")), Some("10"));
        assert_eq!(text(document.find("roman/data/-1")), Some("20"));
        assert_eq!(document.find("roman/data/2"), None);
        assert_eq!(document.find("roman/data/-9223372036854775808"), None);
        assert_eq!(text(document.find("roman/1")), Some("one"));
        assert_eq!(text(document.find("roman/yes")), Some("si"));
        assert_eq!(document.get(document.find("roman").unwrap(), "1"), None);
        assert_eq!(document.find(""), Some(document.root()));
        assert_eq!(text(document.pointer("/roman/a~1b")), Some("1"));
        assert_eq!(text(document.pointer("/roman/m~0n")), Some("2"));
        assert_eq!(document.pointer("roman"), None);
    }
}
