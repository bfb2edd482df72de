//! The wire: parse, ask, call, render. No decisions.
use std::sync::Arc;

use futures::StreamExt;
use mesh::{Items, Reply, caller, caller_with_metadata, reply, reply_stream};
use proto::notification::v1::{
    InboxItem, ListCapturedMailsRequest, ListCapturedMailsResponse, ListDeliveriesRequest, ListDeliveriesResponse,
    ListInboxItemsRequest, ListInboxItemsResponse, MarkInboxItemsRequest, MarkInboxItemsResponse,
    RedriveDeliveriesRequest, RedriveDeliveriesResponse, WatchInboxRequest, delivery_service_server::DeliveryService,
    inbox_service_server::InboxService,
};
use tonic::{Request, async_trait};

use crate::service::Notifications;

mod delivery;
mod inbox;
mod page;

pub(crate) use page::Pages;

/// The RPCs of the notification service.
#[derive(Clone)]
pub(crate) struct Rpc {
    notifications: Arc<Notifications>,
    pages: Arc<Pages>,
}

impl Rpc {
    /// The RPCs over the use cases.
    pub(crate) fn new(notifications: Arc<Notifications>, pages: Pages) -> Self {
        Self { notifications, pages: Arc::new(pages) }
    }
}

#[async_trait]
impl InboxService for Rpc {
    type WatchInboxStream = Items<InboxItem>;

    async fn list_inbox_items(&self, request: Request<ListInboxItemsRequest>) -> Reply<ListInboxItemsResponse> {
        let (caller, request) = caller(request)?;
        let parent = inbox::parse_parent(&caller, &request.parent)?;
        let list = page::List::new("ListInboxItems", &(parent.to_string(), request.unread_only));
        let window = self.pages.open(&list, request.page_size, &request.page_token)?;
        let listed = self.notifications.list_items(&caller, parent, request.unread_only, window).await;
        reply(listed.map(|(listed, unread_count)| ListInboxItemsResponse {
            next_page_token: self.pages.seal(&list, listed.next.as_ref()),
            inbox_items: listed.items.into_iter().map(inbox::render).collect(),
            unread_count,
        }))
    }

    async fn watch_inbox(&self, request: Request<WatchInboxRequest>) -> Reply<Items<InboxItem>> {
        let (caller, metadata, request) = caller_with_metadata(request)?;
        let parent = inbox::parse_parent(&caller, &request.parent)?;
        let after = api::stream_after(&metadata, request.after_sequence)?;
        let stream = self.notifications.watch(caller, parent, after).await;
        reply_stream(stream.map(|stream| stream.map(|item| item.map(inbox::render))))
    }

    async fn mark_inbox_items(&self, request: Request<MarkInboxItemsRequest>) -> Reply<MarkInboxItemsResponse> {
        let (caller, request) = caller(request)?;
        let parent = inbox::parse_parent(&caller, &request.parent)?;
        let items = inbox::parse_items(&caller, parent, &request.names)?;
        let changed = self.notifications.mark_items(&caller, parent, &items, request.read).await;
        reply(changed.map(|changed| MarkInboxItemsResponse { changed_count: delivery::count(changed) }))
    }
}

#[async_trait]
impl DeliveryService for Rpc {
    async fn list_deliveries(&self, request: Request<ListDeliveriesRequest>) -> Reply<ListDeliveriesResponse> {
        let (caller, request) = caller(request)?;
        let parent = delivery::parse_parent(&request.parent)?;
        let state = delivery::parse_state(request.state)?;
        let list = page::List::new("ListDeliveries", &(&request.parent, request.state));
        let window = self.pages.open(&list, request.page_size, &request.page_token)?;
        let listed = self.notifications.list_deliveries(&caller, parent, state, window).await;
        reply(listed.map(|listed| ListDeliveriesResponse {
            next_page_token: self.pages.seal(&list, listed.next.as_ref()),
            deliveries: listed.items.into_iter().map(delivery::render).collect(),
        }))
    }

    async fn redrive_deliveries(&self, request: Request<RedriveDeliveriesRequest>) -> Reply<RedriveDeliveriesResponse> {
        let (caller, request) = caller(request)?;
        let parent = delivery::parse_parent(&request.parent)?;
        let deliveries = delivery::parse_names(parent, &request.names)?;
        let redriven = self.notifications.redrive(&caller, parent, &deliveries).await;
        reply(redriven.map(|redriven| RedriveDeliveriesResponse { redriven_count: delivery::count(redriven) }))
    }

    async fn list_captured_mails(
        &self,
        request: Request<ListCapturedMailsRequest>,
    ) -> Reply<ListCapturedMailsResponse> {
        let (caller, request) = caller(request)?;
        let parent = delivery::parse_parent(&request.parent)?;
        let list = page::List::new("ListCapturedMails", &request.parent);
        let window = self.pages.open(&list, request.page_size, &request.page_token)?;
        let listed = self.notifications.list_captured(&caller, parent, window).await;
        reply(listed.map(|listed| ListCapturedMailsResponse {
            next_page_token: self.pages.seal(&list, listed.next.as_ref()),
            captured_mails: listed.items.into_iter().map(delivery::render_mail).collect(),
        }))
    }
}
