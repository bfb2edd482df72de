//! Numbers by the JSON grammar: integers exact at 64 bits, in time bounded by the input's length.

use super::Expected;

/// The parts of a number: sign, digits without the point, and the power of ten they are scaled by.
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

/// `-?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?`, the whole text.
fn split(text: &str) -> Option<Decimal<'_>> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
        Some(_) => return None,
        None => (mantissa, ""),
    };
    if !is_digits(whole) || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    let exponent = match exponent {
        None => 0,
        Some(text) => {
            let (sign, digits) = match text.as_bytes().first()? {
                b'-' => (-1, &text[1..]),
                b'+' => (1, &text[1..]),
                _ => (1, text),
            };
            if !is_digits(digits) {
                return None;
            }
            let value = digits
                .bytes()
                .fold(0_i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
            // Far beyond any type, yet safe to add the length of a text to.
            sign * value.min(i64::MAX / 4)
        }
    };
    Some(Decimal { negative, whole, fraction, exponent })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the text is a number in JSON's grammar.
pub(crate) fn is_number(text: &str) -> bool {
    split(text).is_some()
}

/// The integer a number stands for: sign and magnitude; the error says why there is none.
fn integer(text: &str) -> Result<(bool, u128), &'static str> {
    let decimal = split(text).ok_or("not a number")?;
    let digits = || decimal.whole.bytes().chain(decimal.fraction.bytes());
    let significant = digits().rev().skip_while(|digit| *digit == b'0').count();
    let total = decimal.whole.len() + decimal.fraction.len();
    let trailing = total - significant;
    let exponent = decimal.exponent - decimal.fraction.len() as i64 + trailing as i64;
    let mut magnitude: u128 = 0;
    for digit in digits().take(significant).skip_while(|digit| *digit == b'0') {
        if magnitude > u128::from(u64::MAX) {
            return Err(if exponent < 0 { "not integral" } else { "too large" });
        }
        magnitude = magnitude * 10 + u128::from(digit - b'0');
    }
    if magnitude == 0 {
        return Ok((decimal.negative, 0));
    }
    if exponent < 0 {
        return Err("not integral");
    }
    for _ in 0..exponent {
        magnitude *= 10;
        if magnitude > u128::from(u64::MAX) {
            return Err("too large");
        }
    }
    Ok((decimal.negative, magnitude))
}

/// A signed integer of 32 or 64 bits.
pub(super) fn signed(text: &str, bits: u32) -> Result<i64, Expected> {
    let expected = || format!("expected an integer of {bits} bits");
    let (negative, magnitude) = integer(text).map_err(|why| format!("{}; this is {why}", expected()))?;
    let magnitude = i128::try_from(magnitude).map_err(|_| expected())?;
    let value = if negative { -magnitude } else { magnitude };
    let limit = 1_i128 << (bits - 1);
    if value < -limit || value >= limit {
        return Err(format!("{}; this is out of range", expected()));
    }
    i64::try_from(value).map_err(|_| expected())
}

/// An unsigned integer of 32 or 64 bits.
pub(super) fn unsigned(text: &str, bits: u32) -> Result<u64, Expected> {
    let expected = || format!("expected an unsigned integer of {bits} bits");
    let (negative, magnitude) = integer(text).map_err(|why| format!("{}; this is {why}", expected()))?;
    if (negative && magnitude != 0) || magnitude >> bits != 0 {
        return Err(format!("{}; this is out of range", expected()));
    }
    u64::try_from(magnitude).map_err(|_| expected())
}

/// A binary floating point number that Rust can parse.
pub(crate) trait Float: std::str::FromStr + Copy {
    const NAN: Self;
    const INFINITY: Self;
    const NEGATIVE_INFINITY: Self;
    fn is_finite(self) -> bool;
}

impl Float for f32 {
    const NAN: Self = Self::NAN;
    const INFINITY: Self = Self::INFINITY;
    const NEGATIVE_INFINITY: Self = Self::NEG_INFINITY;
    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

impl Float for f64 {
    const NAN: Self = Self::NAN;
    const INFINITY: Self = Self::INFINITY;
    const NEGATIVE_INFINITY: Self = Self::NEG_INFINITY;
    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

/// A float or double, the three words of ProtoJSON included.
pub(crate) fn float<F: Float>(text: &str) -> Result<F, Expected> {
    match text {
        "NaN" => return Ok(F::NAN),
        "Infinity" => return Ok(F::INFINITY),
        "-Infinity" => return Ok(F::NEGATIVE_INFINITY),
        _ => {}
    }
    if !is_number(text) {
        return Err("expected a number, `NaN`, `Infinity` or `-Infinity`".to_owned());
    }
    let value: F = text.parse().map_err(|_| "expected a number".to_owned())?;
    if value.is_finite() {
        return Ok(value);
    }
    Err("this number is too large for its type".to_owned())
}

/// Whether a double holds this literal, provided it is an integer literal; others are rounded anyway.
pub(crate) fn exact_in_double(literal: &str, value: f64) -> bool {
    let digits = literal.strip_prefix('-').unwrap_or(literal);
    // 2^53 has 16 digits: shorter ones are always exact.
    !is_digits(digits) || digits.len() < 16 || format!("{:.0}", value.abs()) == digits
}
