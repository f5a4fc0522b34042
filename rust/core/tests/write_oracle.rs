//! Random writes of regions, with steps, into random arrays, compared with the same assignments in memory. Likewise for
//! sessions, with little memory and several threads, and for several regions of a chunk at once.

#[path = "support/arrays.rs"]
mod arrays;
mod support;

use std::path::Path;

use std::sync::Arc;

use serde_json::{Value, json};

use tegula::store::{FilesystemStore, MemoryStore, Store};
use tegula::{
    Array, ArrayBytes, ArraySubset, AxisSelection, CacheLimit, ChunkCache, CodecOptions, DataType, Dims,
    InnerChunkOrder, InputBuffer, PartialEncoder, Result, Selection, Slot, WriteSessionOptions,
};

use arrays::{bytes, chunk_keys, named, open};
use support::{Random, listed};

/// Returns codecs for chunks whose lengths are multiples of 4: transposed, sharded (once or twice), compressed, or not.
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

fn position(index: &[u64], shape: &[u64]) -> usize {
    index.iter().zip(shape).fold(0, |position, (i, length)| position * *length as usize + *i as usize)
}

/// Returns the bytes of each element.
fn elements(found: &ArrayBytes) -> Vec<Vec<u8>> {
    match &found.offsets {
        Some(offsets) => {
            offsets.windows(2).map(|pair| found.bytes[pair[0] as usize..pair[1] as usize].to_vec()).collect()
        }
        None => found.bytes.chunks_exact(found.data_type.size()).map(<[u8]>::to_vec).collect(),
    }
}

/// Returns an element, which often is the fill value.
fn element(random: &mut Random, data_type: &DataType) -> Vec<u8> {
    if data_type.is_variable() {
        return random.pick(&["none", "none", "", "é", "a longer one"]).into();
    }
    (0..data_type.size()).map(|k| if k == 0 { random.pick(&[7, 7, 1, 2]) } else { 0 }).collect()
}

/// Calls `call` with contiguous elements, in C order of the selection.
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

/// Returns a random array, and a description of its codecs and grid.
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

/// Returns a random selection, with steps and lists, and its positions in C order.
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

/// Returns the positions of a selection without lists, in C order.
fn positions(selection: &Selection) -> Vec<Dims> {
    let place = |index: Dims| {
        let to = |(i, axis): (&u64, &AxisSelection)| axis.start.wrapping_add_signed(axis.step * *i as i64);
        index.iter().zip(selection.axes()).map(to).collect()
    };
    ArraySubset::new_with_shape(&selection.shape()).indices().map(place).collect()
}

/// Returns random elements for positions, and assigns them to the expected ones.
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
fn writes_equal_assignments_in_memory() {
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
        // Chunks that hold only the fill value are not stored, and one write stores the same bytes as many writes.
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
fn sessions_and_encoders_equal_assignments_in_memory() {
    let folder = std::env::temp_dir().join(format!("tegula-sessions-{}", std::process::id()));
    for round in 0..300 {
        let mut random = Random(1000 + round);
        let target = target(&folder, round);
        let (array, description) = random_array(&mut random, &target);
        let mut shape = array.shape().to_vec();
        let mut expected = vec![array.fill_value().bytes().to_vec(); array.subset_all().num_elements() as usize];
        // The array may already have elements.
        for _ in 0..random.below(3) {
            let (selection, places) = random_selection(&mut random, &shape);
            let given = assign(&mut random, &array, &shape, &places, &mut expected);
            store(&array, &selection, &given).unwrap();
        }
        let memory = random.pick(&[0, 2000, 1 << 30]);
        let session = array.write_session(WriteSessionOptions { memory });
        let (threads, appending) = (random.below(2) == 0, random.below(3) == 0 && !shape.is_empty());
        if threads {
            // Each of several threads writes its own elements, one by one, in a random order.
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

/// Writes several regions of a chunk; returns its index.
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

/// Calls an encoder with several regions, each from a buffer of its own.
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
