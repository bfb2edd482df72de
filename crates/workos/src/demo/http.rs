//! The demo's HTTP client: everything it does goes through the public edge, as any client's calls do.
//!
//! Every call the demo makes carries an id of its own making, so each may be repeated: while the platform is away or busy
//! the client tries again, up to a limit. The first call of each kind is printed as a curl line that can be copied.
use std::{collections::BTreeSet, convert::Infallible, sync::Mutex, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use crate::{login::encoded, terminal};

/// How often a call is tried while the platform is away or busy.
const TRIES: u32 = 8;

type Body = BoxBody<Bytes, std::io::Error>;

/// A client of one gateway.
pub(crate) struct Http {
    client: Client<HttpConnector, Body>,
    base: String,
    /// Kinds of calls that were shown; `None` shows nothing.
    shown: Option<Mutex<BTreeSet<&'static str>>>,
}

/// One call: a kind for the curl lines, method, path with query, and what it carries.
pub(crate) struct Call {
    /// Kind of call; the first of each is shown.
    pub(crate) kind: &'static str,
    /// HTTP method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// Access token.
    pub(crate) token: Option<String>,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Content type and body.
    pub(crate) body: Option<(&'static str, Bytes)>,
}

impl Call {
    /// A call without a body.
    pub(crate) fn new(kind: &'static str, method: Method, path: impl Into<String>) -> Self {
        Self { kind, method, path: path.into(), token: None, headers: Vec::new(), body: None }
    }

    /// With an access token.
    pub(crate) fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// With a JSON body.
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = Some(("application/json", Bytes::from(body.to_string())));
        self
    }

    /// With a body of another type.
    pub(crate) fn body(mut self, content_type: &'static str, body: Bytes) -> Self {
        self.body = Some((content_type, body));
        self
    }

    /// With the fields of a form as body.
    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Self {
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.body("application/x-www-form-urlencoded", Bytes::from(fields.join("&")))
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An answer, read whole.
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: StatusCode,
    /// Headers.
    pub(crate) headers: http::HeaderMap,
    /// Body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The machine-readable reason of an error.
    pub(crate) fn reason(&self) -> String {
        let details = self.json();
        let details = details["error"]["details"].as_array().cloned().unwrap_or_default();
        details.iter().find_map(|detail| detail["reason"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The JSON of a successful answer.
    pub(crate) fn success(self, what: &str) -> Result<Value> {
        if self.status.is_success() {
            return Ok(self.json());
        }
        let error = self.json();
        let message =
            error["error"]["message"].as_str().or_else(|| error["error_description"].as_str()).unwrap_or("no message");
        bail!("{what}: {} {}: {message}", self.status.as_u16(), self.reason())
    }
}

impl Http {
    /// A client of the gateway at `base`, for example `http://127.0.0.1:8080`.
    pub(crate) fn new(base: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(64).build(connector);
        Self { client, base: base.trim_end_matches('/').to_owned(), shown: Some(Mutex::default()) }
    }

    /// A client that shows no curl lines.
    pub(crate) fn quiet(base: &str) -> Self {
        Self { shown: None, ..Self::new(base) }
    }

    /// Base URL.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a call and reads the answer, trying again while the platform is away or busy.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer> {
        self.show(&call);
        let mut last = String::new();
        for attempt in 0..TRIES {
            match self.once(&call).await {
                Ok(answer) if !may_pass(answer.status) => return Ok(answer),
                Ok(answer) if attempt + 1 == TRIES => return Ok(answer),
                Ok(answer) => {
                    last = format!("{} {}", answer.status.as_u16(), answer.reason());
                    let named =
                        answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                    tokio::time::sleep(named.map_or_else(|| backoff(attempt), Duration::from_secs)).await;
                }
                Err(error) => {
                    last = format!("{error:#}");
                    tokio::time::sleep(backoff(attempt)).await;
                }
            }
        }
        bail!("{} {}{}: no answer after {TRIES} tries: {last}", call.method, self.base, call.path)
    }

    /// Sends a call once and gives the answer with its body still to be read.
    pub(crate) async fn stream(&self, call: &Call) -> Result<Response<Incoming>> {
        self.show(call);
        self.client.request(self.request(call)?).await.with_context(|| format!("{} {}", call.method, call.path))
    }

    /// Sends a call once and reads the answer.
    pub(crate) async fn once(&self, call: &Call) -> Result<Answer> {
        let response = self.client.request(self.request(call)?).await.context("the gateway does not answer")?;
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(Duration::from_secs(60), body.collect())
            .await
            .context("the answer takes too long")??
            .to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    fn request(&self, call: &Call) -> Result<Request<Body>> {
        let mut request = Request::builder().method(&call.method).uri(format!("{}{}", self.base, call.path));
        if let Some(token) = &call.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let mut body = Bytes::new();
        if let Some((content_type, bytes)) = &call.body {
            request = request.header(header::CONTENT_TYPE, *content_type);
            body = bytes.clone();
        }
        Ok(request.body(Full::new(body).map_err(|never: Infallible| match never {}).boxed())?)
    }

    /// Prints the first call of each kind as a curl line.
    fn show(&self, call: &Call) {
        let Some(shown) = &self.shown else { return };
        let mut shown = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if shown.insert(call.kind) {
            terminal::line(terminal::dim(&format!("  {}: {}", call.kind, curl(&self.base, call))));
        }
    }
}

/// The call as a curl line; token and secrets stand as shell variables.
fn curl(base: &str, call: &Call) -> String {
    let mut text = String::from("curl -sS");
    if call.method == Method::HEAD {
        // With -X HEAD curl would wait for a body that never comes.
        text.push_str(" --head");
    } else if call.method != Method::GET {
        text.push_str(&format!(" -X {}", call.method));
    }
    if call.token.is_some() {
        text.push_str(" -H \"Authorization: Bearer $TOKEN\"");
    }
    for (name, value) in &call.headers {
        text.push_str(&format!(" -H '{name}: {}'", quoted(value)));
    }
    if let Some((content_type, body)) = &call.body {
        text.push_str(&format!(" -H 'Content-Type: {content_type}'"));
        match std::str::from_utf8(body) {
            Ok(body) if *content_type == "application/json" => {
                text.push_str(&format!(" -d '{}'", quoted(&shortened(body))))
            }
            Ok(body) if body.contains("grant_type") => text.push_str(" -d \"grant_type=...\""),
            _ => text.push_str(" --data-binary @FILE"),
        }
    }
    format!("{text} '{base}{}'", quoted(&call.path))
}

fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

/// The body without secrets and with long strings cut.
fn shortened(body: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else { return String::from("{...}") };
    shorten(&mut value);
    value.to_string()
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.chars().count() > 60 => *text = text.chars().take(57).collect::<String>() + "...",
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => {
            for (name, field) in fields {
                if ["password", "code", "flow"].contains(&name.as_str()) && field.is_string() {
                    *field = Value::String(format!("${}", name.to_uppercase()));
                } else {
                    shorten(field);
                }
            }
        }
        _ => {}
    }
}

fn may_pass(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::LOCKED
    )
}

fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(50 << attempt.min(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curl_line_shows_no_secret_and_survives_quotes() {
        let body = serde_json::json!({"title": "it's", "password": "correct horse"});
        let line = curl("http://h", &Call::new("x", Method::POST, "/v1/x").token("SECRET").json(&body));
        assert!(line.contains("it'\\''s") && line.contains("$PASSWORD") && line.contains("$TOKEN"));
        assert!(!line.contains("SECRET") && !line.contains("correct horse"));
    }
}
