//! Ranges of the decoded bytes of blosc.

use super::*;

fn block_size(encoded: &[u8]) -> usize {
    u32::from_le_bytes(encoded[8..12].try_into().unwrap()) as usize
}

/// Decodes many ranges, which must be slices of the whole. Returns whether any range was decoded alone.
fn ranges(blosc: &dyn BytesToBytes, encoded: &[u8], decoded: &[u8]) -> bool {
    let (size, block) = (decoded.len(), block_size(encoded));
    assert!(block < size / 2, "{block} {size}");
    let edges = [0, 1, block - 1, block, block + 1, 3 * block, size / 2, size - block, size - 2, size - 1, size];
    let mut works = false;
    for start in edges {
        for end in edges.into_iter().filter(|&end| end >= start) {
            let mut part = vec![0xa5; end - start];
            if blosc.decode_range(encoded, size, start, &mut part).unwrap() {
                assert!(part == decoded[start..end], "{start}..{end} of {size} in {blosc:?}");
                works |= start < end;
            }
        }
    }
    works
}

#[test]
fn every_range_is_a_slice_of_the_whole() {
    let decoded = [numbers(300_000), runs(70_001)].concat();
    for compressor in ["lz4", "lz4hc", "blosclz", "zstd", "zlib", "snappy"] {
        for shuffle in ["noshuffle", "shuffle", "bitshuffle"] {
            for (level, type_size, block) in [(5, 4, 4096), (1, 1, 1000), (9, 7, 7000), (5, 17, 1700), (0, 4, 4096)] {
                let blosc = codec(
                    "blosc",
                    &format!(
                        r#"{{"cname": "{compressor}", "clevel": {level}, "shuffle": "{shuffle}",
                            "typesize": {type_size}, "blocksize": {block}}}"#
                    ),
                );
                let encoded = encode(&*blosc, &decoded);
                assert!(ranges(&*blosc, &encoded, &decoded), "{blosc:?}");
                let behind = [&encoded[..], b"behind"].concat();
                assert!(ranges(&*blosc, &behind, &decoded), "{blosc:?}");
                // Noise is copied, as a whole or block by block.
                let noise = noise(200_000);
                assert!(ranges(&*blosc, &encode(&*blosc, &noise), &noise), "{blosc:?}");
            }
        }
    }
}

#[test]
fn ranges_of_all_blocks_are_refused() {
    let blosc = codec("blosc", r#"{"blocksize": 4096, "cname": "zstd"}"#);
    let encoded = encode(&*blosc, &runs(10_000));
    assert_eq!(block_size(&encoded), 4096);
    for (offset, size, done) in
        [(0, 10_000, false), (4095, 5000, false), (4096, 5904, true), (0, 0, true), (10_000, 0, true)]
    {
        assert_eq!(blosc.decode_range(&encoded, 10_000, offset, &mut vec![0; size]).unwrap(), done);
    }
    let one = encode(&*blosc, &runs(4000));
    assert!(!blosc.decode_range(&one, 4000, 1, &mut [0; 2]).unwrap());
    assert!(!codec("zstd", "{}").decode_range(&one, 4000, 1, &mut [0; 2]).unwrap());
}

#[test]
fn only_the_needed_blocks_are_decoded() {
    let blosc = codec("blosc", r#"{"blocksize": 4096, "cname": "zstd"}"#);
    let decoded = numbers(40_000);
    let mut encoded = encode(&*blosc, &decoded);
    let last = u32::from_le_bytes(encoded[16 + 4 * 9..][..4].try_into().unwrap()) as usize;
    encoded[last..].fill(0xff);
    let mut part = vec![0; 5000];
    assert!(blosc.decode_range(&encoded, 40_000, 4000, &mut part).unwrap());
    assert_eq!(part, decoded[4000..9000]);
    let error = blosc.decode_range(&encoded, 40_000, 36_000, &mut part[..2000]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CorruptData);
}

#[test]
fn damaged_bytes_do_no_harm() {
    for compressor in ["lz4", "blosclz", "zstd", "zlib", "snappy"] {
        for (shuffle, level) in [("noshuffle", 5), ("shuffle", 5), ("bitshuffle", 5), ("shuffle", 0)] {
            let configuration = format!(
                r#"{{"cname": "{compressor}", "clevel": {level}, "shuffle": "{shuffle}", "typesize": 4, "blocksize": 512}}"#
            );
            let blosc = codec("blosc", &configuration);
            let decoded = [runs(1500), noise(101)].concat();
            let encoded = encode(&*blosc, &decoded);
            let range = |bytes: &[u8]| {
                let mut part = [0; 700];
                blosc.decode_range(bytes, decoded.len(), 500, &mut part).map(|done| done.then_some(part))
            };
            assert_eq!(range(&encoded).unwrap().unwrap()[..], decoded[500..1200]);
            let error = |damaged: &[u8]| {
                let error = range(damaged).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}");
            };
            for at in 0..encoded.len() {
                error(&encoded[..at]);
            }
            for size in [0, 1, 1600, 1602, i32::MAX as u32, u32::MAX] {
                let wrong = [&encoded[..4], &size.to_le_bytes(), &encoded[8..]].concat();
                error(&wrong);
            }
            for at in 0..encoded.len() {
                for flip in [0xff, 0x80, 0x01, 0x10] {
                    let mut damaged = encoded.clone();
                    damaged[at] ^= flip;
                    let whole = decode_into(&*blosc, &damaged, decoded.len());
                    if let (Ok(whole), Ok(Some(part))) = (whole, range(&damaged)) {
                        assert!(whole[500..1200] == part, "{blosc:?}: byte {at}");
                    }
                }
            }
        }
    }
}
