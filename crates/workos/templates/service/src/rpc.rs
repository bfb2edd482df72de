//! The wire: parse, call, render. No decisions.
use std::sync::Arc;

use api::{CommonReason, Etag, OrganizationId, Page, Sealer, timestamp};
use mesh::{Reply, caller, reply};
use proto::__name__::v1::{
    self as wire, Create__Name__Request, Get__Name__Request, List__Names__Request, List__Names__Response,
    __name___service_server::__Name__Service,
};
use tonic::{Request, async_trait};

use crate::{
    config::Config,
    model::{__Name__, __Name__Name, Draft, Window},
    service::{Attempt, Service},
};

const PAGE_SIZE: usize = 50;
const LIST: &str = "List__Names__";

/// The RPCs of the __name__ service.
pub(crate) struct Rpc {
    service: Arc<Service>,
    sealer: Sealer,
    page_size_max: usize,
}

impl Rpc {
    /// The RPCs over the use cases.
    pub(crate) fn new(service: Arc<Service>, sealer: Sealer, config: Config) -> Self {
        Self { service, sealer, page_size_max: config.page_size_max }
    }

    fn window(&self, request: &List__Names__Request) -> Result<Window, api::Error> {
        let Page { size } = Page::parse(request.page_size, PAGE_SIZE.min(self.page_size_max), self.page_size_max)?;
        let opened = self.sealer.open(LIST, request.parent.as_bytes(), &request.page_token)?;
        let read = |token: Vec<u8>| String::from_utf8(token).ok()?.parse().ok();
        let text = "page_token is not one of this list; start at the first page";
        let invalid = || api::Error::invalid(CommonReason::PageTokenInvalid, text);
        let after = opened.map(|token| read(token).ok_or_else(invalid)).transpose()?;
        Ok(Window { size, after })
    }
}

#[async_trait]
impl __Name__Service for Rpc {
    async fn create___name__(&self, request: Request<Create__Name__Request>) -> Reply<wire::__Name__> {
        let (caller, request) = caller(request)?;
        let attempt = Attempt::new(&caller, &request.request_id, &request);
        let draft = parse_draft(request)?;
        reply(self.service.create(&caller, draft, &attempt).await.map(render))
    }

    async fn get___name__(&self, request: Request<Get__Name__Request>) -> Reply<wire::__Name__> {
        let (caller, request) = caller(request)?;
        let name = __Name__Name::parse_field("name", &request.name)?;
        reply(self.service.get(&caller, name).await.map(render))
    }

    async fn list___names__(&self, request: Request<List__Names__Request>) -> Reply<List__Names__Response> {
        let (caller, request) = caller(request)?;
        let organization = parse_parent(&request.parent)?;
        let listed = self.service.list(&caller, organization, self.window(&request)?).await;
        reply(listed.map(|(found, more)| {
            let last = found.last().filter(|_| more).map(|last| last.name.__name__.to_string());
            let seal = |last: String| self.sealer.seal(LIST, request.parent.as_bytes(), last.as_bytes());
            List__Names__Response {
                next_page_token: last.map(seal).unwrap_or_default(),
                __names__: found.into_iter().map(render).collect(),
            }
        }))
    }
}

fn parse_parent(parent: &str) -> Result<OrganizationId, api::Error> {
    OrganizationId::parse(parent).map_err(|error| error.violation("parent", "must have the form organizations/*"))
}

fn parse_draft(request: Create__Name__Request) -> Result<Draft, api::Error> {
    let organization = parse_parent(&request.parent)?;
    let sent = request.__name__.ok_or_else(|| api::Error::invalid_field("__name__", "is required; send the __name__"))?;
    Ok(Draft::parse(organization, sent.display_name)?)
}

fn render(found: __Name__) -> wire::__Name__ {
    wire::__Name__ {
        name: found.name.to_string(),
        display_name: found.display_name,
        etag: Etag::of_version(found.version),
        create_time: Some(timestamp(found.create_time)),
    }
}
