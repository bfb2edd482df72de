//! What is done with events: an inbox item and a mail for each recipient, in one transaction with the note that the event was
//! handled.
use api::Id;
use events::{Delivery, Outcome};

use super::Notifications;
use crate::{
    error::Error,
    events::{self as told, CONSUMER},
    metrics,
    model::{DeliveryName, InboxName, ItemName, Notice, message_id},
    store,
};

impl Notifications {
    /// Handles one event.
    pub(crate) async fn heard(&self, delivery: &Delivery) -> Outcome {
        match told::account_mail(delivery) {
            Ok(None) => {}
            Ok(Some(id)) => return self.queue_account(delivery, id).await.into(),
            Err(outcome) => return outcome,
        }
        match told::notices(delivery) {
            Ok(notices) if notices.is_empty() => Outcome::Done,
            Ok(notices) => self.notify(delivery, &notices).await.into(),
            Err(outcome) => outcome,
        }
    }

    /// A mail of the auth service is queued under auth's own id, so that it is one mail however often it is heard.
    async fn queue_account(&self, delivery: &Delivery, id: Id) -> Result<(), Error> {
        let (envelope, context) = (&delivery.envelope, delivery.context(CONSUMER));
        let once = self.parts.db.once(CONSUMER, envelope.event_id, envelope.organization, &context).await?;
        let Some(tx) = once else { return Ok(()) };
        let name = DeliveryName { organization: envelope.organization, delivery: id };
        let tries = i16::try_from(self.config.tries).unwrap_or(i16::MAX);
        let (message_id, event) = (message_id(name, &self.parts.public_url), Id::from_uuid(envelope.event_id));
        let now = self.parts.clock.now();
        store::delivery::insert(&tx, (name, &message_id), event, &Notice::account(), tries, now).await?;
        tx.commit().await?;
        metrics::notified(1);
        self.work.notify_one();
        Ok(())
    }

    /// Inboxes are locked in the order of their users, which is that of the notices, so two events never wait for each other.
    async fn notify(&self, delivery: &Delivery, notices: &[Notice]) -> Result<(), Error> {
        let (envelope, context) = (&delivery.envelope, delivery.context(CONSUMER));
        let once = self.parts.db.once(CONSUMER, envelope.event_id, envelope.organization, &context).await?;
        let Some(tx) = once else { return Ok(()) };
        let (organization, event, now) =
            (envelope.organization, Id::from_uuid(envelope.event_id), self.parts.clock.now());
        let tries = i16::try_from(self.config.tries).unwrap_or(i16::MAX);
        let inbox_of = |notice: &Notice| InboxName { organization, user: notice.recipient };
        for notice in notices {
            let inbox = inbox_of(notice);
            let sequence = store::inbox::next_sequence(&tx, inbox).await?;
            let item = ItemName { organization, user: inbox.user, item: self.parts.ids.next() };
            store::inbox::insert(&tx, (item, sequence), event, notice, now).await?;
            let name = DeliveryName { organization, delivery: self.parts.ids.next() };
            let message_id = message_id(name, &self.parts.public_url);
            store::delivery::insert(&tx, (name, &message_id), event, notice, tries, now).await?;
            tx.publish(&told::inbox_changed(inbox.user, sequence), inbox.id(), sequence)?;
        }
        tx.commit().await?;
        metrics::notified(notices.len());
        notices.iter().for_each(|notice| self.hub.tell(inbox_of(notice)));
        self.work.notify_one();
        Ok(())
    }
}
