//! AppendUpload: start, chunks, finish. A stream that ends without `finish` is a cut connection: what came is kept.
use api::Caller;
use proto::file::v1::{AppendUploadRequest, append_upload_request::Step};
use tonic::Streaming;

use crate::{
    error::Error,
    model::{Upload, UploadName},
    service::Files,
};

/// Drives one append.
pub(super) async fn drive(files: &Files, caller: &Caller, mut stream: Streaming<AppendUploadRequest>) -> Result<Upload, Error> {
    let first = stream.message().await.map_err(api::Error::from)?;
    let Some(Step::Start(start)) = first.and_then(|message| message.step) else { return Err(Error::StreamInvalid) };
    let name = UploadName::parse_field("start.name", &start.name)?;
    let mut append = files.append(caller, name, start.offset_bytes).await?;
    loop {
        match stream.message().await.map(|message| message.and_then(|message| message.step)) {
            Ok(Some(Step::Chunk(bytes))) => append.write(bytes).await?,
            Ok(Some(Step::Finish(_)) | None) | Err(_) => return append.finish().await,
            Ok(Some(Step::Start(_))) => return Err(Error::StreamInvalid),
        }
    }
}
