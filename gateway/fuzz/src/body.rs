//! What the taken modules name of the edge around them: a body cannot be had without a connection, so none is read here.
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Incoming;

use crate::{coding::Flaw, refusal::Refusal};

/// The edge.
pub(crate) struct Edge;

/// What the taken modules ask of the edge's settings.
pub(crate) struct Config {
    pub(crate) compress: bool,
}

/// A request on its way.
pub(crate) struct Passage {
    pub(crate) head: http::request::Parts,
}

/// A whole body.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
}

pub(crate) async fn within(_: &Edge, _: &Passage, _: &HeaderMap, _: Incoming, _: usize) -> Result<Whole, Refusal> {
    Err(Refusal::default())
}

/// As in the crate: a body that does not decode is refused.
pub(crate) fn flawed(_: Flaw, _: u64) -> Refusal {
    Refusal::default()
}
