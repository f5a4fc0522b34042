//! Chunks and frames that python-blosc2 4.14 wrote.

use std::sync::Arc;

use serde_json::json;

use crate::base64;
use crate::codec::Blosc2;
use crate::codec::{BytesToBytes, Codec, Named, create};
use crate::data_type::DataType;

/// A name, and the bytes that python-blosc2 wrote.
const WRITTEN: &[(&str, &str)] = &[
    (
        "lz4, shuffled",
        "BQElAlgCAABYAgAAtAEAAAEAAAAAAAEAAAAAAAAAAAAkAAAALAEAAAAAAAECAwUHCQsOERQYHCAkKS4zOT9FS1JZYGhweICJkpulr7nDztnk\
         8PwIFCEuO0lXZXOCkaCwwNDg8Q4fMUNVZ3qNoLTI3PAFGi9FW3GHnrXM5AggOFFqg5230esGITxYdJCsyeYPLUtph6bF5AQkRGSFpsfpFzlb\
         fqHE6AwwVHmew+kbQWeOtdwELFR8pc4DLVeBq9YBLFiEsNwVQm+dy/knVoW05CBQgLHiE0V3qdsaTYC06BxQhbrvMWed0wpBeLDoLGSd1g9J\
         g70DPnm08CxopOEqZ6XjIV+e3ShoqOgoaarrOXu9/0KFyBhcoOQpbrMFS5HXHmWsAEiQ2CFqswlTnecyfcggbLgEUZ7rRZPhL37NKHjIGGi5\
         Fme5C12vDmG0CFywEGW6D1wAAAAfAAEAFxwBAQAJOwAHHQAGGAAFFQAEEwAEEQADEAADDwACDgACDQAPDAAEARcAASIACgoABRMAAAkABRsA\
         AAkABBEABwgAAxcADwcABQMqAAIiAAoGAFABAAAAAQ==",
    ),
    (
        "zstd, bits shuffled",
        "BQGVAlgCAABYAgAAVwEAAAIAAAAAAAUAAAAAAAAAAAAkAAAALwEAACi1L/1gWAEtCQBkEegL+oK+oC+wBqwBa8AawFRlAExVBjCrmg9M1fm/\
         VIX/TbX5wKhq4FOVOQBLlQewVDkwVwBntqrazAEwzCxVJbMHQGc2VSWTBwDPTLXWTPj/cyZVlc34z2cAeDgzk5aqaqVlwxwPAICHJ2ZIOlWq\
         ptWM0QM4wGPIYdpoklrRAIA/PBznzEw2SWqpVVVVrZLSJInMmWE8fND/x/+DD4bjjtxsmgAAwD/gBw+Px3GMMWZmZjbbZEnSltJKqVaFqqqq\
         VqVSqaW1JUkAAADA/wfwD/iBDz54eHg4HIdxHOccc86YGTMzM5vJZDLJJkmSAPj/DwD+D8B/gH/AH/iBH/jggw8fHjw8PBwOh8PxOI7jABAA\
         ZQC6AA8BBAD5A3pfnCWBaCQWIw==",
    ),
    (
        "zlib, differences",
        "BQF9AlgCAAAAAQAAwwEAAAMBAAAAAAQAAAAAAAAAAAAsAAAAywAAAHsBAACbAAAAeF5jYGBgZGZkY+JjYpVn5WGxYeFll+Viq+KT5LbkkOD4\
         wSnNacclVsUrbivC80XGlF+0SM5I7KOwoUCBgIHgf0G9IjEj2e+6IjUiOl/lTbPktL5JaldqvNGQyLR+KaeVZvVWXTZF54lNqv5LpTSld4rJ\
         ig8UEhQeKifq/dNLUr2fqvPEhoF4wIhXAImDYMJZMAYazcgAAFjZIiSsAAAAeF4LqZx36LWES0L7vkuiFj4Jra+0mFN2TJnsVcf45Maa3EPP\
         +ANiOt67VdkeWVCz85tRts+Dnno7JlWPNRNCo+TsK9ZMiFdjsvWYscZRjSt4zY8I/39arg961hwUMjufsOeFv5me55QNMT/ZlO6XTNiizZR3\
         d8eSA7lcZot7Kg6o211a2FNxRZARBBjAAMzExQbTKFxUSWQORABiBJQN4UOlQCyokQwAAgg8AEQAAAB4XsvazBk0/4l51UHtpJUCnk2nE3ed\
         l3H/lGs8y5HjYpq8ZdN5k9XneE9Pyvwy1Y2dkZGBgYGBEUwxwimsJAMAQ3wUVw==",
    ),
    (
        "blosclz",
        "BQEFAlgCAAAAAgAAygEAAAEAAAAAAAAAAAAAAAAAAAAoAAAAgAEAAAABAAAAAAABAgMFBwkLDhEUGBwgJCkuMzk/RUtSWWBocHiAiZKbpa+5\
         w87Z5PD8CBQhLjtJV2VzgpGgsMDQ4PEOHzFDVWd6jaC0yNzwBRovRVtxh561zOQIIDhRaoOdt9HrBiE8WHSQrMnmDy1LaYemxeQEJERkhabH\
         6Rc5W36hxOgMMFR5nsPpG0FnjrXcBCxUfKXOAy1XgavWASxYhLDcFUJvncv5J1aFtOQgUICx4hNFd6nbGk2AtOgcUIW67zFnndMKQXiw6Cxk\
         ndYPSYO9Az55tPAsaKThKmel4yFfnt0oaKjoKGmq6zl7vf9ChcgYXKDkKW6zBUuR1x5lrABIkNghUAAAACMAAAAA4B0DAQAB4AYAAAHgAzfg\
         Ah3gARfgABTAEsAQoA+gDoANgAzgDgsCAQAAoCHgBQkCAAEBgBIAAKAHAADACOAKBwABgB7gAQYCAAABRgAAAD9qswlTnecyfcggbLgEUZ7r\
         RZPhL37NKHjIGGi5Fme5Cxhdrw5htAhcsBBlug8BAQAAAAABAQEAAAABwAaADOAFBQIAAAE=",
    ),
    (
        "lz4hc, two blocks",
        "BQE1AlgCAACAAQAAqAEAAAEAAAAAAAIAAAAAAAAAAAAoAAAAFQEAAOkAAAD/sgAAAAECAwUHCQsOERQYHCAkKS4zOT9FS1JZYGhweICJkpul\
         r7nDztnk8PwIFCEuO0lXZXOCkaCwwNDg8Q4fMUNVZ3qNoLTI3PAFGi9FW3GHnrXM5AggOFFqg5230esGITxYdJCsyeYPLUtph6bF5AQkRGSF\
         psfpFzlbfqHE6AwwVHmew+kbQWeOtdwELFR8pc4DLVeBq9YBLFiEsNwVQm+dy/knVoW05CBQgLHiE0V3qdsaTYC06BxQhbrvMWed0wABABcc\
         AQEADx4ABQ8VAAAMEQAKDwAIDQAPDAAEDwoAAFABAAAAAI8AAADwXgpBeLDoLGSd1g9Jg70DPnm08CxopOEqZ6XjIV+e3ShoqOgoaarrOXu9\
         /0KFyBhcoOQpbrMFS5HXHmWsAEiQ2CFqswlTnecyfcggbLgEUZ7rRZPhL37NKHjIGGi5Fme5C12vDmG0CFywEGW6DwEBAEQAAAAACAAFCQAO\
         CAAPBwANAyoADwYAAVABAAAAAQ==",
    ),
    (
        "a frame of three chunks",
        "nqhiMmZyYW1lANIAAABhzwAAAAAAAALfpBIAUQLTAAAAAAAAAljTAAAAAAAAAiPSAAAAAtIAAAAA0gAAAQDRAALRAALC2AYAAAAAAAEBAAAA\
         AAAAAAAAk80AB94AANwAAAUBJQIAAQAAAAEAANEAAAAAAAAAAAEBAAAAAAAAAAAAJAAAAIAAAAAAAAABAgMFBwkLDhEUGBwgJCkuMzk/RUtS\
         WWBocHiAiZKbpa+5w87Z5PD8CBQhLjtJV2VzgpGgsMDQ4PEOHzFDVWd6jaC0yNzwBRovRVtxh561zOQIIDhRaoOdt9HrBiE8WHSQrMnmDy1L\
         aYemxeQEJERkhabH6Rc5W36hxOgMMCUAAAAfAAEAFxwBAQAJOwAHHQAGGAAFFQAEEwAEEQCQAAAAAAAAAAEBBQElAgABAAAAAQAA4AAAAAAA\
         AAAAAQEAAAAAAAAAAAAkAAAAgAAAAFR5nsPpG0FnjrXcBCxUfKXOAy1XgavWASxYhLDcFUJvncv5J1aFtOQgUICx4hNFd6nbGk2AtOgcUIW6\
         7zFnndMKQXiw6CxkndYPSYO9Az55tPAsaKThKmel4yFfnt0oaKjoKGmq6zl7vf9ChcgYXKDkKW6zBUuR1x5lrABIkNghNAAAABABAQARAAEA\
         AAoADwwABgYiAAoKAAAzAAETAAAJAAAIAAUJAA8IAAAAIAAGLwBQAAAAAAEFASUCWAAAAFgAAAByAAAAAAAAAAABAQAAAAAAAAAAACQAAAAs\
         AAAAarMJU53nMn3IIGy4BFGe60WT4S9+zSh4yBhouRZnuQtdrw5htAhcsBBlug8aAAAAcQEBAAAAAAEHABUBBwACDQAHBgBQAQAAAAEFAQcI\
         GAAAABgAAAA4AAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA0QAAAAAAAACxAQAAAAAAAJQBk80ABt4AANwAAM4AAAAj2AAAAAAAAAAAAAAA\
         AAAAAAAA",
    ),
    ("zeros", "BQElAlgCAABYAgAAIAAAAAEAAAAAAAEAAAAAAAAAABA="),
    ("a value", "BQElBFgCAABYAgAANQAAAAEAAAAAAAEAAAAAAAAAAAAkAAAA+f///wEAAAAAAAAAAAAAAAA="),
    (
        "a frame of zeros",
        "nqhiMmZyYW1lANIAAABhzwAAAAAAAAC8pBIAVQLTAAAAAAAAAljTAAAAAAAAAADSAAAAAtIAAAAA0gAAAMjRAADRAAHC2AYAAAAAAAEFAAAA\
         AAAAAAAAk80AB94AANwAAAUBBwgYAAAAGAAAADgAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAIEAAAAAAAAAgQAAAAAAAACBlAGTzQAG3gAA\
         3AAAzgAAACPYAAAAAAAAAAAAAAAAAAAAAAA=",
    ),
    (
        "a frame of NaN",
        "nqhiMmZyYW1lANIAAABhzwAAAAAAAAC8pBIAVQLTAAAAAAAAAljTAAAAAAAAAADSAAAABNIAAAAA0gAAAMjRAADRAAHC2AYAAAAAAAEFAAAA\
         AAAAAAAAk80AB94AANwAAAUBBwgYAAAAGAAAADgAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAIIAAAAAAAAAggAAAAAAAACClAGTzQAG3gAA\
         3AAAzgAAACPYAAAAAAAAAAAAAAAAAAAAAAA=",
    ),
];

fn raw(name: &str) -> Vec<u8> {
    match name {
        "zeros" | "a frame of zeros" => vec![0; 600],
        "a value" => 7u32.to_le_bytes().repeat(150),
        "a frame of NaN" => f32::NAN.to_le_bytes().repeat(150),
        _ => (0..300u32).flat_map(|i| ((i * i / 7 % 500) as u16).to_le_bytes()).collect(),
    }
}

fn codec() -> Blosc2 {
    let configuration = json!({"typesize": 2}).as_object().cloned().unwrap();
    let named = Named { name: "blosc".to_owned(), configuration };
    match create(&named, &DataType::from_name("uint8").unwrap()).unwrap() {
        Codec::BytesToBytes(blosc) => Blosc2::new(blosc),
        _ => panic!("blosc is a codec of bytes"),
    }
}

fn samples() -> impl Iterator<Item = (&'static str, Vec<u8>, Vec<u8>)> {
    WRITTEN.iter().map(|(name, text)| (*name, base64::decode(text).unwrap(), raw(name)))
}

#[test]
fn bytes_of_python_blosc2_decode() {
    let codec = codec();
    for (name, encoded, expected) in samples() {
        let mut decoded = vec![1; expected.len()];
        codec.decode_into(&encoded, &mut decoded).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(decoded == expected, "{name}");
        let mut grown = vec![9];
        codec.decode_bounded(&encoded, 1000, &mut grown).unwrap();
        assert!(grown[1..] == expected, "{name}");
        assert!(codec.decode_bounded(&encoded, 599, &mut Vec::new()).is_err(), "{name}");
        assert!(codec.decode_into(&encoded, &mut decoded[1..]).is_err(), "{name}");
        decoded.push(0);
        assert!(codec.decode_into(&encoded, &mut decoded).is_err(), "{name}");
    }
}

#[test]
fn pieces_are_parts_of_the_whole() {
    let codec = codec();
    for (name, encoded, expected) in samples() {
        let mut read = |offset: u64, into: &mut [u8]| {
            into.copy_from_slice(&encoded[offset as usize..][..into.len()]);
            Ok(())
        };
        let pieces = codec.pieces(encoded.len() as u64, expected.len() as u64, &mut read).unwrap();
        assert_eq!(pieces.is_none(), name.contains("differences"), "{name}");
        let Some(pieces) = pieces else { continue };
        assert_eq!(pieces.decoded_size(), expected.len() as u64);
        for (number, piece) in pieces.list().iter().enumerate() {
            let range = |range: &std::ops::Range<u64>| range.start as usize..range.end as usize;
            let mut decoded = vec![1; range(&piece.decoded).len()];
            codec.decode_piece(&pieces, number, &encoded[range(&piece.encoded)], &mut decoded).unwrap();
            assert!(decoded == expected[range(&piece.decoded)], "{name}: {number}");
        }
    }
}

/// Every truncation is an error, and no changed byte causes a panic or uses too much memory.
#[test]
fn damage_is_found_or_harmless() {
    let codec = codec();
    for (name, encoded, expected) in samples() {
        let mut decoded = vec![0; expected.len()];
        for length in 0..encoded.len() {
            assert!(codec.decode_into(&encoded[..length], &mut decoded).is_err(), "{name}: {length}");
        }
        for at in 0..encoded.len() {
            for change in [1, 0x40, 0x80, 0xff] {
                let mut damaged = encoded.clone();
                damaged[at] ^= change;
                let _ = codec.decode_into(&damaged, &mut decoded);
                let _ = codec.decode_bounded(&damaged, 4096, &mut Vec::new());
            }
        }
    }
}

#[test]
fn encoded_bytes_decode() {
    let codec = codec();
    for data in [Vec::new(), raw(""), raw("").repeat(2000)] {
        let (mut encoded, mut decoded) = (Vec::new(), vec![1; data.len()]);
        codec.encode(&data, &mut encoded).unwrap();
        codec.decode_into(&encoded, &mut decoded).unwrap();
        assert!(decoded == data);
    }
    assert!(Arc::new(codec).has_pieces());
}
