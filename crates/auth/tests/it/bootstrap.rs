//! The first owner: once, with the code, and with rules.
use std::os::unix::fs::MetadataExt;

use proto::auth::v1::{self as wire, bootstrap_service_client::BootstrapServiceClient};
use tonic::Code;

use crate::{
    OPERATORS, assert_refused, bootstrap_code, complete, first_owner, operator::logged, platform, sign_in, start, users,
};

#[tokio::test]
async fn auth_h02_a_code_that_an_operator_asks_for_stands_in_the_audit_log() {
    let system = start().await;
    let (db, clock) = (crate::audit::service_db(&system).await, system.clock().clone());
    let url = "http://localhost:8080";
    let link = auth::bootstrap_code(&db, &clock, &system.data_dir().join("auth"), url).await.expect("no owner yet");
    assert_eq!(logged(&system).await, ["bootstrap.code_made"]);
    let code = auth::code_of_link(&link).expect("it holds a code");
    complete(&system, first_owner(code)).await.expect("the code is good");
    let over = auth::bootstrap_code(&db, &clock, &system.data_dir().join("auth"), url).await;
    over.expect_err("the platform has its first owner");
}

#[tokio::test]
async fn auth_h04_of_two_parallel_bootstraps_one_wins_and_afterwards_none() {
    let mut system = start().await;
    let state = |system: &testkit::System| BootstrapServiceClient::new(system.anonymous().channel("auth"));
    assert!(
        !state(&system)
            .get_bootstrap_state(wire::GetBootstrapStateRequest {})
            .await
            .expect("public")
            .into_inner()
            .completed
    );
    let code = bootstrap_code(&system).await;
    let other = wire::CompleteBootstrapRequest { email: "eve@example.com".to_owned(), ..first_owner(&code) };
    let (first, second) = tokio::join!(complete(&system, first_owner(&code)), complete(&system, other.clone()));
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1, "{first:?} {second:?}");
    let loser = if first.is_ok() { second } else { first };
    assert_refused(loser, Code::FailedPrecondition, "BOOTSTRAP_DONE");
    assert_refused(complete(&system, other.clone()).await, Code::FailedPrecondition, "BOOTSTRAP_DONE");
    system.restart().await;
    assert_refused(complete(&system, other).await, Code::FailedPrecondition, "BOOTSTRAP_DONE");
    assert!(
        state(&system)
            .get_bootstrap_state(wire::GetBootstrapStateRequest {})
            .await
            .expect("public")
            .into_inner()
            .completed
    );
    assert_eq!(system.sql("select count(*) from auth.users").await[0][0].as_deref(), Some("1"));
    assert!(!system.data_dir().join("auth/bootstrap-link").exists(), "a used link is deleted");
}

#[tokio::test]
async fn a_wrong_or_expired_code_makes_nothing_and_says_nothing_else() {
    let system = start().await;
    let code = bootstrap_code(&system).await;
    let mut wrong = first_owner("wrong");
    wrong.email = "no address".to_owned();
    assert_refused(complete(&system, wrong).await, Code::PermissionDenied, "BOOTSTRAP_CODE_INVALID");
    system.clock().advance(std::time::Duration::from_secs(15 * 60 + 1));
    assert_refused(complete(&system, first_owner(&code)).await, Code::PermissionDenied, "BOOTSTRAP_CODE_INVALID");
    assert_eq!(system.sql("select count(*) from auth.users").await[0][0].as_deref(), Some("0"));
}

#[tokio::test]
async fn the_code_survives_a_refused_first_owner() {
    let system = start().await;
    let code = bootstrap_code(&system).await;
    for (request, reason) in [
        (wire::CompleteBootstrapRequest { password: "short".to_owned(), ..first_owner(&code) }, "PASSWORD_UNFIT"),
        (
            wire::CompleteBootstrapRequest { password: "Analytical-Engines 2026".to_owned(), ..first_owner(&code) },
            "PASSWORD_UNFIT",
        ),
        (wire::CompleteBootstrapRequest { email: "ada".to_owned(), ..first_owner(&code) }, "EMAIL_INVALID"),
        (
            wire::CompleteBootstrapRequest { display_name: "\0".to_owned(), ..first_owner(&code) },
            "DISPLAY_NAME_INVALID",
        ),
        (
            wire::CompleteBootstrapRequest { organization_display_name: " ".to_owned(), ..first_owner(&code) },
            "DISPLAY_NAME_INVALID",
        ),
        (wire::CompleteBootstrapRequest { organization_id: "x".to_owned(), ..first_owner(&code) }, "FIELD_INVALID"),
        (
            wire::CompleteBootstrapRequest { organization_id: OPERATORS[14..].to_owned(), ..first_owner(&code) },
            "FIELD_INVALID",
        ),
    ] {
        assert_refused(complete(&system, request).await, Code::InvalidArgument, reason);
    }
    let chosen = "7zzzzzzzzzzzzzzzzzzzzzzzzz";
    let made =
        complete(&system, wire::CompleteBootstrapRequest { organization_id: chosen.to_owned(), ..first_owner(&code) })
            .await;
    assert_eq!(
        made.expect("the code is still good").organization.expect("made").name,
        format!("organizations/{chosen}")
    );
}

#[tokio::test]
async fn an_operator_gets_another_code_and_both_are_good() {
    let system = start().await;
    let first = bootstrap_code(&system).await;
    let settings = db::Settings::new(system.engine_url(testkit::Engine::Postgres), "auth", role_password());
    let db = db::Db::connect(&settings).await.expect("the address is valid");
    let folder = system.data_dir().join("auth");
    let link = auth::bootstrap_code(&db, system.clock(), &folder, "http://127.0.0.1:8080/")
        .await
        .expect("there is no owner yet");
    assert!(link.starts_with("http://127.0.0.1:8080/v1/bootstrap:complete#"), "{link}");
    let second = auth::code_of_link(&link).expect("it holds a code").to_owned();
    assert_ne!(first, second);
    let path = folder.join("bootstrap-link");
    assert_eq!(std::fs::read_to_string(&path).expect("written").trim(), link);
    assert_eq!(std::fs::metadata(&path).expect("written").mode() & 0o777, 0o600);
    complete(&system, first_owner(&first)).await.expect("the first code is still good");
    let refused = auth::bootstrap_code(&db, system.clock(), &folder, "http://127.0.0.1:8080")
        .await
        .expect_err("there is an owner");
    assert!(refused.to_string().contains("first owner already"), "{refused}");
}

/// Password of the service's role, derived from the root secret of all tests as the host does it.
pub(crate) fn role_password() -> String {
    let mut config = chassis::Config::defaults().expect("the defaults are valid");
    config.set("secret_key", "testkit secret that protects nothing at all").expect("it is long enough");
    chassis::engine_password(&config, testkit::Engine::Postgres, "auth").expect("a password is derived")
}

#[tokio::test]
async fn the_first_owner_owns_his_organization_and_that_of_the_operators() {
    let platform = platform().await;
    for organization in [platform.organization.as_str(), OPERATORS] {
        let signed = sign_in(&platform.system, crate::OWNER, crate::OWNER_PASSWORD, organization).await;
        let request = wire::ListOwnMembershipsRequest {
            parent: "users/me".to_owned(),
            ..wire::ListOwnMembershipsRequest::default()
        };
        let page =
            users(&platform.system, &signed).await.list_own_memberships(request).await.expect("his own").into_inner();
        assert_eq!(page.memberships.len(), 2);
        assert!(page.memberships.iter().all(|membership| membership.role() == wire::membership::Role::Owner));
    }
    let files: Vec<_> =
        ["wrapping-key", "pepper"].map(|name| platform.system.data_dir().join("auth").join(name)).into_iter().collect();
    for file in files {
        assert_eq!(std::fs::metadata(&file).expect("made at the first start").mode() & 0o777, 0o600);
    }
    let kinds = ["user.created", "organization.created", "membership.created"];
    for (kind, count) in kinds.into_iter().zip([1, 2, 2]) {
        assert_eq!(platform.system.published("auth", kind).await.len(), count, "{kind}");
    }
}
