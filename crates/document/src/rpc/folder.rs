//! Folders on the wire.
use api::{Error as ApiError, Etag, OrganizationId, timestamp};
use proto::document::v1 as wire;

use super::document::{parse_id, parse_parent as parse_organization};
use crate::{
    error::Error,
    model::{Folder, FolderDraft, FolderName, display_name},
};

/// Reads a folder to be created.
pub(super) fn parse_draft(request: wire::CreateFolderRequest) -> Result<FolderDraft, ApiError> {
    let organization = parse_organization(&request.parent)?;
    let folder = request.folder.ok_or_else(|| ApiError::invalid_field("folder", "is required; send the folder"))?;
    Ok(FolderDraft {
        organization,
        id: parse_id("folder_id", &request.folder_id)?,
        parent: parse_above(organization, "folder.parent_folder", &folder.parent_folder)?.folder,
        display_name: display_name(folder.display_name)?,
    })
}

/// Reads which folder's folders are listed.
pub(super) fn parse_parent(request: &wire::ListFoldersRequest) -> Result<FolderName, ApiError> {
    parse_above(parse_organization(&request.parent)?, "parent_folder", &request.parent_folder)
}

/// Reads the folder above; empty means the root folder. One of another organization is as good as absent.
fn parse_above(organization: OrganizationId, field: &str, name: &str) -> Result<FolderName, ApiError> {
    if name.is_empty() {
        return Ok(FolderName { organization, folder: None });
    }
    let folder = FolderName::parse_field(field, name)?;
    if folder.organization != organization {
        return Err(Error::FolderNotFound(folder).into());
    }
    Ok(folder)
}

/// Writes a folder.
pub(super) fn render(folder: Folder) -> wire::Folder {
    wire::Folder {
        name: folder.name.to_string(),
        parent_folder: folder.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        display_name: folder.display_name,
        etag: Etag::of_version(folder.version),
        create_time: folder.create_time.map(timestamp),
        update_time: folder.update_time.map(timestamp),
    }
}
