//! The modules of the edge that read what callers send, as they stand in the crate, and doors to them. They are taken as files: the
//! crate as a whole brings engines that no target needs, and an allocator that AddressSanitizer cannot watch.
mod body;
mod refusal;
mod token;

#[path = "../../src"]
mod taken {
    pub(crate) mod coding;
    pub(crate) mod form;

    pub(crate) mod call {
        pub(crate) mod connect {
            pub(crate) mod coded;
            pub(crate) mod envelope;
            pub(crate) mod query;
        }

        pub(crate) mod grpc_web {
            pub(crate) mod text;
        }

        pub(crate) use crate::body;
    }

    pub(crate) mod filter {
        pub(crate) mod auth {
            pub(crate) mod token;
        }

        pub(crate) use crate::body::Passage;
    }

    pub(crate) mod config {
        pub(crate) use crate::body::Config;
    }

    pub(crate) mod edge {
        pub(crate) use crate::body::Edge;
    }

    pub(crate) mod identity {
        pub(crate) mod parameters;
        pub(crate) mod session;
    }
}

use bytes::{Bytes, BytesMut};
pub(crate) use taken::{call, coding, config, edge, filter, form};

use http::HeaderMap;
use taken::{
    call::{connect::query, grpc_web::text},
    identity::{
        parameters::Parameters,
        session::{self, Jar},
    },
};

pub use token::{ISSUER, access_token, forge};

/// The messages of Connect envelopes that come in these pieces; `None` when they are refused.
pub fn connect(pieces: &[&[u8]], coding: &str, limit: usize) -> Option<Vec<Bytes>> {
    let mut reader = call::connect::envelope::Reader::new(limit, coding::Coding::named(coding)?);
    let mut messages = Vec::new();
    for piece in pieces {
        reader.push(Bytes::copy_from_slice(piece));
        while let Some(message) = reader.next_message().ok()? {
            messages.push(message);
        }
    }
    reader.finish().ok().map(|()| messages)
}

/// The message of a Connect GET; `None` when it is refused.
pub fn connect_query(query: &str, limit: usize) -> Option<Bytes> {
    query::message(query, limit).ok()
}

/// The frames of gRPC-Web text that comes in these pieces; `None` when it is refused.
pub fn grpc_web(pieces: &[&[u8]], limit: usize) -> Option<Vec<(bool, Bytes)>> {
    let (mut rest, mut reader) = (BytesMut::new(), transcode::frame::Reader::new(limit));
    let mut frames = Vec::new();
    for piece in pieces {
        reader.push(text::decode(&mut rest, piece).ok()?);
        while let Some(frame) = reader.next_frame().ok()? {
            frames.push((frame.compressed, frame.data));
        }
    }
    (rest.is_empty() && !reader.is_partial()).then_some(frames)
}

/// Parameters written as a query, and the two of the client; `None` when they are refused.
pub fn parameters(text: &[u8]) -> Option<String> {
    Parameters::parse(text).ok().map(|parameters| parameters.query())
}

/// Id and secret of the client that these parameters and headers name.
pub fn client(text: &[u8], headers: &HeaderMap) -> Option<(String, String, bool)> {
    let client = Parameters::parse(text).ok()?.client(headers).ok()?;
    Some((client.client_id, client.client_secret, client.basic))
}

/// The bytes of a name or a value of a form.
pub fn unescaped(text: &str) -> Option<Vec<u8>> {
    form::decoded(text)
}

/// A name or a value as forms write it.
pub fn escaped(text: &[u8]) -> String {
    let mut out = String::new();
    form::encode(text, &mut out);
    out
}

/// What the cookies of a request say to the edge at this address: the secret of the session, that of the flows, the mark of the device.
pub fn cookies(public_url: &str, headers: &HeaderMap) -> Option<[Option<String>; 3]> {
    let jar = Jar::of(public_url)?;
    Some([jar.session(headers), jar.flow(headers), jar.device(headers)].map(|value| value.map(str::to_owned)))
}

/// The cookie that sets a session.
pub fn set_session(public_url: &str, secret: &str) -> Option<String> {
    let value = Jar::of(public_url)?.set_session(secret, 60)?;
    value.to_str().ok().map(str::to_owned)
}

/// A session's cookie is shown to the edge at this address, good or bad.
pub fn is_shown(public_url: &str, headers: &HeaderMap) -> bool {
    Jar::of(public_url).is_some_and(|jar| jar.is_shown(headers))
}

/// A page of this address made the browser ask.
pub fn is_same_origin(public_url: &str, headers: &HeaderMap) -> bool {
    session::is_same_origin(public_url, headers)
}
