//! API keys and service accounts.
use api::{Id, OrganizationId, UserId};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::{DisplayName, Role, account::micros};
use crate::error::Error;

/// Keys that one owner may have.
pub(crate) const KEYS_MAX: i64 = 50;
/// Longest life of a key.
const LIFE_MAX: Duration = Duration::days(400);
/// A token carries as many.
const SCOPES_MAX: usize = 32;

api::resource_name!(
    /// Name of an API key.
    pub(crate) struct ApiKeyName { organization: OrganizationId, key: Id } = "organizations/*/apiKeys/*"
);
api::resource_name!(
    /// Name of a service account; its id is that of the user it is a member as.
    pub(crate) struct ServiceAccountName { organization: OrganizationId, account: Id } = "organizations/*/serviceAccounts/*"
);

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiKey {
    /// Id.
    pub(crate) id: Id,
    /// Organization it is good in.
    pub(crate) organization: OrganizationId,
    /// Whose rights it has.
    pub(crate) owner: UserId,
    /// The owner is a service account.
    pub(crate) of_service: bool,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// Permissions it is good for.
    pub(crate) scopes: Vec<String>,
    /// Changes with every change.
    pub(crate) version: i64,
    /// When it ends.
    pub(crate) expire_time: OffsetDateTime,
    /// When it was made.
    pub(crate) create_time: OffsetDateTime,
    /// When it was last used, to the minute.
    pub(crate) last_use_time: Option<OffsetDateTime>,
}

impl ApiKey {
    /// Full name.
    pub(crate) fn name(&self) -> ApiKeyName {
        ApiKeyName { organization: self.organization, key: self.id }
    }
}

/// What a new key is made of.
#[derive(Clone, Debug)]
pub(crate) struct NewApiKey {
    /// Whose rights; `None` for the caller's.
    pub(crate) owner: Option<UserId>,
    /// Name shown to people.
    pub(crate) display_name: DisplayName,
    /// Permissions.
    pub(crate) scopes: KeyScopes,
    /// When it ends.
    pub(crate) expire_time: OffsetDateTime,
}

impl NewApiKey {
    /// A key ends, and not in the far future.
    pub(crate) fn check_end(&self, now: OffsetDateTime) -> Result<(), Error> {
        if self.expire_time > now && self.expire_time <= now + LIFE_MAX {
            return Ok(());
        }
        Err(api::Error::invalid_field("api_key.expire_time", "must be in the future, at most 400 days from now").into())
    }
}

/// Permissions of the contract, each once.
#[derive(Clone, Debug)]
pub(crate) struct KeyScopes(pub(crate) Vec<String>);

impl KeyScopes {
    /// Reads them out of a request; `known` tells permissions of the contract.
    pub(crate) fn parse(mut scopes: Vec<String>, known: impl Fn(&str) -> bool) -> Result<Self, Error> {
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() || scopes.len() > SCOPES_MAX {
            return Err(api::Error::invalid_field("api_key.scopes", "must name 1 to 32 permissions").into());
        }
        match scopes.iter().find(|scope| !known(scope)) {
            None => Ok(Self(scopes)),
            Some(unknown) => Err(Error::ScopeUnknown(unknown.chars().take(100).collect())),
        }
    }
}

/// A member that no person signs in as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceAccount {
    /// Organization.
    pub(crate) organization: OrganizationId,
    /// The user it is a member as.
    pub(crate) user: UserId,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// Role of its membership.
    pub(crate) role: Option<Role>,
    /// When it was made.
    #[serde(with = "micros")]
    pub(crate) create_time: OffsetDateTime,
}

impl ServiceAccount {
    /// Full name.
    pub(crate) fn name(&self) -> ServiceAccountName {
        ServiceAccountName { organization: self.organization, account: self.user.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_permissions_of_the_contract() {
        let known = |scope: &str| scope == "document:read";
        let parse = |scopes: &[&str]| KeyScopes::parse(scopes.iter().map(|scope| (*scope).to_owned()).collect(), known);
        assert_eq!(parse(&["document:read", "document:read"]).expect("known").0, ["document:read"]);
        for unknown in [&["document:fly"][..], &["*"], &[], &["document:read", ""]] {
            assert!(parse(unknown).is_err(), "{unknown:?}");
        }
    }
}
