//! Secrets that went through the flows stand in no log, no trace, no metric and no entry of the audit log (auth.md, H1), with the log
//! as talkative as it can be set. Codes of six digits are not looked for: any number may hold them.
//!
//! The same of tables, events and errors is proven where the service is alone (`crates/auth/tests/it/canary.rs`).
use std::{collections::BTreeMap, time::Duration};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use http::Method;
use serde_json::{Value, json};
use testkit::{Collector, eventually_within};
use totp_rs::{Algorithm, Builder, Secret};

use crate::{
    client::{Client, encoded, tomorrow},
    invitation::invited,
    magic::{asks, parts},
    mailbox::{mailed_link, mailed_link_of},
    oauth::{App, Browser, FORM, VERIFIER, form, register, written},
    oauth_flows::consented,
    person::{CLIENT, Person, REDIRECT, SYSTEM, token},
    platform::{Platform, Shared, Site},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// What must not be told, by what it is.
#[derive(Default)]
struct Secrets(BTreeMap<String, String>);

impl Secrets {
    fn keep(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 6, "{what} is no secret: {secret}");
        self.0.insert(format!("{what} {}", self.0.len()), secret.to_owned());
    }

    /// Every text of these fields, wherever they stand in an answer.
    fn keep_of(&mut self, answer: &Value, fields: &[&str]) {
        match answer {
            Value::Object(all) => {
                for (name, value) in all {
                    let texts = value.as_array().map_or_else(|| vec![value], |all| all.iter().collect());
                    for text in texts.into_iter().filter_map(Value::as_str).filter(|_| fields.contains(&name.as_str()))
                    {
                        self.keep(name, text);
                    }
                    self.keep_of(value, fields);
                }
            }
            Value::Array(all) => all.iter().for_each(|value| self.keep_of(value, fields)),
            _ => {}
        }
    }

    /// What of them stands in a text, as it is or in a form that is as good.
    fn told_by(&self, bytes: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        let told = |(what, secret): (&String, &String)| {
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            let bytes = format!("{:?}", secret.as_bytes());
            let forms = [
                secret.clone(),
                STANDARD.encode(secret),
                STANDARD_NO_PAD.encode(secret),
                URL_SAFE.encode(secret),
                URL_SAFE_NO_PAD.encode(secret),
                encoded(secret),
                hex.to_uppercase(),
                hex,
                bytes.trim_matches(['[', ']']).to_owned(),
            ];
            let at = forms.iter().find_map(|form| text.find(form.as_str()))?;
            let near: String = text[..at].chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
            Some(format!("{what} after: {near}"))
        };
        self.0.iter().filter_map(told).collect()
    }
}

#[tokio::test]
async fn auth_h01_no_secret_is_told_by_logs_traces_metrics_or_the_audit_log() {
    let collector = Collector::start().await;
    let site = Site::new().await.set("telemetry.level", "trace").set("telemetry.otlp_url", collector.url());
    let platform = Platform::start(site).await;
    let mut secrets = Secrets::default();
    secrets.keep("bootstrap code", &platform.site().bootstrap_code().await);
    let owner = Person::first(&platform.client(), platform.site()).await;
    let mut shared = Shared { platform, owner };
    let client = shared.platform.client();
    passwords_and_mails(&shared, &client, &mut secrets).await;
    mails_that_let_in(&shared, &client, &mut secrets).await;
    factors(&shared, &client, &mut secrets).await;
    applications(&shared, &client, &mut secrets).await;
    keys(&shared, &client, &mut secrets).await;
    wrong_places(&shared, &client, &mut secrets).await;
    assert!(secrets.0.len() > 50, "only {} secrets", secrets.0.len());
    let metrics = shared.platform.admin().get("/metrics").send().await.body;
    let operator = client.with_token(&shared.owner.tokens(&client, SYSTEM).await.access);
    let audit = operator.get(format!("/v1/{SYSTEM}/auditEvents?pageSize=1000")).good().await;
    let owner = shared.owner.sign_in(&client).await;
    let ours = owner.get(format!("/v1/{}/auditEvents?pageSize=1000", shared.owner.organization)).good().await;
    let spans = async || collector.seen().iter().flat_map(|(_, body)| body.to_vec()).collect::<Vec<u8>>();
    let look = || async {
        let spans = spans().await;
        String::from_utf8_lossy(&spans).contains("ResetPassword").then_some(())
    };
    eventually_within(PATIENCE, "spans of the flows arrive", look).await;
    let log = shared.platform.stop().await.everything();
    // They tell what happened, and the log is as talkative as it was told to be.
    assert!(
        log.contains("\"log.level\":\"trace\"") || log.contains("\"log.level\":\"debug\""),
        "the log is not talkative"
    );
    assert!(log.contains("ContinueLogin") && String::from_utf8_lossy(&metrics).contains("workos_auth_sign_ins"));
    assert!(audit.to_string().len() + ours.to_string().len() > 5_000, "the audit log has entries");
    let mut told = Vec::new();
    let places: [(&str, Vec<u8>); 5] = [
        ("log", log.into_bytes()),
        ("traces", spans().await),
        ("metrics", metrics.to_vec()),
        ("audit log of the operators", audit.to_string().into_bytes()),
        ("audit log", ours.to_string().into_bytes()),
    ];
    for (place, bytes) in &places {
        told.extend(secrets.told_by(bytes).into_iter().map(|secret| format!("{place}: {secret}")));
    }
    assert!(told.is_empty(), "{} leaks:\n{}", told.len(), told.join("\n"));
}

/// Begins a sign-in by password; keeps what it uses.
async fn begun(client: &Client, person: &Person, password: &str, secrets: &mut Secrets) -> Value {
    let start = json!({
        "clientId": CLIENT, "redirectUri": REDIRECT, "codeChallengeMethod": "S256",
        "codeChallenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "state": "a state that nobody else has",
    });
    let step = client.post("/v1/login:start", &start).good().await;
    let body = json!({"flow": step["flow"], "password": {"email": person.email, "password": password}});
    let next = client.post("/v1/login:continue", &body).send().await.json();
    secrets.keep("password", password);
    secrets.keep_of(&step, &["flow"]);
    secrets.keep_of(&next, &["flow", "code", "device"]);
    next
}

/// Sign-in, refresh and reuse, wrong passwords, a reset by mail, another password, an invitation.
async fn passwords_and_mails(shared: &Shared, client: &Client, secrets: &mut Secrets) {
    secrets.keep("password", shared.owner.password());
    let bob = shared.owner.member(client, "Bob", None).await;
    let tokens = bob.tokens(client, &bob.organization).await;
    let fresh = token(client, &[("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh)]).await;
    begun(client, &bob, "a wrong password that nobody has", secrets).await;
    begun(client, &bob, bob.password(), secrets).await;
    let changed = "nine lighthouses on a long coast";
    let body = json!({"currentPassword": bob.password(), "newPassword": changed});
    client.with_token(&fresh.access).post("/v1/users/me:changePassword", &body).good().await;
    client.post("/v1/account:requestPasswordReset", &json!({"email": bob.email})).good().await;
    let link = mailed_link(shared, client, &bob.email).await;
    let (_, reset) = link.split_once("token=").expect("the link carries the token");
    client.get(link.clone()).send().await;
    let new = "ten lighthouses on a longer coast";
    for _ in 0..2 {
        client.post("/v1/account:resetPassword", &json!({"token": reset, "newPassword": new})).send().await;
    }
    let owner = shared.owner.sign_in(client).await;
    let email = format!("{}@invited.example", api::Ids::default().next());
    let body = json!({"email": email});
    owner.post(format!("/v1/{}/invitations", shared.owner.organization), &body).good().await;
    let link = mailed_link_of(shared, client, &shared.owner.organization, &email).await;
    let invited = link.split_once("token=").or(link.rsplit_once('/')).expect("the link carries the token").1;
    client.post("/v1/invitations:lookup", &json!({"token": invited})).send().await;
    let mine = "eleven lighthouses and a foghorn";
    let body = json!({"displayName": "Dora", "password": mine, "invitation": invited});
    client.post("/v1/account:signUp", &body).send().await;
    for secret in [bob.password(), changed, new, mine] {
        secrets.keep("password", secret);
    }
    for secret in [reset, invited] {
        secrets.keep("link", secret);
    }
    for tokens in [tokens, fresh] {
        secrets.keep("access token", &tokens.access);
        secrets.keep("refresh token", &tokens.refresh);
    }
}

/// A link of a mail that signs in, and an invitation that who has an account accepts.
async fn mails_that_let_in(shared: &Shared, client: &Client, secrets: &mut Secrets) {
    let kim = shared.owner.member(client, "Kim", None).await;
    let mut browser = Browser::new(shared);
    asks(&mut browser, &kim.email).await;
    let link = mailed_link(shared, client, &kim.email).await;
    let (path, magic) = parts(&link);
    browser.get(link.as_str()).await;
    let done = browser.post(path, &[("token", magic)]).await;
    assert_eq!(done.status, 303, "{}", done.show());
    let (_, link) = invited(shared, &kim).await;
    let (path, invitation) = parts(&link);
    browser.get(link.as_str()).await;
    let joined = browser.post(&format!("{path}/done"), &[("token", invitation), ("accept", "yes")]).await;
    assert_eq!(joined.status, 200, "{}", joined.show());
    secrets.keep("link", magic);
    secrets.keep("link", invitation);
    for cookie in browser.cookies.values().filter(|value| value.len() > 20) {
        secrets.keep("cookie", cookie);
    }
}

/// An authenticator app and its recovery codes.
async fn factors(shared: &Shared, client: &Client, secrets: &mut Secrets) {
    let eve = shared.owner.member(client, "Eve", None).await;
    let signed = eve.sign_in(client).await;
    let made = signed.post("/v1/users/me/mfaFactors", &json!({"displayName": "Phone"})).good().await;
    secrets.keep_of(&made, &["secret", "otpauthUri"]);
    let seed = Secret::try_from_base32(made["secret"].as_str().expect("shown once")).expect("base32");
    let app = Builder::new().with_algorithm(Algorithm::SHA1).with_secret(seed).build().expect("160 bits");
    let code = |ahead: i64| {
        let time = api::Clock::default().now().unix_timestamp() + ahead;
        app.generate(time.try_into().expect("after 1970")).to_string()
    };
    let confirm = format!("/v1/{}:confirm", made["name"].as_str().expect("named"));
    let told = signed.post(confirm, &json!({"code": code(0)})).good().await;
    secrets.keep_of(&told, &["recoveryCodes"]);
    let asked = begun(client, &eve, eve.password(), secrets).await;
    let done = client.post("/v1/login:continue", &json!({"flow": asked["flow"], "totp": code(30)})).good().await;
    secrets.keep_of(&done, &["flow", "code", "device"]);
    let asked = begun(client, &eve, eve.password(), secrets).await;
    let recovery = json!({"flow": asked["flow"], "recoveryCode": told["recoveryCodes"][0]});
    let done = client.post("/v1/login:continue", &recovery).good().await;
    secrets.keep_of(&done, &["flow", "code", "device"]);
}

/// A browser at the pages, an application's code, its secret, a device.
async fn applications(shared: &Shared, client: &Client, secrets: &mut Secrets) {
    let app = register(shared, json!({})).await;
    let mut browser = Browser::new(shared);
    let tokens = consented(&mut browser, shared, &app).await;
    secrets.keep_of(&tokens, &["access_token", "refresh_token", "id_token"]);
    secrets.keep("verifier", VERIFIER);
    for cookie in browser.cookies.values().filter(|value| value.len() > 20) {
        secrets.keep("cookie", cookie);
    }
    let refresh = tokens["refresh_token"].as_str().expect("text");
    for (path, sent) in [
        ("/oauth2/introspect", [("token", refresh), ("token_type_hint", "refresh_token")]),
        ("/oauth2/token", [("grant_type", "refresh_token"), ("refresh_token", refresh)]),
        ("/oauth2/revoke", [("token", refresh), ("token_type_hint", "refresh_token")]),
    ] {
        let said = form(client, path, &app, &sent).await.json();
        secrets.keep_of(&said, &["access_token", "refresh_token", "id_token"]);
    }
    let wrong = App {
        basic: format!("Basic {}", STANDARD.encode(format!("{}:a wrong secret of this test", app.id))),
        ..register(shared, json!({})).await
    };
    form(client, "/oauth2/token", &wrong, &[("grant_type", "client_credentials")]).await;
    for app in [&app, &wrong] {
        secrets.keep("client secret", &app.secret);
        secrets.keep("client authentication", app.basic.trim_start_matches("Basic "));
    }
    let tv = register(shared, json!({"kind": "NATIVE"})).await;
    let call = client.call(Method::POST, "/oauth2/device_authorization");
    let device = call.body(FORM, written(&[("client_id", tv.id.as_str()), ("scope", "openid")])).good().await;
    secrets.keep_of(&device, &["device_code", "user_code"]);
    let sent = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", tv.id.as_str()),
        ("device_code", device["device_code"].as_str().expect("text")),
    ];
    client.call(Method::POST, "/oauth2/token").body(FORM, written(&sent)).send().await;
    browser
        .get(
            device["verification_uri_complete"]
                .as_str()
                .and_then(|uri| uri.find("/device").map(|at| uri[at..].to_owned()))
                .expect("a page"),
        )
        .await;
    let operator = client.with_token(&shared.owner.tokens(client, SYSTEM).await.access);
    let row = json!({"displayName": "Foreign", "protocol": "OIDC", "issuer": "https://foreign.example", "clientId": "workos", "clientSecret": "a secret at the provider", "scopes": ["openid"]});
    operator.post(format!("/v1/{SYSTEM}/identityProviders"), &row).good().await;
    secrets.keep("provider's secret", "a secret at the provider");
}

/// API keys: good, rotated, spoiled.
async fn keys(shared: &Shared, client: &Client, secrets: &mut Secrets) {
    let owner = shared.owner.sign_in(client).await;
    let body = json!({"displayName": "Import", "scopes": ["membership:read"], "expireTime": tomorrow()});
    let made = owner.post(format!("/v1/{}/apiKeys", shared.owner.organization), &body).good().await;
    let path = format!("/v1/{}", made["name"].as_str().expect("a name"));
    let rotated = owner.post(format!("{path}:rotate"), &json!({})).good().await;
    let members = format!("/v1/{}/memberships", shared.owner.organization);
    for key in [&made, &rotated] {
        let key = key["secret"].as_str().expect("shown once");
        let spoiled = format!("{}_", &key[..key.len() - 1]);
        client.with_token(key).get(members.clone()).send().await;
        client.with_token(&spoiled).get(members.clone()).send().await;
        secrets.keep("key", key);
        secrets.keep("spoiled key", &spoiled);
    }
}

/// Secrets where they do not belong: in queries and paths, in bodies that cannot be read, under names of other fields.
async fn wrong_places(shared: &Shared, client: &Client, secrets: &mut Secrets) {
    let tokens = shared.owner.tokens(client, &shared.owner.organization).await;
    let password = "twelve lighthouses in a body of rubbish";
    for name in ["access_token", "token", "key", "api_key"] {
        client.get(format!("/v1/users/me?{name}={}", tokens.access)).send().await;
    }
    client.get(format!("/auth/link/reset?token={}", tokens.refresh)).send().await;
    client.get(format!("/oauth2/authorize?client_id={}&code={}", tokens.refresh, tokens.refresh)).send().await;
    for body in [
        format!("{{\"flow\": \"x\", \"password\": {{\"email\": \"a@b.example\", \"password\": \"{password}\""),
        format!("{{\"flow\": \"x\", \"password\": \"{password}\"}}"),
        format!("{{\"flow\": \"x\", \"{password}\": 1}}"),
        format!("{{\"flow\": \"{password}\"}}"),
        format!("{{\"flow\": \"x\", \"organization\": \"{password}\"}}"),
    ] {
        client.call(Method::POST, "/v1/login:continue").body("application/json", body).send().await;
    }
    client
        .call(Method::POST, "/oauth2/token")
        .body("application/json", format!("{{\"password\": \"{password}\"}}"))
        .send()
        .await;
    let twice = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*tokens.refresh),
        ("refresh_token", &*tokens.refresh),
        ("client_id", CLIENT),
    ];
    client.call(Method::POST, "/oauth2/token").body(FORM, written(&twice)).send().await;
    client.with_token(&format!("{} {password}", tokens.access)).get("/v1/users/me").send().await;
    client.get("/v1/users/me").header("cookie", format!("workos_session={}", tokens.access)).send().await;
    client.get("/v1/users/me").header("authorization", format!("Basic {}", STANDARD.encode(password))).send().await;
    secrets.keep("password", password);
    secrets.keep("access token", &tokens.access);
    secrets.keep("refresh token", &tokens.refresh);
}
