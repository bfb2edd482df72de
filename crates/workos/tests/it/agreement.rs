//! Search against Check (auth.md, T7): who finds a document is who may read it, and the other way round, on a random lot of members,
//! groups within groups, roles, links, shares and deletions.
use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use testkit::eventually_within;

use crate::{
    client::{Client, name, tomorrow},
    person::Person,
    platform::{Platform, Site},
};

/// Another seed is another test.
const SEED: u64 = 20_261_126;
const DOCUMENTS: usize = 16;
const GROUPS: usize = 5;
const LINKS: usize = 3;
const CHANGES: usize = 120;
/// Which of the members has the role of the organization's own.
const ARCHIVIST: usize = 2;
const PATIENCE: Duration = Duration::from_secs(90);

struct Stage {
    organization: String,
    owner: Client,
    /// Member and his way in: a viewer, an editor, one with a role of the organization's own, four without a role.
    members: Vec<(Person, Client)>,
    documents: Vec<String>,
    /// A role that allows to read all documents, or nothing that matters here.
    role: String,
    /// Groups that are there.
    groups: Mutex<Vec<String>>,
    /// Links that are there, with their secrets.
    links: Mutex<Vec<(String, String)>>,
}

impl Stage {
    async fn new(platform: &Platform) -> Stage {
        let client = platform.client();
        let owner = Person::first(&client, platform.site()).await;
        let (by_owner, organization) = (owner.sign_in(&client).await, owner.organization.clone());
        let body = json!({"displayName": "Archivist", "permissions": ["document:read"]});
        let role = by_owner.post(format!("/v1/{organization}/customRoles"), &body).good().await;
        let mut members = Vec::new();
        for built_in in [Some("VIEWER"), Some("EDITOR"), None, None, None, None, None] {
            let member = owner.member(&client, "Member", built_in).await;
            if members.len() == ARCHIVIST {
                give_role(&by_owner, &member, name(&role)).await;
            }
            let signed = member.sign_in(&client).await;
            members.push((member, signed));
        }
        let mut documents = Vec::new();
        for number in 0..DOCUMENTS {
            let body = json!({"title": format!("agreed {number}")});
            let made = by_owner.post(format!("/v1/{organization}/documents"), &body).good().await;
            documents.push(name(&made).to_owned());
        }
        let role = name(&role).to_owned();
        let (groups, links) = (Mutex::default(), Mutex::default());
        let stage = Stage { organization, owner: by_owner, members, documents, role, groups, links };
        for _ in 0..GROUPS {
            stage.make_group().await;
        }
        for _ in 0..LINKS {
            stage.make_link().await;
        }
        stage
    }

    async fn make_group(&self) {
        let path = format!("/v1/{}/groups", self.organization);
        let made = self.owner.post(path, &json!({"displayName": "Group"})).good().await;
        self.groups.lock().expect("not poisoned").push(name(&made).to_owned());
    }

    async fn make_link(&self) {
        let body = json!({"displayName": "Link", "expireTime": tomorrow()});
        let made = self.owner.post(format!("/v1/{}/links", self.organization), &body).good().await;
        let secret = made["secret"].as_str().expect("it is shown once").to_owned();
        self.links.lock().expect("not poisoned").push((name(&made).to_owned(), secret));
    }

    fn link(&self, random: &mut StdRng) -> (String, String) {
        let links = self.links.lock().expect("not poisoned");
        links[random.random_range(0..links.len())].clone()
    }

    fn group(&self, random: &mut StdRng) -> String {
        let groups = self.groups.lock().expect("not poisoned");
        groups[random.random_range(0..groups.len())].clone()
    }

    /// A share given or ended, a document deleted or taken back, a group filled, emptied or ended, a link opened or ended, a role changed.
    async fn change(&self, random: &mut StdRng) {
        let document = &self.documents[random.random_range(0..DOCUMENTS)];
        match random.random_range(0..20) {
            16..19 => {
                let (link, secret) = self.link(random);
                let by = &self.members[random.random_range(0..self.members.len())].1;
                by.post(format!("/v1/{link}:open"), &json!({"secret": secret})).good().await;
            }
            19 => {
                let (link, _) = self.link(random);
                self.owner.delete(format!("/v1/{link}")).good().await;
                self.links.lock().expect("not poisoned").retain(|(there, _)| *there != link);
                self.make_link().await;
            }
            0..6 => {
                let role = ["READER", "COMMENTER", "WRITER", "KEEPER"][random.random_range(0..4)];
                let grant = json!({"principal": self.principal(random), "role": role});
                // A deleted document takes none.
                self.owner.post(format!("/v1/{document}/grants"), &grant).send().await;
            }
            6..8 => {
                let grants = self.owner.get(format!("/v1/{document}/grants")).send().await.json();
                if let Some(grant) = grants["grants"].as_array().and_then(|all| all.first()) {
                    self.owner.delete(format!("/v1/{}", name(grant))).good().await;
                }
            }
            8 => drop(self.owner.delete(format!("/v1/{document}")).send().await),
            9 => drop(self.owner.post(format!("/v1/{document}:undelete"), &json!({})).send().await),
            10..13 => self.regroup(random, "addMembers").await,
            13 => self.regroup(random, "removeMembers").await,
            14 => {
                let group = self.group(random);
                self.owner.delete(format!("/v1/{group}")).good().await;
                self.groups.lock().expect("not poisoned").retain(|there| *there != group);
                self.make_group().await;
            }
            _ => {
                let permission = ["document:read", "folder:read"][random.random_range(0..2)];
                let body = json!({"permissions": [permission]});
                self.owner.patch(format!("/v1/{}", self.role), &body).good().await;
            }
        }
    }

    fn principal(&self, random: &mut StdRng) -> String {
        match random.random_range(0..14) {
            8..11 => format!("{}#holder", self.link(random).0),
            11 => format!("{}#member", self.role),
            12 => format!("{}#viewer", self.organization),
            13 => format!("{}#editor", self.organization),
            0..4 => format!("{}#member", self.group(random)),
            4 if random.next_u32().is_multiple_of(4) => format!("{}#member", self.organization),
            number => self.members[number.min(self.members.len() - 1)].0.user.clone(),
        }
    }

    /// Members and groups come into a group or leave it; what would make a circle or nest too deep is refused.
    async fn regroup(&self, random: &mut StdRng, verb: &str) {
        let member = match random.random_range(0..2) {
            0 => self.group(random),
            _ => self.members[random.random_range(0..self.members.len())].0.user.clone(),
        };
        let path = format!("/v1/{}:{verb}", self.group(random));
        self.owner.post(path, &json!({"members": [member]})).send().await;
    }

    /// What a search without words finds.
    async fn found(&self, by: &Client) -> BTreeSet<String> {
        let path = format!("/v1/{}:search?pageSize=100&types=document", self.organization);
        let answer = by.get(path).good().await;
        answer["results"].as_array().into_iter().flatten().map(|made| name(made).to_owned()).collect()
    }

    /// What Check allows him to read, of what is not deleted.
    async fn allowed(&self, user: &str) -> BTreeSet<String> {
        let items: Vec<_> = self
            .documents
            .iter()
            .map(|document| json!({"subject": user, "permission": "document:read", "resource": document}))
            .collect();
        let path = format!("/v1/{}:batchCheck", self.organization);
        let answer = self.owner.post(path, &json!({"items": items})).good().await;
        let allowed = answer["items"].as_array().cloned().unwrap_or_default();
        assert_eq!(allowed.len(), DOCUMENTS, "{answer}");
        let live = self.owner.get(format!("/v1/{}/documents?pageSize=1000", self.organization)).good().await;
        let live: BTreeSet<_> =
            live["documents"].as_array().into_iter().flatten().map(|made| name(made).to_owned()).collect();
        let pairs = self.documents.iter().zip(allowed).filter(|(_, answer)| answer["allowed"] == json!(true));
        pairs.map(|(document, _)| document.clone()).filter(|document| live.contains(document)).collect()
    }

    /// What the owner of the documents lets him get.
    async fn gets(&self, by: &Client) -> BTreeSet<String> {
        let mut got = BTreeSet::new();
        for document in &self.documents {
            let answer = by.get(format!("/v1/{document}")).send().await;
            if answer.status.is_success() && answer.json()["state"] == json!("ACTIVE") {
                got.insert(document.clone());
            }
        }
        got
    }
}

async fn give_role(owner: &Client, member: &Person, role: &str) {
    let path = format!("/v1/{}/memberships?pageSize=1000", member.organization);
    let all = owner.get(path).good().await;
    let all = all["memberships"].as_array().cloned().unwrap_or_default();
    let membership = all.iter().find(|membership| membership["user"] == json!(member.user)).expect("he is a member");
    owner.patch(format!("/v1/{}", name(membership)), &json!({"customRoles": [role]})).good().await;
}

#[tokio::test]
async fn t7_who_finds_a_document_is_who_may_read_it_by_check_and_by_its_owner() {
    let platform =
        Platform::start(Site::new().await.set("gateway.rate_heavy", "10000").set("gateway.rate_write", "10000")).await;
    let stage = Stage::new(&platform).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut differing = BTreeSet::new();
    for _ in 0..4 {
        for _ in 0..CHANGES / 4 {
            stage.change(&mut random).await;
        }
        for (member, signed) in &stage.members {
            let agreed = || async {
                let (found, allowed, gets) =
                    (stage.found(signed).await, stage.allowed(&member.user).await, stage.gets(signed).await);
                if found == allowed && allowed == gets { Ok(found) } else { Err((found, allowed, gets)) }
            };
            differing.insert(eventually_within(PATIENCE, "search, Check and the documents agree", agreed).await);
        }
    }
    assert!(differing.len() > 5, "the members may read different things: {}", differing.len());
}
