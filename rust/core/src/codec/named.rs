//! Names with configurations, the form of codecs, chunk grids and chunk key encodings in metadata.

use serde_json::{Value, json};

use super::Configuration;
use crate::error::{Error, Result};
use crate::json::{list, read, show, string};

/// The name and configuration of a codec in metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The name of the codec, or one of its aliases.
    pub name: String,
    /// Its configuration.
    pub configuration: Configuration,
}

impl From<Named> for Value {
    /// Returns the form in metadata, which omits an empty configuration.
    fn from(named: Named) -> Self {
        let Named { name, configuration } = named;
        if configuration.is_empty() {
            json!({"name": name})
        } else {
            json!({"name": name, "configuration": configuration})
        }
    }
}

/// Reads a name with a configuration: `{"name": ..., "configuration": {...}}`, or just the name.
pub(crate) fn parse_named(value: &Value) -> Result<Named> {
    let mut named = Named { name: String::new(), configuration: Configuration::new() };
    let members = match value {
        Value::String(name) => return Ok(Named { name: name.clone(), ..named }),
        Value::Object(members) => members,
        other => {
            return Err(Error::metadata(format!("{} is neither a name nor an object with a name", show(other))));
        }
    };
    read(members, "name", string)?.clone_into(&mut named.name);
    for (member, value) in members {
        match (&**member, value) {
            ("name", _) | ("must_understand", Value::Bool(_)) => {}
            ("configuration", Value::Object(configuration)) => named.configuration.clone_from(configuration),
            _ => {
                let (name, value) = (&named.name, show(value));
                return Err(Error::metadata(format!("{name}: {value} is not a valid {member:?}")));
            }
        }
    }
    Ok(named)
}

/// Reads a list of names with configurations, each `{"name": ..., "configuration": {...}}` or just the name.
pub fn parse_named_list(value: &Value) -> Result<Vec<Named>> {
    list(value)?.iter().map(parse_named).collect()
}
