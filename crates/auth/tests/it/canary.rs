//! Secrets that went through every flow stand in no table, no event, no entry of the audit log and no error.
use proto::auth::v1::{self as wire, key_service_client::KeyServiceClient, membership::Role};

use crate::{
    OWNER_PASSWORD, channel, exchange,
    link::{link, open},
    mail, password_of, platform, refresh_grant, sign_in, token, try_password, users,
};

#[tokio::test]
async fn auth_h01_no_secret_stands_in_a_table_an_event_or_an_error() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let refreshed = token(system, refresh_grant(&signed.refresh)).await.expect("good");
    let request = wire::ChangePasswordRequest {
        name: "users/me".to_owned(),
        current_password: password_of("bob"),
        new_password: password_of("changed"),
    };
    users(system, &refreshed).await.change_password(request).await.expect("his own");
    let reset = mail::reset_token(system, &bob.email, 1).await;
    mail::reset(system, &reset, &password_of("reset")).await.expect("good");
    let wrong = "a wrong password of this test";
    let refused = try_password(system, &bob.email, wrong).await.expect_err("wrong");
    let again = sign_in(system, &bob.email, &password_of("reset"), "").await;
    let end = system.clock().now() + time::Duration::days(1);
    let api_key = wire::ApiKey {
        display_name: "Key".to_owned(),
        scopes: vec!["document:read".to_owned()],
        expire_time: Some(api::timestamp(end)),
        ..Default::default()
    };
    let request = wire::CreateApiKeyRequest { parent: platform.organization.clone(), api_key: Some(api_key) };
    let key = KeyServiceClient::new(channel(system, &again).await).create_api_key(request).await.expect("his own");
    let key = key.into_inner().secret;
    exchange(system, &key).await.expect("good");
    let link = link(&platform, &again, 60).await.expect("every member may");
    open(&platform, &again, &link.name, &link.secret).await.expect("it is the secret");
    let unlike = "a wrong secret of a link";
    let closed = open(&platform, &again, &link.name, unlike).await.expect_err("wrong");
    let spoiled = testkit::spoiled(&key);
    let other = exchange(system, &spoiled).await.expect_err("garbage");
    let mut canaries =
        vec![OWNER_PASSWORD.to_owned(), wrong.to_owned(), reset, key, spoiled, link.secret, unlike.to_owned()];
    canaries.extend(["bob", "changed", "reset"].map(password_of));
    canaries.extend(
        [&owner, &signed, &refreshed, &again].into_iter().flat_map(|it| [it.access.clone(), it.refresh.clone()]),
    );
    for status in [refused, other, closed] {
        let told = format!("{status:?}");
        assert!(canaries.iter().all(|secret| !told.contains(secret)), "{told}");
    }
    let tables = system
        .sql("select table_name from information_schema.tables where table_schema = 'auth' and table_type = 'BASE TABLE'")
        .await;
    assert!(tables.len() > 15, "all tables are looked at");
    for table in tables.iter().flatten().flatten() {
        // Bytes are shown as text where they are text: an event's payload would show what it holds.
        let rows = system.sql(&format!("select t::text from auth.{table} t")).await;
        for text in rows.iter().flatten().flatten() {
            let leaked = canaries.iter().find(|secret| text.contains(*secret) || text.contains(&hex(secret)));
            assert!(leaked.is_none(), "{table} holds a secret");
        }
    }
}

/// As PostgreSQL shows bytes.
fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
