//! `pickle`: never read nor written, since reading it runs the code that is in it.

use crate::codec::{Codec, Configuration};
use crate::data_type::DataType;
use crate::error::{Error, Result};

pub(crate) fn create(_: &Configuration, _: &DataType) -> Result<Codec> {
    Err(Error::unsupported(
        "pickles are not read: a pickle is a program, which could do anything. Store the array anew",
    ))
}
