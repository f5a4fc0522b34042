//! Bytes-to-bytes codecs: compressors and checksums.

mod base64;
pub(super) mod blosc;
mod bz2;
mod checksum;
mod conditional;
mod crc32c;
mod deflate;
mod lz4;
mod lzma;
mod shuffle;
mod sizes;
mod zstd;

use super::row::{Damage, Row};

pub(super) const TABLE: &[Row] = &[
    Row::new("blosc", &["numcodecs.blosc"], blosc::create, blosc::EXAMPLE),
    Row::new("zstd", &["numcodecs.zstd"], zstd::create, r#"{"level": 1, "checksum": true}"#),
    Row::new("gzip", &["numcodecs.gzip"], deflate::create_gzip, r#"{"level": 5}"#),
    Row::new("zlib", &["numcodecs.zlib"], deflate::create_zlib, r#"{"level": 5}"#),
    Row::new("lz4", &["numcodecs.lz4"], lz4::create, r#"{"acceleration": 1}"#),
    Row::new("bz2", &["numcodecs.bz2"], bz2::create, r#"{"level": 5}"#),
    Row::new("lzma", &["numcodecs.lzma"], lzma::create, lzma::EXAMPLE),
    Row::new("shuffle", &["numcodecs.shuffle"], shuffle::create, r#"{"elementsize": 4}"#).undetected(&[
        Damage::Truncation,
        Damage::Erasure,
        Damage::Noise,
    ]),
    Row::new("conditional", &[], conditional::create, conditional::EXAMPLE).undetected(&[Damage::Truncation]),
    Row::new("base64", &["numcodecs.base64"], base64::create, "{}").undetected(&[Damage::Truncation, Damage::Erasure]),
    Row::new("crc32c", &["numcodecs.crc32c"], crc32c::create, "{}"),
    Row::new("crc32", &["numcodecs.crc32"], checksum::create_crc32, r#"{"location": "start"}"#),
    Row::new("adler32", &["numcodecs.adler32"], checksum::create_adler32, r#"{"location": "end"}"#),
    Row::new("fletcher32", &["numcodecs.fletcher32"], checksum::create_fletcher32, "{}")
        .undetected(&[Damage::Truncation]),
    Row::new(
        "jenkins_lookup3",
        &["numcodecs.jenkins_lookup3"],
        checksum::create_jenkins,
        r#"{"initval": 7, "prefix": [1, 2, 3]}"#,
    ),
];
