//! Calls to other services. Their messages stop here.
use std::collections::HashMap;

use api::{CallContext, OrganizationId};
use mesh::client::Mesh;
use proto::{
    api::v1::IndexView,
    document::v1::{BatchReadDocumentsRequest, document_service_client::DocumentServiceClient},
};

use crate::{error::Error, model::DocumentName};

/// The document service.
pub(crate) struct Documents {
    mesh: Mesh,
}

impl Documents {
    /// Documents asked in one call: a document is shared with at most 1,000 principals of at most 88 bytes (a custom role's name), so the
    /// answer stays below the largest message of the mesh, 8 MiB.
    pub(crate) const BATCH: usize = 90;

    /// Calls over this mesh.
    pub(crate) fn new(mesh: Mesh) -> Self {
        Self { mesh }
    }

    /// Who may read each of at most [`Documents::BATCH`] documents now. Deleted documents give nobody access.
    pub(crate) async fn principals(
        &self,
        organization: OrganizationId,
        documents: &[DocumentName],
        context: &CallContext,
    ) -> Result<HashMap<String, Vec<String>>, Error> {
        if documents.is_empty() {
            return Ok(HashMap::new());
        }
        let mut client = DocumentServiceClient::new(self.mesh.as_workload("document", context))
            .max_decoding_message_size(mesh::MESSAGE_BYTES_MAX);
        let request = BatchReadDocumentsRequest {
            parent: organization.name(),
            names: documents.iter().map(ToString::to_string).collect(),
            view: IndexView::Access as i32,
        };
        let answer = client.batch_read_documents(request).await.map_err(api::Error::from)?.into_inner();
        let live = answer.entries.into_iter().filter(|entry| !entry.deleted);
        Ok(live.map(|entry| (entry.name, entry.principals)).collect())
    }
}
