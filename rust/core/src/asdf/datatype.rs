//! Datatypes of ndarray nodes: the type and byte order of the elements
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

/// Datatype of an ndarray node.
#[derive(Clone, Debug, PartialEq)]
pub enum Datatype {
    /// A number or a boolean.
    Scalar(DataType, Endian),
    /// ASCII text of a number of bytes, padded with NULs.
    Ascii(usize),
    /// Text of a number of four-byte characters, padded with NULs.
    Ucs4(usize, Endian),
    /// Fields without gaps.
    Record(Vec<Field>),
}

/// A field of a [`Datatype::Record`].
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The name, if the field has one.
    pub name: Option<String>,
    /// The type of the field, or of its elements.
    pub datatype: Datatype,
    /// The shape of the field; empty for a scalar.
    pub shape: Vec<u64>,
}

/// Nesting of records; deeper nesting is a mistake or an attack.
const MAX_DEPTH: usize = 32;

/// Size in bytes of the largest element; `NumPy` allows no larger one.
const MAX_SIZE: usize = i32::MAX as usize;

/// Number of fields of a datatype, those of nested records included; aliases let a short text name many.
const MAX_FIELDS: usize = 1 << 16;

/// Axes of an array; `NumPy` allows no more.
pub(super) const MAX_AXES: usize = 64;

/// Parses a byte order.
pub(super) fn byteorder(document: &Document, id: NodeId) -> Result<Endian> {
    match document.scalar(id) {
        Ok(Scalar::Str("little")) => Ok(Endian::Little),
        Ok(Scalar::Str("big")) => Ok(Endian::Big),
        _ => Err(Error::metadata("byteorder must be \"little\" or \"big\"")),
    }
}

/// Parses a length, which cannot be negative.
pub(super) fn length(document: &Document, id: NodeId) -> Result<u64> {
    match document.scalar(id) {
        Ok(Scalar::Int(length)) if length >= 0 => Ok(length as u64),
        _ => Err(Error::metadata("a length or offset is not a non-negative integer")),
    }
}

/// Parses a shape.
pub(super) fn lengths(document: &Document, id: NodeId) -> Result<Vec<u64>> {
    let items = document.items(id).ok_or_else(|| Error::metadata("the shape is not a list"))?;
    if items.len() > MAX_AXES {
        let axes = items.len();
        return Err(Error::metadata(format!("the shape has {axes} axes, at most {MAX_AXES} are supported")));
    }
    items.iter().map(|item| length(document, *item)).collect()
}

impl Datatype {
    /// Parses a datatype. `endian` is the byte order of elements that declare none; without it they must declare one.
    pub fn parse(document: &Document, id: NodeId, endian: Option<Endian>) -> Result<Self> {
        let datatype = Self::nested(document, id, endian, 0, &mut { MAX_FIELDS })?;
        match datatype.checked_size() {
            Some(0..=MAX_SIZE) => Ok(datatype),
            _ => Err(Error::unsupported(format!("the size of the datatype exceeds {MAX_SIZE} bytes"))),
        }
    }

    fn nested(
        document: &Document,
        id: NodeId,
        endian: Option<Endian>,
        depth: usize,
        fields_left: &mut usize,
    ) -> Result<Self> {
        if depth > MAX_DEPTH {
            return Err(Error::metadata(format!("records are nested deeper than {MAX_DEPTH}")));
        }
        let items = match &document[id].kind {
            Kind::Scalar { .. } => return Self::scalar(document, id, endian),
            Kind::Mapping { .. } => {
                return Err(Error::metadata("the datatype is a mapping; expected a name or a list"));
            }
            Kind::Sequence { items, .. } => items,
        };
        if let [name, length] = items[..]
            && let (Some(name @ ("ascii" | "ucs4")), Ok(Scalar::Int(length))) =
                (document.text(name), document.scalar(length))
        {
            let length = usize::try_from(length)
                .map_err(|_| Error::metadata(format!("the datatype is a text of {length} characters")))?;
            return match name {
                "ascii" => Ok(Self::Ascii(length)),
                _ => Ok(Self::Ucs4(length, endian.ok_or_else(missing_order)?)),
            };
        }
        if items.is_empty() {
            return Err(Error::metadata("the record has no fields"));
        }
        let too_many = || Error::unsupported(format!("the datatype has more than {MAX_FIELDS} fields"));
        *fields_left = fields_left.checked_sub(items.len()).ok_or_else(too_many)?;
        let field = |(k, id): (usize, &NodeId)| {
            Field::parse(document, *id, endian, depth, fields_left).place(|| format!("field {k}"))
        };
        items.iter().enumerate().map(field).collect::<Result<_>>().map(Self::Record)
    }

    fn scalar(document: &Document, id: NodeId, endian: Option<Endian>) -> Result<Self> {
        let name = document.text(id).unwrap_or_default();
        let Some(data_type) = scalars().find(|data_type| asdf_name(data_type) == name) else {
            let name: String = name.chars().take(40).collect();
            let names: Vec<_> = scalars().map(|data_type| asdf_name(&data_type).to_owned()).collect();
            return Err(Error::unsupported(format!(
                "unknown datatype {name:?}; known are {}, [ascii, N], [ucs4, N] and records",
                names.join(", ")
            )));
        };
        let endian = match data_type.word() {
            1 => endian.unwrap_or(Endian::Big),
            _ => endian.ok_or_else(missing_order)?,
        };
        Ok(Self::Scalar(data_type, endian))
    }

    /// Returns the size of an element in bytes.
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

    /// Returns the array's data type: that of numbers, and raw bytes for everything else.
    pub fn data_type(&self) -> Result<DataType> {
        match self {
            Self::Scalar(data_type, _) => Ok(data_type.clone()),
            other if other.size() == 0 => Err(Error::unsupported("the elements have no bytes")),
            other => Ok(DataType::raw_of_any_size(other.size())),
        }
    }

    /// Returns the byte order of a number, and the native one of everything else, so that those bytes are not swapped.
    pub fn endian(&self) -> Endian {
        match self {
            Self::Scalar(_, endian) => *endian,
            _ => Endian::NATIVE,
        }
    }

    /// Returns the `NumPy` code such as `>f4`, `|S5` or `<U3`; `None` for a record.
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

    /// Returns the datatype of a `NumPy` code.
    pub fn from_code(code: &str) -> Result<Self> {
        let unsupported = || Error::unsupported(format!("ASDF has no datatype for the NumPy code {code:?}"));
        let (endian, bare) = match code.split_at_checked(1) {
            Some((">" | "|", bare)) => (Endian::Big, bare),
            Some(("<", bare)) => (Endian::Little, bare),
            _ => return Err(unsupported()),
        };
        let number = |digits: &str| digits.parse::<usize>().map_err(|_| unsupported());
        if let Some(length) = bare.strip_prefix('S') {
            return Ok(Self::Ascii(number(length)?));
        }
        if let Some(length) = bare.strip_prefix('U') {
            return Ok(Self::Ucs4(number(length)?, endian));
        }
        let data_type = scalars().find(|data_type| data_type.code() == bare).ok_or_else(unsupported)?;
        let endian = if data_type.word() == 1 { Endian::Big } else { endian };
        Ok(Self::Scalar(data_type, endian))
    }

    /// Adds the datatype to a tree; returns the `datatype` node and the `byteorder`.
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

fn missing_order() -> Error {
    Error::metadata("byteorder is missing")
}

/// Returns the scalar types of ASDF, which are Zarr's without those that NumPy lacks.
fn scalars() -> impl Iterator<Item = DataType> {
    DataType::all().filter(|data_type| !data_type.is_extended())
}

/// Returns the name in ASDF, which differs from Zarr's for `bool` only.
fn asdf_name(data_type: &DataType) -> &str {
    match data_type.name() {
        "bool" => "bool8",
        name => name,
    }
}

impl Field {
    fn parse(
        document: &Document,
        id: NodeId,
        endian: Option<Endian>,
        depth: usize,
        fields_left: &mut usize,
    ) -> Result<Self> {
        if document.pairs(id).is_none() {
            let datatype = Datatype::nested(document, id, endian, depth + 1, fields_left)?;
            return Ok(Self { name: None, datatype, shape: Vec::new() });
        }
        let name = document.get(id, "name").and_then(|name| document.text(name)).map(str::to_owned);
        let endian = match document.get(id, "byteorder") {
            Some(order) => Some(byteorder(document, order)?),
            None => endian,
        };
        let datatype = document.get(id, "datatype").ok_or_else(|| Error::metadata("datatype is missing"))?;
        let datatype = Datatype::nested(document, datatype, endian, depth + 1, fields_left)?;
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
    use std::fmt::Write;

    use super::*;
    use crate::error::ErrorKind;

    fn parse(text: &str, endian: Option<Endian>) -> Result<Datatype> {
        let document = Document::parse(format!("d: {text}").as_bytes()).unwrap();
        Datatype::parse(&document, document.find("d").unwrap(), endian)
    }

    #[test]
    fn codes_match_numpy() {
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
    fn invalid_datatypes_are_refused() {
        for (text, kind) in [
            ("float33", ErrorKind::Unsupported),
            ("r8", ErrorKind::Unsupported),
            ("bool", ErrorKind::Unsupported),
            ("[ascii, -1]", ErrorKind::InvalidMetadata),
            ("[ascii, 2147483648]", ErrorKind::Unsupported),
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
        // Aliases that name 2^30 fields.
        let mut bomb = "a0: &a0 [int8, int8]\n".to_owned();
        for level in 1..30 {
            writeln!(bomb, "a{level}: &a{level} [*a{0}, *a{0}]", level - 1).unwrap();
        }
        let document = Document::parse(bomb.as_bytes()).unwrap();
        let error = Datatype::parse(&document, document.find("a29").unwrap(), None).unwrap_err();
        assert!(error.to_string().contains("fields"), "{error}");
    }
}
