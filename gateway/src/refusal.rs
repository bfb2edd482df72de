//! Refusals: the gateway's own problems and upstream statuses, in one form, written in the caller's protocol.
mod dialect;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tonic::body::Body;
use transcode::{
    Contract, Match, Problem,
    error::{Context, Shape, StatusParts, render},
};

pub(crate) use dialect::{Codec, Dialect, Web, end_of_stream, essence, trailers_frame};

/// A request that is answered with an error.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The status.
    pub(crate) parts: Box<StatusParts>,
    /// Headers beside it.
    pub(crate) headers: Box<HeaderMap>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { parts: Box::new(StatusParts::from(&problem)), headers: Box::default() }
    }
}

impl From<api::Error> for Refusal {
    fn from(error: api::Error) -> Self {
        tonic::Status::from(error).into()
    }
}

impl From<tonic::Status> for Refusal {
    fn from(status: tonic::Status) -> Self {
        // To gRPC a request that is too long exhausts a resource, as does one that comes too often; to HTTP those are two things.
        // The reason stands in the details as it is written.
        let reason = b"MESSAGE_TOO_LARGE";
        let is_long = status.code() == tonic::Code::ResourceExhausted
            && status.details().windows(reason.len()).any(|part| part == reason);
        let parts = StatusParts {
            code: status.code() as i32,
            message: status.message().to_owned(),
            details: Bytes::copy_from_slice(status.details()),
            http: is_long.then_some(413),
        };
        Self { parts: Box::new(parts), headers: Box::default() }
    }
}

impl Refusal {
    /// A problem of the edge with any HTTP status.
    pub(crate) fn new(http: u16, code: tonic::Code, reason: &'static str, message: impl Into<String>) -> Self {
        Problem::with(http, code as i32, reason, message).into()
    }

    /// 404 for a path that leads nowhere.
    pub(crate) fn not_found(path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        Self::new(
            404,
            tonic::Code::NotFound,
            "ROUTE_NOT_FOUND",
            format!("there is nothing at {shown}; the API is described at /docs"),
        )
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The machine-readable reason, if the details carry one.
    pub(crate) fn reason(&self, contract: &Contract) -> Option<String> {
        self.render(contract, None, "").reason
    }

    /// One entry of the details' metadata.
    pub(crate) fn metadata(&self, contract: &Contract, key: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body(contract, None, "")).ok()?;
        let details = body["error"]["details"].as_array()?;
        details.iter().find_map(|detail| detail["metadata"][key].as_str().map(str::to_owned))
    }

    /// As JSON (AIP-193).
    pub(crate) fn to_json(&self, contract: &Contract, route: Option<&Match>, request_id: &str) -> Response<Body> {
        let rendered = self.render(contract, route, request_id);
        let mut response = Response::new(Body::new(http_body_util::Full::new(rendered.body)));
        *response.status_mut() = StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.extend(HeaderMap::clone(&self.headers));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(rendered.content_type));
        if let Some(seconds) = rendered.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if rendered.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, self.challenge(contract, rendered.reason.as_deref()));
        }
        response
    }

    /// The JSON body alone, for an error in mid-stream.
    pub(crate) fn body(&self, contract: &Contract, route: Option<&Match>, request_id: &str) -> Bytes {
        self.render(contract, route, request_id).body
    }

    /// RFC 6750 section 3: which kind of credential, and whether the one sent was bad; RFC 9470 section 3: what sign-in is asked for.
    fn challenge(&self, contract: &Contract, reason: Option<&str>) -> HeaderValue {
        match reason {
            Some("CREDENTIAL_MISSING") => HeaderValue::from_static("Bearer"),
            Some("STEP_UP_REQUIRED") => {
                let part = |name: &str, key: &str| {
                    self.metadata(contract, key).map(|value| format!(", {name}=\"{value}\"")).unwrap_or_default()
                };
                let (class, age) = (part("acr_values", "acr"), part("max_age", "max_age"));
                let text = format!("Bearer error=\"insufficient_user_authentication\"{class}{age}");
                HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
            }
            _ => HeaderValue::from_static("Bearer error=\"invalid_token\""),
        }
    }

    fn render(&self, contract: &Contract, route: Option<&Match>, request_id: &str) -> transcode::error::Rendered {
        render(&Context { shape: Shape::Aip193, contract, route, request_id }, &self.parts)
    }
}

/// `grpc-message` is percent-encoded outside printable ASCII (gRPC over HTTP/2).
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// 429 with the time to wait.
pub(crate) fn too_many(what: &str, wait: Duration) -> Refusal {
    let message = format!("too many {what}; wait {} s, then try again", wait.as_secs().max(1));
    let error = api::Error::new(api::Code::ResourceExhausted, api::CommonReason::RateLimited, message);
    error.retry_after(wait.max(Duration::from_secs(1))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_p16_a_step_up_is_asked_for_as_rfc_9470_says() {
        let contract =
            transcode::compile(proto::CONTRACT, &transcode::Options::default()).expect("the contract compiles");
        let challenge = |error: api::Error| {
            let response = Refusal::from(error).to_json(&contract, None, "r");
            let value = response.headers()[header::WWW_AUTHENTICATE].to_str().expect("ASCII").to_owned();
            (response.status().as_u16(), value)
        };
        let asked = "Bearer error=\"insufficient_user_authentication\", acr_values=\"1\", max_age=\"900\"";
        assert_eq!(challenge(api::Error::step_up_required(1, Some(900))), (401, asked.to_owned()));
        let stronger = "Bearer error=\"insufficient_user_authentication\", acr_values=\"2\"";
        assert_eq!(challenge(api::Error::step_up_required(2, None)), (401, stronger.to_owned()));
        let invalid = "Bearer error=\"invalid_token\"";
        assert_eq!(challenge(api::Error::credential_invalid()), (401, invalid.to_owned()));
        assert_eq!(challenge(api::Error::credential_missing()), (401, "Bearer".to_owned()));
    }
}
