//! The requests of reads, their caches, and their errors.

mod counting;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tegula::store::{Reference, ReferenceStore, WritableStore};
use tegula::{Array, ArraySubset, CacheLimit, ChunkCache, CodecOptions, ErrorKind, OutputBuffer, Result, Selection};

use counting::Counting;

fn bytes() -> Value {
    json!({"name": "bytes", "configuration": {"endian": "little"}})
}

fn shards(inner: &[u64], codecs: &Value) -> Value {
    json!([{"name": "sharding_indexed", "configuration": {"chunk_shape": inner, "codecs": codecs,
        "index_codecs": [bytes(), {"name": "crc32c"}]}}])
}

/// Creates an array of shape (64, 64) in chunks of (32, 32), with the numbers from 1.
fn array(store: &Arc<Counting>, codecs: &Value) -> Array {
    let document = json!({"zarr_format": 3, "node_type": "array", "shape": [64, 64], "data_type": "uint32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [32, 32]}},
        "chunk_key_encoding": {"name": "default"}, "fill_value": 0, "codecs": codecs});
    store.store.set("a/zarr.json", document.to_string().as_bytes()).unwrap();
    let array = Array::open(store.clone(), "a").unwrap();
    let elements: Vec<u32> = (1..=64 * 64).collect();
    array.store_array_subset(&array.subset_all(), &elements).unwrap();
    store.take();
    array
}

fn region(rows: std::ops::Range<u64>, columns: std::ops::Range<u64>) -> ArraySubset {
    ArraySubset::new_with_ranges(&[rows, columns])
}

#[test]
fn mistakes_cost_no_read() {
    let store = Counting::new(64 << 10);
    let array = array(&store, &json!([bytes()]));
    let failures = [
        array.retrieve_array_subset::<Vec<u32>>(&region(0..65, 0..1)).map(drop),
        array.retrieve_array_subset::<Vec<u32>>(&ArraySubset::new_with_shape(&[1])).map(drop),
        array.retrieve_array_subset::<Vec<f32>>(&region(0..1, 0..1)).map(drop),
        array.retrieve_chunk::<Vec<u32>>(&[2, 0]).map(drop),
        array.retrieve_chunk::<Vec<i32>>(&[0, 0]).map(drop),
        array.retrieve_chunk_if_exists::<Vec<i32>>(&[0, 0]).map(drop),
        array.retrieve_chunks::<Vec<u32>>(&region(0..3, 0..1)).map(drop),
        array.retrieve_chunk_subset::<Vec<u32>>(&[0, 0], &region(0..33, 0..1)).map(drop),
        array.retrieve_encoded_chunk(&[0]).map(drop),
        array.retrieve_inner_chunk::<Vec<u32>>(&[9, 9]).map(drop),
    ];
    for failure in failures {
        assert_eq!(failure.unwrap_err().kind(), ErrorKind::InvalidSelection);
    }
    let empty: Vec<u32> = array.retrieve_array_subset(&region(3..3, 0..64)).unwrap();
    assert!(empty.is_empty());
    assert_eq!((store.take(), store.opened.load(Ordering::Relaxed)), (vec![], 0));
}

#[test]
fn vast_arrays_cost_only_the_chunks_that_are_read() {
    let store = Counting::new(64 << 10);
    let document = json!({"zarr_format": 3, "node_type": "array", "shape": [u64::MAX >> 1, 1u64 << 40], "data_type": "uint32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [32, 32]}},
        "chunk_key_encoding": {"name": "default"}, "fill_value": 7, "codecs": [bytes()]});
    store.store.set("a/zarr.json", document.to_string().as_bytes()).unwrap();
    let array = Array::open(store, "a").unwrap();
    let far = region((u64::MAX >> 1) - 2..u64::MAX >> 1, 5..7);
    assert_eq!(array.retrieve_array_subset::<Vec<u32>>(&far).unwrap(), [7; 4]);
    assert_eq!(array.explain(&(&far).into()).unwrap().missing_chunks, 1);
    let all = array.subset_all();
    let error = array.retrieve_array_subset::<Vec<u32>>(&all).unwrap_err();
    assert!(error.message().contains("do not fit in memory"), "{error}");
    assert_eq!(array.explain(&(&all).into()).unwrap_err().kind(), ErrorKind::InvalidSelection);
}

#[test]
fn rows_of_plain_chunks_are_read_alone() {
    let store = Counting::new(64 << 10);
    let array = array(&store, &json!([bytes()]));
    let row: Vec<u32> = array.retrieve_array_subset(&region(5..6, 0..64)).unwrap();
    assert_eq!(row, (321..=384).collect::<Vec<u32>>());
    let mut reads = store.take();
    reads.sort_unstable();
    assert_eq!(reads, [(5 * 128, 128), (5 * 128, 128)]);
}

#[test]
fn inner_chunks_are_read_together_and_the_index_once() {
    let store = Counting::new(64 << 10);
    let zstd = json!([bytes(), {"name": "zstd", "configuration": {"level": 1, "checksum": false}}]);
    let array = array(&store, &shards(&[8, 8], &zstd))
        .with_options(CodecOptions { concurrent_target: 1, ..CodecOptions::default() });
    let all: Vec<u32> = array.retrieve_array_subset(&array.subset_all()).unwrap();
    assert_eq!(all, (1..=64 * 64).collect::<Vec<u32>>());
    // For each of four shards, one read of the index and one of all inner chunks.
    assert_eq!(store.take().len(), 8);
    let explained = array.explain(&(&array.subset_all()).into()).unwrap();
    assert_eq!((explained.chunks, explained.inner_chunks, explained.requests, explained.index_bytes), (4, 64, 4, 0));
    store.take();
    let window: Vec<u32> = array.retrieve_array_subset(&region(6..10, 6..10)).unwrap();
    assert_eq!(window.len(), 16);
    let reads = store.take();
    let explained = array.explain(&(&region(6..10, 6..10)).into()).unwrap();
    assert_eq!(explained.requests, reads.len() as u64, "the index is known by now");
    assert_eq!(explained.bytes_read, reads.iter().map(|(_, length)| length).sum::<u64>());

    // A rewritten shard is read with its new index.
    let other: Vec<u32> = (0..32 * 32).map(|i| i * i % 97).collect();
    array.store_chunk(&[0, 0], &other).unwrap();
    assert_eq!(array.retrieve_chunk::<Vec<u32>>(&[0, 0]).unwrap(), other);
}

#[test]
fn caches_keep_encoded_or_decoded_chunks() {
    for codecs in
        [json!([bytes(), {"name": "gzip", "configuration": {"level": 1}}]), shards(&[16, 16], &json!([bytes()]))]
    {
        for cache in [ChunkCache::decoded(CacheLimit::Chunks(16)), ChunkCache::encoded(CacheLimit::Bytes(1 << 20))] {
            for cache in [cache.clone(), cache.per_thread()] {
                let store = Counting::new(64 << 10);
                let options = CodecOptions { concurrent_target: 1, ..CodecOptions::default() };
                let array = array(&store, &codecs).with_options(options).with_cache(Some(cache.clone()));
                let window = region(1..3, 1..3);
                let first: Vec<u32> = array.retrieve_array_subset(&window).unwrap();
                assert!(!store.take().is_empty());
                assert_eq!(first, array.retrieve_array_subset::<Vec<u32>>(&window).unwrap());
                assert!(store.take().is_empty());
                assert_eq!((cache.info().hits, cache.info().misses, cache.info().chunks), (1, 1, 1));
                array.store_chunk(&[0, 0], &vec![5u32; 32 * 32]).unwrap();
                assert_eq!(array.retrieve_array_subset::<Vec<u32>>(&window).unwrap(), [5; 4]);
            }
        }
    }
}

#[test]
fn errors_name_the_chunk_and_the_cause() {
    let store = Counting::new(64 << 10);
    let array = array(&store, &shards(&[16, 16], &json!([bytes(), {"name": "crc32c"}])));
    let mut shard = array.retrieve_encoded_chunk(&[0, 1]).unwrap().unwrap();
    shard[16 * 16 * 4 + 4 + 10] ^= 1; // in the second inner chunk
    store.store.set("a/c/0/1", &shard).unwrap();
    let error = array.retrieve_array_subset::<Vec<u32>>(&array.subset_all()).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (
            ErrorKind::CorruptData,
            "cannot decode chunk (0, 1) of counted/a: inner chunk (0, 1): crc32c: the checksum does not match"
        )
    );
    let careless = CodecOptions { validate_checksums: false, ..CodecOptions::default() };
    assert!(array.with_options(careless).retrieve_array_subset::<Vec<u32>>(&array.subset_all()).is_ok());
    let error = array.retrieve_array_subset::<Vec<u32>>(&region(0..1, 50..51)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CorruptData, "partial reads check too");
    store.store.set("a/c/0/1", &shard[..100]).unwrap();
    let error = array.retrieve_chunk::<Vec<u32>>(&[0, 1]).unwrap_err();
    assert!(error.message().contains("shard index: "), "{error}");
}

#[test]
fn chunks_that_are_parts_of_one_object_are_read_together() {
    let store = Counting::new(64 << 10);
    let plain = array(&store, &json!([bytes()]));
    // Three of four chunks are in one object, in another order.
    let mut object = vec![0; 10];
    let mut references = HashMap::new();
    for chunk in [[1, 1], [0, 0], [1, 0]] {
        let encoded = plain.retrieve_encoded_chunk(&chunk).unwrap().unwrap();
        let part = Reference::Part { key: "all".into(), offset: object.len() as u64, length: encoded.len() as u64 };
        references.insert(format!("c/{}/{}", chunk[0], chunk[1]), part);
        object.extend(encoded);
    }
    store.store.set("all", &object).unwrap();
    store.take();
    let parts = ReferenceStore::new(store.clone(), references);
    let array = Array::new_with_metadata(Arc::new(parts), "", plain.metadata().clone()).unwrap();
    let mut expected: Vec<u32> = (1..=64 * 64).collect();
    for row in 0..32 {
        expected[row * 64 + 32..row * 64 + 64].fill(0);
    }
    assert_eq!(array.retrieve_array_subset::<Vec<u32>>(&array.subset_all()).unwrap(), expected);
    assert_eq!(store.opened.load(Ordering::Relaxed), 1, "one handle for all");
    assert_eq!(store.take(), [(10, 3 * 32 * 32 * 4)]);
}

#[test]
fn explanations_match_reads() {
    let zstd = json!([bytes(), {"name": "zstd", "configuration": {"level": 1, "checksum": false}}]);
    for codecs in [shards(&[8, 8], &zstd), shards(&[8, 8], &json!([bytes()])), json!([bytes()])] {
        for window in [region(0..64, 0..64), region(6..10, 6..10), region(0..64, 3..4), region(9..10, 0..64)] {
            let store = Counting::new(64 << 10);
            let array = array(&store, &codecs);
            let caches = [None, Some(ChunkCache::decoded(CacheLimit::Bytes(1 << 20)))];
            for array in caches.map(|cache| array.with_cache(cache)) {
                let selection = (&window).into();
                let explained = array.explain(&selection).unwrap();
                let index_reads = store.take().len() as u64;
                let mut found = vec![0; window.num_elements() as usize * 4];
                let output = OutputBuffer::new(&mut found, window.shape(), 4).unwrap();
                array.retrieve_selection_into(&selection, output).unwrap();
                let reads = store.take();
                let what = format!("{window} of {codecs}");
                assert_eq!(explained.requests, index_reads + reads.len() as u64, "{what}");
                let bytes: u64 = reads.iter().map(|(_, length)| length).sum();
                assert_eq!(explained.bytes_read, explained.index_bytes + bytes, "{what}");
            }
        }
    }
}

/// Reads a selection of `array`.
fn select(array: &Array, selection: &Selection) -> Vec<u32> {
    let shape = selection.shape();
    let mut found = vec![0; shape.iter().product::<u64>() as usize * 4];
    array.retrieve_selection_into(selection, OutputBuffer::new(&mut found, &shape, 4).unwrap()).unwrap();
    found.as_chunks().0.iter().map(|bytes| u32::from_ne_bytes(*bytes)).collect()
}

#[test]
fn points_open_each_chunk_once_and_can_be_explained() {
    let zstd = json!([bytes(), {"name": "zstd", "configuration": {"level": 1, "checksum": false}}]);
    for codecs in [shards(&[8, 8], &zstd), shards(&[8, 8], &json!([bytes()])), json!([bytes()]), zstd] {
        // Many points in two chunks, a few points far apart, and rows by columns.
        let many =
            Selection::points(vec![(0..64).map(|k| k * 5 % 64).collect(), (0..64).map(|k| k * 7 % 32).collect()]);
        let few = Selection::points(vec![vec![63, 0, 31], vec![5, 1, 6]]);
        let rows = Selection::from(&region(0..64, 3..30)).with_list(&[0], vec![vec![60, 2, 60, 33]]);
        let corners = rows.clone().unwrap().with_list(&[1], vec![vec![8, 1, 30]]);
        for selection in [many, few, rows, corners].map(Result::unwrap) {
            let store = Counting::new(64 << 10);
            let array =
                array(&store, &codecs).with_options(CodecOptions { concurrent_target: 1, ..CodecOptions::default() });
            let explained = array.explain(&selection).unwrap();
            let index_reads = store.take().len() as u64;
            let found = select(&array, &selection);
            let (opened, reads) = (store.opened.load(Ordering::Relaxed), store.take());
            let what = format!("{selection:?} of {codecs}");
            assert_eq!((explained.chunks, opened), (2, 2), "{what}");
            assert_eq!(explained.requests, index_reads + reads.len() as u64, "{what}");
            let bytes: u64 = reads.iter().map(|(_, length)| length).sum();
            assert_eq!(explained.bytes_read, explained.index_bytes + bytes, "{what}");
            let whole: Vec<u32> = array.retrieve_array_subset(&array.subset_all()).unwrap();
            assert!(found.iter().all(|number| whole.contains(number)), "{what}");
        }
    }
}

#[test]
fn lists_outside_cost_no_read() {
    let store = Counting::new(64 << 10);
    let array = array(&store, &json!([bytes()]));
    let mut found = [0; 8];
    for (rows, columns) in [(vec![0, 64], vec![0, 0]), (vec![0, 1], vec![1 << 40, 0])] {
        let selection = Selection::points(vec![rows, columns]).unwrap();
        let output = OutputBuffer::new(&mut found, &[2], 4).unwrap();
        let error = array.retrieve_selection_into(&selection, output).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSelection);
    }
    let all = Selection::from(&array.subset_all());
    assert!(all.clone().with_list(&[2], vec![vec![0]]).is_err());
    assert!(all.clone().with_list(&[0, 0], vec![vec![0], vec![0]]).is_err());
    assert!(all.clone().with_list(&[0, 1], vec![vec![0], vec![]]).is_err());
    assert!(all.clone().with_list(&[], vec![]).is_err());
    assert!(all.clone().with_list(&[0], vec![vec![u64::MAX]]).is_err());
    assert!(all.clone().with_list(&[0], vec![vec![1]]).unwrap().with_list(&[0], vec![vec![1]]).is_err());
    assert!(all.transposed(&[0, 0]).is_err());
    assert_eq!((store.take(), store.opened.load(Ordering::Relaxed)), (vec![], 0));
}
