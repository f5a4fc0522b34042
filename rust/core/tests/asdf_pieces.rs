//! Partial reads of large compressed blocks: their results, requests and bytes read.

mod counting;

use std::sync::Arc;

use tegula::asdf::yaml::Document;
use tegula::asdf::{AsdfFile, Compression, FileOptions, OutBlock, compress, write_bytes};
use tegula::store::WritableStore;
use tegula::{Array, ArrayBytes, ArraySubset, CodecOptions, OutputBuffer, Selection, shared_cache};

use counting::Counting;

/// Opens a file in a store that joins ranges at most `gap` bytes apart.
fn opened(bytes: &[u8], gap: u64) -> (AsdfFile, Arc<Counting>) {
    let store = Counting::new(gap);
    (open(&store, bytes), store)
}

fn open(store: &Arc<Counting>, bytes: &[u8]) -> AsdfFile {
    store.store.set("a.asdf", bytes).unwrap();
    AsdfFile::open(store.clone(), "a.asdf").unwrap()
}

/// Returns the number of reads, and the bytes read, since the last call.
fn taken(store: &Counting) -> (u64, u64) {
    let reads = store.take();
    (reads.len() as u64, reads.iter().map(|(_, length)| length).sum())
}

fn file_bytes(tree: &str, blocks: Vec<OutBlock<'_>>) -> Vec<u8> {
    let text = format!("%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n{tree}\n");
    let document = Document::parse(text.as_bytes()).unwrap();
    write_bytes(&FileOptions::default(), Some(&document), blocks.into_iter().map(Ok)).unwrap()
}

const ROWS: u64 = 1500;
const COLUMNS: u64 = 2000;

/// Returns numbers that compress badly.
fn elements() -> Vec<u32> {
    let mut state = 1u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 12
    };
    std::iter::repeat_with(&mut next).take((ROWS * COLUMNS) as usize).collect()
}

fn file(label: &str, tree: &str) -> Vec<u8> {
    let compression = Compression::new(label, &serde_json::Map::new()).unwrap();
    file_with(&compression, tree)
}

fn file_with(compression: &Compression, tree: &str) -> Vec<u8> {
    let data: Vec<u8> = elements().into_iter().flat_map(u32::to_be_bytes).collect();
    let block = OutBlock::encoded(data, compression);
    file_bytes(tree, vec![OutBlock::new(vec![1; 9]), block])
}

const TREE: &str = "a: !core/ndarray-1.1.0 {source: 1, datatype: uint32, byteorder: big, shape: [1500, 2000]}";
const TRANSPOSED: &str = "a: !core/ndarray-1.1.0 {source: 1, datatype: uint32, byteorder: big, shape: [2000, 1499], \
                      strides: [4, 8000], offset: 8000}";

fn read(array: &Array, part: &ArraySubset) -> Vec<u32> {
    array.retrieve_array_subset::<Vec<u32>>(part).unwrap()
}

/// Reads like [`read`], but keeps chunks in the process's cache.
fn read_keeping(array: &Array, part: &ArraySubset) -> Vec<u32> {
    let mut found = vec![0u32; part.num_elements() as usize];
    let output = OutputBuffer::new(bytemuck::cast_slice_mut(&mut found), part.shape(), 4).unwrap();
    array.retrieve_selection_into(&Selection::from(part), output).unwrap();
    found
}

#[allow(clippy::useless_conversion)] // either kind of indices
#[test]
fn parts_match_whole_reads() {
    let expected = elements();
    let options = serde_json::json!({"compression_block_size": 1 << 20}).as_object().cloned().unwrap();
    let none = serde_json::Map::new();
    let all = [("lz4", &none), ("lz4f", &none), ("blsc", &none), ("bls2", &none), ("blsc", &options)];
    for (name, options) in all {
        let compression = Compression::new(name, options).unwrap();
        for gap in [1 << 10, 64 << 10, 256 << 10, 600 << 10] {
            let (plain, store) = opened(&file_with(&compression, TREE), gap);
            let array = plain.array("a").unwrap();
            for part in [[7..9, 30..40], [0..1500, 3..5], [1499..1500, 0..2000], [0..1500, 0..2000], [0..1490, 0..2000]]
            {
                let part = ArraySubset::new_with_ranges(&part);
                let found = read(&array, &part);
                let expected = part.indices().map(|at| expected[(at[0] * COLUMNS + at[1]) as usize]);
                assert!(found.into_iter().eq(expected), "{name} {part}");
            }
            let stored = plain.blocks().block(1).unwrap().used;
            // Rows 700 and 701, with an empty cache.
            shared_cache().clear();
            store.take();
            let part = ArraySubset::new_with_ranges(&[700..702, 5..10]);
            let explained = array.explain(&Selection::from(&part)).unwrap();
            store.take();
            read_keeping(&array, &part);
            let (requests, bytes) = taken(&store);
            assert_eq!((explained.requests, explained.bytes_read), (requests, bytes), "{name}");
            assert!(bytes < stored / 2, "{name}: {bytes} of {stored} bytes");
            let found = read_keeping(&array, &ArraySubset::new_with_ranges(&[700..701, 50..90]));
            assert_eq!(found, expected[700 * 2000 + 50..700 * 2000 + 90]);
            assert_eq!(taken(&store), (0, 0), "{name}: the neighborhood is in the cache");
        }
        let (transposed, _) = opened(&file_with(&compression, TRANSPOSED), 64 << 10);
        let array = transposed.array("a").unwrap();
        let whole = read(&array, &array.subset_all());
        let expected =
            array.subset_all().indices().into_iter().map(|at| expected[((at[1] + 1) * COLUMNS + at[0]) as usize]);
        assert!(whole.into_iter().eq(expected), "{name}");
    }
}

#[test]
fn remote_reads_are_larger() {
    let options = serde_json::json!({"compression_block_size": 1 << 18}).as_object().cloned().unwrap();
    let bytes = file_with(&Compression::new("lz4", &options).unwrap(), TREE);
    let part = ArraySubset::new_with_ranges(&[1..1500, 0..2000]);
    let size = |far| {
        let store = if far { Counting::remote(64 << 10) } else { Counting::new(64 << 10) };
        let file = open(&store, &bytes);
        let array = file.array("a").unwrap();
        let whole = read(&array, &array.subset_all());
        assert!(read(&array, &part) == whole[2000..]);
        let explained = array.explain(&Selection::from(&part)).unwrap();
        explained.bytes_read.div_ceil(explained.requests)
    };
    assert!(size(false) <= 1 << 20);
    assert!(size(true) > 1 << 20, "{}", size(true));
}

#[allow(clippy::single_range_in_vec_init, clippy::useless_conversion)] // one range of many
#[test]
fn elements_across_pieces_are_joined() {
    let data: Vec<u8> = elements().iter().flat_map(|number| number.to_le_bytes()).collect();
    let tree =
        "a: !core/ndarray-1.1.0 {source: 0, datatype: [[ascii, 7]], byteorder: big, shape: [1714285], offset: 3}";
    let block = OutBlock::new(compress(*b"lz4\0", &data).unwrap()).compressed(*b"lz4\0", data.len() as u64);
    let (file, _) = opened(&file_bytes(tree, vec![block]), 64 << 10);
    let array = file.array("a").unwrap();
    let mut found = vec![0; 1_714_285 * 7];
    let output = OutputBuffer::new(&mut found, &[1_714_285], 7).unwrap();
    array.retrieve_selection_into(&Selection::from(&array.subset_all()), output).unwrap();
    assert!(found == data[3..3 + found.len()]);
    let part = ArraySubset::new_with_ranges(&[599_180..599_200]);
    let found = array.retrieve_array_subset::<ArrayBytes>(&part).unwrap().bytes;
    assert!(found == data[3 + 599_180 * 7..3 + 599_200 * 7]);
}

#[test]
fn damaged_pieces_are_errors() {
    let bytes = file("lz4", TREE);
    let (plain, _) = opened(&bytes, 64 << 10);
    let header = plain.blocks().block(1).unwrap();
    let one = CodecOptions { concurrent_target: 1, ..CodecOptions::default() };
    let start = header.data_offset as usize;
    let first = ArraySubset::new_with_ranges(&[0..2, 0..2]);
    for at in (0..header.used as usize).step_by(200_003).chain([0, 3, 4, 7, header.used as usize - 1]) {
        let mut damaged = bytes.clone();
        damaged[start + at] ^= 0x55;
        let (file, _) = opened(&damaged, 64 << 10);
        let array = file.array("a").unwrap().with_options(one);
        let all = array.retrieve_array_subset::<Vec<u32>>(&array.subset_all());
        // Every damage to a header makes a piece invalid, but not every damage to a block.
        assert!(all.is_err() || at > 7, "{at}");
        let part = array.retrieve_array_subset::<Vec<u32>>(&first);
        assert!(part.is_err() || at > 7, "{at}");
    }
}
