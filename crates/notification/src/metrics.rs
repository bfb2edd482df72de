//! Domain metrics of notification; the mesh already counts every call.
#![expect(clippy::disallowed_macros, reason = "this is the crate's one home of metrics")]

/// Inbox items were made.
pub(crate) fn notified(count: usize) {
    metrics::counter!("workos_notification_items_total").increment(count as u64);
}

/// An attempt to send a mail ended in this class.
pub(crate) fn attempted(class: &'static str) {
    metrics::counter!("workos_notification_attempts_total", "class" => class).increment(1);
}

/// A mail came to rest in this state.
pub(crate) fn settled(state: &'static str) {
    metrics::counter!("workos_notification_deliveries_total", "state" => state).increment(1);
}
