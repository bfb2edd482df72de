//! AppendUpload: start, chunks, finish. A stream that ends without `finish` is a cut connection: what came is kept.
use std::sync::Arc;

use api::Caller;
use proto::file::v1::{AppendUploadRequest, append_upload_request::Step as Wire};
use tonic::Streaming;

use crate::{
    error::Error,
    model::{Upload, UploadName},
    service::{Files, Step},
};

/// Most bytes in one message.
const CHUNK: usize = 1024 * 1024;

/// Drives one append.
pub(super) async fn drive(
    files: &Arc<Files>,
    caller: &Caller,
    mut stream: Streaming<AppendUploadRequest>,
) -> Result<Upload, Error> {
    let first = stream.message().await.map_err(api::Error::from)?;
    let Some(Wire::Start(start)) = first.and_then(|message| message.step) else { return Err(Error::StreamInvalid) };
    let name = UploadName::parse_field("start.name", &start.name)?;
    let mut append = files.append(caller, name, start.offset_bytes).await?;
    loop {
        let step = tokio::select! {
            biased;
            ended = append.outcome() => return ended,
            message = stream.message() => step(message),
        };
        let more = matches!(step, Step::Bytes(_));
        if !append.push(step).await || !more {
            return append.outcome().await;
        }
    }
}

fn step(message: Result<Option<AppendUploadRequest>, tonic::Status>) -> Step {
    match message.map(|message| message.map(|message| message.step)) {
        Ok(Some(Some(Wire::Chunk(bytes)))) if bytes.len() <= CHUNK => Step::Bytes(bytes),
        Ok(Some(Some(Wire::Finish(_))) | None) | Err(_) => Step::End,
        Ok(Some(_)) => Step::Invalid,
    }
}
