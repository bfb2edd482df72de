//! Discovery: public keys (RFC 7517) and server metadata (RFC 8414, OpenID Connect Discovery), made from the table that mounts the
//! endpoints.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use proto::auth::v1::list_verify_keys_response::{VerifyKey, verify_key::Use};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tonic::body::Body;

use crate::{call::condition, edge::Edge, identity::Endpoint};

/// `GET /.well-known/jwks.json`: announced keys too, so that nobody meets a signature by a key that he cannot know.
pub(crate) fn keys(edge: &Edge, headers: &HeaderMap) -> Response<Body> {
    let keys: Vec<_> = edge.credentials.public_keys().iter().filter_map(jwk).collect();
    let mut response = reply(&json!({"keys": keys}));
    let unchanged =
        condition::is_unchanged(headers, response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()));
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
    }
    response
}

/// `GET /.well-known/oauth-authorization-server` and `/.well-known/openid-configuration`.
pub(crate) fn metadata(edge: &Edge) -> Response<Body> {
    let url = |endpoint: Endpoint| format!("{}{}", edge.public_url, endpoint.path());
    reply(&json!({
        "issuer": edge.public_url,
        "authorization_endpoint": url(Endpoint::Authorize),
        "pushed_authorization_request_endpoint": url(Endpoint::PushedAuthorization),
        "token_endpoint": url(Endpoint::Token),
        "revocation_endpoint": url(Endpoint::Revoke),
        "introspection_endpoint": url(Endpoint::Introspect),
        "userinfo_endpoint": url(Endpoint::UserInfo),
        "device_authorization_endpoint": url(Endpoint::DeviceAuthorization),
        "end_session_endpoint": url(Endpoint::Logout),
        "jwks_uri": url(Endpoint::Keys),
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "acr", "sid", "at_hash", "name", "email", "email_verified", "org", "updated_at",
        ],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "claims_parameter_supported": false,
    }))
}

fn jwk(key: &VerifyKey) -> Option<Value> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match key.r#use() {
        Use::Edge => {
            let (x, y) = key.public_key.strip_prefix(&[4])?.split_at_checked(32)?;
            let (x, y) = (text(x), text(y));
            Some(json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": key.kid, "x": x, "y": y}))
        }
        Use::IdToken => {
            let modulus = text(&key.public_key);
            Some(json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": key.kid, "n": modulus, "e": "AQAB"}))
        }
        Use::Internal | Use::Unspecified => None,
    }
}

fn reply(body: &Value) -> Response<Body> {
    let text = body.to_string();
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(text.as_bytes())[..16]));
    let mut response = Response::new(Body::new(Full::new(Bytes::from(text))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}
