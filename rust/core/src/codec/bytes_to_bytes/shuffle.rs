//! `shuffle`: the first bytes of all elements, then their second bytes, and so on, which compress better.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/filter/shuffle.html>
//!
//! ```json
//! {"name": "shuffle", "configuration": {"elementsize": 4}}
//! ```
//!
//! `elementsize` defaults to the item size. Bytes after the last whole element are copied, as in HDF5; numcodecs
//! refuses them.

use std::sync::Arc;

use serde::Deserialize;

use super::sizes::{check_limit, check_size};
use crate::codec::append::append;
use crate::codec::{BytesToBytes, Codec, Configuration, Size, configure};
use crate::data_type::DataType;
use crate::error::Result;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShuffleConfiguration {
    #[serde(alias = "element_size")]
    elementsize: Option<i64>,
}

#[derive(Debug)]
struct Shuffle {
    element: usize,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let element = match configure::<ShuffleConfiguration>(configuration)?.elementsize {
        None => data_type.size(),
        // As in numcodecs, nothing is shuffled.
        Some(..=1) => 1,
        Some(size) => usize::try_from(size).unwrap_or(usize::MAX),
    };
    Ok(Codec::BytesToBytes(Arc::new(Shuffle { element })))
}

/// Shuffles bytes into `to`, which has the same size. Copies the bytes after the last whole element.
pub(super) fn shuffle(element: usize, from: &[u8], to: &mut [u8]) {
    let (elements, rest) = from.split_at(from.len() / element * element);
    let (to, to_rest) = to.split_at_mut(elements.len());
    to_rest.copy_from_slice(rest);
    let planes = to.chunks_exact_mut((elements.len() / element).max(1));
    match element {
        1 => to.copy_from_slice(elements),
        2 => shuffle_sized::<2>(elements, planes),
        4 => shuffle_sized::<4>(elements, planes),
        8 => shuffle_sized::<8>(elements, planes),
        _ => {
            for (at, plane) in planes.enumerate() {
                plane.iter_mut().zip(elements[at..].iter().step_by(element)).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// Undoes [`shuffle`].
pub(super) fn unshuffle(element: usize, from: &[u8], to: &mut [u8]) {
    let (planes, rest) = from.split_at(from.len() / element * element);
    let (to, to_rest) = to.split_at_mut(planes.len());
    to_rest.copy_from_slice(rest);
    let planes = planes.chunks_exact((planes.len() / element).max(1));
    match element {
        1 => to.copy_from_slice(&from[..to.len()]),
        2 => unshuffle_sized::<2>(planes, to),
        4 => unshuffle_sized::<4>(planes, to),
        8 => unshuffle_sized::<8>(planes, to),
        _ => {
            for (at, plane) in planes.enumerate() {
                to[at..].iter_mut().step_by(element).zip(plane).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// Shuffles elements of constant size, for which the compiler generates faster code.
fn shuffle_sized<'a, const SIZE: usize>(elements: &[u8], planes: impl Iterator<Item = &'a mut [u8]>) {
    for (at, plane) in planes.enumerate() {
        plane.iter_mut().zip(elements.as_chunks::<SIZE>().0).for_each(|(to, element)| *to = element[at]);
    }
}

fn unshuffle_sized<'a, const SIZE: usize>(mut planes: impl Iterator<Item = &'a [u8]>, to: &mut [u8]) {
    let elements = to.as_chunks_mut::<SIZE>().0;
    let planes: [&[u8]; SIZE] =
        std::array::from_fn(|_| planes.next().map_or(&[][..], |plane| &plane[..elements.len()]));
    for (index, element) in elements.iter_mut().enumerate() {
        *element = std::array::from_fn(|at| planes[at][index]);
    }
}

impl BytesToBytes for Shuffle {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        check_size("shuffle", encoded.len(), decoded.len())?;
        unshuffle(self.element, encoded, decoded);
        Ok(())
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let size = encoded.len();
        check_limit("shuffle", size, limit)?;
        append(decoded, size, |slice| {
            unshuffle(self.element, encoded, slice);
            Ok(size)
        })?;
        Ok(())
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        append(encoded, decoded.len(), |slice| {
            shuffle(self.element, decoded, slice);
            Ok(decoded.len())
        })?;
        Ok(())
    }
}
