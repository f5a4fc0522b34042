//! Bytes-to-bytes codecs: properties of every row, bytes that numcodecs wrote, and hostile bytes.

use std::sync::Arc;

use crate::codec::row::{Damage, Row};
use crate::codec::{BytesToBytes, Codec, Named, Size, create, rows};
use crate::data_type::DataType;
use crate::error::{ErrorKind, Result};

/// Bytes that may be allocated beyond the limit.
const SLACK: usize = 64 << 10;

fn codec(name: &str, configuration: &str) -> Arc<dyn BytesToBytes> {
    match try_codec(name, configuration) {
        Ok(Codec::BytesToBytes(codec)) => codec,
        other => panic!("{name} {configuration}: {other:?}"),
    }
}

fn try_codec(name: &str, configuration: &str) -> Result<Codec> {
    let named = Named { name: name.into(), configuration: serde_json::from_str(configuration).unwrap() };
    create(&named, &DataType::from_name("float32").unwrap())
}

/// Lists every bytes-to-bytes codec with its example.
fn codecs() -> Vec<(&'static Row, Arc<dyn BytesToBytes>)> {
    let of_bytes = |row: &'static Row| match try_codec(row.name, row.example) {
        Ok(Codec::BytesToBytes(codec)) => Some((row, codec)),
        _ => None,
    };
    let codecs: Vec<_> = rows().filter_map(of_bytes).collect();
    assert!(codecs.len() >= 5);
    codecs
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

fn runs(size: usize) -> Vec<u8> {
    (0..size).map(|byte| (byte / 100 % 7) as u8).collect()
}

fn numbers(size: usize) -> Vec<u8> {
    (0..size as u32 / 4).flat_map(|number| number.wrapping_mul(number).to_le_bytes()).collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn payloads() -> Vec<Vec<u8>> {
    let million = 1 << 20;
    let small = [vec![], vec![7], noise(130), runs(130), numbers(400), runs(5000)];
    small.into_iter().chain([noise(100_003), noise(million), runs(million), numbers(million)]).collect()
}

fn encode(codec: &dyn BytesToBytes, decoded: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    codec.encode(decoded, &mut encoded).unwrap();
    encoded
}

fn decode_into(codec: &dyn BytesToBytes, encoded: &[u8], size: usize) -> Result<Vec<u8>> {
    let mut decoded = vec![0xa5; size];
    codec.decode_into(encoded, &mut decoded).map(|()| decoded)
}

/// Decodes and appends to other bytes, and checks that these remain and that the limit is kept.
fn decode_bounded(codec: &dyn BytesToBytes, encoded: &[u8], limit: usize) -> Result<Vec<u8>> {
    let before = b"before";
    let mut decoded = before.to_vec();
    let result = codec.decode_bounded(encoded, limit, &mut decoded);
    assert!(decoded.starts_with(before));
    assert!(decoded.len() <= before.len() + limit);
    assert!(decoded.capacity() <= before.len() + limit + SLACK, "{} for {limit}", decoded.capacity());
    result.map(|()| decoded.split_off(before.len()))
}

/// Checks that both ways of decoding give an error of this kind.
#[track_caller]
fn refuses(codec: &dyn BytesToBytes, encoded: &[u8], size: usize, kind: ErrorKind) {
    for result in [decode_into(codec, encoded, size), decode_bounded(codec, encoded, size)] {
        match result {
            Ok(_) => panic!("{codec:?} takes what it should not"),
            Err(error) => assert_eq!(error.kind(), kind, "{error}"),
        }
    }
}

#[track_caller]
fn decodes_to(codec: &dyn BytesToBytes, encoded: &[u8], decoded: &[u8]) {
    assert_eq!(decode_into(codec, encoded, decoded.len()).unwrap(), decoded);
    assert_eq!(decode_bounded(codec, encoded, decoded.len()).unwrap(), decoded);
    assert_eq!(decode_bounded(codec, encoded, 2 * decoded.len() + 100).unwrap(), decoded);
}

#[test]
fn what_is_encoded_decodes_again() {
    for (row, codec) in codecs() {
        for decoded in payloads() {
            let encoded = encode(&*codec, &decoded);
            decodes_to(&*codec, &encoded, &decoded);

            let bound = codec.encoded_size(Size::Exact(decoded.len() as u64)).bound();
            assert!(encoded.len() as u64 <= bound, "{}: {} bytes, bound {bound}", row.name, encoded.len());

            let mut appended = b"before".to_vec();
            codec.encode(&decoded, &mut appended).unwrap();
            assert_eq!(appended, [&b"before"[..], &encoded].concat(), "{}", row.name);
        }
    }
}

#[test]
fn another_decoded_size_is_an_error() {
    for (_, codec) in codecs() {
        for decoded in payloads() {
            let encoded = encode(&*codec, &decoded);
            let size = decoded.len();
            let error = decode_into(&*codec, &encoded, size + 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}");
            if size > 0 {
                refuses(&*codec, &encoded, size - 1, ErrorKind::CorruptData);
                refuses(&*codec, &encoded, 0, ErrorKind::CorruptData);
            }
        }
    }
}

#[test]
fn truncated_bytes_are_an_error() {
    for (row, codec) in codecs() {
        for decoded in payloads() {
            let encoded = encode(&*codec, &decoded);
            let step = if decoded.len() <= 5000 { 1 } else { encoded.len().div_ceil(11) };
            for end in (0..encoded.len()).step_by(step).chain(encoded.len().checked_sub(1)) {
                let cut = &encoded[..end];
                let error = decode_into(&*codec, cut, decoded.len()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}");
                match decode_bounded(&*codec, cut, decoded.len()) {
                    Err(error) => assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}"),
                    // Four zeros are the checksum of no bytes.
                    Ok(_) => {
                        assert!(row.undetected.contains(&Damage::Truncation) || cut == [0; 4], "{} {end}", row.name);
                    }
                }
            }
        }
    }
}

#[test]
fn damaged_bytes_do_no_harm() {
    for (row, codec) in codecs() {
        for decoded in [vec![], vec![7], runs(130), numbers(400), runs(3000)] {
            let encoded = encode(&*codec, &decoded);
            for at in 0..encoded.len() {
                for flip in [0xff, 0x80, 0x01, 0x10] {
                    let mut damaged = encoded.clone();
                    damaged[at] ^= flip;
                    let into = decode_into(&*codec, &damaged, decoded.len());
                    let bounded = decode_bounded(&*codec, &damaged, decoded.len());
                    if let (Ok(into), Ok(bounded)) = (into, bounded) {
                        assert_eq!(into, bounded, "{}", row.name);
                    }
                }
            }
        }
        if !row.undetected.contains(&Damage::Noise) {
            refuses(&*codec, &noise(1000), 1000, ErrorKind::CorruptData);
        }
        if !row.undetected.contains(&Damage::Erasure) {
            refuses(&*codec, &[], 0, ErrorKind::CorruptData);
        }
    }
}

#[test]
fn checksums_are_checked() {
    let decoded = noise(1000);
    for (name, configuration) in
        [("zstd", r#"{"level": 1, "checksum": true}"#), ("gzip", r#"{"level": 0}"#), ("zlib", r#"{"level": 0}"#)]
    {
        let codec = codec(name, configuration);
        let mut encoded = encode(&*codec, &decoded);
        // Noise is stored uncompressed: only the checksum detects a change.
        encoded[500] ^= 1;
        refuses(&*codec, &encoded, decoded.len(), ErrorKind::CorruptData);
    }
}

#[test]
fn configurations_out_of_range_are_refused() {
    for (name, configuration) in [
        ("zstd", r#"{"level": 1.5}"#),
        ("zstd", r#"{"checksum": 1}"#),
        ("zstd", r#"{"level": 1, "speed": 3}"#),
        ("gzip", r#"{"level": 10}"#),
        ("gzip", r#"{"level": -2}"#),
        ("zlib", r#"{"level": -2}"#),
        ("zlib", r#"{"level": "high"}"#),
        ("bz2", r#"{"level": 0}"#),
        ("bz2", r#"{"level": 10}"#),
        ("lz4", r#"{"level": 1}"#),
        ("blosc", r#"{"clevel": 10}"#),
        ("blosc", r#"{"cname": "lz5"}"#),
        ("blosc", r#"{"shuffle": 3}"#),
        ("blosc", r#"{"shuffle": "yes"}"#),
        ("blosc", r#"{"typesize": 0}"#),
        ("blosc", r#"{"blocksize": -1}"#),
        ("crc32", r#"{"location": "middle"}"#),
        ("crc32c", r#"{"location": 0}"#),
        ("fletcher32", r#"{"location": "end"}"#),
        ("jenkins_lookup3", r#"{"initval": 4294967296}"#),
        ("jenkins_lookup3", r#"{"prefix": [256]}"#),
        ("jenkins_lookup3", r#"{"prefix": "abc"}"#),
        ("shuffle", r#"{"elementsize": "4"}"#),
        ("base64", r#"{"level": 1}"#),
        ("zstd", r#"{"id": "zstd"}"#),
        ("numcodecs.zstd", r#"{"id": "gzip"}"#),
    ] {
        let error = try_codec(name, configuration).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidMetadata, "{name} {configuration}: {error}");
    }
}

#[test]
fn every_level_works() {
    let decoded = numbers(20_000);
    for (name, levels) in [("zstd", -5..=23), ("gzip", -1..=9), ("zlib", -1..=9), ("bz2", 1..=9)] {
        for level in levels {
            let codec = codec(name, &format!(r#"{{"level": {level}}}"#));
            decodes_to(&*codec, &encode(&*codec, &decoded), &decoded);
        }
    }
}

/// Bytes that numcodecs wrote, of the squares of 0 to 63 as `uint32`.
#[test]
fn what_numcodecs_wrote_decodes() {
    let squares: Vec<u8> = (0..64_u32).flat_map(|number| (number * number).to_le_bytes()).collect();
    for (name, configuration, hex) in [
        (
            "blosc",
            r#"{"cname": "lz4", "clevel": 5, "shuffle": 2, "blocksize": 0}"#,
            "\
             02013404000100000001000073000000140000005b00000013aa010013000100134401001328010022b01a0200f429c0ac6a \
             06c0ac6a0600cf4cabaa65e60100f070ccccb6b4aa00007ff0f038c7cc000080ff003ff8f000000000ff3f00ff0000000000 \
             c0ffff58000f020080500000000000",
        ),
        (
            "blosc",
            r#"{"cname": "blosclz", "clevel": 5, "shuffle": 2, "blocksize": 0}"#,
            "\
             02011404000100000001000072000000140000005a00000028aaaaaaaaaaaaaaaa00a0000044a0000028a00001b01a80011f \
             c0ac6a06c0ac6a0600cf4cabaa65e60100f070ccccb6b4aa00007ff0f038c7cc16000080ff003ff8f000000000ff3f00ff00 \
             00000000c0ff8007e09001010000",
        ),
        (
            "blosc",
            r#"{"cname": "zlib", "clevel": 5, "shuffle": 2, "blocksize": 0}"#,
            "\
             02017404000100000001000064000000140000004c000000785e5bb50a0218a0c0050a34a0608314041e5893c506c20ce77d \
             56af4a7dc6c8f0a1e0cc996d5b80faea3f7cb0387e8681a1e13f83fd8f0f2033fedb33fc071b76e0ff7f86410e00d3042524",
        ),
        (
            "blosc",
            r#"{"cname": "zstd", "clevel": 5, "shuffle": 2, "blocksize": 0}"#,
            "\
             0201940400010000000100006d000000140000005500000028b52ffd6000005d02003403aaaa004428b01ac0ac6a0600cf4c \
             abaa65e60100f070ccccb6b4aa00007ff0f038c7cc000080ff003ff8f0ff3f00ffc0ffff0009001c9c08144d70847dbb4572 \
             184166200bc8770058",
        ),
        (
            "zstd",
            r#"{"level": 3}"#,
            "\
             28b52ffd6000000d0500d2ce242b806b9a039b6aa095a584b5b294b056765ac65a594a582b4b099b2d8ca686d2280a3511b2 \
             bbed2da5943205531ca6b4270f4fde92882595231447a42118432e471d47d3d1c0906648e121f1c3f2b3f133fd14ec6c7620 \
             76a41dc72eb34bd8bddbc50d7333601633ccec60f65e19afcc8be125bd00569b55c56a5a2dac2c2b018d6b3ef1e90dbf1ce1 \
             d2095e79c0dfa1b7ab0f0340188ab3a17c8c06b210",
        ),
        (
            "gzip",
            r#"{"level": 5}"#,
            "\
             1f8b08000d3f016b00ff25ce2d08c2501885e1a39b6efe5fa35158311a6d5758311a8dc2caa2715158b1cd6814568c46a3b0 \
             62341a8515a3d1e60b373ce970beef4852033e3a309820c21c166b24c850e0820a6fb9f214315214b8a1c6b8491f3b9478c1 \
             78d20a39ee9e7bbc448e074c4bdaa0c417b62d1d516311701f1fc4a1740edde82d2accbae4f821e9494fd8be744534904e30 \
             43e9007f24edf1071d7b6f2c00010000",
        ),
        (
            "zlib",
            r#"{"level": 5}"#,
            "\
             785e25ce2d08c2501885e1a39b6efe5fa35158311a6d5758311a8dc2caa2715158b1cd6814568c46a3b062341a8515a3d1e6 \
             0b373ce970beef4852033e3a309820c21c166b24c850e0820a6fb9f214315214b8a1c6b8491f3b9478c178d20a39ee9e7bbc \
             448e074c4bdaa0c417b62d1d516311701f1fc4a1740edde82d2accbae4f821e9494fd8be744534904e3043e9007f24edf107 \
             4dcd1b94",
        ),
        (
            "bz2",
            "{}",
            "\
             425a6835314159265359214f54740000017fffffffe020242020206420202024202020242060202420202024202020242020 \
             2020006a226a23ca68d3d11ea64f536840d1a6264c6a67a8454369a646d24c4613d4c0860469869348041a200eeb3edddc15 \
             173e9376f34fdbe100609b942c56a11671716285b1ed922d073f2514ec29a3a4856cc84f6704ce9d0c245d310ae0b62c8000 \
             002f8cd5570e4baa6aafc68aad4b46c75cccf6bca7f0cff2bfc6fd23816282b8924d288ab480018da0bb9229c284810a7aa3 \
             a0",
        ),
        (
            "lz4",
            "{}",
            "\
             00010000f32e0000000001000000040000000900000010000000190000002400000031000000400000005100000064000000 \
             7900000090000000a9000000c4000000e13d00f22b21010000440100006901000090010000b9010000e40100001102000040 \
             02000071020000a4020000d9020000100300004903000084030000c1037900f22b4104000084040000c90400001005000059 \
             050000a4050000f10500004006000091060000e40600003907000090070000e907000044080000a108b500f02d61090000c4 \
             090000290a0000900a0000f90a0000640b0000d10b0000400c0000b10c0000240d0000990d0000100e0000890e0000040f00 \
             00810f0000",
        ),
    ] {
        let encoded = from_hex(hex);
        let codec = codec(name, configuration);
        decodes_to(&*codec, &encoded, &squares);
        if name == "blosc" {
            assert_eq!(encode(&*codec, &squares), encoded);
        }
    }
}

mod blosc;
mod blosc_range;
mod bz2;
mod checksum;
mod conditional;
mod deflate;
mod lz4;
mod lzma;
mod plain;
mod zstd;
