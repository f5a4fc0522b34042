//! Arrays of files that the tests write, block by block.

use std::sync::Arc;

use super::yaml::Document;
use super::{AsdfFile, FileOptions, OpenOptions, OutBlock, compress, write_bytes};
use crate::array::{Array, ArrayBytes};
use crate::error::{ErrorKind, Result};
use crate::selection::Selection;
use crate::store::{MemoryStore, WritableStore};
use crate::subset::ArraySubset;

fn document(tree: &str) -> Document {
    let handles = "%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n";
    Document::parse(format!("{handles}{tree}\n").as_bytes()).unwrap()
}

pub(super) fn file_bytes(tree: &str, blocks: Vec<OutBlock<'_>>) -> Vec<u8> {
    write_bytes(&FileOptions::default(), Some(&document(tree)), blocks.into_iter().map(Ok)).unwrap()
}

pub(super) fn open(bytes: &[u8]) -> AsdfFile {
    let store = MemoryStore::new();
    store.set("a.asdf", bytes).unwrap();
    AsdfFile::open(Arc::new(store), "a.asdf").unwrap()
}

fn file(tree: &str, blocks: Vec<OutBlock<'_>>) -> AsdfFile {
    open(&file_bytes(tree, blocks))
}

fn whole(array: &Array) -> Result<Vec<u8>> {
    array.retrieve_array_subset::<ArrayBytes>(&array.subset_all()).map(|read| read.bytes)
}

fn numbers(count: u16) -> Vec<u8> {
    (0..count).flat_map(u16::to_be_bytes).collect()
}

const PLAIN: &str = "a: !core/ndarray-1.1.0 {source: 0, datatype: uint16, byteorder: big, shape: [10, 20]}";

#[test]
fn plain_and_compressed_blocks_are_arrays() {
    let data = numbers(200);
    let expected: Vec<u16> = (0..200).collect();
    for label in [None, Some(*b"zlib"), Some(*b"bzp2"), Some(*b"lz4\0"), Some(*b"zstd"), Some(*b"blsc")] {
        let block = match label {
            None => OutBlock::new(data.clone()),
            Some(label) => OutBlock::new(compress(label, &data).unwrap()).compressed(label, data.len() as u64),
        };
        let file = file(PLAIN, vec![block]);
        let array = file.array("a").unwrap();
        assert_eq!((array.shape(), array.data_type().name()), (&[10, 20][..], "uint16"));
        assert_eq!(array.retrieve_array_subset::<Vec<u16>>(&array.subset_all()).unwrap(), expected);
        let part = ArraySubset::new_with_ranges(&[3..5, 7..9]);
        assert_eq!(array.retrieve_array_subset::<Vec<u16>>(&part).unwrap(), [67, 68, 87, 88]);
        file.verify().unwrap();
    }
}

#[test]
fn parts_of_plain_blocks_are_read_alone() {
    let data = vec![7; 4 << 20];
    let tree = "a: !core/ndarray-1.1.0 {source: 0, datatype: uint8, byteorder: big, shape: [4, 1048576]}";
    let file = file(tree, vec![OutBlock::new(data)]);
    let part = Selection::from(&ArraySubset::new_with_ranges(&[1..3, 10..20]));
    let explanation = file.array("a").unwrap().explain(&part).unwrap();
    assert_eq!((explanation.requests, explanation.bytes_read), (2, 20));
}

#[test]
fn strides_offsets_and_streams() {
    let strided = |rest: &str| {
        let tree = format!("a: !core/ndarray-1.1.0 {{source: -1, datatype: uint16, byteorder: big, {rest}}}");
        let file = file(&tree, vec![OutBlock::new(numbers(5)), OutBlock::new(numbers(12))]);
        file.array("a").and_then(|array| array.retrieve_array_subset::<Vec<u16>>(&array.subset_all()))
    };
    assert_eq!(strided("shape: [2, 3], strides: [2, 4]").unwrap(), [0, 2, 4, 1, 3, 5]);
    assert_eq!(strided("shape: [3], strides: [-4], offset: 20").unwrap(), [10, 8, 6]);
    assert_eq!(strided("shape: [2, 2], strides: [0, 2], offset: 2").unwrap(), [1, 2, 1, 2]);
    assert_eq!(strided("shape: []").unwrap(), [0]);
    assert_eq!(strided("shape: [0, 3]").unwrap(), [0u16; 0]);
    assert_eq!(strided("shape: ['*', 5]").unwrap(), (0..10).collect::<Vec<_>>());
    assert_eq!(strided("shape: ['*'], strides: [8]").unwrap(), [0, 4, 8]);
    for rest in [
        "shape: [13]",
        "shape: [12], offset: 1",
        "shape: [2], strides: [23]",
        "shape: [2], strides: [-1]",
        "shape: [4611686018427387904, 4]",
        "shape: [2], strides: [9223372036854775807]",
        "shape: [0], offset: 25",
    ] {
        let error = strided(rest).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::CorruptData | ErrorKind::InvalidMetadata), "{rest}: {error}");
        assert!(error.message().contains("a.asdf#a"), "{error}");
    }
    for rest in ["shape: [-1]", "shape: 3", "shape: [a]", "shape: [2], strides: [1, 2]", "shape: ['*', 0]", "x: 1"] {
        assert_eq!(strided(rest).unwrap_err().kind(), ErrorKind::InvalidMetadata, "{rest}");
    }
}

#[test]
fn records_texts_and_inline_arrays_are_read() {
    let tree = "r: !core/ndarray-1.1.0 {source: 0, datatype: [uint8, {datatype: float32, byteorder: big}], \
                byteorder: little, shape: [2]}
t: !core/ndarray-1.1.0 {source: 1, datatype: [ascii, 3], byteorder: big, shape: [2]}
i: !core/ndarray-1.1.0 [[1, 2], [3, 4]]
e: !core/ndarray-1.1.0 {data: [1, 2, 3], datatype: uint8}";
    let file = file(tree, vec![OutBlock::new(b"1234567890".to_vec()), OutBlock::new(b"abcde\0".to_vec())]);
    let bytes = |path| whole(&file.array(path).unwrap()).unwrap();
    assert_eq!(bytes("r"), b"1234567890");
    assert_eq!(bytes("t"), b"abcde\0");
    assert_eq!(bytes("i"), [1i64, 2, 3, 4].map(i64::to_ne_bytes).concat());
    assert_eq!(bytes("e"), [1, 2, 3]);
    assert_eq!(file.ndarray(file.find("r").unwrap()).unwrap().datatype.size(), 5);
    assert_eq!(file.array("e").unwrap().name(), "memory:/a.asdf#e");
}

#[test]
fn wrong_headers_are_errors() {
    let data = numbers(200);
    let error = |label: &[u8; 4], size: u64, encoded: Vec<u8>| {
        let file = file(PLAIN, vec![OutBlock::new(encoded).compressed(*label, size)]);
        file.array("a").and_then(|array| whole(&array)).unwrap_err()
    };
    let zlib = compress(*b"zlib", &data).unwrap();
    for size in [0, 399, 401, 1 << 20, 1 << 45, u64::MAX] {
        assert_eq!(error(b"zlib", size, zlib.clone()).kind(), ErrorKind::CorruptData, "{size}");
    }
    assert_eq!(error(b"zlib", 400, zlib[..zlib.len() - 1].to_vec()).kind(), ErrorKind::CorruptData);
    let error = error(b"what", 400, zlib);
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("\"what\""), "{error}");
    let outside = file(&PLAIN.replace("source: 0", "source: 3"), vec![OutBlock::new(data)]);
    assert_eq!(outside.array("a").unwrap_err().kind(), ErrorKind::InvalidMetadata);
}

#[test]
fn checksums_are_verified_on_request() {
    let mut bytes = file_bytes(PLAIN, vec![OutBlock::new(numbers(200))]);
    let at = bytes.windows(4).position(|window| window == b"\xd3BLK").unwrap() + 100;
    bytes[at] ^= 1;
    assert!(whole(&open(&bytes).array("a").unwrap()).is_ok());
    assert_eq!(open(&bytes).verify().unwrap_err().kind(), ErrorKind::CorruptData);
    let store = MemoryStore::new();
    store.set("a.asdf", &bytes).unwrap();
    let options = OpenOptions { validate_checksums: true, ..OpenOptions::default() };
    let file = AsdfFile::open_with(Arc::new(store), "a.asdf", options).unwrap();
    assert_eq!(file.array("a").unwrap_err().kind(), ErrorKind::CorruptData);
}

const ZARR: &str = "a: !<asdf://asdf-format.org/zarr/tags/zarr-1.0.0>
  .zarray: {chunks: [2, 2], compressor: null, dtype: '>u2', fill_value: 9, filters: null, order: C, shape: [3, 4],
    zarr_format: 2, attributes: {unit: s}}
  chunk_block_map: 0";

fn zarr(map: [i32; 4], compressed: bool) -> AsdfFile {
    let mut blocks = vec![OutBlock::new(map.map(i32::to_le_bytes).concat())];
    for chunk in 0..3u16 {
        let data: Vec<u8> = (0..4).flat_map(|i| (10 * chunk + i).to_be_bytes()).collect();
        blocks.push(if compressed {
            OutBlock::new(compress(*b"zlib", &data).unwrap()).compressed(*b"zlib", 8)
        } else {
            OutBlock::new(data)
        });
    }
    file(ZARR, blocks)
}

#[test]
fn zarr_chunks_are_read_from_blocks() {
    for compressed in [false, true] {
        // The map decides, whatever the order of the blocks.
        let file = zarr([2, -1, 3, 1], compressed);
        let array = file.array("a").unwrap();
        assert_eq!(array.attributes()["unit"], "s");
        let found: Vec<u16> = array.retrieve_array_subset(&array.subset_all()).unwrap();
        assert_eq!(found, [10, 11, 9, 9, 12, 13, 9, 9, 20, 21, 0, 1]);
        assert_eq!(array.retrieve_encoded_chunk(&[0, 1]).unwrap(), None);
        assert_eq!(array.retrieve_encoded_chunk(&[1, 1]).unwrap().unwrap(), [0, 0, 0, 1, 0, 2, 0, 3]);
        let part = Selection::from(&ArraySubset::new_with_ranges(&[0..2, 0..2]));
        let explanation = array.explain(&part).unwrap();
        assert_eq!((explanation.chunks, explanation.requests, explanation.bytes_read), (1, 1, 8));
        assert!(array.erase_chunk(&[0, 0]).is_err());
    }
}

#[test]
fn wrong_chunk_maps_are_errors() {
    for map in [[1, 2, 3, 4], [1, 2, 3, -2], [1, 2, 3, 0], [1, 2, 3, i32::MAX]] {
        let error = whole(&zarr(map, false).array("a").unwrap()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::CorruptData | ErrorKind::InvalidMetadata), "{map:?}: {error}");
    }
    for (from, to) in [
        ("chunk_block_map: 0", "chunk_block_map: 7"),
        ("chunk_block_map: 0", "chunk_block_map: x"),
        ("chunk_block_map: 0", "map: 0"),
        ("shape: [3, 4]", "shape: [3, 9]"),
        ("shape: [3, 4]", "shape: [3, 9223372036854775807]"),
        ("chunk_block_map: 0", "store: {type_string: FSStore, path: /etc}"),
        ("compressor: null", "compressor: {id: pickle}"),
    ] {
        let map = [0i32; 4].map(i32::to_le_bytes).concat();
        let file = file(&ZARR.replace(from, to), vec![OutBlock::new(map)]);
        let part = ArraySubset::new_with_ranges(&[0..1, 0..1]);
        assert!(file.array("a").and_then(|array| array.retrieve_array_subset::<Vec<u16>>(&part)).is_err(), "{to}");
    }
}

#[test]
fn other_files_and_references() {
    let store = Arc::new(MemoryStore::new());
    let main = "a: !core/ndarray-1.1.0 {source: b.asdf, datatype: uint16, byteorder: big, shape: [5]}
near: {$ref: '#/far'}
far: {$ref: 'b.asdf#/%79/0'}
loop: {$ref: '#/loop'}
gone: {$ref: '#/nothing'}
out: {$ref: '../b.asdf#/x'}";
    store.set("d/a.asdf", &file_bytes(main, vec![])).unwrap();
    let other = "x: 1\ny: [10, {$ref: 'a.asdf#/y'}]";
    store.set("d/b.asdf", &file_bytes(other, vec![OutBlock::new(numbers(5))])).unwrap();
    let file = AsdfFile::open(store, "d/a.asdf").unwrap();
    assert_eq!(whole(&file.array("a").unwrap()).unwrap(), (0..5).flat_map(u16::to_ne_bytes).collect::<Vec<_>>());
    let follow = |path| file.follow(file.find(path).unwrap()).map(|(file, node)| file.describe(node));
    assert_eq!(follow("near").unwrap(), "memory:/d/b.asdf#y/0");
    for (path, kind) in
        [("loop", ErrorKind::InvalidMetadata), ("gone", ErrorKind::NotFound), ("out", ErrorKind::Unsupported)]
    {
        assert_eq!(follow(path).unwrap_err().kind(), kind, "{path}");
    }
    let (other, node) = file.target("b.asdf#/y/0").unwrap();
    assert_eq!(other.describe(node), "memory:/d/b.asdf#y/0");
    assert_eq!(file.target("").unwrap().1, file.tree().root());
}

#[test]
fn opened_files_survive_their_replacement() {
    let folder = std::env::temp_dir().join(format!("tegula-asdf-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("a.asdf");
    std::fs::write(&path, file_bytes(PLAIN, vec![OutBlock::new(numbers(200))])).unwrap();
    let file = AsdfFile::open_path(&path).unwrap();
    let array = file.array("a").unwrap();
    assert!(file.is_current());
    assert!(array.mappable().unwrap().is_some_and(|map| map.object == path.display().to_string() && map.reversed));
    let other = folder.join("b.asdf");
    std::fs::write(&other, b"something else").unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert!(!file.is_current());
    assert_eq!(whole(&array).unwrap().len(), 400);
    std::fs::remove_dir_all(&folder).unwrap();
}
