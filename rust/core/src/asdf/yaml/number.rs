//! Grammar, parsing and formatting of the numbers of YAML 1.1: [integers](https://yaml.org/type/int.html) and
//! [floating-point numbers](https://yaml.org/type/float.html).

/// Maximum digits of an integer in another base than ten; the conversion takes quadratic time.
const MAX_DIGITS: usize = 10_000;

/// Returns a text without its sign.
fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

/// Whether a text is a number of YAML 1.2.
pub(super) fn is_number_in_12(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(left, right)| (left, Some(right)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa =
        (digits(whole) && (fraction.is_empty() || digits(fraction))) || (whole.is_empty() && digits(fraction));
    mantissa && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
}

/// Whether a text is not empty and consists of underscores and allowed bytes.
fn all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'_' || allowed(byte))
}

/// `[0-9][0-9_]*`
fn is_digits(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit()) && all(text, |byte| byte.is_ascii_digit())
}

/// `[0-5]?[0-9]`
fn is_sixtieth(text: &str) -> bool {
    matches!(text.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9'])
}

/// Whether a plain text is an integer of YAML 1.1.
pub(super) fn is_int(text: &str) -> bool {
    let text = unsigned(text);
    if let Some(binary) = text.strip_prefix("0b") {
        return all(binary, |byte| matches!(byte, b'0' | b'1'));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return all(hex, |byte| byte.is_ascii_hexdigit());
    }
    if let Some(octal) = text.strip_prefix('0') {
        return octal.is_empty() || all(octal, |byte| matches!(byte, b'0'..=b'7'));
    }
    match text.split_once(':') {
        None => is_digits(text),
        Some((first, rest)) => is_digits(first) && rest.split(':').all(is_sixtieth),
    }
}

/// Whether a plain text is a floating-point number of YAML 1.1.
pub(super) fn is_float(text: &str) -> bool {
    let bare = unsigned(text);
    if matches!(bare, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, rest)) = bare.split_once('.') else { return false };
    if whole.contains(':') {
        let mut parts = whole.split(':');
        let fraction = rest.is_empty() || all(rest, |byte| byte.is_ascii_digit());
        return parts.next().is_some_and(is_digits) && parts.all(is_sixtieth) && fraction;
    }
    let (fraction, exponent) = rest.split_once(['e', 'E']).map_or((rest, None), |(left, right)| (left, Some(right)));
    let mantissa = if whole.is_empty() {
        // With a sign before the point, it is a string: `-.5`.
        bare.len() == text.len() && is_digits(fraction)
    } else {
        is_digits(whole) && (fraction.is_empty() || all(fraction, |byte| byte.is_ascii_digit()))
    };
    // With an unsigned exponent, it is a string: `1.0e5`.
    let is_exponent = |exponent: &str| {
        exponent
            .strip_prefix(['-', '+'])
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    mantissa && exponent.is_none_or(is_exponent)
}

/// Parses an integer to decimal digits like the constructor of `PyYAML`, which accepts more than its resolver:
/// `!!int "1:99"` is valid, `!!int "08"` is not.
pub(super) fn parse_int(text: &str) -> Option<String> {
    let text = text.replace('_', "");
    let negative = text.starts_with('-');
    let digits = unsigned(&text).trim();
    let magnitude = if let Some(binary) = digits.strip_prefix("0b") {
        to_decimal(binary, 2)?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        to_decimal(hex, 16)?
    } else if digits.len() > 1 && digits.starts_with('0') {
        to_decimal(digits.strip_prefix("0o").unwrap_or(digits), 8)?
    } else if digits.contains(':') {
        from_sixtieths(digits)?
    } else if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.trim_start_matches('0').to_owned()
    } else {
        return None;
    };
    Some(match (negative, magnitude.as_str()) {
        (_, "") => "0".to_owned(),
        (true, magnitude) if magnitude != "0" => format!("-{magnitude}"),
        _ => magnitude,
    })
}

fn to_decimal(digits: &str, radix: u32) -> Option<String> {
    if digits.is_empty() {
        return None;
    }
    if let Ok(short) = u64::from_str_radix(digits, radix) {
        return (!digits.starts_with('+')).then(|| short.to_string());
    }
    let mut decimal = Decimal::new(digits.len())?;
    for digit in digits.chars() {
        decimal.push(radix, digit.to_digit(radix)?);
    }
    Some(decimal.to_string())
}

/// Converts `1:30` to `90`. The first part can have any number of digits.
fn from_sixtieths(text: &str) -> Option<String> {
    let mut decimal = Decimal::new(text.len())?;
    let (first, rest) = text.split_once(':')?;
    for digit in first.chars() {
        decimal.push(10, digit.to_digit(10)?);
    }
    for part in rest.split(':') {
        decimal.push(60, part.parse().ok()?);
    }
    (!first.is_empty()).then(|| decimal.to_string())
}

/// A natural number in base 10^9, least significant limb first.
struct Decimal(Vec<u32>);

impl Decimal {
    const BASE: u64 = 1_000_000_000;

    /// Returns zero; `None` if the number of digits to be added exceeds [`MAX_DIGITS`].
    fn new(digits: usize) -> Option<Self> {
        (digits <= MAX_DIGITS).then(|| Self(vec![0]))
    }

    /// Appends a digit of a base.
    fn push(&mut self, radix: u32, digit: u32) {
        let mut carry = u64::from(digit);
        for limb in &mut self.0 {
            let sum = u64::from(*limb) * u64::from(radix) + carry;
            *limb = (sum % Self::BASE) as u32;
            carry = sum / Self::BASE;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut limbs = self.0.iter().rev();
        write!(f, "{}", limbs.next().unwrap_or(&0))?;
        limbs.try_for_each(|limb| write!(f, "{limb:09}"))
    }
}

/// Parses a floating-point number like the constructor of `PyYAML`.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let text = text.replace('_', "").to_ascii_lowercase();
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let digits = unsigned(&text).trim();
    let magnitude = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => return Some(f64::NAN),
        _ if digits.contains(':') => {
            let mut sum = 0.0;
            let mut base = 1.0;
            for part in digits.rsplit(':') {
                sum += part.parse::<f64>().ok()? * base;
                base *= 60.0;
            }
            sum
        }
        _ => digits.parse().ok()?,
    };
    Some(sign * magnitude)
}

/// Formats a floating-point number for readers of YAML 1.1 and 1.2: with a point, and a sign of the exponent.
pub(super) fn float_text(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let point = if mantissa.contains('.') { "" } else { ".0" };
    format!("{mantissa}{point}e{exponent:+03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats() {
        let table = "
            0=0.0 -0=-0.0 1=1.0 0.1=0.1 1e15=1000000000000000.0 1e16=1.0e+16 1.5e22=1.5e+22 1e-4=0.0001 1e-5=1.0e-05
            -2.5e-7=-2.5e-07 1e300=1.0e+300 5e-324=5.0e-324 1.7976931348623157e308=1.7976931348623157e+308 inf=.inf
            -inf=-.inf 123456.789=123456.789 9007199254740993=9007199254740992.0";
        for row in table.split_whitespace() {
            let (value, expected) = row.split_once('=').unwrap();
            let value: f64 = value.parse().unwrap();
            assert_eq!(float_text(value), expected);
            assert_eq!(parse_float(expected).unwrap().to_bits(), value.to_bits());
        }
        assert_eq!(float_text(f64::NAN), ".nan");
    }
}
