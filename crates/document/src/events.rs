//! What this service publishes: events are thin, whoever needs content reads it.
use api::timestamp;
use proto::{
    api::v1::{Relations, relations},
    document::v1::{DocumentCreated, DocumentDeleted, DocumentGrantsChanged, DocumentUndeleted, DocumentUpdated},
};

use crate::model::{Document, DocumentName, Grant};

/// A document was created.
pub(crate) fn created(document: &Document) -> DocumentCreated {
    DocumentCreated { name: document.name.to_string() }
}

/// A document was changed in the fields named.
pub(crate) fn updated(document: &Document, changed_paths: Vec<String>) -> DocumentUpdated {
    DocumentUpdated { name: document.name.to_string(), changed_paths, files: Vec::new(), relations: None }
}

/// Files were attached or taken off.
pub(crate) fn files_changed(document: &Document) -> DocumentUpdated {
    files_are(document.name, document.file_names())
}

/// A document was purged: nothing refers to its files any more, and nobody holds anything on it.
pub(crate) fn released(name: DocumentName) -> DocumentUpdated {
    DocumentUpdated { relations: Some(Relations::default()), ..files_are(name, Vec::new()) }
}

fn files_are(name: DocumentName, files: Vec<String>) -> DocumentUpdated {
    DocumentUpdated { name: name.to_string(), changed_paths: vec!["files".to_owned()], files, relations: None }
}

/// A document was moved to the trash.
pub(crate) fn deleted(name: DocumentName) -> DocumentDeleted {
    DocumentDeleted { name: name.to_string() }
}

/// A document was taken out of the trash.
pub(crate) fn undeleted(document: &Document) -> DocumentUndeleted {
    DocumentUndeleted { name: document.name.to_string() }
}

/// Somebody gained or lost access; `grants` are all that there are now.
pub(crate) fn grants_changed(
    name: DocumentName,
    title: String,
    (gained, lost): (Vec<String>, Vec<String>),
    grants: &[Grant],
) -> DocumentGrantsChanged {
    let holder = |grant: &Grant| relations::Holder {
        subject: grant.principal.as_str().to_owned(),
        share: grant.role.into(),
        expire_time: grant.expire_time.map(timestamp),
    };
    let relations = Relations { holders: grants.iter().map(holder).collect(), parents: Vec::new() };
    DocumentGrantsChanged { name: name.to_string(), gained, lost, title, relations: Some(relations) }
}
