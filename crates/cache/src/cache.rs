//! Values with a lifetime.
use std::{any::Any, sync::Arc, time::Duration};

use bytes::Bytes;
use fred::{
    interfaces::{ClientLike, KeysInterface},
    types::Expiration,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Key, Settings, connection::Connections, limit::Limits, metrics::Metrics};

/// Largest value, in bytes.
const VALUE_MAX: usize = 1 << 20;
/// How long a health check may take.
const HEALTH: Duration = Duration::from_secs(1);

/// The cache of one service. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) connections: Connections,
    pub(crate) limits: Limits,
    pub(crate) flights: moka::future::Cache<String, Arc<dyn Any + Send + Sync>>,
    pub(crate) metrics: Metrics,
    prefix: String,
    command_timeout: Duration,
}

impl Cache {
    /// Begins to connect and waits for it at most half a second. Redis being away is no error: the service starts without
    /// it, and the connection is made when it is there.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the URL or the local share cannot be used.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        if !(settings.local_share > 0.0 && settings.local_share <= 1.0) {
            return Err(Error::Configuration(
                "the local share of rate limits must be above 0 and at most 1".to_owned(),
            ));
        }
        let shared = Shared {
            connections: Connections::open(settings).await?,
            limits: Limits::new(settings),
            flights: moka::future::Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(1)).build(),
            metrics: Metrics::new(),
            prefix: settings.prefix.clone(),
            command_timeout: settings.command_timeout,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads a value; `None` when it is not there, has expired, or cannot be read as `T`.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: go on as if it were not there.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key<T>) -> Result<Option<T>, Error> {
        let client = self.shared.connections.within(self.shared.command_timeout);
        let found: Result<Option<Bytes>, _> = client.get(self.name(key)).await;
        let value = self.counted(found)?.and_then(|bytes| match serde_json::from_slice(&bytes) {
            Ok(value) => Some(value),
            Err(cause) => {
                tracing::warn!(key = key.text(), error = %cause, "cached value of another shape ignored; change the kind with the type");
                None
            }
        });
        self.shared.metrics.read(value.is_some());
        Ok(value)
    }

    /// Writes a value that lives for `ttl`, at least a millisecond.
    ///
    /// # Errors
    /// [`Error::Unavailable`], or [`Error::Unfit`] for a value that is no JSON or above 1 MiB.
    pub async fn set<T: Serialize>(&self, key: &Key<T>, value: &T, ttl: Duration) -> Result<(), Error> {
        let bytes = serde_json::to_vec(value).map_err(Error::unfit)?;
        if bytes.len() > VALUE_MAX {
            return Err(Error::unfit(format!("{} bytes, at most {VALUE_MAX} are cached", bytes.len())));
        }
        let life = Expiration::PX(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1));
        let client = self.shared.connections.within(self.shared.command_timeout);
        let written: Result<(), _> = client.set(self.name(key), Bytes::from(bytes), Some(life), None, false).await;
        self.counted(written)?;
        self.shared.metrics.wrote();
        Ok(())
    }

    /// Removes a value. A flight that is under way may still write the one it read before; its lifetime bounds that.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the value may live on until its end.
    pub async fn delete<T>(&self, key: &Key<T>) -> Result<(), Error> {
        let client = self.shared.connections.within(self.shared.command_timeout);
        let removed: Result<u64, _> = client.del(self.name(key)).await;
        self.counted(removed).map(drop)
    }

    /// Succeeds when Redis answers within a second.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; the service works on without it.
    pub async fn health(&self) -> Result<(), Error> {
        let answer: Result<String, _> = self.shared.connections.within(HEALTH).ping(None).await;
        self.shared.metrics.connected(answer.is_ok() && self.shared.connections.connected());
        answer.map(drop).map_err(Error::from)
    }

    pub(crate) fn name<T>(&self, key: &Key<T>) -> String {
        format!("{}:{}", self.shared.prefix, key.text())
    }

    fn counted<T>(&self, answer: Result<T, fred::error::Error>) -> Result<T, Error> {
        answer.map_err(|cause| {
            self.shared.metrics.failed();
            Error::from(cause)
        })
    }
}
