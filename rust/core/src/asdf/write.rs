//! Writing ASDF files: header, tree, blocks, block index
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/file_layout.html)).
//!
//! Blocks are written one after the other, and no more than one is in memory. A file gets its name when it is complete.

use std::borrow::Cow;
use std::io::{BufWriter, Cursor, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use md5::{Digest, Md5};

use super::block::{BlockHeader, HEADER_LENGTH, INDEX_MAGIC, md5};
use super::compression::Compression;
use super::file::FILE_FORMAT;
use super::standard::STANDARD;
use super::yaml::Document;
use crate::error::{Error, Place, Result};
use crate::runtime::{check, current};
use crate::store::NamedFile;

/// Receives the pieces of a block.
pub type Sink<'s> = dyn FnMut(&[u8]) -> Result<()> + 's;

/// Passes the pieces of a block to a sink.
type Produce<'a> = dyn FnOnce(&mut Sink<'_>) -> Result<()> + 'a;

/// The data of a block.
enum Payload<'a> {
    Bytes(Cow<'a, [u8]>),
    Pieces(Box<Produce<'a>>),
    /// Data that are compressed when they are written.
    Data(Cow<'a, [u8]>, Compression),
}

/// A block to be written.
pub struct OutBlock<'a> {
    payload: Payload<'a>,
    compression: [u8; 4],
    data_size: Option<u64>,
    checksum: bool,
    streamed: bool,
}

impl<'a> OutBlock<'a> {
    fn of(payload: Payload<'a>) -> Self {
        Self { payload, compression: [0; 4], data_size: None, checksum: true, streamed: false }
    }

    /// Returns a block of bytes.
    pub fn new(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::of(Payload::Bytes(bytes.into()))
    }

    /// Returns a block of the pieces that `produce` passes to the sink.
    pub fn pieces(produce: impl FnOnce(&mut Sink<'_>) -> Result<()> + 'a) -> Self {
        Self::of(Payload::Pieces(Box::new(produce)))
    }

    /// Returns a block that is compressed when it is written.
    pub fn encoded(data: impl Into<Cow<'a, [u8]>>, compression: &Compression) -> Self {
        let data = data.into();
        let size = data.len() as u64;
        Self::of(Payload::Data(data, compression.clone())).compressed(compression.label(), size)
    }

    /// Declares that the bytes are already compressed and decompress to `data_size` bytes.
    #[must_use]
    pub fn compressed(self, compression: [u8; 4], data_size: u64) -> Self {
        Self { compression, data_size: Some(data_size), ..self }
    }

    /// Sets whether the block gets a checksum, as it does by default.
    #[must_use]
    pub fn checksum(self, checksum: bool) -> Self {
        Self { checksum, ..self }
    }

    /// Makes the block extend to the end of the file, so that it can grow. No block or index can follow.
    #[must_use]
    pub fn streamed(self) -> Self {
        Self { streamed: true, ..self }
    }
}

/// Options of writing a file.
#[derive(Clone, Debug)]
pub struct FileOptions<'a> {
    /// Version of the standard in the header, which the tree must match.
    pub standard: &'a str,
    /// Comments in the header, without `#`, one per line.
    pub comments: &'a [String],
    /// Factor of their size to which the tree and each block are padded, rounded up to whole blocks of the file system;
    /// `None` for no padding.
    pub padding: Option<f64>,
    /// Whether the file ends with an index of its blocks.
    pub index: bool,
}

impl Default for FileOptions<'_> {
    fn default() -> Self {
        Self { standard: STANDARD, comments: &[], padding: None, index: true }
    }
}

/// The allocation unit of file systems, in bytes.
const SECTOR: u64 = 4096;

/// Returns the size of the padding after `used` bytes, as the Python library computes it.
fn padding_after(padding: Option<f64>, used: u64) -> Result<u64> {
    let Some(factor) = padding else { return Ok(0) };
    // A wrong factor could fill the disk.
    if !(0.0..=1000.0).contains(&factor) {
        return Err(Error::metadata(format!("cannot pad blocks to {factor} times their size; use 0 to 1000")));
    }
    let sectors = (used as f64 * factor / SECTOR as f64).ceil() as u64 + 1;
    Ok(sectors.saturating_mul(SECTOR).saturating_sub(used))
}

/// Writes an ASDF file from beginning to end.
pub struct FileWriter<W: Write + Seek> {
    out: BufWriter<W>,
    position: u64,
    offsets: Vec<u64>,
    streamed: bool,
    padding: Option<f64>,
    index: bool,
}

impl<W: Write + Seek> FileWriter<W> {
    /// Writes the header and the tree.
    pub fn new(out: W, options: &FileOptions<'_>, document: Option<&Document>) -> Result<Self> {
        let mut head = format!("#ASDF {FILE_FORMAT}\n");
        let standard = format!("ASDF_STANDARD {}", options.standard);
        for line in [&standard].into_iter().chain(options.comments) {
            if line.contains(['\n', '\r']) {
                return Err(Error::metadata(format!("cannot write the comment {line:?}: it has more than one line")));
            }
            head = head + "#" + line + "\n";
        }
        let FileOptions { padding, index, .. } = *options;
        let out = BufWriter::new(out);
        let mut this = Self { out, position: 0, offsets: Vec::new(), streamed: false, padding, index };
        this.put(head.as_bytes())?;
        if let Some(document) = document {
            this.put(&document.to_bytes()?)?;
            this.put_zeros(padding_after(padding, this.position)?)?;
        }
        Ok(this)
    }

    /// Writes a block; returns its number.
    pub fn block(&mut self, block: OutBlock<'_>) -> Result<usize> {
        let number = self.offsets.len();
        self.write_block(block).place(|| format!("block {number}"))?;
        Ok(number)
    }

    fn write_block(&mut self, block: OutBlock<'_>) -> Result<()> {
        if self.streamed {
            return Err(Error::metadata("cannot write a block after a streamed one"));
        }
        if block.streamed && block.compression != [0; 4] {
            return Err(Error::metadata("cannot compress a streamed block"));
        }
        let offset = self.position;
        let checksum = block.checksum && !block.streamed;
        let mut header = BlockHeader {
            offset,
            data_offset: offset + HEADER_LENGTH as u64,
            allocated: 0,
            used: 0,
            data_size: 0,
            compression: block.compression,
            checksum: [0; 16],
            streamed: block.streamed,
        };
        let padding = self.padding.filter(|_| !block.streamed);
        let complete = |header: &mut BlockHeader, used: u64| {
            (header.allocated, header.used) = (used + padding_after(padding, used)?, used);
            header.data_size = block.data_size.unwrap_or(used);
            Ok::<_, Error>(())
        };
        match block.payload {
            Payload::Bytes(bytes) if !checksum || bytes.len() < IN_PARALLEL => {
                complete(&mut header, bytes.len() as u64)?;
                if checksum {
                    header.checksum = md5(&bytes);
                }
                self.put(&header.to_bytes())?;
                self.put(&bytes)?;
            }
            Payload::Bytes(bytes) => {
                complete(&mut header, bytes.len() as u64)?;
                self.put(&header.to_bytes())?;
                header.checksum = thread::scope(|scope| {
                    let hasher = thread::Builder::new().spawn_scoped(scope, || md5(&bytes));
                    self.put(&bytes)?;
                    Ok::<_, Error>(hasher.ok().and_then(|hasher| hasher.join().ok()).unwrap_or_else(|| md5(&bytes)))
                })?;
                self.amend(&header)?;
            }
            payload => {
                self.put(&header.to_bytes())?;
                let mut hasher = Md5::new();
                let mut sink = |piece: &[u8]| {
                    if checksum {
                        hasher.update(piece);
                    }
                    self.put(piece)
                };
                match payload {
                    Payload::Pieces(produce) => produce(&mut sink)?,
                    Payload::Data(data, compression) => encode(&data, &compression, &mut sink)?,
                    Payload::Bytes(bytes) => sink(&bytes)?,
                }
                let used = self.position - header.data_offset;
                complete(&mut header, used)?;
                if checksum {
                    header.checksum = hasher.finalize().into();
                }
                self.amend(&header)?;
            }
        }
        self.put_zeros(header.allocated - header.used)?;
        if !header.is_compressed() && header.data_size != header.used {
            let BlockHeader { data_size, used, .. } = header;
            return Err(Error::metadata(format!(
                "an uncompressed block of {used} bytes declares {data_size} bytes of data"
            )));
        }
        self.offsets.push(offset);
        self.streamed = header.streamed;
        Ok(())
    }

    /// Writes the block index; returns the writer.
    pub fn finish(mut self) -> Result<W> {
        if self.index && !self.offsets.is_empty() && !self.streamed {
            let mut index = String::from_utf8_lossy(INDEX_MAGIC).into_owned() + "\n%YAML 1.1\n---\n";
            for offset in &self.offsets {
                index = index + "- " + &offset.to_string() + "\n";
            }
            self.put((index + "...\n").as_bytes())?;
        }
        self.out.into_inner().map_err(|error| Error::from(error.into_error()))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        check()?;
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn put_zeros(&mut self, mut count: u64) -> Result<()> {
        const ZEROS: [u8; SECTOR as usize] = [0; SECTOR as usize];
        while count > 0 {
            let some = count.min(SECTOR);
            self.put(&ZEROS[..some as usize])?;
            count -= some;
        }
        Ok(())
    }

    /// Overwrites the header of the block with the complete one.
    fn amend(&mut self, header: &BlockHeader) -> Result<()> {
        let back = i64::try_from(self.position - header.offset)
            .map_err(|_| Error::store("a block has more than 2^63 bytes"))?;
        self.out.seek(SeekFrom::Current(-back))?;
        self.out.write_all(&header.to_bytes())?;
        self.out.seek(SeekFrom::Current(back - HEADER_LENGTH as i64))?;
        Ok(())
    }
}

/// Compresses data on other threads while the sink receives the compressed parts.
fn encode(data: &[u8], compression: &Compression, sink: &mut Sink<'_>) -> Result<()> {
    if data.len() < IN_PARALLEL {
        return sink(&compression.encode(data)?);
    }
    let call = current();
    thread::scope(|scope| {
        let (give, take) = sync_channel::<Vec<u8>>(4);
        let encode = || {
            let give = give;
            // If the receiver is gone, the writer has failed and reports why.
            let mut give = |part| give.send(part).map_err(|_| Error::store("writing the block failed"));
            call.run(|| compression.encode_to(data, &mut give))
        };
        let Ok(encoder) = thread::Builder::new().spawn_scoped(scope, encode) else {
            // There is no memory for another thread.
            return sink(&compression.encode(data)?);
        };
        let mut written = Ok(());
        for part in take {
            written = sink(&part);
            if written.is_err() {
                break;
            }
        }
        let encoded = encoder.join().unwrap_or_else(|_| Err(Error::store("compressing the block failed")));
        written.and(encoded)
    })
}

/// Size in bytes from which checksums and compression run on other threads than the writing one.
const IN_PARALLEL: usize = 4 << 20;

/// Writes a file into memory.
pub fn write_bytes<'a>(
    options: &FileOptions<'_>,
    document: Option<&Document>,
    blocks: impl IntoIterator<Item = Result<OutBlock<'a>>>,
) -> Result<Vec<u8>> {
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), options, document)?;
    blocks.into_iter().try_for_each(|block| writer.block(block?).map(drop))?;
    Ok(writer.finish()?.into_inner())
}

/// Writes a file, which replaces an existing one when it is complete and keeps its permissions. A link stays; its
/// target is replaced.
pub fn write_file<'a>(
    path: &Path,
    options: &FileOptions<'_>,
    document: Option<&Document>,
    blocks: impl IntoIterator<Item = Result<OutBlock<'a>>>,
) -> Result<()> {
    let write = || {
        NamedFile::open(path)?.replace(|file| {
            let mut writer = FileWriter::new(file, options, document)?;
            blocks.into_iter().try_for_each(|block| writer.block(block?).map(drop))?;
            writer.finish().map(drop)
        })
    };
    write().place(|| path.display().to_string())
}
