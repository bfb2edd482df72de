//! One index in one folder: its writer, its reader, and the guard that keeps older writes out.
use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use tantivy::{
    DocSet, Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, TERMINATED, TantivyError, Term,
    directory::error::LockError, indexer::IndexWriterOptions, schema::IndexRecordOption,
};

use super::{
    analysis::tokenizers,
    failed,
    schema::{Fields, REVISION, document, schema},
};
use crate::backend::{BackendError, ResourceName, Revision, Write, WriteOutcome};

/// An open index.
pub(super) struct Shelf {
    pub(super) fields: Fields,
    index: Index,
    reader: IndexReader,
    memory: usize,
    writing: Mutex<Writing>,
}

/// What was written since the last commit.
#[derive(Default)]
struct Writing {
    /// `None` after a failure: opened again with the next write.
    writer: Option<IndexWriter>,
    uncommitted: HashMap<ResourceName, Revision>,
}

impl Shelf {
    /// Makes an empty index in a folder that does not exist yet.
    pub(super) fn create(folder: &Path, memory: usize) -> Result<Self, BackendError> {
        std::fs::create_dir_all(folder).map_err(failed)?;
        let index =
            Index::builder().schema(schema().0).tokenizers(tokenizers()).create_in_dir(folder).map_err(failed)?;
        Self::of(index, memory)
    }

    /// Opens the index in a folder.
    pub(super) fn open(folder: &Path, memory: usize) -> Result<Self, BackendError> {
        let unusable = |error: TantivyError| BackendError::Unusable(error.to_string());
        let mut index = Index::open_in_dir(folder).map_err(unusable)?;
        if index.schema() != schema().0 {
            return Err(BackendError::Unusable("its fields are those of another version".to_owned()));
        }
        index.set_tokenizers(tokenizers());
        Self::of(index, memory).map_err(|error| match error {
            BackendError::Failed(text) => BackendError::Unusable(text),
            other => other,
        })
    }

    fn of(index: Index, memory: usize) -> Result<Self, BackendError> {
        let (_, fields) = schema();
        let writing = Mutex::new(Writing { writer: Some(writer(&index, memory)?), ..Writing::default() });
        // By hand: what is found must be what was committed, neither more nor less.
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(failed)?;
        Ok(Self { fields, index, reader, memory, writing })
    }

    /// What was committed last.
    pub(super) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    /// Takes writes that are not older than what is there.
    pub(super) fn apply(&self, batch: Vec<Write>) -> Result<Vec<WriteOutcome>, BackendError> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = self.write(&mut writing, batch);
        if applied.is_err() {
            *writing = Writing::default();
        }
        applied
    }

    fn write(&self, writing: &mut Writing, batch: Vec<Write>) -> Result<Vec<WriteOutcome>, BackendError> {
        let Writing { writer: open, uncommitted } = writing;
        let writer = match open {
            Some(writer) => writer,
            None => open.insert(writer(&self.index, self.memory)?),
        };
        let searcher = self.searcher();
        let mut outcomes = Vec::with_capacity(batch.len());
        for write in batch {
            let name = write.name();
            let held = match uncommitted.get(&name) {
                Some(revision) => Some(*revision),
                None => self.committed(&searcher, name)?,
            };
            if held.is_some_and(|held| write.revision() < held) {
                outcomes.push(WriteOutcome::Stale);
                continue;
            }
            writer.delete_term(Term::from_field_text(self.fields.name, &name.to_string()));
            writer.add_document(document(&self.fields, &write)).map_err(failed)?;
            uncommitted.insert(name, write.revision());
            outcomes.push(WriteOutcome::Applied);
        }
        Ok(outcomes)
    }

    /// Commits, and lets searches see it.
    pub(super) fn refresh(&self) -> Result<(), BackendError> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.uncommitted.is_empty() {
            return Ok(());
        }
        let Some(writer) = writing.writer.as_mut() else { return Err(failed("the writer is gone")) };
        let committed = writer.commit().and_then(|_| self.reader.reload()).map_err(failed);
        match committed {
            Ok(()) => writing.uncommitted.clear(),
            Err(_) => *writing = Writing::default(),
        }
        committed
    }

    fn committed(&self, searcher: &Searcher, name: ResourceName) -> Result<Option<Revision>, BackendError> {
        let term = Term::from_field_text(self.fields.name, &name.to_string());
        for segment in searcher.segment_readers() {
            let inverted = segment.inverted_index(self.fields.name).map_err(failed)?;
            let Some(mut found) = inverted.read_postings(&term, IndexRecordOption::Basic).map_err(failed)? else {
                continue;
            };
            while found.doc() != TERMINATED {
                if !segment.is_deleted(found.doc()) {
                    let revisions = segment.fast_fields().i64(REVISION).map_err(failed)?;
                    return Ok(revisions.first(found.doc()).map(Revision));
                }
                found.advance();
            }
        }
        Ok(None)
    }
}

/// Opens the one writer of an index.
fn writer(index: &Index, memory: usize) -> Result<IndexWriter, BackendError> {
    let options = IndexWriterOptions::builder().num_worker_threads(1).num_merge_threads(1);
    let options = options.memory_budget_per_thread(memory).build();
    index.writer_with_options(options).map_err(|error| match error {
        TantivyError::LockFailure(LockError::LockBusy, _) => {
            BackendError::Busy("another process writes to its folder; stop that one first".to_owned())
        }
        other => failed(other),
    })
}
