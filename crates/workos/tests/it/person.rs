//! People of a test: the first owner by the one-time code, members made by the owner, sign-in by the steps of a native client
//! (RFC 6749 with PKCE, RFC 7636).
use api::Ids;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    client::{Client, encoded},
    platform::Site,
};

/// The built-in client of the command line; nobody listens at its address, the code is read from the answer.
pub(crate) const CLIENT: &str = "workos-cli";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:9/callback";
/// Whoever runs the platform belongs to it.
pub(crate) const SYSTEM: &str = "organizations/00000000000000000000000000";

/// Somebody with a password.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) email: String,
    password: String,
    /// `users/...`.
    pub(crate) user: String,
    /// `organizations/...`.
    pub(crate) organization: String,
}

/// Tokens of a session.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Person {
    /// Completes the bootstrap of a new platform.
    pub(crate) async fn first(client: &Client, site: &Site) -> Person {
        let (email, password) = ("olivia@owner.example".to_owned(), password());
        let body = json!({
            "code": site.bootstrap_code().await, "email": email, "displayName": "Olivia Owner", "password": password,
            "organizationDisplayName": "First organization",
        });
        let answer = client.post("/v1/bootstrap:complete", &body).good().await;
        let text = |value: &Value| value.as_str().expect("the answer names it").to_owned();
        Person {
            email,
            password,
            user: text(&answer["user"]["name"]),
            organization: text(&answer["organization"]["name"]),
        }
    }

    /// The owner whom `workos demo` made and remembers.
    pub(crate) fn of_demo(site: &Site) -> Option<Person> {
        let cast: Value = serde_json::from_slice(&std::fs::read(site.folder().join(".workos/demo.json")).ok()?).ok()?;
        let of = |name: &str| cast["people"][0][name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let (user, organization) =
            (format!("users/{}", of("id")?), format!("organizations/{}", cast["organization"].as_str()?));
        Some(Person { email: of("email")?, password: of("password")?, user, organization })
    }

    /// A new member of the same organization; without a role unless one is named.
    pub(crate) async fn member(&self, client: &Client, name: &str, role: Option<&str>) -> Person {
        let (email, password) = (format!("{}@member.example", Ids::default().next()), password());
        let mut body = json!({"user": {"email": email, "displayName": name}, "password": password});
        if let Some(role) = role {
            body["role"] = json!(role);
        }
        let owner = self.sign_in(client).await;
        let answer = owner.post(format!("/v1/{}/users", self.organization), &body).good().await;
        let user = answer["name"].as_str().expect("a user has a name").to_owned();
        Person { email, password, user, organization: self.organization.clone() }
    }

    /// What he types.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// The client as this person.
    pub(crate) async fn sign_in(&self, client: &Client) -> Client {
        client.with_token(&self.tokens(client, &self.organization).await.access)
    }

    /// Signs in to one organization.
    pub(crate) async fn tokens(&self, client: &Client, organization: &str) -> Tokens {
        // Attempts at one account count before they are looked at, so that many at once are refused: one after the other.
        static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = TURN.lock().await;
        let verifier = password();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let body = json!({
            "clientId": CLIENT, "redirectUri": REDIRECT, "codeChallenge": challenge, "codeChallengeMethod": "S256",
        });
        let mut step = client.post("/v1/login:start", &body).good().await;
        assert!(step.get("password").is_some(), "{step}");
        let body = json!({"flow": step["flow"], "password": {"email": self.email, "password": self.password}});
        step = client.post("/v1/login:continue", &body).good().await;
        if step.get("chooseOrganization").is_some() {
            let body = json!({"flow": step["flow"], "organization": organization});
            step = client.post("/v1/login:continue", &body).good().await;
        }
        let code =
            step["done"]["code"].as_str().unwrap_or_else(|| panic!("the sign-in is not done: {step}")).to_owned();
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", &verifier),
        ];
        token(client, &grant).await
    }
}

/// Asks the token endpoint; client id added.
pub(crate) async fn token(client: &Client, form: &[(&str, &str)]) -> Tokens {
    let mut pairs: Vec<_> = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.push(format!("client_id={CLIENT}"));
    let call = client.call(http::Method::POST, "/oauth2/token");
    let answer = call.body("application/x-www-form-urlencoded", pairs.join("&")).good().await;
    let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("no {name}: {answer}")).to_owned();
    Tokens { access: text("access_token"), refresh: text("refresh_token") }
}

/// Long, random, never seen before.
fn password() -> String {
    let ids = Ids::default();
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{}{}{}", ids.next(), ids.next(), rand::random::<u128>())))
}
