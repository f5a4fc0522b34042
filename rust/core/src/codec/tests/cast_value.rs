//! `cast_value` of single numbers; the cases are those of its specification.

use serde_json::json;

use super::array_to_array::{decode, encode, filter, named};
use crate::codec::array_to_array::number::real::{Real, write_codes};
use crate::error::ErrorKind;

/// Checks that numbers are cast to others and back, or refused (`None`).
#[track_caller]
fn casts(from: &str, configuration: &str, values: &[(serde_json::Value, Option<serde_json::Value>)]) {
    let codec = filter("cast_value", configuration, from);
    let (from, to) = (Real::of(&named(from)).unwrap(), Real::of(codec.encoded_type()).unwrap());
    let bytes = |real: Real, value: &serde_json::Value| {
        let mut bytes = vec![0; real.size()];
        write_codes(&[real.parse(value).unwrap()], &mut bytes);
        bytes
    };
    for (value, expected) in values {
        let found = encode(&*codec, &bytes(from, value), 1);
        match expected {
            Some(expected) => assert_eq!(found.unwrap(), bytes(to, expected), "{value} {configuration}"),
            None => assert_eq!(found.unwrap_err().kind(), ErrorKind::InvalidSelection, "{value} {configuration}"),
        }
    }
}

#[test]
fn values_are_cast_as_the_configuration_says() {
    let some = |from, to| (from, Some(to));
    for (mode, to) in [
        ("nearest-even", [2, 2, 4, -2, -4]),
        ("towards-zero", [1, 2, 3, -2, -3]),
        ("towards-positive", [2, 3, 4, -2, -3]),
        ("towards-negative", [1, 2, 3, -3, -4]),
        ("nearest-away", [2, 3, 4, -3, -4]),
    ] {
        let numbers = [1.6, 2.5, 3.5, -2.5, -3.6];
        let pairs: Vec<_> = numbers.iter().zip(to).map(|(from, to)| some(json!(from), json!(to))).collect();
        let configuration = |data_type| json!({"data_type": data_type, "rounding": mode}).to_string();
        casts("float64", &configuration("int8"), &pairs);
        casts("float32", &configuration("int64"), &pairs);
    }
}

#[test]
fn numbers_out_of_range_follow_the_configuration() {
    let some = |from, to| (from, Some(to));
    let plain = r#"{"data_type": "int8"}"#;
    casts(
        "float64",
        plain,
        &[(json!(127.5), None), (json!("NaN"), None), (json!("Infinity"), None), some(json!(-128.4), json!(-128))],
    );
    casts("int64", plain, &[(json!(128), None), some(json!(-128), json!(-128))]);
    casts("uint64", plain, &[(json!(u64::MAX), None), some(json!(127), json!(127))]);
    let clamp = r#"{"data_type": "int8", "out_of_range": "clamp"}"#;
    casts(
        "float64",
        clamp,
        &[some(json!(128.0), json!(127)), some(json!(-1e300), json!(-128)), (json!("-Infinity"), None)],
    );
    let wrap = r#"{"data_type": "int16", "out_of_range": "wrap"}"#;
    casts(
        "int32",
        wrap,
        &[some(json!(32768), json!(-32768)), some(json!(32769), json!(-32767)), some(json!(-32769), json!(32767))],
    );
    casts(
        "float64",
        wrap,
        &[some(json!(32768), json!(-32768)), some(json!(-32769.2), json!(32767)), some(json!(1e300), json!(0))],
    );
    casts(
        "float64",
        r#"{"data_type": "uint64", "out_of_range": "wrap"}"#,
        &[some(json!(-1), json!(u64::MAX)), some(json!(36_893_488_147_419_111_424.0), json!(8192))],
    );
    casts(
        "int16",
        r#"{"data_type": "int4", "out_of_range": "wrap"}"#,
        &[some(json!(8), json!(-8)), some(json!(-9), json!(7))],
    );
    casts(
        "int64",
        r#"{"data_type": "float32", "rounding": "towards-zero"}"#,
        &[some(json!(33_554_435), json!(33_554_432)), some(json!(-33_554_435), json!(-33_554_432))],
    );
    casts(
        "int64",
        r#"{"data_type": "float16"}"#,
        &[
            some(json!(2049), json!(2048)),
            some(json!(2051), json!(2052)),
            (json!(65520), None),
            some(json!(65519), json!(65504)),
        ],
    );
    let half = r#"{"data_type": "float16", "out_of_range": "clamp"}"#;
    casts(
        "float64",
        half,
        &[
            some(json!(65520), json!("Infinity")),
            some(json!(-1e9), json!("-Infinity")),
            some(json!("NaN"), json!("NaN")),
            some(json!(-0.0), json!(-0.0)),
        ],
    );
    casts(
        "float64",
        r#"{"data_type": "float32"}"#,
        &[(json!(1e39), None), some(json!("Infinity"), json!("Infinity")), some(json!(0.1), json!(0.1))],
    );
    let tiny = r#"{"data_type": "float4_e2m1fn", "out_of_range": "clamp"}"#;
    casts(
        "float32",
        tiny,
        &[
            some(json!(7), json!(6)),
            some(json!(-100), json!(-6)),
            (json!("NaN"), None),
            (json!("Infinity"), None),
            some(json!(0.25), json!(0)),
        ],
    );
    casts(
        "float32",
        r#"{"data_type": "float8_e8m0fnu"}"#,
        &[
            some(json!(3), json!(4)),
            some(json!(6), json!(8)),
            (json!(0), None),
            (json!(-1), None),
            some(json!("NaN"), json!("NaN")),
        ],
    );
    casts(
        "float32",
        r#"{"data_type": "float8_e4m3fn"}"#,
        &[some(json!(448), json!(448)), (json!(465), None), some(json!(464), json!(448))],
    );
}

#[test]
fn mapped_values_come_first() {
    let configuration = r#"{"data_type": "uint8", "out_of_range": "clamp",
        "scalar_map": {"encode": [["NaN", 0], ["NaN", 1], [5, 9]], "decode": [[0, "NaN"]]}}"#;
    casts(
        "float32",
        configuration,
        &[(json!("NaN"), Some(json!(0))), (json!(5), Some(json!(9))), (json!(-3), Some(json!(0)))],
    );
    let codec = filter("cast_value", configuration, "float32");
    let decoded = decode(&*codec, &[0, 7], 8).unwrap();
    assert_eq!(decoded, [f32::NAN.to_ne_bytes(), 7f32.to_ne_bytes()].concat());
    let error =
        decode(&*filter("cast_value", r#"{"data_type": "int16"}"#, "uint8"), &300i16.to_ne_bytes(), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CorruptData);
    assert_eq!(error.message(), "element 0: 300 is out of the range of uint8");
}
