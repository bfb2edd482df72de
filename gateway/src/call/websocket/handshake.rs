//! The opening handshake: RFC 6455 section 4.2 over HTTP/1.1, RFC 8441 over HTTP/2.
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts,
};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tonic::body::Body;

use crate::refusal::Refusal;

/// Messages as ProtoJSON in text frames; the default.
const JSON: &str = "workos.json.v1";
/// Messages as protobuf in binary frames.
const PROTO: &str = "workos.proto.v1";

/// The request asks for a WebSocket.
pub(crate) fn is_upgrade<B>(request: &Request<B>) -> bool {
    if request.version() == Version::HTTP_2 {
        let protocol = request.extensions().get::<Protocol>();
        return request.method() == Method::CONNECT && protocol.is_some_and(|name| name.as_str() == "websocket");
    }
    let names = |name, token| has_token(request.headers(), name, token);
    request.method() == Method::GET && names(header::UPGRADE, "websocket") && names(header::CONNECTION, "upgrade")
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// The answer, and the connection that follows it.
pub(super) fn answer(head: &mut Parts) -> Result<(Response<Body>, OnUpgrade), Refusal> {
    if head.headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let message = "WebSocket is spoken in version 13; send Sec-WebSocket-Version: 13";
        let refusal = Refusal::new(426, tonic::Code::InvalidArgument, "WEBSOCKET_VERSION_UNSUPPORTED", message);
        return Err(refusal.header(header::SEC_WEBSOCKET_VERSION, "13").header(header::UPGRADE, "websocket"));
    }
    let mut response = Response::new(Body::empty());
    if head.version != Version::HTTP_2 {
        let key = head.headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        if STANDARD.decode(key).is_ok_and(|key| key.len() == 16) {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let accept = HeaderValue::from_str(&derive_accept_key(key)).map_err(|_| bad("Sec-WebSocket-Key"))?;
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        } else {
            return Err(bad("Sec-WebSocket-Key"));
        }
    }
    if let Some(protocol) = subprotocol(&head.headers)? {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    let upgrade = head.extensions.remove::<OnUpgrade>().ok_or_else(|| bad("Upgrade"))?;
    Ok((response, upgrade))
}

/// Messages travel as protobuf.
pub(super) fn is_proto(response: &Response<Body>) -> bool {
    response.headers().get(header::SEC_WEBSOCKET_PROTOCOL).is_some_and(|protocol| protocol == PROTO)
}

/// The first of the caller's subprotocols that is spoken here; none when he offers none.
fn subprotocol(headers: &HeaderMap) -> Result<Option<&'static str>, Refusal> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offered = values.flat_map(|value| value.split(',')).map(str::trim).peekable();
    if offered.peek().is_none() {
        return Ok(None);
    }
    let spoken = offered.find_map(|offer| [JSON, PROTO].into_iter().find(|known| *known == offer));
    let message = format!("none of these subprotocols is spoken here; offer {JSON} or {PROTO}, or none");
    let unknown = || Refusal::new(400, tonic::Code::InvalidArgument, "SUBPROTOCOL_UNSUPPORTED", message);
    spoken.map(Some).ok_or_else(unknown)
}

fn bad(name: &str) -> Refusal {
    let message = format!("the header {name} of this upgrade is missing or malformed; use a WebSocket client");
    Refusal::new(400, tonic::Code::InvalidArgument, "HEADER_INVALID", message)
}
