//! `numcodecs.astype`: converts numbers to another data type, as NumPy does.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/filter/astype.html>
//!
//! ```json
//! {"name": "numcodecs.astype", "configuration": {"encode_dtype": "<f4", "decode_dtype": "<f8"}}
//! ```
//!
//! `decode_dtype` defaults to the data type of the array.

use std::sync::Arc;

use serde::Deserialize;

use super::number::real::{Real, cast, encoded_type, named_type};
use crate::codec::{ArrayToArray, Codec, Configuration, configure};
use crate::data_type::DataType;
use crate::error::Result;

#[derive(Debug)]
struct AsType {
    decoded: Real,
    encoded: Real,
    encoded_type: DataType,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AsTypeConfiguration {
    encode_dtype: String,
    decode_dtype: Option<String>,
}

pub(super) fn create(configuration: &Configuration, data_type: &DataType) -> Result<Codec> {
    let AsTypeConfiguration { encode_dtype, decode_dtype } = configure(configuration)?;
    let decoded = Real::of(&named_type(decode_dtype.as_deref(), data_type)?)?;
    let encoded_type = encoded_type(Some(&encode_dtype), data_type)?;
    Ok(Codec::ArrayToArray(Arc::new(AsType { decoded, encoded: Real::of(&encoded_type)?, encoded_type })))
}

impl ArrayToArray for AsType {
    fn encoded_type(&self) -> &DataType {
        &self.encoded_type
    }

    fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<()> {
        cast((self.encoded, encoded), (self.decoded, decoded))
    }

    fn encode(&self, decoded: &[u8], encoded: &mut [u8]) -> Result<()> {
        cast((self.decoded, decoded), (self.encoded, encoded))
    }
}
