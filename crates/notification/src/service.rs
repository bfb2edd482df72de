//! Use cases: inboxes, deliveries, what is done with events, and the sending. One file per matter.
//!
//! What must hold: the effect of an event (items, mails to send, events of ours) is one transaction with the note that it was
//! handled; no lock is held while another service or a mail server is asked.
use std::sync::Arc;

use api::{Caller, Clock, Ids, OrganizationId};
use db::Db;
use tokio::sync::Notify;

use crate::{channel::MailChannel, config::Config, error::Error, model::InboxName, peers::Users};

mod deliver;
mod delivery;
mod erase;
mod hub;
mod inbox;
mod notify;
mod sweep;
mod watch;

use hub::Hub;

/// The notification service.
pub(crate) struct Notifications {
    parts: Parts,
    config: Config,
    /// Streams that wait for news of an inbox.
    hub: Hub,
    /// Signalled when there is a mail to send.
    work: Notify,
}

/// What the service stands on.
pub(crate) struct Parts {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) users: Users,
    pub(crate) channel: Arc<dyn MailChannel>,
    pub(crate) public_url: String,
}

impl Notifications {
    /// The service over its parts.
    pub(crate) fn new(parts: Parts, config: Config) -> Self {
        Self { parts, config, hub: Hub::default(), work: Notify::new() }
    }
}

/// Everybody has only his own inbox, whatever his role.
fn only_own(caller: &Caller, inbox: InboxName) -> Result<(), Error> {
    if caller.organization()? == inbox.organization && caller.user_required()? == inbox.user {
        return Ok(());
    }
    Err(Error::Api(api::Error::denied()))
}

/// The authorizer decided about the organization that the request names; this is the second wall.
fn only_in(caller: &Caller, organization: OrganizationId) -> Result<(), Error> {
    if caller.organization()? == organization && caller.granted() {
        return Ok(());
    }
    Err(Error::Api(api::Error::denied()))
}
