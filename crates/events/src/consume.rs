//! Running a consumer: durable pull consumers, one per publisher it hears, each with a bounded number of handlers at work.
//!
//! Pull only, explicit acknowledgment only. The broker hands out at most [`MAX_UNACKNOWLEDGED`] messages; those that wait here
//! for their aggregate or for a free place are kept alive by progress signs. Losing the connection loses no work in progress:
//! handlers go on, and what they cannot acknowledge comes again and is found done.
use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use async_nats::jetstream::{
    AckKind, Message,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    context::ConsumerInfoErrorKind,
};
use futures::{FutureExt, StreamExt, future::join_all, stream};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{Broker, Consumer, Error, Handler, desk::Desk, error::What, outcome::MAX_DELIVER, settle, subject};

/// Messages the broker hands out before earlier ones are acknowledged, over all instances. Delayed ones count too.
const MAX_UNACKNOWLEDGED: i64 = 1024;
/// Messages per pull request.
const BATCH: usize = 256;
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);
const REOPEN_MAX: Duration = Duration::from_secs(5);
/// Delay of what is given back at shutdown: until then the broker knows that this instance's pull request is gone, and does
/// not deliver into it.
const GIVEN_BACK: Duration = Duration::from_millis(250);
/// How long handlers may go on after shutdown began.
const DRAIN: Duration = Duration::from_secs(10);

/// One durable: a consumer of this service on the stream of one publisher.
pub(crate) struct Station {
    pub(crate) broker: Broker,
    pub(crate) consumer: Consumer,
    pub(crate) publisher: &'static str,
    pub(crate) stream: String,
    pub(crate) durable: String,
    pub(crate) handler: Arc<dyn Handler>,
}

impl Broker {
    /// Hands the events that `consumer` wants to `handler`, until `shutdown`; then lets handlers at work finish for some
    /// seconds. Waits for a broker that is away. Run it as a task; several instances of a service share the work.
    pub fn consume(
        &self,
        consumer: Consumer,
        handler: impl Handler,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let handler: Arc<dyn Handler> = Arc::new(handler);
        let publishers: Vec<_> = consumer.types.keys().copied().collect();
        let stations: Vec<_> = publishers
            .into_iter()
            .map(|publisher| {
                Arc::new(Station {
                    broker: self.clone(),
                    consumer: consumer.clone(),
                    publisher,
                    stream: subject::stream(publisher),
                    durable: subject::durable(&self.0.service, consumer.name),
                    handler: handler.clone(),
                })
            })
            .collect();
        async move {
            let shutdown = &shutdown;
            let running = stations.into_iter().map(|station| async move {
                let name = format!("{}/{}", station.consumer.name, station.publisher);
                station.broker.register(name, station.stream.clone(), station.durable.clone());
                tokio::join!(station.clone().work(shutdown.clone()), station.watch_advisories(shutdown.clone()));
            });
            join_all(running).await;
            // A consumer that wants nothing has nothing to do until then.
            shutdown.cancelled().await;
        }
    }
}

impl Station {
    async fn work(self: Arc<Self>, shutdown: CancellationToken) {
        let mut floor = Floor {
            station: self.clone(),
            desk: Desk::new(self.consumer.concurrency, BATCH * 8),
            jobs: JoinSet::new(),
        };
        let mut messages = Box::pin(stream::unfold(None, |open| self.next(open)));
        let mut beat = tokio::time::interval(self.beat());
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(done) = floor.jobs.join_next() => floor.finished(done),
                _ = beat.tick() => floor.tell_progress().await,
                Some(message) = messages.next(), if floor.desk.has_room() => floor.admit(message),
            }
        }
        let mut unread = Vec::new();
        while let Some(Some(message)) = messages.next().now_or_never() {
            unread.push(message);
        }
        drop(messages);
        floor.close(unread).await;
    }

    /// How often the broker hears that a message is still worked on.
    pub(crate) fn beat(&self) -> Duration {
        (self.consumer.ack_wait / 3).max(Duration::from_millis(10))
    }

    /// The next message; opens the subscription again whenever it breaks.
    async fn next(&self, mut open: Option<pull::Stream>) -> Option<(Message, Option<pull::Stream>)> {
        let mut wait = Duration::from_millis(50);
        loop {
            let problem = match open.as_mut() {
                Some(messages) => match messages.next().await {
                    Some(Ok(message)) => return Some((message, open)),
                    Some(Err(error)) => error.to_string(),
                    None => "the subscription ended".to_owned(),
                },
                None => match self.open().await {
                    Ok(messages) => {
                        open = Some(messages);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
            };
            open = None;
            tracing::info!(consumer = self.durable, stream = self.stream, problem, "consumer subscribes again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(REOPEN_MAX);
        }
    }

    async fn open(&self) -> Result<pull::Stream, Error> {
        self.broker.ensure_streams(self.publisher).await?;
        let config = self.config(self.known_filters().await?);
        let consumer: PullConsumer =
            self.broker.0.jetstream.create_consumer_on_stream(config, &self.stream).await.what("set up a consumer")?;
        let pull = consumer.stream().max_messages_per_batch(BATCH).expires(PULL_EXPIRES).heartbeat(HEARTBEAT);
        pull.messages().await.what("subscribe a consumer")
    }

    /// What the durable subscribes to already. A newer instance may have added types; taking them away would let the durable
    /// pass over such events, and the newer instance would never see them.
    async fn known_filters(&self) -> Result<Vec<String>, Error> {
        let stream = self.broker.0.jetstream.get_stream_no_info(&self.stream).await.what("name a stream")?;
        match stream.consumer_info(&self.durable).await {
            Ok(info) => Ok(info.config.filter_subjects),
            Err(error)
                if matches!(error.kind(), ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound) =>
            {
                Ok(Vec::new())
            }
            Err(error) => Err(error).what("read a consumer"),
        }
    }

    fn config(&self, known: Vec<String>) -> pull::Config {
        let service = &self.broker.0.service;
        let types = &self.consumer.types[self.publisher];
        let mut filters: BTreeSet<String> = known.into_iter().collect();
        filters.extend(types.iter().map(|kind| subject::events_of(self.publisher, kind)));
        filters.insert(subject::redrives_of(self.publisher, service, self.consumer.name));
        pull::Config {
            durable_name: Some(self.durable.clone()),
            filter_subjects: filters.into_iter().collect(),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.consumer.ack_wait,
            max_deliver: i64::from(MAX_DELIVER),
            max_ack_pending: MAX_UNACKNOWLEDGED,
            // No backoff list: it would silently replace ack_wait. Delays are given with each negative acknowledgment.
            ..pull::Config::default()
        }
    }
}

/// Handlers at work and messages that wait.
struct Floor {
    station: Arc<Station>,
    desk: Desk<u128, Message>,
    /// Aborts what is still at work when dropped.
    jobs: JoinSet<u128>,
}

impl Floor {
    fn admit(&mut self, message: Message) {
        let served = self.desk.admit(settle::key(&message), message);
        self.serve(served);
    }

    fn finished(&mut self, done: Result<u128, tokio::task::JoinError>) {
        match done {
            Ok(key) => {
                let served = self.desk.done(&key);
                self.serve(served);
            }
            // Handlers' panics are caught where they are called, so this is a fault of this crate.
            Err(error) => {
                tracing::error!(%error, consumer = self.station.durable, "a consumer's own code failed; its aggregate waits for a restart")
            }
        }
    }

    fn serve(&mut self, served: Option<(u128, Message)>) {
        let Some((key, message)) = served else { return };
        let station = self.station.clone();
        self.jobs.spawn(async move {
            station.settle(message).await;
            key
        });
    }

    async fn tell_progress(&self) {
        for message in self.desk.waiting() {
            settle::tell(message, AckKind::Progress).await;
        }
    }

    /// Gives back what waits, so that another instance takes it soon, and lets handlers at work finish.
    async fn close(mut self, unread: Vec<Message>) {
        for message in unread.iter().chain(self.desk.waiting()) {
            settle::tell(message, AckKind::Nak(Some(GIVEN_BACK))).await;
        }
        let drained = async { while self.jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!(
                consumer = self.station.durable,
                "handlers were cut off at shutdown; their events come again"
            );
        }
    }
}
