//! Random writes of regions, with steps, into random arrays: what is read back is what an obvious copy in memory holds.
//! And what a write leaves alone: other inner chunks' bytes, and other writers' elements.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tegula::store::{ByteRange, FilesystemStore, MemoryStore, Object, Stat, Store};
use tegula::{
    Array, ArrayBytes, ArraySubset, AxisSelection, CacheLimit, ChunkCache, CodecOptions, DataType, Dims, ErrorKind,
    InputBuffer, Result, Selection, Slot,
};

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
}

#[allow(clippy::needless_pass_by_value)] // called with json!(...)
fn named(name: &str, configuration: Value) -> Value {
    json!({"name": name, "configuration": configuration})
}

fn bytes() -> Value {
    named("bytes", json!({"endian": "little"}))
}

/// Codecs for chunks whose lengths are multiples of 4: transposed, sharded (once or twice), compressed, or not.
fn codecs(random: &mut Random, rank: usize, text: bool, depth: u64) -> Value {
    let mut list = Vec::new();
    if random.below(3) == 0 {
        let order: Vec<usize> = if random.below(2) == 0 { (0..rank).rev().collect() } else { (0..rank).collect() };
        list.push(named("transpose", json!({"order": order})));
    }
    if depth < 2 && random.below(2) == 0 {
        let inner = vec![if depth == 0 { random.pick(&[2, 4]) } else { random.pick(&[1, 2]) }; rank];
        let codecs = codecs(random, rank, text, depth + 1);
        list.push(named(
            "sharding_indexed",
            json!({"chunk_shape": inner, "codecs": codecs, "index_codecs": [bytes(), named("crc32c", json!({}))],
                   "index_location": random.pick(&["start", "end"])}),
        ));
        if random.below(3) > 0 {
            return json!(list);
        }
    } else if text {
        list.push(named("vlen-utf8", json!({})));
    } else {
        list.push(named("bytes", json!({"endian": random.pick(&["little", "big"])})));
    }
    let all = [
        named("zstd", json!({"level": 1, "checksum": false})),
        named("crc32c", json!({})),
        named("gzip", json!({"level": 1})),
    ];
    list.extend((0..random.below(3)).map(|_| random.pick(&all)));
    json!(list)
}

fn open(store: Arc<dyn Store>, shape: &[u64], grid: &Value, data_type: &str, codecs: &Value) -> Array {
    let fill = if data_type == "string" { json!("none") } else { json!(7) };
    let document = json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": data_type,
        "fill_value": fill, "chunk_grid": grid, "chunk_key_encoding": {"name": "default"}, "codecs": codecs});
    store.set("a/zarr.json", document.to_string().as_bytes()).unwrap();
    Array::open(store, "a").unwrap()
}

fn chunk_keys(store: &dyn Store) -> Vec<String> {
    let mut keys = tegula::store::keys_below(store, "a").unwrap();
    keys.retain(|key| key != "a/zarr.json");
    keys
}

fn position(index: &[u64], shape: &[u64]) -> usize {
    index.iter().zip(shape).fold(0, |position, (i, length)| position * *length as usize + *i as usize)
}

/// The elements, each as its own bytes.
fn elements(found: &ArrayBytes) -> Vec<Vec<u8>> {
    match &found.offsets {
        Some(offsets) => {
            offsets.windows(2).map(|pair| found.bytes[pair[0] as usize..pair[1] as usize].to_vec()).collect()
        }
        None => found.bytes.chunks_exact(found.data_type.size()).map(<[u8]>::to_vec).collect(),
    }
}

/// An element, often the fill value.
fn element(random: &mut Random, data_type: &DataType) -> Vec<u8> {
    if data_type.is_variable() {
        return random.pick(&["none", "none", "", "é", "a longer one"]).into();
    }
    (0..data_type.size()).map(|k| if k == 0 { random.pick(&[7, 7, 1, 2]) } else { 0 }).collect()
}

/// Writes elements that lie one after the other, in C order of the selection.
fn store(array: &Array, selection: &Selection, elements: &[Vec<u8>]) -> Result<()> {
    let heap: Vec<u8> = elements.concat();
    let size = array.data_type().size();
    let shape = selection.shape();
    let mut strides = vec![0; shape.len()];
    let mut stride = size as isize;
    for (k, length) in shape.iter().enumerate().rev() {
        strides[k] = stride;
        stride *= (*length).max(1) as isize;
    }
    if !array.data_type().is_variable() {
        return array
            .store_selection_from(selection, InputBuffer { bytes: &heap, origin: 0, strides: &strides, heap: &[] });
    }
    let (mut slots, mut offset) = (Vec::new(), 0);
    for element in elements {
        slots.extend(Slot { heap: InputBuffer::HEAP, offset, length: element.len() as u32 }.to_bytes());
        offset += element.len() as u64;
    }
    array.store_selection_from(selection, InputBuffer { bytes: &slots, origin: 0, strides: &strides, heap: &heap })
}

/// The same selection with lists for some axes, and the positions that it takes in C order.
fn listed(random: &mut Random, mut selection: Selection, shape: &[u64]) -> (Selection, Vec<Dims>) {
    // What each dimension of the result takes of which axes, in the order of the first of these.
    let mut parts: Vec<(Vec<usize>, Vec<Vec<u64>>)> = Vec::new();
    let mut left: Vec<usize> = (0..shape.len()).collect();
    while let Some(axis) = left.first().copied() {
        left.remove(0);
        if random.below(4) > 0 {
            let run = selection.axes()[axis];
            let positions = (0..run.length).map(|k| vec![run.start.wrapping_add_signed(run.step * k as i64)]).collect();
            parts.push((vec![axis], positions));
            continue;
        }
        let mut axes = vec![axis];
        while !left.is_empty() && random.below(2) == 0 {
            axes.push(left.remove(random.below(left.len() as u64) as usize));
        }
        let count = random.below(12);
        let entries: Vec<Vec<u64>> =
            (0..count).map(|_| axes.iter().map(|axis| random.below(shape[*axis])).collect()).collect();
        let columns = (0..axes.len()).map(|k| entries.iter().map(|entry| entry[k]).collect()).collect();
        selection = selection.with_list(&axes, columns).unwrap();
        parts.push((axes, entries));
    }
    if random.below(3) == 0 {
        let order: Vec<usize> = (0..parts.len()).rev().collect();
        selection = selection.transposed(&order).unwrap();
        parts.reverse();
    }
    let mut places = vec![Dims::from_elem(0, shape.len())];
    for (axes, entries) in parts {
        let placed = |place: &Dims, entry: &Vec<u64>| {
            let mut place = place.clone();
            axes.iter().zip(entry).for_each(|(axis, position)| place[*axis] = *position);
            place
        };
        places = places.iter().flat_map(|place| entries.iter().map(|entry| placed(place, entry))).collect();
    }
    (selection, places)
}

#[test]
fn writes_are_what_an_assignment_gives() {
    let folder = std::env::temp_dir().join(format!("tegula-write-{}", std::process::id()));
    for round in 0..300 {
        let mut random = Random(round);
        let rank = random.below(4) as usize;
        let shape: Vec<u64> = (0..rank).map(|_| 1 + random.below(14)).collect();
        let grid = match random.below(3) {
            0 => {
                let edges: Vec<Value> = shape.iter().map(|length| json!([4, 8, [4, length.div_ceil(4)]])).collect();
                named("rectilinear", json!({"kind": "inline", "chunk_shapes": edges}))
            }
            _ => named("regular", json!({"chunk_shape": vec![random.pick(&[4, 8]); rank]})),
        };
        let data_type = random.pick(&["uint8", "uint16", "int32", "float64", "string"]);
        let codecs = codecs(&mut random, rank, data_type == "string", 0);
        let target: Arc<dyn Store> = match round % 2 {
            0 => Arc::new(MemoryStore::new()),
            _ => Arc::new(FilesystemStore::new(folder.join(round.to_string()))),
        };
        let options = CodecOptions {
            concurrent_target: random.below(3) as usize,
            store_empty_chunks: random.below(4) == 0,
            ..CodecOptions::default()
        };
        let array = open(target.clone(), &shape, &grid, data_type, &codecs).with_options(options);
        let cached = array.with_cache(Some(ChunkCache::decoded(CacheLimit::Chunks(8))));
        let all = array.subset_all();
        let mut expected = vec![array.fill_value().bytes().to_vec(); all.num_elements() as usize];
        for step in 0..12 {
            let axes: Vec<AxisSelection> = shape
                .iter()
                .map(|length| {
                    if random.below(3) == 0 {
                        return AxisSelection { start: 0, step: 1, length: *length };
                    }
                    let start = random.below(*length);
                    let step = random.pick(&[1, 1, 2, 5]);
                    let (step, room) = if random.below(3) > 0 { (step, length - 1 - start) } else { (-step, start) };
                    AxisSelection { start, step, length: random.below(room / step.unsigned_abs() + 2) }
                })
                .collect();
            let (selection, places) = listed(&mut random, Selection::new(axes.clone()).unwrap(), &shape);
            let fill = random.below(4) == 0;
            let mut given = Vec::new();
            for to in places {
                let element =
                    if fill { array.fill_value().bytes().to_vec() } else { element(&mut random, array.data_type()) };
                expected[position(&to, &shape)].clone_from(&element);
                given.push(element);
            }
            store(&array, &selection, &given).unwrap();
            for array in [&array, &cached] {
                let found: ArrayBytes = array.retrieve_array_subset(&all).unwrap();
                assert!(elements(&found) == expected, "round {round}, step {step}: {axes:?} of {codecs}, {grid}");
            }
        }
        // All-fill chunks are gone, and what was written once is the same as what was written in many steps.
        let keys = chunk_keys(&*target);
        let stored: Vec<_> = keys.iter().map(|key| tegula::store::get(&*target, key, 1 << 30).unwrap()).collect();
        if !options.store_empty_chunks && rank > 0 {
            array.erase_chunks(&ArraySubset::new_with_shape(&array.chunk_grid_shape())).unwrap();
            assert!(chunk_keys(&*target).is_empty());
            let whole = Selection::from(&all);
            store(&array, &whole, &expected).unwrap();
            assert_eq!(chunk_keys(&*target), keys, "round {round}: {codecs}, {grid}");
            for (key, stored) in keys.iter().zip(stored) {
                let again = tegula::store::get(&*target, key, 1 << 30).unwrap();
                assert!(again == stored, "round {round}: {key} of {codecs}, {grid}");
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A store that counts the bytes that are read, and hides that it is in memory.
#[derive(Debug, Default)]
struct Counting {
    store: MemoryStore,
    reads: Arc<Mutex<Vec<(u64, u64)>>>,
}

struct Counted(Box<dyn Object>, Arc<Mutex<Vec<(u64, u64)>>>);

impl Object for Counted {
    fn read(&self, range: ByteRange, limit: u64, into: &mut Vec<u8>) -> Result<Option<Stat>> {
        self.0.read(range, limit, into)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<Option<Stat>> {
        self.1.lock().unwrap().push((offset, into.len() as u64));
        self.0.read_at(offset, into)
    }

    fn stat(&self) -> Result<Option<Stat>> {
        self.0.stat()
    }
}

impl Store for Counting {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        Ok(Box::new(Counted(self.store.open(key)?, self.reads.clone())))
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.store.set(key, value)
    }

    fn erase(&self, key: &str) -> Result<()> {
        self.store.erase(key)
    }

    fn merge_gap(&self) -> u64 {
        0
    }

    fn display(&self, key: &str) -> String {
        format!("counted/{key}")
    }

    fn identity(&self) -> u64 {
        self.store.identity()
    }
}

impl Counting {
    fn take(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut *self.reads.lock().unwrap())
    }
}

/// A shard of 4 x 4 inner chunks of 8 x 8 bytes, not compressed.
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
    let store = Arc::new(Counting::default());
    let array = shard(&store);
    let all = ArraySubset::new_with_shape(&[4, 4]);
    let inner = |array: &Array| -> Vec<Option<Vec<u8>>> {
        all.indices().map(|inner| array.retrieve_encoded_inner_chunk(&inner).unwrap()).collect()
    };
    let mut shifted = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
    shifted.splice(0..0, [9; 100]); // dead bytes: all offsets are off by so many
    store.set("a/c/0/0", &shifted).unwrap();
    let before = inner(&array);
    store.set("a/c/0/0", &shifted).unwrap();
    store.take();

    // Covered: of the 15 others the bytes are read, and the index, which is another's in the cache.
    array.store_array_subset(&region(8..16, 16..24), &vec![2u8; 64]).unwrap();
    let read: u64 = store.take().iter().map(|(_, length)| length).sum();
    assert_eq!(read, 16 * 16 + 4 + 15 * 64);
    let after = inner(&array);
    for (k, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(before == after, k != 6, "{k}");
    }
    // The dead bytes are gone.
    assert_eq!(array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap().len(), 16 * 64 + 16 * 16 + 4);

    // In part: that inner chunk is read too.
    store.take();
    array.store_array_subset(&region(8..9, 16..24), &vec![3u8; 8]).unwrap();
    let read: u64 = store.take().iter().map(|(_, length)| length).sum();
    assert_eq!(read, 16 * 64, "the index is in the cache");

    // Whole: nothing is.
    array.store_array_subset(&array.subset_all(), &vec![4u8; 32 * 32]).unwrap();
    assert!(store.take().is_empty());

    // Inner chunks of the fill value go, and with the last the shard.
    array.store_array_subset(&region(0..8, 0..8), &vec![7u8; 64]).unwrap();
    assert_eq!(array.retrieve_encoded_inner_chunk(&[0, 0]).unwrap(), None);
    array.store_array_subset(&region(0..32, 1..32), &vec![7u8; 32 * 31]).unwrap();
    assert!(array.chunk_exists(&[0, 0]).unwrap());
    array.store_array_subset(&region(8..32, 0..1), &vec![7u8; 24]).unwrap();
    assert!(!array.chunk_exists(&[0, 0]).unwrap());
}

#[test]
fn damaged_shards_are_not_written_over() {
    let store = Arc::new(Counting::default());
    let array = shard(&store);
    let stored = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
    for cut in [0, 10, stored.len() - 1] {
        store.set("a/c/0/0", &stored[..cut]).unwrap();
        let error = array.store_array_subset(&region(0..8, 0..8), &vec![2u8; 64]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptData);
        assert_eq!(array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap(), stored[..cut]);
    }
    array.store_chunk(&[0, 0], &vec![2u8; 32 * 32]).unwrap();
}

#[test]
fn writers_of_one_chunk_lose_nothing() {
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

#[test]
fn chunks_are_stored_with_their_padding() {
    let grid = named("regular", json!({"chunk_shape": [4, 4]}));
    let array = open(Arc::new(MemoryStore::new()), &[6, 7], &grid, "uint8", &json!([bytes()]));
    let elements: Vec<u8> = (0..64).collect();
    let chunks = ArraySubset::new_with_shape(&[2, 2]);
    array.store_chunks(&chunks, &elements).unwrap();
    assert_eq!(array.retrieve_chunks::<Vec<u8>>(&chunks).unwrap(), elements);
    // The padding stays where a chunk is stored in part.
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
