//! Headers of lz4.

use super::*;

#[test]
fn wrong_headers_are_errors() {
    let lz4 = codec("lz4", "{}");
    let decoded = runs(5000);
    let encoded = encode(&*lz4, &decoded);
    for size in [0, 4999, 5001, 1 << 31, i32::MAX as u32, u32::MAX] {
        let declare = [&size.to_le_bytes(), &encoded[4..]].concat();
        refuses(&*lz4, &declare, decoded.len(), ErrorKind::CorruptData);
        if size > 5000 {
            // Also if the limit allows it.
            lz4.decode_bounded(&declare, usize::MAX, &mut Vec::new()).unwrap_err();
        }
    }
}
