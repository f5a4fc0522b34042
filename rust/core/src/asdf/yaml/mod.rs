//! YAML as ASDF uses it: the tree keeps tags, styles and identities, and scalars mean what YAML 1.1 says.
//!
//! [`Document::parse`] makes an arena of nodes out of libyaml's events; nothing is resolved yet. [`Document::scalar`]
//! says what a scalar means, [`Document::entries`] what a mapping holds, [`to_value`] and [`Document::deserialize`]
//! hand plain metadata to serde, and [`Document::to_bytes`] writes the tree back.
//!
//! `serde_yaml` alone cannot carry an ASDF tree: it drops the tags, copies what aliases share, and reads scalars by the
//! rules of YAML 1.2.

mod builder;
mod compose;
mod document;
mod emit;
mod entries;
mod number;
mod raw;
mod scalar;
mod value;

pub use compose::Limits;
pub use document::{Document, Kind, Node, NodeId};
pub use scalar::{Resolved, Scalar, Style, is_plain_string, resolve};
pub use value::{to_json, to_value};

/// What `!` stands for in the tags of ASDF.
pub const ASDF_TAG_PREFIX: &str = "tag:stsci.edu:asdf/";

/// What `!!` stands for in YAML.
pub const YAML_TAG_PREFIX: &str = "tag:yaml.org,2002:";
