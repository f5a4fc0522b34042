//! The data types of elements: one row each, with its names in Zarr V3, Zarr V2 and NumPy.

use std::fmt;

use crate::error::{Error, Result};

/// How a fill value of a data type is written, and what its bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// A signed integer.
    Int,
    /// An unsigned integer.
    UInt,
    /// A binary floating-point number of IEEE 754.
    Float,
    /// Two floating-point numbers, the real part first.
    Complex,
    /// Bytes without a meaning of their own (`r8`, `r16`, ...).
    Raw,
}

/// A data type of fixed size. Elements are native-endian in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DataType {
    name: String,
    kind: Kind,
    size: usize,
}

/// V3 name, V2 code and NumPy's (both without byte order), kind, size.
const TABLE: &[(&str, &str, Kind, usize)] = &[
    ("bool", "b1", Kind::Bool, 1),
    ("int8", "i1", Kind::Int, 1),
    ("int16", "i2", Kind::Int, 2),
    ("int32", "i4", Kind::Int, 4),
    ("int64", "i8", Kind::Int, 8),
    ("uint8", "u1", Kind::UInt, 1),
    ("uint16", "u2", Kind::UInt, 2),
    ("uint32", "u4", Kind::UInt, 4),
    ("uint64", "u8", Kind::UInt, 8),
    ("float16", "f2", Kind::Float, 2),
    ("float32", "f4", Kind::Float, 4),
    ("float64", "f8", Kind::Float, 8),
    ("complex64", "c8", Kind::Complex, 8),
    ("complex128", "c16", Kind::Complex, 16),
];

impl DataType {
    /// All data types that have a name of their own.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self::from_row)
    }

    fn from_row(row: &(&str, &str, Kind, usize)) -> Self {
        Self { name: row.0.to_owned(), kind: row.2, size: row.3 }
    }

    /// By the name in Zarr V3 (`"float32"`, `"r24"`).
    pub fn from_name(name: &str) -> Result<Self> {
        if let Some(row) = TABLE.iter().find(|row| row.0 == name) {
            return Ok(Self::from_row(row));
        }
        // The name is compared so that other spellings of the number ("r08", "r+8") are not the type.
        if let Some(bits) = name.strip_prefix('r').and_then(|bits| bits.parse::<usize>().ok())
            && (8..=1 << 20).contains(&bits)
            && bits.is_multiple_of(8)
            && name == format!("r{bits}")
        {
            return Ok(Self { name: name.to_owned(), kind: Kind::Raw, size: bits / 8 });
        }
        let names: Vec<_> = TABLE.iter().map(|row| row.0).collect();
        Err(Error::unsupported(format!("unknown data type {name:?}; there are {} and r8, r16, ...", names.join(", "))))
    }

    /// By the code of Zarr V2 and NumPy without its byte order (`"f4"`).
    pub fn from_code(code: &str) -> Result<Self> {
        if let Some(row) = TABLE.iter().find(|row| row.1 == code) {
            return Ok(Self::from_row(row));
        }
        if let Some(bytes) = code.strip_prefix('V').and_then(|bytes| bytes.parse::<usize>().ok())
            && bytes <= 1 << 17
            && code == format!("V{bytes}")
        {
            return Self::from_name(&format!("r{}", bytes * 8));
        }
        let codes: Vec<_> = TABLE.iter().map(|row| row.1).collect();
        Err(Error::unsupported(format!("unknown data type {code:?}; there are {} and V1, V2, ...", codes.join(", "))))
    }

    /// The name in Zarr V3.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The code of Zarr V2 and NumPy, without a byte order.
    pub fn code(&self) -> String {
        match TABLE.iter().find(|row| row.0 == self.name) {
            Some(row) => row.1.to_owned(),
            None => format!("V{}", self.size),
        }
    }

    /// What its bytes mean.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Bytes of an element.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes of a word of an element, which byte order concerns; 1 where there is none.
    pub fn word(&self) -> usize {
        match self.kind {
            Kind::Complex => self.size / 2,
            Kind::Raw | Kind::Bool => 1,
            _ => self.size,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
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
        for name in ["r0", "r7", "r08", "r+8", "r", "r99999999999999999999", "r1048584", "Int8", "", "V4"] {
            assert!(DataType::from_name(name).is_err(), "{name}");
        }
        for code in ["V0", "V01", "V+1", "V131073", "i3", "", "int8"] {
            assert!(DataType::from_code(code).is_err(), "{code}");
        }
    }
}
