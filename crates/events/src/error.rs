//! What can go wrong with the broker. The driver's text stays in logs; a client hears that events are not available.
use std::error::Error as StdError;

/// A failure of the event broker.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The configured address cannot be read; fix the configuration.
    #[error("`{0}` is not a NATS address; write it like nats://host:4222 (several: separated by commas)")]
    Address(String),
    /// The broker refused or did not answer.
    #[error("{what}: {text}")]
    Broker {
        /// What was tried.
        what: &'static str,
        /// The driver's text, for the log only.
        text: String,
    },
}

impl From<Error> for api::Error {
    fn from(error: Error) -> Self {
        Self::unavailable("the event broker").caused_by(error)
    }
}

/// Names what was tried beside a driver's error.
pub(crate) trait What<T> {
    /// The result with `what` said.
    fn what(self, what: &'static str) -> Result<T, Error>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> What<T> for Result<T, E> {
    fn what(self, what: &'static str) -> Result<T, Error> {
        self.map_err(|error| Error::Broker { what, text: describe(error.into().as_ref()) })
    }
}

/// The text of a driver's error and its causes, on one line.
fn describe(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.replace(['\r', '\n'], " ")
}
