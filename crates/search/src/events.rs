//! What this service hears. It publishes nothing.
//!
//! Events are thin and only say that a resource is not what it was; what it is now is read from its owner.
use std::time::Duration;

use events::{Consumer, Delivery, Outcome};
use proto::{
    Event,
    document::v1::{DocumentCreated, DocumentDeleted, DocumentGrantsChanged, DocumentUndeleted, DocumentUpdated},
    file::v1::{FileCreated, FileDeleted, FileReferencesChanged},
};

use crate::model::{ResourceName, Revision};

/// The consumer: everything that changes what is found, or who finds it.
pub(crate) fn consumer(concurrency: usize) -> Consumer {
    Consumer::new("index")
        .on::<DocumentCreated>()
        .on::<DocumentUpdated>()
        .on::<DocumentDeleted>()
        .on::<DocumentUndeleted>()
        .on::<DocumentGrantsChanged>()
        .on::<FileCreated>()
        .on::<FileReferencesChanged>()
        .on::<FileDeleted>()
        .concurrency(concurrency)
        // An event waits while an owner or the database is away: dead letters are for what will never work.
        .time_limit(Duration::from_hours(24))
}

/// Which resource changed, and the revision it has reached at least.
///
/// # Errors
/// What becomes of an event that cannot be understood.
pub(crate) fn changed(delivery: &Delivery) -> Result<(ResourceName, Revision), Outcome> {
    let name = match delivery.envelope.kind.as_str() {
        DocumentCreated::TYPE => delivery.decode::<DocumentCreated>()?.name,
        DocumentUpdated::TYPE => delivery.decode::<DocumentUpdated>()?.name,
        DocumentDeleted::TYPE => delivery.decode::<DocumentDeleted>()?.name,
        DocumentUndeleted::TYPE => delivery.decode::<DocumentUndeleted>()?.name,
        DocumentGrantsChanged::TYPE => delivery.decode::<DocumentGrantsChanged>()?.name,
        FileCreated::TYPE => delivery.decode::<FileCreated>()?.name,
        FileReferencesChanged::TYPE => delivery.decode::<FileReferencesChanged>()?.name,
        FileDeleted::TYPE => delivery.decode::<FileDeleted>()?.name,
        other => return Err(Outcome::Hold(format!("type {other}"))),
    };
    let name = ResourceName::parse(&name).filter(|name| name.organization == delivery.envelope.organization);
    let name = name.ok_or_else(|| Outcome::Reject("the event names no resource of its organization".to_owned()))?;
    Ok((name, Revision(delivery.envelope.revision().packed())))
}
