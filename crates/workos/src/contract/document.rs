//! The contract as other programs read it: descriptor set and OpenAPI document.
use std::io::Write;

use anyhow::Result;

use crate::terminal;

/// Writes the descriptor set.
pub(crate) fn descriptors() -> Result<()> {
    std::io::stdout().lock().write_all(proto::CONTRACT)?;
    Ok(())
}

/// Writes the OpenAPI document as the edge serves it.
pub(crate) fn openapi() -> Result<()> {
    terminal::line(serde_json::to_string_pretty(&gateway::openapi("")?)?);
    Ok(())
}
