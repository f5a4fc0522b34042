//! Metadata of arrays and groups, read from Zarr V3 or V2 into one form.

mod change;
mod consolidated;
mod fill_value;
mod folder;
mod node;
mod refresh;
mod v2;
mod v3;

use serde_json::{Value, json};

use crate::chunk_grid::ChunkGrid;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::Named;
use crate::codec::chain::Chain;
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::fill_value::FillValue;
use crate::subset::{product, tuple};

pub use crate::json::{Number, parse as parse_json};
pub use change::AttributesChange;
pub(crate) use change::{change_attributes, change_shape, consolidate, lock_node, revision, stored_attributes};
pub(crate) use consolidated::Consolidated;
pub use fill_value::{fill_value_from_json, fill_value_to_json};
pub(crate) use folder::Folder;
pub use folder::{Node, NodeKind, metadata_key, node_path};
pub(crate) use node::write_files;
pub use node::{open_array, open_group, open_node, write_node};
pub(crate) use refresh::{consolidated_changes, refresh_consolidated};
pub(crate) use v2::numcodecs::{V2Codecs, blosc_typesize, from_numcodecs, inner_codecs, to_v3};
pub use v3::chunking::chunk_key_encoding_from_json;
pub use v3::data_type::{data_type_from_json, data_type_to_json};

/// Attributes: any JSON.
pub type Attributes = serde_json::Map<String, Value>;

/// Metadata of an array of either version of Zarr.
#[derive(Clone, Debug)]
pub struct ArrayMetadata {
    /// Version of Zarr: 3 or 2.
    pub zarr_format: u8,
    /// Shape of the array and its division into chunks.
    pub chunk_grid: ChunkGrid,
    /// Data type of the elements.
    pub data_type: DataType,
    /// Value of elements that are not stored.
    pub fill_value: FillValue,
    /// Encoding of the chunk keys.
    pub chunk_key_encoding: ChunkKeyEncoding,
    /// Codecs of the chunks in encoding order, as Zarr V3 configures them.
    pub codecs: Vec<Named>,
    /// User attributes.
    pub attributes: Attributes,
    /// Names of the dimensions.
    pub dimension_names: Option<Vec<Option<String>>>,
    /// The stored document: `zarr.json` or `.zarray`.
    pub document: Value,
}

/// Metadata of a group of either version of Zarr.
#[derive(Clone, Debug)]
pub struct GroupMetadata {
    /// Version of Zarr: 3 or 2.
    pub zarr_format: u8,
    /// User attributes.
    pub attributes: Attributes,
    /// The stored document: `zarr.json` or `.zgroup`.
    pub document: Value,
}

/// Properties of a new array that both versions of Zarr share.
#[derive(Clone, Debug)]
pub(crate) struct NewArray {
    pub(crate) chunk_grid: ChunkGrid,
    pub(crate) data_type: DataType,
    pub(crate) fill_value: FillValue,
    pub(crate) attributes: Attributes,
}

/// Order of the elements of a chunk in Zarr V2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The last axis varies fastest.
    #[default]
    C,
    /// The first axis varies fastest.
    F,
}

impl ArrayMetadata {
    /// Parses a `zarr.json`.
    pub fn from_v3(document: Value) -> Result<Self> {
        v3::array(document)
    }

    /// Parses a `.zarray` and its `.zattrs`, if any.
    pub fn from_v2(zarray: Value, zattrs: Option<Value>) -> Result<Self> {
        v2::array(zarray, zattrs)
    }

    /// Returns the metadata of a new array of Zarr V3.
    pub(crate) fn new_v3(
        array: &NewArray,
        chunk_key_encoding: &ChunkKeyEncoding,
        codecs: &[Named],
        dimension_names: Option<&[Option<String>]>,
    ) -> Result<Self> {
        check_fill_value(array)?;
        let made = v3::array(v3::new_array(array, chunk_key_encoding, codecs, dimension_names)?)?;
        check_spelled(array, &made)?;
        Ok(made)
    }

    /// Returns the metadata of a new array of Zarr V2.
    pub(crate) fn new_v2(array: &NewArray, codecs: &V2Codecs, separator: char) -> Result<Self> {
        check_fill_value(array)?;
        let zarray = v2::new_array(array, codecs, separator)?;
        let made = v2::array(zarray, Some(Value::Object(array.attributes.clone())))?;
        if made.data_type != array.data_type {
            let message = format!("they encode elements of {}, not {}", made.data_type, array.data_type);
            return Err(Error::metadata(message).at("filters"));
        }
        // Zarr V2 cannot express the payload of a NaN.
        if !matches!(array.data_type.kind(), Kind::Float | Kind::Complex) {
            check_spelled(array, &made)?;
        }
        Ok(made)
    }

    /// Returns the metadata with another shape of the same rank. A rectilinear grid that is too short gets one more
    /// chunk along the axis.
    pub fn with_shape(&self, shape: &[u64]) -> Result<Self> {
        if self.zarr_format == 3 {
            let array = Self::from_v3(v3::with_shape(self, shape)?)?;
            return Ok(Self { attributes: self.attributes.clone(), ..array });
        }
        let mut document = self.document.clone();
        document["shape"] = json!(shape);
        Self::from_v2(document, Some(Value::Object(self.attributes.clone())))
    }

    /// Returns the metadata with other attributes.
    #[must_use]
    pub fn with_attributes(&self, attributes: Attributes) -> Self {
        let document = v3::with_attributes(&self.document, self.zarr_format, &attributes);
        Self { attributes, document, ..self.clone() }
    }

    /// Returns metadata of Zarr V2 whose fill value is null.
    pub(crate) fn without_fill_value(mut self) -> Result<Self> {
        self.document["fill_value"] = Value::Null;
        Self::from_v2(self.document, Some(Value::Object(self.attributes)))
    }

    /// Whether the metadata define a fill value. Zero is used in place of null.
    pub fn has_fill_value(&self) -> bool {
        self.document.get("fill_value").is_some_and(|value| !value.is_null())
    }

    /// Returns the files to write by name; `None` for a file to remove. See [`write_node`].
    pub fn files(&self) -> Vec<(&'static str, Option<String>)> {
        match self.zarr_format {
            3 => v3::files(&self.document, &self.attributes),
            _ => v2::files(NodeKind::Array, &self.document, &self.attributes),
        }
    }
}

impl GroupMetadata {
    /// Parses a `zarr.json`.
    pub fn from_v3(document: Value) -> Result<Self> {
        v3::group(document)
    }

    /// Parses a `.zgroup` and its `.zattrs`, if any.
    pub fn from_v2(zgroup: Value, zattrs: Option<Value>) -> Result<Self> {
        v2::group(zgroup, zattrs)
    }

    /// Returns the metadata of a new group of Zarr V3.
    pub fn new_v3(attributes: Attributes) -> Self {
        Self { zarr_format: 3, document: v3::new_group(&attributes), attributes }
    }

    /// Returns the metadata of a new group of Zarr V2.
    pub fn new_v2(attributes: Attributes) -> Self {
        Self { zarr_format: 2, document: v2::new_group(), attributes }
    }

    /// Returns the metadata with other attributes.
    #[must_use]
    pub fn with_attributes(&self, attributes: Attributes) -> Self {
        let document = v3::with_attributes(&self.document, self.zarr_format, &attributes);
        Self { attributes, document, ..self.clone() }
    }

    /// Returns the files to write by name; `None` for a file to remove. See [`write_node`].
    pub fn files(&self) -> Vec<(&'static str, Option<String>)> {
        match self.zarr_format {
            3 => v3::files(&self.document, &self.attributes),
            _ => v2::files(NodeKind::Group, &self.document, &self.attributes),
        }
    }
}

/// Checks that the codecs are known and fit each other and the chunks.
fn check_codecs(codecs: &[Named], grid: &ChunkGrid, data_type: &DataType, fill_value: &FillValue) -> Result<()> {
    Chain::new(codecs, &grid.first_shape(), data_type, fill_value).map(|_| ())
}

/// Checks that the size of a chunk in bytes fits into 64 bits.
fn check_chunk(chunk_grid: &ChunkGrid, data_type: &DataType) -> Result<()> {
    let shape = chunk_grid.largest_shape();
    match product(&shape).and_then(|elements| elements.checked_mul(data_type.size() as u64)) {
        Some(_) => Ok(()),
        None => Err(Error::metadata(format!("chunks of shape {} have 2^64 bytes or more", tuple(&shape)))),
    }
}

fn check_fill_value(array: &NewArray) -> Result<()> {
    array.fill_value.known()?;
    let (found, expected) = (array.fill_value.bytes().len(), array.data_type.size());
    if found == expected || array.data_type.is_variable() {
        Ok(())
    } else {
        Err(Error::metadata(format!("the fill value has {found} bytes, but {} has {expected}", array.data_type)))
    }
}

/// Checks that the fill value survives its JSON form; text that is not valid Unicode, for example, does not.
fn check_spelled(array: &NewArray, made: &ArrayMetadata) -> Result<()> {
    // Numbers of less than a byte do not use all bits.
    if made.fill_value == array.fill_value || array.data_type.bits() < 8 {
        return Ok(());
    }
    let data_type = &array.data_type;
    Err(Error::metadata(format!("the fill value is not a {data_type}, or JSON cannot express it")).at("fill_value"))
}

/// Returns the default codec that encodes elements as bytes: little-endian `bytes`, or the variable-length codec of the
/// type.
pub(crate) fn default_serializer(data_type: &DataType) -> Named {
    let mut configuration = Attributes::new();
    let name = match data_type.kind() {
        Kind::String => "vlen-utf8",
        Kind::Bytes => "vlen-bytes",
        _ => {
            if !data_type.words().is_empty() {
                configuration.insert("endian".into(), "little".into());
            }
            "bytes"
        }
    };
    Named { name: name.into(), configuration }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_array_of_v3_is_read_back() {
        let new = NewArray {
            chunk_grid: ChunkGrid::regular(&[4, 6], &[2, 3]).unwrap(),
            data_type: DataType::from_name("float32").unwrap(),
            fill_value: FillValue::new(0x7fc0_0001u32.to_ne_bytes()),
            attributes: [("a".to_owned(), json!(1))].into_iter().collect(),
        };
        let codecs =
            crate::codec::parse_named_list(&json!([{"name": "bytes", "configuration": {"endian": "big"}}, "crc32c"]))
                .unwrap();
        let names = Some(vec![Some("y".to_owned()), None]);
        let encoding = ChunkKeyEncoding::Default { separator: '/' };
        let array = ArrayMetadata::new_v3(&new, &encoding, &codecs, names.as_deref()).unwrap();
        assert_eq!(array.fill_value, new.fill_value);
        assert_eq!(array.dimension_names, names);
        let expected = concat!(
            r#"{"zarr_format":3,"node_type":"array","shape":[4,6],"data_type":"float32","#,
            r#""chunk_grid":{"name":"regular","configuration":{"chunk_shape":[2,3]}},"#,
            r#""chunk_key_encoding":{"name":"default","configuration":{"separator":"/"}},"fill_value":"0x7fc00001","#,
            r#""codecs":[{"name":"bytes","configuration":{"endian":"big"}},{"name":"crc32c"}],"#,
            r#""attributes":{"a":1},"dimension_names":["y",null]}"#
        );
        assert_eq!(array.document.to_string(), expected);
        let resized = array.with_shape(&[8, 1]).unwrap();
        assert_eq!(resized.chunk_grid, ChunkGrid::regular(&[8, 1], &[2, 3]).unwrap());
        assert!(array.with_shape(&[8]).is_err());
        let [(name, Some(text))] = &array.files()[..] else { panic!("one file") };
        assert_eq!((*name, text.parse::<Value>().unwrap()), ("zarr.json", array.document));
        let short = NewArray { fill_value: FillValue::new([0]), ..new };
        assert!(ArrayMetadata::new_v3(&short, &encoding, &codecs, None).is_err());
    }

    #[test]
    fn a_new_array_of_v2_is_read_back() {
        let others = ["V3", "S5", "U3", "M8[25us]"].map(|code| DataType::from_code(code).unwrap());
        for data_type in DataType::all().chain(others) {
            let new = NewArray {
                chunk_grid: ChunkGrid::regular(&[4, 6], &[2, 3]).unwrap(),
                fill_value: FillValue::new(
                    [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0][..data_type.size()].to_vec(),
                ),
                data_type: data_type.clone(),
                attributes: Attributes::new(),
            };
            let array = ArrayMetadata::new_v2(&new, &V2Codecs { order: Order::F, ..V2Codecs::default() }, '/').unwrap();
            assert_eq!(array.files()[0], (".zattrs", None));
            assert_eq!(array.codecs[0].name, "transpose");
            assert_eq!((array.data_type, array.fill_value), (data_type, new.fill_value));
        }
        let new = NewArray {
            chunk_grid: ChunkGrid::regular(&[], &[]).unwrap(),
            data_type: DataType::from_name("float64").unwrap(),
            fill_value: FillValue::new(0x7ff8_0000_0000_0001u64.to_ne_bytes()),
            attributes: [("a".to_owned(), json!(1))].into_iter().collect(),
        };
        let compressor = Some(json!({"id": "crc32c"}));
        let codecs = V2Codecs { compressor, order: Order::F, ..V2Codecs::default() };
        let array = ArrayMetadata::new_v2(&new, &codecs, '.').unwrap();
        assert_eq!(array.codecs.iter().map(|codec| &*codec.name).collect::<Vec<_>>(), ["bytes", "crc32c"]);
        let expected = concat!(
            r#"{"zarr_format":2,"shape":[],"chunks":[],"dtype":"<f8","compressor":{"id":"crc32c"},"#,
            r#""fill_value":"NaN","order":"F","filters":null,"dimension_separator":"."}"#
        );
        assert_eq!(array.document.to_string(), expected);
        assert_eq!(array.files().iter().map(|file| file.0).collect::<Vec<_>>(), [".zattrs", ".zarray"]);
    }
    fn new(data_type: &DataType, fill_value: &[u8]) -> NewArray {
        NewArray {
            chunk_grid: ChunkGrid::regular(&[4, 6], &[2, 3]).unwrap(),
            data_type: data_type.clone(),
            fill_value: FillValue::new(fill_value),
            attributes: Attributes::new(),
        }
    }

    #[test]
    fn every_data_type_has_a_new_array() {
        let fields =
            json!({"fields": [["a", "int16"], ["b", {"name": "struct", "configuration": {"fields": [["c", "r8"]]}}]]});
        let structure = data_type_from_json(&json!({"name": "struct", "configuration": fields})).unwrap();
        let codes = ["V3", "S5", "U3", "M8[25us]", "m8"].map(|code| DataType::from_code(code).unwrap());
        let names = ["string", "bytes"].map(|name| DataType::from_name(name).unwrap());
        for data_type in DataType::all().chain(codes).chain(names).chain([structure]) {
            let zero = FillValue::zero(&data_type);
            // Powers of two have no zero; a zero byte is another number.
            let array = new(&data_type, zero.bytes());
            let encoding = ChunkKeyEncoding::V2 { separator: '.' };
            let v3 = ArrayMetadata::new_v3(&array, &encoding, &[default_serializer(&data_type)], None).unwrap();
            let v2 = ArrayMetadata::new_v2(&array, &V2Codecs::default(), '.').unwrap();
            for made in [v3, v2] {
                assert_eq!(made.data_type.size(), data_type.size());
                assert_eq!((&made.fill_value, made.chunk_grid), (&zero, array.chunk_grid.clone()), "{data_type}");
            }
        }
    }

    #[test]
    fn what_has_no_form_is_refused() {
        let encoding = || ChunkKeyEncoding::V2 { separator: '.' };
        let create = |array: &NewArray, codec: Named| ArrayMetadata::new_v3(array, &encoding(), &[codec], None);
        let bytes = Named { name: "bytes".into(), configuration: Attributes::new() };
        let string = DataType::from_name("string").unwrap();
        assert!(create(&new(&string, b"n/a"), default_serializer(&string)).is_ok());
        assert!(create(&new(&string, b"\xff"), default_serializer(&string)).is_err());
        assert!(ArrayMetadata::new_v2(&new(&string, b"\xff"), &V2Codecs::default(), '.').is_err());
        assert!(create(&new(&string, b"n/a"), bytes.clone()).is_err());
        let text = DataType::from_code("U1").unwrap();
        let no_letter = 0x0011_0000u32.to_ne_bytes();
        assert!(create(&new(&text, &no_letter), default_serializer(&text)).is_err());
        assert!(create(&new(&DataType::from_code("M8[s]").unwrap(), &[0; 8]), bytes).is_err());
        let object = DataType::object();
        assert!(create(&new(&object, b"null"), default_serializer(&object)).is_err());
    }

    #[test]
    fn chunks_of_any_lengths_are_written_and_grow() {
        let int8 = DataType::from_name("int8").unwrap();
        let grid = ChunkGrid::rectilinear(&[7, 9], vec![Ok(vec![2, 2, 3]), Err(5)]).unwrap();
        let array = NewArray { chunk_grid: grid.clone(), ..new(&int8, &[0]) };
        let encoding = ChunkKeyEncoding::Default { separator: '/' };
        let codecs = [default_serializer(&int8)];
        let made = ArrayMetadata::new_v3(&array, &encoding, &codecs, None).unwrap();
        assert_eq!(made.chunk_grid, grid);
        let shapes = |array: &ArrayMetadata| array.document["chunk_grid"]["configuration"]["chunk_shapes"].to_string();
        assert_eq!(shapes(&made), "[[[2,2],3],5]");
        assert_eq!(shapes(&made.with_shape(&[3, 3]).unwrap()), "[[[2,2],3],5]");
        let grown = made.with_shape(&[11, 30]).unwrap();
        assert_eq!((shapes(&grown), &grown.chunk_grid.shape()[..]), ("[[[2,2],3,4],5]".into(), &[4, 6][..]));
        assert!(made.with_shape(&[3]).is_err());
        // A grid of equal chunks may also be listed; it has only the listed chunks.
        let mut document = made.document.clone();
        document["chunk_grid"]["configuration"]["chunk_shapes"] = json!([[[4, 2]], 5]);
        let listed = ArrayMetadata::from_v3(document).unwrap();
        assert_eq!(shapes(&listed.with_shape(&[20, 9]).unwrap()), "[[[4,2],12],5]");
        assert!(ArrayMetadata::new_v2(&array, &V2Codecs::default(), '.').is_err());
    }
}
