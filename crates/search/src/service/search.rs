//! Search: ask the index, have the owners confirm what it found, fill up what they hid.
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use api::{CallContext, Caller, OrganizationId, Principals};
use futures::future::join_all;
use tokio::time::Instant;

use super::{Opened, Search, only_own};
use crate::{
    error::Error,
    metrics,
    model::{Facet, FacetCounts, Hit, Kind, Page, Position, Question, ResourceName, Revision, Selection, Tree},
};

/// How often a page is filled up after the owners hid some of it.
const ROUNDS: usize = 3;

/// What a caller searches for.
pub(crate) struct Ask {
    pub(crate) organization: OrganizationId,
    pub(crate) tree: Tree,
    pub(crate) selection: Selection,
    pub(crate) facets: Vec<Facet>,
    pub(crate) size: usize,
    /// The last one of the page before.
    pub(crate) after: Option<Position>,
}

/// What a caller gets.
pub(crate) struct Answer {
    pub(crate) hits: Vec<Hit>,
    pub(crate) facets: Vec<FacetCounts>,
    pub(crate) total: u64,
    /// The total is known to be right, and not only to be reached.
    pub(crate) exact: bool,
    /// The last one of this page, if more follow.
    pub(crate) next: Option<Position>,
    /// Something is missing because an owner is away, the caller's groups cannot be read, or the index is being built.
    pub(crate) degraded: bool,
}

/// What the owners said about a page.
#[derive(Default)]
struct Verdict {
    hidden: Vec<Hidden>,
    away: Vec<Kind>,
}

type Hidden = (ResourceName, Revision);

impl Search {
    /// Names under which the caller finds something.
    pub(crate) async fn principals(&self, caller: &Caller) -> Principals {
        self.groups.readers(caller, &Kind::ALL.map(Kind::read)).await
    }

    /// Searches what the caller may see, who goes by these names.
    pub(crate) async fn search(&self, caller: &Caller, principals: &Principals, ask: Ask) -> Result<Answer, Error> {
        only_own(caller, ask.organization)?;
        let opened = self.opened()?;
        let mut question = Question {
            organization: ask.organization,
            principals: principals.names().to_vec(),
            withheld: Vec::new(),
            except: Vec::new(),
            tree: ask.tree,
            selection: ask.selection,
            facets: ask.facets,
            after: ask.after,
            limit: ask.size,
        };
        let mut confirmed = HashSet::new();
        let mut rounds = 0;
        let (page, next) = loop {
            let mut page = self.backend.search(opened.generation, question.clone()).await?;
            let next = page.hits.last().filter(|_| page.more).map(|hit| hit.position);
            let verdict = self.confirm((caller, principals), &page.hits, &mut confirmed).await;
            if verdict.hidden.is_empty() && verdict.away.is_empty() {
                break (page, next);
            }
            self.take(&mut question, verdict);
            rounds += 1;
            if rounds > ROUNDS {
                page.hits.retain(|hit| confirmed.contains(&hit.name));
                break (self.recount(opened, question.clone(), page).await?, next);
            }
        };
        let degraded = opened.building || !question.withheld.is_empty() || !principals.are_whole();
        let exact = question.except.is_empty() && !degraded;
        Ok(Answer { hits: page.hits, facets: page.facets, total: page.total, exact, next, degraded })
    }

    /// Leaves out of the question what the owners hid or cannot confirm.
    fn take(&self, question: &mut Question, verdict: Verdict) {
        metrics::hidden(verdict.hidden.len());
        for (name, revision) in verdict.hidden {
            self.queue.index_some_time(name, revision);
            question.except.push(name);
        }
        for kind in verdict.away {
            metrics::degraded(kind.as_str());
            question.withheld.push(kind);
        }
    }

    /// Counts again without what was hidden in the last round; the hits stay.
    async fn recount(&self, opened: Opened, question: Question, page: Page) -> Result<Page, Error> {
        let counted = self.backend.search(opened.generation, Question { limit: 0, ..question }).await?;
        Ok(Page { total: counted.total, facets: counted.facets, ..page })
    }

    /// Asks the owners of hits whether the caller may see them now.
    async fn confirm(
        &self,
        (caller, principals): (&Caller, &Principals),
        hits: &[Hit],
        confirmed: &mut HashSet<ResourceName>,
    ) -> Verdict {
        let mut open: BTreeMap<Kind, Vec<Hidden>> = BTreeMap::new();
        for hit in hits.iter().filter(|hit| !confirmed.contains(&hit.name)) {
            open.entry(hit.name.kind).or_default().push((hit.name, hit.revision));
        }
        let context = within(caller.context(), self.config.check_timeout);
        let asked = open.into_iter().map(|(kind, hits)| {
            let context = &context;
            async move { (kind, self.ask_owner((caller, principals), context, kind, hits).await) }
        });
        let mut verdict = Verdict::default();
        for (kind, said) in join_all(asked).await {
            match said {
                Ok((seen, hidden)) => {
                    confirmed.extend(seen);
                    verdict.hidden.extend(hidden);
                }
                Err(error) => {
                    tracing::warn!(owner = kind.as_str(), error = %error, "results are withheld: their owner does not confirm them");
                    verdict.away.push(kind);
                }
            }
        }
        verdict
    }

    async fn ask_owner(
        &self,
        (caller, principals): (&Caller, &Principals),
        context: &CallContext,
        kind: Kind,
        hits: Vec<Hidden>,
    ) -> Result<(Vec<ResourceName>, Vec<Hidden>), Error> {
        let names: Vec<_> = hits.iter().map(|(name, _)| *name).collect();
        let access = self.owners.access(context, caller.organization()?, kind, &names).await?;
        let may_see = |name: &ResourceName| access.get(name).is_some_and(|access| access.allows(principals));
        let (seen, hidden): (Vec<_>, Vec<_>) = hits.into_iter().partition(|(name, _)| may_see(name));
        Ok((seen.into_iter().map(|(name, _)| name).collect(), hidden))
    }
}

/// The same context with at most so much time.
fn within(context: &CallContext, time: Duration) -> CallContext {
    let own = Instant::now() + time;
    let deadline = context.deadline.map_or(own, |deadline| deadline.min(own));
    CallContext { deadline: Some(deadline), ..context.clone() }
}
