//! Sets up logs, traces and metrics, once per process. Emitting is elsewhere: `mesh/src/observe.rs` for calls, typed events
//! beside their code for the rest.
//!
//! Trace ids exist whether or not traces are exported, so that every log line of a request can be found by one (`api::Trace`).
//! Without an exporter no span is kept for one: it would cost each call for nobody. Export is batched on its own thread and
//! drops spans rather than wait. Only one set can exist per process: a second [`install`] returns the first.
mod ecs;
pub(crate) mod metrics;

use std::{
    io::IsTerminal as _,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

use crate::{BootError, LogFormat, Platform};

/// What libraries say below this level is noise, and would feed back into the exporter.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn,rustls=warn,opentelemetry=warn,opentelemetry_sdk=warn,opentelemetry-otlp=warn,fred=error,async_nats=warn,tokio_postgres=warn";
/// Longest wait for the collector, per batch and at the end.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

static INSTALLED: OnceLock<Telemetry> = OnceLock::new();
/// Held while telemetry is installed: two hosts of one process (tests) may start at the same moment.
static INSTALLING: Mutex<()> = Mutex::new(());

type SetLevel = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

/// Handle of the installed telemetry; clones share it.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    metrics: PrometheusHandle,
    level: Mutex<String>,
    set_level: SetLevel,
    /// `None` where nothing is exported.
    tracer: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// All metrics in Prometheus text form.
    #[must_use]
    pub(crate) fn render_metrics(&self) -> String {
        metrics::process();
        self.0.metrics.render()
    }

    /// Drops old samples; to be called every few seconds.
    pub(crate) fn upkeep(&self) {
        self.0.metrics.run_upkeep();
    }

    /// The log level in force, as directives.
    #[must_use]
    pub(crate) fn level(&self) -> String {
        self.0.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the log level.
    pub(crate) fn set_level(&self, directives: &str) -> Result<(), String> {
        (self.0.set_level)(filter(directives)?)?;
        directives.clone_into(&mut self.0.level.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// Sends what is still held; at most five seconds. Blocks: call it when nothing else is to run.
    pub fn flush(&self) {
        if let Some(Err(error)) = self.0.tracer.as_ref().map(|tracer| tracer.shutdown_with_timeout(EXPORT_TIMEOUT)) {
            tracing::debug!(error.message = %error, "traces not sent at the end");
        }
    }
}

/// Sets up logs, traces and metrics for a process that calls itself `service`.
///
/// # Errors
/// Wrong level directives, an OTLP address that is none, or another library has set a global of ours.
pub fn install(platform: &Platform, service: &str) -> Result<Telemetry, BootError> {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(installed) = INSTALLED.get() {
        return Ok(installed.clone());
    }
    let lines = lines(platform, service)?;
    let telemetry = set_up(platform, service, lines)?;
    log_panics();
    Ok(telemetry)
}

/// The layer that writes log lines where and how the settings say.
fn lines(platform: &Platform, service: &str) -> Result<Lines, BootError> {
    let settings = &platform.telemetry;
    let environment = platform.profile.as_str();
    if !settings.file.as_os_str().is_empty() {
        let file = Arc::new(open_log(&settings.file)?);
        // `Write` for `&File` appends in one call per line; the clone of the handle is a counter.
        return Ok(ecs::Ecs::new(service, environment, move || LogFile(file.clone())).boxed());
    }
    let pretty = match settings.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Pretty => true,
    };
    Ok(if pretty {
        let ansi = std::io::stderr().is_terminal();
        tracing_subscriber::fmt::layer()
            .with_ansi(ansi)
            .with_writer(std::io::stderr)
            .with_target(true)
            .compact()
            .boxed()
    } else {
        ecs::Ecs::new(service, environment, std::io::stdout).boxed()
    })
}

/// Opens the log file anew. The log of the run before is kept beside it, so the two together are bounded by two runs.
fn open_log(path: &std::path::Path) -> Result<std::fs::File, BootError> {
    let context = || format!("open the log file {} (telemetry.file)", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    let mut before = path.as_os_str().to_owned();
    before.push(".1");
    match std::fs::rename(path, before) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(context),
        _ => {}
    }
    std::fs::OpenOptions::new().create(true).append(true).open(path).with_context(context)
}

/// A handle that writes to the shared log file.
struct LogFile(Arc<std::fs::File>);

impl std::io::Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Sets up telemetry for tests: log lines belong to the test that is running.
///
/// # Errors
/// As [`install`].
pub fn install_for_tests(platform: &Platform) -> Result<Telemetry, BootError> {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(installed) = INSTALLED.get() {
        return Ok(installed.clone());
    }
    set_up(platform, "test", tracing_subscriber::fmt::layer().with_ansi(false).with_test_writer().compact().boxed())
}

type Lines = Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>;

fn set_up(platform: &Platform, service: &str, lines: Lines) -> Result<Telemetry, BootError> {
    let level = platform.telemetry.level.clone();
    let filter = filter(&level).map_err(crate::ConfigError::new)?;
    let (filter, handle) = reload::Layer::new(filter);
    let tracer = tracer(platform, service)?;
    let traces = tracer.as_ref().map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer.tracer("workos"))
            .with_threads(false)
            .with_location(false)
            .with_tracked_inactivity(false)
            .with_filter(tracing_subscriber::filter::LevelFilter::INFO)
    });
    let metrics = metrics::install(service).context("install the metrics recorder")?;
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces)
        .try_init()
        .context("install the log")?;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let set_level: SetLevel = Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()));
    let telemetry = Telemetry(Arc::new(Inner { metrics, level: Mutex::new(level), set_level, tracer }));
    Ok(INSTALLED.get_or_init(|| telemetry).clone())
}

fn filter(directives: &str) -> Result<EnvFilter, String> {
    let wrong = |error| {
        format!(
            "log level `{directives}`: {error}; write error, warn, info, debug, trace, or directives such as info,mesh=debug"
        )
    };
    EnvFilter::try_new(format!("{QUIET},{directives}")).map_err(wrong)
}

/// What exports traces; `None` when the settings name no collector.
fn tracer(platform: &Platform, service: &str) -> Result<Option<SdkTracerProvider>, BootError> {
    let settings = &platform.telemetry;
    if settings.otlp_url.is_empty() {
        return Ok(None);
    }
    let resource = Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("deployment.environment.name", platform.profile.as_str()))
        .build();
    let exporter =
        SpanExporter::builder().with_tonic().with_endpoint(&settings.otlp_url).with_timeout(EXPORT_TIMEOUT).build();
    let exporter = exporter
        .map_err(|error| crate::ConfigError::new(format!("telemetry.otlp_url = \"{}\": {error}", settings.otlp_url)))?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio)));
    let builder = SdkTracerProvider::builder().with_resource(resource).with_sampler(sampler);
    Ok(Some(builder.with_batch_exporter(exporter).build()))
}

/// A panic is one log line like everything else; the default hook would write several, without trace id.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let trace = std::backtrace::Backtrace::capture();
        let trace =
            if trace.status() == std::backtrace::BacktraceStatus::Captured { trace.to_string() } else { String::new() };
        tracing::error!(error.message = text, log.origin.file.name = place, error.stack_trace = trace, "panic");
    }));
}
