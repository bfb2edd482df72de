//! Use cases. Bytes are made durable before the row says so; a file and its event are committed together.
mod append;
mod complete;
mod download;
mod erase;
mod file;
mod lease;
mod reference;
mod sweep;
mod upload;
mod writers;

use std::sync::{Arc, atomic::AtomicUsize};

use api::{Caller, Clock, Id, Ids};
use chassis::{Groups, Kit, Tasks};
use db::{Db, Replay, Tx};

use crate::{
    config::Config,
    content::{Content, LocalDisk},
    error::Error,
    peers::Documents,
};

pub(crate) use append::Step;
pub(crate) use download::Download;

/// The file service.
pub(crate) struct Files {
    db: Db,
    clock: Clock,
    ids: Ids,
    tasks: Tasks,
    content: Arc<dyn Content>,
    documents: Documents,
    groups: Groups,
    config: Config,
    /// This process, as holder of leases.
    process: Id,
    writers: writers::Writers,
    /// Next shelf on which bytes that nobody knows are looked for.
    shelf: AtomicUsize,
}

impl Files {
    /// The service over its database and the place of the bytes.
    pub(crate) fn new(kit: &Kit, content: LocalDisk, documents: Documents, config: Config) -> Self {
        let ids = kit.ids();
        Self {
            db: kit.db(),
            clock: kit.clock(),
            process: ids.next(),
            ids,
            tasks: kit.tasks(),
            content: Arc::new(content),
            documents,
            groups: kit.groups(),
            config,
            writers: writers::Writers::default(),
            shelf: AtomicUsize::new(0),
        }
    }
}

/// The request id of a call, with a fingerprint of its request.
pub(crate) struct Attempt {
    request_id: String,
    fingerprint: [u8; 32],
}

impl Attempt {
    /// Takes the fingerprint.
    pub(crate) fn new(caller: &Caller, request_id: &str, request: &impl prost::Message) -> Self {
        let fingerprint =
            if request_id.is_empty() { [0; 32] } else { db::fingerprint(&caller.context().method, request) };
        Self { request_id: request_id.to_owned(), fingerprint }
    }

    /// Takes the request id, or says that it was answered before.
    async fn is_repeat(&self, tx: &Tx) -> Result<bool, Error> {
        Ok(matches!(tx.replay(&self.request_id, &self.fingerprint).await?, Replay::Seen(_)))
    }

    fn remember(&self, tx: &Tx, answer: &str) {
        tx.remember(&self.request_id, answer);
    }
}
