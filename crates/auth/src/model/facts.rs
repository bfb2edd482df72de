//! What one statement read about questions: members with their roles, groups and links, the resources above those asked about, and the
//! relations on them. Everything that is answered from one value is answered from one state.
//!
//! A resource may be reached over many ways. Each search visits a resource once, so it costs what the relations are many, not the ways.
use std::collections::{HashMap, HashSet, VecDeque};

use api::{Id, Share, UserId};
use time::OffsetDateTime;

use super::{Held, Permission, Permissions, Role, Standing, Subject, Until, relation_limit as limit};
use crate::error::{Authorization, Error};

/// Shares from the strongest to the weakest.
const SHARES: [Share; 4] = [Share::Keeper, Share::Writer, Share::Commenter, Share::Reader];

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Number of the last change of the organization's relations.
    pub(crate) revision: i64,
    members: HashMap<UserId, Member>,
    roles: HashMap<Id, Permissions>,
    groups: HashMap<Subject, Vec<Id>>,
    links: HashMap<UserId, Vec<Id>>,
    places: HashMap<String, usize>,
    resources: Vec<Resource>,
    parents: usize,
    relations: usize,
}

/// An active member.
#[derive(Debug)]
struct Member {
    role: Option<Role>,
    custom_roles: Vec<Id>,
}

/// A resource and what stands on it.
#[derive(Debug)]
struct Resource {
    path: String,
    /// Places of its parents, with the strongest relation that is inherited.
    parents: Vec<(usize, Share)>,
    relations: Vec<(Subject, Share, Option<OffsetDateTime>)>,
}

impl Facts {
    /// An active member with his roles.
    pub(crate) fn add_member(&mut self, user: UserId, role: Option<Role>, custom_roles: Vec<Id>) {
        self.members.insert(user, Member { role, custom_roles });
    }

    /// What a custom role allows.
    pub(crate) fn add_role(&mut self, role: Id, permissions: Permissions) {
        self.roles.insert(role, permissions);
    }

    /// The groups that a user or a group is a direct member of.
    pub(crate) fn add_groups(&mut self, member: Subject, groups: Vec<Id>) {
        self.groups.insert(member, groups);
    }

    /// The links that a user holds.
    pub(crate) fn add_links(&mut self, user: UserId, links: Vec<Id>) {
        self.links.insert(user, links);
    }

    /// What is held on the parent is held on the resource, at most so strong.
    pub(crate) fn add_parent(&mut self, object: String, parent: String, most: Share) {
        let (object, parent) = (self.place(object), self.place(parent));
        self.resources[object].parents.push((parent, most));
        self.parents += 1;
    }

    /// A relation to a resource.
    pub(crate) fn add_relation(&mut self, object: String, subject: Subject, share: Share, end: Option<OffsetDateTime>) {
        let object = self.place(object);
        self.resources[object].relations.push((subject, share, end));
        self.relations += 1;
    }

    fn place(&mut self, path: String) -> usize {
        let next = self.resources.len();
        let place = *self.places.entry(path.clone()).or_insert(next);
        if place == next {
            self.resources.push(Resource { path, parents: Vec::new(), relations: Vec::new() });
        }
        place
    }

    /// All of it was read: no more stands above the resources than may be asked about at once.
    ///
    /// # Errors
    /// AUTHORIZATION_LIMIT.
    pub(crate) fn bounded(self) -> Result<Self, Error> {
        for (count, most, what) in [
            (self.resources.len(), limit::ASKED, "resources above those that one request asks about"),
            (self.parents, limit::LINKS, "parents of all resources above those that one request asks about"),
            (
                self.relations,
                limit::LINKS,
                "relations to all resources that one request asks about and those above them",
            ),
        ] {
            if count > most {
                return Err(Authorization::Limit(what, i64::try_from(most).unwrap_or(i64::MAX)).into());
            }
        }
        Ok(self)
    }

    /// Who a user is in relations: himself, all members, his groups and those they are in, his roles and the weaker ones, his links.
    /// Nobody when he is no active member.
    pub(crate) fn subjects(&self, user: UserId, everybody: Subject) -> HashSet<Subject> {
        let Some(member) = self.members.get(&user) else { return HashSet::new() };
        let roles = Role::ALL.into_iter().filter(|role| Some(*role) <= member.role).map(Subject::Role);
        // One that has ended is not there to be anybody's.
        let custom = member.custom_roles.iter().filter(|role| self.roles.contains_key(role));
        let links = self.links.get(&user).into_iter().flatten();
        let other = custom.map(|role| Subject::CustomRole(*role)).chain(links.map(|link| Subject::Link(*link)));
        self.groups_of(user).into_keys().chain([everybody]).chain(roles).chain(other).collect()
    }

    /// The user and every group he is in, each with the member it was found by.
    fn groups_of(&self, user: UserId) -> HashMap<Subject, Subject> {
        let first = Subject::User(user);
        let (mut found, mut open) = (HashMap::from([(first, first)]), VecDeque::from([first]));
        while let Some(member) = open.pop_front() {
            for group in self.groups.get(&member).into_iter().flatten().map(|group| Subject::Group(*group)) {
                found.entry(group).or_insert_with(|| {
                    open.push_back(group);
                    member
                });
            }
        }
        found
    }

    /// The groups from this one down to one that the user is a direct member of, on the shortest way.
    pub(crate) fn groups_between(&self, group: Id, user: UserId) -> Vec<Id> {
        let found = self.groups_of(user);
        let (mut way, mut next) = (Vec::new(), Some(&Subject::Group(group)));
        while let Some(Subject::Group(group)) = next {
            way.push(*group);
            next = found.get(&Subject::Group(*group));
        }
        way
    }

    /// How somebody stands to a resource. `subjects` is what [`Facts::subjects`] gave for him.
    pub(crate) fn standing(&self, user: UserId, path: &str, subjects: &HashSet<Subject>) -> Standing {
        let Some(member) = self.members.get(&user) else { return Standing::default() };
        let mut permissions = Permissions::default();
        member.custom_roles.iter().filter_map(|role| self.roles.get(role)).for_each(|role| permissions.extend(role));
        Standing { member: true, role: member.role, permissions, held: self.held(path, subjects) }
    }

    /// His custom roles that allow this.
    pub(crate) fn roles_allowing(&self, user: UserId, permission: &Permission) -> Vec<Id> {
        let roles = self.members.get(&user).map(|member| member.custom_roles.as_slice()).unwrap_or_default();
        let allows = |role: &&Id| self.roles.get(role).is_some_and(|role| role.has(permission.text));
        roles.iter().filter(allows).copied().collect()
    }

    /// The strongest relation that one of these has on the resource, inherited ones included; of several the nearest.
    pub(crate) fn held(&self, path: &str, subjects: &HashSet<Subject>) -> Option<Held> {
        SHARES.into_iter().find_map(|share| self.held_at_least(path, share, |subject| subjects.contains(&subject)))
    }

    /// Any relation reaches the resource with at least this strength.
    pub(crate) fn reaches(&self, path: &str, share: Share) -> bool {
        self.held_at_least(path, share, |_| true).is_some()
    }

    fn held_at_least(&self, path: &str, share: Share, counts: impl Fn(Subject) -> bool) -> Option<Held> {
        let mut found = None;
        let before = self.walk(path, share, |resource| {
            let strong = resource
                .relations
                .iter()
                .filter(|(subject, given, _)| *given as i32 >= share as i32 && counts(*subject));
            found = strong.min_by_key(|(subject, given, _)| (*subject, *given as i32)).copied();
            found.is_none()
        });
        let (subject, given, end) = found?;
        let mut way: Vec<String> = before
            .way()
            .into_iter()
            .filter_map(|place| self.resources.get(place))
            .map(|resource| resource.path.clone())
            .collect();
        way.reverse();
        Some(Held { share, way, subject, given, end })
    }

    /// Until when these hold at least this on the resource: the latest end of all relations that give it. `None` when none does.
    pub(crate) fn until(&self, path: &str, share: Share, subjects: &HashSet<Subject>) -> Option<Until> {
        let mut latest = None;
        self.walk(path, share, |resource| {
            let strong = resource.relations.iter();
            let strong =
                strong.filter(|(subject, given, _)| *given as i32 >= share as i32 && subjects.contains(subject));
            latest = latest.max(strong.map(|(.., end)| Until::of(*end)).max());
            true
        });
        latest
    }

    /// Visits the resource and what is above it, the nearest first, over parents that let this much through, as long as `go_on`.
    fn walk(&self, path: &str, share: Share, mut go_on: impl FnMut(&Resource) -> bool) -> Walked {
        let mut walked = Walked { found_by: HashMap::new(), last: None };
        let Some(first) = self.places.get(path).copied() else { return walked };
        walked.found_by.insert(first, first);
        let mut open = VecDeque::from([first]);
        while let Some(place) = open.pop_front() {
            walked.last = Some(place);
            let resource = &self.resources[place];
            if !go_on(resource) {
                break;
            }
            for (parent, _) in resource.parents.iter().filter(|(_, most)| *most as i32 >= share as i32) {
                walked.found_by.entry(*parent).or_insert_with(|| {
                    open.push_back(*parent);
                    place
                });
            }
        }
        walked
    }

    /// Links to parents, by places; and the name at each place.
    pub(crate) fn links(&self) -> (Vec<&str>, Vec<Vec<usize>>) {
        let names = self.resources.iter().map(|resource| resource.path.as_str()).collect();
        let parents = |resource: &Resource| resource.parents.iter().map(|(parent, _)| *parent).collect();
        (names, self.resources.iter().map(parents).collect())
    }
}

/// A search: what was found by what, and where it stopped.
struct Walked {
    found_by: HashMap<usize, usize>,
    last: Option<usize>,
}

impl Walked {
    /// From where it stopped back to where it began.
    fn way(&self) -> Vec<usize> {
        let mut way: Vec<usize> = self.last.into_iter().collect();
        while let Some(before) = way.last().and_then(|place| self.found_by.get(place)).copied() {
            if way.last() == Some(&before) {
                break;
            }
            way.push(before);
        }
        way
    }
}

#[cfg(test)]
mod tests;
