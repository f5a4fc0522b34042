//! Array-to-bytes codecs, and array-to-array codecs of text: properties of every row, and bytes that numcodecs wrote.

use crate::ErrorKind;
use crate::codec::row::{Damage, Row};
use crate::codec::rows;
use crate::codec::*;
use crate::data_type::Kind;

mod documents;
mod numbers;

/// The elements of a chunk.
enum Elements {
    Fixed(Vec<u8>),
    Variable(Vec<Vec<u8>>),
}

fn types() -> Vec<DataType> {
    let codes = ["V3", "S3", "U4", "M8[ns]", "m8[25us]"].map(|code| DataType::from_code(code).unwrap());
    let named = ["string", "variable_length_bytes"].map(|name| DataType::from_name(name).unwrap());
    let list = DataType::list(DataType::from_name("int16").unwrap(), cfg!(target_endian = "big")).unwrap();
    DataType::all().chain(codes).chain(named).chain([list, DataType::object()]).collect()
}

/// Elements that every codec of their type can encode.
fn elements(data_type: &DataType, count: usize) -> Elements {
    let labels = ["a", "long", "é", ""];
    match data_type.kind() {
        Kind::String => Elements::Variable((0..count).map(|k| labels[k * k % 4].into()).collect()),
        Kind::Bytes => Elements::Variable((0..count).map(|k| vec![k as u8; k % 5]).collect()),
        Kind::List => Elements::Variable((0..count).map(|k| vec![k as u8; k % 5 * 2]).collect()),
        Kind::Object => {
            let texts = [r#"{"a":[1,-2.5]}"#, "\"e\\n\\\"\"", "null", "NaN", "18446744073709551615", "[]", "true"];
            Elements::Variable((0..count).map(|k| texts[k * k % 7].into()).collect())
        }
        Kind::FixedText => Elements::Fixed(
            (0..count)
                .flat_map(|k| (0..4).map(move |at| labels[k * k % 4].chars().nth(at).map_or(0, u32::from)))
                .flat_map(u32::to_ne_bytes)
                .collect(),
        ),
        _ => {
            let (size, word) = (data_type.size(), data_type.word());
            let most = if data_type.bits() < 8 { 2 } else { 100 };
            let mut bytes = vec![0; count * size];
            for (k, element) in bytes.chunks_exact_mut(size).enumerate() {
                let low = if cfg!(target_endian = "big") { word - 1 } else { 0 };
                element[low] = (k * k % most) as u8;
            }
            Elements::Fixed(bytes)
        }
    }
}

fn encode(codec: &Codec, elements: &Elements, shape: &[u64]) -> Result<Vec<u8>> {
    let mut encoded = b"before".to_vec();
    match (codec, elements) {
        (Codec::ArrayToBytes(codec), Elements::Fixed(elements)) => {
            codec.encode(elements, shape, &mut encoded)?;
            let bound = codec.encoded_size(shape).bound();
            assert!(encoded.len() as u64 - 6 <= bound, "{codec:?}: {} bytes, bound {bound}", encoded.len() - 6);
        }
        (Codec::VariableToBytes(codec), Elements::Variable(elements)) => {
            let elements: Vec<_> = elements.iter().map(Vec::as_slice).collect();
            codec.encode(&elements, shape, &mut encoded)?;
        }
        (Codec::ArrayToArray(codec), Elements::Fixed(elements)) => {
            let count = shape.iter().product::<u64>() as usize;
            encoded.resize(6 + count * codec.encoded_type().size(), 0);
            codec.encode(elements, &mut encoded[6..])?;
        }
        _ => panic!("{codec:?} for other elements"),
    }
    assert!(encoded.starts_with(b"before"));
    Ok(encoded.split_off(6))
}

fn decode(codec: &Codec, encoded: &[u8], elements: &Elements, shape: &[u64]) -> Result<Elements> {
    match (codec, elements) {
        (Codec::ArrayToBytes(codec), Elements::Fixed(elements)) => {
            // Off by one, so that the elements are not aligned.
            let mut decoded = vec![0xa5; elements.len() + 1];
            codec.decode(encoded, shape, &mut decoded[1..])?;
            Ok(Elements::Fixed(decoded.split_off(1)))
        }
        (Codec::VariableToBytes(codec), Elements::Variable(_)) => {
            let (slots, heap) = codec.decode(encoded, shape)?;
            let heap = heap.as_deref().unwrap_or(encoded);
            Ok(Elements::Variable(slots.into_iter().map(|slot| slot.of(heap).unwrap().to_vec()).collect()))
        }
        (Codec::ArrayToArray(codec), Elements::Fixed(elements)) => {
            let mut decoded = vec![0xa5; elements.len()];
            codec.decode(encoded, &mut decoded)?;
            Ok(Elements::Fixed(decoded))
        }
        _ => panic!("{codec:?} for other elements"),
    }
}

#[track_caller]
fn same(name: &str, found: &Elements, expected: &Elements) {
    match (found, expected) {
        (Elements::Fixed(found), Elements::Fixed(expected)) => {
            assert!(found == expected, "{name}: {found:?} not {expected:?}");
        }
        (Elements::Variable(found), Elements::Variable(expected)) => {
            let shown = |elements: &[Vec<u8>]| -> Vec<String> {
                elements.iter().map(|element| String::from_utf8_lossy(element).into_owned()).collect()
            };
            assert!(found == expected, "{name}: {:?} not {:?}", shown(found), shown(expected));
        }
        _ => panic!(),
    }
}

/// Lists every codec with every data type that its example can encode. Array-to-array codecs of numbers, which may be
/// lossy or refuse numbers, are tested elsewhere.
fn codecs() -> Vec<(&'static Row, Codec, DataType)> {
    let mut codecs = Vec::new();
    for row in rows() {
        for data_type in types() {
            let codec = (row.create)(&serde_json::from_str(row.example).unwrap(), &data_type);
            let may_lose = matches!(codec, Ok(Codec::ArrayToArray(_))) && data_type.kind() != Kind::FixedText;
            if let Ok(codec @ (Codec::ArrayToBytes(_) | Codec::VariableToBytes(_) | Codec::ArrayToArray(_))) = codec
                && !may_lose
            {
                codecs.push((row, codec, data_type));
            }
        }
    }
    assert!(codecs.len() > 70, "{}", codecs.len());
    codecs
}

#[test]
fn what_is_encoded_decodes_again() {
    for (row, codec, data_type) in codecs() {
        for shape in [&[8, 12][..], &[96], &[], &[1, 1, 1], &[2, 3, 5, 4], &[700]] {
            let elements = elements(&data_type, shape.iter().product::<u64>() as usize);
            let encoded = encode(&codec, &elements, shape).unwrap();
            let decoded = decode(&codec, &encoded, &elements, shape).unwrap();
            same(&format!("{} of {data_type}, {shape:?}", row.name), &decoded, &elements);
        }
    }
}

#[test]
fn missing_and_additional_bytes_are_errors() {
    for (row, codec, data_type) in codecs() {
        if matches!(codec, Codec::ArrayToArray(_)) {
            continue;
        }
        for shape in [&[8, 12][..], &[7]] {
            let elements = elements(&data_type, shape.iter().product::<u64>() as usize);
            let encoded = encode(&codec, &elements, shape).unwrap();
            let refuses = |encoded: &[u8]| match decode(&codec, encoded, &elements, shape) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::CorruptData, "{} of {data_type}: {error}", row.name),
                Ok(decoded) if row.undetected.contains(&Damage::UnusedEnd) => same(row.name, &decoded, &elements),
                Ok(_) => panic!("{} of {data_type}: {} of its bytes are enough", row.name, encoded.len()),
            };
            (0..encoded.len()).for_each(|end| refuses(&encoded[..end]));
            for after in [&b"\0"[..], b"1", b"behind ever"] {
                refuses(&[&encoded[..], after].concat());
            }
        }
    }
}

#[test]
fn damaged_bytes_do_no_harm() {
    for (_, codec, data_type) in codecs() {
        for shape in [&[8, 12][..], &[7]] {
            let elements = elements(&data_type, shape.iter().product::<u64>() as usize);
            let encoded = encode(&codec, &elements, shape).unwrap();
            for at in 0..encoded.len() {
                for flip in [0xff, 0x80, 0x01, 0x10, 0x42] {
                    let mut damaged = encoded.clone();
                    damaged[at] ^= flip;
                    let _ = decode(&codec, &damaged, &elements, shape);
                }
            }
            let mut state = 1_u64;
            for _ in 0..200 {
                let mut damaged = encoded.clone();
                for _ in 0..3 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    damaged[(state >> 33) as usize % encoded.len()] = (state >> 25) as u8;
                }
                let _ = decode(&codec, &damaged, &elements, shape);
            }
        }
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn codec(name: &str, configuration: &str, data_type: &DataType) -> Result<Codec> {
    create(&Named { name: name.into(), configuration: serde_json::from_str(configuration).unwrap() }, data_type)
}

fn of(name: &str) -> DataType {
    DataType::from_name(name).unwrap()
}

fn texts(texts: &[&str]) -> Elements {
    Elements::Variable(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
}

#[test]
fn lists_and_labels_that_numcodecs_wrote_decode() {
    let list = DataType::list(of("int16"), false).unwrap();
    let vlen = codec("vlen-array", r#"{"dtype": "<i2"}"#, &list).unwrap();
    let expected = Elements::Variable(vec![vec![1, 0, 2, 0], vec![], vec![0xfd, 0xff]]);
    let encoded = from_hex("0300000004000000010002000000000002000000fdff");
    same("vlen-array", &decode(&vlen, &encoded, &expected, &[3]).unwrap(), &expected);
    assert_eq!(encode(&vlen, &expected, &[3]).unwrap(), encoded);
    assert!(decode(&vlen, &from_hex("0100000003000000010002"), &expected, &[1]).is_err());
    assert!(encode(&vlen, &Elements::Variable(vec![vec![1]]), &[1]).is_err());
    for (dtype, list) in [("<i4", &list), (">i2", &list), ("<i2", &of("string"))] {
        assert!(codec("vlen-array", &format!(r#"{{"dtype": "{dtype}"}}"#), list).is_err());
    }

    let configuration = r#"{"labels": ["a", "long", "é"], "dtype": "|O", "astype": "<u2"}"#;
    let categorize = codec("categorize", configuration, &of("string")).unwrap();
    let expected = texts(&["long", "", "a", "é"]);
    same("categorize", &decode(&categorize, &from_hex("0200000001000300"), &expected, &[4]).unwrap(), &expected);
    assert_eq!(encode(&categorize, &expected, &[4]).unwrap(), from_hex("0200000001000300"));
    assert_eq!(encode(&categorize, &texts(&["b"]), &[1]).unwrap_err().kind(), ErrorKind::Unsupported);
    for wrong in ["0400", "00", "000000"] {
        let error = decode(&categorize, &from_hex(wrong), &expected, &[1]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::CorruptData);
    }
    let many: Vec<_> = (0..256).map(|k| k.to_string()).collect();
    for (count, astype, fits) in [(255, "|u1", true), (256, "|u1", false), (127, "|i1", true), (128, "|i1", false)] {
        let configuration = serde_json::json!({"labels": many[..count], "dtype": "|O", "astype": astype}).to_string();
        assert_eq!(codec("categorize", &configuration, &of("string")).is_ok(), fits, "{count} {astype}");
    }
}

#[test]
fn pickles_are_refused() {
    for name in ["pickle", "numcodecs.pickle"] {
        let error = codec(name, r#"{"protocol": 5}"#, &DataType::object()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("run code"), "{error}");
    }
}

/// Not a test: `cargo test --release -- --ignored --nocapture strings_are_fast`.
#[test]
#[ignore = "a measurement"]
fn strings_are_fast() {
    for (what, end) in [("ASCII", ""), ("other", "é")] {
        let strings: Vec<Vec<u8>> = (0..1_000_000).map(|k| format!("string {k}{end}").into_bytes()).collect();
        let elements: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
        let shape = [elements.len() as u64];
        let Ok(Codec::VariableToBytes(vlen)) = codec("vlen-utf8", "{}", &of("string")) else { panic!() };
        let mut encoded = Vec::new();
        vlen.encode(&elements, &shape, &mut encoded).unwrap();
        let named = Named { name: "vlen-utf8".into(), configuration: Configuration::new() };
        let fill_value = crate::fill_value::FillValue::new([]);
        let chain = chain::Chain::new(&[named], &shape, &of("string"), &fill_value).unwrap();
        for _ in 0..5 {
            let start = std::time::Instant::now();
            let slots = vlen.decode(&encoded, &shape).unwrap().0.len();
            let decoded = start.elapsed();
            let start = std::time::Instant::now();
            let again = chain.array_codecs().unwrap().slots(&*vlen, &encoded).unwrap().0.len();
            println!("{slots} {what}: found in {decoded:?}, and checked in {:?}", start.elapsed());
            assert_eq!(slots, again);
        }
    }
}
