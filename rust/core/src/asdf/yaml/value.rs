//! Conversion between parts of a tree and plain values, for serde.
//!
//! Tags are dropped and shared nodes are copied. Since a file of a few hundred bytes can alias one string a billion times,
//! the size of a value is limited. Mappings are interpreted by [`Document::entries`].

use serde::de::DeserializeOwned;

use super::document::{Document, Kind, NodeId};
use super::entries::Entries;
use super::scalar::Scalar;
use crate::base64;
use crate::error::{Error, Place, Result};

/// What remains of the limits of a value.
struct Budget {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Budget {
    const METADATA: Self = Self { nodes: 1 << 20, bytes: 64 << 20, depth: 128 };

    /// Accounts for a node, which is open until the depth is increased again.
    fn enter(&mut self, document: &Document, id: NodeId) -> Result<()> {
        spend(&mut self.nodes, 1)?;
        spend(&mut self.bytes, document.text(id).map_or(0, str::len))?;
        spend(&mut self.depth, 1)
    }

    /// Returns the entries of a mapping, and accounts for merging.
    fn entries<'a>(&mut self, document: &'a Document, id: NodeId) -> Result<Entries<'a>> {
        let (entries, cost) = document.entries_with_cost(id)?;
        spend(&mut self.nodes, cost)?;
        Ok(entries)
    }
}

fn spend(left: &mut usize, cost: usize) -> Result<()> {
    let exceeded = || Error::metadata("this part of the tree is too large for plain metadata, or contains itself");
    *left = left.checked_sub(cost).ok_or_else(exceeded)?;
    Ok(())
}

/// Converts a part of the tree to a value of `serde_yaml`.
pub fn to_value(document: &Document, id: NodeId) -> Result<serde_yaml::Value> {
    yaml(document, id, &mut { Budget::METADATA })
}

fn yaml(document: &Document, id: NodeId, budget: &mut Budget) -> Result<serde_yaml::Value> {
    use serde_yaml::Value;
    budget.enter(document, id)?;
    let value = match &document[id].kind {
        Kind::Sequence { items, .. } => {
            let items = items.iter().map(|item| yaml(document, *item, budget));
            Value::Sequence(items.collect::<Result<_>>()?)
        }
        Kind::Mapping { .. } => {
            let mut mapping = serde_yaml::Mapping::new();
            for (key, value) in budget.entries(document, id)?.iter() {
                let key = yaml(document, *key, budget)?;
                mapping.insert(key, yaml(document, *value, budget)?);
            }
            Value::Mapping(mapping)
        }
        Kind::Scalar { .. } => match document.scalar(id)? {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::Number(value.into()),
            Scalar::BigInt(digits) => Value::Number(unsigned(&digits)?.into()),
            Scalar::Float(value) => Value::Number(value.into()),
            Scalar::Str(text) | Scalar::Timestamp(text) => Value::String(text.to_owned()),
            Scalar::Binary(bytes) => Value::String(base64::encode(&bytes)),
        },
    };
    budget.depth += 1;
    Ok(value)
}

/// Converts a part of the tree to JSON. Keys become strings, and the numbers that JSON lacks become Zarr's strings `NaN`,
/// `Infinity` and `-Infinity`.
pub fn to_json(document: &Document, id: NodeId) -> Result<serde_json::Value> {
    json(document, id, &mut { Budget::METADATA })
}

fn json(document: &Document, id: NodeId, budget: &mut Budget) -> Result<serde_json::Value> {
    use serde_json::Value;
    budget.enter(document, id)?;
    let value = match &document[id].kind {
        Kind::Sequence { items, .. } => {
            let items = items.iter().map(|item| json(document, *item, budget));
            Value::Array(items.collect::<Result<_>>()?)
        }
        Kind::Mapping { .. } => {
            let mut object = serde_json::Map::new();
            for (key, value) in budget.entries(document, id)?.iter() {
                budget.enter(document, *key)?;
                budget.depth += 1;
                let key = match document.scalar(*key).place(|| "a key")? {
                    Scalar::Null => "null".to_owned(),
                    Scalar::Bool(value) => value.to_string(),
                    Scalar::Int(value) => value.to_string(),
                    Scalar::Binary(bytes) => base64::encode(&bytes),
                    Scalar::BigInt(text) => text,
                    Scalar::Str(text) | Scalar::Timestamp(text) => text.to_owned(),
                    Scalar::Float(value) => value.to_string(),
                };
                object.insert(key, json(document, *value, budget)?);
            }
            Value::Object(object)
        }
        Kind::Scalar { .. } => match document.scalar(id)? {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => value.into(),
            Scalar::BigInt(digits) => unsigned(&digits)?.into(),
            Scalar::Float(value) if value.is_nan() => "NaN".into(),
            Scalar::Float(value) if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
            Scalar::Float(value) => value.into(),
            Scalar::Str(text) | Scalar::Timestamp(text) => text.into(),
            Scalar::Binary(bytes) => base64::encode(&bytes).into(),
        },
    };
    budget.depth += 1;
    Ok(value)
}

fn unsigned(digits: &str) -> Result<u64> {
    let start: String = digits.chars().take(40).collect();
    digits.parse().map_err(|_| Error::metadata(format!("the integer {start} does not fit in 64 bits")))
}

impl Document {
    /// Deserializes a part of the tree.
    pub fn deserialize<T: DeserializeOwned>(&self, id: NodeId) -> Result<T> {
        serde_yaml::from_value(to_value(self, id)?).map_err(|error| Error::metadata(error.to_string()))
    }

    /// Adds a JSON value.
    pub fn add_json(&mut self, value: &serde_json::Value) -> NodeId {
        use serde_json::Value;
        match value {
            Value::Null => self.add_null(),
            Value::Bool(value) => self.add_bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), _, _) => self.add_int(value),
                (_, Some(value), _) => self.add_int(value),
                (_, _, value) => self.add_float(value.unwrap_or(f64::NAN)),
            },
            Value::String(text) => self.add_str(text),
            Value::Array(items) => {
                let items = items.iter().map(|item| self.add_json(item)).collect();
                self.add_sequence(items)
            }
            Value::Object(entries) => {
                let pairs = entries.iter().map(|(key, value)| (self.add_str(key), self.add_json(value))).collect();
                self.add_mapping(pairs)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zarr_metadata_become_json() {
        let text = ".zarray: {chunks: [2, 3], compressor: null, dtype: <f8, fill_value: .nan, low: -.inf, order: C, \
                    shape: [7, 9], zarr_format: 2, wide: 18446744073709551615, octal: 010, 1: yes}";
        let document = Document::parse(text.as_bytes()).unwrap();
        let id = document.find(".zarray").unwrap();
        let expected = serde_json::json!({
            "chunks": [2, 3], "compressor": null, "dtype": "<f8", "fill_value": "NaN", "low": "-Infinity",
            "order": "C", "shape": [7, 9], "zarr_format": 2, "wide": u64::MAX, "octal": 8, "1": true,
        });
        assert_eq!(to_json(&document, id).unwrap(), expected);
        let mut other = Document::new();
        let copy = other.add_json(&expected);
        assert_eq!(to_json(&other, copy).unwrap(), expected);
    }

    #[test]
    fn typed_structures() {
        #[derive(serde::Deserialize, Debug, PartialEq)]
        #[serde(untagged)]
        enum Source {
            Block(i64),
            External(String),
        }
        #[derive(serde::Deserialize, Debug)]
        struct Array {
            source: Source,
            shape: Vec<u64>,
            offset: Option<u64>,
        }
        let text = b"a: !<x> {source: 3, shape: [1_000, 0x10], offset: 8}\nb: {source: other.asdf, shape: []}";
        let document = Document::parse(text).unwrap();
        let array: Array = document.deserialize(document.find("a").unwrap()).unwrap();
        assert_eq!((array.source, array.shape, array.offset), (Source::Block(3), vec![1000, 16], Some(8)));
        let array: Array = document.deserialize(document.find("b").unwrap()).unwrap();
        assert_eq!((array.source, array.offset), (Source::External("other.asdf".into()), None));
        assert!(document.deserialize::<Array>(document.root()).is_err());
    }

    #[test]
    fn aliases_cannot_blow_up() {
        let mut laughs = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs = laughs + "b" + &level.to_string() + &format!(": &a{level} [{items}]\n");
        }
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 20_000].join(", "));
        for text in [laughs.as_str(), &long, "a: &a [*a]"] {
            let document = Document::parse(text.as_bytes()).unwrap();
            assert!(to_value(&document, document.root()).is_err());
            assert!(to_json(&document, document.root()).is_err());
        }
    }
}
