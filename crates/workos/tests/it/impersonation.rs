//! An administrator acts as somebody else, through the edge: what he does stands under both names, the user hears of it and ends it.
use serde_json::json;
use testkit::eventually;

use crate::{
    person::SYSTEM,
    platform::{Shared, shared},
};

const REASON: &str = "Ticket 4711: the report does not open";

/// The newest mail to an address, once there is one.
async fn mail(shared: &Shared, to: &str) -> String {
    let client = shared.platform.client();
    let operator = client.with_token(&shared.owner.tokens(&client, SYSTEM).await.access);
    eventually("the mail arrives", || async {
        let page = operator.get(format!("/v1/{SYSTEM}/capturedMails?pageSize=1000")).good().await;
        let mails = page["capturedMails"].as_array().cloned().unwrap_or_default();
        mails.into_iter().find(|mail| mail["to"] == to)?["text"].as_str().map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn auth_impersonation_is_done_in_two_names_told_by_mail_and_ended_by_the_user() {
    let shared = shared().await;
    let (client, organization) = (shared.platform.client(), &shared.owner.organization);
    let bob = shared.owner.member(&client, "Bob", Some("EDITOR")).await;
    let carol = shared.owner.member(&client, "Carol", Some("ADMIN")).await;
    let (bobs, carols) = (bob.sign_in(&client).await, carol.sign_in(&client).await);
    let path = format!("/v1/{}:impersonate", bob.user);
    bobs.post(path.as_str(), &json!({"reason": REASON})).send().await.is_refused(403, "ACCESS_DENIED");
    carols.post(path.as_str(), &json!({})).send().await.is_refused(400, "FIELD_INVALID");
    let begun = carols.post(path.as_str(), &json!({"reason": REASON})).good().await;
    let acting = client.with_token(begun["accessToken"].as_str().expect("a token"));
    assert_eq!(acting.get("/v1/users/me").good().await["name"], bob.user.as_str());
    let made = acting.post(format!("/v1/{organization}/documents"), &json!({"title": "By Carol for Bob"})).good().await;
    let log = format!("select actor, acting from document.audit_event where actor = '{}'", bob.user);
    let told = shared.platform.site().sql(&log).await;
    assert_eq!(told, [[Some(bob.user.clone()), Some(carol.user.clone())]], "{made}");
    let run = json!({"documentApproval": {"document": made["name"], "approvers": [bob.user], "rule": "ALL"}});
    acting.post(format!("/v1/{organization}/runs"), &run).send().await.is_refused(403, "IMPERSONATED");
    let rename = json!({"displayName": "Carol was here"});
    acting.patch("/v1/users/me", &rename).send().await.is_refused(403, "IMPERSONATED");
    let mail = mail(shared, &bob.email).await;
    let there = carols.get(format!("/v1/{organization}")).good().await;
    let there = there["displayName"].as_str().expect("it has one");
    for part in [carol.email.as_str(), "Carol", "signed in as you", REASON, there] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    let sessions = bobs.get("/v1/users/me/sessions").good().await;
    let hers =
        sessions["sessions"].as_array().expect("a list").iter().find(|session| session["name"] == begun["session"]);
    let who = &hers.expect("among his own")["impersonation"];
    assert_eq!((&who["user"], &who["reason"]), (&json!(carol.user), &json!(REASON)));
    bobs.delete(format!("/v1/{}", begun["session"].as_str().expect("a name"))).good().await;
    acting.get("/v1/users/me").send().await.is_refused(401, "CREDENTIAL_INVALID");
    bobs.get("/v1/users/me").good().await;
    carols.get("/v1/users/me").good().await;
}
