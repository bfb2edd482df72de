//! Flows of OAuth and OpenID Connect by the public door that go over several requests: signing out from elsewhere, everything that
//! discovery names.
use http::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, encoded},
    oauth::{
        App, Browser, FORM, REDIRECT, SELF, VERIFIER, authorize, field, form, parameter, redeem, register, text,
        written,
    },
    person::Person,
    platform::{Platform, Shared, Site, shared},
};

/// Signs in and consents; gives the tokens of the application.
pub(crate) async fn consented(browser: &mut Browser, shared: &Shared, app: &App) -> Value {
    let page = browser.get(authorize(&app.id, &[])).await;
    let asked = browser.sign_in(&page, &shared.owner).await;
    let request = field(&asked, "request");
    let done = browser.post("/consent", &[("request", request.as_str()), ("decision", "approve")]).await;
    redeem(&browser.client, app, &parameter(done.header("location"), "code")).await
}

/// A page elsewhere sends a form: the browser leaves its `Lax` cookies at home.
async fn from_elsewhere(client: &Client, path: &str, sent: &[(&str, &str)]) -> Answer {
    let call = client.call(Method::POST, path).header("origin", "https://evil.example");
    call.header("sec-fetch-site", "cross-site").body(FORM, written(sent)).send().await
}

#[tokio::test]
async fn auth_s08_a_form_from_elsewhere_signs_out_by_the_id_token_and_without_it_only_asks() {
    let shared = shared().await;
    let app = register(shared, json!({})).await;
    let mut browser = Browser::new(shared);
    let tokens = consented(&mut browser, shared, &app).await;
    let cookie = browser.cookie();
    let token = |name: &str| tokens[name].as_str().expect("text").to_owned();
    let info = browser.client.with_token(&token("access_token"));
    info.get("/oauth2/userinfo").good().await;
    // Anybody's form, on any page: nothing is taken away, and the person is asked.
    let sent = from_elsewhere(&browser.client, "/oauth2/logout", &[("confirmed", "yes")]).await;
    assert!(sent.status == 303 && sent.header("set-cookie").is_empty(), "{}", sent.show());
    let asked = browser.get(sent.header("location")).await;
    assert!(text(&asked).contains("name=\"confirmed\"") && asked.header("clear-site-data").is_empty());
    assert_eq!(browser.cookie(), cookie);
    browser.client.get("/v1/users/me").header("cookie", &cookie).good().await;
    // The application's form: session, tokens and pages are gone.
    let hint = token("id_token");
    let goodbye =
        [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", "https://app.example/bye"), ("state", "a b&c")];
    let sent = from_elsewhere(&browser.client, "/oauth2/logout", &goodbye).await;
    assert!(sent.status == 303 && sent.header("set-cookie").is_empty(), "{}", sent.show());
    let out = browser.get(sent.header("location")).await;
    assert_eq!(out.header("location"), "https://app.example/bye?state=a%20b%26c", "{}", out.show());
    assert_eq!(out.header("clear-site-data"), "\"cache\"");
    assert!(!browser.cookies.contains_key("workos_session"));
    let dead = browser.client.get("/v1/users/me").header("cookie", &cookie).send().await;
    dead.is_refused(401, "CREDENTIAL_INVALID");
    info.get("/oauth2/userinfo").send().await.is_refused(401, "CREDENTIAL_INVALID");
    let again = [("grant_type", "refresh_token"), ("refresh_token", &token("refresh_token"))];
    let refused = form(&browser.client, "/oauth2/token", &app, &again).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    // Nobody is signed in here: nothing of the browser's is touched.
    let none = browser.client.get("/oauth2/logout").send().await;
    assert!(none.status == 200 && none.header("set-cookie").is_empty() && none.header("clear-site-data").is_empty());
}

#[tokio::test]
async fn auth_s08_an_authorization_request_that_a_page_elsewhere_posts_finds_the_session_and_the_flow() {
    let shared = shared().await;
    let app = register(shared, json!({})).await;
    let mut browser = Browser::new(shared);
    consented(&mut browser, shared, &app).await;
    let before = browser.cookie();
    let target = authorize(&app.id, &[("state", "a+b c&d")]);
    let (_, query) = target.split_once('?').expect("it has parameters");
    let call = browser.client.call(Method::POST, "/oauth2/authorize").header("origin", "https://app.example");
    let sent = call.body(FORM, query.to_owned()).send().await;
    assert!(sent.status == 303 && sent.header("set-cookie").is_empty(), "{}", sent.show());
    assert!(sent.header("location").starts_with("/oauth2/authorize?"), "{}", sent.show());
    let done = browser.get(sent.header("location")).await;
    assert!(done.header("location").starts_with(&format!("{REDIRECT}?code=")), "{}", done.show());
    assert_eq!(parameter(done.header("location"), "state"), "a%2Bb%20c%26d");
    assert_eq!(browser.cookie(), before);
}

#[tokio::test]
async fn auth_o18_each_endpoint_and_value_that_discovery_names_does_what_it_says() {
    let shared = shared().await;
    let client = shared.platform.client();
    let found = client.get("/.well-known/openid-configuration").good().await;
    let at = |name: &str| {
        let url = found[name].as_str().unwrap_or_else(|| panic!("{name} is named"));
        url.strip_prefix(SELF).expect("at the issuer").to_owned()
    };
    let list = |name: &str| {
        let values = found[name].as_array().unwrap_or_else(|| panic!("{name} is named"));
        values.iter().map(|value| value.as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let mut browser = Browser::new(shared);
    for algorithm in list("id_token_signing_alg_values_supported") {
        let app = register(shared, json!({"idTokenAlgorithm": algorithm})).await;
        let page = browser.get(authorize(&app.id, &[("scope", &list("scopes_supported").join(" "))])).await;
        let asked = if field(&page, "flow").is_empty() { page } else { browser.sign_in(&page, &shared.owner).await };
        let sent = [("request", &*field(&asked, "request")), ("decision", "approve")];
        let done = browser.post("/consent", &sent).await;
        assert_eq!(parameter(done.header("location"), "iss"), encoded(SELF), "{}", done.show());
        let tokens = redeem(&client, &app, &parameter(done.header("location"), "code")).await;
        let token = |name: &str| tokens[name].as_str().unwrap_or_else(|| panic!("{name}: {tokens}")).to_owned();
        let head = token("id_token").split('.').next().map(decoded).expect("a header");
        assert_eq!(head["alg"], json!(algorithm));
        let keys = client.get(at("jwks_uri")).good().await;
        assert!(keys["keys"].as_array().expect("keys").iter().any(|key| key["kid"] == head["kid"]), "{keys}");
        let mut claims = token("id_token").split('.').nth(1).map(decoded).expect("claims");
        let info = client.with_token(&token("access_token")).get(at("userinfo_endpoint")).good().await;
        claims.as_object_mut().expect("an object").extend(info.as_object().expect("an object").clone());
        for claim in list("claims_supported") {
            assert!(claims.get(&claim).is_some(), "{claim}: {claims}");
        }
        let known = form(&client, &at("introspection_endpoint"), &app, &[("token", &token("access_token"))]).await;
        assert_eq!(known.json()["active"], json!(true));
        let more = [("grant_type", "refresh_token"), ("refresh_token", &*token("refresh_token"))];
        assert_eq!(form(&client, &at("token_endpoint"), &app, &more).await.status, 200);
        let gone = form(&client, &at("revocation_endpoint"), &app, &[("token", &token("refresh_token"))]).await;
        assert_eq!(gone.status, 200, "{}", gone.show());
        let known = form(&client, &at("introspection_endpoint"), &app, &[("token", &token("access_token"))]).await;
        assert_eq!(known.json(), json!({"active": false}));
    }
    values_work(&mut browser, shared, &list).await;
    let tv = register(shared, json!({"kind": "NATIVE"})).await;
    let call = client.call(Method::POST, at("device_authorization_endpoint"));
    call.body(FORM, written(&[("client_id", tv.id.as_str()), ("scope", "openid")])).good().await;
    let app = register(shared, json!({})).await;
    let (_, query) = authorize(&app.id, &[]).split_once('?').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("two");
    let call = client.call(Method::POST, at("pushed_authorization_request_endpoint"));
    let pushed = call.header("authorization", &app.basic).body(FORM, query).good().await;
    let by = [("client_id", app.id.as_str()), ("request_uri", pushed["request_uri"].as_str().expect("a reference"))];
    let page = browser.get(format!("{}?{}", at("authorization_endpoint"), written(&by))).await;
    assert!(text(&page).contains("value=\"approve\""), "{}", page.show());
    let out = browser.get(at("end_session_endpoint")).await;
    assert!(text(&out).contains("name=\"confirmed\""), "{}", out.show());
}

/// Values of parameters: each is taken at the authorization endpoint, and each way to authenticate at the token endpoint.
async fn values_work(browser: &mut Browser, shared: &Shared, list: &impl Fn(&str) -> Vec<String>) {
    let app = register(shared, json!({})).await;
    for (parameter_name, values) in [
        ("response_type", list("response_types_supported")),
        ("response_mode", list("response_modes_supported")),
        ("code_challenge_method", list("code_challenge_methods_supported")),
        ("prompt", list("prompt_values_supported")),
    ] {
        for value in values {
            let page = browser.get(authorize(&app.id, &[(parameter_name, &value)])).await;
            let error = parameter(page.header("location"), "error");
            let wanted = if value == "none" { "consent_required" } else { "" };
            assert_eq!(error, wanted, "{parameter_name}={value}: {}", page.show());
        }
    }
    for method in list("token_endpoint_auth_methods_supported") {
        let more = match method.as_str() {
            "none" => json!({"kind": "NATIVE"}),
            _ => json!({"authenticationMethod": method.to_uppercase()}),
        };
        let app = register(shared, more).await;
        let mut sent = vec![("grant_type", "authorization_code"), ("code", "x"), ("redirect_uri", REDIRECT)];
        sent.push(("code_verifier", VERIFIER));
        let answer = match method.as_str() {
            "client_secret_basic" => form(&browser.client, "/oauth2/token", &app, &sent).await,
            other => {
                sent.push(("client_id", &app.id));
                sent.extend((other == "client_secret_post").then_some(("client_secret", &*app.secret)));
                browser.client.call(Method::POST, "/oauth2/token").body(FORM, written(&sent)).send().await
            }
        };
        assert_eq!(answer.json()["error"], "invalid_grant", "{method}: known as who it is: {}", answer.show());
    }
}

/// A part of a JWT.
pub(crate) fn decoded(part: &str) -> Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn auth_o13_a_consent_page_of_ones_own_decides_by_the_browsers_cookie() {
    let site = Site::new().await.set("gateway.consent_url", "/app/consent");
    let platform = Platform::start(site).await;
    let owner = Person::first(&platform.client(), platform.site()).await;
    let shared = Shared { platform, owner };
    let app = register(&shared, json!({})).await;
    let mut browser = Browser::new(&shared);
    let page = browser.get(authorize(&app.id, &[])).await;
    let sent = browser.sign_in(&page, &shared.owner).await;
    assert!(sent.status == 303 && sent.header("location").starts_with("/app/consent?request="), "{}", sent.show());
    let name = format!("/v1/authorizationRequests/{}", parameter(sent.header("location"), "request"));
    let cookie = browser.cookie();
    let asked = browser.client.get(&name).header("cookie", &cookie).good().await;
    assert_eq!((&asked["client"], &asked["scopes"]), (&json!(app.id), &json!(["openid", "email", "offline_access"])));
    let decide = |origin: &str| {
        let call = browser.client.post(format!("{name}:approve"), &json!({})).header("cookie", &cookie);
        call.header("origin", origin)
            .header("sec-fetch-site", if origin == SELF { "same-origin" } else { "cross-site" })
    };
    assert_eq!(decide("https://evil.example").send().await.status, 403);
    let done = decide(SELF).good().await;
    let uri = done["redirectUri"].as_str().expect("where the browser goes");
    assert!(uri.starts_with(&format!("{REDIRECT}?code=")), "{uri}");
    redeem(&browser.client, &app, &parameter(uri, "code")).await;
}

/// A page in place of ours, on this origin: the sign-in by the API up to its last step, with the challenge that the page was opened with.
async fn signed_in_by_api(browser: &Browser, challenge: &str, person: &Person) -> Value {
    let begin = json!({"clientId": "workos-browser", "redirectUri": "workos:browser", "codeChallenge": challenge, "codeChallengeMethod": "S256"});
    let step = browser.client.post("/v1/login:start", &begin).good().await;
    assert!(step["password"].is_object(), "the first step can be shown: {step}");
    let answer = json!({"flow": step["flow"], "password": {"email": person.email, "password": person.password()}});
    let step = browser.client.post("/v1/login:continue", &answer).good().await;
    let answer = json!({"flow": step["flow"], "organization": person.organization});
    browser.client.post("/v1/login:continue", &answer).good().await["done"].clone()
}

#[tokio::test]
async fn auth_o13_a_sign_in_page_of_ones_own_ends_in_the_browser_that_it_was_opened_in() {
    let site = Site::new().await.set("gateway.login_url", "/app/signin");
    let platform = Platform::start(site).await;
    let owner = Person::first(&platform.client(), platform.site()).await;
    let shared = Shared { platform, owner };
    let app = register(&shared, json!({})).await;
    let mut browser = Browser::new(&shared);
    let sent = browser.get(authorize(&app.id, &[("login_hint", "ada+1@example.com"), ("prompt", "login")])).await;
    let to = sent.header("location").to_owned();
    assert!(sent.status == 303 && to.starts_with("/app/signin?"), "{}", sent.show());
    assert_eq!(
        (parameter(&to, "again").as_str(), parameter(&to, "login_hint").as_str()),
        ("true", "ada%2B1%40example.com")
    );
    let done = signed_in_by_api(&browser, &parameter(&to, "code_challenge"), &shared.owner).await;
    let (code, device) = (done["code"].as_str().expect("a code"), done["device"].as_str().expect("a mark"));
    let request = parameter(&to, "request");
    let form = [("code", code), ("device", device), ("request", request.as_str())];
    let mut other = Browser::new(&shared);
    other.get("/signin").await;
    assert_eq!(other.post("/signin", &form).await.status, 403, "another browser does not end it");
    assert!(!other.cookie().contains("session"), "{}", other.cookie());
    let again = signed_in_by_api(&browser, &parameter(&to, "code_challenge"), &shared.owner).await;
    let form = [("code", again["code"].as_str().expect("a code")), ("device", device), ("request", request.as_str())];
    let consent = browser.post("/signin", &form).await;
    assert!(consent.status == 200 && text(&consent).contains("Allow"), "{}", consent.show());
    assert!(
        browser.cookies.keys().any(|name| name.contains("device")),
        "the mark is kept: {:?}",
        browser.cookies.keys()
    );
    let sent = browser.post("/consent", &[("request", &*field(&consent, "request")), ("decision", "approve")]).await;
    let tokens = redeem(&browser.client, &app, &parameter(sent.header("location"), "code")).await;
    assert!(tokens["id_token"].is_string(), "{tokens}");
    let by_himself = Browser::new(&shared).get("/signin?return_to=/device").await;
    assert_eq!(parameter(by_himself.header("location"), "return_to"), "%2Fdevice");
}
