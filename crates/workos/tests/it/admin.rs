//! `workos admin` beside a platform that runs: what an operator does when people cannot sign in, and with the signing keys.
use std::time::Duration;

use crate::{
    client::Client,
    mailbox::password_is_right,
    person::Person,
    platform::{Platform, Site},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command that must succeed; gives what it prints.
async fn admin(platform: &Platform, arguments: &[&str]) -> String {
    let arguments: Vec<&str> = ["admin"].iter().chain(arguments).copied().collect();
    platform.site().run(&arguments).succeeds(PATIENCE).await.text()
}

async fn guess(client: &Client, email: &str) {
    for _ in 0..5 {
        assert!(!password_is_right(client, email, "wrong but long enough").await);
    }
}

#[tokio::test]
async fn an_operator_helps_people_in_and_rotates_keys_beside_a_platform_that_runs() {
    let platform = Platform::start(Site::new().await).await;
    let client = platform.client();
    let owner = Person::first(&client, platform.site()).await;
    let bob = owner.member(&client, "Bob", None).await;
    let signed = bob.sign_in(&client).await;
    guess(&client, &bob.email).await;
    assert!(!password_is_right(&client, &bob.email, bob.password()).await, "locked");
    let told = admin(&platform, &["unlock", &bob.email]).await;
    assert!(told.contains("audit log"), "{told}");
    assert!(password_is_right(&client, &bob.email, bob.password()).await, "unlocked");

    let turned = admin(&platform, &["keys", "rotate"]).await;
    assert_eq!(turned.matches(" signs from ").count(), 3, "{turned}");
    let again = admin(&platform, &["keys", "rotate"]).await;
    assert_eq!(again.matches(" was announced before ").count(), 3, "{again}");
    signed.get("/v1/users/me").good().await;

    let sealed = admin(&platform, &["rewrap"]).await;
    assert!(sealed.contains("signing keys: 0 of 7 sealed anew") && sealed.contains("done"), "{sealed}");

    let link = admin(&platform, &["reset-password", &bob.email]).await;
    assert!(link.contains("/auth/link/reset?token="), "{link}");
    admin(&platform, &["revoke", &bob.email]).await;
    testkit::eventually("his token is void", || async {
        let answer = signed.get("/v1/users/me").send().await;
        if answer.status == 401 { Ok(()) } else { Err(answer.show()) }
    })
    .await;
    let log = platform.site();
    let by = log.count("select count(distinct action) from auth.audit_event where actor = 'operators/local'").await;
    assert_eq!(by, 5, "unlocked, key made, keys rotated, link made, sessions ended");
    let chain = admin(&platform, &["audit", "verify"]).await;
    assert!(chain.contains("whole"), "{chain}");
}

#[tokio::test]
async fn an_operator_is_told_what_a_command_is_for_and_what_to_do_instead() {
    let platform = &crate::platform::shared().await.platform;
    let refused = platform.site().run(&["admin", "unlock", "nobody@nowhere.example"]).fails(PATIENCE).await.tail();
    assert!(refused.contains("there is no account with the address nobody@nowhere.example"), "{refused}");
    let help = admin(platform, &["unlock", "--help"]).await;
    assert!(help.contains("reset-password") && help.contains("second factors"), "{help}");
    let help = admin(platform, &["keys", "rotate", "--help"]).await;
    assert!(help.contains("ten minutes") && help.contains("nobody is signed out"), "{help}");
    let all = admin(platform, &["--help"]).await;
    let help = admin(platform, &["rewrap", "--help"]).await;
    assert!(help.contains("previous_wrapping_key") && help.contains("cut short"), "{help}");
    for command in [
        "bootstrap",
        "unlock",
        "reset-password",
        "reset-factors",
        "revoke",
        "disable",
        "recover-operator",
        "rewrap",
        "keys",
        "audit",
    ] {
        assert!(all.contains(command), "{command} is not in {all}");
    }
}
