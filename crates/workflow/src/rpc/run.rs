//! Runs on the wire.
use std::time::Duration;

use api::{Error as ApiError, Etag, Id, OrganizationId, UserId, timestamp};
use proto::workflow::v1::{self as wire, DocumentApproval, document_approval::Rule as WireRule, run::Input};

use super::parse_parent;
use crate::{
    error::Error,
    events,
    model::{Approval, DocumentName, Draft, Rule, Run, limit},
};

/// Reads a run to be created.
pub(super) fn parse_draft(request: wire::CreateRunRequest) -> Result<Draft, ApiError> {
    let organization = parse_parent(&request.parent)?;
    let run = request.run.ok_or_else(|| ApiError::invalid_field("run", "is required; send the run"))?;
    let Some(Input::DocumentApproval(approval)) = run.input else {
        return Err(ApiError::invalid_field("run.document_approval", "is required; say what to approve"));
    };
    Ok(Draft {
        organization,
        id: parse_id("run_id", &request.run_id)?,
        approval: parse_approval(organization, approval)?.checked()?,
    })
}

fn parse_approval(organization: OrganizationId, approval: DocumentApproval) -> Result<Approval, ApiError> {
    let document = DocumentName::parse_field("run.document_approval.document", &approval.document)?;
    if document.organization != organization {
        let problem = "must belong to the organization of the run".to_owned();
        return Err(Error::InputInvalid { field: "document", problem }.into());
    }
    let due_after = parse_time("due_after", approval.due_after)?.unwrap_or(limit::DUE_DEFAULT);
    let remind_after = parse_time("remind_after", approval.remind_after)?;
    // Half of an odd number of milliseconds is no whole number of them.
    let half = Duration::from_millis(u64::try_from(due_after.as_millis() / 2).unwrap_or(u64::MAX));
    let user = |field: &'static str, name: &str| {
        let problem = "must have the form users/*".to_owned();
        UserId::parse(name).map_err(|_| ApiError::from(Error::InputInvalid { field, problem }))
    };
    Ok(Approval {
        document,
        rule: match approval.rule() {
            WireRule::All => Rule::All,
            WireRule::Any | WireRule::Unspecified => Rule::Any,
        },
        due_after,
        remind_after: remind_after.unwrap_or(half),
        owner: (!approval.owner.is_empty()).then(|| user("owner", &approval.owner)).transpose()?,
        approvers: approval.approvers.iter().map(|name| user("approvers", name)).collect::<Result<_, _>>()?,
    })
}

/// Reads an id that the caller chose; empty means that he did not.
fn parse_id(field: &str, text: &str) -> Result<Option<Id>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let id = text.parse().map(Some);
    id.map_err(|_| ApiError::invalid_field(field, "must be 26 characters of lower-case Crockford base32"))
}

fn parse_time(field: &'static str, time: Option<prost_types::Duration>) -> Result<Option<Duration>, ApiError> {
    let problem = "must be a duration that is not negative".to_owned();
    let read = time.map(Duration::try_from).transpose();
    read.map_err(|_| Error::InputInvalid { field, problem }.into())
}

/// Writes a run.
pub(super) fn render(run: Run) -> wire::Run {
    let approval = DocumentApproval {
        document: run.approval.document.to_string(),
        approvers: run.approval.approvers.iter().map(|user| user.name()).collect(),
        rule: match run.approval.rule {
            Rule::Any => WireRule::Any.into(),
            Rule::All => WireRule::All.into(),
        },
        due_after: prost_types::Duration::try_from(run.approval.due_after).ok(),
        remind_after: prost_types::Duration::try_from(run.approval.remind_after).ok(),
        owner: run.owner.name(),
    };
    wire::Run {
        name: run.name.to_string(),
        input: Some(Input::DocumentApproval(approval)),
        state: events::state(run.state).into(),
        outcome: events::outcome(run.outcome).into(),
        creator: run.creator.name(),
        create_time: Some(timestamp(run.create_time)),
        end_time: run.end_time.map(timestamp),
        etag: Etag::of_version(run.stamp()),
        failure: run.error,
    }
}
