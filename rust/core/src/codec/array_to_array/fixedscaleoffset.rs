//! `numcodecs.fixedscaleoffset`: subtracts an offset, multiplies by a scale, and rounds.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/filter/fixedscaleoffset.html>
//!
//! ```json
//! {"name": "numcodecs.fixedscaleoffset",
//!  "configuration": {"offset": 1000, "scale": 10, "dtype": "<f8", "astype": "|u1"}}
//! ```
//!
//! Elements have the type `dtype`, and are stored as `astype`; both default to the data type of the array. Floats are
//! computed in their precision. Integers are computed as integers if offset and scale are integers, else as `float64`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Number;

use super::number::real::{Real, Wide, blocks, encoded_type, named_type};
use super::number::steps::Steps;
use crate::codec::{ArrayToArray, Codec, Configuration, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Debug)]
struct FixedScaleOffset {
    offset: Factor,
    scale: Factor,
    decoded: Real,
    encoded: Real,
    encoded_type: DataType,
}

/// A number of the configuration.
#[derive(Clone, Copy, Debug)]
struct Factor {
    integer: Option<i128>,
    value: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScaleConfiguration {
    offset: Number,
    scale: Number,
    dtype: Option<String>,
    astype: Option<String>,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let ScaleConfiguration { offset, scale, dtype, astype } = configure(configuration)?;
    let decoded_type = named_type(dtype.as_deref(), data_type)?;
    let encoded_type = encoded_type(astype.as_deref(), &decoded_type)?;
    let (decoded, encoded) = (Real::of(&decoded_type)?, Real::of(&encoded_type)?);
    if let Some(real) = [decoded, encoded].iter().find(|real| !real.is_numpy()) {
        return Err(Error::unsupported(format!("cannot compute with {real}: it is not a NumPy type")));
    }
    let factor = |number: Number| Factor {
        integer: number.as_i64().map(i128::from).or(number.as_u64().map(i128::from)),
        value: number.as_f64().unwrap_or(f64::NAN),
    };
    let (offset, scale) = (factor(offset), factor(scale));
    Ok(Codec::ArrayToArray(Arc::new(FixedScaleOffset { offset, scale, decoded, encoded, encoded_type })))
}

impl FixedScaleOffset {
    /// Returns the type in which integers are computed; `None` for floats.
    fn integers(&self) -> Option<Real> {
        match self.decoded {
            Real::Bool => Some(Real::Int(8, 64)),
            real => real.is_integer().then_some(real),
        }
    }

    fn scaled(&self, real: Real, numbers: Wide) -> Result<Wide> {
        let factor = |factor: Factor| match factor.integer {
            Some(integer) if (real.range().0..=real.range().1).contains(&integer) => Ok(Some(integer as i64)),
            Some(integer) => Err(Error::metadata(format!("{integer} does not fit {real}"))),
            None => Ok(None),
        };
        let mut bytes = Vec::new();
        let mut apply = |numbers: Wide, function: &dyn Fn(i64) -> i64| {
            let numbers: Vec<i64> = numbers.i64s().into_iter().map(function).collect();
            bytes.resize(numbers.len() * real.size(), 0);
            real.store(&Wide::I64(numbers), &mut bytes);
            real.load(&bytes)
        };
        let Some(offset) = factor(self.offset)? else {
            return Ok(self.scaled_floats(Real::F64, Wide::F64(numbers.f64s()), true));
        };
        let numbers = apply(numbers, &|number| number.wrapping_sub(offset));
        match factor(self.scale) {
            Ok(Some(scale)) => Ok(apply(numbers, &|number| number.wrapping_mul(scale))),
            Ok(None) => Ok(self.scaled_floats(Real::F64, Wide::F64(numbers.f64s()), false)),
            Err(error) => Err(error),
        }
    }

    fn scaled_floats(&self, real: Real, mut numbers: Wide, offset: bool) -> Wide {
        let mut steps = Steps::new(real, &mut numbers);
        if offset {
            steps.subtract(self.offset.value);
        }
        steps.multiply(self.scale.value);
        steps.round();
        numbers
    }
}

impl ArrayToArray for FixedScaleOffset {
    fn encoded_type(&self) -> &DataType {
        &self.encoded_type
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let float = if self.encoded == Real::Bool || self.encoded.is_integer() { Real::F64 } else { self.encoded };
        blocks((self.encoded, encoded), (self.decoded, decoded), |_, from, to| {
            let mut numbers = match self.encoded.load(from) {
                Wide::F32(numbers) => Wide::F32(numbers),
                numbers => Wide::F64(numbers.f64s()),
            };
            let mut steps = Steps::new(float, &mut numbers);
            steps.divide(self.scale.value);
            steps.subtract(-self.offset.value);
            self.decoded.store_from(float, numbers, to);
            Ok(())
        })
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        blocks((self.decoded, decoded), (self.encoded, encoded), |_, from, to| {
            let numbers = self.decoded.load(from);
            let numbers = match self.integers() {
                Some(real) => self.scaled(real, numbers)?,
                None => self.scaled_floats(self.decoded, numbers, true),
            };
            self.encoded.store_from(self.decoded, numbers, to);
            Ok(())
        })
    }
}
