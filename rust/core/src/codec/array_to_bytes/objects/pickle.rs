//! `pickle`: refused, because reading a pickle runs the code in it.

use crate::codec::{Codec, Configuration};
use crate::data_type::DataType;
use crate::error::{Error, Result};

pub(crate) fn create(_: &Configuration, _: &DataType) -> Result<Codec> {
    Err(Error::unsupported("cannot read pickles, which run code from the data; rewrite the array with another codec"))
}
