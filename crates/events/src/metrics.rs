//! What happens to events, as one typed event each: metric and log line stand together, and every raw metric macro of the
//! crate stands here. Labels are service and consumer, never an organization.
use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// How far the relay is behind.
pub(crate) fn backlog(service: &str, unsent: i64, oldest: Duration) {
    let service = service.to_owned();
    gauge!("workos_events_unsent", "service" => service.clone()).set(to_gauge(unsent));
    gauge!("workos_events_oldest_unsent_seconds", "service" => service).set(oldest.as_secs_f64());
}

/// Rows were acknowledged by the broker; `duplicates` of them it had already.
pub(crate) fn published(service: &str, sent: usize, duplicates: usize) {
    let service = service.to_owned();
    counter!("workos_events_published_total", "service" => service.clone()).increment(sent as u64);
    if duplicates > 0 {
        tracing::debug!(service, duplicates, "events were published again and dropped by the broker");
        counter!("workos_events_duplicates_total", "service" => service).increment(duplicates as u64);
    }
}

/// A batch was refused or unanswered; its rows go out singly.
pub(crate) fn batch_failed(service: &str, rows: usize, error: &str) {
    tracing::info!(service, rows, error, "a batch of events was not taken; they are sent singly");
    counter!("workos_events_batch_fallbacks_total", "service" => service.to_owned()).increment(1);
}

/// Rows could not be published and stay in the outbox.
pub(crate) fn publish_failed(service: &str, failed: usize, error: &str) {
    tracing::warn!(service, failed, error, "events stay in the outbox and are tried again");
    counter!("workos_events_publish_errors_total", "service" => service.to_owned()).increment(failed as u64);
}

/// How far a consumer is behind.
pub(crate) fn lag(service: &str, consumer: &str, pending: u64, unacknowledged: u64) {
    let labels = [("service", service.to_owned()), ("consumer", consumer.to_owned())];
    gauge!("workos_events_consumer_lag", &labels).set(to_gauge(i64::try_from(pending).unwrap_or(i64::MAX)));
    gauge!("workos_events_consumer_unacknowledged", &labels)
        .set(to_gauge(i64::try_from(unacknowledged).unwrap_or(i64::MAX)));
}

/// A message arrived: how old its event is, and whether it came before.
pub(crate) fn delivered(service: &str, consumer: &str, attempt: u32, age: Duration) {
    let labels = [("service", service.to_owned()), ("consumer", consumer.to_owned())];
    if attempt > 1 {
        counter!("workos_events_redeliveries_total", &labels).increment(1);
    } else {
        histogram!("workos_events_consumer_lag_seconds", &labels).record(age.as_secs_f64());
    }
}

/// A handler answered.
pub(crate) fn handled(service: &str, consumer: &str, outcome: &'static str, took: Duration) {
    let labels = [("service", service.to_owned()), ("consumer", consumer.to_owned()), ("outcome", outcome.to_owned())];
    histogram!("workos_events_handling_seconds", &labels).record(took.as_secs_f64());
}

/// An event went to the dead-letter stream.
pub(crate) fn dead_letter(service: &str, consumer: &str, event: &str, cause: &str) {
    tracing::warn!(service, consumer, event, cause, "event moved to the dead letters; redrive or discard it");
    counter!("workos_events_dead_letters_total", "service" => service.to_owned(), "consumer" => consumer.to_owned())
        .increment(1);
}

/// The broker did not confirm an acknowledgment; the message comes again and its effect is found done.
pub(crate) fn unconfirmed(service: &str, consumer: &str, error: &str) {
    tracing::info!(service, consumer, error, "the broker did not confirm an acknowledgment");
    counter!("workos_events_unconfirmed_total", "service" => service.to_owned(), "consumer" => consumer.to_owned())
        .increment(1);
}

fn to_gauge(value: i64) -> f64 {
    value as f64
}
