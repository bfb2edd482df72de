//! A plain HTTP client: one call, one answer, no retries, so that a test sees what the edge really says.
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of one gateway or admin port.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    base: String,
    token: Option<String>,
}

/// One call in the making.
pub(crate) struct Call {
    client: Client,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The name of a resource.
pub(crate) fn name(made: &Value) -> &str {
    made["name"].as_str().unwrap_or_else(|| panic!("a resource has a name: {made}"))
}

/// When what must end does: a day from now.
pub(crate) fn tomorrow() -> String {
    let end = api::Clock::default().now() + time::Duration::DAY;
    end.format(&time::format_description::well_known::Rfc3339).expect("a year of four digits")
}

impl Client {
    /// A client without a credential.
    pub(crate) fn new(base: impl Into<String>) -> Client {
        Client { pool: Pool::builder(TokioExecutor::new()).build_http(), base: base.into(), token: None }
    }

    /// The same client with an access token.
    pub(crate) fn with_token(&self, token: &str) -> Client {
        Client { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Base URL.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn call(&self, method: Method, path: impl Into<String>) -> Call {
        Call { client: self.clone(), method, path: path.into(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Call {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: impl Into<String>, body: &Value) -> Call {
        self.call(Method::POST, path).json(body)
    }

    pub(crate) fn patch(&self, path: impl Into<String>, body: &Value) -> Call {
        self.call(Method::PATCH, path).json(body)
    }

    pub(crate) fn delete(&self, path: impl Into<String>) -> Call {
        self.call(Method::DELETE, path)
    }
}

impl Call {
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Call {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Call {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Call {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sends the call and gives the answer with its body still to be read.
    pub(crate) async fn open(self) -> Result<Response<Incoming>, String> {
        let shown = format!("{} {}{}", self.method, self.client.base, self.path);
        let mut request = Request::builder().method(self.method).uri(format!("{}{}", self.client.base, self.path));
        if let Some(token) = &self.client.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body)).map_err(|error| format!("{shown}: {error}"))?;
        let answer = tokio::time::timeout(PATIENCE, self.client.pool.request(request)).await;
        answer
            .map_err(|_| format!("{shown}: no answer within {PATIENCE:?}"))?
            .map_err(|error| format!("{shown}: {error:?}"))
    }

    /// Sends the call and reads the answer; an error is a broken connection.
    pub(crate) async fn attempt(self) -> Result<Answer, String> {
        let (parts, body) = self.open().await?.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await;
        let body = body.map_err(|_| format!("the answer does not end within {PATIENCE:?}"))?;
        let body = body.map_err(|error| format!("the answer broke: {error}"))?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// Sends the call and reads the answer.
    pub(crate) async fn send(self) -> Answer {
        self.attempt().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends the call; the JSON of its success.
    pub(crate) async fn good(self) -> Value {
        let shown = format!("{} {}", self.method, self.path);
        let answer = self.send().await;
        assert!(answer.status.is_success(), "{shown}: {}", answer.show());
        answer.json()
    }
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header as text; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// For messages of failed tests.
    pub(crate) fn show(&self) -> String {
        let body = String::from_utf8_lossy(&self.body).chars().take(2_000).collect::<String>();
        format!("{} {:?} {body}", self.status, self.headers)
    }

    /// The detail of one type, null when there is none.
    pub(crate) fn detail(&self, kind: &str) -> Value {
        let details = self.json()["error"]["details"].as_array().cloned().unwrap_or_default();
        details
            .into_iter()
            .find(|detail| detail["@type"] == format!("type.googleapis.com/google.rpc.{kind}"))
            .unwrap_or_default()
    }

    /// The machine-readable reason of an error.
    pub(crate) fn reason(&self) -> String {
        self.detail("ErrorInfo")["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// Asserts a refusal in the form that every refusal has: status, reason, words for people, request id, nothing of a
    /// driver's text.
    #[track_caller]
    pub(crate) fn is_refused(&self, status: u16, reason: &str) {
        assert_eq!((self.status.as_u16(), self.reason().as_str()), (status, reason), "{}", self.show());
        let error = &self.json()["error"];
        assert_eq!(error["code"], status, "{}", self.show());
        assert!(error["status"].as_str().is_some_and(|name| !name.is_empty()), "{}", self.show());
        assert!(error["message"].as_str().is_some_and(|text| text.len() > 10), "{}", self.show());
        let id = self.header("x-request-id");
        assert!(!id.is_empty() && self.detail("RequestInfo")["requestId"] == id, "{}", self.show());
        assert!(!self.detail("ErrorInfo")["domain"].as_str().unwrap_or_default().is_empty(), "{}", self.show());
        self.tells_nothing_of_the_inside();
    }

    /// No words of drivers, hosts or source code.
    #[track_caller]
    pub(crate) fn tells_nothing_of_the_inside(&self) {
        let text = String::from_utf8_lossy(&self.body).to_lowercase();
        for word in [
            "sqlstate",
            "postgres",
            "relation \"",
            "tokio",
            "tonic",
            "nats:",
            "redis",
            "tantivy",
            "panicked",
            ".rs:",
            "os error",
            "/tmp/",
        ] {
            assert!(!text.contains(word), "{word}: {}", self.show());
        }
    }
}

/// Percent-encodes a query or form value.
pub(crate) fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Reads a stream of server-sent events or lines until `found` gives something.
///
/// # Panics
/// When the stream ends or a minute passes first.
pub(crate) async fn read_until<T>(mut body: Incoming, mut found: impl FnMut(&str) -> Option<T>) -> T {
    let mut text = String::new();
    let read = async {
        loop {
            if let Some(value) = found(&text) {
                return Ok(value);
            }
            match body.frame().await {
                Some(Ok(frame)) => {
                    text.push_str(&String::from_utf8_lossy(frame.data_ref().map(Bytes::as_ref).unwrap_or_default()))
                }
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("the stream ended".to_owned()),
            }
        }
    };
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => panic!("{error} after: {text}"),
        Err(_) => panic!("nothing found within {PATIENCE:?}; read so far: {text}"),
    }
}
