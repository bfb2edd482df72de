//! Use cases: who may do it, what happens, what is stored and published with it. One method per RPC, one file per resource.
//!
//! What must hold: permission is decided before anything is said about existence or state; a change, its event and the
//! answer to its request id are committed together; no lock is held while another service is asked.
use api::{Caller, Clock, Ids, Principals};
use chassis::{Belief, Groups, Kit};
use db::{Db, Replay, Tx};

use crate::{
    config::Config,
    error::Error,
    model::{Document, DocumentName, Edition, Shared},
    peers::Files,
    store::{self, Viewer, document::Found},
};

mod document;
mod erase;
mod file;
mod folder;
mod grant;
mod group;
mod index;
mod revision;
mod sweep;

/// How often a change may begin: anew, when groups by which its caller may make it are no longer believed once the document is his.
const BEGINNINGS: usize = 8;

/// The document service.
pub(crate) struct Documents {
    db: Db,
    clock: Clock,
    ids: Ids,
    files: Files,
    groups: Groups,
    config: Config,
}

/// The request id of a call, with a fingerprint of the request it came with: a repeat gets the first answer.
pub(crate) struct Attempt {
    request_id: String,
    fingerprint: [u8; 32],
}

impl Attempt {
    /// Takes the fingerprint of a request; of one without a request id none is needed.
    pub(crate) fn new(caller: &Caller, request_id: &str, request: &impl prost::Message) -> Self {
        let fingerprint = match request_id {
            "" => [0; 32],
            _ => db::fingerprint(&caller.context().method, request),
        };
        Self { request_id: request_id.to_owned(), fingerprint }
    }

    /// Takes the request id for a transaction, or gives what was remembered for it.
    async fn replay(&self, tx: &Tx) -> Result<Option<String>, Error> {
        match tx.replay(&self.request_id, &self.fingerprint).await? {
            Replay::New => Ok(None),
            Replay::Seen(response) => Ok(Some(response)),
        }
    }
}

impl Documents {
    /// The service over its database, the file service and the groups of callers.
    pub(crate) fn new(kit: &Kit, config: Config) -> Self {
        let (db, clock, ids, groups) = (kit.db(), kit.clock(), kit.ids(), kit.groups());
        Self { db, clock, ids, files: Files::new(kit.mesh()), groups, config }
    }

    /// Whose grants count for the caller: nobody's when he may do it by role. Asked before a transaction begins.
    async fn viewer(&self, caller: &Caller) -> Viewer {
        self.believed(caller).await.0
    }

    /// The same with what that rests on, for who waits before he decides.
    async fn believed(&self, caller: &Caller) -> (Viewer, Belief) {
        let by_role = caller.granted();
        let (principals, belief) =
            if by_role { (Principals::none(), Belief::default()) } else { self.groups.believed(caller).await };
        (Viewer { by_role, principals, now: self.clock.now() }, belief)
    }

    /// Begins a change of one document: locks it and decides whether the caller may. `None` when the same request was
    /// answered before.
    async fn begin(&self, caller: &Caller, name: DocumentName, attempt: &Attempt) -> Result<Option<Change>, Error> {
        for _ in 0..BEGINNINGS {
            let (viewer, belief) = self.believed(caller).await;
            let tx = self.db.tenant(caller).await?;
            if attempt.replay(&tx).await?.is_some() {
                return Ok(None);
            }
            let there = store::document::lock(&tx, name).await?;
            // He may have waited for it, and have been taken out of a group meanwhile. Nobody is asked under the lock.
            if !self.groups.hold(&belief) {
                continue;
            }
            let viewer = Viewer { now: self.clock.now(), ..viewer };
            let found = if there { store::document::find(&tx, name, &viewer).await? } else { None };
            let Found { edition, shared } = viewer.principals.decided(caller.permit(found, Found::share, name))?;
            let (principals, request_id) = (viewer.principals, attempt.request_id.clone());
            return Ok(Some(Change { tx, current: edition, shared, principals, request_id }));
        }
        Err(api::Error::conflict().into())
    }
}

/// A change under way: the document is locked, the caller may change it. Dropping it changes nothing.
struct Change {
    tx: Tx,
    current: Edition,
    shared: Option<Shared>,
    principals: Principals,
    request_id: String,
}

impl Change {
    /// Ends it without a change, because the document is already as wanted.
    async fn keep(self) -> Result<Edition, Error> {
        let Self { tx, current, request_id, .. } = self;
        remember(tx, &request_id, &current.document.name.to_string()).await?;
        Ok(current)
    }

    /// Saves the next version of the document, which keeps its text, and publishes the event.
    async fn save(self, next: Document, event: impl proto::Event) -> Result<Edition, Error> {
        let Self { tx, current, request_id, .. } = self;
        store::document::save(&tx, &next).await?;
        tx.publish(&event, next.name.document, next.version)?;
        tx.remember(&request_id, &next.name.to_string());
        tx.commit().await?;
        Ok(current.with_document(next))
    }

    /// Saves the next edition with its revision, written by the caller, and publishes the event.
    async fn revise(self, caller: &Caller, next: Edition, event: impl proto::Event) -> Result<Edition, Error> {
        let Self { tx, request_id, .. } = self;
        let document = &next.document;
        store::document::revise(&tx, &next, caller.user_required()?).await?;
        tx.publish(&event, document.name.document, document.version)?;
        tx.remember(&request_id, &document.name.to_string());
        tx.commit().await?;
        Ok(next)
    }
}

/// Commits nothing but the answer to a request id; without one there is nothing to commit.
async fn remember(tx: Tx, request_id: &str, response: &str) -> Result<(), Error> {
    if request_id.is_empty() {
        return Ok(());
    }
    tx.remember(request_id, response);
    Ok(tx.commit().await?)
}
