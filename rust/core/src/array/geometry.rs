//! The elements of chunks, of inner chunks and of regions of them.

use super::Array;
use crate::chunk_grid::ChunkGrid;
use crate::error::{Error, Place, Result};
use crate::subset::{ArraySubset, Dims, tuple};

/// A rectangular part of an array, given as elements, chunks or inner chunks.
///
/// Every `retrieve_` and `store_` method of a region converts it to elements with [`Array::subset_of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayRegion<'a> {
    /// Elements inside the array.
    Subset(&'a ArraySubset),
    /// A chunk with its padding past the end of the array.
    Chunk(&'a [u64]),
    /// A range of chunks along each axis, with padding.
    Chunks(&'a ArraySubset),
    /// Elements of a chunk, relative to the first element of the chunk.
    ChunkSubset(&'a [u64], &'a ArraySubset),
    /// An inner chunk of a sharded array with its padding; of any other array, a chunk.
    InnerChunk(&'a [u64]),
    /// A range of inner chunks along each axis, with padding; of an array that is not sharded, of chunks.
    InnerChunks(&'a ArraySubset),
}

impl Array {
    /// Returns the elements of a region. Only regions made of chunks may reach past the end of the array, into padding.
    ///
    /// # Errors
    /// [`InvalidSelection`](crate::ErrorKind::InvalidSelection), with the name of the array, if the region is outside
    /// the array, the chunk grid or the chunk.
    pub fn subset_of(&self, region: ArrayRegion<'_>) -> Result<ArraySubset> {
        let found = match region {
            ArrayRegion::Subset(subset) => subset.check_inside(self.shape()).map(|()| subset.clone()),
            ArrayRegion::Chunk(chunk) => self.chunk_grid().chunk_subset(chunk),
            ArrayRegion::Chunks(chunks) => self.chunk_grid().chunks_subset(chunks),
            ArrayRegion::ChunkSubset(chunk, subset) => self.chunk_grid().chunk_subset(chunk).and_then(|whole| {
                subset.check_inside(whole.shape()).place(|| format!("chunk {}", tuple(chunk)))?;
                let start = subset.start().iter().zip(whole.start()).map(|(start, origin)| start + origin);
                ArraySubset::new_with_start_shape(&start.collect::<Dims>(), subset.shape())
            }),
            ArrayRegion::InnerChunk(inner) => self.inner_chunk_grid().and_then(|grid| grid.chunk_subset(inner)),
            ArrayRegion::InnerChunks(inner) => self.inner_chunk_grid().and_then(|grid| grid.chunks_subset(inner)),
        };
        found.place(|| self.name())
    }

    /// Returns the number of chunks along each axis.
    pub fn chunk_grid_shape(&self) -> Dims {
        self.chunk_grid().shape()
    }

    /// Returns the key of a chunk in the store.
    pub fn chunk_key(&self, chunk: &[u64]) -> Result<String> {
        self.chunk_subset(chunk)?;
        Ok(self.parts.source.key(chunk))
    }

    /// Returns the index of the first element of a chunk.
    pub fn chunk_origin(&self, chunk: &[u64]) -> Result<Dims> {
        Ok(self.chunk_subset(chunk)?.start().into())
    }

    /// Returns the shape of a chunk, including padding.
    pub fn chunk_shape(&self, chunk: &[u64]) -> Result<Dims> {
        Ok(self.chunk_subset(chunk)?.shape().into())
    }

    /// Returns the elements of a chunk, including padding.
    pub fn chunk_subset(&self, chunk: &[u64]) -> Result<ArraySubset> {
        self.subset_of(ArrayRegion::Chunk(chunk))
    }

    /// Returns the elements of a chunk without padding.
    pub fn chunk_subset_bounded(&self, chunk: &[u64]) -> Result<ArraySubset> {
        self.chunk_subset(chunk)?.bound(self.shape())
    }

    /// Returns the elements of a range of chunks, including padding.
    pub fn chunks_subset(&self, chunks: &ArraySubset) -> Result<ArraySubset> {
        self.subset_of(ArrayRegion::Chunks(chunks))
    }

    /// Returns the elements of a range of chunks without padding.
    pub fn chunks_subset_bounded(&self, chunks: &ArraySubset) -> Result<ArraySubset> {
        self.chunks_subset(chunks)?.bound(self.shape())
    }

    /// Returns the elements of a part of a chunk; the part is relative to the first element of the chunk.
    pub fn subset_in_chunk(&self, chunk: &[u64], subset: &ArraySubset) -> Result<ArraySubset> {
        self.subset_of(ArrayRegion::ChunkSubset(chunk, subset))
    }

    /// Returns the range of chunks that a subset of the array touches.
    pub fn chunks_in_array_subset(&self, subset: &ArraySubset) -> Result<ArraySubset> {
        self.chunk_grid().chunks_in_subset(subset).place(|| self.name())
    }

    /// Returns all elements of the array as a subset.
    pub fn subset_all(&self) -> ArraySubset {
        ArraySubset::new_with_shape(self.shape())
    }

    /// Returns whether the chunks are shards of inner chunks.
    pub fn is_sharded(&self) -> bool {
        self.chain().shard().is_some()
    }

    /// Returns the shape of an inner chunk in the array's order of axes, or `None` if the array is not sharded.
    pub fn inner_chunk_shape(&self) -> Option<Dims> {
        let inner = self.chain().shard()?.inner.shape();
        let mut shape = Dims::from_elem(0, inner.len());
        for (k, axis) in self.chain().order().iter().enumerate() {
            shape[*axis] = inner[k];
        }
        Some(shape)
    }

    /// Returns the grid of inner chunks; of an array that is not sharded, the chunk grid.
    pub fn inner_chunk_grid(&self) -> Result<ChunkGrid> {
        match self.inner_chunk_shape() {
            Some(inner) => ChunkGrid::regular(self.shape(), &inner),
            None => Ok(self.chunk_grid().clone()),
        }
    }

    /// Returns the number of inner chunks along each axis; of an array that is not sharded, of chunks.
    pub fn inner_chunk_grid_shape(&self) -> Result<Dims> {
        Ok(self.inner_chunk_grid()?.shape())
    }

    /// Returns the elements of an inner chunk (of an array that is not sharded, of a chunk), including padding.
    pub fn inner_chunk_subset(&self, inner: &[u64]) -> Result<ArraySubset> {
        self.subset_of(ArrayRegion::InnerChunk(inner))
    }

    /// Returns the elements of a range of inner chunks (of an array that is not sharded, of chunks), including padding.
    pub fn inner_chunks_subset(&self, inner: &ArraySubset) -> Result<ArraySubset> {
        self.subset_of(ArrayRegion::InnerChunks(inner))
    }

    /// Returns the shard of an inner chunk, and the index of the inner chunk in the shard, in the array's order of axes.
    pub(crate) fn shard_of(&self, inner: &[u64]) -> Result<(Dims, Option<Dims>)> {
        let subset = self.inner_chunk_subset(inner)?;
        let Some(inner_shape) = self.inner_chunk_shape() else { return Ok((inner.into(), None)) };
        let found = subset.start().iter().enumerate().map(|(axis, start)| self.chunk_grid().locate(axis, *start));
        let (shard, origins): (Dims, Dims) = found.map(|(shard, origin, _)| (shard, origin)).unzip();
        let inside = (0..inner.len()).map(|k| (subset.start()[k] - origins[k]) / inner_shape[k]).collect();
        Ok((shard, Some(inside)))
    }

    /// Returns the file, offset and strides of an array whose only chunk has plain elements, or `None` if the elements
    /// must be decoded.
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
}

/// Elements of a file that can be memory-mapped; see [`Array::mappable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mappable {
    /// The file.
    pub object: String,
    /// Offset of the first element, in bytes.
    pub offset: u64,
    /// Stride of each axis, in bytes.
    pub strides: Vec<i64>,
    /// Whether the words of the elements are stored in the other byte order.
    pub reversed: bool,
}
