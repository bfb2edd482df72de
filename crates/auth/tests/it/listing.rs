//! Lists against Check, on random graphs, in both directions; and both against a plain model of what relations mean.
use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    collection::{btree_set, vec},
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use proto::auth::v1::{self as wire, membership::Role, relation::Kind, write_relations_request::Update};

use crate::{
    Platform, Signed,
    group::{add, group, remove},
    link::{link, open},
    platform,
    relation::{authorization, object, relation, write},
    role::{give, made},
};

/// Random graphs; each brings some forty relations.
const GRAPHS: usize = 12;
const USERS: usize = 4;
const GROUPS: usize = 3;
const OBJECTS: usize = 14;
/// Numbers stand for users, then groups, then everybody, then whom these words name.
const EVERYBODY: usize = USERS + GROUPS;
const VIEWERS: usize = EVERYBODY + 1;
const EDITORS: usize = VIEWERS + 1;
const ROLES: [usize; 2] = [EDITORS + 1, EDITORS + 2];
const LINKS: [usize; 2] = [EDITORS + 3, EDITORS + 4];
const SUBJECTS: usize = EDITORS + 5;
/// What each user is beside himself in every graph: by a built-in role, by roles of the organization's own, by links.
const FIXED: [&[usize]; USERS] = [&[LINKS[0]], &[ROLES[0]], &[ROLES[0], ROLES[1], LINKS[0], LINKS[1]], &[VIEWERS]];
const PERMISSIONS: [(&str, Kind); 4] = [
    ("object:read", Kind::Viewer),
    ("object:comment", Kind::Commenter),
    ("object:write", Kind::Editor),
    ("object:share", Kind::Owner),
];

#[derive(Debug)]
struct Graph {
    /// Group and member: a user, or a group with a higher number.
    members: BTreeSet<(usize, usize)>,
    /// Resource and parent, which has a lower number.
    parents: BTreeSet<(usize, usize)>,
    /// Resource, subject, strength from 1 to 4.
    relations: BTreeSet<(usize, usize, i32)>,
}

fn graphs() -> impl Strategy<Value = Graph> {
    let members = btree_set((0..GROUPS, 0..USERS + GROUPS), 0..8);
    let parents = btree_set((1..OBJECTS, 0..OBJECTS), 4..26);
    let relations = vec((0..OBJECTS, 0..SUBJECTS, 1..5), 5..20);
    (members, parents, relations).prop_map(|(members, parents, relations)| Graph {
        members: members.into_iter().filter(|(group, member)| *member < USERS || member - USERS > *group).collect(),
        parents: parents.into_iter().filter(|(object, parent)| parent < object).collect(),
        // Everybody is seldom given something, else all is allowed.
        relations: relations
            .into_iter()
            .filter(|(object, subject, _)| *subject != EVERYBODY || *object % 7 == 0)
            .collect(),
    })
}

impl Graph {
    fn subjects_of(&self, user: usize) -> BTreeSet<usize> {
        let mut subjects: BTreeSet<_> = [user, EVERYBODY].into_iter().chain(FIXED[user].iter().copied()).collect();
        loop {
            let more: BTreeSet<_> = self
                .members
                .iter()
                .filter(|(group, member)| subjects.contains(member) && !subjects.contains(&(USERS + group)))
                .map(|(group, _)| USERS + group)
                .collect();
            if more.is_empty() {
                return subjects;
            }
            subjects.extend(more);
        }
    }

    fn allows(&self, user: usize, strength: i32, object: usize) -> bool {
        let subjects = self.subjects_of(user);
        if subjects.contains(&VIEWERS) && strength == Kind::Viewer as i32 {
            return true;
        }
        let mut open = vec![object];
        while let Some(object) = open.pop() {
            let holds = |(on, subject, given): &(usize, usize, i32)| {
                *on == object && subjects.contains(subject) && *given >= strength
            };
            if self.relations.iter().any(holds) {
                return true;
            }
            open.extend(self.parents.iter().filter(|(below, _)| *below == object).map(|(_, parent)| *parent));
        }
        false
    }

    fn known(&self) -> BTreeSet<usize> {
        let tied = self.parents.iter().flat_map(|(object, parent)| [*object, *parent]);
        tied.chain(self.relations.iter().map(|(object, ..)| *object)).collect()
    }
}

struct Stage {
    platform: Platform,
    owner: Signed,
    users: Vec<String>,
    groups: Vec<String>,
    roles: Vec<String>,
    links: Vec<String>,
}

impl Stage {
    async fn new() -> Self {
        let platform = platform().await;
        let owner = platform.owner().await;
        let (mut users, mut groups, mut roles, mut links) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for number in 0..GROUPS {
            groups.push(group(&platform, &owner, &format!("group{number}")).await.name);
        }
        for _ in ROLES {
            roles.push(made(&platform, &owner, &["folder:read"]).await.expect("the owner may").name);
        }
        for _ in LINKS {
            links.push(link(&platform, &owner, 60).await.expect("every member may"));
        }
        for (number, fixed) in FIXED.iter().enumerate() {
            let built_in = if fixed.contains(&VIEWERS) { Role::Viewer } else { Role::Unspecified };
            let (user, signed) = platform.signed_user(&owner, &format!("user{number}"), built_in).await;
            for (link, _) in links.iter().zip(LINKS).filter(|(_, link)| fixed.contains(link)) {
                open(&platform, &signed, &link.name, &link.secret).await.expect("it is the secret");
            }
            let his = roles.iter().zip(ROLES).filter(|(_, role)| fixed.contains(role));
            let his: Vec<_> = his.map(|(role, _)| role.as_str()).collect();
            give(&platform, &owner, &user.name, &owner, &his).await.expect("the owner may");
            users.push(user.name);
        }
        let links = links.into_iter().map(|link| link.name).collect();
        Self { platform, owner, users, groups, roles, links }
    }

    fn subject(&self, number: usize) -> String {
        let organization = &self.platform.organization;
        match number {
            user if user < USERS => self.users[user].clone(),
            group if group < EVERYBODY => format!("{}#member", self.groups[group - USERS]),
            VIEWERS => format!("{organization}#viewer"),
            EDITORS => format!("{organization}#editor"),
            role if ROLES.contains(&role) => format!("{}#member", self.roles[role - ROLES[0]]),
            link if LINKS.contains(&link) => format!("{}#holder", self.links[link - LINKS[0]]),
            _ => format!("{organization}#member"),
        }
    }

    async fn fill_groups(&self, graph: &Graph) {
        let name = |member: usize| if member < USERS { &self.users[member] } else { &self.groups[member - USERS] };
        for (number, group) in self.groups.iter().enumerate() {
            let everybody: Vec<&str> = self.users.iter().chain(&self.groups).map(String::as_str).collect();
            remove(&self.platform, &self.owner, group, &everybody).await;
            let members: Vec<&str> = graph
                .members
                .iter()
                .filter(|(of, _)| *of == number)
                .map(|(_, member)| name(*member).as_str())
                .collect();
            if !members.is_empty() {
                add(&self.platform, &self.owner, group, &members).await.expect("three levels at most");
            }
        }
    }

    async fn write(&self, graph: &Graph, names: &[String]) {
        let parents =
            graph.parents.iter().map(|(object, parent)| relation(&names[*object], Kind::Parent, &names[*parent]));
        let held = graph.relations.iter().map(|(object, subject, strength)| {
            relation(&names[*object], Kind::try_from(*strength).expect("1 to 4"), &self.subject(*subject))
        });
        let updates: Vec<Update> = parents.chain(held).map(write).collect();
        let request =
            wire::WriteRelationsRequest { updates, parent: self.platform.organization.clone(), ..Default::default() };
        authorization(&self.platform, &self.owner).await.write_relations(request).await.expect("the owner may");
    }

    async fn resources(&self, user: usize, permission: &str, kind: &str) -> Vec<String> {
        let mut client = authorization(&self.platform, &self.owner).await;
        let mut request = wire::ListResourcesRequest {
            parent: self.platform.organization.clone(),
            subject: self.users[user].clone(),
            permission: permission.to_owned(),
            r#type: format!("objectTypes/{kind}/objects"),
            page_size: 2,
            ..Default::default()
        };
        let mut found = Vec::new();
        loop {
            let page = client.list_resources(request.clone()).await.expect("the owner may").into_inner();
            assert!(page.resources.len() <= 2);
            found.extend(page.resources);
            if page.next_page_token.is_empty() {
                return found;
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn subjects(&self, permission: &str, resource: &str) -> Vec<String> {
        let mut client = authorization(&self.platform, &self.owner).await;
        let mut request = wire::ListSubjectsRequest {
            parent: self.platform.organization.clone(),
            permission: permission.to_owned(),
            resource: resource.to_owned(),
            page_size: 2,
            ..Default::default()
        };
        let mut found = Vec::new();
        loop {
            let page = client.list_subjects(request.clone()).await.expect("the owner may").into_inner();
            found.extend(page.subjects);
            if page.next_page_token.is_empty() {
                return found;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Who may do what, by Check: user and resource.
    async fn checked(&self, permission: &str, names: &[String]) -> BTreeSet<(usize, usize)> {
        let pairs: Vec<_> = (0..USERS).flat_map(|user| (0..OBJECTS).map(move |object| (user, object))).collect();
        let item = |(user, object): &(usize, usize)| wire::batch_check_request::Item {
            subject: self.users[*user].clone(),
            permission: permission.to_owned(),
            resource: names[*object].clone(),
        };
        let request = wire::BatchCheckRequest {
            parent: self.platform.organization.clone(),
            items: pairs.iter().map(item).collect(),
            at_least: String::new(),
        };
        let mut client = authorization(&self.platform, &self.owner).await;
        let answer = client.batch_check(request).await.expect("the owner may").into_inner();
        pairs.into_iter().zip(answer.items).filter(|(_, item)| item.allowed).map(|(pair, _)| pair).collect()
    }
}

#[tokio::test]
async fn auth_t07_lists_are_what_check_allows_in_both_directions() {
    let stage = Stage::new().await;
    let mut runner = TestRunner::deterministic();
    for number in 0..GRAPHS {
        let graph = graphs().new_tree(&mut runner).expect("it generates").current();
        // Two types, so that what is listed lies below and above what is not.
        let kinds = [format!("even{number}"), format!("odd{number}")];
        let names: Vec<_> = (0..OBJECTS)
            .map(|object_number| object(&stage.platform, &kinds[object_number % 2], &format!("o{object_number:02}")))
            .collect();
        stage.fill_groups(&graph).await;
        stage.write(&graph, &names).await;
        let known = graph.known();
        for (permission, strength) in PERMISSIONS {
            let checked = stage.checked(permission, &names).await;
            let meant: BTreeSet<_> = (0..USERS)
                .flat_map(|user| (0..OBJECTS).map(move |object| (user, object)))
                .filter(|(user, object)| graph.allows(*user, strength as i32, *object))
                .collect();
            assert_eq!(checked, meant, "{permission} {graph:?}");
            for user in 0..USERS {
                let mut listed = BTreeMap::new();
                for kind in &kinds {
                    for name in stage.resources(user, permission, kind).await {
                        *listed.entry(name).or_insert(0) += 1;
                    }
                }
                let expected: BTreeMap<_, _> = checked
                    .iter()
                    .filter(|(of, object)| *of == user && known.contains(object))
                    .map(|(_, object)| (names[*object].clone(), 1))
                    .collect();
                assert_eq!(listed, expected, "user {user} {permission} {graph:?}");
            }
            for (object_number, name) in names.iter().enumerate() {
                let mut listed: BTreeSet<_> = stage.subjects(permission, name).await.into_iter().collect();
                // The owner of the organization may by role.
                assert!(listed.remove(&stage.platform.owner));
                let expected: BTreeSet<_> = checked
                    .iter()
                    .filter(|(_, of)| *of == object_number)
                    .map(|(user, _)| stage.users[*user].clone())
                    .collect();
                assert_eq!(listed, expected, "{name} {permission} {graph:?}");
            }
        }
        let by_role = stage.of_owner(&kinds).await;
        assert_eq!(by_role.len(), known.len(), "by role all that is known: {graph:?}");
    }
}

impl Stage {
    /// What the owner of the organization may read, by role.
    async fn of_owner(&self, kinds: &[String]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for kind in kinds {
            let request = wire::ListResourcesRequest {
                parent: self.platform.organization.clone(),
                permission: "object:read".to_owned(),
                r#type: format!("objectTypes/{kind}/objects"),
                page_size: 1000,
                ..Default::default()
            };
            let mut client = authorization(&self.platform, &self.owner).await;
            found.extend(client.list_resources(request).await.expect("he may").into_inner().resources);
        }
        found
    }
}
