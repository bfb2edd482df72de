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

/// A relation that reaches a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// How strong it is where it was asked for.
    pub(crate) share: Share,
    /// Name below the organization of the resource that has it.
    pub(crate) path: String,
    /// Who has it.
    pub(crate) subject: Subject,
    /// How strong it is where it stands.
    pub(crate) given: Share,
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

    /// What he holds on a resource of a customer's own type, by role or relation.
    pub(crate) fn strength(&self) -> Option<Share> {
        if !self.member {
            return None;
        }
        let by_role = match self.role {
            None => None,
            Some(Role::Viewer) => Some(Share::Reader),
            Some(Role::Editor | Role::Admin | Role::Owner) => Some(Share::Keeper),
        };
        let by_relation = self.held.as_ref().map(|held| held.share);
        [by_role, by_relation].into_iter().flatten().max_by_key(|share| *share as i32)
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

    /// Who shares holds at least what he gives; who hangs a resource below another gives all of it away, so he owns it and writes the
    /// other.
    pub(crate) fn within(&self, own: Option<Share>, on_parent: Option<Share>) -> Result<(), Error> {
        let fits = match &self.relation.tie {
            Tie::Held(_, given) => own.map(|own| own as i32) >= Some(*given as i32),
            Tie::Parent(_) => {
                own == Some(Share::Keeper)
                    && (!self.write || on_parent.map(|on| on as i32) >= Some(Share::Writer as i32))
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
    fn nobody_shares_more_than_he_holds() {
        let given = |share| update(Tie::Held(Subject::User(UserId(Id::ZERO)), share), true);
        assert!(given(Share::Writer).within(Some(Share::Keeper), None).is_ok());
        assert!(given(Share::Keeper).within(Some(Share::Writer), None).is_err());
        assert!(given(Share::Reader).within(None, None).is_err());
    }

    #[test]
    fn a_parent_is_given_by_who_owns_the_one_and_writes_the_other() {
        let below = |path: &str| Tie::Parent(Object::restore(OrganizationId(Id::ZERO), path.to_owned()));
        let hang = update(below("objectTypes/board/objects/b"), true);
        assert!(hang.within(Some(Share::Keeper), Some(Share::Writer)).is_ok());
        assert!(hang.within(Some(Share::Keeper), Some(Share::Reader)).is_err());
        assert!(hang.within(Some(Share::Writer), Some(Share::Keeper)).is_err());
        assert!(update(below("objectTypes/board/objects/b"), false).within(Some(Share::Keeper), None).is_ok());
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
