//! An organization that is gone for good leaves nothing in the services: deleted by its owner, its time over, the whole platform.
use std::time::Duration;

use serde_json::json;
use testkit::eventually_within;

use crate::{
    client::Client,
    person::Person,
    platform::{Platform, Site},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder, a document shared with a member, an empty file, and an upload that nobody finished.
async fn fill(owner: &Client, organization: &str, member: &Person) -> String {
    let folder = owner.post(format!("/v1/{organization}/folders"), &json!({"displayName": "Plans"})).good().await;
    let document = json!({"title": "Secret plan", "folder": folder["name"], "content": {"text": "lighthouse"}});
    let made = owner.post(format!("/v1/{organization}/documents"), &document).good().await;
    let document = made["name"].as_str().expect("named").to_owned();
    let grant = json!({"principal": member.user, "role": "READER"});
    owner.post(format!("/v1/{document}/grants"), &grant).good().await;
    for length in ["0", "5"] {
        let upload = json!({"displayName": "plan.txt", "lengthBytes": length, "mediaType": "text/plain"});
        owner.post(format!("/v1/{organization}/uploads"), &upload).good().await;
    }
    document
}

#[tokio::test]
async fn a_purged_organization_leaves_nothing_in_the_services_and_others_keep_theirs() {
    let mut platform = Platform::start(Site::new().await.set("document.sweep_interval", "1s")).await;
    let client = platform.client();
    let first = Person::first(&client, platform.site()).await;
    let owner = first.sign_in(&client).await;
    let made = owner.post("/v1/organizations", &json!({"displayName": "Second"})).good().await;
    let second = made["name"].as_str().expect("named").to_owned();
    let there = client.with_token(&first.tokens(&client, &second).await.access);
    let member = first.member(&client, "Bob", None).await;
    let kept = fill(&owner, &first.organization, &member).await;
    let mut owner_there = first.clone();
    owner_there.organization.clone_from(&second);
    let bystander = owner_there.member(&client, "Carol", Some("VIEWER")).await;
    fill(&there, &second, &bystander).await;
    let id = api::OrganizationId::parse(&second).expect("a name").uuid();
    let of = |table: &str| format!("(select count(*) from {table} where organization_id = '{id}')");
    let live = "and (delete_time is null or display_name <> '')";
    let files = format!("(select count(*) from file.files where organization_id = '{id}' {live})");
    let others =
        ["file.uploads", "document.folders", "document.documents", "document.grants", "notification.inbox_items"];
    let rest = [files].into_iter().chain(others.map(of)).collect::<Vec<_>>().join(" + ");
    let site = platform.site();
    eventually_within(PATIENCE, "the member is told", || async {
        let told = site.count(&format!("select {}", of("notification.inbox_items"))).await;
        if told > 0 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert!(site.count(&format!("select {rest}")).await >= 6);
    let deleted = there.delete(format!("/v1/{second}")).good().await;
    assert_eq!(deleted["state"], "DELETED");
    assert!(site.count(&format!("select {rest}")).await >= 6, "it can be taken back for thirty days");
    site.sql(&format!(
        "update auth.organizations set purge_time = now() - interval '1 minute' where organization_id = '{id}'"
    ))
    .await;
    platform.stop().await;
    platform.start_again().await;
    let site = platform.site();
    eventually_within(PATIENCE, "nothing is left of it", || async {
        let left = site.count(&format!("select {rest}")).await;
        if left == 0 { Ok(()) } else { Err(format!("{left} rows")) }
    })
    .await;
    let owner = first.sign_in(&platform.client()).await;
    let document = owner.get(format!("/v1/{kept}")).good().await;
    assert_eq!(document["title"], "Secret plan", "what another organization has stays");
}
