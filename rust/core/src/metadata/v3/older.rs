//! Codecs as drafts of the specification and older writers spell them.
//!
//! - `transpose` by letter: <https://github.com/zarr-developers/zarr-specs/pull/264>
//! - the codec `bytes` under its first name, `endian`: <https://github.com/zarr-developers/zarr-specs/pull/263>
//! - `sharding_indexed` without `index_codecs`, for which zarr-python and others assume the usual ones

use serde_json::{Value, json};

use crate::codec::{Named, parse_named_list};
use crate::error::{Place, Result};

/// Parses the codecs of chunks of `rank` axes, and returns them as the specification spells them today.
pub(super) fn codecs(value: &Value, rank: usize) -> Result<Vec<Named>> {
    let mut codecs = parse_named_list(value)?;
    codecs.iter_mut().try_for_each(|codec| modernize(codec, rank))?;
    Ok(codecs)
}

fn modernize(codec: &mut Named, rank: usize) -> Result<()> {
    let configuration = &mut codec.configuration;
    match &*codec.name {
        "endian" => codec.name = "bytes".into(),
        "transpose" => match configuration.get("order").and_then(Value::as_str) {
            Some("C") => configuration["order"] = (0..rank).collect(),
            Some("F") => configuration["order"] = (0..rank).rev().collect(),
            _ => {}
        },
        "sharding_indexed" => {
            let index = json!([{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]);
            configuration.entry("index_codecs").or_insert(index);
            // The index has one more axis, for offset and length.
            for (member, rank) in [("codecs", rank), ("index_codecs", rank + 1)] {
                if let Some(inner @ Value::Array(_)) = configuration.get_mut(member) {
                    let read = codecs(inner, rank).place(|| member)?;
                    *inner = read.into_iter().map(Value::from).collect();
                }
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_spellings_are_those_of_today() {
        let little = json!({"name": "bytes", "configuration": {"endian": "little"}});
        for (older, today) in [
            (json!({"name": "transpose", "configuration": {"order": "F"}}), json!([2, 1, 0])),
            (json!({"name": "transpose", "configuration": {"order": "C"}}), json!([0, 1, 2])),
            (json!({"name": "transpose", "configuration": {"order": [1, 0, 2]}}), json!([1, 0, 2])),
        ] {
            assert_eq!(codecs(&json!([older]), 3).unwrap()[0].configuration["order"], today);
        }
        let endian = json!({"name": "endian", "configuration": {"endian": "little"}});
        let shard = json!({"name": "sharding_indexed", "configuration": {"chunk_shape": [1, 1],
            "codecs": [{"name": "transpose", "configuration": {"order": "F"}}, endian]}});
        let read = codecs(&json!([shard]), 2).unwrap();
        assert_eq!(read[0].configuration["codecs"][0]["configuration"]["order"], json!([1, 0]));
        assert_eq!(read[0].configuration["codecs"][1], little);
        assert_eq!(read[0].configuration["index_codecs"], json!([little, {"name": "crc32c"}]));
        let wrong = json!([{"name": "sharding_indexed", "configuration": {"codecs": [7]}}]);
        assert!(codecs(&wrong, 2).unwrap_err().message().contains("codecs"));
    }
}
