//! What a service wants to hear: the declaration of a durable consumer.
use std::{collections::BTreeMap, time::Duration};

use proto::Event;

/// Declares a durable consumer: which events it wants, and how many at once.
///
/// The set of types may grow from release to release. A type that a newer release added stays subscribed while an older
/// instance runs; that instance holds such events for the newer one (never acknowledges them away).
#[derive(Clone, Debug)]
pub struct Consumer {
    pub(crate) name: &'static str,
    /// Types by publishing service.
    pub(crate) types: BTreeMap<&'static str, Vec<&'static str>>,
    pub(crate) concurrency: usize,
    pub(crate) ack_wait: Duration,
    pub(crate) time_limit: Duration,
}

impl Consumer {
    /// A consumer named `name` within its service: lower-case letters and `_`; it must never change, since it names what was
    /// already heard.
    ///
    /// # Panics
    /// When the name has other letters, at service start.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        let valid = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
        assert!(valid, "the consumer name `{name}` must consist of lower-case letters and `_`");
        let (ack_wait, time_limit) = (Duration::from_secs(30), Duration::from_secs(300));
        Self { name, types: BTreeMap::new(), concurrency: 8, ack_wait, time_limit }
    }

    /// Subscribes to the event `E`.
    #[must_use]
    pub fn on<E: Event>(mut self) -> Self {
        let types = self.types.entry(E::SERVICE).or_default();
        if !types.contains(&E::TYPE) {
            types.push(E::TYPE);
        }
        self
    }

    /// Events handled at once per publishing service, at least 1. Events of one aggregate are never handled at once.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// After this time without a sign of life of the instance (it gives one at each third) the broker delivers again.
    #[must_use]
    pub fn ack_wait(mut self, ack_wait: Duration) -> Self {
        self.ack_wait = ack_wait;
        self
    }

    /// A handler that takes longer is dropped and its event tried again.
    #[must_use]
    pub fn time_limit(mut self, time_limit: Duration) -> Self {
        self.time_limit = time_limit;
        self
    }
}
