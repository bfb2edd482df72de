//! `password_file = "/run/secrets/x"` is another way to give `password`.
//!
//! The rewriting happens per provider, before merging, so that precedence holds between both spellings and error messages
//! keep the place the value came from.
use figment::{
    Error, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

/// Suffix of the key that names a file.
const SUFFIX: &str = "_file";

/// A provider whose keys `x_file` become `x = {file = ...}`.
pub(super) struct FileKeys<P>(pub(super) P);

impl<P: Provider> Provider for FileKeys<P> {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(self.0.data()?.into_iter().map(|(profile, dict)| (profile, rewrite(dict))).collect())
    }
}

fn rewrite(dict: Dict) -> Dict {
    let entry = |(key, value): (String, Value)| match (key.strip_suffix(SUFFIX), value) {
        (Some(name), Value::String(tag, path)) if !name.is_empty() => {
            let file = Dict::from([("file".to_owned(), Value::String(tag, path))]);
            (name.to_owned(), Value::Dict(tag, file))
        }
        (_, Value::Dict(tag, inner)) => (key, Value::Dict(tag, rewrite(inner))),
        (_, value) => (key, value),
    };
    dict.into_iter().map(entry).collect()
}
