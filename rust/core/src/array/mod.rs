//! An array: metadata, geometry of its chunks, and (in the files beside this one) reading and writing.

mod asynchronous;
mod change;
mod decoder;
mod element;
mod encoder;
mod fields;
mod retrieve;
mod session;
mod staged;
mod store;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub use decoder::PartialDecoder;
pub use element::{ArrayBytes, AsArrayBytes, Element, FromArrayBytes};
pub use encoder::PartialEncoder;
pub use retrieve::OutputBuffer;
pub use session::{WriteSession, WriteSessionOptions};
pub use store::InputBuffer;

use crate::cache::ChunkCache;
use crate::chunk_grid::ChunkGrid;
use crate::codec::chain::Chain;
use crate::data_type::DataType;
use crate::error::{Error, Place, Result};
use crate::fill_value::FillValue;
use crate::metadata::{ArrayMetadata, Attributes};
use crate::options::CodecOptions;
use crate::read::{Caching, Chains, Reader, Source};
use crate::store::Store;
use crate::subset::{ArraySubset, Dims, tuple};
use crate::write::Writer;

/// A chunked array in a [`Store`]. Clones are cheap and share everything.
#[derive(Clone, Debug)]
pub struct Array {
    parts: Arc<Parts>,
    options: CodecOptions,
    cache: Option<ChunkCache>,
    turn: u64,
}

#[derive(Debug)]
struct Parts {
    metadata: ArrayMetadata,
    path: String,
    source: Source,
}

impl Array {
    /// Opens the array at a path of a store (`""` or `"/"`: the root).
    ///
    /// Fails with [`NotFound`](crate::ErrorKind::NotFound) where there is none, and with
    /// [`InvalidMetadata`](crate::ErrorKind::InvalidMetadata) or [`Unsupported`](crate::ErrorKind::Unsupported) where its
    /// metadata are wrong or need what this build does not have.
    pub fn open(store: Arc<dyn Store>, path: &str) -> Result<Self> {
        let path = crate::metadata::node_path(path)?;
        let metadata = crate::metadata::open_array(&*store, &path)?;
        Self::new_with_metadata(store, &path, metadata)
    }

    /// An array with given metadata, which are not written.
    pub fn new_with_metadata(store: Arc<dyn Store>, path: &str, metadata: ArrayMetadata) -> Result<Self> {
        let path = crate::metadata::node_path(path)?;
        let name = store.display(&path);
        let shape = metadata.chunk_grid.first_shape();
        let chain = Chain::new(&metadata.codecs, &shape, &metadata.data_type, &metadata.fill_value).place(|| &name)?;
        Self::with_chain(store, path, &name, metadata, chain).place(|| name)
    }

    /// An array whose chunks are decoded by a chain that its metadata do not tell.
    pub(crate) fn with_chain(
        store: Arc<dyn Store>,
        path: String,
        name: &str,
        metadata: ArrayMetadata,
        chain: Chain,
    ) -> Result<Self> {
        let chains = Chains::new(&metadata.chunk_grid, &metadata.codecs)?;
        Ok(Self::with_chains(store, path, name, metadata, chain, chains))
    }

    /// An array whose chunks are decoded each by a chain of its own; `chain` is that of one of them.
    pub(crate) fn with_chains(
        store: Arc<dyn Store>,
        path: String,
        name: &str,
        metadata: ArrayMetadata,
        chain: Chain,
        chains: Chains,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        // Chunks stay what they are when attributes change.
        let codecs = metadata.with_attributes(Attributes::new()).document.to_string();
        (store.identity(), &path, codecs, chain.shape(), metadata.data_type.to_string()).hash(&mut hasher);
        let source = Source {
            store,
            prefix: if path.is_empty() { String::new() } else { format!("{path}/") },
            chunk_key_encoding: metadata.chunk_key_encoding.clone(),
            grid: metadata.chunk_grid.clone(),
            chain,
            chains,
            identity: hasher.finish(),
            name: name.to_owned(),
        };
        Self {
            parts: Arc::new(Parts { metadata, path, source }),
            options: CodecOptions::default(),
            cache: None,
            turn: 0,
        }
    }

    /// The same array, read and written with other options.
    #[must_use]
    pub fn with_options(&self, options: CodecOptions) -> Self {
        Self { options, ..self.clone() }
    }

    /// The same array, whose reads keep chunks in a cache; `None`: in none.
    #[must_use]
    pub fn with_cache(&self, cache: Option<ChunkCache>) -> Self {
        Self { cache, ..self.clone() }
    }

    /// The same array as its metadata are stored now.
    pub fn reopen(&self) -> Result<Self> {
        self.with_metadata(crate::metadata::open_array(&**self.store(), self.path())?)
    }

    /// The same array with another shape of the same rank, which is not stored.
    pub fn with_shape(&self, shape: &[u64]) -> Result<Self> {
        self.with_metadata(self.metadata().with_shape(shape).place(|| self.name())?)
    }

    fn with_metadata(&self, metadata: ArrayMetadata) -> Result<Self> {
        let array = Self::new_with_metadata(self.store().clone(), self.path(), metadata)?;
        Ok(Self { options: self.options, cache: self.cache.clone(), ..array })
    }

    /// How it is read and written.
    pub fn options(&self) -> CodecOptions {
        self.options
    }

    /// The cache of its chunks, if it has one.
    pub fn cache(&self) -> Option<&ChunkCache> {
        self.cache.as_ref()
    }

    /// Which of the changes of arrays and groups that this process made it came of; 0: none. Of two arrays that came of
    /// changes of one, that with the greater number is as it was stored later.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// What the array is.
    pub fn metadata(&self) -> &ArrayMetadata {
        &self.parts.metadata
    }

    /// The store it lies in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.parts.source.store
    }

    /// Its path in the store, without a slash at either end.
    pub fn path(&self) -> &str {
        &self.parts.path
    }

    /// Store and path, for people.
    pub fn name(&self) -> &str {
        &self.parts.source.name
    }

    /// Its shape.
    pub fn shape(&self) -> &[u64] {
        self.chunk_grid().array_shape()
    }

    /// Number of dimensions.
    pub fn dimensionality(&self) -> usize {
        self.chunk_grid().dimensionality()
    }

    /// The type of its elements.
    pub fn data_type(&self) -> &DataType {
        self.chain().data_type()
    }

    /// The value of elements that were never stored.
    pub fn fill_value(&self) -> &FillValue {
        self.chain().fill_value()
    }

    /// What users wrote beside it.
    pub fn attributes(&self) -> &Attributes {
        &self.metadata().attributes
    }

    /// How it is cut into chunks (shards, if it is sharded).
    pub fn chunk_grid(&self) -> &ChunkGrid {
        &self.parts.source.grid
    }

    /// Number of chunks along each axis.
    pub fn chunk_grid_shape(&self) -> Dims {
        self.chunk_grid().shape()
    }

    /// The key of a chunk in the store.
    pub fn chunk_key(&self, chunk: &[u64]) -> Result<String> {
        self.chunk_subset(chunk)?;
        Ok(self.parts.source.key(chunk))
    }

    /// The first element of a chunk.
    pub fn chunk_origin(&self, chunk: &[u64]) -> Result<Dims> {
        Ok(self.chunk_subset(chunk)?.start().into())
    }

    /// The shape of a chunk, padding included.
    pub fn chunk_shape(&self, chunk: &[u64]) -> Result<Dims> {
        Ok(self.chunk_subset(chunk)?.shape().into())
    }

    /// The elements of a chunk, which may reach past the array.
    pub fn chunk_subset(&self, chunk: &[u64]) -> Result<ArraySubset> {
        self.chunk_grid().chunk_subset(chunk)
    }

    /// The elements of a chunk that lie in the array.
    pub fn chunk_subset_bounded(&self, chunk: &[u64]) -> Result<ArraySubset> {
        self.chunk_subset(chunk)?.bound(self.shape())
    }

    /// The elements of a region of chunks, which may reach past the array.
    pub fn chunks_subset(&self, chunks: &ArraySubset) -> Result<ArraySubset> {
        self.chunk_grid().chunks_subset(chunks)
    }

    /// The elements of a region of chunks that lie in the array.
    pub fn chunks_subset_bounded(&self, chunks: &ArraySubset) -> Result<ArraySubset> {
        self.chunks_subset(chunks)?.bound(self.shape())
    }

    /// The chunks that a region of the array touches.
    pub fn chunks_in_array_subset(&self, subset: &ArraySubset) -> Result<ArraySubset> {
        self.chunk_grid().chunks_in_subset(subset)
    }

    /// The whole array.
    pub fn subset_all(&self) -> ArraySubset {
        ArraySubset::new_with_shape(self.shape())
    }

    /// Whether its chunks are shards of inner chunks.
    pub fn is_sharded(&self) -> bool {
        self.chain().shard().is_some()
    }

    /// The shape of an inner chunk, its axes as the array's; `None`: the array is not sharded.
    pub fn inner_chunk_shape(&self) -> Option<Dims> {
        let inner = self.chain().shard()?.inner.shape();
        let mut shape = Dims::from_elem(0, inner.len());
        for (k, axis) in self.chain().order().iter().enumerate() {
            shape[*axis] = inner[k];
        }
        Some(shape)
    }

    /// The grid of inner chunks; of an array that is not sharded, that of its chunks.
    pub fn inner_chunk_grid(&self) -> Result<ChunkGrid> {
        match self.inner_chunk_shape() {
            Some(inner) => ChunkGrid::regular(self.shape(), &inner),
            None => Ok(self.chunk_grid().clone()),
        }
    }

    /// Number of inner chunks along each axis; of an array that is not sharded, of chunks.
    pub fn inner_chunk_grid_shape(&self) -> Result<Dims> {
        Ok(self.inner_chunk_grid()?.shape())
    }

    /// The elements of an inner chunk (of an array that is not sharded: a chunk), which may reach past the array.
    pub fn inner_chunk_subset(&self, inner: &[u64]) -> Result<ArraySubset> {
        self.inner_chunk_grid()?.chunk_subset(inner).place(|| self.name())
    }

    /// The elements of a region of inner chunks (of an array that is not sharded: of chunks).
    pub fn inner_chunks_subset(&self, inner: &ArraySubset) -> Result<ArraySubset> {
        self.inner_chunk_grid()?.chunks_subset(inner).place(|| self.name())
    }

    /// The shard of an inner chunk, and the inner chunk's index in it (in the order of axes of the array).
    pub(crate) fn shard_of(&self, inner: &[u64]) -> Result<(Dims, Option<Dims>)> {
        let subset = self.inner_chunk_grid()?.chunk_subset(inner)?;
        let Some(inner_shape) = self.inner_chunk_shape() else { return Ok((inner.into(), None)) };
        let found = subset.start().iter().enumerate().map(|(axis, start)| self.chunk_grid().locate(axis, *start));
        let (shard, origins): (Dims, Dims) = found.map(|(shard, origin, _)| (shard, origin)).unzip();
        let inside = (0..inner.len()).map(|k| (subset.start()[k] - origins[k]) / inner_shape[k]).collect();
        Ok((shard, Some(inside)))
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.parts.source.chain
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        let cache = self.cache.as_ref().map_or(Caching::Off, Caching::Own);
        Reader { source: &self.parts.source, options: self.options, cache }
    }

    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer { source: &self.parts.source, options: self.options }
    }

    /// Where the elements of an array of one plain chunk lie as they are: the key and the byte of its object, the
    /// strides in bytes, and whether words must be reversed. `None`: they must be read to be seen.
    pub fn mappable(&self) -> Result<Option<Mappable>> {
        let source = &self.parts.source;
        let single = source.grid.shape().iter().all(|count| *count == 1);
        if !single {
            return Ok(None);
        }
        let chunk = Dims::from_elem(0, self.dimensionality());
        let Some(elements) = source.chain_of(&chunk)?.raw() else { return Ok(None) };
        let key = source.key(&chunk);
        let Some(location) = source.store.locate(&key)? else { return Ok(None) };
        let Some((offset, length)) = location.part else { return Ok(None) };
        if length != elements.size {
            return Err(
                Error::corrupt(format!("{length} bytes are stored instead of {}", elements.size)).at(self.name())
            );
        }
        let offset = offset.checked_add(elements.offset).ok_or_else(|| Error::corrupt("an offset passes 2^64"))?;
        Ok(Some(Mappable {
            object: location.store.display(&location.key),
            offset,
            strides: elements.strides.to_vec(),
            reversed: elements.item.word > 1,
        }))
    }

    /// A region of an array, or an error that names both.
    fn describe(&self) -> String {
        format!("{} of shape {}", self.name(), tuple(self.shape()))
    }
}

/// Where elements lie in a file as they are in memory; see [`Array::mappable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mappable {
    /// The file.
    pub object: String,
    /// The first element's byte.
    pub offset: u64,
    /// Bytes from one element to the next, for each axis.
    pub strides: Vec<i64>,
    /// Whether the words of the elements are in the other byte order.
    pub reversed: bool,
}
