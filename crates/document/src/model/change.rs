//! An update of a document: which fields, and to what (AIP-134).
use api::{Id, Mask};
use prost_types::FieldMask;
use time::OffsetDateTime;

use super::{Content, Document, DocumentName, Edition, Metadata, title};
use crate::error::Error;

/// Fields that an update can change.
const ALLOWED: [&str; 6] = ["title", "folder", "content", "content.media_type", "content.text", "metadata.*"];
/// Fields that only the service sets: ignored in a mask.
const IGNORED: [&str; 10] = [
    "name",
    "etag",
    "files",
    "state",
    "head_revision",
    "creator",
    "create_time",
    "update_time",
    "delete_time",
    "purge_time",
];

/// What somebody wants to change. Values count only where the mask names them.
#[derive(Debug)]
pub(crate) struct Update {
    /// The document.
    pub(crate) name: DocumentName,
    /// Version the change is made on top of; empty when it does not matter.
    pub(crate) etag: String,
    mask: Mask,
    title: String,
    folder: Option<Id>,
    content: Content,
    metadata: Metadata,
}

/// The values of an update as the request holds them.
#[derive(Debug, Default)]
pub(crate) struct Values {
    /// New title.
    pub(crate) title: String,
    /// New folder: `None` when the field is empty, `Some(None)` for the root folder by name.
    pub(crate) folder: Option<Option<Id>>,
    /// New media type and text.
    pub(crate) content: Option<(String, String)>,
    /// New metadata.
    pub(crate) metadata: Option<Metadata>,
}

impl Update {
    /// Checks mask and values. Values outside the mask are ignored, whatever they are.
    pub(crate) fn parse(
        name: DocumentName,
        etag: String,
        mask: Option<&FieldMask>,
        values: Values,
    ) -> Result<Self, Error> {
        let mask = Mask::parse(mask, &ALLOWED, &IGNORED, &values.populated())?;
        let title = if mask.has("title") { title(values.title)? } else { String::new() };
        let content = match values.content {
            Some((media_type, text)) if mask.has("content") => Content::parse(media_type, text)?,
            _ => Content::default(),
        };
        let metadata = values.metadata.unwrap_or_default();
        Ok(Self { name, etag, mask, title, folder: values.folder.flatten(), content, metadata })
    }

    /// The next edition; `None` when nothing changes.
    pub(crate) fn apply(&self, current: &Edition, now: OffsetDateTime) -> Result<Option<Edition>, Error> {
        let mut next = Edition {
            document: Document { head: current.document.head + 1, ..current.document.changed(now) },
            body: current.body.clone(),
        };
        if self.mask.has("title") {
            next.document.title.clone_from(&self.title);
        }
        if self.mask.has("folder") {
            next.document.folder = self.folder;
        }
        self.apply_content(&mut next.body.content);
        if self.mask.has("metadata") {
            next.body.metadata = match self.mask.below("metadata") {
                paths if paths.is_empty() => self.metadata.clone(),
                paths => current.body.metadata.with_paths(&paths, &self.metadata)?,
            };
        }
        Ok(if next.changed_since(current).is_empty() { None } else { Some(next) })
    }

    fn apply_content(&self, content: &mut Content) {
        if !self.mask.has("content") {
            return;
        }
        let parts = self.mask.below("content");
        if parts.is_empty() || parts.contains(&"text") {
            content.text.clone_from(&self.content.text);
        }
        if parts.is_empty() || parts.contains(&"media_type") {
            content.media_type.clone_from(&self.content.media_type);
        }
    }
}

impl Values {
    /// The fields that an absent mask means.
    fn populated(&self) -> Vec<&'static str> {
        let (media_type, text) =
            self.content.as_ref().map_or((false, false), |(kind, text)| (!kind.is_empty(), !text.is_empty()));
        let fields = [
            ("title", !self.title.is_empty()),
            ("folder", self.folder.is_some()),
            ("content.media_type", media_type),
            ("content.text", text),
            ("metadata", self.metadata.is_some()),
        ];
        fields.into_iter().filter(|(_, populated)| *populated).map(|(field, _)| field).collect()
    }
}

#[cfg(test)]
mod tests;
