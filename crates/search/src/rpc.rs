//! The wire: parse, ask, call, render. No decisions.
use std::sync::Arc;

use mesh::{Reply, caller, reply};
use proto::search::v1::{
    GetSearchIndexRequest, SearchIndex, SearchRequest, SearchResponse, search_service_server::SearchService,
};
use tonic::{Request, async_trait};

use crate::service::Search;

mod index;
mod page;
mod search;

pub(crate) use page::Pages;

/// The RPCs of the search service.
pub(crate) struct Rpc {
    search: Arc<Search>,
    pages: Pages,
}

impl Rpc {
    /// The RPCs over the use cases.
    pub(crate) fn new(search: Arc<Search>, pages: Pages) -> Self {
        Self { search, pages }
    }
}

#[async_trait]
impl SearchService for Rpc {
    async fn search(&self, request: Request<SearchRequest>) -> Reply<SearchResponse> {
        let (caller, request) = caller(request)?;
        let principals = self.search.principals(&caller).await;
        if !request.page_token.is_empty() {
            // The page before may have been of more.
            principals.whole()?;
        }
        let list = search::list(&request, principals.names());
        let window = self.pages.open(&list, request.page_size, &request.page_token)?;
        let ask = search::parse(request, window).map_err(api::Error::from)?;
        let answer = self.search.search(&caller, &principals, ask).await;
        reply(answer.map(|answer| {
            let next = self.pages.seal(&list, answer.next.as_ref());
            search::render(answer, next)
        }))
    }

    async fn get_search_index(&self, request: Request<GetSearchIndexRequest>) -> Reply<SearchIndex> {
        let (caller, request) = caller(request)?;
        let organization = index::parse(&request.name)?;
        reply(self.search.index_state(&caller, organization).await.map(|state| index::render(organization, &state)))
    }
}
