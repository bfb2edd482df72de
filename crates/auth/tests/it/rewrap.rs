//! Another wrapping key: everything that is sealed is sealed anew, and nobody notices.
use std::time::Duration;

use proto::auth::v1::{continue_login_request::Answer, login_step::Step};

use crate::{
    OWNER, exchange,
    factor::{self, enrolled, shown},
    operator::{logged, operator},
    social::social,
};

/// Another key: 32 bytes of ones.
const NEW: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn keys(present: &str, before: &str) -> auth::Config {
    let (wrapping_key, previous_wrapping_key) = (chassis::Secret::new(present), chassis::Secret::new(before));
    auth::Config { wrapping_key, previous_wrapping_key, ..auth::Config::default() }
}

fn counts(done: &[auth::Rewrapped]) -> Vec<(&str, usize, usize, usize)> {
    done.iter().map(|done| (done.what, done.renewed, done.seen, done.closed.len())).collect()
}

#[tokio::test]
async fn everything_is_sealed_anew_and_goes_on_under_another_wrapping_key() {
    let mut social = social().await;
    let bob = enrolled(&social.platform).await;
    let path = social.platform.system.data_dir().join("auth/wrapping-key");
    let old = std::fs::read_to_string(&path).expect("made at the first start");
    let system = &social.platform.system;
    let both = operator(system, keys(NEW, old.trim())).await;
    let done = both.rewrap().await.expect("the database is there");
    let wanted = [("signing keys", 4, 4, 0), ("second factors", 1, 1, 0), ("secrets of identity providers", 1, 1, 0)];
    assert_eq!(counts(&done), wanted);
    let again = both.rewrap().await.expect("the database is there");
    assert_eq!(counts(&again), wanted.map(|(what, _, seen, closed)| (what, 0, seen, closed)), "nothing is left to do");
    assert_eq!(logged(system).await, ["secrets.rewrapped"; 3]);
    operator(system, keys(old.trim(), "")).await.rotate_keys().await.expect_err("the old key opens nothing any more");
    std::fs::write(&path, NEW).expect("the folder is ours");
    social.platform.system.restart().await;
    let system = &social.platform.system;
    exchange(system, &bob.signed.access).await.expect("signed by a key that is sealed anew");
    social.issuer.person("1", OWNER, Some(true));
    social.round().await.expect("the same secret for the provider");
    system.clock().advance(Duration::from_secs(30));
    let waits = factor::waiting(&social.platform, &bob).await;
    let code = Answer::Totp(shown(system, &bob.secret, 0));
    let step = factor::answer(system, &waits, code).await.expect("the same app").step;
    assert!(matches!(step, Some(Step::Done(_))));
}

#[tokio::test]
async fn what_neither_key_opens_is_named_and_left_as_it_is() {
    let social = social().await;
    let system = &social.platform.system;
    let before = system.sql("select sealed_secret::text from auth.identity_providers").await;
    let stranger = operator(system, keys(NEW, "")).await;
    let done = stranger.rewrap().await.expect("the database is there");
    let wanted = [("signing keys", 0, 4, 4), ("second factors", 0, 0, 0), ("secrets of identity providers", 0, 1, 1)];
    assert_eq!(counts(&done), wanted);
    let told = done[2].to_string();
    assert!(told.contains("neither") && told.contains(&social.provider), "{told}");
    assert_eq!(system.sql("select sealed_secret::text from auth.identity_providers").await, before);
    assert!(logged(system).await.is_empty());
}
