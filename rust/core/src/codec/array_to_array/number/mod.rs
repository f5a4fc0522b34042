//! Numbers of every type, for codecs that calculate.

pub(crate) mod numpy;
pub(crate) mod real;
