//! The Prometheus recorder, its buckets, and the metrics of the process itself.
//!
//! A scrape reads `/proc`, nothing is sampled in between. The only raw metric macros of this crate are here.
#![expect(clippy::disallowed_macros, reason = "the one file of this crate that emits metrics")]

use metrics::{counter, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// A bound on each time threshold of the service level objectives (250 ms, 500 ms, 5 s) and enough between.
const SECONDS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Sizes from 64 B to 64 MiB.
const BYTES: [f64; 11] =
    [64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];
/// Kernel clock ticks per second in `/proc/self/stat`; 100 on every Linux the images run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Makes the recorder global.
pub(super) fn install(service: &str) -> Result<PrometheusHandle, anyhow::Error> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| anyhow::anyhow!("another metrics recorder is in place"))?;
    let labels = [("version", env!("CARGO_PKG_VERSION").to_owned()), ("service", service.to_owned())];
    gauge!("workos_build_info", &labels).set(1.0);
    Ok(handle)
}

fn recorder() -> Result<metrics_exporter_prometheus::PrometheusRecorder, BuildError> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)?;
    Ok(builder.build_recorder())
}

/// Brings the metrics of the process up to date; called per scrape.
pub(super) fn process() {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        gauge!("workos_runtime_tasks").set(count(runtime.metrics().num_alive_tasks()));
    }
    if let Some(kib) = resident_kib() {
        gauge!("process_resident_memory_bytes").set(kib * 1024.0);
    }
    if let Some(ticks) = cpu_ticks() {
        // A counter in whole seconds would be too coarse: Prometheus counters are floats, this crate's are not.
        gauge!("process_cpu_seconds").set(ticks / TICKS_PER_SECOND);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(count(open.count()));
    }
}

/// Counts a request of the admin port.
pub(crate) fn admin_request(page: &'static str, status: u16) {
    counter!("workos_chassis_admin_requests_total", "page" => page, "status" => status.to_string()).increment(1);
}

/// Shows how old the identity data are; alerts fire on it, because `sensitive` methods stop when it grows.
pub(crate) fn identity_age(seconds: f64) {
    gauge!("workos_chassis_identity_age_seconds").set(seconds);
}

/// Counts how the groups of a caller were read: alerts fire on `failed`, because shares with groups do not count then.
pub(crate) fn groups_read(outcome: &'static str) {
    counter!("workos_chassis_group_reads_total", "outcome" => outcome).increment(1);
}

/// Shows whether one engine answers one service: 1 or 0.
pub(crate) fn engine_up(service: &'static str, engine: &'static str, up: bool) {
    gauge!("workos_chassis_engine_up", "service" => service, "engine" => engine).set(f64::from(u8::from(up)));
}

#[expect(clippy::cast_precision_loss, reason = "counts of tasks and files stay far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

fn resident_kib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn cpu_ticks() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name in parentheses, may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (user, system): (f64, f64) = (fields.get(11)?.parse().ok()?, fields.get(12)?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_knows_its_memory_and_processor_time() {
        assert!(resident_kib().expect("this is Linux") > 100.0);
        assert!(cpu_ticks().expect("this is Linux") >= 0.0);
    }
}
