//! The pages when something does not go as planned: somebody else is signed in, an address is none that a policy can name, there were
//! too many attempts.
use http::Method;
use serde_json::json;
use totp_rs::{Algorithm, Builder, Secret};

use crate::{
    client::{Answer, Client},
    oauth::{App, Browser, FORM, SELF, VERIFIER, authorize, field, form, parameter, redeem, register, text, written},
    person::Person,
    platform::{Platform, Shared, Site, shared},
};

const BYE: &str = "https://app.example/bye";

/// Signs in and lets the application in; what comes then.
async fn allowed(browser: &mut Browser, person: &Person, link: String) -> Answer {
    let page = browser.get(link).await;
    let asked = browser.sign_in(&page, person).await;
    let request = field(&asked, "request");
    browser.post("/consent", &[("request", request.as_str()), ("decision", "approve")]).await
}

/// Everything that the form of a page would send, with this beside it.
fn filled<'a>(fields: &'a [(&'static str, String)], more: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
    let hidden = fields.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value.as_str()));
    hidden.chain([more]).collect()
}

#[tokio::test]
async fn auth_s08_who_is_signed_in_as_somebody_else_confirms_and_goes_back_to_the_application() {
    let shared = shared().await;
    let (app, client) = (register(shared, json!({})).await, shared.platform.client());
    let mut owners = Browser::new(shared);
    let done = allowed(&mut owners, &shared.owner, authorize(&app.id, &[])).await;
    let tokens = redeem(&client, &app, &parameter(done.header("location"), "code")).await;
    let hint = tokens["id_token"].as_str().expect("text");
    let bob = shared.owner.member(&client, "Bob", Some("VIEWER")).await;
    let mut browser = Browser::new(shared);
    let page = browser.get("/signin").await;
    browser.sign_in(&page, &bob).await;
    let out = [("id_token_hint", hint), ("post_logout_redirect_uri", BYE), ("state", "x")];
    let asked = browser.get(format!("/oauth2/logout?{}", written(&out))).await;
    assert!(text(&asked).contains("name=\"confirmed\""), "{}", asked.show());
    let policy = asked.header("content-security-policy");
    assert!(policy.contains("form-action 'self' https://app.example;"), "{policy}");
    let fields = ["client_id", "post_logout_redirect_uri", "state"]
        .map(|name| (name, field(&asked, name).replace("&#39;", "'")));
    let done = browser.post("/oauth2/logout", &filled(&fields, ("confirmed", "yes"))).await;
    let target = format!("{BYE}?state=x");
    assert_eq!((done.status.as_u16(), done.header("location")), (303, target.as_str()), "{}", done.show());
    assert!(!browser.cookies.contains_key("workos_session"));
}

#[tokio::test]
async fn auth_s08_who_has_confirmed_is_signed_out_even_if_he_cannot_be_sent_back() {
    let shared = shared().await;
    let app = register(shared, json!({})).await;
    let mut browser = Browser::new(shared);
    let page = browser.get("/signin").await;
    browser.sign_in(&page, &shared.owner).await;
    let cookie = browser.cookie();
    let form = [("client_id", app.id.as_str()), ("post_logout_redirect_uri", "https://evil.example/")];
    let refused = browser.get(format!("/oauth2/logout?{}", written(&form))).await;
    assert_eq!(refused.status, 400, "{}", refused.show());
    browser.client.get("/v1/users/me").header("cookie", &cookie).good().await;
    let out = browser.post("/oauth2/logout", &[&form[..], &[("confirmed", "yes")]].concat()).await;
    assert!(out.status == 200 && out.header("location").is_empty(), "{}", out.show());
    assert!(!browser.cookies.contains_key("workos_session"));
    let dead = browser.client.get("/v1/users/me").header("cookie", &cookie).send().await;
    dead.is_refused(401, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn auth_o07_an_address_that_no_policy_can_name_is_reached_over_a_page() {
    let shared = shared().await;
    let native = register(shared, json!({"kind": "NATIVE", "redirectUris": ["http://[::1]/cb"]})).await;
    let link = || authorize(&native.id, &[("redirect_uri", "http://[::1]:49152/cb"), ("scope", "openid")]);
    let mut browser = Browser::new(shared);
    let page = browser.get(link()).await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self';"), "{policy}");
    let done = allowed(&mut browser, &shared.owner, link()).await;
    assert_eq!(done.status, 200, "a redirect would be blocked: {}", done.show());
    assert!(text(&done).contains("content=\"0;url=http://[::1]:49152/cb?code="), "{}", done.show());
    // Nothing but a form is bound by a policy.
    let plain = browser.get(link() + "&prompt=none").await;
    assert!(plain.header("location").starts_with("http://[::1]:49152/cb?"), "{}", plain.show());
}

/// The recovery codes of somebody who sets up an app.
async fn recovery_codes(client: &Client, person: &Person) -> Vec<String> {
    let signed = person.sign_in(client).await;
    let made = signed.post("/v1/users/me/mfaFactors", &json!({"displayName": "Phone"})).good().await;
    let seed = Secret::try_from_base32(made["secret"].as_str().expect("shown once")).expect("base32");
    let app = Builder::new().with_algorithm(Algorithm::SHA1).with_secret(seed).build().expect("160 bits");
    let now = api::Clock::default().now().unix_timestamp();
    let code = app.generate(now.try_into().expect("after 1970")).to_string();
    let confirm = format!("/v1/{}:confirm", made["name"].as_str().expect("named"));
    let told = signed.post(confirm, &json!({"code": code})).good().await;
    let codes = told["recoveryCodes"].as_array().expect("ten").clone();
    codes.iter().map(|code| code.as_str().expect("text").to_owned()).collect()
}

/// Signs in on the page with a recovery code; what comes then.
async fn recovered(browser: &mut Browser, page: &Answer, person: &Person, code: &str) -> Answer {
    let asked = browser.sign_in(page, person).await;
    let (request, flow, origin) = (field(&asked, "request"), field(&asked, "flow"), field(page, "origin"));
    let form = [("request", request.as_str()), ("flow", &flow), ("origin", &origin), ("recovery_code", code)];
    browser.post("/signin", &form).await
}

#[tokio::test]
async fn auth_p12_who_has_few_recovery_codes_left_hears_it_and_goes_on() {
    let shared = shared().await;
    let client = shared.platform.client();
    let app = register(shared, json!({})).await;
    let eve = shared.owner.member(&client, "Eve", Some("VIEWER")).await;
    let codes = recovery_codes(&client, &eve).await;
    for code in &codes[..6] {
        let mut browser = Browser::new(shared);
        let page = browser.get("/signin").await;
        let done = recovered(&mut browser, &page, &eve, code).await;
        assert_eq!((done.status.as_u16(), done.header("location")), (303, "/"), "enough are left: {}", done.show());
    }
    let mut browser = Browser::new(shared);
    let page = browser.get("/signin").await;
    let told = recovered(&mut browser, &page, &eve, &codes[6]).await;
    assert!(told.status == 200 && text(&told).contains("3 are left"), "{}", told.show());
    let on = browser.post("/signin", &[("signed_in", "yes"), ("return_to", "/device")]).await;
    assert_eq!((on.status.as_u16(), on.header("location")), (303, "/device"), "{}", on.show());
    // The same on the way to an application.
    let mut browser = Browser::new(shared);
    let page = browser.get(authorize(&app.id, &[])).await;
    let told = recovered(&mut browser, &page, &eve, &codes[7]).await;
    assert!(text(&told).contains("2 are left"), "{}", told.show());
    let policy = told.header("content-security-policy");
    assert!(policy.contains("form-action 'self' https://"), "the form leads to the application: {policy}");
    let request = field(&told, "request");
    let asked = browser.post("/signin", &[("signed_in", "yes"), ("request", &request)]).await;
    assert!(text(&asked).contains("name=\"decision\""), "{}", asked.show());
    let mut stranger = Browser::new(shared);
    stranger.get("/signin").await;
    let foreign = stranger.post("/signin", &[("signed_in", "yes"), ("request", &request)]).await;
    assert_eq!(foreign.status, 403, "nobody is signed in: {}", foreign.show());
}

/// An application's server asks about a token.
async fn ask(client: &Client, app: &App) -> Answer {
    form(client, "/oauth2/introspect", app, &[("token", "x")]).await
}

#[tokio::test]
async fn who_proves_what_it_is_has_a_rate_of_its_own_and_who_fails_is_told_on_a_page() {
    let site = Site::new().await.set("gateway.rate_credential", "40").set("gateway.rate_begin", "5");
    let platform = Platform::start(site).await;
    let owner = Person::first(&platform.client(), platform.site()).await;
    let shared = Shared { platform, owner };
    let (app, client) = (register(&shared, json!({})).await, shared.platform.client());
    for _ in 0..80 {
        let answer = ask(&client, &app).await;
        assert_eq!(answer.status, 200, "{}", answer.show());
        // Looking at a page uses up none of the attempts either.
        let page = client.get("/signin").send().await;
        assert_eq!(page.status, 200, "{}", page.show());
    }
    let wrong = App { basic: "Basic eDp5".to_owned(), id: app.id.clone(), secret: String::new() };
    let mut told = ask(&client, &wrong).await;
    for attempt in 0..200 {
        if told.status == 429 {
            break;
        }
        assert!([400, 401].contains(&told.status.as_u16()), "{}", told.show());
        // A form that is refused before anybody looks at the secret was an attempt too.
        let sent: &[(&str, &str)] = if attempt < 10 { &[("token", "x")] } else { &[] };
        told = form(&client, "/oauth2/introspect", &wrong, sent).await;
    }
    told.is_refused(429, "RATE_LIMITED");
    let mut browser = Browser::new(&shared);
    let page = browser.get("/signin").await;
    let flow = field(&page, "flow");
    let sent = [("flow", flow.as_str()), ("email", "x@example.com"), ("password", VERIFIER)];
    let mut refused = browser.post("/signin", &sent).await;
    assert_ne!(refused.status, 429, "wrong secrets of applications are no attempts at passwords: {}", refused.show());
    for _ in 0..200 {
        if refused.status == 429 {
            break;
        }
        refused = browser.post("/signin", &sent).await;
    }
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (429, "text/html; charset=utf-8"));
    assert!(!refused.header("retry-after").is_empty(), "{}", refused.show());
    let shown = text(&refused);
    assert!(shown.contains(refused.header("x-request-id")) && shown.contains("href=\"/signin\""), "{shown}");
    assert!(refused.header("content-security-policy").contains("frame-ancestors 'none'"), "{}", refused.show());
    too_many_begin(&client, &app).await;
}

/// What begins a sign-in has a budget, and HEAD begins none.
async fn too_many_begin(client: &Client, app: &App) {
    let mut begun = client.get("/signin").send().await;
    for _ in 0..1000 {
        if begun.status == 429 {
            break;
        }
        begun = client.get("/signin").send().await;
    }
    assert_eq!((begun.status.as_u16(), begun.header("content-type")), (429, "text/html; charset=utf-8"));
    for path in ["/signin".to_owned(), authorize(&app.id, &[])] {
        let head = client.call(Method::HEAD, path).send().await;
        assert_eq!((head.status.as_u16(), head.header("set-cookie")), (200, ""), "{}", head.show());
    }
}

#[tokio::test]
async fn what_the_edge_refuses_of_a_page_is_a_page_and_of_an_endpoint_for_applications_json() {
    let client = shared().await.platform.client();
    let refused = client.call(Method::DELETE, "/signin").send().await;
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (405, "text/html; charset=utf-8"));
    assert_eq!(refused.header("allow"), "GET, HEAD, POST, OPTIONS", "{}", refused.show());
    // Where no GET leads, "Begin again" leads to the sign-in, or to the mail.
    let shown = text(&client.get("/consent").send().await);
    assert!(shown.contains("href=\"/signin\"") && !shown.contains("href=\"/consent"), "{shown}");
    for path in ["/auth/link/reset/done", "/auth/link/magic"] {
        let shown = text(&client.call(Method::PUT, path).send().await);
        assert!(shown.contains("open the link of the mail again") && !shown.contains("href=\"/auth"), "{shown}");
    }
    client.call(Method::DELETE, "/oauth2/token").send().await.is_refused(405, "METHOD_NOT_ALLOWED");
    let long = client.call(Method::POST, "/signin").body(FORM, vec![b'x'; 65 * 1024]);
    let long = long.header("origin", SELF).send().await;
    assert_eq!((long.status.as_u16(), long.header("content-type")), (413, "text/html; charset=utf-8"));
    let token = client.call(Method::POST, "/oauth2/token").body(FORM, vec![b'x'; 65 * 1024]).send().await;
    token.is_refused(413, "BODY_TOO_LARGE");
}
