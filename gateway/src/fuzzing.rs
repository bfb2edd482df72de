//! Doors to the framing for the targets in `gateway/fuzz`; nobody else uses them.
use bytes::{Bytes, BytesMut};

use crate::{
    call::{connect::envelope, grpc_web},
    coding::Coding,
};

/// The messages of Connect envelopes that come in these pieces; `None` when they are refused.
#[must_use]
pub fn connect(pieces: &[&[u8]], coding: &str, limit: usize) -> Option<Vec<Bytes>> {
    let mut reader = envelope::Reader::new(limit, Coding::named(coding)?);
    let mut messages = Vec::new();
    for piece in pieces {
        reader.push(Bytes::copy_from_slice(piece));
        while let Some(message) = reader.next_message().ok()? {
            messages.push(message);
        }
    }
    reader.finish().ok().map(|()| messages)
}

/// The frames of gRPC-Web text that comes in these pieces; `None` when it is refused.
#[must_use]
pub fn grpc_web(pieces: &[&[u8]], limit: usize) -> Option<Vec<(bool, Bytes)>> {
    let (mut text, mut reader) = (BytesMut::new(), transcode::frame::Reader::new(limit));
    let mut frames = Vec::new();
    for piece in pieces {
        reader.push(grpc_web::decode(&mut text, piece).ok()?);
        while let Some(frame) = reader.next_frame().ok()? {
            frames.push((frame.compressed, frame.data));
        }
    }
    (text.is_empty() && !reader.is_partial()).then_some(frames)
}
