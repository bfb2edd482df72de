//! The sources of the schema, each with what it gave last.
use proto::{Access, Owner, Rate, Rule};

use super::{Ownership, Part, SchemaError, file};
use crate::config;

/// All sources, in order.
pub(crate) struct Sources(Vec<Part>);

impl Sources {
    /// Reads every source once.
    pub(crate) fn read(config: &config::Schema) -> Result<Self, SchemaError> {
        let mut parts = Vec::new();
        if config.compiled_in {
            parts.push(compiled_in());
        }
        for source in &config.sources {
            if let Some(path) = &source.file {
                parts.push(part(source, format!("file {}", path.display()), file::read(path)?));
            }
        }
        Ok(Self(parts))
    }

    /// What they gave.
    pub(crate) fn parts(&self) -> Vec<Part> {
        self.0.clone()
    }
}

/// The contract that this program was built with.
pub(crate) fn compiled_in() -> Part {
    Part {
        source: "compiled in".to_owned(),
        set: bytes::Bytes::from_static(proto::CONTRACT),
        listed: None,
        owner: Ownership::Platform,
    }
}

fn part(source: &config::Source, name: String, set: bytes::Bytes) -> Part {
    let rule = source.access.map(|access| match access {
        config::Access::Public => Rule::Public,
        config::Access::SignedIn => Rule::SelfOnly,
    });
    let access = rule.map(|rule| Access::plain(rule, Rate::Write));
    let owner = Owner { service: source.upstream.clone(), access };
    Part { source: name, set, listed: None, owner: Ownership::Upstream(owner) }
}
