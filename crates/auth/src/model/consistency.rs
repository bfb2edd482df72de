//! What an answer about relations must know of.
use api::{ConsistencyToken, OrganizationId};

use super::Object;
use crate::error::{Authorization, Error};

/// What an answer must know of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AtLeast {
    /// Number of the change of the organization's relations.
    pub(crate) revision: i64,
    /// Versions of resources by their name below the organization.
    pub(crate) positions: Vec<(String, i64)>,
}

impl AtLeast {
    /// Reads a token; an empty one asks for nothing.
    ///
    /// # Errors
    /// CONSISTENCY_TOKEN_INVALID, also for a token of another organization.
    pub(crate) fn parse(token: &str, organization: OrganizationId) -> Result<Self, Error> {
        if token.is_empty() {
            return Ok(Self::default());
        }
        let read = || {
            let token = ConsistencyToken::decode(token).filter(|token| token.organization == organization)?;
            let position = |(name, version): (String, i64)| {
                let object = Object::parse("at_least", &name, organization).ok()?;
                Some((object.path, version))
            };
            let positions = token.positions.into_iter().map(position).collect::<Option<_>>()?;
            Some(Self { revision: token.revision, positions })
        };
        read().ok_or_else(|| Authorization::ConsistencyTokenInvalid.into())
    }

    /// The token of a state.
    pub(crate) fn token(organization: OrganizationId, revision: i64) -> String {
        ConsistencyToken { organization, revision, positions: Vec::new() }.encode()
    }
}

#[cfg(test)]
mod tests {
    use api::Id;

    use super::*;

    #[test]
    fn a_token_is_good_in_its_own_organization_only() {
        let (own, other) = (OrganizationId::SYSTEM, OrganizationId(Id::derive(Id::ZERO, b"other")));
        let token = AtLeast::token(own, 7);
        assert_eq!(AtLeast::parse(&token, own).expect("ours").revision, 7);
        assert_eq!(AtLeast::parse("", own).expect("none"), AtLeast::default());
        for (text, organization) in [(token.as_str(), other), ("!", own)] {
            assert!(AtLeast::parse(text, organization).is_err(), "{text}");
        }
        let foreign = ConsistencyToken { organization: own, revision: 0, positions: vec![("users/x".to_owned(), 1)] };
        assert!(AtLeast::parse(&foreign.encode(), own).is_err(), "a position is a resource of the organization");
    }
}
