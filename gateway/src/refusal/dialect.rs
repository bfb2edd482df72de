//! In which protocol a caller speaks, and how a refusal is told in it.
//!
//! | dialect | how an error looks |
//! |---|---|
//! | HTTP | status and AIP-193 JSON |
//! | gRPC | trailers only |
//! | gRPC-Web | status 200 and one trailers frame |
//! | Connect, unary | status and Connect's JSON |
//! | Connect, streams | status 200 and one end-of-stream message |
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use prost::Message;
use prost_types::Any;
use serde_json::{Value, json};
use tonic::body::Body;
use transcode::{Contract, Match, error::status_name};

use super::{Refusal, percent_encoded};
use crate::schema::Schema;

/// The protocol in which answers and errors are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// REST, pages, uploads.
    Http,
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web.
    GrpcWeb(Web),
    /// A unary call of Connect.
    Connect(Codec),
    /// A call of Connect in envelopes.
    ConnectStream(Codec),
}

/// How gRPC-Web frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Web {
    /// As they are.
    Binary,
    /// In base64.
    Text,
}

/// How Connect messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// protobuf.
    Proto,
    /// ProtoJSON.
    Json,
}

impl Dialect {
    /// The dialect of a request. Connect's unary calls are known by the path: nothing else answers there.
    pub(crate) fn of<B>(request: &Request<B>, schema: &Schema, connect: bool) -> Self {
        let kind = essence(request.headers());
        if kind == "application/grpc" || kind.starts_with("application/grpc+") {
            return Self::Grpc;
        }
        if let Some(text) = kind.strip_prefix("application/grpc-web-text") {
            return if text.is_empty() || text == "+proto" { Self::GrpcWeb(Web::Text) } else { Self::Http };
        }
        if let Some(binary) = kind.strip_prefix("application/grpc-web") {
            return if binary.is_empty() || binary == "+proto" { Self::GrpcWeb(Web::Binary) } else { Self::Http };
        }
        if !connect {
            return Self::Http;
        }
        match kind.as_str() {
            "application/connect+proto" => return Self::ConnectStream(Codec::Proto),
            "application/connect+json" => return Self::ConnectStream(Codec::Json),
            _ => {}
        }
        let verb = matches!(*request.method(), Method::GET | Method::POST);
        if !verb || schema.served(request.uri().path()).is_none() {
            return Self::Http;
        }
        let query = request.uri().query().unwrap_or_default();
        match (request.method(), kind.as_str()) {
            (&Method::POST, "application/proto") => Self::Connect(Codec::Proto),
            (&Method::GET, _) if query.split('&').any(|pair| pair == "encoding=proto") => Self::Connect(Codec::Proto),
            _ => Self::Connect(Codec::Json),
        }
    }

    /// It calls an RPC by its path.
    pub(crate) fn is_rpc(self) -> bool {
        self != Self::Http
    }

    /// The type of answers.
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Http | Self::Connect(Codec::Json) => "application/json",
            Self::Grpc => "application/grpc",
            Self::GrpcWeb(Web::Binary) => "application/grpc-web+proto",
            Self::GrpcWeb(Web::Text) => "application/grpc-web-text+proto",
            Self::Connect(Codec::Proto) => "application/proto",
            Self::ConnectStream(Codec::Proto) => "application/connect+proto",
            Self::ConnectStream(Codec::Json) => "application/connect+json",
        })
    }

    /// A refusal as the whole answer.
    pub(crate) fn refuse(
        self,
        refusal: &Refusal,
        contract: &Contract,
        route: Option<&Match>,
        request_id: &str,
    ) -> Response<Body> {
        let mut response = match self {
            Self::Http => return refusal.to_json(contract, route, request_id),
            Self::Grpc => {
                let mut response = Response::new(Body::empty());
                response.headers_mut().extend(refusal.trailers());
                response
            }
            Self::GrpcWeb(web) => whole(web.written(&trailers_frame(&refusal.trailers()))),
            Self::Connect(_) => {
                // Status, `Retry-After`, `Allow` and the like are those of HTTP; the body is Connect's.
                let (head, _) = refusal.to_json(contract, route, request_id).into_parts();
                let body = refusal.connect_error(contract, request_id).to_string();
                let mut response = Response::from_parts(head, Body::new(Full::new(Bytes::from(body))));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                return response;
            }
            Self::ConnectStream(_) => whole(refusal.end_of_stream(contract, request_id, &HeaderMap::new())),
        };
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().insert(header::CONTENT_TYPE, self.content_type());
        response
    }
}

impl Web {
    /// Data as it travels. Each piece is padded on its own: nothing of a message waits for the next one.
    pub(crate) fn written(self, data: &Bytes) -> Bytes {
        match self {
            Self::Binary => data.clone(),
            Self::Text => STANDARD.encode(data).into(),
        }
    }
}

impl Refusal {
    /// The status as gRPC's trailers.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(self.parts.code));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(&self.parts.message)) {
            trailers.insert("grpc-message", message);
        }
        if !self.parts.details.is_empty()
            && let Ok(details) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(&self.parts.details))
        {
            trailers.insert("grpc-status-details-bin", details);
        }
        trailers
    }

    /// Connect's JSON of an error: `{"code":"not_found","message":..,"details":[{"type":..,"value":..,"debug":..}]}`.
    fn connect_error(&self, contract: &Contract, request_id: &str) -> Value {
        let debug: Value = serde_json::from_slice(&self.body(contract, None, request_id)).unwrap_or_default();
        let shown = debug["error"]["details"].as_array().cloned().unwrap_or_default();
        let details = Status::decode(self.parts.details.clone()).unwrap_or_default().details;
        let details = details.iter().filter(|any| !any.type_url.ends_with("google.rpc.DebugInfo"));
        let details: Vec<_> = details
            .map(|any| {
                let debug = shown.iter().find(|known| known["@type"] == any.type_url.as_str());
                let mut detail = json!({
                    "type": any.type_url.rsplit('/').next().unwrap_or_default(),
                    "value": STANDARD_NO_PAD.encode(&any.value),
                });
                if let Some(debug) = debug {
                    detail["debug"] = debug.clone();
                }
                detail
            })
            .collect();
        json!({"code": connect_code(self.parts.code), "message": self.parts.message, "details": details})
    }

    /// Connect's last message of a stream that failed.
    pub(crate) fn end_of_stream(&self, contract: &Contract, request_id: &str, metadata: &HeaderMap) -> Bytes {
        end_of_stream(Some(self.connect_error(contract, request_id)), metadata)
    }
}

/// `google.rpc.Status`, of which the details are read.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

fn connect_code(code: i32) -> String {
    match status_name(code) {
        "CANCELLED" => "canceled".to_owned(),
        name => name.to_ascii_lowercase(),
    }
}

/// Connect's end-of-stream message: an envelope with flag 2 around `{"error":..,"metadata":{..}}`.
pub(crate) fn end_of_stream(error: Option<Value>, metadata: &HeaderMap) -> Bytes {
    let mut end = json!({});
    if let Some(error) = error {
        end["error"] = error;
    }
    for name in metadata.keys() {
        let values = metadata.get_all(name).iter().filter_map(|value| value.to_str().ok());
        end["metadata"][name.as_str()] = values.map(Value::from).collect();
    }
    flagged(2, end.to_string().as_bytes())
}

/// gRPC-Web's last frame: flag 0x80 around the trailers in the form of HTTP/1.1 headers.
pub(crate) fn trailers_frame(trailers: &HeaderMap) -> Bytes {
    let mut text = Vec::new();
    for (name, value) in trailers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    flagged(0x80, &text)
}

fn flagged(flag: u8, data: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(data.len() + 5);
    frame.put_u8(flag);
    // Headers and errors are far below four gigabytes.
    frame.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
    frame.put_slice(data);
    frame.freeze()
}

fn whole(body: Bytes) -> Response<Body> {
    Response::new(Body::new(Full::new(body)))
}

/// The media type of a request without its parameters, in lower case.
pub(crate) fn essence(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
