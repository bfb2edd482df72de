//! Search against Check (auth.md, T7): who finds a document is who may read it, and the other way round, on a random lot of members,
//! shares and deletions.
//!
//! What search leaves out stands in docs/adr/0050: custom roles count by share alone there, so nobody has one here; groups hold no shares
//! of documents at all.
use std::{collections::BTreeSet, time::Duration};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use testkit::eventually_within;

use crate::{
    client::{Client, name},
    person::Person,
    platform::{Platform, Site},
};

/// Another seed is another test.
const SEED: u64 = 20_261_126;
const DOCUMENTS: usize = 16;
const CHANGES: usize = 40;
const PATIENCE: Duration = Duration::from_secs(90);

struct Stage {
    organization: String,
    owner: Client,
    /// Member and his way in: a viewer, an editor, two without a role.
    members: Vec<(Person, Client)>,
    documents: Vec<String>,
}

impl Stage {
    async fn new(platform: &Platform) -> Stage {
        let client = platform.client();
        let owner = Person::first(&client, platform.site()).await;
        let (by_owner, organization) = (owner.sign_in(&client).await, owner.organization.clone());
        let mut members = Vec::new();
        for role in [Some("VIEWER"), Some("EDITOR"), None, None] {
            let member = owner.member(&client, "Member", role).await;
            let signed = member.sign_in(&client).await;
            members.push((member, signed));
        }
        let mut documents = Vec::new();
        for number in 0..DOCUMENTS {
            let body = json!({"title": format!("agreed {number}")});
            let made = by_owner.post(format!("/v1/{organization}/documents"), &body).good().await;
            documents.push(name(&made).to_owned());
        }
        Stage { organization, owner: by_owner, members, documents }
    }

    /// A share given, ended or made for a moment, a document deleted or taken back, a membership that ends.
    async fn change(&self, random: &mut StdRng) {
        let document = &self.documents[random.random_range(0..DOCUMENTS)];
        let principal = match random.random_range(0..5) {
            4 if random.next_u32().is_multiple_of(4) => format!("{}#member", self.organization),
            number => self.members[number.min(3)].0.user.clone(),
        };
        match random.random_range(0..10) {
            0..6 => {
                let role = ["READER", "COMMENTER", "WRITER", "KEEPER"][random.random_range(0..4)];
                let grant = json!({"principal": principal, "role": role});
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
            _ => drop(self.owner.post(format!("/v1/{document}:undelete"), &json!({})).send().await),
        }
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
