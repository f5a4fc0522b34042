//! The codecs of a new array: shorthands, JSON and numcodecs configurations, converted to codecs of Zarr V3.

use serde_json::{Value, json};

use crate::codec::{self, Named, parse_named};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::json::show;
use crate::metadata::{Order, blosc_typesize, default_serializer, from_numcodecs, to_v3};

/// Codecs as callers write them.
#[derive(Clone, Debug)]
pub(super) struct Codecs {
    /// All codecs, instead of filters, serializer and compressors.
    all: Option<Vec<Value>>,
    pub(super) filters: Vec<Value>,
    pub(super) serializer: Option<Value>,
    pub(super) compressors: Vec<Value>,
    pub(super) order: Order,
}

impl Default for Codecs {
    fn default() -> Self {
        Self { all: None, filters: Vec::new(), serializer: None, compressors: vec!["zstd".into()], order: Order::C }
    }
}

impl Codecs {
    pub(super) fn all(codecs: Vec<Value>) -> Self {
        Self { all: Some(codecs), ..Self::default() }
    }

    /// Drops the list of all codecs, so that parts can be set.
    pub(super) fn parts(&mut self) -> &mut Self {
        self.all = None;
        self
    }

    /// Returns the codecs of a chunk in the order of encoding, with their names in Zarr V3.
    pub(super) fn resolve(&self, data_type: &DataType, rank: usize, is_v2: bool) -> Result<Vec<Named>> {
        let parse = |codecs: &[Value], field: &str| -> Result<Vec<Named>> {
            let given = codecs.iter().filter(|codec| *codec != "none");
            given.map(|codec| parse(codec, data_type)).collect::<Result<_>>().place(|| field)
        };
        let mut codecs = Vec::new();
        if self.order == Order::F && rank > 1 {
            let axes: Vec<_> = (0..rank).rev().collect();
            codecs.push(named("transpose", json!({"order": axes})));
        }
        if let Some(all) = &self.all {
            codecs.extend(parse(all, "codecs")?);
            return Ok(codecs);
        }
        codecs.extend(parse(&self.filters, "filters")?);
        match &self.serializer {
            Some(serializer) => codecs.extend(parse(std::slice::from_ref(serializer), "serializer")?),
            // A filter may encode elements of variable length; if none does, the metadata of V2 add a codec for them.
            None if is_v2 => codecs.push(named("bytes", json!({}))),
            None => codecs.push(default_serializer(data_type)),
        }
        codecs.extend(parse(&self.compressors, "compressors")?);
        Ok(codecs)
    }
}

/// Parses a codec in any of its forms.
fn parse(value: &Value, data_type: &DataType) -> Result<Named> {
    let codec = match value {
        Value::String(text) => shorthand(text, data_type)?,
        Value::Object(members) if members.contains_key("name") => parse_named(value)?,
        Value::Object(members) if members.contains_key("id") => from_numcodecs(value, data_type)?,
        _ => {
            return Err(Error::metadata(format!(
                "{} is not a codec: write a name such as \"zstd:5\", {{\"name\": ..., \"configuration\": ...}}, or \
                 {{\"id\": ...}} as numcodecs does",
                show(value)
            )));
        }
    };
    to_v3(codec, data_type)
}

fn named(name: &str, configuration: Value) -> Named {
    let configuration = if let Value::Object(members) = configuration { members } else { codec::Configuration::new() };
    Named { name: name.into(), configuration }
}

/// Shorthands with one number: name of the codec, name of the number, and default.
const LEVELS: [(&str, &str, i64); 6] = [
    ("zstd", "level", 3),
    ("gzip", "level", 5),
    ("zlib", "level", 5),
    ("bz2", "level", 5),
    ("lzma", "preset", 6),
    ("lz4", "acceleration", 1),
];

/// Parses a shorthand: a name and options, separated by colons, such as `blosc:zstd:5:bitshuffle`.
fn shorthand(text: &str, data_type: &DataType) -> Result<Named> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let options: Vec<&str> = parts.collect();
    let integer = |part: &str| {
        part.parse::<i64>().map_err(|_| Error::metadata(format!("{text:?}: {part:?} is not a level; write an integer")))
    };
    let too_many = |takes: &str| Err(Error::metadata(format!("{text:?}: {name} takes {takes}, and nothing else")));
    if let Some((_, member, default)) = LEVELS.iter().find(|level| level.0 == name) {
        let level = match options[..] {
            [] => *default,
            [level] => integer(level)?,
            _ => return too_many("a level"),
        };
        return Ok(named(name, json!({*member: level})));
    }
    if name == "blosc" {
        let (compressor, level, shuffle) = match options[..] {
            [] => ("zstd", "5", "shuffle"),
            [compressor] => (compressor, "5", "shuffle"),
            [compressor, level] => (compressor, level, "shuffle"),
            [compressor, level, shuffle] => (compressor, level, shuffle),
            _ => return too_many("a compressor, a level and a shuffle"),
        };
        return Ok(named(
            name,
            json!({"cname": compressor, "clevel": integer(level)?, "shuffle": shuffle,
                "typesize": blosc_typesize(data_type), "blocksize": 0}),
        ));
    }
    if options.is_empty() && codec::exists(name) {
        return Ok(named(name, json!({})));
    }
    Err(Error::metadata(format!(
        "unknown codec {text:?}; there are \"none\", \"zstd:3\", \"gzip:5\", \"zlib:5\", \"bz2:5\", \"lzma:6\", \"lz4:1\", \
         \"blosc:zstd:5:bitshuffle\" (all but the name can be left out), and the names of codecs that need no configuration"
    )))
}
