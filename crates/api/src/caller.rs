//! Who calls. A [`Caller`] exists only after its token was verified and its method decided: `authz` alone may call
//! [`Caller::seal`] (the tree test says so), so holding one is proof.
use std::{fmt, sync::Arc};

use bytes::Bytes;
use proto::{Role, Share};

use crate::{CallContext, Error, OrganizationId, UserId};

/// Whose call it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nobody signed in; only public methods.
    Anonymous,
    /// A person.
    User(UserId),
    /// A workload by itself, on a `peer_only` method.
    Workload(String),
}

/// What the authorizer found about the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The permission holds by role (or the method is public, own or for peers): everything under the parent may be seen.
    Granted,
    /// The role does not suffice; a relation of at least this strength on the resource may stand in.
    NeedsShare(Share),
}

/// Everything a caller consists of.
#[derive(Clone)]
pub struct Parts {
    /// Whose call it is.
    pub subject: Subject,
    /// Tenant of the token; of a peer's call the organization named by the resource.
    pub organization: Option<OrganizationId>,
    /// Role in the organization; `None` for a member without one.
    pub role: Option<Role>,
    /// Ids of the organization's own roles that the token names.
    pub custom_roles: Arc<[String]>,
    /// What the credential may be used for: permissions, or `*` for all that the subject may. Empty where there is no credential.
    pub scopes: Arc<[String]>,
    /// Decision about the method.
    pub decision: Decision,
    /// Workload at the other end of the channel.
    pub peer: String,
    /// When the token was issued, in seconds.
    pub issued: Option<i64>,
    /// Session of the token, if any.
    pub session: Option<String>,
    /// Workload, application or person that acts for the subject, if any.
    pub acting: Option<String>,
    /// The internal token, to be narrowed for further calls.
    pub token: Option<Bytes>,
    /// Context of the call.
    pub context: CallContext,
}

/// A verified caller. Cheap to clone.
#[derive(Clone)]
pub struct Caller(Arc<Parts>);

impl Caller {
    /// Seals a caller. Only `authz` calls this.
    #[must_use]
    pub fn seal(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The organization of the call.
    ///
    /// # Errors
    /// PERMISSION_DENIED when the token is for none.
    pub fn organization(&self) -> Result<OrganizationId, Error> {
        self.0.organization.ok_or_else(Error::denied)
    }

    /// The user, if a person calls.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        match self.0.subject {
            Subject::User(user) => Some(user),
            Subject::Anonymous | Subject::Workload(_) => None,
        }
    }

    /// The user.
    ///
    /// # Errors
    /// PERMISSION_DENIED when no person calls.
    pub fn user_required(&self) -> Result<UserId, Error> {
        self.user().ok_or_else(Error::denied)
    }

    /// Whose call it is.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// Workload at the other end of the channel.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.0.peer
    }

    /// Session of the token.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// Who acts for the subject, if anybody: a workload that holds a delegation, by its name; an application that has exchanged a token
    /// of another one (RFC 8693), or an administrator who acts as the subject, by the name of its resource.
    #[must_use]
    pub fn acting(&self) -> Option<&str> {
        self.0.acting.as_deref()
    }

    /// The administrator who acts as the subject, if one does.
    #[must_use]
    pub fn impersonator(&self) -> Option<UserId> {
        self.acting().and_then(|name| UserId::parse(name).ok())
    }

    /// Role in the organization; `None` for a member without one.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.0.role
    }

    /// What the credential may be used for, for what is to be kept within it.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// The credential may be used for what this permission stands for: who checks another permission than that of the method asks.
    #[must_use]
    pub fn in_scope(&self, permission: &str) -> bool {
        self.0.scopes.iter().any(|scope| scope == "*" || scope == permission)
    }

    /// The method's permission holds by role.
    #[must_use]
    pub fn granted(&self) -> bool {
        self.0.decision == Decision::Granted
    }

    /// Ids of the organization's own roles that the token names.
    #[must_use]
    pub fn custom_roles(&self) -> &[String] {
        &self.0.custom_roles
    }

    /// When the token was issued, in seconds: what was read before that may be older than what the token stands for.
    #[must_use]
    pub fn issued(&self) -> Option<i64> {
        self.0.issued
    }

    /// Context of the call.
    #[must_use]
    pub fn context(&self) -> &CallContext {
        &self.0.context
    }

    /// The internal token.
    #[must_use]
    pub fn token(&self) -> Option<&Bytes> {
        self.0.token.as_ref()
    }

    /// Decides about one resource that was (or was not) found. `share` gives the strongest relation the caller has on it.
    ///
    /// # Errors
    /// NOT_FOUND only to who may read everything under the parent; PERMISSION_DENIED to everybody else, whether the resource
    /// is hidden, foreign or absent (architecture, errors, rule 6).
    pub fn permit<T>(
        &self,
        found: Option<T>,
        share: impl FnOnce(&T) -> Option<Share>,
        name: impl fmt::Display,
    ) -> Result<T, Error> {
        match (self.0.decision, found) {
            (Decision::Granted, Some(found)) => Ok(found),
            (Decision::Granted, None) => Err(Error::not_found(name)),
            (Decision::NeedsShare(least), Some(found))
                if share(&found).is_some_and(|share| share as i32 >= least as i32) =>
            {
                Ok(found)
            }
            (Decision::NeedsShare(_), _) => Err(Error::denied()),
        }
    }

    /// As [`Caller::permit`], where the caller's own resources count as shared with him in full.
    ///
    /// # Errors
    /// As [`Caller::permit`].
    pub fn permit_own<T>(
        &self,
        found: Option<T>,
        own: impl FnOnce(&T) -> bool,
        name: impl fmt::Display,
    ) -> Result<T, Error> {
        self.permit(found, |found| own(found).then_some(Share::Keeper), name)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.0;
        formatter
            .debug_struct("Caller")
            .field("subject", &parts.subject)
            .field("organization", &parts.organization)
            .field("role", &parts.role)
            .field("decision", &parts.decision)
            .field("peer", &parts.peer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Id};

    fn caller(decision: Decision, role: Option<Role>) -> Caller {
        let organization = Some(OrganizationId(Id::ZERO));
        let subject = Subject::User(UserId(Id::ZERO));
        let context = CallContext::default();
        Caller::seal(Parts {
            subject,
            organization,
            role,
            custom_roles: Arc::default(),
            scopes: Arc::from(["document:read".to_owned()]),
            decision,
            peer: String::new(),
            issued: None,
            session: None,
            acting: None,
            token: None,
            context,
        })
    }

    #[test]
    fn only_who_reads_everything_hears_not_found() {
        let viewer = caller(Decision::Granted, Some(Role::Viewer));
        assert_eq!(viewer.permit(None::<()>, |()| None, "x").expect_err("absent").code(), Code::NotFound);
        let member = caller(Decision::NeedsShare(Share::Reader), None);
        let hidden = member.permit(Some(()), |()| None, "x").expect_err("hidden");
        let absent = member.permit(None::<()>, |()| None, "x").expect_err("absent");
        assert_eq!((hidden.code(), hidden.to_string()), (absent.code(), absent.to_string()));
        assert!(member.permit(Some(()), |()| Some(Share::Writer), "x").is_ok());
    }

    #[test]
    fn a_credential_is_good_for_its_scopes_alone() {
        let caller = caller(Decision::Granted, Some(Role::Owner));
        assert!(caller.in_scope("document:read") && !caller.in_scope("document:write") && !caller.in_scope("*"));
    }
}
