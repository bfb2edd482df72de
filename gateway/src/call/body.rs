//! Reading a request body: decoded, within its limits of size and time, piece by piece or whole.
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use crate::{
    coding::{Coding, Decoder, Flaw, READ},
    config::Config,
    refusal::Refusal,
};

/// How much of a body that is too long is still read, and for how long: a client that is busy sending hears the answer only
/// when the connection stays open meanwhile.
const FAREWELL_BYTES: usize = 64 * 1024 * 1024;
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

/// The whole body, decoded. Longer than the limit is 413, too slow is 408.
pub(crate) async fn whole(config: &Config, headers: &HeaderMap, incoming: Incoming) -> Result<Bytes, Refusal> {
    let limit = config.message_max();
    let mut source = Source::open(config, headers, incoming, limit as u64)?;
    match read(&mut source, limit).await {
        Err(refusal) if refusal.parts.http == Some(413) => {
            discard(&mut source.incoming).await;
            Err(refusal)
        }
        read => read,
    }
}

async fn read(source: &mut Source, limit: usize) -> Result<Bytes, Refusal> {
    if source.incoming.size_hint().lower() > limit as u64 {
        return Err(too_large(limit as u64));
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(piece) = source.piece(limit as u64).await? {
        if first.as_ref().map_or(0, Bytes::len) + rest.len() + piece.len() > limit {
            return Err(too_large(limit as u64));
        }
        match &first {
            None => first = Some(piece),
            Some(_) => rest.extend_from_slice(&piece),
        }
    }
    // Most bodies come in one piece: they are not copied.
    match first {
        Some(first) if rest.is_empty() => Ok(first),
        Some(first) => Ok([&first[..], &rest].concat().into()),
        None => Ok(Bytes::new()),
    }
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

fn too_large(limit: u64) -> Refusal {
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
