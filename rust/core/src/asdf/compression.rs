//! Compression of blocks: the four-byte labels in their headers, and the codecs that they name
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/file_layout.html#compression)).
//!
//! `zlib` and `bzp2` are the standard's, `lz4` is the Python library's, the others come from extensions and other
//! libraries.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::lz4_frame::Lz4Frame;
use super::sequence::{Format, Sequence};
use crate::codec::{Blosc2, BytesToBytes, Codec, Named, TakeEncoded, create};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::runtime::threads;

/// A label's row.
struct Row {
    label: [u8; 4],
    codec: RowCodec,
    /// Upper bound of decoded bytes per encoded byte; a header that claims more is corrupt.
    ratio: u64,
}

enum RowCodec {
    /// A codec of Zarr: its name, default configuration, and the Python libraries' names of its options.
    Zarr(&'static str, fn() -> Value, &'static [(&'static str, &'static str)]),
    Lz4Frame,
}

/// The Python libraries' names of the options of `blosc`.
const BLOSC_OPTIONS: &[(&str, &str)] = &[
    ("typesize", "typesize"),
    ("clevel", "clevel"),
    ("cname", "cname"),
    ("codec", "cname"),
    ("shuffle", "shuffle"),
    ("filter", "shuffle"),
    ("blocksize", "blocksize"),
    ("blosc_block_size", "blocksize"),
];

fn blosc_defaults() -> Value {
    json!({"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 8, "blocksize": 0})
}

const LZ4: [u8; 4] = *b"lz4\0";
const BLOSC: [u8; 4] = *b"blsc";
const BLOSC2: [u8; 4] = *b"bls2";

const TABLE: &[Row] = &[
    Row { label: *b"zlib", codec: RowCodec::Zarr("zlib", || json!({"level": 6}), &[("level", "level")]), ratio: 1032 },
    Row {
        label: *b"bzp2",
        codec: RowCodec::Zarr("bz2", || json!({"level": 9}), &[("compresslevel", "level"), ("level", "level")]),
        ratio: 1_200_000,
    },
    Row {
        label: LZ4,
        codec: RowCodec::Zarr("lz4", || json!({"acceleration": 1}), &[("acceleration", "acceleration")]),
        ratio: 255,
    },
    Row { label: *b"lz4f", codec: RowCodec::Lz4Frame, ratio: 255 },
    Row {
        label: *b"zstd",
        codec: RowCodec::Zarr("zstd", || json!({"level": 3, "checksum": false}), &[("level", "level")]),
        ratio: 1 << 17,
    },
    Row {
        label: *b"xz\0\0",
        codec: RowCodec::Zarr("lzma", || json!({"format": 1, "check": 4}), &[("preset", "preset"), ("check", "check")]),
        ratio: 1 << 13,
    },
    Row { label: BLOSC, codec: RowCodec::Zarr("blosc", blosc_defaults, BLOSC_OPTIONS), ratio: 1 << 17 },
    // A chunk of one repeated value takes 32 bytes.
    Row { label: BLOSC2, codec: RowCodec::Zarr("blosc", blosc_defaults, BLOSC_OPTIONS), ratio: 1 << 26 },
];

/// The Python libraries' option of the decoded size of each piece of a [`Sequence`].
const PIECE_SIZE: &str = "compression_block_size";

/// The Python library's default for `lz4`.
const LZ4_PIECE_SIZE: usize = 4 << 20;

/// The largest block of LZ4.
const LZ4_MAX_SIZE: u64 = 0x7e00_0000;

/// The Python libraries' options of the number of threads; -1 means all.
const THREADS: [&str; 2] = ["threads", "nthreads"];

/// Compression of new blocks: a label and a configured codec.
#[derive(Clone, Debug)]
pub struct Compression {
    label: [u8; 4],
    codec: Arc<dyn BytesToBytes>,
    threads: usize,
}

impl Compression {
    /// Configures the compression `name` with options under the Python libraries' names.
    pub fn new(name: &str, options: &Map<String, Value>) -> Result<Self> {
        let mut options = options.clone();
        let mut limit = 0;
        for option in THREADS {
            if let Some(value) = options.shift_remove(option) {
                let number = value.as_i64();
                let number = number.ok_or_else(|| Error::metadata(format!("{option} {value} is not an integer")))?;
                limit = usize::try_from(number).unwrap_or(0);
            }
        }
        let row = find_row(compression_label(name)?)?;
        let codec = row.configure(&options).place(|| format!("compression {name:?}"))?;
        Ok(Self { label: row.label, codec, threads: if limit == 0 { threads() } else { limit.min(threads()) } })
    }

    /// Returns the label in block headers.
    pub fn label(&self) -> [u8; 4] {
        self.label
    }

    /// Encodes the data of a block and passes encoded parts to `take` in order, as they become available.
    pub fn encode_to(&self, data: &[u8], take: &mut TakeEncoded<'_>) -> Result<()> {
        self.codec.encode_to(data, self.threads, take).place(|| label_name(self.label))
    }

    /// Encodes the data of a block.
    pub fn encode(&self, data: &[u8]) -> Result<Vec<u8>> {
        let mut encoded = Vec::new();
        self.encode_to(data, &mut |part| {
            if encoded.is_empty() {
                encoded = part;
            } else {
                encoded.extend_from_slice(&part);
            }
            Ok(())
        })?;
        Ok(encoded)
    }
}

/// Returns the name of a label, which is the label without NULs.
pub(super) fn label_name(label: [u8; 4]) -> String {
    String::from_utf8_lossy(&label).trim_end_matches('\0').to_owned()
}

/// Returns the label of a compression by its name.
pub fn compression_label(name: &str) -> Result<[u8; 4]> {
    TABLE.iter().map(|row| row.label).find(|label| label_name(*label) == name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    Error::unsupported(format!("unknown block compression {name:?}; known are {}", compression_labels().join(", ")))
}

fn find_row(label: [u8; 4]) -> Result<&'static Row> {
    TABLE.iter().find(|row| row.label == label).ok_or_else(|| unknown(&label_name(label)))
}

impl Row {
    fn configure(&self, options: &Map<String, Value>) -> Result<Arc<dyn BytesToBytes>> {
        let RowCodec::Zarr(name, defaults, names) = self.codec else { return Ok(Arc::new(Lz4Frame::new(options)?)) };
        let mut configuration = defaults().as_object().cloned().unwrap_or_default();
        let mut piece_size = (self.label == LZ4).then_some(LZ4_PIECE_SIZE);
        for (option, value) in options {
            if option == PIECE_SIZE && [LZ4, BLOSC].contains(&self.label) {
                let most = if self.label == LZ4 { LZ4_MAX_SIZE } else { u32::MAX.into() };
                let size = value.as_u64().filter(|size| (1..=most).contains(size));
                let range = || Error::metadata(format!("{option} {value} is not in 1 to {most}"));
                piece_size = Some(size.ok_or_else(range)? as usize);
            } else if option == "mode" && self.label == LZ4 {
                // There is one speed.
                if !matches!(value.as_str(), Some("default" | "fast")) {
                    let what = format!("mode {value} is not available; use \"default\" or \"fast\"");
                    return Err(Error::unsupported(what));
                }
            } else if let Some((_, key)) = names.iter().find(|(name, _)| name == option) {
                configuration.insert((*key).to_owned(), value.clone());
            } else {
                let names: Vec<_> = names.iter().map(|(name, _)| *name).chain(THREADS).collect();
                return Err(Error::metadata(format!("unknown option {option:?}; known are {}", names.join(", "))));
            }
        }
        let codec = create(&Named { name: name.to_owned(), configuration }, &DataType::from_name("uint8")?)?;
        let Codec::BytesToBytes(codec) = codec else {
            return Err(Error::unsupported(format!("{name} is not a bytes-to-bytes codec")));
        };
        Ok(match self.label {
            LZ4 => Arc::new(Sequence::new(Format::Lz4, codec, Arc::new(Lz4Frame::default()), piece_size)),
            BLOSC => Arc::new(Sequence::new(Format::Blosc, codec.clone(), codec, piece_size)),
            BLOSC2 => Arc::new(Blosc2::new(codec)),
            _ => codec,
        })
    }
}

/// Returns the codec that decodes a block of `used` bytes to `data_size` bytes.
pub(super) fn decoder(label: [u8; 4], used: u64, data_size: u64) -> Result<Arc<dyn BytesToBytes>> {
    let row = find_row(label)?;
    if data_size > used.saturating_add(64).saturating_mul(row.ratio) {
        let name = label_name(label);
        let what = format!("{name}: {used} bytes cannot decode to the {data_size} bytes that the header declares");
        return Err(Error::corrupt(what));
    }
    row.configure(&Map::new())
}

/// Encodes the data of a block with default options.
pub fn compress(label: [u8; 4], data: &[u8]) -> Result<Vec<u8>> {
    Compression::new(&label_name(label), &Map::new())?.encode(data)
}

/// Decodes the data of a block, which must decode to `size` bytes.
pub fn decompress(label: [u8; 4], encoded: &[u8], size: u64) -> Result<Vec<u8>> {
    let codec = decoder(label, encoded.len() as u64, size)?;
    let mut decoded = crate::view::zeroed(crate::buffer::to_usize(size)?)?;
    codec.decode_into(encoded, &mut decoded).place(|| label_name(label))?;
    Ok(decoded)
}

/// Decodes the data of a block into `decoded`, which they must fill.
pub fn decompress_into(label: [u8; 4], encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
    let codec = decoder(label, encoded.len() as u64, decoded.len() as u64)?;
    codec.decode_into(encoded, decoded).place(|| label_name(label))
}

/// Returns the names of all labels.
pub fn compression_labels() -> Vec<String> {
    TABLE.iter().map(|row| label_name(row.label)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn every_label_round_trips() {
        let data: Vec<u8> = (0..9_000_000u32).flat_map(|i| (i / 1000).to_le_bytes()).take(9_000_001).collect();
        for row in TABLE {
            for data in [&data[..], &data[..1000], &[]] {
                let name = label_name(row.label);
                let encoded = compress(compression_label(&name).unwrap(), data).unwrap();
                let stage = decoder(row.label, encoded.len() as u64, data.len() as u64).unwrap();
                let mut decoded = vec![1; data.len()];
                stage.decode_into(&encoded, &mut decoded).unwrap();
                assert!(decoded == data, "{name}");
                if data.is_empty() {
                    continue;
                }
                assert!(stage.decode_into(&encoded, &mut decoded[1..]).is_err(), "{name}: longer than expected");
                decoded.push(0);
                assert!(stage.decode_into(&encoded, &mut decoded).is_err(), "{name}: shorter than expected");
                assert!(decoder(row.label, encoded.len() as u64, u64::MAX).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn sequences_of_blosc_buffers_are_read() {
        let data: Vec<u8> = (0..30_000u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        let options = |options: Value| options.as_object().cloned().unwrap();
        let with_lengths = Compression::new("blsc", &options(json!({"compression_block_size": 50_000}))).unwrap();
        let with_lengths = with_lengths.encode(&data).unwrap();
        let buffers: Vec<_> = data.chunks(50_000).map(|part| compress(BLOSC, part).unwrap()).collect();
        let alone: Vec<u8> = buffers.concat();
        let framed = buffers.iter().flat_map(|buffer| [&(buffer.len() as u32).to_be_bytes(), &buffer[..]].concat());
        assert!(framed.eq(with_lengths.iter().copied()));
        for encoded in [&alone, &with_lengths] {
            assert!(decompress(BLOSC, encoded, data.len() as u64).unwrap() == data);
            assert!(decompress(BLOSC, encoded, data.len() as u64 + 1).is_err());
            assert!(decompress(BLOSC, encoded, 50_000).is_err() || *encoded == alone);
            let stage = decoder(BLOSC, encoded.len() as u64, data.len() as u64).unwrap();
            for length in (0..encoded.len()).step_by(7) {
                let mut decoded = vec![0; data.len()];
                assert!(stage.decode_into(&encoded[..length], &mut decoded).is_err(), "{length}");
            }
            for at in (0..encoded.len()).filter(|at| at % 97 == 0 || *at < 40) {
                let mut damaged = encoded.clone();
                damaged[at] ^= 0x81;
                let _ = stage.decode_into(&damaged, &mut vec![0; data.len()]);
                let _ = stage.decode_bounded(&damaged, data.len(), &mut Vec::new());
            }
            let mut decoded = Vec::new();
            stage.decode_bounded(encoded, data.len(), &mut decoded).unwrap();
            assert!(decoded == data);
        }
        for name in ["blsc", "lz4"] {
            for size in [0, 1i64 << 32, -1] {
                assert!(Compression::new(name, &options(json!({"compression_block_size": size}))).is_err());
            }
        }
        assert!(Compression::new("lz4", &options(json!({"mode": "fast", "acceleration": 3}))).is_ok());
        assert!(Compression::new("lz4", &options(json!({"mode": "high_compression"}))).is_err());
        assert!(Compression::new("zlib", &options(json!({"compression_block_size": 10}))).is_err());
    }

    #[test]
    fn damaged_pieces_are_errors() {
        let data = b"some text, some text, some text, some text".repeat(10);
        let encoded = compress(LZ4, &data).unwrap();
        let pieces = decoder(LZ4, encoded.len() as u64, data.len() as u64).unwrap();
        let mut decoded = vec![0; data.len()];
        for length in 0..encoded.len() {
            assert!(pieces.decode_into(&encoded[..length], &mut decoded).is_err(), "{length}");
        }
        for at in 0..8 {
            let mut damaged = encoded.clone();
            damaged[at] ^= 0x41;
            assert_eq!(pieces.decode_into(&damaged, &mut decoded).unwrap_err().kind(), ErrorKind::CorruptData);
        }
        let frame = compress(*b"lz4f", &data).unwrap();
        pieces.decode_into(&frame, &mut decoded).unwrap();
        assert_eq!(decoded, data);
        for length in 0..frame.len() - 4 {
            assert!(Lz4Frame::default().decode_into(&frame[..length], &mut decoded).is_err(), "{length}");
            let mut read = |offset: u64, into: &mut [u8]| {
                let bytes = frame[..length].get(offset as usize..).and_then(|rest| rest.get(..into.len()));
                into.copy_from_slice(bytes.ok_or_else(|| Error::corrupt("the end"))?);
                Ok(())
            };
            let found = Lz4Frame::default().pieces(length as u64, data.len() as u64, &mut read).unwrap();
            assert!(found.is_none(), "{length}");
        }
        assert_eq!(find_row(*b"what").err().unwrap().kind(), ErrorKind::Unsupported);
    }
}
