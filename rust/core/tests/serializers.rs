//! Arrays of strings and of numbers that are not stored as plain elements, and the memory that damaged chunks take.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use serde_json::{Value, json};
use tegula::store::{MemoryStore, WritableStore};
use tegula::{Array, ArrayBytes, ArraySubset, ErrorKind};

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// Records the largest allocation of each thread.
struct Recording;

// SAFETY: every call is passed on to the system's allocator.
unsafe impl GlobalAlloc for Recording {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Recording = Recording;

fn array(data_type: &str, fill_value: &Value, chunk: [u64; 2], codecs: &Value) -> (Arc<MemoryStore>, Array) {
    let metadata = json!({
        "zarr_format": 3, "node_type": "array", "shape": [5, 7], "data_type": data_type, "fill_value": fill_value,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default"}, "codecs": codecs,
    });
    let store = Arc::new(MemoryStore::new());
    store.set("zarr.json", metadata.to_string().as_bytes()).unwrap();
    let array = Array::open(store.clone(), "").unwrap();
    (store, array)
}

/// Returns the text at a position.
fn text(row: u64, column: u64) -> String {
    ["", "a", "é😀", "longer than the others"][(row * 7 + column) as usize % 4].repeat((row as usize + 1) % 3)
}

fn expected(rows: std::ops::Range<u64>, columns: std::ops::Range<u64>) -> Vec<String> {
    rows.flat_map(|row| columns.clone().map(move |column| text(row, column))).collect()
}

/// Returns the texts of the first rows and columns, as input of a write.
fn stored(array: &Array, rows: u64, columns: u64) -> ArrayBytes {
    let texts = expected(0..rows, 0..columns);
    let ends = texts.iter().scan(0, |end, text| {
        *end += text.len() as i64;
        Some(*end)
    });
    let offsets = Some([0].into_iter().chain(ends).collect());
    let bytes = texts.concat().into_bytes();
    ArrayBytes { bytes, offsets, data_type: array.data_type().clone(), shape: vec![rows, columns] }
}

#[test]
fn strings_are_read_and_written_however_they_are_stored() {
    let (vlen, zstd) = (json!("vlen-utf8"), json!({"name": "zstd", "configuration": {"level": 1, "checksum": false}}));
    let transpose = json!({"name": "transpose", "configuration": {"order": [1, 0]}});
    let index = json!([{"name": "bytes", "configuration": {"endian": "little"}}, "crc32c"]);
    let shard = |shape: [u64; 2], codecs: Value| {
        json!({"name": "sharding_indexed",
               "configuration": {"chunk_shape": shape, "codecs": codecs, "index_codecs": index}})
    };
    for (chunk, codecs) in [
        ([2, 3], json!([vlen])),
        ([5, 7], json!([vlen, zstd])),
        ([2, 3], json!([transpose, vlen, zstd])),
        ([4, 6], json!([shard([2, 3], json!([vlen, zstd]))])),
        ([4, 6], json!([transpose, shard([3, 2], json!([transpose, vlen]))])),
        ([4, 6], json!([shard([4, 3], json!([shard([2, 3], json!([vlen]))])), zstd])),
    ] {
        let (_, array) = array("string", &json!("fill"), chunk, &codecs);
        let whole = ArraySubset::new_with_ranges(&[0..5, 0..7]);
        let none: Vec<String> = array.retrieve_array_subset(&whole).unwrap();
        assert_eq!(none, vec!["fill"; 35]);

        // The elements of the first chunk.
        let (rows, columns) = (chunk[0].min(5), chunk[1].min(7));
        let first = ArraySubset::new_with_ranges(&[0..rows, 0..columns]);
        array.store_array_subset(&first, &stored(&array, rows, columns)).unwrap();
        let some: Vec<String> = array.retrieve_array_subset(&whole).unwrap();
        for (k, found) in some.iter().enumerate() {
            let (row, column) = (k as u64 / 7, k as u64 % 7);
            let stored = row < rows && column < columns;
            assert_eq!(*found, if stored { text(row, column) } else { "fill".into() }, "{codecs} at {row}, {column}");
        }

        array.store_array_subset(&whole, &stored(&array, 5, 7)).unwrap();
        assert_eq!(array.retrieve_array_subset::<Vec<String>>(&whole).unwrap(), expected(0..5, 0..7), "{codecs}");
        for (rows, columns) in [(1..4, 2..7), (4..5, 6..7), (0..5, 3..4), (2..3, 0..7), (0..0, 0..7)] {
            let subset = ArraySubset::new_with_ranges(&[rows.clone(), columns.clone()]);
            let found: Vec<String> = array.retrieve_array_subset(&subset).unwrap();
            assert_eq!(found, expected(rows, columns), "{codecs}");
        }
    }
}

#[test]
fn invalid_utf8_is_an_error() {
    let (store, array) = array("string", &json!(""), [5, 7], &json!(["vlen-utf8"]));
    let whole = ArraySubset::new_with_ranges(&[0..5, 0..7]);
    let chunk = |strings: &[&[u8]]| -> Vec<u8> {
        let elements = strings.iter().flat_map(|string| [&(string.len() as u32).to_le_bytes()[..], string].concat());
        (strings.len() as u32).to_le_bytes().into_iter().chain(elements).collect()
    };
    let mut strings = [&b"a"[..]; 35];
    // Two halves of one character.
    strings[10] = b"\xc3";
    strings[11] = b"\xa9";
    store.set("c/0/0", &chunk(&strings)).unwrap();
    let error = array.retrieve_array_subset::<Vec<String>>(&whole).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CorruptData);
    assert!(error.message().contains("element 10"), "{error}");
    let long = "x".repeat(200);
    strings[10] = long.as_bytes();
    strings[11] = "é".as_bytes();
    store.set("c/0/0", &chunk(&strings)).unwrap();
    let found: Vec<String> = array.retrieve_array_subset(&whole).unwrap();
    assert_eq!((&*found[10], &*found[11]), (&*long, "é"));
}

/// Array-to-bytes codecs return the stored elements, and damaged chunks take at most a fixed amount of memory.
#[test]
fn damaged_chunks_take_bounded_memory() {
    const BOUND: usize = 4 << 20;
    let whole = ArraySubset::new_with_ranges(&[0..5, 0..7]);
    for (data_type, fill, codec) in [
        ("float64", json!(0.0), json!("numcodecs.pcodec")),
        ("int64", json!(0), json!({"name": "pcodec", "configuration": {"delta_spec": "try_lookback"}})),
        ("uint8", json!(0), json!("pcodec")),
        ("float64", json!(0.0), json!({"name": "zfp", "configuration": {"mode": "reversible"}})),
        ("int32", json!(0), json!("numcodecs.zfpy")),
        ("int16", json!(0), json!("numcodecs.json2")),
        ("float32", json!(0.0), json!("numcodecs.msgpack2")),
        ("string", json!("fill"), json!("vlen-utf8")),
    ] {
        let (store, array) = array(data_type, &fill, [5, 7], &json!([codec]));
        if data_type == "string" {
            array.store_array_subset(&whole, &stored(&array, 5, 7)).unwrap();
        } else {
            let size = array.data_type().size();
            let bytes = (0..35 * size).map(|k| if k % size < 1 { (k * k / 8 % 100) as u8 } else { 0 }).collect();
            let elements = ArrayBytes { bytes, offsets: None, data_type: array.data_type().clone(), shape: vec![5, 7] };
            array.store_array_subset(&whole, &elements).unwrap();
            assert_eq!(array.retrieve_array_subset::<ArrayBytes>(&whole).unwrap(), elements, "{codec}");
        }
        let encoded = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        for round in 0..20_000 {
            let mut damaged = encoded.clone();
            for _ in 0..=round % 4 {
                // Half of the damage is in the headers, which contain sizes.
                let reach = if round % 2 == 0 { encoded.len() } else { encoded.len().min(40) };
                damaged[next() % reach] = next() as u8;
            }
            store.set("c/0/0", &damaged).unwrap();
            LARGEST.set(0);
            if let Err(error) = array.retrieve_array_subset::<ArrayBytes>(&whole) {
                assert!(matches!(error.kind(), ErrorKind::CorruptData | ErrorKind::Unsupported), "{error}");
            }
            let largest = LARGEST.get();
            assert!(largest < BOUND, "{codec}: {largest} bytes for {damaged:x?}");
        }
    }
}
