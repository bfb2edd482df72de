//! What an approval is about, who decides, by when.
use std::{collections::BTreeSet, time::Duration};

use api::{Id, OrganizationId, UserId};

use super::{DocumentName, Rule, limit};
use crate::error::Error;

/// An approval to be started.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) organization: OrganizationId,
    /// Chosen by the caller.
    pub(crate) id: Option<Id>,
    pub(crate) approval: Approval,
}

/// An approval of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Approval {
    pub(crate) document: DocumentName,
    /// In the order of the request, nobody twice.
    pub(crate) approvers: Vec<UserId>,
    pub(crate) rule: Rule,
    /// Time to decide.
    pub(crate) due_after: Duration,
    /// When to remind; less than `due_after`.
    pub(crate) remind_after: Duration,
    /// Who decides when nobody does in time; `None` is the creator of the run.
    pub(crate) owner: Option<UserId>,
}

impl Approval {
    /// Makes sure that somebody decides, nobody is asked twice, and the times make sense. Fields are named as the request does.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let invalid = |field, problem: String| Err(Error::InputInvalid { field, problem });
        if self.approvers.is_empty() || self.approvers.len() > limit::APPROVERS {
            return invalid("approvers", format!("must name 1 to {} users", limit::APPROVERS));
        }
        if self.approvers.iter().collect::<BTreeSet<_>>().len() < self.approvers.len() {
            return invalid("approvers", "names a user twice; name each once".to_owned());
        }
        if !(limit::DUE_MIN..=limit::DUE_MAX).contains(&self.due_after) {
            return invalid("due_after", "must lie between 100 milliseconds and 190 days".to_owned());
        }
        if self.remind_after.is_zero() || self.remind_after >= self.due_after {
            return invalid("remind_after", "must be longer than nothing and shorter than due_after".to_owned());
        }
        let whole = |time: Duration| time.subsec_nanos().is_multiple_of(1_000_000);
        if !whole(self.due_after) || !whole(self.remind_after) {
            return invalid("due_after", "times are whole milliseconds".to_owned());
        }
        Ok(self)
    }

    /// Everybody who may be asked.
    pub(crate) fn people(&self) -> BTreeSet<UserId> {
        self.approvers.iter().copied().chain(self.owner).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval() -> Approval {
        let user = |number: u8| UserId(Id::derive(Id::ZERO, &[number]));
        Approval {
            document: DocumentName { organization: OrganizationId::SYSTEM, document: Id::ZERO },
            approvers: vec![user(1), user(2)],
            rule: Rule::All,
            due_after: limit::DUE_DEFAULT,
            remind_after: limit::DUE_DEFAULT / 2,
            owner: None,
        }
    }

    fn refused(approval: Approval) -> &'static str {
        match approval.checked() {
            Err(Error::InputInvalid { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_good_approval_passes() {
        assert_eq!(approval().checked().expect("it is good"), approval());
    }

    #[test]
    fn approvers_are_some_and_distinct() {
        let user = approval().approvers[0];
        let many: Vec<_> = (0..21).map(|number: u8| UserId(Id::derive(Id::ZERO, &[number, 1]))).collect();
        for approvers in [vec![], vec![user, user], many] {
            assert_eq!(refused(Approval { approvers, ..approval() }), "approvers");
        }
    }

    #[test]
    fn times_make_sense() {
        for due_after in [Duration::ZERO, limit::DUE_MIN / 2, limit::DUE_MAX * 2] {
            assert_eq!(refused(Approval { due_after, ..approval() }), "due_after");
        }
        for remind_after in [Duration::ZERO, limit::DUE_DEFAULT] {
            assert_eq!(refused(Approval { remind_after, ..approval() }), "remind_after");
        }
        let odd = Duration::from_nanos(1_000_000_001);
        assert_eq!(refused(Approval { remind_after: odd, ..approval() }), "due_after");
    }
}
