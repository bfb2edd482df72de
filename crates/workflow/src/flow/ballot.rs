//! Who may still decide, and what the decisions come to.
use std::{collections::BTreeMap, fmt};

use api::Id;
use serde::{Deserialize, Serialize};

use super::{Seat, Vote};

/// How many must approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rule {
    /// The first decision is the outcome.
    Any,
    /// Everybody approves, or the first rejection is the outcome.
    All,
}

/// What somebody decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Decision {
    Approve,
    Reject,
}

/// Why a vote is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It was decided, handed over, or the run is over.
    Closed,
    /// It is somebody else's.
    NotAssignee,
}

impl Refusal {
    /// Reads what [`fmt::Display`] wrote; this is how it comes back from the engine.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Closed, Self::NotAssignee].into_iter().find(|refusal| refusal.to_string() == text)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Closed => "TASK_CLOSED",
            Self::NotAssignee => "NOT_ASSIGNEE",
        })
    }
}

/// The state of an approval.
#[derive(Clone, Debug)]
pub(crate) struct Ballot {
    rule: Rule,
    open: BTreeMap<Id, Id>,
    verdict: Option<Decision>,
}

impl Ballot {
    /// Nobody has decided yet.
    pub(crate) fn new(rule: Rule, seats: &[Seat]) -> Self {
        Self { rule, open: seats.iter().map(|seat| (seat.task, seat.user)).collect(), verdict: None }
    }

    /// Whether a vote can be taken.
    pub(crate) fn check(&self, vote: &Vote) -> Result<(), Refusal> {
        match self.open.get(&vote.task) {
            None => Err(Refusal::Closed),
            Some(user) if *user != vote.user => Err(Refusal::NotAssignee),
            Some(_) => Ok(()),
        }
    }

    /// Takes a vote that was checked.
    pub(crate) fn take(&mut self, vote: &Vote) {
        self.open.remove(&vote.task);
        let decides = match vote.decision {
            Decision::Reject => true,
            Decision::Approve => self.rule == Rule::Any || self.open.is_empty(),
        };
        if decides {
            self.verdict = Some(vote.decision);
            self.close();
        }
    }

    /// From now on the owner alone decides.
    pub(crate) fn hand_over(&mut self, owner: &Seat) {
        self.open = BTreeMap::from([(owner.task, owner.user)]);
    }

    /// No vote is taken any more.
    pub(crate) fn close(&mut self) {
        self.open.clear();
    }

    /// What it came to.
    pub(crate) fn verdict(&self) -> Option<Decision> {
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        Id::derive(Id::ZERO, &[number])
    }

    fn ballot(rule: Rule) -> Ballot {
        Ballot::new(rule, &[1, 2].map(|number| Seat { task: id(number), user: id(number + 10) }))
    }

    fn vote(number: u8, decision: Decision) -> Vote {
        let (comment, cause) = (String::new(), super::super::Cause::default());
        Vote { id: id(99), task: id(number), user: id(number + 10), decision, comment, cause }
    }

    #[test]
    fn under_any_the_first_decision_is_the_outcome() {
        for decision in [Decision::Approve, Decision::Reject] {
            let mut ballot = ballot(Rule::Any);
            ballot.take(&vote(2, decision));
            assert_eq!(ballot.verdict(), Some(decision));
            assert_eq!(ballot.check(&vote(1, Decision::Approve)), Err(Refusal::Closed));
        }
    }

    #[test]
    fn under_all_everybody_must_approve() {
        let mut ballot = ballot(Rule::All);
        ballot.take(&vote(1, Decision::Approve));
        assert_eq!(ballot.verdict(), None);
        assert_eq!(ballot.check(&vote(1, Decision::Approve)), Err(Refusal::Closed));
        ballot.take(&vote(2, Decision::Approve));
        assert_eq!(ballot.verdict(), Some(Decision::Approve));
    }

    #[test]
    fn under_all_one_rejection_is_enough() {
        let mut ballot = ballot(Rule::All);
        ballot.take(&vote(1, Decision::Reject));
        assert_eq!(ballot.verdict(), Some(Decision::Reject));
        assert_eq!(ballot.check(&vote(2, Decision::Approve)), Err(Refusal::Closed));
    }

    #[test]
    fn after_the_hand_over_the_owner_alone_decides() {
        let mut ballot = ballot(Rule::All);
        ballot.hand_over(&Seat { task: id(3), user: id(13) });
        assert_eq!(ballot.check(&vote(1, Decision::Approve)), Err(Refusal::Closed));
        assert_eq!(ballot.check(&Vote { user: id(11), ..vote(3, Decision::Approve) }), Err(Refusal::NotAssignee));
        ballot.take(&vote(3, Decision::Approve));
        assert_eq!(ballot.verdict(), Some(Decision::Approve));
    }

    #[test]
    fn a_refusal_comes_back_from_its_text() {
        for refusal in [Refusal::Closed, Refusal::NotAssignee] {
            assert_eq!(Refusal::parse(&refusal.to_string()), Some(refusal));
        }
        assert_eq!(Refusal::parse("the worker panicked"), None);
    }
}
