//! Documents as other services see them: for the index, and to decide about what belongs to a document.
use api::{Caller, Id, OrganizationId};

use super::Documents;
use crate::{error::Error, model::Indexed, store};

impl Documents {
    /// Reads documents with version and principals, those in the trash too. One that is not there is not in the answer.
    pub(crate) async fn batch_read(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        ids: &[Id],
        full: bool,
    ) -> Result<Vec<Indexed>, Error> {
        let tx = self.db.tenant(caller).await?;
        let now = self.clock.now();
        let read = match full {
            true => store::index::full(&tx, organization, ids, now).await?,
            false => store::index::access(&tx, organization, ids, now).await?,
        };
        Ok(read)
    }
}
