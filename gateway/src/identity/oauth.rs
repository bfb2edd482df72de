//! Token and revocation endpoint (RFC 6749, RFC 7009): form in, JSON out, never cached.
use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use proto::auth::v1::{RevokeRequest, TokenRequest, o_auth_service_client::OAuthServiceClient};
use serde_json::{Value, json};
use tonic::body::Body;

use crate::{call::body, edge::Edge, filter::Passage, form, refusal::Refusal};

/// Parameters of a form, each at most once.
pub(super) type Form = BTreeMap<String, String>;

/// `POST /oauth2/token`.
pub(crate) async fn token(edge: &Edge, passage: Passage, incoming: Incoming) -> Result<Response<Body>, Refusal> {
    let mut form = match read(edge, &passage, incoming).await? {
        Ok(form) => form,
        Err(problem) => return Ok(failed("invalid_request", problem)),
    };
    let mut take = |name: &str| form.remove(name).unwrap_or_default();
    let request = TokenRequest {
        grant_type: take("grant_type"),
        client_id: take("client_id"),
        code: take("code"),
        redirect_uri: take("redirect_uri"),
        code_verifier: take("code_verifier"),
        refresh_token: take("refresh_token"),
    };
    let mut client = OAuthServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
    let answer = client.token(request).await?.into_inner();
    if !answer.error.is_empty() {
        return Ok(failed(&answer.error, &answer.error_description));
    }
    Ok(reply(
        StatusCode::OK,
        &json!({
            "access_token": answer.access_token,
            "token_type": "Bearer",
            "expires_in": answer.expires_in_seconds,
            "refresh_token": answer.refresh_token,
            "scope": answer.scope,
        }),
    ))
}

/// `POST /oauth2/revoke`: 200 for unknown tokens too (RFC 7009 section 2.2).
pub(crate) async fn revoke(edge: &Edge, passage: Passage, incoming: Incoming) -> Result<Response<Body>, Refusal> {
    let mut form = match read(edge, &passage, incoming).await? {
        Ok(form) => form,
        Err(problem) => return Ok(failed("invalid_request", problem)),
    };
    let Some(token) = form.remove("token") else {
        return Ok(failed("invalid_request", "the parameter token is missing"));
    };
    let client_id = form.remove("client_id").unwrap_or_default();
    let mut client = OAuthServiceClient::new(edge.mesh.as_workload("auth", &passage.context));
    client.revoke(RevokeRequest { token, client_id }).await?;
    Ok(reply(StatusCode::OK, &json!({})))
}

pub(super) async fn read(
    edge: &Edge,
    passage: &Passage,
    incoming: Incoming,
) -> Result<Result<Form, &'static str>, Refusal> {
    let headers = &passage.head.headers;
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let body = body::whole(edge, passage, headers, incoming).await?;
    if !kind.starts_with(b"application/x-www-form-urlencoded") {
        return Ok(Err("send the parameters as application/x-www-form-urlencoded"));
    }
    Ok(parse(&body.bytes))
}

fn parse(body: &[u8]) -> Result<Form, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "the form is not UTF-8")?;
    let mut form = Form::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        if form.insert(name, value).is_some() {
            // RFC 6749 section 3.2: parameters must not be repeated.
            return Err("a parameter is repeated");
        }
    }
    Ok(form)
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let bytes = form::decoded(text).ok_or("an escape is malformed")?;
    String::from_utf8(bytes).map_err(|_| "the form is not UTF-8")
}

/// An error of RFC 6749 section 5.2.
fn failed(error: &str, description: &str) -> Response<Body> {
    let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    reply(status, &json!({"error": error, "error_description": description}))
}

fn reply(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body.to_string()))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_strictly() {
        let form = parse(b"grant_type=authorization_code&code=a%2Bb+c").expect("valid");
        assert_eq!(form["code"], "a+b c");
        for bad in [&b"a=1&a=2"[..], b"a=%4", b"a=%zz", b"a=%ff", b"a=%+1"] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
