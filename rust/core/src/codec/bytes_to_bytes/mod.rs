//! Codecs from bytes to bytes.

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

use super::Row;

/// All of them.
pub(super) const TABLE: &[Row] = &[
    Row { name: "blosc", aliases: &["numcodecs.blosc"], create: blosc::create, example: blosc::EXAMPLE },
    Row {
        name: "zstd",
        aliases: &["numcodecs.zstd"],
        create: zstd::create,
        example: r#"{"level": 1, "checksum": true}"#,
    },
    Row { name: "gzip", aliases: &["numcodecs.gzip"], create: deflate::create_gzip, example: r#"{"level": 5}"# },
    Row { name: "zlib", aliases: &["numcodecs.zlib"], create: deflate::create_zlib, example: r#"{"level": 5}"# },
    Row { name: "lz4", aliases: &["numcodecs.lz4"], create: lz4::create, example: r#"{"acceleration": 1}"# },
    Row { name: "bz2", aliases: &["numcodecs.bz2"], create: bz2::create, example: r#"{"level": 5}"# },
    Row { name: "lzma", aliases: &["numcodecs.lzma"], create: lzma::create, example: lzma::EXAMPLE },
    Row { name: "shuffle", aliases: &["numcodecs.shuffle"], create: shuffle::create, example: r#"{"elementsize": 4}"# },
    Row { name: "conditional", aliases: &[], create: conditional::create, example: conditional::EXAMPLE },
    Row { name: "base64", aliases: &["numcodecs.base64"], create: base64::create, example: "{}" },
    Row { name: "crc32c", aliases: &["numcodecs.crc32c"], create: crc32c::create, example: "{}" },
    Row {
        name: "crc32",
        aliases: &["numcodecs.crc32"],
        create: checksum::create_crc32,
        example: r#"{"location": "start"}"#,
    },
    Row {
        name: "adler32",
        aliases: &["numcodecs.adler32"],
        create: checksum::create_adler32,
        example: r#"{"location": "end"}"#,
    },
    Row { name: "fletcher32", aliases: &["numcodecs.fletcher32"], create: checksum::create_fletcher32, example: "{}" },
    Row {
        name: "jenkins_lookup3",
        aliases: &["numcodecs.jenkins_lookup3"],
        create: checksum::create_jenkins,
        example: r#"{"initval": 7, "prefix": [1, 2, 3]}"#,
    },
];
