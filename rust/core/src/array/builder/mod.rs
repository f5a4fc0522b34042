//! Builders of new arrays: [`ArrayBuilder`] converts properties in the forms that callers use to metadata.

mod chunks;
mod codecs;
mod fill;

use std::sync::Arc;

use serde_json::{Value, json};

pub use chunks::Chunks;
use codecs::Codecs;
pub use fill::NewFillValue;

use super::Array;
use crate::chunk_grid::ChunkGrid;
use crate::chunk_key::ChunkKeyEncoding;
use crate::codec::Named;
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::metadata::{ArrayMetadata, NewArray, Order, V2Codecs, inner_codecs};
use crate::store::Store;

/// Describes a new array, and creates it.
///
/// Nothing is checked before [`build`](Self::build), so properties can be set in any order.
///
/// ```
/// use std::sync::Arc;
/// use tegula::store::MemoryStore;
/// use tegula::{ArrayBuilder, Chunks};
///
/// # fn main() -> tegula::Result<()> {
/// let array = ArrayBuilder::new([2000, 3000], "float32")
///     .chunks([100, 100])
///     .shards([1000, 1000])
///     .compressors(["zstd:5"])
///     .fill_value(f32::NAN)
///     .dimension_names(["y", "x"])
///     .create(Arc::new(MemoryStore::new()), "/image")?;
/// assert_eq!(array.inner_chunk_shape().as_deref(), Some(&[100, 100][..]));
///
/// // A copy in Zarr V2, which has no shards, with a compressor as numcodecs configures it.
/// let compressor = serde_json::json!({"id": "blosc", "cname": "lz4", "clevel": 5});
/// let copy = tegula::copied(&array, Some(2), None, None)?.compressors([compressor]).build()?;
/// assert_eq!(copy.chunk_grid.regular_shape().as_deref(), Some(&[100, 100][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ArrayBuilder {
    zarr_format: u8,
    shape: Vec<u64>,
    data_type: Result<DataType>,
    chunks: Chunks,
    /// `None`: no shards.
    shards: Option<Chunks>,
    codecs: Codecs,
    chunk_key_encoding: Option<ChunkKeyEncoding>,
    fill_value: NewFillValue,
    /// Whether metadata of Zarr V2 have the fill value, and not null.
    has_fill_value: bool,
    attributes: Value,
    dimension_names: Option<Vec<Option<String>>>,
    /// The metadata that the builder was made from, and whether any property but the attributes has been changed since.
    source: Option<ArrayMetadata>,
    is_changed: bool,
    /// The name of the array that the builder was made from.
    copy_of: Option<String>,
    /// Whether the shards are those of the source array, which Zarr V2 leaves out.
    has_source_shards: bool,
}

impl ArrayBuilder {
    /// Describes an array of Zarr V3 with automatic chunks, `zstd` and a fill value of zero.
    ///
    /// `data_type` is a [`DataType`] or the name of one in Zarr V3, such as `"float32"`.
    pub fn new<T>(shape: impl Into<Vec<u64>>, data_type: T) -> Self
    where
        T: TryInto<DataType, Error: Into<Error>>,
    {
        Self {
            zarr_format: 3,
            shape: shape.into(),
            data_type: data_type.try_into().map_err(|error| error.into().at("data_type")),
            chunks: Chunks::Auto,
            shards: Some(Chunks::Auto),
            codecs: Codecs::default(),
            chunk_key_encoding: None,
            fill_value: NewFillValue::zero(),
            has_fill_value: true,
            attributes: json!({}),
            dimension_names: None,
            source: None,
            is_changed: false,
            copy_of: None,
            has_source_shards: false,
        }
    }

    /// Describes an array like another one. Arrays of ASDF files that are not Zarr arrays get automatic chunks and
    /// `zstd`.
    pub fn from_array(array: &Array) -> Self {
        let metadata = array.metadata();
        let mut builder = Self::new(array.shape(), array.data_type().clone());
        builder.copy_of = Some(array.name().to_owned());
        builder.shards = None;
        builder.fill_value = array.fill_value().clone().into();
        builder.attributes = Value::Object(metadata.attributes.clone());
        builder.dimension_names.clone_from(&metadata.dimension_names);
        if metadata.document.get("zarr_format").is_none() {
            return builder;
        }
        builder.zarr_format = metadata.zarr_format;
        builder.chunks = Chunks::Grid(array.chunk_grid().clone());
        if let Some(inner) = array.inner_chunk_shape() {
            builder.shards = Some(std::mem::replace(&mut builder.chunks, Chunks::Shape(inner.to_vec())));
            builder.has_source_shards = true;
        }
        // The codecs of an open array can always be parsed.
        let codecs = inner_codecs(&metadata.codecs).unwrap_or_default();
        builder.codecs = Codecs::all(codecs.into_iter().map(Value::from).collect());
        builder.source = Some(metadata.clone());
        builder
    }

    /// Sets the version of Zarr: 3 or 2. In Zarr V2, the chunks of a copy are the inner chunks of a sharded source.
    pub fn zarr_format(&mut self, zarr_format: u8) -> &mut Self {
        self.is_changed |= zarr_format != self.zarr_format;
        self.zarr_format = zarr_format;
        self
    }

    /// Sets the shape of the array.
    pub fn shape(&mut self, shape: impl Into<Vec<u64>>) -> &mut Self {
        self.shape = shape.into();
        self.changed()
    }

    /// Sets the data type of the elements.
    pub fn data_type(&mut self, data_type: DataType) -> &mut Self {
        self.data_type = Ok(data_type);
        self.changed()
    }

    /// Sets how the array is divided into chunks; if it has shards, into inner chunks. Automatic by default.
    #[doc(alias = "subchunk_shape")]
    pub fn chunks(&mut self, chunks: impl Into<Chunks>) -> &mut Self {
        self.chunks = chunks.into();
        self.changed()
    }

    /// Sets how the array is divided into shards. The shape of a shard is a multiple of the chunk shape.
    ///
    /// [`Chunks::Auto`], the default, creates shards only if the chunks are automatic too and their number would be
    /// greater than 10,000. Zarr V2 has no shards.
    pub fn shards(&mut self, shards: impl Into<Chunks>) -> &mut Self {
        self.shards = Some(shards.into());
        self.has_source_shards = false;
        self.changed()
    }

    /// Stores each chunk as an object, without shards.
    pub fn without_shards(&mut self) -> &mut Self {
        self.shards = None;
        self.changed()
    }

    /// Sets the array-to-array codecs, none by default. For the forms of a codec see
    /// [`compressors`](Self::compressors).
    #[doc(alias = "array_to_array_codecs")]
    pub fn filters<C: Into<Value>>(&mut self, filters: impl IntoIterator<Item = C>) -> &mut Self {
        self.codecs.parts().filters = values(filters);
        self.changed()
    }

    /// Sets the array-to-bytes codec; by default `bytes`, little-endian, or the codec for elements of variable length.
    #[doc(alias = "array_to_bytes_codec")]
    pub fn serializer(&mut self, serializer: impl Into<Value>) -> &mut Self {
        self.codecs.parts().serializer = Some(serializer.into());
        self.changed()
    }

    /// Sets the bytes-to-bytes codecs, `zstd` by default.
    ///
    /// A codec is a shorthand (`"zstd:5"`, `"blosc:zstd:5:bitshuffle"`, `"none"`), JSON as in the metadata of Zarr V3
    /// (`{"name": ..., "configuration": ...}`), JSON as numcodecs configures it (`{"id": ...}`) or a [`Named`].
    #[doc(alias = "bytes_to_bytes_codecs")]
    pub fn compressors<C: Into<Value>>(&mut self, compressors: impl IntoIterator<Item = C>) -> &mut Self {
        self.codecs.parts().compressors = values(compressors);
        self.changed()
    }

    /// Sets all codecs of a chunk (of an inner chunk, if there are shards) instead of filters, serializer and
    /// compressors. Then there are no automatic shards.
    pub fn codecs<C: Into<Value>>(&mut self, codecs: impl IntoIterator<Item = C>) -> &mut Self {
        self.shards.take_if(|shards| *shards == Chunks::Auto);
        self.codecs = Codecs::all(values(codecs));
        self.changed()
    }

    /// Sets the order of the axes of a chunk: [`Order::F`] is `order` in Zarr V2 and the codec `transpose` in V3.
    pub fn order(&mut self, order: Order) -> &mut Self {
        self.codecs.order = order;
        self.changed()
    }

    /// Sets the encoding of chunk keys; by default `c/0/1` in Zarr V3 and `0.1` in V2.
    pub fn chunk_key_encoding(&mut self, encoding: ChunkKeyEncoding) -> &mut Self {
        self.chunk_key_encoding = Some(encoding);
        self.changed()
    }

    /// Sets the value of elements that are not stored, zero by default.
    pub fn fill_value(&mut self, fill_value: impl Into<NewFillValue>) -> &mut Self {
        self.fill_value = fill_value.into();
        self.changed()
    }

    /// Leaves the fill value of Zarr V2 null: no element is known as missing, and elements that are not stored are zero.
    pub(crate) fn without_fill_value(&mut self) -> &mut Self {
        self.has_fill_value = false;
        self.changed()
    }

    /// Sets the attributes: a JSON object.
    pub fn attributes(&mut self, attributes: impl Into<Value>) -> &mut Self {
        self.attributes = attributes.into();
        self
    }

    /// Sets the names of the dimensions, which Zarr V2 does not have.
    pub fn dimension_names<'a, N: Into<Option<&'a str>>>(&mut self, names: impl IntoIterator<Item = N>) -> &mut Self {
        let owned = |name: N| name.into().map(str::to_owned);
        self.dimension_names = Some(names.into_iter().map(owned).collect());
        self.changed()
    }

    /// Removes the names of the dimensions.
    pub fn without_dimension_names(&mut self) -> &mut Self {
        self.dimension_names = None;
        self.changed()
    }

    fn changed(&mut self) -> &mut Self {
        self.is_changed = true;
        self
    }

    /// Returns the metadata of the array. Nothing is stored.
    ///
    /// # Errors
    /// [`InvalidMetadata`](crate::ErrorKind::InvalidMetadata) if properties contradict each other;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if a data type or codec does not exist, or if this version of
    /// Zarr cannot express it.
    pub fn build(&self) -> Result<ArrayMetadata> {
        match &self.copy_of {
            None => self.make(),
            Some(name) => self.make().place(|| format!("cannot copy {name}")),
        }
    }

    fn make(&self) -> Result<ArrayMetadata> {
        let Value::Object(attributes) = self.attributes.clone() else {
            return Err(Error::metadata("not a JSON object").at("attributes"));
        };
        match &self.source {
            Some(source) if !self.is_changed => return Ok(source.with_attributes(attributes)),
            _ => {}
        }
        let is_v2 = self.zarr_format == 2;
        let data_type = self.data_type.clone()?;
        let fill_value = self.fill_value.of(&data_type).place(|| "fill_value")?;
        let shards =
            self.shards.as_ref().filter(|shards| !is_v2 || !self.has_source_shards && **shards != Chunks::Auto);
        if is_v2 && shards.is_some() {
            return Err(Error::unsupported("Zarr V2 has none; use Zarr V3").at("shards"));
        }
        let (inner, shards) = chunks::cut(&self.shape, &self.chunks, shards, data_type.size())?;
        let codecs = self.codecs.resolve(&data_type, self.shape.len(), is_v2)?;
        let (chunk_grid, codecs) = match shards {
            None => (inner, codecs),
            Some(shards) => (shards, vec![sharded(&inner, codecs)?]),
        };
        let new = NewArray { chunk_grid, data_type, fill_value, attributes };
        let same = self.source.as_ref().filter(|source| source.zarr_format == self.zarr_format);
        let encoding = self.chunk_key_encoding.as_ref().or(same.map(|source| &source.chunk_key_encoding));
        let names = self.dimension_names.as_deref();
        match self.zarr_format {
            3 => {
                let default = ChunkKeyEncoding::Default { separator: '/' };
                ArrayMetadata::new_v3(&new, encoding.unwrap_or(&default), &codecs, names)
            }
            2 => {
                if names.is_some() {
                    return Err(
                        Error::unsupported("Zarr V2 has none; use Zarr V3, or attributes").at("dimension_names")
                    );
                }
                let separator = match encoding {
                    None => '.',
                    Some(ChunkKeyEncoding::V2 { separator }) => *separator,
                    Some(_) => {
                        let message = "Zarr V2 has only keys like 0.1 and 0/1: use ChunkKeyEncoding::V2";
                        return Err(Error::unsupported(message).at("chunk_key_encoding"));
                    }
                };
                let made = ArrayMetadata::new_v2(&new, &V2Codecs::new(&codecs, self.shape.len())?, separator)?;
                if self.has_fill_value { Ok(made) } else { made.without_fill_value() }
            }
            other => Err(Error::unsupported(format!("the version must be 3 or 2, not {other}")).at("zarr_format")),
        }
    }

    /// Creates the array at a path of a store: stores its metadata and nothing else, and replaces existing metadata.
    pub fn create(&self, store: Arc<dyn Store>, path: &str) -> Result<Array> {
        Array::create(store, path, self.build()?)
    }
}

fn values<C: Into<Value>>(codecs: impl IntoIterator<Item = C>) -> Vec<Value> {
    codecs.into_iter().map(Into::into).collect()
}

/// Returns the codec of shards whose inner chunks have the given shape and codecs.
fn sharded(inner: &ChunkGrid, codecs: Vec<Named>) -> Result<Named> {
    let Some(chunk_shape) = inner.regular_shape() else {
        let message = "the chunks in shards must all have one shape; only shards can have lists of lengths";
        return Err(Error::unsupported(message).at("chunks"));
    };
    let configuration = json!({
        "chunk_shape": &chunk_shape[..],
        "codecs": codecs.into_iter().map(Value::from).collect::<Vec<_>>(),
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    });
    let configuration = configuration.as_object().cloned().unwrap_or_default();
    Ok(Named { name: "sharding_indexed".into(), configuration })
}

impl TryFrom<&str> for DataType {
    type Error = Error;

    fn try_from(name: &str) -> Result<Self> {
        Self::from_name(name)
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl Array {
    /// Returns a builder of arrays like this one.
    pub fn builder(&self) -> ArrayBuilder {
        ArrayBuilder::from_array(self)
    }
}

#[cfg(test)]
mod tests;
