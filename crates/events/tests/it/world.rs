//! What a test stands on: two services' schemas of its own, a NATS account of its own, brokers, writers and observers.
use std::{
    future::Future,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use api::{CallContext, Id, Ids, OrganizationId};
use async_nats::jetstream::{self, stream::Stream};
use db::{Db, Migrations};
use events::{Broker, Consumer, Delivery, Handler, Outcome, Settings};
use proto::document::v1::DocumentUpdated;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const EFFECTS: &str = "
create table effects (
  position bigint generated always as identity primary key, organization_id uuid not null, consumer text not null,
  event_id uuid not null, aggregate_id uuid not null, version bigint not null, attempt int not null
);
create policy tenant on effects using (organization_id = workos.organization());
create table document_guards (
  organization_id uuid not null, aggregate_id uuid not null,
  epoch int not null, version bigint not null, deleted boolean not null, primary key (organization_id, aggregate_id)
);
create policy tenant on document_guards using (organization_id = workos.organization());
";

/// How to sign in to a NATS server.
#[derive(Clone)]
pub(crate) struct Nats {
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

pub(crate) struct World {
    pub(crate) nats: Nats,
    /// Schema of the publishing service, `document` on the broker.
    pub(crate) publisher: Db,
    /// Schema of the consuming service.
    pub(crate) consumer: Db,
    pub(crate) organization: OrganizationId,
}

/// An effect that a consumer's transaction left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) event_id: Uuid,
    pub(crate) aggregate: Id,
    pub(crate) version: i64,
}

impl World {
    /// A world on the shared engines, with a NATS account of its own.
    pub(crate) async fn start() -> Self {
        let addresses = engines::for_tests().await;
        let account = addresses.next_nats_account().expect("the pool has accounts left");
        let credentials = account.user("").expect("an account has a user").clone();
        Self::on(Nats { url: addresses.nats.clone(), user: credentials.user, password: credentials.password }).await
    }

    /// A world on another NATS server.
    pub(crate) async fn on(nats: Nats) -> Self {
        let addresses = engines::for_tests().await;
        let publisher = schema(&addresses.postgres, "pub", &[]).await;
        let consumer = schema(&addresses.postgres, "con", &[("0001_effects.sql", EFFECTS)]).await;
        Self { nats, publisher, consumer, organization: OrganizationId(Ids::default().next()) }
    }

    pub(crate) fn settings(&self) -> Settings {
        let Nats { url, user, password } = self.nats.clone();
        Settings { url, user, password, stream_bytes: 16 << 20, dead_letter_bytes: 4 << 20, ..Settings::default() }
    }

    pub(crate) async fn broker(&self, service: &str) -> Broker {
        Broker::connect(service, &self.settings()).await.expect("the address is well formed")
    }

    /// Runs the publisher's relay until the task is dropped (a crash) or stopped (a shutdown).
    pub(crate) async fn relay(&self) -> Task {
        let broker = self.broker("document").await;
        Task::until(|shutdown| broker.relay(self.publisher.clone(), shutdown))
    }

    /// A change of an aggregate with its event, in one transaction.
    pub(crate) async fn write(&self, aggregate: Id, version: i64) {
        let tx = self.publisher.tenant_as(self.organization, &context()).await.expect("the database is there");
        tx.publish(&updated(aggregate), aggregate, version).expect("the event is small");
        tx.commit().await.expect("the database is there");
    }

    /// Rows of the outbox: (event id, sent).
    pub(crate) async fn outbox(&self) -> Vec<(Uuid, bool)> {
        let tx = self.publisher.system("test", &context()).await.expect("the database is there");
        let rows = tx
            .query("select event_id, sent_at is not null from outbox_event order by created_at, event_id", &[])
            .await
            .expect("readable");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// What a relay leaves that died after the acknowledgment and before the mark.
    pub(crate) async fn unmark(&self) {
        let tx = self.publisher.system("test", &context()).await.expect("the database is there");
        tx.execute("update outbox_event set sent_at = null", &[]).await.expect("writable");
        tx.commit().await.expect("the database is there");
    }

    pub(crate) async fn all_sent(&self, count: usize) {
        eventually("all rows are sent", || async {
            let rows = self.outbox().await;
            (rows.len() == count && rows.iter().all(|(_, sent)| *sent)).then_some(())
        })
        .await;
    }

    /// A handler whose effect is a row, once per event.
    pub(crate) fn recorder(&self, name: &'static str) -> impl Handler + Clone + use<> {
        let db = self.consumer.clone();
        move |delivery: Delivery| {
            let db = db.clone();
            async move { Outcome::from(record(&db, name, &delivery).await) }
        }
    }

    /// The recorder's effects in order of their commits' begin.
    pub(crate) async fn effects(&self, consumer: &str) -> Vec<Effect> {
        let tx = self.consumer.system("test", &context()).await.expect("the database is there");
        let sql = "select event_id, aggregate_id, version from effects where consumer = $1 order by position";
        let rows = tx.query(sql, &[&consumer]).await.expect("readable");
        rows.iter()
            .map(|row| Effect { event_id: row.get(0), aggregate: Id::from_uuid(row.get(1)), version: row.get(2) })
            .collect()
    }

    pub(crate) async fn effects_are(&self, consumer: &str, count: usize) -> Vec<Effect> {
        eventually("the effects are there", || async {
            let effects = self.effects(consumer).await;
            assert!(effects.len() <= count, "{} effects of {count}: one was doubled", effects.len());
            (effects.len() == count).then_some(effects)
        })
        .await
    }

    pub(crate) async fn jetstream(&self) -> jetstream::Context {
        let options = async_nats::ConnectOptions::new();
        let options = if self.nats.user.is_empty() {
            options
        } else {
            options.user_and_password(self.nats.user.clone(), self.nats.password.clone())
        };
        jetstream::new(options.connect(&self.nats.url).await.expect("the server is there"))
    }

    pub(crate) async fn stream(&self, name: &str) -> Stream {
        let jetstream = self.jetstream().await;
        eventually("the stream exists", || async { jetstream.get_stream(name).await.ok() }).await
    }

    /// The publisher's stream, after a consumer subscribed to it and ended.
    pub(crate) async fn stream_after(&self, broker: &Broker, consumer: Consumer) -> Stream {
        let subscribed =
            Task::until(|shutdown| broker.consume(consumer, |_: Delivery| async { Outcome::retry() }, shutdown));
        let stream = self.stream("EVT_DOCUMENT").await;
        eventually("the consumer subscribed", || async { stream.consumer_info("search-index").await.ok() }).await;
        subscribed.stop().await;
        stream
    }

    /// Messages that a stream holds.
    pub(crate) async fn messages(&self, stream: &str) -> u64 {
        self.stream(stream).await.get_info().await.expect("the stream is there").state.messages
    }

    /// (aggregate, version) of all events on the publisher's stream, in its order.
    pub(crate) async fn published(&self) -> Vec<(String, i64)> {
        let stream = self.stream("EVT_DOCUMENT").await;
        let last = stream.get_info().await.expect("the stream is there").state.last_sequence;
        let mut published = Vec::new();
        for sequence in 1..=last {
            let message = stream.direct_get(sequence).await.expect("it is there");
            let header = |name: &str| message.headers.get(name).expect("every event has it").as_str().to_owned();
            published.push((header("workos-aggregate-id"), header("workos-version").parse().expect("a number")));
        }
        published
    }
}

/// The effect and the processed-event row commit together.
pub(crate) async fn record(db: &Db, consumer: &'static str, delivery: &Delivery) -> Result<(), db::Error> {
    let envelope = &delivery.envelope;
    let Some(tx) = db.once(consumer, envelope.event_id, envelope.organization, &delivery.context(consumer)).await?
    else {
        return Ok(());
    };
    let sql = "insert into effects (organization_id, consumer, event_id, aggregate_id, version, attempt) values ($1, $2, $3, $4, $5, $6)";
    let attempt = i32::try_from(delivery.attempt).expect("small");
    let (organization, aggregate) = (envelope.organization.uuid(), envelope.aggregate_id.uuid());
    tx.execute(sql, &[&organization, &consumer, &envelope.event_id, &aggregate, &envelope.version, &attempt]).await?;
    tx.commit().await
}

/// Every aggregate's versions appear as 1, 2, 3, ... without gap or step back.
pub(crate) fn assert_in_order(published: &[(String, i64)]) {
    let mut last = std::collections::BTreeMap::new();
    for (aggregate, version) in published {
        let before = last.insert(aggregate, *version).unwrap_or(0);
        assert_eq!(*version, before + 1, "aggregate {aggregate} went from {before} to {version}");
    }
}

pub(crate) fn updated(aggregate: Id) -> DocumentUpdated {
    DocumentUpdated { name: format!("documents/{aggregate}"), ..DocumentUpdated::default() }
}

pub(crate) fn context() -> CallContext {
    CallContext::background("test", &Ids::default())
}

pub(crate) fn new_id() -> Id {
    Ids::default().next()
}

async fn schema(admin_url: &str, prefix: &str, files: &'static [(&'static str, &'static str)]) -> Db {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let service: &'static str = Box::leak(format!("events_{prefix}_{}_{number}", std::process::id()).into_boxed_str());
    let passwords = std::collections::BTreeMap::from([(service.to_owned(), "secret".to_owned())]);
    db::migrate(admin_url, &[Migrations { service, files }], &passwords).await.expect("the schema is made");
    // Many tests share two cores; none of them is about a pool that runs dry.
    let settings =
        db::Settings { acquire_timeout: Duration::from_secs(20), ..db::Settings::new(admin_url, service, "secret") };
    Db::connect(&settings).await.expect("the address is well formed")
}

/// Background work of a test. Dropped, it is cut off where it stands, like a killed process.
pub(crate) struct Task {
    handle: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Task {
    pub(crate) fn start(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::until(|_| work)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own task, aborted on drop")]
    pub(crate) fn until<Work: Future<Output = ()> + Send + 'static>(
        work: impl FnOnce(CancellationToken) -> Work,
    ) -> Self {
        let shutdown = CancellationToken::new();
        Self { handle: tokio::spawn(work(shutdown.clone())), shutdown }
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(20), &mut self.handle)
            .await
            .expect("it ends")
            .expect("it does not panic");
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Polls until there is a value, for at most 30 s.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, poll: impl Fn() -> F) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let mut beat = tokio::time::interval(Duration::from_millis(10));
    while tokio::time::Instant::now() < deadline {
        beat.tick().await;
        if let Some(value) = poll().await {
            return value;
        }
    }
    panic!("not within 30 s: {what}");
}
