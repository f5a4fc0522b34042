//! Random arrays, codecs and selections, read by the kernel and by element-wise code.

mod support;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tegula::store::{FilesystemStore, MemoryStore, Store};
use tegula::{
    Array, ArrayBytes, ArraySubset, AxisSelection, CacheLimit, ChunkCache, CodecOptions, DataType, Dims, ErrorKind,
    FromArrayBytes, Heaps, OutputBuffer, Selection,
};

use support::{Random, listed};

/// Number of arrays that are read.
const ROUNDS: u64 = 1200;

/// Number of arrays that are damaged.
const DAMAGED: u64 = 400;

fn permutation(random: &mut Random, length: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    for k in 0..length {
        order.swap(k, k + random.below((length - k) as u64) as usize);
    }
    order
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
        named("lz4", json!({"acceleration": 1})),
        named("zlib", json!({"level": 1})),
        named("shuffle", json!({"elementsize": 2})),
        named("adler32", json!({"location": "start"})),
        named("conditional", json!({"codecs": ["zstd"]})),
        named("base64", json!({})),
    ];
    (0..random.below(3)).map(|_| random.pick(&all)).collect()
}

/// The state of a random chain of codecs.
#[derive(Clone)]
struct Links {
    /// A shape that divides the chunks that the next codec gets.
    shape: Vec<u64>,
    /// The elements that the next codec gets.
    data_type: String,
    /// Whether the elements are still the small numbers of the array.
    plain: bool,
    variable: bool,
}

/// Returns array-to-array codecs.
fn filters(random: &mut Random, links: &mut Links) -> Vec<Value> {
    let mut list = Vec::new();
    let mut settled = false;
    for _ in 0..random.below(4) {
        let numbers = ["int16", "int32", "int64", "uint16", "uint32", "uint64", "float32", "float64"];
        let arithmetic = links.plain && numbers.contains(&&*links.data_type);
        let rank = links.shape.len();
        match random.below(if arithmetic { 9 } else { 3 }) {
            // For elements of variable length, no transposition may follow a reshape.
            0 | 1 if !(links.variable && settled) => {
                let order = permutation(random, rank);
                links.shape = order.iter().map(|axis| links.shape[*axis]).collect();
                list.push(named("transpose", json!({"order": order})));
            }
            2 if rank > 0 => {
                let first = random.below(rank as u64) as usize;
                let last = first + random.below((rank - first) as u64) as usize;
                let mut shape: Vec<Value> = (0..first).map(|axis| json!([axis])).collect();
                shape.push(json!((first..=last).collect::<Vec<_>>()));
                shape.extend((last + 1..rank).map(|axis| json!([axis])));
                let joined = links.shape[first..=last].iter().product();
                links.shape.splice(first..=last, [joined]);
                if random.below(3) == 0 {
                    shape.push(json!(-1));
                    links.shape.push(1);
                }
                settled = true;
                list.push(named("reshape", json!({"shape": shape})));
            }
            3 => {
                links.data_type = "float64".into();
                list.push(named("cast_value", json!({"data_type": "float64"})));
            }
            4 => {
                links.data_type = "int64".into();
                list.push(named("numcodecs.astype", json!({"encode_dtype": "<i8"})));
            }
            5..9 => {
                links.plain = false;
                list.push(match random.below(4) {
                    0 => named("scale_offset", json!({"offset": 2, "scale": 3})),
                    1 => named("numcodecs.delta", json!({})),
                    2 => named("numcodecs.fixedscaleoffset", json!({"offset": 2, "scale": 4})),
                    _ if links.data_type.starts_with('f') => named("bitround", json!({"keepbits": 12})),
                    _ => named("numcodecs.delta", json!({})),
                });
            }
            _ => {}
        }
    }
    list
}

/// Returns codecs for chunks of a shape or of its multiples: filtered, transposed, sharded (once or twice), compressed,
/// or not.
fn codecs(random: &mut Random, links: &Links, depth: u64) -> Value {
    let mut links = links.clone();
    let mut list = filters(random, &mut links);
    let reshaped = list.iter().any(|codec| codec["name"] == "reshape");
    let bytes = named("bytes", json!({"endian": random.pick(&["little", "big"])}));
    if random.below(2 + depth) == 0 && !(links.variable && reshaped) {
        let divisor = |length: u64, random: &mut Random| {
            let divisors: Vec<u64> = (1..=length).filter(|divisor| length.is_multiple_of(*divisor)).collect();
            random.pick(&divisors)
        };
        let inner: Vec<u64> = links.shape.iter().map(|length| divisor(*length, random)).collect();
        let inner_codecs = codecs(random, &Links { shape: inner.clone(), ..links }, depth + 1);
        let mut index = vec![bytes];
        // Without a checksum, the index of a truncated shard can be mistaken for that of a nested shard.
        if random.below(2) == 0 || inner_codecs.to_string().contains("sharding_indexed") {
            index.push(named("crc32c", json!({})));
        }
        list.push(named(
            "sharding_indexed",
            json!({"chunk_shape": inner, "codecs": inner_codecs, "index_codecs": index,
                   "index_location": random.pick(&["start", "end"])}),
        ));
        if random.below(3) > 0 {
            return json!(list); // most shards are not compressed as a whole
        }
    } else {
        list.push(serializer(random, &links, bytes));
    }
    list.extend(compressors(random));
    json!(list)
}

/// Returns an array-to-bytes codec other than sharding.
fn serializer(random: &mut Random, links: &Links, bytes: Value) -> Value {
    let name = &*links.data_type;
    let labels = json!({"labels": ["a", "long", "é"], "dtype": "|O", "astype": "<u2"});
    let mut found = match name {
        "string" => vec![json!("vlen-utf8"), named("categorize", labels)],
        "variable_length_bytes" => vec![json!("vlen-bytes")],
        _ => vec![bytes.clone(), bytes.clone(), bytes],
    };
    if !links.shape.is_empty() && links.shape.len() <= 4 && ["int32", "float32", "float64", "int64"].contains(&name) {
        found.push(named("zfp", json!({"mode": "reversible"})));
    }
    if ["int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "float32", "float64"].contains(&name) {
        found.extend([json!("pcodec"), json!("numcodecs.json2"), json!("numcodecs.msgpack2")]);
    }
    let small = ["bool", "int2", "int4", "uint2", "uint4", "uint8", "float6_e2m3fn", "float4_e2m1fn", "complex64"];
    if small.contains(&name) {
        found.extend(vec![named("packbits", json!({"padding_encoding": random.pick(&["none", "first_byte"])})); 2]);
    }
    random.pick(&found)
}

/// A data type of Zarr V3, a fill value, and its code in Zarr V2 without the byte order, if it has one.
#[derive(Clone)]
struct Type {
    v3: Value,
    fill_value: Value,
    v2: String,
}

fn types() -> Vec<Type> {
    let plain = |data_type: DataType| Type {
        v3: json!(data_type.name()),
        fill_value: match data_type.name() {
            "bool" => json!(true),
            "complex64" | "complex128" => json!([1.5, "NaN"]),
            "float8_e8m0fnu" => json!(4),
            _ if data_type.bits() < 8 => json!(1),
            _ => json!(7),
        },
        v2: if data_type.is_extended() { String::new() } else { data_type.code() },
    };
    let of = |v3: Value, fill_value: Value, v2: &str| Type { v3, fill_value, v2: v2.into() };
    let fields = json!([{"name": "a", "data_type": "uint8"}, {"name": "b", "data_type": "complex64"},
        {"name": "n", "data_type": named("struct", json!({"fields": [["c", "int16"]]}))}]);
    let time = json!({"unit": "ns", "scale_factor": 1});
    DataType::all()
        .map(plain)
        .chain([
            of(json!("r24"), json!([1, 2, 3]), "V3"),
            of(named("null_terminated_bytes", json!({"length_bytes": 3})), json!("YWI="), "S3"),
            of(named("fixed_length_utf32", json!({"length_bytes": 16})), json!("a"), "U4"),
            of(named("numpy.datetime64", time.clone()), json!("NaT"), "M8[ns]"),
            of(named("numpy.timedelta64", time), json!(7), "m8[ns]"),
            of(named("struct", json!({"fields": fields})), json!({"a": 1, "b": [0.5, 2], "n": {"c": -3}}), ""),
            of(json!("string"), json!("long"), "O"),
            of(json!("string"), json!(""), "O"),
            of(json!("variable_length_bytes"), json!("YWI="), "O"),
        ])
        .collect()
}

/// Returns metadata of a Zarr V3 array with chunks of one shape or of several.
fn document(random: &mut Random, shape: &[u64], one: &Type) -> Value {
    let unit: Vec<u64> = shape.iter().map(|_| 1 + random.below(12)).collect();
    let name = one.v3.as_str().or(one.v3["name"].as_str()).unwrap();
    let variable = ["string", "variable_length_bytes"].contains(&name);
    let links = Links { shape: unit.clone(), data_type: name.into(), plain: true, variable };
    let codecs = codecs(random, &links, 0);
    let grid = if random.below(4) == 0 {
        let mut edges = |length: u64, unit: u64| {
            let (mut edges, mut end) = (Vec::new(), 0);
            while end < length {
                edges.push(unit * (1 + random.below(3)));
                end += edges[edges.len() - 1];
            }
            edges
        };
        let edges: Vec<_> = shape.iter().zip(&unit).map(|(length, unit)| edges(*length, *unit)).collect();
        named("rectilinear", json!({"kind": "inline", "chunk_shapes": edges}))
    } else {
        named("regular", json!({"chunk_shape": unit}))
    };
    json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": one.v3, "fill_value": one.fill_value,
           "chunk_grid": grid, "chunk_key_encoding": {"name": "default"}, "codecs": codecs})
}

/// Returns metadata of a Zarr V2 array: either byte order, either order of axes, filters.
fn zarray(random: &mut Random, shape: &[u64], one: &Type) -> Value {
    let chunks: Vec<u64> = shape.iter().map(|_| 1 + random.below(12)).collect();
    let order = random.pick(&["<", ">"]);
    let mut fill_value = if one.v3.is_string() { one.fill_value.clone() } else { Value::Null };
    let mut filters = Vec::new();
    let dtype = match &*one.v2 {
        "" => {
            fill_value = Value::Null;
            json!([["x", ">u2"], ["", "|V3"], ["m", "<f4", [2, 3]], ["n", [["p", "<i2"], ["q", ">f8"]], [2]]])
        }
        "O" => {
            fill_value = Value::Null;
            let all = ["vlen-utf8", "vlen-bytes", "vlen-array", "json2", "msgpack2", "categorize"];
            filters.push(match random.pick(&all) {
                "vlen-array" => json!({"id": "vlen-array", "dtype": random.pick(&["<i2", ">f4"])}),
                "categorize" => {
                    json!({"id": "categorize", "labels": ["a", "long", "é"], "dtype": "|O", "astype": "|u1"})
                }
                id => json!({"id": id}),
            });
            json!("|O")
        }
        code => {
            let code = format!("{order}{code}");
            let number = ["i2", "i4", "i8", "u2", "u4", "u8", "f4", "f8"].contains(&&*one.v2);
            match random.below(if number { 6 } else { 1 }) {
                0 => {}
                1 => filters.push(json!({"id": "delta", "dtype": code})),
                2 => filters.push(json!({"id": "astype", "encode_dtype": ">f8", "decode_dtype": code})),
                3 => filters.push(json!({"id": "fixedscaleoffset", "offset": 2, "scale": 4, "dtype": code})),
                4 => filters.extend([
                    json!({"id": "astype", "encode_dtype": "<i8", "decode_dtype": code}),
                    json!({"id": "delta", "dtype": "<i8", "astype": ">i8"}),
                ]),
                _ => filters.push(json!({"id": random.pick(&["json2", "msgpack2", "pcodec"])})),
            }
            if one.v2 == "b1" && random.below(2) == 0 {
                filters.push(json!({"id": "packbits"}));
            }
            json!(code)
        }
    };
    if random.below(3) == 0 {
        filters.push(random.pick(&[json!({"id": "shuffle", "elementsize": 2}), json!({"id": "crc32"})]));
    }
    let compressors = [
        Value::Null,
        json!({"id": "zlib", "level": 1}),
        json!({"id": "zstd", "level": 1}),
        json!({"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}),
        json!({"id": "lzma", "format": 1, "check": 0, "preset": 0, "filters": null}),
    ];
    let filters = if filters.is_empty() { Value::Null } else { json!(filters) };
    json!({"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "fill_value": fill_value,
           "order": random.pick(&["C", "F"]), "filters": filters, "compressor": random.pick(&compressors)})
}

/// Returns the name and the content of the metadata of an array of either version.
fn random_document(random: &mut Random, shape: &[u64], one: &Type) -> (&'static str, Value) {
    match random.below(4) {
        0 => (".zarray", zarray(random, shape, one)),
        _ => ("zarr.json", document(random, shape, one)),
    }
}

fn position(index: &[u64], shape: &[u64]) -> usize {
    index.iter().zip(shape).fold(0, |position, (i, length)| position * *length as usize + *i as usize)
}

/// Returns a random element that every codec here can encode.
fn element(random: &mut Random, data_type: &DataType) -> Vec<u8> {
    let labels = ["a", "long", "é", ""];
    let small = 2 + random.below(90);
    let few = random.below(5) as usize;
    match data_type.name() {
        "string" => random.pick(&labels).into(),
        "variable_length_bytes" => vec![small as u8; few],
        "list" => vec![small as u8; few * data_type.item().unwrap().data_type.size()],
        "object" => random.pick(&[r#"{"a":[1,-2.5]}"#, "\"e\\n\"", "null", "18446744073709551615", "[]"]).into(),
        "fixed_length_utf32" => {
            let label = random.pick(&labels);
            (0..4).flat_map(|k| label.chars().nth(k).map_or(0, u32::from).to_ne_bytes()).collect()
        }
        "null_terminated_bytes" => random.pick(&[*b"abc", *b"x\0\0", *b"\0\0\0"]).to_vec(),
        "int16" | "uint16" => (small as u16).to_ne_bytes().to_vec(),
        "int32" | "uint32" => (small as u32).to_ne_bytes().to_vec(),
        "int64" | "uint64" | "numpy.datetime64" | "numpy.timedelta64" => small.to_ne_bytes().to_vec(),
        "float16" => half::f16::from_f64(small as f64).to_ne_bytes().to_vec(),
        "float32" => (small as f32).to_ne_bytes().to_vec(),
        "float64" => (small as f64).to_ne_bytes().to_vec(),
        _ if data_type.bits() <= 8 => vec![random.below(2) as u8],
        _ => (0..data_type.size()).map(|_| random.below(100) as u8).collect(),
    }
}

fn array_bytes(elements: &[Vec<u8>], data_type: &DataType, shape: &[u64]) -> ArrayBytes {
    let ends = elements.iter().scan(0, |end, element| {
        *end += element.len() as i64;
        Some(*end)
    });
    let offsets = data_type.is_variable().then(|| [0].into_iter().chain(ends).collect());
    ArrayBytes { bytes: elements.concat(), offsets, data_type: data_type.clone(), shape: shape.to_vec() }
}

/// Returns the elements of a selection, taken one by one.
fn gather(elements: &[Vec<u8>], shape: &[u64], selection: &[AxisSelection]) -> Vec<Vec<u8>> {
    let selected: Vec<u64> = selection.iter().map(|axis| axis.length).collect();
    let source = |index: Dims| -> Dims {
        let steps = index.iter().zip(selection);
        steps.map(|(i, axis)| axis.start.wrapping_add_signed(axis.step * *i as i64)).collect()
    };
    let indices = ArraySubset::new_with_shape(&selected).indices();
    indices.map(|index| elements[position(&source(index), shape)].clone()).collect()
}

fn select(array: &Array, selection: &Selection) -> ArrayBytes {
    let (shape, data_type) = (selection.shape(), array.data_type());
    let fill = &mut |bytes: &mut [u8]| {
        bytes.fill(if data_type.is_variable() { 0 } else { 99 });
        let heaps = Heaps::new(array.fill_value().bytes());
        let output = OutputBuffer::new(bytes, &shape, data_type.size())?.with_heaps(&heaps);
        array.retrieve_selection_into(selection, output)?;
        Ok(heaps)
    };
    ArrayBytes::read(data_type, &shape, fill).unwrap()
}

fn selection(random: &mut Random, shape: &[u64]) -> Vec<AxisSelection> {
    let mut axis = |length: &u64| {
        let start = random.below(*length);
        let step = 1 + random.below(4) as i64;
        let (step, room) = if random.below(2) == 0 { (step, length - 1 - start) } else { (-step, start) };
        let most = room / step.unsigned_abs() + 1;
        AxisSelection { start, step, length: random.below(most + 1) }
    };
    shape.iter().map(&mut axis).collect()
}

/// Creates an array and reads it with every method.
fn check(round: u64, types: &[Type], folder: &Path) {
    let mut random = Random(round);
    let rank = random.below(4) as usize;
    let shape: Vec<u64> = (0..rank).map(|_| 1 + random.below(20)).collect();
    let one = random.pick(types);
    let store: Arc<dyn Store> = match round % 2 {
        0 => Arc::new(MemoryStore::new()),
        _ => Arc::new(FilesystemStore::new(folder.join(round.to_string()))),
    };
    let (name, document) = random_document(&mut random, &shape, &one);
    store.set(&format!("node/{name}"), document.to_string().as_bytes()).unwrap();
    let target = random.below(4) as usize;
    let options = CodecOptions { concurrent_target: target, ..CodecOptions::default() };
    let array = match Array::open(store, "node") {
        Ok(array) => array.with_options(options),
        Err(error) => panic!("round {round}: {error}: {document}"),
    };
    let data_type = array.data_type();

    let all = array.subset_all();
    let mut elements: Vec<Vec<u8>> = (0..all.num_elements()).map(|_| element(&mut random, data_type)).collect();
    let whole = array_bytes(&elements, data_type, &shape);
    if let Err(error) = array.store_array_subset(&all, &whole) {
        panic!("round {round}: {error}: {document}");
    }

    // Erase some chunks.
    for chunk in ArraySubset::new_with_shape(&array.chunk_grid_shape()).indices() {
        if random.below(6) == 0 {
            array.erase_chunk(&chunk).unwrap();
            assert!(array.retrieve_chunk_if_exists::<ArrayBytes>(&chunk).unwrap().is_none());
            for index in array.chunk_subset_bounded(&chunk).unwrap().indices() {
                elements[position(&index, &shape)] = array.fill_value().bytes().to_vec();
            }
        }
    }

    let found: ArrayBytes = array.retrieve_array_subset(&all).unwrap();
    assert!(found == array_bytes(&elements, data_type, &shape), "round {round}: {document}");
    let caches =
        [None, Some(ChunkCache::decoded(CacheLimit::Chunks(9))), Some(ChunkCache::encoded(CacheLimit::Chunks(9)))];
    for k in 0..9 {
        let array = array.with_cache(caches[k % 3].clone());
        let selection = Selection::new(selection(&mut random, &shape)).unwrap();
        let expected = array_bytes(&gather(&elements, &shape, selection.axes()), data_type, &selection.shape());
        assert!(select(&array, &selection) == expected, "round {round}: {selection:?} of {document}");

        let (selection, places) = listed(&mut random, selection, &shape, |random| random.below(2) == 0);
        let places = places.iter().map(|place| elements[position(place, &shape)].clone()).collect::<Vec<_>>();
        let expected = array_bytes(&places, data_type, &selection.shape());
        assert!(select(&array, &selection) == expected, "round {round}: {selection:?} of {document}");

        let explanation = array.explain(&selection).unwrap();
        let count = selection.shape().iter().product::<u64>();
        assert_eq!(explanation.bytes_wanted, count * data_type.size() as u64);
    }

    // Many regions in one call.
    let length: Vec<u64> = shape.iter().map(|length| 1 + random.below(*length)).collect();
    let starts: Vec<Dims> = (0..3)
        .map(|_| shape.iter().zip(&length).map(|(all, length)| random.below(all - length + 1)).collect())
        .collect();
    let regions =
        starts.iter().map(|start| Selection::from(&ArraySubset::new_with_start_shape(start, &length).unwrap()));
    let expected: Vec<_> = regions.flat_map(|region| gather(&elements, &shape, region.axes())).collect();
    let found: ArrayBytes = array.retrieve_array_subsets(&starts, &length).unwrap();
    let stacked = [&[3], &length[..]].concat();
    assert!(found == array_bytes(&expected, data_type, &stacked), "round {round}: {starts:?} of {document}");

    // Methods that read chunks agree with those that read regions.
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
        assert_eq!(padded.shape[..], array.chunk_shape(&chunk).unwrap()[..]);
    }
    // Inner chunks form a grid only if chunks have one shape.
    let Ok(inner) = array.inner_chunk_grid() else { return };
    for chunk in ArraySubset::new_with_shape(&inner.shape()).indices().take(6) {
        let region = inner.chunk_subset(&chunk).unwrap().bound(&shape).unwrap();
        if region == inner.chunk_subset(&chunk).unwrap() {
            let expected: ArrayBytes = array.retrieve_array_subset(&region).unwrap();
            assert_eq!(expected, array.retrieve_inner_chunk::<ArrayBytes>(&chunk).unwrap());
        }
    }
}

#[test]
fn reads_equal_an_element_wise_gather() {
    let folder = std::env::temp_dir().join(format!("tegula-oracle-{}", std::process::id()));
    let types = types();
    for round in 0..ROUNDS {
        check(round, &types, &folder);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Returns metadata of a Zarr V3 array with chunks of one shape.
fn metadata(shape: &[u64], chunks: &[u64], data_type: &DataType, codecs: &Value) -> Value {
    json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": data_type.name(), "fill_value": 7,
           "chunk_grid": named("regular", json!({"chunk_shape": chunks})), "chunk_key_encoding": {"name": "default"},
           "codecs": codecs})
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
        let links = Links { shape: chunks.to_vec(), data_type: "uint16".into(), plain: true, variable: false };
        let codecs = codecs(&mut random, &links, 0);
        let uint16 = DataType::from_name("uint16").unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        store.set("zarr.json", metadata(&[6, 8], &chunks, &uint16, &codecs).to_string().as_bytes()).unwrap();
        let array = Array::open(store.clone(), "/").unwrap();
        let elements: Vec<u16> = (2..50).collect();
        array.store_chunk(&[0, 0], &elements).unwrap();
        let key = array.chunk_key(&[0, 0]).unwrap();
        let stored = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
        let part = ArraySubset::new_with_ranges(&[1..3, 2..7]);
        for length in 0..stored.len() {
            store.set(&key, &stored[..length]).unwrap();
            let whole = array.retrieve_chunk::<Vec<u16>>(&[0, 0]);
            // If the index is at the start of the shard, the truncated bytes may be unused.
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

/// Truncates and damages a chunk of a random array; reads the whole chunk and one element.
fn truncate_and_damage(round: u64, types: &[Type]) {
    let mut random = Random(round);
    let shape = [1 + random.below(9), 1 + random.below(9)];
    let one = random.pick(types);
    let (name, document) = random_document(&mut random, &shape, &one);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    store.set(name, document.to_string().as_bytes()).unwrap();
    let array = Array::open(store.clone(), "").unwrap();
    let elements: Vec<_> = (0..shape[0] * shape[1]).map(|_| element(&mut random, array.data_type())).collect();
    array.store_array_subset(&array.subset_all(), &array_bytes(&elements, array.data_type(), &shape)).unwrap();
    let Some(stored) = array.retrieve_encoded_chunk(&[0, 0]).unwrap() else { return };
    let key = array.chunk_key(&[0, 0]).unwrap();
    let first = ArraySubset::new_with_ranges(&[0..1, 0..1]);
    let read = || [array.retrieve_chunk::<ArrayBytes>(&[0, 0]), array.retrieve_array_subset(&first)];
    let expected = read().map(Result::unwrap);
    // Beyond the end of its input zfp reads zeros, which become wrong bytes without an error after shuffle.
    let text = document.to_string();
    let is_undetected = text.contains("zfp") && text.contains("shuffle");
    for length in (0..stored.len()).step_by(stored.len().div_ceil(100)).chain([stored.len() - 1]) {
        store.set(&key, &stored[..length]).unwrap();
        for (found, expected) in read().into_iter().zip(&expected) {
            let what = || format!("round {round}: {length} of {} bytes of {document}", stored.len());
            match found {
                Ok(found) => assert!(is_undetected || found == *expected, "{}", what()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}: {}", what()),
            }
        }
    }
    for _ in 0..60 {
        let mut damaged = stored.clone();
        for _ in 0..=random.below(2) {
            damaged[random.below(stored.len() as u64) as usize] ^= 1 + random.below(255) as u8;
        }
        store.set(&key, &damaged).unwrap();
        for error in read().into_iter().filter_map(Result::err) {
            let fits = matches!(error.kind(), ErrorKind::CorruptData | ErrorKind::Unsupported);
            assert!(fits, "round {round}: {error} of {document}");
        }
    }
}

#[test]
fn truncated_and_damaged_chunks_of_all_types_are_errors() {
    let types = types();
    for round in 0..DAMAGED {
        truncate_and_damage(round, &types);
    }
}
