//! The schema in force, behind one pointer, and what is told about it: since when, from where, what changed.
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use api::Clock;
use arc_swap::ArcSwap;
use serde::Serialize;

use super::{Schema, source::Source};

/// Lines of a difference that are shown.
const LINES_MAX: usize = 500;

/// The schema in force.
pub(crate) struct Holder {
    current: ArcSwap<Schema>,
    clock: Clock,
    report: Mutex<Report>,
}

/// What an operator may see of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Name of its content.
    pub(crate) hash: String,
    /// Name of the one before.
    pub(crate) previous: Option<String>,
    /// Unix seconds.
    pub(crate) since: i64,
    /// Swaps since the start.
    pub(crate) swaps: u64,
    /// Routes and methods that came (`+`) and went (`-`) with the last swap.
    pub(crate) difference: Vec<String>,
    /// Where it comes from.
    pub(crate) sources: Vec<SourceReport>,
}

/// One source.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SourceReport {
    name: String,
    hash: Option<String>,
    services: Option<BTreeSet<String>>,
    error: Option<String>,
}

impl SourceReport {
    pub(super) fn of(source: &Source) -> Self {
        Self {
            name: source.name(),
            hash: source.accepted.as_ref().map(|part| part.hash.clone()),
            services: source.accepted.as_ref().and_then(|part| part.listed.clone()),
            error: source.error.clone(),
        }
    }
}

impl Holder {
    /// Begins with this one.
    pub(super) fn new(schema: Schema, clock: Clock) -> Self {
        let since = clock.now().unix_timestamp();
        let report = Report { hash: schema.hash.clone(), since, ..Report::default() };
        Self { current: ArcSwap::from_pointee(schema), clock, report: Mutex::new(report) }
    }

    /// The schema in force now; it stays usable after the next one came.
    pub(crate) fn current(&self) -> Arc<Schema> {
        self.current.load_full()
    }

    /// What there is to say about it.
    pub(crate) fn reported(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn report(&self, sources: Vec<SourceReport>) {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).sources = sources;
    }

    pub(super) fn swap(&self, next: Arc<Schema>) {
        let difference = difference(&self.current(), &next);
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.previous = Some(std::mem::replace(&mut report.hash, next.hash.clone()));
        (report.since, report.difference) = (self.clock.now().unix_timestamp(), difference);
        report.swaps += 1;
        self.current.store(next);
    }
}

fn difference(old: &Schema, new: &Schema) -> Vec<String> {
    let lines = |schema: &Schema| -> BTreeSet<String> {
        let routes = schema.contract.routes();
        let routes = routes.map(|(method, template, plan)| format!("{method} {template} -> {}", plan.rpc_path));
        routes.chain(schema.methods.iter().map(|method| method.rpc.to_owned())).collect()
    };
    let (old, new) = (lines(old), lines(new));
    let came = new.difference(&old).map(|line| format!("+ {line}"));
    came.chain(old.difference(&new).map(|line| format!("- {line}"))).take(LINES_MAX).collect()
}
