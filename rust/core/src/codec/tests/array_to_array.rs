//! Array-to-array codecs and `packbits`: properties of every row with every data type of numbers.

use std::sync::Arc;

use serde_json::json;

use crate::array::Array;
use crate::codec::array_to_array::number::real::{Real, Wide};
use crate::codec::{ArrayToArray, ArrayToBytes, Codec, Named, create, rows};
use crate::data_type::DataType;
use crate::error::{ErrorKind, Result};
use crate::store::{MemoryStore, WritableStore};
use crate::subset::ArraySubset;

pub(super) fn named(data_type: &str) -> DataType {
    DataType::from_name(data_type).unwrap()
}

pub(super) fn try_codec(name: &str, configuration: &str, data_type: &DataType) -> Result<Codec> {
    create(&Named { name: name.into(), configuration: serde_json::from_str(configuration).unwrap() }, data_type)
}

pub(super) fn filter(name: &str, configuration: &str, data_type: &str) -> Arc<dyn ArrayToArray> {
    match try_codec(name, configuration, &named(data_type)) {
        Ok(Codec::ArrayToArray(codec)) => codec,
        other => panic!("{name} {configuration} {data_type}: {other:?}"),
    }
}

pub(super) fn packer(name: &str, configuration: &str, data_type: &DataType) -> Arc<dyn ArrayToBytes> {
    match try_codec(name, configuration, data_type) {
        Ok(Codec::ArrayToBytes(codec)) => codec,
        other => panic!("{name} {configuration} {data_type}: {other:?}"),
    }
}

pub(super) fn encode(codec: &dyn ArrayToArray, decoded: &[u8], count: usize) -> Result<Vec<u8>> {
    let mut encoded = vec![0xa5; count * codec.encoded_type().size()];
    codec.encode(decoded, &mut encoded).map(|()| encoded)
}

pub(super) fn decode(codec: &dyn ArrayToArray, encoded: &[u8], size: usize) -> Result<Vec<u8>> {
    let mut decoded = vec![0xa5; size];
    codec.decode(encoded, &mut decoded).map(|()| decoded)
}

pub(super) fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// Elements of a type that are 2 or 3, or the closest numbers.
fn elements(data_type: &DataType, count: usize) -> Vec<u8> {
    let numbers: Vec<f64> =
        (0..count * data_type.size() / data_type.word()).map(|k| 2.0 + (k * k / 3 % 2) as f64).collect();
    let word = match data_type.name() {
        "complex64" => named("float32"),
        "complex128" => named("float64"),
        _ => data_type.clone(),
    };
    let mut bytes = vec![0; count * data_type.size()];
    Real::of(&word).unwrap().store(&Wide::F64(numbers), &mut bytes);
    bytes
}

const COUNTS: [usize; 7] = [0, 1, 7, 8, 9, 100, 2500];

#[test]
fn every_codec_takes_a_type_and_is_stable() {
    let mut filters = 0;
    for row in rows() {
        let mut taken = 0;
        for data_type in DataType::all() {
            let Ok(Codec::ArrayToArray(codec)) = try_codec(row.name, row.example, &data_type) else { continue };
            let (size, encoded_size) = (data_type.size(), codec.encoded_type().size());
            for count in COUNTS {
                let first = elements(&data_type, count);
                // Few types are too small for the example.
                let Ok(encoded) = encode(&*codec, &first, count) else {
                    assert!(data_type.bits() <= 8);
                    continue;
                };
                let decoded = decode(&*codec, &encoded, count * size).unwrap();
                let again = encode(&*codec, &decoded, count).unwrap();
                assert_eq!(again, encoded, "{} {data_type}", row.name);
                taken += usize::from(count > 0);
                if codec.elementwise() && count > 8 {
                    let part = decode(&*codec, &encoded[3 * encoded_size..8 * encoded_size], 5 * size).unwrap();
                    assert_eq!(part, decoded[3 * size..8 * size], "{} {data_type}", row.name);
                }
                decode(&*codec, &encoded, (count + 1) * size).unwrap_err();
                if count > 0 {
                    decode(&*codec, &encoded, (count - 1) * size).unwrap_err();
                    let error = decode(&*codec, &encoded[1..], count * size).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::CorruptData);
                }
            }
            // Any bytes give a result or an error.
            let _ = decode(&*codec, &noise(5000 * encoded_size), 5000 * size);
            let _ = encode(&*codec, &noise(5000 * size), 5000);
        }
        if matches!(try_codec(row.name, row.example, &named("float64")), Ok(Codec::ArrayToArray(_))) {
            filters += 1;
            assert!(taken > 0, "{} takes no type", row.name);
        }
    }
    assert!(filters >= 7);
}

#[test]
fn packbits_takes_types_and_decodes_parts() {
    let mut packers = 0;
    for (name, configuration) in [
        ("packbits", "{}"),
        ("packbits", r#"{"padding_encoding": "first_byte", "first_bit": 1}"#),
        ("packbits", r#"{"padding_encoding": "last_byte", "first_bit": 0, "last_bit": 2}"#),
        ("packbits", r#"{"padding_encoding": "none", "first_bit": null, "last_bit": 50}"#),
        ("numcodecs.packbits", "{}"),
    ] {
        for data_type in DataType::all() {
            let Ok(Codec::ArrayToBytes(codec)) = try_codec(name, configuration, &data_type) else { continue };
            packers += 1;
            for count in COUNTS {
                let shape = [count as u64];
                let mut encoded = b"before".to_vec();
                codec.encode(&elements(&data_type, count), &shape, &mut encoded).unwrap();
                let encoded = &encoded[6..];
                assert_eq!(codec.encoded_size(&shape).bound(), encoded.len() as u64);
                let mut decoded = vec![0xa5; count * data_type.size()];
                codec.decode(encoded, &shape, &mut decoded).unwrap();
                if configuration == "{}" {
                    assert_eq!(decoded, elements(&data_type, count), "{data_type}");
                }
                let mut again = Vec::new();
                codec.encode(&decoded, &shape, &mut again).unwrap();
                assert_eq!(again, encoded, "{name} {data_type}");
                for end in 0..encoded.len().min(40) {
                    let error = codec.decode(&encoded[..end], &shape, &mut decoded.clone()).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::CorruptData);
                }
                codec.decode(encoded, &[count as u64 + 8], &mut decoded.clone()).unwrap_err();
                assert_eq!(codec.part(0, count as u64 + 1, &shape), None);
                for (first, length) in [(0, count.min(3)), (count / 3, count / 2), (count / 2, count - count / 2)] {
                    let Some(part) = codec.part(first as u64, length as u64, &shape) else {
                        // The padding has to be checked.
                        assert!(configuration.contains("byte") || name == "numcodecs.packbits");
                        continue;
                    };
                    let part = &encoded[part.start as usize..part.end as usize];
                    let mut found = vec![0xa5; length * data_type.size()];
                    codec.decode_part(part, first as u64, &mut found).unwrap();
                    assert_eq!(found, decoded[first * data_type.size()..][..found.len()], "{name} {data_type}");
                    if length > 0 {
                        codec.decode_part(&part[1..], first as u64, &mut found).unwrap_err();
                    }
                }
            }
        }
    }
    assert!(packers > 60);
}

#[test]
fn scale_and_offset_are_exact_or_refused() {
    let run = |configuration: &str, data_type: &str, decoded: &[u8]| {
        let codec = filter("scale_offset", configuration, data_type);
        let encoded = encode(&*codec, decoded, decoded.len() / named(data_type).size())?;
        assert_eq!(decode(&*codec, &encoded, decoded.len()).unwrap(), decoded);
        Ok::<_, crate::Error>(encoded)
    };
    assert_eq!(run(r#"{"offset": 100, "scale": 2}"#, "uint8", &[100, 101, 227]).unwrap(), [0, 2, 254]);
    assert_eq!(run("{}", "int8", &[128, 127]).unwrap(), [128, 127]);
    for (data_type, bytes) in [("uint8", [99]), ("uint8", [228]), ("int8", [27]), ("uint4", [3])] {
        let configuration = if data_type == "uint4" { r#"{"scale": 8}"# } else { r#"{"offset": 100, "scale": 2}"# };
        assert_eq!(run(configuration, data_type, &bytes).unwrap_err().kind(), ErrorKind::InvalidSelection);
    }
    let odd = decode(&*filter("scale_offset", r#"{"scale": 2}"#, "int8"), &[3], 1).unwrap_err();
    assert_eq!(odd.kind(), ErrorKind::CorruptData);
    let lowest = decode(&*filter("scale_offset", r#"{"scale": -1}"#, "int64"), &i64::MIN.to_ne_bytes(), 8);
    assert_eq!(lowest.unwrap_err().kind(), ErrorKind::CorruptData);
    let values = [5.0f32, 25.0, -5.0].map(f32::to_ne_bytes).concat();
    assert_eq!(
        run(r#"{"offset": 5, "scale": 0.1}"#, "float32", &values).unwrap(),
        [0.0f32, 2.0, -1.0].map(f32::to_ne_bytes).concat()
    );
}

#[test]
fn wrong_configurations_are_refused() {
    for (name, configuration, data_type) in [
        ("scale_offset", r#"{"scale": 0}"#, "int8"),
        ("scale_offset", r#"{"scale": 300}"#, "uint8"),
        ("scale_offset", r#"{"offset": 1, "step": 3}"#, "uint8"),
        ("cast_value", "{}", "int8"),
        ("cast_value", r#"{"data_type": "float32", "out_of_range": "wrap"}"#, "int8"),
        ("cast_value", r#"{"data_type": "int8", "rounding": "up"}"#, "float32"),
        ("cast_value", r#"{"data_type": "int8", "scalar_map": {"encode": [["NaN", 128]]}}"#, "float32"),
        ("cast_value", r#"{"data_type": "int8", "scalar_map": {"encode": [["NaN"]]}}"#, "float32"),
        ("bitround", r#"{"keepbits": 24}"#, "float32"),
        ("bitround", r#"{"keepbits": 0}"#, "int32"),
        ("bitround", r#"{"keepbits": -1}"#, "float32"),
        ("packbits", r#"{"first_bit": 3, "last_bit": 2}"#, "uint8"),
        ("packbits", r#"{"last_bit": 8}"#, "uint8"),
        ("packbits", r#"{"padding_encoding": "start"}"#, "uint8"),
        ("numcodecs.delta", r#"{"dtype": "<i4"}"#, "int16"),
        ("numcodecs.quantize", r#"{"digits": 400}"#, "float32"),
        ("numcodecs.fixedscaleoffset", r#"{"offset": 1}"#, "float32"),
        ("numcodecs.astype", "{}", "float32"),
    ] {
        let error = try_codec(name, configuration, &named(data_type)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidMetadata, "{name} {configuration}: {error}");
    }
    for (name, configuration, data_type) in [
        ("scale_offset", "{}", "bool"),
        ("cast_value", r#"{"data_type": "complex64"}"#, "float32"),
        ("bitround", r#"{"keepbits": 1}"#, "bool"),
        ("packbits", "{}", "r16"),
        ("numcodecs.packbits", "{}", "uint8"),
        ("numcodecs.delta", "{}", "bool"),
        ("numcodecs.delta", "{}", "bfloat16"),
        ("numcodecs.delta", r#"{"astype": "<i3"}"#, "int32"),
        ("numcodecs.quantize", r#"{"digits": 1}"#, "int32"),
        ("numcodecs.fixedscaleoffset", r#"{"offset": 1, "scale": 1}"#, "complex64"),
        ("numcodecs.astype", r#"{"encode_dtype": "<U3"}"#, "float32"),
    ] {
        let error = try_codec(name, configuration, &named(data_type)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name} {configuration}: {error}");
    }
}

#[test]
fn integers_keep_bits_from_the_first_on() {
    let uint8 = filter("bitround", r#"{"keepbits": 3}"#, "uint8");
    let encoded = encode(&*uint8, &[0, 1, 10, 11, 100, 123, 200, 208, 209, 255], 10).unwrap();
    assert_eq!(encoded, [0, 1, 10, 12, 96, 128, 192, 192, 224, 224]);
    let int8 = filter("bitround", r#"{"keepbits": 1}"#, "int8");
    let encoded = encode(&*int8, &[-128i8, -127, -100, -1, 0, 96, 127].map(i8::cast_unsigned), 7).unwrap();
    assert_eq!(encoded, [-128i8, -128, -128, -1, 0, 64, 64].map(i8::cast_unsigned));
    let time = DataType::time(crate::data_type::Kind::DateTime, "ns", 1).unwrap();
    let Ok(Codec::ArrayToArray(time)) = try_codec("bitround", r#"{"keepbits": 1}"#, &time) else { panic!() };
    let encoded = encode(&*time, &[i64::MIN, -7].map(i64::to_ne_bytes).concat(), 2).unwrap();
    assert_eq!(encoded, [i64::MIN, -8].map(i64::to_ne_bytes).concat());
}

#[test]
fn bits_are_packed_lowest_first() {
    for (configuration, data_type, decoded, encoded) in [
        ("{}", "bool", &[1, 0, 0, 1, 1, 0, 0, 0, 1][..], &[0x19, 0x01][..]),
        (r#"{"padding_encoding": "first_byte"}"#, "bool", &[1, 0, 1], &[5, 5]),
        (r#"{"padding_encoding": "last_byte"}"#, "int4", &[1, 15, 2], &[0xf1, 0x02, 4]),
        (r#"{"first_bit": 4}"#, "int8", &[0x10, 0xf0, 0x80], &[0xf1, 0x08]),
        (r#"{"last_bit": 2}"#, "int8", &[0xff, 0x03], &[0x1f]),
        ("{}", "float6_e2m3fn", &[0x3f, 0x01, 0x20, 0x0f], &[0x7f, 0x00, 0x3e]),
    ] {
        let codec = packer("packbits", configuration, &named(data_type));
        let (shape, mut bytes, mut back) = ([decoded.len() as u64], Vec::new(), vec![0; decoded.len()]);
        codec.encode(decoded, &shape, &mut bytes).unwrap();
        codec.decode(encoded, &shape, &mut back).unwrap();
        assert_eq!((&*bytes, &*back), (encoded, decoded), "{configuration} {data_type}");
    }
    let wrong = packer("packbits", r#"{"padding_encoding": "first_byte"}"#, &named("bool"));
    let error = wrong.decode(&[4, 5], &[3], &mut [0; 3]).unwrap_err();
    assert_eq!(error.message(), "4 bits of padding instead of 5");
}

/// Returns an array in memory, whose metadata and chunk `0` or `c/0` are given.
fn array(files: &[(&str, &[u8])]) -> Array {
    let store = MemoryStore::new();
    for (key, bytes) in files {
        store.set(key, bytes).unwrap();
    }
    Array::open(Arc::new(store), "").unwrap()
}

#[test]
fn codecs_of_both_versions_are_read_and_written() {
    let v2 = |dtype: &str, filters: serde_json::Value| {
        json!({
            "zarr_format": 2, "shape": [6], "chunks": [6], "dtype": dtype, "compressor": null, "fill_value": 0,
            "order": "C", "filters": filters,
        })
        .to_string()
    };
    let scaled = v2(
        "<f8",
        json!([
            {"id": "fixedscaleoffset", "offset": 1000, "scale": 10, "dtype": "<f8", "astype": ">i2"},
            {"id": "delta", "dtype": ">i2", "astype": "|i1"},
        ]),
    );
    let scaled = array(&[(".zarray", scaled.as_bytes()), ("0", &[1, 1, 1, 100, 100, 0xff])]);
    let expected = [1000.1, 1000.2, 1000.3, 1010.3, 1020.3, 1020.2];
    assert_eq!(scaled.retrieve_array_subset::<Vec<f64>>(&ArraySubset::new_with_shape(&[6])).unwrap(), expected);
    let packed = v2("|b1", json!([{"id": "packbits"}]));
    let packed = array(&[(".zarray", packed.as_bytes()), ("0", &[2, 0b1011_0100])]);
    let some = ArraySubset::new_with_ranges(std::slice::from_ref(&(2..5)));
    assert_eq!(packed.retrieve_array_subset::<Vec<bool>>(&some).unwrap(), [true, true, false]);
    let wrong = array(&[(".zarray", v2("|b1", json!([{"id": "packbits"}])).as_bytes()), ("0", &[200, 0b1011_0100])]);
    for part in [0..6, 2..5] {
        let part = ArraySubset::new_with_ranges(std::slice::from_ref(&part));
        let error = wrong.retrieve_array_subset::<Vec<bool>>(&part).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptData);
    }
    let v3 = json!({
        "zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "float64", "fill_value": "NaN",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}}, "chunk_key_encoding": "default",
        "codecs": [
            {"name": "scale_offset", "configuration": {"offset": -10, "scale": 0.1}},
            {"name": "cast_value", "configuration": {
                "data_type": "uint8", "scalar_map": {"encode": [["NaN", 0]], "decode": [[0, "NaN"]]},
            }},
            {"name": "packbits", "configuration": {"last_bit": 3}},
        ],
    })
    .to_string();
    let cast = array(&[("zarr.json", v3.as_bytes()), ("c/0", &[0x21, 0x30])]);
    let found = cast.retrieve_array_subset::<Vec<f64>>(&ArraySubset::new_with_shape(&[4])).unwrap();
    assert_eq!(found[..2], [0.0, 10.0]);
    assert!(found[2].is_nan());
    assert_eq!(
        cast.retrieve_array_subset::<Vec<f64>>(&ArraySubset::new_with_ranges(std::slice::from_ref(&(3..4)))).unwrap(),
        [20.0]
    );
}

#[test]
fn a_fill_value_that_cannot_be_encoded_is_refused() {
    let open = |data_type: &str, fill_value: serde_json::Value, codec: serde_json::Value| {
        let metadata = json!({
            "zarr_format": 3, "node_type": "array", "shape": [4], "data_type": data_type, "fill_value": fill_value,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}}, "chunk_key_encoding": "default",
            "codecs": [codec, {"name": "bytes", "configuration": {"endian": "little"}}],
        });
        let store = MemoryStore::new();
        store.set("zarr.json", metadata.to_string().as_bytes()).unwrap();
        Array::open(Arc::new(store), "").map(|_| ())
    };
    let cast = |map: serde_json::Value| json!({"name": "cast_value", "configuration": {"data_type": "uint8", "scalar_map": map}});
    let scale = json!({"name": "scale_offset", "configuration": {"offset": 100}});
    let there = json!({"encode": [["NaN", 0]], "decode": [[0, "NaN"]]});
    open("float32", json!(255), cast(json!({}))).unwrap();
    open("float32", json!("NaN"), cast(there)).unwrap();
    open("int8", json!(-28), scale.clone()).unwrap();
    for (error, message) in [
        (
            open("int16", json!(300), cast(json!({}))),
            "codec cast_value: cannot encode the fill value: element 0: 300 is",
        ),
        (
            open("float32", json!("NaN"), cast(json!({}))),
            "codec cast_value: cannot encode the fill value: element 0: NaN is",
        ),
        (open("int8", json!(-29), scale), "codec scale_offset: cannot encode the fill value: element 0: -29 minus"),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidMetadata);
        assert!(error.to_string().contains(message), "{error}");
    }
    // Codecs of numcodecs do not need the fill value.
    let quantize = json!({"name": "numcodecs.astype", "configuration": {"encode_dtype": "<i2", "decode_dtype": "<f4"}});
    open("float32", json!("NaN"), quantize).unwrap();
}
