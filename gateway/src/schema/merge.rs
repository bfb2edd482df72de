//! Many sources, one descriptor set: each service comes from one of them.
//!
//! What must hold: a source that lists its services binds methods of those alone, whatever else stands in its files; two
//! sources that say different things about one file or one service refuse the candidate.
use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use proto::Owner;
use transcode::HttpRule;

use super::{
    SchemaError,
    set::{self, File},
};

/// What one source gives.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// Name of the source, for messages.
    pub(crate) source: String,
    /// A serialized `FileDescriptorSet`.
    pub(crate) set: Bytes,
    /// Name of its content.
    pub(crate) hash: String,
    /// The services it may bind; `None` for all in its files.
    pub(crate) listed: Option<BTreeSet<String>>,
    /// Who serves them.
    pub(crate) owner: Ownership,
    /// HTTP rules of a service config beside it, for its own methods.
    pub(crate) rules: Vec<HttpRule>,
}

/// Who serves the services of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// By the package names of this platform; services of other packages are not served.
    Platform,
    /// This upstream, but never packages of the platform: those belong to their own services.
    Upstream(Owner),
}

/// The sources put together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merged {
    /// A serialized `FileDescriptorSet`.
    pub(crate) set: Vec<u8>,
    /// Who serves each service.
    pub(crate) owners: HashMap<String, Owner>,
    /// HTTP rules of all service configs.
    pub(crate) rules: Vec<HttpRule>,
}

/// Puts sources together, in order.
pub(crate) fn merge(parts: &[Part]) -> Result<Merged, SchemaError> {
    let mut merger = Merger::default();
    for part in parts {
        let files = set::files(&part.set).map_err(|error| {
            let remedy = "write it with protoc --include_imports --descriptor_set_out";
            SchemaError(format!("{}: this is no descriptor set ({error}); {remedy}", part.source))
        })?;
        for file in files {
            merger.add(part, file);
        }
        merger.add_rules(part);
    }
    merger.finish()
}

#[derive(Default)]
struct Merger<'p> {
    files: Vec<Entry<'p>>,
    /// Where a file stands in `files`.
    known: HashMap<String, usize>,
    /// The source that binds a service.
    binders: HashMap<String, &'p str>,
    merged: Merged,
    problems: Vec<String>,
}

struct Entry<'p> {
    file: File,
    source: &'p str,
    bound: BTreeSet<String>,
}

impl<'p> Merger<'p> {
    fn add(&mut self, part: &'p Part, file: File) {
        let index = match self.known.get(&file.name) {
            Some(&index) => {
                let first = &self.files[index];
                // Google's own files differ by the compiler that read them; the first is as good as any other.
                if !file.name.starts_with("google/") && !first.file.says_the_same(&file) {
                    self.problems.push(format!(
                        "{} is one thing in {} and another in {}; build both from the same source, or rename one",
                        file.name, first.source, part.source
                    ));
                }
                index
            }
            None => {
                self.known.insert(file.name.clone(), self.files.len());
                self.files.push(Entry { file: file.clone(), source: &part.source, bound: BTreeSet::new() });
                self.files.len() - 1
            }
        };
        for service in file.services.iter().filter(|service| part.may_bind(service)) {
            self.bind(part, service, index);
        }
    }

    fn bind(&mut self, part: &'p Part, service: &str, index: usize) {
        let Some(owner) = part.owner.of(package_of(service)) else { return };
        let same = self.merged.owners.get(service).is_none_or(|known| known.service == owner.service);
        if let Some(first) = self.binders.get(service).filter(|_| !same) {
            let text = format!("{service} comes from {first} and from {}; take it from one of them", part.source);
            self.problems.push(text);
            return;
        }
        self.binders.entry(service.to_owned()).or_insert(&part.source);
        self.merged.owners.entry(service.to_owned()).or_insert(owner);
        self.files[index].bound.insert(service.to_owned());
    }

    fn add_rules(&mut self, part: &'p Part) {
        for rule in &part.rules {
            let service = package_of(&rule.selector);
            if self.binders.get(service) != Some(&part.source.as_str()) {
                let text = format!("{}: the rule for {} is for no method of this source", part.source, rule.selector);
                self.problems.push(text);
            }
            self.merged.rules.push(rule.clone());
        }
    }

    fn finish(mut self) -> Result<Merged, SchemaError> {
        let mut files = Vec::with_capacity(self.files.len());
        for entry in &self.files {
            match entry.file.cut(&|service, _| entry.bound.contains(service)) {
                Ok(cut) => files.push(cut),
                Err(error) => self.problems.push(format!("{}: {}: {error}", entry.source, entry.file.name)),
            }
        }
        if !self.problems.is_empty() {
            return Err(SchemaError(self.problems.join("\n")));
        }
        self.merged.set = set::join(&files);
        Ok(self.merged)
    }
}

impl Part {
    fn may_bind(&self, service: &str) -> bool {
        // What a server has for its operators is not for the edge's callers: the edge has its own.
        !super::is_of_the_server(service) && self.listed.as_ref().is_none_or(|listed| listed.contains(service))
    }
}

impl Ownership {
    fn of(&self, package: &str) -> Option<Owner> {
        match self {
            Self::Platform => Owner::of_platform(package),
            Self::Upstream(owner) => Owner::of_platform(package).or_else(|| Some(owner.clone())),
        }
    }
}

fn package_of(service: &str) -> &str {
    service.rsplit_once('.').map_or("", |(package, _)| package)
}
