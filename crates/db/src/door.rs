//! The only door to the database: who opens a transaction, and for whom.
use std::{sync::Arc, time::Duration};

use api::{CallContext, Caller, Ids, OrganizationId, UserId};
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    Backlog, Error, Kind, Migrations, Outbox, Settings, Tx, endpoint::Endpoint, metrics::Metrics, pool::Pool, schema,
    scope::Scope, settings,
};

/// Connections of the relay: one holds its claim open while the other looks at the backlog.
const RELAY_CONNECTIONS: usize = 2;
/// How long a health check may take.
const HEALTH: Duration = Duration::from_secs(2);
const ONCE: &str = "insert into processed_event (consumer, event_id) values ($1, $2) on conflict do nothing";

/// The database of one service. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Arc<Pool>,
    relay: Arc<Pool>,
    shared: Arc<Shared>,
}

/// What a transaction needs of its database.
pub(crate) struct Shared {
    pub(crate) service: String,
    pub(crate) statement_timeout: Duration,
    pub(crate) ids: Ids,
    pub(crate) notify: Arc<Notify>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Db {
    /// Makes the pool and tries a first connection for at most half a second. PostgreSQL being away is no error: the service
    /// stays up, says so by [`Db::health`], and heals when it is back.
    ///
    /// # Errors
    /// [`Kind::Configuration`] when URL, certificate or service name cannot be used.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        if !settings::is_service_name(&settings.service) {
            return Err(Error::configuration(format!(
                "`{}` is no service name: lower-case letters, digits and _ are allowed",
                settings.service
            )));
        }
        let endpoint = Endpoint::parse(&settings.url)?;
        let metrics = Arc::new(Metrics::new(&settings.service));
        let pool = Arc::new(Pool::new(settings, &endpoint, settings.pool_size.max(1), metrics.clone())?);
        let relay = Arc::new(Pool::new(settings, &endpoint, RELAY_CONNECTIONS, metrics.clone())?);
        let shared = Arc::new(Shared {
            service: settings.service.clone(),
            statement_timeout: settings.statement_timeout,
            ids: Ids::default(),
            notify: Arc::new(Notify::new()),
            metrics,
        });
        let soon = tokio::time::Instant::now() + Duration::from_millis(500);
        if let Err(error) = pool.lease(Some(soon)).await {
            tracing::warn!(
                service = settings.service,
                error = crate::error::describe(&error),
                "database not reached yet"
            );
        }
        Ok(Self { pool, relay, shared })
    }

    /// A transaction in the caller's organization; rows of the caller's own are visible too.
    ///
    /// # Errors
    /// PERMISSION_DENIED (as [`Kind::Refused`]) when the caller has no organization; [`Kind::Unavailable`] when no
    /// connection comes free or can be made in time.
    pub async fn tenant(&self, caller: &Caller) -> Result<Tx, Error> {
        let scope = Scope::Tenant { organization: caller.organization()?, subject: caller.user() };
        self.open(&self.pool, scope, caller.context()).await
    }

    /// A transaction in an organization on nobody's behalf: consumers and tasks.
    ///
    /// # Errors
    /// As [`Db::tenant`].
    pub async fn tenant_as(&self, organization: OrganizationId, context: &CallContext) -> Result<Tx, Error> {
        self.open(&self.pool, Scope::Tenant { organization, subject: None }, context).await
    }

    /// A transaction over one user's own rows.
    ///
    /// # Errors
    /// As [`Db::tenant`].
    pub async fn subject(&self, user: UserId, context: &CallContext) -> Result<Tx, Error> {
        self.open(&self.pool, Scope::Subject(user), context).await
    }

    /// A transaction across all tenants. The reason is logged.
    ///
    /// # Errors
    /// As [`Db::tenant`].
    pub async fn system(&self, reason: &str, context: &CallContext) -> Result<Tx, Error> {
        tracing::info!(reason, method = context.method, http.request.id = context.request_id, "system transaction");
        self.open(&self.pool, Scope::System, context).await
    }

    /// A transaction for the effect of an event at a consumer, or `None` when that was committed before. A second worker with
    /// the same event waits for the first.
    ///
    /// # Errors
    /// As [`Db::tenant`] and [`Tx::execute`].
    pub async fn once(
        &self,
        consumer: &str,
        event_id: Uuid,
        organization: OrganizationId,
        context: &CallContext,
    ) -> Result<Option<Tx>, Error> {
        let tx = self.tenant_as(organization, context).await?;
        let first = tx.execute(ONCE, &[&consumer, &event_id]).await? == 1;
        Ok(first.then_some(tx))
    }

    /// As [`Db::once`], for an event whose effect crosses tenants.
    ///
    /// # Errors
    /// As [`Db::once`].
    pub async fn once_system(
        &self,
        consumer: &str,
        event_id: Uuid,
        reason: &str,
        context: &CallContext,
    ) -> Result<Option<Tx>, Error> {
        let tx = self.system(reason, context).await?;
        let first = tx.execute(ONCE, &[&consumer, &event_id]).await? == 1;
        Ok(first.then_some(tx))
    }

    /// The relay's access to the outbox.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.clone())
    }

    /// Signalled after each commit that published something. One relay waits on it.
    #[must_use]
    pub fn outbox_notify(&self) -> Arc<Notify> {
        self.shared.notify.clone()
    }

    /// Fails when the schema is older than these migrations. A newer one is fine: migrations expand before they contract.
    ///
    /// # Errors
    /// [`Kind::SchemaOutdated`] with the remedy; else as [`Db::tenant`].
    pub async fn check_schema(&self, migrations: &Migrations) -> Result<(), Error> {
        let tx = self.quiet("schema check").await?;
        let version = schema::check(&tx, migrations).await?;
        self.shared.metrics.schema(version);
        Ok(())
    }

    /// Succeeds when a connection is free or can be made, and answers. Fails also when all connections are in use for long.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] or [`Kind::Configuration`].
    pub async fn health(&self) -> Result<(), Error> {
        let tx = self.quiet("health").await?;
        tx.query_one("select 1", &[]).await.map(drop)
    }

    /// The epoch of this schema.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub async fn epoch(&self) -> Result<i32, Error> {
        let tx = self.quiet("epoch").await?;
        Ok(tx.query_one("select value from epoch", &[]).await?.try_get(0)?)
    }

    /// Raises the epoch after a point-in-time restore; gives the new one.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub async fn raise_epoch(&self, context: &CallContext) -> Result<i32, Error> {
        let tx = self.system("raise the epoch after a restore", context).await?;
        let epoch = tx.query_one("update epoch set value = value + 1 returning value", &[]).await?.try_get(0)?;
        tx.commit().await?;
        Ok(epoch)
    }

    pub(crate) async fn relay(&self, context: &CallContext) -> Result<Tx, Error> {
        self.open(&self.relay, Scope::Relay, context).await
    }

    pub(crate) fn observe(&self, backlog: &Backlog) {
        let age = backlog.oldest.map_or(Duration::ZERO, |oldest| age_of(oldest, api::Clock::default().now()));
        self.shared.metrics.backlog(backlog.unsent, age);
    }

    /// A short transaction of this crate's own, not worth a log line.
    pub(crate) async fn quiet(&self, name: &str) -> Result<Tx, Error> {
        let deadline = Some(tokio::time::Instant::now() + HEALTH);
        let context = CallContext { method: name.to_owned(), deadline, ..CallContext::default() };
        self.open(&self.pool, Scope::System, &context).await
    }

    async fn open(&self, pool: &Pool, scope: Scope, context: &CallContext) -> Result<Tx, Error> {
        let lease = pool.lease(context.deadline).await?;
        Ok(Tx::new(lease, self.shared.clone(), scope, context.clone()))
    }
}

fn age_of(oldest: OffsetDateTime, now: OffsetDateTime) -> Duration {
    Duration::try_from(now - oldest).unwrap_or(Duration::ZERO)
}

/// Asks the PostgreSQL behind a URL for an answer, in at most 5 s.
///
/// # Errors
/// [`Kind::Unavailable`] or [`Kind::Configuration`].
pub async fn probe(url: &str) -> Result<(), Error> {
    let patience = Duration::from_secs(5);
    let session = Endpoint::parse(url)?.session(patience).await?;
    let answer = tokio::time::timeout(patience, session.client.simple_query("select 1")).await;
    answer.map_err(|_| Error::new(Kind::Unavailable, "the probe got no answer"))?.map(drop).map_err(Error::from)
}
