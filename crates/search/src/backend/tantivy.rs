//! The embedded engine: one tantivy index per generation, in a folder of its own, for all organizations.
//!
//! A folder has one writer at a time, which holds tantivy's lock; so one instance of the service runs per data folder. All
//! work with tantivy blocks and runs apart from the async threads.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use api::OrganizationId;
use tokio::sync::Semaphore;

mod analysis;
mod collect;
mod highlight;
mod plan;
mod schema;
mod search;
mod shelf;
mod statistics;

use shelf::Shelf;

use super::{Answer, BackendError, Generation, Page, Question, SearchBackend, Write, WriteOutcome};

/// tantivy in folders below one root.
pub struct Tantivy(Arc<Inner>);

struct Inner {
    root: PathBuf,
    memory: usize,
    searches: Arc<Semaphore>,
    shelves: RwLock<BTreeMap<Generation, Arc<Shelf>>>,
}

impl Tantivy {
    /// Keeps indexes below `root`. A writer gathers up to `memory` bytes; at most `concurrency` searches run at once.
    #[must_use]
    pub fn new(root: PathBuf, memory: usize, concurrency: usize) -> Self {
        let searches = Arc::new(Semaphore::new(concurrency));
        Self(Arc::new(Inner { root, memory, searches, shelves: RwLock::default() }))
    }
}

impl Inner {
    fn folder(&self, generation: Generation) -> PathBuf {
        self.root.join(format!("generation-{}", generation.0))
    }

    fn shelf(&self, generation: Generation) -> Result<Arc<Shelf>, BackendError> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        shelves.get(&generation).cloned().ok_or_else(|| BackendError::Unusable("it is not open".to_owned()))
    }

    fn put(&self, generation: Generation, shelf: Option<Shelf>) {
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        match shelf {
            Some(shelf) => shelves.insert(generation, Arc::new(shelf)),
            None => shelves.remove(&generation),
        };
    }

    /// A whole folder appears or disappears at once, so that a crash leaves none that looks complete.
    fn clear(folder: &Path) -> Result<(), BackendError> {
        let failed = |error: std::io::Error| BackendError::Failed(format!("{}: {error}", folder.display()));
        let doomed = folder.with_extension("removed");
        if doomed.exists() {
            std::fs::remove_dir_all(&doomed).map_err(failed)?;
        }
        if folder.exists() {
            std::fs::rename(folder, &doomed).map_err(failed)?;
            std::fs::remove_dir_all(&doomed).map_err(failed)?;
        }
        Ok(())
    }
}

/// Runs work that blocks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackendError> + Send + 'static,
) -> Result<T, BackendError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(BackendError::Failed(format!("the index engine panicked: {error}"))),
    }
}

impl SearchBackend for Tantivy {
    fn mapping(&self) -> String {
        schema::mapping()
    }

    fn create(&self, generation: Generation) -> Answer<'_, ()> {
        let inner = self.0.clone();
        Box::pin(blocking(move || {
            inner.put(generation, None);
            let folder = inner.folder(generation);
            Inner::clear(&folder)?;
            inner.put(generation, Some(Shelf::create(&folder, inner.memory)?));
            Ok(())
        }))
    }

    fn open(&self, generation: Generation) -> Answer<'_, ()> {
        let inner = self.0.clone();
        Box::pin(blocking(move || {
            inner.put(generation, None);
            inner.put(generation, Some(Shelf::open(&inner.folder(generation), inner.memory)?));
            Ok(())
        }))
    }

    fn remove(&self, generation: Generation) -> Answer<'_, ()> {
        let inner = self.0.clone();
        Box::pin(blocking(move || {
            inner.put(generation, None);
            Inner::clear(&inner.folder(generation))
        }))
    }

    fn apply(&self, generation: Generation, batch: Vec<Write>) -> Answer<'_, Vec<WriteOutcome>> {
        let inner = self.0.clone();
        Box::pin(blocking(move || inner.shelf(generation)?.apply(batch)))
    }

    fn refresh(&self, generation: Generation) -> Answer<'_, ()> {
        let inner = self.0.clone();
        Box::pin(blocking(move || inner.shelf(generation)?.refresh()))
    }

    fn search(&self, generation: Generation, question: Question) -> Answer<'_, Page> {
        let inner = self.0.clone();
        Box::pin(async move {
            let place = inner.searches.clone().acquire_owned().await.expect("the semaphore is never closed");
            blocking(move || {
                // Given back when the work ends, not when the caller stops waiting.
                let _place = place;
                search::search(&*inner.shelf(generation)?, &question)
            })
            .await
        })
    }

    fn count(&self, generation: Generation, organization: OrganizationId) -> Answer<'_, u64> {
        let inner = self.0.clone();
        Box::pin(blocking(move || search::count(&*inner.shelf(generation)?, organization)))
    }
}

/// An error of tantivy while it searches or writes. Its text is for the log.
fn failed(error: impl std::fmt::Display) -> BackendError {
    BackendError::Failed(error.to_string())
}
