//! Consistency tokens: what an answer must know of, as clients carry it from a write to a question.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use prost::Message;
use proto::api::v1::{ConsistencyToken as Wire, consistency_token::Position};

use crate::OrganizationId;

/// Positions in one token.
const POSITIONS_MAX: usize = 10;
/// Bytes of a token as text.
const BYTES_MAX: usize = 4096;

/// A state of relations. It is no secret and gives no right: who makes one up waits for nothing or for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyToken {
    /// Organization whose relations it is about.
    pub organization: OrganizationId,
    /// Number of the change of its relations; zero for none.
    pub revision: i64,
    /// Full names of resources and the versions that their owners have committed.
    pub positions: Vec<(String, i64)>,
}

impl ConsistencyToken {
    /// The text form: base64url without padding.
    #[must_use]
    pub fn encode(&self) -> String {
        let position = |(name, version): &(String, i64)| Position { name: name.clone(), version: *version };
        let positions = self.positions.iter().map(position).collect();
        let wire = Wire { organization: self.organization.to_string(), revision: self.revision, positions };
        URL_SAFE_NO_PAD.encode(wire.encode_to_vec())
    }

    /// Reads the text form; `None` for anything else.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= BYTES_MAX)?).ok()?;
        let wire = Wire::decode(bytes.as_slice()).ok().filter(|wire| wire.positions.len() <= POSITIONS_MAX)?;
        let organization = OrganizationId(wire.organization.parse().ok()?);
        let positions = wire.positions.into_iter().map(|position| (position.name, position.version)).collect();
        Some(Self { organization, revision: wire.revision, positions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_nothing_else_reads() {
        let positions = vec![("organizations/x/documents/y".to_owned(), 7)];
        let token = ConsistencyToken { organization: OrganizationId::SYSTEM, revision: 3, positions };
        assert_eq!(ConsistencyToken::decode(&token.encode()), Some(token));
        for text in ["", "!", "AAAA", &"A".repeat(5000)] {
            assert_eq!(ConsistencyToken::decode(text), None, "{text}");
        }
    }
}
