//! Chunks found by listing: what a killed writer left at the path of a new array, or outside an array's shape.
//!
//! Only folders that can contain chunks are listed, so the work follows what is stored, not the grid.

use std::ops::Range;

use super::Array;
use crate::chunk_key::ChunkKeyEncoding;
use crate::error::{ErrorKind, Place, Result};
use crate::metadata::metadata_key;
use crate::runtime::parallel;
use crate::store::Store;
use crate::subset::ArraySubset;

/// Names of the metadata files of nodes. A folder with one of them is a node, not a folder of chunks.
const NODE: [&str; 3] = ["zarr.json", ".zarray", ".zgroup"];

/// Maximum number of dimensions of an array whose chunks are looked for.
const DEEPEST: usize = 64;

/// Collects up to `most` keys that are those of chunks, of any number of dimensions.
fn collect(
    store: &dyn Store,
    prefix: &str,
    depth: usize,
    encoding: &ChunkKeyEncoding,
    most: usize,
    found: &mut Vec<String>,
) -> Result<()> {
    let listing = store.list_dir(prefix)?;
    if depth > 0 && listing.keys.iter().any(|name| NODE.contains(&name.as_str())) {
        return Ok(());
    }
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let are_numbers = |name: &str| name.split('.').all(is_number);
    let (has_c, suffix) = match encoding {
        ChunkKeyEncoding::Default { .. } => (true, ""),
        ChunkKeyEncoding::DefaultSuffix { suffix, .. } => (true, suffix.as_str()),
        ChunkKeyEncoding::V2 { .. } => (false, ""),
    };
    let is_chunk = |name: &String| {
        name.strip_suffix(suffix).is_some_and(|name| match name.strip_prefix('c') {
            Some(indices) if has_c && depth == 0 => {
                indices.is_empty() || indices.strip_prefix('.').is_some_and(are_numbers)
            }
            None if !has_c || depth > 0 => are_numbers(name),
            _ => false,
        })
    };
    let left = most.saturating_sub(found.len());
    found.extend(listing.keys.iter().filter(|name| is_chunk(name)).take(left).map(|name| metadata_key(prefix, name)));
    for name in &listing.prefixes {
        let is_folder = if has_c && depth == 0 { name == "c" } else { is_number(name) };
        if is_folder && depth < DEEPEST && found.len() < most {
            collect(store, &metadata_key(prefix, name), depth + 1, encoding, most, found)?;
        }
    }
    Ok(())
}

/// Collects the chunks that are stored in a box of the chunk grid.
fn collect_inside(array: &Array, wanted: &[Range<u64>], found: &mut Vec<Vec<u64>>) -> Result<()> {
    let encoding = &array.metadata().chunk_key_encoding;
    // The names in a folder are the indices of one axis, or of all.
    let (top, is_nested) = match encoding {
        ChunkKeyEncoding::Default { separator } | ChunkKeyEncoding::DefaultSuffix { separator, .. } => {
            (if *separator == '/' { "c" } else { "" }, *separator == '/')
        }
        ChunkKeyEncoding::V2 { separator } => ("", *separator == '/'),
    };
    let prefix = if top.is_empty() { array.path().to_owned() } else { metadata_key(array.path(), top) };
    let mut folders = vec![(prefix, top.to_owned(), 0)];
    while let Some((folder, relative, depth)) = folders.pop() {
        let listing = array.store().list_dir(&folder)?;
        for name in &listing.keys {
            let chunk = encoding.read(&metadata_key(&relative, name), wanted.len());
            found.extend(chunk.filter(|chunk| chunk.iter().zip(wanted).all(|(index, wanted)| wanted.contains(index))));
        }
        for name in listing.prefixes.iter().filter(|_| is_nested && depth + 1 < wanted.len()) {
            if name.parse().is_ok_and(|index: u64| wanted[depth].contains(&index)) {
                folders.push((metadata_key(&folder, name), metadata_key(&relative, name), depth + 1));
            }
        }
    }
    Ok(())
}

impl Array {
    /// Erases or fills what is stored between the shape of `old`, the array as it is stored, and this larger shape:
    /// chunks outside the old grid, and elements of its last chunks past the old shape.
    pub(super) fn clear_beyond(&self, old: &Self) -> Result<()> {
        let (counts, new) = (old.chunk_grid_shape(), self.chunk_grid_shape());
        for axis in 0..self.dimensionality() {
            let (from, count) = (old.shape()[axis], counts[axis]);
            if self.shape()[axis] <= from {
                continue;
            }
            // The last chunk along the axis, if the old shape ends inside it.
            let (_, start, _) = self.chunk_grid().locate(axis, from);
            let first = if start < from { count.saturating_sub(1) } else { count };
            let mut wanted: Vec<_> = new.iter().map(|count| 0..*count).collect();
            wanted[axis] = first..new[axis];
            let mut chunks = Vec::new();
            match collect_inside(self, &wanted, &mut chunks) {
                Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
                done => done.place(|| self.name())?,
            }
            parallel(&chunks, self.options().concurrency(), |chunk| self.clear_chunk(old, chunk, axis))?;
        }
        Ok(())
    }

    /// Erases a chunk that is outside the grid of `old`, or fills its elements past the shape of `old` along an axis.
    fn clear_chunk(&self, old: &Self, chunk: &[u64], axis: usize) -> Result<()> {
        if chunk.iter().zip(old.chunk_grid_shape()).any(|(index, count)| *index >= count) {
            return self.store().erase(&self.chunk_key(chunk)?);
        }
        let whole = self.chunk_subset(chunk)?;
        let (mut start, end) = (whole.start().to_vec(), whole.end_exc());
        start[axis] = old.shape()[axis];
        self.fill_subset(&ArraySubset::new_with_start_end_exc(&start, &end)?)
    }

    /// Returns up to `most` keys of objects at the array's path that are those of chunks, of this array or of one with
    /// another number of dimensions; none if the store cannot be listed.
    pub fn chunk_keys(&self, most: usize) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let encoding = &self.metadata().chunk_key_encoding;
        match collect(&**self.store(), self.path(), 0, encoding, most, &mut found) {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Vec::new()),
            done => done.map(|()| found).place(|| self.name()),
        }
    }

    /// Erases all objects that [`chunk_keys`](Self::chunk_keys) finds.
    pub fn erase_all_chunks(&self) -> Result<()> {
        let keys = self.chunk_keys(usize::MAX)?;
        parallel(&keys, self.options().concurrency(), |key| self.store().erase(key)).place(|| self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::array::ArrayBuilder;
    use crate::store::{MemoryStore, WritableStore, keys_below};

    #[test]
    fn chunks_of_any_rank_are_found() {
        for (encoding, chunks, others) in [
            (
                ChunkKeyEncoding::Default { separator: '/' },
                &["a/c", "a/c/0", "a/c/0/1", "a/c.1.2"][..],
                &["a/0", "a/1.1", "a/c/x", "a/c/5/zarr.json", "a/c/5/0", "a/d/0", "a/cc", "ab/c/0"][..],
            ),
            (
                ChunkKeyEncoding::V2 { separator: '.' },
                &["a/0", "a/1.12", "a/3/4"],
                &["a/c/0", "a/1.", "a/.zattrs", "a/x", "a/7/.zarray", "a/7/0.0"],
            ),
            (
                ChunkKeyEncoding::DefaultSuffix { separator: '/', suffix: ".tif".into() },
                &["a/c/0.tif", "a/c.tif"],
                &["a/c/0", "a/0.tif"],
            ),
        ] {
            let store = Arc::new(MemoryStore::new());
            for key in chunks.iter().chain(others) {
                store.set(key, b"x").unwrap();
            }
            let mut builder = ArrayBuilder::new([4], "int8");
            builder.chunk_key_encoding(encoding);
            let array = Array::new_with_metadata(store.clone(), "a", builder.build().unwrap()).unwrap();
            let mut found = array.chunk_keys(usize::MAX).unwrap();
            found.sort();
            let mut expected = chunks.to_vec();
            expected.sort_unstable();
            assert_eq!(found, expected);
            assert_eq!(array.chunk_keys(1).unwrap().len(), 1);
            array.erase_all_chunks().unwrap();
            let mut kept: Vec<_> = others.to_vec();
            kept.sort_unstable();
            assert_eq!(keys_below(&*store, "").unwrap(), kept);
        }
    }
}
