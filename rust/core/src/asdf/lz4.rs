//! Blocks that LZ4 compressed, in both forms that ASDF files have.
//!
//! What the Python library writes is a sequence of pieces, each
//! `[u32 big-endian: bytes that follow][u32 little-endian: decoded bytes][LZ4 block]`. The other form is
//! [LZ4's own](https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md).

use std::io::{Read, Write};
use std::sync::Mutex;

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use serde::Deserialize;

use crate::codec::{BytesToBytes, Configuration, Pieces, ReadEncoded, Size, TakeEncoded, configure};
use crate::error::{Error, Result};
use crate::runtime::{lock, parallel, parallel_in_order, threads};

/// Pieces of LZ4. Encoded are such of so many decoded bytes.
#[derive(Debug)]
pub(super) struct Lz4Pieces(usize);

/// Decoded bytes of a piece as the Python library writes it, but for the last.
const PIECE: usize = 4 << 20;

/// The most bytes that fit into a block.
const MAX_SIZE: usize = 0x7e00_0000;

impl Default for Lz4Pieces {
    fn default() -> Self {
        Self(PIECE)
    }
}

/// How the Python library calls options of pieces. There is one speed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PiecesOptions {
    compression_block_size: Option<usize>,
    mode: Option<String>,
    #[serde(rename = "acceleration")]
    _acceleration: Option<i64>,
}

impl Lz4Pieces {
    /// Takes options of the Python library.
    pub(super) fn new(options: &Configuration) -> Result<Self> {
        let options: PiecesOptions = configure(options)?;
        if let Some(mode) = options.mode.filter(|mode| mode != "default" && mode != "fast") {
            return Err(Error::unsupported(format!("mode {mode:?}; there are \"default\" and \"fast\"")));
        }
        match options.compression_block_size.unwrap_or(PIECE) {
            size @ 1..=MAX_SIZE => Ok(Self(size)),
            size => Err(Error::metadata(format!("compression_block_size {size} is not in 1 to {MAX_SIZE}"))),
        }
    }
}

/// What a frame begins with: some writers have it behind the label of pieces.
const FRAME: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Bytes of a piece before its block.
const HEAD: usize = 8;

/// How many bytes a head says to follow it, and to how many they decode.
fn head(bytes: [u8; HEAD]) -> Result<(usize, usize)> {
    let [a, b, c, d, e, f, g, h] = bytes;
    let (length, size) = (u32::from_be_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize);
    let length = length.checked_sub(4).ok_or_else(cut)?;
    // A byte of a block stands for 255 at most.
    if size > length.saturating_mul(255) {
        return Err(Error::corrupt(format!("lz4: {length} bytes cannot hold {size}")));
    }
    Ok((length, size))
}

fn cut() -> Error {
    Error::corrupt("lz4: a piece is cut off")
}

/// A piece: its decoded size, and its LZ4 block.
fn pieces(mut encoded: &[u8]) -> Result<Vec<(usize, &[u8])>> {
    let mut pieces = Vec::new();
    while !encoded.is_empty() {
        let (bytes, rest) = encoded.split_first_chunk().ok_or_else(cut)?;
        let (length, size) = head(*bytes)?;
        let (block, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        pieces.push((size, block));
        encoded = rest;
    }
    Ok(pieces)
}

fn decode_block(block: &[u8], decoded: &mut [u8]) -> Result<()> {
    match decompress_into(block, decoded) {
        Ok(size) if size == decoded.len() => Ok(()),
        Ok(size) => Err(Error::corrupt(format!("lz4: decodes to {size} bytes instead of {}", decoded.len()))),
        Err(error) => Err(Error::corrupt(format!("lz4: {error}"))),
    }
}

/// Decodes several blocks at once, each into as many bytes as it says, which are all there are.
fn decode_blocks(blocks: &[(usize, &[u8])], mut decoded: &mut [u8]) -> Result<()> {
    let (size, due) = (blocks.iter().map(|block| block.0).sum::<usize>(), decoded.len());
    if size != due {
        return Err(Error::corrupt(format!("lz4: decodes to {size} bytes instead of {due}")));
    }
    let mut jobs = Vec::with_capacity(blocks.len());
    for (size, block) in blocks {
        let (piece, rest) = std::mem::take(&mut decoded).split_at_mut(*size);
        jobs.push((*block, Mutex::new(piece)));
        decoded = rest;
    }
    let limit = if due > PIECE { threads() } else { 1 };
    parallel(&jobs, limit, |(block, decoded)| decode_block(block, &mut lock(decoded)))
}

/// Encodes one piece.
fn encode_piece(piece: &[u8]) -> Result<Vec<u8>> {
    let mut encoded = vec![0; HEAD + get_maximum_output_size(piece.len())];
    let written = compress_into(piece, &mut encoded[HEAD..]);
    let written = written.map_err(|error| Error::unsupported(format!("cannot encode: {error}")))?;
    encoded[..4].copy_from_slice(&(written as u32 + 4).to_be_bytes());
    encoded[4..HEAD].copy_from_slice(&(piece.len() as u32).to_le_bytes());
    encoded.truncate(HEAD + written);
    Ok(encoded)
}

impl BytesToBytes for Lz4Pieces {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        if encoded.starts_with(&FRAME) {
            return Lz4Frame::default().decode_into(encoded, decoded);
        }
        decode_blocks(&pieces(encoded)?, decoded)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        if encoded.starts_with(&FRAME) {
            return Lz4Frame::default().decode_bounded(encoded, limit, decoded);
        }
        let pieces = pieces(encoded)?;
        let size = pieces.iter().map(|piece| piece.0).sum::<usize>();
        if size > limit {
            return Err(Error::corrupt(format!("lz4: decodes to {size} bytes where at most {limit} belong")));
        }
        let start = decoded.len();
        decoded.resize(start + size, 0);
        decode_blocks(&pieces, &mut decoded[start..])
    }

    fn has_pieces(&self) -> bool {
        true
    }

    fn pieces(&self, encoded_size: u64, decoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
        let mut pieces = Pieces::new(Vec::new());
        let mut at = 0;
        while at < encoded_size {
            let mut bytes = [0; HEAD];
            if encoded_size - at < HEAD as u64 {
                return Err(cut());
            }
            read(at, &mut bytes)?;
            if at == 0 && bytes.starts_with(&FRAME) {
                return Lz4Frame::default().pieces(encoded_size, decoded_size, read);
            }
            let (length, size) = head(bytes)?;
            let start = at + HEAD as u64;
            at = start.checked_add(length as u64).filter(|end| *end <= encoded_size).ok_or_else(cut)?;
            if pieces.decoded_size() + size as u64 > decoded_size {
                break;
            }
            if !pieces.push(start..at, size as u64)? {
                return Ok(None);
            }
        }
        if at != encoded_size || pieces.decoded_size() != decoded_size {
            return Err(Error::corrupt(format!("lz4: does not decode to {decoded_size} bytes")));
        }
        Ok(Some(pieces))
    }

    fn decode_piece(&self, pieces: &Pieces, number: usize, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        if pieces.head().is_empty() {
            return decode_block(encoded, decoded);
        }
        Lz4Frame::default().decode_piece(pieces, number, encoded, decoded)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        for piece in decoded.chunks(self.0) {
            encoded.extend(encode_piece(piece)?);
        }
        Ok(())
    }

    fn encode_to(&self, decoded: &[u8], threads: usize, take: &mut TakeEncoded<'_>) -> Result<()> {
        let pieces: Vec<_> = decoded.chunks(self.0).collect();
        parallel_in_order(&pieces, threads, |piece| encode_piece(piece), take)
    }
}

/// A frame of LZ4. Encoded are such with or without a checksum of all.
#[derive(Debug, Default)]
pub(super) struct Lz4Frame {
    checksum: bool,
}

/// How the Python library calls options of a frame. There is one speed, and one size of blocks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameOptions {
    compression_level: Option<i64>,
    #[serde(default)]
    content_checksum: bool,
}

impl Lz4Frame {
    /// Takes options of the Python library.
    pub(super) fn new(options: &Configuration) -> Result<Self> {
        let options: FrameOptions = configure(options)?;
        // The first levels are one, in LZ4's own library, too.
        if let Some(level) = options.compression_level.filter(|level| *level > 2) {
            return Err(Error::unsupported(format!("compression_level {level}; there are those up to 2")));
        }
        Ok(Self { checksum: options.content_checksum })
    }
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("lz4f: {error}"))
}

/// A block that is stored as it is has this bit in its size.
const PLAIN: u32 = 1 << 31;

impl BytesToBytes for Lz4Frame {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let mut decoder = FrameDecoder::new(encoded);
        decoder.read_exact(decoded).map_err(damaged)?;
        // Only at the end of the frame is its checksum compared.
        match decoder.read(&mut [0]).map_err(damaged)? {
            0 => Ok(()),
            _ => Err(damaged(format_args!("decodes to more than {} bytes", decoded.len()))),
        }
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let size = FrameDecoder::new(encoded).take(limit as u64 + 1).read_to_end(decoded).map_err(damaged)?;
        if size > limit { Err(damaged(format_args!("decodes to more than {limit} bytes"))) } else { Ok(()) }
    }

    fn has_pieces(&self) -> bool {
        true
    }

    /// The blocks, where they do not build on each other. Not of frames with checksums, which only a whole read compares.
    fn pieces(&self, encoded_size: u64, decoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
        const LEAST: u64 = 7;
        let mut start = [0; LEAST as usize];
        if encoded_size < LEAST + 4 {
            return Ok(None);
        }
        read(0, &mut start)?;
        let (flags, sizes) = (start[4], start[5]);
        // Version 1, independent blocks, no checksums, no dictionary; the decoded size may be there.
        let block = match sizes >> 4 & 7 {
            code @ 4..=7 => 1u64 << (8 + 2 * code),
            _ => 0,
        };
        if !start.starts_with(&FRAME) || flags & !0x08 != 0x60 || block == 0 || decoded_size == 0 {
            return Ok(None);
        }
        let mut at = LEAST + if flags & 0x08 == 0 { 0 } else { 8 };
        let mut pieces = Pieces::new(vec![flags]);
        loop {
            let mut size = [0; 4];
            if encoded_size - at < 4 {
                return Ok(None);
            }
            read(at, &mut size)?;
            let size = u32::from_le_bytes(size);
            if size == 0 {
                let complete = at + 4 == encoded_size && pieces.decoded_size() == decoded_size;
                return Ok(complete.then_some(pieces));
            }
            // It is taken for granted that all blocks are full but for the last: else they do not decode.
            let end = at + 4 + u64::from(size & !PLAIN);
            let left = decoded_size - pieces.decoded_size();
            if end > encoded_size || left == 0 || !pieces.push(at..end, block.min(left))? {
                return Ok(None);
            }
            at = end;
        }
    }

    fn decode_piece(&self, _: &Pieces, _: usize, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let (size, block) = encoded.split_first_chunk().ok_or_else(cut)?;
        if u32::from_le_bytes(*size) & PLAIN == 0 {
            return decode_block(block, decoded);
        }
        if block.len() != decoded.len() {
            return Err(damaged(format_args!("{} bytes instead of {}", block.len(), decoded.len())));
        }
        decoded.copy_from_slice(block);
        Ok(())
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let info = FrameInfo::new()
            .block_size(BlockSize::Max4MB)
            .content_size(Some(decoded.len() as u64))
            .content_checksum(self.checksum);
        let mut encoder = FrameEncoder::with_frame_info(info, encoded);
        let done = encoder.write_all(decoded).map_err(|error| error.to_string());
        done.and_then(|()| encoder.finish().map(drop).map_err(|error| error.to_string()))
            .map_err(|error| Error::unsupported(format!("cannot encode: {error}")))
    }
}
