//! Binary floating-point numbers of every format: what their bits mean, and rounding to them.
//!
//! A format is a few numbers, since all share one idea: without the sign, codes in ascending order are values in
//! ascending order. So rounding finds the code below a value, and whether the next is meant.
//!
//! Specification: IEEE 754; for the small formats <https://github.com/jax-ml/ml_dtypes>, whose conversions are the same
//! bit by bit.

use std::fmt;

/// A format of floating-point numbers.
pub(super) struct Format {
    /// The data type in Zarr V3.
    pub(super) name: &'static str,
    /// Bits of a number, the sign included.
    bits: u32,
    /// Bits of the fraction.
    mantissa: u32,
    /// The exponent of the smallest normal number.
    smallest: i32,
    /// The code of the largest finite number.
    largest: u64,
    pub(super) infinity: Option<u64>,
    pub(super) nan: Option<u64>,
    signs: Signs,
    /// What the codes of a format of up to eight bits mean.
    values: [f32; 256],
}

/// What becomes of the sign.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signs {
    /// Every number has one, zero too.
    All,
    /// There is one zero only: what would be the other is NaN.
    NotZero,
    /// All numbers are powers of two: there is neither a sign nor zero.
    None,
}

/// To which of its two neighbours a number goes that lies between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Rounding {
    #[default]
    NearestEven,
    TowardsZero,
    TowardsPositive,
    TowardsNegative,
    NearestAway,
}

/// What a number becomes in a format.
pub(super) enum Rounded {
    Code(u64),
    /// Its magnitude is larger than the largest.
    Above,
    /// It is smaller than the smallest, in a format that has no zero.
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

/// A format as IEEE 754 has them: the largest exponent is for infinity and NaN.
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

/// A format without infinity, whose largest exponent is as good as the others.
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
    /// By the name of the data type.
    pub(super) fn of(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Bytes of a number in memory.
    pub(super) fn size(&self) -> usize {
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

    /// The value of the code of a number of one byte; bits that do not count are ignored.
    pub(super) fn small(&self, code: u8) -> f32 {
        self.values[usize::from(code)]
    }

    /// The number nearest to a value, as conversions of `NumPy` and `ml_dtypes` have it.
    pub(super) fn encode(&self, value: f64) -> u64 {
        let negative = value.is_sign_negative();
        if value.is_nan() {
            return match self.nan {
                // The one NaN with something in it that NumPy keeps.
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
            // ml_dtypes rounds up what lies between the smallest two powers of two.
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

    /// The largest number of a sign.
    pub(super) fn largest(&self, negative: bool) -> u64 {
        if negative && self.signs == Signs::None {
            0
        } else {
            self.signed(negative, self.infinity.unwrap_or(self.largest))
        }
    }

    /// A code with its sign.
    pub(super) fn signed(&self, negative: bool, code: u64) -> u64 {
        match self.signs {
            Signs::All if negative => code | 1 << (self.bits - 1),
            Signs::NotZero if negative && code != 0 => code | 1 << (self.bits - 1),
            _ => code,
        }
    }

    /// Rounds `significand` times two to the power of `exponent`.
    pub(super) fn round(&self, negative: bool, significand: u64, exponent: i32, rounding: Rounding) -> Rounded {
        let unsigned = self.signs == Signs::None;
        if significand == 0 {
            return if unsigned { Rounded::Below } else { Rounded::Code(self.signed(negative, 0)) };
        } else if unsigned && negative {
            return Rounded::Below;
        }
        // The exponent of the number's first bit, and how many of its bits lie behind the last that the format has there.
        let first = exponent + 63 - significand.leading_zeros() as i32;
        let above = (first - self.smallest).max(0);
        let shift = self.smallest + above - self.mantissa as i32 - exponent;
        let (whole, rest) = match shift {
            ..=0 => (significand << -shift, 0),
            1..=63 => (significand >> shift, significand << (64 - shift)),
            64 => (0, significand),
            // So little that only whether it is there matters.
            _ => (0, 1),
        };
        // Where zero has no code, codes start with the number behind it.
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

/// A finite value as significand and exponent.
pub(super) fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

/// The value of a `float16`, NaN with what is in it.
pub(super) fn from_f16(bits: u16) -> f32 {
    let (sign, magnitude) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    let special = 0x7f80_0000 | magnitude << 13;
    // Small numbers are in place but for the exponent, which a multiplication moves.
    let finite = (f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23)).to_bits();
    f32::from_bits(sign | if magnitude >= 0x7c00 { special } else { finite })
}

/// The value of a `bfloat16`.
pub(super) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}
