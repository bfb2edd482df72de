//! Folders. The root folder always exists and has no row.
use api::{Id, OrganizationId};
use time::OffsetDateTime;

use super::FolderName;

/// A folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// Its name.
    pub(crate) name: FolderName,
    /// The folder above; the root folder has none.
    pub(crate) parent: Option<FolderName>,
    /// Name shown to people.
    pub(crate) display_name: String,
    /// Rises by one with every change; gives the etag.
    pub(crate) version: i64,
    /// When it was created; the root folder is older than time.
    pub(crate) create_time: Option<OffsetDateTime>,
    /// When it was last changed.
    pub(crate) update_time: Option<OffsetDateTime>,
}

/// A folder that somebody wants to create.
#[derive(Debug)]
pub(crate) struct FolderDraft {
    /// The organization.
    pub(crate) organization: OrganizationId,
    /// Id chosen by the caller.
    pub(crate) id: Option<Id>,
    /// The folder above; `None` is the root folder.
    pub(crate) parent: Option<Id>,
    /// Name shown to people.
    pub(crate) display_name: String,
}

impl Folder {
    /// The root folder of an organization.
    pub(crate) fn root(organization: OrganizationId) -> Self {
        let name = FolderName { organization, folder: None };
        Self { name, parent: None, display_name: "Root".to_owned(), version: 1, create_time: None, update_time: None }
    }
}

impl FolderDraft {
    /// The folder's first version.
    pub(crate) fn first_version(&self, id: Id, now: OffsetDateTime) -> Folder {
        let organization = self.organization;
        Folder {
            name: FolderName { organization, folder: Some(id) },
            parent: Some(FolderName { organization, folder: self.parent }),
            display_name: self.display_name.clone(),
            version: 1,
            create_time: Some(now),
            update_time: Some(now),
        }
    }
}
