//! Endpoints that applications call: form in, JSON out, never cached (RFC 6749, 7009, 7662, 8628, 8693, 9126, OpenID Connect Core).
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use proto::Rate;
use proto::auth::v1::{
    AuthorizeDeviceRequest, ClientAuthentication, GetUserInfoRequest, IntrospectRequest, OAuthError,
    PushAuthorizationRequest, RevokeRequest, TokenRequest, o_auth_service_client::OAuthServiceClient,
};
use serde_json::{Map, Value, json};
use tonic::body::Body;

use crate::{
    edge::Edge,
    filter::{
        Passage,
        auth::bearer,
        rate_limit::{self, Class},
    },
    identity::{Endpoint, parameters::Parameters},
    refusal::Refusal,
};

/// Longest id of a client that has a budget of its own.
const LONGEST_ID: usize = 64;

/// Answers an endpoint that applications call with a form, and counts the call: one that says with a secret who it is, as a call of that
/// client, and as an attempt of its network too where it is not proven; everything else as a call of its network, for codes and tokens
/// of 256 bits cannot be guessed.
pub(crate) async fn drive(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    endpoint: Endpoint,
) -> Result<Response<Body>, Refusal> {
    let read = Parameters::read(edge, &passage, incoming).await?;
    let read = read.and_then(|mut form| form.client(&passage.head.headers).map(|client| (form, client)));
    let named = read.as_ref().ok().map(|(_, client)| client).filter(|client| !client.client_secret.is_empty());
    let named = named.map(|client| client.client_id.clone()).filter(|id| id.len() <= LONGEST_ID);
    match &named {
        Some(id) => {
            let rate = if endpoint == Endpoint::Introspect { Rate::Read } else { Rate::Write };
            rate_limit::client(edge, passage.address, id, rate).await?;
        }
        None => rate_limit::class(edge, passage.address, unnamed(endpoint)).await?,
    }
    let read = read.and_then(|(form, client)| missing(endpoint, &form).map_or(Ok((form, client)), Err));
    let (answer, is_proven) = match read {
        Ok((form, client)) => {
            let answer = answered(edge, &passage, endpoint, (form, client)).await;
            let is_proven = match &answer {
                Ok(answer) => answer.status() != StatusCode::UNAUTHORIZED,
                // Fields are looked at before the client is.
                Err(refusal) => refusal.parts.code != tonic::Code::InvalidArgument as i32,
            };
            (answer, is_proven)
        }
        Err(problem) => (Ok(failed("invalid_request", problem, false)), false),
    };
    if named.is_some() && !is_proven {
        rate_limit::unproven(edge, passage.address).await;
    }
    answer
}

/// What a call without a secret counts as for its network.
fn unnamed(endpoint: Endpoint) -> Class {
    match endpoint {
        Endpoint::PushedAuthorization | Endpoint::DeviceAuthorization => Class::Begin,
        _ => Class::Of(Rate::Write),
    }
}

/// What is wrong with a form whoever sent it.
fn missing(endpoint: Endpoint, form: &Parameters) -> Option<&'static str> {
    match endpoint {
        Endpoint::Revoke | Endpoint::Introspect if !form.has("token") => Some("the parameter token is missing"),
        Endpoint::PushedAuthorization if form.has("request_uri") => {
            Some("request_uri is what this endpoint gives; send the parameters themselves")
        }
        _ => None,
    }
}

async fn answered(
    edge: &Edge,
    passage: &Passage,
    endpoint: Endpoint,
    (form, client): (Parameters, ClientAuthentication),
) -> Result<Response<Body>, Refusal> {
    match endpoint {
        Endpoint::PushedAuthorization => push(edge, passage, form, client).await,
        Endpoint::Revoke => revoke(edge, passage, form, client).await,
        Endpoint::Introspect => introspect(edge, passage, form, client).await,
        Endpoint::DeviceAuthorization => device(edge, passage, form, client).await,
        _ => token(edge, passage, form, client).await,
    }
}

/// `POST /oauth2/token`.
async fn token(
    edge: &Edge,
    passage: &Passage,
    mut form: Parameters,
    client: ClientAuthentication,
) -> Result<Response<Body>, Refusal> {
    let basic = client.basic;
    let request = TokenRequest {
        grant_type: form.take("grant_type"),
        client: Some(client),
        code: form.take("code"),
        redirect_uri: form.take("redirect_uri"),
        code_verifier: form.take("code_verifier"),
        refresh_token: form.take("refresh_token"),
        scope: form.take("scope"),
        device_code: form.take("device_code"),
        subject_token: form.take("subject_token"),
        subject_token_type: form.take("subject_token_type"),
        requested_token_type: form.take("requested_token_type"),
        actor_token: form.take("actor_token"),
        audience: form.take_all("audience"),
        resource: form.take_all("resource"),
    };
    let answer = service(edge, passage).token(request).await?.into_inner();
    if !answer.error.is_empty() {
        return Ok(failed(&answer.error, &answer.error_description, basic));
    }
    let mut body = json!({
        "access_token": answer.access_token,
        "token_type": "Bearer",
        "expires_in": answer.expires_in_seconds,
        "scope": answer.scope,
    });
    let rest = [
        ("refresh_token", answer.refresh_token),
        ("id_token", answer.id_token),
        ("issued_token_type", answer.issued_token_type),
    ];
    for (name, value) in rest.into_iter().filter(|(_, value)| !value.is_empty()) {
        body[name] = value.into();
    }
    Ok(reply(StatusCode::OK, &body))
}

/// `POST /oauth2/revoke`: 200 for unknown tokens too (RFC 7009 section 2.2).
async fn revoke(
    edge: &Edge,
    passage: &Passage,
    mut form: Parameters,
    client: ClientAuthentication,
) -> Result<Response<Body>, Refusal> {
    let basic = client.basic;
    let request = RevokeRequest { token: form.take("token"), client: Some(client) };
    let answer = service(edge, passage).revoke(request).await?.into_inner();
    Ok(answer.error.map_or_else(|| reply(StatusCode::OK, &json!({})), |error| told(&error, basic)))
}

/// `POST /oauth2/introspect`.
async fn introspect(
    edge: &Edge,
    passage: &Passage,
    mut form: Parameters,
    client: ClientAuthentication,
) -> Result<Response<Body>, Refusal> {
    let basic = client.basic;
    let request = IntrospectRequest { token: form.take("token"), client: Some(client) };
    let answer = service(edge, passage).introspect(request).await?.into_inner();
    if let Some(error) = answer.error {
        return Ok(told(&error, basic));
    }
    if !answer.active {
        return Ok(reply(StatusCode::OK, &json!({"active": false})));
    }
    let mut body = json!({
        "active": true,
        "iss": edge.public_url,
        "aud": edge.public_url,
        "scope": answer.scope,
        "client_id": answer.client_id,
        "token_type": if answer.token_type == "access_token" { "Bearer" } else { "refresh_token" },
        "exp": answer.exp,
        "sub": answer.sub,
        "sid": answer.sid,
    });
    if answer.iat > 0 {
        body["iat"] = answer.iat.into();
    }
    if !answer.org.is_empty() {
        body["org"] = answer.org.into();
    }
    Ok(reply(StatusCode::OK, &body))
}

/// `POST /oauth2/par`.
async fn push(
    edge: &Edge,
    passage: &Passage,
    mut form: Parameters,
    client: ClientAuthentication,
) -> Result<Response<Body>, Refusal> {
    let basic = client.basic;
    let request = PushAuthorizationRequest { client: Some(client), parameters: Some(form.authorization()) };
    let answer = service(edge, passage).push_authorization(request).await?.into_inner();
    if let Some(error) = answer.error {
        return Ok(told(&error, basic));
    }
    let expires_in = answer.expire_after.map_or(0, |life| life.seconds);
    Ok(reply(StatusCode::CREATED, &json!({"request_uri": answer.request_uri, "expires_in": expires_in})))
}

/// `POST /oauth2/device_authorization`.
async fn device(
    edge: &Edge,
    passage: &Passage,
    mut form: Parameters,
    client: ClientAuthentication,
) -> Result<Response<Body>, Refusal> {
    let basic = client.basic;
    let request = AuthorizeDeviceRequest { client: Some(client), scope: form.take("scope") };
    let answer = service(edge, passage).authorize_device(request).await?.into_inner();
    if let Some(error) = answer.error {
        return Ok(told(&error, basic));
    }
    let page = format!("{}{}", edge.public_url, Endpoint::Device.path());
    let seconds = |time: Option<prost_types::Duration>| time.map_or(0, |time| time.seconds);
    Ok(reply(
        StatusCode::OK,
        &json!({
            "device_code": answer.device_code,
            "verification_uri_complete": format!("{page}?user_code={}", answer.user_code),
            "user_code": answer.user_code,
            "verification_uri": page,
            "expires_in": seconds(answer.expire_after),
            "interval": seconds(answer.interval),
        }),
    ))
}

/// `GET` and `POST /oauth2/userinfo`: the token in the header, or in the form of a POST (RFC 6750 section 2.2), never in both.
pub(crate) async fn user_info(edge: &Edge, passage: Passage, incoming: Incoming) -> Result<Response<Body>, Refusal> {
    let mut token = bearer(&passage.head.headers)?.map(str::to_owned);
    if passage.head.method == Method::POST && passage.head.headers.contains_key(header::CONTENT_TYPE) {
        let form = Parameters::read(edge, &passage, incoming).await?.map(|mut form| form.take("access_token"));
        match (form, &token) {
            (Ok(sent), None) if !sent.is_empty() => token = Some(sent),
            (Ok(sent), _) if sent.is_empty() => {}
            _ => return Err(api::Error::credential_invalid().into()),
        }
    }
    let access_token = token.ok_or_else(api::Error::credential_missing)?;
    let info = match service(edge, &passage).get_user_info(GetUserInfoRequest { access_token }).await {
        Ok(info) => info.into_inner(),
        Err(status) if status.code() == tonic::Code::PermissionDenied => {
            let challenge = "Bearer error=\"insufficient_scope\", scope=\"openid\"";
            return Err(Refusal::from(status).header(header::WWW_AUTHENTICATE, challenge));
        }
        Err(status) => return Err(status.into()),
    };
    let mut body = Map::new();
    body.insert("sub".to_owned(), info.sub.into());
    for (name, value) in [("name", info.name), ("email", info.email), ("org", info.org)] {
        if !value.is_empty() {
            body.insert(name.to_owned(), value.into());
        }
    }
    if body.contains_key("email") {
        body.insert("email_verified".to_owned(), info.email_verified.into());
    }
    if info.updated_at > 0 {
        body.insert("updated_at".to_owned(), info.updated_at.into());
    }
    Ok(reply(StatusCode::OK, &Value::Object(body)))
}

fn service(edge: &Edge, passage: &Passage) -> OAuthServiceClient<mesh::client::Channel> {
    OAuthServiceClient::new(edge.mesh.as_workload("auth", &passage.context))
}

fn told(error: &OAuthError, basic: bool) -> Response<Body> {
    failed(&error.error, &error.error_description, basic)
}

/// An error of RFC 6749 section 5.2. Whoever tried the header is told that it is understood.
fn failed(error: &str, description: &str, basic: bool) -> Response<Body> {
    let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    let mut response = reply(status, &json!({"error": error, "error_description": description}));
    if status == StatusCode::UNAUTHORIZED && basic {
        let challenge = HeaderValue::from_static("Basic realm=\"oauth2\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn reply(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body.to_string()))));
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
