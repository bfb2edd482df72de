//! Any method by its own path, as a Connect client sends it: JSON in, JSON out, streams in envelopes.
use http::Method as Verb;
use serde_json::Value;

use crate::client::{Answer, Call, Client};

/// Longest time that a stream is listened to.
const LISTEN: &str = "1500";

/// Calls a unary method.
pub(super) fn unary(client: &Client, rpc: &str, body: &Value) -> Call {
    let call = client.call(Verb::POST, format!("/{rpc}")).header("connect-protocol-version", "1").json(body);
    // Every service answers these for itself, so one must be named.
    if rpc.starts_with("workos.events.") { call.header("target-service", "document") } else { call }
}

/// Calls a unary method that must answer well.
pub(super) async fn good(client: &Client, rpc: &str, body: Value) -> Value {
    unary(client, rpc, &body).good().await
}

/// Calls any method with one message.
pub(super) async fn call(client: &Client, method: &proto::Method, body: &Value) -> Said {
    if method.is_unary() {
        return Said::of_unary(unary(client, method.rpc, body).send().await);
    }
    let text = body.to_string().into_bytes();
    let length = u32::try_from(text.len()).expect("requests of tests are small").to_be_bytes();
    let envelope = [&[0][..], &length, &text].concat();
    let call = client.call(Verb::POST, format!("/{}", method.rpc)).header("connect-protocol-version", "1");
    let call = call.header("connect-timeout-ms", LISTEN).body("application/connect+json", envelope);
    Said::of_stream(call.send().await)
}

/// What a method said.
#[derive(Debug)]
pub(super) struct Said {
    /// Connect's name of the code; `ok` of a success.
    pub(super) code: String,
    /// The machine-readable reason of an error.
    pub(super) reason: String,
    /// Everything that came.
    pub(super) text: String,
    /// The answer, or the error.
    pub(super) json: Value,
}

impl Said {
    fn of_unary(answer: Answer) -> Said {
        let json = answer.json();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status.is_success() { Said::good(json, text) } else { Said::refused(json, text) }
    }

    fn of_stream(answer: Answer) -> Said {
        if !answer.status.is_success() {
            return Said::of_unary(answer);
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let mut rest = &answer.body[..];
        let mut messages = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<5>() {
            let [flags, length @ ..] = *head;
            let (message, after) = after.split_at((u32::from_be_bytes(length) as usize).min(after.len()));
            let json: Value = serde_json::from_slice(message).unwrap_or_default();
            if flags & 2 != 0 && json.get("error").is_some() {
                return Said::refused(json["error"].clone(), text);
            }
            messages.push(json);
            rest = after;
        }
        Said::good(Value::Array(messages), text)
    }

    fn good(json: Value, text: String) -> Said {
        Said { code: "ok".to_owned(), reason: String::new(), text, json }
    }

    fn refused(json: Value, text: String) -> Said {
        // Where there is no route the edge knows no protocol and answers as REST does.
        let json = if json["error"].is_object() { json["error"].clone() } else { json };
        let details = json["details"].as_array().cloned().unwrap_or_default();
        let reason =
            |detail: &Value| detail["debug"]["reason"].as_str().or(detail["reason"].as_str()).map(str::to_owned);
        let reason = details.iter().find_map(reason).unwrap_or_default();
        Said { code: json["code"].as_str().unwrap_or("?").to_owned(), reason, text, json }
    }
}
