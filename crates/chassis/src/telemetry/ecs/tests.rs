//! What a log line looks like.
use std::sync::{Arc, Mutex};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn log(emit: impl FnOnce()) -> Vec<Map<String, Value>> {
    let sink = Sink::default();
    let writer = sink.clone();
    let tracer = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build().tracer("test");
    let subscriber = tracing_subscriber::registry()
        .with(Ecs::new("workos-test", "dev", move || writer.clone()))
        .with(tracing_opentelemetry::layer().with_tracer(tracer));
    tracing::subscriber::with_default(subscriber, emit);
    let bytes = sink.0.lock().expect("not poisoned").clone();
    let text = String::from_utf8(bytes).expect("JSON is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is one object")).collect()
}

#[test]
fn a_line_has_schema_names_on_top_and_everything_else_as_labels() {
    let lines = log(|| {
        let span = tracing::info_span!(
            "call",
            http.request.id = "req-1",
            organization.id = tracing::field::Empty,
            rpc = "Get"
        );
        span.record("organization.id", "org-1");
        let _entered = span.enter();
        tracing::warn!(error = "refused\nby policy", duration_ms = 1.5, pages = 3, empty = "", "call \"refused\"");
    });
    let [line] = lines.as_slice() else { panic!("one event is one line: {lines:?}") };
    assert_eq!(line["log.level"], "warn");
    assert_eq!(line["message"], "call \"refused\"");
    assert_eq!(line["http.request.id"], "req-1");
    assert_eq!(line["organization.id"], "org-1");
    assert_eq!(line["error.message"], "refused\nby policy");
    assert_eq!(line["event.duration"], 1_500_000);
    assert_eq!(line["labels"], serde_json::json!({"rpc": "Get", "pages": "3"}));
    assert_eq!(line["service.name"], "workos-test");
    assert!(OffsetDateTime::parse(line["@timestamp"].as_str().expect("text"), &Rfc3339).is_ok());
}

#[test]
fn a_line_within_a_span_has_a_trace_id_without_any_exporter() {
    let lines = log(|| {
        let _entered = tracing::info_span!("call").entered();
        tracing::info!("first");
        tracing::info!("second");
    });
    let trace = lines[0]["trace.id"].as_str().expect("a trace id");
    assert_eq!(trace.len(), 32);
    assert_eq!(lines[1]["trace.id"], trace);
}
