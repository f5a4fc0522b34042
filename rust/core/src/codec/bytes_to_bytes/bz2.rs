//! `bz2`: bzip2.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/compression/bz2.html>
//!
//! ```json
//! {"name": "bz2", "configuration": {"level": 1}}
//! ```
//!
//! A chunk may consist of several streams, which parallel compressors write.

use std::io::{Read, Write};
use std::sync::Arc;

use bzip2::bufread::MultiBzDecoder;
use bzip2::write::BzEncoder;
use serde::Deserialize;

use super::sizes::check_size;
use crate::codec::append::append_stream;
use crate::codec::{BytesToBytes, Codec, Configuration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Result};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bz2 {
    /// Block size in units of 100,000 bytes, 1 to 9. The default is that of numcodecs.
    #[serde(default = "small")]
    level: u32,
}

fn small() -> u32 {
    1
}

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let bz2: Bz2 = configure(configuration)?;
    if !(1..=9).contains(&bz2.level) {
        return Err(Error::metadata(format!("level {} is not in 1 to 9", bz2.level)));
    }
    Ok(Codec::BytesToBytes(Arc::new(bz2)))
}

struct Decoder<'a>(MultiBzDecoder<&'a [u8]>);

impl<'a> Decoder<'a> {
    fn new(encoded: &'a [u8]) -> Self {
        Self(MultiBzDecoder::new(encoded))
    }

    /// Continues to decode, until the end or until the slice is full. Returns the number of bytes.
    fn fill(&mut self, decoded: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < decoded.len() {
            match self.0.read(&mut decoded[filled..]) {
                Ok(0) => break,
                Ok(size) => filled += size,
                Err(error) => return Err(Error::corrupt(format!("bz2: {error}"))),
            }
        }
        Ok(filled)
    }

    /// Checks that nothing follows, and the last checksum.
    fn finish(mut self, limit: usize) -> Result<()> {
        match self.fill(&mut [0])? {
            0 => Ok(()),
            _ => Err(Error::corrupt(format!("bz2: decodes to more than {limit} bytes"))),
        }
    }
}

impl BytesToBytes for Bz2 {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let mut decoder = Decoder::new(encoded);
        let filled = decoder.fill(decoded)?;
        check_size("bz2", filled, decoded.len())?;
        decoder.finish(filled)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let mut decoder = Decoder::new(encoded);
        append_stream(decoded, limit, |slice| decoder.fill(slice))?;
        decoder.finish(limit)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let mut encoder = BzEncoder::new(encoded, bzip2::Compression::new(self.level));
        let done = encoder.write_all(decoded).and_then(|()| encoder.finish());
        done.map(|_| ()).map_err(|error| Error::unsupported(format!("bz2: cannot encode: {error}")))
    }
}
