//! What this service publishes. Events are thin: whoever needs content reads it. It consumes none.
use proto::document::v1::{
    DocumentCreated, DocumentDeleted, DocumentGrantsChanged, DocumentUndeleted, DocumentUpdated,
};

use crate::model::{Document, DocumentName};

/// A document was created.
pub(crate) fn created(document: &Document) -> DocumentCreated {
    DocumentCreated { name: document.name.to_string() }
}

/// A document was changed in the fields named.
pub(crate) fn updated(document: &Document, changed_paths: Vec<String>) -> DocumentUpdated {
    DocumentUpdated { name: document.name.to_string(), changed_paths, files: Vec::new() }
}

/// Files were attached or taken off.
pub(crate) fn files_changed(document: &Document) -> DocumentUpdated {
    files_are(document.name, document.file_names())
}

/// A document was purged: nothing refers to its files any more.
pub(crate) fn files_released(name: DocumentName) -> DocumentUpdated {
    files_are(name, Vec::new())
}

fn files_are(name: DocumentName, files: Vec<String>) -> DocumentUpdated {
    DocumentUpdated { name: name.to_string(), changed_paths: vec!["files".to_owned()], files }
}

/// A document was moved to the trash.
pub(crate) fn deleted(document: &Document) -> DocumentDeleted {
    DocumentDeleted { name: document.name.to_string() }
}

/// A document was taken out of the trash.
pub(crate) fn undeleted(document: &Document) -> DocumentUndeleted {
    DocumentUndeleted { name: document.name.to_string() }
}

/// Somebody gained or lost access.
pub(crate) fn grants_changed(
    name: DocumentName,
    title: String,
    gained: Vec<String>,
    lost: Vec<String>,
) -> DocumentGrantsChanged {
    DocumentGrantsChanged { name: name.to_string(), gained, lost, title }
}
