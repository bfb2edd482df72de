//! Strings and floating point numbers as JSON; only what must be escaped is escaped.

/// A string in quotes.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// A double in its shortest form that reads back the same; `NaN` and infinities as strings.
pub(crate) fn float64(value: f64, out: &mut Vec<u8>) {
    match value {
        _ if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        _ => number(serde_json::to_string(&value), out),
    }
}

/// A float, printed as a float and not as the double nearest to it.
pub(crate) fn float32(value: f32, out: &mut Vec<u8>) {
    match value {
        _ if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f32::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f32::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        _ => number(serde_json::to_string(&value), out),
    }
}

/// Integral values lose their `.0`: `1`, as every other ProtoJSON writer has it.
fn number(text: serde_json::Result<String>, out: &mut Vec<u8>) {
    let text = text.expect("a finite number always has a JSON form");
    let short = text.strip_suffix(".0").filter(|short| *short != "-0").unwrap_or(&text);
    out.extend_from_slice(short.as_bytes());
}
