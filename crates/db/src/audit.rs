//! Audit rows: who changed what, in the change's own commit.
//!
//! Nobody calls this from a handler. The row is written from the call's context when the contract says EVERY_CALL and the
//! transaction has written anything; refused calls are recorded by the mesh.
use api::{CallContext, Ids, OrganizationId};

use crate::pipeline::Write;

/// The transaction has an id as soon as it wrote or locked a row; one that only read leaves no trace.
const INSERT: &str = "insert into audit_event (audit_id, organization_id, method, resource, actor, request_id, traceparent) \
     select $1::uuid, $2::uuid, $3::text, $4::text, $5::text, $6::text, $7::text \
     where pg_current_xact_id_if_assigned() is not null";

pub(crate) fn write(ids: &Ids, organization: OrganizationId, context: &CallContext) -> Write {
    Write {
        sql: INSERT,
        params: vec![
            Box::new(ids.next().uuid()),
            Box::new(organization.uuid()),
            Box::new(context.method.clone()),
            Box::new(context.resource.clone()),
            Box::new(context.actor.clone()),
            Box::new(context.request_id.clone()),
            Box::new(context.traceparent.clone()),
        ],
    }
}
