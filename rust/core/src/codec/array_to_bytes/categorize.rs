//! `categorize`: stores text as the number of its label; 0 is empty text.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/filter/categorize.html>
//!
//! ```json
//! {"name": "numcodecs.categorize", "configuration": {"labels": ["red", "green"], "dtype": "|O", "astype": "|u1"}}
//! ```
//!
//! Elements of fixed size (`"dtype": "<U5"`) become elements of another data type, elements of variable length become
//! bytes.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::codec::{ArrayToArray, Codec, Configuration, VariableToBytes, configure};
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::slot::Slot;
use crate::subset::product;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CategorizeConfiguration {
    labels: Vec<String>,
    #[serde(rename = "dtype")]
    _dtype: serde::de::IgnoredAny,
    #[serde(default = "byte")]
    astype: String,
}

fn byte() -> String {
    "|u1".into()
}

#[derive(Debug)]
struct Categorize {
    /// The bytes of the labels as elements. Number 0 is the empty label.
    labels: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u64>,
    /// The data type of the numbers.
    encoded: DataType,
    /// Whether numbers are big-endian.
    big: bool,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let given: CategorizeConfiguration = configure(configuration)?;
    let code = given.astype.trim_start_matches(['<', '>', '|', '=']);
    let encoded = DataType::from_code(code)?;
    if !matches!(encoded.kind(), Kind::Int | Kind::UInt) || encoded.is_extended() {
        return Err(Error::unsupported(format!("astype {:?} is not an integer type of numcodecs", given.astype)));
    }
    let bits = encoded.bits() - usize::from(encoded.kind() == Kind::Int);
    let last = given.labels.len() as u64;
    if last >> (bits - 1) > 1 {
        return Err(Error::metadata(format!("{last} labels are too many for numbers of {encoded}")));
    }
    let spell = |label: &str| match data_type.kind() {
        Kind::String => Ok(label.as_bytes().to_vec()),
        Kind::FixedText => {
            let mut bytes: Vec<u8> = label.chars().flat_map(|letter| u32::from(letter).to_ne_bytes()).collect();
            if bytes.len() > data_type.size() {
                return Err(Error::metadata(format!("label {label:?} is too long for elements of {data_type}")));
            }
            bytes.resize(data_type.size(), 0);
            Ok(bytes)
        }
        _ => Err(Error::metadata(format!("cannot encode elements of {data_type}"))),
    };
    let labels =
        [""].into_iter().chain(given.labels.iter().map(String::as_str)).map(spell).collect::<Result<Vec<_>>>()?;
    // Of equal labels the last one wins, as in numcodecs.
    let numbers = labels.iter().cloned().zip(0..).collect();
    // Encoded elements are native-endian; encoded bytes follow `astype`.
    let variable = data_type.is_variable();
    let big = if variable { given.astype.starts_with('>') } else { cfg!(target_endian = "big") };
    let codec = Categorize { labels, numbers, encoded, big };
    Ok(if variable { Codec::VariableToBytes(Arc::new(codec)) } else { Codec::ArrayToArray(Arc::new(codec)) })
}

impl Categorize {
    fn label(&self, number: &[u8]) -> Result<&[u8]> {
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let number = if self.big { number.iter().fold(0, fold) } else { number.iter().rev().fold(0, fold) };
        usize::try_from(number).ok().and_then(|number| self.labels.get(number)).map(Vec::as_slice).ok_or_else(|| {
            Error::corrupt(format!("categorize: number {number}, but there are {} labels", self.labels.len() - 1))
        })
    }

    fn number(&self, label: &[u8], into: &mut [u8]) -> Result<()> {
        let Some(number) = self.numbers.get(label) else {
            return Err(Error::unsupported(format!("{:?} is not a label", String::from_utf8_lossy(label))));
        };
        if self.big {
            into.copy_from_slice(&number.to_be_bytes()[8 - into.len()..]);
        } else {
            into.copy_from_slice(&number.to_le_bytes()[..into.len()]);
        }
        Ok(())
    }
}

impl VariableToBytes for Categorize {
    fn decode(&self, encoded: &[u8], shape: &[u64]) -> Result<(Vec<Slot>, Option<Vec<u8>>)> {
        let (size, count) = (self.encoded.size(), product(shape).unwrap_or(u64::MAX));
        if count.checked_mul(size as u64) != Some(encoded.len() as u64) {
            return Err(Error::corrupt(format!("categorize: {} bytes for {count} elements", encoded.len())));
        }
        let (mut heap, mut offsets) = (Vec::new(), HashMap::new());
        let place = |number: &[u8]| {
            let label = self.label(number)?;
            Ok(*offsets.entry(label).or_insert_with(|| {
                let offset = heap.len() as u64;
                heap.extend_from_slice(label);
                Slot { heap: 0, length: label.len() as u32, offset }
            }))
        };
        let slots = encoded.chunks_exact(size).map(place).collect::<Result<_>>()?;
        Ok((slots, Some(heap)))
    }

    fn encode(&self, elements: &[&[u8]], _: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        let mut number = [0; 8];
        let number = &mut number[..self.encoded.size()];
        for element in elements {
            self.number(element, number)?;
            encoded.extend_from_slice(number);
        }
        Ok(())
    }
}

impl ArrayToArray for Categorize {
    fn encoded_type(&self) -> &DataType {
        &self.encoded
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let size = self.labels[0].len();
        for (number, into) in encoded.chunks_exact(self.encoded.size()).zip(decoded.chunks_exact_mut(size)) {
            into.copy_from_slice(self.label(number)?);
        }
        Ok(())
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        let size = self.encoded.size();
        for (label, into) in decoded.chunks_exact(self.labels[0].len()).zip(encoded.chunks_exact_mut(size)) {
            self.number(label, into)?;
        }
        Ok(())
    }
}
