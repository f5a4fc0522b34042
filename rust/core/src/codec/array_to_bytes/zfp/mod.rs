//! `zfp` and `zfpy`: compression of numbers, lossless or with an error that the mode bounds.
//!
//! Specification: <https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/zfp>, and
//! <https://numcodecs.readthedocs.io/en/stable/compression/zfpy.html>
//!
//! ```json
//! {"name": "zfp", "configuration": {"mode": "fixed_accuracy", "tolerance": 0.05}}
//! {"name": "numcodecs.zfpy", "configuration": {"mode": 4, "tolerance": 0.05}}
//! ```
//!
//! `zfp` has the modes `reversible`, `expert` (`minbits`, `maxbits`, `maxprec`, `minexp`), `fixed_rate` (`rate`),
//! `fixed_precision` (`precision`) and `fixed_accuracy` (`tolerance`). Its bytes have no header. `zfpy` has the modes 2
//! (`rate`), 3 (`precision`) and 4 (`tolerance`); the default of -1 is lossless. Its bytes begin with the header of
//! zfp, which alone determines the decoding.

pub(crate) mod promotion;

use std::sync::Arc;

use bytemuck::Pod;
use serde::Deserialize;
use zfp_rs::{
    ZfpBitStream, ZfpConfig, ZfpDimensionality, ZfpField, ZfpFieldMut, ZfpHeaderMask, ZfpScalar, ZfpScalarType,
    ZfpStreamAlignment,
};

use self::promotion::Promotion;
use crate::codec::array_to_bytes::slices::{fill_numbers, numbers, zeros};
use crate::codec::{ArrayToBytes, Codec, Configuration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};
use crate::subset::{product, tuple};

/// Size in bytes of the words that zfp writes.
const WORD: usize = 8;

#[derive(Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
enum Mode {
    Reversible {},
    Expert { minbits: u32, maxbits: u32, maxprec: u32, minexp: i32 },
    FixedRate { rate: f64 },
    FixedPrecision { precision: u32 },
    FixedAccuracy { tolerance: f64 },
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ZfpyConfiguration {
    mode: u32,
    tolerance: f64,
    rate: f64,
    precision: f64,
    /// Repeats the parameter of the mode.
    #[serde(rename = "compression_kwargs")]
    _again: serde::de::IgnoredAny,
}

impl Default for ZfpyConfiguration {
    fn default() -> Self {
        Self { mode: 4, tolerance: -1.0, rate: -1.0, precision: -1.0, _again: serde::de::IgnoredAny }
    }
}

#[derive(Debug)]
struct Zfp {
    mode: Mode,
    header: bool,
    promotion: Promotion,
}

pub(super) fn create_zfp(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let promotion = Promotion::of(data_type).ok_or_else(|| {
        Error::unsupported(format!("cannot encode elements of {data_type}, only numbers of up to 64 bits and times"))
    })?;
    create(configure(configuration)?, false, promotion)
}

pub(super) fn create_zfpy(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let given: ZfpyConfiguration = configure(configuration)?;
    let mode = match given.mode {
        2 if given.rate >= 0.0 => Mode::FixedRate { rate: given.rate },
        3 if given.precision >= 0.0 => Mode::FixedPrecision { precision: given.precision as u32 },
        4 if given.tolerance >= 0.0 => Mode::FixedAccuracy { tolerance: given.tolerance },
        2..=5 => Mode::Reversible {},
        other => return Err(Error::metadata(format!("mode {other} is not one of 2, 3, 4"))),
    };
    match Promotion::of(data_type).filter(Promotion::is_none) {
        Some(promotion) => create(mode, true, promotion),
        None => Err(Error::unsupported(format!(
            "cannot encode elements of {data_type}, only of int32, int64, float32 and float64"
        ))),
    }
}

fn create(mode: Mode, header: bool, promotion: Promotion) -> Result<Codec> {
    let zfp = Zfp { mode, header, promotion };
    // Report errors that do not depend on the number of dimensions now.
    zfp.config(ZfpDimensionality::D1)?;
    Ok(Codec::ArrayToBytes(Arc::new(zfp)))
}

/// Returns the lengths of the axes as zfp orders them, fastest first, and their number.
fn dims(shape: &[u64]) -> Result<([usize; 4], ZfpDimensionality)> {
    let dimensionality = match shape.len() {
        0 | 1 => ZfpDimensionality::D1,
        2 => ZfpDimensionality::D2,
        3 => ZfpDimensionality::D3,
        4 => ZfpDimensionality::D4,
        _ => {
            return Err(Error::unsupported(format!(
                "zfp: cannot encode chunks of shape {}; at most 4 dimensions are possible",
                tuple(shape)
            )));
        }
    };
    let mut dims = [0; 4];
    // A chunk without axes is a row of one element.
    dims[0] = 1;
    for (length, dim) in shape.iter().rev().zip(&mut dims) {
        *dim = usize::try_from(*length)
            .map_err(|_| Error::unsupported(format!("zfp: an axis of length {length} is too long")))?;
    }
    Ok((dims, dimensionality))
}

fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("zfp: {error}"))
}

impl Zfp {
    fn config(&self, dims: ZfpDimensionality) -> Result<ZfpConfig> {
        let wrong = |error| Error::metadata(format!("{error}"));
        match self.mode {
            Mode::Reversible {} => Ok(ZfpConfig::reversible()),
            Mode::Expert { minbits, maxbits, maxprec, minexp } => {
                ZfpConfig::expert(minbits, maxbits, maxprec, minexp).map_err(wrong)
            }
            Mode::FixedRate { rate } => {
                let scalar = self.promotion.scalar();
                ZfpConfig::fixed_rate(rate, scalar, dims, ZfpStreamAlignment::Unaligned).map_err(wrong)
            }
            Mode::FixedPrecision { precision } => Ok(ZfpConfig::fixed_precision(precision)),
            Mode::FixedAccuracy { tolerance } => Ok(ZfpConfig::fixed_accuracy(tolerance)),
        }
    }

    fn maximum_size(&self, shape: &[u64]) -> Result<Option<usize>> {
        let (dims, dimensionality) = dims(shape)?;
        Ok(self.config(dimensionality)?.maximum_size(self.promotion.scalar(), dims))
    }

    fn decode_numbers<T: ZfpScalar + Pod>(&self, encoded: &[u8], shape: &[u64], numbers: &mut [T]) -> Result<()> {
        self.decode_padded(encoded, 0, shape, numbers)?;
        if encoded.len().is_multiple_of(WORD) {
            return Ok(());
        }
        // A stream that does not end with a word has shorter words, or is truncated: then the missing bits matter.
        let mut again = zeros::<T>(numbers.len())?;
        let same = self.decode_padded(encoded, 0xff, shape, &mut again).is_ok()
            && bytemuck::cast_slice::<_, u8>(&again) == bytemuck::cast_slice::<_, u8>(numbers);
        if same { Ok(()) } else { Err(corrupt(format!("the numbers are truncated after {} bytes", encoded.len()))) }
    }

    /// Decodes bytes that are padded to words with `padding`.
    fn decode_padded<T: ZfpScalar>(&self, encoded: &[u8], padding: u8, shape: &[u64], numbers: &mut [T]) -> Result<()> {
        let (words, tail) = encoded.as_chunks::<WORD>();
        let mut last = [padding; WORD];
        last[..tail.len()].copy_from_slice(tail);
        let words = words.iter().chain((!tail.is_empty()).then_some(&last));
        let mut stream = ZfpBitStream::from_words(words.map(|word| u64::from_le_bytes(*word)).collect());
        let (dims, dimensionality) = dims(shape)?;
        let mut config = self.config(dimensionality)?;
        let mut field_dims = dims;
        if self.header {
            let header = stream.read_header(ZfpHeaderMask::FULL).map_err(corrupt)?;
            let (Some(metadata), Some(stored)) = (header.metadata, header.config) else {
                return Err(corrupt("the header is missing"));
            };
            if header.bits_read.div_ceil(8) > encoded.len() {
                return Err(corrupt("the header is truncated"));
            }
            // A codec before this one may have flattened the chunk.
            let row = [numbers.len(), 0, 0, 0];
            if metadata.scalar_type != T::SCALAR_TYPE || (metadata.dims != dims && metadata.dims != row) {
                return Err(corrupt(format!(
                    "{:?} of lengths {:?}, fastest first, instead of {:?} of {dims:?}",
                    metadata.scalar_type,
                    metadata.dims,
                    T::SCALAR_TYPE
                )));
            }
            (field_dims, config) = (metadata.dims, stored);
        }
        let mut field = ZfpFieldMut::new(numbers, field_dims).map_err(corrupt)?;
        let read = stream.decompress(&config, &mut field).map_err(corrupt)?;
        if read == encoded.len().next_multiple_of(WORD) {
            Ok(())
        } else {
            Err(corrupt(format!("{} bytes instead of {read}", encoded.len())))
        }
    }

    fn encode_numbers<T: ZfpScalar>(&self, numbers: &[T], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        let wrong = |error: &dyn std::fmt::Display| Error::unsupported(format!("zfp: cannot encode: {error}"));
        let (dims, dimensionality) = dims(shape)?;
        let config = self.config(dimensionality)?;
        let capacity = self.maximum_size(shape)?.ok_or_else(|| wrong(&"the chunk is too large"))?;
        let mut stream = ZfpBitStream::new(capacity).map_err(|error| Error::store(format!("zfp: {error}")))?;
        let field = ZfpField::new(numbers, dims).map_err(|error| wrong(&error))?;
        if self.header {
            stream.write_header(&config, &field.metadata(), ZfpHeaderMask::FULL).map_err(|error| wrong(&error))?;
        }
        stream.compress(&config, &field).map_err(|error| wrong(&error))?;
        encoded.extend(stream.into_words().into_iter().flat_map(u64::to_le_bytes));
        Ok(())
    }

    fn decode_promoted<T: ZfpScalar + Pod>(&self, encoded: &[u8], shape: &[u64], decoded: &mut [u8]) -> Result<()> {
        if self.promotion.is_none() {
            return fill_numbers::<T>(decoded, |numbers| self.decode_numbers(encoded, shape, numbers));
        }
        let mut promoted = zeros::<T>(decoded.len() / self.promotion.size())?;
        self.decode_numbers(encoded, shape, &mut promoted)?;
        self.promotion.demote(bytemuck::cast_slice(&promoted), decoded);
        Ok(())
    }

    fn encode_promoted<T: ZfpScalar + Pod>(&self, decoded: &[u8], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        if self.promotion.is_none() {
            return self.encode_numbers::<T>(&numbers(decoded), shape, encoded);
        }
        let mut promoted = zeros::<T>(decoded.len() / self.promotion.size())?;
        self.promotion.promote(decoded, bytemuck::cast_slice_mut(&mut promoted))?;
        self.encode_numbers(&promoted, shape, encoded)
    }
}

impl ArrayToBytes for Zfp {
    fn encoded_size(&self, shape: &[u64]) -> Size {
        let bound = self.maximum_size(shape).ok().flatten().unwrap_or(usize::MAX) as u64;
        if !self.header {
            return Size::Bounded(bound);
        }
        // The header may declare another mode than the configuration.
        let decoded = product(shape).unwrap_or(u64::MAX).saturating_mul(self.promotion.size() as u64);
        Size::Bounded(bound.max(Size::Exact(decoded).compressed().bound()))
    }

    fn decode(&self, encoded: &[u8], shape: &[u64], decoded: &mut [u8]) -> Result<()> {
        match self.promotion.scalar() {
            ZfpScalarType::I32 => self.decode_promoted::<i32>(encoded, shape, decoded),
            ZfpScalarType::I64 => self.decode_promoted::<i64>(encoded, shape, decoded),
            ZfpScalarType::F32 => self.decode_promoted::<f32>(encoded, shape, decoded),
            ZfpScalarType::F64 => self.decode_promoted::<f64>(encoded, shape, decoded),
        }
    }

    fn encode(&self, decoded: &[u8], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        match self.promotion.scalar() {
            ZfpScalarType::I32 => self.encode_promoted::<i32>(decoded, shape, encoded),
            ZfpScalarType::I64 => self.encode_promoted::<i64>(decoded, shape, encoded),
            ZfpScalarType::F32 => self.encode_promoted::<f32>(decoded, shape, encoded),
            ZfpScalarType::F64 => self.encode_promoted::<f64>(decoded, shape, encoded),
        }
    }
}
