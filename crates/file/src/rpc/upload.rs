//! Uploads on the wire.
use api::{Caller, OrganizationId, timestamp};
use proto::file::v1::{CreateUploadRequest, Upload as Wire};

use crate::{
    error::Error,
    model::{Draft, Upload, UploadName},
};

/// Reads what is to be uploaded, and the id if the caller chose one.
pub(super) fn parse(caller: &Caller, request: CreateUploadRequest) -> Result<(Option<UploadName>, Draft), Error> {
    let organization = caller.organization()?;
    if OrganizationId::parse(&request.parent)? != organization {
        return Err(api::Error::denied().into());
    }
    let upload = request.upload.ok_or(Error::LengthInvalid)?;
    let id = match request.upload_id.as_str() {
        "" => None,
        id => {
            Some(id.parse().map_err(|error: api::IdError| api::Error::invalid_field("upload_id", error.to_string()))?)
        }
    };
    let draft = Draft::parse(upload.length_bytes, upload.raw_metadata, &upload.display_name, &upload.media_type)?;
    Ok((id.map(|upload| UploadName { organization, upload }), draft))
}

/// Writes an upload.
pub(super) fn render(upload: Upload) -> Wire {
    let file = if upload.complete { upload.file().to_string() } else { String::new() };
    Wire {
        name: upload.name.to_string(),
        length_bytes: Some(upload.draft.length),
        offset_bytes: if upload.complete { upload.draft.length } else { upload.offset },
        raw_metadata: upload.draft.raw_metadata,
        display_name: upload.draft.display_name,
        media_type: upload.draft.media_type,
        file,
        owner: upload.owner.name(),
        create_time: Some(timestamp(upload.create_time)),
        expire_time: Some(timestamp(upload.expire_time)),
    }
}
