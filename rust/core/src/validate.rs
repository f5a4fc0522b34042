//! Whether all that is stored can be read: metadata, chunks, and keys that are neither.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use crate::array::{Array, ArrayBytes};
use crate::error::{Error, Result};
use crate::group::Group;
use crate::metadata::{Node, node_path, open_node};
use crate::options::{CodecOptions, global_options};
use crate::runtime::parallel_map;
use crate::store::{Store, keys_below};
use crate::subset::tuple;

/// The files that make an array or a group of a folder, and those that may stand beside them.
const NODE: [&str; 3] = ["zarr.json", ".zarray", ".zgroup"];
const BESIDE: [&str; 2] = [".zattrs", ".zmetadata"];

/// What is wrong with something that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// Metadata cannot be read, or need what this build does not have.
    Metadata,
    /// A chunk cannot be decoded.
    Chunk,
    /// A chunk lies outside the array: nobody reads it.
    Outside,
    /// A key belongs to no chunk and to no metadata.
    Stray,
    /// A writer that was killed left it behind.
    Leftover,
}

/// Something that is wrong with what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// The key, as the store shows it.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// A look at all that is stored below a path: [`new`](Self::new) reads the metadata, and [`check`](Self::check) chunks.
#[derive(Debug)]
pub struct Validation {
    arrays: Vec<Array>,
    groups: usize,
    /// The stored chunks: the number of the array, and the chunk.
    chunks: Vec<(usize, Vec<u64>)>,
    problems: Vec<Problem>,
}

/// Whose keys lie in a folder.
#[derive(Clone, Copy)]
enum Owner {
    Array(usize),
    Group,
    /// It cannot be told what belongs there.
    Unknown,
}

impl Validation {
    /// Lists what lies below a path of a store, and reads the metadata of all arrays and groups.
    ///
    /// Fails with [`NotFound`](crate::ErrorKind::NotFound) where there is neither, and where the store cannot be listed.
    pub fn new(store: &Arc<dyn Store>, path: &str) -> Result<Self> {
        let path = node_path(path)?;
        let keys = keys_below(&**store, &path)?;
        let mut found = Self { arrays: Vec::new(), groups: 0, chunks: Vec::new(), problems: Vec::new() };
        // Folders stand before those that are in them.
        let node = |key: &str| {
            let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
            NODE.contains(&name).then(|| folder.split('/').map(str::to_owned).collect::<Vec<_>>())
        };
        let folders: BTreeSet<_> = keys.iter().filter_map(|key| node(key)).collect();
        let mut owners = HashMap::new();
        for folder in folders.iter().map(|names| names.join("/")) {
            if let Some((_, Owner::Array(_))) = owner(&owners, &folder) {
                continue;
            }
            let owned = found.open(store, &folder);
            owners.insert(folder, owned);
        }
        if owners.is_empty() {
            return Err(Error::not_found(format!("no array or group at {}", store.display(&path))));
        }
        for key in &keys {
            found.assign(&**store, key, &owners);
        }
        Ok(found)
    }

    fn open(&mut self, store: &Arc<dyn Store>, folder: &str) -> Owner {
        let opened = match open_node(&**store, folder) {
            Ok(Node::Array(metadata)) => {
                Array::new_with_metadata(store.clone(), folder, *metadata).map(|array| {
                    let options = CodecOptions { concurrent_target: 1, validate_checksums: true, ..array.options() };
                    self.arrays.push(array.with_options(options));
                    Owner::Array(self.arrays.len() - 1)
                })
            }
            Ok(Node::Group(_)) => Group::open(store.clone(), folder).map(|_| {
                self.groups += 1;
                Owner::Group
            }),
            Err(error) => Err(error),
        };
        opened.unwrap_or_else(|error| {
            self.note(ProblemKind::Metadata, store.display(folder), error.message());
            Owner::Unknown
        })
    }

    fn note(&mut self, kind: ProblemKind, place: String, message: impl Into<String>) {
        self.problems.push(Problem { kind, place, message: message.into() });
    }

    /// Finds out what a key is.
    fn assign(&mut self, store: &dyn Store, key: &str, owners: &HashMap<String, Owner>) {
        let (parent, name) = key.rsplit_once('/').unwrap_or(("", key));
        let Some((folder, owner)) = owner(owners, parent) else {
            return self.note(ProblemKind::Stray, store.display(key), "it lies in no array or group");
        };
        if matches!(owner, Owner::Unknown) || folder == parent && (NODE.contains(&name) || BESIDE.contains(&name)) {
            return;
        }
        let Owner::Array(number) = owner else {
            return self.note(ProblemKind::Stray, store.display(key), "it is neither metadata nor in an array");
        };
        let (array, below) = (&self.arrays[number], if folder.is_empty() { key } else { &key[folder.len() + 1..] });
        match array.metadata().chunk_key_encoding.read(below, array.dimensionality()) {
            None => self.note(ProblemKind::Stray, store.display(key), "it is neither metadata nor a chunk"),
            Some(chunk) if array.chunk_subset(&chunk).is_ok() => self.chunks.push((number, chunk)),
            Some(chunk) => {
                let grid = array.chunk_grid_shape();
                let message = format!("chunk {} lies outside a grid of {} chunks", tuple(&chunk), tuple(&grid));
                self.note(ProblemKind::Outside, store.display(key), message);
            }
        }
    }

    /// The arrays that can be opened.
    pub fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    /// How many groups can be opened.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// How many chunks are stored.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// What is wrong with metadata and keys.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Decodes some of the [chunks](Self::chunks), with their checksums, and says what is wrong with them.
    pub fn check(&self, range: Range<usize>) -> Result<Vec<Problem>> {
        let chunks = self.chunks.get(range).unwrap_or_default();
        let found = parallel_map(chunks, global_options().concurrency(), |(number, chunk)| {
            let array = &self.arrays[*number];
            let decoded = array.retrieve_chunk_if_exists::<ArrayBytes>(chunk);
            Ok(decoded.err().map(|error| {
                let key = array.chunk_key(chunk).unwrap_or_default();
                Problem {
                    kind: ProblemKind::Chunk,
                    place: array.store().display(&key),
                    message: error.message().to_owned(),
                }
            }))
        })?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// The nearest folder at or above a path that an array or a group has.
fn owner<'a>(owners: &HashMap<String, Owner>, mut path: &'a str) -> Option<(&'a str, Owner)> {
    loop {
        if let Some(owner) = owners.get(path) {
            return Some((path, *owner));
        }
        if path.is_empty() {
            return None;
        }
        path = path.rsplit_once('/').map_or("", |(above, _)| above);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ArraySubset;
    use crate::store::MemoryStore;

    const ARRAY: &str = r#"{"zarr_format": 3, "node_type": "array", "shape": [4, 4], "data_type": "uint8",
        "fill_value": 0, "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 2]}},
        "chunk_key_encoding": "default", "codecs": ["bytes", "crc32c"]}"#;

    #[test]
    fn every_kind_of_problem_is_found() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        assert!(Validation::new(&store, "").is_err());
        for (key, text) in [
            ("zarr.json", r#"{"zarr_format": 3, "node_type": "group"}"#),
            ("a/zarr.json", ARRAY),
            ("b/zarr.json", "{"),
            ("b/c/0/0", "unknown"),
            ("old/.zgroup", r#"{"zarr_format": 2}"#),
            ("old/.zattrs", "{}"),
        ] {
            store.set(key, text.as_bytes()).unwrap();
        }
        let array = Array::open(store.clone(), "a").unwrap();
        array.store_array_subset(&array.subset_all(), &[1u8; 16][..]).unwrap();
        let show = |validation: &Validation| -> Vec<(ProblemKind, String)> {
            let found = validation.check(0..validation.chunks()).unwrap();
            validation.problems().iter().chain(&found).map(|found| (found.kind, found.place.clone())).collect()
        };
        let validation = Validation::new(&store, "a").unwrap();
        assert_eq!((validation.chunks(), show(&validation)), (4, Vec::new()));
        let mut chunk = array.retrieve_encoded_chunk(&[1, 1]).unwrap().unwrap();
        chunk[0] ^= 1;
        store.set("a/c/1/1", &chunk).unwrap();
        store.set("a/c/2/1", &chunk).unwrap();
        store.set("a/c/00/1", &chunk).unwrap();
        store.set("a/c/zarr.json", b"").unwrap();
        store.set("README", b"").unwrap();
        let validation = Validation::new(&store, "/").unwrap();
        assert_eq!((validation.arrays().len(), validation.groups(), validation.chunks()), (1, 2, 4));
        let expected = [
            (ProblemKind::Metadata, "memory:/b"),
            (ProblemKind::Stray, "memory:/README"),
            (ProblemKind::Stray, "memory:/a/c/00/1"),
            (ProblemKind::Outside, "memory:/a/c/2/1"),
            (ProblemKind::Stray, "memory:/a/c/zarr.json"),
            (ProblemKind::Chunk, "memory:/a/c/1/1"),
        ];
        assert_eq!(show(&validation), expected.map(|(kind, place)| (kind, place.to_owned())));
        assert_eq!(array.retrieve_array_subset::<Vec<u8>>(&ArraySubset::new_with_shape(&[2, 4])).unwrap(), [1; 8]);
    }
}
