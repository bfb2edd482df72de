//! Connect (connectrpc.com/docs/protocol): unary calls as plain HTTP with a message as body, streams in envelopes.
//!
//! Messages are protobuf or ProtoJSON, of the whole request and response: the RPC's own path binds nothing. Metadata is
//! that of gRPC callers; trailing metadata has the prefix `trailer-` in unary answers and stands in the last message of
//! streams.
mod coded;
mod envelope;
mod query;

use std::future::Future;

use bytes::Bytes;
use futures::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method as Verb, Response, header};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use hyper::body::Incoming;
use proto::{Idempotency, Method};
use tonic::body::Body;
use transcode::{Match, ResponseOptions, frame::Framed};

use crate::{
    call::{
        body::{self, Idle, Source as Pieces, Whole},
        budget::Share,
        inlet::Inlet,
        rest,
        stream::{Patience, Source},
    },
    coding::{Coding, READ},
    edge::Edge,
    filter::Passage,
    refusal::{Codec, Dialect, Refusal, end_of_stream, essence},
    upstream::{self, Call},
};
use envelope::Reader;

/// One codec at one method.
#[derive(Clone)]
struct Form {
    codec: Codec,
    matched: Match,
}

impl Form {
    fn of(passage: &Passage, method: &Method, codec: Codec) -> Result<Self, Refusal> {
        let matched = passage.schema.contract.at_own_path(method.path);
        let matched = matched.ok_or_else(|| Refusal::not_found(method.path))?;
        Ok(Self { codec, matched })
    }

    fn read(&self, message: &[u8]) -> Result<Framed, Refusal> {
        match self.codec {
            Codec::Proto => Ok(Framed::new(message)?),
            Codec::Json => Ok(self.matched.request(None, None, message, &self.matched.reading())?),
        }
    }

    fn write(&self, wire: Bytes) -> Result<Bytes, Refusal> {
        match self.codec {
            Codec::Proto => Ok(wire),
            Codec::Json => Ok(self.matched.response(&wire, &ResponseOptions::default())?),
        }
    }
}

/// There is one version of the protocol.
fn version(head: &http::request::Parts) -> Result<(), Refusal> {
    if head.headers.get("connect-protocol-version").is_some_and(|version| version != "1") {
        let message = "only version 1 of Connect is spoken here; send Connect-Protocol-Version: 1";
        return Err(Refusal::new(400, tonic::Code::InvalidArgument, "CONNECT_VERSION_UNSUPPORTED", message));
    }
    Ok(())
}

/// Whether a call of this kind may be made so at all.
fn check(head: &http::request::Parts, method: &Method, streams: bool) -> Result<(), Refusal> {
    version(head)?;
    let (offered, fits) = match method.is_unary() {
        true => ("application/proto, application/json", !streams),
        false => ("application/connect+proto, application/connect+json", streams),
    };
    let kind = essence(&head.headers);
    let known =
        streams || head.method == Verb::GET || matches!(kind.as_str(), "application/proto" | "application/json");
    if fits && known {
        return Ok(());
    }
    let message = format!("this method is called with one of the content types {offered}");
    let refusal = Refusal::new(415, tonic::Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message);
    Err(refusal.header(HeaderName::from_static("accept-post"), offered))
}

/// Drives a unary call.
pub(crate) async fn unary(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    method: &'static Method,
    codec: Codec,
) -> Result<Response<Body>, Refusal> {
    check(&passage.head, method, false)?;
    let form = Form::of(&passage, method, codec)?;
    // The share is kept to the end of the call, as the message is.
    let Whole { bytes: message, share: _share } = message(edge, &passage, incoming).await?;
    let answer = rest::unary(edge, &passage, method, form.read(&message)?).await?;
    let body = form.write(answer.wire)?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.extend(upstream::passed_back(&answer.headers));
    for (name, value) in &upstream::passed_back(&answer.trailers) {
        if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
            headers.append(name, value.clone());
        }
    }
    headers.insert(header::CONTENT_TYPE, Dialect::Connect(codec).content_type());
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::new(Full::new(body));
    Ok(response)
}

/// The message of a unary call, its coding undone.
async fn message(edge: &Edge, passage: &Passage, incoming: Incoming) -> Result<Whole, Refusal> {
    let head = &passage.head;
    let (message, mut share) = if head.method == Verb::GET {
        let message = query::message(head.uri.query().unwrap_or_default(), edge.config.message_max())?;
        (message, edge.bodies.share(passage.address))
    } else {
        let coding = coded::of(&head.headers, &header::CONTENT_ENCODING)?;
        let body = body::whole(edge, passage, &HeaderMap::new(), incoming).await.map_err(body::exhausted)?;
        (coded::plain(coding, body.bytes, edge.config.message_max())?, body.share)
    };
    share.cover(message.len()).await?;
    Ok(Whole { bytes: message, share })
}

/// GET is for methods without side effects.
pub(crate) fn allows(verb: &Verb, method: &Method) -> bool {
    verb == Verb::POST || (verb == Verb::GET && method.idempotency == Idempotency::NoSideEffects && method.is_unary())
}

/// Drives a call in envelopes.
pub(crate) async fn streaming(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    method: &'static Method,
    codec: Codec,
) -> Result<Response<Body>, Refusal> {
    check(&passage.head, method, true)?;
    let form = Form::of(&passage, method, codec)?;
    let inlet = inlet(edge, &passage, incoming, &form)?;
    let metadata = upstream::metadata(&passage.head.headers);
    let call = upstream::prepare(edge, &passage.context, Call::of(&passage, method)?, metadata, inlet.body);
    let patience = Patience::of(&edge.config, &passage.connection);
    // Who answers once has nothing to say before the caller's end.
    let patience = if method.server_streaming { patience } else { patience.through_silence() };
    let source = Source::new(call, edge.config.message_max(), inlet.fault, patience);
    opened(edge, form, source, passage).await
}

/// Drives a conversation with a service of the edge's own: `matched` knows its messages, `serve` answers it.
pub(super) async fn own<F: Future<Output = Response<Body>> + Send + 'static>(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    (codec, matched): (Codec, Match),
    serve: impl FnOnce(Body) -> F,
) -> Result<Response<Body>, Refusal> {
    version(&passage.head)?;
    let form = Form { codec, matched };
    let inlet = inlet(edge, &passage, incoming, &form)?;
    // Who asks may take his time.
    let patience = Patience::of(&edge.config, &passage.connection).through_silence();
    let source = Source::new(serve(inlet.body), edge.config.message_max(), inlet.fault, patience);
    opened(edge, form, source, passage).await
}

/// The caller's envelopes. They are coded one by one, the body as a whole is not.
fn inlet(edge: &Edge, passage: &Passage, incoming: Incoming, form: &Form) -> Result<Inlet, Refusal> {
    let coding = coded::of(&passage.head.headers, &HeaderName::from_static("connect-content-encoding"))?;
    let mut pieces = Pieces::stream(&edge.config, &HeaderMap::new(), incoming)?;
    pieces.idle = Idle::stream(&edge.config);
    let (share, reader) = (edge.bodies.share(passage.address), Reader::new(edge.config.message_max(), coding));
    Ok(Inlet::messages(messages(form.clone(), pieces, reader, share)))
}

/// The answer, once its headers are known.
async fn opened(edge: &Edge, form: Form, mut source: Source, passage: Passage) -> Result<Response<Body>, Refusal> {
    source.opened().await?;
    let coding = coded::accepted(&edge.config, &passage.head.headers);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.extend(upstream::passed_back(&source.headers));
    headers.insert(header::CONTENT_TYPE, Dialect::ConnectStream(form.codec).content_type());
    headers.insert("connect-accept-encoding", HeaderValue::from_static(READ));
    if let Some(coding) = coding {
        headers.insert("connect-content-encoding", HeaderValue::from_static(coding.name()));
    }
    *response.body_mut() = Body::new(StreamBody::new(answers(form, coding, source, passage)));
    Ok(response)
}

/// The caller's messages; the share is of what the reader holds.
fn messages(
    form: Form,
    pieces: Pieces,
    reader: Reader,
    share: Share,
) -> impl Stream<Item = Result<Framed, Refusal>> + Send + 'static {
    stream::unfold(Some((form, pieces, reader, share)), |state| async move {
        let (form, mut pieces, mut reader, mut share) = state?;
        loop {
            let message = match reader.next_message() {
                Ok(Some(message)) => form.read(&message),
                Err(refusal) => Err(refusal),
                Ok(None) => match pieces.next().await {
                    Ok(Some(piece)) => match share.fit(reader.with(&piece)).await {
                        Ok(()) => {
                            reader.push(piece);
                            continue;
                        }
                        Err(refusal) => Err(refusal),
                    },
                    Ok(None) => match reader.finish() {
                        Ok(()) => return None,
                        Err(refusal) => Err(refusal),
                    },
                    Err(refusal) => Err(refusal),
                },
            };
            let next = message.is_ok().then_some((form, pieces, reader, share));
            return Some((message, next));
        }
    })
}

/// The service's messages in envelopes, and the last one, which tells how it went.
fn answers(
    form: Form,
    coding: Option<Coding>,
    source: Source,
    passage: Passage,
) -> impl Stream<Item = Result<Frame<Bytes>, tonic::Status>> + Send + 'static {
    stream::unfold(Some((form, source, passage)), move |state| async move {
        let (form, mut source, passage) = state?;
        let read = match source.next().await {
            Ok(Some(wire)) => form.write(wire).and_then(|message| coded::envelope(coding, &message)).map(Some),
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        let metadata = || upstream::passed_back(source.trailers());
        match read {
            Ok(Some(envelope)) => Some((Ok(Frame::data(envelope)), Some((form, source, passage)))),
            Ok(None) => Some((Ok(Frame::data(end_of_stream(None, &metadata()))), None)),
            Err(refusal) => {
                let (contract, id) = (&passage.schema.contract, &passage.context.request_id);
                Some((Ok(Frame::data(refusal.end_of_stream(contract, id, &metadata()))), None))
            }
        }
    })
}
