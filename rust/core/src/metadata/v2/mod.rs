//! Zarr V2: translates `.zarray`, `.zgroup` and `.zattrs` to the terms of V3.
//!
//! In V2, the data type has a byte order, `order` gives the order of the axes, compressor and filters are those of
//! numcodecs, and the fill value can be missing. These differences stay inside this file.
//!
//! Specification: <https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html>

mod consolidated;
mod dtype;
mod fill_value;
pub(super) mod numcodecs;

use serde_json::{Map, Value, json};

pub(super) use consolidated::{consolidate, consolidated, update as update_consolidated};
use dtype::{dtype_from_json, dtype_to_json, object_filter};
use fill_value::{fill_value, fill_value_to_json_v2};
use numcodecs::{V2Codecs, from_numcodecs};

use super::folder::{ATTRIBUTES, Folder, Node, NodeKind, either, metadata_key};
use super::v3::chunking::separator as separator_from_json;
use super::{ArrayMetadata, Attributes, AttributesChange, GroupMetadata, NewArray, Order, check_chunk, check_codecs};
use crate::chunk_grid::ChunkGrid;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::{self, Codec, Endian, Named};
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::fill_value::FillValue;
use crate::json::{check_format, lengths, list, object, read, show, write_literal};
use crate::store::Exclusion;

const ARRAY: &str = ".zarray";
const GROUP: &str = ".zgroup";

/// Parses the `.zarray` of an array and its `.zattrs`, if any.
///
/// Unknown members are ignored, as the specification requires.
pub(super) fn array(document: Value, attributes: Option<Value>) -> Result<ArrayMetadata> {
    let members = object(&document)?;
    check_format(members, 2)?;
    let shape = read(members, "shape", lengths)?;
    let (filters, compressor) = encoders(members)?;
    let (data_type, endian) = read(members, "dtype", |dtype| dtype_from_json(dtype, filters.iter().chain(compressor)))?;
    let chunk_grid = read(members, "chunks", |chunks| ChunkGrid::regular(&shape, &lengths(chunks)?))?;
    check_chunk(&chunk_grid, &data_type).place(|| "chunks")?;
    // Some writers leave out members whose value is null.
    let fill_value =
        fill_value(members.get("fill_value").unwrap_or(&Value::Null), &data_type).place(|| "fill_value")?;
    let order = match members.get("order") {
        // The order of one axis has no effect.
        None if shape.len() < 2 => Order::C,
        _ => read(members, "order", order)?,
    };
    let separator = match members.get("dimension_separator") {
        None | Some(Value::Null) => '.',
        Some(separator) => separator_from_json(separator).place(|| "dimension_separator")?,
    };
    let codecs = codecs(members, &data_type, endian, order, &chunk_grid, &fill_value)?;
    Ok(ArrayMetadata {
        zarr_format: 2,
        chunk_grid,
        data_type,
        fill_value,
        chunk_key_encoding: ChunkKeyEncoding::V2 { separator },
        codecs,
        attributes: zattrs(attributes)?,
        dimension_names: None,
        document,
    })
}

/// Parses the `.zgroup` of a group and its `.zattrs`, if any.
pub(super) fn group(document: Value, attributes: Option<Value>) -> Result<GroupMetadata> {
    check_format(object(&document)?, 2)?;
    Ok(GroupMetadata { zarr_format: 2, attributes: zattrs(attributes)?, document })
}

/// Reads the node of a folder.
pub(super) fn node(folder: &Folder) -> Result<Option<Node>> {
    let as_array = |document| {
        let array = array(document, folder.optional(ATTRIBUTES)?).place(|| folder.display(ARRAY))?;
        Ok(Node::Array(array.into()))
    };
    let as_group = |document| {
        let group = group(document, folder.optional(ATTRIBUTES)?).place(|| folder.display(GROUP))?;
        Ok(Node::Group(group.into()))
    };
    let found = folder.file(ARRAY).and_then(|document| document.map(as_array).transpose());
    either(found, || folder.file(GROUP)?.map(as_group).transpose())
}

/// Returns the kind of a folder's node, without parsing its metadata.
pub(super) fn kind(folder: &Folder) -> Result<Option<NodeKind>> {
    let found = folder.file(ARRAY).map(|document| document.map(|_| NodeKind::Array));
    either(found, || Ok(folder.file(GROUP)?.map(|_| NodeKind::Group)))
}

fn zattrs(attributes: Option<Value>) -> Result<Attributes> {
    match attributes {
        None => Ok(Attributes::new()),
        Some(Value::Object(attributes)) => Ok(attributes),
        Some(other) => Err(Error::metadata(format!("{} is not an object", show(&other))).at("attributes")),
    }
}

fn order(value: &Value) -> Result<Order> {
    match value.as_str() {
        Some("C" | "c") => Ok(Order::C),
        Some("F" | "f") => Ok(Order::F),
        _ => Err(Error::metadata(format!("{} is not an order; use \"C\" or \"F\"", show(value)))),
    }
}

/// Returns the filters and the compressor.
fn encoders(members: &Map<String, Value>) -> Result<(&[Value], Option<&Value>)> {
    let filters = match members.get("filters") {
        None | Some(Value::Null) => &[][..],
        Some(filters) => list(filters).place(|| "filters")?,
    };
    Ok((filters, members.get("compressor").filter(|compressor| !compressor.is_null())))
}

/// Returns the codecs in encoding order: transpose, element filters, array-to-bytes codec, byte filters, compressor.
fn codecs(
    members: &Map<String, Value>,
    data_type: &DataType,
    endian: Option<Endian>,
    order: Order,
    grid: &ChunkGrid,
    fill_value: &FillValue,
) -> Result<Vec<Named>> {
    let mut elements = Vec::new();
    let mut serializer = None;
    let mut bytes = Vec::new();
    let rank = grid.dimensionality();
    let (filters, compressor) = encoders(members)?;
    // These two filters store the shape of the elements, so they ignore `order`.
    let first = filters.first().and_then(|filter| filter.get("id")?.as_str());
    if order == Order::F && rank > 1 && !matches!(first, Some("json2" | "msgpack2")) {
        let axes: Vec<_> = (0..rank).rev().collect();
        elements.push(Named { name: "transpose".into(), configuration: configuration(json!({"order": axes})) });
    }
    let filters = filters.iter().map(|filter| ("filters", filter));
    let (mut current, mut endian) = (data_type.clone(), endian);
    for (place, value) in filters.chain(compressor.map(|compressor| ("compressor", compressor))) {
        let mut sort = || {
            let named = from_numcodecs(value, &current)?;
            // Filters that only extensions know receive the elements as stored.
            match codec::create_for(&named, &current, true)? {
                Codec::BytesToBytes(_) => bytes.push(named),
                codec if serializer.is_some() || !bytes.is_empty() => {
                    return Err(Error::metadata(format!(
                        "{} cannot follow a codec that encodes bytes: {codec:?}",
                        named.name
                    )));
                }
                Codec::ArrayToArray(codec) => {
                    current = codec.encoded_type().clone();
                    endian = encoded_endian(&named).or(endian);
                    elements.push(named);
                }
                Codec::Transpose(_) | Codec::Reshape(_) => elements.push(named),
                _ => serializer = Some(named),
            }
            Ok(())
        };
        sort().place(|| place)?;
    }
    let endian = if current.word() == 1 { None } else { endian.or(Some(Endian::NATIVE)) };
    elements.push(serializer.unwrap_or_else(|| bytes_codec(endian)));
    elements.append(&mut bytes);
    check_codecs(&elements, grid, data_type, fill_value)?;
    Ok(elements)
}

/// Returns the byte order of a filter's output, from the data type in its configuration.
fn encoded_endian(filter: &Named) -> Option<Endian> {
    let named = ["encode_dtype", "astype", "dtype"].iter().find_map(|member| filter.configuration.get(*member));
    match named.and_then(Value::as_str)?.as_bytes().first()? {
        b'<' => Some(Endian::Little),
        b'>' => Some(Endian::Big),
        _ => None,
    }
}

fn configuration(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn bytes_codec(endian: Option<Endian>) -> Named {
    let configuration = configuration(match endian {
        None => json!({}),
        Some(Endian::Little) => json!({"endian": "little"}),
        Some(Endian::Big) => json!({"endian": "big"}),
    });
    Named { name: "bytes".into(), configuration }
}

/// Returns the `.zarray` of a new little-endian array. Objects get the filter that encodes them, unless `codecs` has
/// one.
pub(super) fn new_array(array: &NewArray, codecs: &V2Codecs, separator: char) -> Result<Value> {
    let V2Codecs { filters, compressor, order } = codecs;
    let encodes = |filter: &Value| dtype_from_json(&"|O".into(), [filter]).is_ok();
    let missing = if filters.iter().any(encodes) { None } else { object_filter(&array.data_type) };
    let filters: Vec<_> = missing.into_iter().chain(filters.iter().cloned()).collect();
    let chunks = array.chunk_grid.regular_shape().ok_or_else(|| {
        Error::unsupported("Zarr V2 needs chunks of one shape; use Zarr V3, or rechunk the array").at("chunks")
    })?;
    Ok(json!({
        "zarr_format": 2,
        "shape": array.chunk_grid.array_shape(),
        "chunks": &chunks[..],
        "dtype": dtype_to_json(&array.data_type),
        "compressor": compressor,
        "fill_value": fill_value_to_json_v2(&array.fill_value, &array.data_type),
        "order": match order { Order::C => "C", Order::F => "F" },
        "filters": Some(filters).filter(|filters| !filters.is_empty()),
        "dimension_separator": separator,
    }))
}

/// Returns the files of a node. The attributes come first, so that readers who find the node find them too.
pub(super) fn files(kind: NodeKind, document: &Value, attributes: &Attributes) -> Vec<(&'static str, Option<String>)> {
    let name = match kind {
        NodeKind::Array => ARRAY,
        NodeKind::Group | NodeKind::Damaged => GROUP,
    };
    let attributes = (!attributes.is_empty()).then(|| write_literal(&json!(attributes)));
    vec![(ATTRIBUTES, attributes), (name, Some(write_literal(document)))]
}

/// Returns the attributes of a folder's node with literal numbers.
pub(super) fn stored_attributes(folder: &Folder) -> Result<Option<Attributes>> {
    match folder.literal(ATTRIBUTES)? {
        None => Ok(None),
        attributes => zattrs(attributes).map(Some),
    }
}

/// Changes the attributes of a folder's node; returns the new ones.
pub(super) fn change_attributes(folder: &Folder, change: &AttributesChange) -> Result<Attributes> {
    if kind(folder)?.is_none() {
        return Err(folder.missing());
    }
    // Stores that compare versions cannot remove by version, so the file stays.
    let stays = folder.store.exclusion() == Exclusion::Versions;
    let changed = folder.change(ATTRIBUTES, |document| {
        let there = document.is_some();
        let attributes = change.apply(zattrs(document).place(|| folder.display(ATTRIBUTES))?);
        if !attributes.is_empty() || (stays && there) {
            return Ok(Some(Value::Object(attributes)));
        }
        if there {
            folder.store.erase(&metadata_key(folder.path, ATTRIBUTES))?;
        }
        Ok(None)
    })?;
    zattrs(changed)
}

/// Stores the shape of `array`; returns false if the stored shape is no longer `from`.
pub(super) fn change_shape(folder: &Folder, array: &ArrayMetadata, from: &[u64]) -> Result<bool> {
    folder.change_shape(ARRAY, &["shape"], array, from)
}

/// Returns the `.zgroup` of a new group.
pub(super) fn new_group() -> Value {
    json!({"zarr_format": 2})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn document() -> Value {
        json!({
            "zarr_format": 2, "shape": [4, 6], "chunks": [2, 3], "dtype": ">f4", "compressor": null, "fill_value": "NaN",
            "order": "F", "filters": [{"id": "crc32c"}], "dimension_separator": "/", "extra": 1,
        })
    }

    fn with(member: &str, value: Value) -> Result<ArrayMetadata> {
        let mut document = document();
        document[member] = value;
        array(document, None)
    }

    fn shown(codecs: &[Named]) -> Vec<String> {
        codecs.iter().map(|codec| format!("{} {}", codec.name, json!(codec.configuration))).collect()
    }

    #[test]
    fn an_array_is_read_in_the_terms_of_v3() {
        let array = array(document(), Some(json!({"a": 1}))).unwrap();
        assert_eq!(array.chunk_grid, ChunkGrid::regular(&[4, 6], &[2, 3]).unwrap());
        assert_eq!(array.data_type.name(), "float32");
        assert_eq!(array.fill_value.bytes(), 0x7fc0_0000u32.to_ne_bytes());
        assert_eq!(array.chunk_key_encoding, ChunkKeyEncoding::V2 { separator: '/' });
        assert_eq!(shown(&array.codecs), [r#"transpose {"order":[1,0]}"#, r#"bytes {"endian":"big"}"#, "crc32c {}"]);
        assert_eq!(array.attributes["a"], 1);
        assert!(array.has_fill_value());
        assert!(!with("fill_value", json!(null)).unwrap().has_fill_value());
    }

    #[test]
    fn errors_name_the_member() {
        for (member, value) in [
            ("zarr_format", json!(3)),
            ("shape", json!([-4, 6])),
            ("shape", json!(null)),
            ("shape", json!([4])),
            ("chunks", json!([2])),
            ("chunks", json!([2, 0])),
            ("chunks", json!("invalid")),
            ("dtype", json!(1)),
            ("dtype", json!("")),
            ("dtype", json!("f4")),
            ("dtype", json!("!f4")),
            ("dtype", json!("|f4")),
            ("order", json!("K")),
            ("order", json!(null)),
            ("compressor", json!("zstd")),
            ("compressor", json!({"level": 1})),
            ("filters", json!("invalid")),
            ("filters", json!([{"missing_id": true}])),
            ("dimension_separator", json!("?")),
        ] {
            let error = with(member, value.clone()).expect_err(&format!("{member} {value}"));
            assert_eq!(error.kind(), ErrorKind::InvalidMetadata, "{member} {value}: {error}");
            let named = if value == json!([4]) { "chunks" } else { member };
            assert!(error.message().contains(named), "{member} {value}: {error}");
        }
        for member in ["zarr_format", "shape", "chunks", "dtype", "order"] {
            let mut document = document();
            document.as_object_mut().unwrap().shift_remove(member);
            let error = array(document, None).unwrap_err();
            assert_eq!(error.message(), format!("{member:?} is missing"));
        }
        assert!(array(document(), Some(json!([]))).unwrap_err().message().contains("attributes"));
    }

    #[test]
    fn what_some_writers_leave_out_is_null() {
        for member in ["compressor", "fill_value", "filters", "dimension_separator"] {
            for document in [document(), json!({"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<i2"})] {
                let mut document = document;
                document.as_object_mut().unwrap().shift_remove(member);
                let without = array(document.clone(), None).unwrap();
                document[member] = Value::Null;
                let null = array(document, None).unwrap();
                assert_eq!((without.codecs, without.fill_value), (null.codecs, null.fill_value));
                assert_eq!(without.chunk_key_encoding, null.chunk_key_encoding);
            }
        }
        assert_eq!(with("order", json!("f")).unwrap().codecs, with("order", json!("F")).unwrap().codecs);
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (member, value, name) in [
            ("dtype", json!("|O"), "\"|O\""),
            ("dtype", json!("<i3"), "\"i3\""),
            ("dtype", json!("<V99999999999999999999"), "\"V999"),
            ("dtype", json!([["a", "|O"]]), "\"a\""),
            ("compressor", json!({"id": "middle-out"}), "middle-out"),
            ("filters", json!([{"id": "rot13"}]), "rot13"),
        ] {
            let error = with(member, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.message().contains(member) && error.message().contains(name), "{error}");
        }
    }
}
