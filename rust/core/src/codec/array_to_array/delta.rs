//! `numcodecs.delta`: stores the difference between each element and the one before.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/filter/delta.html>
//!
//! ```json
//! {"name": "numcodecs.delta", "configuration": {"dtype": "<i4", "astype": "<i2"}}
//! ```
//!
//! Elements have the type `dtype`, and differences are stored as `astype`; both default to the data type of the array.
//! Integers wrap. Sums are computed in NumPy's common type of the two.

use std::sync::Arc;

use serde::Deserialize;

use super::number::real::{Real, Wide, blocks, cast, encoded_type, named_type};
use crate::codec::{ArrayToArray, Codec, Configuration, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};
use crate::float::from_f16;

#[derive(Debug)]
struct Delta {
    decoded: Real,
    encoded: Real,
    encoded_type: DataType,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeltaConfiguration {
    dtype: Option<String>,
    astype: Option<String>,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let DeltaConfiguration { dtype, astype } = configure(configuration)?;
    let decoded_type = named_type(dtype.as_deref(), data_type)?;
    let encoded_type = encoded_type(astype.as_deref(), &decoded_type)?;
    let (decoded, encoded) = (Real::of(&decoded_type)?, Real::of(&encoded_type)?);
    // For bool, numcodecs stores bytes that it cannot decode.
    let wrong = |real: &Real| *real == Real::Bool || !real.is_numpy();
    match [decoded, encoded].iter().find(|real| wrong(real)) {
        None => Ok(Codec::ArrayToArray(Arc::new(Delta { decoded, encoded, encoded_type }))),
        Some(real) => Err(Error::unsupported(format!("cannot compute differences of {real}"))),
    }
}

impl ArrayToArray for Delta {
    fn encoded_type(&self) -> &DataType {
        &self.encoded_type
    }

    fn elementwise(&self) -> bool {
        false
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let sum = self.decoded.common(self.encoded);
        let (mut whole, mut single, mut double) = (0, -0.0, -0.0);
        blocks((self.encoded, encoded), (self.decoded, decoded), |_, from, to| {
            let differences = self.encoded.load(from);
            let sums = match (sum, differences) {
                (Real::F64, differences) => Wide::F64(running(differences.f64s(), &mut double, |a, b| a + b)),
                (Real::F32, differences) => Wide::F32(running(differences.f32s(), &mut single, |a, b| a + b)),
                (Real::Small(half), differences) => Wide::F32(running(differences.f32s(), &mut single, |a, b| {
                    from_f16(half.encode((a + b).into()) as u16)
                })),
                (_, Wide::I64(numbers)) => Wide::I64(running(numbers, &mut whole, i64::wrapping_add)),
                (_, differences) => Wide::I64(running(differences.i64s(), &mut whole, i64::wrapping_add)),
            };
            self.decoded.store(&sums, to);
            Ok(())
        })
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        let size = self.decoded.size();
        let mut differences = Vec::new();
        blocks((self.decoded, decoded), (self.encoded, encoded), |first, from, to| {
            // Begin with the element before the block, if there is one.
            let numbers = &decoded[first.saturating_sub(1) * size..first * size + from.len()];
            let numbers = match self.decoded.load(numbers) {
                Wide::I64(numbers) => Wide::I64(differ(&numbers, first, i64::wrapping_sub)),
                Wide::U64(numbers) => Wide::U64(differ(&numbers, first, u64::wrapping_sub)),
                Wide::F32(numbers) => Wide::F32(differ(&numbers, first, |a, b| a - b)),
                Wide::F64(numbers) => Wide::F64(differ(&numbers, first, |a, b| a - b)),
            };
            // Differences are computed in the decoded type, and converted afterwards.
            differences.resize(from.len(), 0);
            self.decoded.store(&numbers, &mut differences);
            cast((self.decoded, &differences), (self.encoded, to))
        })
    }
}

/// Returns the running sums.
fn running<T: Copy>(mut numbers: Vec<T>, sum: &mut T, add: impl Fn(T, T) -> T) -> Vec<T> {
    for number in &mut numbers {
        *sum = add(*sum, *number);
        *number = *sum;
    }
    numbers
}

/// Returns the differences of neighbors. The first number of all is kept.
fn differ<T: Copy>(numbers: &[T], first: usize, subtract: impl Fn(T, T) -> T) -> Vec<T> {
    let start = if first == 0 { &numbers[..1] } else { &[] };
    start.iter().copied().chain(numbers.windows(2).map(|pair| subtract(pair[1], pair[0]))).collect()
}
