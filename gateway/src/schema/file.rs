//! Descriptor sets in files.
use std::{io::Read, path::Path};

use bytes::Bytes;

use super::SchemaError;

/// Largest set: the whole of Google's public contracts has a fifth of it.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Reads a set.
pub(super) fn read(path: &Path) -> Result<Bytes, SchemaError> {
    let failed = |error: std::io::Error| {
        SchemaError(format!(
            "the descriptor set {} cannot be read: {error}; correct gateway.schema.sources",
            path.display()
        ))
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(SchemaError(format!("the descriptor set {} is larger than {BYTES_MAX} bytes", path.display())));
    }
    Ok(bytes.into())
}
