//! Reading a request body whole, within its limits.
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use crate::{call::decode, config::Config, refusal::Refusal};

/// How much of a body that is too long is still read, and for how long: a client that is busy sending hears the answer only
/// when the connection stays open meanwhile.
const FAREWELL_BYTES: usize = 64 * 1024 * 1024;
const FAREWELL: Duration = Duration::from_secs(5);

/// The whole body, without its content coding. Longer than the limit is 413, too slow is 408.
pub(crate) async fn whole(config: &Config, headers: &HeaderMap, body: Incoming) -> Result<Bytes, Refusal> {
    let limit = usize::try_from(config.body_max.bytes()).unwrap_or(usize::MAX);
    decode::decoded(headers, coded(config, limit, body).await?, limit)
}

async fn coded(config: &Config, limit: usize, mut body: Incoming) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > limit as u64 {
        discard(&mut body).await;
        return Err(too_large(limit));
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = next(&mut body, config.body_idle).await? {
        if first.as_ref().map_or(0, Bytes::len) + rest.len() + frame.len() > limit {
            discard(&mut body).await;
            return Err(too_large(limit));
        }
        match &first {
            None => first = Some(frame),
            Some(_) => rest.extend_from_slice(&frame),
        }
    }
    // Most bodies come in one piece: they are not copied.
    match first {
        Some(first) if rest.is_empty() => Ok(first),
        Some(first) => Ok([&first[..], &rest].concat().into()),
        None => Ok(Bytes::new()),
    }
}

/// The next piece of data; trailers are skipped.
pub(crate) async fn next(body: &mut Incoming, idle: Duration) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = tokio::time::timeout(idle, body.frame()).await.map_err(|_| too_slow(idle))?;
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
        while let Ok(Some(frame)) = next(body, FAREWELL).await {
            read += frame.len();
            if read > FAREWELL_BYTES {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(FAREWELL, read).await;
}

fn too_large(limit: usize) -> Refusal {
    let message = format!(
        "the body is larger than {limit} bytes (setting gateway.body_max); large content belongs into an upload under /tus"
    );
    Refusal::new(413, tonic::Code::InvalidArgument, "BODY_TOO_LARGE", message)
}

fn too_slow(idle: Duration) -> Refusal {
    let message = format!("no data for {} s (setting gateway.body_idle); send the request again", idle.as_secs());
    Refusal::new(408, tonic::Code::DeadlineExceeded, "BODY_TOO_SLOW", message)
}
