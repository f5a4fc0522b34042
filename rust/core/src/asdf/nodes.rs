//! Nodes of new ndarrays
//! ([the schema](https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html)).

use super::block::BlockHeader;
use super::datatype::Datatype;
use super::inline::MAX_INLINE;
use super::ndarray::Source;
use super::open::AsdfFile;
use super::tag::{COMPLEX_TAG, Class, NDARRAY_TAG};
use super::yaml::{Document, NodeId, Style};
use crate::codec::Endian;
use crate::data_type::{DataType, Kind};
use crate::error::{Place, Result};

/// Location of the elements of a new array.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// In the block of this number.
    Block(usize),
    /// In the last block of the file, which can grow.
    Stream,
    /// In the first block of another file, by its URI.
    External(&'a str),
}

/// A new ndarray whose elements are outside the tree.
#[derive(Clone, Copy, Debug)]
pub struct NewNdarray<'a> {
    /// Location of the elements.
    pub target: Target<'a>,
    /// Datatype of the elements.
    pub datatype: &'a Datatype,
    /// The shape. The first length of a stream is not written, as it follows from the size of the block.
    pub shape: &'a [u64],
    /// Offset of the first element in the block, in bytes.
    pub offset: u64,
    /// Strides in bytes; `None` for C order without gaps.
    pub strides: Option<&'a [i64]>,
    /// The node of the mask.
    pub mask: Option<NodeId>,
}

/// Returns the URI of a file in the same folder by its name.
pub fn external_uri(name: &str) -> String {
    use std::fmt::Write;
    let mut uri = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~+,=@()".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

impl Document {
    fn add_lengths(&mut self, lengths: &[u64]) -> NodeId {
        let lengths = lengths.iter().map(|length| self.add_int(*length)).collect();
        self.add_sequence(lengths)
    }

    /// Adds an array in a block, in C order.
    pub fn add_ndarray(&mut self, block: usize, datatype: &Datatype, shape: &[u64], mask: Option<NodeId>) -> NodeId {
        let target = Target::Block(block);
        self.add_new_ndarray(&NewNdarray { target, datatype, shape, offset: 0, strides: None, mask })
    }

    /// Adds an array whose elements are outside the tree.
    pub fn add_new_ndarray(&mut self, array: &NewNdarray<'_>) -> NodeId {
        let source = match array.target {
            Target::Block(number) => self.add_int(number as u64),
            Target::Stream => self.add_int(-1),
            Target::External(uri) => self.add_str(uri),
        };
        let mut entries = vec![("source", source)];
        if let Some(mask) = array.mask {
            entries.push(("mask", mask));
        }
        let (datatype, order) = array.datatype.to_node(self);
        let shape = match (array.target, array.shape.split_first()) {
            (Target::Stream, Some((_, rest))) => {
                let any = self.add_scalar("*", Style::SingleQuoted);
                let rest = rest.iter().map(|length| self.add_int(*length)).collect::<Vec<_>>();
                self.add_sequence([vec![any], rest].concat())
            }
            _ => self.add_lengths(array.shape),
        };
        entries.extend([("datatype", datatype), ("byteorder", self.add_str(order)), ("shape", shape)]);
        if array.offset > 0 {
            entries.push(("offset", self.add_int(array.offset)));
        }
        if let Some(strides) = array.strides {
            let strides = strides.iter().map(|stride| self.add_int(*stride)).collect();
            entries.push(("strides", self.add_sequence(strides)));
        }
        let node = self.add_map(entries);
        self.set_tag(node, NDARRAY_TAG);
        node
    }

    /// Adds an array with its elements in the tree. Returns `None` if the tree cannot hold them: if there are no axes,
    /// or texts that are not valid ASCII or Unicode, or integers that need a node of their own, or too many bytes, or
    /// records that the Python library cannot read.
    pub fn add_inline_ndarray(
        &mut self,
        datatype: &Datatype,
        shape: &[u64],
        bytes: &[u8],
        mask: Option<NodeId>,
    ) -> Option<NodeId> {
        if shape.is_empty() || bytes.len() > MAX_INLINE || is_ambiguous(datatype, shape) {
            return None;
        }
        let data = self.add_elements(datatype, shape, &mut { bytes })?;
        let (datatype, _) = datatype.to_node(self);
        let entries = [("data", data), ("datatype", datatype), ("shape", self.add_lengths(shape))];
        let node = self.add_map(entries.into_iter().chain(mask.map(|mask| ("mask", mask))));
        self.set_tag(node, NDARRAY_TAG);
        Some(node)
    }

    /// Adds nested lists of elements, and removes the elements from the front of `bytes`.
    fn add_elements(&mut self, datatype: &Datatype, shape: &[u64], bytes: &mut &[u8]) -> Option<NodeId> {
        if let Some((length, shape)) = shape.split_first() {
            let items = (0..*length).map(|_| self.add_elements(datatype, shape, bytes)).collect::<Option<_>>()?;
            return Some(self.add_sequence(items));
        }
        if let Datatype::Record(fields) = datatype {
            let fields = fields.iter().map(|field| self.add_elements(&field.datatype, &field.shape, bytes));
            let fields = fields.collect::<Option<_>>()?;
            return Some(self.add_sequence(fields));
        }
        let (element, rest) = bytes.split_at_checked(datatype.size())?;
        *bytes = rest;
        match datatype {
            Datatype::Scalar(data_type, endian) => self.add_number(data_type, *endian, element),
            Datatype::Ascii(_) => {
                let text = std::str::from_utf8(element).ok().filter(|text| text.is_ascii())?;
                Some(self.add_str(text.trim_end_matches('\0')))
            }
            Datatype::Ucs4(_, endian) => {
                let letter = |code: &[u8; 4]| {
                    let (little, big) = (u32::from_le_bytes(*code), u32::from_be_bytes(*code));
                    char::from_u32(if *endian == Endian::Little { little } else { big })
                };
                let text: Option<String> = element.as_chunks::<4>().0.iter().map(letter).collect();
                Some(self.add_str(text?.trim_end_matches('\0')))
            }
            Datatype::Record(_) => None,
        }
    }

    fn add_number(&mut self, data_type: &DataType, endian: Endian, element: &[u8]) -> Option<NodeId> {
        let mut bytes = element.to_vec();
        if endian == Endian::Big {
            bytes.chunks_mut(data_type.word().max(1)).for_each(<[u8]>::reverse);
        }
        Some(match data_type.kind() {
            Kind::Bool => self.add_bool(bytes != [0]),
            Kind::Int => {
                let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
                let mut wide = [if negative { 0xff } else { 0 }; 16];
                wide[..bytes.len()].copy_from_slice(&bytes);
                // The schema limits integers in arrays to this range.
                let value = i128::from_le_bytes(wide);
                (value >= i128::from(i64::MIN) + 2).then(|| self.add_int(value))?
            }
            Kind::UInt => {
                let mut wide = [0; 16];
                wide[..bytes.len()].copy_from_slice(&bytes);
                let value = i128::from_le_bytes(wide);
                (value <= i128::from(i64::MAX)).then(|| self.add_int(value))?
            }
            Kind::Float => self.add_float(float(&bytes)?),
            Kind::Complex => {
                let (re, im) = bytes.split_at(bytes.len() / 2);
                let node = self.add_complex(float(re)?, float(im)?);
                self.set_tag(node, COMPLEX_TAG);
                node
            }
            _ => return None,
        })
    }

    /// Adds a complex number in Python's notation.
    fn add_complex(&mut self, re: f64, im: f64) -> NodeId {
        let text = |value: f64| if value.is_nan() { "nan".to_owned() } else { format!("{value:?}") };
        let sign = if im.is_sign_negative() && !im.is_nan() { "" } else { "+" };
        self.add_scalar(format!("({}{sign}{}j)", text(re), text(im)), Style::Plain)
    }
}

/// Whether the Python library cannot read records in the tree: it finds the depth of the records by their number of
/// fields, and cannot read nested ones.
fn is_ambiguous(datatype: &Datatype, shape: &[u64]) -> bool {
    let Datatype::Record(fields) = datatype else { return false };
    let is_record = |datatype: &Datatype| matches!(datatype, Datatype::Record(_));
    shape.contains(&(fields.len() as u64)) && fields.len() > 1 || fields.iter().any(|field| is_record(&field.datatype))
}

/// Returns the floating-point number of little-endian bytes.
fn float(bytes: &[u8]) -> Option<f64> {
    Some(match bytes.len() {
        2 => half::f16::from_le_bytes(bytes.try_into().ok()?).to_f64(),
        4 => f32::from_le_bytes(bytes.try_into().ok()?).into(),
        8 => f64::from_le_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

impl AsdfFile {
    /// Adds an ndarray node of this file to another tree. `number` maps the number of its block to that of the copy,
    /// which must be stored unchanged.
    pub fn copy_ndarray(
        &self,
        node: NodeId,
        document: &mut Document,
        number: &mut dyn FnMut(&Self, BlockHeader) -> usize,
    ) -> Result<NodeId> {
        let tree = self.tree();
        let ndarray = self.ndarray(node)?;
        let (file, block) = match &ndarray.source {
            Source::Inline(_) => return Ok(document.copy_from(tree, node)),
            Source::Block(block) => (self.clone(), *block),
            Source::External(uri) => (self.open_external_block(uri)?, 0),
        };
        let header = file.blocks().block(block).place(|| self.describe(node))?;
        let mut entries = Vec::new();
        for (key, value) in tree.entries(node)?.iter() {
            let value = match tree.text(*key) {
                Some("source") => {
                    let block = number(&file, header);
                    document.add_int(block as u64)
                }
                Some("shape") if ndarray.streamed => {
                    let array = self.open_ndarray(node, &ndarray)?;
                    document.add_lengths(array.shape())
                }
                Some("mask") if self.class(*value) == Class::Ndarray => self.copy_ndarray(*value, document, number)?,
                _ => document.copy_from(tree, *value),
            };
            entries.push((document.copy_from(tree, *key), value));
        }
        let copy = document.add_mapping(entries);
        // The newest version of the schema allows all that older ones do.
        document.set_tag(copy, NDARRAY_TAG);
        Ok(copy)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::asdf::{FileOptions, OutBlock, write_bytes};
    use crate::store::{MemoryStore, WritableStore};

    #[test]
    fn ndarrays_are_copied_with_their_blocks() {
        let mut document = Document::new();
        let mask = document.add_ndarray(1, &Datatype::from_code("|b1").unwrap(), &[3], None);
        let id = document.add_ndarray(0, &Datatype::from_code(">i2").unwrap(), &[3], Some(mask));
        let root = document.root();
        document.insert(root, "a", id);
        let blocks = || [vec![0, 1, 0, 2, 0, 3], vec![0, 1, 0]].map(|bytes| Ok(OutBlock::new(bytes)));
        let store = MemoryStore::new();
        let bytes = write_bytes(&FileOptions::default(), Some(&document), blocks()).unwrap();
        store.set("a.asdf", &bytes).unwrap();
        let file = AsdfFile::open(Arc::new(store), "a.asdf").unwrap();
        let (mut copy, mut headers) = (Document::new(), Vec::new());
        let node = file.find("a").unwrap();
        let copied = file.copy_ndarray(node, &mut copy, &mut |_, header| {
            headers.push(header);
            10 + headers.len()
        });
        let copied = copied.unwrap();
        assert_eq!(copy.text(copy.get(copied, "source").unwrap()), Some("11"));
        let mask = copy.get(copied, "mask").unwrap();
        assert_eq!(copy.text(copy.get(mask, "source").unwrap()), Some("12"));
        assert_eq!(headers.iter().map(|header| header.used).collect::<Vec<_>>(), [6, 3]);
    }

    #[test]
    fn arrays_at_strides_and_streams() {
        let datatype = Datatype::from_code("<i2").unwrap();
        let mut document = Document::new();
        let root = document.root();
        let array = NewNdarray {
            target: Target::Block(0),
            datatype: &datatype,
            shape: &[2, 3],
            offset: 2,
            strides: Some(&[2, 4]),
            mask: None,
        };
        let node = document.add_new_ndarray(&array);
        document.insert(root, "columns", node);
        let stream = NewNdarray { target: Target::Stream, offset: 0, strides: None, ..array };
        let node = document.add_new_ndarray(&stream);
        document.insert(root, "rows", node);
        let bytes: Vec<u8> = (0..7i16).flat_map(i16::to_le_bytes).collect();
        let blocks = [Ok(OutBlock::new(&bytes)), Ok(OutBlock::new(&bytes[..12]).streamed())];
        let written = write_bytes(&FileOptions::default(), Some(&document), blocks).unwrap();
        let store = MemoryStore::new();
        store.set("a.asdf", &written).unwrap();
        let file = AsdfFile::open(Arc::new(store), "a.asdf").unwrap();
        let read = |path: &str| {
            let array = file.array(path).unwrap();
            array.retrieve_array_subset::<Vec<i16>>(&array.subset_all()).unwrap()
        };
        assert_eq!(read("columns"), [1, 3, 5, 2, 4, 6]);
        assert_eq!(read("rows"), [0, 1, 2, 3, 4, 5]);
        assert_eq!(external_uri("a b#é.asdf"), "a%20b%23%C3%A9.asdf");
    }

    #[test]
    fn arrays_in_the_tree() {
        let read = |code: &str, shape: &[u64], bytes: &[u8]| {
            let datatype = Datatype::from_code(code).unwrap();
            let mut document = Document::new();
            let node = document.add_inline_ndarray(&datatype, shape, bytes, None)?;
            let root = document.root();
            document.insert(root, "a", node);
            let store = MemoryStore::new();
            let written = write_bytes(&FileOptions::default(), Some(&document), std::iter::empty()).unwrap();
            store.set("a.asdf", &written).unwrap();
            let file = AsdfFile::open(Arc::new(store), "a.asdf").unwrap();
            let ndarray = file.ndarray(file.find("a").unwrap()).unwrap();
            let Source::Inline(inline) = ndarray.source else { panic!("not in the tree") };
            assert_eq!((inline.shape.as_slice(), inline.datatype.code().as_deref()), (shape, Some(code)));
            Some(inline.bytes.to_vec())
        };
        let floats: Vec<u8> =
            [0.1f64, -0.0, 1e300, f64::INFINITY].iter().flat_map(|value| value.to_le_bytes()).collect();
        let cases: &[(&str, &[u64], &[u8])] = &[
            ("<i2", &[2, 2], &[1, 0, 255, 255, 0, 128, 2, 1]),
            ("<u4", &[1], &[255; 4]),
            ("<f8", &[4], &floats),
            ("<f2", &[1], &[0, 0x3c]),
            ("<c16", &[2], &floats),
            ("|b1", &[3], &[0, 1, 1]),
            ("|S3", &[2], b"a\0\0yes"),
            ("<U2", &[1], &[0xe9, 0, 0, 0, 0, 0, 0, 0]),
            ("<i4", &[0, 3], &[]),
        ];
        for (code, shape, bytes) in cases {
            assert_eq!(read(code, shape, bytes).as_deref(), Some(*bytes), "{code}");
        }
        // No axes; an integer that needs a node of its own; bytes that are not ASCII; an invalid character.
        for (code, shape, bytes) in
            [("<i2", &[][..], &[1, 0][..]), ("<u8", &[1], &[255; 8]), ("|S1", &[1], &[200]), ("<U1", &[1], &[255; 4])]
        {
            assert_eq!(read(code, shape, bytes), None, "{code}");
        }
    }
}
