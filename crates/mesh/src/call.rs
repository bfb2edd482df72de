//! What one call is, for everybody who looks at it before the handler: the method, the peer, the token, the resource.
use std::{fmt, sync::Arc};

use api::{CallContext, Caller, Error, OrganizationId};
use bytes::Bytes;
use proto::Method;

/// Metadata key of the internal token. Exactly one value, never taken from outside the mesh.
pub const TOKEN_KEY: &str = "x-workos-biscuit-bin";
/// Metadata key of the request id.
pub const REQUEST_ID_KEY: &str = "x-request-id";
/// Metadata key of an answer: the internal token was refused before the handler, because the credential behind it shall be exchanged
/// again. Nothing was done, so the call may be sent again with a new one. No handler can say so.
pub const STALE_KEY: &str = "x-workos-token-stale";
/// Metadata key of the caller's network address, which the gateway saw. Never taken from outside the mesh.
pub const NETWORK_KEY: &str = "x-workos-network";
/// Metadata key of what the caller's program calls itself, sent along where a credential is tested (rate class CREDENTIAL): a session
/// that begins there keeps it. Never taken from outside the mesh.
pub const USER_AGENT_KEY: &str = "x-workos-user-agent";
/// Longest of these that is sent or believed; the rest is cut off.
pub const USER_AGENT_MAX: usize = 256;
/// Metadata key of the W3C trace context.
pub const TRACEPARENT_KEY: &str = "traceparent";
/// Header in which a sidecar names the peer; believed over loopback and in `sidecar` mode only.
pub(crate) const FORWARDED_CERTIFICATE_KEY: &str = "x-forwarded-client-cert";
/// Longest token that is decoded at all; the gate of `authz` sets the same limit on the bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 4096;

/// The workload at the other end of the channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer(Option<Arc<str>>);

impl Peer {
    /// A peer with a proven name: `document`, `gateway`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(Some(name.into()))
    }

    /// A peer that proved nothing. It may call nothing.
    #[must_use]
    pub fn unknown() -> Self {
        Self(None)
    }

    /// The workload's name; empty when unknown.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// The channel proved the name.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.is_some()
    }
}

/// A call as the authorizer sees it.
pub struct Incoming<'a> {
    /// The method really called.
    pub method: &'static Method,
    /// The internal token, not yet verified.
    pub token: Option<&'a Bytes>,
    /// The workload at the other end.
    pub peer: &'a Peer,
    /// Value of the request field that names the resource; `None` when the method declares none or the field is empty.
    pub resource: Option<&'a str>,
    /// Context of the call; `actor` is still empty.
    pub context: CallContext,
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Incoming")
            .field("method", &self.method.rpc)
            .field("peer", self.peer)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

/// Whose token a call came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// `users/{id}`.
    pub actor: String,
    /// Who acts for him; empty when nobody does.
    pub acting: String,
    /// Tenant of the token.
    pub organization: Option<OrganizationId>,
}

/// Decides who calls and whether he may. `authz` implements it; the mesh only asks.
pub trait Authorizer: Send + Sync + 'static {
    /// Verifies the token and decides about the method.
    ///
    /// # Errors
    /// UNAUTHENTICATED, PERMISSION_DENIED, or UNAVAILABLE when it cannot be decided.
    fn authorize(&self, call: Incoming<'_>) -> Result<Caller, Error>;

    /// Asks again while a stream runs: something of the token may have been revoked. Called about once a second.
    ///
    /// # Errors
    /// UNAUTHENTICATED ends the stream.
    fn recheck(&self, caller: &Caller) -> Result<(), Error>;

    /// Whose token a refused call came with, for the audit log. `None` for a token that is not ours.
    fn whose(&self, token: &Bytes) -> Option<Whose> {
        let _ = token;
        None
    }
}

/// Narrows a token to the one call it is sent along with. `authz` implements it.
pub trait Narrower: Send + Sync + 'static {
    /// The token, good for this method and what it calls in turn, and for this resource if the method calls nothing.
    ///
    /// # Errors
    /// PERMISSION_DENIED when the token cannot be narrowed any further.
    fn narrow(&self, token: &Bytes, method: &'static Method, resource: Option<&str>) -> Result<Bytes, Error>;
}
