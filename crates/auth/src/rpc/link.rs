//! `LinkService`.
use api::{Caller, UserId, from_timestamp, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, link_service_server::LinkService};
use tonic::Request;

use super::{Rpc, organization_id, page};
use crate::{
    error::Error,
    model::{DisplayName, LinkDraft, LinkName, ShareLink},
};

#[tonic::async_trait]
impl LinkService for Rpc {
    async fn create_link(&self, request: Request<wire::CreateLinkRequest>) -> Reply<wire::Link> {
        let (caller, request) = caller(request)?;
        reply(self.make_link(&caller, request).await)
    }

    async fn get_link(&self, request: Request<wire::GetLinkRequest>) -> Reply<wire::Link> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.link(&caller, LinkName::parse_field("name", &request.name)?).await };
        reply(found.await.map(|link| render(link, String::new())))
    }

    async fn list_links(&self, request: Request<wire::ListLinksRequest>) -> Reply<wire::ListLinksResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.links(&caller, organization_id("parent", &request.parent)?, &page).await };
        reply(found.await.map(|(links, next_page_token)| wire::ListLinksResponse {
            links: links.into_iter().map(|link| render(link, String::new())).collect(),
            next_page_token,
        }))
    }

    async fn delete_link(&self, request: Request<wire::DeleteLinkRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.delete_link(&caller, LinkName::parse_field("name", &request.name)?).await };
        reply(done.await)
    }

    async fn open_link(&self, request: Request<wire::OpenLinkRequest>) -> Reply<wire::OpenLinkResponse> {
        let (caller, request) = caller(request)?;
        let opened = async {
            let name = LinkName::parse_field("name", &request.name)?;
            self.auth.open_link(&caller, name, &request.secret).await
        };
        reply(opened.await.map(|link| wire::OpenLinkResponse {
            display_name: link.display_name,
            expire_time: Some(timestamp(link.expire_time)),
        }))
    }
}

impl Rpc {
    async fn make_link(&self, caller: &Caller, request: wire::CreateLinkRequest) -> Result<wire::Link, Error> {
        let organization = organization_id("parent", &request.parent)?;
        let sent = request.link.unwrap_or_default();
        let end = sent.expire_time.as_ref().and_then(from_timestamp);
        let draft = LinkDraft {
            display_name: DisplayName::parse("link.display_name", &sent.display_name)?,
            expire_time: end.ok_or_else(|| api::Error::invalid_field("link.expire_time", "is missing or no time"))?,
        };
        let (link, secret) = self.auth.create_link(caller, organization, draft).await?;
        Ok(render(link, secret))
    }
}

fn render(link: ShareLink, secret: String) -> wire::Link {
    wire::Link {
        name: link.name().to_string(),
        display_name: link.display_name,
        expire_time: Some(timestamp(link.expire_time)),
        owner: UserId::name(link.owner),
        holder_count: link.holders,
        create_time: Some(timestamp(link.create_time)),
        secret,
    }
}
