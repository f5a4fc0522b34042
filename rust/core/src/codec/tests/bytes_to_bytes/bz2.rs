//! Streams of bz2.

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
