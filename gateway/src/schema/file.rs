//! Descriptor sets and service configs in files, read again when they change.
use std::{
    io::Read,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;

use super::SchemaError;

/// Largest set: the whole of Google's public contracts has a fifth of it.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// By what a change is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: u64,
    changed: Option<SystemTime>,
}

/// Reads a set.
pub(super) fn read(path: &Path) -> Result<(Bytes, Stamp), SchemaError> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| failed(path, &error))?;
    let stamp = file.metadata().map(|data| Stamp { bytes: data.len(), changed: data.modified().ok() });
    let stamp = stamp.map_err(|error| failed(path, &error))?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(path, &error))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(SchemaError(format!("{} is larger than {BYTES_MAX} bytes", path.display())));
    }
    Ok((bytes.into(), stamp))
}

/// The set, if it changed since it was read last.
pub(super) async fn newer(path: &Path, known: &mut Option<Stamp>) -> Result<Option<Bytes>, SchemaError> {
    let (path, before): (PathBuf, _) = (path.to_owned(), *known);
    // A slow disk must not hold up requests.
    let look = tokio::task::spawn_blocking(move || {
        let data = std::fs::metadata(&path).map_err(|error| failed(&path, &error))?;
        let stamp = Stamp { bytes: data.len(), changed: data.modified().ok() };
        if before == Some(stamp) { Ok(None) } else { read(&path).map(Some) }
    });
    match look.await {
        Ok(Ok(Some((set, stamp)))) => {
            *known = Some(stamp);
            Ok(Some(set))
        }
        Ok(Ok(None)) => Ok(None),
        Ok(Err(error)) => {
            // Looked at again, whatever it is then.
            *known = None;
            Err(error)
        }
        Err(error) => Err(SchemaError(format!("reading a file broke off: {error}"))),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> SchemaError {
    let path = path.display();
    SchemaError(format!("{path} cannot be read: {error}; correct gateway.schema.sources, or put the file there"))
}
