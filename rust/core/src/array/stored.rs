//! The chunks that are stored, found by listing the store: work on them takes as long as there are chunks, however many
//! the grid has.

use std::collections::VecDeque;

use super::Array;
use crate::chunk_key::ChunkKeyEncoding;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::runtime::parallel_map;
use crate::store::LockScope;
use crate::subset::{ArraySubset, Dims, Indices};

/// Up to this number of chunks, asking for each is faster than a listing.
const FEW: u64 = 64;

/// Up to this number of chunks, they are asked for one by one if a listing would return many more.
const SOME: u64 = 4096;

/// Number of listed keys that take about as long as asking for one.
const KEYS_PER_REQUEST: u64 = 500;

/// Maximum number of chunks to ask for one by one if the store cannot be listed.
const MANY: u64 = 1 << 26;

/// Number of chunks that are asked for concurrently.
const ASKED: usize = 1024;

/// The stored chunks of a region of the chunk grid, in C order; see [`Array::stored_chunks`].
#[derive(Debug)]
pub struct StoredChunks<'a> {
    array: &'a Array,
    region: ArraySubset,
    search: Search,
}

#[derive(Debug)]
enum Search {
    /// The chunks that were listed.
    Listed(VecDeque<Dims>),
    /// Folders to list, the next one last, and the chunks of the folder that was listed last.
    Folders(Vec<String>, VecDeque<Dims>),
    /// The chunks to ask for.
    Asked(Indices),
}

impl Array {
    /// Finds the chunks of a region of the chunk grid that are stored. The store is listed if that is cheaper than to ask
    /// for each chunk, so that a few chunks of a vast grid are found at once.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) if the store cannot be listed, and the region has too many chunks to ask
    /// for each.
    pub fn stored_chunks(&self, chunks: &ArraySubset) -> Result<StoredChunks<'_>> {
        let (count, whole) = (chunks.num_elements(), ArraySubset::new_with_shape(&self.chunk_grid_shape()));
        let listed_keys = whole.num_elements() / KEYS_PER_REQUEST;
        if count <= FEW || (count <= SOME && listed_keys > count) {
            return self.asked_chunks(chunks);
        }
        match self.listed_chunks(chunks)? {
            Some(listed) => Ok(listed),
            None if count <= MANY => self.asked_chunks(chunks),
            None => Err(Error::unsupported(format!(
                "cannot find the stored chunks among {count}, because {:?} cannot be listed",
                self.store()
            ))
            .at(self.name())),
        }
    }

    fn asked_chunks(&self, chunks: &ArraySubset) -> Result<StoredChunks<'_>> {
        self.chunks_subset(chunks)?;
        Ok(StoredChunks { array: self, region: chunks.clone(), search: Search::Asked(chunks.indices()) })
    }

    /// Lists the chunks of a region of the chunk grid that are stored; `None` if the store cannot be listed.
    pub fn listed_chunks(&self, chunks: &ArraySubset) -> Result<Option<StoredChunks<'_>>> {
        self.chunks_subset(chunks)?;
        let mut found = StoredChunks { array: self, region: chunks.clone(), search: Search::Listed(VecDeque::new()) };
        if chunks.is_empty() {
            return Ok(Some(found));
        }
        if self.dimensionality() == 0 {
            return self.asked_chunks(chunks).map(Some);
        }
        let first = self.folder_key(self.metadata().chunk_key_encoding.folder());
        let place = || self.name();
        if let Some(keys) = self.store().list_below(&first).place(place)? {
            found.search = Search::Listed(found.chunks_of(keys.iter().map(String::as_str)));
            return Ok(Some(found));
        }
        found.search = Search::Folders(vec![first], VecDeque::new());
        // The first listing shows whether the store can be listed.
        match found.list_next() {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            listed => listed.map(|()| Some(found)),
        }
    }

    /// Returns the chunk of a key in the store, which may be outside the grid; `None` for any other key.
    pub(super) fn chunk_of_key(&self, key: &str) -> Option<Dims> {
        let inside = if self.path().is_empty() { key } else { key.strip_prefix(self.path())?.strip_prefix('/')? };
        self.metadata().chunk_key_encoding.read(inside, self.dimensionality()).map(Dims::from)
    }

    /// Returns the key prefix of a folder relative to the array; `""` is the array's own.
    fn folder_key(&self, folder: &str) -> String {
        match (self.path(), folder) {
            ("", folder) => folder.to_owned(),
            (path, "") => path.to_owned(),
            (path, folder) => format!("{path}/{folder}"),
        }
    }

    /// Erases the stored chunks of a region of the chunk grid.
    pub fn erase_chunks(&self, chunks: &ArraySubset) -> Result<()> {
        self.chunks_subset(chunks)?;
        let _locks = LockScope::new();
        let mut stored = self.stored_chunks(chunks)?;
        loop {
            let batch = stored.take(ASKED)?;
            if batch.is_empty() {
                return Ok(());
            }
            parallel_map(&batch, self.options().concurrency(), |chunk| self.erase_chunk(chunk))?;
        }
    }

    /// Returns the number of stored objects of the array's chunks, and their total size in bytes.
    pub fn stored_size(&self) -> Result<(u64, u64)> {
        let mut stored = self.stored_chunks(&ArraySubset::new_with_shape(&self.chunk_grid_shape()))?;
        let (mut count, mut bytes) = (0, 0u64);
        loop {
            let batch = stored.take(ASKED)?;
            if batch.is_empty() {
                return Ok((count, bytes));
            }
            let size = |chunk: &Dims| Ok(self.reader().stored_length(chunk)?.unwrap_or(0));
            let sizes = parallel_map(&batch, self.options().concurrency(), size)?;
            count += batch.len() as u64;
            bytes = sizes.into_iter().fold(bytes, u64::saturating_add);
        }
    }
}

impl StoredChunks<'_> {
    /// Returns the next chunks, at most `count`; none at the end.
    pub fn take(&mut self, count: usize) -> Result<Vec<Dims>> {
        loop {
            match &mut self.search {
                Search::Listed(chunks) => return Ok(chunks.drain(..count.min(chunks.len())).collect()),
                Search::Folders(folders, chunks) => {
                    if chunks.is_empty() && !folders.is_empty() {
                        self.list_next()?;
                        continue;
                    }
                    return Ok(chunks.drain(..count.min(chunks.len())).collect());
                }
                Search::Asked(indices) => {
                    let batch: Vec<_> = indices.by_ref().take(count.clamp(1, ASKED)).collect();
                    if batch.is_empty() {
                        return Ok(batch);
                    }
                    let array = self.array;
                    let exists = array.each_chunk(&batch, |chunk| array.chunk_exists(chunk))?;
                    let stored: Vec<_> =
                        batch.into_iter().zip(exists).filter_map(|(chunk, exists)| exists.then_some(chunk)).collect();
                    if !stored.is_empty() {
                        return Ok(stored);
                    }
                }
            }
        }
    }

    /// Lists the next folder: keeps its chunks, and pushes the folders in it that can have chunks.
    fn list_next(&mut self) -> Result<()> {
        let Search::Folders(folders, _) = &mut self.search else { return Ok(()) };
        let Some(folder) = folders.pop() else { return Ok(()) };
        let listing = self.array.store().list_dir(&folder).place(|| self.array.name())?;
        let below = |name: &String| if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let keys: Vec<_> = listing.keys.iter().map(below).collect();
        let chunks = self.chunks_of(keys.iter().map(String::as_str));
        let mut deeper: Vec<_> =
            listing.prefixes.iter().map(below).filter_map(|key| Some((self.leads(&key)?, key))).collect();
        deeper.sort_unstable_by(|one, other| other.cmp(one));
        if let Search::Folders(folders, found) = &mut self.search {
            folders.extend(deeper.into_iter().map(|(_, key)| key));
            *found = chunks;
        }
        Ok(())
    }

    /// Returns the chunks of the region among keys, in C order.
    fn chunks_of<'k>(&self, keys: impl Iterator<Item = &'k str>) -> VecDeque<Dims> {
        let chunks = keys.filter_map(|key| self.array.chunk_of_key(key));
        let mut chunks: Vec<_> = chunks.filter(|chunk| self.region.contains(chunk)).collect();
        chunks.sort_unstable();
        chunks.into()
    }

    /// Returns the last index in the key of a folder that can contain chunks of the region.
    fn leads(&self, folder: &str) -> Option<u64> {
        let inside = if self.array.path().is_empty() {
            folder
        } else {
            folder.strip_prefix(self.array.path())?.strip_prefix('/')?
        };
        let encoding = &self.array.metadata().chunk_key_encoding;
        if encoding.separator() != '/' {
            return None;
        }
        let start = encoding.folder();
        let indices = if start.is_empty() { inside } else { inside.strip_prefix(start)?.strip_prefix('/')? };
        let mut last = None;
        for (axis, index) in indices.split('/').enumerate() {
            let number: u64 = index.parse().ok()?;
            let (first, length) = (*self.region.start().get(axis)?, self.region.shape()[axis]);
            let is_inside = number.checked_sub(first).is_some_and(|offset| offset < length);
            if !is_inside || axis + 1 == self.region.dimensionality() || number.to_string() != index {
                return None;
            }
            last = Some(number);
        }
        last
    }
}

impl ChunkKeyEncoding {
    /// Returns the separator of the indices in a key.
    fn separator(&self) -> char {
        match self {
            Self::Default { separator } | Self::DefaultSuffix { separator, .. } | Self::V2 { separator } => *separator,
        }
    }

    /// Returns the folder that contains all chunks, relative to the array; `""` is the array's own.
    fn folder(&self) -> &'static str {
        match self {
            Self::Default { separator: '/' } | Self::DefaultSuffix { separator: '/', .. } => "c",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::array::ArrayBuilder;
    use crate::store::{FilesystemStore, MemoryStore, Store};

    fn found(array: &Array, region: &ArraySubset) -> Vec<Vec<u64>> {
        let mut stored = array.stored_chunks(region).unwrap();
        std::iter::from_fn(|| Some(stored.take(3).unwrap()).filter(|batch| !batch.is_empty()))
            .flat_map(|batch| batch.into_iter().map(|chunk| chunk.to_vec()))
            .collect()
    }

    #[test]
    fn chunks_of_a_vast_grid_are_found() {
        let folder = std::env::temp_dir().join(format!("tegula-stored-{}", std::process::id()));
        let stores: [Arc<dyn Store>; 2] = [Arc::new(MemoryStore::new()), Arc::new(FilesystemStore::new(&folder))];
        let encodings = [
            ChunkKeyEncoding::Default { separator: '/' },
            ChunkKeyEncoding::Default { separator: '.' },
            ChunkKeyEncoding::V2 { separator: '/' },
            ChunkKeyEncoding::V2 { separator: '.' },
            ChunkKeyEncoding::DefaultSuffix { separator: '/', suffix: ".tif".into() },
        ];
        for (number, store) in stores.into_iter().enumerate() {
            for (k, encoding) in encodings.iter().enumerate() {
                let mut builder = ArrayBuilder::new([1 << 60, 1 << 40], "uint8");
                builder.chunks([1 << 20, 1 << 20]).without_shards().chunk_key_encoding(encoding.clone());
                let array = builder.create(store.clone(), &format!("a{k}")).unwrap();
                let chunks = [[0, 9], [0, 10], [2, 1], [1 << 39, 7]];
                for chunk in &chunks {
                    array.store_encoded_chunk(chunk, b"x").unwrap();
                }
                store.set(&array.chunk_key(&[2, 1]).unwrap().replace('2', "02"), b"no chunk").unwrap();
                let all = ArraySubset::new_with_shape(&array.chunk_grid_shape());
                assert_eq!(found(&array, &all), chunks, "{encoding:?} {number}");
                let some = ArraySubset::new_with_ranges(&[1..1 << 40, 0..1 << 20]);
                assert_eq!(found(&array, &some), chunks[2..]);
                assert_eq!(found(&array, &ArraySubset::new_with_ranges(&[0..2, 9..10])), chunks[..1]);
                assert_eq!(array.stored_size().unwrap(), (4, 4));
                array.erase_chunks(&some).unwrap();
                assert_eq!(found(&array, &all), chunks[..2]);
                assert!(array.erase_chunks(&ArraySubset::new_with_shape(&[1 << 41, 1])).is_err());
            }
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
