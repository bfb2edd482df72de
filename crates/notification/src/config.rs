//! Settings of the notification service, section `[notification]` of `workos.toml`.
use std::{net::IpAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

/// Time that asking for an address and recording an attempt may take beside the sending.
const MARGIN: Duration = Duration::from_secs(60);
/// Events are kept so long by whoever may send them again; forgetting earlier would notify twice.
const EVENTS_KEPT: Duration = Duration::from_hours(36 * 24);

/// Settings of the notification service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Most items on a page; a larger `page_size` is coerced to it. The contract promises at most 1000.
    pub(crate) page_size_max: usize,
    /// How long a page token can be used.
    #[serde(with = "chassis::duration")]
    pub(crate) page_token_age: Duration,
    /// How long a stream of an inbox waits at most until it looks again; items made by this process are heard of at once.
    #[serde(with = "chassis::duration")]
    pub(crate) watch_interval: Duration,
    /// How often a mail is tried before it is given up.
    pub(crate) tries: u16,
    /// Longest delay before the second try; each further one may take twice as long. Delays are random below that (full jitter).
    #[serde(with = "chassis::duration")]
    pub(crate) backoff: Duration,
    /// Where the delay stops growing.
    #[serde(with = "chassis::duration")]
    pub(crate) backoff_max: Duration,
    /// Workers that send mails; one that waits for a server does not hold up the others.
    pub(crate) workers: u16,
    /// Most mails that a worker sends at once.
    pub(crate) batch: u16,
    /// How often a worker looks for mails that have become due.
    #[serde(with = "chassis::duration")]
    pub(crate) poll: Duration,
    /// After so long without a record an attempt counts as uncertain; longer than smtp_timeout by a minute.
    #[serde(with = "chassis::duration")]
    pub(crate) lease: Duration,
    /// How long inbox items, deliveries and captured mails are kept.
    #[serde(with = "chassis::duration")]
    pub(crate) retention: Duration,
    /// How often what is too old is cleared away.
    #[serde(with = "chassis::duration")]
    pub(crate) sweep_interval: Duration,
    /// Most rows that one step of the clearing takes.
    pub(crate) sweep_batch: u16,
    /// Sender of all mails.
    pub(crate) sender: String,
    /// Mail server. Empty: mails are captured in a table, where ListCapturedMails shows them.
    pub(crate) smtp_host: String,
    /// Port of the mail server: 465 for "tls", 587 for "starttls".
    pub(crate) smtp_port: u16,
    /// "tls", "starttls", or "none", which is refused unless the server is a loopback address.
    pub(crate) smtp_security: Security,
    /// Root certificate (PEM) of the mail server; empty: those of the system.
    pub(crate) smtp_ca_path: PathBuf,
    /// Account at the mail server; empty: none.
    pub(crate) smtp_username: String,
    /// Password of the account.
    pub(crate) smtp_password: chassis::Secret<String>,
    /// Longest wait for one answer of the mail server.
    #[serde(with = "chassis::duration")]
    pub(crate) smtp_step_timeout: Duration,
    /// Longest time for one mail altogether.
    #[serde(with = "chassis::duration")]
    pub(crate) smtp_timeout: Duration,
}

/// How the connection to the mail server is protected. There is no fallback from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS, without which nothing is sent.
    Starttls,
    /// Clear text.
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            page_size_max: 1000,
            page_token_age: Duration::from_hours(24),
            watch_interval: Duration::from_secs(1),
            tries: 8,
            backoff: Duration::from_secs(5),
            backoff_max: Duration::from_hours(1),
            workers: 2,
            batch: 16,
            poll: Duration::from_secs(1),
            lease: Duration::from_mins(5),
            retention: Duration::from_hours(90 * 24),
            sweep_interval: Duration::from_hours(1),
            sweep_batch: 1000,
            sender: "WorkOS <no-reply@workos.localhost>".to_owned(),
            smtp_host: String::new(),
            smtp_port: 465,
            smtp_security: Security::Tls,
            smtp_ca_path: PathBuf::new(),
            smtp_username: String::new(),
            smtp_password: chassis::Secret::new(""),
            smtp_step_timeout: Duration::from_secs(20),
            smtp_timeout: Duration::from_mins(1),
        }
    }
}

impl Config {
    fn is_loopback(&self) -> bool {
        self.smtp_host == "localhost" || self.smtp_host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl chassis::Section for Config {
    const SOURCE: &'static str = include_str!("config.rs");

    fn check(&self) -> Result<(), String> {
        let refused = |text: &str| Err(text.to_owned());
        if !(1..=1000).contains(&self.page_size_max) {
            return refused("page_size_max must lie between 1 and 1000");
        }
        let times = [
            self.page_token_age,
            self.watch_interval,
            self.backoff,
            self.poll,
            self.sweep_interval,
            self.smtp_step_timeout,
            self.smtp_timeout,
        ];
        if times.iter().any(Duration::is_zero) || self.backoff_max < self.backoff {
            return refused("every time must be longer than nothing, and backoff_max at least backoff");
        }
        if !(1..=100).contains(&self.tries) || !(1..=64).contains(&self.workers) || !(1..=1000).contains(&self.batch) {
            return refused("tries must lie between 1 and 100, workers between 1 and 64, batch between 1 and 1000");
        }
        if self.sweep_batch == 0 {
            return refused("sweep_batch must be at least 1");
        }
        if self.lease < self.smtp_timeout + MARGIN {
            return refused(
                "lease must be longer than smtp_timeout by a minute, or a mail that is being sent counts as lost",
            );
        }
        if self.retention < EVENTS_KEPT {
            return refused("retention must be at least 36 days, as long as an event can come again");
        }
        if self.smtp_security == Security::None && !self.smtp_host.is_empty() && !self.is_loopback() {
            return refused(
                "smtp_security \"none\" is for a mail server on this machine only; use \"tls\" or \"starttls\"",
            );
        }
        if self.smtp_security == Security::None && !self.smtp_username.is_empty() {
            return refused(
                "smtp_username needs smtp_security \"tls\" or \"starttls\": a password is never sent in clear",
            );
        }
        Ok(())
    }
}
