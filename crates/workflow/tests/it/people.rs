//! People who have really signed in: runs act by delegations, and auth gives those to its own users only.
use api::{CallContext, Ids};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use mesh::client::Channel;
use proto::auth::v1::{
    ClientAuthentication, CompleteBootstrapRequest, ContinueLoginRequest, CreateUserRequest, ExchangeCredentialRequest,
    LoginStep, StartLoginRequest, TokenRequest, User,
    bootstrap_service_client::BootstrapServiceClient,
    continue_login_request::{Answer, Password},
    login_service_client::LoginServiceClient,
    login_step::Step,
    membership::Role,
    o_auth_service_client::OAuthServiceClient,
    token_service_client::TokenServiceClient,
    user_service_client::UserServiceClient,
};
use sha2::{Digest, Sha256};
use testkit::{System, eventually};

const OWNER: &str = "ada@example.com";
const REDIRECT: &str = "http://127.0.0.1:49152/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The organization of the platform's operators, of which the first owner is a member too.
pub(crate) const OPERATORS: &str = "organizations/00000000000000000000000000";

/// Somebody with a token.
#[derive(Clone)]
pub(crate) struct Someone {
    /// `users/{user}`.
    pub(crate) name: String,
    token: Bytes,
}

impl Someone {
    /// Calls a service as this person, as the gateway does.
    pub(crate) fn channel(&self, system: &System, service: &str) -> Channel {
        self.channel_in(system, service, &CallContext::background("test", &Ids::default()))
    }

    pub(crate) fn channel_in(&self, system: &System, service: &str, context: &CallContext) -> Channel {
        system.host().mesh("gateway").with_token(service, self.token.clone(), context)
    }
}

/// Makes the first owner; gives the organization and him, signed in to it.
pub(crate) async fn first_owner(system: &System) -> (String, Someone) {
    let path = system.data_dir().join("auth/bootstrap-link");
    let link = eventually("the bootstrap link", || async { std::fs::read_to_string(&path).ok() }).await;
    let request = CompleteBootstrapRequest {
        code: auth::code_of_link(&link).expect("the link holds a code").to_owned(),
        email: OWNER.to_owned(),
        display_name: "Ada".to_owned(),
        password: password_of("owner"),
        organization_display_name: "Analytical Engines".to_owned(),
        organization_id: String::new(),
    };
    let answer = BootstrapServiceClient::new(system.anonymous().channel("auth")).complete_bootstrap(request).await;
    let made = answer.expect("the code is good").into_inner();
    let (organization, owner) = (made.organization.expect("it is made").name, made.user.expect("he is made").name);
    let token = sign_in(system, OWNER, &password_of("owner"), &organization).await;
    (organization, Someone { name: owner, token })
}

/// The first owner as an operator of the platform: a stranger to his own organization.
pub(crate) async fn operator(system: &System, owner: &Someone) -> Someone {
    let token = sign_in(system, OWNER, &password_of("owner"), OPERATORS).await;
    Someone { name: owner.name.clone(), token }
}

/// A new member, signed in.
pub(crate) async fn member(system: &System, organization: &str, owner: &Someone, name: &str, role: Role) -> Someone {
    let email = format!("{name}@example.com");
    let user = User { email: email.clone(), display_name: name.to_owned(), ..User::default() };
    let request = CreateUserRequest {
        parent: organization.to_owned(),
        user: Some(user),
        password: password_of(name),
        role: role.into(),
        ..CreateUserRequest::default()
    };
    let answer = UserServiceClient::new(owner.channel(system, "auth")).create_user(request).await;
    let name_of = answer.expect("the owner may").into_inner().name;
    Someone { name: name_of, token: sign_in(system, &email, &password_of(name), organization).await }
}

fn password_of(name: &str) -> String {
    format!("{name} zT5 nbq Xc2 jhR")
}

/// From name and password to the token of the mesh.
async fn sign_in(system: &System, email: &str, password: &str, organization: &str) -> Bytes {
    let mut logins = LoginServiceClient::new(system.anonymous().channel("auth"));
    let start = StartLoginRequest {
        client_id: "workos-cli".to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        code_challenge: URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER.as_bytes())),
        code_challenge_method: "S256".to_owned(),
        state: String::new(),
        again: false,
    };
    let flow = logins.start_login(start).await.expect("the client is built in").into_inner().flow;
    let answer = Answer::Password(Password { email: email.to_owned(), password: password.to_owned() });
    let mut step = proceed(&mut logins, flow, answer).await;
    if let Some(Step::ChooseOrganization(_)) = step.step {
        step = proceed(&mut logins, step.flow, Answer::Organization(organization.to_owned())).await;
    }
    let Some(Step::Done(done)) = step.step else { panic!("the sign-in waits for another answer") };
    let request = TokenRequest {
        grant_type: "authorization_code".to_owned(),
        client: Some(ClientAuthentication { client_id: "workos-cli".to_owned(), ..ClientAuthentication::default() }),
        code: done.code,
        redirect_uri: REDIRECT.to_owned(),
        code_verifier: VERIFIER.to_owned(),
        ..TokenRequest::default()
    };
    let gateway = system.as_workload("gateway");
    let answer = OAuthServiceClient::new(gateway.channel("auth")).token(request).await;
    let access_token = answer.expect("the endpoint answers").into_inner().access_token;
    let request = ExchangeCredentialRequest { access_token, ..ExchangeCredentialRequest::default() };
    let answer = TokenServiceClient::new(gateway.channel("auth")).exchange_credential(request).await;
    answer.expect("the access token is good").into_inner().token
}

async fn proceed(logins: &mut LoginServiceClient<Channel>, flow: String, answer: Answer) -> LoginStep {
    let answer =
        logins.continue_login(ContinueLoginRequest { flow, answer: Some(answer), device: String::new() }).await;
    answer.expect("the answer is right").into_inner()
}
