//! The wire: parse, call, render. `users/me` is read as the caller.

mod audit;
mod authorization;
mod bootstrap;
mod browser;
mod client;
mod consent;
mod delegation;
mod factor;
mod group;
mod invitation;
mod key;
mod link;
mod login;
mod mail;
mod oauth;
mod organization;
mod passkey;
mod provider;
mod role;
mod signing_key;
mod token;
mod user;

use std::sync::Arc;

use api::{Caller, Etag, Id, OrganizationId, UserId, timestamp};
use proto::auth::v1 as wire;

pub(crate) use token::{render_directory, render_key, render_revocations, user_groups};

use crate::{
    error::Error,
    model::{
        CustomRoleName, Delegation, DelegationName, Membership, MembershipState, Organization, Role, Session,
        SessionName, User,
    },
    service::{Auth, PageRequest},
};

/// All services of the contract's package `workos.auth.v1`.
#[derive(Clone)]
pub(crate) struct Rpc {
    auth: Arc<Auth>,
}

impl Rpc {
    /// The wire of this service.
    pub(crate) fn new(auth: Arc<Auth>) -> Self {
        Self { auth }
    }
}

pub(crate) fn page(size: i32, token: String) -> PageRequest {
    PageRequest { size, token }
}

fn organization_id(field: &str, name: &str) -> Result<OrganizationId, Error> {
    Ok(OrganizationId::parse(name).map_err(|error| error.violation(field, "must have the form organizations/*"))?)
}

fn user_id(field: &str, name: &str) -> Result<UserId, Error> {
    Ok(UserId::parse(name).map_err(|error| error.violation(field, "must have the form users/*"))?)
}

fn duration(time: time::Duration) -> prost_types::Duration {
    prost_types::Duration { seconds: time.whole_seconds(), nanos: time.subsec_nanoseconds() }
}

/// A user named by himself.
fn oneself(caller: &Caller, field: &str, name: &str) -> Result<UserId, Error> {
    if name == "users/me" { Ok(caller.user_required()?) } else { user_id(field, name) }
}

/// A session named by its user.
fn own_session(caller: &Caller, field: &str, name: &str) -> Result<SessionName, Error> {
    let full = match name.strip_prefix("users/me/") {
        Some(rest) => format!("{}/{rest}", caller.user_required()?.name()),
        None => name.to_owned(),
    };
    Ok(SessionName::parse_field(field, &full)?)
}

/// An id chosen by the client; empty lets us choose.
fn chosen_id(field: &str, text: &str) -> Result<Option<Id>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let problem = "must be 26 characters of lower-case Crockford base32, not all zero, or absent";
    // Lists begin after the all-zero id.
    let id = text.parse().ok().filter(|id| *id != Id::ZERO);
    Ok(Some(id.ok_or_else(|| api::Error::invalid_field(field, problem))?))
}

fn role(field: &str, number: i32) -> Result<Option<Role>, Error> {
    match wire::membership::Role::try_from(number) {
        Ok(wire::membership::Role::Unspecified) => Ok(None),
        Ok(wire::membership::Role::Viewer) => Ok(Some(Role::Viewer)),
        Ok(wire::membership::Role::Editor) => Ok(Some(Role::Editor)),
        Ok(wire::membership::Role::Admin) => Ok(Some(Role::Admin)),
        Ok(wire::membership::Role::Owner) => Ok(Some(Role::Owner)),
        Err(_) => {
            Err(api::Error::invalid_field(field, "is no role; send VIEWER, EDITOR, ADMIN, OWNER or nothing").into())
        }
    }
}

fn render_role(role: Option<Role>) -> i32 {
    let role = role.map_or(wire::membership::Role::Unspecified, |role| match role {
        Role::Viewer => wire::membership::Role::Viewer,
        Role::Editor => wire::membership::Role::Editor,
        Role::Admin => wire::membership::Role::Admin,
        Role::Owner => wire::membership::Role::Owner,
    });
    role.into()
}

fn render_organization(organization: Organization) -> wire::Organization {
    wire::Organization {
        name: organization.id.name(),
        display_name: organization.display_name,
        etag: Etag::of_version(organization.version),
        create_time: Some(timestamp(organization.create_time)),
        update_time: Some(timestamp(organization.update_time)),
        state: organization.state as i32,
        purge_time: organization.purge_time.map(timestamp),
        audit_retention_days: organization.audit_retention_days.unwrap_or(0),
    }
}

fn render_user(user: User) -> wire::User {
    wire::User {
        name: user.id.name(),
        email: user.email,
        display_name: user.display_name,
        managing_organization: user.managing_organization.map(OrganizationId::name).unwrap_or_default(),
        state: user.state as i32,
        email_verified: user.email_verified,
        create_time: Some(timestamp(user.create_time)),
        update_time: Some(timestamp(user.update_time)),
    }
}

fn render_membership(membership: Membership) -> wire::Membership {
    let state = match membership.state {
        MembershipState::Active => wire::membership::State::Active,
        MembershipState::Deactivated => wire::membership::State::Deactivated,
    };
    wire::Membership {
        name: membership.name(),
        user: membership.user.name(),
        role: render_role(membership.role),
        state: state.into(),
        custom_roles: custom_roles(&membership),
        etag: Etag::of_version(membership.version),
        create_time: Some(timestamp(membership.create_time)),
        update_time: Some(timestamp(membership.update_time)),
        email: membership.email,
        display_name: membership.display_name,
    }
}

fn custom_roles(membership: &Membership) -> Vec<String> {
    let name = |role: &Id| CustomRoleName { organization: membership.organization, role: *role }.to_string();
    membership.custom_roles.iter().map(name).collect()
}

fn render_session(caller: &Caller, session: Session) -> wire::Session {
    let organization = session.organization.map(OrganizationId::name).unwrap_or_default();
    wire::Session {
        impersonation: session.impersonation.map(|by| wire::session::Impersonation {
            user: by.user.name(),
            display_name: by.told.display_name,
            email: by.told.email,
            reason: by.told.reason,
            organization,
        }),
        device: session.origin.device(),
        current: caller.session() == Some(session.id.to_string().as_str()),
        name: SessionName { user: session.user, session: session.id }.to_string(),
        client: session.client,
        create_time: Some(timestamp(session.create_time)),
        last_use_time: Some(timestamp(session.last_use_time)),
        expire_time: Some(timestamp(session.expire_time)),
        user_agent: session.origin.user_agent,
        network: session.origin.network,
        last_network: session.last_network,
        amr: session.amr,
    }
}

fn render_delegation(delegation: Delegation) -> wire::Delegation {
    let name = DelegationName { organization: delegation.organization, delegation: delegation.id };
    wire::Delegation {
        name: name.to_string(),
        subject: delegation.user.name(),
        actor: delegation.actor,
        purpose: delegation.purpose,
        methods: delegation.methods,
        expire_time: Some(timestamp(delegation.expire_time)),
        create_time: Some(timestamp(delegation.create_time)),
    }
}
