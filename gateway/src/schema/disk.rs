//! The last good answer of each upstream, kept on disk, so that a restart needs no upstream.
//!
//! A file is one line of JSON (the listed services and the hash of the rest) and the descriptor set. What is torn or foreign
//! counts as absent.
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{reflection::Told, set};

#[derive(Serialize, Deserialize)]
struct Head {
    listed: BTreeSet<String>,
    hash: String,
}

/// The file of an upstream; its name holds letters, digits and dashes alone.
fn path(folder: &Path, upstream: &str) -> PathBuf {
    let name: String = upstream.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    folder.join(format!("schema-{name}.bin"))
}

/// What was kept, if it is whole.
pub(super) fn read(folder: &Path, upstream: &str) -> Option<Told> {
    let bytes = Bytes::from(std::fs::read(path(folder, upstream)).ok()?);
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let set = bytes.slice(end + 1..);
    (set::hash(&set) == head.hash).then_some(Told { listed: head.listed, set })
}

/// Keeps an answer. A full disk costs a warning and nothing else.
pub(super) fn write(folder: &Path, upstream: &str, listed: &BTreeSet<String>, set: &[u8]) {
    let head = Head { listed: listed.clone(), hash: set::hash(set) };
    let path = path(folder, upstream);
    let written = serde_json::to_vec(&head).map_err(std::io::Error::other).and_then(|mut bytes| {
        bytes.push(b'\n');
        bytes.extend_from_slice(set);
        let new = path.with_extension("new");
        std::fs::write(&new, bytes)?;
        std::fs::rename(&new, &path)
    });
    if let Err(error) = written {
        tracing::warn!(%error, upstream, "the upstream's schema cannot be kept in data_dir; a restart will have to ask it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_torn_counts_as_absent() {
        let folder = tempfile::tempdir().expect("a folder");
        let listed = BTreeSet::from(["a.B".to_owned()]);
        write(folder.path(), "up/stream", &listed, b"\x0a\x00set");
        let told = read(folder.path(), "up/stream").expect("it is whole");
        assert_eq!((told.listed, &told.set[..]), (listed, &b"\x0a\x00set"[..]));
        let file = path(folder.path(), "up/stream");
        let bytes = std::fs::read(&file).expect("it is there");
        std::fs::write(&file, &bytes[..bytes.len() - 1]).expect("the folder is writable");
        assert!(read(folder.path(), "up/stream").is_none());
        assert!(read(folder.path(), "other").is_none());
    }
}
