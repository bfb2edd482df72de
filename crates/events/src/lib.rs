//! Domain events: at least once on the way, one effect per event and consumer.
//!
//! A change and its event are written in one transaction (`db::Tx::publish`). The relay of the publishing service moves
//! outbox rows to its JetStream stream and marks a row only after the broker's acknowledgment, so what is lost on the way is
//! sent again. Durable pull consumers hand each event to a handler; what a handler does must be idempotent, by
//! `db::Db::once` (the processed-event row commits with the effect) or by a version guard ([`Guard`], [`Revision`]).
//!
//! What must hold: an event is acknowledged only after its handler said [`Outcome::Done`] or after it lies in the dead-letter
//! stream; version n+1 of an aggregate is never sent before n is acknowledged; a broker that is away or full never blocks a
//! writer. Order is promised per aggregate by `(epoch, version)`, never by clock. `Nats-Msg-Id` saves work; correctness never
//! rests on it.
//!
//! This is the only crate that names async-nats.

mod admin;
mod advisory;
mod broker;
mod consume;
mod consumer;
mod dead;
mod desk;
mod envelope;
mod error;
mod guard;
mod hear;
mod letters;
#[expect(clippy::disallowed_macros, reason = "the crate's one home of metrics")]
mod metrics;
mod outcome;
mod publish;
mod relay;
mod settle;
mod streams;
mod subject;

pub use admin::Admin;
pub use broker::{Broker, ConsumerStatus, Settings, Status, probe};
pub use consumer::Consumer;
pub use envelope::{Delivery, Envelope};
pub use error::Error;
pub use guard::{Guard, Revision};
pub use outcome::{Handler, Outcome};
pub use subject::{Grants, grants};
