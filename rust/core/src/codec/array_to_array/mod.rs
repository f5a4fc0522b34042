//! Array-to-array codecs: from elements to elements.

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

use super::row::Row;

pub(super) const TABLE: &[Row] = &[
    Row::new("transpose", &[], transpose::create, r#"{"order": [1, 0]}"#),
    Row::new("reshape", &[], reshape::create, r#"{"shape": [[0, 1], 1]}"#),
    Row::new("scale_offset", &[], scale_offset::create, r#"{"offset": 2, "scale": 4}"#)
        .unencodable(&["float8_e8m0fnu"]),
    Row::new("cast_value", &[], cast_value::create, r#"{"data_type": "float32"}"#),
    Row::new("bitround", &["numcodecs.bitround"], bitround::create, r#"{"keepbits": 5}"#),
    Row::new("numcodecs.delta", &[], delta::create, "{}"),
    Row::new("numcodecs.fixedscaleoffset", &[], fixedscaleoffset::create, r#"{"offset": 2, "scale": 4}"#)
        .lossy(&["bool"]),
    Row::new("numcodecs.quantize", &[], quantize::create, r#"{"digits": 1}"#),
    Row::new("numcodecs.astype", &[], astype::create, r#"{"encode_dtype": "<f4"}"#),
];
