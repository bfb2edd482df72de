//! A request body as the messages of AppendUpload: start, chunks, finish.
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proto::file::v1::{
    AppendUploadRequest,
    append_upload_request::{Finish, Start, Step},
};

/// Most bytes in one message.
const CHUNK: usize = 256 * 1024;

enum State {
    Start(String, i64, Incoming),
    Body(Incoming, Bytes),
    Over,
}

/// The messages. Polled only as fast as the service takes them. Without `finish` the service knows that the body was cut.
pub(crate) fn messages(
    name: String,
    offset: i64,
    incoming: Incoming,
    idle: Duration,
) -> impl Stream<Item = AppendUploadRequest> + Send + 'static {
    stream::unfold(State::Start(name, offset, incoming), move |state| async move {
        match state {
            State::Start(name, offset_bytes, incoming) => {
                Some((message(Step::Start(Start { name, offset_bytes })), State::Body(incoming, Bytes::new())))
            }
            State::Body(mut incoming, mut rest) => {
                if rest.is_empty() {
                    match data(&mut incoming, idle).await {
                        Read::Data(data) => rest = data,
                        Read::End => return Some((message(Step::Finish(Finish {})), State::Over)),
                        Read::Cut => return None,
                    }
                }
                let chunk = rest.split_to(rest.len().min(CHUNK));
                Some((message(Step::Chunk(chunk)), State::Body(incoming, rest)))
            }
            State::Over => None,
        }
    })
}

enum Read {
    Data(Bytes),
    End,
    Cut,
}

/// The next data; a client that is silent for longer than `idle` counts as cut.
async fn data(incoming: &mut Incoming, idle: Duration) -> Read {
    loop {
        match tokio::time::timeout(idle, incoming.frame()).await {
            Ok(None) => return Read::End,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Read::Data(data),
                _ => {}
            },
            Ok(Some(Err(_))) | Err(_) => return Read::Cut,
        }
    }
}

fn message(step: Step) -> AppendUploadRequest {
    AppendUploadRequest { step: Some(step) }
}
