//! Calls of C-Blosc.

use std::ffi::{CStr, c_int};

use super::header::{HEADER, Layout, NOT_SPLIT, check_declared_size, out_of_bounds, read_header};
use crate::error::{Error, Result};

/// How to encode.
pub(super) struct Parameters {
    pub(super) compressor: &'static CStr,
    pub(super) level: u8,
    /// 0 for none, 1 for bytes, 2 for bits.
    pub(super) shuffle: u8,
    pub(super) type_size: u8,
    /// 0 leaves it to blosc.
    pub(super) block_size: usize,
    pub(super) threads: c_int,
}

/// Encodes `decoded` into `encoded`, which is [`HEADER`] bytes longer, so that it is always large enough. Returns the
/// encoded size.
pub(super) fn compress(parameters: &Parameters, decoded: &[u8], encoded: &mut [u8]) -> Result<usize> {
    // SAFETY: the pointers are to slices of the lengths passed with them, one of them mutable, and to a string that
    // ends with a zero.
    let size = unsafe {
        blosc_src::blosc_compress_ctx(
            c_int::from(parameters.level),
            c_int::from(parameters.shuffle),
            parameters.type_size.into(),
            decoded.len(),
            decoded.as_ptr().cast(),
            encoded.as_mut_ptr().cast(),
            encoded.len(),
            parameters.compressor.as_ptr(),
            parameters.block_size,
            parameters.threads,
        )
    };
    usize::try_from(size)
        .ok()
        .filter(|&size| size >= HEADER)
        .ok_or_else(|| Error::unsupported(format!("blosc: cannot encode: error {size}")))
}

/// Encoded bytes whose header was checked.
pub(super) struct Buffer<'a> {
    /// Without bytes after the end of the buffer.
    encoded: &'a [u8],
    pub(super) decoded_size: usize,
    layout: Layout,
}

impl<'a> Buffer<'a> {
    /// Checks the header.
    pub(super) fn new(encoded: &'a [u8]) -> Result<Self> {
        let bad = |cause: String| Error::corrupt(format!("blosc: {cause}"));
        let Some(header) = encoded.first_chunk::<HEADER>() else {
            return Err(bad(format!("{} bytes are too few for a header", encoded.len())));
        };
        let (layout, decoded_size, encoded_size) = read_header(header, encoded.len())?;
        let encoded = &encoded[..encoded_size];
        let mut validated = 0;
        // SAFETY: the pointer is to a slice of that length, the other to a number.
        let result =
            unsafe { blosc_src::blosc_cbuffer_validate(encoded.as_ptr().cast(), encoded.len(), &raw mut validated) };
        if result != 0 || validated != decoded_size {
            return Err(bad("the header is invalid".into()));
        }
        Ok(Self { encoded, decoded_size, layout })
    }

    /// Checks the header, and that it declares a decoded size.
    pub(super) fn with_size(encoded: &'a [u8], size: usize) -> Result<Self> {
        let buffer = Self::new(encoded)?;
        check_declared_size(buffer.decoded_size, size)?;
        Ok(buffer)
    }

    /// Decodes into a slice of the decoded size.
    pub(super) fn decode(&self, decoded: &mut [u8]) -> Result<()> {
        assert_eq!(decoded.len(), self.decoded_size);
        if decoded.is_empty() {
            return Ok(());
        }
        if self.layout.is_snappy() {
            return self.layout.decode(self.encoded, decoded);
        }
        // SAFETY: `new` has checked the sizes in the header against the slice; blosc checks everything else against
        // these sizes. It writes at most the length of the slice, which is passed.
        let size = unsafe {
            blosc_src::blosc_decompress_ctx(self.encoded.as_ptr().cast(), decoded.as_mut_ptr().cast(), decoded.len(), 1)
        };
        if usize::try_from(size) != Ok(decoded.len()) {
            return Err(Error::corrupt(format!("blosc: damaged ({size} instead of {} bytes)", decoded.len())));
        }
        Ok(())
    }

    /// Decodes only the blocks that contain `offset..offset + into.len()`. Returns false if these are all blocks.
    pub(super) fn decode_range(&self, offset: usize, into: &mut [u8]) -> Result<bool> {
        let end = offset.checked_add(into.len()).filter(|&end| end <= self.decoded_size);
        let end = end.expect("a range of the decoded bytes");
        if into.is_empty() {
            return Ok(true);
        }
        if self.layout.is_copy() {
            let copy = &self.encoded[HEADER..];
            if copy.len() != self.decoded_size {
                let sizes = format!("{} instead of {}", copy.len(), self.decoded_size);
                return Err(Error::corrupt(format!("blosc: damaged ({sizes} bytes)")));
            }
            into.copy_from_slice(&copy[offset..end]);
            return Ok(true);
        }
        let size = self.layout.block_size;
        let blocks = offset / size..end.div_ceil(size);
        if blocks.len() == self.decoded_size.div_ceil(size) {
            return Ok(false);
        }
        let mut scratch = Vec::new();
        for block in blocks {
            let start = block * size;
            let length = size.min(self.decoded_size - start);
            let number = HEADER + 4 * block;
            let from = self.encoded.get(number..).and_then(<[u8]>::first_chunk).map(|from| u32::from_le_bytes(*from));
            let bytes = from.and_then(|from| self.encoded.get(from as usize..)).ok_or_else(out_of_bounds)?;
            let encoded = self.layout.single(self.encoded, bytes, length)?;
            let single = Buffer::new(&encoded)?;
            let part = offset.max(start)..end.min(start + length);
            let target = &mut into[part.start - offset..part.end - offset];
            if target.len() == length {
                single.decode(target)?;
            } else {
                scratch.resize(length, 0);
                single.decode(&mut scratch)?;
                target.copy_from_slice(&scratch[part.start - start..part.end - start]);
            }
        }
        Ok(true)
    }
}

/// Decodes one stream of a block into `decoded`, which has its size; `format` is the number of the compressor.
pub(super) fn decode_stream(format: u8, stream: &[u8], decoded: &mut [u8]) -> Result<()> {
    let bytes = [&(stream.len() as u32).to_le_bytes(), stream].concat();
    let layout = Layout { flags: format << 5 | NOT_SPLIT, type_size: 1, block_size: decoded.len() };
    let encoded = layout.single(&[2, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &bytes, decoded.len())?;
    Buffer::with_size(&encoded, decoded.len())?.decode(decoded)
}
