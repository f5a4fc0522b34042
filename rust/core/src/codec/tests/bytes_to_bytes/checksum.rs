//! Checksums against those of numcodecs.

use super::*;

const TEXT: &[u8] = b"squares and circles";

/// The checksum that numcodecs wrote, and whether it is at the start.
const WRITTEN: [(&str, &str, [u8; 4], bool); 14] = [
    ("crc32", "{}", [0x36, 0x12, 0xd0, 0x90], true),
    ("numcodecs.crc32", r#"{"location": "end"}"#, [0x36, 0x12, 0xd0, 0x90], false),
    ("numcodecs.crc32", r#"{"location": null}"#, [0x36, 0x12, 0xd0, 0x90], true),
    ("adler32", "{}", [0x5d, 0x07, 0x5b, 0x4a], true),
    ("numcodecs.adler32", r#"{"location": "start"}"#, [0x5d, 0x07, 0x5b, 0x4a], true),
    ("numcodecs.adler32", r#"{"location": "end"}"#, [0x5d, 0x07, 0x5b, 0x4a], false),
    ("crc32c", r#"{"location": null}"#, [0x70, 0x99, 0xf1, 0x9c], false),
    ("crc32c", "{}", [0x70, 0x99, 0xf1, 0x9c], false),
    ("numcodecs.crc32c", r#"{"location": "end"}"#, [0x70, 0x99, 0xf1, 0x9c], false),
    ("numcodecs.crc32c", r#"{"location": "start"}"#, [0x70, 0x99, 0xf1, 0x9c], true),
    ("numcodecs.fletcher32", "{}", [0x1a, 0x49, 0xbd, 0xc9], false),
    ("numcodecs.jenkins_lookup3", r#"{"initval": 0, "prefix": null}"#, [0x05, 0x1d, 0xa2, 0x2c], false),
    ("jenkins_lookup3", r#"{"initval": 4000000000}"#, [0x52, 0xb3, 0xd8, 0x3b], false),
    ("jenkins_lookup3", r#"{"initval": 5, "prefix": [1, 2, 3]}"#, [0x1f, 0x28, 0x2d, 0x0b], false),
];

#[test]
fn checksums_are_those_of_numcodecs_and_where_it_puts_them() {
    for (name, configuration, sum, at_start) in WRITTEN {
        let codec = codec(name, configuration);
        let written = if at_start { [&sum, TEXT].concat() } else { [TEXT, &sum].concat() };
        assert_eq!(encode(&*codec, TEXT), written, "{name} {configuration}");
        decodes_to(&*codec, &written, TEXT);
        assert_eq!(codec.strip(&written, true).unwrap(), Some(TEXT));
    }
}

#[test]
fn checksums_of_every_length_are_those_of_numcodecs() {
    for (length, fletcher, jenkins) in [
        (12, 0x0d16_9a78_u32, 0x3879_58f9_u32),
        (13, 0x6e8f_6179, 0x0d54_3670),
        (24, 0x286e_9d59, 0x2d97_23a7),
        (100, 0xfd38_5892, 0x4c5a_8703),
        (1000, 0xd281_0147, 0x8df6_20c3),
        (1001, 0x66c9_9447, 0x3339_9851),
        (65537, 0x29ae_cb3f, 0xa8f6_83dc),
    ] {
        let decoded: Vec<u8> = (0..length).map(|at: u32| at.wrapping_mul(37).wrapping_add(11) as u8).collect();
        for (name, sum) in [("fletcher32", fletcher), ("jenkins_lookup3", jenkins)] {
            let codec = codec(name, "{}");
            assert_eq!(encode(&*codec, &decoded)[length as usize..], sum.to_le_bytes(), "{name} of {length}");
        }
    }
    for length in [2, 4, 1000, 131_072] {
        let encoded = encode(&*codec("fletcher32", "{}"), &vec![0xff; length]);
        assert_eq!(encoded[length..], [0xff; 4]);
    }
    assert_eq!(encode(&*codec("fletcher32", "{}"), &[]), [0; 4]);
}

#[test]
fn a_wrong_checksum_is_an_error_if_validated() {
    for (name, configuration, _, at_start) in WRITTEN {
        let codec = codec(name, configuration);
        let mut encoded = encode(&*codec, TEXT);
        encoded[7] ^= 1;
        refuses(&*codec, &encoded, TEXT.len(), ErrorKind::CorruptData);
        codec.strip(&encoded, true).unwrap_err();
        let stripped = codec.strip(&encoded, false).unwrap().unwrap();
        assert_eq!(stripped, if at_start { &encoded[4..] } else { &encoded[..TEXT.len()] });
        codec.strip(&encoded[..3], false).unwrap_err();
    }
}
