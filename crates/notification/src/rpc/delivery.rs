//! Deliveries and captured mails on the wire.
use api::{Error as ApiError, Id, OrganizationId, timestamp};
use proto::notification::v1::{self as wire, delivery::State};

use crate::model::{CapturedMail, Delivery, DeliveryName, DeliveryState, limit};

/// Reads the organization.
pub(super) fn parse_parent(parent: &str) -> Result<OrganizationId, ApiError> {
    OrganizationId::parse(parent).map_err(|error| error.violation("parent", "must have the form organizations/*"))
}

/// Reads a state to filter by; none is all.
pub(super) fn parse_state(number: i32) -> Result<Option<DeliveryState>, ApiError> {
    let unknown = |_| ApiError::invalid_field("state", "is unknown; send PENDING, SENT, UNCERTAIN, DEAD or SUPPRESSED");
    Ok(match State::try_from(number).map_err(unknown)? {
        State::Unspecified => None,
        State::Pending => Some(DeliveryState::Pending),
        State::Sent => Some(DeliveryState::Sent),
        State::Uncertain => Some(DeliveryState::Uncertain),
        State::Dead => Some(DeliveryState::Dead),
        State::Suppressed => Some(DeliveryState::Suppressed),
    })
}

/// Reads names of deliveries of one organization.
pub(super) fn parse_names(organization: OrganizationId, names: &[String]) -> Result<Vec<Id>, ApiError> {
    if names.len() > limit::NAMES {
        return Err(ApiError::invalid_field("names", "are too many; send at most 1,000, or none for all"));
    }
    let parse = |name: &String| {
        let name = DeliveryName::parse_field("names", name)?;
        match name.organization == organization {
            true => Ok(name.delivery),
            false => Err(ApiError::invalid_field("names", "must lie in the organization that `parent` names")),
        }
    };
    names.iter().map(parse).collect()
}

/// Writes a delivery.
pub(super) fn render(delivery: Delivery) -> wire::Delivery {
    let state = match delivery.state {
        DeliveryState::Pending => State::Pending,
        DeliveryState::Sent => State::Sent,
        DeliveryState::Uncertain => State::Uncertain,
        DeliveryState::Dead => State::Dead,
        DeliveryState::Suppressed => State::Suppressed,
    };
    wire::Delivery {
        name: delivery.name.to_string(),
        recipient: delivery.recipient.name(),
        category: delivery.category,
        state: state.into(),
        attempts: delivery.attempts,
        last_error: delivery.last_error,
        create_time: Some(timestamp(delivery.create_time)),
        update_time: Some(timestamp(delivery.update_time)),
    }
}

/// Writes a captured mail.
pub(super) fn render_mail(mail: CapturedMail) -> wire::CapturedMail {
    wire::CapturedMail {
        name: mail.name.to_string(),
        message_id: mail.message_id,
        from: mail.sender,
        to: mail.recipient,
        subject: mail.subject,
        text: mail.text,
        create_time: Some(timestamp(mail.create_time)),
    }
}

/// Writes a number of rows.
pub(super) fn count(rows: u64) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}
