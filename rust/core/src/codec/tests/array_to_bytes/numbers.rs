//! `pcodec` and `zfp`.

use super::*;

/// Squares minus 50, as numbers of a type; absolute values for unsigned integers.
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
        let expected = absolute(&squares(name), name);
        let pcodec = codec("numcodecs.pcodec", "{}", &of(name)).unwrap();
        same(name, &decode(&pcodec, &from_hex(hex), &expected, &[8, 12]).unwrap(), &expected);
    }
    // Three chunks, and references back.
    let pages = "70636f21030006180401041f000010020100010000000000004000ceffffffffffff7f0100000000000000041f0000100201\
                 00010000000000004000ce030000000000804100000000000000041f000010020100010000000000004000ce0f0000000000\
                 80810000000000000000";
    let expected = squares("int64");
    let pcodec = codec("pcodec", "{}", &of("int64")).unwrap();
    same("pages", &decode(&pcodec, &from_hex(pages), &expected, &[96]).unwrap(), &expected);
    for (count, part) in [(95, 95 * 8), (32, 32 * 8)] {
        let Elements::Fixed(bytes) = squares("int64") else { panic!() };
        let expected = Elements::Fixed(bytes[..part].to_vec());
        let error = decode(&pcodec, &from_hex(pages), &expected, &[count]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::CorruptData);
    }
    let back = "70636f21030006180401015f000020068c000001000000801900000080110018000000104000000060020000000000b06d000060\
                d8f2ff0fdbb62d4b000000c08004123cb4f84185cda1520000";
    let expected = Elements::Fixed((0..96_u32).flat_map(|k| (k % 12).pow(3).to_ne_bytes()).collect());
    let pcodec = codec("pcodec", "{}", &of("uint32")).unwrap();
    same("back", &decode(&pcodec, &from_hex(back), &expected, &[96]).unwrap(), &expected);
    // A window and a dictionary of 2^24 numbers.
    for (at, byte) in [(16, 0x7a), (15, 0xf4)] {
        let mut damaged = from_hex(back);
        damaged[at] = byte;
        assert!(decode(&pcodec, &damaged, &expected, &[96]).is_err());
    }
}

#[test]
fn every_configuration_of_pcodec_works() {
    let expected = squares("int64");
    for configuration in [
        r#"{"level": 0, "mode_spec": "classic", "delta_spec": "no_op"}"#,
        r#"{"level": 12, "delta_spec": "try_consecutive", "delta_encoding_order": 7, "equal_pages_up_to": 7}"#,
        r#"{"delta_spec": "try_lookback", "paging_spec": "equal_pages_up_to", "equal_pages_up_to": 999999999999}"#,
        r#"{"delta_spec": "auto", "delta_encoding_order": 0}"#,
        r#"{"delta_spec": "none", "delta_encoding_order": null}"#,
    ] {
        let pcodec = codec("pcodec", configuration, &of("int64")).unwrap();
        let encoded = encode(&pcodec, &expected, &[96]).unwrap();
        same(configuration, &decode(&pcodec, &encoded, &expected, &[96]).unwrap(), &expected);
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
        let (expected, encoded) = (squares(name), from_hex(hex));
        let zfpy =
            codec("numcodecs.zfpy", r#"{"mode": 4, "compression_kwargs": {"tolerance": -1}}"#, &of(name)).unwrap();
        same(name, &decode(&zfpy, &encoded, &expected, &[8, 12]).unwrap(), &expected);
        assert_eq!(encode(&zfpy, &expected, &[8, 12]).unwrap(), encoded);
        // Another shape, and another type of the same size.
        assert_eq!(decode(&zfpy, &encoded, &expected, &[12, 8]).err().unwrap().kind(), ErrorKind::CorruptData);
        let other = ["int32", "float32", "int64", "float64"].map(of);
        let other = other.iter().find(|other| other.size() == of(name).size() && other.name() != name).unwrap();
        let other = codec("zfpy", "{}", other).unwrap();
        assert_eq!(decode(&other, &encoded, &expected, &[8, 12]).err().unwrap().kind(), ErrorKind::CorruptData);
    }
}

#[test]
fn the_mode_of_zfp_bounds_the_error() {
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
        // Builds with shorter words leave out the padding of the last word.
        let decoded = decode(&zfp, &encoded[..encoded.len() - 1], &eighths, &[8, 12]).unwrap();
        assert_eq!(values(&decoded)[..12], first, "{configuration}");
        assert!(decode(&zfp, &encoded[..encoded.len() - 8], &eighths, &[8, 12]).is_err());
    }
    // The mode of the header overrides that of the configuration.
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
            let elements = elements(&of(name), 96);
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
fn promotion_follows_the_specification() {
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
        let expected: Vec<u8> = promoted.iter().flat_map(|number| number.to_ne_bytes()).collect();
        assert_eq!(found, expected, "{name}");
        let mut back = vec![0xa5; elements.len()];
        promotion.demote(&found, &mut back);
        assert_eq!(back, elements, "{name}");
        // Numbers out of range become its ends.
        promotion.demote(&i32::MAX.to_ne_bytes(), &mut back[..1]);
        assert_eq!(back[0], *elements.last().unwrap(), "{name}");
    }
}
