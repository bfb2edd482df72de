//! Names and values as forms and queries write them (URL standard, section 5): `%` and two digits for a byte, a plus for a
//! space. Strict: a malformed escape is no text.

/// The bytes of a name or a value; `None` for a malformed escape.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(bytes.next()?)? * 16 + digit(bytes.next()?)?
            }
            b'+' => b' ',
            other => other,
        });
    }
    Some(out)
}

/// Appends a name or a value.
pub(crate) fn encode(text: &[u8], out: &mut String) {
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(*byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
}

/// The first value of this name, as it is written.
pub(crate) fn value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_reads_back_and_malformed_escapes_are_none() {
        let all: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        encode(&all, &mut text);
        assert_eq!(decoded(&text), Some(all));
        assert_eq!(decoded("a+b%2bc"), Some(b"a b+c".to_vec()));
        for bad in ["%", "%4", "%zz", "%+1", "a%"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
        assert_eq!((value("a=1&b&a=2", "a"), value("a=1&b&a=2", "b")), (Some("1"), None));
    }
}
