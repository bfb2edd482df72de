//! Deciding: the facts of one call, the templates of the vocabulary, one run of Datalog.
use std::time::Duration;

use api::{Error, OrganizationId};
use biscuit_auth::{
    AuthorizerLimits,
    builder::{AuthorizerBuilder, Term},
    error,
};
use mesh::Incoming;
use proto::{Access, StepUp};

use crate::{
    directory::Directory,
    observe,
    verify::Verified,
    vocabulary::{Claims, DECISIONS, GUARDS, ROLES, TIME_CHECK, date, fact, text},
};

/// Outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The permission holds.
    Granted,
    /// The role does not suffice; a share may.
    Undecided,
    /// It does not hold.
    Denied,
    /// The token, or a narrowing of it, has ended.
    Expired,
    /// A limit was hit: nothing is known.
    Undecidable,
}

/// Limits of one run: a net under the gate, which bounds the work to some 25 ms for the worst block that passes. The time is
/// measured by the clock on the wall, so a limit near that would refuse good tokens on a busy machine.
pub(crate) fn limits() -> AuthorizerLimits {
    AuthorizerLimits { max_facts: 256, max_iterations: 8, max_time: Duration::from_secs(1) }
}

/// Decides a method that asks for a permission.
pub(crate) fn permission(
    verified: &Verified,
    call: &Incoming<'_>,
    access: &Access,
    permission: &str,
    directory: &Directory,
    now: i64,
) -> Outcome {
    let tenant = verified.claims.tenant.as_deref().unwrap_or_default();
    let named = call.resource.and_then(organization_of).map(|organization| organization.to_string());
    let mut run = Run::begin(&DECISIONS.permission, call, now);
    run.add("resource_tenant", vec![text(named.as_deref().unwrap_or(tenant))]);
    run.add("need_scope", vec![text(permission)]);
    for name in granting(access, permission, tenant) {
        run.add("grant_role", vec![text(name)]);
    }
    for role in granting_of_own(verified, permission, directory) {
        run.add("grant_role", vec![text(role)]);
    }
    if access.share.is_some() {
        run.add("shareable", vec![Term::Bool(true)]);
    }
    run.decide(verified)
}

/// Decides a method about the caller's own record.
pub(crate) fn own(verified: &Verified, call: &Incoming<'_>, access: &Access, now: i64) -> Outcome {
    let user = match call.resource {
        Some(resource) => match user_of(resource) {
            Some("me") => verified.claims.subject.as_str(),
            Some(id) => id,
            None => return Outcome::Denied,
        },
        None if access.resource.is_empty() => verified.claims.subject.as_str(),
        None => return Outcome::Denied,
    };
    let mut run = Run::begin(&DECISIONS.own, call, now);
    run.add("resource_user", vec![text(user)]);
    run.decide(verified)
}

/// The method may be called by who is there: by the user himself where it is for him alone, and signed in as it asks for. Asked after the
/// permission: who may not call at all is not told to sign in.
pub(crate) fn signed_in(claims: &Claims, access: &Access, now: i64) -> Result<(), Error> {
    if access.in_person && claims.impersonator.is_some() {
        observe::refused("impersonated");
        return Err(Error::impersonated());
    }
    match access.step_up.filter(|wanted| !steps_up(claims, *wanted, now)) {
        None => Ok(()),
        Some(wanted) => {
            observe::refused("step_up");
            Err(Error::step_up_required(wanted.acr, wanted.max_age_seconds))
        }
    }
}

/// Whether the sign-in behind the token is strong and fresh enough for the method. What rests on no sign-in (a key, a delegation) never is.
fn steps_up(claims: &Claims, wanted: StepUp, now: i64) -> bool {
    let Some(auth_time) = claims.auth_time else { return false };
    claims.acr >= wanted.acr && wanted.max_age_seconds.is_none_or(|most| now - auth_time <= i64::from(most))
}

/// Whether a token is good for this call, on a method that needs none. Where that is for the user alone, who acts as him is nobody.
pub(crate) fn presented(verified: &Verified, call: &Incoming<'_>, now: i64) -> bool {
    let in_person = call.method.access.as_ref().is_none_or(|access| access.in_person);
    !(in_person && verified.claims.impersonator.is_some())
        && Run::begin(&DECISIONS.presented, call, now).decide(verified) == Outcome::Granted
}

/// Roles that hold the permission in this tenant. `platform:*` is held in the system organization only.
fn granting<'a>(access: &Access, permission: &str, tenant: &str) -> impl Iterator<Item = &'a str> {
    let least = access.role.filter(|_| !permission.starts_with("platform:") || is_system(tenant));
    ROLES.iter().filter(move |(role, _)| least.is_some_and(|least| *role as i32 >= least as i32)).map(|(_, name)| *name)
}

/// Custom roles of the token that hold the permission now. The token brings at most six.
fn granting_of_own<'a>(
    verified: &'a Verified,
    permission: &'a str,
    directory: &'a Directory,
) -> impl Iterator<Item = &'a str> {
    let tenant = verified.claims.tenant.as_deref().unwrap_or_default();
    let organization = tenant.parse().ok().map(OrganizationId);
    let held = !permission.starts_with("platform:") || is_system(tenant);
    let roles = verified.claims.custom_roles.iter().map(String::as_str);
    roles.filter(move |role| held && directory.allows(role, organization, permission))
}

fn is_system(tenant: &str) -> bool {
    tenant.parse().is_ok_and(|id: api::Id| id == OrganizationId::SYSTEM.0)
}

/// The organization that a resource name begins with; `None` for other names and malformed ones, which the handler refuses.
pub(crate) fn organization_of(resource: &str) -> Option<OrganizationId> {
    let id = resource.strip_prefix("organizations/")?.split('/').next()?;
    id.parse().ok().map(OrganizationId)
}

fn user_of(resource: &str) -> Option<&str> {
    resource.strip_prefix("users/")?.split('/').next().filter(|id| !id.is_empty())
}

struct Run(AuthorizerBuilder);

impl Run {
    fn begin(template: &AuthorizerBuilder, call: &Incoming<'_>, now: i64) -> Self {
        let mut run = Self(template.clone().set_limits(limits()));
        run.add("time", vec![date(now)]);
        run.add("service", vec![text(call.method.service)]);
        run.add("rpc", vec![text(call.method.rpc)]);
        run.add("peer", vec![text(call.peer.name())]);
        if let Some(resource) = call.resource {
            run.add("resource", vec![text(resource)]);
        }
        run
    }

    fn add(&mut self, name: &str, terms: Vec<Term>) {
        let builder = std::mem::take(&mut self.0);
        self.0 = builder.fact(fact(name, terms)).expect("a fact of plain terms has no parameters to miss");
    }

    fn decide(mut self, verified: &Verified) -> Outcome {
        if verified.claims.impersonator.is_some() {
            self.add(GUARDS.0, vec![text(GUARDS.1)]);
        }
        match self.0.build(&verified.token).and_then(|mut authorizer| authorizer.authorize()) {
            Ok(0) => Outcome::Granted,
            Ok(_) => Outcome::Undecided,
            Err(error::Token::RunLimit(_)) => Outcome::Undecidable,
            Err(error::Token::FailedLogic(
                error::Logic::Unauthorized { checks, .. } | error::Logic::NoMatchingPolicy { checks },
            )) => {
                let ended = checks.iter().any(
                    |check| matches!(check, error::FailedCheck::Block(check) if check.rule.starts_with(TIME_CHECK)),
                );
                if ended { Outcome::Expired } else { Outcome::Denied }
            }
            Err(_) => Outcome::Denied,
        }
    }
}
