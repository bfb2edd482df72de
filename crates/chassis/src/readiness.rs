//! What the process still waits for, by name.
//!
//! A process is ready when nothing is awaited, nothing has failed and it is not draining. A *note* says something an
//! operator should know that does not make it unready ("broker away, 312 events unsent"). Every change is a new value of
//! one watch channel: health service, `/ready` page and host follow it.
use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use tokio::sync::watch;

/// State of the process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    /// What is awaited, with the last reason.
    pub awaited: BTreeMap<String, String>,
    /// What does not make the process unready but should be known.
    pub notes: BTreeMap<String, String>,
    /// It was ready once.
    pub started: bool,
    /// The process stops.
    pub draining: bool,
    /// Something is broken that only a new process heals.
    pub failed: Option<String>,
}

impl State {
    /// Calls may come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.started && self.serves()
    }

    /// What belongs to one service is there, whatever else the process awaits. Entries are named `service/what`.
    #[must_use]
    pub fn is_ready_for(&self, service: &str) -> bool {
        let concerns = |name: &String| name.split_once('/').is_none_or(|(owner, _)| owner == service);
        !self.draining && self.failed.is_none() && !self.awaited.keys().any(concerns)
    }

    fn serves(&self) -> bool {
        !self.draining && self.failed.is_none() && self.awaited.is_empty()
    }
}

/// The set of things awaited; clones share it.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<State>>);

impl Default for Readiness {
    fn default() -> Readiness {
        Readiness(Arc::new(watch::Sender::new(State::default())))
    }
}

impl Readiness {
    /// Awaits one more thing, `service/what`.
    #[must_use]
    pub fn awaiting(&self, name: impl Into<String>) -> Awaited {
        let name = name.into();
        self.0.send_modify(|state| {
            state.awaited.insert(name.clone(), "not yet there".to_owned());
        });
        Awaited { readiness: self.clone(), name }
    }

    /// An entry that is there from the beginning and may be lost later.
    pub(crate) fn present(&self, name: impl Into<String>) -> Awaited {
        Awaited { readiness: self.clone(), name: name.into() }
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.borrow().clone()
    }

    /// Follows the state.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }

    pub(crate) fn drain(&self) {
        self.0.send_modify(|state| state.draining = true);
    }

    pub(crate) fn fail(&self, why: &str) {
        self.0.send_modify(|state| {
            state.failed.get_or_insert_with(|| why.to_owned());
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.0.send_modify(|state| {
            change(state);
            state.started |= state.serves();
        });
    }
}

/// One named thing. Dropping it means that it is there (or no longer of interest).
#[derive(Debug)]
pub struct Awaited {
    readiness: Readiness,
    name: String,
}

impl Awaited {
    /// It is there.
    pub fn done(&self) {
        if self.readiness.0.borrow().awaited.contains_key(&self.name) {
            self.readiness.change(|state| {
                state.awaited.remove(&self.name);
            });
        }
    }

    /// It is away: the process is not ready until it is there again.
    pub fn lost(&self, why: impl Into<String>) {
        let why = why.into();
        if self.readiness.0.borrow().awaited.get(&self.name) != Some(&why) {
            self.readiness.change(|state| {
                state.awaited.insert(self.name.clone(), why);
            });
        }
    }

    /// Something an operator should know; the process stays ready.
    pub fn note(&self, text: impl Into<String>) {
        let text = text.into();
        if self.readiness.0.borrow().notes.get(&self.name) != Some(&text) {
            self.readiness.change(|state| {
                state.notes.insert(self.name.clone(), text);
            });
        }
    }

    /// Nothing to note any more.
    pub fn clear_note(&self) {
        if self.readiness.0.borrow().notes.contains_key(&self.name) {
            self.readiness.change(|state| {
                state.notes.remove(&self.name);
            });
        }
    }

    /// The entry's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.readiness.change(|state| {
            state.awaited.remove(&self.name);
            state.notes.remove(&self.name);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_nothing_is_awaited_and_once_started_stays_started() {
        let readiness = Readiness::default();
        let (postgres, keys) = (readiness.awaiting("document/postgres"), readiness.awaiting("verify keys"));
        postgres.done();
        assert!(!readiness.state().is_ready() && !readiness.state().started);
        drop(keys);
        assert!(readiness.state().is_ready());
        postgres.lost("connection refused");
        let state = readiness.state();
        assert!(!state.is_ready() && state.started);
        assert_eq!(state.awaited["document/postgres"], "connection refused");
        assert!(state.is_ready_for("file") && !state.is_ready_for("document"));
    }

    #[test]
    fn a_note_leaves_the_process_ready_and_draining_does_not() {
        let readiness = Readiness::default();
        let broker = readiness.awaiting("document/events");
        broker.done();
        broker.note("broker away, 3 events unsent");
        assert!(readiness.state().is_ready());
        assert_eq!(readiness.state().notes.len(), 1);
        readiness.drain();
        assert!(!readiness.state().is_ready());
    }

    #[test]
    fn a_failure_is_final() {
        let readiness = Readiness::default();
        readiness.awaiting("x").done();
        readiness.fail("task relay panicked");
        readiness.awaiting("x").done();
        assert_eq!(readiness.state().failed.as_deref(), Some("task relay panicked"));
        assert!(!readiness.state().is_ready());
    }
}
