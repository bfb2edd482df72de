//! Signing in by the link of a mail, with the pages and a real mailbox.
use http::Method;

use crate::{
    client::{Answer, Client},
    mailbox::mailed_link,
    oauth::{Browser, FORM, SELF, field, text, written},
    person::Person,
    platform::{Shared, shared},
};

/// Begins a sign-in on the page, and asks for a mail to an address.
pub(crate) async fn asks(browser: &mut Browser, email: &str) -> Answer {
    let page = browser.get("/signin?return_to=/device").await;
    let (flow, to) = (field(&page, "flow"), field(&page, "return_to"));
    let form = [("flow", flow.as_str()), ("return_to", &to), ("email", email), ("send_code", "yes")];
    browser.post("/signin", &form).await
}

/// Sign-ins that wait in this browser for what comes from elsewhere.
fn away(browser: &Browser) -> usize {
    browser.cookies.keys().filter(|name| name.starts_with("workos_away")).count()
}

/// The path of a link and what it carries.
pub(crate) fn parts(link: &str) -> (&str, &str) {
    link.split_once("?token=").expect("the link carries the token")
}

async fn bob(shared: &Shared, client: &Client) -> Person {
    shared.owner.member(client, "Bob", Some("VIEWER")).await
}

#[tokio::test]
async fn auth_p15_a_magic_link_signs_in_the_browser_that_asked() {
    let shared = shared().await;
    let (client, mut browser) = (shared.platform.client(), Browser::new(shared));
    let bob = bob(shared, &client).await;
    let sent = asks(&mut browser, &bob.email).await;
    assert!(sent.status == 200 && text(&sent).contains("Follow its link in this browser"), "{}", sent.show());
    let link = mailed_link(shared, &client, &bob.email).await;
    let (path, token) = parts(&link);
    assert_eq!(path, "/auth/link/magic");
    for _ in 0..2 {
        let page = browser.get(link.as_str()).await;
        assert!(page.status == 200 && text(&page).contains("<button>Sign in</button>"), "{}", page.show());
        assert!(!text(&page).contains("<script"), "the page does without script");
        assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("no-store", "same-origin"));
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "{}", page.show());
        assert!(!browser.cookies.contains_key("workos_session"), "following the link signs nobody in");
    }
    let mut replay = Browser::new(shared);
    replay.cookies = browser.cookies.clone();
    let done = browser.post(path, &[("token", token)]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/device"), "{}", done.show());
    assert!(browser.cookies.contains_key("workos_session") && away(&browser) == 0);
    let me = client.get("/v1/users/me").header("cookie", browser.cookie()).send().await;
    assert_eq!(me.json()["email"].as_str(), Some(bob.email.as_str()));
    // The way back after a sign-out shows nothing (S8).
    assert_eq!(me.header("cache-control"), "no-store", "{}", me.show());
    // With the cookies from before, so that it is the link that is refused and not a browser that did not ask.
    let again = replay.post(path, &[("token", token)]).await;
    assert!(again.status.is_client_error() && again.status != 403, "once: {}", again.show());
    assert!(!replay.cookies.contains_key("workos_session"), "once");
}

#[tokio::test]
async fn auth_p15_a_magic_link_signs_in_no_scanner_no_other_browser_and_no_form_from_elsewhere() {
    let shared = shared().await;
    let (client, mut browser, mut other) = (shared.platform.client(), Browser::new(shared), Browser::new(shared));
    let (bob, eve) = (bob(shared, &client).await, shared.owner.member(&client, "Eve", None).await);
    asks(&mut browser, &bob.email).await;
    let link = mailed_link(shared, &client, &bob.email).await;
    let (path, token) = parts(&link);
    let nothing = |answer: &Answer, status: u16| {
        assert_eq!((answer.status.as_u16(), answer.header("set-cookie")), (status, ""), "{}", answer.show());
    };
    // A scanner has no cookies; it may even send the form.
    for method in [Method::GET, Method::HEAD] {
        nothing(&client.call(method, link.as_str()).send().await, 403);
    }
    let shown = client.get(link.as_str()).send().await;
    assert!(text(&shown).contains("Open it in that browser") && !text(&shown).contains("<form"), "{}", shown.show());
    let sent = client.call(Method::POST, path).header("origin", SELF).body(FORM, written(&[("token", token)]));
    nothing(&sent.send().await, 403);
    // Another browser, in which a link was asked for too.
    asks(&mut other, &eve.email).await;
    nothing(&other.post(path, &[("token", token)]).await, 410);
    // A form from elsewhere, with all cookies of the right browser.
    let forged =
        client.call(Method::POST, path).header("cookie", browser.cookie()).header("origin", "https://evil.example");
    nothing(&forged.body(FORM, written(&[("token", token)])).send().await, 403);
    // None of that has used it up.
    let done = browser.post(path, &[("token", token)]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/device"), "{}", done.show());
}

#[tokio::test]
async fn auth_p15_a_link_is_not_waited_for_once_its_sign_in_goes_on_by_something_else() {
    let shared = shared().await;
    let client = shared.platform.client();
    let bob = bob(shared, &client).await;
    for (field, value) in
        [("email_code", "000000"), ("password", bob.password()), ("password", "wrong but long enough")]
    {
        let mut browser = Browser::new(shared);
        let sent = asks(&mut browser, &bob.email).await;
        assert_eq!(away(&browser), 1, "{}", sent.show());
        let flow = self::field(&sent, "flow");
        let again = [("flow", flow.as_str()), ("email", &bob.email), ("send_code", "yes")];
        assert_eq!(browser.post("/signin", &again).await.status, 200, "a second mail");
        assert_eq!(away(&browser), 1);
        browser.post("/signin", &[("flow", flow.as_str()), ("email", &bob.email), (field, value)]).await;
        assert_eq!(away(&browser), 0, "{field} {value}");
    }
}

#[tokio::test]
async fn auth_p15_a_second_tab_takes_nothing_from_the_first() {
    let shared = shared().await;
    let (client, mut browser) = (shared.platform.client(), Browser::new(shared));
    let (bob, eve) = (bob(shared, &client).await, shared.owner.member(&client, "Eve", None).await);
    asks(&mut browser, &bob.email).await;
    asks(&mut browser, &eve.email).await;
    for person in [&bob, &eve] {
        let link = mailed_link(shared, &client, &person.email).await;
        let (path, token) = parts(&link);
        let page = browser.get(link.as_str()).await;
        assert!(text(&page).contains("<button>Sign in</button>"), "{}", page.show());
        let done = browser.post(path, &[("token", token)]).await;
        assert_eq!((done.status.as_u16(), done.header("location")), (303, "/device"), "{}", done.show());
        let me = client.get("/v1/users/me").header("cookie", browser.cookie()).good().await;
        assert_eq!(me["email"].as_str(), Some(person.email.as_str()));
    }
    assert_eq!(away(&browser), 0);
    let mut many = Browser::new(shared);
    for _ in 0..5 {
        asks(&mut many, &bob.email).await;
    }
    assert_eq!(away(&many), 4, "the oldest make room");
}

#[tokio::test]
async fn auth_p02_the_page_says_the_same_for_an_address_that_nobody_has() {
    let shared = shared().await;
    let (mut known, mut unknown) = (Browser::new(shared), Browser::new(shared));
    let (owner, nobody) = (shared.owner.email.as_str(), "nobody@nowhere.example");
    let (first, second) = (asks(&mut known, owner).await, asks(&mut unknown, nobody).await);
    let same = |page: &Answer, email: &str| text(page).replace(&field(page, "flow"), "FLOW").replace(email, "ADDRESS");
    assert_eq!((first.status, same(&first, owner)), (second.status, same(&second, nobody)));
    // What a sign-in is kept under ends with what tells it apart.
    let named = |name: &String| if name.starts_with("workos_away_") { "workos_away_".to_owned() } else { name.clone() };
    let names = |browser: &Browser| browser.cookies.keys().map(named).collect::<Vec<_>>();
    assert_eq!(names(&known), names(&unknown));
}
