//! Decisions of the current second.
//!
//! A run of Datalog costs ten times what the rest of a warm check does. Its outcome follows from the token and the facts of the
//! call, and the only facts that change by themselves are the directory, which counts its changes, and the time, in whole seconds: so an outcome is kept under *all* of its facts,
//! the second included, and is never older than they are. Keys, revocations and the gate are asked on every call before it.
use std::time::Duration;

use api::OrganizationId;
use mesh::{Incoming, Peer};
use moka::sync::Cache;

use crate::{
    decide::{self, Outcome},
    verify::Verified,
};

/// Outcomes held at most.
const HELD_MAX: u64 = 10_000;
/// How long at most; their second has passed by then.
const HELD_FOR: Duration = Duration::from_secs(2);

/// All that a decision about a permission depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Facts {
    token: [u8; 32],
    rpc: &'static str,
    peer: Peer,
    /// The resource itself, where the token speaks of it.
    resource: Option<String>,
    /// The organization that the resource names; without one the token's own counts.
    named: Option<OrganizationId>,
    /// State of the directory.
    directory: u64,
    now: i64,
}

/// Keeps outcomes.
pub(crate) struct Memo(Cache<Facts, Outcome>);

impl Memo {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(HELD_MAX).time_to_live(HELD_FOR).build())
    }

    /// The outcome for a call on a method that asks for a permission; `decide` is run when these facts are new.
    pub(crate) fn permission(
        &self,
        verified: &Verified,
        call: &Incoming<'_>,
        directory: u64,
        now: i64,
        decide: impl FnOnce() -> Outcome,
    ) -> Outcome {
        let facts = Facts {
            token: verified.hash,
            rpc: call.method.rpc,
            peer: call.peer.clone(),
            resource: call.resource.filter(|_| verified.names_resource).map(str::to_owned),
            named: call.resource.and_then(decide::organization_of),
            directory,
            now,
        };
        if let Some(outcome) = self.0.get(&facts) {
            return outcome;
        }
        let outcome = decide();
        // A limit says something about the machine, not about the call.
        if outcome != Outcome::Undecidable {
            self.0.insert(facts, outcome);
        }
        outcome
    }
}
