//! Relations of customers' own types: written and read.
//!
//! A write is all or nothing, under a lock of the organization's relations, so that limits, chains and what the writer holds are true
//! when it is committed. Who writes holds at least what he gives, before any of it is written.
use std::collections::{BTreeSet, HashSet};

use api::{Caller, Id, OrganizationId, Page, Share};
use db::{Record, Tx};
use time::OffsetDateTime;

use super::{Auth, Once, PageRequest, limit};
use crate::{
    error::{Authorization, Error},
    model::{AtLeast, Chains, Object, Precondition, Relation, Subject, Tie, Until, Update, relation_limit, touched},
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
        self.may_presume(caller, &tx, organization, preconditions).await?;
        let now = self.clock.now();
        for Precondition { relation, absent } in preconditions {
            if store::relation::exists(&tx, relation, now).await? == *absent {
                return Err(Authorization::RelationPrecondition.into());
            }
        }
        for update in updates {
            match update.write {
                true => store::relation::put(&tx, &update.relation).await?,
                false => store::relation::delete(&tx, &update.relation).await?,
            }
            tx.audit(told(update));
        }
        within_limits(&tx, updates, now).await?;
        hang(&tx, organization, updates, now).await?;
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
        let paths: Vec<&str> = objects.iter().map(|object| object.path.as_str()).collect();
        let facts = store::standing::facts(tx, organization, &[user], &paths, self.clock.now()).await?.bounded()?;
        let subjects = facts.subjects(user, Subject::Members(organization));
        let on = |object: &Object| facts.standing(user, &object.path, &subjects).strength();
        let by_role = facts.standing(user, "", &subjects).share_of_role();
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
            let needs = update.needs();
            let own = match by_role.map(|held| held as i32) >= Some(needs as i32) {
                true => Some(Until::Withdrawn),
                false => facts.until(&update.relation.object.path, needs, &subjects),
            };
            update.within(own, on_parent)?;
        }
        self.subjects_exist(tx, organization, updates).await
    }

    /// Whether a precondition holds tells what is there: to who may read relations, and to owners of the resource.
    async fn may_presume(
        &self,
        caller: &Caller,
        tx: &Tx,
        organization: OrganizationId,
        preconditions: &[Precondition],
    ) -> Result<(), Error> {
        if preconditions.is_empty() || self.reads_relations(caller, tx).await? {
            return Ok(());
        }
        let user = caller.user_required()?;
        let paths: Vec<&str> = preconditions.iter().map(|sent| sent.relation.object.path.as_str()).collect();
        let facts = store::standing::facts(tx, organization, &[user], &paths, self.clock.now()).await?.bounded()?;
        let subjects = facts.subjects(user, Subject::Members(organization));
        let held = |path: &&str| facts.standing(user, path, &subjects).held.map(|held| held.share);
        match paths.iter().all(|path| held(path) == Some(Share::Keeper)) {
            true => Ok(()),
            false => Err(api::Error::denied().into()),
        }
    }

    /// Whom something is given to is there: else a relation would wait for whoever takes that id, and of what has ended it would stay.
    async fn subjects_exist(&self, tx: &Tx, organization: OrganizationId, updates: &[Update]) -> Result<(), Error> {
        let (mut members, mut roles, mut links) = (Vec::new(), Vec::new(), BTreeSet::new());
        for update in updates.iter().filter(|update| update.write) {
            match &update.relation.tie {
                Tie::Held(subject @ (Subject::User(_) | Subject::Group(_)), _) => members.push(*subject),
                Tie::Held(Subject::CustomRole(role), _) => roles.push(*role),
                Tie::Held(Subject::Link(link), _) => drop(links.insert(*link)),
                Tie::Held(Subject::Members(_) | Subject::Role(_), _) | Tie::Parent(_) => {}
            }
        }
        if !members.is_empty() && !store::group::strangers(tx, organization, &members).await?.is_empty() {
            return Err(Error::NoMembership);
        }
        self.permissions_of(tx, organization, &roles).await?;
        let links: Vec<Id> = links.into_iter().collect();
        if !links.is_empty() && store::link::there(tx, organization, &links, self.clock.now()).await? < links.len() {
            return Err(Authorization::LinkInvalid.into());
        }
        Ok(())
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
                let after = if after.is_empty() { (object.path.as_str(), 0) } else { among_subjects(&after)? };
                let all = store::relation::of_subject(&tx, organization, *subject, after, limit(size)).await?;
                all.into_iter().filter(|relation| relation.object == *object).collect()
            }
            Filter::Subject(subject) => {
                if !caller.granted() {
                    return Err(api::Error::denied().into());
                }
                let after = among_subjects(&after)?;
                store::relation::of_subject(&tx, organization, *subject, after, limit(size)).await?
            }
        };
        let more = relations.len() > size;
        relations.truncate(size);
        let next = relations.last().filter(|_| more).map(|last| place(filter, last));
        Ok((relations, next.map(|next| self.token_of(caller.context(), &binding, &next)).unwrap_or_default()))
    }
}

/// What the audit log keeps of a change of one relation.
fn told(Update { write, relation }: &Update) -> Record {
    let action = if *write { "relation.written" } else { "relation.deleted" };
    let (kind, subject) = match &relation.tie {
        Tie::Held(subject, share) => {
            let kind = match share {
                Share::Unspecified => "none",
                Share::Reader => "viewer",
                Share::Commenter => "commenter",
                Share::Writer => "editor",
                Share::Keeper => "owner",
            };
            (kind, subject.name(relation.object.organization))
        }
        Tie::Parent(parent) => ("parent", parent.name()),
    };
    let record = Record::done(action).about(relation.object.name()).with("kind", kind).with("subject", subject);
    match relation.expire_time {
        Some(end) => record.with("expire_time", end),
        None => record,
    }
}

/// Where a relation stands in the list that it is read in.
fn place(filter: &Filter, relation: &Relation) -> Vec<u8> {
    match (filter, &relation.tie) {
        (Filter::Subject(_) | Filter::Both(..), Tie::Held(_, share)) => {
            [&[*share as u8], relation.object.path.as_bytes()].concat()
        }
        _ => store::relation::position(relation),
    }
}

/// The place in a list of one subject: resource and kind.
fn among_subjects(place: &[u8]) -> Result<(&str, i16), Error> {
    let (share, path) = place.split_first().map_or((0, &b""[..]), |(share, path)| (i16::from(*share), path));
    Ok((std::str::from_utf8(path).map_err(Error::fault)?, share))
}

/// What was written stays within the limits.
async fn within_limits(tx: &Tx, updates: &[Update], now: OffsetDateTime) -> Result<(), Error> {
    let objects: BTreeSet<&Object> =
        updates.iter().filter(|update| update.write).map(|update| &update.relation.object).collect();
    for object in objects {
        let (subjects, parents) = store::relation::counts(tx, object, now).await?;
        if subjects > relation_limit::SUBJECTS {
            return Err(Authorization::Limit("subjects of one resource", relation_limit::SUBJECTS).into());
        }
        if parents > relation_limit::PARENTS {
            return Err(Authorization::Limit("parents of one resource", relation_limit::PARENTS).into());
        }
    }
    Ok(())
}

/// What was hung below something stands in no circle, in no chain that is too long and below no more than may be. The work is bounded by
/// what stands above; only what seems too long is measured downwards.
async fn hang(tx: &Tx, organization: OrganizationId, updates: &[Update], now: OffsetDateTime) -> Result<(), Error> {
    let hung = updates.iter().filter(|update| update.write && matches!(update.relation.tie, Tie::Parent(_)));
    let hung: BTreeSet<&str> = hung.map(|update| update.relation.object.path.as_str()).collect();
    if hung.is_empty() {
        return Ok(());
    }
    let paths: Vec<&str> = hung.iter().copied().collect();
    let facts = store::standing::above(tx, organization, &[], &paths, now).await?.bounded()?;
    let stored = store::relation::heights(tx, organization, &facts.links().0).await?;
    let mut heights = stored.clone();
    let mut measured = HashSet::new();
    loop {
        let chains = Chains::new(&facts, &heights, &measured).ok_or(Authorization::RelationCycle)?;
        let Some(long) = chains.long(&paths, &measured)? else {
            return Ok(store::relation::raise(tx, organization, &chains.changed(&stored)).await?);
        };
        heights.insert(long.to_owned(), store::relation::height(tx, organization, long).await?);
        measured.insert(long.to_owned());
    }
}
