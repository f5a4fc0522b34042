//! Array-to-bytes codecs: from elements to bytes.

pub(super) mod bytes;
mod categorize;
mod objects;
mod packbits;
mod pcodec;
pub(super) mod sharding;
mod slices;
mod vlen;
pub(super) mod zfp;

use super::row::{Damage, Row};

pub(super) const TABLE: &[Row] = &[
    Row::new("bytes", &["endian"], bytes::create, r#"{"endian": "big"}"#),
    Row::new("packbits", &[], packbits::create, r#"{"padding_encoding": "last_byte"}"#),
    Row::new("numcodecs.packbits", &[], packbits::create_numcodecs, "{}"),
    Row::new("vlen-utf8", &["numcodecs.vlen-utf8"], vlen::create_utf8, "{}"),
    Row::new("vlen-bytes", &["numcodecs.vlen-bytes"], vlen::create_bytes, "{}"),
    Row::new("vlen-array", &["numcodecs.vlen-array"], vlen::create_array, r#"{"dtype": "<i2"}"#),
    Row::new(
        "categorize",
        &["numcodecs.categorize"],
        categorize::create,
        r#"{"labels": ["a", "long", "é"], "dtype": "|O", "astype": "<u2"}"#,
    ),
    Row::new("json2", &["numcodecs.json2"], objects::json2::create, "{}"),
    Row::new("msgpack2", &["numcodecs.msgpack2"], objects::msgpack2::create, "{}"),
    Row::new("pickle", &["numcodecs.pickle"], objects::pickle::create, "{}").refused(),
    Row::new(
        "pcodec",
        &["numcodecs.pcodec", "https://codec.zarrs.dev/array_to_bytes/pcodec"],
        pcodec::create,
        r#"{"level": 4}"#,
    ),
    Row::new(
        "zfp",
        &["zarrs.zfp", "https://codec.zarrs.dev/array_to_bytes/zfp"],
        zfp::create_zfp,
        r#"{"mode": "reversible"}"#,
    )
    .undetected(&[Damage::UnusedEnd]),
    Row::new(
        "zfpy",
        &["numcodecs.zfpy", "https://codec.zarrs.dev/array_to_bytes/zfpy"],
        zfp::create_zfpy,
        r#"{"mode": 4}"#,
    )
    .undetected(&[Damage::UnusedEnd]),
    Row::new("sharding_indexed", &[], sharding::create, sharding::EXAMPLE),
];
