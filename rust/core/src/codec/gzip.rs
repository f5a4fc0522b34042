//! `gzip`
use super::{Codec, Configuration};
use crate::data_type::DataType;
use crate::error::{Error, Result};

pub(super) const EXAMPLE: &str = "{}";

pub(super) fn create(_: &Configuration, _: &DataType) -> Result<Codec> {
    Err(Error::unsupported("gzip is not there yet"))
}
