//! `cast_value`: converts numbers to another data type.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/cast_value>
//!
//! ```json
//! {"name": "cast_value", "configuration": {
//!     "data_type": "uint8", "rounding": "nearest-even", "out_of_range": "clamp",
//!     "scalar_map": {"encode": [["NaN", 0]], "decode": [[0, "NaN"]]}}}
//! ```
//!
//! Numbers in `scalar_map`, which are spelled as fill values, are replaced. Others are rounded if the other type cannot
//! represent them. Outside its range they are an error, become the end of the range (`clamp`), or wrap (`wrap`,
//! integers only).

use std::cmp::Ordering;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::number::numpy::round;
use super::number::real::{Real, Wide, blocks, write_codes};
use crate::codec::{ArrayToArray, Codec, Configuration, configure, parse_named};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::float::{Format, Rounded, Rounding, parts};

#[derive(Debug)]
struct CastValue {
    encoded_type: DataType,
    encode: Cast,
    decode: Cast,
}

/// The conversion in one direction.
#[derive(Debug)]
struct Cast {
    from: Real,
    to: Real,
    rounding: Rounding,
    out_of_range: Option<OutOfRange>,
    map: Vec<(Scalar, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OutOfRange {
    Clamp,
    Wrap,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CastValueConfiguration {
    data_type: Value,
    #[serde(default)]
    rounding: Rounding,
    out_of_range: Option<OutOfRange>,
    #[serde(default)]
    scalar_map: ScalarMap,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScalarMap {
    #[serde(default)]
    encode: Vec<[Value; 2]>,
    #[serde(default)]
    decode: Vec<[Value; 2]>,
}

/// A number of any type.
#[derive(Clone, Copy, Debug)]
enum Scalar {
    Integer(i128),
    Float(f64),
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let CastValueConfiguration { data_type: encoded, rounding, out_of_range, scalar_map } = configure(configuration)?;
    let encoded = parse_named(&encoded).place(|| "data_type")?;
    if !encoded.configuration.is_empty() {
        return Err(Error::unsupported(format!("data_type: {} has a configuration", encoded.name)));
    }
    let encoded_type = DataType::from_name(&encoded.name).place(|| "data_type")?;
    let (decoded, encoded) = (Real::of(data_type)?, Real::of(&encoded_type)?);
    if decoded == Real::Bool || encoded == Real::Bool {
        return Err(Error::unsupported("bool is not a number"));
    }
    if out_of_range == Some(OutOfRange::Wrap) && !encoded.is_integer() {
        return Err(Error::metadata(format!("out_of_range: {encoded} does not wrap")));
    }
    let cast = |from: Real, to: Real, map: Vec<[Value; 2]>, name| -> Result<Cast> {
        let pair = |[from_value, to_value]: [Value; 2]| {
            let key = numbers(from.value(from.parse(&from_value)?)).next().unwrap_or(Scalar::Integer(0));
            Ok((key, to.parse(&to_value)?))
        };
        let map = map.into_iter().map(pair).collect::<Result<_>>().place(|| format!("scalar_map: {name}"))?;
        Ok(Cast { from, to, rounding, out_of_range, map })
    };
    let encode = cast(decoded, encoded, scalar_map.encode, "encode")?;
    let decode = cast(encoded, decoded, scalar_map.decode, "decode")?;
    Ok(Codec::ArrayToArray(Arc::new(CastValue { encoded_type, encode, decode })))
}

impl ArrayToArray for CastValue {
    fn encoded_type(&self) -> &DataType {
        &self.encoded_type
    }

    fn needs_fill_value(&self) -> bool {
        true
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        self.decode.run(encoded, decoded, Error::corrupt)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        self.encode.run(decoded, encoded, Error::selection)
    }
}

impl Cast {
    fn run(&self, from: &[u8], to: &mut [u8], refuse: fn(String) -> Error) -> Result<()> {
        blocks((self.from, from), (self.to, to), |first, from, to| {
            let wide = match self.from.load(from) {
                wide @ Wide::F32(_) => Wide::F64(wide.f64s()),
                wide => wide,
            };
            if self.map.is_empty()
                && let Some(wide) = self.plain(&wide)
            {
                self.to.store(&wide, to);
                return Ok(());
            }
            let mut codes = Vec::with_capacity(from.len() / self.from.size());
            for (k, number) in numbers(wide).enumerate() {
                let mapped = self.map.iter().find(|(key, _)| same(*key, number)).map(|(_, code)| *code);
                codes.push(match mapped {
                    Some(code) => code,
                    None => self.cast(number).map_err(|why| {
                        let number = match number {
                            Scalar::Integer(number) => number.to_string(),
                            Scalar::Float(number) => number.to_string(),
                        };
                        refuse(format!("element {}: {number} {why} {}", first + k, self.to))
                    })?,
                });
            }
            write_codes(&codes, to);
            Ok(())
        })
    }

    /// Returns the block if ordinary conversion is enough: all numbers are in range, and rounding is to the nearest.
    fn plain(&self, wide: &Wide) -> Option<Wide> {
        // Beyond this, the nearest float32 is infinity.
        const SINGLE: f64 = 340_282_356_779_733_661_637_539_395_458_142_568_448.0;
        let (low, high) = self.to.range();
        let nearest = self.rounding == Rounding::NearestEven;
        let fits = match (wide, self.to) {
            (Wide::I64(numbers), Real::Int(..) | Real::UInt(..)) => {
                let (low, high) = (low as i64, high.min(i64::MAX.into()) as i64);
                every(numbers, |number| (low..=high).contains(&number))
            }
            (Wide::U64(numbers), Real::Int(..) | Real::UInt(..)) => every(numbers, |number| number <= high as u64),
            (Wide::F64(numbers), Real::Int(..) | Real::UInt(..)) if nearest => {
                let (low, beyond) = (low as f64, (high + 1) as f64);
                let rounded: Vec<f64> = numbers.iter().map(|number| round(*number)).collect();
                let fits = every(&rounded, |number| (low..beyond).contains(&number));
                return fits.then_some(Wide::F64(rounded));
            }
            (Wide::I64(_) | Wide::U64(_), Real::F32 | Real::F64) => nearest,
            (Wide::F64(_), Real::F64) => true,
            (Wide::F64(numbers), Real::F32) => {
                nearest && every(numbers, |number| !(number.is_finite() && number.abs() >= SINGLE))
            }
            _ => false,
        };
        fits.then(|| wide.clone())
    }

    /// Returns the bits of a number in the other type, or what is wrong with it.
    fn cast(&self, number: Scalar) -> Result<u64, &'static str> {
        let format = match self.to {
            Real::F32 => Format::of("float32"),
            Real::F64 => Format::of("float64"),
            Real::Small(format) => Some(format),
            _ => None,
        };
        match (number, format) {
            (Scalar::Integer(number), None) => self.integer(number, |number| number as u64),
            (Scalar::Float(number), None) if number.is_finite() => {
                let whole = match self.rounding {
                    Rounding::NearestEven => round(number),
                    Rounding::NearestAway => number.round(),
                    Rounding::TowardsZero => number.trunc(),
                    Rounding::TowardsPositive => number.ceil(),
                    Rounding::TowardsNegative => number.floor(),
                };
                // Wrapping ignores multiples of 2^64, and the remainder of a float is exact.
                let beyond = whole.abs() >= 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
                let rest = (whole % 18_446_744_073_709_551_616.0) as i128;
                self.integer(
                    if beyond { if whole < 0.0 { i128::MIN } else { i128::MAX } } else { whole as i128 },
                    |_| rest as u64,
                )
            }
            (Scalar::Float(_), None) => Err("is not a number of"),
            (Scalar::Integer(number), Some(format)) => self.float(format, number < 0, number.unsigned_abs() as u64, 0),
            (Scalar::Float(number), Some(format)) => {
                let code = if number.is_nan() { format.nan } else { format.infinity };
                if number.is_finite() {
                    let (significand, exponent) = parts(number);
                    return self.float(format, number.is_sign_negative(), significand, exponent);
                }
                code.map(|code| format.signed(number.is_sign_negative(), code)).ok_or("is not a number of")
            }
        }
    }

    fn integer(&self, number: i128, rest: impl Fn(i128) -> u64) -> Result<u64, &'static str> {
        let (low, high) = self.to.range();
        match self.out_of_range {
            _ if (low..=high).contains(&number) => Ok(self.to.code(number)),
            Some(OutOfRange::Clamp) => Ok(self.to.code(number.clamp(low, high))),
            Some(OutOfRange::Wrap) => Ok(self.to.code(rest(number).into())),
            None => Err(OUTSIDE),
        }
    }

    fn float(&self, format: &Format, negative: bool, significand: u64, exponent: i32) -> Result<u64, &'static str> {
        let clamp = self.out_of_range == Some(OutOfRange::Clamp);
        match format.round(negative, significand, exponent, self.rounding) {
            Rounded::Code(code) => Ok(code),
            Rounded::Above if clamp => Ok(format.largest(negative)),
            // Code 0 is the smallest number of a format without zero.
            Rounded::Below if clamp => Ok(0),
            _ => Err(OUTSIDE),
        }
    }
}

const OUTSIDE: &str = "is out of the range of";

/// Whether `holds` is true for all numbers. Does not stop early, which would cost a branch for each.
fn every<T: Copy>(numbers: &[T], holds: impl Fn(T) -> bool) -> bool {
    numbers.iter().filter(|number| !holds(**number)).count() == 0
}

fn numbers(wide: Wide) -> Box<dyn Iterator<Item = Scalar>> {
    match wide {
        Wide::I64(numbers) => Box::new(numbers.into_iter().map(|number| Scalar::Integer(number.into()))),
        Wide::U64(numbers) => Box::new(numbers.into_iter().map(|number| Scalar::Integer(number.into()))),
        wide => Box::new(wide.f64s().into_iter().map(Scalar::Float)),
    }
}

/// Whether two numbers are equal; NaN equals NaN.
fn same(key: Scalar, number: Scalar) -> bool {
    match (key, number) {
        (Scalar::Integer(key), Scalar::Integer(number)) => key == number,
        (Scalar::Float(key), Scalar::Float(number)) => {
            key.partial_cmp(&number) == Some(Ordering::Equal) || key.is_nan() && number.is_nan()
        }
        _ => false,
    }
}
