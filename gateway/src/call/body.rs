//! Reading a request body: decoded, within its limits of size and time, piece by piece or whole.
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

use crate::{
    call::budget::Share,
    coding::{Coding, Decoder, Flaw, READ},
    config::Config,
    edge::Edge,
    filter::Passage,
    refusal::Refusal,
};

/// How much of a body that is too long is still read, and for how long: a client that is busy sending hears the answer only
/// when the connection stays open meanwhile. Over HTTP/1 the guard of the socket reads on after it.
const FAREWELL_BYTES: usize = 8 * 1024 * 1024;
const FAREWELL: Duration = Duration::from_secs(5);

/// A request body that is still to be read.
pub(crate) struct Source {
    incoming: Incoming,
    /// `None` for a body that is not coded.
    decoder: Option<Decoder>,
    /// Longest wait for the next piece.
    pub(crate) idle: Idle,
    ended: bool,
}

/// A wait, and the setting that bounds it.
#[derive(Clone, Copy)]
pub(crate) struct Idle {
    limit: Duration,
    setting: &'static str,
}

impl Idle {
    /// Of a body that is sent at one go.
    fn body(config: &Config) -> Self {
        Self { limit: config.body_idle, setting: "gateway.body_idle" }
    }

    /// Of a conversation, which may pause.
    pub(crate) fn stream(config: &Config) -> Self {
        Self { limit: config.stream_idle, setting: "gateway.stream_idle" }
    }

    /// Of a stream of bytes.
    pub(crate) fn upload(config: &Config) -> Self {
        Self { limit: config.upload_idle, setting: "gateway.upload_idle" }
    }
}

impl Source {
    /// A body of any length: a stream. Its coding is undone within the ratio that a coding may have.
    pub(crate) fn stream(config: &Config, headers: &HeaderMap, incoming: Incoming) -> Result<Self, Refusal> {
        Self::open(config, headers, incoming, u64::MAX)
    }

    fn open(config: &Config, headers: &HeaderMap, incoming: Incoming, limit: u64) -> Result<Self, Refusal> {
        let mut decoder = None;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let coding = value.to_str().ok().and_then(Coding::named).ok_or_else(unknown_coding)?;
            if let Some(coding) = coding {
                if decoder.is_some() {
                    return Err(unknown_coding());
                }
                decoder = Some(Decoder::new(coding, limit).map_err(|flaw| flawed(flaw, limit))?);
            }
        }
        Ok(Self { incoming, decoder, idle: Idle::body(config), ended: false })
    }

    /// The next piece of data; trailers are skipped.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        self.piece(u64::MAX).await
    }

    async fn piece(&mut self, limit: u64) -> Result<Option<Bytes>, Refusal> {
        while !self.ended {
            let piece = raw(&mut self.incoming, self.idle).await?;
            self.ended = piece.is_none();
            let piece = match (&mut self.decoder, piece) {
                (None, piece) => piece,
                (Some(decoder), Some(piece)) => Some(decoder.piece(&piece).map_err(|flaw| flawed(flaw, limit))?),
                (Some(decoder), None) => Some(decoder.finish().map_err(|flaw| flawed(flaw, limit))?),
            };
            if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// The pieces, for who polls them one by one.
    pub(crate) fn pieces(self) -> impl Stream<Item = Result<Bytes, Refusal>> + Send + 'static {
        stream::unfold(Some(self), |source| async move {
            let mut source = source?;
            match source.next().await {
                Ok(piece) => Some((Ok(piece?), Some(source))),
                Err(refusal) => Some((Err(refusal), None)),
            }
        })
    }
}

/// A body in memory.
pub(crate) struct Whole {
    /// The body.
    pub(crate) bytes: Bytes,
    /// Its part of the memory for all. Who makes a message of the same size of it keeps this for as long as that.
    pub(crate) share: Share,
}

/// The whole body, its coding undone as `headers` say. It has the time of the call, also where the call is a stream, which has
/// none. Longer than the limit is 413, a pause too long is 408, the end of the time is 504; without memory for it the answer is
/// 429 or 503.
pub(crate) async fn whole(
    edge: &Edge,
    passage: &Passage,
    headers: &HeaderMap,
    incoming: Incoming,
) -> Result<Whole, Refusal> {
    within(edge, passage, headers, incoming, edge.config.message_max()).await
}

/// The same within a limit of its own.
pub(crate) async fn within(
    edge: &Edge,
    passage: &Passage,
    headers: &HeaderMap,
    incoming: Incoming,
    limit: usize,
) -> Result<Whole, Refusal> {
    let config = &edge.config;
    let mut source = Source::open(config, headers, incoming, limit as u64)?;
    let mut share = edge.bodies.share(passage.address);
    let now = Instant::now();
    let until = passage.context.deadline.unwrap_or(now + config.deadline).min(now + config.deadline_max);
    match timeout_at(until, read(&mut source, &mut share, limit)).await {
        Ok(Ok(bytes)) => Ok(Whole { bytes, share }),
        Ok(Err(refusal)) => {
            if refusal.parts.http == Some(413) {
                drop(share);
                Box::pin(discard(&mut source.incoming)).await;
            }
            Err(refusal)
        }
        Err(_) => Err(out_of_time()),
    }
}

async fn read(source: &mut Source, share: &mut Share, limit: usize) -> Result<Bytes, Refusal> {
    let announced = source.incoming.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large(limit as u64));
    }
    // What a coded body becomes is not announced.
    let announced = if source.decoder.is_none() { usize::try_from(announced).unwrap_or(limit) } else { 0 };
    share.cover(announced).await?;
    // Most bodies come in one piece: they are not copied.
    let mut first = Bytes::new();
    let mut joined = Vec::new();
    while let Some(piece) = source.piece(limit as u64).await? {
        let length = first.len() + joined.len() + piece.len();
        if length > limit {
            return Err(too_large(limit as u64));
        }
        if length == piece.len() {
            share.cover(length).await?;
            first = piece;
            continue;
        }
        if length > joined.capacity() {
            // Twice as much, so that a body of many pieces is copied seldom; never beyond what a body may have.
            let room = length.max(announced).max(joined.capacity().saturating_mul(2).min(limit));
            share.cover(room).await?;
            joined.reserve_exact(room - joined.len());
        }
        joined.extend_from_slice(&std::mem::take(&mut first));
        joined.extend_from_slice(&piece);
    }
    Ok(if joined.is_empty() { first } else { joined.into() })
}

/// The next piece as it comes.
async fn raw(body: &mut Incoming, idle: Idle) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = tokio::time::timeout(idle.limit, body.frame()).await.map_err(|_| too_slow(idle))?;
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => {
                return Err(Refusal::new(
                    400,
                    tonic::Code::InvalidArgument,
                    "BODY_CUT",
                    "the request body ended early; send it again",
                ));
            }
        }
    }
}

/// Reads on within bounds and keeps nothing; an end for any reason is as good as another.
async fn discard(body: &mut Incoming) {
    let read = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > FAREWELL_BYTES {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(FAREWELL, read).await;
}

/// What is too large has a code of its own among RPC callers.
pub(crate) fn exhausted(mut refusal: Refusal) -> Refusal {
    if refusal.parts.http == Some(413) {
        refusal.parts.code = tonic::Code::ResourceExhausted as i32;
    }
    refusal
}

pub(crate) fn too_large(limit: u64) -> Refusal {
    let message = format!(
        "the body is larger than {limit} bytes (setting gateway.body_max); large content belongs into an upload under /tus"
    );
    Refusal::new(413, tonic::Code::InvalidArgument, "BODY_TOO_LARGE", message)
}

fn too_slow(idle: Idle) -> Refusal {
    let (seconds, setting) = (idle.limit.as_secs(), idle.setting);
    let message = format!("no data for {seconds} s (setting {setting}); send the request again");
    Refusal::new(408, tonic::Code::DeadlineExceeded, "BODY_TOO_SLOW", message)
}

fn out_of_time() -> Refusal {
    let message = "the time of the call was over before its body had come (setting gateway.deadline); send it faster, or ask for \
                   more time by X-Server-Timeout (at most setting gateway.deadline_max)";
    Refusal::new(504, tonic::Code::DeadlineExceeded, "BODY_TOO_SLOW", message)
}

/// What is wrong with a coded body.
pub(crate) fn flawed(flaw: Flaw, limit: u64) -> Refusal {
    match flaw {
        Flaw::TooLarge => {
            let limit =
                if limit == u64::MAX { String::new() } else { format!("{limit} bytes (setting gateway.body_max) or ") };
            let message = format!(
                "decoded, the body is larger than {limit}a hundredfold of what was sent; send less at a time, or uncoded"
            );
            Refusal::new(413, tonic::Code::InvalidArgument, "BODY_TOO_LARGE", message)
        }
        Flaw::Broken => {
            let message = "the body is not in the coding that Content-Encoding names, or it is cut; send it again";
            Refusal::new(400, tonic::Code::InvalidArgument, "BODY_UNDECODABLE", message)
        }
    }
}

fn unknown_coding() -> Refusal {
    let message = format!("the coding of the body is not known here; send it uncoded, or as one of {READ}");
    let refusal = Refusal::new(415, tonic::Code::InvalidArgument, "CONTENT_ENCODING_UNSUPPORTED", message);
    refusal.header(header::ACCEPT_ENCODING, READ)
}
