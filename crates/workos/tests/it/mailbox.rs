//! From a forgotten password to a new one through a real mailbox, and a key instead of a sign-in, as a stranger does it.
use http::Method;
use serde_json::{Value, json};
use testkit::eventually;

use crate::{
    client::{Call, Client, tomorrow},
    oauth::{Browser, FORM, field, text, written},
    person::{CLIENT, REDIRECT, SYSTEM},
    platform::{Shared, shared},
};

/// The link in the newest mail to an address, once there is one; only its path, for the test's gateway has a port of its own.
pub(crate) async fn mailed_link(shared: &Shared, client: &Client, to: &str) -> String {
    mailed_link_of(shared, client, SYSTEM, to).await
}

/// The same, of a mail that an organization sends.
pub(crate) async fn mailed_link_of(shared: &Shared, client: &Client, organization: &str, to: &str) -> String {
    let operator = client.with_token(&shared.owner.tokens(client, organization).await.access);
    eventually("the mail arrives", || async {
        let page = operator.get(format!("/v1/{organization}/capturedMails?pageSize=1000")).good().await;
        let mails = page["capturedMails"].as_array().cloned().unwrap_or_default();
        let mail = mails.into_iter().find(|mail| mail["to"] == to)?;
        let text = mail["text"].as_str()?;
        let start = text.find("/auth/link/")?;
        text[start..].split_whitespace().next().map(str::to_owned)
    })
    .await
}

/// The form behind a link, filled in.
fn answered(client: &Client, path: &str, (token, password): (&str, &str)) -> Call {
    let sent = written(&[("token", token), ("password", password)]);
    client.call(Method::POST, format!("{path}/done")).body(FORM, sent)
}

/// A sign-in that has just begun, by its handle.
pub(crate) async fn begun(client: &Client) -> String {
    let start = json!({
        "clientId": CLIENT, "redirectUri": REDIRECT, "codeChallengeMethod": "S256",
        "codeChallenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    });
    let step = client.post("/v1/login:start", &start).good().await;
    step["flow"].as_str().expect("a flow").to_owned()
}

pub(crate) async fn password_is_right(client: &Client, email: &str, password: &str) -> bool {
    let body = json!({"flow": begun(client).await, "password": {"email": email, "password": password}});
    client.post("/v1/login:continue", &body).send().await.status.is_success()
}

#[tokio::test]
async fn auth_p14_p15_following_a_link_shows_a_page_and_only_its_form_acts() {
    let shared = shared().await;
    let client = shared.platform.client();
    let bob = shared.owner.member(&client, "Bob", None).await;
    client.post("/v1/account:requestPasswordReset", &json!({"email": bob.email})).good().await;
    let link = mailed_link(shared, &client, &bob.email).await;
    for _ in 0..2 {
        let page = client.get(link.clone()).send().await;
        let shown = String::from_utf8_lossy(&page.body);
        assert!(page.status.is_success() && shown.contains("<form method=\"post\""), "{}", page.show());
        assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("no-store", "same-origin"));
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "{}", page.show());
    }
    let (path, query) = link.split_once('?').expect("the link carries the token");
    let token = query.strip_prefix("token=").expect("and nothing else");
    let new = "seven lighthouses by the sea";
    let done = |password: &str| answered(&client, path, (token, password));
    let refused = done("short").send().await;
    assert_eq!(refused.status, 400, "{}", refused.show());
    let answer = done(new).send().await;
    assert!(answer.status.is_success(), "{}", answer.show());
    assert_eq!(done(new).send().await.status, 410, "once");
    assert!(password_is_right(&client, &bob.email, new).await);
}

#[tokio::test]
async fn auth_p15_a_sign_up_is_finished_by_who_knows_its_password_and_sees_whose_account_it_is() {
    let shared = shared().await;
    let client = shared.platform.client();
    let (email, password) = (format!("{}@victim.example", api::Ids::default().next()), "nine lighthouses by the sea");
    let body = json!({"email": email, "displayName": "Mallory <b>", "password": password});
    client.post("/v1/account:signUp", &body).good().await;
    let link = mailed_link(shared, &client, &email).await;
    let page = client.get(link.clone()).send().await;
    let shown = String::from_utf8_lossy(&page.body);
    for part in [email.as_str(), "Mallory &lt;b&gt;", "close this page", "name=\"password\""] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let (path, query) = link.split_once('?').expect("the link carries the token");
    let token = query.strip_prefix("token=").expect("and nothing else");
    let done = |password: &str| answered(&client, path, (token, password));
    // Whoever owns the mailbox alone puts no password of a stranger in force.
    for guess in ["", "another lighthouse by the sea"] {
        let refused = done(guess).send().await;
        let shown = String::from_utf8_lossy(&refused.body);
        assert_eq!(refused.status, 400, "{shown}");
        assert!(shown.contains("role=\"alert\"") && shown.contains(&format!("value=\"{token}\"")), "{shown}");
        assert!(!password_is_right(&client, &email, password).await);
    }
    let answer = done(password).send().await;
    assert!(answer.status.is_success(), "{}", answer.show());
    assert!(String::from_utf8_lossy(&answer.body).contains("href=\"/signin\""), "{}", answer.show());
    assert!(password_is_right(&client, &email, password).await);
}

#[tokio::test]
async fn who_has_no_password_confirms_a_new_address_in_the_browser_in_which_he_is_signed_in() {
    let shared = shared().await;
    let client = shared.platform.client();
    let bob = shared.owner.member(&client, "Bob", None).await;
    let mut browser = Browser::new(shared);
    let page = browser.get("/signin").await;
    browser.sign_in(&page, &bob).await;
    let email = format!("{}@moved.example", api::Ids::default().next());
    let signed = bob.sign_in(&client).await;
    signed.post("/v1/users/me:changeEmail", &json!({"email": email})).good().await;
    let link = mailed_link(shared, &client, &email).await;
    let (path, token) = link.split_once("?token=").expect("the link carries the token");
    let (site, done) = (shared.platform.site(), format!("{path}/done"));
    let page = client.get(link.clone()).send().await;
    assert!(text(&page).contains("name=\"password\""), "he has one: {}", page.show());
    // As somebody who came by an invitation or an identity provider.
    let of_bob = format!("user_id = (select user_id from auth.users where email_key = '{}')", bob.email.to_lowercase());
    site.sql(&format!("delete from auth.passwords where {of_bob}")).await;
    site.sql(&format!("update auth.users set email_verified_time = now() where {of_bob}")).await;
    let page = client.get(link.clone()).send().await;
    assert!(!text(&page).contains("name=\"password\""), "{}", page.show());
    let mut stranger = Browser::new(shared);
    let page = stranger.get("/signin").await;
    stranger.sign_in(&page, &shared.owner).await;
    let forged = client.call(Method::POST, done.as_str()).header("cookie", browser.cookie());
    let forged = forged.header("origin", "https://evil.example").body(FORM, written(&[("token", token)])).send().await;
    for refused in
        [answered(&client, path, (token, "")).send().await, stranger.post(&done, &[("token", token)]).await, forged]
    {
        assert!(refused.status == 400 && text(&refused).contains("Sign in to it"), "{}", refused.show());
        assert_eq!(field(&refused, "return_to"), link, "and back to the link");
    }
    let confirmed = browser.post(&done, &[("token", token)]).await;
    assert!(confirmed.status == 200 && text(&confirmed).contains("is confirmed"), "{}", confirmed.show());
    let me = client.get("/v1/users/me").header("cookie", browser.cookie()).good().await;
    assert_eq!(me["email"], email.as_str(), "his session goes on");
}

#[tokio::test]
async fn auth_t05_a_key_opens_the_edge_and_garbage_does_not() {
    let shared = shared().await;
    let client = shared.platform.client();
    let bob = shared.owner.member(&client, "Bob", Some("VIEWER")).await;
    let signed = bob.sign_in(&client).await;
    let body = json!({"displayName": "Import", "scopes": ["membership:read"], "expireTime": tomorrow()});
    let made = signed.post(format!("/v1/{}/apiKeys", bob.organization), &body).good().await;
    let secret = made["secret"].as_str().expect("shown once").to_owned();
    let with_key = client.with_token(&secret);
    let members: Value = with_key.get(format!("/v1/{}/memberships", bob.organization)).good().await;
    assert!(members["memberships"].as_array().is_some_and(|members| !members.is_empty()));
    with_key.get("/v1/users/me").send().await.is_refused(403, "ACCESS_DENIED");
    let path = format!("/v1/{}/memberships", bob.organization);
    client.with_token(&testkit::spoiled(&secret)).get(path.clone()).send().await.is_refused(401, "CREDENTIAL_INVALID");
    signed.delete(format!("/v1/{}", made["name"].as_str().expect("a name"))).good().await;
    with_key.get(path).send().await.is_refused(401, "CREDENTIAL_INVALID");
}
