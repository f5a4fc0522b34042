//! `scale_offset`: subtracts an offset and multiplies by a scale, in the arithmetic of the data type.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/scale_offset>
//!
//! ```json
//! {"name": "scale_offset", "configuration": {"offset": 5, "scale": 0.1}}
//! ```
//!
//! Both numbers are spelled as fill values. A result or intermediate result that the type cannot represent is an error;
//! floating-point numbers that are too large become infinite if the type has infinity.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::number::real::{Real, Wide, blocks};
use crate::codec::{ArrayToArray, Codec, Configuration, configure};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::float::{Format, Rounded, Rounding, parts};

#[derive(Debug)]
struct ScaleOffset {
    data_type: DataType,
    real: Real,
    offset: Option<Wide>,
    scale: Option<Wide>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScaleOffsetConfiguration {
    offset: Option<Value>,
    scale: Option<Value>,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let ScaleOffsetConfiguration { offset, scale } = configure(configuration)?;
    let real = Real::of(data_type)?;
    if real == Real::Bool {
        return Err(Error::unsupported("cannot compute with bool"));
    }
    let parse = |value: Option<Value>| value.map(|value| real.parse(&value).map(|code| real.value(code))).transpose();
    let (offset, scale) = (parse(offset).place(|| "offset")?, parse(scale).place(|| "scale")?);
    if scale.clone().is_some_and(|scale| scale.f64s() == [0.0]) {
        return Err(Error::metadata("the scale is zero"));
    }
    Ok(Codec::ArrayToArray(Arc::new(ScaleOffset { data_type: data_type.clone(), real, offset, scale })))
}

/// An arithmetic operation. On integers it can fail.
struct Step<'a> {
    by: Option<&'a Wide>,
    signed: fn(i64, i64) -> Option<i64>,
    unsigned: fn(u64, u64) -> Option<u64>,
    single: fn(f32, f32) -> f32,
    double: fn(f64, f64) -> f64,
}

impl ScaleOffset {
    /// Applies two operations. Returns the index of the first element whose result the type cannot represent.
    fn run(&self, from: &[u8], to: &mut [u8], steps: &[Step<'_>; 2]) -> Result<Option<usize>> {
        let mut wrong = None;
        blocks((self.real, from), (self.real, to), |first, from, to| {
            let mut numbers = self.real.load(from);
            for step in steps {
                if let Some(by) = step.by {
                    let failed = self.step(&mut numbers, by, step);
                    wrong = wrong.or(failed.map(|element| first + element));
                }
            }
            self.real.store(&numbers, to);
            Ok(())
        })?;
        Ok(wrong)
    }

    fn step(&self, numbers: &mut Wide, by: &Wide, step: &Step<'_>) -> Option<usize> {
        let (low, high) = self.real.range();
        match (numbers, by, self.real) {
            (Wide::I64(numbers), Wide::I64(by), _) => each(numbers, |number| {
                (step.signed)(number, by[0]).filter(|number| (low as i64..=high as i64).contains(number))
            }),
            (Wide::U64(numbers), Wide::U64(by), _) => {
                each(numbers, |number| (step.unsigned)(number, by[0]).filter(|number| *number <= high as u64))
            }
            (Wide::F64(numbers), Wide::F64(by), _) => each(numbers, |number| Some((step.double)(number, by[0]))),
            (Wide::F32(numbers), Wide::F32(by), Real::Small(format)) => {
                each(numbers, |number| represent(format, (step.single)(number, by[0])))
            }
            (Wide::F32(numbers), Wide::F32(by), _) => each(numbers, |number| Some((step.single)(number, by[0]))),
            _ => Some(0),
        }
    }
}

fn each<T: Copy>(numbers: &mut [T], step: impl Fn(T) -> Option<T>) -> Option<usize> {
    let mut wrong = None;
    for (k, number) in numbers.iter_mut().enumerate() {
        match step(*number) {
            Some(result) => *number = result,
            None => wrong = wrong.or(Some(k)),
        }
    }
    wrong
}

/// Returns the nearest number of a format; `None` if there is none.
fn represent(format: &Format, number: f32) -> Option<f32> {
    let code = if number.is_finite() {
        let (significand, exponent) = parts(number.into());
        match format.round(number.is_sign_negative(), significand, exponent, Rounding::NearestEven) {
            Rounded::Code(code) => code,
            Rounded::Above => format.signed(number < 0.0, format.infinity?),
            Rounded::Below => return None,
        }
    } else if number.is_nan() {
        format.signed(number.is_sign_negative(), format.nan?)
    } else {
        format.signed(number < 0.0, format.infinity?)
    };
    Some(format.value(code) as f32)
}

impl ArrayToArray for ScaleOffset {
    fn encoded_type(&self) -> &DataType {
        &self.data_type
    }

    fn needs_fill_value(&self) -> bool {
        true
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let divide = Step {
            by: self.scale.as_ref(),
            signed: |number, by| if number.checked_rem(by) == Some(0) { number.checked_div(by) } else { None },
            unsigned: |number, by| if number.checked_rem(by) == Some(0) { number.checked_div(by) } else { None },
            single: |number, by| number / by,
            double: |number, by| number / by,
        };
        let add = Step {
            by: self.offset.as_ref(),
            signed: i64::checked_add,
            unsigned: u64::checked_add,
            single: |number, by| number + by,
            double: |number, by| number + by,
        };
        match self.run(encoded, decoded, &[divide, add])? {
            None => Ok(()),
            Some(element) => Err(Error::corrupt(format!(
                "element {element}: {} divided by the scale, plus the offset, is not a {}",
                self.real.show(encoded, element),
                self.real
            ))),
        }
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        let subtract = Step {
            by: self.offset.as_ref(),
            signed: i64::checked_sub,
            unsigned: u64::checked_sub,
            single: |number, by| number - by,
            double: |number, by| number - by,
        };
        let multiply = Step {
            by: self.scale.as_ref(),
            signed: i64::checked_mul,
            unsigned: u64::checked_mul,
            single: |number, by| number * by,
            double: |number, by| number * by,
        };
        match self.run(decoded, encoded, &[subtract, multiply])? {
            None => Ok(()),
            Some(element) => Err(Error::selection(format!(
                "element {element}: {} minus the offset, times the scale, is not a {}",
                self.real.show(decoded, element),
                self.real
            ))),
        }
    }
}
