//! What identity is made of, and its rules; no I/O and no clock of its own.
//!
//! Roles are ordered: owner ⊇ admin ⊇ editor ⊇ viewer. A membership may have none; such a member sees only what is shared.

mod account;
mod api_key;
mod audit;
mod audit_csv;
mod authorize;
mod chain;
mod client;
mod consent;
mod consistency;
mod custom_role;
mod device;
mod factor;
mod facts;
mod group;
mod impersonation;
mod invitation;
mod life;
mod link;
mod lockout;
mod mail;
mod object;
mod passkey;
mod permission;
mod pkce;
mod proof;
mod provider;
mod redirect;
mod refresh;
mod relation;
mod revocation;
mod scope;
mod session;
mod signing_key;
mod subject;

pub(crate) use account::{
    Delegation, DelegationName, DisplayName, Email, Membership, MembershipChange, MembershipName, MembershipState,
    NewDelegation, Organization, Purpose as DelegationPurpose, Role, User,
};
pub(crate) use api::Share;
pub(crate) use api_key::{ApiKey, ApiKeyName, KEYS_MAX, KeyScopes, NewApiKey, ServiceAccount, ServiceAccountName};
pub(crate) use audit::{AuditEvent, AuditEventName, AuditFilter, AuditRetention, Link};
pub(crate) use audit_csv::{CSV, CSV_NAMES, csv};
pub(crate) use authorize::{Asked, Expected, Flaw, Next, Parameters, Problem, SignedIn, next, problem};
pub(crate) use chain::Chains;
pub(crate) use client::{
    BROWSER, Client, ClientKind, ClientName, ClientProof, ClientSecrets, IdTokenAlgorithm, RefreshMode,
};
pub(crate) use consent::{Consent, ConsentName, RequestName};
pub(crate) use consistency::AtLeast;
pub(crate) use custom_role::{CustomRole, CustomRoleDraft, CustomRoleName, ROLES_MAX};
pub(crate) use device::{DEVICE_LIFE, DeviceState, POLL_INTERVAL, Poll, UserCode, WRONG_CODES, WRONG_CODES_FOR, poll};
pub(crate) use factor::{FactorKind, FactorName, MfaFactor, RECOVERY_CODES, SecondFactor, TOTP_MAX, second_factors};
pub(crate) use facts::Facts;
pub(crate) use group::{Group, GroupName, limit as group_limit};
pub(crate) use impersonation::{IMPERSONATE, IMPERSONATION_LIFE, Impersonation, Reason, Told};
pub(crate) use invitation::{Invitation, InvitationName, InvitationState};
pub(crate) use life::{OrganizationChange, OrganizationState, UserState};
pub(crate) use link::{LinkDraft, LinkName, ShareLink, limit as link_limit};
pub(crate) use lockout::{DeviceClass, Factor, LOCKOUT_FREE, LOCKOUT_STEPS, lockout_delay};
pub(crate) use mail::{
    ADDRESS_MAILS_PER_HOUR, INVITATION_LIFE, LINK_LIFE, MAILS_PER_HOUR, MailDelivery, MailRequest, Purpose,
    REQUEST_LIFE, network,
};
pub(crate) use object::{Object, Wanted, collection};
pub(crate) use passkey::{PASSKEYS_MAX, Passkey, PasskeyName};
pub(crate) use permission::{Permission, Permissions, Rights, catalog};
pub(crate) use pkce::{Challenge, State, answer, escaped, is_opaque, redirect_with};
pub(crate) use proof::{Proof, acr};
pub(crate) use provider::{
    Identity, IdentityName, PROVIDERS_MAX, Plain, Protocol, Provider, ProviderName, Upstream, is_endpoint,
};
pub(crate) use redirect::origin;
pub(crate) use refresh::{Refresh, RefreshState, decide};
pub(crate) use relation::{
    Held, Holder, Precondition, Question, Relation, Standing, Tie, Until, Update, limit as relation_limit, touched,
};
pub(crate) use revocation::{Revocation, RevocationKind};
pub(crate) use scope::{OPENID, Scopes};
pub(crate) use session::{Origin, Session, SessionName};
pub(crate) use signing_key::{ANNOUNCED_FOR, KeyState, KeyTimes, Succession, active, states, succession, successor};
pub(crate) use subject::Subject;
