//! Writes keep the bytes of other inner chunks and the elements of other writers. Also tests how often a session
//! stores, and what remains after a store fails.

#[path = "support/arrays.rs"]
mod arrays;
mod counting;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tegula::metadata::{Attributes, AttributesChange, GroupMetadata};
use tegula::store::{Exclusion, FilesystemStore, Guard, Listing, MemoryStore, Object, Profile, Store, WritableStore};
use tegula::{
    Array, ArraySubset, CodecOptions, Error, ErrorKind, Group, InnerChunkOrder, InputBuffer, Result,
    WriteSessionOptions,
};

use arrays::{bytes, chunk_keys, named, open};
use counting::Counting;

/// Creates a shard of 4 x 4 inner chunks of 8 x 8 bytes, without compression.
fn shard(store: &Arc<Counting>) -> Array {
    let codecs = json!([named(
        "sharding_indexed",
        json!({"chunk_shape": [8, 8], "codecs": [bytes()], "index_codecs": [bytes(), named("crc32c", json!({}))]})
    )]);
    let array = open(store.clone(), &[32, 32], &named("regular", json!({"chunk_shape": [32, 32]})), "uint8", &codecs);
    array.store_array_subset(&array.subset_all(), &vec![1u8; 32 * 32]).unwrap();
    store.take();
    array
}

fn region(rows: std::ops::Range<u64>, columns: std::ops::Range<u64>) -> ArraySubset {
    ArraySubset::new_with_ranges(&[rows, columns])
}

#[test]
fn other_inner_chunks_are_copied_as_they_are() {
    let store = Counting::new(0);
    let array = shard(&store);
    let all = ArraySubset::new_with_shape(&[4, 4]);
    let inner = |array: &Array| -> Vec<Option<Vec<u8>>> {
        all.indices().map(|inner| array.retrieve_encoded_inner_chunk(&inner).unwrap()).collect()
    };
    let mut shifted = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
    shifted.splice(0..0, [9; 100]); // unused bytes at the start, which shift all offsets
    store.store.set("a/c/0/0", &shifted).unwrap();
    let before = inner(&array);
    store.store.set("a/c/0/0", &shifted).unwrap();
    store.take();

    // An inner chunk is covered: only the bytes of the 15 others are read, and the index, since the cache has that of
    // an older shard.
    array.store_array_subset(&region(8..16, 16..24), &vec![2u8; 64]).unwrap();
    let read: u64 = store.take().iter().map(|(_, length)| length).sum();
    assert_eq!(read, 16 * 16 + 4 + 15 * 64);
    let after = inner(&array);
    for (k, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(before == after, k != 6, "{k}");
    }
    // The unused bytes are gone.
    assert_eq!(array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap().len(), 16 * 64 + 16 * 16 + 4);

    // An inner chunk is covered in part: it is read too.
    store.take();
    array.store_array_subset(&region(8..9, 16..24), &vec![3u8; 8]).unwrap();
    let read: u64 = store.take().iter().map(|(_, length)| length).sum();
    assert_eq!(read, 16 * 64, "the index is in the cache");

    // The whole shard is covered: nothing is read.
    array.store_array_subset(&array.subset_all(), &vec![4u8; 32 * 32]).unwrap();
    assert!(store.take().is_empty());

    // Inner chunks that hold only the fill value are removed, and the shard with the last of them.
    array.store_array_subset(&region(0..8, 0..8), &vec![7u8; 64]).unwrap();
    assert_eq!(array.retrieve_encoded_inner_chunk(&[0, 0]).unwrap(), None);
    array.store_array_subset(&region(0..32, 1..32), &vec![7u8; 32 * 31]).unwrap();
    assert!(array.chunk_exists(&[0, 0]).unwrap());
    array.store_array_subset(&region(8..32, 0..1), &vec![7u8; 24]).unwrap();
    assert!(!array.chunk_exists(&[0, 0]).unwrap());
}

#[test]
fn damaged_shards_are_not_written_over() {
    let store = Counting::new(0);
    let array = shard(&store);
    let stored = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
    for cut in [0, 10, stored.len() - 1] {
        store.store.set("a/c/0/0", &stored[..cut]).unwrap();
        let error = array.store_array_subset(&region(0..8, 0..8), &vec![2u8; 64]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptData);
        assert_eq!(array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap(), stored[..cut]);
    }
    array.store_chunk(&[0, 0], &vec![2u8; 32 * 32]).unwrap();
}

#[test]
fn writers_of_one_chunk_lose_no_elements() {
    let folder = std::env::temp_dir().join(format!("tegula-writers-{}", std::process::id()));
    let sharded = json!([named(
        "sharding_indexed",
        json!({"chunk_shape": [32, 32], "codecs": [bytes()], "index_codecs": [bytes()]})
    )]);
    for (number, codecs) in [json!([bytes()]), sharded].iter().enumerate() {
        for memory in [true, false] {
            let folder = folder.join(number.to_string());
            let store: Arc<dyn Store> =
                if memory { Arc::new(MemoryStore::new()) } else { Arc::new(FilesystemStore::new(folder)) };
            let grid = named("regular", json!({"chunk_shape": [256, 256]}));
            let array = open(store.clone(), &[256, 256], &grid, "uint16", codecs);
            let next = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        loop {
                            let tile = next.fetch_add(1, Ordering::Relaxed);
                            if tile >= 256 {
                                return;
                            }
                            let (row, column) = (tile / 16 * 16, tile % 16 * 16);
                            let region = region(row..row + 16, column..column + 16);
                            array.store_array_subset(&region, &vec![tile as u16 + 100; 256]).unwrap();
                        }
                    });
                }
            });
            let found: Vec<u16> = array.retrieve_array_subset(&array.subset_all()).unwrap();
            let lost = (0..256 * 256).filter(|k| found[*k] as usize != 100 + k / 256 / 16 * 16 + k % 256 / 16).count();
            assert_eq!(lost, 0, "{codecs}, in memory: {memory}");
            assert_eq!(chunk_keys(&*store), ["a/c/0/0"]);
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A store like those on servers: keys cannot be locked, and other processes write. It may compare versions.
#[derive(Debug, Default)]
struct Shared {
    store: MemoryStore,
    turn: Mutex<()>,
    profile: Profile,
    refused: AtomicU64,
    /// Whether the store refuses chunks.
    full: AtomicBool,
}

impl Shared {
    fn check(&self, key: &str, value: Option<&[u8]>) -> Result<()> {
        let refused = value.is_some() && key.contains("/c/") && self.full.load(Ordering::Relaxed);
        if refused { Err(Error::store("full")) } else { Ok(()) }
    }
}

impl Store for Shared {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        self.store.open(key)
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn display(&self, key: &str) -> String {
        format!("shared/{key}")
    }

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        self.store.list_dir(prefix)
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        Ok(self)
    }
}

impl WritableStore for Shared {
    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.check(key, Some(value))?;
        let _turn = self.turn.lock().unwrap();
        self.store.set(key, value)
    }

    fn set_if(&self, key: &str, value: Option<&[u8]>, version: Option<u64>) -> Result<bool> {
        self.check(key, value)?;
        // Gives other writers time to read what is about to change.
        std::thread::sleep(std::time::Duration::from_micros(200));
        let _turn = self.turn.lock().unwrap();
        if self.store.open(key)?.stat()?.map(|stat| stat.version) != version {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(false);
        }
        value.map_or_else(|| self.store.erase(key), |value| self.store.set(key, value)).map(|()| true)
    }

    fn erase(&self, key: &str) -> Result<()> {
        self.store.erase(key)
    }

    fn lock(&self, _: &str) -> Result<Guard> {
        Ok(Guard::new(()))
    }
}

#[test]
fn stores_without_locks_compare_versions() {
    let sharded = json!([named(
        "sharding_indexed",
        json!({"chunk_shape": [16, 16], "codecs": [bytes()], "index_codecs": [bytes()]})
    )]);
    for codecs in [json!([bytes()]), sharded] {
        let profile = Profile { exclusion: Exclusion::Versions, ..Profile::default() };
        let store = Arc::new(Shared { profile, ..Shared::default() });
        let grid = named("regular", json!({"chunk_shape": [128, 128]}));
        let array = open(store.clone(), &[128, 128], &grid, "uint16", &codecs);
        std::thread::scope(|scope| {
            for row in 0..8 {
                let array = &array;
                scope.spawn(move || {
                    for column in 0..16 {
                        let region = region(row * 16..row * 16 + 16, column * 8..column * 8 + 8);
                        array.store_array_subset(&region, &vec![row as u16 + 1; 128]).unwrap();
                    }
                });
            }
        });
        let found: Vec<u16> = array.retrieve_array_subset(&array.subset_all()).unwrap();
        assert!((0..128 * 128).all(|k| usize::from(found[k]) == k / 128 / 16 + 1), "{codecs}");
        assert!(store.refused.load(Ordering::Relaxed) > 0, "nobody met");
    }
}

#[test]
fn metadata_changes_are_repeated_without_locks() {
    let profile = Profile { exclusion: Exclusion::Versions, ..Profile::default() };
    let store = Arc::new(Shared { profile, ..Shared::default() });
    let grid = named("regular", json!({"chunk_shape": [7, 2]}));
    let array = open(store.clone(), &[0, 2], &grid, "uint8", &json!([bytes()]));
    let group = Group::create(store.clone(), "", GroupMetadata::new_v3(Attributes::new())).unwrap();
    let append = |rows: u64, value: u8| {
        let input = InputBuffer { bytes: &[value], origin: 0, strides: &[0, 0], heap: &[] };
        array.append_from(&[rows, 2], 0, input)
    };
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let (array, group, append) = (&array, &group, &append);
            scope.spawn(move || {
                for k in 0..10 {
                    append(3, thread * 10 + k + 1).unwrap();
                    let set = Attributes::from_iter([(format!("{thread} {k}"), json!(k))]);
                    let change = AttributesChange { set, ..AttributesChange::default() };
                    array.change_attributes(&change).unwrap();
                    group.change_attributes(&change).unwrap();
                }
            });
        }
    });
    assert!(store.refused.load(Ordering::Relaxed) > 0, "nobody met");
    assert_eq!(Group::open(store.clone(), "").unwrap().attributes().len(), 40);
    let found = array.reopen().unwrap();
    assert_eq!((found.shape(), found.attributes().len()), (&[120, 2][..], 40));
    let elements: Vec<u8> = found.retrieve_array_subset(&found.subset_all()).unwrap();
    let mut parts: Vec<u8> = elements.chunks_exact(6).map(|part| part[0]).collect();
    assert!(elements.chunks_exact(6).zip(&parts).all(|(part, first)| part == [*first; 6]));
    parts.sort_unstable();
    assert!(parts.into_iter().eq(1..=40));

    // Elements that cannot be stored leave the shape as it was.
    store.full.store(true, Ordering::Relaxed);
    assert!(append(9, 99).unwrap_err().message().contains("full"));
    store.full.store(false, Ordering::Relaxed);
    assert_eq!(array.reopen().unwrap().shape(), [120, 2]);
    let resized = array.resize(&[5, 2]).unwrap();
    assert_eq!(resized.retrieve_array_subset::<Vec<u8>>(&resized.subset_all()).unwrap(), elements[..10]);
    assert_eq!(chunk_keys(&*store), ["a/c/0/0"]);
}

#[test]
fn partial_writes_are_refused_without_exclusion() {
    let store = Arc::new(Shared::default());
    let grid = named("regular", json!({"chunk_shape": [4, 4]}));
    let array = open(store.clone(), &[10, 10], &grid, "uint8", &json!([bytes()]));
    array.store_array_subset(&region(4..10, 0..4), &vec![1u8; 24]).unwrap();
    array.store_array_subset(&array.subset_all(), &vec![1u8; 100]).unwrap();
    let before = chunk_keys(&*store);
    let error = array.store_array_subset(&region(0..5, 8..9), &vec![2u8; 5]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("write the whole chunks [0:8, 8:10]"), "{error}");
    let all: Vec<u8> = array.retrieve_array_subset(&array.subset_all()).unwrap();
    assert!(all == [1; 100] && chunk_keys(&*store) == before);
    let brave = array.with_options(CodecOptions { unlocked_writes: true, ..array.options() });
    brave.store_array_subset(&region(0..5, 8..9), &vec![2u8; 5]).unwrap();
    assert_eq!(array.retrieve_array_subset::<Vec<u8>>(&region(4..6, 8..10)).unwrap(), [2, 1, 1, 1]);
}

#[test]
fn chunks_are_stored_with_their_padding() {
    let grid = named("regular", json!({"chunk_shape": [4, 4]}));
    let array = open(Arc::new(MemoryStore::new()), &[6, 7], &grid, "uint8", &json!([bytes()]));
    let elements: Vec<u8> = (0..64).collect();
    let chunks = ArraySubset::new_with_shape(&[2, 2]);
    array.store_chunks(&chunks, &elements).unwrap();
    assert_eq!(array.retrieve_chunks::<Vec<u8>>(&chunks).unwrap(), elements);
    // Padding is kept when a part of a chunk is stored.
    array.store_chunk_subset(&[1, 1], &region(0..1, 0..2), &vec![99u8, 98]).unwrap();
    let mut chunk: Vec<u8> = (4..8).flat_map(|row| row * 8 + 4..row * 8 + 8).collect();
    chunk[..2].copy_from_slice(&[99, 98]);
    assert_eq!(array.retrieve_chunk::<Vec<u8>>(&[1, 1]).unwrap(), chunk);
    assert_eq!(
        array.store_chunk_subset(&[1, 1], &region(0..5, 0..1), &vec![0u8; 5]).unwrap_err().kind(),
        ErrorKind::InvalidSelection
    );
    let encoded = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
    array.store_encoded_chunk(&[1, 1], &encoded).unwrap();
    assert_eq!(array.retrieve_chunk::<Vec<u8>>(&[1, 1]).unwrap(), array.retrieve_chunk::<Vec<u8>>(&[0, 0]).unwrap());
    array.erase_chunks(&region(0..2, 0..1)).unwrap();
    assert!(!array.chunk_exists(&[1, 0]).unwrap() && array.chunk_exists(&[1, 1]).unwrap());
    array.erase_metadata().unwrap();
    assert_eq!(Array::open(array.store().clone(), "a").unwrap_err().kind(), ErrorKind::NotFound);
}

/// A store that counts writes, and fails on request.
#[derive(Debug, Default)]
struct Failing {
    store: MemoryStore,
    sets: Mutex<Vec<String>>,
    full: AtomicBool,
}

impl Store for Failing {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        self.store.open(key)
    }

    fn profile(&self) -> &Profile {
        self.store.profile()
    }

    fn display(&self, key: &str) -> String {
        key.to_owned()
    }

    fn list_dir(&self, prefix: &str) -> Result<tegula::store::Listing> {
        self.store.list_dir(prefix)
    }

    fn writable(&self) -> Result<&dyn WritableStore> {
        Ok(self)
    }
}

impl WritableStore for Failing {
    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        if self.full.load(Ordering::Relaxed) {
            return Err(Error::store("no space left"));
        }
        self.sets.lock().unwrap().push(key.to_owned());
        self.store.set(key, value)
    }

    fn erase(&self, key: &str) -> Result<()> {
        self.store.erase(key)
    }
}

#[test]
fn a_session_stores_each_shard_once() {
    let store = Arc::new(Failing::default());
    let codecs = json!([named(
        "sharding_indexed",
        json!({"chunk_shape": [8, 8], "codecs": [bytes()], "index_codecs": [bytes()]})
    )]);
    let grid = named("regular", json!({"chunk_shape": [32, 32]}));
    let array = open(store.clone(), &[100, 70], &grid, "uint32", &codecs);
    store.sets.lock().unwrap().clear();
    let session = array.write_session(WriteSessionOptions::default());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    // 37 and 100 have no common divisor: every row is written once, far from the one before.
                    let row = next.fetch_add(1, Ordering::Relaxed);
                    if row >= 100 {
                        return;
                    }
                    let row = row * 37 % 100;
                    session.store_array_subset(&region(row..row + 1, 0..70), &vec![row as u32 + 10; 70]).unwrap();
                }
            });
        }
    });
    // All chunks are complete, so none is left for the end.
    assert_eq!(session.staged(), 0);
    session.finish().unwrap();
    let mut sets = store.sets.lock().unwrap().clone();
    sets.sort();
    let keys: Vec<_> = (0..4).flat_map(|i| (0..3).map(move |j| format!("a/c/{i}/{j}"))).collect();
    assert_eq!(sets, keys);
    let found: Vec<u32> = array.retrieve_array_subset(&array.subset_all()).unwrap();
    assert!((0..7000).all(|k| found[k] == (k / 70) as u32 + 10));
}

#[test]
fn chunks_that_failed_are_stored_again() {
    let store = Arc::new(Failing::default());
    let grid = named("regular", json!({"chunk_shape": [4, 4]}));
    let array = open(store.clone(), &[8, 8], &grid, "uint8", &json!([bytes()]));
    let session = array.write_session(WriteSessionOptions::default());
    store.full.store(true, Ordering::Relaxed);
    session.store_array_subset(&region(0..2, 0..4), &vec![1u8; 8]).unwrap();
    let error = session.store_array_subset(&region(2..4, 0..6), &vec![2u8; 12]).unwrap_err();
    assert_eq!(error.message(), "cannot store chunk (0, 0) of a: no space left");
    assert!(session.staged() > 0 && session.flush().is_err() && session.finish().is_err());
    // Later elements win over staged ones.
    session.store_array_subset(&region(1..3, 1..2), &vec![3u8; 2]).unwrap_err();
    store.full.store(false, Ordering::Relaxed);
    session.finish().unwrap();
    assert_eq!(session.staged(), 0);
    let found: Vec<u8> = array.retrieve_array_subset(&region(0..4, 0..8)).unwrap();
    let expected =
        [[1, 1, 1, 1, 7, 7, 7, 7], [1, 3, 1, 1, 7, 7, 7, 7], [2, 3, 2, 2, 2, 2, 7, 7], [2, 2, 2, 2, 2, 2, 7, 7]];
    assert_eq!(found, expected.concat());

    // Discarded elements are gone, including chunks that were appended.
    let session = array.write_session(WriteSessionOptions { memory: 0 });
    session.append(0, 4, &vec![5u8; 32]).unwrap();
    session.append(0, 1, &vec![5u8; 8]).unwrap();
    assert!(chunk_keys(&*store).contains(&"a/c/2/0".into()));
    drop(session);
    assert_eq!(chunk_keys(&*store), ["a/c/0/0", "a/c/0/1"]);
    assert_eq!(array.reopen().unwrap().shape(), [8, 8]);
    let session = array.write_session(WriteSessionOptions::default());
    assert!(session.append(2, 4, &vec![5u8; 32]).is_err());
    assert!(session.append(0, 4, &vec![5u8; 31]).is_err());
    assert!(session.store_array_subset(&region(0..9, 0..8), &vec![5u8; 72]).is_err());
    session.discard().unwrap();
    assert!(session.append(0, 4, &vec![5u8; 32]).unwrap_err().message().contains("has ended"));
}

#[test]
fn shards_are_compacted() {
    let store = Arc::new(MemoryStore::new());
    let grid = named("regular", json!({"chunk_shape": [32, 32]}));
    let shard = |length: u64, codecs: Value, location: &str| {
        json!([named(
            "sharding_indexed",
            json!({"chunk_shape": [length, length], "codecs": codecs, "index_codecs": [bytes()], "index_location": location})
        )])
    };
    for (codecs, size) in [
        (shard(8, json!([bytes()]), "end"), 1024 + 256),
        (shard(16, shard(8, json!([bytes()]), "end"), "end"), 1024 + 5 * 64),
    ] {
        let array = open(store.clone(), &[64, 32], &grid, "uint8", &codecs);
        let elements: Vec<u8> = (0..64 * 32).map(|k| (k % 251) as u8).collect();
        array.store_array_subset(&array.subset_all(), &elements).unwrap();
        let tight = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
        assert_eq!(tight.len(), size);
        assert_eq!(array.compact(false).unwrap(), 0);
        // Unused bytes at the start shift all offsets.
        let mut shifted = tight.clone();
        shifted.splice(0..0, [9; 100]);
        let index = shifted.len() - if size == 1280 { 256 } else { 64 };
        for entry in shifted[index..].chunks_exact_mut(16) {
            let offset = u64::from_le_bytes(entry[..8].try_into().unwrap()) + 100;
            entry[..8].copy_from_slice(&offset.to_le_bytes());
        }
        array.store_encoded_chunk(&[0, 0], &shifted).unwrap();
        let read = || array.retrieve_array_subset::<Vec<u8>>(&array.subset_all()).unwrap();
        assert!(read() == elements);
        assert_eq!(array.compact(false).unwrap(), 100);
        assert!(array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap() == tight);
        // To another order and back.
        let morton = array.with_options(CodecOptions { inner_chunk_order: InnerChunkOrder::Morton, ..array.options() });
        assert_eq!(morton.compact_chunk(&[0, 0], false).unwrap(), 0);
        assert!(array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap() != tight);
        assert!(read() == elements);
        array.compact(false).unwrap();
        assert!(array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap() == tight);
        // Inner chunks that hold only the fill value.
        let keeping = array.with_options(CodecOptions { store_empty_chunks: true, ..array.options() });
        keeping.store_array_subset(&region(0..8, 0..8), &vec![7u8; 64]).unwrap();
        keeping.store_array_subset(&region(32..64, 0..32), &vec![7u8; 1024]).unwrap();
        assert_eq!(array.compact(false).unwrap(), 0);
        assert_eq!(array.compact(true).unwrap(), 64 + size as u64);
        assert!(!array.chunk_exists(&[1, 0]).unwrap());
        assert_eq!(array.retrieve_encoded_inner_chunk(&[0, 0]).unwrap().is_none(), size == 1280);
    }
    // A chunk that is not a shard stays as it is.
    let array = open(store, &[64, 32], &grid, "uint8", &json!([bytes()]));
    array.store_array_subset(&array.subset_all(), &vec![1u8; 64 * 32]).unwrap();
    assert_eq!(array.compact(true).unwrap(), 0);
}
