//! What the authorizer counts.
#![expect(clippy::disallowed_macros, reason = "the one place of this crate that emits metrics")]

/// A refusal, by kind; the caller hears less.
pub(crate) fn refused(why: &'static str) {
    metrics::counter!("workos_authz_refused_total", "reason" => why).increment(1);
}

/// A token from the future: somebody's clock is wrong.
pub(crate) fn clock_skew() {
    metrics::counter!("workos_authz_clock_skew_total").increment(1);
    tracing::warn!("token was issued in the future: compare the clocks of auth and this process");
}
