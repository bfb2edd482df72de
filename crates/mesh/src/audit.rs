//! Refusals, told once each: who was refused what, and why. Successful changes are audited by `db` in their own commit.
use std::future::Future;

use http::Response;
use tonic::{Code, Status, body::Body};

use crate::server::call::Call;

/// Runs the call below and tells of a refusal.
pub(crate) async fn refusals_told(call: &Call, next: impl Future<Output = Response<Body>>) -> Response<Body> {
    let response = next.await;
    if let Some(status) = response.extensions().get::<Status>()
        && matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated)
    {
        let error = api::Error::from_status(status);
        tracing::warn!(
            target: "audit",
            rpc = call.rpc(),
            peer = call.peer.name(),
            actor = call.actor(),
            resource = call.resource(),
            request_id = call.request_id.as_str(),
            reason = error.reason(),
            "call refused"
        );
    }
    response
}
