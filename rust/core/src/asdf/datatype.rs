//! The datatype of an ndarray node: what its elements are and how they are stored
//! ([the schema](https://asdf-standard.readthedocs.io/en/latest/generated/stsci.edu/asdf/core/ndarray-1.1.0.html)).
//!
//! ```yaml
//! datatype: float32
//! datatype: [ucs4, 12]
//! datatype: [{name: x, datatype: int16, byteorder: little}, {name: rgb, datatype: uint8, shape: [3]}]
//! ```

use super::yaml::{Document, Kind, NodeId, Scalar};
use crate::codec::Endian;
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};

/// What the elements of an ndarray node are.
#[derive(Clone, Debug, PartialEq)]
pub enum Datatype {
    /// A number or a truth value.
    Scalar(DataType, Endian),
    /// So many bytes of ASCII text, filled up with NULs.
    Ascii(usize),
    /// So many characters of four bytes, filled up with NULs.
    Ucs4(usize, Endian),
    /// Fields, one after the other without gaps.
    Record(Vec<Field>),
}

/// A field of a [`Datatype::Record`].
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name; fields without one are counted.
    pub name: Option<String>,
    /// What it holds.
    pub datatype: Datatype,
    /// The shape of the array that it is; empty for one element.
    pub shape: Vec<u64>,
}

/// Records within records: deeper is a mistake or an attack.
const DEEPEST: usize = 32;

/// The largest element, as of a [`DataType`] of raw bytes.
const LARGEST: usize = 1 << 17;

/// Axes of an array; `NumPy` allows no more.
pub(super) const MAX_AXES: usize = 64;

/// Reads a byte order.
pub(super) fn byteorder(document: &Document, id: NodeId) -> Result<Endian> {
    match document.scalar(id) {
        Ok(Scalar::Str("little")) => Ok(Endian::Little),
        Ok(Scalar::Str("big")) => Ok(Endian::Big),
        _ => Err(Error::metadata("the byteorder is neither \"little\" nor \"big\"")),
    }
}

/// Reads a length that cannot be negative.
pub(super) fn length(document: &Document, id: NodeId) -> Result<u64> {
    match document.scalar(id) {
        Ok(Scalar::Int(length)) if length >= 0 => Ok(length as u64),
        _ => Err(Error::metadata("a length is not a natural number")),
    }
}

/// Reads a list of lengths.
pub(super) fn lengths(document: &Document, id: NodeId) -> Result<Vec<u64>> {
    let items = document.items(id).ok_or_else(|| Error::metadata("a shape is not a list"))?;
    items.iter().map(|item| length(document, *item)).collect()
}

impl Datatype {
    /// Reads a datatype whose byte order, where it says nothing itself, is `endian`; `None`: it has to say it.
    pub fn parse(document: &Document, id: NodeId, endian: Option<Endian>) -> Result<Self> {
        let datatype = Self::nested(document, id, endian, 0)?;
        match datatype.checked_size() {
            Some(1..=LARGEST) => Ok(datatype),
            _ => Err(Error::unsupported(format!("elements have 1 to {LARGEST} bytes, not those of this datatype"))),
        }
    }

    fn nested(document: &Document, id: NodeId, endian: Option<Endian>, depth: usize) -> Result<Self> {
        if depth > DEEPEST {
            return Err(Error::metadata(format!("the datatype has records nested more than {DEEPEST} deep")));
        }
        let items = match &document[id].kind {
            Kind::Scalar { .. } => return Self::scalar(document, id, endian),
            Kind::Mapping { .. } => return Err(Error::metadata("the datatype is a mapping outside of a record")),
            Kind::Sequence { items, .. } => items,
        };
        if let [name, length] = items[..]
            && let (Some(name @ ("ascii" | "ucs4")), Ok(Scalar::Int(length))) =
                (document.text(name), document.scalar(length))
        {
            let length = usize::try_from(length)
                .map_err(|_| Error::metadata(format!("a text of {length} characters in the datatype")))?;
            return match name {
                "ascii" => Ok(Self::Ascii(length)),
                _ => Ok(Self::Ucs4(length, endian.ok_or_else(no_order)?)),
            };
        }
        if items.is_empty() {
            return Err(Error::metadata("the datatype is a record without fields"));
        }
        let field =
            |(k, id): (usize, &NodeId)| Field::parse(document, *id, endian, depth).place(|| format!("field {k}"));
        items.iter().enumerate().map(field).collect::<Result<_>>().map(Self::Record)
    }

    fn scalar(document: &Document, id: NodeId, endian: Option<Endian>) -> Result<Self> {
        let name = document.text(id).unwrap_or_default();
        let Some(data_type) = scalars().find(|data_type| asdf_name(data_type) == name) else {
            let name: String = name.chars().take(40).collect();
            let names: Vec<_> = scalars().map(|data_type| asdf_name(&data_type).to_owned()).collect();
            return Err(Error::unsupported(format!(
                "unknown datatype {name:?}; there are {}, [ascii, N], [ucs4, N] and records",
                names.join(", ")
            )));
        };
        let endian = match data_type.word() {
            1 => endian.unwrap_or(Endian::Big),
            _ => endian.ok_or_else(no_order)?,
        };
        Ok(Self::Scalar(data_type, endian))
    }

    /// Bytes of an element.
    pub fn size(&self) -> usize {
        self.checked_size().unwrap_or(usize::MAX)
    }

    fn checked_size(&self) -> Option<usize> {
        match self {
            Self::Scalar(data_type, _) => Some(data_type.size()),
            Self::Ascii(length) => Some(*length),
            Self::Ucs4(length, _) => length.checked_mul(4),
            Self::Record(fields) => fields.iter().try_fold(0usize, |sum, field| {
                let elements = crate::subset::product(&field.shape)?;
                let size = field.datatype.checked_size()?.checked_mul(usize::try_from(elements).ok()?)?;
                sum.checked_add(size)
            }),
        }
    }

    /// What the elements are to an array: numbers are themselves, and all else is raw bytes.
    pub fn data_type(&self) -> Result<DataType> {
        match self {
            Self::Scalar(data_type, _) => Ok(data_type.clone()),
            other => DataType::from_name(&format!("r{}", other.size() * 8)),
        }
    }

    /// The byte order of a number; of all else that of this machine, which leaves the bytes as they are.
    pub fn endian(&self) -> Endian {
        match self {
            Self::Scalar(_, endian) => *endian,
            _ => Endian::NATIVE,
        }
    }

    /// The code that `NumPy` has for it (`>f4`, `|S5`, `<U3`); `None`: it is a record.
    pub fn code(&self) -> Option<String> {
        let order = |endian: &Endian| if *endian == Endian::Little { '<' } else { '>' };
        match self {
            Self::Scalar(data_type, _) if data_type.word() == 1 => Some(format!("|{}", data_type.code())),
            Self::Scalar(data_type, endian) => Some(format!("{}{}", order(endian), data_type.code())),
            Self::Ascii(length) => Some(format!("|S{length}")),
            Self::Ucs4(length, endian) => Some(format!("{}U{length}", order(endian))),
            Self::Record(_) => None,
        }
    }

    /// By the code that `NumPy` has for it.
    pub fn from_code(code: &str) -> Result<Self> {
        let refused = || Error::unsupported(format!("ASDF has no datatype for {code:?}"));
        let (endian, bare) = match code.split_at_checked(1) {
            Some((">" | "|", bare)) => (Endian::Big, bare),
            Some(("<", bare)) => (Endian::Little, bare),
            _ => return Err(refused()),
        };
        let number = |digits: &str| digits.parse::<usize>().map_err(|_| refused());
        if let Some(length) = bare.strip_prefix('S') {
            return Ok(Self::Ascii(number(length)?));
        }
        if let Some(length) = bare.strip_prefix('U') {
            return Ok(Self::Ucs4(number(length)?, endian));
        }
        let data_type = scalars().find(|data_type| data_type.code() == bare).ok_or_else(refused)?;
        let endian = if data_type.word() == 1 { Endian::Big } else { endian };
        Ok(Self::Scalar(data_type, endian))
    }

    /// Adds the datatype to a tree: what is its `datatype`, and what its `byteorder`.
    pub fn to_node(&self, document: &mut Document) -> (NodeId, &'static str) {
        let order = |endian: &Endian| if *endian == Endian::Little { "little" } else { "big" };
        let text = |document: &mut Document, name: &str, length: usize| {
            let items = vec![document.add_str(name), document.add_int(length as u64)];
            document.add_sequence(items)
        };
        match self {
            Self::Scalar(data_type, endian) => (document.add_str(asdf_name(data_type)), order(endian)),
            Self::Ascii(length) => (text(document, "ascii", *length), "big"),
            Self::Ucs4(length, endian) => (text(document, "ucs4", *length), order(endian)),
            Self::Record(fields) => {
                let fields = fields.iter().map(|field| field.to_node(document)).collect();
                (document.add_sequence(fields), "big")
            }
        }
    }
}

fn no_order() -> Error {
    Error::metadata("the byteorder is missing")
}

/// The scalar types of ASDF: those of Zarr that NumPy has of its own.
fn scalars() -> impl Iterator<Item = DataType> {
    DataType::all().filter(|data_type| !data_type.is_extended())
}

/// The name in ASDF: that of Zarr but for one.
fn asdf_name(data_type: &DataType) -> &str {
    match data_type.name() {
        "bool" => "bool8",
        name => name,
    }
}

impl Field {
    fn parse(document: &Document, id: NodeId, endian: Option<Endian>, depth: usize) -> Result<Self> {
        if document.pairs(id).is_none() {
            let datatype = Datatype::nested(document, id, endian, depth + 1)?;
            return Ok(Self { name: None, datatype, shape: Vec::new() });
        }
        let name = document.get(id, "name").and_then(|name| document.text(name)).map(str::to_owned);
        let endian = match document.get(id, "byteorder") {
            Some(order) => Some(byteorder(document, order)?),
            None => endian,
        };
        let datatype = document.get(id, "datatype").ok_or_else(|| Error::metadata("the datatype is missing"))?;
        let datatype = Datatype::nested(document, datatype, endian, depth + 1)?;
        let shape = document.get(id, "shape").map_or(Ok(Vec::new()), |shape| lengths(document, shape))?;
        Ok(Self { name, datatype, shape })
    }

    fn to_node(&self, document: &mut Document) -> NodeId {
        let (datatype, order) = self.datatype.to_node(document);
        let mut entries = Vec::new();
        if let Some(name) = &self.name {
            entries.push(("name", document.add_str(name)));
        }
        entries.push(("datatype", datatype));
        entries.push(("byteorder", document.add_str(order)));
        if !self.shape.is_empty() {
            let shape = self.shape.iter().map(|length| document.add_int(*length)).collect();
            entries.push(("shape", document.add_sequence(shape)));
        }
        document.add_map(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn parse(text: &str, endian: Option<Endian>) -> Result<Datatype> {
        let document = Document::parse(format!("d: {text}").as_bytes()).unwrap();
        Datatype::parse(&document, document.find("d").unwrap(), endian)
    }

    #[test]
    fn codes_are_those_of_numpy() {
        for (text, code, size) in [
            ("float32", ">f4", 4),
            ("bool8", "|b1", 1),
            ("complex128", ">c16", 16),
            ("float16", ">f2", 2),
            ("[ascii, 5]", "|S5", 5),
            ("[ucs4, 3]", ">U3", 12),
        ] {
            let datatype = parse(text, Some(Endian::Big)).unwrap();
            assert_eq!((datatype.code().as_deref(), datatype.size()), (Some(code), size), "{text}");
            assert_eq!(Datatype::from_code(code).unwrap(), datatype);
        }
        assert_eq!(parse("int16", Some(Endian::Little)).unwrap().code().unwrap(), "<i2");
        assert_eq!(parse("uint8", None).unwrap().code().unwrap(), "|u1");
    }

    #[test]
    fn records_are_read_and_written_back() {
        let text = "[{name: a, datatype: int8}, {datatype: [ucs4, 2], byteorder: big, shape: [3, 2]}, float64, \
                    {name: r, datatype: [{name: x, datatype: uint16, byteorder: big}]}]";
        let datatype = parse(text, Some(Endian::Little)).unwrap();
        assert_eq!(datatype.size(), 1 + 48 + 8 + 2);
        assert_eq!(datatype.data_type().unwrap().name(), "r472");
        let Datatype::Record(fields) = &datatype else { panic!("a record") };
        assert_eq!(fields[1].shape, [3, 2]);
        assert_eq!(fields[2].datatype.code().unwrap(), "<f8");
        let mut document = Document::new();
        let (id, _) = datatype.to_node(&mut document);
        assert_eq!(Datatype::parse(&document, id, None).unwrap(), datatype);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, kind) in [
            ("float33", ErrorKind::Unsupported),
            ("r8", ErrorKind::Unsupported),
            ("bool", ErrorKind::Unsupported),
            ("[ascii, -1]", ErrorKind::InvalidMetadata),
            ("[ascii, 0]", ErrorKind::Unsupported),
            ("[ucs4, 4611686018427387905]", ErrorKind::Unsupported),
            ("[]", ErrorKind::InvalidMetadata),
            ("{a: 1}", ErrorKind::InvalidMetadata),
            ("&a [*a]", ErrorKind::InvalidMetadata),
            ("[{datatype: int8, shape: [-1]}]", ErrorKind::InvalidMetadata),
            ("[{datatype: int8, shape: [9223372036854775807, 9]}]", ErrorKind::Unsupported),
            ("[{name: a}]", ErrorKind::InvalidMetadata),
        ] {
            assert_eq!(parse(text, Some(Endian::Big)).unwrap_err().kind(), kind, "{text}");
        }
        assert_eq!(parse("int16", None).unwrap_err().kind(), ErrorKind::InvalidMetadata);
    }
}
