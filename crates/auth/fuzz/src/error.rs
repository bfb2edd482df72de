//! The errors that the taken modules speak of: which one it is matters here, what a caller hears of it does not.
use std::fmt::Display;

#[derive(Debug)]
pub(crate) enum Error {
    ChallengeInvalid,
    KeysAwaited,
    PasskeyRefused,
    PasskeysUnavailable,
    /// Something of ours is broken; nothing from outside may lead here.
    Fault(String),
    Api(api::Error),
}

impl Error {
    pub(crate) fn fault(error: impl Display) -> Self {
        Self::Fault(error.to_string())
    }
}

impl From<api::Error> for Error {
    fn from(error: api::Error) -> Self {
        Self::Api(error)
    }
}
