//! Every way in which identity can fail, and its one translation to an `api::Error`.
//!
//! What is answered to a sign-in never says whether the account exists: unknown, wrong, locked and empty are one variant.
mod authorization;

use std::time::Duration;

use api::Code;
use proto::auth::v1::ErrorReason;

pub(crate) use authorization::Authorization;

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Fewer than 15 code points, and no second factor.
    TooShort,
    /// Fewer than 8 code points, with a second factor.
    TooShortBeside,
    /// More than 1,024 bytes.
    TooLong,
    /// On the list of known passwords, or a known word with digits around it.
    Common,
    /// One piece again and again, or a sequence.
    Pattern,
    /// The name of the service, the organization or the user.
    Name,
}

impl Unfit {
    fn advice(self) -> &'static str {
        match self {
            Self::TooShort => {
                "the password has fewer than 15 characters; choose a longer one, for example four or five random words"
            }
            Self::TooShortBeside => {
                "the password has fewer than 8 characters, which is too few even beside a second factor; choose a longer one"
            }
            Self::TooLong => "the password is longer than 1,024 bytes; choose a shorter one",
            Self::Common => "the password is on a list of known passwords; choose another one",
            Self::Pattern => "the password is one piece repeated or a sequence; choose another one",
            Self::Name => "the password is the name of the service, the organization or the user; choose another one",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::TooShort | Self::TooShortBeside => "TOO_SHORT",
            Self::TooLong => "TOO_LONG",
            Self::Common => "COMMON",
            Self::Pattern => "PATTERN",
            Self::Name => "NAME",
        }
    }
}

/// Every way to fail.
#[derive(Debug)]
pub(crate) enum Error {
    /// A name, page, mask, etag or permission; already in the API's words.
    Api(api::Error),
    /// PostgreSQL.
    Db(db::Error),
    /// A stored answer or a signature could not be made: our fault.
    Fault(Box<dyn std::error::Error + Send + Sync>),
    /// The keys are not loaded yet.
    KeysAwaited,
    /// The e-mail address belongs to another user.
    EmailTaken,
    /// The text is no e-mail address.
    EmailInvalid,
    /// The display name (of this request field) is empty, too long or holds control characters.
    DisplayNameInvalid(&'static str),
    /// The password does not keep the rules.
    PasswordUnfit(&'static str, Unfit),
    /// The password tested at sign-in is longer than any can be.
    PasswordTooLong(&'static str),
    /// The role given or touched is above the caller's own.
    RoleTooHigh,
    /// The organization would be without an owner.
    LastOwner,
    /// There is no such user to make a member.
    UserNotFound(String),
    /// The first owner exists.
    BootstrapDone,
    /// The one-time code is unknown or expired.
    BootstrapCodeInvalid,
    /// The flow handle is unknown, used or expired, or waits for another answer.
    FlowInvalid,
    /// Unknown client or unregistered redirect URI.
    ClientInvalid,
    /// No PKCE challenge with S256.
    ChallengeInvalid,
    /// Unknown, wrong, locked, empty: one answer.
    SignInRefused,
    /// The password in force, asked again of somebody signed in or in a sign-up, is wrong or locked: not UNAUTHENTICATED, since his token
    /// is good.
    PasswordWrong,
    /// Not an active member of the organization asked for.
    NoMembership,
    /// Too many hashes at once.
    HashQueueFull(Duration),
    /// The delegation has ended or its subject has.
    DelegationInvalid,
    /// The access token is not good.
    CredentialInvalid,
    /// The second factor's answer is wrong, used or locked: one answer.
    FactorRefused,
    /// The user has as many factors as anybody may.
    FactorLimit,
    /// There is no confirmed second factor.
    FactorMissing,
    /// The password is too short to be the only factor.
    PasswordTooShortAlone,
    /// What the link carries is unknown, used, ended or replaced.
    MailTokenInvalid,
    /// The mail is not to be sent any more.
    MailOver,
    /// Too many requests for mails wait.
    MailQueueFull,
    /// Nobody signs up by himself.
    SignUpClosed,
    /// The invitation is not open.
    InvitationClosed,
    /// The invitation was sent to somebody else.
    InvitationForeign,
    /// No permission of the contract.
    ScopeUnknown(String),
    /// The owner has as many keys as he may.
    TooManyKeys,
    /// It takes a session.
    SignInNeeded,
    /// The person owns as many organizations as he may.
    TooManyOrganizations,
    /// The organization is deleted.
    OrganizationDeleted,
    /// Roles, groups and relations.
    Authorization(Authorization),
    /// The client cannot be registered like this: field and problem.
    OAuthClientInvalid(&'static str, String),
    /// The organization has too many clients.
    OAuthClientLimit,
    /// The access token lacks a scope.
    ScopeMissing,
    /// The user code of a device is unknown or expired, or too many were wrong.
    UserCodeInvalid,
    /// The authenticator's answer does not fit; which mismatch it was is not said.
    PasskeyRefused,
    /// The public URL has no domain name.
    PasskeysUnavailable,
    /// The identity provider refused, is away or its answer does not fit.
    SocialRefused,
    /// No account belongs to the upstream account.
    SocialNotLinked,
    /// The organization has as many providers as it may.
    ProviderLimit,
    /// The code out of a mail is wrong, used or over, or there was none: one answer.
    MailCodeRefused,
    /// Enough mails of the kind have gone to the address.
    MailLimit,
    /// The organization has as many open invitations as it may.
    InvitationLimit,
}

impl Error {
    /// Our own fault, with its cause for the log.
    pub(crate) fn fault(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Fault(cause.into())
    }

    /// The error in words for the log, with its cause.
    pub(crate) fn for_operator(self) -> String {
        match self {
            Self::Fault(cause) => cause.to_string(),
            other => api::Error::from(other).message().to_owned(),
        }
    }
}

impl From<api::Error> for Error {
    fn from(error: api::Error) -> Self {
        Self::Api(error)
    }
}

impl From<Authorization> for Error {
    fn from(error: Authorization) -> Self {
        Self::Authorization(error)
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        Self::Db(error)
    }
}

/// The cause of a fault, made an error type of its own so that the API error can carry it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(Box<dyn std::error::Error + Send + Sync>);

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(error) => error,
            Error::Db(error) => error.into(),
            Error::Fault(cause) => Self::internal(Cause(cause)),
            Error::KeysAwaited => Self::unavailable("the identity service (it is still loading its keys)"),
            Error::EmailTaken => Self::new(Code::AlreadyExists, ErrorReason::EmailTaken, EMAIL_TAKEN),
            Error::EmailInvalid => Self::invalid(ErrorReason::EmailInvalid, EMAIL_INVALID),
            Error::DisplayNameInvalid(field) => {
                Self::invalid(ErrorReason::DisplayNameInvalid, format!("{field} {DISPLAY_NAME_INVALID}"))
                    .violation(field, DISPLAY_NAME_INVALID)
            }
            Error::PasswordUnfit(field, unfit) => {
                let advice = unfit.advice();
                Self::invalid(ErrorReason::PasswordUnfit, advice)
                    .violation(field, advice)
                    .with("problem", unfit.label())
            }
            Error::PasswordTooLong(field) => {
                Self::invalid_field(field, "is longer than 1,024 bytes, which no password is")
            }
            Error::RoleTooHigh => Self::new(Code::PermissionDenied, ErrorReason::RoleTooHigh, ROLE_TOO_HIGH),
            Error::LastOwner => Self::new(Code::FailedPrecondition, ErrorReason::LastOwner, LAST_OWNER),
            Error::UserNotFound(name) => {
                let message = format!("{name} is no user of this organization; create the user, or invite its address");
                Self::new(Code::FailedPrecondition, ErrorReason::UserNotFound, message).with("user", name)
            }
            Error::BootstrapDone => Self::new(Code::FailedPrecondition, ErrorReason::BootstrapDone, BOOTSTRAP_DONE),
            Error::BootstrapCodeInvalid => {
                Self::new(Code::PermissionDenied, ErrorReason::BootstrapCodeInvalid, BOOTSTRAP_CODE_INVALID)
            }
            Error::FlowInvalid => Self::new(Code::FailedPrecondition, ErrorReason::FlowInvalid, FLOW_INVALID),
            Error::ClientInvalid => Self::invalid(ErrorReason::ClientInvalid, CLIENT_INVALID),
            Error::ChallengeInvalid => Self::invalid(ErrorReason::ChallengeInvalid, CHALLENGE_INVALID),
            Error::SignInRefused => Self::new(Code::Unauthenticated, ErrorReason::SignInRefused, SIGN_IN_REFUSED),
            Error::PasswordWrong => Self::new(Code::PermissionDenied, ErrorReason::SignInRefused, SIGN_IN_REFUSED),
            Error::NoMembership => Self::new(Code::PermissionDenied, ErrorReason::NoMembership, NO_MEMBERSHIP),
            Error::HashQueueFull(delay) => {
                Self::new(Code::ResourceExhausted, ErrorReason::HashQueueFull, HASH_QUEUE_FULL).retry_after(delay)
            }
            Error::DelegationInvalid => {
                Self::new(Code::PermissionDenied, ErrorReason::DelegationInvalid, DELEGATION_INVALID)
            }
            Error::CredentialInvalid => Self::credential_invalid(),
            Error::Authorization(error) => error.into(),
            other => factors(other),
        }
    }
}

/// What concerns ways to sign in beside a password.
fn factors(error: Error) -> api::Error {
    match error {
        Error::FactorRefused => api::Error::new(Code::Unauthenticated, ErrorReason::FactorRefused, FACTOR_REFUSED),
        Error::MailCodeRefused => api::Error::new(Code::Unauthenticated, ErrorReason::SignInRefused, MAIL_CODE_REFUSED),
        Error::FactorLimit => api::Error::new(Code::FailedPrecondition, ErrorReason::FactorLimit, FACTOR_LIMIT),
        Error::FactorMissing => api::Error::new(Code::FailedPrecondition, ErrorReason::FactorMissing, FACTOR_MISSING),
        Error::PasskeyRefused => api::Error::new(Code::Unauthenticated, ErrorReason::PasskeyRefused, PASSKEY_REFUSED),
        Error::PasskeysUnavailable => {
            api::Error::new(Code::FailedPrecondition, ErrorReason::PasskeysUnavailable, PASSKEYS_UNAVAILABLE)
        }
        Error::SocialRefused => api::Error::new(Code::Unauthenticated, ErrorReason::SocialRefused, SOCIAL_REFUSED),
        Error::SocialNotLinked => {
            api::Error::new(Code::Unauthenticated, ErrorReason::SocialNotLinked, SOCIAL_NOT_LINKED)
        }
        Error::ProviderLimit => {
            api::Error::new(Code::FailedPrecondition, ErrorReason::IdentityProviderLimit, PROVIDER_LIMIT)
        }
        Error::PasswordTooShortAlone => {
            api::Error::new(Code::FailedPrecondition, ErrorReason::PasswordTooShortAlone, PASSWORD_TOO_SHORT_ALONE)
        }
        other => people(other),
    }
}

/// What concerns mails, keys and the life of accounts and organizations.
fn people(error: Error) -> api::Error {
    let precondition = |reason, message: &str| api::Error::new(Code::FailedPrecondition, reason, message.to_owned());
    match error {
        Error::MailTokenInvalid => precondition(ErrorReason::MailTokenInvalid, MAIL_TOKEN_INVALID),
        Error::MailOver => precondition(ErrorReason::EmailDeliveryOver, "the mail is not to be sent any more"),
        Error::MailQueueFull => {
            let message = "too many mails wait to be sent; try again after the time in RetryInfo";
            api::Error::new(Code::ResourceExhausted, ErrorReason::MailQueueFull, message)
                .retry_after(Duration::from_secs(60))
        }
        Error::MailLimit => api::Error::new(Code::ResourceExhausted, ErrorReason::MailLimit, MAIL_LIMIT)
            .retry_after(Duration::from_secs(3600)),
        Error::InvitationLimit => {
            api::Error::new(Code::ResourceExhausted, ErrorReason::InvitationLimit, INVITATION_LIMIT)
        }
        Error::SignUpClosed => precondition(ErrorReason::SignUpClosed, SIGN_UP_CLOSED),
        Error::InvitationClosed => precondition(ErrorReason::InvitationClosed, INVITATION_CLOSED),
        Error::InvitationForeign => {
            api::Error::new(Code::PermissionDenied, ErrorReason::InvitationForeign, INVITATION_FOREIGN)
        }
        Error::ScopeUnknown(scope) => {
            let message = "there is no such permission; name permissions of the contract, for example document:read";
            api::Error::invalid(ErrorReason::ScopeUnknown, message).with("scope", scope)
        }
        Error::TooManyKeys => precondition(ErrorReason::TooManyKeys, TOO_MANY_KEYS),
        Error::SignInNeeded => api::Error::new(Code::PermissionDenied, ErrorReason::SignInNeeded, SIGN_IN_NEEDED),
        Error::TooManyOrganizations => precondition(ErrorReason::TooManyOrganizations, TOO_MANY_ORGANIZATIONS),
        Error::OrganizationDeleted => precondition(ErrorReason::OrganizationDeleted, ORGANIZATION_DELETED),
        other => applications(other),
    }
}

/// Errors about clients and what they present.
fn applications(error: Error) -> api::Error {
    match error {
        Error::OAuthClientInvalid(field, problem) => {
            let message = format!("{field} {problem}");
            api::Error::invalid(ErrorReason::OauthClientInvalid, message).violation(field, problem)
        }
        Error::OAuthClientLimit => {
            api::Error::new(Code::ResourceExhausted, ErrorReason::OauthClientLimit, OAUTH_CLIENT_LIMIT)
        }
        Error::ScopeMissing => api::Error::new(Code::PermissionDenied, ErrorReason::ScopeMissing, SCOPE_MISSING),
        Error::UserCodeInvalid => {
            api::Error::new(Code::PermissionDenied, ErrorReason::UserCodeInvalid, USER_CODE_INVALID)
        }
        other => api::Error::internal(Cause(format!("{other:?} is translated elsewhere").into())),
    }
}

const MAIL_TOKEN_INVALID: &str = "the link was used, has ended, or a newer one has taken its place; ask for a new mail";
const MAIL_CODE_REFUSED: &str = "the code is wrong, was used or is no longer good; ask for another one";
const MAIL_LIMIT: &str = "many mails of this kind have gone to the address; try again in an hour";
const INVITATION_LIMIT: &str = "the organization has 1,000 open invitations; take back those that nobody will accept";
const SIGN_UP_CLOSED: &str = "nobody can sign up by himself here; ask an administrator for an invitation";
const INVITATION_CLOSED: &str = "the invitation is not open any more; make another one";
const INVITATION_FOREIGN: &str =
    "the invitation was sent to another address than that of your account; sign in with the account it was sent to";
const TOO_MANY_KEYS: &str = "the owner has 50 keys already; delete one first";
const SIGN_IN_NEEDED: &str =
    "keys, delegations and applications that act for you cannot do this; sign in yourself and try again";
const TOO_MANY_ORGANIZATIONS: &str = "you own 100 organizations already; delete one first";
const ORGANIZATION_DELETED: &str = "the organization is deleted; its owner can take that back for thirty days";
const EMAIL_TAKEN: &str = "a user with this e-mail address exists; make that user a member instead";
const EMAIL_INVALID: &str = "this is not an e-mail address; send local@domain, at most 254 bytes";
const DISPLAY_NAME_INVALID: &str =
    "must have 1 to 255 characters, not only blanks and none of them a control character";
const ROLE_TOO_HIGH: &str = "the role is above your own; ask somebody who holds it";
const LAST_OWNER: &str = "this is the last active owner of the organization; make somebody else an owner first";
const BOOTSTRAP_DONE: &str = "the platform has its first owner already; ask an administrator for an account";
const BOOTSTRAP_CODE_INVALID: &str = "the code is wrong or has expired; run `workos admin bootstrap` for a new one";
const FLOW_INVALID: &str = "the sign-in has expired, was continued elsewhere or waits for another answer; start again";
const CLIENT_INVALID: &str = "the client is unknown or its redirect URI is not registered";
const CHALLENGE_INVALID: &str =
    "send code_challenge_method S256 and a code_challenge of 43 base64url characters (RFC 7636)";
const SIGN_IN_REFUSED: &str = "wrong e-mail address or password, or too many attempts; wait, then try again";
const FACTOR_REFUSED: &str = "the second factor's answer is wrong or was used before, or there were too many attempts; wait for the next code, then try again";
const FACTOR_LIMIT: &str = "you have as many of these factors as one person may; delete one that you no longer use";
const FACTOR_MISSING: &str = "there is no confirmed second factor; enrol an authenticator app first";
const PASSKEY_REFUSED: &str =
    "the passkey's answer does not fit this question, or the passkey counts no more; begin again";
const PASSKEYS_UNAVAILABLE: &str =
    "passkeys need a domain name, which the platform's public URL does not have; sign in otherwise";
const SOCIAL_REFUSED: &str =
    "the identity provider refused, is away, or its answer does not fit; begin again, or sign in otherwise";
const SOCIAL_NOT_LINKED: &str =
    "no account is linked to this upstream account; sign in otherwise, or ask an administrator for an account";
const PROVIDER_LIMIT: &str = "the organization has 20 identity providers already; delete one that is not used";
const PASSWORD_TOO_SHORT_ALONE: &str = "your password is too short to be the only factor; choose one of at least 15 characters, then delete the last second factor";
const NO_MEMBERSHIP: &str = "you are not an active member of this organization; choose another one";
const HASH_QUEUE_FULL: &str = "too many sign-ins at once; try again after the time in RetryInfo";
const DELEGATION_INVALID: &str =
    "the delegation has ended, was revoked, is not yours, or its subject is no longer a member";
const OAUTH_CLIENT_LIMIT: &str = "the organization has 1,000 OAuth clients; delete one that is not used";
const SCOPE_MISSING: &str = "the access token lacks a scope; ask for openid at the authorization endpoint";
const USER_CODE_INVALID: &str =
    "the code is unknown or has expired, or there were too many wrong ones; wait, or begin anew at the device";
