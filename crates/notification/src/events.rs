//! What this service hears, and what it publishes.
use api::{Id, UserId};
use events::{Consumer, Delivery, Outcome};
use proto::{
    Event,
    auth::v1::{
        EmailCodeRequested, EmailVerificationRequested, InvitationCreated, PasswordResetRequested, SecurityNotice,
    },
    document::v1::DocumentGrantsChanged,
    notification::v1::{DeliveryFailed, DeliverySent, InboxChanged},
    workflow::v1::{
        RunEnded, TaskCreated, TaskEscalated, TaskReminded,
        run::{Outcome as RunOutcome, State as RunState},
    },
};

use crate::model::{DeliveryName, Ending, Notice, TaskNews};

/// Name of the consumer, under which handled events are remembered.
pub(crate) const CONSUMER: &str = "notify";

/// The consumer: everything that somebody is told of.
pub(crate) fn consumer() -> Consumer {
    Consumer::new(CONSUMER)
        .on::<DocumentGrantsChanged>()
        .on::<TaskCreated>()
        .on::<TaskReminded>()
        .on::<TaskEscalated>()
        .on::<RunEnded>()
        .on::<EmailVerificationRequested>()
        .on::<PasswordResetRequested>()
        .on::<EmailCodeRequested>()
        .on::<InvitationCreated>()
        .on::<SecurityNotice>()
}

/// The delivery that a mail of the auth service is about; `None` for every other event.
///
/// # Errors
/// What becomes of an event that cannot be understood.
pub(crate) fn account_mail(delivery: &Delivery) -> Result<Option<Id>, Outcome> {
    let name = match delivery.envelope.kind.as_str() {
        EmailVerificationRequested::TYPE => delivery.decode::<EmailVerificationRequested>()?.name,
        PasswordResetRequested::TYPE => delivery.decode::<PasswordResetRequested>()?.name,
        EmailCodeRequested::TYPE => delivery.decode::<EmailCodeRequested>()?.name,
        InvitationCreated::TYPE => delivery.decode::<InvitationCreated>()?.name,
        SecurityNotice::TYPE => delivery.decode::<SecurityNotice>()?.name,
        _ => return Ok(None),
    };
    let id = name.strip_prefix("emailDeliveries/").and_then(|id| id.parse().ok());
    id.map(Some).ok_or_else(|| Outcome::Reject("the event names no delivery".to_owned()))
}

/// Who is to be told what, each recipient once, in the order of their ids.
///
/// # Errors
/// What becomes of an event that cannot be understood.
pub(crate) fn notices(delivery: &Delivery) -> Result<Vec<Notice>, Outcome> {
    let mut notices = match delivery.envelope.kind.as_str() {
        DocumentGrantsChanged::TYPE => shares(delivery.decode()?, &delivery.envelope.actor)?,
        TaskCreated::TYPE => {
            let event: TaskCreated = delivery.decode()?;
            vec![Notice::task(TaskNews::Created, user(&event.assignee)?, &event.title, &event.subject)]
        }
        TaskReminded::TYPE => {
            let event: TaskReminded = delivery.decode()?;
            vec![Notice::task(TaskNews::Reminded, user(&event.assignee)?, &event.title, &event.subject)]
        }
        TaskEscalated::TYPE => {
            let event: TaskEscalated = delivery.decode()?;
            vec![Notice::task(TaskNews::Escalated, user(&event.assignee)?, &event.title, &event.subject)]
        }
        RunEnded::TYPE => {
            let event: RunEnded = delivery.decode()?;
            let ending = ending(&event);
            vec![Notice::run(ending, user(&event.creator)?, &event.title, &event.subject)]
        }
        other => return Err(Outcome::Hold(format!("type {other}"))),
    };
    notices.sort_by_key(|notice| notice.recipient);
    notices.dedup_by_key(|notice| notice.recipient);
    Ok(notices)
}

/// Users who gained access. Groups are told nothing, and neither is who did it himself.
fn shares(event: DocumentGrantsChanged, actor: &str) -> Result<Vec<Notice>, Outcome> {
    let told = event.gained.iter().filter(|principal| principal.starts_with("users/") && *principal != actor);
    told.map(|principal| Ok(Notice::share(user(principal)?, &event.title, &event.name))).collect()
}

fn user(name: &str) -> Result<UserId, Outcome> {
    UserId::parse(name).map_err(|_| Outcome::Reject("the event names no user where one is to be told".to_owned()))
}

fn ending(event: &RunEnded) -> Ending {
    match (event.state(), event.outcome()) {
        (RunState::Canceled, _) => Ending::Canceled,
        (RunState::Failed, _) => Ending::Failed,
        (_, RunOutcome::Approved) => Ending::Approved,
        (_, RunOutcome::Rejected) => Ending::Rejected,
        (_, RunOutcome::Expired) => Ending::Expired,
        (_, RunOutcome::Unspecified) => Ending::Completed,
    }
}

/// An item arrived in an inbox.
pub(crate) fn inbox_changed(user: UserId, sequence: i64) -> InboxChanged {
    InboxChanged { user: user.name(), sequence }
}

/// A mail was accepted.
pub(crate) fn delivery_sent(name: DeliveryName) -> DeliverySent {
    DeliverySent { name: name.to_string() }
}

/// A mail was given up.
pub(crate) fn delivery_failed(name: DeliveryName) -> DeliveryFailed {
    DeliveryFailed { name: name.to_string() }
}
