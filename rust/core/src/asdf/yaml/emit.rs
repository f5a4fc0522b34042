//! Writing a [`Document`] as ASDF requires: `%YAML 1.1`, the handle `!` for ASDF's tags, UTF-8, lines of about 80 columns
//! ([the tree](https://asdf-standard.readthedocs.io/en/latest/tree.html)).
//!
//! Shared nodes get anchors, numbered in the order in which they are found shared, as `PyYAML` does. Strings that a reader
//! of YAML 1.1 *or* 1.2 would resolve to another type are quoted.

use std::collections::HashMap;

use super::compose::Limits;
use super::document::{Document, Kind, NodeId};
use super::raw::{Emitter, ScalarForm};
use super::scalar::{Resolved, Style, is_plain_string, resolve};
use super::{ASDF_TAG_PREFIX, YAML_TAG_PREFIX};
use crate::error::{Error, Result};

/// A step of writing.
enum Step {
    Node(NodeId),
    EndSequence,
    EndMapping,
}

impl Document {
    /// Writes the document, from the `%YAML` line to the `...` line.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut handles = self.handles().to_vec();
        if !handles.iter().any(|(handle, _)| handle == "!") {
            handles.insert(0, ("!".to_owned(), ASDF_TAG_PREFIX.to_owned()));
        }
        let mut emitter = Emitter::new()?;
        emitter.document_start(&handles)?;
        let mut writer =
            Writer { document: self, emitter, handles, anchors: self.anchors(), written: HashMap::new(), flow: 0 };
        writer.write()?;
        writer.emitter.finish()
    }

    /// Returns the shared nodes, numbered from 1.
    fn anchors(&self) -> HashMap<NodeId, usize> {
        let mut visited = vec![false; self.len()];
        let mut anchors = HashMap::new();
        let mut stack = vec![self.root()];
        while let Some(id) = stack.pop() {
            if std::mem::replace(&mut visited[id.index()], true) {
                let number = anchors.len() + 1;
                anchors.entry(id).or_insert(number);
            } else {
                self.for_each_child_reversed(id, |child| stack.push(child));
            }
        }
        anchors
    }
}

struct Writer<'a> {
    document: &'a Document,
    emitter: Emitter,
    handles: Vec<(String, String)>,
    anchors: HashMap<NodeId, usize>,
    /// Anchors that are already written.
    written: HashMap<NodeId, String>,
    /// Number of open flow collections; everything in one is written in flow style.
    flow: usize,
}

impl Writer<'_> {
    fn write(&mut self) -> Result<()> {
        let mut steps = vec![Step::Node(self.document.root())];
        let mut open: Vec<bool> = Vec::new();
        while let Some(step) = steps.pop() {
            if self.emitter.written() > Limits::DEFAULT.bytes {
                let limit = Limits::DEFAULT.bytes;
                let what = format!("the tree exceeds the limit of {limit} bytes; store large arrays in blocks");
                return Err(Error::metadata(what));
            }
            let ended = match step {
                Step::Node(id) => {
                    if let Some(flow) = self.node(id, &mut steps)? {
                        if open.len() >= Limits::DEFAULT.depth {
                            let limit = Limits::DEFAULT.depth;
                            return Err(Error::metadata(format!(
                                "the tree is nested deeper than the limit of {limit}"
                            )));
                        }
                        open.push(flow);
                        self.flow += usize::from(flow);
                    }
                    continue;
                }
                Step::EndSequence => self.emitter.sequence_end(),
                Step::EndMapping => self.emitter.mapping_end(),
            };
            ended?;
            self.flow -= usize::from(open.pop().unwrap_or(false));
        }
        Ok(())
    }

    /// Writes a scalar or an alias, or opens a collection and returns whether it is in flow style.
    fn node(&mut self, id: NodeId, steps: &mut Vec<Step>) -> Result<Option<bool>> {
        if let Some(anchor) = self.written.get(&id) {
            self.emitter.alias(anchor)?;
            return Ok(None);
        }
        let anchor = self.anchors.get(&id).map(|number| format!("id{number:03}"));
        if let Some(anchor) = &anchor {
            self.written.insert(id, anchor.clone());
        }
        let (anchor, node) = (anchor.as_deref(), &self.document[id]);
        let tag = node.tag.as_deref();
        if let Some(tag) = tag {
            self.check_tag(tag)?;
        }
        match &node.kind {
            Kind::Scalar { text, style } => {
                self.scalar(anchor, tag, text, *style)?;
                Ok(None)
            }
            Kind::Sequence { items, flow } => {
                self.emitter.sequence_start(anchor, tag, *flow)?;
                steps.push(Step::EndSequence);
                steps.extend(items.iter().rev().map(|item| Step::Node(*item)));
                Ok(Some(*flow))
            }
            Kind::Mapping { pairs, flow } => {
                self.emitter.mapping_start(anchor, tag, *flow)?;
                steps.push(Step::EndMapping);
                steps.extend(pairs.iter().rev().flat_map(|(key, value)| [Step::Node(*value), Step::Node(*key)]));
                Ok(Some(*flow))
            }
        }
    }

    fn scalar(&mut self, anchor: Option<&str>, tag: Option<&str>, text: &str, style: Style) -> Result<()> {
        let tagged = ScalarForm { style: None, plain_implicit: false, quoted_implicit: false };
        let string = ScalarForm { style: Some(style), plain_implicit: false, quoted_implicit: true };
        if tag.is_some() {
            let style = Some(style).filter(|style| *style != Style::Plain);
            return self.emitter.scalar(anchor, tag, text, ScalarForm { style, ..tagged });
        }
        if style != Style::Plain {
            return self.emitter.scalar(anchor, None, text, string);
        }
        let form = match resolve(text) {
            Resolved::Str if is_plain_string(text) => {
                ScalarForm { style: None, plain_implicit: true, quoted_implicit: true }
            }
            Resolved::Str => ScalarForm { style: Some(Style::SingleQuoted), ..string },
            // libyaml writes an empty plain scalar as `! ''` where the syntax does not allow one.
            Resolved::Null if text.is_empty() => return self.scalar(anchor, None, "null", style),
            // In flow style libyaml quotes texts with a colon, and without a tag a quoted text is a string.
            resolved if self.flow > 0 && text.contains(':') => {
                let name = match resolved {
                    Resolved::Int => "int",
                    Resolved::Float => "float",
                    _ => "timestamp",
                };
                let tag = format!("{YAML_TAG_PREFIX}{name}");
                return self.emitter.scalar(anchor, Some(&tag), text, tagged);
            }
            _ => ScalarForm { style: None, plain_implicit: true, quoted_implicit: false },
        };
        self.emitter.scalar(anchor, None, text, form)
    }

    /// Refuses tags that libyaml would write in an unreadable form.
    fn check_tag(&self, tag: &str) -> Result<()> {
        let yaml = ("!!".to_owned(), YAML_TAG_PREFIX.to_owned());
        let short = |(_, prefix): &(String, String)| tag.len() > prefix.len() && tag.starts_with(prefix.as_str());
        let suffix = self.handles.iter().chain([&yaml]).find(|handle| short(handle)).map(|(_, prefix)| prefix.len());
        match suffix {
            _ if tag.is_empty() => Err(Error::metadata("cannot write an empty tag")),
            Some(start) if tag[start..].contains([',', '[', ']', '{', '}']) => {
                Err(Error::metadata(format!("cannot write the tag {tag:?}: it has brackets or commas")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asdf::yaml::Scalar;

    fn text(document: &Document) -> String {
        String::from_utf8(document.to_bytes().unwrap()).unwrap()
    }

    const HEAD: &str = "%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n---";

    #[test]
    fn text_matches_the_python_library() {
        let tree = format!(
            "{HEAD} !core/asdf-1.1.0\nasdf_library: !core/software-1.0.0 {{author: The ASDF Developers, name: asdf}}\n\
             data: &id001 !core/ndarray-1.1.0\n  source: 0\n  datatype: float64\n  shape: [2, 3]\n\
             again: *id001\nlink: !<asdf://example.org/x-1.0.0> [1.0, 1.0e+22, .nan]\n\
             text: 'yes'\nnothing: null\n...\n"
        );
        assert_eq!(text(&Document::parse(tree.as_bytes()).unwrap()), tree);
    }

    #[test]
    fn strings_survive_readers_of_both_versions() {
        let nasty = "yes|1e3|0o17|08|-.5|1_000|1:30|2001-01-01|=|<<|~|null|a: b|# c|- d| lead|trail |new\nline|\n|tab\t|\
            nul\0|\u{85}|\u{2028} x|é 😀|'\"|...|---|\r\n|\u{feff}|*a|&a|!a|%a|@a|`a|{|]|,|?|a,b|\u{7f}\u{1b}|";
        let nasty: Vec<&str> = nasty.split('|').collect();
        let mut document = Document::new();
        let ids: Vec<_> = nasty.iter().map(|text| document.add_str(text)).collect();
        let flow = document.add_sequence(ids.clone());
        let pairs = ids.iter().map(|id| (*id, *id)).collect();
        let block = document.add_mapping(pairs);
        let root = document.root();
        document.insert(root, "flow", flow);
        document.insert(root, "block", block);
        let read = Document::parse(&document.to_bytes().unwrap()).unwrap();
        for (index, expected) in nasty.iter().enumerate() {
            let item = read.find(&format!("flow/{index}")).unwrap();
            assert_eq!(read.scalar(item).unwrap(), Scalar::Str(expected));
            let (key, value) = read.pairs(read.find("block").unwrap()).unwrap()[index];
            assert_eq!((key, value), (item, item), "shared nodes stay shared");
        }
    }

    #[test]
    fn types_survive_a_round_trip() {
        let tree = "a: [1:30, 2001-12-14 21:59:43, 190:20:30.15, ~, .inf, 0x1F]\nb: {1:30: 2, ? : 3}\nc:\n? \n: d\n";
        let document = Document::parse(tree.as_bytes()).unwrap();
        let written = document.to_bytes().unwrap();
        let read = Document::parse(&written).unwrap();
        assert_eq!(document.len(), read.len());
        for (id, _) in document.iter().filter(|(id, _)| document.text(*id).is_some()) {
            assert_eq!(document.scalar(id).unwrap(), read.scalar(id).unwrap());
        }
        assert_eq!(read.to_bytes().unwrap(), written);
    }

    #[test]
    fn unwritable_trees_are_refused() {
        let mut document = Document::new();
        let root = document.root();
        for tag in ["tag:stsci.edu:asdf/a,b", "tag:stsci.edu:asdf/[a]", "tag:yaml.org,2002:a,b", "a\0b", ""] {
            document.set_tag(root, tag);
            assert!(document.to_bytes().is_err(), "{tag}");
        }
        for tag in
            ["tag:example.org,2000:[é b]{c}%", "!local", "tag:stsci.edu:asdf/core/ä b", "tag:stsci.edu:asdf/", "!"]
        {
            document.set_tag(root, tag);
            let read = Document::parse(&document.to_bytes().unwrap()).unwrap();
            assert_eq!(read.tag(read.root()), Some(tag).filter(|tag| *tag != "!"));
        }
        let mut deep = Document::new();
        for _ in 0..2000 {
            let id = deep.add_sequence(vec![deep.root()]);
            deep.set_root(id);
        }
        assert!(deep.to_bytes().is_err());
    }

    #[test]
    fn recursion_and_order_of_anchors() {
        let document = Document::parse(b"a: &z [&y b, *z, *y]\nc: *y\n").unwrap();
        assert_eq!(text(&document), format!("{HEAD}\na: &id001 [&id002 b, *id001, *id002]\nc: *id002\n...\n"));
    }
}
