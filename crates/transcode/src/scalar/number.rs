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
    let negative = text.starts_with('-');
    let start = usize::from(negative);
    let point = digits_end(text, start);
    let whole = &text[start..point];
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    let (mut fraction, mut end) = ("", point);
    if text.as_bytes().get(point) == Some(&b'.') {
        end = digits_end(text, point + 1);
        fraction = &text[point + 1..end];
        if fraction.is_empty() {
            return None;
        }
    }
    let exponent = match text.as_bytes().get(end) {
        None => 0,
        Some(b'e' | b'E') => exponent(&text[end + 1..])?,
        Some(_) => return None,
    };
    Some(Decimal { negative, whole, fraction, exponent })
}

/// Where the digits that begin at `from` end.
fn digits_end(text: &str, from: usize) -> usize {
    let digits = text.as_bytes()[from..].iter().take_while(|byte| byte.is_ascii_digit());
    from + digits.count()
}

fn exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if !is_digits(digits) {
        return None;
    }
    let add = |value: i64, digit: u8| value.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    // Far beyond any type, yet safe to add the length of a text to.
    Some(sign * digits.bytes().fold(0, add).min(i64::MAX / 4))
}

/// A number of few digits at the beginning of a text, the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Small {
    pub(crate) negative: bool,
    /// All digits, at most nineteen.
    pub(crate) digits: u64,
    /// How many of them stand behind the point.
    pub(crate) fraction: usize,
    /// Bytes of the number.
    pub(crate) len: usize,
}

impl Small {
    /// Reads one; `None` if there is none, or one with an exponent or more digits.
    #[inline]
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let negative = text.first() == Some(&b'-');
        let start = usize::from(negative);
        let (mut digits, mut count, mut point, mut len) = (0_u64, 0, None, start);
        for byte in text.get(start..)? {
            match byte {
                b'0'..=b'9' if count < 19 => {
                    digits = digits * 10 + u64::from(byte - b'0');
                    count += 1;
                }
                b'.' if point.is_none() => point = Some(count),
                b'0'..=b'9' | b'.' | b'e' | b'E' => return None,
                _ => break,
            }
            len += 1;
        }
        let whole = point.unwrap_or(count);
        let fraction = count - whole;
        let leads = whole > 1 && text[start] == b'0';
        let bare = whole == 0 || (point.is_some() && fraction == 0);
        (!leads && !bare).then_some(Self { negative, digits, fraction, len })
    }

    /// As a double, exactly rounded, if that takes one division: both sides are exact then.
    #[inline]
    pub(crate) fn double(self) -> Option<f64> {
        const TENS: [f64; 19] =
            [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];
        let value = self.digits as f64 / TENS.get(self.fraction)?;
        (self.digits < 1 << 53).then_some(if self.negative { -value } else { value })
    }
}

#[inline]
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
    if let Some(Small { negative, digits, fraction: 0, len }) = Small::read(text.as_bytes())
        && len == text.len()
        && digits >> (bits - 1) == 0
    {
        return Ok(if negative { -(digits as i64) } else { digits as i64 });
    }
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
    if let Some(Small { negative: false, digits, fraction: 0, len }) = Small::read(text.as_bytes())
        && len == text.len()
        && (bits == 64 || digits >> bits == 0)
    {
        return Ok(digits);
    }
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
    finite(text)
}

/// A float or double from a text that is a number in JSON's grammar.
pub(crate) fn finite<F: Float>(text: &str) -> Result<F, Expected> {
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
