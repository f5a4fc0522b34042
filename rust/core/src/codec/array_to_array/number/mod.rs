//! Numbers of every data type, for codecs that compute with them.

pub(crate) mod numpy;
pub(crate) mod real;
pub(crate) mod steps;
