//! The configurations that numcodecs writes, in the terms of Zarr V3.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/abc.html>, and what each codec there writes.

use serde_json::Value;

use crate::codec::{self, Named};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::json::{object, read, show, string};

/// Reads a configuration of numcodecs. Codecs without a form of their own in Zarr V3 pass as they are.
pub(super) fn numcodec(value: &Value, data_type: &DataType) -> Result<Named> {
    let mut configuration = object(value)?.clone();
    let name = read(&configuration, "id", string)?.to_owned();
    configuration.shift_remove("id");
    let mut default = |member: &str, value: Value| {
        configuration.entry(member).or_insert(value);
    };
    match &*name {
        "blosc" => {
            default("cname", "lz4".into());
            default("clevel", 5.into());
            default("shuffle", 1.into());
            default("blocksize", 0.into());
            // Blosc cannot say more than 255, and takes what is longer for bytes.
            default("typesize", u8::try_from(data_type.size()).unwrap_or(1).into());
            if let Some(shuffle) = configuration.get_mut("shuffle") {
                *shuffle = blosc_shuffle(shuffle, data_type).place(|| "blosc: shuffle")?.into();
            }
        }
        "zstd" => {
            default("level", 0.into());
            default("checksum", false.into());
        }
        "gzip" | "zlib" => default("level", 1.into()),
        // Absent in V3, it is that of the data type.
        "shuffle" => default("elementsize", 4.into()),
        "crc32c" if configuration.get("location").is_some_and(|location| location == "end") => {
            configuration.shift_remove("location");
        }
        _ => {}
    }
    // What is called otherwise in Zarr V3, and what only an extension may know.
    let name = if name == "packbits" || !codec::exists(&name) { format!("numcodecs.{name}") } else { name };
    Ok(Named { name, configuration })
}

fn blosc_shuffle(value: &Value, data_type: &DataType) -> Result<&'static str> {
    match value.as_i64() {
        Some(0) => Ok("noshuffle"),
        Some(1) => Ok("shuffle"),
        Some(2) => Ok("bitshuffle"),
        Some(-1) if data_type.size() == 1 => Ok("bitshuffle"),
        Some(-1) => Ok("shuffle"),
        _ => Err(Error::metadata(format!("{} is not one of -1, 0, 1, 2", show(value)))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numcodecs_configurations_become_those_of_v3() {
        let int16 = DataType::from_name("int16").unwrap();
        for (v2, v3) in [
            (json!({"id": "zstd", "level": 3}), r#"zstd {"level":3,"checksum":false}"#),
            (json!({"id": "gzip", "level": 9}), r#"gzip {"level":9}"#),
            (json!({"id": "zlib"}), r#"zlib {"level":1}"#),
            (
                json!({"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 2, "blocksize": 0}),
                r#"blosc {"cname":"zstd","clevel":1,"shuffle":"bitshuffle","blocksize":0,"typesize":2}"#,
            ),
            (
                json!({"id": "blosc", "shuffle": -1}),
                r#"blosc {"shuffle":"shuffle","cname":"lz4","clevel":5,"blocksize":0,"typesize":2}"#,
            ),
            (json!({"id": "crc32c", "location": "end"}), "crc32c {}"),
            (json!({"id": "crc32c", "location": "start"}), r#"crc32c {"location":"start"}"#),
            (json!({"id": "shuffle"}), r#"shuffle {"elementsize":4}"#),
            (json!({"id": "other", "x": [1]}), r#"numcodecs.other {"x":[1]}"#),
        ] {
            let named = numcodec(&v2, &int16).unwrap();
            assert_eq!(format!("{} {}", named.name, json!(named.configuration)), v3);
        }
        for wrong in [json!("zstd"), json!({"level": 1}), json!({"id": 7}), json!({"id": "blosc", "shuffle": 3})] {
            assert!(numcodec(&wrong, &int16).is_err(), "{wrong}");
        }
    }
}
