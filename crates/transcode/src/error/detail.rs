//! The details of a status: the types of `google/rpc/error_details.proto` are known here, so they can be
//! read and printed whatever the contract imports; other types are looked up, unknown ones stay opaque.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value, json};

use crate::ink::Ink;
use crate::plan::Plans;
use crate::problem::FieldViolation as Violation;
use crate::response::{Printer, ResponseOptions};
use crate::scalar::render_duration;

const PREFIX: &str = "type.googleapis.com/";

/// `google.protobuf.Any`, as it stands in a status.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct AnyMessage {
    /// `type.googleapis.com/` and the message's name.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message's wire bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// A detail this crate acts on.
pub(super) enum Detail {
    RetryInfo(RetryInfo),
    ErrorInfo(ErrorInfo),
    BadRequest(BadRequest),
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ErrorInfo {
    #[prost(string, tag = "1")]
    pub(super) reason: String,
    #[prost(string, tag = "2")]
    pub(super) domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

/// `google.rpc.RetryInfo` with its `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// `google.rpc.BadRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    reason: String,
    #[prost(message, optional, tag = "4")]
    localized_message: Option<LocalizedMessage>,
}

/// `google.rpc.RequestInfo`.
#[derive(Clone, PartialEq, Message)]
struct RequestInfo {
    #[prost(string, tag = "1")]
    request_id: String,
}

/// `google.rpc.LocalizedMessage`.
#[derive(Clone, PartialEq, Message)]
struct LocalizedMessage {
    #[prost(string, tag = "1")]
    locale: String,
    #[prost(string, tag = "2")]
    message: String,
}

impl Detail {
    pub(super) fn parse(any: &AnyMessage) -> Option<Self> {
        let bytes = any.value.clone();
        match any.name() {
            "google.rpc.RetryInfo" => RetryInfo::decode(bytes).ok().map(Self::RetryInfo),
            "google.rpc.ErrorInfo" => ErrorInfo::decode(bytes).ok().map(Self::ErrorInfo),
            "google.rpc.BadRequest" => BadRequest::decode(bytes).ok().map(Self::BadRequest),
            _ => None,
        }
    }
}

impl RetryInfo {
    /// The delay for `Retry-After`: whole seconds, rounded up.
    pub(super) fn seconds(&self) -> Option<u64> {
        let delay = self.retry_delay.as_ref()?;
        let seconds = u64::try_from(delay.seconds).ok()?;
        Some(seconds + u64::from(delay.nanos > 0))
    }
}

impl BadRequest {
    /// Brings the fields into the caller's spelling.
    pub(super) fn rename(&mut self, spelling: impl Fn(&str) -> String) {
        for violation in &mut self.field_violations {
            violation.field = spelling(&violation.field);
        }
    }
}

pub(super) fn error_info(reason: &str, domain: &str, metadata: &[(&'static str, String)]) -> AnyMessage {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    pack(
        "google.rpc.ErrorInfo",
        &ErrorInfo { reason: reason.to_owned(), domain: domain.to_owned(), metadata: metadata.collect() },
    )
}

pub(super) fn bad_request(violations: &[Violation]) -> AnyMessage {
    let field_violations = violations.iter().map(|violation| FieldViolation {
        field: violation.field.clone(),
        description: violation.description.clone(),
        ..FieldViolation::default()
    });
    pack("google.rpc.BadRequest", &BadRequest { field_violations: field_violations.collect() })
}

pub(super) fn request_info(request_id: &str) -> AnyMessage {
    let request_id = request_id.to_owned();
    pack("google.rpc.RequestInfo", &RequestInfo { request_id })
}

fn pack(name: &str, message: &impl Message) -> AnyMessage {
    AnyMessage { type_url: format!("{PREFIX}{name}"), value: message.encode_to_vec().into() }
}

impl AnyMessage {
    /// The full name of the message.
    pub(super) fn name(&self) -> &str {
        self.type_url.rsplit_once('/').map_or(self.type_url.as_str(), |(_, name)| name)
    }

    /// As ProtoJSON; a type that is known nowhere keeps its bytes as base64 in `value`.
    pub(super) fn to_json(&self, plans: &Plans) -> Value {
        let known = self.by_plan(plans).or_else(|| self.by_name());
        known.unwrap_or_else(|| json!({"@type": self.type_url, "value": BASE64_STANDARD.encode(&self.value)}))
    }

    fn by_plan(&self, plans: &Plans) -> Option<Value> {
        plans.of_url(&self.type_url)?;
        let options = ResponseOptions::default();
        let mut printer = Printer::for_details(plans, &options);
        let wire = self.encode_to_vec();
        printer.run(|printer| printer.any(&wire)).ok()?;
        serde_json::from_slice(&printer.out).ok()
    }

    /// The details platform services use, for contracts that do not import them.
    fn by_name(&self) -> Option<Value> {
        let bytes = self.value.clone();
        let mut members = match self.name() {
            "google.rpc.ErrorInfo" => {
                let info = ErrorInfo::decode(bytes).ok()?;
                filled([
                    ("reason", info.reason.into()),
                    ("domain", info.domain.into()),
                    ("metadata", json!(info.metadata)),
                ])
            }
            "google.rpc.RetryInfo" => {
                let delay = RetryInfo::decode(bytes).ok()?.retry_delay;
                let mut text = Ink::default();
                delay.and_then(|delay| render_duration(delay.seconds, delay.nanos, &mut text));
                filled([("retryDelay", serde_json::from_slice(&text).unwrap_or_default())])
            }
            "google.rpc.RequestInfo" => filled([("requestId", RequestInfo::decode(bytes).ok()?.request_id.into())]),
            "google.rpc.LocalizedMessage" => localized(&LocalizedMessage::decode(bytes).ok()?),
            "google.rpc.BadRequest" => {
                let violations = BadRequest::decode(bytes).ok()?.field_violations;
                let violations: Vec<Value> = violations.iter().map(violation).collect();
                filled([("fieldViolations", violations.into())])
            }
            _ => return None,
        };
        members.shift_insert(0, "@type".to_owned(), self.type_url.clone().into());
        Some(Value::Object(members))
    }
}

fn violation(violation: &FieldViolation) -> Value {
    let localized = violation.localized_message.as_ref().map(localized).unwrap_or_default();
    Value::Object(filled([
        ("field", violation.field.clone().into()),
        ("description", violation.description.clone().into()),
        ("reason", violation.reason.clone().into()),
        ("localizedMessage", Value::Object(localized)),
    ]))
}

fn localized(message: &LocalizedMessage) -> Map<String, Value> {
    filled([("locale", message.locale.clone().into()), ("message", message.message.clone().into())])
}

/// The members that are not empty: ProtoJSON leaves defaults out.
fn filled<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let is_filled = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Null => false,
        _ => true,
    };
    let filled = members.into_iter().filter(|(_, value)| is_filled(value));
    filled.map(|(name, value)| (name.to_owned(), value)).collect()
}
