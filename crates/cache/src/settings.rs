//! Where the cache is and how patient we are with it.
use std::{fmt, time::Duration};

/// Settings of one service's cache.
#[derive(Clone)]
pub struct Settings {
    /// `redis://:password@host:port`, or `rediss://` for TLS.
    pub url: String,
    /// Stands before every key: services and tests share a server without meeting.
    pub prefix: String,
    /// Connections; commands of many tasks share each of them.
    pub connections: usize,
    /// How long a command may take.
    pub command_timeout: Duration,
    /// How long the shared rate limits may take to answer before the local ones do. Part of every request's latency.
    pub limit_timeout: Duration,
    /// Part of a limit that one instance grants while the shared limits are away: one divided by the number of instances.
    pub local_share: f64,
}

impl Settings {
    /// Settings with the defaults: 2 connections, 250 ms for a command, 20 ms for a limit, the whole limit for one instance.
    #[must_use]
    pub fn new(url: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: prefix.into(),
            connections: 2,
            command_timeout: Duration::from_millis(250),
            limit_timeout: Duration::from_millis(20),
            local_share: 1.0,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("prefix", &self.prefix)
            .field("connections", &self.connections)
            .field("command_timeout", &self.command_timeout)
            .field("limit_timeout", &self.limit_timeout)
            .field("local_share", &self.local_share)
            .finish_non_exhaustive()
    }
}
