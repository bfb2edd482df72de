//! The connection to the broker, one per service, and what is known of its state.
//!
//! Connecting never holds up a service: the client connects and reconnects in the background for as long as it lives, and
//! until then the relay waits, consumers wait, and writers write to the outbox.
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::Clock;
use async_nats::{
    Client, ConnectOptions, Event, ServerAddr,
    connection::State,
    jetstream::{Context, context::ContextBuilder},
};
use db::Db;
use time::OffsetDateTime;

use crate::{Error, error::What, metrics, subject};

/// How long a request to the broker may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);

/// Where the broker is and how large its streams may grow.
#[derive(Clone)]
pub struct Settings {
    /// `nats://host:4222`, several separated by commas.
    pub url: String,
    /// User of the service; empty when the server asks for none.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Bytes the service's event stream may hold, reserved by the server; a full stream pushes back into the outbox.
    pub stream_bytes: u64,
    /// How long the stream keeps events.
    pub stream_age: Duration,
    /// Bytes the stream of all dead letters may hold, reserved by the server.
    pub dead_letter_bytes: u64,
    /// Copies of each stream: 1 on one machine, 3 in a cluster.
    pub replicas: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: String::new(),
            user: String::new(),
            password: String::new(),
            stream_bytes: 1 << 30,
            stream_age: Duration::from_secs(14 * 24 * 3600),
            dead_letter_bytes: 256 << 20,
            replicas: 1,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("url", &self.url)
            .field("user", &self.user)
            .field("stream_bytes", &self.stream_bytes)
            .field("stream_age", &self.stream_age)
            .field("dead_letter_bytes", &self.dead_letter_bytes)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

/// What is known of relay and consumers, at most some seconds old. For readiness details: none of it makes a service unready,
/// since writers only need the outbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// The broker is connected.
    pub connected: bool,
    /// Outbox rows not yet acknowledged by the broker.
    pub unsent: i64,
    /// When the oldest of them was written.
    pub oldest_unsent: Option<OffsetDateTime>,
    /// Last publish error; empty when the last publish succeeded.
    pub last_error: String,
    /// Consumers of the service.
    pub consumers: Vec<ConsumerStatus>,
}

/// State of one durable consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// `<consumer>` and the publisher it reads from, for example `index/document`.
    pub name: String,
    /// Messages not yet delivered.
    pub pending: u64,
    /// Messages delivered and not yet acknowledged.
    pub unacknowledged: u64,
}

/// One service's connection to the event broker. Cheap to clone.
#[derive(Clone)]
pub struct Broker(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) service: String,
    pub(crate) settings: Settings,
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    status: Mutex<Status>,
    /// Stream and durable of each running consumer, by the name in [`ConsumerStatus`].
    consumers: Mutex<BTreeMap<String, (String, String)>>,
}

impl Broker {
    /// Connects in the background and returns at once.
    ///
    /// # Errors
    /// [`Error::Address`] when the address cannot be read.
    pub async fn connect(service: &str, settings: &Settings) -> Result<Self, Error> {
        let client = open(
            options(settings).custom_inbox_prefix(subject::inbox(service)).name(service).retry_on_initial_connect(),
            &settings.url,
        )
        .await?;
        let jetstream = ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        Ok(Self(Arc::new(Inner {
            service: service.to_owned(),
            settings: settings.clone(),
            client,
            jetstream,
            status: Mutex::default(),
            consumers: Mutex::default(),
        })))
    }

    /// What is known of relay and consumers; does no I/O.
    #[must_use]
    pub fn status(&self) -> Status {
        Status { connected: self.is_connected(), ..held(&self.0.status).clone() }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.0.client.connection_state() == State::Connected
    }

    pub(crate) fn note_publish(&self, error: Option<&str>) {
        held(&self.0.status).last_error = error.unwrap_or_default().to_owned();
    }

    pub(crate) fn register(&self, name: String, stream: String, durable: String) {
        held(&self.0.consumers).insert(name, (stream, durable));
    }

    /// Refreshes [`Broker::status`] and the gauges. What cannot be asked now keeps its last value.
    pub(crate) async fn refresh(&self, db: &Db) -> Status {
        match db.outbox().backlog().await {
            Ok(backlog) => {
                let oldest = backlog.oldest.map_or(Duration::ZERO, age);
                metrics::backlog(&self.0.service, backlog.unsent, oldest);
                let mut status = held(&self.0.status);
                status.unsent = backlog.unsent;
                status.oldest_unsent = backlog.oldest;
            }
            Err(error) => tracing::debug!(error = %error, "the outbox could not be counted"),
        }
        if self.is_connected() {
            self.refresh_consumers().await;
        }
        self.status()
    }

    /// Messages that the consumers of this service have not finished: never delivered, or delivered and unacknowledged.
    ///
    /// # Errors
    /// UNAVAILABLE when the broker or a consumer cannot be asked: an old number would be worse than none.
    pub(crate) async fn unheard(&self) -> Result<u64, api::Error> {
        let away = || api::Error::unavailable("the event broker");
        let known = held(&self.0.consumers).clone();
        let mut unheard = 0;
        for (stream, durable) in known.into_values() {
            let stream = self.0.jetstream.get_stream_no_info(stream).await.map_err(|_| away())?;
            let info = stream.consumer_info(durable).await.map_err(|_| away())?;
            unheard += info.num_pending + info.num_ack_pending as u64;
        }
        Ok(unheard)
    }

    async fn refresh_consumers(&self) {
        let known = held(&self.0.consumers).clone();
        let mut consumers = Vec::with_capacity(known.len());
        for (name, (stream, durable)) in known {
            let Ok(stream) = self.0.jetstream.get_stream_no_info(stream).await else { continue };
            let Ok(info) = stream.consumer_info(durable).await else { continue };
            let unacknowledged = info.num_ack_pending as u64;
            metrics::lag(&self.0.service, &name, info.num_pending, unacknowledged);
            consumers.push(ConsumerStatus { name, pending: info.num_pending, unacknowledged });
        }
        held(&self.0.status).consumers = consumers;
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Broker").field("service", &self.0.service).finish_non_exhaustive()
    }
}

/// Asks the broker whether JetStream serves this user, once.
///
/// # Errors
/// What went wrong, in one line for an operator.
pub async fn probe(url: &str, user: &str, password: &str) -> Result<(), String> {
    let settings =
        Settings { url: url.to_owned(), user: user.to_owned(), password: password.to_owned(), ..Settings::default() };
    let client =
        open(options(&settings).connection_timeout(REQUEST_TIMEOUT), url).await.map_err(|error| error.to_string())?;
    let jetstream = ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client);
    jetstream.query_account().await.what("JetStream does not answer").map(|_| ()).map_err(|error| error.to_string())
}

/// Time since; zero for a time in the future, as two clocks may give it.
pub(crate) fn age(since: OffsetDateTime) -> Duration {
    Duration::try_from(Clock::default().now() - since).unwrap_or(Duration::ZERO)
}

fn options(settings: &Settings) -> ConnectOptions {
    let options = ConnectOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(Duration::from_secs(10))
        .max_reconnects(None)
        .reconnect_delay_callback(|attempt| {
            let doubled = Duration::from_millis(50).saturating_mul(1 << attempt.min(6));
            doubled.min(RECONNECT_DELAY_MAX)
        })
        .event_callback(|event| async move {
            match event {
                Event::Connected => tracing::info!("event broker connected"),
                Event::Disconnected => tracing::warn!("event broker disconnected; events wait in the outbox"),
                Event::Closed | Event::Draining => tracing::debug!(%event, "event broker"),
                other => tracing::warn!(event = %other, "event broker"),
            }
        });
    if settings.user.is_empty() {
        options
    } else {
        options.user_and_password(settings.user.clone(), settings.password.clone())
    }
}

async fn open(options: ConnectOptions, url: &str) -> Result<Client, Error> {
    let addresses: Result<Vec<ServerAddr>, _> = url.split(',').map(|address| address.trim().parse()).collect();
    let addresses = addresses.ok().filter(|_| !url.trim().is_empty()).ok_or_else(|| Error::Address(url.to_owned()))?;
    options.connect(addresses).await.what("connect to the event broker")
}

/// A poisoned lock only means that a thread panicked between two assignments of plain values.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
