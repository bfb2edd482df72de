//! Documents, folders and grants as values, with the rules that hold for them. Pure: no I/O, no clock, nothing of the wire.
mod change;
mod document;
mod folder;
mod grant;
mod list;
mod metadata;
mod name;
mod text;

pub(crate) use change::{Update, Values};
pub(crate) use document::{Body, Document, Draft, Edition, Indexed, Place, Revision, Shown, Trash};
pub(crate) use folder::{Folder, FolderDraft};
pub(crate) use grant::{Grant, GrantDraft, Principal, Share, Shared};
pub(crate) use list::{DocumentPosition, DocumentQuery, Key, Listed, Order, OrderField, Window};
pub(crate) use metadata::Metadata;
pub(crate) use name::{DocumentName, FileName, FolderName, GrantName, Number, RevisionName};
pub(crate) use text::{Content, display_name, head_of, key, title};

/// What a document, a folder and a request may hold at most.
pub(crate) mod limit {
    /// Bytes of a title.
    pub(crate) const TITLE: usize = 1024;
    /// Bytes of the text of a document.
    pub(crate) const CONTENT: usize = 4 << 20;
    /// Bytes of a media type.
    pub(crate) const MEDIA_TYPE: usize = 255;
    /// Bytes of the metadata as JSON.
    pub(crate) const METADATA: usize = 64 << 10;
    /// Levels of the metadata.
    pub(crate) const METADATA_DEPTH: usize = 20;
    /// Keys of the metadata on all levels together.
    pub(crate) const METADATA_KEYS: usize = 1000;
    /// Files of a document.
    pub(crate) const FILES: usize = 100;
    /// Grants of a document.
    pub(crate) const GRANTS: usize = 1000;
    /// Characters of a folder's name.
    pub(crate) const DISPLAY_NAME: usize = 255;
    /// Levels of folders below the root.
    pub(crate) const DEPTH: i16 = 100;
    /// Bytes of a key that names are compared or sorted by; an index row of PostgreSQL holds less than 2,700.
    pub(crate) const KEY: usize = 1024;
    /// Bytes of text that the index gets.
    pub(crate) const INDEX_BODY: usize = 256 << 10;
    /// Documents of one read for the index.
    pub(crate) const INDEX_BATCH: usize = 1000;
    /// Documents of one read with their text: with 1,000 grants each they still fit a message of the mesh, 8 MiB.
    pub(crate) const INDEX_BATCH_FULL: usize = 20;
}
