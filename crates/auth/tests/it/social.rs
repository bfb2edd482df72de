//! Social login, against a small issuer of the tests' own and a service that speaks plain OAuth 2.0.
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mesh::client::Channel;
use proto::auth::v1::{
    self as wire, identity_provider::Protocol, identity_provider_service_client::IdentityProviderServiceClient,
    identity_service_client::IdentityServiceClient, login_step::Step, membership::Role,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::System;
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{Code, Status};

use crate::{
    OWNER, OWNER_PASSWORD, Platform, Signed, assert_refused, begin, channel, code_grant, exchange, logins, password_of,
    platform_on, sign_in, token, try_password,
};

/// What the issuer says of whoever comes, and how it misbehaves.
#[derive(Clone)]
pub(crate) struct Says {
    /// Claims of the ID token beside those of the flow.
    pub(crate) claims: Value,
    /// Of the key set: the one key is listed twice.
    key_twice: bool,
    /// Status of the token endpoint.
    status: u16,
    /// Questions for the keys.
    pub(crate) key_loads: usize,
    /// Id of the one key.
    pub(crate) kid: &'static str,
    /// The metadata names this as authorization endpoint.
    pub(crate) authorize_at: Option<String>,
}

pub(crate) fn now() -> i64 {
    api::Clock::default().now().unix_timestamp()
}

/// An OpenID Connect issuer, which also answers like a plain OAuth 2.0 service.
pub(crate) struct Issuer {
    pub(crate) url: String,
    pub(crate) says: Arc<Mutex<Says>>,
    /// It serves as long as this lives.
    _tasks: JoinSet<()>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let says =
            Says { claims: json!({}), key_twice: false, status: 200, key_loads: 0, kid: "k1", authorize_at: None };
        let says = Arc::new(Mutex::new(says));
        let pair = Arc::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"));
        let (own_url, own_says) = (url.clone(), Arc::clone(&says));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (url, says, pair) = (own_url.clone(), Arc::clone(&own_says), Arc::clone(&pair));
                let service =
                    service_fn(move |request| answer(request, url.clone(), Arc::clone(&says), Arc::clone(&pair)));
                connections
                    .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, says, _tasks: tasks }
    }

    /// `host:port`.
    fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub(crate) fn say(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().expect("no test panics in there"));
    }

    pub(crate) fn person(&self, subject: &str, email: &str, verified: Option<bool>) {
        self.say(|says| {
            says.claims = json!({"sub": subject, "email": email, "auth_time": now()});
            if let Some(verified) = verified {
                says.claims["email_verified"] = json!(verified);
            }
        });
    }

    /// The person agrees: what the browser brings back.
    pub(crate) fn agree(&self, uri: &str) -> (String, String) {
        let (endpoint, query) = uri.split_once('?').expect("it has parameters");
        assert_eq!(endpoint, format!("{}/authorize", self.url));
        let parts: HashMap<String, String> =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(decoded).collect();
        assert_eq!(parts["code_challenge_method"], "S256");
        assert!(parts["redirect_uri"].starts_with("http://localhost:8080/auth/callback/"));
        let code = json!({"nonce": parts.get("nonce"), "challenge": parts["code_challenge"]});
        (parts["state"].clone(), URL_SAFE_NO_PAD.encode(code.to_string()))
    }
}

fn decoded((name, value): (&str, &str)) -> (String, String) {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().expect("two digits"), rest.next().expect("two digits")];
            let text = std::str::from_utf8(&digits).expect("ASCII");
            bytes.push(u8::from_str_radix(text, 16).expect("hexadecimal"));
        } else {
            bytes.push(byte);
        }
    }
    (name.to_owned(), String::from_utf8(bytes).expect("UTF-8"))
}

async fn answer(
    request: Request<Incoming>,
    url: String,
    says: Arc<Mutex<Says>>,
    pair: Arc<EcdsaKeyPair>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let form: HashMap<String, String> =
        String::from_utf8_lossy(&body).split('&').filter_map(|pair| pair.split_once('=')).map(decoded).collect();
    let mut says = says.lock().expect("no test panics in there");
    let (status, value) = match head.uri.path() {
        "/.well-known/openid-configuration" => (
            200,
            json!({
                "issuer": url,
                "authorization_endpoint": says.authorize_at.clone().unwrap_or_else(|| format!("{url}/authorize")),
                "token_endpoint": format!("{url}/token"),
                "jwks_uri": format!("{url}/keys"),
                "authorization_response_iss_parameter_supported": true,
            }),
        ),
        "/keys" => {
            says.key_loads += 1;
            let key = jwk(&pair, says.kid);
            (200, json!({"keys": if says.key_twice { vec![key.clone(), key] } else { vec![key] }}))
        }
        "/token" => (says.status, tokens(&head.headers, &form, &url, &says, &pair)),
        "/redirect/token" => (302, json!({})),
        "/user" => (200, json!({"id": says.claims["sub"], "login": "someone"})),
        "/user/emails" => (
            200,
            json!([
                {"email": "other@example.com", "primary": false, "verified": true},
                {"email": says.claims["email"], "primary": true, "verified": says.claims["email_verified"]},
            ]),
        ),
        _ => (404, json!({})),
    };
    let response = Response::builder().status(status).header("location", format!("{url}/token"));
    Ok(response.body(Full::new(Bytes::from(value.to_string()))).expect("a response"))
}

/// The token endpoint: the client must know its secret and the verifier.
fn tokens(
    headers: &hyper::HeaderMap,
    form: &HashMap<String, String>,
    url: &str,
    says: &Says,
    pair: &EcdsaKeyPair,
) -> Value {
    let code: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&form["code"]).expect("ours")).expect("ours");
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    assert_eq!(code["challenge"], challenge, "the verifier belongs to the challenge");
    match headers.get("authorization") {
        Some(basic) => assert_eq!(basic, &format!("Basic {}", STANDARD.encode("workos:s3cret"))),
        None => assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("workos", "s3cret")),
    }
    let now = now();
    let mut claims = json!({"iss": url, "aud": "workos", "iat": now, "exp": now + 300, "nonce": code["nonce"]});
    for (name, value) in says.claims.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(claims["kid"].as_str().unwrap_or("k1").to_owned());
    let pkcs8 = pair.to_pkcs8v1().expect("a document");
    let id_token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(pkcs8.as_ref())).expect("signed");
    json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token})
}

fn jwk(pair: &EcdsaKeyPair, kid: &str) -> Value {
    let point = pair.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": part(1..33), "y": part(33..65)})
}

/// A platform with one provider that everybody is offered.
pub(crate) struct Social {
    pub(crate) platform: Platform,
    pub(crate) issuer: Issuer,
    pub(crate) provider: String,
    pub(crate) operator: Signed,
}

pub(crate) async fn social() -> Social {
    let issuer = Issuer::start().await;
    let system = System::builder(&[&auth::SERVICE]).set("auth.private_hosts", vec![issuer.host()]).start().await;
    let platform = platform_on(system).await;
    let operator = sign_in(&platform.system, OWNER, OWNER_PASSWORD, crate::OPERATORS).await;
    let made = providers(&platform.system, &operator).await.create_identity_provider(oidc(&issuer)).await;
    let provider = made.expect("the operator may").into_inner().name;
    Social { platform, issuer, provider, operator }
}

pub(crate) fn oidc(issuer: &Issuer) -> wire::CreateIdentityProviderRequest {
    let provider = wire::IdentityProvider {
        display_name: "Example".to_owned(),
        protocol: Protocol::Oidc.into(),
        issuer: issuer.url.clone(),
        client_id: "workos".to_owned(),
        client_secret: "s3cret".to_owned(),
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        ..wire::IdentityProvider::default()
    };
    wire::CreateIdentityProviderRequest { parent: crate::OPERATORS.to_owned(), identity_provider: Some(provider) }
}

pub(crate) async fn providers(system: &System, signed: &Signed) -> IdentityProviderServiceClient<Channel> {
    IdentityProviderServiceClient::new(channel(system, signed).await)
}

impl Social {
    /// Out to the provider: the flow, and what the browser would bring back.
    pub(crate) async fn out(&self) -> (String, String, String) {
        self.out_of(begin(&self.platform.system).await).await
    }

    /// The same out of a flow that waits for a first factor.
    pub(crate) async fn out_of(&self, flow: String) -> (String, String, String) {
        let request = wire::StartSocialLoginRequest { flow, provider: self.provider.clone() };
        let step = logins(&self.platform.system).start_social_login(request).await.expect("it is offered").into_inner();
        let Some(Step::Social(out)) = step.step else { panic!("the browser goes to the provider") };
        let (state, code) = self.issuer.agree(&out.authorization_uri);
        (step.flow, state, code)
    }

    pub(crate) async fn back(&self, flow: &str, state: &str, code: &str) -> Result<wire::LoginStep, Status> {
        let request = wire::FinishSocialLoginRequest {
            flow: flow.to_owned(),
            state: state.to_owned(),
            code: code.to_owned(),
            issuer: self.issuer.url.clone(),
            device: String::new(),
            identity_provider_id: self.provider.rsplit('/').next().expect("an id").to_owned(),
        };
        logins(&self.platform.system).finish_social_login(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn round(&self) -> Result<wire::LoginStep, Status> {
        let (flow, state, code) = self.out().await;
        self.back(&flow, &state, &code).await
    }

    pub(crate) async fn signed(&self) -> Signed {
        match self.round().await.expect("linked").step {
            Some(Step::Done(done)) => token(&self.platform.system, code_grant(&done.code)).await.expect("good"),
            _ => panic!("one organization needs no choice"),
        }
    }

    pub(crate) async fn refused(&self, reason: &str) {
        assert_refused(self.round().await.map(drop), Code::Unauthenticated, reason);
    }
}

#[tokio::test]
async fn auth_o19_an_address_that_the_provider_does_not_vouch_for_links_nothing() {
    let social = social().await;
    let owner = social.platform.owner().await;
    let bob = social.platform.user(&owner, "bob", Role::Editor).await;
    for verified in [None, Some(false)] {
        social.issuer.person("1", &bob.email, verified);
        social.refused("SOCIAL_NOT_LINKED").await;
    }
    social.issuer.person("1", "nobody@example.com", Some(true));
    social.refused("SOCIAL_NOT_LINKED").await;
    try_password(&social.platform.system, &bob.email, &password_of("bob")).await.expect("his password is untouched");
    assert_eq!(social.platform.system.sql("select count(*) from auth.identities").await[0][0].as_deref(), Some("0"));
}

#[tokio::test]
async fn auth_o20_a_password_for_an_address_never_proven_is_gone_before_the_link() {
    let social = social().await;
    let system = &social.platform.system;
    let owner = social.platform.owner().await;
    let (bob, before) = social.platform.signed_user(&owner, "bob", Role::Editor).await;
    social.issuer.person("1", "BOB@example.com", Some(true));
    let signed = social.signed().await;
    exchange(system, &signed.access).await.expect("he is in");
    let old = try_password(system, &bob.email, &password_of("bob")).await;
    assert_refused(old.map(drop), Code::Unauthenticated, "SIGN_IN_REFUSED");
    assert_refused(exchange(system, &before.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let claims = crate::step_up::claims(&signed.access);
    assert_eq!((claims["acr"].as_str(), claims["amr"].clone()), (Some("1"), json!(["fed"])));
}

#[tokio::test]
async fn an_account_whose_address_was_proven_keeps_its_password() {
    let social = social().await;
    let system = &social.platform.system;
    let owner = social.platform.owner().await;
    let bob = social.platform.user(&owner, "bob", Role::Editor).await;
    crate::proven::mark_proven(system, "bob@example.com").await;
    social.issuer.person("1", &bob.email, Some(true));
    let signed = social.signed().await;
    try_password(system, &bob.email, &password_of("bob")).await.expect("both ways lead in");
    let mut identities = IdentityServiceClient::new(channel(system, &signed).await);
    let list = wire::ListIdentitiesRequest { parent: "users/me".to_owned(), ..wire::ListIdentitiesRequest::default() };
    let linked = identities.list_identities(list).await.expect("his own").into_inner().identities;
    assert_eq!(
        (linked.len(), linked[0].issuer.as_str(), linked[0].subject.as_str()),
        (1, social.issuer.url.as_str(), "1")
    );
    let name = linked[0].name.clone();
    identities.delete_identity(wire::DeleteIdentityRequest { name }).await.expect("his password is left");
}

#[tokio::test]
async fn auth_o21_the_identity_is_issuer_and_subject_and_an_answer_belongs_to_its_browser() {
    let social = social().await;
    let owner = social.platform.owner().await;
    let bob = social.platform.user(&owner, "bob", Role::Editor).await;
    social.issuer.person("1", &bob.email, Some(true));
    social.signed().await;
    social.issuer.person("1", "moved@example.com", Some(false));
    let again = social.signed().await;
    assert_eq!(crate::step_up::claims(&again.access)["sub"].as_str().map(|sub| format!("users/{sub}")), Some(bob.name));
    social.issuer.person("2", &bob.email, None);
    social.refused("SOCIAL_NOT_LINKED").await;

    social.issuer.person("1", &bob.email, Some(true));
    let (flow, state, code) = social.out().await;
    let (other, ..) = social.out().await;
    let elsewhere = social.back(&other, &state, &code).await;
    assert_refused(elsewhere.map(drop), Code::FailedPrecondition, "FLOW_INVALID");
    social.back(&flow, &state, &code).await.expect("in the browser that began it");
    let twice = social.back(&flow, &state, &code).await;
    assert_refused(twice.map(drop), Code::FailedPrecondition, "FLOW_INVALID");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_flow_is_refused() {
    let social = social().await;
    let owner = social.platform.owner().await;
    let bob = social.platform.user(&owner, "bob", Role::Editor).await;
    let now = now();
    for twist in [
        json!({"iss": "http://127.0.0.1:1"}),
        json!({"aud": "somebody"}),
        json!({"aud": ["workos", "somebody"], "azp": "somebody"}),
        json!({"aud": ["workos", "somebody"]}),
        json!({"aud": ["somebody", "workos"], "azp": null}),
        json!({"aud": []}),
        json!({"nonce": "another"}),
        json!({"exp": now - 120}),
        json!({"iat": now + 600}),
        json!({"sub": ""}),
        json!({"sub": "x".repeat(256)}),
        json!({"kid": "unknown"}),
    ] {
        social.issuer.person("1", &bob.email, Some(true));
        social.issuer.say(|says| {
            for (name, value) in twist.as_object().expect("an object") {
                says.claims[name] = value.clone();
            }
        });
        social.refused("SOCIAL_REFUSED").await;
    }
    assert_eq!(
        social.issuer.says.lock().expect("no panic").key_loads,
        1,
        "an unknown key is no reason to ask again at once"
    );
    social.issuer.person("1", &bob.email, Some(true));
    social.issuer.say(|says| says.status = 500);
    social.refused("SOCIAL_REFUSED").await;
    social.issuer.say(|says| says.status = 200);
    let (flow, state, _) = social.out().await;
    assert_refused(social.back(&flow, &state, "").await.map(drop), Code::Unauthenticated, "SOCIAL_REFUSED");
    let (flow, state, code) = social.out().await;
    let mixed = wire::FinishSocialLoginRequest {
        flow,
        state,
        code,
        identity_provider_id: social.provider.rsplit('/').next().expect("an id").to_owned(),
        ..Default::default()
    };
    let answer = logins(&social.platform.system).finish_social_login(mixed).await;
    assert_refused(answer.map(drop), Code::Unauthenticated, "SOCIAL_REFUSED");
}

#[tokio::test]
async fn auth_j05_a_key_set_that_names_one_key_twice_is_refused() {
    let social = social().await;
    social.issuer.say(|says| says.key_twice = true);
    social.issuer.person("1", OWNER, Some(true));
    social.refused("SOCIAL_REFUSED").await;
    let test = wire::TestIdentityProviderRequest { name: social.provider.clone() };
    let mut client = providers(&social.platform.system, &social.operator).await;
    let problem = client.test_identity_provider(test.clone()).await.expect("told").into_inner().problem;
    assert!(problem.contains("twice"), "{problem}");
    social.issuer.say(|says| says.key_twice = false);
    assert_eq!(client.test_identity_provider(test).await.expect("told").into_inner().problem, "");
}

#[tokio::test]
async fn a_plain_oauth_service_is_a_row_and_no_code() {
    let mut social = social().await;
    let url = social.issuer.url.clone();
    let mut request = oidc(&social.issuer);
    let row = request.identity_provider.as_mut().expect("set");
    row.protocol = Protocol::Oauth2.into();
    row.scopes = vec!["user:email".to_owned()];
    row.authorization_endpoint = format!("{url}/authorize");
    row.token_endpoint = format!("{url}/token");
    row.userinfo_endpoint = format!("{url}/user");
    row.email_endpoint = format!("{url}/user/emails");
    (row.subject_path, row.email_path, row.email_verified_path) =
        ("/id".to_owned(), "/email".to_owned(), "/verified".to_owned());
    let system = &social.platform.system;
    let mut client = providers(system, &social.operator).await;
    let made = client.create_identity_provider(request.clone()).await.expect("the operator may").into_inner();
    assert_eq!(made.client_secret, "", "it is never shown");
    let owner = social.platform.owner().await;
    let bob = social.platform.user(&owner, "bob", Role::Editor).await;
    social.provider = made.name;
    social.issuer.say(|says| says.claims = json!({"sub": 4711, "email": bob.email, "email_verified": true}));
    exchange(&social.platform.system, &social.signed().await.access).await.expect("he is in");
    let stored = social.platform.system.sql("select subject, email from auth.identities").await;
    assert_eq!(stored, [[Some("4711".to_owned()), Some(bob.email.clone())]]);
    // A redirect is no answer.
    request.identity_provider.as_mut().expect("set").token_endpoint = format!("{url}/redirect/token");
    let made = client.create_identity_provider(request).await.expect("the operator may").into_inner();
    social.provider = made.name;
    social.refused("SOCIAL_REFUSED").await;
}

#[tokio::test]
async fn a_provider_is_managed_by_its_administrators_and_private_addresses_are_not_asked() {
    let social = social().await;
    let system = &social.platform.system;
    let owner = social.platform.owner().await;
    let (_, bob) = social.platform.signed_user(&owner, "bob", Role::Editor).await;
    let get = wire::GetIdentityProviderRequest { name: social.provider.clone() };
    for stranger in [&owner, &bob] {
        let refused = providers(system, stranger).await.get_identity_provider(get.clone()).await;
        assert_refused(refused.map(drop), Code::PermissionDenied, "ACCESS_DENIED");
    }
    let mut client = providers(system, &social.operator).await;
    let mut private = oidc(&social.issuer);
    private.identity_provider.as_mut().expect("set").issuer = "https://127.0.0.1:1".to_owned();
    let made = client.create_identity_provider(private).await.expect("a row is a row").into_inner();
    let test = wire::TestIdentityProviderRequest { name: made.name.clone() };
    let problem = client.test_identity_provider(test).await.expect("told").into_inner().problem;
    assert!(problem.contains("private"), "{problem}");
    let renamed = wire::IdentityProvider {
        display_name: "Renamed".to_owned(),
        etag: made.etag,
        name: made.name.clone(),
        ..Default::default()
    };
    let update = wire::UpdateIdentityProviderRequest { identity_provider: Some(renamed.clone()), update_mask: None };
    assert_eq!(
        client.update_identity_provider(update.clone()).await.expect("changed").into_inner().display_name,
        "Renamed"
    );
    assert_eq!(client.update_identity_provider(update).await.expect_err("stale").code(), Code::Aborted);
    client.delete_identity_provider(wire::DeleteIdentityProviderRequest { name: made.name }).await.expect("deleted");
    let list = wire::ListIdentityProvidersRequest { parent: crate::OPERATORS.to_owned(), ..Default::default() };
    assert_eq!(client.list_identity_providers(list).await.expect("listed").into_inner().identity_providers.len(), 1);
    let step = logins(system).start_login(crate::start_login()).await.expect("started").into_inner();
    let Some(Step::Password(step)) = step.step else { panic!("a sign-in begins with a first factor") };
    assert_eq!((step.providers.len(), step.providers[0].display_name.as_str()), (1, "Example"));
    let stored = system.sql("select encode(sealed_secret, 'escape') from auth.identity_providers").await;
    assert!(!stored[0][0].as_deref().expect("set").contains("s3cret"), "a dump holds no usable secret");
}

#[tokio::test]
async fn auth_o19_no_organization_has_providers_of_its_own() {
    let mut social = social().await;
    let system = &social.platform.system;
    let owner = social.platform.owner().await;
    let own =
        wire::CreateIdentityProviderRequest { parent: social.platform.organization.clone(), ..oidc(&social.issuer) };
    let refused = providers(system, &owner).await.create_identity_provider(own).await;
    assert_refused(refused.map(drop), Code::PermissionDenied, "ACCESS_DENIED");
    // Nor would one sign anybody in, if it were there.
    let moved = "update auth.identity_providers set organization_id = \
                 (select organization_id from auth.organizations where display_name = 'Analytical Engines')";
    system.sql(moved).await;
    let id = social.provider.rsplit('/').next().expect("an id").to_owned();
    social.provider = format!("{}/identityProviders/{id}", social.platform.organization);
    let request = wire::StartSocialLoginRequest { flow: begin(system).await, provider: social.provider.clone() };
    let refused = logins(system).start_social_login(request).await;
    assert_refused(refused.map(drop), Code::Unauthenticated, "SOCIAL_REFUSED");
}

#[tokio::test]
async fn auth_o21_an_answer_that_came_to_another_providers_path_is_refused() {
    let mut social = social().await;
    let owner = social.platform.owner().await;
    let bob = social.platform.user(&owner, "bob", Role::Editor).await;
    social.issuer.person("1", &bob.email, Some(true));
    let other =
        providers(&social.platform.system, &social.operator).await.create_identity_provider(oidc(&social.issuer)).await;
    let other = other.expect("the operator may").into_inner().name;
    let (flow, state, code) = social.out().await;
    let first = std::mem::replace(&mut social.provider, other);
    let mixed = social.back(&flow, &state, &code).await;
    assert_refused(mixed.map(drop), Code::FailedPrecondition, "FLOW_INVALID");
    social.provider = first;
    social.signed().await;
}
