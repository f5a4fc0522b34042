//! Members of gzip, and zlib.

use super::*;

#[test]
fn several_members_and_zeros_after_them_are_one_chunk() {
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
fn bytes_after_zlib_are_ignored() {
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
        // A wrong size at the end does not help.
        let size = bomb.len() - 4;
        bomb[size..].fill(0xff);
        refuses(&*codec, &bomb, 1000, ErrorKind::CorruptData);
        refuses(&*codec, &bomb, decoded.len(), ErrorKind::CorruptData);
    }
}
