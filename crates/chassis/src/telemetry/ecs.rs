//! Log lines in Elastic Common Schema: one JSON object per line.
//!
//! Fields whose names belong to ECS (`http.request.id`, `organization.id`, `error.message`, ...) stand under their name; all
//! free-form data go to `labels.*` as text, so that no field of ours can break the index's types. Fields of the spans around
//! an event are part of its line, the innermost wins.
use std::{fmt, io::Write};

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Version of the schema these names are taken from.
const ECS_VERSION: &str = "8.17";
/// First parts of names that the schema defines.
const SCHEMA: [&str; 14] = [
    "client",
    "error",
    "event",
    "file",
    "http",
    "log",
    "network",
    "organization",
    "process",
    "server",
    "service",
    "trace",
    "url",
    "user",
];

/// Writes each event as one ECS line.
pub(super) struct Ecs<W> {
    service: String,
    environment: &'static str,
    writer: W,
}

impl<W> Ecs<W> {
    pub(super) fn new(service: &str, environment: &'static str, writer: W) -> Ecs<W> {
        Ecs { service: service.to_owned(), environment, writer }
    }
}

impl<S, W, O> Layer<S> for Ecs<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn() -> O + 'static,
    O: Write,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.0.extend(of_span.0.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        event.record(&mut fields);
        let mut line = Value::Object(self.line(event, fields)).to_string();
        line.push('\n');
        // Where the log itself cannot be written there is nobody left to tell.
        let _ = (self.writer)().write_all(line.as_bytes());
    }
}

impl<W> Ecs<W> {
    fn line(&self, event: &Event<'_>, mut fields: Fields) -> Map<String, Value> {
        let metadata = event.metadata();
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| {
            line.insert(name.to_owned(), value);
        };
        put("@timestamp", Value::String(timestamp()));
        put("log.level", Value::String(metadata.level().to_string().to_lowercase()));
        put("message", fields.0.remove("message").unwrap_or_else(|| Value::String(metadata.name().to_owned())));
        put("ecs.version", Value::String(ECS_VERSION.to_owned()));
        put("service.name", Value::String(self.service.clone()));
        put("service.version", Value::String(env!("CARGO_PKG_VERSION").to_owned()));
        put("service.environment", Value::String(self.environment.to_owned()));
        put("log.logger", Value::String(metadata.target().to_owned()));
        put_trace(&mut line);
        let mut labels = Map::new();
        for (name, value) in fields.0 {
            // What only the exporter reads is no field of a line.
            if name.starts_with("otel.") || matches!(&value, Value::String(text) if text.is_empty()) {
                continue;
            }
            match schema_name(&name) {
                Some((name, nanoseconds)) => {
                    line.insert(name, if nanoseconds { to_nanoseconds(&value) } else { value })
                }
                None => labels.insert(name.replace('.', "_"), Value::String(text(value))),
            };
        }
        if !labels.is_empty() {
            line.insert("labels".to_owned(), Value::Object(labels));
        }
        line
    }
}

/// Name of a field in the schema, and whether its value is milliseconds that become nanoseconds there.
fn schema_name(name: &str) -> Option<(String, bool)> {
    match name {
        "error" => Some(("error.message".to_owned(), false)),
        "request_id" => Some(("http.request.id".to_owned(), false)),
        "organization" => Some(("organization.id".to_owned(), false)),
        "trace_id" => Some(("trace.id".to_owned(), false)),
        "duration_ms" => Some(("event.duration".to_owned(), true)),
        _ => {
            let (first, rest) = name.split_once('.')?;
            (SCHEMA.contains(&first) && !rest.is_empty()).then(|| (name.to_owned(), false))
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "durations of calls are far below 2^63 nanoseconds")]
fn to_nanoseconds(milliseconds: &Value) -> Value {
    milliseconds.as_f64().map_or(Value::Null, |milliseconds| Value::from((milliseconds * 1e6) as i64))
}

/// Trace and span in force; entering a span activates its OpenTelemetry context.
fn put_trace(line: &mut Map<String, Value>) {
    use opentelemetry::trace::TraceContextExt as _;
    let context = opentelemetry::Context::current();
    let span = context.span();
    let span = span.span_context();
    if span.is_valid() {
        line.insert("trace.id".to_owned(), Value::String(span.trace_id().to_string()));
        line.insert("span.id".to_owned(), Value::String(span.span_id().to_string()));
    }
}

#[expect(clippy::disallowed_methods, reason = "a log line tells the real time, whatever clock a service was given")]
fn timestamp() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        value => value.to_string(),
    }
}

/// Collected fields, in order of first appearance.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }
}

#[cfg(test)]
mod tests;
