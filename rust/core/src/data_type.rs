//! Data types of elements: a table with their names in Zarr V3, Zarr V2 and NumPy.
//!
//! In memory every element has a fixed size. An element of variable length, such as a string, is a
//! [`Slot`](crate::Slot) that points to its bytes, so that planning, sharding and copying treat all elements alike.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The meaning of the bytes of an element, which determines how its fill value is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// A signed integer.
    Int,
    /// An unsigned integer.
    UInt,
    /// A binary floating-point number: IEEE 754, or a small format for machine learning.
    Float,
    /// Two floating-point numbers, real part first.
    Complex,
    /// Uninterpreted bytes (`r8`, `r16`, ...).
    Raw,
    /// Bytes; trailing zeros are padding.
    FixedBytes,
    /// Unicode code points of four bytes each; trailing zeros are padding.
    FixedText,
    /// Units of time since 1970, like NumPy's `datetime64`.
    DateTime,
    /// Units of time, like NumPy's `timedelta64`.
    TimeDelta,
    /// Named fields.
    Struct,
    /// UTF-8 text of variable length.
    String,
    /// Bytes of variable length.
    Bytes,
    /// A list of variable length, with items of one data type.
    List,
    /// Any JSON value.
    Object,
}

/// A data type. Elements in memory are native-endian, except swapped fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DataType {
    name: String,
    kind: Kind,
    size: usize,
    detail: Detail,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Detail {
    None,
    Time(&'static str, u32),
    Fields(Arc<[Field]>),
    Items(Arc<Field>),
}

/// A field of a [`Kind::Struct`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// The name.
    pub name: String,
    /// Offset from the start of the element, in bytes.
    pub offset: usize,
    /// The data type of the field's elements.
    pub data_type: DataType,
    /// Whether its words in memory have the opposite byte order of this machine.
    pub swapped: bool,
    /// The shape of the field; empty for a single element.
    pub shape: Vec<usize>,
}

impl Field {
    /// Returns the size of the field in bytes.
    pub fn size(&self) -> usize {
        self.shape.iter().fold(self.data_type.size(), |size, length| size.saturating_mul(*length))
    }
}

/// V3 name, V2 code and NumPy code (without byte order), kind, size in bytes, number of significant bits.
///
/// Types that NumPy lacks have the same name everywhere; the package `ml_dtypes` adds them to NumPy.
const TABLE: &[(&str, &str, Kind, usize, u8)] = &[
    ("bool", "b1", Kind::Bool, 1, 1),
    ("int8", "i1", Kind::Int, 1, 8),
    ("int16", "i2", Kind::Int, 2, 16),
    ("int32", "i4", Kind::Int, 4, 32),
    ("int64", "i8", Kind::Int, 8, 64),
    ("uint8", "u1", Kind::UInt, 1, 8),
    ("uint16", "u2", Kind::UInt, 2, 16),
    ("uint32", "u4", Kind::UInt, 4, 32),
    ("uint64", "u8", Kind::UInt, 8, 64),
    ("float16", "f2", Kind::Float, 2, 16),
    ("float32", "f4", Kind::Float, 4, 32),
    ("float64", "f8", Kind::Float, 8, 64),
    ("complex64", "c8", Kind::Complex, 8, 64),
    ("complex128", "c16", Kind::Complex, 16, 128),
    ("int2", "int2", Kind::Int, 1, 2),
    ("int4", "int4", Kind::Int, 1, 4),
    ("uint2", "uint2", Kind::UInt, 1, 2),
    ("uint4", "uint4", Kind::UInt, 1, 4),
    ("bfloat16", "bfloat16", Kind::Float, 2, 16),
    ("float8_e3m4", "float8_e3m4", Kind::Float, 1, 8),
    ("float8_e4m3", "float8_e4m3", Kind::Float, 1, 8),
    ("float8_e4m3b11fnuz", "float8_e4m3b11fnuz", Kind::Float, 1, 8),
    ("float8_e4m3fn", "float8_e4m3fn", Kind::Float, 1, 8),
    ("float8_e4m3fnuz", "float8_e4m3fnuz", Kind::Float, 1, 8),
    ("float8_e5m2", "float8_e5m2", Kind::Float, 1, 8),
    ("float8_e5m2fnuz", "float8_e5m2fnuz", Kind::Float, 1, 8),
    ("float8_e8m0fnu", "float8_e8m0fnu", Kind::Float, 1, 8),
    ("float6_e2m3fn", "float6_e2m3fn", Kind::Float, 1, 6),
    ("float6_e3m2fn", "float6_e3m2fn", Kind::Float, 1, 6),
    ("float4_e2m1fn", "float4_e2m1fn", Kind::Float, 1, 4),
];

/// Units of time, as NumPy spells them; `generic` is no unit.
const UNITS: &[&str] = &["generic", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"];

/// Maximum fixed item size in bytes.
const LARGEST: usize = 1 << 17;

impl DataType {
    /// Returns all data types of numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self::from_row)
    }

    fn from_row(row: &(&str, &str, Kind, usize, u8)) -> Self {
        Self::plain(row.0, row.2, row.3)
    }

    fn plain(name: impl Into<String>, kind: Kind, size: usize) -> Self {
        Self { name: name.into(), kind, size, detail: Detail::None }
    }

    fn variable(name: &str, kind: Kind) -> Self {
        Self::plain(name, kind, crate::slot::Slot::SIZE)
    }

    /// Returns a data type by its name in Zarr V3, without configuration (`"float32"`, `"r24"`, `"string"`).
    pub fn from_name(name: &str) -> Result<Self> {
        if let Some(row) = TABLE.iter().find(|row| row.0 == name) {
            return Ok(Self::from_row(row));
        }
        match name {
            "string" => return Ok(Self::variable(name, Kind::String)),
            "bytes" | "variable_length_bytes" => return Ok(Self::variable("variable_length_bytes", Kind::Bytes)),
            _ => {}
        }
        // The comparison excludes other spellings of the number ("r08", "r+8").
        if let Some(bits) = name.strip_prefix('r').and_then(|bits| bits.parse::<usize>().ok())
            && bits.is_multiple_of(8)
            && name == format!("r{bits}")
        {
            return Self::raw(bits / 8);
        }
        let names: Vec<_> = TABLE.iter().map(|row| row.0).collect();
        Err(Error::unsupported(format!(
            "unknown data type {name:?}; known are {}, string, variable_length_bytes, r8, r16, ..., fixed_length_utf32, \
             null_terminated_bytes, numpy.datetime64, numpy.timedelta64 and struct",
            names.join(", ")
        )))
    }

    /// Returns a data type by its code in Zarr V2 and NumPy, without byte order (`"f4"`, `"U7"`, `"M8[ns]"`).
    pub fn from_code(code: &str) -> Result<Self> {
        if let Some(row) = TABLE.iter().find(|row| row.1 == code) {
            return Ok(Self::from_row(row));
        }
        let sized = |prefix| {
            let bytes = code.strip_prefix(prefix)?.parse::<usize>().ok()?;
            (code == format!("{prefix}{bytes}")).then_some(bytes)
        };
        if let Some(bytes) = sized('V') {
            return Self::raw(bytes);
        } else if let Some(bytes) = sized('S') {
            return Self::fixed_bytes(bytes);
        } else if let Some(length) = sized('U') {
            return Self::fixed_text(length);
        }
        let time = code.strip_prefix("M8").map(|unit| (Kind::DateTime, unit));
        if let Some((kind, unit)) = time.or_else(|| code.strip_prefix("m8").map(|unit| (Kind::TimeDelta, unit))) {
            let bracketed = unit.strip_prefix('[').and_then(|unit| unit.strip_suffix(']'));
            let unit = if unit.is_empty() { "generic" } else { bracketed.unwrap_or("?") };
            let digits = unit.len() - unit.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let scale = if digits == 0 { Some(1) } else { unit[..digits].parse().ok() };
            if let Some(scale) = scale {
                return Self::time(kind, &unit[digits..], scale);
            }
        }
        let codes: Vec<_> = TABLE.iter().map(|row| row.1).collect();
        Err(Error::unsupported(format!(
            "unknown data type {code:?}; known are {}, V1, V2, ..., S1, ..., U1, ..., M8[ns] and m8[ns]",
            codes.join(", ")
        )))
    }

    /// Returns the type of uninterpreted bytes.
    pub fn raw(bytes: usize) -> Result<Self> {
        Ok(Self::plain(format!("r{}", check_size(bytes)? * 8), Kind::Raw, bytes))
    }

    /// Returns the type of uninterpreted bytes for elements that are larger than those of stored arrays can be.
    pub(crate) fn raw_of_any_size(bytes: usize) -> Self {
        Self::plain(format!("r{}", bytes.saturating_mul(8)), Kind::Raw, bytes)
    }

    /// Returns the type of bytes that are padded with zeros.
    pub fn fixed_bytes(bytes: usize) -> Result<Self> {
        Ok(Self::plain("null_terminated_bytes", Kind::FixedBytes, check_size(bytes)?))
    }

    /// Returns the type of text that is padded with zeros; `length` in code points.
    pub fn fixed_text(length: usize) -> Result<Self> {
        Ok(Self::plain("fixed_length_utf32", Kind::FixedText, check_size(length.saturating_mul(4))?))
    }

    /// Returns a [`Kind::DateTime`] or [`Kind::TimeDelta`] that counts `scale` units (`"ns"`).
    pub fn time(kind: Kind, unit: &str, scale: u32) -> Result<Self> {
        let name = if kind == Kind::DateTime { "numpy.datetime64" } else { "numpy.timedelta64" };
        let unit = if unit == "\u{3bc}s" { "us" } else { unit };
        let Some(unit) = UNITS.iter().find(|known| **known == unit) else {
            return Err(Error::metadata(format!("{unit:?} is not a unit of {name}; use one of {}", UNITS.join(", "))));
        };
        if scale == 0 || scale > i32::MAX.cast_unsigned() {
            return Err(Error::metadata(format!("{scale} is not a valid scale of {name}")));
        }
        Ok(Self { detail: Detail::Time(unit, scale), ..Self::plain(name, kind, 8) })
    }

    /// Returns a type of named fields of fixed size, all inside an element of `size` bytes.
    pub fn structure(fields: Vec<Field>, size: usize) -> Result<Self> {
        if fields.is_empty() {
            return Err(Error::metadata("a struct has no fields"));
        }
        let mut names = HashSet::new();
        for field in &fields {
            if field.data_type.is_variable() {
                return Err(Error::unsupported(format!("field {:?} of a struct has variable length", field.name)));
            }
            if field.offset.checked_add(field.size()).is_none_or(|end| end > size) {
                return Err(Error::metadata(format!("field {:?} ends after its struct of {size} bytes", field.name)));
            }
            if !names.insert(&field.name) {
                return Err(Error::metadata(format!("two fields are named {:?}", field.name)));
            }
        }
        let size = check_size(size)?;
        Ok(Self { detail: Detail::Fields(fields.into()), ..Self::plain("struct", Kind::Struct, size) })
    }

    /// Returns a type of lists. `swapped`: the items have the opposite byte order of this machine.
    pub fn list(item: Self, swapped: bool) -> Result<Self> {
        if item.is_variable() {
            return Err(Error::unsupported(format!("lists of {item} are not supported")));
        }
        let item = Field { name: String::new(), offset: 0, data_type: item, swapped, shape: Vec::new() };
        Ok(Self { detail: Detail::Items(item.into()), ..Self::variable("list", Kind::List) })
    }

    /// Returns the type of JSON values.
    pub fn object() -> Self {
        Self::variable("object", Kind::Object)
    }

    /// Returns the name in Zarr V3.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the code of Zarr V2 and NumPy, without byte order. For a struct, the code of its bytes.
    pub fn code(&self) -> String {
        match (self.kind, &self.detail) {
            (Kind::FixedBytes, _) => format!("S{}", self.size),
            (Kind::FixedText, _) => format!("U{}", self.size / 4),
            (Kind::DateTime, Detail::Time("generic", _)) => "M8".to_owned(),
            (Kind::TimeDelta, Detail::Time("generic", _)) => "m8".to_owned(),
            (Kind::DateTime, Detail::Time(unit, 1)) => format!("M8[{unit}]"),
            (Kind::TimeDelta, Detail::Time(unit, 1)) => format!("m8[{unit}]"),
            (Kind::DateTime, Detail::Time(unit, scale)) => format!("M8[{scale}{unit}]"),
            (Kind::TimeDelta, Detail::Time(unit, scale)) => format!("m8[{scale}{unit}]"),
            _ if self.is_variable() => "O".to_owned(),
            _ => match TABLE.iter().find(|row| row.0 == self.name) {
                Some(row) => row.1.to_owned(),
                None => format!("V{}", self.size),
            },
        }
    }

    /// Returns the kind of the data type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the item size in memory, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the number of significant bits of an element, which is smaller than its size for bool and for numbers
    /// below a byte.
    pub fn bits(&self) -> usize {
        TABLE.iter().find(|row| row.0 == self.name).map_or(self.size * 8, |row| row.4.into())
    }

    /// Whether NumPy needs the package `ml_dtypes` for the type.
    pub fn is_extended(&self) -> bool {
        TABLE.iter().any(|row| row.0 == self.name && row.1 == row.0)
    }

    /// Whether elements have variable length.
    pub fn is_variable(&self) -> bool {
        matches!(self.kind, Kind::String | Kind::Bytes | Kind::List | Kind::Object)
    }

    /// Returns the unit and scale of a time.
    pub fn unit(&self) -> Option<(&'static str, u32)> {
        match &self.detail {
            Detail::Time(unit, scale) => Some((unit, *scale)),
            _ => None,
        }
    }

    /// Returns the fields of a struct.
    pub fn fields(&self) -> &[Field] {
        match &self.detail {
            Detail::Fields(fields) => fields,
            _ => &[],
        }
    }

    /// Returns the items of a list; their name, offset and shape have no meaning.
    pub fn item(&self) -> Option<&Field> {
        match &self.detail {
            Detail::Items(item) => Some(item),
            _ => None,
        }
    }

    /// Returns the size in bytes of the words that have a byte order; 1 if there are none, or only in fields.
    pub fn word(&self) -> usize {
        match self.kind {
            Kind::Complex => self.size / 2,
            Kind::FixedText => 4,
            Kind::Int | Kind::UInt | Kind::Float | Kind::DateTime | Kind::TimeDelta => self.size,
            _ => 1,
        }
    }

    /// Returns the words of an element that have a byte order: offset, word size, number of words. Includes swapped
    /// fields.
    pub fn words(&self) -> Vec<(usize, usize, usize)> {
        let mut words = Vec::new();
        self.add_words(0, 1, &mut words);
        words
    }

    fn add_words(&self, offset: usize, count: usize, words: &mut Vec<(usize, usize, usize)>) {
        if self.kind == Kind::Struct {
            for element in 0..count {
                for field in self.fields() {
                    let offset = offset + element * self.size + field.offset;
                    field.data_type.add_words(offset, field.shape.iter().product(), words);
                }
            }
        } else if self.word() > 1 {
            words.push((offset, self.word(), count * self.size / self.word()));
        }
    }
}

fn check_size(bytes: usize) -> Result<usize> {
    match bytes {
        1..=LARGEST => Ok(bytes),
        _ => Err(Error::unsupported(format!("elements of {bytes} bytes are not supported; use 1 to {LARGEST} bytes"))),
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (self.kind, &self.detail) {
            (_, Detail::Time(unit, 1)) => write!(f, "[{unit}]"),
            (_, Detail::Time(unit, scale)) => write!(f, "[{scale}{unit}]"),
            (_, Detail::Items(item)) => write!(f, " of {}", item.data_type),
            (_, Detail::Fields(fields)) => {
                for (k, field) in fields.iter().enumerate() {
                    write!(f, "{}{}: {}", if k == 0 { " {" } else { ", " }, field.name, field.data_type)?;
                }
                f.write_str("}")
            }
            (Kind::FixedText, _) => write!(f, " of {}", self.size / 4),
            (Kind::FixedBytes, _) => write!(f, " of {}", self.size),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_of_one_type() {
        for data_type in
            DataType::all().chain([DataType::from_name("r8").unwrap(), DataType::from_name("r1000").unwrap()])
        {
            assert_eq!(DataType::from_name(data_type.name()).unwrap(), data_type);
            assert_eq!(DataType::from_code(&data_type.code()).unwrap(), data_type);
        }
        for code in ["S1", "S131072", "U7", "M8[ns]", "m8[25us]", "M8", "m8[generic]", "M8[Y]", "V3"] {
            let data_type = DataType::from_code(code).unwrap();
            assert_eq!(DataType::from_code(&data_type.code()).unwrap(), data_type, "{code}");
        }
        for name in ["r0", "r7", "r08", "r+8", "r", "r99999999999999999999", "r1048584", "Int8", "", "V4", "list"] {
            assert!(DataType::from_name(name).is_err(), "{name}");
        }
        for code in ["V0", "V01", "V+1", "V131073", "i3", "", "int8", "S0", "U0", "U32769", "U01", "M8[", "M8[]"] {
            assert!(DataType::from_code(code).is_err(), "{code}");
        }
        for code in ["M8[xs]", "M8[0s]", "M8[99999999999s]", "m8ns", "M8[s]x", "O"] {
            assert!(DataType::from_code(code).is_err(), "{code}");
        }
    }

    #[test]
    fn fields_lie_in_their_struct() {
        let field = |name: &str, offset, code: &str| Field {
            name: name.into(),
            offset,
            data_type: DataType::from_code(code).unwrap(),
            swapped: false,
            shape: vec![2],
        };
        let inner = DataType::structure(vec![field("p", 1, "i2"), field("q", 5, "c8")], 21).unwrap();
        assert_eq!(inner.words(), [(1, 2, 2), (5, 4, 4)]);
        let nested = Field { data_type: inner, offset: 1, ..field("n", 0, "u1") };
        let outer = DataType::structure(vec![field("z", 43, "f8"), nested.clone()], 59).unwrap();
        assert_eq!(outer.words(), [(43, 8, 2), (2, 2, 2), (6, 4, 4), (23, 2, 2), (27, 4, 4)]);
        assert_eq!(outer.to_string(), "struct {z: float64, n: struct {p: int16, q: complex64}}");
        assert!(DataType::structure(vec![field("z", 44, "f8"), nested.clone()], 59).is_err());
        assert!(DataType::structure(vec![nested.clone(), nested], 100).is_err());
        assert!(DataType::structure(vec![], 4).is_err());
        let string = Field { data_type: DataType::from_name("string").unwrap(), ..field("s", 0, "u1") };
        assert!(DataType::structure(vec![string], 64).is_err());
    }
}
