//! Relations: who holds what on which resource, and who may give it.
use std::collections::BTreeSet;

use api::{OrganizationId, Share};
use time::OffsetDateTime;

use super::{Object, Permissions, Rights, Role, Subject, Wanted};
use crate::error::{Authorization, Error};

/// What there may be of relations.
pub(crate) mod limit {
    /// Subjects with a relation to one resource directly.
    pub(crate) const SUBJECTS: i64 = 1000;
    /// Parents of one resource.
    pub(crate) const PARENTS: i64 = 100;
    /// Resources on a chain of parents.
    pub(crate) const CHAIN: i32 = 100;
    /// Resources that one resource inherits from, over all chains, when it is hung below another.
    pub(crate) const ABOVE: usize = 1000;
    /// Resources, those above them included, that one request may ask about.
    pub(crate) const ASKED: usize = 5000;
    /// Links to parents among those, relations to those, and resources below one, as far as they are read for one request.
    pub(crate) const LINKS: usize = 50_000;
    /// Updates, preconditions and questions in one request.
    pub(crate) const PER_REQUEST: usize = 100;
}

/// What a subject is to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tie {
    /// Somebody holds something on it.
    Held(Subject, Share),
    /// Whoever holds something on that resource holds it here.
    Parent(Object),
}

/// One relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    /// The resource.
    pub(crate) object: Object,
    /// What is related to it, and how.
    pub(crate) tie: Tie,
    /// Until when it holds.
    pub(crate) expire_time: Option<OffsetDateTime>,
}

/// Somebody who holds something on a resource, as its owner says: who, what, until when.
pub(crate) type Holder = (Subject, Share, Option<OffsetDateTime>);

/// A change of one relation.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    /// Written, or deleted.
    pub(crate) write: bool,
    /// The relation.
    pub(crate) relation: Relation,
}

/// What must hold before anything is written.
#[derive(Clone, Debug)]
pub(crate) struct Precondition {
    /// The relation.
    pub(crate) relation: Relation,
    /// It must not exist.
    pub(crate) absent: bool,
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// About whom.
    pub(crate) user: api::UserId,
    /// What he wants.
    pub(crate) wanted: Wanted,
    /// With what.
    pub(crate) object: Object,
}

/// What stands in the database about one question.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// He is an active member.
    pub(crate) member: bool,
    /// His built-in role.
    pub(crate) role: Option<Role>,
    /// What his custom roles allow.
    pub(crate) permissions: Permissions,
    /// The strongest relation that he has on the resource, inherited ones included.
    pub(crate) held: Option<Held>,
}

/// Until when something holds; what ends later is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Until {
    /// A time.
    Time(OffsetDateTime),
    /// It has no end of its own.
    Withdrawn,
}

impl Until {
    /// The end of a relation.
    pub(crate) fn of(end: Option<OffsetDateTime>) -> Self {
        end.map_or(Self::Withdrawn, Self::Time)
    }
}

/// A relation that reaches a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// How strong it is where it was asked for.
    pub(crate) share: Share,
    /// Names below the organization, from the resource asked about up to the one that has it, both included.
    pub(crate) way: Vec<String>,
    /// Who has it.
    pub(crate) subject: Subject,
    /// How strong it is where it stands.
    pub(crate) given: Share,
    /// Until when it holds.
    pub(crate) end: Option<OffsetDateTime>,
}

impl Standing {
    /// His roles allow it for every resource of the organization.
    pub(crate) fn by_role(&self, wanted: Wanted, organization: OrganizationId) -> bool {
        self.member
            && match wanted {
                Wanted::Contract(permission) => {
                    Rights::of_permissions(organization, self.role, self.permissions.clone()).hold(permission)
                }
                Wanted::Own(_, least) => self.role >= Some(least),
            }
    }

    /// A relation allows it.
    pub(crate) fn by_relation(&self, wanted: Wanted) -> bool {
        let held = self.held.as_ref().map(|held| held.share as i32);
        self.member && wanted.share().is_some_and(|least| held >= Some(least as i32))
    }

    /// Either allows it.
    pub(crate) fn allows(&self, wanted: Wanted, organization: OrganizationId) -> bool {
        self.by_role(wanted, organization) || self.by_relation(wanted)
    }

    /// What his built-in role gives on any resource of a customer's own type.
    pub(crate) fn share_of_role(&self) -> Option<Share> {
        match self.role.filter(|_| self.member)? {
            Role::Viewer => Some(Share::Reader),
            Role::Editor | Role::Admin | Role::Owner => Some(Share::Keeper),
        }
    }

    /// What he holds on a resource of a customer's own type, by role or relation.
    pub(crate) fn strength(&self) -> Option<Share> {
        if !self.member {
            return None;
        }
        let by_relation = self.held.as_ref().map(|held| held.share);
        [self.share_of_role(), by_relation].into_iter().flatten().max_by_key(|share| *share as i32)
    }
}

impl Update {
    /// Customers write relations of their own types only, at either end.
    pub(crate) fn writable(&self) -> Result<(), Error> {
        let parent_is_own = match &self.relation.tie {
            Tie::Parent(parent) => parent.is_own(),
            Tie::Held(..) => true,
        };
        if self.relation.object.is_own() && parent_is_own {
            Ok(())
        } else {
            Err(Authorization::RelationOfPlatform.into())
        }
    }

    /// What he must hold on the resource who makes this change: at least what he gives, and to hang it below another everything.
    pub(crate) fn needs(&self) -> Share {
        match &self.relation.tie {
            Tie::Held(_, given) => *given,
            Tie::Parent(_) => Share::Keeper,
        }
    }

    /// Who shares holds what he gives, and no shorter than he gives it; who hangs a resource below another gives all of it away until
    /// that is taken back, and writes the other. `own` says until when he holds what is needed.
    pub(crate) fn within(&self, own: Option<Until>, on_parent: Option<Share>) -> Result<(), Error> {
        let long_enough = own.is_some_and(|own| !self.write || own >= Until::of(self.relation.expire_time));
        let fits = match &self.relation.tie {
            Tie::Held(..) => long_enough,
            Tie::Parent(_) => {
                long_enough && (!self.write || on_parent.map(|on| on as i32) >= Some(Share::Writer as i32))
            }
        };
        if fits { Ok(()) } else { Err(Authorization::RelationTooStrong.into()) }
    }
}

/// Every resource that these updates touch or hang something below, once.
pub(crate) fn touched(updates: &[Update]) -> Vec<Object> {
    let mut objects = BTreeSet::new();
    for update in updates {
        objects.insert(update.relation.object.clone());
        if let Tie::Parent(parent) = &update.relation.tie {
            objects.insert(parent.clone());
        }
    }
    objects.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use api::{Id, UserId};

    use super::*;

    fn update(tie: Tie, write: bool) -> Update {
        let object = Object::restore(OrganizationId(Id::ZERO), "objectTypes/board/objects/a".to_owned());
        Update { write, relation: Relation { object, tie, expire_time: None } }
    }

    #[test]
    fn nobody_shares_more_or_longer_than_he_holds() {
        let given = |share| update(Tie::Held(Subject::User(UserId(Id::ZERO)), share), true);
        let (now, hour) = (OffsetDateTime::UNIX_EPOCH, time::Duration::HOUR);
        assert_eq!(given(Share::Writer).needs(), Share::Writer);
        assert!(given(Share::Writer).within(Some(Until::Withdrawn), None).is_ok());
        assert!(given(Share::Reader).within(None, None).is_err(), "he holds less");
        assert!(given(Share::Reader).within(Some(Until::Time(now)), None).is_err(), "without an end");
        let mut short = given(Share::Reader);
        short.relation.expire_time = Some(now + hour);
        assert!(short.within(Some(Until::Time(now)), None).is_err());
        assert!(short.within(Some(Until::Time(now + hour)), None).is_ok());
        short.write = false;
        assert!(short.within(Some(Until::Time(now)), None).is_ok(), "what is taken has no end to outlive");
    }

    #[test]
    fn a_parent_is_given_by_who_owns_the_one_and_writes_the_other() {
        let below = |path: &str| Tie::Parent(Object::restore(OrganizationId(Id::ZERO), path.to_owned()));
        let hang = update(below("objectTypes/board/objects/b"), true);
        assert_eq!(hang.needs(), Share::Keeper);
        assert!(hang.within(Some(Until::Withdrawn), Some(Share::Writer)).is_ok());
        assert!(hang.within(Some(Until::Withdrawn), Some(Share::Reader)).is_err());
        assert!(hang.within(None, Some(Share::Keeper)).is_err());
        let soon = Some(Until::Time(OffsetDateTime::UNIX_EPOCH));
        assert!(hang.within(soon, Some(Share::Keeper)).is_err(), "a temporary owner would stay by the parent");
        assert!(update(below("objectTypes/board/objects/b"), false).within(soon, None).is_ok());
        assert!(hang.writable().is_ok());
        assert!(update(below("documents/00000000000000000000000001"), true).writable().is_err());
    }

    #[test]
    fn who_is_no_member_holds_nothing() {
        let standing = Standing { role: Some(Role::Owner), ..Standing::default() };
        assert_eq!(standing.strength(), None);
        assert!(!standing.allows(Wanted::Own(Share::Reader, Role::Viewer), OrganizationId(Id::ZERO)));
    }
}
