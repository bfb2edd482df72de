//! Where the database is and how it is spoken to.
use std::{fmt, time::Duration};

/// Settings of one service's database.
#[derive(Clone)]
pub struct Settings {
    /// `postgres://host:port/database`, several hosts separated by commas. User and password in it are replaced by the
    /// service's own role. With `sslmode=require&sslrootcert=/path/ca.pem` the connection is encrypted and the server verified.
    pub url: String,
    /// The service: name of the schema, and of the role `workos_<service>`.
    pub service: String,
    /// Password of the role.
    pub password: String,
    /// Most connections held; the relay of events has two of its own beside them.
    pub pool_size: usize,
    /// How long a transaction waits for a connection when all are in use.
    pub acquire_timeout: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a statement may run where no deadline says less.
    pub statement_timeout: Duration,
}

impl Settings {
    /// Settings with the defaults: 16 connections, 2 s for one to come free, 5 s to make one, 30 s for a statement.
    #[must_use]
    pub fn new(url: impl Into<String>, service: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            service: service.into(),
            password: password.into(),
            pool_size: 16,
            acquire_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("service", &self.service)
            .field("pool_size", &self.pool_size)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .finish_non_exhaustive()
    }
}

/// A service's name becomes part of SQL, so only plain names are let in.
pub(crate) fn is_service_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}
