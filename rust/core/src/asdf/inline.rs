//! Arrays written into the tree as nested lists.
//!
//! They are encoded like the data of a block, in native byte order. Without a datatype, the array gets the first of
//! boolean, integer, floating point, complex and text that can hold all values.

use std::sync::Arc;

use super::complex::parse_complex;
use super::datatype::{Datatype, MAX_AXES};
use super::yaml::{Document, NodeId, Scalar};
use crate::codec::Endian;
use crate::data_type::{DataType, Kind as NumberKind};
use crate::error::{Error, Result};
use crate::subset::{product, tuple};

/// An array in the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Inline {
    /// The datatype of the elements.
    pub datatype: Datatype,
    /// The shape.
    pub shape: Vec<u64>,
    /// The elements as bytes in C order.
    pub bytes: Arc<[u8]>,
    /// Whether each element is null; `None` if none is.
    pub nulls: Option<Arc<[bool]>>,
}

/// Maximum number of elements, unless the document has more nodes: aliases let a short text name many elements.
const MAX_ELEMENTS: usize = 1 << 20;

/// Maximum size of the elements in bytes, unless the document has many nodes: a short text may declare large elements.
pub(super) const MAX_INLINE: usize = 1 << 28;

/// The value of an element.
#[derive(Clone, Debug)]
enum Value<'a> {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Complex(f64, f64),
    Text(&'a str),
}

/// Parses nested lists, with the declared datatype and shape, if any. A streamed shape (`true`) lacks its first axis.
pub(super) fn inline(
    document: &Document,
    id: NodeId,
    datatype: Option<&Datatype>,
    shape: Option<(bool, &[u64])>,
) -> Result<Inline> {
    let rank = match (shape, datatype) {
        (Some((streamed, shape)), _) => Some(shape.len() + usize::from(streamed)),
        (None, Some(record @ Datatype::Record(_))) => Some(record_depth(document, id, record)?),
        _ => None,
    };
    let limit = MAX_ELEMENTS.max(document.len());
    let mut lists = Lists { document, rank, shape: Vec::new(), elements: Vec::new(), limit };
    lists.visit(id, 0)?;
    let Lists { shape: mut found, elements, .. } = lists;
    // Empty lists do not show the lengths of the lists that they would contain.
    if let Some((false, declared)) = shape
        && elements.is_empty()
        && declared.starts_with(&found)
    {
        found = declared.to_vec();
    }
    if let Some((streamed, declared)) = shape
        && found.get(usize::from(streamed)..) != Some(declared)
    {
        let (found, declared) = (tuple(&found), tuple(declared));
        return Err(Error::metadata(format!("the data have shape {found}, but the declared shape is {declared}")));
    }
    if product(&found) != Some(elements.len() as u64) {
        return Err(uneven_lengths());
    }
    let datatype = datatype.map_or_else(|| infer(document, &elements), |datatype| Ok(datatype.clone()))?;
    let size = elements.len().saturating_mul(datatype.size());
    if size > MAX_INLINE.max(document.len().saturating_mul(16)) {
        return Err(Error::metadata(format!(
            "an array in the tree decodes to {size} bytes, at most {MAX_INLINE} are read"
        )));
    }
    let mut encoder = Encoder { document, bytes: Vec::with_capacity(size) };
    let nulls = elements.iter().map(|id| encoder.element(*id, &datatype)).collect::<Result<Vec<_>>>()?;
    let nulls = nulls.contains(&true).then(|| nulls.into());
    Ok(Inline { datatype, shape: found, bytes: encoder.bytes.into(), nulls })
}

fn uneven_lengths() -> Error {
    Error::metadata("lists of one axis have different lengths")
}

/// Collects the elements of nested lists.
struct Lists<'a> {
    document: &'a Document,
    /// Depth of the elements; `None` if elements are what is not a list.
    rank: Option<usize>,
    shape: Vec<u64>,
    elements: Vec<NodeId>,
    limit: usize,
}

impl Lists<'_> {
    fn visit(&mut self, id: NodeId, depth: usize) -> Result<()> {
        let items = match self.document.items(id) {
            Some(items) if self.rank.is_none_or(|rank| depth < rank) => items,
            None if self.rank.is_none_or(|rank| depth == rank) && self.shape.len() <= depth => return self.push(id),
            Some(_) if self.rank == Some(depth) => return self.push(id),
            _ => return Err(Error::metadata("lists are nested to different depths")),
        };
        if depth >= MAX_AXES {
            return Err(Error::metadata(format!("lists are nested deeper than {MAX_AXES}")));
        }
        let length = items.len() as u64;
        match self.shape.get(depth) {
            None if self.elements.is_empty() => self.shape.push(length),
            Some(known) if *known == length => {}
            _ => return Err(uneven_lengths()),
        }
        items.iter().try_for_each(|item| self.visit(*item, depth + 1))
    }

    fn push(&mut self, id: NodeId) -> Result<()> {
        if self.elements.len() >= self.limit {
            return Err(Error::metadata(format!("an array in the tree has more than {} elements", self.limit)));
        }
        self.elements.push(id);
        Ok(())
    }
}

/// Returns how many lists enclose a record, which is itself written as a list.
fn record_depth(document: &Document, id: NodeId, record: &Datatype) -> Result<usize> {
    if record.size() > MAX_INLINE {
        return Err(Error::metadata(format!("records in the tree have more than {MAX_INLINE} bytes")));
    }
    let mut node = id;
    for depth in 0..MAX_AXES {
        if (Encoder { document, bytes: Vec::new() }).element(node, record).is_ok() {
            return Ok(depth);
        }
        match document.items(node).and_then(<[NodeId]>::first) {
            Some(first) => node = *first,
            None => break,
        }
    }
    Err(Error::metadata("the data are not records of the datatype"))
}

fn value(document: &Document, id: NodeId) -> Result<Value<'_>> {
    let refused = |what: &str| Error::metadata(format!("{what} cannot be an element of an array"));
    if document.tag(id).is_some_and(|tag| tag.ends_with("/complex-1.0.0")) {
        let text = document.text(id).unwrap_or_default();
        let (re, im) = parse_complex(text).ok_or_else(|| Error::metadata("an element is not a complex number"))?;
        return Ok(Value::Complex(re, im));
    }
    match document.scalar(id)? {
        Scalar::Null => Ok(Value::Null),
        Scalar::Bool(value) => Ok(Value::Bool(value)),
        Scalar::Int(value) => Ok(Value::Int(value.into())),
        Scalar::BigInt(digits) => digits.parse().map(Value::Int).map_err(|_| refused("an integer of over 128 bits")),
        Scalar::Float(value) => Ok(Value::Float(value)),
        Scalar::Str(text) | Scalar::Timestamp(text) => Ok(Value::Text(text)),
        Scalar::Binary(_) => Err(refused("binary data")),
    }
}

fn infer(document: &Document, elements: &[NodeId]) -> Result<Datatype> {
    let (mut level, mut characters) = (0, 1);
    for id in elements {
        level = level.max(match value(document, *id)? {
            Value::Null => continue,
            Value::Bool(_) => 1,
            Value::Int(value) if i64::try_from(value).is_ok() => 2,
            Value::Int(_) => 3,
            Value::Float(_) => 4,
            Value::Complex(..) => 5,
            Value::Text(text) => {
                characters = characters.max(text.chars().count());
                6
            }
        });
    }
    let name = match level {
        1 => "bool",
        2 => "int64",
        3 => "uint64",
        0 | 4 => "float64",
        5 => "complex128",
        _ => return Ok(Datatype::Ucs4(characters, Endian::NATIVE)),
    };
    Ok(Datatype::Scalar(DataType::from_name(name)?, Endian::NATIVE))
}

/// Appends elements as bytes.
struct Encoder<'a> {
    document: &'a Document,
    bytes: Vec<u8>,
}

impl Encoder<'_> {
    /// Appends an element, as zeros if it is null; returns whether it is.
    fn element(&mut self, id: NodeId, datatype: &Datatype) -> Result<bool> {
        let start = self.bytes.len();
        let is_null = match datatype {
            Datatype::Record(_) if matches!(self.document.scalar(id), Ok(Scalar::Null)) => true,
            Datatype::Record(fields) => {
                let items = self.document.items(id).filter(|items| items.len() == fields.len());
                let what = "a record does not have as many fields as its datatype";
                let items = items.ok_or_else(|| Error::metadata(what))?;
                for (item, field) in items.iter().zip(fields) {
                    self.field(*item, &field.datatype, &field.shape)?;
                }
                false
            }
            Datatype::Ascii(_) | Datatype::Ucs4(..) => {
                let is_null = matches!(self.document.scalar(id)?, Scalar::Null);
                if !is_null {
                    self.text(self.document.text(id).unwrap_or_default(), datatype)?;
                }
                is_null
            }
            Datatype::Scalar(data_type, endian) => {
                let value = value(self.document, id)?;
                let is_null = matches!(value, Value::Null);
                if !is_null {
                    self.number(&value, data_type)?;
                }
                // Fields of records may have another byte order.
                if *endian != Endian::NATIVE {
                    crate::view::swap_words(&mut self.bytes[start..], data_type.word());
                }
                is_null
            }
        };
        if is_null {
            self.bytes.resize(start + datatype.size(), 0);
        }
        Ok(is_null)
    }

    fn field(&mut self, id: NodeId, datatype: &Datatype, shape: &[u64]) -> Result<()> {
        let Some((length, rest)) = shape.split_first() else {
            if self.element(id, datatype)? {
                return Err(Error::unsupported("a field of a record is null; only whole records can be"));
            }
            return Ok(());
        };
        let items = self.document.items(id).filter(|items| items.len() as u64 == *length);
        let items =
            items.ok_or_else(|| Error::metadata("a field does not have the shape that its datatype declares"))?;
        items.iter().try_for_each(|item| self.field(*item, datatype, rest))
    }

    /// Appends a text, cut or padded to the size of the datatype.
    fn text(&mut self, text: &str, datatype: &Datatype) -> Result<()> {
        let end = self.bytes.len() + datatype.size();
        match datatype {
            Datatype::Ucs4(length, Endian::Little) => {
                self.bytes.extend(text.chars().take(*length).flat_map(|c| u32::from(c).to_le_bytes()));
            }
            Datatype::Ucs4(length, Endian::Big) => {
                self.bytes.extend(text.chars().take(*length).flat_map(|c| u32::from(c).to_be_bytes()));
            }
            _ if text.is_ascii() => self.bytes.extend(text.bytes().take(datatype.size())),
            _ => return Err(Error::metadata("a text of the data is not ASCII")),
        }
        self.bytes.resize(end, 0);
        Ok(())
    }

    /// Appends a number in native byte order.
    fn number(&mut self, value: &Value<'_>, data_type: &DataType) -> Result<()> {
        let refused = || Error::metadata(format!("an element of the data is not {data_type}"));
        match (data_type.kind(), value) {
            (NumberKind::Bool, Value::Bool(value)) => self.bytes.push(u8::from(*value)),
            (NumberKind::Bool, Value::Int(value)) => self.bytes.push(u8::from(*value != 0)),
            (NumberKind::Int | NumberKind::UInt, Value::Int(_) | Value::Bool(_)) => {
                let value = match value {
                    Value::Int(value) => *value,
                    value => i128::from(matches!(value, Value::Bool(true))),
                };
                let bits = data_type.size() as u32 * 8;
                let signed = data_type.kind() == NumberKind::Int;
                let (low, high) = if signed { (-(1i128 << (bits - 1)), 1 << (bits - 1)) } else { (0, 1i128 << bits) };
                if !(low..high).contains(&value) {
                    return Err(Error::metadata(format!("{value} is not {data_type}")));
                }
                self.push_int(value, data_type.size());
            }
            (NumberKind::Float, value) => self.push_float(real(value).ok_or_else(refused)?, data_type.size()),
            (NumberKind::Complex, value) => {
                let (re, im) = match value {
                    Value::Complex(re, im) => (*re, *im),
                    Value::Text(text) => parse_complex(text).ok_or_else(refused)?,
                    other => (real(other).ok_or_else(refused)?, 0.0),
                };
                self.push_float(re, data_type.size() / 2);
                self.push_float(im, data_type.size() / 2);
            }
            _ => return Err(refused()),
        }
        Ok(())
    }

    fn push_int(&mut self, value: i128, size: usize) {
        match size {
            1 => self.bytes.extend((value as i8).to_ne_bytes()),
            2 => self.bytes.extend((value as i16).to_ne_bytes()),
            4 => self.bytes.extend((value as i32).to_ne_bytes()),
            _ => self.bytes.extend((value as i64).to_ne_bytes()),
        }
    }

    fn push_float(&mut self, value: f64, size: usize) {
        match size {
            2 => self.bytes.extend(half::f16::from_f64(value).to_ne_bytes()),
            4 => self.bytes.extend((value as f32).to_ne_bytes()),
            _ => self.bytes.extend(value.to_ne_bytes()),
        }
    }
}

fn real(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(u8::from(*value).into()),
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str, datatype: Option<&str>, shape: Option<&[u64]>) -> Result<Inline> {
        let text = format!("data: {data}\ndatatype: {}", datatype.unwrap_or("int8"));
        let document = Document::parse(text.as_bytes()).unwrap();
        let declared = Datatype::parse(&document, document.find("datatype").unwrap(), Some(Endian::NATIVE)).unwrap();
        let declared = datatype.map(|_| &declared);
        inline(&document, document.find("data").unwrap(), declared, shape.map(|shape| (false, shape)))
    }

    #[test]
    fn datatypes_are_inferred() {
        for (data, code, shape) in [
            ("[[1, 2], [3, 4], [5, 6]]", "i8", &[3, 2][..]),
            ("[1, 18446744073709551615]", "u8", &[2]),
            ("[1, 2.5, .nan]", "f8", &[3]),
            ("[true, false]", "b1", &[2]),
            ("[a, bcd]", "U3", &[2]),
            ("[1, !<tag:stsci.edu:asdf/core/complex-1.0.0> 1+2j]", "c16", &[2]),
            ("[]", "f8", &[0]),
            ("[[], []]", "f8", &[2, 0]),
        ] {
            let inline = read(data, None, None).unwrap();
            let found = inline.datatype.code().unwrap();
            assert_eq!((&found[1..], &inline.shape[..]), (code, shape), "{data}");
        }
        for (data, shape) in [("[]", &[0, 5][..]), ("[[], [], []]", &[3, 0, 2])] {
            assert_eq!(read(data, Some("int8"), Some(shape)).unwrap().shape, shape);
        }
        assert!(read("[[], []]", Some("int8"), Some(&[3, 0])).is_err());
        let inline = read("[1, null, 3]", None, None).unwrap();
        assert_eq!(inline.nulls.as_deref(), Some(&[false, true, false][..]));
        assert_eq!(*inline.bytes, [1i64, 0, 3].map(i64::to_ne_bytes).concat());
    }

    #[test]
    fn records_are_lists() {
        let record = "[{name: a, datatype: uint8}, {name: b, datatype: uint8, shape: [2]}]";
        let inline = read("[[1, [2, 3]], [4, [5, 6]]]", Some(record), None).unwrap();
        assert_eq!((&*inline.bytes, &inline.shape[..]), (&[1, 2, 3, 4, 5, 6][..], &[2][..]));
        assert!(read("[[1, [2]]]", Some(record), None).is_err());
        let text = "[{name: s, datatype: [ascii, 3]}, {name: x, datatype: uint16, byteorder: big}]";
        let inline = read("[[ab, 258]]", Some(text), None).unwrap();
        assert_eq!(*inline.bytes, *b"ab\0\x01\x02");
    }

    #[test]
    fn mismatched_data_are_refused() {
        use std::fmt::Write;
        for (data, datatype, shape) in [
            ("[[1, 2], [3]]", None, None),
            ("[1, [2]]", None, None),
            ("[[1], 2]", None, None),
            ("[[], [1]]", None, None),
            ("[1, 300]", Some("int8"), None),
            ("[-1]", Some("uint8"), None),
            ("[a]", Some("int8"), None),
            ("[1.5]", Some("int8"), None),
            ("[1, 2]", Some("int8"), Some(&[3][..])),
            ("[1, 2]", Some("int8"), Some(&[2, 1])),
            ("[é]", Some("[ascii, 3]"), None),
            ("&a [*a]", None, None),
            ("[{a: 1}]", None, None),
        ] {
            assert!(read(data, datatype, shape).is_err(), "{data}");
        }
        let mut bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for level in 1..10 {
            writeln!(bomb, "a{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 8].join(", ")).unwrap();
        }
        let document = Document::parse(bomb.as_bytes()).unwrap();
        assert!(inline(&document, document.find("a9").unwrap(), None, None).is_err());
    }
}
