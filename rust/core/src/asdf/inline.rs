//! Arrays that are written into the tree as nested lists.
//!
//! They become bytes like those of a block, in the byte order of this machine. Without a datatype it is what the
//! values need: text, complex, floating point, integer, boolean, in this order.

use std::sync::Arc;

use super::complex::parse_complex;
use super::datatype::{Datatype, MAX_AXES};
use super::yaml::{Document, NodeId, Scalar};
use crate::codec::Endian;
use crate::data_type::{DataType, Kind as NumberKind};
use crate::error::{Error, Result};
use crate::subset::{product, tuple};

/// The elements of an array in the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Inline {
    /// What they are.
    pub datatype: Datatype,
    /// Their shape.
    pub shape: Vec<u64>,
    /// Their bytes in C order.
    pub bytes: Arc<[u8]>,
    /// For each element whether it is null, where any is.
    pub nulls: Option<Arc<[bool]>>,
}

/// By aliases a short text can name many elements; more than these are only read from a text that is as long.
const MOST: usize = 1 << 24;

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

/// Reads nested lists, of a datatype and a shape if they are said. Of a streamed shape the first axis is missing.
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
    let mut reader = Reader { document, rank, shape: Vec::new(), leaves: Vec::new(), most: MOST.max(document.len()) };
    reader.walk(id, 0)?;
    let Reader { shape: mut found, leaves, .. } = reader;
    // Lists without elements do not show how long lists in them would be.
    if let Some((false, due)) = shape
        && leaves.is_empty()
        && due.starts_with(&found)
    {
        found = due.to_vec();
    }
    if let Some((streamed, due)) = shape
        && found.get(usize::from(streamed)..) != Some(due)
    {
        let (found, due) = (tuple(&found), tuple(due));
        return Err(Error::metadata(format!("data of shape {found} where the shape is said to be {due}")));
    }
    if product(&found) != Some(leaves.len() as u64) {
        return Err(Error::metadata("the lists are not of one length"));
    }
    let inferred;
    let datatype = if let Some(datatype) = datatype {
        datatype
    } else {
        inferred = infer(document, &leaves)?;
        &inferred
    };
    let mut bytes = Vec::with_capacity(leaves.len().saturating_mul(datatype.size()).min(1 << 28));
    let mut nulls = Vec::with_capacity(leaves.len());
    for leaf in &leaves {
        nulls.push(write(document, *leaf, datatype, &mut bytes)?);
    }
    let nulls = nulls.contains(&true).then(|| nulls.into());
    Ok(Inline { datatype: datatype.clone(), shape: found, bytes: bytes.into(), nulls })
}

/// Takes nested lists apart.
struct Reader<'a> {
    document: &'a Document,
    /// At which depth the elements are; `None`: where there are no more lists.
    rank: Option<usize>,
    shape: Vec<u64>,
    leaves: Vec<NodeId>,
    most: usize,
}

impl Reader<'_> {
    fn walk(&mut self, id: NodeId, depth: usize) -> Result<()> {
        let items = match self.document.items(id) {
            Some(items) if self.rank.is_none_or(|rank| depth < rank) => items,
            None if self.rank.is_none_or(|rank| depth == rank) && self.shape.len() <= depth => return self.leaf(id),
            Some(_) if self.rank == Some(depth) => return self.leaf(id),
            _ => return Err(Error::metadata("the lists are not of one depth")),
        };
        if depth >= MAX_AXES {
            return Err(Error::metadata(format!("lists are nested more than {MAX_AXES} deep")));
        }
        let length = items.len() as u64;
        match self.shape.get(depth) {
            None if self.leaves.is_empty() => self.shape.push(length),
            Some(known) if *known == length => {}
            _ => return Err(Error::metadata("the lists are not of one length")),
        }
        items.iter().try_for_each(|item| self.walk(*item, depth + 1))
    }

    fn leaf(&mut self, id: NodeId) -> Result<()> {
        if self.leaves.len() >= self.most {
            return Err(Error::metadata(format!("more than {} elements in the tree", self.most)));
        }
        self.leaves.push(id);
        Ok(())
    }
}

/// How many lists are around a record: it is written as a list itself.
fn record_depth(document: &Document, id: NodeId, record: &Datatype) -> Result<usize> {
    let mut node = id;
    for depth in 0..MAX_AXES {
        if write(document, node, record, &mut Vec::new()).is_ok() {
            return Ok(depth);
        }
        match document.items(node).and_then(<[NodeId]>::first) {
            Some(first) => node = *first,
            None => break,
        }
    }
    Err(Error::metadata("the data are no records of the datatype"))
}

fn value(document: &Document, id: NodeId) -> Result<Value<'_>> {
    let not = |what: &str| Error::metadata(format!("{what} is not an element"));
    if document.tag(id).is_some_and(|tag| tag.ends_with("/complex-1.0.0")) {
        let text = document.text(id).unwrap_or_default();
        let (re, im) = parse_complex(text).ok_or_else(|| Error::metadata("an element is not a complex number"))?;
        return Ok(Value::Complex(re, im));
    }
    match document.scalar(id)? {
        Scalar::Null => Ok(Value::Null),
        Scalar::Bool(value) => Ok(Value::Bool(value)),
        Scalar::Int(value) => Ok(Value::Int(value.into())),
        Scalar::BigInt(digits) => digits.parse().map(Value::Int).map_err(|_| not("an integer of more than 64 bits")),
        Scalar::Float(value) => Ok(Value::Float(value)),
        Scalar::Str(text) | Scalar::Timestamp(text) => Ok(Value::Text(text)),
        Scalar::Binary(_) => Err(not("binary data")),
    }
}

fn infer(document: &Document, leaves: &[NodeId]) -> Result<Datatype> {
    let mut width = 1;
    let mut rank = 0;
    for leaf in leaves {
        let (value, this) = match value(document, *leaf)? {
            Value::Null => continue,
            Value::Bool(_) => (None, 1),
            Value::Int(value) if i64::try_from(value).is_ok() => (None, 2),
            Value::Int(_) => (None, 3),
            Value::Float(_) => (None, 4),
            Value::Complex(..) => (None, 5),
            Value::Text(text) => (Some(text), 6),
        };
        rank = rank.max(this);
        width = width.max(value.map_or(0, |text| text.chars().count()));
    }
    let name = match rank {
        1 => "bool",
        2 => "int64",
        3 => "uint64",
        0 | 4 => "float64",
        5 => "complex128",
        _ => return Ok(Datatype::Ucs4(width, Endian::NATIVE)),
    };
    Ok(Datatype::Scalar(DataType::from_name(name)?, Endian::NATIVE))
}

/// Appends the bytes of an element; whether it is null.
fn write(document: &Document, id: NodeId, datatype: &Datatype, bytes: &mut Vec<u8>) -> Result<bool> {
    let data_type = match datatype {
        Datatype::Record(fields) => {
            if matches!(document.scalar(id), Ok(Scalar::Null)) {
                bytes.resize(bytes.len() + datatype.size(), 0);
                return Ok(true);
            }
            let items = document.items(id).filter(|items| items.len() == fields.len());
            let items =
                items.ok_or_else(|| Error::metadata("a record does not have as many fields as its datatype"))?;
            for (item, field) in items.iter().zip(fields) {
                write_field(document, *item, &field.datatype, &field.shape, bytes)?;
            }
            return Ok(false);
        }
        Datatype::Ascii(length) | Datatype::Ucs4(length, _) => {
            return write_text(document, id, *length, datatype, bytes);
        }
        Datatype::Scalar(data_type, _) => data_type,
    };
    let value = value(document, id)?;
    if matches!(value, Value::Null) {
        bytes.resize(bytes.len() + data_type.size(), 0);
        return Ok(true);
    }
    let refused = || Error::metadata(format!("an element of the data is not {data_type}"));
    let start = bytes.len();
    match (data_type.kind(), &value) {
        (NumberKind::Bool, Value::Bool(value)) => bytes.push(u8::from(*value)),
        (NumberKind::Bool, Value::Int(value)) => bytes.push(u8::from(*value != 0)),
        (NumberKind::Int | NumberKind::UInt, Value::Int(_) | Value::Bool(_)) => {
            let value = match value {
                Value::Int(value) => value,
                Value::Bool(value) => value.into(),
                _ => return Err(refused()),
            };
            let bits = data_type.size() as u32 * 8;
            let signed = data_type.kind() == NumberKind::Int;
            let (low, high) = if signed { (-(1i128 << (bits - 1)), 1 << (bits - 1)) } else { (0, 1i128 << bits) };
            if !(low..high).contains(&value) {
                return Err(Error::metadata(format!("{value} is not {data_type}")));
            }
            append_int(value, data_type.size(), bytes);
        }
        (NumberKind::Float, value) => append_float(real(value).ok_or_else(refused)?, data_type.size(), bytes),
        (NumberKind::Complex, value) => {
            let (re, im) = match value {
                Value::Complex(re, im) => (*re, *im),
                Value::Text(text) => parse_complex(text).ok_or_else(refused)?,
                other => (real(other).ok_or_else(refused)?, 0.0),
            };
            append_float(re, data_type.size() / 2, bytes);
            append_float(im, data_type.size() / 2, bytes);
        }
        _ => return Err(refused()),
    }
    // A field of a record has a byte order of its own.
    if datatype.endian() != Endian::NATIVE {
        crate::view::swap_words(&mut bytes[start..], data_type.word());
    }
    Ok(false)
}

fn real(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(u8::from(*value).into()),
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

fn append_int(value: i128, size: usize, bytes: &mut Vec<u8>) {
    match size {
        1 => bytes.extend((value as i8).to_ne_bytes()),
        2 => bytes.extend((value as i16).to_ne_bytes()),
        4 => bytes.extend((value as i32).to_ne_bytes()),
        _ => bytes.extend((value as i64).to_ne_bytes()),
    }
}

fn append_float(value: f64, size: usize, bytes: &mut Vec<u8>) {
    match size {
        2 => bytes.extend(half::f16::from_f64(value).to_ne_bytes()),
        4 => bytes.extend((value as f32).to_ne_bytes()),
        _ => bytes.extend(value.to_ne_bytes()),
    }
}

fn write_text(
    document: &Document,
    id: NodeId,
    length: usize,
    datatype: &Datatype,
    bytes: &mut Vec<u8>,
) -> Result<bool> {
    let start = bytes.len();
    let null = matches!(document.scalar(id)?, Scalar::Null);
    let text = if null { "" } else { document.text(id).unwrap_or_default() };
    match datatype {
        Datatype::Ucs4(_, endian) => {
            let code =
                |c: char| if *endian == Endian::Little { (c as u32).to_le_bytes() } else { (c as u32).to_be_bytes() };
            bytes.extend(text.chars().take(length).flat_map(code));
        }
        _ if text.is_ascii() => bytes.extend(text.bytes().take(length)),
        _ => return Err(Error::metadata("a text of the data is not ASCII")),
    }
    bytes.resize(start + datatype.size(), 0);
    Ok(null)
}

fn write_field(document: &Document, id: NodeId, datatype: &Datatype, shape: &[u64], bytes: &mut Vec<u8>) -> Result<()> {
    let Some((length, rest)) = shape.split_first() else {
        return write(document, id, datatype, bytes).map(drop);
    };
    let items = document.items(id).filter(|items| items.len() as u64 == *length);
    let items = items.ok_or_else(|| Error::metadata("a field does not have the shape that its datatype says"))?;
    items.iter().try_for_each(|item| write_field(document, *item, datatype, rest, bytes))
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
    fn what_the_values_need() {
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
    fn what_does_not_fit_is_refused() {
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
