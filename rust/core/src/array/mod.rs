//! Arrays: this file has their metadata and options; the other files have geometry, reads and writes.

mod asynchronous;
mod buffers;
mod builder;
mod change;
mod decoder;
mod element;
mod encoder;
mod fields;
mod geometry;
mod remains;
mod retrieve;
mod session;
mod staged;
mod store;
mod stored;
mod verify;

use std::sync::Arc;

pub use buffers::{InputBuffer, OutputBuffer, check_shape};
pub use builder::{ArrayBuilder, Chunks, NewFillValue};
pub use decoder::PartialDecoder;
pub use element::{ArrayBytes, AsArrayBytes, Element, FromArrayBytes};
pub use encoder::PartialEncoder;
pub use geometry::{ArrayRegion, Mappable};
pub use session::{WriteSession, WriteSessionOptions};
pub use stored::StoredChunks;
pub use verify::Verified;

use crate::cache::ChunkCache;
use crate::chunk_grid::ChunkGrid;
use crate::codec::chain::Chain;
use crate::data_type::DataType;
use crate::error::{Place, Result};
use crate::fill_value::FillValue;
use crate::metadata::{ArrayMetadata, Attributes};
use crate::options::CodecOptions;
use crate::read::{Caching, Chains, Reader, Source};
use crate::store::Store;
use crate::write::Writer;

/// A chunked array in a [`Store`]. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Array {
    parts: Arc<Parts>,
    options: CodecOptions,
    cache: Option<ChunkCache>,
    revision: u64,
}

#[derive(Debug)]
struct Parts {
    metadata: ArrayMetadata,
    path: String,
    source: Source,
}

impl Array {
    /// Opens the array at a path of a store; `""` and `"/"` are the root.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no array,
    /// [`InvalidMetadata`](crate::ErrorKind::InvalidMetadata) if its metadata are wrong, and
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if it needs a feature that this build lacks.
    pub fn open(store: Arc<dyn Store>, path: &str) -> Result<Self> {
        Self::open_as(store, path, None)
    }

    /// Opens the array at a path; with `zarr_format` (2 or 3), files of the other version are not looked for.
    pub fn open_as(store: Arc<dyn Store>, path: &str, zarr_format: Option<u8>) -> Result<Self> {
        let path = crate::metadata::node_path(path)?;
        let metadata = crate::metadata::open_array(&*store, &path, zarr_format)?;
        Self::new_with_metadata(store, &path, metadata)
    }

    /// Creates an array with given metadata, which are not stored.
    pub fn new_with_metadata(store: Arc<dyn Store>, path: &str, metadata: ArrayMetadata) -> Result<Self> {
        let path = crate::metadata::node_path(path)?;
        let name = store.display(&path);
        let shape = metadata.chunk_grid.first_shape();
        let chain = Chain::new(&metadata.codecs, &shape, &metadata.data_type, &metadata.fill_value).place(|| &name)?;
        Self::with_chain(store, path, &name, metadata, chain).place(|| name)
    }

    /// Creates an array whose chunks are decoded by a chain, whatever codecs its metadata have.
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

    /// Creates an array whose chunks have different chains; `chain` is that of one of them.
    pub(crate) fn with_chains(
        store: Arc<dyn Store>,
        path: String,
        name: &str,
        metadata: ArrayMetadata,
        chain: Chain,
        chains: Chains,
    ) -> Self {
        // Attributes have no effect on the meaning of chunks.
        let codecs = metadata.with_attributes(Attributes::new()).document.to_string();
        let codecs = (&path, codecs, chain.shape(), metadata.data_type.to_string());
        let identity = store.profile().identity.part(codecs);
        let source = Source {
            store,
            prefix: if path.is_empty() { String::new() } else { format!("{path}/") },
            chunk_key_encoding: metadata.chunk_key_encoding.clone(),
            grid: metadata.chunk_grid.clone(),
            chain,
            chains,
            identity,
            name: name.to_owned(),
        };
        Self {
            parts: Arc::new(Parts { metadata, path, source }),
            options: CodecOptions::default(),
            cache: None,
            revision: 0,
        }
    }

    /// Returns the array with other options.
    #[must_use]
    pub fn with_options(&self, options: CodecOptions) -> Self {
        Self { options, ..self.clone() }
    }

    /// Returns the array with another cache for its reads, or without one.
    #[must_use]
    pub fn with_cache(&self, cache: Option<ChunkCache>) -> Self {
        Self { cache, ..self.clone() }
    }

    /// Returns the array with the metadata as stored now.
    pub fn reopen(&self) -> Result<Self> {
        self.with_metadata(crate::metadata::open_array(&**self.store(), self.path(), None)?)
    }

    /// Returns the array with another shape of the same rank. Nothing is stored.
    pub fn with_shape(&self, shape: &[u64]) -> Result<Self> {
        self.with_metadata(self.metadata().with_shape(shape).place(|| self.name())?)
    }

    fn with_metadata(&self, metadata: ArrayMetadata) -> Result<Self> {
        let array = Self::new_with_metadata(self.store().clone(), self.path(), metadata)?;
        Ok(Self { options: self.options, cache: self.cache.clone(), ..array })
    }

    /// Returns the options of reads and writes.
    pub fn options(&self) -> CodecOptions {
        self.options
    }

    /// Returns the cache, if there is one.
    pub fn cache(&self) -> Option<&ChunkCache> {
        self.cache.as_ref()
    }

    /// Returns the revision of the metadata, counted per process; 0 if this process has not changed them. Of the
    /// results of two changes, the one with the greater revision was stored later.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the metadata.
    pub fn metadata(&self) -> &ArrayMetadata {
        &self.parts.metadata
    }

    /// Returns the store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.parts.source.store
    }

    /// Whether a single piece of work on a chunk may take so long that another thread should do it, and the caller wait
    /// for it or for a signal: chunks are large, or another machine has them. `stores`: chunks are encoded.
    #[doc(hidden)]
    pub fn is_slow(&self, stores: bool) -> bool {
        let (profile, chain) = (self.store().profile(), self.chain());
        let unit = chain.open_shard().map_or(chain, |shard| &shard.inner);
        let most = match (unit.raw().is_some(), stores) {
            (true, _) => 256 << 20,
            // The slowest codecs decode 30 MB and encode 1 MB a second.
            (false, false) => 16 << 20,
            (false, true) => 512 << 10,
        };
        profile.remote || !profile.thread_bound && unit.decoded_size() >= most
    }

    /// Returns the path in the store, without a slash at either end.
    pub fn path(&self) -> &str {
        &self.parts.path
    }

    /// Returns the name of the array in messages: store and path.
    pub fn name(&self) -> &str {
        &self.parts.source.name
    }

    /// Returns the shape.
    pub fn shape(&self) -> &[u64] {
        self.chunk_grid().array_shape()
    }

    /// Returns the number of dimensions.
    pub fn dimensionality(&self) -> usize {
        self.chunk_grid().dimensionality()
    }

    /// Returns the data type.
    pub fn data_type(&self) -> &DataType {
        self.chain().data_type()
    }

    /// Returns the value of elements that were never stored.
    pub fn fill_value(&self) -> &FillValue {
        self.chain().fill_value()
    }

    /// Returns the attributes.
    pub fn attributes(&self) -> &Attributes {
        &self.metadata().attributes
    }

    /// Returns the chunk grid. Of a sharded array, a chunk is a shard.
    pub fn chunk_grid(&self) -> &ChunkGrid {
        &self.parts.source.grid
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.parts.source.chain
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        let cache = self.cache.as_ref().map_or(Caching::Off, Caching::Array);
        Reader { source: &self.parts.source, options: self.options, cache }
    }

    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer { source: &self.parts.source, options: self.options }
    }
}
