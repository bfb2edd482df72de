//! What is wrong with a text and where, as every reader of JSON in this crate reports it.

/// What is wrong and where; boxed, because it is returned through every level and almost never there.
#[derive(Debug)]
pub(crate) struct Fault(Box<Found>);

/// What a [`Fault`] holds.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) at: usize,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Fault {
    #[cold]
    pub(crate) fn new(at: usize, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Found { at, reason, message: message.into() }))
    }

    pub(crate) fn found(self) -> Found {
        *self.0
    }
}
