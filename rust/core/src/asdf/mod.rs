//! ASDF files.
