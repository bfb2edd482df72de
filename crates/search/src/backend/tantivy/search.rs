//! Answers a question from one index.
use api::OrganizationId;
use tantivy::{
    DocAddress, Searcher, TantivyDocument, Term,
    collector::Count,
    query::{Query, TermQuery},
    schema::{Field, IndexRecordOption, Value},
};

use super::{
    collect::{Best, Values},
    failed,
    highlight::Needles,
    plan::Plan,
    schema::{Fields, REVISION, column},
    shelf::Shelf,
    statistics::Visible,
};
use crate::{
    backend::{BackendError, Facet, FacetCounts, Hit, Page, Position, Question, ResourceName, Revision, Tree},
    model::limit,
};

/// Answers a question from what was committed last.
pub(super) fn search(shelf: &Shelf, question: &Question) -> Result<Page, BackendError> {
    let searcher = shelf.searcher();
    let plan = Plan::new(shelf.fields, question);
    let access = plan.access();
    let statistics = Visible::new(&searcher, shelf.fields, &*access);
    let best = Best { after: question.after, limit: question.limit + 1, scored: question.tree != Tree::Everything };
    let whole = plan.whole(&*access, None);
    let (total, mut found) = searcher.search_with_statistics_provider(&*whole, &best, &statistics).map_err(failed)?;
    let more = found.len() > question.limit;
    found.truncate(question.limit);
    let mut needles = Needles::new(&question.tree);
    let hits =
        found.into_iter().map(|(position, address)| hit(&searcher, shelf.fields, position, address, &mut needles));
    let hits = hits.collect::<Result<_, _>>()?;
    let counted = question.facets.iter().map(|facet| count_facet(&searcher, &plan, &*access, *facet));
    Ok(Page { hits, more, total, facets: counted.collect::<Result<_, _>>()? })
}

/// Counts the resources of an organization.
pub(super) fn count(shelf: &Shelf, organization: OrganizationId) -> Result<u64, BackendError> {
    let term = Term::from_field_text(shelf.fields.organization, &organization.to_string());
    let counted = shelf.searcher().search(&TermQuery::new(term, IndexRecordOption::Basic), &Count).map_err(failed)?;
    Ok(counted as u64)
}

fn hit(
    searcher: &Searcher,
    fields: Fields,
    position: Position,
    address: DocAddress,
    needles: &mut Needles,
) -> Result<Hit, BackendError> {
    let document: TantivyDocument = searcher.doc(address).map_err(failed)?;
    let text = |field: Field| {
        let value = document.get_first(field);
        value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let name = ResourceName::parse(&text(fields.name)).ok_or_else(|| failed("an indexed name cannot be read"))?;
    let revisions = searcher.segment_reader(address.segment_ord).fast_fields().i64(REVISION).map_err(failed)?;
    let title = text(fields.title);
    Ok(Hit {
        name,
        revision: Revision(revisions.first(address.doc_id).unwrap_or_default()),
        position,
        highlights: needles.highlights(&title, &text(fields.body)),
        title,
        media_type: text(fields.media_type),
        folder: text(fields.folder),
    })
}

/// Counts a facet as if nothing were selected of it.
fn count_facet(
    searcher: &Searcher,
    plan: &Plan,
    access: &dyn Query,
    facet: Facet,
) -> Result<FacetCounts, BackendError> {
    let counts = searcher.search(&*plan.whole(access, Some(facet)), &Values(column(facet))).map_err(failed)?;
    let mut values: Vec<_> = counts.into_iter().collect();
    values.sort_unstable_by(|(value, count), (other, others)| others.cmp(count).then_with(|| value.cmp(other)));
    let other = values.iter().skip(limit::FACET_VALUES).map(|(_, count)| count).sum();
    values.truncate(limit::FACET_VALUES);
    Ok(FacetCounts { facet, values, other })
}
