//! How blocks are compressed: labels of four bytes in their headers, and the codecs that they stand for
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/file_layout.html#compression)).
//!
//! `zlib` and `bzp2` are the standard's. `lz4` is what the Python library writes besides: a sequence of pieces, each
//! `[u32 big-endian: bytes that follow][u32 little-endian: decoded bytes][LZ4 block]`. The others come from extensions;
//! `lz4f` is [LZ4's own format](https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md).

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use lz4_flex::frame::{FrameDecoder, FrameEncoder};
use serde_json::json;

use crate::codec::{BytesToBytes, Codec, Named, Size, create};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::runtime::{lock, parallel, threads};

/// The name of a codec of Zarr, and its configuration.
type Configured = (&'static str, fn() -> serde_json::Value);

/// What a label stands for.
enum Kind {
    /// A codec of Zarr.
    Codec(Configured),
    /// Pieces of LZ4.
    Pieces,
    /// A frame of LZ4.
    Frame,
}

/// A label's row.
struct Row {
    label: [u8; 4],
    codec: Kind,
    /// No stream decodes to more than so many times its size: a header that claims more lies.
    ratio: u64,
}

const TABLE: &[Row] = &[
    Row { label: *b"zlib", codec: Kind::Codec(("zlib", || json!({"level": 6}))), ratio: 1032 },
    Row { label: *b"bzp2", codec: Kind::Codec(("bz2", || json!({"level": 9}))), ratio: 1_200_000 },
    Row { label: *b"lz4\0", codec: Kind::Pieces, ratio: 255 },
    Row { label: *b"lz4f", codec: Kind::Frame, ratio: 255 },
    Row { label: *b"zstd", codec: Kind::Codec(("zstd", || json!({"level": 3, "checksum": false}))), ratio: 1 << 17 },
    Row {
        label: *b"blsc",
        codec: Kind::Codec((
            "blosc",
            || json!({"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 8, "blocksize": 0}),
        )),
        ratio: 1 << 17,
    },
];

/// How a person would write a label.
pub(super) fn show(label: [u8; 4]) -> String {
    String::from_utf8_lossy(&label).trim_end_matches('\0').to_owned()
}

/// A label out of its name, as it stands in a header.
pub fn compression_label(name: &str) -> Result<[u8; 4]> {
    TABLE.iter().map(|row| row.label).find(|label| show(*label) == name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    let names = compression_labels().join(", ");
    Error::unsupported(format!("unknown compression {name:?} of a block; there are {names}"))
}

fn find(label: [u8; 4]) -> Result<&'static Row> {
    TABLE.iter().find(|row| row.label == label).ok_or_else(|| unknown(&show(label)))
}

impl Row {
    fn stage(&self) -> Result<Arc<dyn BytesToBytes>> {
        let (name, configuration) = match self.codec {
            Kind::Codec(codec) => codec,
            Kind::Pieces => return Ok(Arc::new(Pieces)),
            Kind::Frame => return Ok(Arc::new(Frame)),
        };
        let configuration = configuration().as_object().cloned().unwrap_or_default();
        match create(&Named { name: name.to_owned(), configuration }, &DataType::from_name("uint8")?)? {
            Codec::BytesToBytes(stage) => Ok(stage),
            _ => Err(Error::unsupported(format!("{name} does not turn bytes into bytes"))),
        }
    }
}

/// What decodes a block with this label, `used` bytes of which are to become `data_size`.
pub(super) fn decoder(label: [u8; 4], used: u64, data_size: u64) -> Result<Arc<dyn BytesToBytes>> {
    let row = find(label)?;
    if data_size > used.saturating_add(64).saturating_mul(row.ratio) {
        let name = show(label);
        return Err(Error::corrupt(format!("{name}: {used} bytes cannot hold the {data_size} that the header claims")));
    }
    row.stage()
}

/// Encodes the data of a block.
pub fn compress(label: [u8; 4], data: &[u8]) -> Result<Vec<u8>> {
    let mut encoded = Vec::new();
    find(label)?.stage()?.encode(data, &mut encoded).place(|| show(label))?;
    Ok(encoded)
}

/// Decodes the data of a block, which are to become `size` bytes.
pub fn decompress(label: [u8; 4], encoded: &[u8], size: u64) -> Result<Vec<u8>> {
    let stage = decoder(label, encoded.len() as u64, size)?;
    let mut decoded = crate::view::zeroed(crate::buffer::to_usize(size)?)?;
    stage.decode_into(encoded, &mut decoded).place(|| show(label))?;
    Ok(decoded)
}

/// The names of all labels.
pub fn compression_labels() -> Vec<String> {
    TABLE.iter().map(|row| show(row.label)).collect()
}

/// Pieces of LZ4.
#[derive(Debug)]
struct Pieces;

/// Decoded bytes of a piece, but for the last.
const PIECE: usize = 4 << 20;

/// What a frame begins with: some writers have it behind the label of pieces.
const FRAME: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// A piece: its decoded size, and its LZ4 block.
fn pieces(mut encoded: &[u8]) -> Result<Vec<(usize, &[u8])>> {
    let mut pieces = Vec::new();
    while !encoded.is_empty() {
        let cut = || Error::corrupt("lz4: a piece is cut off");
        let (length, rest) = encoded.split_first_chunk().ok_or_else(cut)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (piece, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        let (size, block) = piece.split_first_chunk().ok_or_else(cut)?;
        let size = u32::from_le_bytes(*size) as usize;
        // A byte of a block stands for 255 at most.
        if size > block.len().saturating_mul(255) {
            return Err(Error::corrupt(format!("lz4: {} bytes cannot hold {size}", block.len())));
        }
        pieces.push((size, block));
        encoded = rest;
    }
    Ok(pieces)
}

fn decode_piece(block: &[u8], decoded: &mut [u8]) -> Result<()> {
    match decompress_into(block, decoded) {
        Ok(size) if size == decoded.len() => Ok(()),
        Ok(size) => Err(Error::corrupt(format!("lz4: decodes to {size} bytes instead of {}", decoded.len()))),
        Err(error) => Err(Error::corrupt(format!("lz4: {error}"))),
    }
}

impl BytesToBytes for Pieces {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], mut decoded: &mut [u8]) -> Result<()> {
        if encoded.starts_with(&FRAME) {
            return Frame.decode_into(encoded, decoded);
        }
        let pieces = pieces(encoded)?;
        let (size, due) = (pieces.iter().map(|piece| piece.0).sum::<usize>(), decoded.len());
        if size != due {
            return Err(Error::corrupt(format!("lz4: decodes to {size} bytes instead of {due}")));
        }
        let mut jobs = Vec::with_capacity(pieces.len());
        for (size, block) in pieces {
            let (piece, rest) = std::mem::take(&mut decoded).split_at_mut(size);
            jobs.push((block, Mutex::new(piece)));
            decoded = rest;
        }
        let limit = if due > PIECE { threads() } else { 1 };
        parallel(&jobs, limit, |(block, decoded)| decode_piece(block, &mut lock(decoded)))
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        if encoded.starts_with(&FRAME) {
            return Frame.decode_bounded(encoded, limit, decoded);
        }
        let size = pieces(encoded)?.iter().map(|piece| piece.0).sum::<usize>();
        if size > limit {
            return Err(Error::corrupt(format!("lz4: decodes to {size} bytes where at most {limit} belong")));
        }
        let start = decoded.len();
        decoded.resize(start + size, 0);
        self.decode_into(encoded, &mut decoded[start..])
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        for piece in decoded.chunks(PIECE) {
            let start = encoded.len();
            encoded.resize(start + 8 + get_maximum_output_size(piece.len()), 0);
            let written = compress_into(piece, &mut encoded[start + 8..]);
            let written = written.map_err(|error| Error::unsupported(format!("cannot encode: {error}")))?;
            encoded[start..start + 4].copy_from_slice(&(written as u32 + 4).to_be_bytes());
            encoded[start + 4..start + 8].copy_from_slice(&(piece.len() as u32).to_le_bytes());
            encoded.truncate(start + 8 + written);
        }
        Ok(())
    }
}

/// A frame of LZ4.
#[derive(Debug)]
struct Frame;

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("lz4f: {error}"))
}

impl BytesToBytes for Frame {
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

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let mut encoder = FrameEncoder::new(encoded);
        let done = encoder.write_all(decoded).map_err(|error| error.to_string());
        done.and_then(|()| encoder.finish().map(drop).map_err(|error| error.to_string()))
            .map_err(|error| Error::unsupported(format!("cannot encode: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn every_label_decodes_what_it_encodes() {
        let data: Vec<u8> = (0..9_000_000u32).flat_map(|i| (i / 1000).to_le_bytes()).take(9_000_001).collect();
        for row in TABLE {
            for data in [&data[..], &data[..1000], &[]] {
                let name = show(row.label);
                let encoded = compress(compression_label(&name).unwrap(), data).unwrap();
                let stage = decoder(row.label, encoded.len() as u64, data.len() as u64).unwrap();
                let mut decoded = vec![1; data.len()];
                stage.decode_into(&encoded, &mut decoded).unwrap();
                assert!(decoded == data, "{name}");
                if data.is_empty() {
                    continue;
                }
                assert!(stage.decode_into(&encoded, &mut decoded[1..]).is_err(), "{name}: longer than it should be");
                decoded.push(0);
                assert!(stage.decode_into(&encoded, &mut decoded).is_err(), "{name}: shorter than it should be");
                assert!(decoder(row.label, encoded.len() as u64, u64::MAX).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn damaged_pieces_are_errors() {
        let data = b"some text, some text, some text, some text".repeat(10);
        let encoded = compress(*b"lz4\0", &data).unwrap();
        let mut decoded = vec![0; data.len()];
        for length in 0..encoded.len() {
            assert!(Pieces.decode_into(&encoded[..length], &mut decoded).is_err(), "{length}");
        }
        for at in 0..8 {
            let mut lie = encoded.clone();
            lie[at] ^= 0x41;
            assert_eq!(Pieces.decode_into(&lie, &mut decoded).unwrap_err().kind(), ErrorKind::CorruptData);
        }
        let frame = compress(*b"lz4f", &data).unwrap();
        Pieces.decode_into(&frame, &mut decoded).unwrap();
        assert_eq!(decoded, data);
        for length in 0..frame.len() - 4 {
            assert!(Frame.decode_into(&frame[..length], &mut decoded).is_err(), "{length}");
        }
        assert_eq!(find(*b"what").err().unwrap().kind(), ErrorKind::Unsupported);
    }
}
