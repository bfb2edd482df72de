//! `AuditService`.
use api::{Caller, Id, OrganizationId, from_timestamp};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use mesh::{Items, Reply, caller, caller_with_metadata, reply, reply_stream};
use proto::{
    auth::v1::{self as wire, audit_service_server::AuditService},
    google::api::HttpBody,
};
use tonic::{Request, metadata::MetadataValue};

use super::{Rpc, organization_id, page};
use crate::{
    error::Error,
    events::audit_event as render,
    model::{AuditEvent, AuditEventName, AuditFilter, CSV, CSV_NAMES, csv},
};

/// Longest text of a filter.
const TEXT_MAX: usize = 512;
/// Entries in one piece of a file: some ten kilobytes.
const CSV_PIECE: usize = 25;
/// What a browser keeps it as.
const CSV_FILE: &str = "attachment; filename=\"audit-events.csv\"";

#[tonic::async_trait]
impl AuditService for Rpc {
    type ExportAuditEventsStream = Items<wire::AuditEvent>;
    type ExportAuditEventsCsvStream = Items<HttpBody>;
    type WatchAuditEventsStream = Items<wire::AuditEvent>;

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
    ) -> Reply<Items<wire::AuditEvent>> {
        let (caller, request) = caller(request)?;
        let wire::ExportAuditEventsRequest { parent, actor, action, resource, start_time, end_time } = request;
        let asked = asked(&parent, [actor, action, resource], (start_time.as_ref(), end_time.as_ref()));
        let pages = async { self.audit_pages(caller, asked?).await };
        reply_stream(pages.await.map(one_by_one))
    }

    async fn export_audit_events_csv(
        &self,
        request: Request<wire::ExportAuditEventsCsvRequest>,
    ) -> Reply<Items<HttpBody>> {
        let (caller, request) = caller(request)?;
        let wire::ExportAuditEventsCsvRequest { parent, actor, action, resource, start_time, end_time } = request;
        let asked = asked(&parent, [actor, action, resource], (start_time.as_ref(), end_time.as_ref()));
        let pages = async { self.audit_pages(caller, asked?).await };
        let mut reply = reply_stream(pages.await.map(as_csv))?;
        reply.metadata_mut().insert("content-disposition", MetadataValue::from_static(CSV_FILE));
        Ok(reply)
    }

    async fn watch_audit_events(
        &self,
        request: Request<wire::WatchAuditEventsRequest>,
    ) -> Reply<Items<wire::AuditEvent>> {
        let (caller, metadata, request) = caller_with_metadata(request)?;
        let after = api::stream_after(&metadata, request.after_sequence)?;
        let watched = async {
            let organization = organization_id("parent", &request.parent)?;
            Ok::<_, Error>(one_by_one(self.auth.watch_audit(caller, organization, after).await?))
        };
        reply_stream(watched.await)
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
    async fn audit_pages(
        &self,
        caller: Caller,
        (organization, filter): (OrganizationId, AuditFilter),
    ) -> Result<impl Stream<Item = Result<Vec<AuditEvent>, Error>> + Send + 'static, Error> {
        let first = self.auth.export_audit_events(&caller, organization, &filter, Id::ZERO).await?;
        let auth = std::sync::Arc::clone(&self.auth);
        Ok(stream::try_unfold(Some(first), move |page| {
            let (auth, caller, filter) = (std::sync::Arc::clone(&auth), caller.clone(), filter.clone());
            async move {
                let Some(page) = page else { return Ok::<_, Error>(None) };
                let Some(last) = page.last().map(|event| event.id) else { return Ok(None) };
                let next = auth.export_audit_events(&caller, organization, &filter, last).await?;
                Ok(Some((page, Some(next))))
            }
        }))
    }
}

/// Pieces of one file; the first says its type.
fn as_csv(
    pages: impl Stream<Item = Result<Vec<AuditEvent>, Error>> + Send + 'static,
) -> impl Stream<Item = Result<HttpBody, Error>> + Send + 'static {
    let piece = |text: String| HttpBody { data: text.into(), ..HttpBody::default() };
    let head = HttpBody { content_type: CSV.to_owned(), ..piece(CSV_NAMES.to_owned()) };
    let lines = pages.map_ok(move |page| {
        let pieces: Vec<_> = page.chunks(CSV_PIECE).map(|events| Ok(piece(csv(events)))).collect();
        stream::iter(pieces)
    });
    stream::iter([Ok(head)]).chain(lines.try_flatten())
}

/// Whose entries an export is of, and which.
fn asked(
    parent: &str,
    texts: [String; 3],
    (start, end): (Option<&prost_types::Timestamp>, Option<&prost_types::Timestamp>),
) -> Result<(OrganizationId, AuditFilter), Error> {
    Ok((organization_id("parent", parent)?, filter(texts, start, end)?))
}

/// One entry after the other, as clients read them.
fn one_by_one(
    pages: impl Stream<Item = Result<Vec<AuditEvent>, Error>> + Send + 'static,
) -> impl Stream<Item = Result<wire::AuditEvent, Error>> + Send + 'static {
    pages.map_ok(|page| stream::iter(page.into_iter().map(|event| Ok(render(event))))).try_flatten()
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
