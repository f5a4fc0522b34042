//! Frames of zstd.

use super::*;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Returns a frame of one stored block that does not declare its size.
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
fn wrong_declared_sizes_are_errors() {
    let zstd = codec("zstd", "{}");
    let declare = |size: u64| [&MAGIC[..], &[0xe0], &size.to_le_bytes(), &[1, 0, 0]].concat();
    refuses(&*zstd, &declare(1 << 50), 1000, ErrorKind::CorruptData);
    refuses(&*zstd, &declare(u64::MAX - 2), 1000, ErrorKind::CorruptData);
    refuses(&*zstd, &declare(1000), 1000, ErrorKind::CorruptData);
    decodes_to(&*zstd, &declare(0), &[]);
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
