//! How mails leave: a channel tries once and says how it ended. Retries, records and events are not its business.
//!
//! What must hold for every channel: it answers within its own time limit; what it calls not sent has surely not arrived; what
//! left without an answer is uncertain; a Message-ID is passed on as it is.
use api::CallContext;
use futures::future::BoxFuture;

use crate::model::{Mail, Verdict};

mod captured;
mod smtp;

pub(crate) use captured::Captured;
pub(crate) use smtp::Smtp;

/// A way to send mails.
pub(crate) trait MailChannel: Send + Sync + 'static {
    /// Tries to send a mail, once.
    fn send<'a>(&'a self, mail: &'a Mail, context: &'a CallContext) -> BoxFuture<'a, Verdict>;

    /// Mails are kept in a table instead of sent. Then a mail that is there already is dropped by its Message-ID, so one of which
    /// nothing is known can be sent again, whatever its category says.
    fn captures(&self) -> bool;
}
