//! The sources of the schema: what each gave last, what it offers now, and why that was refused.
//!
//! What must hold: a source that cannot be read, or whose offer is refused, keeps its last good part; one source's fault
//! keeps no other from changing.
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use api::Ids;
use mesh::client::Mesh;
use proto::{Access, Owner, Rate, Rule};
use tokio::time::Instant;
use transcode::HttpRule;

use super::{Ownership, Part, SchemaError, disk, file, reflection, rules, set};
use crate::config;

/// Longest conversation with an upstream.
const PATIENCE: Duration = Duration::from_secs(10);
/// Wait after the first failed conversation; doubles up to the usual one.
const AGAIN: Duration = Duration::from_millis(250);

/// One source.
pub(super) struct Source {
    kind: Kind,
    owner: Ownership,
    /// Service config beside it, and when it was read.
    config: Option<(PathBuf, Option<file::Stamp>)>,
    rules: Vec<HttpRule>,
    /// What is in force.
    pub(super) accepted: Option<Part>,
    /// What is newer and not yet in force.
    pub(super) offered: Option<Part>,
    /// What was refused: not tried again until something else changes.
    refused: Option<Part>,
    /// What is wrong.
    pub(super) error: Option<String>,
    failures: u32,
    due: Instant,
}

enum Kind {
    CompiledIn,
    File(PathBuf, Option<file::Stamp>),
    Upstream(String),
}

/// The contract that this program was built with.
pub(crate) fn compiled_in() -> Part {
    let set = bytes::Bytes::from_static(proto::CONTRACT);
    let (hash, owner) = (set::hash(&set), Ownership::Platform);
    Part { source: "compiled in".to_owned(), hash, set, listed: None, owner, rules: Vec::new() }
}

/// All sources of a configuration, files read and upstreams as they were last time.
pub(super) fn open(config: &config::Schema, folder: &Path) -> Result<Vec<Source>, SchemaError> {
    let mut sources = Vec::new();
    if config.compiled_in {
        sources.push(Source::new(Kind::CompiledIn, Ownership::Platform, Some(compiled_in())));
    }
    for further in &config.sources {
        let owner = ownership(further);
        let mut source = match &further.file {
            Some(path) => Source::new(Kind::File(path.clone(), None), owner, None),
            None => Source::new(Kind::Upstream(further.upstream.clone()), owner, None),
        };
        if let Some(path) = &further.rules {
            let (text, stamp) = file::read(path)?;
            source.rules = rules::read(&text, &path.display().to_string())?;
            source.config = Some((path.clone(), Some(stamp)));
        }
        match &mut source.kind {
            Kind::File(path, stamp) => {
                let (set, read) = file::read(path)?;
                *stamp = Some(read);
                source.accepted = Some(source.part(set, None));
            }
            Kind::Upstream(upstream) => {
                let kept = disk::read(folder, upstream);
                source.accepted = kept.map(|told| source.part(told.set, Some(told.listed)));
            }
            Kind::CompiledIn => {}
        }
        sources.push(source);
    }
    Ok(sources)
}

impl Source {
    fn new(kind: Kind, owner: Ownership, accepted: Option<Part>) -> Self {
        Self {
            kind,
            owner,
            config: None,
            rules: Vec::new(),
            accepted,
            offered: None,
            refused: None,
            error: None,
            failures: 0,
            due: Instant::now(),
        }
    }

    /// Its name, for people.
    pub(super) fn name(&self) -> String {
        match &self.kind {
            Kind::CompiledIn => "compiled in".to_owned(),
            Kind::File(path, _) => format!("file {}", path.display()),
            Kind::Upstream(upstream) => format!("upstream {upstream}"),
        }
    }

    /// It was read from the disk and not from where it comes from.
    pub(super) fn is_remembered(&self) -> bool {
        matches!(self.kind, Kind::Upstream(_)) && self.accepted.is_some()
    }

    fn part(&self, set: bytes::Bytes, listed: Option<std::collections::BTreeSet<String>>) -> Part {
        let (owner, rules) = (self.owner.clone(), self.rules.clone());
        Part { source: self.name(), hash: set::hash(&set), set, listed, owner, rules }
    }

    /// Looks whether there is something new.
    pub(super) async fn look(&mut self, mesh: &Mesh, ids: &Ids, config: &config::Schema) {
        if self.due > Instant::now() {
            return;
        }
        let (found, usual) = match &mut self.kind {
            Kind::CompiledIn => return,
            Kind::File(path, stamp) => {
                (file::newer(path, stamp).await.map(|set| set.map(|set| (set, None))), config.look)
            }
            Kind::Upstream(upstream) => {
                let told = tokio::time::timeout(PATIENCE, reflection::ask(mesh, upstream, ids)).await;
                let late =
                    || SchemaError(format!("{upstream} did not tell its schema within {} s", PATIENCE.as_secs()));
                let told = told.unwrap_or_else(|_| Err(late()));
                (told.map(|told| Some((told.set, Some(told.listed)))), jittered(config.ask))
            }
        };
        let rules = self.newer_rules().await;
        match found.and_then(|found| rules.map(|changed| (found, changed))) {
            Ok((found, changed)) => {
                self.failures = 0;
                self.due = Instant::now() + usual;
                let same = self.would_give().filter(|_| changed).map(|part| (part.set.clone(), part.listed.clone()));
                if let Some((set, listed)) = found.or(same) {
                    self.offer(self.part(set, listed));
                }
            }
            Err(error) => {
                // What was read beside the fault is not lost: both are read again, and both offered.
                if let Kind::File(_, stamp) = &mut self.kind {
                    *stamp = None;
                }
                if let Some((_, stamp)) = &mut self.config {
                    *stamp = None;
                }
                self.due = Instant::now() + (AGAIN * 2u32.saturating_pow(self.failures.min(16))).min(usual);
                self.failures += 1;
                if self.error.as_deref() != Some(error.0.as_str()) {
                    tracing::warn!(source = self.name(), "schema source: {error}");
                }
                self.error = Some(error.0);
            }
        }
    }

    /// Reads the service config again if it changed.
    async fn newer_rules(&mut self) -> Result<bool, SchemaError> {
        let Some((path, stamp)) = &mut self.config else { return Ok(false) };
        let Some(text) = file::newer(path, stamp).await? else { return Ok(false) };
        self.rules = rules::read(&text, &path.display().to_string())?;
        Ok(true)
    }

    fn offer(&mut self, part: Part) {
        if self.accepted.as_ref() == Some(&part) {
            (self.offered, self.error) = (None, None);
        } else if self.refused.as_ref() != Some(&part) {
            self.offered = Some(part);
        }
    }

    /// When it wants to be looked at.
    pub(super) fn due(&self) -> Option<Instant> {
        (!matches!(self.kind, Kind::CompiledIn)).then_some(self.due)
    }

    /// What it would give if its offer were accepted.
    pub(super) fn would_give(&self) -> Option<&Part> {
        self.offered.as_ref().or(self.accepted.as_ref())
    }

    /// Its offer is in force.
    pub(super) async fn accept(&mut self, folder: &Path) {
        let Some(part) = self.offered.take() else { return };
        (self.accepted, self.refused, self.error) = (Some(part.clone()), None, None);
        if let (Kind::Upstream(upstream), Some(listed)) = (&self.kind, part.listed) {
            let (folder, upstream) = (folder.to_owned(), upstream.clone());
            // A slow disk must not hold up requests.
            let kept = tokio::task::spawn_blocking(move || disk::write(&folder, &upstream, &listed, &part.set));
            if let Err(error) = kept.await {
                tracing::warn!(%error, "keeping an upstream's schema broke off");
            }
        }
    }

    /// Its offer cannot be served.
    pub(super) fn refuse(&mut self, error: &SchemaError) {
        self.refused = self.offered.take();
        self.error = Some(error.0.clone());
    }

    /// What was refused may fit now.
    pub(super) fn reconsider(&mut self) {
        if self.offered.is_none() {
            self.offered = self.refused.take();
        }
    }
}

/// Give or take a tenth, so that many edges do not ask at one moment.
fn jittered(period: Duration) -> Duration {
    use rand::RngExt;
    period.mul_f64(rand::rng().random_range(0.9..=1.1))
}

fn ownership(source: &config::Source) -> Ownership {
    let rule = source.access.map(|access| match access {
        config::Access::Public => Rule::Public,
        config::Access::SignedIn => Rule::SelfOnly,
    });
    let access = rule.map(|rule| Access::plain(rule, Rate::Write));
    Ownership::Upstream(Owner { service: source.upstream.clone(), access })
}
