//! Keeps the schema up to date: looks at the sources, compiles what they offer off the request path, and puts it in force
//! by one swap, or refuses it and keeps what there is.
use std::{path::PathBuf, sync::Arc, time::Duration};

use api::{Clock, Ids};
use mesh::client::Mesh;
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Recipe, Schema, SchemaError,
    holder::{Holder, SourceReport},
    merge,
    source::{self, Source},
};
use crate::{config, observe};

/// Longest pause between two looks, whatever is due.
const PAUSE: Duration = Duration::from_secs(60);

/// The sources and what is needed to read and compile them.
pub(crate) struct Keeper {
    sources: Mutex<Vec<Source>>,
    config: config::Schema,
    recipe: Recipe,
    folder: PathBuf,
    mesh: Mesh,
    ids: Ids,
}

impl Keeper {
    /// Reads all sources once and compiles what they give. What an upstream gave before the last stop is only a stand-in: if
    /// it does not fit any more, the start goes on without it.
    pub(crate) fn open(
        config: config::Schema,
        recipe: Recipe,
        folder: PathBuf,
        (mesh, ids, clock): (Mesh, Ids, Clock),
    ) -> Result<(Self, Holder), SchemaError> {
        let mut sources = source::open(&config, &folder)?;
        let schema = match compiled(&parts(&sources), &recipe) {
            Err(error) if sources.iter().any(Source::is_remembered) => {
                tracing::warn!("what upstreams gave last time does not fit any more: {error}");
                for source in sources.iter_mut().filter(|source| source.is_remembered()) {
                    source.accepted = None;
                }
                compiled(&parts(&sources), &recipe)?
            }
            other => other?,
        };
        schema.log_warnings();
        let holder = Holder::new(schema, clock);
        holder.report(sources.iter().map(SourceReport::of).collect());
        Ok((Self { sources: Mutex::new(sources), config, recipe, folder, mesh, ids }, holder))
    }

    /// Looks and swaps until the stop; `looked` is called after each look.
    pub(crate) async fn keep(&self, holder: &Holder, looked: impl Fn() + Send, shutdown: CancellationToken) {
        loop {
            let due = tokio::select! {
                biased;
                // A stop waits for no upstream.
                () = shutdown.cancelled() => return,
                due = self.look(holder) => due,
            };
            looked();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(due.min(Instant::now() + PAUSE)) => {}
            }
        }
    }

    /// Looks once at every source that is due; says when the next one is.
    async fn look(&self, holder: &Holder) -> Instant {
        let mut sources = self.sources.lock().await;
        futures::future::join_all(sources.iter_mut().map(|source| source.look(&self.mesh, &self.ids, &self.config)))
            .await;
        if sources.iter().any(|source| source.offered.is_some()) {
            self.put_in_force(&mut sources, holder).await;
        }
        holder.report(sources.iter().map(SourceReport::of).collect());
        let due = sources.iter().filter_map(Source::due).min();
        due.unwrap_or_else(|| Instant::now() + PAUSE).max(Instant::now() + Duration::from_millis(20))
    }

    /// Tries all offers together, then each alone: the fault of one is not the fault of others.
    async fn put_in_force(&self, sources: &mut [Source], holder: &Holder) {
        sources.iter_mut().for_each(Source::reconsider);
        let candidate: Vec<_> = sources.iter().filter_map(Source::would_give).cloned().collect();
        let error = match self.compile(candidate).await {
            Ok(schema) => {
                swap(holder, schema);
                for source in sources.iter_mut() {
                    source.accept(&self.folder).await;
                }
                return;
            }
            Err(error) => error,
        };
        let offers = sources.iter().filter(|source| source.offered.is_some()).count();
        for index in 0..sources.len() {
            if sources[index].offered.is_none() {
                continue;
            }
            let alone = sources.iter().enumerate().filter_map(|(other, source)| {
                if other == index { source.would_give() } else { source.accepted.as_ref() }
            });
            let alone: Vec<_> = alone.cloned().collect();
            let result = if offers == 1 { Err(error.clone()) } else { self.compile(alone).await };
            match result {
                Ok(schema) => {
                    swap(holder, schema);
                    sources[index].accept(&self.folder).await;
                }
                Err(error) => {
                    tracing::error!(
                        source = sources[index].name(),
                        "a new schema is refused, the old one stays: {error}"
                    );
                    observe::schema_loaded("refused");
                    sources[index].refuse(&error);
                }
            }
        }
    }

    async fn compile(&self, parts: Vec<merge::Part>) -> Result<Schema, SchemaError> {
        let recipe = self.recipe.clone();
        let compiling = tokio::task::spawn_blocking(move || compiled(&parts, &recipe));
        compiling.await.unwrap_or_else(|error| Err(SchemaError(format!("compiling broke off: {error}"))))
    }
}

fn swap(holder: &Holder, schema: Schema) {
    tracing::info!(hash = schema.hash, methods = schema.methods.iter().count(), "a new schema is in force");
    schema.log_warnings();
    observe::schema_loaded("accepted");
    holder.swap(Arc::new(schema));
}

fn parts(sources: &[Source]) -> Vec<merge::Part> {
    sources.iter().filter_map(|source| source.accepted.clone()).collect()
}

fn compiled(parts: &[merge::Part], recipe: &Recipe) -> Result<Schema, SchemaError> {
    Schema::compile(&merge::merge(parts)?, recipe)
}
