//! Strided copies between buffers: the only module that moves elements, with the `unsafe` code for it.
//!
//! Order of axes, steps, negative strides and byte order are all handled in the same way: a copy has a list of
//! [`Axis`], each with a length and a stride on both sides, and lists of [`Jump`]s for elements without regular
//! spacing.

mod jumps;
mod memory;
mod output;
mod strided;

pub(crate) use jumps::{Jump, Jumps, combinations};
pub(crate) use memory::{Zeroable, as_bytes, bool_bytes, bytes_of, zeroed};
pub(crate) use output::{Output, Transfer};
pub(crate) use strided::{Axes, Axis, Item, c_strides, odometer, swap_words};
