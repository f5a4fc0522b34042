//! Buffers of blosc.

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
fn members_have_defaults() {
    let decoded = numbers(4000);
    let of = |configuration| encode(&*codec("blosc", configuration), &decoded);
    let usual = of(r#"{"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}"#);
    assert_eq!(of("{}"), usual);
    assert_eq!(of(r#"{"shuffle": -1, "typesize": null}"#), usual);
    assert_eq!(of(r#"{"typesize": 1, "shuffle": -1}"#), of(r#"{"typesize": 256, "shuffle": 2}"#));
}

#[test]
fn wrong_headers_are_errors() {
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
        // Blocks of one byte: the offsets are truncated.
        if configuration != r#"{"clevel": 0}"# {
            refuses(&with(&encoded, 8, 1));
            for start in [0, 16, encoded.len() as u32 - 3, encoded.len() as u32, 1 << 31, i32::MAX as u32, u32::MAX] {
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
    // Two blocks with shuffled and split bytes; two blocks with shuffled bits.
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
                // Truncated, but with a consistent header.
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
