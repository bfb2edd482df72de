//! What an operator does at the machine: locked accounts, signing keys. Beside a service that runs, with its database and secrets.
use std::time::Duration;

use proto::auth::v1::{self as wire, continue_login_request::Answer, login_step::Step, membership::Role};
use testkit::{System, eventually};
use tonic::Code;

use crate::{
    OWNER, OWNER_PASSWORD, assert_refused, exchange,
    factor::{self, enrolled},
    keys::{kid, published},
    lockout::failures,
    mail::notices,
    meanwhile::{COMMIT, while_it_waits},
    password_of, platform, refresh_grant, sign_in, token, try_password, try_password_on, users,
};

pub(crate) async fn operator(system: &System, config: auth::Config) -> auth::Operator {
    let (db, folder) = (crate::audit::service_db(system).await, system.data_dir().join("auth"));
    let (clock, profile) = (system.clock().clone(), chassis::Profile::Dev);
    auth::Operator::open(db, clock, config, profile, &folder, "http://localhost:8080").expect("its secrets are there")
}

/// The actions that an operator's entries of the log name.
pub(crate) async fn logged(system: &System) -> Vec<String> {
    let rows =
        system.sql("select action from auth.audit_event where actor = 'operators/local' order by audit_id").await;
    rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect()
}

#[tokio::test]
async fn auth_p06_an_operator_unlocks_an_account_and_its_owner_signs_in_at_once() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = enrolled(&platform).await;
    let email = bob.user.email.as_str();
    let waits = factor::waiting(&platform, &bob).await;
    for _ in 0..5 {
        let wrong = factor::answer(system, &waits, Answer::RecoveryCode("aaaa-aaaa-aaaa-aaaa".to_owned())).await;
        assert_refused(wrong, Code::Unauthenticated, "FACTOR_REFUSED");
        try_password(system, email, "wrong but long enough").await.expect_err("wrong");
        try_password(system, OWNER, "wrong but long enough").await.expect_err("wrong");
    }
    let right = crate::password_of("bob");
    assert_refused(try_password(system, email, &right).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    assert_eq!(failures(&platform).await, [5, 5, 5]);
    let operator = operator(system, auth::Config::default()).await;
    operator.unlock(&email.to_uppercase()).await.expect("there is such an account");
    assert_eq!(failures(&platform).await, [5], "the owner's are his own");
    try_password(system, email, &right).await.expect("unlocked");
    let recovery = Answer::RecoveryCode(bob.recovery[0].clone());
    factor::answer(system, &waits, recovery).await.expect("unlocked");
    let unknown = operator.unlock("nobody@example.com").await.expect_err("there is none").to_string();
    assert!(unknown.contains("nobody@example.com"), "{unknown}");
    assert_eq!(logged(system).await, ["user.unlocked"]);
}

#[tokio::test]
async fn auth_p07_an_operator_unlocks_a_known_device_too() {
    let platform = platform().await;
    let system = &platform.system;
    let mark = crate::lockout::sign_in_fully(&platform, "").await;
    for _ in 0..5 {
        try_password_on(system, &mark, OWNER, "wrong but long enough").await.expect_err("wrong");
    }
    let locked = try_password_on(system, &mark, OWNER, OWNER_PASSWORD).await;
    assert_refused(locked, Code::Unauthenticated, "SIGN_IN_REFUSED");
    operator(system, auth::Config::default()).await.unlock(OWNER).await.expect("there is such an account");
    try_password_on(system, &mark, OWNER, OWNER_PASSWORD).await.expect("unlocked");
}

#[tokio::test]
async fn auth_p18_what_an_operator_has_disabled_no_organization_enables() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let operator = operator(system, auth::Config::default()).await;
    let mut client = users(system, &owner).await;
    let (disable, enable) =
        (wire::DisableUserRequest { name: bob.name.clone() }, wire::EnableUserRequest { name: bob.name.clone() });
    client.disable_user(disable.clone()).await.expect("it manages him");
    operator.disable(&bob.email, true).await.expect("there is such an account");
    let refused = client.enable_user(enable.clone()).await.expect_err("not for an organization");
    assert!(refused.message().contains("whoever runs the platform"), "{}", refused.message());
    assert_refused::<()>(Err(refused), Code::PermissionDenied, "ACCESS_DENIED");
    let link = operator.reset_password(&bob.email).await.expect_err("it would lead nowhere").to_string();
    assert!(link.contains("workos admin enable"), "{link}");
    operator.disable(&bob.email, false).await.expect("there is such an account");
    sign_in(system, &bob.email, &password_of("bob"), "").await;
    client.disable_user(disable).await.expect("it manages him");
    client.enable_user(enable).await.expect("its own");
    sign_in(system, &bob.email, &password_of("bob"), "").await;
    assert_eq!(logged(system).await, ["user.disabled", "user.enabled"]);
}

#[tokio::test]
async fn auth_p18_an_operator_takes_lost_factors_of_an_account() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = enrolled(&platform).await;
    let operator = operator(system, auth::Config::default()).await;
    operator.reset_factors(&bob.user.email).await.expect("there is such an account");
    assert_refused(exchange(system, &bob.signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let step = try_password(system, &bob.user.email, &password_of("bob")).await.expect("right").step;
    assert!(matches!(step, Some(Step::Done(_))), "no second factor is asked for any more");
    let told = notices(system, 2).await;
    assert_eq!(told, vec![("NOTICE_FACTORS_CHANGED".to_owned(), bob.user.email.clone()); 2], "enrolled, and taken");
    assert_eq!(system.published("auth", "mfa_factor.deleted").await.len(), 2, "the app and the codes");
    let again = operator.reset_factors(&bob.user.email).await.expect_err("there is none").to_string();
    assert!(again.contains("reset-password"), "{again}");
    assert_eq!(logged(system).await, ["user.factors_reset"]);
}

#[tokio::test]
async fn auth_j09_j10_an_operator_rotates_keys_and_no_token_fails() {
    let mut platform = platform().await;
    let before = published(&platform.system).await;
    let operator = operator(&platform.system, auth::Config::default()).await;
    let made = operator.rotate_keys().await.expect("his secrets open the keys");
    assert!(made.len() == 3 && made.iter().all(|successor| successor.is_new), "{made:?}");
    let again = operator.rotate_keys().await.expect("his secrets open the keys");
    assert!(again.iter().all(|successor| !successor.is_new), "{again:?}");
    let kids = |all: &[auth::Successor]| all.iter().map(|successor| successor.kid.clone()).collect::<Vec<_>>();
    assert_eq!(kids(&made), kids(&again), "one is on its way");
    // Services that run look every minute; one that starts looks at once.
    platform.system.restart().await;
    let system = &platform.system;
    assert_eq!(published(system).await.len(), 2, "published before it signs");
    let mut signed = platform.owner().await;
    assert_eq!(kid(&signed.access), before[0]);
    let mut minutes = 0;
    while kid(&signed.access) == before[0] {
        assert!(minutes < 11, "the successor signs after ten minutes");
        let old = signed.access.clone();
        system.clock().advance(Duration::from_secs(60));
        exchange(system, &old).await.expect("a token of the old key lives until it ends");
        signed = token(system, refresh_grant(&signed.refresh)).await.expect("the session goes on");
        exchange(system, &old).await.expect("beside one of the new key too");
        minutes += 1;
    }
    assert!(made.iter().any(|successor| successor.kid == kid(&signed.access)), "the announced one signs");
    exchange(system, &signed.access).await.expect("and what it signs is good");
    let logged = logged(system).await;
    assert_eq!(logged.iter().filter(|action| *action == "signing_key.created").count(), 3, "{logged:?}");
    assert_eq!(logged.iter().filter(|action| *action == "signing_keys.rotated").count(), 2, "{logged:?}");
}

#[tokio::test]
async fn auth_b03_an_operator_revokes_a_key_and_services_that_run_hear_of_it() {
    let platform = platform().await;
    let system = &platform.system;
    let signed = platform.owner().await;
    let operator = operator(system, auth::Config::default()).await;
    let edge = kid(&signed.access);
    let listed = operator.keys().await.expect("the database is there");
    assert!(listed.len() == 3 && listed.iter().any(|key| key.starts_with(&edge)), "{listed:?}");
    let successor = operator.revoke_key(&edge).await.expect("there is such a key").expect("one signs at once");
    eventually("the service has heard of it", || async {
        exchange(system, &signed.access).await.is_err().then_some(())
    })
    .await;
    // The entry is read with each exchange; the keys are opened again once the event is heard.
    eventually("the successor signs", || async {
        let next = token(system, refresh_grant(&signed.refresh)).await.expect("the session goes on");
        (kid(&next.access) == successor).then_some(())
    })
    .await;
    let unknown = operator.revoke_key("nothing").await.expect_err("there is none").to_string();
    assert!(unknown.contains("keys list"), "{unknown}");
    assert_eq!(logged(system).await, ["signing_key.created", "signing_key.revoked"]);
}

#[tokio::test]
async fn an_operator_with_another_wrapping_key_rotates_nothing() {
    let platform = platform().await;
    let system = &platform.system;
    let wrapping_key = chassis::Secret::new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let operator = operator(system, auth::Config { wrapping_key, ..auth::Config::default() }).await;
    let refused = operator.rotate_keys().await.expect_err("the keys do not open").to_string();
    assert!(refused.contains("wrapping_key"), "{refused}");
    let keys = system.sql("select count(*) from auth.signing_keys").await;
    assert_eq!(keys[0][0].as_deref(), Some("4"), "none was made that the services could not open");
    sign_in(system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    assert!(logged(system).await.is_empty());
}

#[tokio::test]
async fn auth_p18_an_organization_that_enables_while_an_operator_disables_enables_nobody() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let operator = operator(system, auth::Config::default()).await;
    let mut client = users(system, &owner).await;
    client.disable_user(wire::DisableUserRequest { name: bob.name.clone() }).await.expect("it manages him");
    let enable = client.enable_user(wire::EnableUserRequest { name: bob.name.clone() });
    let disable = Box::pin(operator.disable(&bob.email, true));
    let (disabled, enabled) = while_it_waits(system, COMMIT, disable, enable).await;
    disabled.expect("there is such an account");
    assert_refused(enabled, Code::PermissionDenied, "ACCESS_DENIED");
    let state = system.sql("select state, disabled_by_operator from auth.users where email = 'bob@example.com'").await;
    assert_eq!(state, [[Some("2".to_owned()), Some("t".to_owned())]]);
}
