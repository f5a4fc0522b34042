//! Tests of codecs: what holds for every row of the tables, what other writers wrote, and hostile bytes.

mod array_to_array;
mod array_to_bytes;
mod blosc2;
mod bytes_to_bytes;
mod cast_value;
mod numcodecs;
mod table;
