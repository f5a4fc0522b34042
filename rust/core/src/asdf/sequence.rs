//! Sequences: data cut into pieces that are compressed one by one, each after its length as a big-endian `u32`.
//!
//! | label | a piece | written by |
//! |---|---|---|
//! | `lz4` | the codec `lz4`: decoded size as a little-endian `u32`, LZ4 block | the Python library |
//! | `blsc` | a buffer of `blosc`; some writers leave out the lengths | [abacusutils](https://abacusutils.readthedocs.io) |
//!
//! Data under these labels may also be a single stream: an LZ4 frame or one buffer of `blosc`.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::lz4_frame;
use crate::buffer::to_usize;
use crate::codec::{BytesToBytes, Pieces, ReadEncoded, Size, TakeEncoded};
use crate::error::{Error, Result};
use crate::runtime::{lock, parallel, parallel_in_order, threads};

/// What the pieces of a sequence are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    Lz4,
    Blosc,
}

/// A codec of sequences.
#[derive(Debug)]
pub(super) struct Sequence {
    format: Format,
    /// Codec of a piece.
    piece: Arc<dyn BytesToBytes>,
    /// Codec of data that are a single stream.
    stream: Arc<dyn BytesToBytes>,
    /// Decoded size of each piece but the last when encoding; `None` encodes a single stream.
    piece_size: Option<usize>,
}

/// Size of the length before a piece, in bytes.
const LENGTH: usize = 4;

/// Size of the header of a `blosc` buffer, in bytes.
const BLOSC_HEADER: usize = 16;

/// Decoded size below which one thread decodes all pieces.
const SMALL: usize = 4 << 20;

/// Encoded range and decoded size of a piece.
type Located = (Range<u64>, u64);

impl Format {
    fn truncated(self) -> Error {
        Error::corrupt(format!("{self}: a piece is truncated"))
    }

    /// Locates the piece at `offset`, which may decode to at most `limit` bytes; `None` for a single stream.
    fn locate(self, offset: u64, size: u64, limit: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Located>> {
        let mut bytes = [0; LENGTH + BLOSC_HEADER];
        let available = (size - offset).min(bytes.len() as u64) as usize;
        read(offset, &mut bytes[..available])?;
        let field = |at: usize| std::array::from_fn(|byte| bytes[at + byte]);
        let length = u32::from_be_bytes(field(0));
        let little = |at| u64::from(u32::from_le_bytes(field(at)));
        let (encoded, decoded) = match self {
            Self::Lz4 if offset == 0 && bytes.starts_with(&lz4_frame::MAGIC) => return Ok(None),
            Self::Lz4 => {
                let block = length.checked_sub(4).filter(|_| available >= 8).ok_or_else(|| self.truncated())?;
                let (block, decoded) = (u64::from(block), little(4));
                // A byte of a block decodes to at most 255.
                if decoded > block * 255 {
                    return Err(Error::corrupt(format!("lz4: a block of {block} bytes cannot decode to {decoded}")));
                }
                (offset + LENGTH as u64..offset + 8 + block, decoded)
            }
            Self::Blosc => {
                let has_length = available == bytes.len() && bytes[4] == 2 && little(16) == u64::from(length);
                let header = if has_length { LENGTH } else { 0 };
                if available < header + BLOSC_HEADER {
                    return Err(self.truncated());
                }
                let (start, decoded) = (offset + header as u64, little(header + 4));
                let encoded = start..start + little(header + 12).max(BLOSC_HEADER as u64);
                if start == 0 && (decoded >= limit || encoded.end == size) {
                    return Ok(None);
                }
                if decoded == 0 {
                    return Err(Error::corrupt("blosc: a piece of a sequence decodes to no bytes"));
                }
                (encoded, decoded)
            }
        };
        if encoded.end > size {
            return Err(self.truncated());
        }
        if decoded > limit {
            return Err(Error::corrupt(format!(
                "{self}: a piece decodes to {decoded} bytes, expected at most {limit}"
            )));
        }
        Ok(Some((encoded, decoded)))
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lz4 => "lz4",
            Self::Blosc => "blosc",
        })
    }
}

/// Reads from bytes in memory.
fn read_from(format: Format, encoded: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<()> + '_ {
    move |offset, into| {
        let bytes = usize::try_from(offset).ok().and_then(|start| encoded.get(start..)?.get(..into.len()));
        into.copy_from_slice(bytes.ok_or_else(|| format.truncated())?);
        Ok(())
    }
}

impl Sequence {
    pub(super) fn new(
        format: Format,
        piece: Arc<dyn BytesToBytes>,
        stream: Arc<dyn BytesToBytes>,
        piece_size: Option<usize>,
    ) -> Self {
        Self { format, piece, stream, piece_size }
    }

    /// Locates all pieces, which decode to at most `limit` bytes; `None` for a single stream.
    fn locate_all(&self, encoded: &[u8], limit: usize) -> Result<Option<Vec<Located>>> {
        let mut read = read_from(self.format, encoded);
        let (mut pieces, mut offset, mut left) = (Vec::new(), 0, limit as u64);
        while offset < encoded.len() as u64 {
            let piece = self.format.locate(offset, encoded.len() as u64, left, &mut read)?;
            let Some((range, decoded)) = piece else { return Ok(None) };
            (offset, left) = (range.end, left - decoded);
            pieces.push((range, decoded));
        }
        Ok(Some(pieces))
    }

    fn check_size(&self, size: u64, expected: u64) -> Result<()> {
        if size == expected {
            return Ok(());
        }
        Err(Error::corrupt(format!("{}: decodes to {size} bytes, expected {expected}", self.format)))
    }

    fn decode_all(&self, pieces: &[Located], encoded: &[u8], mut decoded: &mut [u8]) -> Result<()> {
        self.check_size(pieces.iter().map(|piece| piece.1).sum(), decoded.len() as u64)?;
        let limit = if decoded.len() > SMALL { threads() } else { 1 };
        let mut jobs = Vec::with_capacity(pieces.len());
        for (range, size) in pieces {
            let (target, rest) = std::mem::take(&mut decoded).split_at_mut(to_usize(*size)?);
            let bytes = encoded.get(to_usize(range.start)?..to_usize(range.end)?);
            jobs.push((bytes.ok_or_else(|| self.format.truncated())?, Mutex::new(target)));
            decoded = rest;
        }
        parallel(&jobs, limit, |(bytes, target)| self.piece.decode_into(bytes, &mut lock(target)))
    }
}

impl BytesToBytes for Sequence {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        match self.locate_all(encoded, decoded.len())? {
            Some(pieces) => self.decode_all(&pieces, encoded, decoded),
            None => self.stream.decode_into(encoded, decoded),
        }
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let Some(pieces) = self.locate_all(encoded, limit)? else {
            return self.stream.decode_bounded(encoded, limit, decoded);
        };
        let start = decoded.len();
        decoded.resize(start + to_usize(pieces.iter().map(|piece| piece.1).sum())?, 0);
        self.decode_all(&pieces, encoded, &mut decoded[start..])
    }

    fn has_pieces(&self) -> bool {
        true
    }

    /// Returns the pieces of the sequence, or those of the single stream.
    fn pieces(&self, encoded_size: u64, decoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
        let (mut pieces, mut offset) = (Pieces::new(Vec::new()), 0);
        while offset < encoded_size {
            let left = decoded_size - pieces.decoded_size();
            let Some((range, decoded)) = self.format.locate(offset, encoded_size, left, read)? else {
                return self.stream.pieces(encoded_size, decoded_size, read);
            };
            offset = range.end;
            if !pieces.push(range, decoded)? {
                return Ok(None);
            }
        }
        self.check_size(pieces.decoded_size(), decoded_size)?;
        Ok(Some(pieces))
    }

    fn decode_piece(&self, pieces: &Pieces, number: usize, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        // Only the pieces of a single stream depend on its head.
        if pieces.head().is_empty() {
            return self.piece.decode_into(encoded, decoded);
        }
        self.stream.decode_piece(pieces, number, encoded, decoded)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        self.encode_to(decoded, 1, &mut |part| {
            encoded.extend(part);
            Ok(())
        })
    }

    fn encode_to(&self, decoded: &[u8], threads: usize, take: &mut TakeEncoded<'_>) -> Result<()> {
        let Some(size) = self.piece_size else { return self.stream.encode_to(decoded, threads, take) };
        let pieces: Vec<_> = decoded.chunks(size).collect();
        let encode = |piece: &&[u8]| {
            let mut encoded = vec![0; LENGTH];
            self.piece.encode(piece, &mut encoded)?;
            let length = (encoded.len() - LENGTH) as u32;
            encoded[..LENGTH].copy_from_slice(&length.to_be_bytes());
            Ok(encoded)
        };
        parallel_in_order(&pieces, threads, encode, take)
    }
}
