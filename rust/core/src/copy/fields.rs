//! Conversion of structs whose fields have other offsets or byte orders in the copy: Zarr V2 has gaps between fields
//! and a byte order for each field, V3 has neither.

use std::borrow::Cow;

use crate::data_type::{DataType, Field, Kind};
use crate::error::{Error, Result};

/// Returns the data type as Zarr V3 can express it: without gaps between fields, all in native byte order.
pub(super) fn packed(data_type: &DataType) -> Result<DataType> {
    if data_type.kind() != Kind::Struct {
        return Ok(data_type.clone());
    }
    let mut offset = 0;
    let mut fields = Vec::new();
    for field in data_type.fields() {
        let field = Field { offset, swapped: false, data_type: packed(&field.data_type)?, ..field.clone() };
        offset += field.size();
        fields.push(field);
    }
    DataType::structure(fields, offset)
}

/// Conversion of elements to another data type of the same fields.
#[derive(Debug, Default)]
pub(super) struct Conversion {
    /// Size of an element in bytes before and after.
    from: usize,
    to: usize,
    /// Copies of bytes; empty if elements do not change.
    moves: Vec<Move>,
}

/// A copy of bytes to another offset.
#[derive(Debug, PartialEq, Eq)]
struct Move {
    from: usize,
    to: usize,
    length: usize,
    /// Size in bytes of the words to reverse; 1 reverses nothing.
    word: usize,
}

impl Conversion {
    /// Creates a conversion from elements of type `from`, or of the `known` field that raw elements contain.
    pub(super) fn new(from: &DataType, known: Option<&Field>, to: &DataType) -> Result<Self> {
        let mut conversion = Self { from: from.size(), to: to.size(), moves: Vec::new() };
        let whole = |data_type: &DataType| Field {
            name: String::new(),
            offset: 0,
            data_type: data_type.clone(),
            swapped: false,
            shape: Vec::new(),
        };
        let from = known.filter(|known| known.size() == from.size()).cloned().unwrap_or_else(|| whole(from));
        if from != whole(to) && !conversion.add(&from, 0, &whole(to), 0) {
            return Err(Error::selection(format!("its elements are {}, not {to}", from.data_type)));
        }
        Ok(conversion)
    }

    /// Adds the moves for a field in a parent at offset `at`; returns false if the fields differ.
    fn add(&mut self, old: &Field, at: usize, new: &Field, target: usize) -> bool {
        let (at, target) = (at + old.offset, target + new.offset);
        if old.name != new.name || old.shape != new.shape {
            return false;
        }
        let (from, to) = (&old.data_type, &new.data_type);
        if from.kind() == Kind::Struct && to.kind() == Kind::Struct {
            let elements = 0..old.shape.iter().product();
            return from.fields().len() == to.fields().len()
                && elements.into_iter().all(|element| {
                    let (at, target) = (at + element * from.size(), target + element * to.size());
                    from.fields().iter().zip(to.fields()).all(|(old, new)| self.add(old, at, new, target))
                });
        }
        let word = if old.swapped == new.swapped { 1 } else { from.word() };
        self.moves.push(Move { from: at, to: target, length: old.size(), word });
        from == to
    }

    /// Returns the memory for an element in bytes.
    pub(super) fn memory(&self) -> usize {
        if self.moves.is_empty() { self.from } else { self.from + self.to }
    }

    /// Converts one or more elements.
    pub(super) fn apply<'a>(&self, elements: &'a [u8]) -> Cow<'a, [u8]> {
        if self.moves.is_empty() {
            return Cow::Borrowed(elements);
        }
        let mut converted = vec![0; elements.len() / self.from * self.to];
        for (old, new) in elements.chunks_exact(self.from).zip(converted.chunks_exact_mut(self.to)) {
            for step in &self.moves {
                let new = &mut new[step.to..][..step.length];
                new.copy_from_slice(&old[step.from..][..step.length]);
                if step.word > 1 {
                    new.chunks_exact_mut(step.word).for_each(<[u8]>::reverse);
                }
            }
        }
        Cow::Owned(converted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_type::Field;

    fn structure(fields: &[(&str, usize, &str, bool)], size: usize) -> DataType {
        let field = |(name, offset, code, swapped): &(&str, usize, &str, bool)| Field {
            name: (*name).to_owned(),
            offset: *offset,
            data_type: DataType::from_code(code).unwrap(),
            swapped: *swapped,
            shape: Vec::new(),
        };
        DataType::structure(fields.iter().map(field).collect(), size).unwrap()
    }

    #[test]
    fn fields_move_and_turn() {
        let old = structure(&[("a", 1, "u2", true), ("b", 4, "c8", true), ("c", 0, "S1", false)], 13);
        let new = structure(&[("a", 0, "u2", false), ("b", 2, "c8", false), ("c", 10, "S1", false)], 11);
        assert_eq!(packed(&old).unwrap(), new);
        let conversion = Conversion::new(&old, None, &new).unwrap();
        let element: Vec<u8> = (0..26).collect();
        let due = |k: u8| [2, 1, 7, 6, 5, 4, 11, 10, 9, 8, 0].map(|byte: u8| byte + 13 * k);
        assert_eq!(&*conversion.apply(&element), [due(0), due(1)].concat());
        assert!(conversion.apply(&[]).is_empty());
        assert_eq!(conversion.memory(), 24);
        let [float, other] = ["f4", "i4"].map(|code| DataType::from_code(code).unwrap());
        assert_eq!(&*Conversion::new(&float, None, &float).unwrap().apply(&[1, 2, 3, 4]), [1, 2, 3, 4]);
        for wrong in [&float, &structure(&[("a", 0, "u2", false)], 2), &structure(&[("x", 1, "u2", true)], 13)] {
            assert!(Conversion::new(&old, None, wrong).is_err());
        }
        assert!(Conversion::new(&float, None, &other).is_err());
        let [one, two] = ["u2", "i2"].map(|code| structure(&[("a", 0, code, false)], 2));
        assert!(Conversion::new(&one, None, &two).is_err());
        // Raw bytes of a known data type.
        let [raw, text] = ["V8", "U2"].map(|code| DataType::from_code(code).unwrap());
        let known = |swapped| Field { name: String::new(), offset: 0, data_type: text.clone(), swapped, shape: vec![] };
        let turned = Conversion::new(&raw, Some(&known(true)), &text).unwrap();
        assert_eq!(&*turned.apply(&[0, 0, 0, 65, 0, 0, 1, 2]), [65, 0, 0, 0, 2, 1, 0, 0]);
        assert_eq!(&*Conversion::new(&raw, Some(&known(false)), &text).unwrap().apply(&[1; 8]), [1; 8]);
        assert!(Conversion::new(&raw, None, &text).is_err());
    }
}
