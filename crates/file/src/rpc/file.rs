//! Files on the wire.
use std::collections::HashMap;

use api::{Error as ApiError, Etag, Id, OrganizationId, holders, timestamp, viewers};
use proto::{
    api::v1::{IndexEntry, IndexView},
    file::v1::{BatchReadFilesRequest, File as Wire, file::State},
};

use crate::model::{File, FileName};

/// Who holds this permission by a role reads every file.
const READ: &str = "file:read";
/// Files in one batch.
const BATCH: usize = 1000;

/// Writes a file.
pub(super) fn render(file: File) -> Wire {
    let state = if file.delete_time.is_some() { State::Deleted } else { State::Available };
    Wire {
        name: file.name.to_string(),
        sha256: file.digest(),
        display_name: file.display_name,
        media_type: file.media_type,
        size_bytes: file.size,
        state: state as i32,
        owner: file.owner.name(),
        etag: Etag::of_version(file.version),
        create_time: Some(timestamp(file.create_time)),
        update_time: Some(timestamp(file.update_time)),
        delete_time: file.delete_time.map(timestamp),
    }
}

/// What another service wants to know.
pub(super) struct Batch {
    /// The organization.
    pub(super) organization: OrganizationId,
    /// The files in order.
    pub(super) ids: Vec<Id>,
    full: bool,
}

/// Reads a batch.
pub(super) fn parse_batch(request: &BatchReadFilesRequest) -> Result<Batch, ApiError> {
    let organization = OrganizationId::parse(&request.parent)?;
    if request.names.len() > BATCH {
        return Err(ApiError::invalid_field("names", format!("holds more than {BATCH} names; read in several calls")));
    }
    let id = |name: &String| {
        let name = FileName::parse_field("names", name)?;
        let own = name.organization == organization;
        own.then_some(name.file)
            .ok_or_else(|| ApiError::invalid_field("names", "holds a file of another organization than the parent"))
    };
    Ok(Batch {
        organization,
        ids: request.names.iter().map(id).collect::<Result<_, _>>()?,
        full: request.view() != IndexView::Access,
    })
}

/// Writes one entry for each name, in order.
pub(super) fn render_batch(batch: &Batch, read: Vec<(File, Vec<String>)>) -> Vec<IndexEntry> {
    let by_role = [viewers(batch.organization), holders(batch.organization, READ)];
    let entries: HashMap<Id, IndexEntry> =
        read.into_iter().map(|(file, readers)| (file.name.file, entry(batch, &by_role, file, readers))).collect();
    let absent = |file| IndexEntry {
        name: FileName { organization: batch.organization, file }.to_string(),
        deleted: true,
        ..IndexEntry::default()
    };
    batch.ids.iter().map(|id| entries.get(id).cloned().unwrap_or_else(|| absent(*id))).collect()
}

fn entry(batch: &Batch, by_role: &[String], file: File, mut principals: Vec<String>) -> IndexEntry {
    for readers in by_role {
        if !principals.contains(readers) {
            principals.push(readers.clone());
        }
    }
    let entry = IndexEntry {
        name: file.name.to_string(),
        version: file.version,
        deleted: file.delete_time.is_some(),
        principals,
        ..IndexEntry::default()
    };
    if !batch.full {
        return entry;
    }
    IndexEntry {
        title: file.display_name,
        media_type: file.media_type,
        update_time: Some(timestamp(file.update_time)),
        ..entry
    }
}
