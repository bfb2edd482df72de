//! Use cases: who may do it, what happens, what is stored and published with it. One method per RPC.
//!
//! What must hold: permission is decided before anything is said about existence; a change, its event and the answer to its request id
//! are committed together.
use api::{Caller, Clock, Ids, OrganizationId};
use db::{Db, Replay};

use crate::{
    error::Error,
    events,
    model::{__Name__, __Name__Name, Draft, Window},
    store,
};

/// The __name__ service.
pub(crate) struct Service {
    db: Db,
    clock: Clock,
    ids: Ids,
}

/// The request id of a call, with a fingerprint of the request it came with: a repeat gets the first answer.
pub(crate) struct Attempt {
    request_id: String,
    fingerprint: [u8; 32],
}

impl Attempt {
    /// Takes the fingerprint of a request.
    pub(crate) fn new(caller: &Caller, request_id: &str, request: &impl prost::Message) -> Self {
        let fingerprint = db::fingerprint(&caller.context().method, request);
        Self { request_id: request_id.to_owned(), fingerprint }
    }
}

impl Service {
    /// The service over its database.
    pub(crate) fn new(db: Db, clock: Clock, ids: Ids) -> Self {
        Self { db, clock, ids }
    }

    /// Creates one.
    pub(crate) async fn create(&self, caller: &Caller, draft: Draft, attempt: &Attempt) -> Result<__Name__, Error> {
        let tx = self.db.tenant(caller).await?;
        if let Replay::Seen(name) = tx.replay(&attempt.request_id, &attempt.fingerprint).await? {
            drop(tx);
            return self.get(caller, __Name__Name::parse(&name)?).await;
        }
        let new = draft.first_version(self.ids.next(), self.clock.now());
        store::insert(&tx, &new).await?;
        tx.publish(&events::created(&new), new.name.__name__, new.version)?;
        tx.remember(&attempt.request_id, &new.name.to_string());
        tx.commit().await?;
        Ok(new)
    }

    /// Gets one.
    pub(crate) async fn get(&self, caller: &Caller, name: __Name__Name) -> Result<__Name__, Error> {
        let tx = self.db.tenant(caller).await?;
        let found = store::get(&tx, name).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// Lists them; says whether more follow.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        window: Window,
    ) -> Result<(Vec<__Name__>, bool), Error> {
        caller.permit(Some(()), |()| None, organization.name())?;
        let tx = self.db.tenant(caller).await?;
        let mut found = store::list(&tx, organization, window).await?;
        let more = found.len() > window.size;
        found.truncate(window.size);
        Ok((found, more))
    }
}
