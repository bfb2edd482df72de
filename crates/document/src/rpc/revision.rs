//! Revisions on the wire.
use api::timestamp;
use proto::document::v1 as wire;

use super::{document::render_content, metadata};
use crate::model::Revision;

/// Writes a revision, with its text if it was read.
pub(super) fn render(revision: Revision) -> wire::Revision {
    let metadata = revision.body.as_ref().map(|body| metadata::render(&body.metadata));
    wire::Revision {
        name: revision.name.to_string(),
        title: revision.title,
        content: revision.body.map(|body| render_content(body.content)),
        metadata,
        author: revision.author.name(),
        create_time: Some(timestamp(revision.create_time)),
    }
}
