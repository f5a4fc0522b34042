//! Base64 with padding (RFC 4648, section 4), the spelling of bytes in metadata and in YAML
//! ([`!!binary`](https://yaml.org/type/binary.html)).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Requires padding. Some writers leave bits of the last digit set.
const PADDED: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Refuses padding.
const UNPADDED: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Decodes base64; `None` if the text is not base64.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    PADDED.decode(text).ok()
}

/// Decodes base64 as Python does: bytes outside the alphabet are skipped, and the padding must be correct.
pub(crate) fn decode_loosely(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() {
        return None;
    }
    let (mut digits, mut padding) = (Vec::with_capacity(text.len()), 0);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                digits.push(byte);
                padding = 0;
            }
            b'=' if digits.len() % 4 >= 2 => {
                padding += 1;
                if digits.len() % 4 + padding == 4 {
                    break;
                }
            }
            _ => {}
        }
    }
    let is_padded = matches!((digits.len() % 4, padding), (0, _) | (2, 2) | (3, 1));
    if is_padded { UNPADDED.decode(digits).ok() } else { None }
}

/// Encodes bytes as base64.
pub(crate) fn encode(bytes: &[u8]) -> String {
    PADDED.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("ÿÿþ", "w7/Dv8O+")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
        }
        for text in ["Z", "Zg", "Zg=", "====", "Z===", "Zm9v=", "Zm!v", "Zg==Zg==", "é"] {
            assert_eq!(decode(text), None, "{text}");
        }
        assert_eq!(decode("Zh==").unwrap(), b"f");
    }

    #[test]
    fn base64_round_trip() {
        for length in 0..40 {
            let bytes: Vec<u8> = (0..length).map(|index| (index * 37 + 200) as u8).collect();
            assert_eq!(decode_loosely(&encode(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn loose_base64_may_have_other_bytes_between() {
        for (text, bytes) in
            [("Zm\n9v", Some("foo")), ("Zg = =", Some("f")), ("Zg==Zg==", Some("f")), ("Zg=", None), ("Z", None)]
        {
            assert_eq!(decode_loosely(text).as_deref(), bytes.map(str::as_bytes), "{text}");
        }
    }
}
