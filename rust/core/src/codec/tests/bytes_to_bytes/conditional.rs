//! Chunks of `conditional` that use different codecs.

use super::*;

const CODECS: &str = r#"{"codecs": ["shuffle", {"name": "zlib"}, "crc32c"]}"#;

#[test]
fn every_choice_of_codecs_decodes() {
    let conditional = codec("conditional", CODECS);
    let codecs = ["shuffle", "zlib", "crc32c"].map(|name| codec(name, "{}"));
    for decoded in [numbers(4000), runs(1001), vec![]] {
        for bits in 0..8_u8 {
            let mut bytes = decoded.clone();
            for (_, codec) in codecs.iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1) {
                bytes = encode(&**codec, &bytes);
            }
            let encoded = [&[bits][..], &bytes].concat();
            decodes_to(&*conditional, &encoded, &decoded);
            refuses(&*conditional, &[&[bits | 8][..], &bytes].concat(), decoded.len(), ErrorKind::CorruptData);
            let stripped = conditional.strip(&encoded, true).unwrap();
            assert_eq!(stripped, (bits == 0).then_some(&decoded[..]));
        }
    }
}

#[test]
fn codecs_are_used_where_they_help() {
    let conditional = codec("conditional", CODECS);
    let (small, large) = (encode(&*conditional, &runs(5000)), encode(&*conditional, &noise(5000)));
    assert_eq!((small[0], small.len() < 2500), (7, true));
    assert_eq!((large[0], &large[1..]), (0, &noise(5000)[..]));
    let wide = codec("conditional", r#"{"codecs": ["zlib"], "header_bits": 24}"#);
    assert_eq!(encode(&*wide, &runs(5000))[..3], [1, 0, 0]);
    let nothing = codec("conditional", r#"{"codecs": []}"#);
    decodes_to(&*nothing, &encode(&*nothing, &runs(50)), &runs(50));
}

#[test]
fn bombs_stop_at_the_limit() {
    let conditional = codec("conditional", r#"{"codecs": ["zlib", "zlib", "zlib"]}"#);
    let bomb = encode(&*conditional, &vec![0; 32 << 20]);
    assert_eq!(bomb[0], 7);
    for limit in [0, 1, 1000] {
        refuses(&*conditional, &bomb, limit, ErrorKind::CorruptData);
    }
}

#[test]
fn invalid_configurations_are_refused() {
    for configuration in [
        "{}",
        r#"{"codecs": ["bytes"]}"#,
        r#"{"codecs": [{"name": "sharding_indexed", "configuration": {"chunk_shape": [1], "codecs": [], "index_codecs": []}}]}"#,
        r#"{"codecs": ["zlib"], "header_bits": 4}"#,
        r#"{"codecs": ["zlib"], "header_bits": 0}"#,
        r#"{"codecs": ["zlib"], "header_bits": 4294967296}"#,
        r#"{"codecs": [{"name": "zlib", "configuration": {"level": 11}}]}"#,
    ] {
        let error = try_codec("conditional", configuration).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidMetadata, "{configuration}: {error}");
    }
    let error = try_codec("conditional", r#"{"codecs": ["unheard"]}"#).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
