//! `lz4f`: a frame in [LZ4's own format](https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md), by `lz4_flex`.

use std::io::{Read, Write};

use lz4_flex::block::decompress_into;
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use serde::Deserialize;

use crate::codec::{BytesToBytes, Configuration, Pieces, ReadEncoded, Size, configure};
use crate::error::{Error, Result};

/// First bytes of a frame.
pub(super) const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Bit of a block's size that marks a block stored without compression.
const STORED: u32 = 1 << 31;

/// The codec of frames.
#[derive(Debug, Default)]
pub(super) struct Lz4Frame {
    /// Whether encoded frames have a checksum of the data.
    checksum: bool,
}

/// The Python library's options of a frame. `lz4_flex` has one speed; blocks are 4 MiB.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameOptions {
    compression_level: Option<i64>,
    #[serde(default)]
    content_checksum: bool,
}

impl Lz4Frame {
    /// Creates the codec from the Python library's options.
    pub(super) fn new(options: &Configuration) -> Result<Self> {
        let options: FrameOptions = configure(options)?;
        // In LZ4's own library, too, levels up to 2 are the same.
        if let Some(level) = options.compression_level.filter(|level| *level > 2) {
            return Err(Error::unsupported(format!("compression_level {level} is not available; use 2 or less")));
        }
        Ok(Self { checksum: options.content_checksum })
    }
}

fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("lz4f: {error}"))
}

impl BytesToBytes for Lz4Frame {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let mut decoder = FrameDecoder::new(encoded);
        decoder.read_exact(decoded).map_err(corrupt)?;
        // The checksum is compared only at the end of the frame.
        match decoder.read(&mut [0]).map_err(corrupt)? {
            0 => Ok(()),
            _ => Err(corrupt(format_args!("decodes to more than {} bytes", decoded.len()))),
        }
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let size = FrameDecoder::new(encoded).take(limit as u64 + 1).read_to_end(decoded).map_err(corrupt)?;
        if size > limit { Err(corrupt(format_args!("decodes to more than {limit} bytes"))) } else { Ok(()) }
    }

    fn has_pieces(&self) -> bool {
        true
    }

    /// Returns the blocks of a frame whose blocks are independent and have no checksums, which only a whole read verifies.
    fn pieces(&self, encoded_size: u64, decoded_size: u64, read: &mut ReadEncoded<'_>) -> Result<Option<Pieces>> {
        const HEADER: u64 = 7;
        let mut header = [0; HEADER as usize];
        if encoded_size < HEADER + 4 {
            return Ok(None);
        }
        read(0, &mut header)?;
        let (flags, sizes) = (header[4], header[5]);
        // Version 1, independent blocks, no checksums, no dictionary; the decoded size is optional.
        let block = match sizes >> 4 & 7 {
            code @ 4..=7 => 1u64 << (8 + 2 * code),
            _ => 0,
        };
        if !header.starts_with(&MAGIC) || flags & !0x08 != 0x60 || block == 0 || decoded_size == 0 {
            return Ok(None);
        }
        let mut offset = HEADER + if flags & 0x08 == 0 { 0 } else { 8 };
        let mut pieces = Pieces::new(vec![flags]);
        loop {
            let mut size = [0; 4];
            if encoded_size < offset + 4 {
                return Ok(None);
            }
            read(offset, &mut size)?;
            let size = u32::from_le_bytes(size);
            if size == 0 {
                let complete = offset + 4 == encoded_size && pieces.decoded_size() == decoded_size;
                return Ok(complete.then_some(pieces));
            }
            // Assumes that all blocks but the last are full; decoding fails otherwise.
            let end = offset + 4 + u64::from(size & !STORED);
            let left = decoded_size - pieces.decoded_size();
            if end > encoded_size || left == 0 || !pieces.push(offset..end, block.min(left))? {
                return Ok(None);
            }
            offset = end;
        }
    }

    fn decode_piece(&self, _: &Pieces, _: usize, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let (size, block) = encoded.split_first_chunk().ok_or_else(|| corrupt("a block is truncated"))?;
        let written = if u32::from_le_bytes(*size) & STORED == 0 {
            decompress_into(block, decoded).map_err(corrupt)?
        } else {
            let stored = block.len().min(decoded.len());
            decoded[..stored].copy_from_slice(&block[..stored]);
            block.len()
        };
        if written == decoded.len() {
            return Ok(());
        }
        Err(corrupt(format_args!("a block decodes to {written} bytes, expected {}", decoded.len())))
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let info = FrameInfo::new()
            .block_size(BlockSize::Max4MB)
            .content_size(Some(decoded.len() as u64))
            .content_checksum(self.checksum);
        let mut encoder = FrameEncoder::with_frame_info(info, encoded);
        let done = encoder.write_all(decoded).map_err(|error| error.to_string());
        done.and_then(|()| encoder.finish().map(drop).map_err(|error| error.to_string()))
            .map_err(|error| Error::unsupported(format!("lz4f: cannot encode: {error}")))
    }
}
