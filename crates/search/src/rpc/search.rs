//! Searches on the wire.
use api::{OrganizationId, timestamp};
use proto::search::v1::{
    Facet as WireFacet, Highlight as WireHighlight, SearchRequest, SearchResponse, SearchResult,
    facet::Value,
    highlight::Range,
    search_response::{Total, total::Relation},
};

use super::page::{List, Window};
use crate::{
    error::Error,
    model::{Facet, FacetCounts, Highlight, Hit, Kind, Selection, Tree, limit},
    service::{Answer, Ask},
};

const FOLDER: &str = "organizations/*/folders/*";

/// What the pages of one search have in common. Facets and size may change from page to page.
pub(super) fn list(request: &SearchRequest, principals: &[String]) -> List {
    let SearchRequest { parent, query, types, media_types, folders, .. } = request;
    List::new(&(parent, query, types, media_types, folders, principals))
}

/// Reads a search.
pub(super) fn parse(request: SearchRequest, window: Window) -> Result<Ask, Error> {
    let organization = OrganizationId::parse(&request.parent)
        .map_err(|error| error.violation("parent", "must have the form organizations/*"))?;
    for (field, values) in
        [("types", &request.types), ("media_types", &request.media_types), ("folders", &request.folders)]
    {
        if values.len() > limit::SELECTED {
            return Err(Error::TooManySelected { field });
        }
    }
    let kinds = request.types.iter().map(|word| Kind::parse(word).ok_or(Error::TypeUnknown));
    let mut facets = Vec::new();
    for word in &request.facets {
        let facet = Facet::parse(word).ok_or(Error::FacetUnknown)?;
        if !facets.contains(&facet) {
            facets.push(facet);
        }
    }
    Ok(Ask {
        organization,
        tree: Tree::parse(&request.query)?,
        selection: Selection {
            kinds: kinds.collect::<Result<_, _>>()?,
            media_types: request.media_types.into_iter().map(media_type).collect::<Result<_, _>>()?,
            folders: request.folders.into_iter().map(folder).collect::<Result<_, _>>()?,
        },
        facets,
        size: window.size,
        after: window.after,
    })
}

fn media_type(value: String) -> Result<String, Error> {
    match value.is_empty() || value.len() > limit::KEYWORD || value.chars().any(char::is_control) {
        true => Err(Error::Api(api::Error::invalid_field("media_types", "must be media types such as text/plain"))),
        false => Ok(value),
    }
}

fn folder(value: String) -> Result<String, Error> {
    let root = value.strip_suffix("/folders/root").is_some_and(|parent| OrganizationId::parse(parent).is_ok());
    if !root {
        api::parse_segments::<2>(&value, FOLDER)
            .map_err(|error| Error::Api(error.violation("folders", format!("must have the form {FOLDER}"))))?;
    }
    Ok(value)
}

/// Writes an answer.
pub(super) fn render(answer: Answer, next_page_token: String) -> SearchResponse {
    let relation = if answer.exact { Relation::Exact } else { Relation::AtLeast };
    SearchResponse {
        results: answer.hits.into_iter().map(result).collect(),
        facets: answer.facets.into_iter().map(facet).collect(),
        next_page_token,
        total: Some(Total { value: number(answer.total), relation: relation.into() }),
        degraded: answer.degraded,
    }
}

fn result(hit: Hit) -> SearchResult {
    SearchResult {
        name: hit.name.to_string(),
        r#type: hit.name.kind.as_str().to_owned(),
        score: hit.position.score(),
        update_time: Some(timestamp(hit.updated())),
        title: hit.title,
        highlights: hit.highlights.into_iter().map(highlight).collect(),
        media_type: hit.media_type,
        folder: hit.folder,
    }
}

fn highlight(highlight: Highlight) -> WireHighlight {
    let offset = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
    let range = |range: std::ops::Range<usize>| Range { start: offset(range.start), end: offset(range.end) };
    WireHighlight {
        field: highlight.field.to_owned(),
        text: highlight.text,
        ranges: highlight.ranges.into_iter().map(range).collect(),
    }
}

fn facet(counts: FacetCounts) -> WireFacet {
    let value = |(value, count)| Value { value, count: number(count) };
    WireFacet {
        name: counts.facet.as_str().to_owned(),
        values: counts.values.into_iter().map(value).collect(),
        other_count: number(counts.other),
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
