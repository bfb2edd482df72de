//! An invitation of somebody who has an account: he signs in on the page, comes back and accepts.
use http::Method;
use serde_json::json;

use crate::{
    client::Answer,
    mailbox::mailed_link_of,
    oauth::{Browser, FORM, field, text, written},
    person::Person,
    platform::{Shared, shared},
};

/// A new organization of the owner, and the link of an invitation to it.
pub(crate) async fn invited(shared: &Shared, person: &Person) -> (String, String) {
    let client = shared.platform.client();
    let owner = shared.owner.sign_in(&client).await;
    let made = owner.post("/v1/organizations", &json!({"displayName": "Second <b>"})).good().await;
    let second = made["name"].as_str().expect("named").to_owned();
    let there = client.with_token(&shared.owner.tokens(&client, &second).await.access);
    let invitation = json!({"email": person.email, "role": "EDITOR"});
    there.post(format!("/v1/{second}/invitations"), &invitation).good().await;
    let link = mailed_link_of(shared, &client, &second, &person.email).await;
    (second, link)
}

/// Follows the page to the sign-in, and gives what comes after it.
async fn signs_in(browser: &mut Browser, page: &Answer, person: &Person) -> Answer {
    assert!(text(page).contains("<form method=\"get\" action=\"/signin\">"), "{}", page.show());
    let query = [("prompt", field(page, "prompt")), ("return_to", field(page, "return_to"))];
    let query = query.each_ref().map(|(name, value)| (*name, value.as_str()));
    let asked = browser.get(format!("/signin?{}", written(&query))).await;
    let (flow, back) = (field(&asked, "flow"), field(&asked, "return_to"));
    let form =
        [("flow", flow.as_str()), ("return_to", &back), ("email", &person.email), ("password", person.password())];
    browser.post("/signin", &form).await
}

#[tokio::test]
async fn who_has_an_account_signs_in_comes_back_and_accepts_an_invitation() {
    let shared = shared().await;
    let (client, mut browser) = (shared.platform.client(), Browser::new(shared));
    let carol = shared.owner.member(&client, "Carol", None).await;
    let (second, link) = invited(shared, &carol).await;
    let (path, token) = link.split_once("?token=").expect("the link carries the token");
    let done = format!("{path}/done");
    let page = browser.get(link.as_str()).await;
    assert!(
        text(&page).contains("to Second &lt;b&gt;") && text(&page).contains("You have an account"),
        "{}",
        page.show()
    );
    let back = signs_in(&mut browser, &page, &carol).await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, link.as_str()), "{}", back.show());
    let page = browser.get(link.as_str()).await;
    assert!(text(&page).contains("<button>Join</button>") && text(&page).contains(&carol.email), "{}", page.show());
    let forged = client.call(Method::POST, done.as_str()).header("cookie", browser.cookie());
    let forged =
        forged.header("origin", "https://evil.example").body(FORM, written(&[("token", token), ("accept", "yes")]));
    assert_eq!(forged.send().await.status, 403, "a form from elsewhere joins nothing");
    let joined = browser.post(&done, &[("token", token), ("accept", "yes")]).await;
    assert!(joined.status == 200 && text(&joined).contains("Welcome"), "{}", joined.show());
    let mine = client.get("/v1/users/me/memberships").header("cookie", browser.cookie()).good().await;
    let mine = mine["memberships"].as_array().expect("a list").clone();
    assert!(mine.iter().any(|one| one["name"].as_str().is_some_and(|name| name.starts_with(&second))), "{mine:?}");
    assert_eq!(browser.post(&done, &[("token", token), ("accept", "yes")]).await.status, 410, "once");
}

#[tokio::test]
async fn an_invitation_is_accepted_by_nobody_else_and_by_nobody_who_is_not_signed_in() {
    let shared = shared().await;
    let (client, mut browser) = (shared.platform.client(), Browser::new(shared));
    let carol = shared.owner.member(&client, "Carol", None).await;
    let dave = shared.owner.member(&client, "Dave", None).await;
    let (_, link) = invited(shared, &carol).await;
    let (path, token) = link.split_once("?token=").expect("the link carries the token");
    let accept = [("token", token), ("accept", "yes")];
    let page = browser.post(&format!("{path}/done"), &accept).await;
    let back = signs_in(&mut browser, &page, &dave).await;
    assert_eq!(back.header("location"), link, "{}", back.show());
    let page = browser.get(link.as_str()).await;
    assert!(
        text(&page).contains(&dave.email) && text(&page).contains("Join"),
        "whose it is auth decides: {}",
        page.show()
    );
    let refused = browser.post(&format!("{path}/done"), &accept).await;
    assert!(refused.status == 400 && text(&refused).contains("another address"), "{}", refused.show());
    let back = signs_in(&mut browser, &refused, &carol).await;
    assert_eq!(back.header("location"), link, "{}", back.show());
    let joined = browser.post(&format!("{path}/done"), &accept).await;
    assert!(joined.status == 200 && text(&joined).contains("Welcome"), "{}", joined.show());
}
