//! The engine: starting, canceling and deciding runs in Temporal, and the worker that performs their steps. Beside `flow` this
//! is the only part that knows Temporal; the rest sees an [`Engine`] and its [`Trouble`].
use crate::flow::Refusal;

mod client;
mod steps;
mod worker;

pub(crate) use client::{Engine, Settings};
pub(crate) use worker::serve;

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// It cannot be reached, or not in time; try again.
    #[error("Temporal is away: {0}")]
    Away(String),
    /// It has no such run, or the run has ended.
    #[error("Temporal has no such run that is open")]
    Gone,
    /// The run itself refused.
    #[error("the run refused: {0}")]
    Refused(Refusal),
}
