//! What holds for every codec in the table that turns elements into bytes, or into other elements, and bytes of such
//! codecs that numcodecs wrote.

use crate::ErrorKind;
use crate::codec::*;
use crate::data_type::Kind;

/// Elements of a chunk, and what becomes of them.
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
fn elements(name: &str, data_type: &DataType, count: usize) -> Elements {
    let labels = ["a", "long", "é", ""];
    match data_type.kind() {
        Kind::String => Elements::Variable((0..count).map(|k| labels[k * k % 4].into()).collect()),
        Kind::Bytes => Elements::Variable((0..count).map(|k| vec![k as u8; k % 5]).collect()),
        Kind::List => Elements::Variable((0..count).map(|k| vec![k as u8; k % 5 * 2]).collect()),
        Kind::Object => {
            let texts = [r#"{"a":[1,-2.5]}"#, "\"e\\n\\\"\"", "null", "NaN", "18446744073709551615", "[]", "true"];
            Elements::Variable((0..count).map(|k| texts[k * k % 7].into()).collect())
        }
        Kind::FixedText if name == "categorize" => Elements::Fixed(
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
            // Off by one, so that the elements do not lie where numbers do.
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
fn same(name: &str, found: &Elements, due: &Elements) {
    match (found, due) {
        (Elements::Fixed(found), Elements::Fixed(due)) => assert!(found == due, "{name}: {found:?} not {due:?}"),
        (Elements::Variable(found), Elements::Variable(due)) => {
            let shown = |elements: &[Vec<u8>]| -> Vec<String> {
                elements.iter().map(|element| String::from_utf8_lossy(element).into_owned()).collect()
            };
            assert!(found == due, "{name}: {:?} not {:?}", shown(found), shown(due));
        }
        _ => panic!(),
    }
}

/// Every codec of elements that can encode elements of a type, with its example. Filters of numbers, which may lose
/// something or refuse a number, have tests of their own.
fn codecs() -> Vec<(String, Codec, DataType)> {
    let mut codecs = Vec::new();
    for row in rows() {
        for data_type in types() {
            let codec = (row.create)(&serde_json::from_str(row.example).unwrap(), &data_type);
            let may_lose = matches!(codec, Ok(Codec::ArrayToArray(_))) && data_type.kind() != Kind::FixedText;
            if let Ok(codec @ (Codec::ArrayToBytes(_) | Codec::VariableToBytes(_) | Codec::ArrayToArray(_))) = codec
                && !may_lose
            {
                codecs.push((row.name.to_owned(), codec, data_type));
            }
        }
    }
    assert!(codecs.len() > 70, "{}", codecs.len());
    codecs
}

#[test]
fn what_is_encoded_decodes_again() {
    for (name, codec, data_type) in codecs() {
        for shape in [&[8, 12][..], &[96], &[], &[1, 1, 1], &[2, 3, 5, 4], &[700]] {
            let elements = elements(&name, &data_type, shape.iter().product::<u64>() as usize);
            let encoded = encode(&codec, &elements, shape).unwrap();
            let decoded = decode(&codec, &encoded, &elements, shape).unwrap();
            same(&format!("{name} of {data_type}, {shape:?}"), &decoded, &elements);
        }
    }
}

#[test]
fn bytes_that_are_cut_off_or_too_many_are_an_error() {
    for (name, codec, data_type) in codecs() {
        if matches!(codec, Codec::ArrayToArray(_)) {
            continue;
        }
        for shape in [&[8, 12][..], &[7]] {
            let elements = elements(&name, &data_type, shape.iter().product::<u64>() as usize);
            let encoded = encode(&codec, &elements, shape).unwrap();
            let refuses = |encoded: &[u8]| match decode(&codec, encoded, &elements, shape) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::CorruptData, "{name} of {data_type}: {error}"),
                // What is missing are zeros that no number needs.
                Ok(decoded) if name.starts_with("zfp") => same(&name, &decoded, &elements),
                Ok(_) => panic!("{name} of {data_type}: {} of its bytes are enough", encoded.len()),
            };
            (0..encoded.len()).for_each(|end| refuses(&encoded[..end]));
            for behind in [&b"\0"[..], b"1", b"behind ever"] {
                refuses(&[&encoded[..], behind].concat());
            }
        }
    }
}

#[test]
fn damaged_bytes_do_no_harm() {
    for (name, codec, data_type) in codecs() {
        for shape in [&[8, 12][..], &[7]] {
            let elements = elements(&name, &data_type, shape.iter().product::<u64>() as usize);
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

/// Squares less 50, without a sign for unsigned integers, as numbers of a type.
fn squares(name: &str) -> Elements {
    let squares = (0..96_i64).map(|k| k * k - 50);
    Elements::Fixed(match name {
        "uint16" => squares.flat_map(|number| (number.unsigned_abs() as u16).to_ne_bytes()).collect(),
        "int32" => squares.flat_map(|number| (number as i32).to_ne_bytes()).collect(),
        "float32" => squares.flat_map(|number| (number as f32).to_ne_bytes()).collect(),
        "float64" => squares.flat_map(|number| (number as f64).to_ne_bytes()).collect(),
        _ => squares.flat_map(i64::to_ne_bytes).collect(),
    })
}

fn absolute(elements: &Elements, name: &str) -> Elements {
    let Elements::Fixed(bytes) = elements else { panic!() };
    Elements::Fixed(match name {
        "int32" => bytes.as_chunks().0.iter().flat_map(|word| i32::from_ne_bytes(*word).abs().to_ne_bytes()).collect(),
        "float32" => {
            bytes.as_chunks().0.iter().flat_map(|word| f32::from_ne_bytes(*word).abs().to_ne_bytes()).collect()
        }
        "float64" => {
            bytes.as_chunks().0.iter().flat_map(|word| f64::from_ne_bytes(*word).abs().to_ne_bytes()).collect()
        }
        _ => bytes.clone(),
    })
}

#[test]
fn what_pcodec_wrote_decodes() {
    for (name, hex) in [
        ("uint16", "70636f21030006180401075f000010520380e0ff07b80020000480053200ffff00000000ddee29c1bf0500"),
        (
            "int32",
            "70636f21030006180401035f000010520380e0ffffff07700100004000100000001632000080ffffffff00000000ddee29c1bf05\
             00",
        ),
        (
            "float32",
            "70636f21030006180401055f0000020000f81b520380e0ffffff077001000040001000000016100000000000040032000080ffff\
             ffff00000000ddee29c1bf0500",
        ),
        (
            "float64",
            "70636f21030006180401065f000002000000000000ff1b520380e0ffffffffffffff07e002000000000000800040000000000000\
             00588000000000000000000020003200000000000080ffffffffffffffff00000000ddee29c1bf0500",
        ),
    ] {
        let due = absolute(&squares(name), name);
        let pcodec = codec("numcodecs.pcodec", "{}", &of(name)).unwrap();
        same(name, &decode(&pcodec, &from_hex(hex), &due, &[8, 12]).unwrap(), &due);
    }
    // Three chunks, and references back.
    let pages = "70636f21030006180401041f000010020100010000000000004000ceffffffffffff7f0100000000000000041f0000100201\
                 00010000000000004000ce030000000000804100000000000000041f000010020100010000000000004000ce0f0000000000\
                 80810000000000000000";
    let due = squares("int64");
    let pcodec = codec("pcodec", "{}", &of("int64")).unwrap();
    same("pages", &decode(&pcodec, &from_hex(pages), &due, &[96]).unwrap(), &due);
    for (count, part) in [(95, 95 * 8), (32, 32 * 8)] {
        let Elements::Fixed(bytes) = squares("int64") else { panic!() };
        let due = Elements::Fixed(bytes[..part].to_vec());
        let error = decode(&pcodec, &from_hex(pages), &due, &[count]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::CorruptData);
    }
    let back = "70636f21030006180401015f000020068c000001000000801900000080110018000000104000000060020000000000b06d000060\
                d8f2ff0fdbb62d4b000000c08004123cb4f84185cda1520000";
    let due = Elements::Fixed((0..96_u32).flat_map(|k| (k % 12).pow(3).to_ne_bytes()).collect());
    let pcodec = codec("pcodec", "{}", &of("uint32")).unwrap();
    same("back", &decode(&pcodec, &from_hex(back), &due, &[96]).unwrap(), &due);
    // A window of 2^24 numbers, and a dictionary of as many.
    for (at, byte) in [(16, 0x7a), (15, 0xf4)] {
        let mut damaged = from_hex(back);
        damaged[at] = byte;
        assert!(decode(&pcodec, &damaged, &due, &[96]).is_err());
    }
}

#[test]
fn every_configuration_of_pcodec_works() {
    let due = squares("int64");
    for configuration in [
        r#"{"level": 0, "mode_spec": "classic", "delta_spec": "no_op"}"#,
        r#"{"level": 12, "delta_spec": "try_consecutive", "delta_encoding_order": 7, "equal_pages_up_to": 7}"#,
        r#"{"delta_spec": "try_lookback", "paging_spec": "equal_pages_up_to", "equal_pages_up_to": 999999999999}"#,
        r#"{"delta_spec": "auto", "delta_encoding_order": 0}"#,
        r#"{"delta_spec": "none", "delta_encoding_order": null}"#,
    ] {
        let pcodec = codec("pcodec", configuration, &of("int64")).unwrap();
        let encoded = encode(&pcodec, &due, &[96]).unwrap();
        same(configuration, &decode(&pcodec, &encoded, &due, &[96]).unwrap(), &due);
    }
    for wrong in [
        r#"{"level": 13}"#,
        r#"{"delta_encoding_order": 8}"#,
        r#"{"delta_spec": "no_op", "delta_encoding_order": 1}"#,
        r#"{"delta_spec": "try_consecutive"}"#,
        r#"{"equal_pages_up_to": 0}"#,
        r#"{"mode_spec": "try_int_mult"}"#,
        r#"{"other": 1}"#,
    ] {
        assert_eq!(codec("pcodec", wrong, &of("int64")).unwrap_err().kind(), ErrorKind::InvalidMetadata, "{wrong}");
    }
}

#[test]
fn what_zfpy_wrote_decodes() {
    for (name, hex) in [
        (
            "int32",
            "7a667005b4000070000000881f000090a9904215109088e00300003201502d830212117c00004026000b75404022820f0080a5e0\
             69905215109088e00300e0aaa8a503ea65504022820f0080ab82940c2cd5010189080000",
        ),
        (
            "int64",
            "7a667005b5000070000000883f000000000000205321852a202011c10f000000000000c80440b50c0a4844f00300000000000032\
             0158a803021211fc000000000000580a9e062955010189087e0000000000005c15b57440bd0c0a4844f0030000000000e0aa2025\
             034b754040220200",
        ),
        (
            "float32",
            "7a667005b60000700000008829320481088156031198085264c8440204520c45602268b1814c0016ea80804404313a5cd454120c\
             5e0d446022a8f1e1aaa8a503ea65504022821a1fae0a5232b05407042422000000000000",
        ),
        (
            "float64",
            "7a667005b7000070000000882990411088106835108189200532c8440204520c45602268810dc80460a10e08484410031d5cd454\
             120c5e0d446022a8810fae8a5a3aa05e06052422a8810fae0a5232b05407042422000000",
        ),
    ] {
        let (due, encoded) = (squares(name), from_hex(hex));
        let zfpy =
            codec("numcodecs.zfpy", r#"{"mode": 4, "compression_kwargs": {"tolerance": -1}}"#, &of(name)).unwrap();
        same(name, &decode(&zfpy, &encoded, &due, &[8, 12]).unwrap(), &due);
        assert_eq!(encode(&zfpy, &due, &[8, 12]).unwrap(), encoded);
        // Another shape, and another type of the same size.
        assert_eq!(decode(&zfpy, &encoded, &due, &[12, 8]).err().unwrap().kind(), ErrorKind::CorruptData);
        let other = ["int32", "float32", "int64", "float64"].map(of);
        let other = other.iter().find(|other| other.size() == of(name).size() && other.name() != name).unwrap();
        let other = codec("zfpy", "{}", other).unwrap();
        assert_eq!(decode(&other, &encoded, &due, &[8, 12]).err().unwrap().kind(), ErrorKind::CorruptData);
    }
}

#[test]
fn zfp_loses_what_its_mode_says() {
    let eighths = Elements::Fixed((0..96_i16).flat_map(|k| (f32::from(k * k - 50) / 8.).to_ne_bytes()).collect());
    let values = |elements: &Elements| -> Vec<f32> {
        let Elements::Fixed(bytes) = elements else { panic!() };
        bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()
    };
    let rate = "7a667005b60000700000f0070f49854432285c0a82601200000000000f6d5112e8e078210a824900000000001131054f0a96e941\
                8048020000000000136d1194d2a890782908824900000000153115504b0c95a95180480200000000152d16442d255ca707012209\
                0000000000000000";
    let precision = "7a667005b60000700000b0800f49854432285c0a82e0a12d4a021d1c2f4441101153f0a460991e8489b6084a695448bc14\
                     153115504b0c95a9a2c582a8a584eb0400000000000000";
    let tolerance = "7a667005b6000070000020cb0f49854432285c0a826012003cb44549a083e3852808260140444cc19382657a10209200\
                     60a22d82521a15122f05413009002a622aa096182a53a300910400152d16442d255ca707012209000000000000000000";
    let without = "0f49854432285c0a826012003cb44549a083e3852808260140444cc19382657a1020920060a22d82521a15122f05413009002a\
                   622aa096182a53a300910400152d16442d255ca7070122090000000000";
    let exact = [-6.25, -6.125, -5.75, -5.125, -4.25, -3.125, -1.75, -0.125, 1.75, 3.875, 6.25, 8.875];
    let rough = [-6.125, -5.875, -5.625, -5.375, -4.125, -2.875, -1.625, -0.375, 1.5, 4.0, 6.5, 9.0];
    for (name, configuration, hex, first) in [
        ("zfpy", r#"{"mode": 2, "rate": 8, "tolerance": -1, "precision": -1}"#, rate, exact),
        ("zfpy", r#"{"mode": 3, "precision": 12}"#, precision, rough),
        ("zfpy", r#"{"mode": 4, "tolerance": 0.5}"#, tolerance, exact),
        ("zfp", r#"{"mode": "fixed_accuracy", "tolerance": 0.5}"#, without, exact),
    ] {
        let (zfp, encoded) = (codec(name, configuration, &of("float32")).unwrap(), from_hex(hex));
        assert_eq!(encode(&zfp, &eighths, &[8, 12]).unwrap(), encoded, "{configuration}");
        let decoded = decode(&zfp, &encoded, &eighths, &[8, 12]).unwrap();
        assert_eq!(values(&decoded)[..12], first, "{configuration}");
        // Builds with shorter words leave out what fills up the last.
        let decoded = decode(&zfp, &encoded[..encoded.len() - 1], &eighths, &[8, 12]).unwrap();
        assert_eq!(values(&decoded)[..12], first, "{configuration}");
        assert!(decode(&zfp, &encoded[..encoded.len() - 8], &eighths, &[8, 12]).is_err());
    }
    // A header tells the mode, whatever the configuration says.
    let zfpy = codec("zfpy", r#"{"mode": 2, "rate": 1}"#, &of("float32")).unwrap();
    assert_eq!(values(&decode(&zfpy, &from_hex(precision), &eighths, &[8, 12]).unwrap())[..12], rough);
    let five = codec("zfp", r#"{"mode": "reversible"}"#, &of("float32")).unwrap();
    assert_eq!(encode(&five, &eighths, &[1, 1, 1, 8, 12]).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn every_mode_of_zfp_is_checked() {
    for configuration in [
        r#"{"mode": "expert", "minbits": 1, "maxbits": 13, "maxprec": 19, "minexp": -2}"#,
        r#"{"mode": "fixed_rate", "rate": 10.5}"#,
        r#"{"mode": "fixed_precision", "precision": 19}"#,
    ] {
        for name in ["int32", "int64", "float32", "float64", "int8", "uint8", "int16", "uint16", "uint32", "float16"] {
            let zfp = codec("zfp", configuration, &of(name)).unwrap();
            let elements = elements("zfp", &of(name), 96);
            let encoded = encode(&zfp, &elements, &[8, 12]).unwrap();
            decode(&zfp, &encoded, &elements, &[8, 12]).unwrap();
        }
    }
    for wrong in [
        r#"{"mode": "fixed_rate"}"#,
        r#"{"mode": "fixed_rate", "rate": -1}"#,
        r#"{"mode": "reversible", "rate": 1}"#,
        r#"{"mode": "expert", "minbits": 9, "maxbits": 8, "maxprec": 19, "minexp": -2}"#,
        r#"{"mode": "fast"}"#,
        "{}",
    ] {
        assert_eq!(codec("zfp", wrong, &of("float32")).unwrap_err().kind(), ErrorKind::InvalidMetadata, "{wrong}");
    }
    assert!(codec("zfpy", r#"{"mode": 1}"#, &of("float32")).is_err());
    assert!(codec("zfpy", "{}", &of("int16")).is_err());
    let large = Elements::Fixed(u32::MAX.to_ne_bytes().to_vec());
    let zfp = codec("zfp", r#"{"mode": "reversible"}"#, &of("uint32")).unwrap();
    assert_eq!(encode(&zfp, &large, &[1]).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn promotion_is_what_the_specification_says() {
    use crate::codec::array_to_bytes::zfp::promotion::Promotion;
    for (name, elements, promoted) in [
        ("int8", vec![0x80, 0xff, 0x7f], vec![i32::MIN >> 1, -1 << 23, 127 << 23]),
        ("uint8", vec![0, 0x80, 0xff], vec![i32::MIN >> 1, 0, 127 << 23]),
        ("int4", vec![0xf8, 7], vec![-8 << 27, 7 << 27]),
        ("uint2", vec![0, 3], vec![-2 << 29, 1 << 29]),
    ] {
        let promotion = Promotion::of(&of(name)).unwrap();
        let mut found = vec![0; promoted.len() * 4];
        promotion.promote(&elements, &mut found).unwrap();
        let due: Vec<u8> = promoted.iter().flat_map(|number| number.to_ne_bytes()).collect();
        assert_eq!(found, due, "{name}");
        let mut back = vec![0xa5; elements.len()];
        promotion.demote(&found, &mut back);
        assert_eq!(back, elements, "{name}");
        // Numbers out of range come to its ends.
        promotion.demote(&i32::MAX.to_ne_bytes(), &mut back[..1]);
        assert_eq!(back[0], *elements.last().unwrap(), "{name}");
    }
}

fn texts(texts: &[&str]) -> Elements {
    Elements::Variable(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
}

#[test]
fn documents_that_numcodecs_wrote_decode() {
    let json =
        br#"[["\u00e9\"\\\n\u2028\ud83d\ude00",1,-2.5],[null,{"a":{},"b":[true,NaN]},9223372036854775808],"|O",[2,3]]"#;
    let json2 = codec("numcodecs.json2", "{}", &DataType::object()).unwrap();
    let ascii = texts(&[
        r#""\u00e9\"\\\n\u2028\ud83d\ude00""#,
        "1",
        "-2.5",
        "null",
        r#"{"a":{},"b":[true,NaN]}"#,
        "9223372036854775808",
    ]);
    same("json2", &decode(&json2, json, &ascii, &[2, 3]).unwrap(), &ascii);
    assert_eq!(encode(&json2, &ascii, &[2, 3]).unwrap(), json);
    let letters = texts(&[
        "\"é\\\"\\\\\\n\u{2028}😀\"",
        "1",
        "-2.5",
        "null",
        r#"{"b":[true,NaN],"a":{}}"#,
        "9223372036854775808",
    ]);
    let mut due = from_hex(
        "9493acc3a9225c0ae280a8f09f988001cbc00400000000000093c082a16292c3cb7ff8000000000000a16180cf8000000000000000a2\
         7c4f920203",
    );
    let msgpack2 = codec("numcodecs.msgpack2", r#"{"raw": false}"#, &DataType::object()).unwrap();
    same("msgpack2", &decode(&msgpack2, &due, &letters, &[2, 3]).unwrap(), &letters);
    assert_eq!(encode(&msgpack2, &letters, &[2, 3]).unwrap(), due);
    for shape in [&[3, 2][..], &[6], &[2, 3, 1], &[2, 4], &[]] {
        assert_eq!(decode(&msgpack2, &due, &letters, shape).err().unwrap().kind(), ErrorKind::CorruptData);
        assert_eq!(decode(&json2, json, &letters, shape).err().unwrap().kind(), ErrorKind::CorruptData);
    }
    due.push(0xc0);
    assert!(decode(&msgpack2, &due, &letters, &[2, 3]).is_err());

    let due = [&from_hex("96c403666f6fffd2ffff63c0d928")[..], &[b'x'; 40], &from_hex("a27c4f9104")].concat();
    let forty = format!("\"{}\"", "x".repeat(40));
    let mixed = texts(&[r#"{"$binary":"Zm9v"}"#, "-1", "-40000", &forty]);
    same("msgpack2", &decode(&msgpack2, &due, &mixed, &[4]).unwrap(), &mixed);
    assert_eq!(encode(&msgpack2, &mixed, &[4]).unwrap(), due);
    // As one row.
    same("msgpack2", &decode(&msgpack2, &due, &mixed, &[2, 2]).unwrap(), &mixed);

    let one = texts(&["\"x\""]);
    assert_eq!(encode(&json2, &one, &[]).unwrap(), br#"["x","|O",[]]"#);
}

#[test]
fn documents_of_numbers_that_numcodecs_wrote_decode() {
    let bytes = |words: &[&[u8]]| Elements::Fixed(words.concat());
    let ints: Vec<u8> = (-2..4_i32).flat_map(i32::to_ne_bytes).collect();
    let doubles: Vec<u8> =
        [1.5, f64::NAN, f64::NEG_INFINITY, 1e300, 0., -0.].into_iter().flat_map(f64::to_ne_bytes).collect();
    let shorts: Vec<u8> = [0, 127, 128, 255, 256, 65535_u16].into_iter().flat_map(u16::to_ne_bytes).collect();
    let floats: Vec<u8> = [0.5, -1.25_f32].into_iter().flat_map(f32::to_ne_bytes).collect();
    let letters: Vec<u8> =
        ['a', '\0', 'é', '😀'].into_iter().flat_map(|letter| u32::from(letter).to_ne_bytes()).collect();
    let text = DataType::from_code("U2").unwrap();
    for (name, data_type, encoded, shape, due) in [
        ("json2", of("int32"), br#"[[-2,-1,0],[1,2,3],"<i4",[2,3]]"#.to_vec(), &[2, 3][..], bytes(&[&ints])),
        (
            "json2",
            of("float64"),
            br#"[[1.5,NaN,-Infinity],[1e+300,0.0,-0.0],"<f8",[2,3]]"#.to_vec(),
            &[2, 3],
            bytes(&[&doubles]),
        ),
        ("json2", text, br#"["a","\u00e9\ud83d\ude00","<U2",[2]]"#.to_vec(), &[2], bytes(&[&letters])),
        (
            "msgpack2",
            of("uint16"),
            from_hex("9493007fcc8093ccffcd0100cdffffa33c7532920203"),
            &[2, 3],
            bytes(&[&shorts]),
        ),
        (
            "msgpack2",
            of("float32"),
            from_hex("94cb3fe0000000000000cbbff4000000000000a33c66349102"),
            &[2],
            bytes(&[&floats]),
        ),
    ] {
        let codec = codec(name, "{}", &data_type).unwrap();
        same(name, &decode(&codec, &encoded, &due, shape).unwrap(), &due);
        let again = encode(&codec, &due, shape).unwrap();
        let spelled = String::from_utf8_lossy(&encoded).replace("1e+300", "1e300").into_bytes();
        assert!(again == encoded || again == spelled, "{}", String::from_utf8_lossy(&again));
    }
    let json2 = codec("json2", "{}", &of("int8")).unwrap();
    for wrong in [r#"[1,300,"|i1",[2]]"#, r#"[1,1.5,"|i1",[2]]"#, r#"[1,"a","|i1",[2]]"#, r#"[1,2,"|u1",[2]]"#] {
        let error = decode(&json2, wrong.as_bytes(), &Elements::Fixed(vec![0; 2]), &[2]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}");
    }
}

#[test]
fn documents_cannot_lie() {
    let due = texts(&["", ""]);
    let json2 = codec("json2", "{}", &DataType::object()).unwrap();
    let deep = format!("[{}{},1,\"|O\",[2]]", "[".repeat(100_000), "]".repeat(100_000));
    for wrong in [
        r#"["a","b","|O",[1000000000]]"#,
        r#"["a","b","|O",[-2]]"#,
        r#"["a","b","|O",[2.0]]"#,
        r#"["a","b","|O",2]"#,
        r#"["a","b",[2]]"#,
        r#"["a","|O",[2]]"#,
        r#"["a","b","c","|O",[2]]"#,
        r#"["a","b","<i4",[2]]"#,
        r#"{"a":1}"#,
        "[]",
        "",
        &deep,
    ] {
        assert!(decode(&json2, wrong.as_bytes(), &due, &[2]).is_err(), "{}", &wrong[..wrong.len().min(40)]);
    }
    let msgpack2 = codec("msgpack2", "{}", &DataType::object()).unwrap();
    let deep = [&[0x94][..], &vec![0x91; 100_000], &[1, 1, 0xa2], b"|O", &[0x91, 2]].concat();
    for wrong in [
        &b"\x94\x01\x02\xa2|O\x91\xce\x3b\x9a\xca\x00"[..],
        b"\xdd\xff\xff\xff\xff\x01",
        b"\x94\xc6\xff\xff\xff\xff\x02\xa2|O\x91\x02",
        b"\x94\xdf\xff\xff\xff\xff\x02\xa2|O\x91\x02",
        b"\x94\xa1\xff\x02\xa2|O\x91\x02",
        b"\x94\xc1\x02\xa2|O\x91\x02",
        b"\x94\xd4\x00\x00\x02\xa2|O\x91\x02",
        b"\x94\x81\x01\x01\x02\xa2|O\x91\x02",
        b"\x92\xa2|O\x91\x02",
        b"\x80",
        &deep,
    ] {
        assert!(decode(&msgpack2, wrong, &due, &[2]).is_err(), "{:x?}", &wrong[..wrong.len().min(40)]);
    }
    for wrong in ["", "{", "nul", "1 2"] {
        assert!(encode(&json2, &texts(&[wrong]), &[1]).is_err());
        assert!(encode(&msgpack2, &texts(&[wrong]), &[1]).is_err());
    }
}

#[test]
fn documents_in_other_spellings_are_read() {
    let latin = codec("json2", r#"{"encoding": "latin-1", "strict": false}"#, &DataType::object()).unwrap();
    let due = texts(&["\"é\\u000a\"", "1"]);
    same("latin", &decode(&latin, b"[\n \"\xe9\n\" , 1,\"|O\",[ 2 ]]", &due, &[2]).unwrap(), &due);
    assert_eq!(encode(&latin, &due, &[2]).unwrap(), br#"["\u00e9\u000a",1,"|O",[2]]"#);
    let plain = codec("json2", r#"{"ensure_ascii": false, "indent": 2}"#, &DataType::object()).unwrap();
    assert_eq!(encode(&plain, &due, &[2]).unwrap(), "[\"é\\u000a\",1,\"|O\",[2]]".as_bytes());
    assert!(codec("json2", r#"{"encoding": "utf-16"}"#, &DataType::object()).is_err());
    let raw = codec("msgpack2", r#"{"raw": true, "use_bin_type": false}"#, &DataType::object()).unwrap();
    let due = texts(&[r#"{"$binary":"Zm9v"}"#]);
    same("raw", &decode(&raw, b"\x93\xa3foo\xa2|O\x91\x01", &due, &[1]).unwrap(), &due);
    assert_eq!(encode(&raw, &due, &[1]).unwrap(), b"\x93\xa3foo\xa2|O\x91\x01");
}

#[test]
fn lists_and_labels_that_numcodecs_wrote_decode() {
    let list = DataType::list(of("int16"), false).unwrap();
    let vlen = codec("vlen-array", r#"{"dtype": "<i2"}"#, &list).unwrap();
    let due = Elements::Variable(vec![vec![1, 0, 2, 0], vec![], vec![0xfd, 0xff]]);
    let encoded = from_hex("0300000004000000010002000000000002000000fdff");
    same("vlen-array", &decode(&vlen, &encoded, &due, &[3]).unwrap(), &due);
    assert_eq!(encode(&vlen, &due, &[3]).unwrap(), encoded);
    assert!(decode(&vlen, &from_hex("0100000003000000010002"), &due, &[1]).is_err());
    assert!(encode(&vlen, &Elements::Variable(vec![vec![1]]), &[1]).is_err());
    for (dtype, list) in [("<i4", &list), (">i2", &list), ("<i2", &of("string"))] {
        assert!(codec("vlen-array", &format!(r#"{{"dtype": "{dtype}"}}"#), list).is_err());
    }

    let configuration = r#"{"labels": ["a", "long", "é"], "dtype": "|O", "astype": "<u2"}"#;
    let categorize = codec("categorize", configuration, &of("string")).unwrap();
    let due = texts(&["long", "", "a", "é"]);
    same("categorize", &decode(&categorize, &from_hex("0200000001000300"), &due, &[4]).unwrap(), &due);
    assert_eq!(encode(&categorize, &due, &[4]).unwrap(), from_hex("0200000001000300"));
    assert_eq!(encode(&categorize, &texts(&["b"]), &[1]).unwrap_err().kind(), ErrorKind::Unsupported);
    for wrong in ["0400", "00", "000000"] {
        let error = decode(&categorize, &from_hex(wrong), &due, &[1]).err().unwrap();
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
        assert!(error.message().contains("program"), "{error}");
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
            let again = chain.packed().unwrap().slots(&*vlen, &encoded).unwrap().0.len();
            println!("{slots} {what}: found in {decoded:?}, and checked in {:?}", start.elapsed());
            assert_eq!(slots, again);
        }
    }
}
