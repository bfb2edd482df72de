//! Percent-decoding as `http.proto` wants it for path values and as the URL standard wants it for queries.
//!
//! Nothing is decoded twice, malformed escapes are errors, and the result is always UTF-8.

/// Which escapes of a path value stay as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// `http.proto`: all but `%2F` in values that span several segments.
    #[default]
    Spec,
    /// Envoy's default: the reserved characters of RFC 3986 stay encoded in such values.
    Reserved,
    /// Everything is decoded (`fully_decode_reserved_expansion`).
    All,
}

/// Why a text could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// `%` without two hexadecimal digits.
    Escape,
    /// The decoded bytes are not UTF-8.
    Utf8,
}

impl Malformed {
    /// What to tell the caller.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Escape => "a `%` must be followed by two hexadecimal digits; write `%25` for a percent sign",
            Self::Utf8 => "the decoded bytes are not UTF-8",
        }
    }
}

/// Decodes everything: values of one segment.
pub(crate) fn all(raw: &str) -> Result<String, Malformed> {
    decode(raw, |_| false, false)
}

/// Decodes a value of several segments under `mode`.
pub(crate) fn multi(raw: &str, mode: Mode) -> Result<String, Malformed> {
    match mode {
        Mode::Spec => decode(raw, |byte| byte == b'/', false),
        Mode::Reserved => decode(raw, is_reserved, false),
        Mode::All => all(raw),
    }
}

/// Decodes a name or a value of a query; `plus_is_space` as forms do it.
pub(crate) fn query(raw: &str, plus_is_space: bool) -> Result<String, Malformed> {
    decode(raw, |_| false, plus_is_space)
}

/// A raw segment as literals are compared: reserved characters decoded, every other escape kept.
pub(crate) fn literal(raw: &str) -> std::borrow::Cow<'_, str> {
    if memchr::memchr(b'%', raw.as_bytes()).is_none() {
        return raw.into();
    }
    let bytes = raw.as_bytes();
    let mut text = String::with_capacity(raw.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| hex(bytes, at)).flatten();
        if let Some(byte) = escaped.filter(|byte| is_reserved(*byte)) {
            text.push(char::from(byte));
            at += 3;
            continue;
        }
        let width = raw[at..].chars().next().map_or(1, char::len_utf8);
        text.push_str(&raw[at..at + width]);
        at += width;
    }
    text.into()
}

/// gen-delims and sub-delims of RFC 3986 section 2.2.
pub(crate) fn is_reserved(byte: u8) -> bool {
    b":/?#[]@!$&'()*+,;=".contains(&byte)
}

/// The byte that the escape at `at` stands for.
fn hex(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |index: usize| bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
    let value = digit(at + 1)? * 16 + digit(at + 2)?;
    u8::try_from(value).ok()
}

fn decode(raw: &str, keep: fn(u8) -> bool, plus_is_space: bool) -> Result<String, Malformed> {
    let bytes = raw.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let byte = hex(bytes, at).ok_or(Malformed::Escape)?;
                if keep(byte) {
                    decoded.extend_from_slice(&bytes[at..at + 3]);
                } else {
                    decoded.push(byte);
                }
                at += 3;
            }
            b'+' if plus_is_space => {
                decoded.push(b' ');
                at += 1;
            }
            byte => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).map_err(|_| Malformed::Utf8)
}
