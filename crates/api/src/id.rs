//! Ids: UUIDs shown as 26 characters of lower-case Crockford base32.
//!
//! The text form is canonical: one id has exactly one spelling, so names compare byte for byte. New ids are UUIDv7, so their
//! text sorts by time. This file is the only one that may make random or time-based ids.
use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;

/// An id of a resource.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Uuid);

impl Id {
    /// The all-zero id.
    pub const ZERO: Self = Self(Uuid::nil());

    /// The id with this UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID, as databases store it.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The id derived from a namespace and bytes (UUIDv5, RFC 9562): the same input gives the same id, everywhere.
    #[must_use]
    pub fn derive(namespace: Self, bytes: &[u8]) -> Self {
        Self(Uuid::new_v5(&namespace.0, bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.as_u128();
        let mut text = [0u8; LENGTH];
        for (index, letter) in text.iter_mut().enumerate() {
            let shift = 5 * (LENGTH - 1 - index);
            *letter = ALPHABET[((value >> shift) & 31) as usize];
        }
        formatter.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is not 26 characters of lower-case Crockford base32, or stands for more than 128 bits.
#[derive(Debug, thiserror::Error)]
#[error("an id has 26 characters of 0-9 and a-z without i, l, o and u, the first of them 0 to 7")]
pub struct IdError;

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes = text.as_bytes();
        if bytes.len() != LENGTH || bytes[0] > b'7' {
            return Err(IdError);
        }
        let mut value = 0u128;
        for byte in bytes {
            let digit = ALPHABET.iter().position(|letter| letter == byte).ok_or(IdError)?;
            value = (value << 5) | digit as u128;
        }
        Ok(Self(Uuid::from_u128(value)))
    }
}

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Source of new ids.
#[derive(Clone, Debug, Default)]
pub struct Ids(());

impl Ids {
    /// A new time-ordered id (UUIDv7).
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one home of new ids")]
    pub fn next(&self) -> Id {
        Id(Uuid::now_v7())
    }
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $collection:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Id);

        impl $name {
            /// The UUID, as databases store it.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0.uuid()
            }

            /// The full resource name.
            #[must_use]
            pub fn name(self) -> String {
                format!(concat!($collection, "/{}"), self.0)
            }

            /// Reads a full resource name.
            ///
            /// # Errors
            /// NAME_INVALID when the text is not such a name.
            pub fn parse(name: &str) -> Result<Self, crate::Error> {
                let [id] = crate::parse_segments(name, concat!($collection, "/*"))?;
                Ok(Self(id))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl From<Id> for $name {
            fn from(id: Id) -> Self {
                Self(id)
            }
        }
    };
}

typed_id!(
    /// Id of an organization.
    OrganizationId,
    "organizations"
);
typed_id!(
    /// Id of a user.
    UserId,
    "users"
);

impl OrganizationId {
    /// The organization of the platform's operators; `platform:*` permissions are held only there.
    pub const SYSTEM: Self = Self(Id::ZERO);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_id_reads_back() {
        let id = Id::from_uuid(Uuid::max());
        assert_eq!(id.to_string(), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert_eq!(id.to_string().parse::<Id>().expect("it is an id"), id);
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "7zzzzzzzzzzzzzzzzzzzzzzzzi",
            "é0000000000000000000000000",
        ] {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
    }

    #[test]
    fn new_ids_sort_by_time() {
        let ids = Ids::default();
        let (first, second) = (ids.next(), ids.next());
        assert!(first < second);
        assert!(first.to_string() < second.to_string());
    }

    proptest! {
        #[test]
        fn every_id_has_one_spelling(value: u128) {
            let id = Id::from_uuid(Uuid::from_u128(value));
            prop_assert_eq!(id.to_string().parse::<Id>().expect("it is an id"), id);
        }
    }
}
