//! `shuffle` and `base64`.

use super::*;

#[test]
fn shuffled_bytes_are_those_of_numcodecs() {
    let decoded: Vec<u8> = (0..24).collect();
    for (size, hex) in [
        (2, "00020406080a0c0e1012141601030507090b0d0f11131517"),
        (3, "000306090c0f12150104070a0d1013160205080b0e111417"),
        (4, "0004080c10140105090d111502060a0e121603070b0f1317"),
        (8, "000810010911020a12030b13040c14050d15060e16070f17"),
    ] {
        let shuffle = codec("numcodecs.shuffle", &format!(r#"{{"id": "shuffle", "elementsize": {size}}}"#));
        assert_eq!(encode(&*shuffle, &decoded), from_hex(hex));
        decodes_to(&*shuffle, &from_hex(hex), &decoded);
    }
    // The item size.
    let of = |configuration| encode(&*codec("shuffle", configuration), &decoded);
    assert_eq!(of("{}"), of(r#"{"elementsize": 4}"#));
    assert_eq!(of(r#"{"elementsize": null}"#), of(r#"{"element_size": 4}"#));
}

#[test]
fn every_element_size_works_with_every_rest() {
    for size in ["-1", "0", "1", "2", "3", "4", "5", "8", "16", "100", "1000000", "9223372036854775807"] {
        let shuffle = codec("shuffle", &format!(r#"{{"elementsize": {size}}}"#));
        for length in (0..40).chain([999, 1000, 1001]) {
            let decoded = noise(length);
            let encoded = encode(&*shuffle, &decoded);
            assert_eq!(encoded.len(), length);
            decodes_to(&*shuffle, &encoded, &decoded);
            let size = size.parse().unwrap_or(1).clamp(1, length.max(1));
            assert_eq!(encoded[length / size * size..], decoded[length / size * size..]);
        }
    }
}

#[test]
fn base64_is_that_of_numcodecs() {
    let base64 = codec("base64", "{}");
    let decoded = b"squares and circles";
    let encoded = b"c3F1YXJlcyBhbmQgY2lyY2xlcw==";
    assert_eq!(encode(&*base64, decoded), encoded);
    decodes_to(&*base64, encoded, decoded);
    decodes_to(&*base64, b"c3F1YXJlcyBh\r\nbmQgY2lyY2xl\n cw==\n", decoded);
    decodes_to(&*base64, b"", b"");
    decodes_to(&*base64, b"\n", b"");
    for bad in [
        "c3F1YXJlcyBhbmQgY2lyY2xlcw=",
        "c3F1YXJlcyBhbmQgY2lyY2xlcw",
        "c3F1YXJlcyBhbmQgY2ly-2xlcw==",
        "====",
        "=",
        "c3F1\0",
    ] {
        refuses(&*base64, bad.as_bytes(), decoded.len(), ErrorKind::CorruptData);
    }
    refuses(&*base64, b"\xff\xff\xff\xff", 3, ErrorKind::CorruptData);
}
