//! What a person has allowed a client.
use api::{Id, OrganizationId, UserId};
use time::OffsetDateTime;

use super::Scopes;
use crate::error::Error;

api::resource_name!(
    /// Name of a consent.
    pub(crate) struct ConsentName { user: UserId, consent: Id } = "users/*/consents/*"
);

/// A consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consent {
    /// Id.
    pub(crate) id: Id,
    /// Who gave it.
    pub(crate) user: UserId,
    /// Client it is given to.
    pub(crate) client: String,
    /// Tenant whose data it reaches.
    pub(crate) organization: Option<OrganizationId>,
    /// What is allowed.
    pub(crate) scopes: Scopes,
    /// When it was first given.
    pub(crate) create_time: OffsetDateTime,
    /// When scopes were last added.
    pub(crate) update_time: OffsetDateTime,
}

/// Name of an authorization request; the handle in it is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestName(pub(crate) String);

impl RequestName {
    /// Reads it out of a request field. Any handle is a name; only that of a real request is found.
    pub(crate) fn parse(field: &str, name: &str) -> Result<Self, Error> {
        let handle = name.strip_prefix("authorizationRequests/").filter(|handle| handle.len() == 43);
        let problem = "must have the form authorizationRequests/*";
        Ok(Self(handle.ok_or_else(|| api::Error::invalid_field(field, problem))?.to_owned()))
    }
}
