//! Domain metrics of identity; the mesh already counts every call.
#![expect(clippy::disallowed_macros, reason = "this is the crate's one home of metrics")]

/// How many wait for a password thread.
pub(crate) fn hash_queue(waiting: usize) {
    metrics::gauge!("workos_auth_hash_queue_depth").set(u32::try_from(waiting).unwrap_or(u32::MAX));
}

/// A sign-in that reached the password: `done`, `refused` or `locked`.
pub(crate) fn sign_in(outcome: &'static str) {
    metrics::counter!("workos_auth_sign_ins_total", "outcome" => outcome).increment(1);
}

/// Tokens given out, by kind: `access`, `internal` or `delegated`.
pub(crate) fn token_issued(kind: &'static str) {
    metrics::counter!("workos_auth_tokens_issued_total", "kind" => kind).increment(1);
}

/// A refused grant, with its reason, for example `code_reused`.
pub(crate) fn grant_refused(reason: &'static str) {
    metrics::counter!("workos_auth_grants_refused_total", "reason" => reason).increment(1);
}

/// A revocation written, by kind.
pub(crate) fn revoked(kind: &'static str) {
    metrics::counter!("workos_auth_revocations_total", "kind" => kind).increment(1);
}
