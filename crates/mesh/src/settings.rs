//! Settings of the mesh, section `[mesh]` of the configuration.
use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::period::Period;

/// Largest message that travels, in bytes. A server macro needs it at compile time; the setting can only lower it.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

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
    /// The most that single methods or whole services can get, and their default too when it is shorter:
    /// `"workos.search.v1.SearchService/Search" = "5s"`, `"workos.file.v1.FileService" = "30s"`. A method's own entry wins.
    pub methods: BTreeMap<String, Period>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            call: Period::secs(15),
            call_max: Period::secs(60),
            stream: Period::secs(86_400),
            stream_max: Period::secs(86_400),
            methods: BTreeMap::new(),
        }
    }
}

/// Retries by the client. Off in `sidecar` mode: retries happen in exactly one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// Tries of one call, the first included.
    pub tries: u32,
    /// Retries that each hundred calls earn, and the most that may run beside a hundred running calls. Ten are held in
    /// reserve, so that a quiet service may retry at all.
    pub budget_percent: u32,
    /// Retries that may run at the same time however few calls run.
    pub min_retry_concurrency: u32,
    /// Longest time that one try waits for the beginning of its answer; then a call that may be repeated goes elsewhere.
    /// `0ms`: as long as the call has.
    pub per_try_timeout: Period,
    /// Longest wait before the first retry; doubles with each further one.
    pub backoff: Period,
    /// The most that doubling leads to.
    pub backoff_max: Period,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            tries: 3,
            budget_percent: 20,
            min_retry_concurrency: 3,
            per_try_timeout: Period::millis(0),
            backoff: Period::millis(40),
            backoff_max: Period::secs(1),
        }
    }
}

/// How endpoints of a service are found, and reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// How long an answer of DNS counts, as long as calls are made.
    pub dns_refresh_rate: Period,
    /// Shortest time between two questions to DNS: after one that failed, or when a server closed its connection.
    pub dns_min_refresh_rate: Period,
    /// Time to open a connection, handshakes included.
    pub connect_timeout: Period,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            dns_refresh_rate: Period::secs(5),
            dns_min_refresh_rate: Period::secs(1),
            connect_timeout: Period::secs(5),
        }
    }
}

/// Which endpoint gets a call: the cheaper of two taken at random, by latency (peak EWMA) times calls in flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Balancing {
    /// Time in which a latency or a failure counts for a third (1/e) only.
    pub decay: Period,
    /// Percent of the endpoints that must be good. With fewer, health and ejections are ignored and all are tried: the few
    /// would break down too. 0 trusts health whatever it says.
    pub panic_threshold: u32,
}

impl Default for Balancing {
    fn default() -> Self {
        Self { decay: Period::secs(10), panic_threshold: 50 }
    }
}

/// Ejection of endpoints that fail where others work. Off in `sidecar` mode: the sidecar does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutlierDetection {
    /// Failures in a row that eject at once; 0 never. UNAVAILABLE, a lost or reset connection and a timeout are failures.
    pub consecutive_failures: u32,
    /// Window after which shares of failures are judged, and a good endpoint's past ejections are forgiven one by one.
    pub interval: Period,
    /// Time of the first ejection; the second lasts twice as long, the third three times.
    pub base_ejection_time: Period,
    /// The most that it grows to.
    pub max_ejection_time: Period,
    /// Percent of the endpoints that may be ejected at the same time.
    pub max_ejection_percent: u32,
    /// Percent of failures in a window that ejects; 0 never.
    pub failure_percentage_threshold: u32,
    /// Thousandths of a standard deviation by which an endpoint's share of successes may lie below the mean; 0 never ejects.
    pub success_rate_stdev_factor: u32,
    /// Endpoints with enough calls that the mean needs.
    pub success_rate_minimum_hosts: u32,
    /// Calls in a window below which an endpoint is not judged by shares.
    pub request_volume: u32,
    /// A call that ran out of time counts as a failure only if it had this long: a caller in a hurry proves nothing.
    pub timeout_min: Period,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            interval: Period::secs(10),
            base_ejection_time: Period::secs(30),
            max_ejection_time: Period::secs(300),
            max_ejection_percent: 50,
            failure_percentage_threshold: 85,
            success_rate_stdev_factor: 1900,
            success_rate_minimum_hosts: 5,
            request_volume: 50,
            timeout_min: Period::secs(1),
        }
    }
}

/// Active health checks by `grpc.health.v1`, in `direct` mode. They rest when no call was made for a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthCheck {
    /// Time between two checks of an endpoint, give or take a tenth; `0ms` checks nothing.
    pub interval: Period,
    /// Time that an endpoint has to answer.
    pub timeout: Period,
    /// Failed checks in a row that take an endpoint out. NOT_SERVING does at once.
    pub unhealthy_threshold: u32,
    /// Good checks in a row that bring it back.
    pub healthy_threshold: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { interval: Period::secs(10), timeout: Period::secs(2), unhealthy_threshold: 2, healthy_threshold: 1 }
    }
}

/// Limits of what is sent to one service at the same time; one call more is refused with UNAVAILABLE and not retried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Calls that run, without streams.
    pub max_requests: u32,
    /// Streams that run, uploads and downloads among them: those who watch for hours leave the calls their places.
    pub max_streams: u32,
    /// Calls that wait for a connection.
    pub max_pending_requests: u32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { max_requests: 1024, max_streams: 16_384, max_pending_requests: 1024 }
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
    /// Upstreams that are none of the platform's services and have no workload certificate: reached without TLS in `direct` mode,
    /// `["library"]`. In `process` mode each upstream is that `addresses` names and no service of the platform is.
    pub plaintext: Vec<String>,
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
    /// Finding and reaching endpoints.
    pub discovery: Discovery,
    /// Choosing among endpoints.
    pub balancing: Balancing,
    /// Ejecting endpoints that fail.
    pub outlier_detection: OutlierDetection,
    /// Asking endpoints for their health.
    pub health_check: HealthCheck,
    /// Limits per service.
    pub circuit_breaker: CircuitBreaker,
    /// Largest first message of a request, in bytes; at most 8 MiB.
    pub message_bytes_max: usize,
    /// Calls at work at the same time, without streams, per listener; one more is refused with UNAVAILABLE.
    pub concurrency: usize,
    /// Streams at work at the same time, per listener; one more is refused with UNAVAILABLE.
    pub streams: usize,
    /// Open connections, per listener; one more waits.
    pub connections: usize,
    /// Age at which a connection is told to go (GOAWAY), give or take a tenth.
    pub connection_age: Period,
    /// Time that calls and streams on such a connection have left: they go on, and new ones take another connection.
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
            plaintext: Vec::new(),
            trust_domain: "workos.local".to_owned(),
            namespace: "workos".to_owned(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            ca: PathBuf::new(),
            deadlines: Deadlines::default(),
            retries: Retries::default(),
            discovery: Discovery::default(),
            balancing: Balancing::default(),
            outlier_detection: OutlierDetection::default(),
            health_check: HealthCheck::default(),
            circuit_breaker: CircuitBreaker::default(),
            message_bytes_max: MESSAGE_BYTES_MAX,
            concurrency: 1024,
            streams: 16_384,
            connections: 4096,
            connection_age: Period::secs(300),
            connection_grace: Period::secs(86_400),
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
        positive("streams", self.streams > 0)?;
        positive("connections", self.connections > 0)?;
        positive("deadlines.call", !self.deadlines.call.get().is_zero())?;
        positive("deadlines.stream", !self.deadlines.stream.get().is_zero())?;
        self.check_upstreams()?;
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

    /// What concerns endpoints and their choice.
    fn check_upstreams(&self) -> Result<(), String> {
        let (outlier, health, circuit) = (&self.outlier_detection, &self.health_check, &self.circuit_breaker);
        let positive = [
            ("discovery.dns_refresh_rate", !self.discovery.dns_refresh_rate.get().is_zero()),
            ("discovery.connect_timeout", !self.discovery.connect_timeout.get().is_zero()),
            ("balancing.decay", !self.balancing.decay.get().is_zero()),
            ("outlier_detection.interval", !outlier.interval.get().is_zero()),
            ("health_check.timeout", !health.timeout.get().is_zero()),
            ("health_check.unhealthy_threshold", health.unhealthy_threshold > 0),
            ("health_check.healthy_threshold", health.healthy_threshold > 0),
            ("circuit_breaker.max_requests", circuit.max_requests > 0),
            ("circuit_breaker.max_streams", circuit.max_streams > 0),
            ("circuit_breaker.max_pending_requests", circuit.max_pending_requests > 0),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, ok)| !ok) {
            return Err(format!("mesh.{name} must be greater than zero"));
        }
        let percent = [
            ("retries.budget_percent", self.retries.budget_percent),
            ("balancing.panic_threshold", self.balancing.panic_threshold),
            ("outlier_detection.max_ejection_percent", outlier.max_ejection_percent),
            ("outlier_detection.failure_percentage_threshold", outlier.failure_percentage_threshold),
        ];
        if let Some((name, _)) = percent.into_iter().find(|(_, value)| *value > 100) {
            return Err(format!("mesh.{name} is a percentage, 0 to 100"));
        }
        // What is served of other contracts is known only when they were loaded.
        let known = |name: &&String| {
            let methods = || proto::methods().iter();
            (!name.starts_with("workos.") && name.contains('.'))
                || methods().any(|method| method.rpc == name.as_str() || method.full_service == name.as_str())
        };
        if let Some(name) = self.plaintext.iter().find(|name| is_of_platform(name)) {
            return Err(format!(
                "mesh.plaintext: `{name}` is a service of the platform, which is never reached without TLS"
            ));
        }
        match self.deadlines.methods.keys().find(|name| !known(name)) {
            Some(name) => Err(format!(
                "mesh.deadlines.methods: the contract has no method or service `{name}`; write `workos.file.v1.FileService/GetFile`"
            )),
            None => Ok(()),
        }
    }

    /// An upstream with an address of its own that is none of the platform's services.
    pub(crate) fn is_foreign(&self, service: &str) -> bool {
        self.addresses.contains_key(service) && !is_of_platform(service)
    }

    /// The configured addresses of a service, `host:port`.
    #[must_use]
    pub fn addresses_of(&self, service: &str) -> Vec<String> {
        self.addresses.get(service).cloned().unwrap_or_else(|| vec![self.address.replace("{service}", service)])
    }
}

/// The contract that this program was built with has methods of it.
fn is_of_platform(service: &str) -> bool {
    proto::methods().of_service(service).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_mode_without_files_is_refused_with_the_remedy() {
        let settings = Settings { mode: Mode::Direct, ..Settings::default() };
        assert!(settings.check().expect_err("no files").contains("workos certificates"));
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let refused = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().expect_err("it cannot work")
        };
        let text = refused(|settings| settings.circuit_breaker.max_requests = 0);
        assert!(text.contains("mesh.circuit_breaker.max_requests"), "{text}");
        let text = refused(|settings| settings.balancing.panic_threshold = 101);
        assert!(text.contains("mesh.balancing.panic_threshold"), "{text}");
        let text = refused(|settings| settings.deadlines.methods = [("GetFile".to_owned(), Period::secs(1))].into());
        assert!(text.contains("`GetFile`"), "{text}");
    }

    #[test]
    fn addresses_follow_from_the_service_name() {
        assert_eq!(Settings::default().addresses_of("document"), ["document-service:50051"]);
    }
}
