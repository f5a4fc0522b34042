//! `lzma` in its containers, with its filters.

use super::*;

/// Bytes that numcodecs wrote, of the squares of 0 to 63 as `uint32`.
#[test]
fn what_numcodecs_wrote_decodes() {
    let squares: Vec<u8> = (0..64_u32).flat_map(|number| (number * number).to_le_bytes()).collect();
    for (configuration, hex) in [
        (
            "{}",
            "\
             fd377a585a000004e6d6b4460200210116000000742fe5a3e000ff007b5d0000687ebf0a87476538ca032bf8673435ab2de1 \
             f1b663d5cbd9b83c8199f1270671507947ed5834eb7d10154fd0c97af5ae312786da5511d622cb72ddb8a7f089bbf41194f2 \
             b849f80f746e86a84df60954918023b3cc20ce9c9ef6621517acb6f3b120c3a3191dcf7ec44851ac44c555a4bd9f86ecf1c8 \
             0b3d75c00000452dad0b5bb497ca0001970180020000c3b98b10b1c467fb020000000004595a",
        ),
        (
            r#"{"format": 1, "check": 0, "preset": 9, "filters": null}"#,
            "\
             fd377a585a000000ff12d941020021011c00000010cf58cce000ff007b5d0000687ebf0a87476538ca032bf8673435ab2de1 \
             f1b663d5cbd9b83c8199f1270671507947ed5834eb7d10154fd0c97af5ae312786da5511d622cb72ddb8a7f089bbf41194f2 \
             b849f80f746e86a84df60954918023b3cc20ce9c9ef6621517acb6f3b120c3a3191dcf7ec44851ac44c555a4bd9f86ecf1c8 \
             0b3d75c0000000018f018002000035390effa8000afc020000000000595a",
        ),
        (
            r#"{"format": 1, "check": 10, "preset": 1}"#,
            "\
             fd377a585a00000ae1fb0ca10200210110000000a8708e86e000ff009d5d0000687e9e2040d8bff8876b40be61f3cb7ff0d0 \
             b80fdab20e30e908c5e1f067d30a6bf15b59b1a2554898f4b59cd53d379bf4098353a0c4cc3eb0ba20c22351ae945b432b2f \
             ccb1c5808d9b9058455585e9db975cf56f438e5b21c28c4b87ae6d4df8c8f16c7a13148b8208bdc0ddca7942f8e7bed9bd20 \
             fd8835ad13ff84a829dbc6601e09f1478075c639e2f6f820bfaf097572ead88ea0c4a8455ecb000000002dab2c66b8181695 \
             013502eb3dee145cd50bd69acf923fb71a360c24032455810001d10180020000b2508ac9b6e9df1c02000000000a595a",
        ),
        (
            r#"{"format": 1, "check": 1, "preset": 2147483654}"#,
            "\
             fd377a585a0000016922de360200210116000000742fe5a3e000ff007b5d0000687ebf0a87476538ca032bf8673435ab2de1 \
             f1b663d5cbd9b83c8199f1270671507947ed5834eb7d10154fd0c97af5ae312786da5511d622cb72ddb8a7f089bbf41194f2 \
             b849f80f746e86a84df60954918023b3cc20ce9c9ef6621517acb6f3b120c3a3191dcf7ec44851ac44c555a4bd9f86ecf1c8 \
             0b3d75c000001d7b6f2c0001930180020000d5fb1a8b3e300d8b020000000001595a",
        ),
        (
            r#"{"format": 2}"#,
            "\
             5d00008000ffffffffffffffff0000687ebf0a87476538ca032bf8673435ab2de1f1b663d5cbd9b83c8199f1270671507947 \
             ed5834eb7d10154fd0c97af5ae312786da5511d622cb72ddb8a7f089bbf41194f2b849f80f746e86a84df60954918023b3cc \
             20ce9c9ef6621517acb6f3b120c3a3191dcf7ec44851ac44c555a4bd9f86ecf1c8a5ad4cc1fff7b76800",
        ),
        (
            r#"{"format": 2, "check": -1, "preset": 0}"#,
            "\
             5d00000400ffffffffffffffff0000687e9e2040d8bff8876b40be61f3cb7ff0d0b80fdab20e30e908c5e1f067d30a6bf15b \
             59b1a2554898f4b4150bc049ed024481d54c751fee75aff5927434974505c52beb4d1068162e6ae00b565bf446571a3773d9 \
             e1a3ecfbe9e023022aa3f0805264c93f883902fab30260b2aacfd54caa3d92bdac8f8da2974ee2641b1266d7138152a5bdce \
             3fdf2ed602adbb7e4db9767cd1e708dffff7f98400",
        ),
        (
            r#"{"format": 3, "filters": [{"id": 3, "dist": 4}, {"id": 33, "preset": 6}]}"#,
            "\
             e000ff00685d0000687ebf0a8501a124d0fac634b76e83a85eeb701d50537e29b383d3bc2d2641c511c9f2cc7d893a7d1af3 \
             187153e9bedb43800acbd1fc30dcbebec31765caa0775455bf579b37c2a6e2697c34845073745a84ebf705a537b16551d6ce \
             b9e609ee5b1a049b6d143400",
        ),
        (
            r#"{"format": 3, "filters": [{"id": 4611686018427387905, "dict_size": 65536, "lc": 2, "lp": 1, "pb": 1, "mode": 1, "nice_len": 32, "mf": 4, "depth": 4}]}"#,
            "\
             0000687e9e18ffe9e2c3d83999b388b0fa348fa531ac32dc18d6d34ef6ae54e8dc6a34b9b20fced7439510f88458b8ca6645 \
             76159c24b974ea89224181f1701e2e8b6232052b12ff7952e24adddf346ee5485ef0bdd1e00f8ce1848add5d8ff2153cf334 \
             0f439747a5acdcdfeeafec95df6ab607db91478a1446b314e2fb6d758e6109fabd23add39974992fea403c468d87e871dd43 \
             516e12df42693ffe678200",
        ),
        (
            r#"{"format": 3, "filters": [{"id": 4, "start_offset": 16}, {"id": 33, "preset": 1}]}"#,
            "\
             e000ff009d5d0000687e9e2040d8bff8876b40be61f3cb7ff0d0b80fdab20e30e908c5e1f067d30a6bf15b59b1a2554898f4 \
             b59cd53d379bf4098353a0c4cc3eb0ba20c22351ae945b432b2fccb1c5808d9b9058455585e9db975cf56f438e5b21c28c4b \
             87ae6d4df8c8f16c7a13148b8208bdc0ddca7942f8e7bed9bd20fd8835ad13ff84a829dbc6601e09f1478075c639e2f6f820 \
             bfaf097572ead88ea0c4a8455ecb00",
        ),
    ] {
        let encoded = from_hex(hex);
        let lzma = codec("numcodecs.lzma", configuration);
        decodes_to(&*lzma, &encoded, &squares);
        for end in 0..encoded.len() {
            refuses(&*lzma, &encoded[..end], squares.len(), ErrorKind::CorruptData);
        }
        refuses(&*lzma, &[&encoded[..], b"behind"].concat(), squares.len(), ErrorKind::CorruptData);
    }
}

const LZMA1: u64 = 0x4000_0000_0000_0001;

#[test]
fn every_container_and_filter_works() {
    let decoded = [numbers(50_000), runs(20_003)].concat();
    let mut configurations: Vec<String> = (0..=9).map(|preset| format!(r#"{{"preset": {preset}}}"#)).collect();
    configurations.extend([0, 1, 4, 10, -1].map(|check| format!(r#"{{"check": {check}}}"#)));
    configurations.extend((0..=9).map(|preset| format!(r#"{{"format": 2, "preset": {preset}}}"#)));
    configurations.push(format!(r#"{{"preset": {}}}"#, 1_u32 << 31 | 2));
    configurations.push(format!(r#"{{"format": 2, "filters": [{{"id": {LZMA1}, "lc": 0, "lp": 2}}]}}"#));
    for format in [1, 3] {
        configurations.extend((4..=11).map(|id| {
            format!(r#"{{"format": {format}, "filters": [{{"id": {id}, "start_offset": 64}}, {{"id": 33}}]}}"#)
        }));
        for dist in [1, 4, 256] {
            let filters = format!(r#"[{{"id": 3, "dist": {dist}}}, {{"id": 4}}, {{"id": 33, "dict_size": 4096}}]"#);
            configurations.push(format!(r#"{{"format": {format}, "filters": {filters}}}"#));
        }
    }
    for mf in [3, 4, 18, 19, 20] {
        let filter = format!(r#"{{"id": {LZMA1}, "dict_size": 1610612736, "mf": {mf}, "mode": 2, "nice_len": 50}}"#);
        configurations.push(format!(r#"{{"format": 3, "filters": [{filter}]}}"#));
    }
    for configuration in configurations {
        let lzma = codec("lzma", &configuration);
        for size in [0, 1, 5000, decoded.len()] {
            let encoded = encode(&*lzma, &decoded[..size]);
            decodes_to(&*lzma, &encoded, &decoded[..size]);
            if size == 5000 {
                for end in (0..encoded.len()).step_by(7) {
                    refuses(&*lzma, &encoded[..end], size, ErrorKind::CorruptData);
                }
            }
        }
    }
}

#[test]
fn invalid_filters_are_refused() {
    for configuration in [
        r#"{"format": 0}"#,
        r#"{"format": 4}"#,
        r#"{"check": 2}"#,
        r#"{"format": 2, "check": 1}"#,
        r#"{"preset": 10}"#,
        r#"{"preset": -1}"#,
        r#"{"preset": 6, "filters": [{"id": 33}]}"#,
        r#"{"format": 3}"#,
        r#"{"format": 3, "filters": []}"#,
        r#"{"format": 2, "filters": [{"id": 33}]}"#,
        r#"{"filters": [{"id": 3, "dist": 1}]}"#,
        r#"{"filters": [{"id": 33}, {"id": 33}]}"#,
        r#"{"filters": [{"id": 4}, {"id": 4}, {"id": 4}, {"id": 4}, {"id": 33}]}"#,
        r#"{"filters": [{"id": 4611686018427387905}]}"#,
        r#"{"filters": [{"dist": 1}]}"#,
        r#"{"filters": [{"id": 99}, {"id": 33}]}"#,
        r#"{"filters": [{"id": 3, "dist": 0}, {"id": 33}]}"#,
        r#"{"filters": [{"id": 3, "dist": 257}, {"id": 33}]}"#,
        r#"{"filters": [{"id": 4, "dist": 1}, {"id": 33}]}"#,
        r#"{"filters": [{"id": 7, "start_offset": 1}, {"id": 33}]}"#,
        r#"{"filters": [{"id": 33, "dict_size": 4095}]}"#,
        r#"{"filters": [{"id": 33, "dict_size": 1610612737}]}"#,
        r#"{"filters": [{"id": 33, "lc": 4, "lp": 4}]}"#,
        r#"{"filters": [{"id": 33, "mode": 3}]}"#,
        r#"{"filters": [{"id": 33, "mf": 5}]}"#,
        r#"{"filters": [{"id": 33, "nice_len": 1}]}"#,
        r#"{"filters": [{"id": 33, "preset": 10}]}"#,
    ] {
        let error = try_codec("lzma", configuration).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidMetadata, "{configuration}: {error}");
    }
}

#[test]
fn several_streams_and_zeros_after_them_are_one_chunk() {
    let lzma = codec("lzma", "{}");
    let (first, second) = (runs(3000), noise(500));
    let (one, two) = (encode(&*lzma, &first), encode(&*lzma, &second));
    let both = [&first[..], &second].concat();
    decodes_to(&*lzma, &[&one[..], &two].concat(), &both);
    decodes_to(&*lzma, &[&one[..], &[0; 8], &two, &[0; 4]].concat(), &both);
    refuses(&*lzma, &[&one[..], &two[..two.len() - 1]].concat(), both.len(), ErrorKind::CorruptData);
    refuses(&*lzma, &[&one[..], &[0; 3]].concat(), first.len(), ErrorKind::CorruptData);
}

#[test]
fn checks_are_checked() {
    let decoded = noise(1000);
    for check in [1, 4, 10] {
        let lzma = codec("lzma", &format!(r#"{{"check": {check}}}"#));
        let mut encoded = encode(&*lzma, &decoded);
        // Noise is stored uncompressed.
        encoded[500] ^= 1;
        refuses(&*lzma, &encoded, decoded.len(), ErrorKind::CorruptData);
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let decoded = vec![0; 64 << 20];
    let raw = r#"{"format": 3, "filters": [{"id": 33, "preset": 0}]}"#;
    for configuration in [r#"{"preset": 0}"#, r#"{"preset": 0, "format": 2}"#, raw] {
        let lzma = codec("lzma", configuration);
        let bomb = encode(&*lzma, &decoded);
        for limit in [0, 1, 1000, 1 << 20] {
            refuses(&*lzma, &bomb, limit, ErrorKind::CorruptData);
        }
    }
}

#[test]
fn a_dictionary_far_larger_than_the_chunk_is_an_error() {
    let alone = codec("lzma", r#"{"format": 2}"#);
    let decoded = runs(1000);
    let mut encoded = encode(&*alone, &decoded);
    for (dictionary, is_fine) in [(64_u32 << 20, true), (1 << 30, false), (u32::MAX, false)] {
        encoded[1..5].copy_from_slice(&dictionary.to_le_bytes());
        if is_fine {
            decodes_to(&*alone, &encoded, &decoded);
        } else {
            refuses(&*alone, &encoded, decoded.len(), ErrorKind::CorruptData);
        }
    }
}
