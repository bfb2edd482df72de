//! Connections that come back by themselves.
//!
//! A command never waits for a reconnect: while a connection is down it fails at once, and the caller goes on without the
//! cache. The driver reconnects with growing delays of at most two seconds; should its task end for good (it does so on a
//! fault it holds to be fatal, such as a password that is just being changed), it is started again.
use std::time::Duration;

use fred::{
    clients::{Client, Pool, WithOptions},
    error::ErrorKind,
    interfaces::ClientLike,
    types::{
        Builder,
        config::{Config, Options, ReconnectPolicy},
    },
};
use futures::FutureExt;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, timeout},
};

use crate::{Error, Settings};

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How often a connection is asked whether it still answers.
const BEAT: Duration = Duration::from_secs(1);
/// A connection that does not answer for so long is closed and made again.
const SILENT: Duration = Duration::from_secs(1);
/// Rest between two starts of the driver's task.
const AGAIN: Duration = Duration::from_secs(1);

/// The pool and the tasks that keep it connected; both end when this is dropped.
pub(crate) struct Connections {
    pool: Pool,
    _keepers: JoinSet<()>,
}

impl Connections {
    /// Begins to connect; waits for it no longer than half a second.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Error> {
        let pool = builder(&settings.url)?.build_pool(settings.connections.max(1)).map_err(unusable)?;
        let mut keepers = JoinSet::new();
        for client in pool.clients() {
            keepers.spawn(keep(client.clone()));
        }
        match timeout(Duration::from_millis(500), pool.wait_for_connect()).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => tracing::warn!(error = %cause, "cache not reached yet"),
            Err(_) => tracing::warn!("cache not reached yet"),
        }
        Ok(Self { pool, _keepers: keepers })
    }

    /// The next connection, with commands that end within `limit` and are never queued or repeated.
    pub(crate) fn within(&self, limit: Duration) -> WithOptions<Client> {
        let options = Options { timeout: Some(limit), fail_fast: true, max_attempts: Some(1), ..Options::default() };
        self.pool.next_connected().with_options(&options)
    }

    /// At least one connection stands.
    pub(crate) fn connected(&self) -> bool {
        self.pool.clients().iter().any(ClientLike::is_connected)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // The first poll tells the driver's tasks to end.
        let _ = self.pool.quit().now_or_never();
    }
}

/// Keeps one connection: starts the driver's task again when it ends, and has a silent connection made anew. The driver's own
/// check for silence does not help under load, because each command sent puts it off.
async fn keep(client: Client) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut driver = client.connect();
        let ended = loop {
            tokio::select! {
                ended = &mut driver => break ended,
                _ = beat.tick() => revive(&client).await,
            }
        };
        match ended {
            Ok(Ok(())) => tracing::debug!("cache connection ended"),
            Ok(Err(cause)) => tracing::warn!(error = %cause, "cache connection given up; starting again"),
            Err(_) => tracing::warn!("cache connection task failed; starting again"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn revive(client: &Client) {
    if !client.is_connected() {
        return;
    }
    let options = Options { timeout: Some(SILENT), fail_fast: true, max_attempts: Some(1), ..Options::default() };
    let answer: Result<String, _> = client.with_options(&options).ping(None).await;
    if answer.is_err_and(|cause| *cause.kind() == ErrorKind::Timeout) {
        tracing::warn!("cache connection silent; connecting again");
        if timeout(CONNECT, client.force_reconnection()).await.is_err() {
            tracing::debug!("cache did not answer the new connection in time; the driver goes on trying");
        }
    }
}

fn builder(url: &str) -> Result<Builder, Error> {
    // The driver takes any scheme for a plain connection.
    if !["redis", "valkey"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(malformed());
    }
    let mut config = Config::from_url(url).map_err(unusable)?;
    config.fail_fast = false;
    let mut builder = Builder::from_config(config);
    builder.set_policy(ReconnectPolicy::new_exponential(0, 50, 2_000, 2));
    builder.with_connection_config(|connection| {
        connection.connection_timeout = CONNECT;
        connection.internal_command_timeout = CONNECT;
        connection.max_command_attempts = 1;
        connection.reconnect_on_auth_error = true;
        connection.max_command_buffer_len = 10_000;
        connection.tcp.nodelay = Some(true);
    });
    Ok(builder)
}

/// The driver's words about a URL may repeat its password, so they are not passed on.
fn unusable(_: fred::error::Error) -> Error {
    malformed()
}

fn malformed() -> Error {
    Error::Configuration(
        "the cache URL is malformed; write redis://:password@host:port, or rediss:// for TLS".to_owned(),
    )
}

/// Asks the server behind a URL for an answer to PING, in at most 5 s.
///
/// # Errors
/// [`Error::Configuration`] for a malformed URL, [`Error::Unavailable`] when there is no answer.
pub async fn probe(url: &str) -> Result<(), Error> {
    let mut builder = builder(url)?;
    builder.with_config(|config| config.fail_fast = true);
    let client = builder.build().map_err(unusable)?;
    let ask = async {
        let _task = client.init().await?;
        client.ping::<String>(None).await
    };
    let answer = timeout(Duration::from_secs(5), ask).await;
    let _ = client.quit().now_or_never();
    match answer {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(cause)) => Err(cause.into()),
        Err(_) => Err(Error::unavailable("no answer within 5 s")),
    }
}
