//! Grants: who may do what with one document, until when.
pub(crate) use api::Share;
use api::{Id, OrganizationId};
use time::OffsetDateTime;

use super::{DocumentName, GrantName};
use crate::error::Error;

/// Somebody a document can be shared with: the name of an [`api::Principal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal(String);

impl Principal {
    /// Checks the form; an organization must be the document's own. Whether a group, a role or a link is there is not asked: whoever shares
    /// may not know all of them, and one that is not there is nobody's.
    pub(crate) fn parse(text: &str, organization: OrganizationId) -> Result<Self, Error> {
        api::Principal::parse(text, organization).map(|_| Self(text.to_owned())).ok_or(Error::PrincipalInvalid)
    }

    /// Takes back what was stored; it was checked then.
    pub(crate) fn restore(text: String) -> Self {
        Self(text)
    }

    /// The text form.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A share of one document.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// Its name.
    pub(crate) name: GrantName,
    /// Who.
    pub(crate) principal: Principal,
    /// May do what.
    pub(crate) role: Share,
    /// Since when.
    pub(crate) create_time: OffsetDateTime,
    /// Until when; `None` means until it is taken back.
    pub(crate) expire_time: Option<OffsetDateTime>,
}

/// A share that somebody wants to give.
#[derive(Debug)]
pub(crate) struct GrantDraft {
    /// The document.
    pub(crate) document: DocumentName,
    /// To whom.
    pub(crate) principal: Principal,
    /// What it allows.
    pub(crate) role: Share,
    /// Until when.
    pub(crate) expire_time: Option<OffsetDateTime>,
}

/// The strongest share that the caller has on a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    /// What it allows.
    pub(crate) role: Share,
    /// Until when.
    pub(crate) expire_time: Option<OffsetDateTime>,
}

impl Shared {
    /// Nothing in the draft goes beyond this share, neither in what it allows nor in how long.
    pub(crate) fn covers(&self, draft: &GrantDraft) -> bool {
        let in_time = match (self.expire_time, draft.expire_time) {
            (None, _) => true,
            (Some(own), Some(given)) => given <= own,
            (Some(_), None) => false,
        };
        in_time && draft.role as i32 <= self.role as i32
    }
}

impl GrantDraft {
    /// The grant; one that replaces another keeps its id.
    pub(crate) fn grant(&self, id: Id, now: OffsetDateTime) -> Grant {
        let DocumentName { organization, document } = self.document;
        let name = GrantName { organization, document, grant: id };
        Grant {
            name,
            principal: self.principal.clone(),
            role: self.role,
            create_time: now,
            expire_time: self.expire_time,
        }
    }
}

impl Grant {
    /// The grant has not ended.
    pub(crate) fn holds(&self, now: OffsetDateTime) -> bool {
        self.expire_time.is_none_or(|end| end > now)
    }

    /// It says already what the draft asks for.
    pub(crate) fn says(&self, draft: &GrantDraft) -> bool {
        self.role == draft.role && self.expire_time == draft.expire_time
    }
}

#[cfg(test)]
mod tests {
    use api::UserId;

    use super::*;

    const OWN: OrganizationId = OrganizationId(Id::ZERO);

    #[test]
    fn a_principal_is_a_user_or_all_who_are_something_in_the_documents_own_organization() {
        let id: Id = "00000000000000000000000001".parse().expect("an id");
        for principal in [
            api::Principal::User(UserId(id)),
            api::Principal::Members,
            api::Principal::Role(api::Role::Editor),
            api::Principal::Group(id),
            api::Principal::CustomRole(id),
            api::Principal::Link(id),
        ] {
            let text = principal.name(OWN);
            assert_eq!(Principal::parse(&text, OWN).expect("its own").as_str(), text);
            let foreign = Principal::parse(&principal.name(OrganizationId(id)), OWN).is_ok();
            assert_eq!(foreign, matches!(principal, api::Principal::User(_)), "{text}");
        }
        for text in [String::new(), OWN.name(), format!("{}/groups/{id}", OWN.name()), format!("users/{id}#member")] {
            assert!(matches!(Principal::parse(&text, OWN), Err(Error::PrincipalInvalid)), "{text}");
        }
    }

    #[test]
    fn a_share_gives_neither_more_nor_longer_than_itself() {
        let end = OffsetDateTime::UNIX_EPOCH;
        let draft = |role, expire_time| GrantDraft {
            document: DocumentName { organization: OWN, document: Id::ZERO },
            principal: Principal::restore(String::new()),
            role,
            expire_time,
        };
        let shared = Shared { role: Share::Writer, expire_time: Some(end) };
        assert!(shared.covers(&draft(Share::Writer, Some(end))));
        assert!(!shared.covers(&draft(Share::Keeper, Some(end))));
        assert!(!shared.covers(&draft(Share::Reader, None)));
        assert!(!shared.covers(&draft(Share::Reader, Some(end + time::Duration::SECOND))));
        assert!(Shared { role: Share::Keeper, expire_time: None }.covers(&draft(Share::Keeper, None)));
    }
}
