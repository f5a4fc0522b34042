//! `lzma`: the compressor of `xz`, in one of three containers.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/compression/lzma.html>,
//! <https://docs.python.org/3/library/lzma.html>, <https://tukaani.org/xz/xz-file-format.txt>
//!
//! ```json
//! {"name": "lzma", "configuration": {"format": 1, "check": -1, "preset": 6, "filters": null}}
//! {"name": "lzma", "configuration": {"format": 3, "filters": [{"id": 3, "dist": 4}, {"id": 33, "preset": 6}]}}
//! ```
//!
//! The numbers are those of Python's `lzma`. The format is 1 for XZ, 2 for the older LZMA, and 3 for raw streams, which
//! only the filters describe. XZ may consist of several streams with zeros between them.

mod filter;

use std::sync::Arc;

use liblzma::stream::{Action, CONCATENATED, Check, Filters, LzmaOptions, PRESET_DEFAULT, Status, Stream};
use serde::Deserialize;

use self::filter::Filter;
use crate::codec::append::{append, append_stream};
use crate::codec::bytes_to_bytes::sizes::check_size;
use crate::codec::{BytesToBytes, Codec, Configuration, Size, configure};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};

pub(super) const EXAMPLE: &str = r#"{"format": 1, "check": 4, "preset": 0, "filters": null}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LzmaConfiguration {
    format: Option<i64>,
    check: Option<i64>,
    preset: Option<u32>,
    filters: Option<Vec<Configuration>>,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Xz(Check),
    Alone,
    Raw,
}

#[derive(Debug)]
struct Lzma {
    format: Format,
    filters: Vec<Filter>,
}

/// Maximum number of filters in a container.
const MAX_FILTERS: usize = 4;

/// Memory of the decoder beyond the decoded size, in bytes: the largest dictionary of the presets is 64 MiB.
const MEMORY: u64 = 80 << 20;

pub(super) fn create(configuration: &Configuration, _: &DataType) -> Result<Codec> {
    let given: LzmaConfiguration = configure(configuration)?;
    let format = match (given.format.unwrap_or(1), given.check.unwrap_or(-1)) {
        (1, -1 | 4) => Format::Xz(Check::Crc64),
        (1, 0) => Format::Xz(Check::None),
        (1, 1) => Format::Xz(Check::Crc32),
        (1, 10) => Format::Xz(Check::Sha256),
        (1, check) => return Err(Error::metadata(format!("check {check} is not one of -1, 0, 1, 4, 10"))),
        (2, -1 | 0) => Format::Alone,
        (3, -1 | 0) => Format::Raw,
        (2 | 3, check) => return Err(Error::metadata(format!("check {check}, but only format 1 has checks"))),
        (format, _) => return Err(Error::metadata(format!("format {format} is not one of 1, 2, 3"))),
    };
    let filters = match (given.filters, given.preset) {
        (Some(_), Some(_)) => return Err(Error::metadata("preset and filters exclude each other")),
        (None, _) if matches!(format, Format::Raw) => return Err(Error::metadata("format 3 needs filters")),
        (None, preset) => {
            vec![Filter::preset(matches!(format, Format::Xz(_)), preset.unwrap_or(PRESET_DEFAULT))?]
        }
        (Some(filters), None) if filters.len() > MAX_FILTERS => {
            return Err(Error::metadata(format!("{} filters are more than {MAX_FILTERS}", filters.len())));
        }
        (Some(filters), None) => filters.iter().map(Filter::new).collect::<Result<_>>().place(|| "filters")?,
    };
    if matches!(format, Format::Alone) && !matches!(filters[..], [Filter::Lzma { is_second: false, .. }]) {
        return Err(Error::metadata("format 2 takes one filter, which is LZMA1"));
    }
    let lzma = Lzma { format, filters };
    // Only the compressor knows which values are valid together.
    lzma.encoder(0).map_err(|error| Error::metadata(format!("invalid filters: {error}")))?;
    Ok(Codec::BytesToBytes(Arc::new(lzma)))
}

impl Lzma {
    /// Returns the filters for `size` bytes. A dictionary larger than that would be useless.
    fn filters(&self, size: usize) -> Result<Filters, liblzma::stream::Error> {
        let mut filters = Filters::new();
        for filter in &self.filters {
            filter.push(size, &mut filters)?;
        }
        Ok(filters)
    }

    fn encoder(&self, size: usize) -> Result<Stream, liblzma::stream::Error> {
        let options: Option<LzmaOptions> = self.filters.first().and_then(|filter| filter.options(size));
        match (self.format, options) {
            (Format::Xz(check), _) => Stream::new_stream_encoder(&self.filters(size)?, check),
            (Format::Alone, Some(options)) => Stream::new_lzma_encoder(&options),
            (Format::Alone | Format::Raw, _) => Stream::new_raw_encoder(&self.filters(size)?),
        }
    }

    /// Creates a decoder for at most `limit` decoded bytes.
    fn decoder<'a>(&self, encoded: &'a [u8], limit: usize) -> Result<Decoder<'a>> {
        let memory = MEMORY.saturating_add(limit as u64);
        let stream = match self.format {
            Format::Xz(_) => Stream::new_stream_decoder(memory, CONCATENATED),
            Format::Alone => Stream::new_lzma_decoder(memory),
            Format::Raw => self.filters(limit).and_then(|filters| Stream::new_raw_decoder(&filters)),
        };
        Ok(Decoder { stream: stream.map_err(damaged)?, rest: encoded, has_ended: false })
    }
}

fn damaged(error: liblzma::stream::Error) -> Error {
    use liblzma::stream::Error as Cause;
    match error {
        Cause::MemLimit => Error::corrupt("lzma: the dictionary is far larger than the decoded size"),
        error => Error::corrupt(format!("lzma: {error}")),
    }
}

struct Decoder<'a> {
    stream: Stream,
    rest: &'a [u8],
    has_ended: bool,
}

impl Decoder<'_> {
    /// Continues to decode, until the end or until the slice is full. Returns the number of bytes.
    fn fill(&mut self, decoded: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < decoded.len() && !self.has_ended {
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.process(self.rest, &mut decoded[filled..], Action::Finish).map_err(damaged)?;
            let (read, written) = (self.stream.total_in() - read, self.stream.total_out() - written);
            self.rest = &self.rest[read as usize..];
            filled += written as usize;
            match status {
                Status::StreamEnd => self.has_ended = true,
                _ if read == 0 && written == 0 => return Err(Error::corrupt("lzma: truncated")),
                _ => {}
            }
        }
        Ok(filled)
    }

    /// Checks that nothing follows, and the last checksum.
    fn finish(mut self, limit: usize) -> Result<()> {
        if self.fill(&mut [0])? > 0 {
            return Err(Error::corrupt(format!("lzma: decodes to more than {limit} bytes")));
        }
        if !self.rest.is_empty() {
            return Err(Error::corrupt(format!("lzma: {} bytes after the end", self.rest.len())));
        }
        Ok(())
    }
}

impl BytesToBytes for Lzma {
    fn encoded_size(&self, decoded: Size) -> Size {
        decoded.compressed()
    }

    fn decode_into(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        let mut decoder = self.decoder(encoded, decoded.len())?;
        let filled = decoder.fill(decoded)?;
        check_size("lzma", filled, decoded.len())?;
        decoder.finish(filled)
    }

    fn decode_bounded(&self, encoded: &[u8], limit: usize, decoded: &mut Vec<u8>) -> Result<()> {
        let mut decoder = self.decoder(encoded, limit)?;
        append_stream(decoded, limit, |slice| decoder.fill(slice))?;
        decoder.finish(limit)
    }

    fn encode(&self, decoded: &[u8], encoded: &mut Vec<u8>) -> Result<()> {
        let failed = |error| Error::unsupported(format!("lzma: cannot encode: {error}"));
        let mut encoder = self.encoder(decoded.len()).map_err(failed)?;
        let mut rest = decoded;
        loop {
            let mut status = Status::Ok;
            let written = append(encoded, rest.len().max(4 << 10), |slice| {
                let (read, written) = (encoder.total_in(), encoder.total_out());
                status = encoder.process(rest, slice, Action::Finish).map_err(failed)?;
                rest = &rest[(encoder.total_in() - read) as usize..];
                Ok((encoder.total_out() - written) as usize)
            })?;
            match status {
                Status::StreamEnd => return Ok(()),
                _ if written == 0 => {
                    return Err(Error::unsupported("lzma: cannot encode: the encoder does not finish"));
                }
                _ => {}
            }
        }
    }
}
