use std::cell::RefCell;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::store::MemoryStore;
use crate::{ArrayBuilder, DataType, ErrorKind};

fn create(chunks: &[u64], codecs: &serde_json::Value, fill: i32) -> Array {
    let mut builder = ArrayBuilder::new([30, 41], "int32");
    builder.chunks(chunks).codecs(codecs.as_array().cloned().unwrap()).fill_value(fill);
    builder.create(Arc::new(MemoryStore::new()), "").unwrap()
}

fn sharded(inner: [u64; 2]) -> serde_json::Value {
    json!([{"name": "sharding_indexed", "configuration": {"chunk_shape": inner, "codecs": [little(), "crc32c"],
        "index_codecs": [little(), "crc32c"]}}])
}

fn little() -> serde_json::Value {
    json!({"name": "bytes", "configuration": {"endian": "little"}})
}

fn bytes() -> serde_json::Value {
    json!([{"name": "bytes", "configuration": {"endian": "big"}}])
}

fn elements(array: &Array) -> Vec<i32> {
    array.retrieve_array_subset(&array.subset_all()).unwrap()
}

fn chunks_of(array: &Array) -> Vec<String> {
    let mut keys = crate::store::keys_below(&**array.store(), "c").unwrap_or_default();
    keys.sort();
    keys
}

/// Creates an array that is stored in part.
fn source(chunks: &[u64], codecs: &serde_json::Value) -> Array {
    let array = create(chunks, codecs, -1);
    let part = ArraySubset::new_with_ranges(&[3..17, 0..12]);
    array.store_array_subset(&part, &(0..14 * 12).collect::<Vec<i32>>()).unwrap();
    array
}

#[test]
fn every_layout_is_copied_to_every_other() {
    let layouts = || {
        [
            (vec![30, 41], bytes()),
            (vec![7, 5], json!([{"name": "transpose", "configuration": {"order": [1, 0]}}, little(), "crc32c"])),
            (vec![1, 41], json!([little(), {"name": "gzip", "configuration": {"level": 1}}])),
            (vec![12, 20], sharded([3, 4])),
            (vec![30, 1], bytes()),
        ]
    };
    for (chunks, codecs) in layouts() {
        let source = source(&chunks, &codecs);
        for (chunks, codecs) in layouts() {
            for fill in [-1, 5] {
                // Enough memory for one chunk only, and enough for all.
                for max_memory in [Some(1 << 15), None] {
                    let target = create(&chunks, &codecs, fill);
                    let steps = RefCell::new(Vec::new());
                    let progress = |progress: Progress| {
                        steps.borrow_mut().push(progress);
                        Ok(())
                    };
                    copy(
                        &source,
                        &target,
                        &CopyOptions { max_memory, target_is_new: true, progress: &progress, ..CopyOptions::default() },
                    )
                    .unwrap();
                    assert_eq!(elements(&target), elements(&source));
                    let steps = steps.into_inner();
                    assert_eq!((steps[0].done, steps[0].total), (0, 30 * 41 * 4));
                    assert!(steps.is_sorted_by_key(|step| step.done));
                    assert_eq!(steps[steps.len() - 1].done, 30 * 41 * 4);
                    if fill == -1 {
                        // Chunks that contain only the fill value are not stored.
                        let stored =
                            target.chunks_in_array_subset(&ArraySubset::new_with_ranges(&[3..17, 0..12])).unwrap();
                        assert_eq!(chunks_of(&target).len() as u64, stored.num_elements());
                    }
                }
            }
        }
    }
}

#[test]
fn what_was_in_the_target_is_gone() {
    for (chunks, codecs) in [(vec![7, 5], bytes()), (vec![6, 6], bytes())] {
        let source = source(&[7, 5], &bytes());
        let target = create(&chunks, &codecs, -1);
        target.store_array_subset(&target.subset_all(), &vec![9; 30 * 41]).unwrap();
        let max_memory = Some(2048);
        copy(&source, &target, &CopyOptions { max_memory, ..CopyOptions::default() }).unwrap();
        assert_eq!(elements(&target), elements(&source));
        assert!(chunks_of(&target).len() < 20);
    }
}

#[test]
fn equal_chunks_are_not_decoded() {
    let source = source(&[7, 5], &bytes());
    source.store_encoded_chunk(&[1, 0], b"no chunk").unwrap();
    let target = create(&[7, 5], &bytes(), -1);
    copy(&source, &target, &CopyOptions::default()).unwrap();
    assert_eq!(target.retrieve_encoded_chunk(&[1, 0]).unwrap().unwrap(), b"no chunk");
    let other = create(&[7, 5], &bytes(), 0);
    assert_eq!(copy(&source, &other, &CopyOptions::default()).unwrap_err().kind(), ErrorKind::CorruptData);
}

#[test]
fn an_error_of_progress_ends_the_copy() {
    let source = source(&[7, 5], &bytes());
    for chunks in [[7, 5], [6, 6]] {
        let target = create(&chunks, &bytes(), -1);
        let progress = |_| Err(Error::store("enough"));
        let options = CopyOptions { progress: &progress, ..CopyOptions::default() };
        assert_eq!(copy(&source, &target, &options).unwrap_err().message(), "enough");
        assert!(chunks_of(&target).is_empty());
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let source = source(&[7, 5], &bytes());
    let target = create(&[30, 41], &bytes(), -1);
    let error = copy(&source, &target, &CopyOptions { max_memory: Some(5000), ..CopyOptions::default() }).unwrap_err();
    assert!(error.message().contains("needs 14760 bytes"), "{error}");
    let other = target.with_shape(&[30, 40]).unwrap();
    assert_eq!(copy(&source, &other, &CopyOptions::default()).unwrap_err().kind(), ErrorKind::InvalidSelection);
    assert!(chunks_of(&target).is_empty());
}

#[test]
fn strings_are_copied() {
    let string = DataType::from_name("string").unwrap();
    let create = |chunks: &[u64], fill: &str, v3: bool| {
        let mut builder = ArrayBuilder::new([100], string.clone());
        builder.zarr_format(if v3 { 3 } else { 2 }).chunks(chunks).compressors(["none"]).fill_value(fill);
        builder.create(Arc::new(MemoryStore::new()), "").unwrap()
    };
    let source = create(&[9], "none", false);
    let words: Vec<String> = (0..60).map(|k| "x".repeat(k)).collect();
    source.store_array_subset(20..80, &words).unwrap();
    for (chunks, fill, max_memory) in [(9, "none", None), (25, "none", Some(40_000)), (25, "", None)] {
        let target = create(&[chunks], fill, true);
        copy(&source, &target, &CopyOptions { max_memory, ..CopyOptions::default() }).unwrap();
        let found: Vec<String> = target.retrieve_array_subset(&target.subset_all()).unwrap();
        let expected: Vec<String> = source.retrieve_array_subset(&source.subset_all()).unwrap();
        assert_eq!(found, expected);
    }
}
