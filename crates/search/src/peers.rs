//! The owners of what is searched. Their messages stop here.
use std::collections::HashMap;

use api::{CallContext, Code, Error, OrganizationId, Principals, from_timestamp};
use mesh::client::Mesh;
use proto::{
    api::v1::{IndexEntry, IndexView},
    document::v1::{BatchReadDocumentsRequest, document_service_client::DocumentServiceClient},
    events::v1::{GetBacklogRequest, event_admin_service_client::EventAdminServiceClient},
    file::v1::{BatchReadFilesRequest, file_service_client::FileServiceClient},
};

use crate::model::{Entry, Kind, Read, Rejection, ResourceName, Revision};

/// Most resources of one read with text: as many as fit a message of the mesh.
pub(crate) const READ_BATCH: usize = 25;

/// Document and file service, asked in this service's own name.
pub(crate) struct Owners {
    mesh: Mesh,
}

/// Who may see a resource now, as its owner says.
pub(crate) struct Access {
    deleted: bool,
    principals: Vec<String>,
}

impl Access {
    /// Whether one of these may see it.
    pub(crate) fn allows(&self, principals: &Principals) -> bool {
        !self.deleted && principals.hold(&self.principals)
    }
}

impl Owners {
    /// Calls over this mesh.
    pub(crate) fn new(mesh: Mesh) -> Self {
        Self { mesh }
    }

    /// Asks the owner of resources of one organization and kind who may see them.
    pub(crate) async fn access(
        &self,
        context: &CallContext,
        organization: OrganizationId,
        kind: Kind,
        names: &[ResourceName],
    ) -> Result<HashMap<ResourceName, Access>, Error> {
        let entries = self.batch(context, organization, kind, names, IndexView::Access).await?;
        let access = |entry: IndexEntry| {
            let name = ResourceName::parse(&entry.name)?;
            Some((name, Access { deleted: entry.deleted, principals: entry.principals }))
        };
        Ok(entries.into_iter().filter_map(access).collect())
    }

    /// Reads resources of one organization and kind, at most [`READ_BATCH`], in the order of the names.
    pub(crate) async fn read(
        &self,
        context: &CallContext,
        organization: OrganizationId,
        kind: Kind,
        names: &[ResourceName],
    ) -> Result<Vec<Read>, Error> {
        let entries = self.batch(context, organization, kind, names, IndexView::Full).await?;
        if entries.len() != names.len() {
            return Err(Error::fault("an owner answered with another number of entries than was asked for"));
        }
        Ok(names.iter().zip(entries).map(|(name, entry)| read(*name, entry)).collect())
    }

    /// Events on their way to the index: not yet at the broker, or not yet heard here. Asked in the order in which they move,
    /// so that none is missed.
    pub(crate) async fn under_way(&self, context: &CallContext) -> Result<i64, Error> {
        let mut count = 0;
        for owner in Kind::ALL {
            count += self.backlog(context, owner.as_str()).await?.unsent_count;
        }
        Ok(count + self.backlog(context, "search").await?.unheard_count)
    }

    async fn backlog(&self, context: &CallContext, service: &str) -> Result<proto::events::v1::Backlog, Error> {
        let mut client = EventAdminServiceClient::new(self.mesh.as_workload(service, context));
        Ok(client.get_backlog(GetBacklogRequest {}).await?.into_inner())
    }

    async fn batch(
        &self,
        context: &CallContext,
        organization: OrganizationId,
        kind: Kind,
        names: &[ResourceName],
        view: IndexView,
    ) -> Result<Vec<IndexEntry>, Error> {
        let channel = self.mesh.as_workload(kind.as_str(), context);
        let (parent, names, view) = (organization.name(), names.iter().map(ToString::to_string).collect(), view.into());
        match kind {
            Kind::Document => {
                let mut owner = DocumentServiceClient::new(channel).max_decoding_message_size(mesh::MESSAGE_BYTES_MAX);
                let answer = owner.batch_read_documents(BatchReadDocumentsRequest { parent, names, view }).await?;
                Ok(answer.into_inner().entries)
            }
            Kind::File => {
                let mut owner = FileServiceClient::new(channel).max_decoding_message_size(mesh::MESSAGE_BYTES_MAX);
                let answer = owner.batch_read_files(BatchReadFilesRequest { parent, names, view }).await?;
                Ok(answer.into_inner().entries)
            }
        }
    }
}

/// Whether the same read would fail again: then it is the resource's fault and not one of the moment. Refused permission is of
/// the moment, because workloads get and lose it by deployment.
pub(crate) fn is_lasting(error: &Error) -> bool {
    let code = matches!(
        error.code(),
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition | Code::NotFound | Code::Unimplemented
    );
    code || error.reason() == "MESSAGE_TOO_LARGE"
}

fn read(name: ResourceName, entry: IndexEntry) -> Read {
    let version = entry.version;
    if entry.name != name.to_string() || version < 0 {
        return Read::Refused { version: 0, rejection: Rejection::AnswerUnusable };
    }
    if entry.deleted {
        return Read::Gone { version };
    }
    let Some(updated) = entry.update_time.as_ref().and_then(from_timestamp) else {
        return Read::Refused { version, rejection: Rejection::AnswerUnusable };
    };
    let entry = Entry {
        name,
        revision: Revision::default().with_version(version),
        principals: entry.principals,
        title: entry.title,
        body: entry.body,
        media_type: entry.media_type,
        folder: entry.folder,
        updated,
    };
    match entry.check() {
        Ok(()) => Read::There(Box::new(entry)),
        Err(rejection) => Read::Refused { version, rejection },
    }
}
