//! Keeps verify keys, revocations and the directory of roles fresh, for every verifier of the process.
//!
//! Ready only after the first load of keys and revocations: without keys nobody can be told from anybody. Later failures leave what is held
//! in force: tokens end by themselves, and `authz` refuses sensitive methods once the set is stale. Loaded every ten seconds, sooner when
//! something was revoked (an event, or the owner itself) or may have been: twice a second while the event broker is not connected.
//!
//! The directory is loaded beside them and holds up neither: it grows with what customers make, and a custom role that is not in it
//! allows nothing. The start waits for it as long as one call may take, no longer, so that a new process refuses nobody needlessly; and
//! one that cannot be loaded for longer than tokens live is forgotten.
use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use api::{CallContext, Clock, Error, Ids};
use authz::{CustomRole, Directory, Keys, Revocations};
use futures::future::BoxFuture;
use mesh::client::Mesh;
use proto::auth::v1::{
    self as wire, GetDirectoryRequest, ListRevocationsRequest, ListRevocationsResponse, ListUserGroupsRequest,
    ListUserGroupsResponse, ListVerifyKeysRequest, list_verify_keys_response::VerifyKey,
    token_service_client::TokenServiceClient,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{readiness::Awaited, telemetry::metrics};

/// Time between two loads.
const EVERY: Duration = Duration::from_secs(10);
/// Wait after a failed load; doubles up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Time a load may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A failure that goes on is logged as often as this.
const SAID: Duration = Duration::from_secs(60);
/// Age at which a directory is forgotten.
const BELIEVED: Duration = authz::LIFE_MAX;

/// Where keys and revocations come from. Services get them over the mesh; the service that owns them, and tests, give their own.
pub trait Source: Send + Sync + 'static {
    /// The public keys that verify tokens.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<VerifyKey>, Error>>;

    /// A page of what is revoked and could still be presented.
    fn revocations(&self, request: ListRevocationsRequest) -> BoxFuture<'_, Result<ListRevocationsResponse, Error>>;

    /// A page of what custom roles allow, unless the revision in the request is the current one. A source without custom roles has no
    /// revision.
    fn directory(&self, request: GetDirectoryRequest) -> BoxFuture<'_, Result<wire::Directory, Error>> {
        let _ = request;
        Box::pin(std::future::ready(Ok(wire::Directory::default())))
    }

    /// The groups that a member of an organization is in, directly or through groups, and the links that he holds. A source without has nobody
    /// in any.
    fn groups(&self, request: ListUserGroupsRequest) -> BoxFuture<'_, Result<ListUserGroupsResponse, Error>> {
        let _ = request;
        Box::pin(std::future::ready(Ok(ListUserGroupsResponse::default())))
    }
}

/// Keys and revocations as the contract's `TokenService` lists them.
pub(crate) struct OverMesh {
    pub(crate) mesh: Mesh,
    pub(crate) ids: Ids,
}

impl OverMesh {
    fn client(&self) -> TokenServiceClient<mesh::client::Channel> {
        let context = CallContext::background("identity", &self.ids);
        // The owner is looked up, not named: nothing below the services knows a service.
        let owner =
            proto::methods().get("/workos.auth.v1.TokenService/ListVerifyKeys").map_or("", |method| method.service);
        TokenServiceClient::new(self.mesh.as_workload(owner, &context))
    }
}

impl Source for OverMesh {
    fn keys(&self) -> BoxFuture<'_, Result<Vec<VerifyKey>, Error>> {
        Box::pin(async {
            let reply = self.client().list_verify_keys(ListVerifyKeysRequest {}).await;
            reply.map(|reply| reply.into_inner().keys).map_err(|status| Error::from_status(&status))
        })
    }

    fn revocations(&self, request: ListRevocationsRequest) -> BoxFuture<'_, Result<ListRevocationsResponse, Error>> {
        Box::pin(async move {
            let reply = self.client().list_revocations(request).await;
            reply.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
        })
    }

    fn directory(&self, request: GetDirectoryRequest) -> BoxFuture<'_, Result<wire::Directory, Error>> {
        Box::pin(async move {
            let reply = self.client().get_directory(request).await;
            reply.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
        })
    }

    fn groups(&self, request: ListUserGroupsRequest) -> BoxFuture<'_, Result<ListUserGroupsResponse, Error>> {
        Box::pin(async move {
            let reply = self.client().list_user_groups(request).await;
            reply.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
        })
    }
}

/// The identity data of the process; clones share them.
#[derive(Clone)]
pub(crate) struct Identity(Arc<Inner>);

struct Inner {
    keys: Keys,
    revocations: Revocations,
    directory: Directory,
    /// Revision of the directory that was loaded, with the number of changes it had then.
    loaded: Mutex<(String, u64)>,
    source: Mutex<Arc<dyn Source>>,
    nudge: Notify,
    nudge_directory: Notify,
}

/// The way to the source in force, without keeping it: the service that owns it may hold this.
pub(crate) struct Sources(Weak<Inner>);

impl Sources {
    /// The source; `None` when the process is at its end.
    pub(crate) fn current(&self) -> Option<Arc<dyn Source>> {
        self.0.upgrade().map(|inner| inner.source())
    }
}

/// What was logged of a failure that goes on, and when: while events are not heard there are two tries in a second.
#[derive(Default)]
struct Said(Option<(String, Instant)>);

impl Said {
    /// It is news, or was said long ago.
    fn is_due(&mut self, text: &str) -> bool {
        let fresh = self.0.as_ref().is_some_and(|(said, when)| said == text && when.elapsed() < SAID);
        if !fresh {
            self.0 = Some((text.to_owned(), Instant::now()));
        }
        !fresh
    }
}

impl Inner {
    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.source.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Identity {
    /// Nothing loaded yet; `source` is given a verifier that follows what will be.
    pub(crate) fn new(clock: Clock, source: impl FnOnce(&Keys, &Revocations) -> Arc<dyn Source>) -> Identity {
        let (keys, revocations) = (Keys::default(), Revocations::new(clock));
        let source = Mutex::new(source(&keys, &revocations));
        let (directory, loaded) = (Directory::default(), Mutex::default());
        let (nudge, nudge_directory) = (Notify::new(), Notify::new());
        Identity(Arc::new(Inner { keys, revocations, directory, loaded, source, nudge, nudge_directory }))
    }

    pub(crate) fn keys(&self) -> Keys {
        self.0.keys.clone()
    }

    pub(crate) fn revocations(&self) -> Revocations {
        self.0.revocations.clone()
    }

    pub(crate) fn directory(&self) -> Directory {
        self.0.directory.clone()
    }

    /// Loads from another source from now on.
    pub(crate) fn replace_source(&self, source: Arc<dyn Source>) {
        *self.0.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
        self.nudge();
    }

    /// Loads now: something was revoked, or a custom role changed.
    pub(crate) fn nudge(&self) {
        self.0.nudge.notify_one();
        self.0.nudge_directory.notify_one();
    }

    /// Keeps the data fresh until the stop.
    pub(crate) async fn keep(self, awaited: Arc<Awaited>, shutdown: CancellationToken) {
        let mut loaded = Instant::now();
        let (mut retry, mut said) = (RETRY, Said::default());
        loop {
            let wait = match self.load().await {
                Ok(()) => {
                    said = Said::default();
                    loaded = Instant::now();
                    retry = RETRY;
                    awaited.done();
                    awaited.clear_note();
                    EVERY
                }
                Err(error) => {
                    let text = format!("keys and revocations cannot be loaded: {}", error.message());
                    self.say(&awaited, &text, &mut said);
                    retry = (retry * 2).min(RETRY_MAX);
                    retry
                }
            };
            metrics::identity_age(loaded.elapsed().as_secs_f64());
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.0.nudge.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn say(&self, awaited: &Awaited, text: &str, said: &mut Said) {
        if self.0.keys.is_empty() {
            awaited.lost(text);
        } else {
            if said.is_due(text) {
                tracing::warn!(error.message = text, "verifying with what is held");
            }
            awaited.note(text);
        }
    }

    /// Keeps the directory fresh until the stop.
    pub(crate) async fn keep_directory(self, awaited: Arc<Awaited>, shutdown: CancellationToken) {
        let (mut retry, mut said, patience) = (RETRY, Said::default(), Instant::now() + TIMEOUT);
        let mut last = Instant::now();
        loop {
            let load = self.load_directory();
            tokio::pin!(load);
            let loaded = tokio::select! {
                loaded = &mut load => loaded,
                () = tokio::time::sleep_until(patience) => {
                    awaited.done();
                    tokio::select! {
                        loaded = load => loaded,
                        () = shutdown.cancelled() => return,
                    }
                }
                () = shutdown.cancelled() => return,
            };
            let wait = match loaded {
                Ok(()) => {
                    (last, retry, said) = (Instant::now(), RETRY, Said::default());
                    awaited.done();
                    awaited.clear_note();
                    EVERY
                }
                Err(error) => {
                    self.forget_directory(last);
                    let text = format!("the directory of roles cannot be loaded: {}", error.message());
                    if said.is_due(&text) {
                        tracing::warn!(error.message = text, "deciding by the custom roles that are held");
                    }
                    awaited.note(&text);
                    retry = (retry * 2).min(RETRY_MAX);
                    retry
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.0.nudge_directory.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn source(&self) -> Arc<dyn Source> {
        self.0.source()
    }

    /// The source for what services ask of it themselves.
    pub(crate) fn sources(&self) -> Sources {
        Sources(Arc::downgrade(&self.0))
    }

    async fn load(&self) -> Result<(), Error> {
        let source = self.source();
        let late = |_| Error::unavailable("the source of verify keys and revocations");
        let keys = tokio::time::timeout(TIMEOUT, source.keys()).await.map_err(late)??;
        let seen = self.0.revocations.pushed();
        let (mut revocations, mut request) = (Vec::new(), ListRevocationsRequest::default());
        loop {
            let page = tokio::time::timeout(TIMEOUT, source.revocations(request)).await.map_err(late)??;
            revocations.extend(page.revocations.iter().filter_map(authz::Revocation::parse));
            if page.next_page_token.is_empty() {
                break;
            }
            request = ListRevocationsRequest { page_token: page.next_page_token, ..ListRevocationsRequest::default() };
        }
        self.0.keys.replace(keys.iter().filter_map(authz::VerifyKey::parse).collect());
        self.0.revocations.replace(seen, revocations);
        Ok(())
    }

    /// The last load of the directory is so old that no token of its time lives: what it allows is not believed any more.
    fn forget_directory(&self, loaded: Instant) {
        let directory = &self.0.directory;
        if loaded.elapsed() > BELIEVED && !directory.is_empty() {
            tracing::warn!("custom roles allow nothing until the directory is loaded again");
            directory.replace(directory.changes(), Vec::new());
        }
    }

    /// Loads the directory, page by page, when it is not the one that is held. The revision is that of the first page: what changes while
    /// pages are read makes the next load one more. A change of this process that came meanwhile is newer than what was loaded: then it is
    /// loaded again.
    async fn load_directory(&self) -> Result<(), Error> {
        let source = self.source();
        let changes = self.0.directory.changes();
        let (revision, held) = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let known_revision = if held == changes { revision } else { String::new() };
        let mut request = GetDirectoryRequest { known_revision, ..GetDirectoryRequest::default() };
        let (mut roles, mut revision) = (Vec::new(), None);
        loop {
            let late = |_| Error::unavailable("the source of the directory");
            let page = tokio::time::timeout(TIMEOUT, source.directory(request)).await.map_err(late)??;
            if page.unchanged {
                return Ok(());
            }
            roles.extend(CustomRole::parse_all(&page));
            revision.get_or_insert(page.revision);
            if page.next_page_token.is_empty() {
                break;
            }
            request = GetDirectoryRequest { page_token: page.next_page_token, ..GetDirectoryRequest::default() };
        }
        if self.0.directory.replace(changes, roles) {
            let loaded = (revision.unwrap_or_default(), changes + 1);
            *self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        } else {
            self.0.nudge_directory.notify_one();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
