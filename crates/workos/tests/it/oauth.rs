//! The OAuth and OpenID Connect endpoints by the public door: pages, cookies, redirects, discovery.
use std::collections::{BTreeMap, BTreeSet};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    client::{Answer, Client, encoded},
    person::Person,
    platform::{ORIGIN, Shared, shared},
};

pub(crate) const SELF: &str = "http://localhost:8080";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const REDIRECT: &str = "https://app.example/cb";

/// A browser: it keeps cookies, follows nothing, and says where its forms come from.
pub(crate) struct Browser {
    pub(crate) client: Client,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new(shared: &Shared) -> Browser {
        Browser { client: shared.platform.client(), cookies: BTreeMap::new() }
    }

    pub(crate) fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, answer: Answer) -> Answer {
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().expect("ASCII");
            assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax") && line.contains("Path=/"), "{line}");
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub(crate) async fn get(&mut self, path: impl Into<String>) -> Answer {
        let answer = self.client.get(path).header("cookie", self.cookie()).send().await;
        self.keep(answer)
    }

    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let call = self.client.call(Method::POST, path).header("cookie", self.cookie()).header("origin", SELF);
        let answer = call.body(FORM, written(form)).send().await;
        self.keep(answer)
    }

    /// Signs in on the page that is shown, and gives what comes then.
    pub(crate) async fn sign_in(&mut self, page: &Answer, person: &Person) -> Answer {
        let (request, flow) = (field(page, "request"), field(page, "flow"));
        let form =
            [("request", request.as_str()), ("flow", &flow), ("email", &person.email), ("password", person.password())];
        let asked = self.post("/signin", &form).await;
        if asked.status == 200 && text(&asked).contains("name=\"organization\"") {
            let flow = field(&asked, "flow");
            let form = [("request", request.as_str()), ("flow", &flow), ("organization", &person.organization)];
            return self.post("/signin", &form).await;
        }
        asked
    }
}

pub(crate) fn written(form: &[(&str, &str)]) -> String {
    form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

pub(crate) fn text(page: &Answer) -> String {
    String::from_utf8(page.body.to_vec()).expect("UTF-8")
}

/// A hidden field of a page; empty when it has none.
pub(crate) fn field(page: &Answer, name: &str) -> String {
    let html = text(page);
    let start = format!("name=\"{name}\" value=\"");
    html.split_once(&start)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or(String::new(), |(value, _)| value.to_owned())
}

pub(crate) fn parameter(uri: &str, name: &str) -> String {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_default().to_owned()
}

pub(crate) fn authorize(client: &str, more: &[(&str, &str)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER.as_bytes()));
    let mut all = BTreeMap::from([
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "openid email offline_access"),
        ("state", "s1"),
        ("nonce", "n1"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ]);
    all.extend(more.iter().copied());
    let pairs: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    format!("/oauth2/authorize?{}", written(&pairs))
}

pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) basic: String,
    pub(crate) secret: String,
}

pub(crate) async fn register(shared: &Shared, more: Value) -> App {
    let owner = shared.owner.sign_in(&shared.platform.client()).await;
    let mut body = json!({
        "displayName": "Planner <b>", "kind": "WEB", "redirectUris": [REDIRECT], "postLogoutRedirectUris": ["https://app.example/bye"],
        "scopes": ["openid", "profile", "email", "offline_access", "organization:read"],
    });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let made = owner.post(format!("/v1/{}/oauthClients", shared.owner.organization), &body).good().await;
    let id = made["name"].as_str().expect("named").rsplit('/').next().expect("an id").to_owned();
    let secret = made["clientSecret"].as_str().unwrap_or_default().to_owned();
    App { basic: format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))), id, secret }
}

pub(crate) async fn form(client: &Client, path: &str, app: &App, form: &[(&str, &str)]) -> Answer {
    client.call(Method::POST, path).header("authorization", &app.basic).body(FORM, written(form)).send().await
}

pub(crate) async fn redeem(client: &Client, app: &App, code: &str) -> Value {
    let grant =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT), ("code_verifier", VERIFIER)];
    let answer = form(client, "/oauth2/token", app, &grant).await;
    assert_eq!(answer.status, 200, "{}", answer.show());
    answer.json()
}

#[tokio::test]
async fn auth_o13_from_the_authorization_endpoint_over_the_pages_to_userinfo() {
    let shared = shared().await;
    let (app, client) = (register(shared, json!({})).await, shared.platform.client());
    let mut browser = Browser::new(shared);
    let page = browser.get(authorize(&app.id, &[])).await;
    assert_eq!(page.status, 200, "{}", page.show());
    let policy = page.header("content-security-policy").to_owned();
    assert!(
        policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self' https://app.example;"),
        "{policy}"
    );
    let shown = text(&page).replace("<script src=\"/signin/passkey.js\" defer></script>", "");
    assert!(shown.contains("Planner &lt;b&gt;") && !shown.contains("<script"), "{shown}");
    let form = [("request", field(&page, "request")), ("flow", field(&page, "flow"))];
    let wrong = [
        ("request", form[0].1.as_str()),
        ("flow", &form[1].1),
        ("email", &shared.owner.email),
        ("password", "wrong but long enough"),
    ];
    let again = browser.post("/signin", &wrong).await;
    assert!(again.status == 400 && text(&again).contains("role=\"alert\""), "{}", again.show());
    let asked = browser.sign_in(&again, &shared.owner).await;
    assert!(
        text(&asked).contains("Planner &lt;b&gt;") && text(&asked).contains("your e-mail address"),
        "{}",
        asked.show()
    );
    assert_eq!(asked.header("cache-control"), "no-store");
    let request = field(&asked, "request");
    // A form from elsewhere, and one from a browser that did not begin.
    let forged = client
        .call(Method::POST, "/consent")
        .header("cookie", browser.cookie())
        .header("origin", "https://evil.example");
    let forged = forged.body(FORM, written(&[("request", request.as_str()), ("decision", "approve")])).send().await;
    assert_eq!(forged.status, 403, "{}", forged.show());
    let done = browser.post("/consent", &[("request", request.as_str()), ("decision", "approve")]).await;
    assert_eq!(done.status, 303, "{}", done.show());
    let target = done.header("location").to_owned();
    assert!(target.starts_with("https://app.example/cb?code="), "{target}");
    assert_eq!((parameter(&target, "state"), parameter(&target, "iss")), ("s1".to_owned(), encoded(SELF)));
    let tokens = redeem(&client, &app, &parameter(&target, "code")).await;
    let access = tokens["access_token"].as_str().expect("text");
    let info = client.with_token(access).get("/oauth2/userinfo").good().await;
    assert_eq!(info["email"], json!(shared.owner.email));
    let body =
        client.call(Method::POST, "/oauth2/userinfo").body(FORM, written(&[("access_token", access)])).send().await;
    assert_eq!(body.json()["sub"], info["sub"]);
    silence_and_goodbye(&mut browser, &app, tokens["id_token"].as_str().expect("text")).await;
}

/// Signed in already, then signed out by the ID token.
async fn silence_and_goodbye(browser: &mut Browser, app: &App, hint: &str) {
    // Signed in already: a code at once, and nothing without asking where nothing was allowed.
    let silent = browser.get(authorize(&app.id, &[("prompt", "none")])).await;
    assert!(silent.status == 303 && !parameter(silent.header("location"), "code").is_empty(), "{}", silent.show());
    let more = browser.get(authorize(&app.id, &[("prompt", "none"), ("scope", "organization:read")])).await;
    assert_eq!(parameter(more.header("location"), "error"), "consent_required");
    // Signing out by the ID token, with everything that the browser held.
    let out = format!(
        "/oauth2/logout?{}",
        written(&[("id_token_hint", hint), ("post_logout_redirect_uri", "https://app.example/bye"), ("state", "x")])
    );
    let out = browser.get(out).await;
    assert_eq!(
        (out.status.as_u16(), out.header("location")),
        (303, "https://app.example/bye?state=x"),
        "{}",
        out.show()
    );
    assert!(!browser.cookies.contains_key("workos_session"));
    let none = browser.get(authorize(&app.id, &[("prompt", "none")])).await;
    assert_eq!(parameter(none.header("location"), "error"), "login_required");
}

#[tokio::test]
async fn auth_s10_a_cookie_is_a_credential_for_pages_of_the_same_origin_alone() {
    let shared = shared().await;
    let mut browser = Browser::new(shared);
    let page = browser.get("/signin?return_to=%2Fdocs").await;
    let done = browser.sign_in(&page, &shared.owner).await;
    assert_eq!(
        (done.status.as_u16(), done.header("location")),
        (303, "/"),
        "the path stood in the form that was not sent"
    );
    let (client, cookie) = (&browser.client, browser.cookie());
    let me = client.get("/v1/users/me").header("cookie", &cookie).good().await;
    assert_eq!(me["name"], json!(shared.owner.user));
    let both = client.with_token("x").get("/v1/users/me").header("cookie", &cookie).send().await;
    both.is_refused(401, "CREDENTIAL_INVALID");
    let twice = client.get("/v1/users/me").header("cookie", &cookie).header("cookie", &cookie).send().await;
    twice.is_refused(401, "CREDENTIAL_INVALID");
    let path = format!("/v1/{}", shared.owner.organization);
    let body = json!({"displayName": "First organization"});
    let change = || client.patch(&path, &body).header("cookie", &cookie);
    change().send().await.is_refused(403, "ACCESS_DENIED");
    for (name, value) in
        [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site"), ("origin", ORIGIN)]
    {
        change().header(name, value).send().await.is_refused(403, "ACCESS_DENIED");
    }
    for kind in ["text/plain", FORM, "multipart/form-data; boundary=x"] {
        let call = client.call(Method::PATCH, &path).header("cookie", &cookie).header("origin", SELF);
        call.body(kind, body.to_string()).send().await.is_refused(403, "ACCESS_DENIED");
    }
    change().header("origin", SELF).good().await;
    change().header("sec-fetch-site", "same-origin").good().await;
    // It can be stepped out of by confirming; then the cookie is worth nothing.
    let asked = browser.get("/oauth2/logout").await;
    assert!(text(&asked).contains("name=\"confirmed\""), "{}", asked.show());
    let out = browser.post("/oauth2/logout", &[("confirmed", "yes")]).await;
    assert_eq!(out.status, 200, "{}", out.show());
    let dead = browser.client.get("/v1/users/me").header("cookie", &cookie).send().await;
    dead.is_refused(401, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn auth_o06_o09_what_is_not_proven_is_shown_and_repeated_parameters_are_refused() {
    let shared = shared().await;
    let app = register(shared, json!({})).await;
    let mut browser = Browser::new(shared);
    for uri in
        ["https://evil.example/cb", "https://app.example/cb/x", "https://app.example/cb#x", "javascript:alert(1)", ""]
    {
        let page = browser.get(authorize(&app.id, &[("redirect_uri", uri)])).await;
        assert!(page.status == 400 && page.header("location").is_empty(), "{uri}: {}", page.show());
        assert!(page.header("content-type").starts_with("text/html"));
    }
    let twice = browser.get(format!("{}&state=s2", authorize(&app.id, &[]))).await;
    assert!(twice.status == 400 && twice.header("location").is_empty(), "{}", twice.show());
    let page = browser.get("/signin").await;
    browser.sign_in(&page, &shared.owner).await;
    let plain = browser.get(authorize(&app.id, &[("code_challenge_method", "plain")])).await;
    let target = plain.header("location");
    assert_eq!(
        (parameter(target, "error"), parameter(target, "state")),
        ("invalid_request".to_owned(), "s1".to_owned())
    );
    let posted = browser.post("/oauth2/authorize", &[("client_id", app.id.as_str())]).await;
    assert_eq!(posted.status, 400, "a POST is read from its form: {}", posted.show());
}

#[tokio::test]
async fn auth_g06_no_origin_reads_the_authorization_endpoint_and_every_origin_the_token_endpoint_without_credentials() {
    let shared = shared().await;
    let client = shared.platform.client();
    let app = register(shared, json!({})).await;
    for origin in [ORIGIN, "https://evil.example"] {
        let page = client.get(authorize(&app.id, &[])).header("origin", origin).send().await;
        assert_eq!((page.status.as_u16(), page.header("access-control-allow-origin")), (200, ""));
        let preflight = client.call(Method::OPTIONS, "/oauth2/authorize").header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "GET").send().await;
        assert_eq!(preflight.header("access-control-allow-origin"), "");
        for path in ["/oauth2/token", "/oauth2/userinfo", "/.well-known/jwks.json", "/.well-known/openid-configuration"]
        {
            let preflight = client.call(Method::OPTIONS, path).header("origin", origin);
            let preflight = preflight.header("access-control-request-method", "POST").send().await;
            assert_eq!(preflight.header("access-control-allow-origin"), "*", "{path}");
            assert_eq!(preflight.header("access-control-allow-credentials"), "", "{path}");
        }
    }
}

#[tokio::test]
async fn auth_o18_everything_that_discovery_says_works_and_nothing_else() {
    let shared = shared().await;
    let client = shared.platform.client();
    let found = client.get("/.well-known/openid-configuration").good().await;
    assert_eq!(found, client.get("/.well-known/oauth-authorization-server").good().await);
    assert_eq!(found["issuer"], json!(SELF));
    assert_eq!(found["code_challenge_methods_supported"], json!(["S256"]));
    let ends: Vec<_> = found
        .as_object()
        .expect("an object")
        .iter()
        .filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri")
        .collect();
    assert_eq!(ends.len(), 9, "{ends:?}");
    for (name, url) in ends {
        let path = url.as_str().and_then(|url| url.strip_prefix(SELF)).expect("at the issuer");
        let answer = client.call(Method::OPTIONS, path).send().await;
        assert!(answer.status == 204 && !answer.header("allow").is_empty(), "{name}: {}", answer.show());
    }
    let keys = client.get("/.well-known/jwks.json").send().await;
    let algorithms: BTreeSet<_> =
        keys.json()["keys"].as_array().expect("keys").iter().map(|key| key["alg"].to_string()).collect();
    assert_eq!(algorithms, BTreeSet::from(["\"ES256\"".to_owned(), "\"RS256\"".to_owned()]));
    let unchanged = client.get("/.well-known/jwks.json").header("if-none-match", keys.header("etag")).send().await;
    assert_eq!(unchanged.status, 304);
    let app = register(shared, json!({})).await;
    for kind in found["grant_types_supported"].as_array().expect("a list") {
        let answer = form(&client, "/oauth2/token", &app, &[("grant_type", kind.as_str().expect("text"))]).await;
        let error = answer.json()["error"].as_str().expect("parameters are missing").to_owned();
        assert!(["invalid_request", "unauthorized_client"].contains(&error.as_str()), "{kind}: {error}");
    }
    for other in ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"] {
        let answer = form(&client, "/oauth2/token", &app, &[("grant_type", other)]).await;
        assert_eq!(answer.json()["error"], "unsupported_grant_type", "{other}");
    }
}

#[tokio::test]
async fn auth_o14_o22_pushed_requests_introspection_and_client_authentication_over_http() {
    let shared = shared().await;
    let client = shared.platform.client();
    let app = register(shared, json!({})).await;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER.as_bytes()));
    let sent = [
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "openid"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let pushed = form(&client, "/oauth2/par", &app, &sent).await;
    assert_eq!((pushed.status.as_u16(), pushed.json()["expires_in"].as_i64()), (201, Some(60)), "{}", pushed.show());
    let uri = pushed.json()["request_uri"].as_str().expect("a reference").to_owned();
    let by = format!("/oauth2/authorize?{}", written(&[("client_id", app.id.as_str()), ("request_uri", &uri)]));
    let mut browser = Browser::new(shared);
    assert!(text(&browser.get(&by).await).contains("name=\"password\""));
    let again = browser.get(&by).await;
    assert!(again.status == 400 && again.header("location").is_empty(), "{}", again.show());
    let wrong = App {
        basic: format!("Basic {}", STANDARD.encode(format!("{}:wrong", app.id))),
        id: app.id.clone(),
        secret: String::new(),
    };
    let refused = form(&client, "/oauth2/introspect", &wrong, &[("token", "x")]).await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"].as_str()), (401, Some("invalid_client")));
    assert!(refused.header("www-authenticate").starts_with("Basic"));
    let unknown = form(&client, "/oauth2/introspect", &app, &[("token", "x")]).await;
    assert_eq!(unknown.json(), json!({"active": false}));
    let twice = form(
        &client,
        "/oauth2/introspect",
        &app,
        &[("token", "x"), ("client_id", app.id.as_str()), ("client_secret", app.secret.as_str())],
    )
    .await;
    assert_eq!((twice.status.as_u16(), twice.json()["error"].as_str()), (400, Some("invalid_request")));
}

#[tokio::test]
async fn auth_o17_a_device_link_shows_what_it_is_about_and_lets_nobody_in() {
    let shared = shared().await;
    let client = shared.platform.client();
    let mut browser = Browser::new(shared);
    let tv = register(shared, json!({"kind": "NATIVE"})).await;
    let call = client.call(Method::POST, "/oauth2/device_authorization");
    let codes = call.body(FORM, written(&[("client_id", tv.id.as_str()), ("scope", "openid")])).good().await;
    let link =
        codes["verification_uri_complete"].as_str().and_then(|link| link.strip_prefix(SELF)).expect("here").to_owned();
    let first = browser.get(&link).await;
    let page = browser.get(first.header("location")).await;
    browser.sign_in(&page, &shared.owner).await;
    let filled = browser.get(&link).await;
    let code = codes["user_code"].as_str().expect("text");
    assert!(text(&filled).contains(&format!("value=\"{code}\"")), "{}", filled.show());
    assert!(!text(&filled).contains("Planner"), "following a link tests no code: {}", filled.show());
    let shown = browser.post("/device", &[("user_code", code)]).await;
    assert!(
        text(&shown).contains("Planner &lt;b&gt;") && text(&shown).contains("value=\"approve\""),
        "{}",
        shown.show()
    );
    let poll = async |client: &Client| {
        let grant = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", tv.id.as_str()),
            ("device_code", codes["device_code"].as_str().expect("text")),
        ];
        client.call(Method::POST, "/oauth2/token").body(FORM, written(&grant)).send().await.json()
    };
    assert_eq!(poll(&client).await["error"], "authorization_pending", "looking is not approving");
    let code = field(&shown, "user_code");
    let done = browser.post("/device", &[("user_code", code.as_str()), ("decision", "deny")]).await;
    assert_eq!(done.status, 200, "{}", done.show());
    // The clock of this platform is the real one: let the device have polled long ago.
    let earlier =
        format!("update auth.device_codes set poll_time = poll_time - interval '1 minute' where client = '{}'", tv.id);
    shared.platform.site().sql(&earlier).await;
    assert_eq!(poll(&client).await["error"], "access_denied");
}
