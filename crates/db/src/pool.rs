//! Connections: lent for one transaction, given back clean, thrown away when in doubt.
//!
//! What must hold: nobody gets a connection that is known or suspected to be broken, and nobody waits longer than the
//! deadline allows. The one used last is lent first. A closed connection is noticed for free. After any connection fault,
//! every connection that was last used before it is asked once before it is lent again, because a host that vanished closes
//! nothing.
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, PoolError, QueueMode, RecyclingMethod, Runtime,
    Timeouts,
};
use tokio_postgres::NoTls;

use crate::{Error, Kind, Settings, endpoint::Endpoint, endpoint::Tls, error, metrics::Metrics};

/// Prepared statements kept per connection; dynamic SQL must not grow the server's memory without end.
const STATEMENTS_MAX: usize = 500;
/// How long a suspected connection may take to answer.
const VERIFY: Duration = Duration::from_secs(1);
/// What is left for the way back when waiting for a connection ends.
pub(crate) const MARGIN: Duration = Duration::from_millis(20);

/// The connections of one service.
pub(crate) struct Pool {
    inner: deadpool_postgres::Pool,
    suspicion: Arc<Suspicion>,
    role: String,
    acquire: Duration,
    connect: Duration,
    metrics: Arc<Metrics>,
}

impl Pool {
    pub(crate) fn new(
        settings: &Settings,
        endpoint: &Endpoint,
        size: usize,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let role = format!("workos_{}", settings.service);
        let mut config = endpoint.config.clone();
        config.user(&role).password(&settings.password).application_name(format!("workos-{}", settings.service));
        config.connect_timeout(settings.connect_timeout).tcp_user_timeout(Duration::from_secs(10));
        config
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3);
        let how = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match &endpoint.tls {
            Tls::Off => Manager::from_config(config, NoTls, how),
            Tls::On(tls) => Manager::from_config(config, tls.clone(), how),
        };
        let suspicion = Arc::new(Suspicion::default());
        let witness = suspicion.clone();
        let check = Hook::async_fn(move |client, history| {
            let suspected = witness.is_after(history.recycled.unwrap_or(history.created));
            Box::pin(recycle(client, suspected))
        });
        let inner = deadpool_postgres::Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            // The one used last knows the statements and their plans; in turn, each of them would learn everything (ADR 0061).
            .queue_mode(QueueMode::Lifo)
            .pre_recycle(check)
            .build()
            .map_err(|cause| Error::configuration(cause.to_string()))?;
        Ok(Self {
            inner,
            suspicion,
            role,
            acquire: settings.acquire_timeout,
            connect: settings.connect_timeout,
            metrics,
        })
    }

    /// Lends a connection, waiting no longer than settings and deadline allow.
    pub(crate) async fn lease(&self, deadline: Option<tokio::time::Instant>) -> Result<Lease, Error> {
        let left = match deadline.map(|deadline| deadline.saturating_duration_since(tokio::time::Instant::now())) {
            Some(Duration::ZERO) => {
                return Err(Error::new(Kind::Deadline, "the deadline passed before a connection was asked for"));
            }
            Some(left) => left.saturating_sub(MARGIN).max(Duration::from_millis(1)),
            None => Duration::MAX,
        };
        let limits = Timeouts {
            wait: Some(self.acquire.min(left)),
            create: Some(self.connect.min(left)),
            recycle: Some(VERIFY),
        };
        let begun = Instant::now();
        let waiting = self.metrics.waiting();
        let leased = self.inner.timeout_get(&limits).await;
        drop(waiting);
        self.metrics.waited(begun.elapsed());
        let object = leased.map_err(|cause| self.refused(&cause))?;
        self.metrics.leased();
        Ok(Lease { object: Some(object), suspicion: self.suspicion.clone(), metrics: self.metrics.clone() })
    }

    fn refused(&self, cause: &PoolError) -> Error {
        match cause {
            PoolError::Backend(cause) => {
                self.metrics.connection_fault();
                Error::connecting(cause, &self.role)
            }
            PoolError::Timeout(_) => {
                Error::new(Kind::Unavailable, format!("no connection came free or could be made in time: {cause}"))
            }
            other => Error::new(Kind::Unavailable, other.to_string()),
        }
    }
}

async fn recycle(client: &mut ClientWrapper, suspected: bool) -> Result<(), HookError> {
    if client.statement_cache.size() > STATEMENTS_MAX {
        client.statement_cache.clear();
    }
    if !suspected || client.is_closed() {
        return Ok(());
    }
    match tokio::time::timeout(VERIFY, client.simple_query("")).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(cause)) => Err(HookError::message(error::describe(&cause))),
        Err(_) => Err(HookError::message("a suspected connection did not answer")),
    }
}

/// When a connection last failed.
struct Suspicion {
    origin: Instant,
    nanos: AtomicU64,
}

impl Default for Suspicion {
    fn default() -> Self {
        Self { origin: Instant::now(), nanos: AtomicU64::new(0) }
    }
}

impl Suspicion {
    fn raise(&self) {
        let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_max(nanos, Ordering::AcqRel);
    }

    fn is_after(&self, use_time: Instant) -> bool {
        let raised = self.nanos.load(Ordering::Acquire);
        raised > 0 && self.origin + Duration::from_nanos(raised) >= use_time
    }
}

/// A lent connection. Dropping it gives it back.
pub(crate) struct Lease {
    object: Option<Object>,
    suspicion: Arc<Suspicion>,
    metrics: Arc<Metrics>,
}

impl Lease {
    pub(crate) fn client(&self) -> &ClientWrapper {
        self.object.as_ref().expect("a lease holds its connection until it is discarded, which ends its use")
    }

    /// Closes the connection instead of giving it back. PostgreSQL notices the closed socket and stops what still runs there
    /// (`client_connection_check_interval` of the role).
    pub(crate) fn discard(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }

    /// A fault on this connection: others may have it too.
    pub(crate) fn suspect(&self) {
        self.suspicion.raise();
        self.metrics.connection_fault();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.metrics.returned();
    }
}
