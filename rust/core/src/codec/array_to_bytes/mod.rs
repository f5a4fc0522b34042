//! Codecs from elements to bytes.

pub(super) mod bytes;
mod categorize;
mod objects;
mod packbits;
mod pcodec;
pub(super) mod sharding;
mod slices;
mod vlen;
pub(super) mod zfp;

use super::Row;

/// All of them.
pub(super) const TABLE: &[Row] = &[
    Row { name: "bytes", aliases: &["endian"], create: bytes::create, example: r#"{"endian": "big"}"# },
    Row { name: "packbits", aliases: &[], create: packbits::create, example: r#"{"padding_encoding": "last_byte"}"# },
    Row { name: "numcodecs.packbits", aliases: &[], create: packbits::create_numcodecs, example: "{}" },
    Row { name: "vlen-utf8", aliases: &["numcodecs.vlen-utf8"], create: vlen::create_utf8, example: "{}" },
    Row { name: "vlen-bytes", aliases: &["numcodecs.vlen-bytes"], create: vlen::create_bytes, example: "{}" },
    Row {
        name: "vlen-array",
        aliases: &["numcodecs.vlen-array"],
        create: vlen::create_array,
        example: r#"{"dtype": "<i2"}"#,
    },
    Row {
        name: "categorize",
        aliases: &["numcodecs.categorize"],
        create: categorize::create,
        example: r#"{"labels": ["a", "long", "é"], "dtype": "|O", "astype": "<u2"}"#,
    },
    Row { name: "json2", aliases: &["numcodecs.json2"], create: objects::json2::create, example: "{}" },
    Row { name: "msgpack2", aliases: &["numcodecs.msgpack2"], create: objects::msgpack2::create, example: "{}" },
    Row { name: "pickle", aliases: &["numcodecs.pickle"], create: objects::pickle::create, example: "{}" },
    Row {
        name: "pcodec",
        aliases: &["numcodecs.pcodec", "https://codec.zarrs.dev/array_to_bytes/pcodec"],
        create: pcodec::create,
        example: r#"{"level": 4}"#,
    },
    Row {
        name: "zfp",
        aliases: &["zarrs.zfp", "https://codec.zarrs.dev/array_to_bytes/zfp"],
        create: zfp::create_zfp,
        example: r#"{"mode": "reversible"}"#,
    },
    Row {
        name: "zfpy",
        aliases: &["numcodecs.zfpy", "https://codec.zarrs.dev/array_to_bytes/zfpy"],
        create: zfp::create_zfpy,
        example: r#"{"mode": 4}"#,
    },
    Row { name: "sharding_indexed", aliases: &[], create: sharding::create, example: sharding::EXAMPLE },
];
