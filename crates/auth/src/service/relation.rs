//! Relations of customers' own types: written and read.
//!
//! A write is all or nothing, under a lock of the organization's relations, so that limits, chains and what the writer holds are true
//! when it is committed. Who writes holds at least what he gives, before any of it is written.
use std::collections::HashMap;

use api::{Caller, OrganizationId, Page, Share};
use db::Tx;

use super::{Auth, Once, PageRequest, limit};
use crate::{
    error::{Authorization, Error},
    model::{AtLeast, Object, Precondition, Relation, Subject, Tie, Update, relation_limit, touched},
    store,
};

/// Which relations are read.
pub(crate) enum Filter {
    /// Those of a resource.
    Object(Object),
    /// Those of a subject; only for who may read all.
    Subject(Subject),
    /// Those that a subject has on a resource.
    Both(Object, Subject),
}

impl Auth {
    /// Writes relations; gives the token of the state after it.
    pub(crate) async fn write_relations(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        updates: &[Update],
        preconditions: &[Precondition],
        once: &Once,
    ) -> Result<String, Error> {
        Self::own(caller, organization)?;
        let tx = self.db.tenant(caller).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        let revision = store::relation::advance(&tx, organization).await?;
        self.may_write(caller, &tx, organization, updates).await?;
        let now = self.clock.now();
        for Precondition { relation, absent } in preconditions {
            if store::relation::exists(&tx, relation, now).await? == *absent {
                return Err(Authorization::RelationPrecondition.into());
            }
        }
        for Update { write, relation } in updates {
            match write {
                true => store::relation::put(&tx, relation).await?,
                false => store::relation::delete(&tx, relation).await?,
            }
        }
        within_limits(&tx, updates).await?;
        let token = AtLeast::token(organization, revision);
        once.remember(&tx, &token)?;
        tx.commit().await?;
        Ok(token)
    }

    /// The caller holds what he gives. A refusal looks the same for resources that are there and that are not.
    async fn may_write(
        &self,
        caller: &Caller,
        tx: &Tx,
        organization: OrganizationId,
        updates: &[Update],
    ) -> Result<(), Error> {
        let user = caller.user_required()?;
        let objects = touched(updates);
        let items: Vec<_> = objects.iter().map(|object| (user, object.path.as_str())).collect();
        let (standings, _) = store::standing::of(tx, organization, &items, self.clock.now()).await?;
        let held: HashMap<&Object, Option<Share>> =
            objects.iter().zip(standings.iter().map(crate::model::Standing::strength)).collect();
        let on = |object: &Object| held.get(object).copied().flatten();
        for update in updates {
            let own = on(&update.relation.object);
            caller.permit(own, |share| Some(*share), update.relation.object.name()).or_else(|error| {
                // By permission of a role he may write, and then is told what he lacks.
                if caller.granted() { Ok(Share::Unspecified) } else { Err(error) }
            })?;
            update.writable()?;
            let on_parent = match &update.relation.tie {
                Tie::Parent(parent) => on(parent),
                Tie::Held(..) => None,
            };
            update.within(own, on_parent)?;
        }
        self.subjects_exist(tx, organization, updates).await
    }

    /// Whom something is given to is there: else a relation would wait for whoever takes that id.
    async fn subjects_exist(&self, tx: &Tx, organization: OrganizationId, updates: &[Update]) -> Result<(), Error> {
        let given = updates.iter().filter(|update| update.write).filter_map(|update| match &update.relation.tie {
            Tie::Held(subject @ (Subject::User(_) | Subject::Group(_)), _) => Some(*subject),
            Tie::Held(Subject::Members(_), _) | Tie::Parent(_) => None,
        });
        let given: Vec<Subject> = given.collect();
        if given.is_empty() || store::group::strangers(tx, organization, &given).await?.is_empty() {
            return Ok(());
        }
        Err(Error::NoMembership)
    }

    /// A page of relations as they were written.
    pub(crate) async fn read_relations(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        filter: &Filter,
        request: &PageRequest,
    ) -> Result<(Vec<Relation>, String), Error> {
        Self::own(caller, organization)?;
        let size = Page::parse(request.size, 50, 1000)?.size;
        let binding = match filter {
            Filter::Object(object) => object.path.clone(),
            Filter::Subject(subject) => subject.name(organization),
            Filter::Both(object, subject) => format!("{} {}", object.path, subject.name(organization)),
        };
        let after = self.position(caller.context(), &binding, &request.token)?;
        let tx = self.db.tenant(caller).await?;
        let mut relations = match filter {
            Filter::Object(object) => {
                self.owned(caller, &tx, object).await?;
                store::relation::of_object(&tx, object, &after, limit(size)).await?
            }
            Filter::Both(object, subject) => {
                self.owned(caller, &tx, object).await?;
                // At most four, one of each kind.
                let all = store::relation::of_subject(&tx, organization, *subject, (&object.path, 0), 4).await?;
                all.into_iter().filter(|relation| relation.object == *object).collect()
            }
            Filter::Subject(subject) => {
                if !caller.granted() {
                    return Err(api::Error::denied().into());
                }
                let (share, path) =
                    after.split_first().map_or((0, &b""[..]), |(share, path)| (i16::from(*share), path));
                let path = std::str::from_utf8(path).map_err(Error::fault)?;
                store::relation::of_subject(&tx, organization, *subject, (path, share), limit(size)).await?
            }
        };
        let more = relations.len() > size;
        relations.truncate(size);
        let next = relations.last().filter(|_| more).map(|last| place(filter, last));
        Ok((relations, next.map(|next| self.token_of(caller.context(), &binding, &next)).unwrap_or_default()))
    }
}

/// Where a relation stands in the list that it is read in.
fn place(filter: &Filter, relation: &Relation) -> Vec<u8> {
    match (filter, &relation.tie) {
        (Filter::Subject(_), Tie::Held(_, share)) => [&[*share as u8], relation.object.path.as_bytes()].concat(),
        _ => store::relation::position(relation),
    }
}

/// What was written stays within the limits.
async fn within_limits(tx: &Tx, updates: &[Update]) -> Result<(), Error> {
    let mut objects: Vec<&Object> =
        updates.iter().filter(|update| update.write).map(|update| &update.relation.object).collect();
    objects.sort_unstable();
    objects.dedup();
    for object in objects {
        let (subjects, parents) = store::relation::counts(tx, object).await?;
        if subjects > relation_limit::SUBJECTS {
            return Err(Authorization::Limit("subjects of one resource", relation_limit::SUBJECTS).into());
        }
        if parents > relation_limit::PARENTS {
            return Err(Authorization::Limit("parents of one resource", relation_limit::PARENTS).into());
        }
        let hangs = |update: &&Update| {
            update.write && matches!(update.relation.tie, Tie::Parent(_)) && update.relation.object == *object
        };
        if updates.iter().any(|update| hangs(&update))
            && store::relation::chain(tx, object).await? > relation_limit::CHAIN
        {
            return Err(Authorization::RelationCycle.into());
        }
    }
    Ok(())
}
