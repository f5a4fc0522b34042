//! Floating-point numbers of two bytes and less: how their bits are numbers, and how numbers are rounded to them.
//!
//! Numbers are rounded as the package `ml_dtypes` does: to the nearest, of two to the even one, what is too large to
//! infinity, where there is none to NaN, and where there is none either to the largest.

/// What a format has beside finite numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Specials {
    /// The largest exponent is that of infinity and NaN, as in IEEE 754.
    Ieee,
    /// The largest code is NaN (`fn`).
    Nan,
    /// Negative zero is NaN (`fnuz`).
    NegativeZero,
    /// There is nothing else.
    None,
    /// Powers of two, without zero and sign; the largest code is NaN.
    Powers,
}

/// A format of numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Format {
    name: &'static str,
    exponent: u32,
    mantissa: u32,
    bias: i32,
    specials: Specials,
}

const fn row(name: &'static str, exponent: u32, mantissa: u32, bias: i32, specials: Specials) -> Format {
    Format { name, exponent, mantissa, bias, specials }
}

const TABLE: &[Format] = &[
    row("float16", 5, 10, 15, Specials::Ieee),
    row("bfloat16", 8, 7, 127, Specials::Ieee),
    row("float8_e3m4", 3, 4, 3, Specials::Ieee),
    row("float8_e4m3", 4, 3, 7, Specials::Ieee),
    row("float8_e4m3b11fnuz", 4, 3, 11, Specials::NegativeZero),
    row("float8_e4m3fn", 4, 3, 7, Specials::Nan),
    row("float8_e4m3fnuz", 4, 3, 8, Specials::NegativeZero),
    row("float8_e5m2", 5, 2, 15, Specials::Ieee),
    row("float8_e5m2fnuz", 5, 2, 16, Specials::NegativeZero),
    row("float8_e8m0fnu", 8, 0, 127, Specials::Powers),
    row("float6_e2m3fn", 2, 3, 1, Specials::None),
    row("float6_e3m2fn", 3, 2, 3, Specials::None),
    row("float4_e2m1fn", 2, 1, 1, Specials::None),
];

impl Format {
    /// By the name of the data type.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|format| format.name == name)
    }

    /// The code of the largest exponent and mantissa, which is all bits but the sign.
    fn all(&self) -> u16 {
        (1 << (self.exponent + self.mantissa)) - 1
    }

    fn sign(&self) -> u16 {
        self.all() + 1
    }

    fn infinity(&self) -> u16 {
        self.all() >> self.mantissa << self.mantissa
    }

    /// The code of the largest finite number.
    fn largest(&self) -> u16 {
        match self.specials {
            Specials::Ieee => self.infinity() - 1,
            Specials::Nan | Specials::Powers => self.all() - 1,
            Specials::NegativeZero | Specials::None => self.all(),
        }
    }

    /// The code of NaN; `None`: there is none.
    pub(crate) fn nan(&self) -> Option<u16> {
        match self.specials {
            Specials::Ieee => Some(self.infinity() | 1 << (self.mantissa - 1)),
            Specials::Nan | Specials::Powers => Some(self.all()),
            Specials::NegativeZero => Some(self.sign()),
            Specials::None => None,
        }
    }

    /// Whether numbers that are too large become infinite.
    pub(crate) fn has_infinity(&self) -> bool {
        self.specials == Specials::Ieee
    }

    /// The largest finite number.
    pub(crate) fn max(&self) -> f64 {
        self.decode(self.largest())
    }

    /// The number that some bits are; bits beyond those of the format do not count.
    pub(crate) fn decode(&self, bits: u16) -> f64 {
        let code = bits & self.all();
        let negative = self.specials != Specials::Powers && bits & self.sign() != 0;
        let special = match self.specials {
            Specials::Ieee if code == self.infinity() => Some(f64::INFINITY),
            Specials::NegativeZero => (code == 0 && negative).then_some(f64::NAN),
            _ => (code > self.largest()).then_some(f64::NAN),
        };
        let exponent = i32::from(code >> self.mantissa);
        let mantissa = f64::from(code & ((1 << self.mantissa) - 1));
        let number = special.unwrap_or_else(|| match exponent {
            0 if self.specials != Specials::Powers => mantissa * power(1 - self.bias - self.mantissa as i32),
            _ => (mantissa + power(self.mantissa as i32)) * power(exponent - self.bias - self.mantissa as i32),
        });
        if negative { -number } else { number }
    }

    /// The bits of the number that is nearest.
    pub(crate) fn encode(&self, number: f64) -> u16 {
        let negative = if number.is_sign_negative() { self.sign() } else { 0 };
        if number.is_nan() {
            return match self.specials {
                Specials::Ieee | Specials::Nan => self.nan().unwrap_or(0) | negative,
                Specials::Powers | Specials::NegativeZero => self.nan().unwrap_or(0),
                Specials::None => self.sign() ^ negative,
            };
        }
        let powers = self.specials == Specials::Powers;
        if powers && (negative != 0 || number == 0.0) {
            return self.all();
        }
        let code = self.round(number.abs());
        let too_large = code > i64::from(self.largest());
        let code = match self.specials {
            _ if !too_large => code as u16,
            Specials::Ieee => self.infinity(),
            Specials::Nan | Specials::Powers | Specials::None => self.all(),
            Specials::NegativeZero => return self.sign(),
        };
        match self.specials {
            Specials::Powers => code,
            Specials::NegativeZero if code == 0 => 0,
            _ => code | negative,
        }
    }

    /// The code of a number that is not negative, if codes went on for ever.
    fn round(&self, number: f64) -> i64 {
        const MANTISSA: u32 = f64::MANTISSA_DIGITS - 1;
        if number.is_infinite() {
            return i64::MAX;
        }
        let bits = number.to_bits();
        // Numbers that are subnormal in 64 bits are less than half of the least of any format.
        let Some(biased) = (bits >> MANTISSA).checked_sub(1) else { return 0 };
        let exponent = biased as i32 + 1 - 1023;
        let digits = bits & ((1 << MANTISSA) - 1) | 1 << MANTISSA;
        let first = i32::from(self.specials != Specials::Powers);
        let quantum = exponent.max(first - self.bias);
        let shift = (MANTISSA - self.mantissa).saturating_add_signed(quantum - exponent);
        let kept = if shift > MANTISSA + 1 {
            0
        } else {
            let (kept, rest, half) = (digits >> shift, digits & ((1 << shift) - 1), 1 << (shift - 1));
            kept + u64::from(rest > half || rest == half && kept & 1 == 1)
        };
        // The leading digit of a normal number counts as one exponent more, and so does what rounding carries into it.
        let code = i64::from(quantum + self.bias - first) << self.mantissa;
        (code + kept as i64 - i64::from(1 - first)).max(0)
    }
}

fn power(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Format, and what `ml_dtypes` makes of these numbers: 1, -1.5, -0, NaN, infinity, -infinity, 1e30, the largest and a
    /// half of it more, half of the least and three quarters of it.
    const KNOWN: &[(&str, [u16; 10])] = &[
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

    /// FNV-1a of all codes as `ml_dtypes` makes them float32, and of the codes (two bytes) of [`numbers`].
    const DIGESTS: &[(&str, u64, u64)] = &[
        ("bfloat16", 0xcf8e_0917_5d8f_5ba5, 0xf08b_98a8_8f8d_5e3a),
        ("float8_e3m4", 0xf479_36f1_9e54_9625, 0x81f2_c8e9_2f40_32ca),
        ("float8_e4m3", 0x225e_af47_99a2_7e65, 0x5be3_8167_4f3a_ffcb),
        ("float8_e4m3b11fnuz", 0xd90d_7a60_0530_d158, 0x6282_db50_1d34_7c90),
        ("float8_e4m3fn", 0xdad1_d9c5_0f74_9ca5, 0xc0c1_7e68_0b22_bbee),
        ("float8_e4m3fnuz", 0xf518_51cb_11c6_3018, 0x739d_4f62_0963_9abe),
        ("float8_e5m2", 0x6c1e_56b6_fb09_c905, 0x78c5_44cf_2c94_9693),
        ("float8_e5m2fnuz", 0x94ae_6fc4_93d4_9818, 0x8c2b_7214_6bfd_310d),
        ("float8_e8m0fnu", 0x6d2c_8b41_c3f0_e5a5, 0x0a64_de4e_da05_9cd4),
        ("float6_e2m3fn", 0x7ffa_cb24_ad8b_0aa5, 0x3ddc_bbb0_f02f_0259),
        ("float6_e3m2fn", 0x25da_1343_4201_d785, 0xa79a_ce82_f5df_3fa6),
        ("float4_e2m1fn", 0x2403_bb76_b85d_fea5, 0x590a_a95b_9569_df50),
    ];

    /// Numbers of all sizes, of which many lie halfway between others.
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

    fn digest(bytes: impl Iterator<Item = u8>) -> u64 {
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn numbers_are_those_of_ml_dtypes() {
        for (name, codes) in KNOWN {
            let format = Format::find(name).unwrap();
            let least = if *name == "float8_e8m0fnu" { format.decode(0) } else { format.decode(1) };
            let numbers = [1.0, -1.5, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30];
            let numbers = numbers.into_iter().chain([format.max() * 1.5, least / 2.0, least * 0.75]);
            assert_eq!(numbers.map(|number| format.encode(number)).collect::<Vec<_>>(), codes, "{name}");
        }
        for (name, decoded, encoded) in DIGESTS {
            let format = Format::find(name).unwrap();
            let sign = if *name == "float8_e8m0fnu" { 0 } else { format.sign() };
            let bits = |number: f64| if number.is_nan() { 0x7fc0_0000 } else { (number as f32).to_bits() };
            let all = (0..=format.all() | sign).flat_map(|code| bits(format.decode(code)).to_le_bytes());
            assert_eq!(digest(all), *decoded, "{name} decoded");
            let codes = numbers().flat_map(|number| format.encode(number.into()).to_le_bytes());
            assert_eq!(digest(codes), *encoded, "{name} encoded");
        }
    }

    #[test]
    fn every_code_is_read_back() {
        for format in TABLE {
            for code in 0..=format.all() | format.sign() {
                let number = format.decode(code);
                if number.is_nan() {
                    assert!(format.decode(format.encode(number)).is_nan(), "{} {code:x}", format.name);
                } else if format.specials != Specials::Powers || code <= format.all() {
                    assert_eq!(format.encode(number), code, "{}", format.name);
                }
            }
        }
    }

    #[test]
    fn half_precision_is_that_of_the_package_half() {
        let format = Format::find("float16").unwrap();
        for number in numbers() {
            assert_eq!(format.encode(number.into()), half::f16::from_f32(number).to_bits(), "{number}");
        }
        for code in (0..=u16::MAX).filter(|code| !half::f16::from_bits(*code).is_nan()) {
            assert_eq!(format.decode(code).to_bits(), half::f16::from_bits(code).to_f64().to_bits());
        }
    }
}
