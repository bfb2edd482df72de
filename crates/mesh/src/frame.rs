//! The first message of a request: read before the handler, bounded, and handed on untouched.
//!
//! Authorization needs the resource name, which stands inside the message. A unary handler would buffer the whole message
//! anyway, so nothing is lost by buffering it here; of a stream only the first message is held back.
use std::{
    io::Read,
    pin::Pin,
    task::{Context, Poll},
};

use api::{Code, CommonReason, Error};
use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tonic::body::Body;

/// Flag byte and length of a gRPC message.
pub(crate) const PREFIX: usize = 5;
/// Most bytes that are made room for before they come.
const RESERVED: usize = 256 * 1024;
/// How a gzip stream begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What was read of a request body.
pub(crate) struct First {
    /// The first message, decompressed; `None` when the body ended without one.
    pub(crate) message: Option<Bytes>,
    /// The body ended with this message: it can be sent again.
    pub(crate) whole: Option<Bytes>,
    /// The body as it came, for the handler.
    pub(crate) body: Body,
}

/// Reads the first message.
///
/// # Errors
/// RESOURCE_EXHAUSTED (MESSAGE_TOO_LARGE) above the limit, INVALID_ARGUMENT for a broken frame, UNIMPLEMENTED for a compression
/// that is not gzip, CANCELED when the caller left.
pub(crate) async fn first(mut body: Body, limit: usize, to_the_end: bool) -> Result<First, Error> {
    let mut held = BytesMut::new();
    let mut chunk = Bytes::new();
    let mut trailers = None;
    let mut ended = false;
    let mut announced = 0;
    loop {
        let seen: &[u8] = if held.is_empty() { &chunk } else { &held };
        if seen.len() >= PREFIX {
            let length = length_of(seen, limit)?;
            announced = PREFIX + length;
            if seen.len() > PREFIX + length && to_the_end {
                return Err(broken("a unary request holds more than one message"));
            }
            if seen.len() >= PREFIX + length && !to_the_end {
                break;
            }
        }
        match body.frame().await {
            None => {
                ended = true;
                break;
            }
            Some(Err(status)) => return Err(left(status)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if chunk.is_empty() && held.is_empty() => chunk = data,
                Ok(data) => {
                    if held.is_empty() {
                        // The rest comes in pieces: they are copied once. What is only announced takes no more than this.
                        held.reserve(announced.min(RESERVED).max(chunk.len() + data.len()));
                        held.extend_from_slice(&std::mem::take(&mut chunk));
                    }
                    held.extend_from_slice(&data);
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
    let bytes = if held.is_empty() { chunk } else { held.freeze() };
    let message = message_of(&bytes, limit)?;
    let whole = (ended && trailers.is_none()).then(|| bytes.clone());
    let body = Body::new(Replay {
        first: Some(bytes).filter(|bytes| !bytes.is_empty()),
        trailers,
        rest: (!ended).then_some(body),
    });
    Ok(First { message, whole, body })
}

fn length_of(bytes: &[u8], limit: usize) -> Result<usize, Error> {
    let length = (&bytes[1..PREFIX]).get_u32() as usize;
    if length > limit { Err(too_large(limit)) } else { Ok(length) }
}

fn message_of(bytes: &Bytes, limit: usize) -> Result<Option<Bytes>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() < PREFIX {
        return Err(broken("the request ends within a message"));
    }
    let length = length_of(bytes, limit)?;
    if bytes.len() < PREFIX + length {
        return Err(broken("the request ends within a message"));
    }
    let message = bytes.slice(PREFIX..PREFIX + length);
    match bytes[0] {
        0 => Ok(Some(message)),
        1 => unzipped(&message, limit).map(Some),
        _ => Err(broken("a message has an unknown flag")),
    }
}

fn unzipped(message: &[u8], limit: usize) -> Result<Bytes, Error> {
    if !message.starts_with(&GZIP) {
        // As gRPC's rules of compression have it (grpc `compression.md`).
        let text = "a message is compressed in a way that is not known here; send it as gzip, or not compressed";
        return Err(Error::new(Code::Unimplemented, CommonReason::FieldInvalid, text));
    }
    let mut out = Vec::with_capacity((message.len() * 2).min(limit));
    let mut reader = flate2::read::GzDecoder::new(message).take(limit as u64 + 1);
    reader.read_to_end(&mut out).map_err(|_| broken("a compressed message is cut or broken"))?;
    if out.len() > limit { Err(too_large(limit)) } else { Ok(out.into()) }
}

/// The message in a frame, not compressed.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(PREFIX + message.len());
    out.extend_from_slice(&[0]);
    out.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(message);
    out.freeze()
}

fn broken(problem: &'static str) -> Error {
    Error::invalid(CommonReason::FieldInvalid, format!("{problem}; send gRPC messages as the protocol says"))
}

fn too_large(limit: usize) -> Error {
    let message = format!("the message is larger than {limit} bytes; send less, or send it in parts");
    Error::new(Code::ResourceExhausted, CommonReason::MessageTooLarge, message).with("limit_bytes", limit.to_string())
}

fn left(status: tonic::Status) -> Error {
    Error::new(Code::Canceled, CommonReason::CallCanceled, "the caller went away before its request was complete")
        .caused_by(status)
}

/// A body whose beginning was read and is given again.
struct Replay {
    first: Option<Bytes>,
    trailers: Option<http::HeaderMap>,
    rest: Option<Body>,
}

impl HttpBody for Replay {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if let Some(bytes) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(context),
            None => Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.trailers.is_none() && self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::Full;

    use super::*;

    fn body(bytes: &[u8]) -> Body {
        Body::new(Full::new(Bytes::copy_from_slice(bytes)))
    }

    #[tokio::test]
    async fn the_message_is_read_and_the_body_stays_whole() {
        let sent = framed(b"abc");
        let first = first(body(&sent), 16, true).await.expect("it is a message");
        assert_eq!(first.message.as_deref(), Some(&b"abc"[..]));
        assert_eq!(first.whole.as_ref(), Some(&sent));
        assert_eq!(first.body.collect().await.expect("readable").to_bytes(), sent);
    }

    #[tokio::test]
    async fn a_message_above_the_limit_is_refused_before_it_is_read() {
        let error = first(body(&framed(&[0; 17])), 16, true).await.err().expect("too large");
        assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    }

    #[tokio::test]
    async fn a_gzip_bomb_is_refused_and_an_honest_one_is_read() {
        let zipped = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).expect("memory");
            let mut frame = framed(&encoder.finish().expect("memory")).to_vec();
            frame[0] = 1;
            frame
        };
        let error = first(body(&zipped(&[0; 100_000])), 1024, true).await.err().expect("too large");
        assert_eq!(error.reason(), "MESSAGE_TOO_LARGE");
        let read = first(body(&zipped(b"abc")), 1024, true).await.expect("it is a message");
        assert_eq!(read.message.as_deref(), Some(&b"abc"[..]));
    }

    #[tokio::test]
    async fn broken_frames_are_refused() {
        for bytes in [&[0, 0, 0][..], &[0, 0, 0, 0, 9, 1], &[7, 0, 0, 0, 0], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(first(body(bytes), 16, true).await.is_err(), "{bytes:?}");
        }
        assert!(first(body(&[]), 16, true).await.expect("no message").message.is_none());
    }
}
