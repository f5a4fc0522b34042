//! How blocks are compressed: labels of four bytes in their headers, and the codecs that they stand for
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/file_layout.html#compression)).
//!
//! `zlib` and `bzp2` are the standard's. `lz4` is what the Python library writes besides. The others come from extensions
//! and other libraries.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::buffers::Buffers;
use super::lz4::{Lz4Frame, Lz4Pieces};
use crate::codec::{Blosc2, BytesToBytes, Codec, Named, TakeEncoded, create};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::runtime::threads;

/// What a label stands for.
enum Kind {
    /// A codec of Zarr: its name, its configuration where nothing else is said, and how the Python libraries call its
    /// options.
    Codec(&'static str, fn() -> Value, &'static [(&'static str, &'static str)]),
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

/// What the Python libraries call blosc's options.
const BLOSC: &[(&str, &str)] = &[
    ("typesize", "typesize"),
    ("clevel", "clevel"),
    ("cname", "cname"),
    ("codec", "cname"),
    ("shuffle", "shuffle"),
    ("filter", "shuffle"),
    ("blocksize", "blocksize"),
    ("blosc_block_size", "blocksize"),
];

fn blosc() -> Value {
    json!({"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 8, "blocksize": 0})
}

const TABLE: &[Row] = &[
    Row { label: *b"zlib", codec: Kind::Codec("zlib", || json!({"level": 6}), &[("level", "level")]), ratio: 1032 },
    Row {
        label: *b"bzp2",
        codec: Kind::Codec("bz2", || json!({"level": 9}), &[("compresslevel", "level"), ("level", "level")]),
        ratio: 1_200_000,
    },
    Row { label: *b"lz4\0", codec: Kind::Pieces, ratio: 255 },
    Row { label: *b"lz4f", codec: Kind::Frame, ratio: 255 },
    Row {
        label: *b"zstd",
        codec: Kind::Codec("zstd", || json!({"level": 3, "checksum": false}), &[("level", "level")]),
        ratio: 1 << 17,
    },
    Row {
        label: *b"xz\0\0",
        codec: Kind::Codec("lzma", || json!({"format": 1, "check": 4}), &[("preset", "preset"), ("check", "check")]),
        ratio: 1 << 13,
    },
    Row { label: BUFFERS, codec: Kind::Codec("blosc", blosc, BLOSC), ratio: 1 << 17 },
    // A chunk of one value takes 32 bytes.
    Row { label: CHUNKS, codec: Kind::Codec("blosc", blosc, BLOSC), ratio: 1 << 26 },
];

/// The label of buffers of blosc, and what abacusutils calls the size of each of several.
const BUFFERS: [u8; 4] = *b"blsc";
const BUFFER_SIZE: &str = "compression_block_size";

/// The label of chunks and frames of Blosc2.
const CHUNKS: [u8; 4] = *b"bls2";

/// What the Python libraries call the number of threads; -1: all.
const THREADS: [&str; 2] = ["threads", "nthreads"];

/// How blocks are to be compressed: a label, and what its codec was told.
#[derive(Clone, Debug)]
pub struct Compression {
    label: [u8; 4],
    stage: Arc<dyn BytesToBytes>,
    threads: usize,
}

impl Compression {
    /// Takes the name of a label and its codec's options, under the names that the Python libraries have for them.
    pub fn new(name: &str, options: &Map<String, Value>) -> Result<Self> {
        let mut options = options.clone();
        let mut limit = 0;
        for threads in THREADS {
            if let Some(value) = options.shift_remove(threads) {
                let number = value.as_i64().ok_or_else(|| Error::metadata(format!("{threads} is {value}")))?;
                limit = usize::try_from(number).unwrap_or(0);
            }
        }
        let row = find(compression_label(name)?)?;
        let stage = row.stage(&options).place(|| format!("compression {name:?}"))?;
        Ok(Self { label: row.label, stage, threads: if limit == 0 { threads() } else { limit.min(threads()) } })
    }

    /// The label, as it stands in headers of blocks.
    pub fn label(&self) -> [u8; 4] {
        self.label
    }

    /// Encodes the data of a block, and hands on what is encoded as it comes.
    pub fn encode_to(&self, data: &[u8], take: &mut TakeEncoded<'_>) -> Result<()> {
        self.stage.encode_to(data, self.threads, take).place(|| show(self.label))
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
    fn stage(&self, options: &Map<String, Value>) -> Result<Arc<dyn BytesToBytes>> {
        let (name, configuration, names) = match self.codec {
            Kind::Codec(name, configuration, names) => (name, configuration, names),
            Kind::Pieces => return Ok(Arc::new(Lz4Pieces::new(options)?)),
            Kind::Frame => return Ok(Arc::new(Lz4Frame::new(options)?)),
        };
        let mut configuration = configuration().as_object().cloned().unwrap_or_default();
        let mut size = None;
        for (option, value) in options {
            if self.label == BUFFERS && option == BUFFER_SIZE {
                let given = value.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
                size = Some(given.ok_or_else(|| Error::metadata(format!("{option} {value} is not positive")))?);
                continue;
            }
            let own = names.iter().find(|(name, _)| name == option).ok_or_else(|| {
                let names: Vec<_> = names.iter().map(|(name, _)| *name).chain(THREADS).collect();
                Error::metadata(format!("unknown option {option:?}; there are {}", names.join(", ")))
            })?;
            configuration.insert(own.1.to_owned(), value.clone());
        }
        match create(&Named { name: name.to_owned(), configuration }, &DataType::from_name("uint8")?)? {
            Codec::BytesToBytes(stage) if self.label == BUFFERS => Ok(Arc::new(Buffers::new(stage, size))),
            Codec::BytesToBytes(stage) if self.label == CHUNKS => Ok(Arc::new(Blosc2::new(stage))),
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
    row.stage(&Map::new())
}

/// Encodes the data of a block.
pub fn compress(label: [u8; 4], data: &[u8]) -> Result<Vec<u8>> {
    Compression::new(&show(label), &Map::new())?.encode(data)
}

/// Decodes the data of a block, which are to become `size` bytes.
pub fn decompress(label: [u8; 4], encoded: &[u8], size: u64) -> Result<Vec<u8>> {
    let stage = decoder(label, encoded.len() as u64, size)?;
    let mut decoded = crate::view::zeroed(crate::buffer::to_usize(size)?)?;
    stage.decode_into(encoded, &mut decoded).place(|| show(label))?;
    Ok(decoded)
}

/// Decodes the data of a block into memory, which they are to fill.
pub fn decompress_into(label: [u8; 4], encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
    let stage = decoder(label, encoded.len() as u64, decoded.len() as u64)?;
    stage.decode_into(encoded, decoded).place(|| show(label))
}

/// The names of all labels.
pub fn compression_labels() -> Vec<String> {
    TABLE.iter().map(|row| show(row.label)).collect()
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
    fn several_buffers_of_blosc_are_read() {
        let data: Vec<u8> = (0..30_000u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        let options = |options: Value| options.as_object().cloned().unwrap();
        let counted = Compression::new("blsc", &options(json!({"compression_block_size": 50_000}))).unwrap();
        let counted = counted.encode(&data).unwrap();
        let buffers: Vec<_> = data.chunks(50_000).map(|part| compress(BUFFERS, part).unwrap()).collect();
        let alone: Vec<u8> = buffers.concat();
        let framed = buffers.iter().flat_map(|buffer| [&(buffer.len() as u32).to_be_bytes(), &buffer[..]].concat());
        assert!(framed.eq(counted.iter().copied()));
        for encoded in [&alone, &counted] {
            assert!(decompress(BUFFERS, encoded, data.len() as u64).unwrap() == data);
            assert!(decompress(BUFFERS, encoded, data.len() as u64 + 1).is_err());
            assert!(decompress(BUFFERS, encoded, 50_000).is_err() || *encoded == alone);
            let stage = decoder(BUFFERS, encoded.len() as u64, data.len() as u64).unwrap();
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
        assert!(Compression::new("blsc", &options(json!({"compression_block_size": 0}))).is_err());
        assert!(Compression::new("zlib", &options(json!({"compression_block_size": 10}))).is_err());
    }

    #[test]
    fn damaged_pieces_are_errors() {
        let data = b"some text, some text, some text, some text".repeat(10);
        let encoded = compress(*b"lz4\0", &data).unwrap();
        let mut decoded = vec![0; data.len()];
        for length in 0..encoded.len() {
            assert!(Lz4Pieces::default().decode_into(&encoded[..length], &mut decoded).is_err(), "{length}");
        }
        for at in 0..8 {
            let mut lie = encoded.clone();
            lie[at] ^= 0x41;
            assert_eq!(
                Lz4Pieces::default().decode_into(&lie, &mut decoded).unwrap_err().kind(),
                ErrorKind::CorruptData
            );
        }
        let frame = compress(*b"lz4f", &data).unwrap();
        Lz4Pieces::default().decode_into(&frame, &mut decoded).unwrap();
        assert_eq!(decoded, data);
        for length in 0..frame.len() - 4 {
            assert!(Lz4Frame::default().decode_into(&frame[..length], &mut decoded).is_err(), "{length}");
        }
        assert_eq!(find(*b"what").err().unwrap().kind(), ErrorKind::Unsupported);
    }
}
