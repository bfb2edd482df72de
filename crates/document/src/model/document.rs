//! Documents and revisions.
use std::time::Duration;

use api::{Etag, Id, OrganizationId, UserId};
use time::OffsetDateTime;

use super::{Content, DocumentName, FileName, FolderName, Metadata, RevisionName, limit};
use crate::error::Error;

/// A document without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// Its name.
    pub(crate) name: DocumentName,
    /// Where it lies; `None` is the root folder.
    pub(crate) folder: Option<Id>,
    /// Its title.
    pub(crate) title: String,
    /// Files attached, in the order of attaching.
    pub(crate) files: Vec<Id>,
    /// Number of the newest revision.
    pub(crate) head: i64,
    /// Rises by one with every change; gives the etag and the order of events.
    pub(crate) version: i64,
    /// Who created it.
    pub(crate) creator: UserId,
    /// When it was created.
    pub(crate) create_time: OffsetDateTime,
    /// When it was last changed.
    pub(crate) update_time: OffsetDateTime,
    /// Set while it is in the trash.
    pub(crate) trash: Option<Trash>,
}

/// Since when a document is in the trash, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trash {
    /// When it was deleted.
    pub(crate) delete_time: OffsetDateTime,
    /// When it will be purged.
    pub(crate) purge_time: OffsetDateTime,
}

/// What a revision holds beside the title.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Body {
    /// The text.
    pub(crate) content: Content,
    /// The metadata.
    pub(crate) metadata: Metadata,
}

/// A document with what its newest revision holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edition {
    /// The document.
    pub(crate) document: Document,
    /// Text and metadata.
    pub(crate) body: Body,
}

/// A document that somebody wants to create.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The organization.
    pub(crate) organization: OrganizationId,
    /// Id chosen by the caller.
    pub(crate) id: Option<Id>,
    /// Where it shall lie; `None` is the root folder.
    pub(crate) folder: Option<Id>,
    /// Its title.
    pub(crate) title: String,
    /// Text and metadata.
    pub(crate) body: Body,
}

/// A document as it was after one change.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    /// Its name, always with a number.
    pub(crate) name: RevisionName,
    /// The title.
    pub(crate) title: String,
    /// Text and metadata; `None` in lists.
    pub(crate) body: Option<Body>,
    /// Who made the change.
    pub(crate) author: UserId,
    /// When.
    pub(crate) create_time: OffsetDateTime,
}

/// Where a document is after it left the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the folder it was in.
    Kept,
    /// In the root folder, because its own is gone.
    Root,
}

/// What the index is told about one document that is there.
#[derive(Clone, Debug)]
pub(crate) struct Indexed {
    /// The document.
    pub(crate) name: DocumentName,
    /// Its version.
    pub(crate) version: i64,
    /// In the trash.
    pub(crate) deleted: bool,
    /// Who has a grant that holds.
    pub(crate) principals: Vec<String>,
    /// Title, start of the text, media type, folder and last change, when they were asked for.
    pub(crate) shown: Option<Shown>,
}

/// What the index searches.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The title.
    pub(crate) title: String,
    /// Media type and start of the text.
    pub(crate) content: Content,
    /// Where it lies.
    pub(crate) folder: FolderName,
    /// When it was last changed.
    pub(crate) update_time: OffsetDateTime,
}

impl Draft {
    /// The first edition.
    pub(crate) fn first_edition(&self, id: Id, creator: UserId, now: OffsetDateTime) -> Edition {
        let document = Document {
            name: DocumentName { organization: self.organization, document: id },
            folder: self.folder,
            title: self.title.clone(),
            files: Vec::new(),
            head: 1,
            version: 1,
            creator,
            create_time: now,
            update_time: now,
            trash: None,
        };
        Edition { document, body: self.body.clone() }
    }
}

impl Document {
    /// Its folder's name.
    pub(crate) fn folder_name(&self) -> FolderName {
        FolderName { organization: self.name.organization, folder: self.folder }
    }

    /// Names of the files attached.
    pub(crate) fn file_names(&self) -> Vec<String> {
        let organization = self.name.organization;
        self.files.iter().map(|file| FileName { organization, file: *file }.to_string()).collect()
    }

    /// Refuses a change of a document in the trash, or one made on top of an old version.
    pub(crate) fn changeable(&self, etag: &str) -> Result<(), Error> {
        Etag::check(etag, self.version)?;
        if self.trash.is_some() { Err(Error::Deleted) } else { Ok(()) }
    }

    /// The next version of a document that is itself as before: who may see it changes.
    pub(crate) fn next(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    /// The next version of a document that changes. Time never runs backwards, even where clocks differ between machines.
    pub(crate) fn changed(&self, now: OffsetDateTime) -> Self {
        Self { update_time: now.max(self.update_time), ..self.next() }
    }

    /// The next version, in the trash.
    pub(crate) fn deleted(&self, now: OffsetDateTime, trash_age: Duration) -> Self {
        Self { trash: Some(Trash { delete_time: now, purge_time: now + trash_age }), ..self.changed(now) }
    }

    /// The next version, out of the trash.
    pub(crate) fn undeleted(&self, now: OffsetDateTime, place: Place) -> Self {
        let folder = match place {
            Place::Kept => self.folder,
            Place::Root => None,
        };
        Self { trash: None, folder, ..self.changed(now) }
    }

    /// The next version with the file attached; `None` when it is attached already.
    pub(crate) fn with_file(&self, file: Id, now: OffsetDateTime) -> Result<Option<Self>, Error> {
        if self.files.contains(&file) {
            return Ok(None);
        }
        if self.files.len() >= limit::FILES {
            return Err(Error::LimitReached { what: "files", limit: limit::FILES });
        }
        let mut next = self.changed(now);
        next.files.push(file);
        Ok(Some(next))
    }

    /// The next version without the file; `None` when it is not attached.
    pub(crate) fn without_file(&self, file: Id, now: OffsetDateTime) -> Option<Self> {
        if !self.files.contains(&file) {
            return None;
        }
        let mut next = self.changed(now);
        next.files.retain(|attached| *attached != file);
        Some(next)
    }
}

impl Edition {
    /// The next edition, with what a revision holds.
    pub(crate) fn restored(&self, title: String, body: Body, now: OffsetDateTime) -> Self {
        let document = Document { title, head: self.document.head + 1, ..self.document.changed(now) };
        Self { document, body }
    }

    /// The same text with another state of the document.
    pub(crate) fn with_document(&self, document: Document) -> Self {
        Self { document, body: self.body.clone() }
    }

    /// Fields in which this edition differs from an earlier one, as an update mask names them.
    pub(crate) fn changed_since(&self, earlier: &Self) -> Vec<String> {
        let fields = [
            ("title", self.document.title != earlier.document.title),
            ("content", self.body.content != earlier.body.content),
            ("metadata", self.body.metadata != earlier.body.metadata),
            ("folder", self.document.folder != earlier.document.folder),
        ];
        fields.into_iter().filter(|(_, changed)| *changed).map(|(field, _)| field.to_owned()).collect()
    }
}
