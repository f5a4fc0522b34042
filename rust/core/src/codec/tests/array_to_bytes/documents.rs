//! `json2` and `msgpack2`.

use super::*;

#[test]
fn documents_that_numcodecs_wrote_decode() {
    let json =
        br#"[["\u00e9\"\\\n\u2028\ud83d\ude00",1,-2.5],[null,{"a":{},"b":[true,NaN]},9223372036854775808],"|O",[2,3]]"#;
    let json2 = codec("numcodecs.json2", "{}", &DataType::object()).unwrap();
    let ascii = texts(&[
        r#""\u00e9\"\\\n\u2028\ud83d\ude00""#,
        "1",
        "-2.5",
        "null",
        r#"{"a":{},"b":[true,NaN]}"#,
        "9223372036854775808",
    ]);
    same("json2", &decode(&json2, json, &ascii, &[2, 3]).unwrap(), &ascii);
    assert_eq!(encode(&json2, &ascii, &[2, 3]).unwrap(), json);
    let letters = texts(&[
        "\"é\\\"\\\\\\n\u{2028}😀\"",
        "1",
        "-2.5",
        "null",
        r#"{"b":[true,NaN],"a":{}}"#,
        "9223372036854775808",
    ]);
    let mut expected = from_hex(
        "9493acc3a9225c0ae280a8f09f988001cbc00400000000000093c082a16292c3cb7ff8000000000000a16180cf8000000000000000a2\
         7c4f920203",
    );
    let msgpack2 = codec("numcodecs.msgpack2", r#"{"raw": false}"#, &DataType::object()).unwrap();
    same("msgpack2", &decode(&msgpack2, &expected, &letters, &[2, 3]).unwrap(), &letters);
    assert_eq!(encode(&msgpack2, &letters, &[2, 3]).unwrap(), expected);
    for shape in [&[3, 2][..], &[6], &[2, 3, 1], &[2, 4], &[]] {
        assert_eq!(decode(&msgpack2, &expected, &letters, shape).err().unwrap().kind(), ErrorKind::CorruptData);
        assert_eq!(decode(&json2, json, &letters, shape).err().unwrap().kind(), ErrorKind::CorruptData);
    }
    expected.push(0xc0);
    assert!(decode(&msgpack2, &expected, &letters, &[2, 3]).is_err());

    let expected = [&from_hex("96c403666f6fffd2ffff63c0d928")[..], &[b'x'; 40], &from_hex("a27c4f9104")].concat();
    let forty = format!("\"{}\"", "x".repeat(40));
    let mixed = texts(&[r#"{"$binary":"Zm9v"}"#, "-1", "-40000", &forty]);
    same("msgpack2", &decode(&msgpack2, &expected, &mixed, &[4]).unwrap(), &mixed);
    assert_eq!(encode(&msgpack2, &mixed, &[4]).unwrap(), expected);
    // Flattened.
    same("msgpack2", &decode(&msgpack2, &expected, &mixed, &[2, 2]).unwrap(), &mixed);

    let one = texts(&["\"x\""]);
    assert_eq!(encode(&json2, &one, &[]).unwrap(), br#"["x","|O",[]]"#);
}

#[test]
fn documents_of_numbers_that_numcodecs_wrote_decode() {
    let bytes = |words: &[&[u8]]| Elements::Fixed(words.concat());
    let ints: Vec<u8> = (-2..4_i32).flat_map(i32::to_ne_bytes).collect();
    let doubles: Vec<u8> =
        [1.5, f64::NAN, f64::NEG_INFINITY, 1e300, 0., -0.].into_iter().flat_map(f64::to_ne_bytes).collect();
    let shorts: Vec<u8> = [0, 127, 128, 255, 256, 65535_u16].into_iter().flat_map(u16::to_ne_bytes).collect();
    let floats: Vec<u8> = [0.5, -1.25_f32].into_iter().flat_map(f32::to_ne_bytes).collect();
    let letters: Vec<u8> =
        ['a', '\0', 'é', '😀'].into_iter().flat_map(|letter| u32::from(letter).to_ne_bytes()).collect();
    let text = DataType::from_code("U2").unwrap();
    for (name, data_type, encoded, shape, expected) in [
        ("json2", of("int32"), br#"[[-2,-1,0],[1,2,3],"<i4",[2,3]]"#.to_vec(), &[2, 3][..], bytes(&[&ints])),
        (
            "json2",
            of("float64"),
            br#"[[1.5,NaN,-Infinity],[1e+300,0.0,-0.0],"<f8",[2,3]]"#.to_vec(),
            &[2, 3],
            bytes(&[&doubles]),
        ),
        ("json2", text, br#"["a","\u00e9\ud83d\ude00","<U2",[2]]"#.to_vec(), &[2], bytes(&[&letters])),
        (
            "msgpack2",
            of("uint16"),
            from_hex("9493007fcc8093ccffcd0100cdffffa33c7532920203"),
            &[2, 3],
            bytes(&[&shorts]),
        ),
        (
            "msgpack2",
            of("float32"),
            from_hex("94cb3fe0000000000000cbbff4000000000000a33c66349102"),
            &[2],
            bytes(&[&floats]),
        ),
    ] {
        let codec = codec(name, "{}", &data_type).unwrap();
        same(name, &decode(&codec, &encoded, &expected, shape).unwrap(), &expected);
        let again = encode(&codec, &expected, shape).unwrap();
        let spelled = String::from_utf8_lossy(&encoded).replace("1e+300", "1e300").into_bytes();
        assert!(again == encoded || again == spelled, "{}", String::from_utf8_lossy(&again));
    }
    let json2 = codec("json2", "{}", &of("int8")).unwrap();
    for wrong in [r#"[1,300,"|i1",[2]]"#, r#"[1,1.5,"|i1",[2]]"#, r#"[1,"a","|i1",[2]]"#, r#"[1,2,"|u1",[2]]"#] {
        let error = decode(&json2, wrong.as_bytes(), &Elements::Fixed(vec![0; 2]), &[2]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}");
    }
}

#[test]
fn wrong_documents_are_errors() {
    let expected = texts(&["", ""]);
    let json2 = codec("json2", "{}", &DataType::object()).unwrap();
    let deep = format!("[{}{},1,\"|O\",[2]]", "[".repeat(100_000), "]".repeat(100_000));
    for wrong in [
        r#"["a","b","|O",[1000000000]]"#,
        r#"["a","b","|O",[-2]]"#,
        r#"["a","b","|O",[2.0]]"#,
        r#"["a","b","|O",2]"#,
        r#"["a","b",[2]]"#,
        r#"["a","|O",[2]]"#,
        r#"["a","b","c","|O",[2]]"#,
        r#"["a","b","<i4",[2]]"#,
        r#"{"a":1}"#,
        "[]",
        "",
        &deep,
    ] {
        assert!(decode(&json2, wrong.as_bytes(), &expected, &[2]).is_err(), "{}", &wrong[..wrong.len().min(40)]);
    }
    let msgpack2 = codec("msgpack2", "{}", &DataType::object()).unwrap();
    let deep = [&[0x94][..], &vec![0x91; 100_000], &[1, 1, 0xa2], b"|O", &[0x91, 2]].concat();
    for wrong in [
        &b"\x94\x01\x02\xa2|O\x91\xce\x3b\x9a\xca\x00"[..],
        b"\xdd\xff\xff\xff\xff\x01",
        b"\x94\xc6\xff\xff\xff\xff\x02\xa2|O\x91\x02",
        b"\x94\xdf\xff\xff\xff\xff\x02\xa2|O\x91\x02",
        b"\x94\xa1\xff\x02\xa2|O\x91\x02",
        b"\x94\xc1\x02\xa2|O\x91\x02",
        b"\x94\xd4\x00\x00\x02\xa2|O\x91\x02",
        b"\x94\x81\x01\x01\x02\xa2|O\x91\x02",
        b"\x92\xa2|O\x91\x02",
        b"\x80",
        &deep,
    ] {
        assert!(decode(&msgpack2, wrong, &expected, &[2]).is_err(), "{:x?}", &wrong[..wrong.len().min(40)]);
    }
    for wrong in ["", "{", "nul", "1 2"] {
        assert!(encode(&json2, &texts(&[wrong]), &[1]).is_err());
        assert!(encode(&msgpack2, &texts(&[wrong]), &[1]).is_err());
    }
}

#[test]
fn documents_in_other_spellings_are_read() {
    let latin = codec("json2", r#"{"encoding": "latin-1", "strict": false}"#, &DataType::object()).unwrap();
    let expected = texts(&["\"é\\u000a\"", "1"]);
    same("latin", &decode(&latin, b"[\n \"\xe9\n\" , 1,\"|O\",[ 2 ]]", &expected, &[2]).unwrap(), &expected);
    assert_eq!(encode(&latin, &expected, &[2]).unwrap(), br#"["\u00e9\u000a",1,"|O",[2]]"#);
    let plain = codec("json2", r#"{"ensure_ascii": false, "indent": 2}"#, &DataType::object()).unwrap();
    assert_eq!(encode(&plain, &expected, &[2]).unwrap(), "[\"é\\u000a\",1,\"|O\",[2]]".as_bytes());
    assert!(codec("json2", r#"{"encoding": "utf-16"}"#, &DataType::object()).is_err());
    let raw = codec("msgpack2", r#"{"raw": true, "use_bin_type": false}"#, &DataType::object()).unwrap();
    let expected = texts(&[r#"{"$binary":"Zm9v"}"#]);
    same("raw", &decode(&raw, b"\x93\xa3foo\xa2|O\x91\x01", &expected, &[1]).unwrap(), &expected);
    assert_eq!(encode(&raw, &expected, &[1]).unwrap(), b"\x93\xa3foo\xa2|O\x91\x01");
}
