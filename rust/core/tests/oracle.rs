//! Random arrays, codecs and selections, read by the kernel and by an obvious gather.

use std::sync::Arc;

use serde_json::{Value, json};
use tegula::store::{FilesystemStore, MemoryStore, Store};
use tegula::{Array, ArrayBytes, ArraySubset, AxisSelection, CodecOptions, DataType, Dims, OutputBuffer, Selection};

/// A small generator, so that a failure is the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize].clone()
    }

    fn permutation(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        for k in 0..length {
            order.swap(k, k + self.below((length - k) as u64) as usize);
        }
        order
    }
}

#[allow(clippy::needless_pass_by_value)] // called with json!(...)
fn named(name: &str, configuration: Value) -> Value {
    json!({"name": name, "configuration": configuration})
}

fn compressors(random: &mut Random) -> Vec<Value> {
    let all = [
        named("zstd", json!({"level": 1, "checksum": false})),
        named("gzip", json!({"level": 1})),
        named("crc32c", json!({})),
        named("blosc", json!({"cname": "lz4", "clevel": 3, "shuffle": "shuffle", "typesize": 4, "blocksize": 0})),
    ];
    (0..random.below(3)).map(|_| random.pick(&all)).collect()
}

/// Codecs for chunks of a shape: transposed, sharded (once or twice), compressed, or not.
fn codecs(random: &mut Random, shape: &[u64], depth: u64) -> Value {
    let mut list = Vec::new();
    let mut shape = shape.to_vec();
    if random.below(3) == 0 {
        let order = random.permutation(shape.len());
        shape = order.iter().map(|axis| shape[*axis]).collect();
        list.push(named("transpose", json!({"order": order})));
    }
    let endian = random.pick(&["little", "big"]);
    let bytes = named("bytes", json!({"endian": endian}));
    if random.below(2 + depth) == 0 {
        let divisor = |length: u64, random: &mut Random| {
            let divisors: Vec<u64> = (1..=length).filter(|divisor| length.is_multiple_of(*divisor)).collect();
            random.pick(&divisors)
        };
        let inner: Vec<u64> = shape.iter().map(|length| divisor(*length, random)).collect();
        let mut index = vec![bytes];
        if random.below(2) == 0 {
            index.push(named("crc32c", json!({})));
        }
        let inner_codecs = codecs(random, &inner, depth + 1);
        list.push(named(
            "sharding_indexed",
            json!({"chunk_shape": inner, "codecs": inner_codecs, "index_codecs": index,
                   "index_location": random.pick(&["start", "end"])}),
        ));
        if random.below(3) > 0 {
            return json!(list); // most shards are not compressed as a whole
        }
    } else {
        list.push(bytes);
    }
    list.extend(compressors(random));
    json!(list)
}

fn metadata(shape: &[u64], chunks: &[u64], data_type: &DataType, codecs: &Value) -> Value {
    let fill = match data_type.name() {
        "bool" => json!(true),
        "complex64" | "complex128" => json!([1.5, "NaN"]),
        _ if data_type.bits() < 8 => json!(1),
        _ => json!(7),
    };
    json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": data_type.name(), "fill_value": fill,
           "chunk_grid": named("regular", json!({"chunk_shape": chunks})), "chunk_key_encoding": {"name": "default"},
           "codecs": codecs})
}

fn position(index: &[u64], shape: &[u64]) -> usize {
    index.iter().zip(shape).fold(0, |position, (i, length)| position * *length as usize + *i as usize)
}

/// The elements of a selection, one by one.
fn gather(elements: &[u8], shape: &[u64], size: usize, selection: &[AxisSelection]) -> Vec<u8> {
    let selected: Vec<u64> = selection.iter().map(|axis| axis.length).collect();
    let mut gathered = Vec::new();
    for index in ArraySubset::new_with_shape(&selected).indices() {
        let source: Dims = index
            .iter()
            .zip(selection)
            .map(|(i, axis)| axis.start.wrapping_add_signed(axis.step * *i as i64))
            .collect();
        let at = position(&source, shape) * size;
        gathered.extend_from_slice(&elements[at..at + size]);
    }
    gathered
}

#[test]
fn reads_are_what_a_gather_gives() {
    let folder = std::env::temp_dir().join(format!("tegula-oracle-{}", std::process::id()));
    let types: Vec<DataType> = DataType::all().collect();
    for round in 0..400 {
        let mut random = Random(round);
        let rank = random.below(4) as usize;
        let shape: Vec<u64> = (0..rank).map(|_| 1 + random.below(20)).collect();
        let chunks: Vec<u64> = (0..rank).map(|_| 1 + random.below(12)).collect();
        let data_type = random.pick(&types);
        let codecs = codecs(&mut random, &chunks, 0);
        let store: Arc<dyn Store> = match round % 2 {
            0 => Arc::new(MemoryStore::new()),
            _ => Arc::new(FilesystemStore::new(folder.join(round.to_string()))),
        };
        let document = metadata(&shape, &chunks, &data_type, &codecs);
        store.set("node/zarr.json", document.to_string().as_bytes()).unwrap();
        let target = random.below(4) as usize;
        let options = CodecOptions { concurrent_target: target, ..CodecOptions::default() };
        let array = Array::open(store, "node").unwrap().with_options(options);

        let size = data_type.size();
        let all = array.subset_all();
        let mut elements: Vec<u8> = (0..all.num_elements() as usize * size).map(|_| random.below(2) as u8).collect();
        let whole =
            ArrayBytes { bytes: elements.clone(), offsets: None, data_type: data_type.clone(), shape: shape.clone() };
        array.store_array_subset(&all, &whole).unwrap();

        // Some chunks go missing.
        for chunk in ArraySubset::new_with_shape(&array.chunk_grid_shape()).indices() {
            if random.below(6) == 0 {
                array.erase_chunk(&chunk).unwrap();
                assert!(array.retrieve_chunk_if_exists::<ArrayBytes>(&chunk).unwrap().is_none());
                for index in array.chunk_subset_bounded(&chunk).unwrap().indices() {
                    let at = position(&index, &shape) * size;
                    elements[at..at + size].copy_from_slice(array.fill_value().bytes());
                }
            }
        }

        let found: ArrayBytes = array.retrieve_array_subset(&all).unwrap();
        assert!(found.bytes == elements, "round {round}: {document}");
        for _ in 0..8 {
            let axes: Vec<AxisSelection> = shape
                .iter()
                .map(|length| {
                    let start = random.below(*length);
                    let step = 1 + random.below(4) as i64;
                    let (step, room) = if random.below(2) == 0 { (step, length - 1 - start) } else { (-step, start) };
                    let most = room / step.unsigned_abs() + 1;
                    AxisSelection { start, step, length: random.below(most + 1) }
                })
                .collect();
            let expected = gather(&elements, &shape, size, &axes);
            let selection = Selection::new(axes).unwrap();
            let mut found = vec![99; expected.len()];
            let output = OutputBuffer::new(&mut found, &selection.shape(), size).unwrap();
            array.retrieve_selection_into(&selection, output).unwrap();
            assert!(found == expected, "round {round}: {selection:?} of {document}");

            let explanation = array.explain(&selection).unwrap();
            assert_eq!(explanation.bytes_wanted, expected.len() as u64);
        }

        // The methods that read a chunk agree with those that read a region.
        for chunk in ArraySubset::new_with_shape(&array.chunk_grid_shape()).indices() {
            let inside = array.chunk_subset_bounded(&chunk).unwrap();
            let expected: ArrayBytes = array.retrieve_array_subset(&inside).unwrap();
            let relative = inside.relative_to(array.chunk_subset(&chunk).unwrap().start()).unwrap();
            let found: ArrayBytes = array.retrieve_chunk_subset(&chunk, &relative).unwrap();
            assert_eq!(expected, found);
            let decoder = array.partial_decoder(&chunk).unwrap();
            for _ in 0..2 {
                let found: Vec<ArrayBytes> = decoder.partial_decode(std::slice::from_ref(&relative)).unwrap();
                assert_eq!(found.as_slice(), std::slice::from_ref(&expected));
            }
            let padded: ArrayBytes = array.retrieve_chunk(&chunk).unwrap();
            assert_eq!(padded.shape, chunks);
        }
        let inner = array.inner_chunk_grid().unwrap();
        for chunk in ArraySubset::new_with_shape(&inner.shape()).indices().take(6) {
            let region = inner.chunk_subset(&chunk).unwrap().bound(&shape).unwrap();
            if region == inner.chunk_subset(&chunk).unwrap() {
                let expected: ArrayBytes = array.retrieve_array_subset(&region).unwrap();
                assert_eq!(expected, array.retrieve_inner_chunk::<ArrayBytes>(&chunk).unwrap());
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_array_without_elements_is_read() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let data_type = DataType::from_name("uint8").unwrap();
    let codecs = json!([named("bytes", json!({}))]);
    let document = metadata(&[0, 4], &[2, 3], &data_type, &codecs).to_string();
    store.set("zarr.json", document.as_bytes()).unwrap();
    let array = Array::open(store, "").unwrap();
    let subset = array.subset_all();
    array.retrieve_subset_into(&subset, OutputBuffer::new(&mut [], subset.shape(), 1).unwrap()).unwrap();
    assert_eq!(array.retrieve_array_subset::<ArrayBytes>(&subset).unwrap().shape, [0, 4]);
}

#[test]
fn damaged_chunks_are_errors_and_never_panics() {
    for round in 0..60 {
        let mut random = Random(1000 + round);
        let chunks = [6, 8];
        let codecs = codecs(&mut random, &chunks, 0);
        let uint16 = DataType::from_name("uint16").unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        store.set("zarr.json", metadata(&[6, 8], &chunks, &uint16, &codecs).to_string().as_bytes()).unwrap();
        let array = Array::open(store.clone(), "/").unwrap();
        let elements: Vec<u16> = (0..48).collect();
        array.store_chunk(&[0, 0], &elements).unwrap();
        let key = array.chunk_key(&[0, 0]).unwrap();
        let stored = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
        let part = ArraySubset::new_with_ranges(&[1..3, 2..7]);
        for length in 0..stored.len() {
            store.set(&key, &stored[..length]).unwrap();
            let whole = array.retrieve_chunk::<Vec<u16>>(&[0, 0]);
            // A shard with an index before its chunks may lose what nobody points to.
            if let Ok(whole) = whole {
                assert_eq!(whole, elements, "cut to {length} of {}: {codecs}", stored.len());
            }
            let _ = array.retrieve_array_subset::<Vec<u16>>(&part);
        }
        for at in 0..stored.len() {
            for mask in [1, 0x80, 0xff] {
                let mut damaged = stored.clone();
                damaged[at] ^= mask;
                store.set(&key, &damaged).unwrap();
                let _ = array.retrieve_chunk::<Vec<u16>>(&[0, 0]);
                let _ = array.retrieve_array_subset::<Vec<u16>>(&part);
            }
        }
    }
}
