//! Spans of time as the configuration writes them: a whole number and one unit, and nothing is read that cannot be printed back.
use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time as people write it: `250ms`, `30s`, `5m`, `1h`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

impl Period {
    /// A period of whole milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A period of whole seconds.
    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1000, "s")] {
            if millis >= unit && millis.is_multiple_of(unit) {
                return write!(formatter, "{}{name}", millis / unit);
            }
        }
        write!(formatter, "{millis}ms")
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is not a number and a unit.
#[derive(Debug, thiserror::Error)]
#[error("a period is a whole number and a unit, one of ms, s, m, h: for example 30s")]
pub struct PeriodError;

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or(PeriodError)?;
        let (digits, unit) = text.split_at(split);
        let count: u64 = digits.parse().map_err(|_| PeriodError)?;
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(PeriodError),
        };
        count.checked_mul(factor).map(Self::millis).ok_or(PeriodError)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_read_back() {
        for text in ["250ms", "30s", "5m", "1h"] {
            assert_eq!(text.parse::<Period>().expect("a period").to_string(), text);
        }
        for text in ["", "5", "s", "5 s", "-5s", "5d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
