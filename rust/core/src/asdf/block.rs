//! Block headers
//! ([the specification](https://asdf-standard.readthedocs.io/en/latest/file_layout.html#blocks)).

use md5::{Digest, Md5};

use crate::error::{Error, Result};

/// First bytes of a block; they cannot occur in UTF-8.
pub const BLOCK_MAGIC: [u8; 4] = *b"\xd3BLK";

/// First bytes of the block index.
pub const INDEX_MAGIC: &[u8] = b"#ASDF BLOCK INDEX";

/// Size in bytes of the header that we write, which is the smallest valid one.
pub const HEADER_LENGTH: usize = 54;

/// Bytes of a header before those that its own size counts.
const BEFORE_SIZE: u64 = 6;

/// The header of a block, checked against the size of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Offset of the block, which starts with its magic.
    pub offset: u64,
    /// Offset of the data.
    pub data_offset: u64,
    /// Bytes from there to the next block. The last block may extend beyond the end of the file.
    pub allocated: u64,
    /// Size of the stored data in bytes.
    pub used: u64,
    /// Size of the decompressed data in bytes.
    pub data_size: u64,
    /// Label of the compression such as `zlib`, padded with NULs; all NULs without compression.
    pub compression: [u8; 4],
    /// The MD5 checksum; all NULs without one.
    pub checksum: [u8; 16],
    /// Whether the data run to the end of the file.
    pub streamed: bool,
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    if let Some(bytes) = bytes.get(at..at + N) {
        field.copy_from_slice(bytes);
    }
    field
}

impl BlockHeader {
    /// Parses the header at `offset` of a file of `size` bytes.
    pub fn parse(bytes: &[u8], offset: u64, size: u64) -> Result<Self> {
        if !bytes.starts_with(&BLOCK_MAGIC) {
            return Err(Error::corrupt(format!("no block starts at byte {offset}")));
        }
        let truncated = || Error::corrupt("the file ends within the block's header");
        if bytes.len() < HEADER_LENGTH {
            return Err(truncated());
        }
        let length = u16::from_be_bytes(field(bytes, 4));
        if u64::from(length) + BEFORE_SIZE < HEADER_LENGTH as u64 {
            return Err(Error::metadata(format!("the header size is {length} bytes, expected at least 48")));
        }
        let data_offset = offset.checked_add(BEFORE_SIZE + u64::from(length)).filter(|start| *start <= size);
        let data_offset = data_offset.ok_or_else(truncated)?;
        let [allocated, used, data_size] = [14, 22, 30].map(|at| u64::from_be_bytes(field(bytes, at)));
        let mut header = Self {
            offset,
            data_offset,
            allocated,
            used,
            data_size,
            compression: field(bytes, 10),
            checksum: field(bytes, 38),
            streamed: u32::from_be_bytes(field(bytes, 6)) & 1 != 0,
        };
        let available = size - data_offset;
        if header.streamed {
            if header.is_compressed() {
                return Err(Error::metadata("a streamed block cannot be compressed"));
            }
            (header.allocated, header.used, header.data_size) = (available, available, available);
        }
        if !header.is_compressed() {
            // Readers use only one of the two, so some writers get the other wrong.
            header.data_size = header.used;
        }
        if header.used > header.allocated {
            let Self { used, allocated, .. } = header;
            return Err(Error::metadata(format!("{used} bytes are used, but only {allocated} are allocated")));
        }
        if header.used > available {
            let used = header.used;
            return Err(Error::corrupt(format!("the data are {used} bytes, but the file ends after {available}")));
        }
        Ok(header)
    }

    /// Returns the header as it is stored.
    pub fn to_bytes(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        let sizes = if self.streamed { [0; 3] } else { [self.allocated, self.used, self.data_size] };
        bytes[..4].copy_from_slice(&BLOCK_MAGIC);
        bytes[4..6].copy_from_slice(&48u16.to_be_bytes());
        bytes[6..10].copy_from_slice(&u32::from(self.streamed).to_be_bytes());
        bytes[10..14].copy_from_slice(&self.compression);
        bytes[14..22].copy_from_slice(&sizes[0].to_be_bytes());
        bytes[22..30].copy_from_slice(&sizes[1].to_be_bytes());
        bytes[30..38].copy_from_slice(&sizes[2].to_be_bytes());
        bytes[38..].copy_from_slice(&self.checksum);
        bytes
    }

    /// Whether the data are compressed.
    pub fn is_compressed(&self) -> bool {
        self.compression != [0; 4]
    }

    /// Whether the header has a checksum.
    pub fn has_checksum(&self) -> bool {
        self.checksum != [0; 16]
    }

    /// Verifies the checksum, if the header has one: that of the stored data or, as the Python library computed it before
    /// version 5.3, that of the decompressed data.
    pub fn verify(&self, used: &[u8], decoded: Option<&[u8]>) -> Result<()> {
        let matches = |data: &[u8]| md5(data) == self.checksum;
        if !self.has_checksum() || matches(used) || (self.is_compressed() && decoded.is_some_and(matches)) {
            return Ok(());
        }
        Err(Error::corrupt(format!("the data of the block at byte {} do not match its checksum", self.offset)))
    }

    /// Returns the offset of the next block, if this is not the last one.
    pub(super) fn end(&self) -> Option<u64> {
        self.data_offset.checked_add(self.allocated).filter(|_| !self.streamed)
    }
}

/// Computes the MD5 checksum of data.
pub fn md5(data: &[u8]) -> [u8; 16] {
    Md5::digest(data).into()
}
