//! Scenario files: what a caller sends, what the upstream sees and answers, what the caller gets.
//!
//! ```yaml
//! - id: GW-P01                       # case of the design document (gateway.md, section 6)
//!   what: one-segment values are decoded whole
//!   cases:
//!     - call: GET /v1/p/s/p%20q      # method and target
//!       seen: {s: "p q"}             # the message that arrived, as ProtoJSON; a list for a stream
//!     - call: GET /v1/p/i/abc
//!       refused: INVALID_PATH_VALUE  # 400 with this reason, and the upstream saw no call
//! ```
//!
//! A case that says nothing of `status` expects 200. All failing cases are told, with their ids.
use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    client::{self, Reply, coded},
    upstream::{Answer, Seen},
    world::World,
};

/// One numbered case of the design, with as many examples as it takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) id: String,
    what: String,
    cases: Vec<Case>,
}

/// One exchange.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Case {
    /// Method and target.
    call: String,
    /// 1 or 2.
    http: Option<u8>,
    headers: BTreeMap<String, String>,
    /// A JSON body; sets the content type.
    body: Option<Value>,
    /// A body as it is.
    text: Option<String>,
    /// The body goes out in this coding: `gzip`, `zstd` or `br`. The header is the case's own.
    coded: Option<String>,
    answer: Answer,
    /// Name of the RPC that arrived.
    rpc: Option<String>,
    seen: Option<Value>,
    /// Metadata that arrived; null: it did not.
    metadata: BTreeMap<String, Option<String>>,
    /// The upstream saw the call end early.
    cancelled: bool,
    /// No call arrived.
    unseen: bool,
    /// So many calls arrived.
    calls: Option<usize>,
    /// Reason of an error that the edge itself found: nothing arrived.
    refused: Option<String>,
    status: Option<u16>,
    /// Reason of any error.
    reason: Option<String>,
    /// Field of the first violation.
    violation: Option<String>,
    /// Headers of the answer; null: not there.
    out: BTreeMap<String, Option<String>>,
    json: Option<Value>,
    body_is: Option<String>,
    contains: Vec<String>,
    trailers: BTreeMap<String, Option<String>>,
    /// The body broke off.
    broken: bool,
}

/// Reads a file of scenarios.
pub(crate) fn read(file: &str) -> Vec<Scenario> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_norway::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Plays a file against an edge of its own and panics with all that went wrong.
pub(crate) async fn play(file: &str) {
    let world = World::start("").await;
    let mut failures = Vec::new();
    let scenarios = read(file);
    for scenario in &scenarios {
        assert!(!scenario.cases.is_empty(), "{}: no cases", scenario.id);
        for case in &scenario.cases {
            let wrong = case.play(&world).await;
            if !wrong.is_empty() {
                failures.push(format!(
                    "{} ({}): {}\n    {}",
                    scenario.id,
                    scenario.what,
                    case.call,
                    wrong.join("\n    ")
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {file} failed:\n{}", failures.len(), failures.join("\n"));
}

impl Case {
    async fn play(&self, world: &World) -> Vec<String> {
        world.upstream.answers(self.answer.clone());
        let (method, target) = self.call.split_once(' ').expect("`call` is method and target");
        let version = self.http.unwrap_or(1);
        let mut request = client::request(world.address, version, method, target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = match (&self.body, &self.text) {
            (Some(json), _) => {
                if !self.headers.contains_key("content-type") {
                    request = request.header("content-type", "application/json");
                }
                json.to_string().into_bytes()
            }
            (None, Some(text)) => text.clone().into_bytes(),
            (None, None) => Vec::new(),
        };
        let body = match &self.coded {
            Some(coding) => coded(coding, &body),
            None => body,
        };
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let reply = client::send(world.address, version, request).await;
        let mut wrong = self.of_reply(&reply);
        wrong.extend(self.of_upstream(world).await);
        if !wrong.is_empty() {
            let text: String = String::from_utf8_lossy(&reply.body).chars().take(600).collect();
            wrong.push(format!("the answer was {} {text}", reply.status.as_u16()));
        }
        wrong
    }

    fn of_reply(&self, reply: &Reply) -> Vec<String> {
        let mut wrong = Vec::new();
        let status = self.status.unwrap_or(if self.refused.is_some() { 400 } else { 200 });
        if reply.status != status {
            wrong.push(format!("status {} instead of {status}", reply.status.as_u16()));
        }
        let json: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        if let Some(expected) = self.refused.as_ref().or(self.reason.as_ref()) {
            let found = detail(&json, "reason");
            if found.as_deref() != Some(expected) {
                wrong.push(format!("reason {found:?} instead of {expected}"));
            }
        }
        if let Some(expected) = &self.violation {
            let found = detail(&json, "fieldViolations");
            if found.as_deref() != Some(expected) {
                wrong.push(format!("violation of {found:?} instead of {expected}"));
            }
        }
        if let Some(expected) = self.json.as_ref().filter(|expected| !same(expected, &json)) {
            wrong.push(format!("body is not {expected}"));
        }
        if let Some(expected) = self.body_is.as_ref().filter(|expected| reply.body != expected.as_bytes()) {
            wrong.push(format!("body is not {expected:?}"));
        }
        let text = String::from_utf8_lossy(&reply.body);
        wrong.extend(
            self.contains.iter().filter(|part| !text.contains(*part)).map(|part| format!("no {part:?} in the body")),
        );
        wrong.extend(differences("header", &self.out, &reply.headers));
        wrong.extend(differences("trailer", &self.trailers, &reply.trailers));
        if reply.broken != self.broken {
            wrong.push(format!("body broken: {}", reply.broken));
        }
        wrong
    }

    async fn of_upstream(&self, world: &World) -> Vec<String> {
        if self.cancelled {
            let cancelled = async {
                while !world.upstream.seen().iter().any(|seen| seen.cancelled) {
                    tokio::task::yield_now().await
                }
            };
            let limit = std::time::Duration::from_secs(5);
            if tokio::time::timeout(limit, cancelled).await.is_err() {
                return vec!["the upstream's call went on".to_owned()];
            }
        }
        let seen = world.upstream.seen();
        if self.unseen || self.refused.is_some() {
            return if seen.is_empty() {
                Vec::new()
            } else {
                vec![format!("the upstream saw a call: {:?}", seen[0].path)]
            };
        }
        if let Some(calls) = self.calls.filter(|calls| *calls != seen.len()) {
            return vec![format!("the upstream saw {} calls instead of {calls}", seen.len())];
        }
        let expects = self.seen.is_some() || self.rpc.is_some() || !self.metadata.is_empty();
        match seen.last() {
            Some(seen) => self.of_call(seen),
            None if expects => vec!["the upstream saw no call".to_owned()],
            None => Vec::new(),
        }
    }

    fn of_call(&self, seen: &Seen) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(rpc) = self.rpc.as_ref().filter(|rpc| !seen.path.ends_with(&format!("/{rpc}"))) {
            wrong.push(format!("{} was called instead of {rpc}", seen.path));
        }
        let messages = Value::Array(seen.messages.clone());
        let expected = self.seen.as_ref().map(|expected| match expected {
            Value::Array(_) => expected.clone(),
            one => Value::Array(vec![one.clone()]),
        });
        if let Some(expected) = expected.filter(|expected| !same(expected, &messages)) {
            wrong.push(format!("the upstream saw {messages} instead of {expected}"));
        }
        wrong.extend(differences("metadata", &self.metadata, &seen.metadata));
        wrong
    }
}

/// A reason, or the first violated field, of an AIP-193 error.
fn detail(json: &Value, key: &str) -> Option<String> {
    // The default form of a stream wraps an error as an element.
    let error = json.get("error")?;
    let found = error["details"].as_array()?.iter().find_map(|detail| detail.get(key))?;
    let text = if found.is_array() { &found[0]["field"] } else { found };
    text.as_str().map(str::to_owned)
}

fn differences(kind: &str, expected: &BTreeMap<String, Option<String>>, found: &http::HeaderMap) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, value) in expected {
        let found: Vec<_> = found.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let found = (!found.is_empty()).then(|| found.join(", "));
        let fits = match (value.as_deref(), found.as_deref()) {
            (Some("*"), found) => found.is_some(),
            (expected, found) => expected == found,
        };
        if !fits {
            wrong.push(format!("{kind} {name} is {found:?} instead of {value:?}"));
        }
    }
    wrong
}

/// Equal, numbers by value: YAML knows integers where JSON has floats.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        (left, right) => left == right,
    }
}
