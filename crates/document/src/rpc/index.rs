//! Documents on the wire to other services.
use std::collections::HashMap;

use api::{Error as ApiError, Id, OrganizationId, holders, timestamp, viewers};
use proto::{
    api::v1::{IndexEntry, IndexView},
    document::v1::BatchReadDocumentsRequest,
};

use super::document::parse_parent;
use crate::model::{DocumentName, Indexed, limit};

/// Who holds this permission by a role reads every document.
const READ: &str = "document:read";

/// What to read.
pub(super) struct Batch {
    /// The organization.
    pub(super) organization: OrganizationId,
    /// The documents, in the order of the request; one may come twice.
    pub(super) ids: Vec<Id>,
    /// With text.
    pub(super) full: bool,
}

/// Reads what to read.
pub(super) fn parse(request: &BatchReadDocumentsRequest) -> Result<Batch, ApiError> {
    let organization = parse_parent(&request.parent)?;
    let full = request.view() != IndexView::Access;
    let most = if full { limit::INDEX_BATCH_FULL } else { limit::INDEX_BATCH };
    if request.names.len() > most {
        let problem = format!("holds more than {most} names; read in several calls");
        return Err(ApiError::invalid_field("names", problem).with("limit", most.to_string()));
    }
    let id = |name: &String| {
        let name = DocumentName::parse_field("names", name)?;
        match name.organization == organization {
            true => Ok(name.document),
            false => Err(ApiError::invalid_field("names", "holds a document of another organization than the parent")),
        }
    };
    Ok(Batch { organization, ids: request.names.iter().map(id).collect::<Result<_, _>>()?, full })
}

/// Writes one entry for each name, in order.
pub(super) fn render(batch: &Batch, read: Vec<Indexed>) -> Vec<IndexEntry> {
    let readers = [viewers(batch.organization), holders(batch.organization, READ)];
    let entries = read.into_iter().map(|indexed| (indexed.name.document, entry(indexed, &readers)));
    let entries: HashMap<Id, IndexEntry> = entries.collect();
    let absent = |document| {
        let name = DocumentName { organization: batch.organization, document };
        IndexEntry { name: name.to_string(), deleted: true, ..IndexEntry::default() }
    };
    batch.ids.iter().map(|id| entries.get(id).cloned().unwrap_or_else(|| absent(*id))).collect()
}

fn entry(indexed: Indexed, readers: &[String]) -> IndexEntry {
    let mut principals = readers.to_vec();
    // A grant may name who reads by role anyway.
    principals.extend(indexed.principals.into_iter().filter(|principal| !readers.contains(principal)));
    let entry = IndexEntry {
        name: indexed.name.to_string(),
        version: indexed.version,
        deleted: indexed.deleted,
        principals,
        ..IndexEntry::default()
    };
    match indexed.shown {
        None => entry,
        Some(shown) => IndexEntry {
            title: shown.title,
            body: shown.content.text,
            media_type: shown.content.media_type,
            folder: shown.folder.to_string(),
            update_time: Some(timestamp(shown.update_time)),
            ..entry
        },
    }
}
