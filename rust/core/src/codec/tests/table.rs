//! Every codec with every data type, through whole arrays: metadata, chains, planning, partial reads, caches, and truncated
//! or damaged chunks.
//!
//! Only combinations that cannot be opened are left out, and the number of the others is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use self::elements::{Random, element, elements, gather};
use crate::array::{Array, ArrayBuilder, ArrayBytes, FromArrayBytes, OutputBuffer};
use crate::cache::{CacheLimit, ChunkCache};
use crate::codec::row::{Damage, Row};
use crate::codec::{parse_named_list, rows};
use crate::data_type::{DataType, Kind};
use crate::error::{ErrorKind, Result};
use crate::metadata::{ArrayMetadata, fill_value_from_json};
use crate::options::CodecOptions;
use crate::selection::{AxisSelection, Selection};
use crate::slot::Heaps;
use crate::store::{MemoryStore, WritableStore};
use crate::subset::ArraySubset;

mod elements;

const SHAPE: [u64; 2] = [13, 17];
const CHUNK: [u64; 2] = [8, 12];

/// A data type and its spelling in metadata.
struct Spelled {
    data_type: DataType,
    fill_value: Value,
    /// In Zarr V3.
    v3: Option<Value>,
    /// The `.zarray` of an array of it.
    v2: Value,
}

fn types() -> Vec<Spelled> {
    let mut types = Vec::new();
    for data_type in DataType::all() {
        let fill_value = match data_type.kind() {
            Kind::Bool => json!(true),
            Kind::Complex => json!([2, 2]),
            // Can be scaled.
            _ if data_type.name() == "int2" => json!(1),
            _ => json!(2),
        };
        types.push((json!(data_type.name()), fill_value));
    }
    let of = |name: &str, configuration: Value| json!({"name": name, "configuration": configuration});
    let unit = json!({"unit": "ns", "scale_factor": 1});
    let inner = json!([{"name": "c", "data_type": "int16"}, {"name": "d", "data_type": "complex64"}]);
    let fields = json!([{"name": "a", "data_type": "uint8"},
        {"name": "b", "data_type": of("struct", json!({"fields": inner}))},
        {"name": "e", "data_type": of("fixed_length_utf32", json!({"length_bytes": 8}))}]);
    types.extend([
        (json!("r24"), json!([1, 2, 3])),
        (of("null_terminated_bytes", json!({"length_bytes": 3})), json!("YWI=")),
        (of("fixed_length_utf32", json!({"length_bytes": 16})), json!("long")),
        (of("numpy.datetime64", unit.clone()), json!("NaT")),
        (of("numpy.timedelta64", unit), json!(5)),
        (of("struct", json!({"fields": fields})), json!({"a": 1, "b": {"c": -2, "d": [0.5, "NaN"]}, "e": "é"})),
        (json!("string"), json!("long")),
        (json!("variable_length_bytes"), json!("YWI=")),
    ]);
    let mut found: Vec<Spelled> = types
        .into_iter()
        .map(|(v3, fill_value)| {
            let data_type = crate::metadata::data_type_from_json(&v3).unwrap();
            let v2 = v2_document(&data_type, &fill_value);
            Spelled { data_type, fill_value, v3: Some(v3), v2 }
        })
        .collect();
    let big_fields = json!([
        ["x", ">u2"],
        ["", "|V3"],
        ["m", "<f4", [2, 3]],
        ["s", "|S5"],
        ["n", [["p", "<i2"], ["q", ">f8"]], [2]]
    ]);
    for (dtype, filter) in [
        (big_fields, Value::Null),
        (json!("|O"), json!({"id": "vlen-array", "dtype": "<i2"})),
        (json!("|O"), json!({"id": "vlen-array", "dtype": ">f4"})),
        (json!("|O"), json!({"id": "json2"})),
    ] {
        let filters = if filter.is_null() { Value::Null } else { json!([filter]) };
        let v2 = json!({"zarr_format": 2, "shape": SHAPE, "chunks": CHUNK, "dtype": dtype, "compressor": null,
            "fill_value": null, "order": "C", "filters": filters});
        let data_type = ArrayMetadata::from_v2(v2.clone(), None).unwrap().data_type;
        found.push(Spelled { data_type, fill_value: Value::Null, v3: None, v2 });
    }
    found
}

fn v2_document(data_type: &DataType, fill_value: &Value) -> Value {
    let mut builder = ArrayBuilder::new(SHAPE, data_type.clone());
    builder.zarr_format(2).chunks(CHUNK).compressors(["none"]);
    builder.fill_value(fill_value_from_json(fill_value, data_type).unwrap()).build().unwrap().document
}

impl Spelled {
    /// Returns metadata with codecs of Zarr V3. For types that V3 cannot express, everything but the codecs is V2.
    fn with_codecs(&self, codecs: &Value) -> Result<ArrayMetadata> {
        let Some(v3) = &self.v3 else {
            let codecs = parse_named_list(codecs)?;
            return Ok(ArrayMetadata { codecs, ..ArrayMetadata::from_v2(self.v2.clone(), None)? });
        };
        ArrayMetadata::from_v3(json!({
            "zarr_format": 3, "node_type": "array", "shape": SHAPE, "data_type": v3, "fill_value": self.fill_value,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": CHUNK}},
            "chunk_key_encoding": {"name": "default"}, "codecs": codecs,
        }))
    }

    /// Returns metadata of Zarr V2 with filters and a compressor, in order F.
    fn with_filters(&self, filters: &[&Value], compressor: Option<&Value>) -> Result<ArrayMetadata> {
        let mut document = self.v2.clone();
        document["filters"] = if filters.is_empty() { Value::Null } else { json!(filters) };
        document["compressor"] = json!(compressor);
        document["order"] = json!("F");
        if self.data_type.is_variable() {
            // Another filter changes the data type of objects.
            document["fill_value"] = Value::Null;
        }
        ArrayMetadata::from_v2(document, None)
    }

    /// Returns the ordinary array-to-bytes codec of the type.
    fn array_to_bytes(&self) -> Value {
        match self.data_type.kind() {
            Kind::String => json!("vlen-utf8"),
            Kind::Bytes => json!("vlen-bytes"),
            Kind::List => {
                let dtype = &self.v2["filters"][0]["dtype"];
                json!({"name": "vlen-array", "configuration": {"dtype": dtype}})
            }
            Kind::Object => json!("json2"),
            _ => json!({"name": "bytes", "configuration": {"endian": "little"}}),
        }
    }
}

fn configuration(row: &Row) -> Value {
    serde_json::from_str(row.example).unwrap()
}

/// Returns the codec as numcodecs spells it.
fn numcodec(row: &Row) -> Value {
    let mut value = configuration(row);
    value["id"] = json!(row.name.strip_prefix("numcodecs.").unwrap_or(row.name));
    value
}

/// An array that can be opened.
struct Case {
    row: &'static Row,
    data_type: DataType,
    /// The position of the codec in the metadata.
    place: &'static str,
    metadata: ArrayMetadata,
}

impl Case {
    fn array(&self) -> (Arc<MemoryStore>, Array) {
        let store = Arc::new(MemoryStore::new());
        let array = Array::new_with_metadata(store.clone(), "a", self.metadata.clone()).unwrap();
        (store, array.with_options(CodecOptions { concurrent_target: 1, ..CodecOptions::default() }))
    }
}

#[allow(clippy::needless_pass_by_value)] // called with json!(...)
fn shard(codecs: Value, index: &Value) -> Value {
    json!({"name": "sharding_indexed", "configuration": {"chunk_shape": [4, 4], "codecs": codecs, "index_codecs": index}})
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for row in rows() {
        for one in types() {
            let codec = json!({"name": row.name, "configuration": configuration(row)});
            let bytes = json!({"name": "bytes", "configuration": {"endian": "little"}});
            let to_bytes = one.array_to_bytes();
            let index = json!([bytes, "crc32c"]);
            let numcodec = numcodec(row);
            let object = one.v2["filters"].get(0).cloned();
            let before: Vec<&Value> = object.iter().collect();
            let (in_front, after) =
                ([vec![&numcodec], before.clone()].concat(), [before.clone(), vec![&numcodec]].concat());
            let shape = [8, 6];
            let halves = json!({"name": "sharding_indexed", "configuration": {
                "chunk_shape": shape, "codecs": [codec, to_bytes], "index_codecs": index, "index_location": "start"}});
            for (place, metadata) in [
                ("alone", one.with_codecs(&json!([codec]))),
                ("before bytes", one.with_codecs(&json!([codec, bytes]))),
                ("filter", one.with_codecs(&json!([codec, to_bytes]))),
                ("filter before a shard", one.with_codecs(&json!([codec, shard(json!([bytes]), &index)]))),
                ("of bytes", one.with_codecs(&json!([to_bytes, codec]))),
                ("of bytes of a shard", one.with_codecs(&json!([shard(json!([to_bytes]), &index), codec]))),
                ("alone in a shard", one.with_codecs(&json!([shard(json!([codec]), &index)]))),
                ("filter in a shard", one.with_codecs(&json!([halves]))),
                ("of bytes in a shard", one.with_codecs(&json!([shard(json!([to_bytes, codec]), &index)]))),
                ("of an index", one.with_codecs(&json!([shard(json!([to_bytes]), &json!([bytes, codec]))]))),
                ("V2 alone", one.with_filters(&[&numcodec], None)),
                ("V2 filter", one.with_filters(&in_front, None)),
                ("V2 behind", one.with_filters(&after, None)),
                ("V2 compressor", one.with_filters(&before, Some(&numcodec))),
            ] {
                let opened = metadata.and_then(|metadata| {
                    Array::new_with_metadata(Arc::new(MemoryStore::new()), "", metadata.clone())?;
                    Ok(metadata)
                });
                match opened {
                    Ok(metadata) => cases.push(Case { row, data_type: metadata.data_type.clone(), place, metadata }),
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::InvalidMetadata | ErrorKind::Unsupported),
                        "{} of {}, {place}: {error}",
                        row.name,
                        one.data_type
                    ),
                }
            }
        }
    }
    cases
}

fn select(array: &Array, selection: &Selection) -> Result<ArrayBytes> {
    let (shape, data_type) = (selection.shape(), array.data_type());
    ArrayBytes::read(data_type, &shape, &mut |bytes| {
        let heaps = Heaps::new(array.fill_value().bytes());
        let output = OutputBuffer::new(bytes, &shape, data_type.size())?.with_heaps(&heaps);
        array.retrieve_selection_into(selection, output)?;
        Ok(heaps)
    })
}

fn selections() -> Vec<Selection> {
    let axis = |(start, step, length): (u64, i64, u64)| AxisSelection { start, step, length };
    [
        [(5, 1, 1), (0, 1, 17)],
        [(0, 1, 13), (3, 1, 1)],
        [(9, 1, 1), (13, 1, 1)],
        [(1, 3, 4), (0, 5, 4)],
        [(12, -1, 13), (16, -3, 6)],
        [(2, 1, 3), (14, -4, 3)],
        [(6, 1, 4), (10, 1, 5)],
    ]
    .map(|axes| Selection::new(axes.map(axis).to_vec()).unwrap())
    .to_vec()
}

/// Stores elements and reads them again; poor elements if the codec cannot encode others.
fn store(case: &Case) -> Option<(Arc<MemoryStore>, Array, ArrayBytes)> {
    let mut last = None;
    for poor in [false, true] {
        let (store, array) = case.array();
        let given = elements(&case.data_type, poor);
        if let Err(error) = array.store_array_subset(&array.subset_all(), &given) {
            assert!(matches!(error.kind(), ErrorKind::InvalidSelection | ErrorKind::Unsupported), "{error}");
            last = Some(error);
            continue;
        }
        let found: ArrayBytes = array.retrieve_array_subset(&array.subset_all()).unwrap();
        if found == given || (poor && case.row.lossy.contains(&case.data_type.name())) {
            return Some((store, array, found));
        }
        assert!(!poor, "other elements than were stored");
    }
    let is_known = case.row.unencodable.contains(&case.data_type.name());
    assert!(is_known, "nothing can be stored: {}", last.unwrap());
    None
}

/// Reads the whole and parts, with every cache.
fn check_reads(array: &Array, whole: &ArrayBytes) {
    let mut selections: Vec<_> = selections().iter().map(|one| (one.clone(), gather(whole, one))).collect();
    selections.push((Selection::from(&array.subset_all()), whole.clone()));
    let caches = [
        None,
        Some(ChunkCache::decoded(CacheLimit::Bytes(1 << 20))),
        Some(ChunkCache::encoded(CacheLimit::Bytes(1 << 20))),
    ];
    for cache in caches {
        let kind = format!("{cache:?}");
        let array = array.with_cache(cache);
        for (selection, expected) in selections.iter().chain(&selections[..1]) {
            assert!(select(&array, selection).unwrap() == *expected, "{selection:?}, {kind}");
        }
    }
    for chunk in ArraySubset::new_with_shape(&array.chunk_grid_shape()).indices() {
        let decoder = array.partial_decoder(&chunk).unwrap();
        let inside = array.chunk_subset_bounded(&chunk).unwrap();
        let origin = array.chunk_subset(&chunk).unwrap();
        let middle: Vec<u64> = inside.shape().iter().map(|length| length / 2).collect();
        let one = ArraySubset::new_with_start_shape(&middle, &[1, 1]).unwrap();
        let row = ArraySubset::new_with_start_shape(&[middle[0], 0], &[1, inside.shape()[1]]).unwrap();
        let all = ArraySubset::new_with_shape(inside.shape());
        let regions = [one, row, all];
        for _ in 0..2 {
            let found: Vec<ArrayBytes> = decoder.partial_decode(&regions).unwrap();
            for (region, found) in regions.iter().zip(found) {
                let start: Vec<u64> = region.start().iter().zip(origin.start()).map(|(a, b)| a + b).collect();
                let absolute = ArraySubset::new_with_start_shape(&start, region.shape()).unwrap();
                assert!(found == gather(whole, &Selection::from(&absolute)), "decoder of {chunk:?}, {region}");
            }
        }
    }
}

/// Checks that a missing chunk reads as the fill value.
fn check_missing(array: &Array, store: &MemoryStore) {
    let key = array.chunk_key(&[0, 1]).unwrap();
    let kept = array.retrieve_encoded_chunk(&[0, 1]).unwrap().unwrap();
    store.erase(&key).unwrap();
    let found: ArrayBytes = array.retrieve_chunk(&[0, 1]).unwrap();
    assert!((0..96).all(|at| element(&found, at) == array.fill_value().bytes()), "a missing chunk");
    store.set(&key, &kept).unwrap();
}

/// The first chunk, and one element in it.
struct Due {
    chunk: ArrayBytes,
    place: Selection,
    one: ArrayBytes,
}

impl Due {
    fn new(array: &Array) -> Self {
        let place = Selection::from(&ArraySubset::new_with_ranges(&[3..4, 5..6]));
        let one = select(array, &place).unwrap();
        Self { chunk: array.retrieve_chunk(&[0, 0]).unwrap(), place, one }
    }
}

/// Checks that a truncated chunk is an error, or reads correctly.
fn check_cuts(case: &Case, array: &Array, store: &MemoryStore, expected: &Due) {
    let key = array.chunk_key(&[0, 0]).unwrap();
    let stored = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
    // Fewer truncations where other cases test the same code.
    let most = if case.place.contains("shard") || case.place.starts_with("V2") { 40 } else { 200 };
    let step = stored.len().div_ceil(most).max(1);
    let lengths: BTreeSet<usize> =
        (0..stored.len()).step_by(step).chain([1, stored.len() - 1]).filter(|length| *length < stored.len()).collect();
    for length in lengths {
        store.set(&key, &stored[..length]).unwrap();
        match array.retrieve_chunk::<ArrayBytes>(&[0, 0]) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::CorruptData, "{length} of {}: {error}", stored.len()),
            Ok(found) => {
                assert!(found == expected.chunk, "other elements, of {length} of {} bytes", stored.len());
                assert!(
                    case.row.undetected.contains(&Damage::UnusedEnd),
                    "{length} of {} bytes are enough",
                    stored.len()
                );
            }
        }
        match select(array, &expected.place) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::CorruptData, "{length} of {}: {error}", stored.len()),
            Ok(found) => {
                // A truncated index that passes for another one points to other elements.
                let misled = case.place == "of an index" && case.row.undetected.contains(&Damage::Noise);
                assert!(misled || found == expected.one, "another element, of {length} of {} bytes", stored.len());
            }
        }
    }
    store.set(&key, &stored).unwrap();
}

/// Checks that a chunk with a wrong byte gives a result or an error.
fn check_damage(array: &Array, store: &MemoryStore, expected: &Due) {
    let key = array.chunk_key(&[0, 0]).unwrap();
    let stored = array.retrieve_encoded_chunk(&[0, 0]).unwrap().unwrap();
    let mut random = Random(stored.len() as u64);
    let mut unusual = BTreeSet::new();
    for _ in 0..30 {
        let mut damaged = stored.clone();
        damaged[random.below(stored.len())] ^= 1 + random.below(255) as u8;
        store.set(&key, &damaged).unwrap();
        let careless = array.with_options(CodecOptions { validate_checksums: false, ..array.options() });
        let whole = |array: &Array| array.retrieve_chunk::<ArrayBytes>(&[0, 0]);
        let reads =
            [whole(array), whole(&careless), select(array, &expected.place), select(&careless, &expected.place)];
        unusual.extend(reads.into_iter().filter_map(|read| match read.err()?.kind() {
            ErrorKind::CorruptData | ErrorKind::Unsupported => None,
            kind => Some(format!("{kind:?}")),
        }));
    }
    assert!(unusual.is_empty(), "damaged bytes are no error of {unusual:?}");
}

fn check(case: &Case) {
    let Some((store, array, whole)) = self::store(case) else { return };
    check_reads(&array, &whole);
    let (_, again) = case.array();
    again.store_array_subset(&again.subset_all(), &whole).unwrap();
    assert!(again.retrieve_array_subset::<ArrayBytes>(&again.subset_all()).unwrap() == whole, "not the same again");
    check_missing(&array, &store);
    let expected = Due::new(&array);
    check_cuts(case, &array, &store, &expected);
    check_damage(&array, &store, &expected);
}

#[test]
fn every_codec_works_with_every_data_type() {
    let cases = cases();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(case))) {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?").to_owned();
                failures
                    .lock()
                    .unwrap()
                    .insert(format!("{} of {}, {}", case.row.name, case.data_type, case.place), text);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} fail: {failures:#?}", failures.len(), cases.len());

    // Every row and data type is tested.
    let tested: BTreeSet<_> = cases.iter().map(|case| case.row.name).collect();
    for row in rows() {
        assert_eq!(tested.contains(row.name), !row.is_refused, "{}", row.name);
    }
    for one in types() {
        let is_encoded = |case: &Case| case.data_type == one.data_type && ["alone", "of bytes"].contains(&case.place);
        assert!(cases.iter().any(is_encoded), "{} has no array-to-bytes codec", one.data_type);
    }
    let mut places = BTreeMap::new();
    for case in &cases {
        *places.entry(case.place).or_insert(0) += 1;
    }
    assert_eq!(places.len(), 14, "{places:?}");
    assert!(cases.len() >= 7020, "{} {places:?}", cases.len());
}

/// Inner chunks of slots would need the bytes of the elements.
#[test]
fn a_shard_of_strings_after_a_reshape_is_refused() {
    let string = types().into_iter().find(|one| one.data_type.kind() == Kind::String).unwrap();
    let reshape = json!({"name": "reshape", "configuration": {"shape": [[0], [1]]}});
    let index = json!([{"name": "bytes", "configuration": {"endian": "little"}}]);
    let error = string.with_codecs(&json!([reshape, shard(json!(["vlen-utf8"]), &index)])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
