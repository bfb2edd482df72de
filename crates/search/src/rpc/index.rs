//! The state of an index on the wire.
use api::{Error, OrganizationId};
use proto::search::v1::SearchIndex;

use crate::service::IndexState;

const PATTERN: &str = "organizations/*/searchIndex";

/// Reads the name of an organization's index.
pub(super) fn parse(name: &str) -> Result<OrganizationId, Error> {
    let [organization] = api::parse_segments(name, PATTERN)
        .map_err(|error| error.violation("name", format!("must have the form {PATTERN}")))?;
    Ok(OrganizationId(organization))
}

/// Writes the state.
pub(super) fn render(organization: OrganizationId, state: &IndexState) -> SearchIndex {
    SearchIndex {
        name: format!("{}/searchIndex", organization.name()),
        entry_count: i64::try_from(state.entries).unwrap_or(i64::MAX),
        pending_count: state.pending,
        rejected_count: state.rejected,
    }
}
