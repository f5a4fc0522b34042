//! Blocks of several buffers of `blosc` one after the other, each of them alone or behind its length as a big-endian
//! number of four bytes, which is how [abacusutils](https://abacusutils.readthedocs.io) writes them. Nearly all other
//! writers put everything into one buffer.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::buffer::to_usize;
use crate::codec::{BytesToBytes, Pieces, ReadEncoded, Size, TakeEncoded};
use crate::error::{Error, Result};
use crate::runtime::{lock, parallel, parallel_in_order, threads};

/// Buffers that a codec decodes. Encoded is one, or, of so many decoded bytes each, several behind their lengths.
#[derive(Debug)]
pub(super) struct Buffers {
    codec: Arc<dyn BytesToBytes>,
    size: Option<usize>,
}

/// Bytes of a buffer's header.
const HEADER: u64 = 16;

/// Bytes of a length.
const LENGTH: u64 = 4;

/// Where a buffer lies, and to how many bytes it decodes.
type Found = (Range<u64>, u64);

fn cut() -> Error {
    Error::corrupt("blosc: a buffer is cut off")
}

/// The buffer at a byte, with or without its length before it.
fn find(at: u64, encoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<Found> {
    let left = encoded_size.saturating_sub(at);
    if left < HEADER {
        return Err(cut());
    }
    let mut bytes = [0; (LENGTH + HEADER) as usize];
    let there = left.min(LENGTH + HEADER) as usize;
    read(at, &mut bytes[..there])?;
    let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    let length = u32::from_be_bytes(std::array::from_fn(|byte| bytes[byte]));
    let counted = there == bytes.len() && bytes[4] == 2 && number(16) == length;
    let (start, head) = if counted { (at + LENGTH, LENGTH as usize) } else { (at, 0) };
    let (decoded, encoded) = (u64::from(number(head + 4)), u64::from(number(head + 12)));
    let end = start.checked_add(encoded.max(HEADER)).filter(|end| *end <= encoded_size).ok_or_else(cut)?;
    Ok((start..end, decoded))
}

/// All buffers, which decode to at most so many bytes; `None`: there is one, without its length.
fn list(encoded_size: u64, limit: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Vec<Found>>> {
    let (mut found, mut at, mut size) = (Vec::new(), 0, 0u64);
    while at < encoded_size {
        let (range, decoded) = find(at, encoded_size, read)?;
        // What is behind a buffer that is all never counted.
        if at == 0 && range.start == 0 && (decoded >= limit || range.end == encoded_size) {
            return Ok(None);
        }
        at = range.end;
        size = size.saturating_add(decoded);
        if size > limit || decoded == 0 {
            return Err(Error::corrupt(format!("blosc: buffers of {size} bytes where at most {limit} belong")));
        }
        found.push((range, decoded));
    }
    Ok(Some(found))
}

/// Reads out of bytes that are there.
fn read_from(encoded: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<()> + '_ {
    |offset, into| {
        let bytes = usize::try_from(offset).ok().and_then(|start| encoded.get(start..)?.get(..into.len()));
        into.copy_from_slice(bytes.ok_or_else(cut)?);
        Ok(())
    }
}

fn due(found: &[Found], size: u64) -> Result<()> {
    let there = found.iter().map(|buffer| buffer.1).sum::<u64>();
    if there == size {
        return Ok(());
    }
    Err(Error::corrupt(format!("blosc: buffers of {there} bytes instead of {size}")))
}

impl Buffers {
    /// Buffers of a codec; encoded are such of a size, if there is one.
    pub(super) fn new(codec: Arc<dyn BytesToBytes>, size: Option<usize>) -> Self {
        Self { codec, size }
    }

    fn decode_all(&self, found: &[Found], encoded: &[u8], mut decoded: &mut [u8]) -> Result<()> {
        due(found, decoded.len() as u64)?;
        let mut jobs = Vec::with_capacity(found.len());
        for (range, size) in found {
            let (target, rest) = std::mem::take(&mut decoded).split_at_mut(to_usize(*size)?);
            let bytes = encoded.get(to_usize(range.start)?..to_usize(range.end)?).ok_or_else(cut)?;
            jobs.push((bytes, Mutex::new(target)));
            decoded = rest;
        }
        parallel(&jobs, threads(), |(bytes, target)| self.codec.decode_into(bytes, &mut lock(target)))
    }
}

impl BytesToBytes for Buffers {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        match list(encoded.len() as u64, decoded.len() as u64, &mut read_from(encoded))? {
            Some(found) => self.decode_all(&found, encoded, decoded),
            None => self.codec.decode_into(encoded, decoded),
        }
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let Some(found) = list(encoded.len() as u64, limit as u64, &mut read_from(encoded))? else {
            return self.codec.decode_bounded(encoded, limit, decoded);
        };
        let start = decoded.len();
        decoded.resize(start + to_usize(found.iter().map(|buffer| buffer.1).sum())?, 0);
        self.decode_all(&found, encoded, &mut decoded[start..])
    }

    fn has_pieces(&self) -> bool {
        true
    }

    /// The blocks of one buffer, or several buffers.
    fn pieces(&self, encoded_size: u64, decoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
        let Some(found) = list(encoded_size, decoded_size, read)? else {
            return self.codec.pieces(encoded_size, decoded_size, read);
        };
        due(&found, decoded_size)?;
        let mut pieces = Pieces::new(Vec::new());
        for (range, size) in found {
            if !pieces.push(range, size)? {
                return Ok(None);
            }
        }
        Ok(Some(pieces))
    }

    fn decode_piece(&self, pieces: &Pieces, number: usize, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        // Blocks of one buffer need to know its header.
        if pieces.head().is_empty() {
            return self.codec.decode_into(encoded, decoded);
        }
        self.codec.decode_piece(pieces, number, encoded, decoded)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        self.encode_to(decoded, 1, &mut |part| {
            encoded.extend(part);
            Ok(())
        })
    }

    fn encode_to(&self, decoded: &[u8], threads: usize, take: &mut TakeEncoded<'_>) -> Result<()> {
        let Some(size) = self.size else { return self.codec.encode_to(decoded, threads, take) };
        let buffers: Vec<_> = decoded.chunks(size).collect();
        let encode = |buffer: &&[u8]| {
            let mut encoded = vec![0; LENGTH as usize];
            self.codec.encode(buffer, &mut encoded)?;
            let length = (encoded.len() - LENGTH as usize) as u32;
            encoded[..LENGTH as usize].copy_from_slice(&length.to_be_bytes());
            Ok(encoded)
        };
        parallel_in_order(&buffers, threads, encode, take)
    }
}
