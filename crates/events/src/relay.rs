//! The relay: moves outbox rows to the broker.
//!
//! A round claims unsent rows (one transaction, one relay per schema at a time), publishes them, waits for every
//! acknowledgment and marks what was acknowledged. A crash between publish and mark publishes again under the same message
//! id. A broker that is away or refuses ends the round with the rows unsent; no transaction waits for a broker to come back,
//! and no writer ever waits for the relay.
use std::{future::Future, time::Duration};

use db::Db;
use tokio_util::sync::CancellationToken;

use crate::{Broker, metrics, publish::Published};

/// Rows of one claim.
const CLAIM: i64 = 500;
/// Lanes of an outbox.
const LANES: i16 = 64;
/// Poll when idle, growing from the first to the second; a commit in this process wakes the relay at once.
const POLL_MIN: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_secs(1);
/// Another relay of the same schema is at work.
const ELSEWHERE: Duration = Duration::from_millis(20);
/// Back-pressure: waits between rounds that could publish nothing, growing with jitter.
const BLOCKED_MIN: Duration = Duration::from_millis(100);
const BLOCKED_MAX: Duration = Duration::from_secs(5);
/// How often backlog and consumers are counted.
const REFRESH: Duration = Duration::from_secs(5);

/// How a round ended.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// Rows were sent and more may wait.
    Busy,
    /// Rows were sent, or none waited; `true` when some were.
    Idle(bool),
    /// Another relay holds the outbox.
    Elsewhere,
    /// Nothing could be published.
    Blocked(String),
}

impl Broker {
    /// Relays the outbox of `db` until `shutdown`; a round in progress is finished first. Run it once per process, as a task.
    pub fn relay(&self, db: Db, shutdown: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let broker = self.clone();
        async move {
            let mut relay = Relay { broker: broker.clone(), db: db.clone(), first_lane: 0, stream_ready: false };
            let watch = async {
                loop {
                    broker.refresh(&db).await;
                    tokio::time::sleep(REFRESH).await;
                }
            };
            tokio::select! {
                () = relay.run(&shutdown) => {}
                () = watch => {}
            }
        }
    }
}

struct Relay {
    broker: Broker,
    db: Db,
    /// Claims begin at this lane and wrap around, so that one stuck lane cannot starve the others.
    first_lane: i16,
    stream_ready: bool,
}

impl Relay {
    async fn run(&mut self, shutdown: &CancellationToken) {
        let written = self.db.outbox_notify();
        let (mut poll, mut blocked) = (POLL_MIN, BLOCKED_MIN);
        while !shutdown.is_cancelled() {
            let round = self.round().await;
            if let Round::Blocked(error) = &round {
                self.broker.note_publish(Some(error));
            }
            let wait = match round {
                Round::Busy => Duration::ZERO,
                Round::Idle(sent) => {
                    poll = if sent { POLL_MIN } else { (poll * 2).min(POLL_MAX) };
                    poll
                }
                Round::Elsewhere => {
                    poll = POLL_MIN;
                    ELSEWHERE
                }
                Round::Blocked(_) => {
                    let wait = blocked.mul_f64(rand::random_range(0.5..1.0));
                    blocked = (blocked * 2).min(BLOCKED_MAX);
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(wait) => continue,
                    }
                }
            };
            blocked = BLOCKED_MIN;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = written.notified(), if !wait.is_zero() => {}
            }
        }
    }

    async fn round(&mut self) -> Round {
        if !self.broker.is_connected() {
            return Round::Blocked("the event broker is not connected".to_owned());
        }
        if !self.stream_ready {
            if let Err(error) = self.broker.ensure_own_stream().await {
                return Round::Blocked(error.to_string());
            }
            self.stream_ready = true;
        }
        let claim = match self.db.outbox().claim(CLAIM, self.first_lane).await {
            Ok(Some(claim)) => claim,
            Ok(None) => return Round::Elsewhere,
            Err(error) => return Round::Blocked(error.to_string()),
        };
        let full = claim.rows().len() as i64 == CLAIM;
        let (from, last) = (self.first_lane, claim.rows().last().map(|row| row.lane));
        self.first_lane = last.filter(|_| full).map_or(0, |lane| (lane + 1) % LANES);
        if claim.rows().is_empty() {
            return if from == 0 { Round::Idle(false) } else { Round::Busy };
        }
        let published = self.broker.publish_rows(claim.rows()).await;
        if let Err(error) = claim.finish(&published.sent, &published.failed).await {
            // The rows count as unsent and go out again under the same ids.
            return Round::Blocked(error.to_string());
        }
        self.conclude(&published, full || from > 0)
    }

    fn conclude(&mut self, published: &Published, more: bool) -> Round {
        let service = &self.broker.0.service;
        let error = published.failed.first().map(|(_, error)| error.as_str());
        self.broker.note_publish(error);
        if !published.sent.is_empty() {
            metrics::published(service, published.sent.len(), published.duplicates);
        }
        if let Some(error) = error {
            metrics::publish_failed(service, published.failed.len(), error);
        }
        self.stream_ready &= !published.stream_missing;
        match error.filter(|_| published.blocked && published.sent.is_empty()) {
            Some(error) => Round::Blocked(error.to_owned()),
            None if more && !published.blocked => Round::Busy,
            None => Round::Idle(!published.sent.is_empty()),
        }
    }
}
