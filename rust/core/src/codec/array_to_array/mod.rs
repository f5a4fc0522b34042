//! Codecs from elements to elements.

mod astype;
mod bitround;
mod cast_value;
mod delta;
mod fixedscaleoffset;
pub(super) mod number;
mod quantize;
pub(super) mod reshape;
mod scale_offset;
mod transpose;

use super::Row;

/// All of them.
pub(super) const TABLE: &[Row] = &[
    Row { name: "transpose", aliases: &[], create: transpose::create, example: r#"{"order": [1, 0]}"# },
    Row { name: "reshape", aliases: &[], create: reshape::create, example: r#"{"shape": [[0, 1], 1]}"# },
    Row { name: "scale_offset", aliases: &[], create: scale_offset::create, example: r#"{"offset": 2, "scale": 4}"# },
    Row { name: "cast_value", aliases: &[], create: cast_value::create, example: r#"{"data_type": "float32"}"# },
    Row { name: "bitround", aliases: &["numcodecs.bitround"], create: bitround::create, example: r#"{"keepbits": 5}"# },
    Row { name: "numcodecs.delta", aliases: &[], create: delta::create, example: "{}" },
    Row {
        name: "numcodecs.fixedscaleoffset",
        aliases: &[],
        create: fixedscaleoffset::create,
        example: r#"{"offset": 2, "scale": 4}"#,
    },
    Row { name: "numcodecs.quantize", aliases: &[], create: quantize::create, example: r#"{"digits": 1}"# },
    Row { name: "numcodecs.astype", aliases: &[], create: astype::create, example: r#"{"encode_dtype": "<f4"}"# },
];
