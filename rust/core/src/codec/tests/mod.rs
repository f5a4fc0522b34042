//! Tests of codecs: properties of every row, bytes of other writers, and hostile bytes.

mod array_to_array;
mod array_to_bytes;
mod blosc2;
mod bytes_to_bytes;
mod cast_value;
mod numcodecs;
mod table;
