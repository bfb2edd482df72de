//! Use cases: who may do it, what happens, what is stored and published with it. One method per RPC, one file per resource.
//!
//! What must hold: permission is decided before anything is said about existence or state; a change, its event and the
//! answer to its request id are committed together; no lock is held while another service is asked.
use api::{Caller, Clock, Ids};
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
mod index;
mod revision;
mod sweep;

/// The document service.
pub(crate) struct Documents {
    db: Db,
    clock: Clock,
    ids: Ids,
    files: Files,
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
    /// The service over its database and the file service.
    pub(crate) fn new(db: Db, clock: Clock, ids: Ids, files: Files, config: Config) -> Self {
        Self { db, clock, ids, files, config }
    }

    /// Begins a change of one document: locks it and decides whether the caller may. `None` when the same request was
    /// answered before.
    async fn begin(&self, caller: &Caller, name: DocumentName, attempt: &Attempt) -> Result<Option<Change>, Error> {
        let tx = self.db.tenant(caller).await?;
        if attempt.replay(&tx).await?.is_some() {
            return Ok(None);
        }
        let found = store::document::lock(&tx, name, Viewer::new(caller, self.clock.now())).await?;
        let Found { edition, shared } = caller.permit(found, Found::share, name)?;
        Ok(Some(Change { tx, current: edition, shared, request_id: attempt.request_id.clone() }))
    }
}

/// A change under way: the document is locked, the caller may change it. Dropping it changes nothing.
struct Change {
    tx: Tx,
    current: Edition,
    shared: Option<Shared>,
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
