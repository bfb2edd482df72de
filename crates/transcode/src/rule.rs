//! `google.api.HttpRule` as Rust values, read from a method's options or given by a service config.
//!
//! The rule is read as an own small message, so that a descriptor set may carry any version of
//! `google/api/http.proto`, or none at all.

use prost::Message;
use prost_reflect::MethodDescriptor;

/// `google.api.HttpRule` (googleapis `google/api/http.proto`).
#[derive(Clone, PartialEq, Message)]
pub struct HttpRule {
    /// The RPC this rule is for, `package.Service.Method`; used in service configs only.
    #[prost(string, tag = "1")]
    pub selector: String,
    /// HTTP method and path template.
    #[prost(oneof = "Pattern", tags = "2, 3, 4, 5, 6, 8")]
    pub pattern: Option<Pattern>,
    /// Empty, `*` or one top-level field of the request.
    #[prost(string, tag = "7")]
    pub body: String,
    /// Further bindings of the same RPC; they hold none themselves.
    #[prost(message, repeated, tag = "11")]
    pub additional_bindings: Vec<HttpRule>,
    /// Empty or one top-level field of the response.
    #[prost(string, tag = "12")]
    pub response_body: String,
}

/// The method and the template of a rule.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Pattern {
    /// GET, and HEAD with it.
    #[prost(string, tag = "2")]
    Get(String),
    /// PUT.
    #[prost(string, tag = "3")]
    Put(String),
    /// POST.
    #[prost(string, tag = "4")]
    Post(String),
    /// DELETE.
    #[prost(string, tag = "5")]
    Delete(String),
    /// PATCH.
    #[prost(string, tag = "6")]
    Patch(String),
    /// Any other method, or `*` for every method.
    #[prost(message, tag = "8")]
    Custom(CustomPattern),
}

/// `google.api.CustomHttpPattern`.
#[derive(Clone, PartialEq, Message)]
pub struct CustomPattern {
    /// The HTTP method, or `*`.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// The path template.
    #[prost(string, tag = "2")]
    pub path: String,
}

impl HttpRule {
    /// HTTP method name and template text; `None` where the rule names neither.
    pub(crate) fn parts(&self) -> Option<(&str, &str)> {
        Some(match self.pattern.as_ref()? {
            Pattern::Get(path) => ("GET", path),
            Pattern::Put(path) => ("PUT", path),
            Pattern::Post(path) => ("POST", path),
            Pattern::Delete(path) => ("DELETE", path),
            Pattern::Patch(path) => ("PATCH", path),
            Pattern::Custom(custom) => (&custom.kind, &custom.path),
        })
    }
}

/// The options of a method, of which only the http annotation is read here.
#[derive(Clone, PartialEq, Message)]
struct MethodOptions {
    /// `extend google.protobuf.MethodOptions { HttpRule http = 72295728; }`
    #[prost(message, optional, tag = "72295728")]
    http: Option<HttpRule>,
}

/// The http annotation of a method, if it has one that can be read.
pub(crate) fn annotation(method: &MethodDescriptor) -> Option<HttpRule> {
    let options = method.options().encode_to_vec();
    MethodOptions::decode(options.as_slice()).ok()?.http
}
