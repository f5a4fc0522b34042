//! Binary floating-point formats: the values of their codes (bit patterns), and rounding.
//!
//! In all formats, values without a sign ascend with their codes. Rounding therefore finds the code below a value, and
//! decides between it and the next.
//!
//! Specification: IEEE 754; for the small formats <https://github.com/jax-ml/ml_dtypes>, whose conversions agree bit by
//! bit.

use std::fmt;

use serde_json::Value;

/// A floating-point format.
pub(crate) struct Format {
    /// Name of the data type in Zarr V3.
    pub(crate) name: &'static str,
    /// Number of bits, including the sign.
    bits: u32,
    /// Number of bits of the fraction.
    mantissa: u32,
    /// The exponent of the smallest normal number.
    smallest: i32,
    /// The code of the largest finite number.
    largest: u64,
    pub(crate) infinity: Option<u64>,
    pub(crate) nan: Option<u64>,
    signs: Signs,
    /// The values of all codes of a format of up to eight bits.
    values: [f32; 256],
}

/// How a format represents the sign.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signs {
    /// Every number has a sign, also zero.
    All,
    /// Zero has no sign: the code of -0 is NaN.
    NotZero,
    /// All numbers are powers of two; there are no signs and no zero.
    None,
}

/// The rounding of a number between two representable ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rounding {
    #[default]
    NearestEven,
    TowardsZero,
    TowardsPositive,
    TowardsNegative,
    NearestAway,
}

/// The result of rounding.
pub(crate) enum Rounded {
    Code(u64),
    /// The magnitude is larger than the largest finite one.
    Above,
    /// The magnitude is smaller than the smallest one, in a format without zero.
    Below,
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Returns a format like those of IEEE 754: the largest exponent is for infinity and NaN.
const fn ieee(name: &'static str, exponent: u32, mantissa: u32) -> Format {
    let infinity = ((1 << exponent) - 1) << mantissa;
    Format {
        name,
        bits: 1 + exponent + mantissa,
        mantissa,
        smallest: 2 - (1 << (exponent - 1)),
        largest: infinity - 1,
        infinity: Some(infinity),
        nan: Some(infinity | 1 << (mantissa - 1)),
        signs: Signs::All,
        values: [0.0; 256],
    }
    .with_values()
}

/// Returns a format without infinity, whose largest exponent is for ordinary numbers.
const fn finite(
    name: &'static str,
    (exponent, mantissa, bias): (u32, u32, i32),
    largest: u64,
    nan: Option<u64>,
    signs: Signs,
) -> Format {
    let bits = exponent + mantissa + if let Signs::None = signs { 0 } else { 1 };
    let smallest = if let Signs::None = signs { -bias } else { 1 - bias };
    Format { name, bits, mantissa, smallest, largest, infinity: None, nan, signs, values: [0.0; 256] }.with_values()
}

/// All formats.
static FORMATS: [Format; 15] = [
    ieee("float16", 5, 10),
    ieee("float32", 8, 23),
    ieee("float64", 11, 52),
    ieee("bfloat16", 8, 7),
    ieee("float8_e3m4", 3, 4),
    ieee("float8_e4m3", 4, 3),
    ieee("float8_e5m2", 5, 2),
    finite("float8_e4m3fn", (4, 3, 7), 0x7e, Some(0x7f), Signs::All),
    finite("float8_e4m3fnuz", (4, 3, 8), 0x7f, Some(0x80), Signs::NotZero),
    finite("float8_e4m3b11fnuz", (4, 3, 11), 0x7f, Some(0x80), Signs::NotZero),
    finite("float8_e5m2fnuz", (5, 2, 16), 0x7f, Some(0x80), Signs::NotZero),
    finite("float8_e8m0fnu", (8, 0, 127), 0xfe, Some(0xff), Signs::None),
    finite("float6_e2m3fn", (2, 3, 1), 0x1f, None, Signs::All),
    finite("float6_e3m2fn", (3, 2, 3), 0x1f, None, Signs::All),
    finite("float4_e2m1fn", (2, 1, 1), 0x07, None, Signs::All),
];

impl Format {
    /// Returns a format by the name of the data type.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Returns the size of a number in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.bits.div_ceil(8) as usize
    }

    const fn with_values(mut self) -> Self {
        let mut code = 0;
        while self.bits <= 8 && code < 256 {
            self.values[code] = self.small_value(code as u64 & ((1 << self.bits) - 1));
            code += 1;
        }
        self
    }

    const fn small_value(&self, code: u64) -> f32 {
        let sign = if let Signs::None = self.signs { 0 } else { 1 << (self.bits - 1) };
        let magnitude = code & !sign;
        let special = match (self.nan, self.infinity) {
            (_, Some(infinity)) if magnitude == infinity => f64::INFINITY,
            (_, Some(infinity)) if magnitude > infinity => f64::NAN,
            (Some(nan), None) if code == nan || magnitude == nan => f64::NAN,
            _ => 0.0,
        };
        let (exponent, fraction) = ((magnitude >> self.mantissa) as i32, magnitude & ((1 << self.mantissa) - 1));
        let normal = exponent > 0 || sign == 0;
        let significand = if normal { fraction | 1 << self.mantissa } else { fraction };
        let exponent = if exponent > 0 && sign != 0 { exponent - 1 } else { exponent };
        let power = f64::from_bits(((exponent + self.smallest - self.mantissa as i32 + 1023) as u64) << 52);
        let value = if special == 0.0 { significand as f64 * power } else { special };
        (if code & sign != 0 { -value } else { value }) as f32
    }

    /// Returns the value of a code of one byte, ignoring unused bits.
    pub(crate) fn small(&self, code: u8) -> f32 {
        self.values[usize::from(code)]
    }

    /// Returns the value of a code, ignoring unused bits.
    pub(crate) fn value(&self, code: u64) -> f64 {
        match (self.bits, self.mantissa) {
            (64, _) => f64::from_bits(code),
            (32, _) => f32::from_bits(code as u32).into(),
            (16, 10) => from_f16(code as u16).into(),
            (16, _) => from_bf16(code as u16).into(),
            _ => self.small(code as u8).into(),
        }
    }

    /// Parses a number as metadata of Zarr V3 spell it, and returns its code. `None` if a finite number would become
    /// infinite, or other than the nearest.
    pub(crate) fn parse(&self, value: &Value) -> Option<u64> {
        match value {
            Value::Number(number) => {
                let number = number.as_f64()?;
                let (significand, exponent) = parts(number);
                match self.round(number.is_sign_negative(), significand, exponent, Rounding::NearestEven) {
                    Rounded::Code(code) => Some(code),
                    Rounded::Above | Rounded::Below => None,
                }
            }
            Value::String(text) => match &**text {
                "NaN" => self.nan,
                "Infinity" => self.infinity,
                "-Infinity" => self.infinity.map(|code| self.signed(true, code)),
                _ => {
                    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 2 * self.size())?;
                    let all_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                    if all_hex { u64::from_str_radix(digits, 16).ok() } else { None }
                }
            },
            _ => None,
        }
    }

    /// Spells a number so that [`parse`](Self::parse) returns the same code.
    pub(crate) fn spell(&self, code: u64) -> Value {
        match self.value(code) {
            _ if self.nan == Some(code) => "NaN".into(),
            f64::INFINITY => "Infinity".into(),
            f64::NEG_INFINITY => "-Infinity".into(),
            number if number.is_finite() && self.encode(number) == code => number.into(),
            _ => format!("0x{code:0width$x}", width = 2 * self.size()).into(),
        }
    }

    /// Returns the code of a value, converted as NumPy and `ml_dtypes` do.
    pub(crate) fn encode(&self, value: f64) -> u64 {
        let negative = value.is_sign_negative();
        if value.is_nan() {
            return match self.nan {
                // The only NaN whose payload NumPy keeps.
                Some(_) if self.name == "float16" => self.signed(
                    negative,
                    0x7c00 | (value.to_bits() >> 42) & 0x3ff | u64::from(value.to_bits() << 12 >> 54 == 0),
                ),
                Some(nan) => self.signed(negative, nan),
                None => self.signed(!negative, 0),
            };
        }
        if value.is_infinite() {
            return self.overflow(negative);
        }
        let (significand, exponent) = parts(value);
        match self.round(negative, significand, exponent, Rounding::NearestEven) {
            // ml_dtypes rounds up between the smallest two powers of two.
            Rounded::Code(0) if self.signs == Signs::None && value > self.small(0).into() => 1,
            Rounded::Code(code) => code,
            Rounded::Above => self.overflow(negative),
            Rounded::Below if value > 0.0 => 0,
            Rounded::Below => self.nan.unwrap_or(0),
        }
    }

    fn overflow(&self, negative: bool) -> u64 {
        self.signed(negative, self.infinity.or(self.nan).unwrap_or(self.largest))
    }

    /// Returns the code of the largest finite number with a sign.
    pub(crate) fn largest(&self, negative: bool) -> u64 {
        if negative && self.signs == Signs::None {
            0
        } else {
            self.signed(negative, self.infinity.unwrap_or(self.largest))
        }
    }

    /// Adds a sign to a code.
    pub(crate) fn signed(&self, negative: bool, code: u64) -> u64 {
        match self.signs {
            Signs::All if negative => code | 1 << (self.bits - 1),
            Signs::NotZero if negative && code != 0 => code | 1 << (self.bits - 1),
            _ => code,
        }
    }

    /// Rounds `significand` times two to the power of `exponent`.
    pub(crate) fn round(&self, negative: bool, significand: u64, exponent: i32, rounding: Rounding) -> Rounded {
        let unsigned = self.signs == Signs::None;
        if significand == 0 {
            return if unsigned { Rounded::Below } else { Rounded::Code(self.signed(negative, 0)) };
        } else if unsigned && negative {
            return Rounded::Below;
        }
        // The exponent of the first bit, and the number of bits below the last one of the format.
        let first = exponent + 63 - significand.leading_zeros() as i32;
        let above = (first - self.smallest).max(0);
        let shift = self.smallest + above - self.mantissa as i32 - exponent;
        let (whole, rest) = match shift {
            ..=0 => (significand << -shift, 0),
            1..=63 => (significand >> shift, significand << (64 - shift)),
            64 => (0, significand),
            // The bits are so low that it only matters whether any is set.
            _ => (0, 1),
        };
        // In a format without zero, code 0 is the number after it.
        let below = i128::from(whole) + (i128::from(above) << self.mantissa) - i128::from(unsigned);
        let up = match rounding {
            Rounding::NearestEven => rest > HALF || rest == HALF && whole & 1 == 1,
            Rounding::NearestAway => rest >= HALF,
            Rounding::TowardsZero => false,
            Rounding::TowardsPositive => rest > 0 && !negative,
            Rounding::TowardsNegative => rest > 0 && negative,
        };
        let code = below + i128::from(up);
        match u64::try_from(code) {
            Ok(code) if code <= self.largest => Rounded::Code(self.signed(negative, code)),
            Ok(_) => Rounded::Above,
            Err(_) => Rounded::Below,
        }
    }
}

const HALF: u64 = 1 << 63;

/// Splits a finite value into significand and exponent.
pub(crate) fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

/// Returns the value of a `float16`, keeping the payload of NaN.
pub(crate) fn from_f16(bits: u16) -> f32 {
    let (sign, magnitude) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    let special = 0x7f80_0000 | magnitude << 13;
    // Small numbers only need another exponent, which a multiplication adjusts.
    let finite = (f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23)).to_bits();
    f32::from_bits(sign | if magnitude >= 0x7c00 { special } else { finite })
}

/// Returns the value of a `bfloat16`.
pub(crate) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Format, and the codes that `ml_dtypes` gives to 1, -1.5, -0, NaN, infinity, -infinity, 1e30, 1.5 times the
    /// largest number, and half and three quarters of the smallest.
    const KNOWN: &[(&str, [u64; 10])] = &[
        ("bfloat16", [0x3f80, 0xbfc0, 0x8000, 0x7fc0, 0x7f80, 0xff80, 0x714a, 0x7f80, 0, 1]),
        ("float8_e3m4", [0x30, 0xb8, 0x80, 0x78, 0x70, 0xf0, 0x70, 0x70, 0, 1]),
        ("float8_e4m3", [0x38, 0xbc, 0x80, 0x7c, 0x78, 0xf8, 0x78, 0x78, 0, 1]),
        ("float8_e4m3b11fnuz", [0x58, 0xdc, 0x00, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1]),
        ("float8_e4m3fn", [0x38, 0xbc, 0x80, 0x7f, 0x7f, 0xff, 0x7f, 0x7f, 0, 1]),
        ("float8_e4m3fnuz", [0x40, 0xc4, 0x00, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1]),
        ("float8_e5m2", [0x3c, 0xbe, 0x80, 0x7e, 0x7c, 0xfc, 0x7c, 0x7c, 0, 1]),
        ("float8_e5m2fnuz", [0x40, 0xc2, 0x00, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1]),
        ("float8_e8m0fnu", [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xe3, 0xff, 0, 0]),
        ("float6_e2m3fn", [0x08, 0x2c, 0x20, 0x20, 0x1f, 0x3f, 0x1f, 0x1f, 0, 1]),
        ("float6_e3m2fn", [0x0c, 0x2e, 0x20, 0x20, 0x1f, 0x3f, 0x1f, 0x1f, 0, 1]),
        ("float4_e2m1fn", [0x02, 0x0b, 0x08, 0x08, 0x07, 0x0f, 0x07, 0x07, 0, 1]),
    ];

    /// Numbers of all magnitudes, many of them halfway between others.
    fn numbers() -> impl Iterator<Item = f32> {
        let mut state = 12345u64;
        (0..4096).map(move |k| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let kept = if k % 3 == 0 { 0x7c_0000 } else { 0x7f_ffff };
            let mantissa = (state >> 40) as u32 & kept;
            let any = (state >> 32) as u32 & 0xff;
            let exponent = if k % 4 == 0 { any.min(254) } else { 107 + any % 40 };
            f32::from_bits(((state >> 63) as u32) << 31 | exponent << 23 | mantissa)
        })
    }

    #[test]
    fn numbers_are_those_of_ml_dtypes() {
        for (name, codes) in KNOWN {
            let format = Format::of(name).unwrap();
            let least = format.value(u64::from(format.signs != Signs::None));
            let numbers = [1.0, -1.5, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30];
            let most = format.value(format.largest) * 1.5;
            let numbers = numbers.into_iter().chain([most, least / 2.0, least * 0.75]);
            assert_eq!(numbers.map(|number| format.encode(number)).collect::<Vec<_>>(), codes, "{name}");
        }
    }

    #[test]
    fn every_code_is_read_back() {
        for format in FORMATS.iter().filter(|format| format.bits <= 16) {
            for code in 0..1 << format.bits {
                let number = format.value(code);
                if number.is_nan() {
                    assert!(format.value(format.encode(number)).is_nan(), "{format:?} {code:x}");
                } else {
                    assert_eq!(format.encode(number), code, "{format:?}");
                }
                assert_eq!(format.parse(&format.spell(code)), Some(code), "{format:?}");
            }
        }
    }

    #[test]
    fn half_precision_is_that_of_the_package_half() {
        let format = Format::of("float16").unwrap();
        for number in numbers() {
            assert_eq!(format.encode(number.into()), u64::from(half::f16::from_f32(number).to_bits()), "{number}");
        }
        for code in (0..=u16::MAX).filter(|code| !half::f16::from_bits(*code).is_nan()) {
            assert_eq!(format.value(code.into()).to_bits(), half::f16::from_bits(code).to_f64().to_bits());
        }
    }

    #[test]
    fn single_and_double_precision_are_those_of_rust() {
        let (single, double) = (Format::of("float32").unwrap(), Format::of("float64").unwrap());
        for number in numbers().filter(|number| !number.is_nan()) {
            for number in [number.into(), f64::from(number) * 1.000_000_1, f64::from(number) * 1e-20] {
                assert_eq!(single.encode(number), u64::from((number as f32).to_bits()), "{number}");
                assert_eq!(double.encode(number), number.to_bits(), "{number}");
            }
        }
        assert_eq!(double.encode(f64::from_bits(1)), 1);
    }

    #[test]
    fn what_rounds_to_no_finite_number_is_refused() {
        for (name, most, beyond) in [
            ("float16", 65519.0, 65520.0),
            ("float32", 3.402_823_5e38, 3.402_823_6e38),
            ("float8_e4m3fn", 464.0, 464.1),
            ("float4_e2m1fn", 6.9, 7.0),
        ] {
            let format = Format::of(name).unwrap();
            assert_eq!(format.parse(&json!(most)), Some(format.largest), "{name}");
            assert_eq!(format.parse(&json!(-beyond)), None, "{name}");
        }
    }
}
