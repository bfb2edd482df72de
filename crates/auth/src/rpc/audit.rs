//! `AuditService`.
use std::pin::Pin;

use api::{Caller, Id, from_timestamp};
use futures::{Stream, stream};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, audit_service_server::AuditService};
use tonic::{Request, Response, Status};

use super::{Rpc, organization_id, page};
use crate::{
    error::Error,
    events::audit_event as render,
    model::{AuditEventName, AuditFilter},
};

/// Longest text of a filter.
const TEXT_MAX: usize = 512;

#[tonic::async_trait]
impl AuditService for Rpc {
    type ExportAuditEventsStream = Pin<Box<dyn Stream<Item = Result<wire::AuditEvent, Status>> + Send>>;

    async fn get_audit_event(&self, request: Request<wire::GetAuditEventRequest>) -> Reply<wire::AuditEvent> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.audit_event(&caller, AuditEventName::parse_field("name", &request.name)?).await };
        reply(found.await.map(render))
    }

    async fn list_audit_events(
        &self,
        request: Request<wire::ListAuditEventsRequest>,
    ) -> Reply<wire::ListAuditEventsResponse> {
        let (caller, request) = caller(request)?;
        reply(self.audit_page(&caller, request).await)
    }

    async fn export_audit_events(
        &self,
        request: Request<wire::ExportAuditEventsRequest>,
    ) -> Result<Response<Self::ExportAuditEventsStream>, Status> {
        let (caller, request) = caller(request)?;
        self.audit_export(caller, request).await.map(Response::new).map_err(|error| api::Error::from(error).into())
    }
}

impl Rpc {
    async fn audit_page(
        &self,
        caller: &Caller,
        request: wire::ListAuditEventsRequest,
    ) -> Result<wire::ListAuditEventsResponse, Error> {
        let organization = organization_id("parent", &request.parent)?;
        let texts = [request.actor, request.action, request.resource];
        let filter = filter(texts, request.start_time.as_ref(), request.end_time.as_ref())?;
        let page = page(request.page_size, request.page_token);
        let (events, next_page_token) = self.auth.audit_events(caller, organization, &filter, &page).await?;
        Ok(wire::ListAuditEventsResponse { audit_events: events.into_iter().map(render).collect(), next_page_token })
    }

    /// The first entries are read before the stream begins, so that a refusal is an answer.
    async fn audit_export(
        &self,
        caller: Caller,
        request: wire::ExportAuditEventsRequest,
    ) -> Result<<Self as AuditService>::ExportAuditEventsStream, Error> {
        let organization = organization_id("parent", &request.parent)?;
        let texts = [request.actor, request.action, request.resource];
        let filter = filter(texts, request.start_time.as_ref(), request.end_time.as_ref())?;
        let first = self.auth.export_audit_events(&caller, organization, &filter, Id::ZERO).await?;
        let auth = std::sync::Arc::clone(&self.auth);
        let pages = stream::try_unfold(Some(first), move |page| {
            let (auth, caller, filter) = (std::sync::Arc::clone(&auth), caller.clone(), filter.clone());
            async move {
                let Some(page) = page else { return Ok::<_, Status>(None) };
                let Some(last) = page.last().map(|event| event.id) else { return Ok(None) };
                let next = auth.export_audit_events(&caller, organization, &filter, last).await;
                let next = next.map_err(|error| Status::from(api::Error::from(error)))?;
                Ok(Some((page, Some(next))))
            }
        });
        let events =
            futures::TryStreamExt::map_ok(pages, |page| stream::iter(page.into_iter().map(|event| Ok(render(event)))));
        Ok(Box::pin(futures::TryStreamExt::try_flatten(events)))
    }
}

fn filter(
    [actor, action, resource]: [String; 3],
    start: Option<&prost_types::Timestamp>,
    end: Option<&prost_types::Timestamp>,
) -> Result<AuditFilter, Error> {
    for (field, text) in [("actor", &actor), ("action", &action), ("resource", &resource)] {
        if text.len() > TEXT_MAX || text.contains('\0') {
            return Err(api::Error::invalid_field(field, "is longer than 512 bytes or holds a NUL").into());
        }
    }
    let time = |field: &str, sent: Option<&prost_types::Timestamp>| match sent {
        None => Ok(None),
        Some(sent) => from_timestamp(sent).map(Some).ok_or_else(|| api::Error::invalid_field(field, "is no time")),
    };
    Ok(AuditFilter { actor, action, resource, start: time("start_time", start)?, end: time("end_time", end)? })
}
