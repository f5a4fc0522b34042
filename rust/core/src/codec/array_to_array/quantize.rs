//! `numcodecs.quantize`: rounds floating-point numbers to the precision of a number of decimal digits.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/filter/quantize.html>
//!
//! ```json
//! {"name": "numcodecs.quantize", "configuration": {"digits": 2, "dtype": "<f8", "astype": "<f4"}}
//! ```
//!
//! Elements have the type `dtype`, and are stored as `astype`; both default to the data type of the array.

use std::sync::Arc;

use serde::Deserialize;

use super::number::real::{Real, blocks, cast, encoded_type, named_type};
use super::number::steps::Steps;
use crate::codec::{ArrayToArray, Codec, Configuration, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Debug)]
struct Quantize {
    scale: f64,
    decoded: Real,
    encoded: Real,
    encoded_type: DataType,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuantizeConfiguration {
    digits: i32,
    dtype: Option<String>,
    astype: Option<String>,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let QuantizeConfiguration { digits, dtype, astype } = configure(configuration)?;
    let decoded_type = named_type(dtype.as_deref(), data_type)?;
    let encoded_type = encoded_type(astype.as_deref(), &decoded_type)?;
    let (decoded, encoded) = (Real::of(&decoded_type)?, Real::of(&encoded_type)?);
    let wrong = |real: &Real| !matches!(real, Real::F32 | Real::F64) && !real.is_half();
    if let Some(real) = [decoded, encoded].iter().find(|real| wrong(real)) {
        return Err(Error::unsupported(format!("cannot quantize {real}: it is not a floating-point type of NumPy")));
    }
    if !(-300..=300).contains(&digits) {
        return Err(Error::metadata(format!("digits {digits} is not in -300 to 300")));
    }
    // The power of two that keeps the digits, computed in the same steps as numcodecs.
    let exponent = 10f64.powf(f64::from(-digits)).log10();
    let exponent = if exponent < 0.0 { exponent.floor() } else { exponent.ceil() };
    let scale = 10f64.powf(-exponent).log2().ceil().exp2();
    Ok(Codec::ArrayToArray(Arc::new(Quantize { scale, decoded, encoded, encoded_type })))
}

impl ArrayToArray for Quantize {
    fn encoded_type(&self) -> &DataType {
        &self.encoded_type
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        cast((self.encoded, encoded), (self.decoded, decoded))
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        blocks((self.decoded, decoded), (self.encoded, encoded), |_, from, to| {
            let mut numbers = self.decoded.load(from);
            let mut steps = Steps::new(self.decoded, &mut numbers);
            steps.multiply(self.scale);
            steps.round();
            steps.divide(self.scale);
            self.encoded.store(&numbers, to);
            Ok(())
        })
    }
}
