//! Shared code of `json2` and `msgpack2`: a chunk is a document that lists its elements (nested lists for several
//! axes), their NumPy type, and their shape.
//!
//! Elements are JSON values, each represented by its text, or numbers or text of fixed size.

pub(super) mod json2;
mod json_scan;
pub(super) mod msgpack2;
pub(super) mod pickle;

use std::fmt;
use std::sync::Arc;

use half::f16;

use crate::codec::{ArrayToBytes, Codec, Size, VariableToBytes};
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::slot::Slot;
use crate::subset::{product, tuple};

/// A format of such documents.
pub(super) trait Format: Send + Sync + fmt::Debug + 'static {
    /// Decodes the elements of a chunk to JSON texts, as [`VariableToBytes::decode`] does. `code` is their NumPy type.
    fn items(&self, encoded: &[u8], shape: &[u64], code: &str) -> Result<(Vec<Slot>, Option<Vec<u8>>)>;

    /// Encodes elements, each a JSON text, as a document, and appends it.
    fn document(&self, elements: &[&[u8]], shape: &[u64], code: &str, encoded: &mut Vec<u8>) -> Result<()>;
}

/// Creates the codec of a format.
pub(super) fn create(format: impl Format, data_type: &DataType) -> Result<Codec> {
    match data_type.kind() {
        Kind::Object => Ok(Codec::VariableToBytes(Arc::new(Objects(format)))),
        Kind::Bool | Kind::Int | Kind::UInt | Kind::Float | Kind::FixedText if !data_type.is_extended() => {
            Ok(Codec::ArrayToBytes(Arc::new(Numbers { format, data_type: data_type.clone() })))
        }
        _ => Err(Error::unsupported(format!(
            "cannot encode elements of {data_type}, only objects, bool, integers, floating-point numbers and text"
        ))),
    }
}

/// Checks the type and shape that a document declares.
pub(super) fn check(code: &str, dims: &[u64], expected: &str, shape: &[u64]) -> Result<()> {
    let bare = |code: &str| code.trim_start_matches(['<', '>', '|', '=']).to_owned();
    if bare(code) != bare(expected) {
        return Err(Error::corrupt(format!("elements of type {code:?} instead of {expected:?}")));
    }
    // A codec before this one may have flattened the chunk.
    if dims == shape || (dims.len() == 1 && product(shape) == Some(dims[0])) {
        return Ok(());
    }
    Err(Error::corrupt(format!("elements of shape {} instead of {}", tuple(dims), tuple(shape))))
}

#[derive(Debug)]
struct Objects<F>(F);

const OBJECT: &str = "|O";

impl<F: Format> VariableToBytes for Objects<F> {
    fn decode(&self, encoded: &[u8], shape: &[u64]) -> Result<(Vec<Slot>, Option<Vec<u8>>)> {
        self.0.items(encoded, shape, OBJECT)
    }

    fn encode(&self, elements: &[&[u8]], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        // Text that is not JSON would damage the document.
        let texts: Vec<_> = elements.iter().map(|text| json_scan::value(text)).collect::<Result<_>>()?;
        self.0.document(&texts, shape, OBJECT, encoded)
    }
}

#[derive(Debug)]
struct Numbers<F> {
    format: F,
    data_type: DataType,
}

impl<F: Format> Numbers<F> {
    /// Returns the type as NumPy spells it, little-endian.
    fn code(&self) -> String {
        format!("{}{}", if self.data_type.word() == 1 { '|' } else { '<' }, self.data_type.code())
    }
}

impl<F: Format> ArrayToBytes for Numbers<F> {
    fn encoded_size(&self, shape: &[u64]) -> Size {
        // A byte of text becomes up to 12 bytes ("\ud83d\ude00" is one code point), a number of one byte 4 and a comma.
        let elements = product(shape).unwrap_or(u64::MAX).saturating_mul(self.data_type.size() as u64 + 1);
        Size::Bounded(elements.saturating_mul(16).saturating_add(1 << 10))
    }

    fn decode(&self, encoded: &[u8], shape: &[u64], decoded: &mut [u8]) -> Result<()> {
        let (slots, heap) = self.format.items(encoded, shape, &self.code())?;
        let heap = heap.as_deref().unwrap_or(encoded);
        let size = self.data_type.size();
        if slots.len() != decoded.len() / size {
            return Err(Error::corrupt(format!("{} elements instead of {}", slots.len(), decoded.len() / size)));
        }
        for (slot, into) in slots.into_iter().zip(decoded.chunks_exact_mut(size)) {
            let text = slot.of(heap).unwrap_or_default();
            read(text, self.data_type.kind(), into)?.ok_or_else(|| {
                let shown = String::from_utf8_lossy(&text[..text.len().min(40)]);
                Error::corrupt(format!("{shown} is not a value of {}", self.data_type))
            })?;
        }
        Ok(())
    }

    fn encode(&self, decoded: &[u8], shape: &[u64], encoded: &mut Vec<u8>) -> Result<()> {
        let (mut heap, mut ends) = (Vec::new(), vec![0]);
        for element in decoded.chunks_exact(self.data_type.size()) {
            write(element, self.data_type.kind(), &mut heap);
            ends.push(heap.len());
        }
        let texts: Vec<_> = ends.windows(2).map(|pair| &heap[pair[0]..pair[1]]).collect();
        self.format.document(&texts, shape, &self.code(), encoded)
    }
}

/// Reads an element from its text; `None` if it has another type.
fn read(text: &[u8], kind: Kind, into: &mut [u8]) -> Result<Option<()>> {
    if kind == Kind::FixedText {
        let points = json_scan::string(text)?;
        into.fill(0);
        let letters = into.as_chunks_mut().0;
        let fits = points.len() <= letters.len();
        for (point, into) in points.into_iter().zip(letters) {
            *into = point.to_ne_bytes();
        }
        return Ok(fits.then_some(()));
    }
    let Ok(text) = std::str::from_utf8(text) else { return Ok(None) };
    Ok(match (kind, into.len()) {
        (Kind::Bool, _) => match text {
            "true" => put(into, [1]),
            "false" => put(into, [0]),
            _ => None,
        },
        (Kind::Int, 1) => text.parse().ok().and_then(|number: i8| put(into, number.to_ne_bytes())),
        (Kind::Int, 2) => text.parse().ok().and_then(|number: i16| put(into, number.to_ne_bytes())),
        (Kind::Int, 4) => text.parse().ok().and_then(|number: i32| put(into, number.to_ne_bytes())),
        (Kind::Int, _) => text.parse().ok().and_then(|number: i64| put(into, number.to_ne_bytes())),
        (Kind::UInt, 1) => text.parse().ok().and_then(|number: u8| put(into, number.to_ne_bytes())),
        (Kind::UInt, 2) => text.parse().ok().and_then(|number: u16| put(into, number.to_ne_bytes())),
        (Kind::UInt, 4) => text.parse().ok().and_then(|number: u32| put(into, number.to_ne_bytes())),
        (Kind::UInt, _) => text.parse().ok().and_then(|number: u64| put(into, number.to_ne_bytes())),
        (_, 2) => text.parse().ok().and_then(|number| put(into, f16::from_f64(number).to_ne_bytes())),
        (_, 4) => text.parse().ok().and_then(|number: f64| put(into, (number as f32).to_ne_bytes())),
        _ => text.parse().ok().and_then(|number: f64| put(into, number.to_ne_bytes())),
    })
}

fn put<const N: usize>(into: &mut [u8], bytes: [u8; N]) -> Option<()> {
    *into.first_chunk_mut()? = bytes;
    Some(())
}

/// Appends the text of an element.
fn write(element: &[u8], kind: Kind, text: &mut Vec<u8>) {
    let mut wide = [0; 8];
    let negative = match kind {
        Kind::Int if cfg!(target_endian = "big") => element[0] >= 0x80,
        Kind::Int => element[element.len() - 1] >= 0x80,
        _ => false,
    };
    match kind {
        Kind::Bool => text.extend_from_slice(if element[0] == 0 { b"false" } else { b"true" }),
        Kind::Int | Kind::UInt => {
            wide.fill(if negative { 0xff } else { 0 });
            let at = if cfg!(target_endian = "big") { 8 - element.len() } else { 0 };
            wide[at..at + element.len()].copy_from_slice(element);
            let number = if kind == Kind::Int {
                i64::from_ne_bytes(wide).to_string()
            } else {
                u64::from_ne_bytes(wide).to_string()
            };
            text.extend_from_slice(number.as_bytes());
        }
        Kind::FixedText => write_points(element, text),
        _ => text.extend_from_slice(
            float(match element {
                [a, b] => f16::from_ne_bytes([*a, *b]).to_f64(),
                [a, b, c, d] => f32::from_ne_bytes([*a, *b, *c, *d]).into(),
                _ => {
                    wide.copy_from_slice(element);
                    f64::from_ne_bytes(wide)
                }
            })
            .as_bytes(),
        ),
    }
}

/// Returns a number as Python's JSON spells it.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        format!("{number:?}")
    }
}

/// Appends a string without trailing zeros.
fn write_points(element: &[u8], text: &mut Vec<u8>) {
    let points: Vec<u32> = element.as_chunks().0.iter().map(|point| u32::from_ne_bytes(*point)).collect();
    let end = points.iter().rposition(|point| *point != 0).map_or(0, |last| last + 1);
    text.push(b'"');
    for point in &points[..end] {
        match char::from_u32(*point) {
            Some(letter @ ('"' | '\\')) => text.extend_from_slice(&[b'\\', letter as u8]),
            Some(letter) if letter >= ' ' => text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => text.extend_from_slice(format!("\\u{:04x}", point & 0xffff).as_bytes()),
        }
    }
    text.push(b'"');
}
