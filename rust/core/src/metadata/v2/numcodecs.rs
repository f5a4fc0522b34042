//! Translation between the codecs of Zarr V2, which numcodecs defines, and those of Zarr V3.
//!
//! Specification: <https://numcodecs.readthedocs.io/en/stable/abc.html>, and the documentation of each codec there.

use serde_json::{Value, json};

use crate::codec::{self, Configuration, Named, is_array_to_bytes, is_bytes_to_bytes, numcodecs_id};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::json::{list, object, read, show, string};
use crate::metadata::Order;

/// Codecs that the Zarr V3 specification itself defines, under the names that numcodecs uses.
const CORE: [&str; 4] = ["zstd", "gzip", "blosc", "crc32c"];

/// The values of blosc's `shuffle`, numbered as numcodecs does.
const SHUFFLES: [&str; 3] = ["noshuffle", "shuffle", "bitshuffle"];

/// The codecs of an array of Zarr V2, as numcodecs configures them.
#[derive(Debug, Default)]
pub(crate) struct V2Codecs {
    pub(crate) filters: Vec<Value>,
    pub(crate) compressor: Option<Value>,
    pub(crate) order: Order,
}

impl V2Codecs {
    /// Translates the codecs of a chunk of Zarr V3. Their `bytes` is left out: V2 has the byte order in the data type.
    ///
    /// Fails with [`Unsupported`](crate::ErrorKind::Unsupported) if V2 has no form for a codec; nothing is dropped.
    pub(crate) fn new(codecs: &[Named], rank: usize) -> Result<Self> {
        let mut found = Self::default();
        let mut serialized = false;
        for codec in codecs {
            if codec.name == "transpose" && found.filters.is_empty() && !serialized {
                let axes = read(&codec.configuration, "order", list)?;
                if axes.iter().map(Value::as_u64).eq((0..rank as u64).map(Some)) {
                    continue;
                } else if axes.iter().map(Value::as_u64).eq((0..rank as u64).rev().map(Some)) {
                    found.order = if found.order == Order::C { Order::F } else { Order::C };
                    continue;
                }
            }
            if codec.name == "bytes" {
                serialized = true;
                continue;
            }
            let Some(id) = numcodecs_id(&codec.name) else {
                return Err(Error::unsupported(format!(
                    "Zarr V2 cannot express codec {:?}; keep Zarr V3, or choose codecs of numcodecs",
                    codec.name
                )));
            };
            let value = to_numcodecs(id, codec);
            if serialized {
                found.filters.extend(found.compressor.replace(value));
            } else {
                found.filters.push(value);
            }
            // Zarr V2 lists array-to-bytes codecs among the filters.
            serialized |= is_array_to_bytes(id);
        }
        Ok(found)
    }
}

/// Returns the codecs that encode an inner chunk: the codecs before the shard, those of the innermost shard, and the
/// codecs after the shard. Without a shard, returns all codecs.
pub(crate) fn inner_codecs(codecs: &[Named]) -> Result<Vec<Named>> {
    let Some(shard) = codecs.iter().position(|codec| codec.name == "sharding_indexed") else {
        return Ok(codecs.to_vec());
    };
    let inner = read(&codecs[shard].configuration, "codecs", codec::parse_named_list)?;
    Ok([&codecs[..shard], &inner_codecs(&inner)?, &codecs[shard + 1..]].concat())
}

/// Returns a codec under its name in Zarr V3, with the members that V3 requires and numcodecs may omit.
pub(crate) fn to_v3(codec: Named, data_type: &DataType) -> Result<Named> {
    let Named { mut name, mut configuration } = codec;
    let bare = name.strip_prefix("numcodecs.").unwrap_or(&name).to_owned();
    complete(&bare, &mut configuration, data_type)?;
    // In Zarr V3, the `location` of crc32c is an extension by numcodecs.
    let is_core = CORE.contains(&&*bare) && (bare != "crc32c" || configuration.is_empty());
    if is_core {
        name = bare;
    } else if is_bytes_to_bytes(&bare) && numcodecs_id(&bare).is_some() {
        name = format!("numcodecs.{bare}");
    }
    Ok(Named { name, configuration })
}

/// Adds the members that numcodecs may omit to a configuration, as Zarr V3 spells them.
fn complete(id: &str, configuration: &mut Configuration, data_type: &DataType) -> Result<()> {
    match id {
        "blosc" => {
            let shuffle = configuration.entry("shuffle").or_insert(1.into());
            if !shuffle.is_string() {
                *shuffle = blosc_shuffle(shuffle, data_type).place(|| "blosc: shuffle")?.into();
            }
            configuration.entry("typesize").or_insert(blosc_typesize(data_type).into());
        }
        "zstd" => {
            configuration.entry("level").or_insert(0.into());
            configuration.entry("checksum").or_insert(false.into());
        }
        "crc32c" if configuration.get("location").is_some_and(|location| location == "end") => {
            configuration.shift_remove("location");
        }
        _ => {}
    }
    Ok(())
}

/// Returns the element size that blosc shuffles by; 1 for elements over 255 bytes, which blosc cannot express.
pub(crate) fn blosc_typesize(data_type: &DataType) -> u8 {
    if data_type.is_variable() { 1 } else { u8::try_from(data_type.size()).unwrap_or(1) }
}

/// Returns the numcodecs configuration of a Zarr V3 codec.
fn to_numcodecs(id: &str, codec: &Named) -> Value {
    let mut configuration = codec.configuration.clone();
    match id {
        "blosc" => {
            let shuffle = configuration.get("shuffle").and_then(Value::as_str);
            if let Some(number) = shuffle.and_then(|name| SHUFFLES.iter().position(|known| *known == name)) {
                configuration["shuffle"] = number.into();
            }
            configuration.shift_remove("typesize");
        }
        // False is the default of numcodecs, and older readers do not know the member.
        "zstd" if configuration.get("checksum").is_some_and(|checksum| checksum == false) => {
            configuration.shift_remove("checksum");
        }
        _ => {}
    }
    let mut value = json!({"id": id});
    if let Some(members) = value.as_object_mut() {
        members.extend(configuration.into_iter().filter(|(name, _)| name != "id"));
    }
    value
}

/// Parses a configuration of numcodecs. Codecs that are not in Zarr V3 get the names in our table.
pub(crate) fn from_numcodecs(value: &Value, data_type: &DataType) -> Result<Named> {
    let mut configuration = object(value)?.clone();
    let name = read(&configuration, "id", string)?.to_owned();
    configuration.shift_remove("id");
    let defaults: &[(&str, Value)] = match &*name {
        "blosc" => &[("cname", "lz4".into()), ("clevel", 5.into()), ("shuffle", 1.into()), ("blocksize", 0.into())],
        "gzip" | "zlib" => &[("level", 1.into())],
        // In Zarr V3, an omitted element size is that of the data type.
        "shuffle" => &[("elementsize", 4.into())],
        _ => &[],
    };
    for (member, value) in defaults {
        configuration.entry(*member).or_insert_with(|| value.clone());
    }
    complete(&name, &mut configuration, data_type)?;
    // Zarr V3 has another codec named packbits. Unknown names are left to extensions.
    let name = if name == "packbits" || !codec::exists(&name) { format!("numcodecs.{name}") } else { name };
    Ok(Named { name, configuration })
}

fn blosc_shuffle(value: &Value, data_type: &DataType) -> Result<&'static str> {
    match value.as_i64() {
        Some(number @ 0..=2) => Ok(SHUFFLES[number as usize]),
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
            let named = from_numcodecs(&v2, &int16).unwrap();
            assert_eq!(format!("{} {}", named.name, json!(named.configuration)), v3);
        }
        for wrong in [json!("zstd"), json!({"level": 1}), json!({"id": 7}), json!({"id": "blosc", "shuffle": 3})] {
            assert!(from_numcodecs(&wrong, &int16).is_err(), "{wrong}");
        }
    }
}
