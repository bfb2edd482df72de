//! Strings, bytes and floating point numbers as JSON; only what must be escaped is escaped.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::find;
use crate::ink::{Ink, Near};

/// A string in quotes.
pub(crate) fn string(text: &str, out: &mut Ink) {
    quoted(text.as_bytes(), find::special(text.as_bytes()), out);
}

/// Bytes that should be UTF-8 as a string in quotes; `false`, and nothing printed, if they are not.
#[inline]
pub(crate) fn text(bytes: &[u8], out: &mut Ink) -> bool {
    let found = find::scan(bytes);
    // What stands behind the first special byte has not been looked at.
    if (!found.ascii || found.special < bytes.len()) && !is_utf8(bytes) {
        return false;
    }
    quoted(bytes, found.special, out);
    true
}

/// A short text in quotes, if it is plain; `false`, and nothing printed, if it is not.
#[inline]
pub(crate) fn plain_near(near: Near<'_>, out: &mut Ink) -> bool {
    let plain = find::is_plain(near);
    if plain {
        out.quoted_near(near);
    }
    plain
}

fn is_utf8(bytes: &[u8]) -> bool {
    if bytes.len() < 64 { std::str::from_utf8(bytes).is_ok() } else { simdutf8::basic::from_utf8(bytes).is_ok() }
}

#[inline]
fn quoted(bytes: &[u8], plain: usize, out: &mut Ink) {
    if plain == bytes.len() {
        return out.quoted(bytes);
    }
    out.push(b'"');
    out.extend_from_slice(&bytes[..plain]);
    escaped(&bytes[plain..], out);
    out.push(b'"');
}

/// The rest of a string, beginning with what must be escaped.
fn escaped(mut rest: &[u8], out: &mut Ink) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    while let Some((special, after)) = rest.split_first() {
        let short = match special {
            b'"' | b'\\' => *special,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => 0,
        };
        match short {
            0 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(special >> 4)], HEX[usize::from(special & 15)]]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
        let plain = find::special(after);
        out.extend_from_slice(&after[..plain]);
        rest = &after[plain..];
    }
}

/// Bytes as standard base64 with padding, in quotes.
pub(crate) fn base64(bytes: &[u8], out: &mut Ink) {
    out.push(b'"');
    // The estimate is exact: a shorter slice is the only way the encoder can fail.
    let _ = out.filled(bytes.len().div_ceil(3) * 4, |room| BASE64_STANDARD.encode_slice(bytes, room));
    out.push(b'"');
}

/// A double in its shortest form that reads back the same; `NaN` and infinities as strings.
pub(crate) fn float64(value: f64, out: &mut Ink) {
    match value {
        _ if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        _ => number(zmij::Buffer::new().format_finite(value), out),
    }
}

/// A float, printed as a float and not as the double nearest to it.
pub(crate) fn float32(value: f32, out: &mut Ink) {
    match value {
        _ if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f32::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f32::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        _ => number(zmij::Buffer::new().format_finite(value), out),
    }
}

/// Integral values lose their `.0`: `1`, as every other ProtoJSON writer has it.
fn number(text: &str, out: &mut Ink) {
    let short = text.strip_suffix(".0").filter(|short| *short != "-0").unwrap_or(text);
    out.extend_from_slice(short.as_bytes());
}
