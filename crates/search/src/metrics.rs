//! Domain metrics of search; the mesh already counts every call.
#![expect(clippy::disallowed_macros, reason = "this is the crate's one home of metrics")]
use std::time::Duration;

/// Resources were committed to the index.
pub(crate) fn indexed(count: usize) {
    metrics::counter!("workos_search_indexed_total").increment(count as u64);
}

/// A commit of the index took so long.
pub(crate) fn committed(took: Duration) {
    metrics::histogram!("workos_search_commit_seconds").record(took.as_secs_f64());
}

/// Resources could not be indexed now and are tried again.
pub(crate) fn put_off(count: usize) {
    metrics::counter!("workos_search_index_retries_total").increment(count as u64);
}

/// A resource cannot be indexed at all.
pub(crate) fn rejected() {
    metrics::counter!("workos_search_rejected_total").increment(1);
}

/// Hits that their owner hid, because the index was stale.
pub(crate) fn hidden(count: usize) {
    metrics::counter!("workos_search_hidden_hits_total").increment(count as u64);
}

/// An answer without the results of an owner that was away.
pub(crate) fn degraded(owner: &'static str) {
    metrics::counter!("workos_search_degraded_total", "owner" => owner).increment(1);
}
