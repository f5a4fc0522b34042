//! What holds for every codec of bytes in the table, and what hostile bytes must not do to some of them.

use std::sync::Arc;

use crate::codec::{BytesToBytes, Codec, Named, Size, create, rows};
use crate::data_type::DataType;
use crate::error::{ErrorKind, Result};

/// Codecs whose bytes can be cut off where nobody sees it, unless the decoded size is known: they have no checksum, or a
/// weak one.
const BLIND: &[&str] = &["shuffle", "base64", "conditional", "fletcher32"];

/// What may be allocated beyond what is due.
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

/// Every codec of bytes with its example.
fn codecs() -> Vec<(&'static str, Arc<dyn BytesToBytes>)> {
    let of_bytes = |row: &crate::codec::Row| match try_codec(row.name, row.example) {
        Ok(Codec::BytesToBytes(codec)) => Some((row.name, codec)),
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

/// Decodes behind other bytes, and checks that these remain and that the limit is kept.
fn decode_bounded(codec: &dyn BytesToBytes, encoded: &[u8], limit: usize) -> Result<Vec<u8>> {
    let before = b"before";
    let mut decoded = before.to_vec();
    let result = codec.decode_bounded(encoded, limit, &mut decoded);
    assert!(decoded.starts_with(before));
    assert!(decoded.len() <= before.len() + limit);
    assert!(decoded.capacity() <= before.len() + limit + SLACK, "{} for {limit}", decoded.capacity());
    result.map(|()| decoded.split_off(before.len()))
}

/// Both ways of decoding give an error of this kind.
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
    for (name, codec) in codecs() {
        for decoded in payloads() {
            let encoded = encode(&*codec, &decoded);
            decodes_to(&*codec, &encoded, &decoded);

            let bound = codec.encoded_size(Size::Exact(decoded.len() as u64)).bound();
            assert!(encoded.len() as u64 <= bound, "{name}: {} bytes, bound {bound}", encoded.len());

            let mut behind = b"before".to_vec();
            codec.encode(&decoded, &mut behind).unwrap();
            assert_eq!(behind, [&b"before"[..], &encoded].concat(), "{name}");
        }
    }
}

#[test]
fn another_size_than_is_due_is_an_error() {
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
fn bytes_that_are_cut_off_are_an_error() {
    for (name, codec) in codecs() {
        for decoded in payloads() {
            let encoded = encode(&*codec, &decoded);
            let step = if decoded.len() <= 5000 { 1 } else { encoded.len().div_ceil(11) };
            for end in (0..encoded.len()).step_by(step).chain(encoded.len().checked_sub(1)) {
                let cut = &encoded[..end];
                let error = decode_into(&*codec, cut, decoded.len()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}");
                match decode_bounded(&*codec, cut, decoded.len()) {
                    Err(error) => assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}"),
                    // Zeros are nothing, with the checksum of nothing: that much may remain.
                    Ok(_) => assert!(BLIND.contains(&name) || cut == [0; 4], "{name} {end}"),
                }
            }
        }
    }
}

#[test]
fn damaged_bytes_do_no_harm() {
    for (name, codec) in codecs() {
        for decoded in [vec![], vec![7], runs(130), numbers(400), runs(3000)] {
            let encoded = encode(&*codec, &decoded);
            for at in 0..encoded.len() {
                for flip in [0xff, 0x80, 0x01, 0x10] {
                    let mut damaged = encoded.clone();
                    damaged[at] ^= flip;
                    let into = decode_into(&*codec, &damaged, decoded.len());
                    let bounded = decode_bounded(&*codec, &damaged, decoded.len());
                    if let (Ok(into), Ok(bounded)) = (into, bounded) {
                        assert_eq!(into, bounded, "{name}");
                    }
                }
            }
        }
        if name != "shuffle" {
            refuses(&*codec, &noise(1000), 1000, ErrorKind::CorruptData);
        }
        if !["shuffle", "base64"].contains(&name) {
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
        // Noise is stored as it is: no check but that of the sum sees a change of it.
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

mod blosc_range;
mod checksum;
mod conditional;
mod lzma;
mod plain;

mod zstd {
    use super::*;

    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

    /// A frame of one stored block, which does not tell its size.
    fn unsized_frame(decoded: &[u8]) -> Vec<u8> {
        let block = ((decoded.len() as u32) << 3 | 1).to_le_bytes();
        [&MAGIC[..], &[0, 0x38], &block[..3], decoded].concat()
    }

    fn skipped(bytes: &[u8]) -> Vec<u8> {
        [&[0x53, 0x2a, 0x4d, 0x18], &(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
    }

    #[test]
    fn several_frames_are_one_chunk() {
        let zstd = codec("zstd", "{}");
        let (first, second) = (runs(3000), noise(500));
        let frame = encode(&*zstd, &first);
        let both = [&first[..], &second].concat();
        decodes_to(&*zstd, &unsized_frame(&second), &second);
        decodes_to(&*zstd, &[&frame[..], &unsized_frame(&second)].concat(), &both);
        decodes_to(&*zstd, &[&skipped(b"?"), &frame[..], &skipped(b""), &unsized_frame(&second)].concat(), &both);
        decodes_to(&*zstd, &[&frame[..], &encode(&*zstd, &[])].concat(), &first);
        refuses(&*zstd, &[&frame[..], b"behind"].concat(), first.len(), ErrorKind::CorruptData);
        refuses(&*zstd, &[&frame[..], &skipped(b"12")[..9]].concat(), first.len(), ErrorKind::CorruptData);
    }

    #[test]
    fn a_frame_cannot_claim_what_is_not_due() {
        let zstd = codec("zstd", "{}");
        let lie = |size: u64| [&MAGIC[..], &[0xe0], &size.to_le_bytes(), &[1, 0, 0]].concat();
        refuses(&*zstd, &lie(1 << 50), 1000, ErrorKind::CorruptData);
        refuses(&*zstd, &lie(u64::MAX - 2), 1000, ErrorKind::CorruptData);
        refuses(&*zstd, &lie(1000), 1000, ErrorKind::CorruptData);
        decodes_to(&*zstd, &lie(0), &[]);
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zstd = codec("zstd", "{}");
        let zeros = 128 << 10;
        let block = |last: u32| (zeros << 3 | 1 << 1 | last).to_le_bytes();
        let mut bomb = [&MAGIC[..], &[0, 0x38]].concat();
        for _ in 0..1000 {
            bomb.extend_from_slice(&[&block(0)[..3], &[0]].concat());
        }
        bomb.extend_from_slice(&[&block(1)[..3], &[0]].concat());
        for limit in [0, 1, 1000, 1 << 20] {
            refuses(&*zstd, &bomb, limit, ErrorKind::CorruptData);
        }
        decodes_to(&*zstd, &bomb, &vec![0; 1001 * zeros as usize]);
    }
}

mod deflate {
    use super::*;

    #[test]
    fn several_members_and_zeros_behind_them_are_one_chunk() {
        let gzip = codec("gzip", "{}");
        let (first, second) = (runs(3000), noise(500));
        let (one, two) = (encode(&*gzip, &first), encode(&*gzip, &second));
        let (both, zeros) = ([&first[..], &second].concat(), [0; 700]);
        decodes_to(&*gzip, &[&one[..], &two].concat(), &both);
        decodes_to(&*gzip, &[&one[..], &two, &zeros].concat(), &both);
        decodes_to(&*gzip, &[&one[..], &zeros, &two].concat(), &both);
        decodes_to(&*gzip, &[&one[..], &encode(&*gzip, &[])].concat(), &first);
        refuses(&*gzip, &[&one[..], b"behind"].concat(), first.len(), ErrorKind::CorruptData);
        refuses(&*gzip, &[&one[..], &two[..two.len() - 1]].concat(), both.len(), ErrorKind::CorruptData);
        refuses(&*gzip, &zeros, 0, ErrorKind::CorruptData);
    }

    #[test]
    fn headers_may_carry_names_and_more() {
        let gzip = codec("gzip", "{}");
        let decoded = runs(300);
        let plain = encode(&*gzip, &decoded);
        let extra = [&plain[..3], &[0x1e], &plain[4..10], b"\x02\0xyname\0comment\0\x12\x34", &plain[10..]].concat();
        decodes_to(&*gzip, &extra, &decoded);
        for end in 0..extra.len() {
            refuses(&*gzip, &extra[..end], decoded.len(), ErrorKind::CorruptData);
        }
    }

    #[test]
    fn what_is_behind_zlib_does_not_count() {
        let zlib = codec("zlib", "{}");
        let decoded = runs(3000);
        decodes_to(&*zlib, &[&encode(&*zlib, &decoded)[..], b"behind"].concat(), &decoded);
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let decoded = vec![0; 64 << 20];
        for name in ["gzip", "zlib"] {
            let codec = codec(name, r#"{"level": 9}"#);
            let mut bomb = encode(&*codec, &decoded);
            for limit in [0, 1, 1000, 1 << 20, decoded.len() - 1] {
                refuses(&*codec, &bomb, limit, ErrorKind::CorruptData);
            }
            // A size that lies helps it nothing.
            let size = bomb.len() - 4;
            bomb[size..].fill(0xff);
            refuses(&*codec, &bomb, 1000, ErrorKind::CorruptData);
            refuses(&*codec, &bomb, decoded.len(), ErrorKind::CorruptData);
        }
    }
}

mod blosc {
    use super::*;

    fn with(encoded: &[u8], at: usize, size: u32) -> Vec<u8> {
        let mut changed = encoded.to_vec();
        changed[at..at + 4].copy_from_slice(&size.to_le_bytes());
        changed
    }

    #[test]
    fn every_compressor_level_and_shuffle_works() {
        let decoded = [numbers(300_000), noise(1001)].concat();
        for compressor in ["lz4", "lz4hc", "blosclz", "zstd", "zlib", "snappy"] {
            for shuffle in [r#""noshuffle""#, r#""shuffle""#, r#""bitshuffle""#, "0", "1", "2", "-1"] {
                for (level, type_size, block_size) in [(0, 4, 0), (1, 1, 0), (5, 4, 0), (4, 7, 1000), (9, 255, 128)] {
                    let configuration = format!(
                        r#"{{"cname": "{compressor}", "clevel": {level}, "shuffle": {shuffle},
                            "typesize": {type_size}, "blocksize": {block_size}}}"#
                    );
                    let blosc = codec("blosc", &configuration);
                    for size in [0, 1, 100, 130, 1000, 70_000, decoded.len()] {
                        let decoded = &decoded[..size];
                        decodes_to(&*blosc, &encode(&*blosc, decoded), decoded);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_missing_is_the_usual() {
        let decoded = numbers(4000);
        let of = |configuration| encode(&*codec("blosc", configuration), &decoded);
        let usual = of(r#"{"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}"#);
        assert_eq!(of("{}"), usual);
        assert_eq!(of(r#"{"shuffle": -1, "typesize": null}"#), usual);
        assert_eq!(of(r#"{"typesize": 1, "shuffle": -1}"#), of(r#"{"typesize": 256, "shuffle": 2}"#));
    }

    #[test]
    fn headers_cannot_lie() {
        let decoded = numbers(100_000);
        for configuration in [
            "{}",
            r#"{"clevel": 0}"#,
            r#"{"cname": "blosclz", "shuffle": "bitshuffle"}"#,
            r#"{"cname": "snappy"}"#,
            r#"{"cname": "snappy", "shuffle": "bitshuffle", "typesize": 20}"#,
        ] {
            let blosc = codec("blosc", configuration);
            let encoded = encode(&*blosc, &decoded);
            let refuses = |bytes: &[u8]| refuses(&*blosc, bytes, decoded.len(), ErrorKind::CorruptData);
            for size in [1 << 31, i32::MAX as u32, u32::MAX, 100_001, i32::MAX as u32 - 16] {
                refuses(&with(&encoded, 4, size));
            }
            for block_size in [0, 100_001, i32::MAX as u32, 1 << 31, u32::MAX] {
                refuses(&with(&encoded, 8, block_size));
            }
            for encoded_size in [0, 15, 16, encoded.len() as u32 + 1, i32::MAX as u32, u32::MAX] {
                refuses(&with(&encoded, 12, encoded_size));
            }
            assert_eq!(encoded[2] & 2 != 0, configuration == r#"{"clevel": 0}"#);
            // A block a byte: there is no room for where they start.
            if configuration != r#"{"clevel": 0}"# {
                refuses(&with(&encoded, 8, 1));
                for start in [0, 16, encoded.len() as u32 - 3, encoded.len() as u32, 1 << 31, i32::MAX as u32, u32::MAX]
                {
                    refuses(&with(&encoded, 16, start));
                }
                let start = u32::from_le_bytes(encoded[16..20].try_into().unwrap()) as usize;
                for block in [u32::MAX, i32::MAX as u32, encoded.len() as u32, 1, 0] {
                    refuses(&with(&encoded, start, block));
                }
            }
            decodes_to(&*blosc, &[&encoded[..], b"behind"].concat(), &decoded);
        }
    }

    fn snappy(shuffle: &str, type_size: u32, block_size: u32) -> Arc<dyn BytesToBytes> {
        let sizes = format!(r#""typesize": {type_size}, "blocksize": {block_size}"#);
        codec("blosc", &format!(r#"{{"cname": "snappy", "shuffle": "{shuffle}", {sizes}}}"#))
    }

    #[test]
    fn snappy_works_with_every_shuffle_and_size() {
        for shuffle in ["noshuffle", "shuffle", "bitshuffle"] {
            for type_size in [1, 2, 3, 4, 8, 16, 17, 255] {
                for block_size in [0, 1, 3000] {
                    let snappy = snappy(shuffle, type_size, block_size);
                    for decoded in payloads() {
                        decodes_to(&*snappy, &encode(&*snappy, &decoded), &decoded);
                    }
                }
            }
        }
        let decoded = runs(5000);
        let sizes = ["lz4", "snappy"].map(|name| {
            let encoded = encode(&*codec("blosc", &format!(r#"{{"cname": "{name}"}}"#)), &decoded);
            assert_eq!(encoded[2] & 2, 0);
            encoded.len()
        });
        assert!(sizes[1] < 2 * sizes[0], "{sizes:?}");
    }

    #[test]
    fn what_numcodecs_wrote_with_snappy_decodes() {
        // The bytes of two, shuffled and split; the bits of two.
        for (size, hex) in [
            (
                1204,
                "\
                 02014102b4040000b4040000820000001400000033000000da040000c201000001c201000002c201000003c201000004c201 \
                 000005c201000006c20100c25d01fe5e01fe5e01fe5e013d5e33000000da040000c201000001c201000002c201000003c201 \
                 000004c201000005c201000006c20100c25d01fe5e01fe5e01fe5e013d5e",
            ),
            (
                1200,
                "\
                 02014402b0040000b0040000de0000001400000061000000d8040000050104fcff0101000f050c00c0010b04ffff050c3219 \
                 000d01091f0003050e00f0050d003f050c32010009190d012e1a000919323200097d09013219004a010009262e0100623200 \
                 32c800fe0100fe0100fe0100fe0100fe0100c2010061000000d8040000050104fcff0101000f050c00c0010b04ffff050c32 \
                 19000d01091f0003050e00f0050d003f050c32010009190d012e1a000919323200097d09013219004a010009262e01006232 \
                 0032c800fe0100fe0100fe0100fe0100fe0100c20100",
            ),
        ] {
            decodes_to(&*codec("blosc", r#"{"cname": "snappy"}"#), &from_hex(hex), &runs(size));
        }
    }

    #[test]
    fn damaged_snappy_does_no_harm() {
        for shuffle in ["noshuffle", "shuffle", "bitshuffle"] {
            for (type_size, block_size) in [(1, 0), (3, 0), (4, 700), (16, 0)] {
                let snappy = snappy(shuffle, type_size, block_size);
                let decoded = [runs(2500), noise(201)].concat();
                let encoded = encode(&*snappy, &decoded);
                assert_eq!((encoded[2] >> 5, encoded[2] & 2), (2, 0));
                for at in 0..encoded.len() {
                    refuses(&*snappy, &encoded[..at], decoded.len(), ErrorKind::CorruptData);
                    for flip in [0xff, 0x80, 0x01, 0x10] {
                        let mut damaged = encoded.clone();
                        damaged[at] ^= flip;
                        let into = decode_into(&*snappy, &damaged, decoded.len());
                        let bounded = decode_bounded(&*snappy, &damaged, decoded.len());
                        if let (Ok(into), Ok(bounded)) = (into, bounded) {
                            assert!(into == bounded, "{snappy:?}");
                        }
                    }
                    // Cut off, but for a header that does not say so.
                    if at >= 16 {
                        let cut = with(&encoded[..at], 12, at as u32);
                        refuses(&*snappy, &cut, decoded.len(), ErrorKind::CorruptData);
                    }
                }
            }
        }
    }

    #[test]
    fn formats_of_snappy_from_the_future_are_refused() {
        let snappy = snappy("shuffle", 4, 0);
        let decoded = numbers(400);
        let encoded = encode(&*snappy, &decoded);
        for (at, flip) in [(1, 3), (2, 0x08)] {
            let mut changed = encoded.clone();
            changed[at] ^= flip;
            refuses(&*snappy, &changed, decoded.len(), ErrorKind::CorruptData);
        }
    }
}

mod lz4 {
    use super::*;

    #[test]
    fn headers_cannot_lie() {
        let lz4 = codec("lz4", "{}");
        let decoded = runs(5000);
        let encoded = encode(&*lz4, &decoded);
        for size in [0, 4999, 5001, 1 << 31, i32::MAX as u32, u32::MAX] {
            let lie = [&size.to_le_bytes(), &encoded[4..]].concat();
            refuses(&*lz4, &lie, decoded.len(), ErrorKind::CorruptData);
            if size > 5000 {
                // Not even where it were allowed.
                lz4.decode_bounded(&lie, usize::MAX, &mut Vec::new()).unwrap_err();
            }
        }
    }
}

mod bz2 {
    use super::*;

    #[test]
    fn several_streams_are_one_chunk() {
        let bz2 = codec("bz2", "{}");
        let (first, second) = (runs(3000), noise(500));
        let (one, two) = (encode(&*bz2, &first), encode(&*bz2, &second));
        decodes_to(&*bz2, &[&one[..], &two].concat(), &[&first[..], &second].concat());
        refuses(&*bz2, &[&one[..], &two[..two.len() - 1]].concat(), 3500, ErrorKind::CorruptData);
        refuses(&*bz2, &[&one[..], b"behind"].concat(), 3000, ErrorKind::CorruptData);
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bz2 = codec("bz2", r#"{"level": 9}"#);
        let decoded = vec![0; 64 << 20];
        let bomb = encode(&*bz2, &decoded);
        for limit in [0, 1, 1000, 1 << 20] {
            refuses(&*bz2, &bomb, limit, ErrorKind::CorruptData);
        }
    }
}
