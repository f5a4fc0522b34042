//! Random writes of regions, with steps, into random arrays: what is read back is what an obvious copy in memory holds.
//! The same of sessions, with little memory and several threads, and of several regions of a chunk at once.
//! And what a write leaves alone: other inner chunks' bytes, and other writers' elements.

mod counting;
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tegula::metadata::{Attributes, AttributesChange, GroupMetadata};
use tegula::store::{Exclusion, FilesystemStore, Guard, Listing, MemoryStore, Object, Store};
use tegula::{
    Array, ArrayBytes, ArraySubset, AxisSelection, CacheLimit, ChunkCache, CodecOptions, DataType, Dims, Error,
    ErrorKind, Group, InnerChunkOrder, InputBuffer, PartialEncoder, Result, Selection, Slot, WriteSessionOptions,
};

use counting::Counting;
use support::{Random, listed};

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

/// Calls with elements that lie one after the other, in C order of the selection.
fn with_input(
    data_type: &DataType,
    selection: &Selection,
    elements: &[Vec<u8>],
    call: impl FnOnce(InputBuffer<'_>) -> Result<()>,
) -> Result<()> {
    let heap: Vec<u8> = elements.concat();
    let shape = selection.shape();
    let mut strides = vec![0; shape.len()];
    let mut stride = data_type.size() as isize;
    for (k, length) in shape.iter().enumerate().rev() {
        strides[k] = stride;
        stride *= (*length).max(1) as isize;
    }
    if !data_type.is_variable() {
        return call(InputBuffer { bytes: &heap, origin: 0, strides: &strides, heap: &[] });
    }
    let (mut slots, mut offset) = (Vec::new(), 0);
    for element in elements {
        slots.extend(Slot { heap: InputBuffer::HEAP, offset, length: element.len() as u32 }.to_bytes());
        offset += element.len() as u64;
    }
    call(InputBuffer { bytes: &slots, origin: 0, strides: &strides, heap: &heap })
}

fn store(array: &Array, selection: &Selection, elements: &[Vec<u8>]) -> Result<()> {
    with_input(array.data_type(), selection, elements, |input| array.store_selection_from(selection, input))
}

/// A random array, and its codecs and grid for people.
fn random_array(random: &mut Random, target: &Arc<dyn Store>) -> (Array, String) {
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
    let codecs = codecs(random, rank, data_type == "string", 0);
    let options = CodecOptions {
        concurrent_target: random.below(3) as usize,
        store_empty_chunks: random.below(4) == 0,
        inner_chunk_order: random.pick(&[InnerChunkOrder::C, InnerChunkOrder::Morton]),
        ..CodecOptions::default()
    };
    let array = open(target.clone(), &shape, &grid, data_type, &codecs).with_options(options);
    (array, format!("{codecs}, {grid}"))
}

/// A random selection, with steps and lists, and the positions that it takes in C order.
fn random_selection(random: &mut Random, shape: &[u64]) -> (Selection, Vec<Dims>) {
    let axes = shape.iter().map(|length| {
        if random.below(3) == 0 {
            return AxisSelection { start: 0, step: 1, length: *length };
        }
        let start = random.below(*length);
        let step = random.pick(&[1, 1, 2, 5]);
        let (step, room) = if random.below(3) > 0 { (step, length - 1 - start) } else { (-step, start) };
        AxisSelection { start, step, length: random.below(room / step.unsigned_abs() + 2) }
    });
    let selection = Selection::new(axes.collect()).unwrap();
    listed(random, selection, shape, |random| random.below(4) > 0)
}

/// The positions of a selection without lists, in C order.
fn positions(selection: &Selection) -> Vec<Dims> {
    let place = |index: Dims| {
        let to = |(i, axis): (&u64, &AxisSelection)| axis.start.wrapping_add_signed(axis.step * *i as i64);
        index.iter().zip(selection.axes()).map(to).collect()
    };
    ArraySubset::new_with_shape(&selection.shape()).indices().map(place).collect()
}

/// Random elements for positions, which are assigned to those that are expected.
fn assign(
    random: &mut Random,
    array: &Array,
    shape: &[u64],
    places: &[Dims],
    expected: &mut [Vec<u8>],
) -> Vec<Vec<u8>> {
    let fill = random.below(4) == 0;
    let mut given = Vec::new();
    for to in places {
        let element = if fill { array.fill_value().bytes().to_vec() } else { element(random, array.data_type()) };
        expected[position(to, shape)].clone_from(&element);
        given.push(element);
    }
    given
}

fn target(folder: &Path, round: u64) -> Arc<dyn Store> {
    match round % 2 {
        0 => Arc::new(MemoryStore::new()),
        _ => Arc::new(FilesystemStore::new(folder.join(round.to_string()))),
    }
}

#[test]
fn writes_are_what_an_assignment_gives() {
    let folder = std::env::temp_dir().join(format!("tegula-write-{}", std::process::id()));
    for round in 0..300 {
        let mut random = Random(round);
        let target = target(&folder, round);
        let (array, description) = random_array(&mut random, &target);
        let shape = array.shape().to_vec();
        let cached = array.with_cache(Some(ChunkCache::decoded(CacheLimit::Chunks(8))));
        let all = array.subset_all();
        let mut expected = vec![array.fill_value().bytes().to_vec(); all.num_elements() as usize];
        for step in 0..12 {
            let (selection, places) = random_selection(&mut random, &shape);
            let given = assign(&mut random, &array, &shape, &places, &mut expected);
            store(&array, &selection, &given).unwrap();
            for array in [&array, &cached] {
                let found: ArrayBytes = array.retrieve_array_subset(&all).unwrap();
                assert!(elements(&found) == expected, "round {round}, step {step}: {selection:?} of {description}");
            }
        }
        // All-fill chunks are gone, and what was written once is the same as what was written in many steps.
        let keys = chunk_keys(&*target);
        let stored: Vec<_> = keys.iter().map(|key| tegula::store::get(&*target, key, 1 << 30).unwrap()).collect();
        assert_eq!(array.compact(false).unwrap(), 0, "round {round}: {description}");
        if !array.options().store_empty_chunks && !shape.is_empty() {
            array.erase_chunks(&ArraySubset::new_with_shape(&array.chunk_grid_shape())).unwrap();
            assert!(chunk_keys(&*target).is_empty());
            let whole = Selection::from(&all);
            store(&array.with_options(CodecOptions { concurrent_target: 8, ..array.options() }), &whole, &expected)
                .unwrap();
            assert_eq!(chunk_keys(&*target), keys, "round {round}: {description}");
            for (key, stored) in keys.iter().zip(stored) {
                let again = tegula::store::get(&*target, key, 1 << 30).unwrap();
                assert!(again == stored, "round {round}: {key} of {description}");
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn sessions_and_encoders_write_what_an_assignment_gives() {
    let folder = std::env::temp_dir().join(format!("tegula-sessions-{}", std::process::id()));
    for round in 0..300 {
        let mut random = Random(1000 + round);
        let target = target(&folder, round);
        let (array, description) = random_array(&mut random, &target);
        let mut shape = array.shape().to_vec();
        let mut expected = vec![array.fill_value().bytes().to_vec(); array.subset_all().num_elements() as usize];
        // Something may be there.
        for _ in 0..random.below(3) {
            let (selection, places) = random_selection(&mut random, &shape);
            let given = assign(&mut random, &array, &shape, &places, &mut expected);
            store(&array, &selection, &given).unwrap();
        }
        let memory = random.pick(&[0, 2000, 1 << 30]);
        let session = array.write_session(WriteSessionOptions { memory });
        let (threads, appending) = (random.below(2) == 0, random.below(3) == 0 && !shape.is_empty());
        if threads {
            // Each of several threads writes its own elements, one after the other in an order of its own.
            let mut writes = vec![Vec::new(); 4];
            for index in ArraySubset::new_with_shape(&shape).indices() {
                let axes = index.iter().map(|start| AxisSelection { start: *start, step: 1, length: 1 }).collect();
                let selection = Selection::new(axes).unwrap();
                let given = assign(&mut random, &array, &shape, &positions(&selection), &mut expected);
                let own = &mut writes[random.below(4) as usize];
                let at = random.below(own.len() as u64 + 1) as usize;
                own.insert(at, (selection, given));
            }
            std::thread::scope(|scope| {
                for own in &writes {
                    let session = &session;
                    scope.spawn(move || {
                        for (selection, given) in own {
                            let store = |input: InputBuffer<'_>| session.store_selection_from(selection, input);
                            with_input(session.array().unwrap().data_type(), selection, given, store).unwrap();
                        }
                    });
                }
            });
        }
        for _ in 0..random.below(8) {
            if appending && random.below(2) == 0 {
                let (axis, length) = (random.below(shape.len() as u64) as usize, random.below(4));
                let mut grown = shape.clone();
                grown[axis] += length;
                let old = std::mem::take(&mut expected);
                expected = ArraySubset::new_with_shape(&grown)
                    .indices()
                    .map(|index| {
                        let there = index[axis] < shape[axis];
                        if there { old[position(&index, &shape)].clone() } else { array.fill_value().bytes().to_vec() }
                    })
                    .collect();
                let axes = grown.iter().enumerate().map(|(k, end)| {
                    let (start, length) = if k == axis { (shape[axis], length) } else { (0, *end) };
                    AxisSelection { start, step: 1, length }
                });
                let selection = Selection::new(axes.collect()).unwrap();
                let given = assign(&mut random, &array, &grown, &positions(&selection), &mut expected);
                let append = |input: InputBuffer<'_>| session.append_from(axis, length, input).map(|_| ());
                with_input(array.data_type(), &selection, &given, append).unwrap();
                shape = grown;
                assert_eq!(*session.shape(), *shape);
            }
            let (selection, places) = random_selection(&mut random, &shape);
            let given = assign(&mut random, &array, &shape, &places, &mut expected);
            let store = |input: InputBuffer<'_>| session.store_selection_from(&selection, input);
            with_input(array.data_type(), &selection, &given, store).unwrap();
            assert!(session.staged() <= memory);
            if random.below(5) == 0 {
                session.flush().unwrap();
                assert_eq!(session.staged(), 0);
            }
        }
        session.finish().unwrap();
        assert!(session.flush().unwrap_err().message().contains("has ended"));
        let array = array.reopen().unwrap();
        assert_eq!(array.shape(), shape);
        let read = |array: &Array| elements(&array.retrieve_array_subset::<ArrayBytes>(&array.subset_all()).unwrap());
        let found = read(&array);
        assert!(
            found == expected,
            "round {round}, memory {memory}, threads {threads}, appending {appending}: {description}"
        );

        if !shape.contains(&0) {
            let chunk = encode_some(&mut random, &array, &shape, &mut expected);
            assert!(read(&array) == expected, "round {round}: parts of {chunk:?} of {description}");
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Writes several regions of a chunk, which is returned.
fn encode_some(random: &mut Random, array: &Array, shape: &[u64], expected: &mut [Vec<u8>]) -> Dims {
    let chunk: Dims = array.chunk_grid_shape().iter().map(|count| random.below(*count)).collect();
    let inside = array.chunk_subset_bounded(&chunk).unwrap();
    let mut parts = Vec::new();
    for _ in 0..=random.below(4) {
        let start: Dims = inside.shape().iter().map(|length| random.below(*length)).collect();
        let lengths: Dims =
            inside.shape().iter().zip(&start).map(|(length, start)| random.below(length - start + 1)).collect();
        let axes = inside.start().iter().zip(&start).zip(&lengths);
        let axes =
            axes.map(|((origin, start), length)| AxisSelection { start: origin + start, step: 1, length: *length });
        let selection = Selection::new(axes.collect()).unwrap();
        let given = assign(random, array, shape, &positions(&selection), expected);
        parts.push((ArraySubset::new_with_start_shape(&start, &lengths).unwrap(), selection, given));
    }
    encode(&array.partial_encoder(&chunk).unwrap(), array.data_type(), &parts, &[]);
    chunk
}

/// Calls an encoder with several regions, each borrowed from a buffer of its own.
fn encode(
    encoder: &PartialEncoder,
    data_type: &DataType,
    parts: &[(ArraySubset, Selection, Vec<Vec<u8>>)],
    inputs: &[(ArraySubset, InputBuffer<'_>)],
) {
    let Some(((subset, selection, given), rest)) = parts.split_first() else {
        return encoder.partial_encode_from(inputs).unwrap();
    };
    with_input(data_type, selection, given, |input| {
        let mut inputs: Vec<(ArraySubset, InputBuffer<'_>)> = inputs.to_vec();
        inputs.push((subset.clone(), input));
        encode(encoder, data_type, rest, &inputs);
        Ok(())
    })
    .unwrap();
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
    let store = Counting::new(0);
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
    let store = Counting::new(0);
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

/// A store as servers have it: nobody can lock a key, and others write. It may know versions.
#[derive(Debug, Default)]
struct Shared {
    store: MemoryStore,
    turn: Mutex<()>,
    exclusion: Option<Exclusion>,
    refused: AtomicU64,
    /// Whether it takes no chunks any more.
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

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.check(key, Some(value))?;
        let _turn = self.turn.lock().unwrap();
        self.store.set(key, value)
    }

    fn set_if(&self, key: &str, value: Option<&[u8]>, version: Option<u64>) -> Result<bool> {
        self.check(key, value)?;
        // As long as it takes, others read what is about to change.
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

    fn list_dir(&self, prefix: &str) -> Result<Listing> {
        self.store.list_dir(prefix)
    }

    fn exclusion(&self) -> Exclusion {
        self.exclusion.unwrap_or(Exclusion::Process)
    }

    fn display(&self, key: &str) -> String {
        format!("shared/{key}")
    }

    fn identity(&self) -> u64 {
        self.store.identity()
    }
}

#[test]
fn where_nobody_can_lock_versions_are_compared() {
    let sharded = json!([named(
        "sharding_indexed",
        json!({"chunk_shape": [16, 16], "codecs": [bytes()], "index_codecs": [bytes()]})
    )]);
    for codecs in [json!([bytes()]), sharded] {
        let store = Arc::new(Shared { exclusion: Some(Exclusion::Versions), ..Shared::default() });
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
fn where_nobody_can_lock_changes_of_metadata_are_made_again() {
    let store = Arc::new(Shared { exclusion: Some(Exclusion::Versions), ..Shared::default() });
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

    // What cannot be stored leaves the shape as it was.
    store.full.store(true, Ordering::Relaxed);
    assert!(append(9, 99).unwrap_err().message().contains("full"));
    store.full.store(false, Ordering::Relaxed);
    assert_eq!(array.reopen().unwrap().shape(), [120, 2]);
    let resized = array.resize(&[5, 2]).unwrap();
    assert_eq!(resized.retrieve_array_subset::<Vec<u8>>(&resized.subset_all()).unwrap(), elements[..10]);
    assert_eq!(chunk_keys(&*store), ["a/c/0/0"]);
}

#[test]
fn where_others_cannot_be_kept_out_chunks_are_written_whole() {
    let store = Arc::new(Shared::default());
    let grid = named("regular", json!({"chunk_shape": [4, 4]}));
    let array = open(store.clone(), &[10, 10], &grid, "uint8", &json!([bytes()]));
    array.store_array_subset(&region(4..10, 0..4), &vec![1u8; 24]).unwrap();
    array.store_array_subset(&array.subset_all(), &vec![1u8; 100]).unwrap();
    let before = chunk_keys(&*store);
    let error = array.store_array_subset(&region(0..5, 8..9), &vec![2u8; 5]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("the region [0:8, 8:10] would be whole chunks"), "{error}");
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

/// A store that counts what is set, and fails when it is told to.
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

    fn list_dir(&self, prefix: &str) -> Result<tegula::store::Listing> {
        self.store.list_dir(prefix)
    }

    fn exclusion(&self) -> Exclusion {
        self.store.exclusion()
    }

    fn display(&self, key: &str) -> String {
        key.to_owned()
    }

    fn identity(&self) -> u64 {
        self.store.identity()
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
                    // 37 and 100 have no common divisor: every row once, far from each other.
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
    // All are complete: nothing is left for the end.
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
fn what_could_not_be_stored_is_tried_again() {
    let store = Arc::new(Failing::default());
    let grid = named("regular", json!({"chunk_shape": [4, 4]}));
    let array = open(store.clone(), &[8, 8], &grid, "uint8", &json!([bytes()]));
    let session = array.write_session(WriteSessionOptions::default());
    store.full.store(true, Ordering::Relaxed);
    session.store_array_subset(&region(0..2, 0..4), &vec![1u8; 8]).unwrap();
    let error = session.store_array_subset(&region(2..4, 0..6), &vec![2u8; 12]).unwrap_err();
    assert_eq!(error.message(), "cannot store chunk (0, 0) of a: no space left");
    assert!(session.staged() > 0 && session.flush().is_err() && session.finish().is_err());
    // What comes later lies over what waits.
    session.store_array_subset(&region(1..3, 1..2), &vec![3u8; 2]).unwrap_err();
    store.full.store(false, Ordering::Relaxed);
    session.finish().unwrap();
    assert_eq!(session.staged(), 0);
    let found: Vec<u8> = array.retrieve_array_subset(&region(0..4, 0..8)).unwrap();
    let expected =
        [[1, 1, 1, 1, 7, 7, 7, 7], [1, 3, 1, 1, 7, 7, 7, 7], [2, 3, 2, 2, 2, 2, 7, 7], [2, 2, 2, 2, 2, 2, 7, 7]];
    assert_eq!(found, expected.concat());

    // What is discarded is gone, and what was appended of it, too.
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
        // Dead bytes in front: all offsets are off by so many.
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
        // Another order, and back.
        let morton = array.with_options(CodecOptions { inner_chunk_order: InnerChunkOrder::Morton, ..array.options() });
        assert_eq!(morton.compact_chunk(&[0, 0], false).unwrap(), 0);
        assert!(array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap() != tight);
        assert!(read() == elements);
        array.compact(false).unwrap();
        assert!(array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap() == tight);
        // Inner chunks of nothing but the fill value.
        let keeping = array.with_options(CodecOptions { store_empty_chunks: true, ..array.options() });
        keeping.store_array_subset(&region(0..8, 0..8), &vec![7u8; 64]).unwrap();
        keeping.store_array_subset(&region(32..64, 0..32), &vec![7u8; 1024]).unwrap();
        assert_eq!(array.compact(false).unwrap(), 0);
        assert_eq!(array.compact(true).unwrap(), 64 + size as u64);
        assert!(!array.chunk_exists(&[1, 0]).unwrap());
        assert_eq!(array.retrieve_encoded_inner_chunk(&[0, 0]).unwrap().is_none(), size == 1280);
    }
    // What is no shard stays as it is.
    let array = open(store, &[64, 32], &grid, "uint8", &json!([bytes()]));
    array.store_array_subset(&array.subset_all(), &vec![1u8; 64 * 32]).unwrap();
    assert_eq!(array.compact(true).unwrap(), 0);
}
