//! All keys that sign are replaced while people work, and nobody notices: through the edge, in a process as it runs elsewhere
//! (auth.md, J10).
//!
//! A key signs ten minutes after it was announced. What those are for is that everybody has read of it by then, so the test gives the
//! keys the shortest time in which everybody has.
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    client::{Client, name},
    oauth_flows::decoded,
    person::{Person, SYSTEM, Tokens, token},
    platform::{Platform, Site},
};

/// From the announcement to the turn: the edge looks every minute, services every ten seconds.
const ANNOUNCED: &str = "90 seconds";
/// Everything that is done after the turn is done as often.
const AFTER: usize = 20;
const PATIENCE: Duration = Duration::from_secs(300);
/// People who work at the same time.
const PEOPLE: usize = 3;

#[tokio::test]
async fn auth_j10_all_keys_are_replaced_under_load_and_no_call_fails() {
    let rates = ["address", "read", "write"];
    let site = rates.iter().fold(Site::new().await, |site, rate| site.set(&format!("gateway.rate_{rate}"), "1000000"));
    let platform = Platform::start(site).await;
    let client = platform.client();
    let first = Person::first(&client, platform.site()).await;
    let operator = client.with_token(&first.tokens(&client, SYSTEM).await.access);
    let old = known(&operator).await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(first.member(&client, &format!("Worker {number}"), Some("EDITOR")).await);
    }
    let load = futures::future::join_all(people.iter().map(|person| works(&client, person)));
    let replaced = async {
        let made = operator.post("/v1/signingKeys:rotate", &json!({})).good().await;
        assert_eq!(made["signingKeys"].as_array().map(Vec::len), Some(3), "{made}");
        let turn = format!(
            "update auth.signing_keys set activate_time = now() + interval '{ANNOUNCED}' where activate_time > now()"
        );
        platform.site().sql(&turn).await;
        // Who replaces keys reads them first.
        let again = operator.post("/v1/signingKeys:rotate", &json!({})).good().await;
        assert_eq!(again["signingKeys"].as_array().map_or(0, Vec::len), 0, "{again}");
    };
    let (worked, ()) = futures::future::join(load, replaced).await;
    let operator = client.with_token(&first.tokens(&client, SYSTEM).await.access);
    let new = known(&operator).await;
    let states = |keys: &[(String, String)], state: &str| keys.iter().filter(|(_, of)| of == state).count();
    assert_eq!((states(&new, "ACTIVE"), states(&new, "RETIRING")), (3, 3), "{new:?}");
    assert!(old.iter().all(|(key, _)| new.contains(&(key.clone(), "RETIRING".to_owned()))), "{old:?} {new:?}");
    for signers in worked {
        assert_eq!(signers.len(), 2, "one key after the other signed: {signers:?}");
    }
}

/// All signing keys with their states.
async fn known(operator: &Client) -> Vec<(String, String)> {
    let listed = operator.get("/v1/signingKeys").good().await;
    let keys = listed["signingKeys"].as_array().cloned().unwrap_or_default();
    keys.iter().map(|key| (name(key).to_owned(), key["state"].as_str().unwrap_or_default().to_owned())).collect()
}

/// Somebody who works until another key signs, and a while longer. Nothing that he does fails: each token is good as soon as he has it,
/// and so is the one before it.
async fn works(client: &Client, person: &Person) -> BTreeSet<String> {
    let (mut tokens, began) = (person.tokens(client, &person.organization).await, Instant::now());
    let (mut signers, mut after) = (BTreeSet::new(), 0);
    while after < AFTER {
        assert!(began.elapsed() < PATIENCE, "only {signers:?} signed");
        let new = refreshed(client, &tokens).await;
        let before = std::mem::replace(&mut tokens, new);
        for access in [&before.access, &tokens.access] {
            does_something(&client.with_token(access), person).await;
            signers.insert(signer(access));
        }
        published(client, &signers).await;
        after += usize::from(signers.len() > 1);
    }
    signers
}

async fn refreshed(client: &Client, tokens: &Tokens) -> Tokens {
    token(client, &[("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh)]).await
}

/// A read, and a write that goes from service to service.
async fn does_something(client: &Client, person: &Person) {
    let body = json!({"title": "Meanwhile", "content": {"mediaType": "text/plain", "text": "the keys are replaced"}});
    let made = client.post(format!("/v1/{}/documents", person.organization), &body).good().await;
    let read = client.get(format!("/v1/{}", name(&made))).good().await;
    assert_eq!(read["title"], made["title"]);
    client.delete(format!("/v1/{}", name(&made))).good().await;
}

/// Whoever verifies finds the keys of all tokens where they are published.
async fn published(client: &Client, signers: &BTreeSet<String>) {
    let keys: Value = client.get("/.well-known/jwks.json").good().await;
    let keys = keys["keys"].as_array().cloned().unwrap_or_default();
    let has = |signer: &&String| keys.iter().any(|key| key["kid"] == json!(signer));
    assert!(signers.iter().all(|signer| has(&signer)), "{signers:?} are not all in {keys:?}");
}

fn signer(access: &str) -> String {
    let head = decoded(access.split('.').next().expect("a JWT"));
    head["kid"].as_str().expect("it names its key").to_owned()
}
