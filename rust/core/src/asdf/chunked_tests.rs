//! Chunked ndarrays of files that the tests write.

use std::fmt::Write;
use std::sync::Arc;

use super::array_tests::{file_bytes, open};
use super::{AsdfFile, OutBlock, compress};
use crate::array::Array;
use crate::error::{ErrorKind, Result};
use crate::selection::Selection;
use crate::store::{MemoryStore, WritableStore};
use crate::subset::ArraySubset;

/// Starts and shapes of chunks.
type Boxes<'a> = &'a [(&'a [u64], &'a [u64])];

/// Returns the tree of an array of two-byte numbers with a block for each chunk.
fn tree(shape: &[u64], chunks: Boxes<'_>) -> String {
    let chunk = |(number, (start, shape)): (usize, &(&[u64], &[u64]))| {
        let ndarray = format!("{{source: {number}, datatype: uint16, byteorder: big, shape: {shape:?}}}");
        format!("\n  - !core/ndarray-chunk-1.0.0\n    start: {start:?}\n    ndarray: !core/ndarray-1.0.0 {ndarray}")
    };
    let chunks: String = chunks.iter().enumerate().map(chunk).collect();
    let chunks = if chunks.is_empty() { " []".to_owned() } else { chunks };
    format!("a: !core/chunked-ndarray-1.0.0\n  shape: {shape:?}\n  datatype: uint16\n  chunks:{chunks}")
}

/// Opens a file of such an array; the elements of chunk k count from 100 (k + 1).
fn file(shape: &[u64], chunks: Boxes<'_>, label: Option<[u8; 4]>) -> AsdfFile {
    let block = |(k, (_, shape)): (usize, &(&[u64], &[u64]))| {
        let count: u64 = shape.iter().product();
        let first = 100 * (k as u16 + 1);
        let data: Vec<u8> = (first..first + count as u16).flat_map(u16::to_be_bytes).collect();
        match label {
            None => OutBlock::new(data),
            Some(label) => OutBlock::new(compress(label, &data).unwrap()).compressed(label, data.len() as u64),
        }
    };
    open(&file_bytes(&tree(shape, chunks), chunks.iter().enumerate().map(block).collect()))
}

/// Returns the expected elements of such an array.
fn expected(shape: &[u64], chunks: Boxes<'_>) -> Vec<u16> {
    let mut elements = vec![0; shape.iter().product::<u64>() as usize];
    let position = |index: &[u64]| index.iter().zip(shape).fold(0, |at, (i, length)| at * length + i) as usize;
    for (k, (start, shape)) in chunks.iter().enumerate() {
        for (number, inside) in ArraySubset::new_with_shape(shape).indices().enumerate() {
            let index: Vec<u64> = inside.iter().zip(*start).map(|(i, start)| i + start).collect();
            elements[position(&index)] = 100 * (k as u16 + 1) + number as u16;
        }
    }
    elements
}

fn whole(array: &Array) -> Result<Vec<u16>> {
    array.retrieve_array_subset(&array.subset_all())
}

#[test]
fn chunks_of_any_arrangement_are_read() {
    let arrangements: &[(&[u64], Boxes<'_>)] = &[
        // A grid with shorter last chunks; the same with a hole.
        (&[5, 4], &[(&[0, 0], &[3, 2]), (&[0, 2], &[3, 2]), (&[3, 0], &[2, 2]), (&[3, 2], &[2, 2])]),
        (&[5, 4], &[(&[3, 2], &[2, 2]), (&[0, 0], &[3, 2]), (&[3, 0], &[2, 2])]),
        // Bricks, which are off a grid.
        (&[4, 6], &[(&[0, 0], &[2, 3]), (&[0, 3], &[2, 3]), (&[2, 0], &[2, 1]), (&[2, 1], &[2, 4])]),
        // Overlaps: later chunks win.
        (&[4, 4], &[(&[0, 0], &[4, 4]), (&[1, 1], &[2, 2]), (&[0, 0], &[2, 2])]),
        (&[3], &[(&[0], &[3]), (&[0], &[3])]),
        // Distant chunks, no chunks, an empty chunk, and no axes.
        (&[9, 9, 2], &[(&[8, 8, 1], &[1, 1, 1]), (&[2, 3, 0], &[2, 1, 2])]),
        (&[2, 2], &[]),
        (&[0, 2], &[(&[0, 0], &[0, 2])]),
        (&[], &[(&[], &[])]),
    ];
    for (shape, chunks) in arrangements {
        for label in [None, Some(*b"zlib"), Some(*b"lz4\0")] {
            let file = file(shape, chunks, label);
            let array = file.array("a").unwrap();
            let expected = expected(shape, chunks);
            assert_eq!((array.shape(), array.data_type().name()), (*shape, "uint16"));
            assert_eq!(whole(&array).unwrap(), expected, "{chunks:?}");
            // Each element, and each chunk of the grid.
            for (index, element) in array.subset_all().indices().zip(&expected) {
                let one = ArraySubset::new_with_start_shape(&index, &vec![1; index.len()]).unwrap();
                assert_eq!(array.retrieve_array_subset::<Vec<u16>>(&one).unwrap(), [*element], "{chunks:?}");
            }
            for chunk in ArraySubset::new_with_shape(&array.chunk_grid_shape()).indices() {
                let subset = array.chunk_subset(&chunk).unwrap();
                let part: Vec<u16> = array.retrieve_array_subset(&subset).unwrap();
                assert_eq!(array.retrieve_chunk::<Vec<u16>>(&chunk).unwrap(), part);
            }
        }
    }
}

#[test]
fn parts_read_only_their_chunks() {
    let chunks: Boxes<'_> = &[(&[0, 0], &[2, 3]), (&[0, 3], &[2, 3]), (&[2, 0], &[2, 3]), (&[2, 3], &[2, 3])];
    let array = file(&[4, 6], chunks, None).array("a").unwrap();
    assert_eq!(array.chunk_grid().regular_shape().as_deref(), Some(&[2, 3][..]));
    let explain = |ranges: &[std::ops::Range<u64>]| {
        let found = array.explain(&Selection::from(&ArraySubset::new_with_ranges(ranges))).unwrap();
        (found.chunks, found.missing_chunks, found.bytes_read)
    };
    assert_eq!(explain(&[0..1, 1..3]), (1, 0, 4));
    assert_eq!(explain(&[0..4, 3..6]), (2, 0, 24));
    assert!(array.erase_chunk(&[0, 0]).is_err());
    // Far from all chunks, nothing is read.
    let array = file(&[1 << 40, 1 << 40], &[(&[1 << 30, 0], &[2, 3])], None).array("a").unwrap();
    let far = ArraySubset::new_with_ranges(&[(1 << 39)..(1 << 39) + 2, 5..7]);
    assert_eq!(array.retrieve_array_subset::<Vec<u16>>(&far).unwrap(), [0; 4]);
    let near = ArraySubset::new_with_ranges(&[(1 << 30) + 1..(1 << 30) + 3, 2..4]);
    assert_eq!(array.retrieve_array_subset::<Vec<u16>>(&near).unwrap(), [105, 0, 0, 0]);
}

#[test]
fn chunks_have_different_encodings() {
    let tree = "a: !<asdf://asdf-format.org/core/tags/chunked-ndarray-1.0.0>
  shape: [2, 9]
  datatype: int16
  chunks:
  - {start: [0, 0], ndarray: !core/ndarray-1.1.0 {source: 0, datatype: int16, byteorder: big, shape: [2, 2]}}
  - {start: [0, 2], ndarray: !core/ndarray-1.1.0 {source: 1, datatype: int16, byteorder: little, shape: [2, 2],
      strides: [2, 4]}}
  - {start: [0, 4], ndarray: !core/ndarray-1.1.0 {source: 2, datatype: int16, byteorder: little, shape: [2, 2],
      offset: 6, strides: [-4, -2]}}
  - {start: [0, 6], ndarray: !core/ndarray-1.1.0 {data: [[30, 31], [32, 33]], datatype: int16}}
  - {start: [0, 8], ndarray: !core/ndarray-1.1.0 {source: b.asdf, datatype: int16, byteorder: big, shape: [2, 1]}}";
    let little = |first: i16| (first..first + 4).flat_map(i16::to_le_bytes).collect::<Vec<_>>();
    let big: Vec<u8> = (0..4i16).flat_map(i16::to_be_bytes).collect();
    let packed = OutBlock::new(compress(*b"zstd", &little(20)).unwrap()).compressed(*b"zstd", 8);
    let store = MemoryStore::new();
    store.set("a.asdf", &file_bytes(tree, vec![OutBlock::new(&big), OutBlock::new(little(10)), packed])).unwrap();
    store.set("b.asdf", &file_bytes("x: 1", vec![OutBlock::new(&big[2..6])])).unwrap();
    let array = AsdfFile::open(Arc::new(store), "a.asdf").unwrap().array("a").unwrap();
    let found: Vec<i16> = array.retrieve_array_subset(&array.subset_all()).unwrap();
    assert_eq!(found, [0, 1, 10, 12, 23, 22, 30, 31, 1, 2, 3, 11, 13, 21, 20, 32, 33, 2]);
    assert!(array.mappable().unwrap().is_none());
}

#[test]
fn a_single_chunk_is_mapped() {
    let array = file(&[2, 3], &[(&[0, 0], &[2, 3])], None).array("a").unwrap();
    assert!(array.mappable().unwrap().is_some_and(|map| map.reversed && map.strides == [6, 2]));
    // The later chunk wins here too.
    let array = file(&[2, 3], &[(&[0, 0], &[2, 3]), (&[0, 0], &[2, 3])], None).array("a").unwrap();
    let twice = array.mappable().unwrap().unwrap();
    let once = file(&[2, 3], &[(&[0, 0], &[2, 3])], None).array("a").unwrap().mappable().unwrap().unwrap();
    assert_ne!(twice.offset, once.offset);
}

#[test]
fn invalid_chunks_are_refused() {
    let chunks: Boxes<'_> = &[(&[0, 0], &[2, 3]), (&[2, 0], &[2, 3])];
    let text = tree(&[4, 3], chunks);
    for (from, to, kind) in [
        ("start: [2, 0]", "start: [3, 0]", ErrorKind::InvalidMetadata),
        ("start: [2, 0]", "start: [2]", ErrorKind::InvalidMetadata),
        ("start: [2, 0]", "start: [2, -1]", ErrorKind::InvalidMetadata),
        ("start: [2, 0]", "start: [9223372036854775807, 0]", ErrorKind::InvalidMetadata),
        ("start: [2, 0]", "offset: [2, 0]", ErrorKind::InvalidMetadata),
        ("source: 1, datatype: uint16", "source: 1, datatype: int16", ErrorKind::InvalidMetadata),
        ("byteorder: big, shape: [2, 3]", "byteorder: big, shape: [6]", ErrorKind::InvalidMetadata),
        ("byteorder: big, shape: [2, 3]", "byteorder: big, shape: ['*', 3]", ErrorKind::Unsupported),
        ("byteorder: big, shape: [2, 3]", "byteorder: big, shape: [2, 3], mask: 0", ErrorKind::Unsupported),
        ("source: 1", "data: [[1, 2, 3], [4, null, 6]]", ErrorKind::Unsupported),
        ("ndarray-1.0.0 {source: 1", "other-1.0.0 {source: 1", ErrorKind::InvalidMetadata),
        ("shape: [4, 3]", "shape: 4", ErrorKind::InvalidMetadata),
        ("shape: [4, 3]", "shape: [4, 3, 1]", ErrorKind::InvalidMetadata),
        ("datatype: uint16\n", "datatype: bignum\n", ErrorKind::Unsupported),
        ("datatype: uint16\n", "\n", ErrorKind::InvalidMetadata),
        ("chunks:\n", "pieces:\n", ErrorKind::InvalidMetadata),
        // These errors occur when the chunk is read.
        ("source: 1", "source: 7", ErrorKind::InvalidMetadata),
        ("source: 1", "source: '../b.asdf'", ErrorKind::Unsupported),
        ("byteorder: big, shape: [2, 3]", "byteorder: big, shape: [2, 3], offset: 2", ErrorKind::CorruptData),
        ("byteorder: big, shape: [2, 3]", "byteorder: big, shape: [2, 3], strides: [-6, 2]", ErrorKind::CorruptData),
    ] {
        assert!(text.contains(from), "{from}");
        let blocks = || vec![OutBlock::new(vec![0; 12]), OutBlock::new(vec![0; 12])];
        let error = open(&file_bytes(&text.replace(from, to), blocks())).array("a").and_then(|array| whole(&array));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), kind, "{to}: {error}");
        assert!(error.to_string().contains("a.asdf#a"), "{error}");
    }
    // Other chunks can be read beside an invalid one.
    let file = open(&file_bytes(&text.replace("source: 1", "source: 7"), vec![OutBlock::new(vec![1; 12])]));
    let first = ArraySubset::new_with_ranges(&[0..2, 0..3]);
    let found: Vec<u16> = file.array("a").unwrap().retrieve_array_subset(&first).unwrap();
    assert_eq!(found, [257; 6]);
}

#[test]
fn chunks_far_off_a_grid_are_refused() {
    // Crossing stripes, in one small block.
    let mut text = "a: !core/chunked-ndarray-1.0.0\n  shape: [1000, 1000]\n  datatype: uint8\n  chunks:".to_owned();
    for k in 0..500 {
        for (start, shape) in [([2 * k, 0], [1, 1000]), ([0, 2 * k], [1000, 1])] {
            let ndarray = format!("{{source: 0, datatype: uint8, shape: {shape:?}, byteorder: big}}");
            let _ = write!(text, "\n  - {{start: {start:?}, ndarray: !core/ndarray-1.0.0 {ndarray}}}");
        }
    }
    let error = open(&file_bytes(&text, vec![OutBlock::new(vec![0; 1000])])).array("a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("off a grid"), "{error}");
}
