//! One call on the server, from its headers to its end.
use std::{net::IpAddr, sync::OnceLock};

use api::{CallContext, Error, Ids, OrganizationId, Trace};
use bytes::Bytes;
use http::HeaderMap;
use proto::{Audit, Method};
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tracing::Span;

use crate::{
    call::{
        NETWORK_KEY, Peer, REQUEST_ID_KEY, TOKEN_BYTES_MAX, TOKEN_KEY, TRACEPARENT_KEY, USER_AGENT_KEY, USER_AGENT_MAX,
        Whose,
    },
    deadline,
    settings::Deadlines,
};

/// Longest request id that is taken over.
const REQUEST_ID_MAX: usize = 64;

/// What is known of a call before its handler runs.
pub(crate) struct Call {
    pub(crate) method: Option<&'static Method>,
    pub(crate) peer: Peer,
    pub(crate) request_id: String,
    pub(crate) deadline: Instant,
    pub(crate) span: Span,
    traceparent: String,
    network: String,
    user_agent: String,
    actor: OnceLock<String>,
    acting: OnceLock<String>,
    organization: OnceLock<OrganizationId>,
    resource: OnceLock<String>,
}

impl Call {
    /// Reads the headers. Nothing in them can make this fail: what is malformed counts as absent.
    pub(crate) fn begin(path: &str, headers: &HeaderMap, peer: Peer, deadlines: &Deadlines, ids: &Ids) -> Self {
        let method = proto::methods().get(path);
        let request_id = request_id(headers).map_or_else(|| ids.next().to_string(), str::to_owned);
        let came = headers.get(TRACEPARENT_KEY).and_then(|value| value.to_str().ok()).and_then(Trace::parse);
        let span = span(method, &request_id, &peer);
        if let Some(trace) = came {
            trace.adopt(&span);
        }
        let trace = Trace::of(&span).or(came).unwrap_or_else(Trace::fresh);
        span.record("trace.id", trace.id());
        let deadline = Instant::now() + deadline::allowed(deadlines, method, deadline::read(headers));
        let (traceparent, network, user_agent) = (trace.render(), network(headers, &peer), user_agent(headers, &peer));
        let (actor, acting) = (OnceLock::new(), OnceLock::new());
        let (organization, resource) = (OnceLock::new(), OnceLock::new());
        Self {
            method,
            peer,
            request_id,
            deadline,
            span,
            traceparent,
            network,
            user_agent,
            actor,
            acting,
            organization,
            resource,
        }
    }

    /// `package.Service/Method`, or `unknown`.
    pub(crate) fn rpc(&self) -> &'static str {
        self.method.map_or("unknown", |method| method.rpc)
    }

    pub(crate) fn actor(&self) -> &str {
        self.actor.get().map_or("", String::as_str)
    }

    /// Who acts for the actor.
    pub(crate) fn acting(&self) -> &str {
        self.acting.get().map_or("", String::as_str)
    }

    pub(crate) fn resource(&self) -> &str {
        self.resource.get().map_or("", String::as_str)
    }

    /// Notes the resource that the request names, cut to what a log line can bear.
    pub(crate) fn note_resource(&self, resource: &str) {
        let shown = resource.chars().filter(|letter| !letter.is_control()).take(256).collect();
        let _ = self.resource.set(shown);
    }

    pub(crate) fn organization(&self) -> Option<OrganizationId> {
        self.organization.get().copied()
    }

    /// Notes whose token it was that did not suffice.
    pub(crate) fn note_refused(&self, Whose { actor, acting, organization }: Whose) {
        let _ = (self.actor.set(actor), self.acting.set(acting));
        if let Some(organization) = organization {
            let _ = self.organization.set(organization);
        }
    }

    /// Notes who turned out to call.
    pub(crate) fn note_caller(&self, caller: &api::Caller) {
        let _ = self.actor.set(caller.context().actor.clone());
        let _ = self.acting.set(caller.context().acting.clone());
        if let Ok(organization) = caller.organization() {
            let _ = self.organization.set(organization);
            self.span.record("organization.id", tracing::field::display(organization));
        }
    }

    /// The context that the handler gets.
    pub(crate) fn context(&self, method: &Method, resource: Option<&str>) -> CallContext {
        CallContext {
            request_id: self.request_id.clone(),
            traceparent: self.traceparent.clone(),
            method: method.rpc.to_owned(),
            resource: resource.unwrap_or_default().to_owned(),
            actor: String::new(),
            acting: String::new(),
            network: self.network.clone(),
            user_agent: self.user_agent.clone(),
            audit: method.access.as_ref().is_some_and(|access| access.audit == Audit::EveryCall),
            deadline: Some(self.deadline),
        }
    }
}

fn span(method: Option<&'static Method>, request_id: &str, peer: &Peer) -> Span {
    let (service, name) = method.map_or(("unknown", "unknown"), |method| (method.full_service, method.name));
    tracing::info_span!(
        target: "call",
        "call",
        otel.name = method.map_or("unknown", |method| method.rpc),
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = name,
        rpc.grpc.status_code = tracing::field::Empty,
        http.request.id = request_id,
        trace.id = tracing::field::Empty,
        organization.id = tracing::field::Empty,
        peer = peer.name(),
    )
}

/// Only a workload says from where a person calls.
fn network(headers: &HeaderMap, peer: &Peer) -> String {
    let said = headers.get(NETWORK_KEY).filter(|_| peer.is_known()).and_then(|value| value.to_str().ok());
    said.filter(|text| text.parse::<IpAddr>().is_ok()).unwrap_or_default().to_owned()
}

/// Only a workload says what program a person uses.
fn user_agent(headers: &HeaderMap, peer: &Peer) -> String {
    let said = headers.get(USER_AGENT_KEY).filter(|_| peer.is_known()).and_then(|value| value.to_str().ok());
    said.unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(USER_AGENT_MAX).collect()
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(REQUEST_ID_KEY)?.to_str().ok()?;
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (!text.is_empty() && text.len() <= REQUEST_ID_MAX && text.bytes().all(fit)).then_some(text)
}

/// The internal token of a call.
///
/// # Errors
/// UNAUTHENTICATED when there are several, when it is too long or not base64.
pub(crate) fn token(metadata: &MetadataMap) -> Result<Option<Bytes>, Error> {
    let mut values = metadata.get_all_bin(TOKEN_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.as_encoded_bytes().len() > TOKEN_BYTES_MAX.div_ceil(3) * 4 {
        return Err(Error::credential_invalid());
    }
    value.to_bytes().map(Some).map_err(|_| Error::credential_invalid())
}
