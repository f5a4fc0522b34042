//! [Composing](https://yaml.org/spec/1.1/#id859109): building a [`Document`] from libyaml's events, within [`Limits`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::document::{Document, Kind, Node, NodeId};
use super::raw::{Event, Parser};
use super::scalar::Style;
use crate::error::{Error, Result};

/// Limits of a text from an untrusted source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of the text in bytes.
    pub bytes: usize,
    /// Nesting of collections; libyaml takes quadratic time in it.
    pub depth: usize,
    /// Lines that start with `%`; libyaml takes quadratic time in them.
    pub directives: usize,
    /// Length of a tag in bytes; a `%TAG` line lets a short text name a long tag.
    pub tag: usize,
    /// Total length of all distinct tags in bytes.
    pub tags: usize,
}

impl Limits {
    /// The default limits.
    pub const DEFAULT: Self = Self { bytes: 256 << 20, depth: 1000, directives: 256, tag: 4096, tags: 16 << 20 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Document {
    /// Parses the first document of a text.
    pub fn parse(text: &[u8]) -> Result<Self> {
        Self::parse_with(text, &Limits::DEFAULT)
    }

    /// Parses the first document of a text, within limits.
    pub fn parse_with(text: &[u8], limits: &Limits) -> Result<Self> {
        Self::parse_at(text, 0, limits)
    }

    /// Parses a text that follows `lines_before` other lines of its file.
    pub(in crate::asdf) fn parse_at(text: &[u8], lines_before: usize, limits: &Limits) -> Result<Self> {
        if text.len() > limits.bytes {
            let (size, limit) = (text.len(), limits.bytes);
            return Err(Error::metadata(format!("YAML of {size} bytes exceeds the limit of {limit}")));
        }
        let directives = text
            .split(|byte| *byte == b'\n')
            .take_while(|line| !line.starts_with(b"---"))
            .filter(|line| line.starts_with(b"%"));
        if directives.take(limits.directives + 1).count() > limits.directives {
            return Err(Error::metadata(format!("YAML has more directives than the limit of {}", limits.directives)));
        }
        Composer::new(limits).compose(Parser::new(text, lines_before))
    }
}

/// Nesting of negligible cost.
const SHALLOW: usize = 64;

/// Maximum sum, over all nodes, of their levels beyond [`SHALLOW`]: libyaml visits every open flow collection for every
/// token.
const MAX_LEVELS: usize = 1 << 26;

/// Builds a document from events.
struct Composer<'a> {
    limits: &'a Limits,
    document: Document,
    /// Open collections; for a mapping, the key whose value comes next.
    open: Vec<(NodeId, Option<NodeId>)>,
    anchors: HashMap<String, NodeId>,
    tags: HashSet<Arc<str>>,
    tag_bytes: usize,
    levels: usize,
    /// Whether a node may be a merge key.
    has_merges: bool,
}

impl<'a> Composer<'a> {
    fn new(limits: &'a Limits) -> Self {
        // The first node becomes the root.
        let mut document = Document::new();
        document.nodes.clear();
        Self {
            limits,
            document,
            open: Vec::new(),
            anchors: HashMap::new(),
            tags: HashSet::new(),
            tag_bytes: 0,
            levels: 0,
            has_merges: false,
        }
    }

    fn compose(mut self, mut parser: Parser<'_>) -> Result<Document> {
        loop {
            match parser.next()? {
                Event::StreamStart => {}
                Event::DocumentStart { version, handles } => {
                    self.document.version = version;
                    self.document.handles = handles;
                }
                Event::Alias(anchor) => match self.anchors.get(&anchor) {
                    Some(id) => self.attach(*id),
                    None => return Err(Error::metadata(format!("YAML: alias *{anchor} has no anchor before it"))),
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
            // An empty text is null.
            self.add(None, None, Kind::Scalar { text: "".into(), style: Style::Plain })?;
        }
        if self.has_merges {
            self.document.check_merges()?;
        }
        Ok(self.document)
    }

    fn open(&mut self, id: NodeId) -> Result<()> {
        if self.open.len() >= self.limits.depth {
            return Err(Error::metadata(format!("YAML is nested deeper than the limit of {}", self.limits.depth)));
        }
        self.open.push((id, None));
        Ok(())
    }

    fn add(&mut self, anchor: Option<String>, tag: Option<String>, kind: Kind) -> Result<NodeId> {
        let tag = match tag {
            // The non-specific tag has no meaning for a collection.
            None => None,
            Some(tag) if tag == "!" => None,
            Some(tag) => Some(self.intern(tag)?),
        };
        self.has_merges |= matches!(&kind, Kind::Scalar { text, .. } if &**text == "<<")
            || tag.as_deref().is_some_and(|tag| tag.ends_with(":merge"));
        self.levels += self.open.len().saturating_sub(SHALLOW);
        if self.levels > MAX_LEVELS {
            return Err(Error::metadata("YAML has too many deeply nested nodes"));
        }
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

    fn intern(&mut self, tag: String) -> Result<Arc<str>> {
        if let Some(known) = self.tags.get(tag.as_str()) {
            return Ok(Arc::clone(known));
        }
        let Limits { tag: longest, tags: most, .. } = *self.limits;
        self.tag_bytes += tag.len();
        if tag.len() > longest || self.tag_bytes > most {
            let what = format!("YAML: a tag exceeds the limit of {longest} bytes, or all tags exceed {most}");
            return Err(Error::metadata(what));
        }
        let tag: Arc<str> = tag.into();
        self.tags.insert(Arc::clone(&tag));
        Ok(tag)
    }

    /// Adds a node to the innermost open collection.
    fn attach(&mut self, id: NodeId) {
        let Some((parent, key)) = self.open.last_mut() else { return };
        match &mut self.document.node_mut(*parent).kind {
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
    use crate::asdf::yaml::Scalar;

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
            assert!(error.message().contains("deeper than the limit of 1000"), "{error}");
        }
        let crowded = "[".repeat(900) + &"a,".repeat(100_000);
        assert!(Document::parse(crowded.as_bytes()).unwrap_err().message().contains("too many"));
        let directives = |count| "%TAG !a! b\n".repeat(count) + "--- 1";
        assert!(Document::parse(directives(20_000).as_bytes()).unwrap_err().message().contains("limit of 256"));
        let tag = format!("%TAG ! {}\n--- [!a 1, !b 2]", "x".repeat(5000));
        assert!(Document::parse(tag.as_bytes()).unwrap_err().message().contains("4096"));
        let tags = Limits { tags: 10, ..Limits::DEFAULT };
        assert!(Document::parse_with(b"[!aaaaa 1, !aaaaa 2]", &tags).is_ok());
        assert!(Document::parse_with(b"[!aaaaa 1, !aaaab 2]", &tags).is_err());
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
