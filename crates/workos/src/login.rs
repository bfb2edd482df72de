//! `workos login`: the steps of a sign-in as any native client does them (RFC 6749, PKCE by RFC 7636).
//!
//! StartLogin and ContinueLogin end in an authorization code; tokens come from the token endpoint only.
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use rand::Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    demo::{
        http::{Call, Http},
        people,
    },
    running, terminal,
};

/// The built-in client of the command line.
pub(crate) const CLIENT: &str = "workos-cli";
/// Nobody listens there: the code is read from the answer of ContinueLogin.
pub(crate) const REDIRECT: &str = "http://127.0.0.1:9/callback";

/// Arguments of `workos login`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// E-mail address; asked for when missing
    #[arg(long)]
    email: Option<String>,
    /// Organization to sign in to, where there are several: organizations/{id}
    #[arg(long)]
    organization: Option<String>,
    /// Address of the platform; default: the one of this folder
    #[arg(long)]
    gateway: Option<String>,
    /// Sign in as the owner that the demo made
    #[arg(long)]
    demo: bool,
}

/// Signs in and prints the access token alone, so that `TOKEN=$(workos login)` works.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let root = running::root();
    let place = || running::Place::read(&root).map(|place| place.gateway);
    let gateway = arguments
        .gateway
        .clone()
        .or_else(place)
        .context("no platform runs in this folder; start one with ./dev up, or name one with --gateway")?;
    let http = Http::quiet(&gateway);
    let tokens = if arguments.demo {
        people::sign_in_owner(&http, &root, arguments.organization.as_deref()).await?
    } else {
        let email = arguments.email.clone().map_or_else(|| terminal::ask("E-mail: "), Ok)?;
        let password = terminal::ask_secret("Password: ")?;
        sign_in(&http, &email, &password, arguments.organization.as_deref()).await?
    };
    terminal::line(&tokens.access);
    terminal::note(format!(
        "good for {} s; use it as: curl -H \"Authorization: Bearer $TOKEN\" {gateway}/v1/users/me",
        tokens.life.as_secs()
    ));
    Ok(())
}

/// Tokens of a session.
pub(crate) struct Tokens {
    /// Access token (JWT).
    pub(crate) access: String,
    /// Refresh token.
    pub(crate) refresh: String,
    /// Life of the access token.
    pub(crate) life: Duration,
}

/// An authorization code, and what proves whose it is.
pub(crate) struct Code {
    /// The code.
    pub(crate) code: String,
    /// The verifier of PKCE.
    pub(crate) verifier: String,
}

/// Signs in. `organization` chooses one where the user has several.
pub(crate) async fn sign_in(http: &Http, email: &str, password: &str, organization: Option<&str>) -> Result<Tokens> {
    redeem(http, &code(http, email, password, organization).await?).await
}

/// Signs in up to the code.
pub(crate) async fn code(http: &Http, email: &str, password: &str, organization: Option<&str>) -> Result<Code> {
    let verifier = random_text(48);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let mut step = start(http, &challenge).await?;
    step = go_on(http, &step, json!({"password": {"email": email, "password": password}})).await?;
    if step.get("chooseOrganization").is_some() {
        let choices = step["chooseOrganization"]["choices"].as_array().cloned().unwrap_or_default();
        let wanted = organization.or_else(|| choices.first()?["organization"].as_str()).unwrap_or_default();
        step = go_on(http, &step, json!({"organization": wanted})).await?;
    }
    let Some(code) = step["done"]["code"].as_str() else {
        bail!("the sign-in asks for a step that this program does not know: {step}")
    };
    Ok(Code { code: code.to_owned(), verifier })
}

/// Begins a sign-in; gives its first step.
pub(crate) async fn start(http: &Http, challenge: &str) -> Result<Value> {
    let body =
        json!({"clientId": CLIENT, "redirectUri": REDIRECT, "codeChallenge": challenge, "codeChallengeMethod": "S256"});
    http.send(Call::new("start a sign-in", Method::POST, "/v1/login:start").json(&body)).await?.success("sign-in")
}

/// Exchanges a code for tokens.
pub(crate) async fn redeem(http: &Http, code: &Code) -> Result<Tokens> {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("code", &code.code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", &code.verifier),
    ];
    token(http, &form).await
}

/// Renews tokens.
pub(crate) async fn refresh(http: &Http, tokens: &Tokens) -> Result<Tokens> {
    token(http, &[("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", &tokens.refresh)]).await
}

async fn go_on(http: &Http, step: &Value, answer: Value) -> Result<Value> {
    let mut body = answer;
    body["flow"] = step["flow"].clone();
    http.send(Call::new("continue the sign-in", Method::POST, "/v1/login:continue").json(&body))
        .await?
        .success("sign-in")
}

async fn token(http: &Http, form: &[(&str, &str)]) -> Result<Tokens> {
    let call = Call::new("exchange the code", Method::POST, "/oauth2/token").form(form);
    let answer = http.send(call).await?.success("token")?;
    Ok(Tokens {
        access: answer["access_token"].as_str().context("the token endpoint gave no access token")?.to_owned(),
        refresh: answer["refresh_token"].as_str().unwrap_or_default().to_owned(),
        life: Duration::from_secs(answer["expires_in"].as_u64().unwrap_or(300)),
    })
}

/// Ends the session of these tokens.
pub(crate) async fn sign_out(http: &Http, tokens: &Tokens) -> Result<()> {
    let form = [("client_id", CLIENT), ("token", &tokens.refresh)];
    let call = Call::new("sign out", Method::POST, "/oauth2/revoke").form(&form);
    http.send(call).await?.success("sign out").map(drop)
}

/// Percent-encodes a form or query value.
pub(crate) fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Random text of that many bytes, in base64url.
pub(crate) fn random_text(bytes: usize) -> String {
    let mut random = vec![0u8; bytes];
    rand::rng().fill_bytes(&mut random);
    URL_SAFE_NO_PAD.encode(random)
}
