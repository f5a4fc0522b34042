//! ASDF files.

pub mod yaml;
