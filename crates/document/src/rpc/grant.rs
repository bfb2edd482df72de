//! Grants on the wire.
use api::{Error as ApiError, from_timestamp, timestamp};
use prost_types::Timestamp;
use proto::document::v1::{self as wire, grant::Role};
use time::OffsetDateTime;

use crate::model::{DocumentName, Grant, GrantDraft, Principal, Share};

/// Reads a grant to be given.
pub(super) fn parse_draft(request: wire::CreateGrantRequest) -> Result<GrantDraft, ApiError> {
    let document = DocumentName::parse_field("parent", &request.parent)?;
    let grant = request.grant.ok_or_else(|| ApiError::invalid_field("grant", "is required; send the grant"))?;
    let role = share(grant.role()).ok_or_else(|| {
        ApiError::invalid_field("grant.role", "is required; send READER, COMMENTER, WRITER or KEEPER")
    })?;
    Ok(GrantDraft {
        document,
        principal: Principal::parse(&grant.principal, document.organization)?,
        role,
        expire_time: grant.expire_time.as_ref().map(parse_time).transpose()?,
    })
}

/// Reads when a grant ends, in whole microseconds, which is what is stored.
fn parse_time(time: &Timestamp) -> Result<OffsetDateTime, ApiError> {
    let time = from_timestamp(time).and_then(|time| time.replace_microsecond(time.microsecond()).ok());
    time.ok_or_else(|| ApiError::invalid_field("grant.expire_time", "is no time between the years 1 and 9999"))
}

/// Writes a grant.
pub(super) fn render(grant: Grant) -> wire::Grant {
    wire::Grant {
        name: grant.name.to_string(),
        principal: grant.principal.as_str().to_owned(),
        role: role(grant.role).into(),
        expire_time: grant.expire_time.map(timestamp),
        create_time: Some(timestamp(grant.create_time)),
    }
}

fn share(role: Role) -> Option<Share> {
    match role {
        Role::Unspecified => None,
        Role::Reader => Some(Share::Reader),
        Role::Commenter => Some(Share::Commenter),
        Role::Writer => Some(Share::Writer),
        Role::Keeper => Some(Share::Keeper),
    }
}

fn role(share: Share) -> Role {
    match share {
        Share::Unspecified => Role::Unspecified,
        Share::Reader => Role::Reader,
        Share::Commenter => Role::Commenter,
        Share::Writer => Role::Writer,
        Share::Keeper => Role::Keeper,
    }
}
