//! Inboxes on the wire.
use api::{Caller, Error as ApiError, Id, timestamp};
use proto::notification::v1 as wire;

use crate::model::{InboxItem, InboxName, ItemName, limit, own};

/// Reads the inbox; `users/me` is the caller.
pub(super) fn parse_parent(caller: &Caller, parent: &str) -> Result<InboxName, ApiError> {
    InboxName::parse_field("parent", &own(parent, caller.user_required()?))
}

/// Reads names of items of one inbox.
pub(super) fn parse_items(caller: &Caller, inbox: InboxName, names: &[String]) -> Result<Vec<Id>, ApiError> {
    if names.len() > limit::NAMES {
        return Err(ApiError::invalid_field("names", "are too many; send at most 1,000, or none for all"));
    }
    let user = caller.user_required()?;
    let parse = |name: &String| {
        let name = ItemName::parse_field("names", &own(name, user))?;
        match name.inbox() == inbox {
            true => Ok(name.item),
            false => Err(ApiError::invalid_field("names", "must lie in the inbox that `parent` names")),
        }
    };
    names.iter().map(parse).collect()
}

/// Writes an item.
pub(super) fn render(item: InboxItem) -> wire::InboxItem {
    wire::InboxItem {
        name: item.name.to_string(),
        sequence: item.sequence,
        category: item.category,
        title: item.title,
        subject: item.subject,
        read: item.read,
        create_time: Some(timestamp(item.create_time)),
    }
}
