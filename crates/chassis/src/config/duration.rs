//! Lengths of time in configuration: `"250ms"`, `"5s"`, `"1m30s"`, `"14d"`.
//!
//! Use as `#[serde(with = "chassis::duration")]`. A bare number is refused: its unit would be a guess.
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Units from the largest to the smallest, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Writes a duration as text, to the millisecond.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&render(*duration))
}

/// Reads a duration from text.
///
/// # Errors
/// Text that is not a number with a unit, or a sum of such.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)
        .map_err(|_| D::Error::custom("a duration is text with a unit, such as \"250ms\", \"5s\" or \"14d\""))?;
    parse(&text).map_err(D::Error::custom)
}

pub(crate) fn render(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, length) in UNITS {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "\"{text}\" is not a duration; write a number and a unit (ms, s, m, h, d), such as \"250ms\" or \"1m30s\""
        )
    };
    let mut rest = text.trim();
    let mut millis = 0u64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let after = &rest[digits..];
        let end = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
        let (_, length) = UNITS.into_iter().find(|(unit, _)| *unit == &after[..end]).ok_or_else(wrong)?;
        millis = number.checked_mul(length).and_then(|part| millis.checked_add(part)).ok_or_else(wrong)?;
        rest = after[end..].trim_start();
    }
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_parses_to_the_same_duration() {
        for (text, millis) in
            [("0s", 0), ("250ms", 250), ("1m30s", 90_000), ("14d", 1_209_600_000), ("1h1ms", 3_600_001)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(render(Duration::from_millis(millis)), text);
        }
        assert_eq!(parse(" 1m 30s "), Ok(Duration::from_secs(90)));
    }

    #[test]
    fn text_without_a_known_unit_is_refused() {
        for text in ["", "5", "5 s", "-1s", "1.5s", "s", "99999999999999999999d", "300000000000000d", "5sec"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
