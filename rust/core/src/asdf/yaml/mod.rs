//! YAML as ASDF uses it: trees with tags, styles and shared nodes, and scalars of YAML 1.1.
//!
//! [`Document::parse`] builds an arena of nodes from libyaml's events, without resolving scalars. [`Document::scalar`]
//! resolves a scalar, [`Document::entries`] merges the keys of a mapping, [`to_value`] and [`Document::deserialize`] pass
//! plain metadata to serde, and [`Document::to_bytes`] writes the tree.
//!
//! `serde_yaml` alone cannot represent an ASDF tree: it drops tags, copies shared nodes, and resolves scalars by the rules
//! of YAML 1.2.

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

/// Prefix of ASDF's tags, abbreviated `!`.
pub const ASDF_TAG_PREFIX: &str = "tag:stsci.edu:asdf/";

/// Prefix of YAML's tags, abbreviated `!!`.
pub const YAML_TAG_PREFIX: &str = "tag:yaml.org,2002:";
