//! Settings of the mesh, section `[mesh]` of the configuration.
use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Largest message that travels, in bytes. A server macro needs it at compile time; the setting can only lower it.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A span of time as people write it: `250ms`, `30s`, `5m`, `1h`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

impl Period {
    /// A period of whole milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A period of whole seconds.
    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1000, "s")] {
            if millis >= unit && millis.is_multiple_of(unit) {
                return write!(formatter, "{}{name}", millis / unit);
            }
        }
        write!(formatter, "{millis}ms")
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is not a number and a unit.
#[derive(Debug, thiserror::Error)]
#[error("a period is a whole number and a unit, one of ms, s, m, h: for example 30s")]
pub struct PeriodError;

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or(PeriodError)?;
        let (digits, unit) = text.split_at(split);
        let count: u64 = digits.parse().map_err(|_| PeriodError)?;
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(PeriodError),
        };
        count.checked_mul(factor).map(Self::millis).ok_or(PeriodError)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Who does the transport work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All services in one process, over in-memory pipes.
    #[default]
    Process,
    /// Our own mutual TLS between processes; balancing and retries are ours.
    Direct,
    /// A sidecar encrypts, balances and retries; plain HTTP/2 to and from it.
    Sidecar,
}

/// Time limits of calls, on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deadlines {
    /// Of a unary call whose caller set none.
    pub call: Period,
    /// The most a unary call can get.
    pub call_max: Period,
    /// Of a stream whose caller set none.
    pub stream: Period,
    /// The longest a stream may live.
    pub stream_max: Period,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            call: Period::secs(15),
            call_max: Period::secs(60),
            stream: Period::secs(900),
            stream_max: Period::secs(3600),
        }
    }
}

/// Retries by the client. Off in `sidecar` mode: retries happen in exactly one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// Tries of one call, the first included.
    pub tries: u32,
    /// Retries that each hundred calls earn. Ten are held in reserve, so that a quiet service may retry at all.
    pub budget_percent: u32,
    /// Longest wait before the first retry; doubles with each further one.
    pub backoff: Period,
    /// The most that doubling leads to.
    pub backoff_max: Period,
}

impl Default for Retries {
    fn default() -> Self {
        Self { tries: 3, budget_percent: 20, backoff: Period::millis(40), backoff_max: Period::secs(1) }
    }
}

/// Everything about how calls travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who does the transport work: `process`, `direct` or `sidecar`.
    pub mode: Mode,
    /// Where a service is reached when `addresses` does not name it; `{service}` stands for its name. A host name that
    /// resolves to several addresses is balanced over all of them in `direct` mode.
    pub address: String,
    /// Addresses of single services, `document = ["10.0.0.1:50051", "10.0.0.2:50051"]`.
    pub addresses: BTreeMap<String, Vec<String>>,
    /// Trust domain of workload certificates: `spiffe://<trust_domain>/ns/<namespace>/sa/<service>`.
    pub trust_domain: String,
    /// Namespace within the trust domain.
    pub namespace: String,
    /// PEM file with the workload's certificate chain (`direct` mode). Read again when it changes.
    pub certificate: PathBuf,
    /// PEM file with the workload's private key (`direct` mode).
    pub key: PathBuf,
    /// PEM file with the certificates that sign workload certificates (`direct` mode).
    pub ca: PathBuf,
    /// Time limits.
    pub deadlines: Deadlines,
    /// Retries.
    pub retries: Retries,
    /// Largest first message of a request, in bytes; at most 8 MiB.
    pub message_bytes_max: usize,
    /// Calls at work at the same time, per listener; one more is refused with UNAVAILABLE.
    pub concurrency: usize,
    /// Open connections, per listener; one more waits.
    pub connections: usize,
    /// Age at which a connection is told to go (GOAWAY), give or take a tenth.
    pub connection_age: Period,
    /// Time that calls on such a connection have left.
    pub connection_grace: Period,
    /// Time that running calls have left when the process stops.
    pub drain: Period,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            address: "{service}-service:50051".to_owned(),
            addresses: BTreeMap::new(),
            trust_domain: "workos.local".to_owned(),
            namespace: "workos".to_owned(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            ca: PathBuf::new(),
            deadlines: Deadlines::default(),
            retries: Retries::default(),
            message_bytes_max: MESSAGE_BYTES_MAX,
            concurrency: 1024,
            connections: 4096,
            connection_age: Period::secs(300),
            connection_grace: Period::secs(30),
            drain: Period::secs(40),
        }
    }
}

impl Settings {
    /// Says what is wrong, in the words of the configuration file.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), String> {
        let positive =
            |name: &str, ok: bool| if ok { Ok(()) } else { Err(format!("mesh.{name} must be greater than zero")) };
        positive("concurrency", self.concurrency > 0)?;
        positive("connections", self.connections > 0)?;
        positive("deadlines.call", !self.deadlines.call.get().is_zero())?;
        positive("deadlines.stream", !self.deadlines.stream.get().is_zero())?;
        if !(1..=10).contains(&self.retries.tries) {
            return Err("mesh.retries.tries must be 1 to 10; 1 means no retries".to_owned());
        }
        if !(1024..=MESSAGE_BYTES_MAX).contains(&self.message_bytes_max) {
            return Err(format!("mesh.message_bytes_max must be 1024 to {MESSAGE_BYTES_MAX}"));
        }
        if self.mode == Mode::Direct {
            for (name, file) in [("certificate", &self.certificate), ("key", &self.key), ("ca", &self.ca)] {
                if file.as_os_str().is_empty() {
                    return Err(format!(
                        "mesh.mode = \"direct\" needs mesh.{name}; write a development set with `workos certificates DIR`"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The configured addresses of a service, `host:port`.
    #[must_use]
    pub fn addresses_of(&self, service: &str) -> Vec<String> {
        self.addresses.get(service).cloned().unwrap_or_else(|| vec![self.address.replace("{service}", service)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_read_back() {
        for text in ["250ms", "30s", "5m", "1h"] {
            assert_eq!(text.parse::<Period>().expect("a period").to_string(), text);
        }
        for text in ["", "5", "s", "5 s", "-5s", "5d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn direct_mode_without_files_is_refused_with_the_remedy() {
        let settings = Settings { mode: Mode::Direct, ..Settings::default() };
        assert!(settings.check().expect_err("no files").contains("workos certificates"));
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn addresses_follow_from_the_service_name() {
        assert_eq!(Settings::default().addresses_of("document"), ["document-service:50051"]);
    }
}
