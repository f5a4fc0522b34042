//! Zarr V3: `zarr.json`.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html>

pub(super) mod chunking;
mod consolidated;
pub(super) mod data_type;
mod older;

use serde_json::{Map, Value, json};

use chunking::{chunk_grid_from_json, chunk_grid_to_json, chunk_key_encoding_from_json, chunk_key_encoding_to_json};
pub(super) use consolidated::{consolidate, consolidated, update as update_consolidated};
use data_type::{data_type_from_json, data_type_to_json};

use super::fill_value::{fill_value_read, fill_value_to_json, no_fill_value};
use super::folder::{Folder, Node, NodeKind};
use super::{ArrayMetadata, Attributes, AttributesChange, GroupMetadata, NewArray, check_chunk, check_codecs};
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::{Endian, Named, parse_named_list};
use crate::error::{Error, Place, Result};
use crate::json::{check_format, lengths, list, object, read, show, string, write_literal};

const ARRAY_MEMBERS: &[&str] = &[
    "zarr_format",
    "node_type",
    "shape",
    "data_type",
    "chunk_grid",
    "chunk_key_encoding",
    "fill_value",
    "codecs",
    "attributes",
    "storage_transformers",
    "dimension_names",
];

const GROUP_MEMBERS: &[&str] = &["zarr_format", "node_type", "attributes", "consolidated_metadata"];

/// Parses the `zarr.json` of an array.
pub(super) fn array(document: Value) -> Result<ArrayMetadata> {
    let members = object(&document)?;
    check_members(members, "array", ARRAY_MEMBERS)?;
    let shape = read(members, "shape", lengths)?;
    let data_type = read(members, "data_type", data_type_from_json)?;
    let chunk_grid = read(members, "chunk_grid", |grid| chunk_grid_from_json(grid, &shape))?;
    check_chunk(&chunk_grid, &data_type).place(|| "chunk_grid")?;
    let chunk_key_encoding = read(members, "chunk_key_encoding", chunk_key_encoding_from_json)?;
    let fill_value = read(members, "fill_value", |value| {
        let codecs = members.get("codecs").and_then(Value::as_array);
        let big = |codec: &Value| codec.pointer("/configuration/endian").is_some_and(|endian| endian == "big");
        let stored = if codecs.is_some_and(|codecs| codecs.iter().any(big)) { Endian::Big } else { Endian::Little };
        // The specification requires a fill value. GDAL writes null; its own readers then take missing chunks as zero.
        if value.is_null() { Ok(no_fill_value(&data_type)) } else { fill_value_read(value, &data_type, stored) }
    })?;
    if members.contains_key("storage_transformers") {
        read(members, "storage_transformers", no_storage_transformers)?;
    }
    let codecs = read(members, "codecs", |codecs| {
        let codecs = older::codecs(codecs, shape.len())?;
        check_codecs(&codecs, &chunk_grid, &data_type, &fill_value)?;
        Ok(codecs)
    })?;
    let dimension_names = match members.get("dimension_names") {
        None | Some(Value::Null) => None,
        Some(names) => Some(dimension_names(names, shape.len()).place(|| "dimension_names")?),
    };
    let attributes = attributes(members)?;
    Ok(ArrayMetadata {
        zarr_format: 3,
        chunk_grid,
        data_type,
        fill_value,
        chunk_key_encoding,
        codecs,
        attributes,
        dimension_names,
        document,
    })
}

/// Parses the `zarr.json` of a group.
pub(super) fn group(document: Value) -> Result<GroupMetadata> {
    let members = object(&document)?;
    check_members(members, "group", GROUP_MEMBERS)?;
    Ok(GroupMetadata { zarr_format: 3, attributes: attributes(members)?, document })
}

pub(super) const FILE: &str = "zarr.json";

/// Reads the node of a folder.
pub(super) fn node(folder: &Folder) -> Result<Option<Node>> {
    let Some(document) = folder.file(FILE)? else { return Ok(None) };
    let node = match node_type(&document) {
        Ok(NodeKind::Array) => array(document).map(|array| Node::Array(array.into())),
        Ok(NodeKind::Group | NodeKind::Damaged) => group(document).map(|group| Node::Group(group.into())),
        Err(error) => Err(error),
    };
    node.map(Some).place(|| folder.display(FILE))
}

/// Returns the kind of a folder's node, without parsing all its metadata.
pub(super) fn kind(folder: &Folder) -> Result<Option<NodeKind>> {
    let Some(document) = folder.file(FILE)? else { return Ok(None) };
    node_type(&document).map(Some).place(|| folder.display(FILE))
}

fn node_type(document: &Value) -> Result<NodeKind> {
    let members = object(document)?;
    check_format(members, 3)?;
    read(members, "node_type", |node_type| match node_type.as_str() {
        Some("array") => Ok(NodeKind::Array),
        Some("group") => Ok(NodeKind::Group),
        _ => Err(Error::metadata(format!("{} is not a node type; expected \"array\" or \"group\"", show(node_type)))),
    })
}

fn check_members(members: &Map<String, Value>, kind: &str, known: &[&str]) -> Result<()> {
    check_format(members, 3)?;
    read(members, "node_type", |node_type| match node_type.as_str() {
        Some(found) if found == kind => Ok(()),
        _ => Err(Error::metadata(format!("{} is not {kind:?}", show(node_type)))),
    })?;
    match members.iter().find(|(name, value)| !known.contains(&name.as_str()) && !ignorable(value)) {
        None => Ok(()),
        Some((name, _)) => Err(Error::metadata(format!(
            "unknown member {name:?} without \"must_understand\": false; known are {}",
            known.join(", ")
        ))),
    }
}

fn attributes(members: &Map<String, Value>) -> Result<Attributes> {
    members
        .get("attributes")
        .map_or_else(|| Ok(Attributes::new()), |value| object(value).cloned())
        .place(|| "attributes")
}

/// Checks that all storage transformers may be ignored, as we know none.
fn no_storage_transformers(value: &Value) -> Result<()> {
    let named = parse_named_list(value)?;
    match list(value)?.iter().zip(&named).find(|(value, _)| !ignorable(value)) {
        None => Ok(()),
        Some((_, Named { name, .. })) => {
            Err(Error::unsupported(format!("unknown storage transformer {name:?}; none are supported")))
        }
    }
}

/// Whether an extension may be ignored by readers who do not know it.
fn ignorable(value: &Value) -> bool {
    value.get("must_understand") == Some(&Value::Bool(false))
}

fn dimension_names(value: &Value, rank: usize) -> Result<Vec<Option<String>>> {
    let name = |value: &Value| match value {
        Value::Null => Ok(None),
        _ => string(value).map(|name| Some(name.to_owned())),
    };
    let names = list(value)?.iter().map(name).collect::<Result<Vec<_>>>()?;
    if names.len() == rank {
        Ok(names)
    } else {
        Err(Error::metadata(format!("{} names for {rank} dimensions", names.len())))
    }
}

/// Returns the `zarr.json` of a new array.
pub(super) fn new_array(
    array: &NewArray,
    chunk_key_encoding: &ChunkKeyEncoding,
    codecs: &[Named],
    dimension_names: Option<&[Option<String>]>,
) -> Result<Value> {
    let mut document = json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": array.chunk_grid.array_shape(),
        "data_type": data_type_to_json(&array.data_type)?,
        "chunk_grid": chunk_grid_to_json(&array.chunk_grid),
        "chunk_key_encoding": chunk_key_encoding_to_json(chunk_key_encoding),
        "fill_value": fill_value_to_json(&array.fill_value, &array.data_type),
        "codecs": codecs.iter().cloned().map(Value::from).collect::<Vec<_>>(),
        "attributes": array.attributes,
    });
    if let Some(names) = dimension_names {
        document["dimension_names"] = json!(names);
    }
    Ok(document)
}

/// Returns the `zarr.json` with another shape of the same rank.
pub(super) fn with_shape(array: &ArrayMetadata, shape: &[u64]) -> Result<Value> {
    let mut document = array.document.clone();
    document["shape"] = json!(shape);
    if document["chunk_grid"]["name"] == "rectilinear" {
        document["chunk_grid"] = chunk_grid_to_json(&array.chunk_grid.resized(shape)?);
    }
    Ok(document)
}

/// Returns the document with other attributes. In Zarr V2 they are in another file, so the document stays the same.
pub(super) fn with_attributes(document: &Value, zarr_format: u8, attributes: &Attributes) -> Value {
    let mut document = document.clone();
    if zarr_format == 3 {
        document["attributes"] = Value::Object(attributes.clone());
    }
    document
}

/// Returns the files of a node.
pub(super) fn files(document: &Value, attributes: &Attributes) -> Vec<(&'static str, Option<String>)> {
    vec![(FILE, Some(write_literal(&with_attributes(document, 3, attributes))))]
}

/// Returns the attributes of a folder's node with literal numbers.
pub(super) fn stored_attributes(folder: &Folder) -> Result<Option<Attributes>> {
    folder.literal(FILE)?.map(|document| attributes(object(&document)?)).transpose()
}

/// Changes the attributes of a folder's node; returns the new ones.
pub(super) fn change_attributes(folder: &Folder, change: &AttributesChange) -> Result<Attributes> {
    let changed = folder.change(FILE, |document| {
        let mut document = document.ok_or_else(|| folder.missing())?;
        let mut changed = || -> Result<()> {
            check_format(object(&document)?, 3)?;
            let found = self::attributes(object(&document)?)?;
            document["attributes"] = Value::Object(change.apply(found));
            Ok(())
        };
        changed().place(|| folder.display(FILE))?;
        Ok(Some(document))
    })?;
    self::attributes(object(&changed.unwrap_or_default())?)
}

/// Stores the shape and chunk grid of `array`; returns false if the stored shape is no longer `from`.
pub(super) fn change_shape(folder: &Folder, array: &ArrayMetadata, from: &[u64]) -> Result<bool> {
    folder.change_shape(FILE, &["shape", "chunk_grid"], array, from)
}

/// Returns the `zarr.json` of a new group.
pub(super) fn new_group(attributes: &Attributes) -> Value {
    json!({"zarr_format": 3, "node_type": "group", "attributes": attributes})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::chunk_grid::ChunkGrid;

    fn document() -> Value {
        json!({
            "zarr_format": 3, "node_type": "array", "shape": [4, 6], "data_type": "int32",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 3]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}}, "fill_value": -1,
            "codecs": [
                {"name": "transpose", "configuration": {"order": [1, 0]}},
                {"name": "bytes", "configuration": {"endian": "little"}},
                "crc32c",
            ],
        })
    }

    fn with(member: &str, value: Value) -> Result<ArrayMetadata> {
        let mut document = document();
        document[member] = value;
        array(document)
    }

    #[test]
    fn an_array_is_read() {
        let array = array(document()).unwrap();
        assert_eq!(array.chunk_grid, ChunkGrid::regular(&[4, 6], &[2, 3]).unwrap());
        assert_eq!(array.data_type.name(), "int32");
        assert_eq!(array.fill_value.bytes(), (-1i32).to_ne_bytes());
        assert_eq!(array.chunk_key_encoding, ChunkKeyEncoding::Default { separator: '.' });
        assert_eq!(array.codecs.iter().map(|codec| &*codec.name).collect::<Vec<_>>(), ["transpose", "bytes", "crc32c"]);
        assert_eq!(array.dimension_names, None);
        assert!(array.attributes.is_empty());
    }

    #[test]
    fn all_that_the_specification_allows_is_read() {
        for (member, value) in [
            ("shape", json!([0, u64::MAX])),
            ("data_type", json!({"name": "int32"})),
            ("chunk_key_encoding", json!("v2")),
            ("chunk_key_encoding", json!({"name": "v2", "configuration": {"separator": "/"}, "must_understand": true})),
            ("codecs", json!([{"name": "bytes", "configuration": {"endian": "big"}}])),
            ("storage_transformers", json!([])),
            ("storage_transformers", json!([{"name": "teleport", "must_understand": false}])),
            (
                "chunk_grid",
                json!({"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[1, 3], 6]}}),
            ),
            ("fill_value", json!(null)),
            ("dimension_names", json!(["y", null])),
            ("dimension_names", json!(null)),
            ("attributes", json!({"a": [1, null]})),
            ("later", json!({"name": "x", "must_understand": false})),
        ] {
            with(member, value.clone()).unwrap_or_else(|error| panic!("{member} {value}: {error}"));
        }
        assert!(with("fill_value", json!(null)).unwrap().fill_value.bytes().iter().all(|byte| *byte == 0));
        let mut raw = document();
        raw["data_type"] = json!({"name": "raw_bytes", "configuration": {"length_bytes": 3}});
        raw["fill_value"] = json!("AAEC");
        raw["codecs"] = json!(["bytes"]);
        let raw = array(raw).unwrap();
        assert_eq!((raw.data_type.name(), raw.fill_value.bytes()), ("r24", &[0, 1, 2][..]));
    }

    #[test]
    fn errors_name_the_member() {
        let bytes = json!({"name": "bytes", "configuration": {"endian": "little"}});
        for (member, value) in [
            ("zarr_format", json!(2)),
            ("zarr_format", json!("3")),
            ("zarr_format", json!(3.5)),
            ("node_type", json!(null)),
            ("shape", json!([-4, 6])),
            ("shape", json!({"0": 8})),
            ("data_type", json!(["int32"])),
            ("data_type", json!({"name": "int32", "configuration": {"endian": "big"}})),
            ("chunk_grid", json!("regular")),
            ("chunk_grid", json!({"configuration": {"chunk_shape": [2, 3]}})),
            ("chunk_grid", json!({"name": "regular", "configuration": {"chunk_shape": [2]}})),
            ("chunk_grid", json!({"name": "regular", "configuration": {"chunk_shape": [2, 0]}})),
            ("chunk_grid", json!({"name": "regular", "configuration": {"chunk_shape": [2, 3], "x": 1}})),
            ("chunk_grid", json!({"name": "regular", "configuration": {"chunk_shape": [1u64 << 31, 1u64 << 31]}})),
            ("chunk_key_encoding", json!({"name": "default", "configuration": {"separator": "../../"}})),
            ("chunk_key_encoding", json!({"name": "default", "configuration": {"separator": null}})),
            ("chunk_key_encoding", json!({"name": "default", "configuration": {"order": "F"}})),
            ("chunk_key_encoding", json!({"name": "v2", "shape": []})),
            ("codecs", json!([])),
            ("codecs", json!([{"name": "transpose", "configuration": {"order": [1, 0]}}])),
            ("codecs", json!([{"name": "transpose", "configuration": {"order": [0]}}, bytes])),
            ("codecs", json!([bytes, bytes])),
            ("codecs", json!([bytes, {"name": "transpose", "configuration": {"order": [1, 0]}}])),
            ("codecs", json!(["crc32c", bytes])),
            ("codecs", json!([bytes, {"name": "crc32c", "configuration": [1]}])),
            ("codecs", json!([bytes, {"name": 7}])),
            ("codecs", json!([bytes, {"name": "crc32c", "must_understand": "no"}])),
            ("dimension_names", json!(["y"])),
            ("dimension_names", json!(["y", 1])),
            ("dimension_names", json!("yx")),
            ("attributes", json!([])),
            ("later", json!({"must_understand": true})),
            ("later", json!(1)),
        ] {
            let error = with(member, value.clone()).expect_err(&format!("{member} {value}"));
            assert_eq!(error.kind(), ErrorKind::InvalidMetadata, "{member} {value}: {error}");
            assert!(error.message().contains(member), "{member} {value}: {error}");
        }
        for member in &ARRAY_MEMBERS[..8] {
            let mut document = document();
            document.as_object_mut().unwrap().shift_remove(*member);
            let error = array(document).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidMetadata);
            assert_eq!(error.message(), format!("{member:?} is missing"));
        }
    }

    #[test]
    fn what_is_not_there_is_named_beside_what_is() {
        let bytes = json!({"name": "bytes", "configuration": {"endian": "little"}});
        for (member, value, name, there) in [
            ("data_type", json!("float33"), "\"float33\"", "float32"),
            ("data_type", json!("optional"), "\"optional\"", "struct"),
            ("chunk_grid", json!({"name": "hexagonal", "configuration": {}}), "\"hexagonal\"", "regular"),
            ("chunk_key_encoding", json!("base64"), "\"base64\"", "default, v2"),
            ("codecs", json!([bytes, {"name": "x.y", "must_understand": false}]), "\"x.y\"", "crc32c"),
            ("storage_transformers", json!([{"name": "teleport"}]), "\"teleport\"", "none"),
        ] {
            let error = with(member, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            for part in [member, name, there] {
                assert!(error.message().contains(part), "{error}");
            }
        }
    }
}
