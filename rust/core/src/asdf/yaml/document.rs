//! A YAML document as an arena of nodes: what the
//! [representation graph of YAML 1.1](https://yaml.org/spec/1.1/#id861060) holds, before scalars are resolved.
//!
//! Tags are full URIs; an alias is the same [`NodeId`] once more, so identity is kept and a tree may contain itself.
//! Merge keys (`<<`) and duplicate keys stay as they are written: [`Document::entries`] and [`Document::get`] give the
//! view that `PyYAML` has of them.

use std::collections::{HashMap, HashSet};
use std::ops::Index;
use std::sync::Arc;

use super::raw::{Event, Parser};
use super::scalar::Scalar;
use crate::error::{Error, Result};

/// A node of one [`Document`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

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

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'a'`
    SingleQuoted,
    /// `"a"`
    DoubleQuoted,
    /// `|`, line by line
    Literal,
    /// `>`, with lines folded
    Folded,
}

/// What a text from outside may ask for at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of the text in bytes.
    pub bytes: usize,
    /// Nesting of collections. libyaml takes quadratic time in it.
    pub depth: usize,
    /// Lines that begin with `%`. libyaml takes quadratic time in them.
    pub directives: usize,
    /// Length of a tag: a `%TAG` line makes a short text stand for a long one.
    pub tag: usize,
}

impl Limits {
    /// The limits where nothing else is said.
    pub const DEFAULT: Self = Self { bytes: 256 << 20, depth: 1000, directives: 256, tag: 4096 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A YAML document.
#[derive(Clone, Debug)]
pub struct Document {
    nodes: Vec<Node>,
    root: NodeId,
    version: Option<(i32, i32)>,
    handles: Vec<(String, String)>,
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

    /// Reads the first document of a text.
    pub fn parse(text: &[u8]) -> Result<Self> {
        Self::parse_with(text, &Limits::DEFAULT)
    }

    /// Reads the first document of a text, within limits.
    pub fn parse_with(text: &[u8], limits: &Limits) -> Result<Self> {
        if text.len() > limits.bytes {
            let (size, limit) = (text.len(), limits.bytes);
            return Err(Error::metadata(format!("YAML of {size} bytes exceeds the limit of {limit}")));
        }
        let directives = text
            .split(|byte| *byte == b'\n')
            .take_while(|line| !line.starts_with(b"---"))
            .filter(|line| line.starts_with(b"%"));
        if directives.take(limits.directives + 1).count() > limits.directives {
            return Err(Error::metadata(format!("YAML has more than {} directives", limits.directives)));
        }
        Composer::new(limits).compose(text)
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
    /// With more than 2^32 nodes, which no text within [`Limits`] has.
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

/// Makes a document out of events.
struct Composer<'a> {
    limits: &'a Limits,
    document: Document,
    /// Collections that are open, and for a mapping the key whose value comes next.
    open: Vec<(NodeId, Option<NodeId>)>,
    anchors: HashMap<String, NodeId>,
    tags: HashSet<Arc<str>>,
}

impl<'a> Composer<'a> {
    fn new(limits: &'a Limits) -> Self {
        let document = Document { nodes: Vec::new(), ..Document::new() };
        Self { limits, document, open: Vec::new(), anchors: HashMap::new(), tags: HashSet::new() }
    }

    fn compose(mut self, text: &[u8]) -> Result<Document> {
        let mut parser = Parser::new(text);
        loop {
            match parser.next()? {
                Event::StreamStart => {}
                Event::DocumentStart { version, handles } => {
                    self.document.version = version;
                    self.document.handles = handles;
                }
                Event::Alias(anchor) => match self.anchors.get(&anchor) {
                    Some(id) => self.attach(*id),
                    None => return Err(Error::metadata(format!("YAML: no anchor &{anchor} precedes *{anchor}"))),
                },
                Event::Scalar { anchor, tag, text, style } => {
                    self.add(anchor, tag, Kind::Scalar { text, style })?;
                }
                Event::SequenceStart { anchor, tag, flow } => {
                    let id = self.add(anchor, tag, Kind::Sequence { items: Vec::new(), flow })?;
                    self.open(id)?;
                }
                Event::MappingStart { anchor, tag, flow } => {
                    let id = self.add(anchor, tag, Kind::Mapping { pairs: Vec::new(), flow })?;
                    self.open(id)?;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    self.open.pop();
                }
                Event::DocumentEnd | Event::StreamEnd => break,
            }
        }
        if self.document.nodes.is_empty() {
            // An empty text means null.
            self.add(None, None, Kind::Scalar { text: "".into(), style: Style::Plain })?;
        }
        Ok(self.document)
    }

    fn open(&mut self, id: NodeId) -> Result<()> {
        if self.open.len() >= self.limits.depth {
            return Err(Error::metadata(format!("YAML is nested more than {} deep", self.limits.depth)));
        }
        self.open.push((id, None));
        Ok(())
    }

    fn add(&mut self, anchor: Option<String>, tag: Option<String>, kind: Kind) -> Result<NodeId> {
        let tag = match tag {
            // The non-specific tag of a collection says nothing.
            None => None,
            Some(tag) if tag == "!" => None,
            Some(tag) if tag.len() > self.limits.tag => {
                return Err(Error::metadata(format!("YAML: a tag is longer than {} bytes", self.limits.tag)));
            }
            Some(tag) => Some(self.intern(tag)),
        };
        if self.document.nodes.len() >= u32::MAX as usize {
            return Err(Error::metadata("YAML has more than 2^32 nodes"));
        }
        let id = self.document.add(Node { tag, kind });
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, id);
        }
        self.attach(id);
        Ok(id)
    }

    fn intern(&mut self, tag: String) -> Arc<str> {
        if let Some(known) = self.tags.get(tag.as_str()) {
            return Arc::clone(known);
        }
        let tag: Arc<str> = tag.into();
        self.tags.insert(Arc::clone(&tag));
        tag
    }

    /// Hangs a node on the innermost open collection.
    fn attach(&mut self, id: NodeId) {
        let Some((parent, key)) = self.open.last_mut() else { return };
        match &mut self.document.nodes[parent.0 as usize].kind {
            Kind::Sequence { items, .. } => items.push(id),
            Kind::Mapping { pairs, .. } => match key.take() {
                Some(key) => pairs.push((key, id)),
                None => *key = Some(id),
            },
            Kind::Scalar { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_tags_identity_and_styles() {
        let text = b"%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\na: &x !<asdf://b> [1, '2', *x]\nc: *x\n...\n";
        let document = Document::parse(text).unwrap();
        assert_eq!(document.version(), Some((1, 1)));
        assert_eq!(document.handles(), [("!".to_owned(), "tag:stsci.edu:asdf/".to_owned())]);
        assert_eq!(document.tag(document.root()), Some("tag:stsci.edu:asdf/core/asdf-1.1.0"));
        let a = document.find("a").unwrap();
        assert_eq!(document.tag(a), Some("asdf://b"));
        assert_eq!(document.find("c"), Some(a));
        assert_eq!(document.find("a/2"), Some(a));
        assert!(matches!(document[a].kind, Kind::Sequence { flow: true, .. }));
        let two = document.find("a/1").unwrap();
        assert_eq!(document.scalar(two).unwrap(), Scalar::Str("2"));
        assert_eq!(document.scalar(document.find("a/0").unwrap()).unwrap(), Scalar::Int(1));
        assert_eq!(document.reachable(document.root()).count(), document.len());
    }

    #[test]
    fn non_specific_tags() {
        let document = Document::parse(b"[! 12, ! '12', ! [], '12']").unwrap();
        let scalar = |path| document.scalar(document.find(path).unwrap());
        assert_eq!(scalar("0").unwrap(), Scalar::Int(12));
        assert_eq!(scalar("1").unwrap(), Scalar::Int(12));
        assert_eq!(scalar("3").unwrap(), Scalar::Str("12"));
        assert_eq!(document.tag(document.find("2").unwrap()), None);
        assert!(scalar("2").is_err());
    }

    #[test]
    fn empty_texts_and_second_documents() {
        for text in ["", "---\n", "# nothing\n", "--- \n...\n"] {
            let document = Document::parse(text.as_bytes()).unwrap();
            assert_eq!(document.scalar(document.root()).unwrap(), Scalar::Null, "{text}");
        }
        let document = Document::parse(b"--- 1\n--- [").unwrap();
        assert_eq!(document.text(document.root()), Some("1"));
    }

    #[test]
    fn errors_name_the_place() {
        let error = Document::parse(b"a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.message().starts_with("YAML, line 3, column 2: did not find expected"), "{error}");
        for text in [&b"a: *b"[..], b"\ta: 1", b"a: \xff", b"a: 'b", b"%YAML 2.0\n--- a", b"a: !q!x 1", b"\x01"] {
            assert!(Document::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Document::parse(deep(1000).as_bytes()).is_ok());
        for text in [deep(1001), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000)] {
            let error = Document::parse(text.as_bytes()).unwrap_err();
            assert!(error.message().contains("1000 deep"), "{error}");
        }
        let directives = |count| "%TAG !a! b\n".repeat(count) + "--- 1";
        assert!(Document::parse(directives(20_000).as_bytes()).unwrap_err().message().contains("256 directives"));
        let tag = format!("%TAG ! {}\n--- [!a 1, !b 2]", "x".repeat(5000));
        assert!(Document::parse(tag.as_bytes()).unwrap_err().message().contains("4096"));
        let limits = Limits { bytes: 3, ..Limits::DEFAULT };
        assert!(Document::parse_with(b"1234", &limits).is_err());
    }

    #[test]
    fn every_truncation_is_survived() {
        let text = "%YAML 1.1\n--- !a &x\nb: [1, 'two', \"\\u00e9\", {c: *x}]\n? |\n  key\n: !<d> >\n  fold\n...\n";
        for end in 0..text.len() {
            let _ = Document::parse(&text.as_bytes()[..end]);
        }
    }
}
