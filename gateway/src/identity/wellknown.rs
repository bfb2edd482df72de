//! Discovery: public keys (RFC 7517) and server metadata (RFC 8414), made from the table that mounts the endpoints.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tonic::body::Body;

use crate::{edge::Edge, identity::Endpoint};

/// `GET /.well-known/jwks.json`.
pub(crate) fn keys(edge: &Edge) -> Response<Body> {
    let keys: Vec<_> = edge.credentials.public_keys().iter().filter_map(|key| jwk(&key.kid, &key.public_key)).collect();
    reply(&json!({"keys": keys}))
}

/// `GET /.well-known/oauth-authorization-server`.
pub(crate) fn metadata(edge: &Edge) -> Response<Body> {
    let url = |endpoint: Endpoint| format!("{}{}", edge.public_url, endpoint.path());
    reply(&json!({
        "issuer": edge.public_url,
        "token_endpoint": url(Endpoint::Token),
        "revocation_endpoint": url(Endpoint::Revoke),
        "jwks_uri": url(Endpoint::Keys),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
    }))
}

fn jwk(kid: &str, point: &[u8]) -> Option<Value> {
    let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    Some(json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": x, "y": y}))
}

fn reply(body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body.to_string()))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
