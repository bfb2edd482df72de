//! Files and uploads as values, and their rules. No I/O.
mod metadata;
mod range;
mod text;
mod upload;

use api::{Id, OrganizationId, UserId};
use time::OffsetDateTime;

pub(crate) use metadata::Metadata;
pub(crate) use range::{Asked, Span, Wanted};
pub(crate) use text::display_name;
pub(crate) use upload::{Draft, Upload};

api::resource_name!(
    /// Name of a file.
    pub(crate) struct FileName { organization: OrganizationId, file: Id } = "organizations/*/files/*"
);
api::resource_name!(
    /// Name of an upload.
    pub(crate) struct UploadName { organization: OrganizationId, upload: Id } = "organizations/*/uploads/*"
);
api::resource_name!(
    /// Name of a document that a file is attached to.
    pub(crate) struct DocumentName { organization: OrganizationId, document: Id } = "organizations/*/documents/*"
);

/// A stored file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Its name; the id is that of the upload it came from.
    pub(crate) name: FileName,
    /// Where its bytes lie; never used twice.
    pub(crate) content: Id,
    /// Who uploaded it.
    pub(crate) owner: UserId,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// Declared media type.
    pub(crate) media_type: String,
    /// Size in bytes.
    pub(crate) size: i64,
    /// SHA-256 of the content.
    pub(crate) sha256: [u8; 32],
    /// Version: etag and number of the newest event.
    pub(crate) version: i64,
    /// When the upload was completed.
    pub(crate) create_time: OffsetDateTime,
    /// Last change.
    pub(crate) update_time: OffsetDateTime,
    /// When it was deleted.
    pub(crate) delete_time: Option<OffsetDateTime>,
}

impl File {
    /// SHA-256 in lower-case hex.
    pub(crate) fn digest(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Strong etag of the content (RFC 9110 section 8.8.3).
    pub(crate) fn content_tag(&self) -> String {
        format!("\"{}\"", self.digest())
    }

    /// The file after its deletion.
    pub(crate) fn deleted(self, now: OffsetDateTime) -> Self {
        Self { version: self.version + 1, update_time: now, delete_time: Some(now), ..self }
    }
}

/// Place in a list by creation, newest first.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Position {
    /// Microseconds since 1970.
    pub(crate) create_micros: i64,
    /// The id.
    pub(crate) id: Id,
}
