//! Trace context across the broker: a consumer's span is a child of the span that caused the event, so one trace id
//! finds a request in the log of every service it touched (docs/adr/0021).
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Makes `span` a child of the span that a W3C `traceparent` names; does nothing when it names none.
pub(crate) fn adopt(span: &Span, traceparent: &str) {
    if let Some(producer) = parse(traceparent) {
        // An error says that no telemetry layer is there or that the span is disabled: nothing would show the trace then.
        let _ = span.set_parent(Context::new().with_remote_span_context(producer));
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>` (W3C Trace Context, version 00).
fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version.len() != 2 || version == "ff" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
        return None;
    }
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanId::from_hex(span).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_is_adopted() {
        let context = parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .expect("it is the example of the standard");
        assert!(context.is_sampled() && context.is_remote());
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-x-y-z",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
