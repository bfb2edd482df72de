//! W3C trace context, read and written here so that it travels whether or not an exporter is set.
//!
//! With an OpenTelemetry layer the span in force gives the context. Without one the caller's context is passed on as it came,
//! and a call that brought none gets a fresh one: logs can always be joined by trace id.
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// A trace context: `00-<trace id>-<span id>-<flags>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    trace: u128,
    span: u64,
    flags: u8,
}

impl Trace {
    /// Reads a `traceparent` header; anything but version 00 with non-zero ids counts as absent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let lower = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte) || *byte == b'-';
        if bytes.len() != 55
            || !text.starts_with("00-")
            || bytes[35] != b'-'
            || bytes[52] != b'-'
            || !bytes.iter().all(lower)
        {
            return None;
        }
        let trace = u128::from_str_radix(&text[3..35], 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(&text[36..52], 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(&text[53..55], 16).ok()?;
        Some(Self { trace, span, flags })
    }

    /// A new trace, not sampled: nobody exports it, it only joins logs.
    #[must_use]
    pub fn fresh() -> Self {
        Self { trace: rand::random::<u128>().max(1), span: rand::random::<u64>().max(1), flags: 0 }
    }

    /// The trace context of a span, if a telemetry layer gave it one.
    #[must_use]
    pub fn of(span: &Span) -> Option<Self> {
        let context = span.context();
        let found = context.span().span_context().clone();
        found.is_valid().then(|| Self {
            trace: u128::from_be_bytes(found.trace_id().to_bytes()),
            span: u64::from_be_bytes(found.span_id().to_bytes()),
            flags: found.trace_flags().to_u8(),
        })
    }

    /// Makes the span a child of this context. Without a telemetry layer nothing happens.
    pub fn adopt(self, span: &Span) {
        // An error says that there is no layer or that the span is disabled: the context then passes through as text.
        let _ = span.set_parent(Context::new().with_remote_span_context(self.remote()));
    }

    /// Notes at the span that this context led to it, without making it a part of the same trace.
    pub fn link(self, span: &Span) {
        span.add_link(self.remote());
    }

    fn remote(self) -> SpanContext {
        let (trace, id) = (TraceId::from_bytes(self.trace.to_be_bytes()), SpanId::from_bytes(self.span.to_be_bytes()));
        SpanContext::new(trace, id, TraceFlags::new(self.flags), true, TraceState::default())
    }

    /// The header value.
    #[must_use]
    pub fn render(self) -> String {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        digits(&mut text, &self.trace.to_be_bytes());
        text.push('-');
        digits(&mut text, &self.span.to_be_bytes());
        text.push('-');
        digits(&mut text, &[self.flags]);
        text
    }

    /// The trace id as logs show it.
    #[must_use]
    pub fn id(self) -> String {
        let mut text = String::with_capacity(32);
        digits(&mut text, &self.trace.to_be_bytes());
        text
    }
}

/// Appends hexadecimal digits: each call renders some, and the formatter of the library takes its time.
fn digits(text: &mut String, bytes: &[u8]) {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half & 15)]);
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_reads_back() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(Trace::parse(text).expect("it is one").render(), text);
        let fresh = Trace::fresh();
        assert_eq!(Trace::parse(&fresh.render()), Some(fresh));
    }

    #[test]
    fn a_malformed_traceparent_counts_as_absent() {
        for text in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0é",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::parse(text), None, "{text}");
        }
    }
}
