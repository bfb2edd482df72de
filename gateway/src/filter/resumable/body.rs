//! A request body as the messages of AppendUpload: start, chunks, finish.
use bytes::Bytes;
use futures::{Stream, stream};
use proto::file::v1::{
    AppendUploadRequest,
    append_upload_request::{Finish, Start, Step},
};

use crate::call::body::Source;

/// Most bytes in one message.
const CHUNK: usize = 256 * 1024;

enum State {
    Start(String, i64, Source),
    Body(Source, Bytes),
    Over,
}

/// The messages. Polled only as fast as the service takes them. Without `finish` the service knows that the body was cut, as
/// it is for a client that is silent for too long.
pub(crate) fn messages(
    name: String,
    offset: i64,
    source: Source,
) -> impl Stream<Item = AppendUploadRequest> + Send + 'static {
    stream::unfold(State::Start(name, offset, source), move |state| async move {
        match state {
            State::Start(name, offset_bytes, source) => {
                Some((message(Step::Start(Start { name, offset_bytes })), State::Body(source, Bytes::new())))
            }
            State::Body(mut source, mut rest) => {
                if rest.is_empty() {
                    match source.next().await {
                        Ok(Some(data)) => rest = data,
                        Ok(None) => return Some((message(Step::Finish(Finish {})), State::Over)),
                        Err(_) => return None,
                    }
                }
                let chunk = rest.split_to(rest.len().min(CHUNK));
                Some((message(Step::Chunk(chunk)), State::Body(source, rest)))
            }
            State::Over => None,
        }
    })
}

fn message(step: Step) -> AppendUploadRequest {
    AppendUploadRequest { step: Some(step) }
}
