//! ListResources and ListSubjects: over their pages all that Check allows, and nothing else.
//!
//! Resources are walked from those that the subject has a relation to himself down to what lies below, depth first and by name; the page
//! token is the way to the last one shown, so that the next page goes on there. A resource that lies below several that are reached is
//! visited below the first of them only; one that has a relation and lies below a reached one is visited there. A page that takes long
//! ends short.
use std::{collections::VecDeque, time::Duration};

use api::{Caller, OrganizationId, Page, UserId};
use db::Tx;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Auth, PageRequest, limit};
use crate::{
    error::Error,
    model::{AtLeast, Object, Subject, Wanted},
    store::{
        self,
        graph::{Child, Members, Reach},
    },
};

/// After this a page is as long as it is.
const PATIENCE: Duration = Duration::from_millis(200);
/// Rows read at once: enough for a page, and bounded.
const ROWS_MIN: usize = 16;
const ROWS_MAX: usize = 256;

/// Where a list of resources stands.
#[derive(Serialize, Deserialize)]
enum Position {
    /// All resources of the type, by name, up to this one: the subject's role allows it.
    All(String),
    /// The way from a resource with a relation down to the last one visited.
    Way(Vec<String>),
    /// The way down to the last one that was read and passed over, since it is visited elsewhere.
    Past(Vec<String>),
}

/// What a list of resources is of.
pub(crate) struct Listing {
    /// Tenant.
    pub(crate) organization: OrganizationId,
    /// Whose resources.
    pub(crate) user: UserId,
    /// What he wants to do.
    pub(crate) wanted: Wanted,
    /// As the request wrote it.
    pub(crate) permission: String,
    /// Collection of the resources.
    pub(crate) collection: String,
}

impl Auth {
    /// A page of the resources with which a user may do something.
    pub(crate) async fn list_resources(
        &self,
        caller: &Caller,
        listing: &Listing,
        request: &PageRequest,
        at_least: &AtLeast,
    ) -> Result<(Vec<Object>, String), Error> {
        let Listing { organization, user, wanted, permission, collection } = listing;
        let (organization, size) = (*organization, Page::parse(request.size, 50, 1000)?.size);
        let binding = format!("{user} {permission} {collection}");
        let position = self.position(caller.context(), &binding, &request.token)?;
        let position = match position.is_empty() {
            true => None,
            false => Some(serde_json::from_slice(&position).map_err(Error::fault)?),
        };
        let now = self.clock.now();
        let (tx, facts) = self.asked(caller, organization, (&[*user], &[]), at_least).await?;
        let subjects = facts.subjects(*user, Subject::Members(organization));
        let (paths, next) = if facts.standing(*user, "", &subjects).by_role(*wanted, organization) {
            of_role(&tx, listing, position, size).await?
        } else {
            let Some(least) = wanted.share() else { return Ok((Vec::new(), String::new())) };
            let keys: Vec<Vec<u8>> = subjects.into_iter().map(Subject::key).collect();
            let reach = Reach { organization, keys: &keys, least, now };
            Walk::new(&tx, reach, (collection, size), PATIENCE).page(position).await?
        };
        let token = match next {
            None => String::new(),
            Some(next) => self.token_of(caller.context(), &binding, &serde_json::to_vec(&next).map_err(Error::fault)?),
        };
        Ok((paths.into_iter().map(|path| Object::restore(organization, path)).collect(), token))
    }

    /// A page of the users who may do something with a resource.
    pub(crate) async fn list_subjects(
        &self,
        caller: &Caller,
        (object, wanted, permission): (&Object, Wanted, &str),
        request: &PageRequest,
        at_least: &AtLeast,
    ) -> Result<(Vec<UserId>, String), Error> {
        let organization = object.organization;
        Self::own(caller, organization)?;
        let size = Page::parse(request.size, 50, 1000)?.size;
        let binding = format!("{} {permission}", object.path);
        let position = self.position(caller.context(), &binding, &request.token)?;
        let after = Uuid::from_slice(&position).unwrap_or_default();
        let tx = self.at_least(caller, self.db.tenant(caller).await?, at_least).await?;
        self.owned(caller, &tx, object).await?;
        let who = self.counting(&tx, object, wanted).await?;
        let mut users = store::graph::members(&tx, organization, &who, after, limit(size)).await?;
        let more = users.len() > size;
        users.truncate(size);
        let last = users.last().filter(|_| more).map(|last| last.uuid());
        let token = last.map(|last| self.token_of(caller.context(), &binding, last.as_bytes()));
        Ok((users, token.unwrap_or_default()))
    }

    /// The caller may see who holds what: by role, or because the resource is his.
    pub(super) async fn owned(&self, caller: &Caller, tx: &Tx, object: &Object) -> Result<(), Error> {
        if caller.granted() {
            return Ok(());
        }
        let standing = self.standing_on(tx, object.organization, caller.user_required()?, &object.path).await?;
        Ok(caller.permit(standing.held, |held| Some(held.share), object.name()).map(drop)?)
    }

    /// Everybody of whom Check says yes: by built-in role, by custom role, by relation, which those may have too.
    async fn counting(&self, tx: &Tx, object: &Object, wanted: Wanted) -> Result<Members, Error> {
        let organization = object.organization;
        let least = wanted.least_role();
        let everybody = least == proto::Role::Member;
        // Roles are counted from member in the contract and from viewer in rows.
        let mut roles: Vec<i16> = (1..=4).filter(|role| i32::from(*role) + 1 >= least as i32).collect();
        let mut custom_roles = Vec::new();
        let mut all = everybody;
        if let Wanted::Contract(permission) = wanted {
            if permission.text.starts_with("platform:") && organization != OrganizationId::SYSTEM {
                (all, roles) = (false, Vec::new());
            } else {
                custom_roles = store::custom_role::allowing(tx, organization, permission.text).await?;
            }
        }
        let now = self.clock.now();
        let (mut users, mut groups, mut links) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(share) = wanted.share() {
            for key in store::graph::holders(tx, organization, &object.path, share as i16, now).await? {
                match Subject::of_key(&key) {
                    Some(Subject::User(user)) => users.push(user.uuid()),
                    Some(Subject::Group(group)) => groups.push(group.uuid()),
                    Some(Subject::Members(of)) => all |= of == organization,
                    Some(Subject::Role(least)) => roles.extend(least as i16..=4),
                    Some(Subject::CustomRole(role)) => custom_roles.push(role.uuid()),
                    Some(Subject::Link(link)) => links.push(link.uuid()),
                    None => {}
                }
            }
        }
        roles.sort_unstable();
        roles.dedup();
        Ok(Members { all, roles, custom_roles, users, groups, links, now })
    }
}

/// All resources of a type, for who may by role.
async fn of_role(
    tx: &Tx,
    listing: &Listing,
    position: Option<Position>,
    size: usize,
) -> Result<(Vec<String>, Option<Position>), Error> {
    let after = match position {
        None => String::new(),
        Some(Position::All(after)) => after,
        Some(Position::Way(_) | Position::Past(_)) => return Err(changed()),
    };
    let mut found =
        store::graph::of_collection(tx, listing.organization, &listing.collection, &after, limit(size)).await?;
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).cloned().map(Position::All);
    Ok((found, next))
}

/// The role of the subject changed since the page before, and with it the order of the list.
fn changed() -> Error {
    let message = "the subject's role has changed since the page before; start at the first page";
    api::Error::invalid(api::CommonReason::PageTokenInvalid, message).into()
}

/// What lies below one resource, as far as it was read.
struct Level {
    /// The resource; `None` for those that have a relation themselves.
    parent: Option<String>,
    /// Read and not yet visited.
    waiting: VecDeque<Child>,
    /// Read up to here.
    after: String,
    /// Nothing more to read.
    complete: bool,
}

impl Level {
    fn new(parent: Option<String>, after: String) -> Self {
        Self { parent, waiting: VecDeque::new(), after, complete: false }
    }
}

/// What a walk does next.
enum Step {
    /// It visits a resource.
    Visit(Child),
    /// It has taken long, and goes on from here on the next page.
    Pause(Position),
    /// All was visited.
    End,
}

/// A walk over what subjects reach.
struct Walk<'a> {
    tx: &'a Tx,
    reach: Reach<'a>,
    prefix: String,
    size: usize,
    /// After this a page is as long as it is.
    patience: Duration,
    levels: Vec<Level>,
    /// The way to the resource visited last.
    way: Vec<String>,
    found: Vec<String>,
    /// Something was visited on this page: it goes on however slow it is.
    moved: bool,
}

impl<'a> Walk<'a> {
    fn new(tx: &'a Tx, reach: Reach<'a>, (collection, size): (&str, usize), patience: Duration) -> Self {
        let (levels, way, found) = (Vec::new(), Vec::new(), Vec::new());
        Self { tx, reach, prefix: format!("{collection}/"), size, patience, levels, way, found, moved: false }
    }

    /// The page after a position, and the position of the next one.
    async fn page(mut self, position: Option<Position>) -> Result<(Vec<String>, Option<Position>), Error> {
        match position {
            None => self.levels.push(Level::new(None, String::new())),
            Some(Position::Way(way)) => self.resume(way.len(), way).await?,
            Some(Position::Past(way)) => self.resume(way.len().saturating_sub(1), way).await?,
            Some(Position::All(_)) => return Err(changed()),
        }
        let end = Instant::now() + self.patience;
        loop {
            match self.next(end).await? {
                Step::End => return Ok((self.found, None)),
                Step::Pause(position) => return Ok((self.found, Some(position))),
                Step::Visit(next) => {
                    let full = self.found.len() == self.size && next.path.starts_with(&self.prefix);
                    if full || (self.moved && Instant::now() >= end) {
                        return Ok((self.found, Some(Position::Way(self.way))));
                    }
                    self.visit(next);
                }
            }
        }
    }

    /// Takes up a walk, so many steps of the way of which were visited. What is not reached any more on the way is left, with all below it.
    async fn resume(&mut self, visited: usize, mut way: Vec<String>) -> Result<(), Error> {
        let reached = store::graph::reached(self.tx, &self.reach, &way[..visited]).await?;
        let keep = way.iter().take(visited).take_while(|path| reached.contains(*path)).count();
        let mut parent = None;
        for path in way.iter().take(keep + 1) {
            self.levels.push(Level::new(parent.take(), path.clone()));
            parent = Some(path.clone());
        }
        if keep == way.len() {
            self.levels.push(Level::new(parent, String::new()));
        }
        way.truncate(keep + 1);
        self.way = way;
        Ok(())
    }

    /// The resource to visit next; levels that are done are left. When that takes long, the page ends where reading stands.
    async fn next(&mut self, end: Instant) -> Result<Step, Error> {
        let mut read_some = false;
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(Step::End) };
            if let Some(child) = level.waiting.pop_front() {
                return Ok(Step::Visit(child));
            }
            if level.complete {
                self.levels.pop();
                continue;
            }
            if std::mem::replace(&mut read_some, true) && Instant::now() >= end {
                return Ok(Step::Pause(self.stand()));
            }
            let rows = (self.size - self.found.len() + 1).clamp(ROWS_MIN, ROWS_MAX);
            let read = Self::read(self.tx, &self.reach, level, rows).await?;
            level.complete = read < rows;
        }
    }

    /// Where reading stands.
    fn stand(&self) -> Position {
        let mut way: Vec<String> = self.levels.iter().filter_map(|level| level.parent.clone()).collect();
        match self.levels.last().map(|level| &level.after).filter(|after| !after.is_empty()) {
            None => Position::Way(way),
            Some(after) => {
                way.push(after.clone());
                Position::Past(way)
            }
        }
    }

    /// Reads on in a level; what is visited elsewhere is passed over. Gives how many rows there were.
    async fn read(tx: &Tx, reach: &Reach<'_>, level: &mut Level, rows: usize) -> Result<usize, Error> {
        let asked = i64::try_from(rows).unwrap_or(i64::MAX);
        let children = match &level.parent {
            Some(parent) => store::graph::children(tx, reach, parent, &level.after, asked).await?,
            None => {
                let held = store::graph::held(tx, reach, &level.after, asked).await?;
                held.into_iter().map(|path| Child { path, shared: true, holds: true }).collect()
            }
        };
        let read = children.len();
        if let Some(last) = children.last() {
            level.after.clone_from(&last.path);
        }
        let shared: Vec<String> =
            children.iter().filter(|child| child.shared).map(|child| child.path.clone()).collect();
        let first = match shared.is_empty() {
            true => std::collections::HashMap::new(),
            false => store::graph::first_parents(tx, reach, &shared).await?,
        };
        let here = |child: &Child| !child.shared || first.get(&child.path) == level.parent.as_ref();
        level.waiting.extend(children.into_iter().filter(here));
        Ok(read)
    }

    fn visit(&mut self, child: Child) {
        self.moved = true;
        self.way.truncate(self.levels.len() - 1);
        self.way.push(child.path.clone());
        if child.path.starts_with(&self.prefix) {
            self.found.push(child.path.clone());
        }
        if child.holds {
            self.levels.push(Level::new(Some(child.path), String::new()));
        }
    }
}

#[cfg(test)]
mod tests;
