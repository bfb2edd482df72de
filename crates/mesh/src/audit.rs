//! Refusals, told once each: who was refused what, and why. Successful changes are audited by `db` in their own commit.
use std::future::Future;

use api::{CallContext, OrganizationId};
use http::Response;
use tonic::{Code, Status, body::Body};

use crate::server::call::Call;

/// A call that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Context of the call; `method` is the RPC.
    pub context: CallContext,
    /// Organization of the token, when it is ours.
    pub organization: Option<OrganizationId>,
    /// Workload at the other end.
    pub peer: String,
    /// Reason of the error.
    pub reason: String,
}

/// Keeps refusals; must neither wait nor fail.
pub trait Refusals: Send + Sync + 'static {
    /// Takes one.
    fn keep(&self, refused: Refused);
}

/// Runs the call below and tells of a refusal.
pub(crate) async fn refusals_told(
    call: &Call,
    kept: Option<&dyn Refusals>,
    next: impl Future<Output = Response<Body>>,
) -> Response<Body> {
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
        if let (Some(kept), Some(method)) = (kept, call.method) {
            let (actor, acting) = (call.actor().to_owned(), call.acting().to_owned());
            let context = CallContext { actor, acting, ..call.context(method, Some(call.resource())) };
            let (peer, reason) = (call.peer.name().to_owned(), error.reason().to_owned());
            kept.keep(Refused { context, organization: call.organization(), peer, reason });
        }
    }
    response
}
