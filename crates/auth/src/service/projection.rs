//! What services tell of the relations of their resources. Each message says all of one resource, so that what comes twice or late
//! changes nothing: the version that is held decides.
use api::{CallContext, Share};

use super::Auth;
use crate::{
    error::Error,
    model::{Holder, Object},
    store,
};

impl Auth {
    /// Takes what the owner of a resource says of its relations: who holds what, and what it inherits from, at most so much.
    pub(crate) async fn relations_told(
        &self,
        object: &Object,
        revision: (i32, i64),
        holders: &[Holder],
        parents: &[(String, Share)],
        context: &CallContext,
    ) -> Result<(), Error> {
        let tx = self.db.tenant_as(object.organization, context).await?;
        // The number is taken first: it is the lock under which one resource after the other is replaced.
        store::relation::advance(&tx, object.organization).await?;
        if store::relation::replace(&tx, object, revision, holders, parents).await? {
            tx.commit().await?;
        }
        Ok(())
    }
}
