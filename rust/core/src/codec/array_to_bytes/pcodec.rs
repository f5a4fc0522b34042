//! `pcodec`: lossless compression of numbers, in the standalone format of Pco.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/compression/pcodec.html>, and
//! <https://github.com/pcodec/pcodec/blob/main/docs/format.md>.
//!
//! ```json
//! {"name": "numcodecs.pcodec", "configuration": {"level": 8, "mode_spec": "auto", "delta_spec": "auto",
//!     "paging_spec": "equal_pages_up_to", "delta_encoding_order": null, "equal_pages_up_to": 262144}}
//! ```
//!
//! Complex numbers are encoded as two numbers each, and times as 64-bit integers.

use std::sync::Arc;

use bytemuck::Pod;
use half::f16;
use pco::data_types::{Number, NumberType};
use pco::metadata::DeltaEncoding;
use pco::{ChunkConfig, DEFAULT_MAX_PAGE_N, DeltaSpec, ModeSpec, PagingSpec, standalone, wrapped};
use serde::Deserialize;

use super::slices::{fill_numbers, numbers};
use crate::codec::{ArrayToBytes, Codec, Configuration, Size, configure};
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::subset::product;

/// Maximum number of elements in a chunk of Pco.
const LARGEST_PAGE: usize = 1 << 24;

/// Size of a window that is accepted even if there are fewer numbers.
const SMALL_WINDOW: usize = 1 << 15;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Auto,
    Classic,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Delta {
    Auto,
    /// An older name of `no_op`.
    None,
    NoOp,
    TryConsecutive,
    TryLookback,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Paging {
    EqualPagesUpTo,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PcodecConfiguration {
    level: usize,
    mode_spec: Mode,
    delta_spec: Delta,
    paging_spec: Paging,
    delta_encoding_order: Option<usize>,
    equal_pages_up_to: usize,
}

impl Default for PcodecConfiguration {
    fn default() -> Self {
        Self {
            level: 8,
            mode_spec: Mode::Auto,
            delta_spec: Delta::Auto,
            paging_spec: Paging::EqualPagesUpTo,
            delta_encoding_order: None,
            equal_pages_up_to: DEFAULT_MAX_PAGE_N,
        }
    }
}

#[derive(Debug)]
struct Pcodec {
    config: ChunkConfig,
    number: NumberType,
    /// Item size in bytes. A complex element is two numbers.
    size: u64,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let given: PcodecConfiguration = configure(configuration)?;
    if given.level > 12 {
        return Err(Error::metadata(format!("level {} is not in 0 to 12", given.level)));
    }
    if given.equal_pages_up_to == 0 {
        return Err(Error::metadata("equal_pages_up_to is 0"));
    }
    let delta = match (given.delta_spec, given.delta_encoding_order) {
        (_, Some(order)) if order > 7 => {
            return Err(Error::metadata(format!("delta_encoding_order {order} is not in 0 to 7")));
        }
        // Old metadata have no `delta_spec`.
        (Delta::TryConsecutive | Delta::Auto, Some(order)) => DeltaSpec::TryConsecutive(order),
        (Delta::TryConsecutive, None) => {
            return Err(Error::metadata("\"try_consecutive\" needs a \"delta_encoding_order\""));
        }
        (spec, Some(_)) => {
            return Err(Error::metadata(format!("\"delta_encoding_order\" is not valid with delta_spec {spec:?}")));
        }
        (Delta::Auto, None) => DeltaSpec::Auto,
        (Delta::None | Delta::NoOp, None) => DeltaSpec::NoOp,
        (Delta::TryLookback, None) => DeltaSpec::TryLookback,
    };
    let mode = match given.mode_spec {
        Mode::Auto => ModeSpec::Auto,
        Mode::Classic => ModeSpec::Classic,
    };
    let Paging::EqualPagesUpTo = given.paging_spec;
    let config = ChunkConfig::default()
        .with_compression_level(given.level)
        .with_mode_spec(mode)
        .with_delta_spec(delta)
        .with_paging_spec(PagingSpec::EqualPagesUpTo(given.equal_pages_up_to.min(LARGEST_PAGE)))
        .with_enable_8_bit(true);
    let number = match (data_type.kind(), data_type.word() * 8) {
        // Pco has no types with unused bits.
        _ if data_type.is_extended() => None,
        (Kind::UInt, 8) => Some(NumberType::U8),
        (Kind::UInt, 16) => Some(NumberType::U16),
        (Kind::UInt, 32) => Some(NumberType::U32),
        (Kind::UInt, 64) => Some(NumberType::U64),
        (Kind::Int, 8) => Some(NumberType::I8),
        (Kind::Int, 16) => Some(NumberType::I16),
        (Kind::Int, 32) => Some(NumberType::I32),
        (Kind::Int | Kind::DateTime | Kind::TimeDelta, 64) => Some(NumberType::I64),
        (Kind::Float, 16) => Some(NumberType::F16),
        (Kind::Float | Kind::Complex, 32) => Some(NumberType::F32),
        (Kind::Float | Kind::Complex, 64) => Some(NumberType::F64),
        _ => None,
    };
    match number {
        Some(number) => Ok(Codec::ArrayToBytes(Arc::new(Pcodec { config, number, size: data_type.size() as u64 }))),
        None => Err(Error::unsupported(format!(
            "cannot encode elements of {data_type}, only integers and floating-point numbers of 8 to 64 bits"
        ))),
    }
}

/// Calls a generic function with the Rust type of a `NumberType`.
macro_rules! with_number {
    ($number:expr, $function:ident($($argument:expr),*)) => {
        match $number {
            NumberType::U8 => $function::<u8>($($argument),*),
            NumberType::U16 => $function::<u16>($($argument),*),
            NumberType::U32 => $function::<u32>($($argument),*),
            NumberType::U64 => $function::<u64>($($argument),*),
            NumberType::I8 => $function::<i8>($($argument),*),
            NumberType::I16 => $function::<i16>($($argument),*),
            NumberType::I32 => $function::<i32>($($argument),*),
            NumberType::I64 => $function::<i64>($($argument),*),
            NumberType::F16 => $function::<f16>($($argument),*),
            NumberType::F32 => $function::<f32>($($argument),*),
            NumberType::F64 => $function::<f64>($($argument),*),
            other => Err(Error::unsupported(format!("pcodec: unsupported number type {other:?}"))),
        }
    };
}

fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("pcodec: {error}"))
}

fn decode<T: Number + Pod>(encoded: &[u8], elements: &mut [u8]) -> Result<()> {
    fill_numbers::<T>(elements, |numbers| decode_numbers(encoded, numbers))
}

/// Decodes chunk by chunk, and checks the sizes that each declares before it is decoded.
fn decode_numbers<T: Number>(encoded: &[u8], mut numbers: &mut [T]) -> Result<()> {
    let expected = numbers.len();
    let (header, mut rest) = standalone::FileDecompressor::new(encoded).map_err(corrupt)?;
    // The header ends with the header of the wrapped format, which is its version.
    let version = if header.format_version().major >= 4 { 2 } else { 1 };
    let within = encoded.get(encoded.len() - rest.len() - version..).unwrap_or_default();
    let file = wrapped::FileDecompressor::new(within).map_err(corrupt)?.0;
    loop {
        rest = match rest {
            [0] => break,
            [0, after @ ..] => return Err(corrupt(format!("{} bytes follow the last number", after.len()))),
            [number, a, b, c, chunk @ ..] => {
                if *number != NumberType::new::<T>() as u8 {
                    return Err(corrupt(format!("numbers of type {number} instead of {:?}", NumberType::new::<T>())));
                }
                let count = u32::from_le_bytes([*a, *b, *c, 0]) as usize + 1;
                let found = expected - numbers.len() + count;
                let (into, others) = std::mem::take(&mut numbers)
                    .split_at_mut_checked(count)
                    .ok_or_else(|| corrupt(format!("{found} numbers or more instead of {expected}")))?;
                numbers = others;
                decode_chunk(&file, chunk, into)?
            }
            _ => return Err(corrupt(format!("the numbers are truncated after {} bytes", encoded.len()))),
        }
    }
    match numbers.len() {
        0 => Ok(()),
        missing => Err(corrupt(format!("{} numbers instead of {expected}", expected - missing))),
    }
}

/// Decodes a chunk of Pco into `numbers`, and returns the bytes after it.
fn decode_chunk<'a, T: Number>(
    file: &wrapped::FileDecompressor,
    chunk: &'a [u8],
    numbers: &mut [T],
) -> Result<&'a [u8]> {
    // Mode 4 is a dictionary, whose number of entries is in the next 25 bits.
    if let [a, b, c, d, ..] = chunk
        && a & 15 == 4
    {
        let entries = (u32::from_le_bytes([*a, *b, *c, *d]) >> 4 & ((1 << 25) - 1)) as usize;
        if entries > numbers.len() {
            return Err(corrupt(format!("a dictionary of {entries} entries for {} numbers", numbers.len())));
        }
    }
    let (mut decoder, page) = file.chunk_decompressor::<T, _>(chunk).map_err(corrupt)?;
    if let DeltaEncoding::Lookback { config, .. } = &decoder.meta().delta_encoding
        && 1 << config.window_n_log > SMALL_WINDOW.max(numbers.len().next_power_of_two())
    {
        return Err(corrupt(format!("a window of 2^{} numbers for {}", config.window_n_log, numbers.len())));
    }
    let mut page = decoder.page_decompressor(page, numbers.len()).map_err(corrupt)?;
    let progress = page.read(numbers).map_err(corrupt)?;
    if progress.n_processed != numbers.len() || !progress.finished {
        return Err(corrupt(format!("{} numbers instead of {}", progress.n_processed, numbers.len())));
    }
    Ok(page.into_src())
}

fn encode<T: Number + Pod>(elements: &[u8], config: &ChunkConfig, encoded: &mut Vec<u8>) -> Result<()> {
    let done = standalone::simple_compress_into::<T, _>(&numbers(elements), config, encoded);
    done.map(|_| ()).map_err(|error| Error::unsupported(format!("pcodec: cannot encode: {error}")))
}

impl ArrayToBytes for Pcodec {
    fn encoded_size(&self, shape: &[u64]) -> Size {
        Size::Exact(product(shape).unwrap_or(u64::MAX).saturating_mul(self.size)).compressed()
    }

    fn decode(&self, encoded: &[u8], _: &[u64], decoded: &mut [u8]) -> Result<()> {
        with_number!(self.number, decode(encoded, decoded))
    }

    fn encode(&self, decoded: &[u8], _: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        with_number!(self.number, encode(decoded, &self.config, encoded))
    }
}
