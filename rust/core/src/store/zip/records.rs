//! The records of an archive as they are written: local headers and the directory.

use std::io::{self, Write};

use super::directory::{CENTRAL, END, END64, END64_SIZE, LOCAL, LOCATOR64, UTF8};
use crate::error::{Error, Result};

/// An entry in the file.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// Offset of the local header.
    pub(super) offset: u64,
    pub(super) header: u64,
    pub(super) length: u64,
    pub(super) crc: u32,
    pub(super) version: u64,
}

impl Written {
    pub(super) fn end(&self) -> u64 {
        self.offset + self.header + self.length
    }
}

/// Fields of a record, little-endian.
#[derive(Default)]
struct Record(Vec<u8>);

impl Record {
    fn new(signature: [u8; 4]) -> Self {
        Self(signature.to_vec())
    }

    fn u16s(mut self, fields: &[u16]) -> Self {
        self.0.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        self
    }

    fn u32s(mut self, fields: &[u32]) -> Self {
        self.0.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        self
    }

    fn u64s(mut self, fields: &[u64]) -> Self {
        self.0.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

/// Version of the format with zip64, and without.
const VERSIONS: (u16, u16) = (45, 20);

/// 1980-01-01, so that equal content gives equal archives.
const DATE: u16 = 1 << 5 | 1;

/// Made by a Unix, in version 4.5 of the format.
const MADE_BY: u16 = 0x032d;

/// A regular file that everybody may read.
const MODE: u32 = 0o100_644 << 16;

/// The size field of an entry whose size is in a zip64 field.
fn narrow(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn is_wide(size: u64) -> bool {
    size >= u64::from(u32::MAX)
}

/// Returns the local header of an uncompressed entry.
pub(super) fn local_header(key: &str, length: u64, crc: u32) -> Result<Vec<u8>> {
    let name = u16::try_from(key.len());
    let name = name.map_err(|_| Error::unsupported(format!("a key of {} bytes in a zip archive", key.len())))?;
    let wide = is_wide(length);
    let header = Record::new(LOCAL)
        .u16s(&[if wide { VERSIONS.0 } else { VERSIONS.1 }, flags(key), 0, 0, DATE])
        .u32s(&[crc, narrow(length), narrow(length)])
        .u16s(&[name, if wide { 20 } else { 0 }])
        .bytes(key.as_bytes());
    Ok(if wide { header.u16s(&[1, 16]).u64s(&[length, length]) } else { header }.0)
}

fn flags(key: &str) -> u16 {
    if key.is_ascii() { 0 } else { UTF8 }
}

/// Writes the directory at an offset; returns the end of the archive.
pub(super) fn write_directory(
    out: &mut impl Write,
    start: u64,
    entries: &[(&str, Written)],
    is_zip64: bool,
    comment: &str,
) -> io::Result<u64> {
    let mut size = 0;
    for (key, Written { offset, length, crc, .. }) in entries {
        let mut wide = if is_wide(*length) { vec![*length, *length] } else { Vec::new() };
        wide.extend(is_wide(*offset).then_some(*offset));
        let extra = if wide.is_empty() { 0 } else { 4 + 8 * wide.len() as u16 };
        let mut record = Record::new(CENTRAL)
            .u16s(&[MADE_BY, if wide.is_empty() { VERSIONS.1 } else { VERSIONS.0 }, flags(key), 0, 0, DATE])
            .u32s(&[*crc, narrow(*length), narrow(*length)])
            .u16s(&[key.len() as u16, extra, 0, 0, 0])
            .u32s(&[MODE, narrow(*offset)])
            .bytes(key.as_bytes());
        if extra > 0 {
            record = record.u16s(&[1, extra - 4]).u64s(&wide);
        }
        size += record.0.len() as u64;
        out.write_all(&record.0)?;
    }
    let (count, end) = (entries.len() as u64, start + size);
    let short = u16::try_from(count).unwrap_or(u16::MAX);
    let mut last = Record::default();
    if is_zip64 || short == u16::MAX || is_wide(size) || is_wide(start) {
        last = Record::new(END64)
            .u64s(&[END64_SIZE as u64 - 12])
            .u16s(&[MADE_BY, VERSIONS.0])
            .u32s(&[0, 0])
            .u64s(&[count, count, size, start])
            .bytes(&LOCATOR64)
            .u32s(&[0])
            .u64s(&[end])
            .u32s(&[1]);
    }
    let last = last
        .bytes(&END)
        .u16s(&[0, 0, short, short])
        .u32s(&[narrow(size), narrow(start)])
        .u16s(&[comment.len() as u16])
        .bytes(comment.as_bytes());
    out.write_all(&last.0)?;
    Ok(end + last.0.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_offsets_above_4_gib_are_zip64() {
        let entry = |offset, length| Written { offset, header: 50, length, crc: 7, version: 0 };
        let big = u64::from(u32::MAX);
        let header = local_header("c/0", big + 5, 7).unwrap();
        assert_eq!((header.len(), &header[33..37]), (30 + 3 + 20, &[1, 0, 16, 0][..]));
        assert_eq!(header[37..45], (big + 5).to_le_bytes());
        assert_eq!(local_header("c/0", big - 1, 7).unwrap().len(), 33);
        let mut bytes = Vec::new();
        let entries = [("a", entry(0, big + 5)), ("b", entry(big + 60, 3)), ("ü", entry(2 * big, big))];
        let end = write_directory(&mut bytes, 4 * big, &entries, false, "").unwrap();
        assert_eq!(end, 4 * big + bytes.len() as u64);
        assert_eq!(bytes.len(), (47 + 20) + (47 + 12) + (48 + 28) + 56 + 20 + 22);
        assert_eq!(bytes[47..51], [1, 0, 16, 0]);
        assert_eq!(bytes[67 + 47..67 + 59], [&[1, 0, 8, 0][..], &(big + 60).to_le_bytes()].concat());
        assert_eq!(&bytes[bytes.len() - 6..], [255, 255, 255, 255, 0, 0]);
    }
}
