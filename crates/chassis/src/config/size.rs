//! Numbers of bytes in configuration: `"64 KiB"`, `"4 MiB"`, `"1 GiB"`, `"512 B"`.
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Units from the largest to the smallest. Only powers of two: "MB" means two things to two people.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// That many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Size {
        Size(bytes)
    }

    /// That many KiB.
    #[must_use]
    pub const fn from_kib(kib: u64) -> Size {
        Size(kib << 10)
    }

    /// That many MiB.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Size {
        Size(mib << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Result<Size, String> {
        let wrong = || {
            format!("\"{text}\" is not a size; write a number and a unit (B, KiB, MiB, GiB, TiB), such as \"4 MiB\"")
        };
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = text[digits..].trim_start();
        let (_, length) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        number.checked_mul(length).map(Size).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.into_iter().find(|(_, length)| self.0 != 0 && self.0.is_multiple_of(*length));
        let (name, length) = unit.unwrap_or(("B", 1));
        write!(f, "{} {name}", self.0 / length)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        let text = String::deserialize(deserializer)
            .map_err(|_| D::Error::custom("a size is text with a unit, such as \"64 KiB\" or \"4 MiB\""))?;
        Size::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_parses_to_the_same_size() {
        for (text, bytes) in
            [("0 B", 0), ("1 B", 1), ("64 KiB", 65_536), ("4 MiB", 4 << 20), ("1 TiB", 1 << 40), ("1025 B", 1025)]
        {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(Size::parse("4MiB"), Ok(Size::from_mib(4)));
    }

    #[test]
    fn a_size_without_a_known_unit_is_refused() {
        for text in ["", "4", "4 MB", "-1 B", "1.5 MiB", "99999999999 TiB"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }
}
