//! Calls to other services. Their messages stop here.
use std::collections::HashMap;

use api::{CallContext, OrganizationId};
use mesh::client::Mesh;
use proto::{
    api::v1::IndexView,
    document::v1::{BatchReadDocumentsRequest, document_service_client::DocumentServiceClient},
};

use crate::{error::Error, model::DocumentName};

/// Documents asked in one call.
const BATCH: usize = 1000;

/// The document service.
pub(crate) struct Documents {
    mesh: Mesh,
}

impl Documents {
    /// Calls over this mesh.
    pub(crate) fn new(mesh: Mesh) -> Self {
        Self { mesh }
    }

    /// Who may read each of these documents now. Deleted documents give nobody access.
    pub(crate) async fn principals(
        &self,
        organization: OrganizationId,
        documents: &[DocumentName],
        context: &CallContext,
    ) -> Result<HashMap<String, Vec<String>>, Error> {
        let mut found = HashMap::new();
        for batch in documents.chunks(BATCH) {
            let mut client = DocumentServiceClient::new(self.mesh.as_workload("document", context));
            let request = BatchReadDocumentsRequest {
                parent: organization.name(),
                names: batch.iter().map(ToString::to_string).collect(),
                view: IndexView::Access as i32,
            };
            let answer = client.batch_read_documents(request).await.map_err(api::Error::from)?.into_inner();
            let live = answer.entries.into_iter().filter(|entry| !entry.deleted);
            found.extend(live.map(|entry| (entry.name, entry.principals)));
        }
        Ok(found)
    }
}
