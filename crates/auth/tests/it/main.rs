//! The identity service from outside: through gRPC, over the whole mesh stack, on a real PostgreSQL.
//!
//! Nothing is minted here: every person in these tests has signed in. Time is moved by the clock that services and tokens share.

mod account;
mod asking;
mod at_work;
mod audit;
mod audit_watch;
mod authorize;
mod bootstrap;
mod browser;
mod canary;
mod client;
mod consistency;
mod delegation;
mod device;
mod ended;
mod exchange;
mod factor;
mod factor_reset;
mod grant;
mod group;
mod held_groups;
mod impersonation;
mod impersonation_ends;
mod key;
mod keys;
mod life;
mod link;
mod listing;
mod lockout;
mod login;
mod magic;
mod mail;
mod meanwhile;
mod member;
mod narrowed;
mod operator;
mod passkey;
mod principal;
mod proven;
mod reach;
mod refresh;
mod relation;
mod rewrap;
mod role;
mod session;
mod social;
mod standing;
mod step_up;
mod tenant;
mod token;
mod upstream;
mod user_groups;

use api::{CallContext, Ids};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use mesh::client::Channel;
use proto::auth::v1::{
    self as wire,
    bootstrap_service_client::BootstrapServiceClient,
    continue_login_request::{Answer, Password},
    login_service_client::LoginServiceClient,
    login_step::Step,
    membership::Role,
    o_auth_service_client::OAuthServiceClient,
    organization_service_client::OrganizationServiceClient,
    token_service_client::TokenServiceClient,
    user_service_client::UserServiceClient,
};
use sha2::{Digest, Sha256};
use testkit::{System, eventually};
use tonic::{Code, Status};

const OWNER: &str = "Ada@example.com";
const OWNER_PASSWORD: &str = "vK4 rqz Lp8 wmN 7";
const REDIRECT: &str = "http://127.0.0.1:49152/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const OPERATORS: &str = "organizations/00000000000000000000000000";

/// The service with its first owner.
struct Platform {
    system: System,
    organization: String,
    owner: String,
}

/// Somebody who has signed in.
#[derive(Clone)]
struct Signed {
    access: String,
    refresh: String,
}

async fn start() -> System {
    System::start(&[&auth::SERVICE]).await
}

async fn platform() -> Platform {
    platform_on(start().await).await
}

async fn platform_on(system: System) -> Platform {
    let code = bootstrap_code(&system).await;
    let made = complete(&system, first_owner(&code)).await.expect("the code is good");
    let (organization, owner) = (made.organization.expect("it is made").name, made.user.expect("he is made").name);
    Platform { system, organization, owner }
}

/// The code in the file that a development host writes.
async fn bootstrap_code(system: &System) -> String {
    let path = system.data_dir().join("auth/bootstrap-link");
    let link = eventually("the bootstrap link", || async { std::fs::read_to_string(&path).ok() }).await;
    auth::code_of_link(&link).expect("the link holds a code").to_owned()
}

fn first_owner(code: &str) -> wire::CompleteBootstrapRequest {
    wire::CompleteBootstrapRequest {
        code: code.to_owned(),
        email: OWNER.to_owned(),
        display_name: "Ada".to_owned(),
        password: OWNER_PASSWORD.to_owned(),
        organization_display_name: "Analytical Engines".to_owned(),
        organization_id: String::new(),
    }
}

async fn complete(
    system: &System,
    request: wire::CompleteBootstrapRequest,
) -> Result<wire::CompleteBootstrapResponse, Status> {
    let mut client = BootstrapServiceClient::new(system.anonymous().channel("auth"));
    client.complete_bootstrap(request).await.map(tonic::Response::into_inner)
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

fn start_login() -> wire::StartLoginRequest {
    wire::StartLoginRequest {
        client_id: "workos-cli".to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        code_challenge: challenge(VERIFIER),
        code_challenge_method: "S256".to_owned(),
        state: "s 1".to_owned(),
        again: false,
    }
}

fn logins(system: &System) -> LoginServiceClient<Channel> {
    LoginServiceClient::new(system.anonymous().channel("auth"))
}

async fn begin(system: &System) -> String {
    logins(system).start_login(start_login()).await.expect("the client is built in").into_inner().flow
}

fn password_answer(flow: &str, email: &str, password: &str) -> wire::ContinueLoginRequest {
    let answer = Answer::Password(Password { email: email.to_owned(), password: password.to_owned() });
    wire::ContinueLoginRequest { flow: flow.to_owned(), answer: Some(answer), device: String::new() }
}

fn organization_answer(flow: &str, organization: &str) -> wire::ContinueLoginRequest {
    wire::ContinueLoginRequest {
        flow: flow.to_owned(),
        answer: Some(Answer::Organization(organization.to_owned())),
        device: String::new(),
    }
}

/// Name and password in a flow of their own.
async fn try_password(system: &System, email: &str, password: &str) -> Result<wire::LoginStep, Status> {
    let flow = begin(system).await;
    logins(system).continue_login(password_answer(&flow, email, password)).await.map(tonic::Response::into_inner)
}

/// As `try_password`, from a device with this mark.
async fn try_password_on(system: &System, mark: &str, email: &str, password: &str) -> Result<wire::LoginStep, Status> {
    let answer = password_answer(&begin(system).await, email, password);
    let answer = wire::ContinueLoginRequest { device: mark.to_owned(), ..answer };
    logins(system).continue_login(answer).await.map(tonic::Response::into_inner)
}

/// The whole sign-in up to the code.
async fn code(system: &System, email: &str, password: &str, organization: &str) -> String {
    let step = try_password(system, email, password).await.expect("the password is right");
    let step = match step.step.clone() {
        Some(Step::ChooseOrganization(_)) => {
            let chosen = logins(system).continue_login(organization_answer(&step.flow, organization)).await;
            chosen.expect("he is a member").into_inner()
        }
        _ => step,
    };
    match step.step {
        Some(Step::Done(done)) => done.code,
        _ => panic!("the sign-in waits for another answer"),
    }
}

fn cli() -> Option<wire::ClientAuthentication> {
    public("workos-cli")
}

/// A client that shows no secret.
fn public(id: &str) -> Option<wire::ClientAuthentication> {
    Some(wire::ClientAuthentication { client_id: id.to_owned(), ..wire::ClientAuthentication::default() })
}

fn code_grant(code: &str) -> wire::TokenRequest {
    wire::TokenRequest {
        grant_type: "authorization_code".to_owned(),
        client: cli(),
        code: code.to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        code_verifier: VERIFIER.to_owned(),
        ..wire::TokenRequest::default()
    }
}

fn refresh_grant(refresh_token: &str) -> wire::TokenRequest {
    wire::TokenRequest {
        grant_type: "refresh_token".to_owned(),
        client: cli(),
        refresh_token: refresh_token.to_owned(),
        ..wire::TokenRequest::default()
    }
}

fn oauth(system: &System) -> OAuthServiceClient<Channel> {
    OAuthServiceClient::new(system.as_workload("gateway").channel("auth"))
}

/// The token endpoint: tokens, or the OAuth error.
async fn token(system: &System, request: wire::TokenRequest) -> Result<Signed, String> {
    tokens(system, request).await.map(|answer| Signed { access: answer.access_token, refresh: answer.refresh_token })
}

/// The same with all that the endpoint says.
async fn tokens(system: &System, request: wire::TokenRequest) -> Result<wire::TokenResponse, String> {
    let answer = oauth(system).token(request).await.expect("the endpoint answers").into_inner();
    if answer.error.is_empty() {
        Ok(answer)
    } else {
        assert!(
            answer.access_token.is_empty() && answer.refresh_token.is_empty() && !answer.error_description.is_empty()
        );
        Err(answer.error)
    }
}

async fn sign_in(system: &System, email: &str, password: &str, organization: &str) -> Signed {
    let code = code(system, email, password, organization).await;
    token(system, code_grant(&code)).await.expect("the code is good")
}

async fn exchange(system: &System, access_token: &str) -> Result<Bytes, Status> {
    let mut client = TokenServiceClient::new(system.as_workload("gateway").channel("auth"));
    let request = wire::ExchangeCredentialRequest { access_token: access_token.to_owned(), ..Default::default() };
    client.exchange_credential(request).await.map(|answer| answer.into_inner().token)
}

fn with(system: &System, workload: &str, token: Bytes) -> Channel {
    system.host().mesh(workload).with_token("auth", token, &CallContext::background("test", &Ids::default()))
}

/// As the gateway calls: the access token exchanged for a Biscuit.
async fn channel(system: &System, signed: &Signed) -> Channel {
    let token = exchange(system, &signed.access).await.expect("the access token is good");
    with(system, "gateway", token)
}

async fn users(system: &System, signed: &Signed) -> UserServiceClient<Channel> {
    UserServiceClient::new(channel(system, signed).await)
}

async fn organizations(system: &System, signed: &Signed) -> OrganizationServiceClient<Channel> {
    OrganizationServiceClient::new(channel(system, signed).await)
}

impl Platform {
    /// The owner, signed in to his organization.
    async fn owner(&self) -> Signed {
        sign_in(&self.system, OWNER, OWNER_PASSWORD, &self.organization).await
    }

    /// A new user with this role, made by the owner.
    async fn user(&self, owner: &Signed, name: &str, role: Role) -> wire::User {
        let request = new_user(&self.organization, name, role);
        users(&self.system, owner).await.create_user(request).await.expect("the owner may").into_inner()
    }

    /// As [`Platform::user`], signed in.
    async fn signed_user(&self, owner: &Signed, name: &str, role: Role) -> (wire::User, Signed) {
        let user = self.user(owner, name, role).await;
        let signed = sign_in(&self.system, &user.email, &password_of(name), &self.organization).await;
        (user, signed)
    }

    /// The membership of a user in the first organization.
    async fn membership(&self, owner: &Signed, user: &str) -> wire::Membership {
        let request = wire::ListMembershipsRequest {
            parent: self.organization.clone(),
            page_size: 1000,
            ..wire::ListMembershipsRequest::default()
        };
        let page = organizations(&self.system, owner)
            .await
            .list_memberships(request)
            .await
            .expect("the owner may")
            .into_inner();
        page.memberships.into_iter().find(|membership| membership.user == user).expect("he is a member")
    }
}

fn password_of(name: &str) -> String {
    format!("{name} zT5 nbq Xc2 jhR")
}

fn new_user(organization: &str, name: &str, role: Role) -> wire::CreateUserRequest {
    let user =
        wire::User { email: format!("{name}@example.com"), display_name: name.to_owned(), ..wire::User::default() };
    wire::CreateUserRequest {
        parent: organization.to_owned(),
        user: Some(user),
        password: password_of(name),
        role: role.into(),
        user_id: String::new(),
        request_id: String::new(),
    }
}

/// Code and reason of an error.
fn refusal(status: &Status) -> (Code, String) {
    (status.code(), api::Error::from_status(status).reason().to_owned())
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) {
    let status = answer.expect_err("it must be refused");
    assert_eq!(refusal(&status), (code, reason.to_owned()), "{}", status.message());
}
