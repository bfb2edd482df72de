//! How roles, groups, links and relations can fail.
use std::time::Duration;

use api::Code;
use proto::auth::v1::ErrorReason;

/// Every way to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// The contract has no such permission.
    PermissionUnknown(String),
    /// The caller lacks what he gives, takes or touches.
    PermissionLacked(&'static str),
    /// Members hold the custom role.
    RoleInUse,
    /// Groups in a circle or in too many levels.
    GroupNesting,
    /// As many of these as there may be.
    Limit(&'static str, i64),
    /// The organization has no such custom role.
    CustomRoleNotFound(String),
    /// No link in force has this name and this secret.
    LinkInvalid,
    /// The sharer holds less than he gives.
    RelationTooStrong,
    /// A service owns relations of this type.
    RelationOfPlatform,
    /// A precondition does not hold.
    RelationPrecondition,
    /// Parents in a circle or in too long a chain.
    RelationCycle,
    /// What the consistency token stands for is not here yet.
    ConsistencyAwaited,
    /// The consistency token is malformed or of another organization.
    ConsistencyTokenInvalid,
}

impl From<Authorization> for api::Error {
    fn from(error: Authorization) -> Self {
        match error {
            Authorization::PermissionUnknown(text) => {
                let shown: String = text.chars().filter(|letter| !letter.is_control()).take(64).collect();
                let message =
                    format!("{shown:?} is no permission of the contract; ListPermissions tells those there are");
                Self::invalid(ErrorReason::PermissionUnknown, message).with("permission", shown)
            }
            Authorization::PermissionLacked(text) => {
                let message =
                    format!("you lack {text}, so you cannot give, take or touch it; ask somebody who holds it");
                Self::new(Code::PermissionDenied, ErrorReason::PermissionLacked, message).with("permission", text)
            }
            Authorization::RoleInUse => Self::new(Code::FailedPrecondition, ErrorReason::RoleInUse, ROLE_IN_USE),
            Authorization::GroupNesting => {
                Self::new(Code::FailedPrecondition, ErrorReason::GroupNesting, GROUP_NESTING)
            }
            Authorization::Limit(what, limit) => {
                let message = format!("there may be at most {limit} {what}; remove some first");
                Self::new(Code::FailedPrecondition, ErrorReason::AuthorizationLimit, message)
                    .with("what", what)
                    .with("limit", limit.to_string())
            }
            Authorization::CustomRoleNotFound(name) => {
                let message = format!("{name} does not exist; make the role first");
                Self::new(Code::FailedPrecondition, ErrorReason::CustomRoleNotFound, message).with("role", name)
            }
            Authorization::LinkInvalid => Self::new(Code::FailedPrecondition, ErrorReason::LinkInvalid, LINK_INVALID),
            Authorization::RelationTooStrong => {
                Self::new(Code::PermissionDenied, ErrorReason::RelationTooStrong, RELATION_TOO_STRONG)
            }
            Authorization::RelationOfPlatform => {
                Self::new(Code::FailedPrecondition, ErrorReason::RelationOfPlatform, RELATION_OF_PLATFORM)
            }
            Authorization::RelationPrecondition => {
                Self::new(Code::FailedPrecondition, ErrorReason::RelationPrecondition, RELATION_PRECONDITION)
            }
            Authorization::RelationCycle => {
                Self::new(Code::FailedPrecondition, ErrorReason::RelationCycle, RELATION_CYCLE)
            }
            Authorization::ConsistencyAwaited => {
                Self::new(Code::Unavailable, ErrorReason::ConsistencyAwaited, CONSISTENCY_AWAITED)
                    .retry_after(Duration::from_millis(500))
            }
            Authorization::ConsistencyTokenInvalid => {
                Self::invalid(ErrorReason::ConsistencyTokenInvalid, CONSISTENCY_TOKEN_INVALID)
                    .violation("at_least", CONSISTENCY_TOKEN_INVALID)
            }
        }
    }
}

const ROLE_IN_USE: &str = "members hold the role; take it from them first";
const LINK_INVALID: &str = "there is no such link in force; ask whoever gave it to you for another one";
const GROUP_NESTING: &str =
    "groups would hold one another in a circle or in more than four levels; put the members in directly";
const RELATION_TOO_STRONG: &str =
    "you hold less on the resource than you would give, or for a shorter time; give an expire_time, or ask its owner";
const RELATION_OF_PLATFORM: &str =
    "a service of the platform owns relations of this type; share there, or name a resource below objectTypes";
const RELATION_PRECONDITION: &str = "a precondition does not hold; nothing was written, read the relations again";
const RELATION_CYCLE: &str =
    "parents would stand in a circle or in a chain of more than 100; hang the resource elsewhere";
const CONSISTENCY_AWAITED: &str =
    "what the consistency token stands for has not arrived yet; try again after the time in RetryInfo";
const CONSISTENCY_TOKEN_INVALID: &str = "is no consistency token of this organization; use it as the API returned it";
