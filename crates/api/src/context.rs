//! What belongs to a call and travels with it: request id, trace, who, until when.
use tokio::time::Instant;

/// Context of one call, one event or one background task. Data for logs, audit and propagation; never authority.
#[derive(Clone, Debug, Default)]
pub struct CallContext {
    /// Request id, the same in every service the request touches, in its logs and events.
    pub request_id: String,
    /// W3C trace context of the span in force; empty when there is none.
    pub traceparent: String,
    /// The RPC as `package.Service/Method`, or the name of the consumer or task.
    pub method: String,
    /// Name of the resource the call is about; empty when there is none.
    pub resource: String,
    /// Who acts: `users/{id}`, `workloads/{name}` or empty.
    pub actor: String,
    /// Who acts for the actor, if anybody: name of a workload that holds a delegation, or of the resource of an application that has exchanged
    /// a token, or of an administrator who acts as the actor.
    pub acting: String,
    /// Network address of the person at the other end, as the gateway saw it; empty inside the mesh.
    pub network: String,
    /// What the program at the other end calls itself (`User-Agent`), at most 256 printable ASCII characters; only where a credential is
    /// tested, else empty. Everybody may write what he likes into it.
    pub user_agent: String,
    /// A successful change writes an audit row (the contract's `audit: EVERY_CALL`).
    pub audit: bool,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

impl CallContext {
    /// Context of work that no request began: `name` says which.
    #[must_use]
    pub fn background(name: &str, ids: &crate::Ids) -> Self {
        Self {
            request_id: ids.next().to_string(),
            method: name.to_owned(),
            actor: format!("workloads/{name}"),
            ..Self::default()
        }
    }
}
