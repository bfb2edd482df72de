//! Settings of the identity service.
use std::time::Duration;

use chassis::Secret;
use serde::{Deserialize, Serialize};

/// Section `[auth]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Key that encrypts the private keys in the database: 32 bytes in base64, best as `wrapping_key_file`. In profile `dev` it is made
    /// at the first start and kept in the data folder; elsewhere a missing one stops the start. Losing it makes all keys useless.
    pub wrapping_key: Secret,
    /// The wrapping key before, best as `previous_wrapping_key_file`: what it has sealed still opens. To replace the wrapping key, set both
    /// and restart, run `workos admin rewrap`, and take this one out.
    pub previous_wrapping_key: Secret,
    /// Secret part of every password hash: 32 bytes in base64, best as `pepper_file`; made and missed like the wrapping key. Losing it
    /// makes every password wrong.
    pub pepper: Secret,
    /// Life of an access token, 10 s to 9 min: an internal token lives a minute longer, and none more than ten.
    #[serde(with = "chassis::duration")]
    pub access_token_life: Duration,
    /// How long a replaced refresh token still gives the same successor, for clients that lost the answer; at most 5 min.
    #[serde(with = "chassis::duration")]
    pub refresh_window: Duration,
    /// A session ends when it was not refreshed for so long.
    #[serde(with = "chassis::duration")]
    pub session_idle: Duration,
    /// A session ends after so long in any case.
    #[serde(with = "chassis::duration")]
    pub session_life: Duration,
    /// Sessions that a user may have; the oldest ends when there is one more. 1 to 1,000.
    pub sessions_per_user: u32,
    /// Anybody may make an account by proving an address; otherwise only administrators and invitations make accounts.
    pub sign_up: bool,
    /// How long entries of the audit log are kept; at least 30 days.
    #[serde(with = "chassis::duration")]
    pub audit_retention: Duration,
    /// How long a key signs tokens for the edge before its successor does; at least one hour.
    #[serde(with = "chassis::duration")]
    pub edge_key_age: Duration,
    /// The same for internal tokens.
    #[serde(with = "chassis::duration")]
    pub internal_key_age: Duration,
    /// Hosts of identity providers, each as `host:port`, that may have private addresses and be asked without TLS, for example those of
    /// a company network. All others need public addresses and https.
    pub private_hosts: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            wrapping_key: Secret::default(),
            previous_wrapping_key: Secret::default(),
            pepper: Secret::default(),
            access_token_life: Duration::from_secs(300),
            refresh_window: Duration::from_secs(30),
            session_idle: 14 * DAY,
            session_life: 90 * DAY,
            sessions_per_user: 50,
            sign_up: true,
            audit_retention: 400 * DAY,
            edge_key_age: 90 * DAY,
            internal_key_age: 30 * DAY,
            private_hosts: Vec::new(),
        }
    }
}

impl chassis::Section for Config {
    const SOURCE: &'static str = include_str!("config.rs");

    fn check(&self) -> Result<(), String> {
        let seconds = |least, most| Duration::from_secs(least)..=Duration::from_secs(most);
        if !seconds(10, 540).contains(&self.access_token_life) {
            return Err("access_token_life must be 10s to 9m".to_owned());
        }
        if !seconds(0, 300).contains(&self.refresh_window) {
            return Err("refresh_window must be at most 5m".to_owned());
        }
        if self.session_idle <= self.access_token_life || self.session_life < self.session_idle {
            return Err(
                "session_idle must be longer than access_token_life, and session_life at least as long as session_idle"
                    .to_owned(),
            );
        }
        if self.edge_key_age.min(self.internal_key_age) < Duration::from_secs(3600) {
            return Err("edge_key_age and internal_key_age must be at least 1h".to_owned());
        }
        if !(1..=1000).contains(&self.sessions_per_user) {
            return Err("sessions_per_user must be 1 to 1000".to_owned());
        }
        if self.audit_retention < Duration::from_secs(30 * 24 * 60 * 60) {
            return Err("audit_retention must be at least 30d".to_owned());
        }
        if !self
            .private_hosts
            .iter()
            .all(|host| host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()))
        {
            return Err("private_hosts must be host:port each, for example idp.internal:8443".to_owned());
        }
        Ok(())
    }
}
