//! The sending: claim what is due, ask who gets it, put the attempt on record, try, record how it ended.
//!
//! Whoever dies on the way leaves his lease, and perhaps an attempt without an end. When the lease is over the next worker calls
//! that attempt uncertain, because nobody knows how far it came.
use std::{collections::BTreeMap, time::Duration};

use api::{CallContext, Id, OrganizationId, UserId};
use futures::future::join_all;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Notifications;
use crate::{
    error::Error,
    events, metrics,
    model::{
        AccountMail, Class, DeliveryName, DeliveryState, Fate, Job, Recipient, Verdict, after_attempt, compose,
        compose_account, delay,
    },
    store,
};

const TASK: &str = "notification.deliver";
/// Tries to record how an attempt ended, with a pause that doubles; after them the lease decides.
const RECORDINGS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// What is known of a mail before it is written.
enum Letter {
    /// News for a member.
    Member(Recipient),
    /// A mail of the auth service.
    Account(AccountMail),
}

impl Letter {
    fn address(&self) -> &str {
        match self {
            Self::Member(recipient) => &recipient.address,
            Self::Account(account) => &account.recipient.address,
        }
    }
}

impl Notifications {
    /// Sends mails until the process stops.
    pub(crate) async fn keep_delivering(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            match self.deliver_some().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::warn!(error = %error, "mails could not be claimed; it goes on shortly"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = timeout(self.config.poll, self.work.notified()) => {}
            }
        }
    }

    /// One batch; says how many were claimed. What goes wrong with one delivery does not touch the others.
    async fn deliver_some(&self) -> Result<usize, Error> {
        let context = CallContext::background(TASK, &self.parts.ids);
        // The queue holds ids and times only and is seen from every organization; that of the platform stands for none.
        let tx = self.parts.db.tenant_as(OrganizationId::SYSTEM, &context).await?;
        let now = self.parts.clock.now();
        let claimed = store::queue::claim(&tx, now, now + self.config.lease, i64::from(self.config.batch)).await?;
        if claimed.is_empty() {
            return Ok(0);
        }
        tx.commit().await?;
        let count = claimed.len();
        let mut by_organization: BTreeMap<OrganizationId, Vec<Id>> = BTreeMap::new();
        for name in claimed {
            by_organization.entry(name.organization).or_default().push(name.delivery);
        }
        let organizations =
            by_organization.iter().map(|(organization, ids)| self.deliver_in(*organization, ids, &context));
        for result in join_all(organizations).await {
            if let Err(error) = result {
                tracing::warn!(error = %error, "mails were not sent; they are tried again when the lease is over");
            }
        }
        Ok(count)
    }

    /// Mails of the auth service, each asked for by itself; one that nobody says anything of is put off.
    async fn deliver_accounts(&self, organization: OrganizationId, ids: Vec<Id>, context: &CallContext) {
        let sending = ids.iter().map(|id| async move {
            let name = DeliveryName { organization, delivery: *id };
            match self.parts.users.account_mail(context, *id).await {
                Ok(mail) => self.deliver(name, mail.map(Letter::Account), context).await,
                Err(error) => {
                    tracing::warn!(delivery = %name, error = %error, "auth does not say what the mail says; it is put off");
                    self.put_off(organization, &[*id], context).await
                }
            }
        });
        for (delivery, result) in ids.iter().zip(join_all(sending).await) {
            if let Err(error) = result {
                tracing::warn!(delivery = %delivery, error = %error, "a mail has no record; the end of its lease decides");
            }
        }
    }

    async fn deliver_in(&self, organization: OrganizationId, ids: &[Id], context: &CallContext) -> Result<(), Error> {
        let tx = self.parts.db.tenant_as(organization, context).await?;
        let waiting = store::delivery::recipients(&tx, organization, ids).await?;
        drop(tx);
        let is_account = |id: &Id| waiting.iter().any(|(waiting, user)| waiting == id && user.0 == Id::ZERO);
        let (accounts, ids): (Vec<Id>, Vec<Id>) = ids.iter().copied().partition(is_account);
        self.deliver_accounts(organization, accounts, context).await;
        let ids = ids.as_slice();
        let waiting: Vec<_> = waiting.into_iter().filter(|(_, user)| user.0 != Id::ZERO).collect();
        let mut users: Vec<UserId> = waiting.iter().map(|(_, user)| *user).collect();
        users.sort_unstable();
        users.dedup();
        let members = match users.is_empty() {
            true => Ok(Default::default()),
            false => self.parts.users.members(context, organization, &users).await,
        };
        let members = match members {
            Ok(members) => members,
            Err(error) => {
                tracing::warn!(error = %error, "nobody says who gets the mails; they are put off");
                return self.put_off(organization, ids, context).await;
            }
        };
        let recipient = |id: &Id| {
            let user = waiting.iter().find(|(waiting, _)| waiting == id).map(|(_, user)| user);
            user.and_then(|user| members.get(user)).cloned().map(Letter::Member)
        };
        let sending = ids.iter().map(|delivery| {
            let name = DeliveryName { organization, delivery: *delivery };
            self.deliver(name, recipient(delivery), context)
        });
        for (delivery, result) in ids.iter().zip(join_all(sending).await) {
            if let Err(error) = result {
                tracing::warn!(delivery = %delivery, error = %error, "a mail has no record; the end of its lease decides");
            }
        }
        Ok(())
    }

    async fn put_off(&self, organization: OrganizationId, ids: &[Id], context: &CallContext) -> Result<(), Error> {
        let tx = self.parts.db.tenant_as(organization, context).await?;
        let now = self.parts.clock.now();
        let due = now + self.config.backoff.mul_f64(0.5 + rand::random::<f64>());
        let why = "nobody could say the recipient's address; it is asked for again shortly";
        store::queue::postpone(&tx, organization, ids, why, now, due).await?;
        Ok(tx.commit().await?)
    }

    /// Sends one mail, unless it needs none any more.
    async fn deliver(&self, name: DeliveryName, letter: Option<Letter>, context: &CallContext) -> Result<(), Error> {
        let Some((job, letter, number)) = self.begin(name, letter, context).await? else {
            return Ok(());
        };
        let (sender, now) = (&self.config.sender, self.parts.clock.now());
        let mail = match letter {
            Letter::Member(recipient) => compose(&job, recipient, &self.parts.public_url, sender, now),
            Letter::Account(account) => compose_account(&job, account, sender, now),
        };
        let verdict = self.parts.channel.send(&mail, context).await;
        metrics::attempted(verdict.class.as_str());
        let mut pause = PAUSE;
        for _ in 1..RECORDINGS {
            match self.end(name, number, &verdict, context).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::warn!(delivery = %name, error = %error, "an attempt could not be recorded yet"),
            }
            sleep(pause).await;
            pause *= 2;
        }
        self.end(name, number, &verdict, context).await
    }

    /// Puts an attempt on record before anything is sent. `None` when there is nothing to send.
    async fn begin(
        &self,
        name: DeliveryName,
        letter: Option<Letter>,
        context: &CallContext,
    ) -> Result<Option<(Job, Letter, i32)>, Error> {
        let tx = self.parts.db.tenant_as(name.organization, context).await?;
        let now = self.parts.clock.now();
        let Some(job) = store::delivery::lock(&tx, name).await? else { return Ok(None) };
        if job.state != DeliveryState::Pending {
            store::queue::remove(&tx, name).await?;
            tx.commit().await?;
            return Ok(None);
        }
        if job.is_open {
            let class = if self.parts.channel.captures() { Class::NotSent } else { Class::Uncertain };
            let lost = Verdict::failed(class, "nothing is known of how the last attempt ended");
            metrics::attempted(lost.class.as_str());
            store::delivery::end_attempt(&tx, name, job.attempts, &lost, now).await?;
            if let Fate::Rest(state) = after_attempt(job.category, lost.class, job.tries_left) {
                self.rest(&tx, &job, state, &lost.detail).await?;
                tx.commit().await?;
                return Ok(None);
            }
        }
        let Some(letter) = letter.filter(|letter| !letter.address().is_empty()) else {
            let why =
                "the recipient is no longer a member of the organization, or has no address; or the link has ended";
            self.rest(&tx, &job, DeliveryState::Suppressed, why).await?;
            tx.commit().await?;
            return Ok(None);
        };
        let number = store::delivery::begin_attempt(&tx, &job, now).await?;
        tx.commit().await?;
        Ok(Some((job, letter, number)))
    }

    /// Records how an attempt ended and what follows. An attempt that somebody else has ended meanwhile stays as it is.
    async fn end(
        &self,
        name: DeliveryName,
        number: i32,
        verdict: &Verdict,
        context: &CallContext,
    ) -> Result<(), Error> {
        let tx = self.parts.db.tenant_as(name.organization, context).await?;
        let now = self.parts.clock.now();
        let Some(job) = store::delivery::lock(&tx, name).await? else { return Ok(()) };
        if !store::delivery::end_attempt(&tx, name, number, verdict, now).await? {
            return Ok(());
        }
        match after_attempt(job.category, verdict.class, job.tries_left) {
            Fate::Rest(state) => self.rest(&tx, &job, state, &verdict.detail).await?,
            Fate::Retry => {
                let wait = delay(self.config.backoff, self.config.backoff_max, job.attempts, rand::random());
                store::delivery::retry(&tx, name, &verdict.detail, now, now + wait).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// Brings a locked delivery to rest and publishes what the world wants to know of it.
    async fn rest(&self, tx: &db::Tx, job: &Job, state: DeliveryState, error: &str) -> Result<(), Error> {
        let version = match state {
            DeliveryState::Sent | DeliveryState::Dead => job.version + 1,
            DeliveryState::Pending | DeliveryState::Uncertain | DeliveryState::Suppressed => job.version,
        };
        store::delivery::rest(tx, job.name, state, error, version, self.parts.clock.now()).await?;
        match state {
            DeliveryState::Sent => tx.publish(&events::delivery_sent(job.name), job.name.delivery, version)?,
            DeliveryState::Dead => tx.publish(&events::delivery_failed(job.name), job.name.delivery, version)?,
            DeliveryState::Pending | DeliveryState::Uncertain | DeliveryState::Suppressed => {}
        }
        metrics::settled(state.as_str());
        Ok(())
    }
}
