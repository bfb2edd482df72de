//! Registered clients: kept by administrators, authenticated at the endpoints, machines that act by themselves.
use std::time::Duration;

use proto::auth::v1::{
    self as wire,
    membership::Role,
    o_auth_client::{AuthenticationMethod, Kind, RefreshMode},
    o_auth_client_service_client::OAuthClientServiceClient,
};
use sha2::{Digest, Sha256};
use tonic::Code;

use crate::{
    Platform, Signed, assert_refused, channel, exchange, oauth, organizations, platform, public, refusal, tokens, with,
};
use mesh::client::Channel;

/// A client as an application holds it.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) basic: bool,
}

impl App {
    pub(crate) fn proof(&self) -> Option<wire::ClientAuthentication> {
        let (client_id, client_secret) = (self.id.clone(), self.secret.clone());
        Some(wire::ClientAuthentication { client_id, client_secret, basic: self.basic })
    }
}

pub(crate) async fn clients(platform: &Platform, signed: &Signed) -> OAuthClientServiceClient<Channel> {
    OAuthClientServiceClient::new(channel(&platform.system, signed).await)
}

pub(crate) fn web(scopes: &[&str]) -> wire::OAuthClient {
    wire::OAuthClient {
        display_name: "Harbor Planner".to_owned(),
        kind: Kind::Web.into(),
        redirect_uris: vec!["https://app.example/cb".to_owned()],
        post_logout_redirect_uris: vec!["https://app.example/bye".to_owned()],
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..wire::OAuthClient::default()
    }
}

pub(crate) fn machine(role: Role, scopes: &[&str]) -> wire::OAuthClient {
    wire::OAuthClient {
        kind: Kind::Machine.into(),
        redirect_uris: Vec::new(),
        post_logout_redirect_uris: Vec::new(),
        role: role.into(),
        ..web(scopes)
    }
}

pub(crate) async fn register(platform: &Platform, signed: &Signed, client: wire::OAuthClient) -> App {
    let request = wire::CreateOAuthClientRequest { parent: platform.organization.clone(), oauth_client: Some(client) };
    let made = clients(platform, signed).await.create_o_auth_client(request).await.expect("the owner may").into_inner();
    let basic = made.authentication_method() == AuthenticationMethod::ClientSecretBasic;
    let id = made.name.rsplit('/').next().expect("it has a name").to_owned();
    App { name: made.name, id, secret: made.client_secret, basic }
}

pub(crate) fn credentials(app: &App, scope: &str) -> wire::TokenRequest {
    wire::TokenRequest {
        grant_type: "client_credentials".to_owned(),
        client: app.proof(),
        scope: scope.to_owned(),
        ..wire::TokenRequest::default()
    }
}

#[tokio::test]
async fn a_client_is_registered_changed_listed_and_deleted_and_its_secret_is_told_once() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, web(&["openid"])).await;
    assert!(app.basic && app.secret.starts_with("wos_cs_") && app.secret.len() == 50);
    let stored =
        platform.system.sql("select encode(secret_digest, 'hex'), oauth_clients::text from auth.oauth_clients").await;
    let digest: String = Sha256::digest(&app.secret).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((stored.len(), stored[0][0].as_deref()), (1, Some(digest.as_str())), "its SHA-256");
    let hex: String = app.secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let row = stored[0][1].as_deref().expect("a row");
    assert!(
        row.contains(&digest) && !row.contains(&app.secret) && !row.contains(&hex),
        "and nowhere the secret: {row}"
    );
    let mut service = clients(&platform, &owner).await;
    let found = service.get_o_auth_client(wire::GetOAuthClientRequest { name: app.name.clone() }).await;
    let found = found.expect("the owner may").into_inner();
    assert_eq!(
        (found.client_secret.as_str(), found.id_token_algorithm),
        ("", 2),
        "no secret, and RS256 where nothing is said"
    );
    let change = wire::OAuthClient {
        name: app.name.clone(),
        display_name: "Other".to_owned(),
        refresh_mode: RefreshMode::Keep.into(),
        etag: found.etag.clone(),
        ..wire::OAuthClient::default()
    };
    let request = wire::UpdateOAuthClientRequest { oauth_client: Some(change.clone()), ..Default::default() };
    let changed = service.update_o_auth_client(request.clone()).await.expect("the owner may").into_inner();
    assert!(changed.display_name == "Other" && changed.refresh_mode() == RefreshMode::Keep);
    assert_eq!(changed.redirect_uris, found.redirect_uris, "what is not sent stays");
    assert_refused(service.update_o_auth_client(request).await, Code::Aborted, "ETAG_MISMATCH");
    let list = wire::ListOAuthClientsRequest { parent: platform.organization.clone(), ..Default::default() };
    let listed = service.list_o_auth_clients(list.clone()).await.expect("the owner may").into_inner();
    assert_eq!(listed.oauth_clients, [changed]);
    let request = wire::DeleteOAuthClientRequest { name: app.name.clone(), ..Default::default() };
    service.delete_o_auth_client(request).await.expect("the owner may");
    assert!(service.list_o_auth_clients(list).await.expect("empty").into_inner().oauth_clients.is_empty());
    let stored = platform.system.sql("select count(*) from auth.audit_event where method like '%OAuthClient'").await;
    assert_eq!(stored[0][0].as_deref(), Some("3"), "a row for each change");
}

#[tokio::test]
async fn what_contradicts_itself_is_not_registered_and_nobody_makes_a_machine_above_himself() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let mut service = clients(&platform, &owner).await;
    for client in [
        wire::OAuthClient { redirect_uris: vec!["javascript:alert(1)".to_owned()], ..web(&[]) },
        web(&["document:fly"]),
        web(&["*"]),
        wire::OAuthClient { kind: Kind::Native.into(), authentication_method: 2, ..web(&[]) },
    ] {
        let request =
            wire::CreateOAuthClientRequest { parent: platform.organization.clone(), oauth_client: Some(client) };
        let refused = service.create_o_auth_client(request).await;
        assert_refused(refused, Code::InvalidArgument, "OAUTH_CLIENT_INVALID");
    }
    let (_, admin) = platform.signed_user(&owner, "bob", Role::Admin).await;
    let service = clients(&platform, &admin).await;
    let create = |client| {
        let parent = platform.organization.clone();
        let request = wire::CreateOAuthClientRequest { parent, oauth_client: Some(client) };
        let mut service = service.clone();
        async move { service.create_o_auth_client(request).await }
    };
    assert_refused(create(machine(Role::Owner, &[])).await, Code::PermissionDenied, "ROLE_TOO_HIGH");
    create(machine(Role::Admin, &[])).await.expect("his own role");
    let above = register(&platform, &owner, machine(Role::Owner, &["organization:read"])).await;
    let rotate = wire::RotateOAuthClientSecretRequest { name: above.name, keep_previous: None };
    let refused = clients(&platform, &admin).await.rotate_o_auth_client_secret(rotate).await;
    assert_refused(refused, Code::PermissionDenied, "ROLE_TOO_HIGH");
    let (_, editor) = platform.signed_user(&owner, "eve", Role::Editor).await;
    let request = wire::ListOAuthClientsRequest { parent: platform.organization.clone(), ..Default::default() };
    let refused = clients(&platform, &editor).await.list_o_auth_clients(request).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
}

#[tokio::test]
async fn a_client_authenticates_by_its_registered_method_and_secret_alone() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, machine(Role::Viewer, &["organization:read"])).await;
    let post = wire::OAuthClient { authentication_method: 3, ..machine(Role::Viewer, &["organization:read"]) };
    let post = register(&platform, &owner, post).await;
    for good in [&app, &post] {
        tokens(&platform.system, credentials(good, "")).await.expect("registered so");
    }
    let wrong = [
        App { basic: false, ..app.clone() },
        App { basic: true, ..post.clone() },
        App { secret: post.secret.clone(), ..app.clone() },
        App { secret: String::new(), ..app.clone() },
        App { id: app.id.to_uppercase(), ..app.clone() },
        App { id: "0".repeat(26), ..app.clone() },
        App { id: "workos-browser".to_owned(), secret: String::new(), basic: false, ..app.clone() },
    ];
    for app in wrong {
        let refused = tokens(&platform.system, credentials(&app, "")).await;
        assert_eq!(refused.err().as_deref(), Some("invalid_client"), "{} {}", app.id, app.basic);
    }
}

#[tokio::test]
async fn a_new_secret_works_at_once_and_the_old_one_for_as_long_as_asked() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, machine(Role::Viewer, &["organization:read"])).await;
    let rotate = |seconds: Option<i64>| {
        let keep_previous = seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
        let request = wire::RotateOAuthClientSecretRequest { name: app.name.clone(), keep_previous };
        let (platform, owner, app) = (&platform, &owner, app.clone());
        async move {
            let made = clients(platform, owner).await.rotate_o_auth_client_secret(request).await?;
            Ok::<_, tonic::Status>(App { secret: made.into_inner().client_secret, ..app })
        }
    };
    let second = rotate(Some(10)).await.expect("the owner may");
    for good in [&app, &second] {
        tokens(&platform.system, credentials(good, "")).await.expect("both are good");
    }
    platform.system.clock().advance(Duration::from_secs(11));
    assert_eq!(tokens(&platform.system, credentials(&app, "")).await.err().as_deref(), Some("invalid_client"));
    let third = rotate(None).await.expect("the owner may");
    assert_eq!(tokens(&platform.system, credentials(&second, "")).await.err().as_deref(), Some("invalid_client"));
    tokens(&platform.system, credentials(&third, "")).await.expect("the newest");
    assert_refused(rotate(Some(86_401)).await.map(|app| app.name), Code::InvalidArgument, "FIELD_INVALID");
}

#[tokio::test]
async fn a_machine_acts_with_its_role_within_its_scopes_until_it_is_deleted() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, machine(Role::Viewer, &["organization:read", "organization:write"])).await;
    let answer = tokens(&platform.system, credentials(&app, "")).await.expect("it may");
    assert_eq!((answer.scope.as_str(), answer.refresh_token.as_str()), ("organization:read organization:write", ""));
    let signed = Signed { access: answer.access_token, refresh: String::new() };
    let get = wire::GetOrganizationRequest { name: platform.organization.clone() };
    organizations(&platform.system, &signed).await.get_organization(get.clone()).await.expect("a viewer reads");
    let rename = wire::UpdateOrganizationRequest {
        organization: Some(wire::Organization {
            name: platform.organization.clone(),
            display_name: "x".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let refused = organizations(&platform.system, &signed).await.update_organization(rename).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let list = wire::ListMembershipsRequest { parent: platform.organization.clone(), ..Default::default() };
    let refused = organizations(&platform.system, &signed).await.list_memberships(list).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    for scope in ["membership:read", "openid", "organization:read nonsense"] {
        let refused = tokens(&platform.system, credentials(&app, scope)).await;
        assert_eq!(refused.err().as_deref(), Some("invalid_scope"), "{scope}");
    }
    let narrow = tokens(&platform.system, credentials(&app, "organization:write")).await.expect("its own");
    let narrow = Signed { access: narrow.access_token, refresh: String::new() };
    let refused = organizations(&platform.system, &narrow).await.get_organization(get.clone()).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    let biscuit = exchange(&platform.system, &signed.access).await.expect("still good");
    let delete = wire::DeleteOAuthClientRequest { name: app.name.clone(), ..Default::default() };
    clients(&platform, &owner).await.delete_o_auth_client(delete).await.expect("the owner may");
    let held =
        crate::OrganizationServiceClient::new(with(&platform.system, "gateway", biscuit)).get_organization(get).await;
    assert_refused(held, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_refused(exchange(&platform.system, &signed.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_eq!(tokens(&platform.system, credentials(&app, "")).await.err().as_deref(), Some("invalid_client"));
}

#[tokio::test]
async fn auth_o14_a_machine_ends_one_of_its_tokens_and_sees_its_own_alone() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, machine(Role::Viewer, &["organization:read"])).await;
    let other = register(&platform, &owner, machine(Role::Viewer, &["organization:read"])).await;
    let first = tokens(&platform.system, credentials(&app, "")).await.expect("it may").access_token;
    let second = tokens(&platform.system, credentials(&app, "")).await.expect("it may").access_token;
    let ask = |token: &str, client| {
        let request = wire::IntrospectRequest { token: token.to_owned(), client };
        let mut endpoint = oauth(&platform.system);
        async move { endpoint.introspect(request).await.expect("the endpoint answers").into_inner() }
    };
    let own = ask(&first, app.proof()).await;
    assert!(own.active && own.client_id == app.id && own.sub == app.id && own.scope == "organization:read");
    let nothing = wire::IntrospectResponse::default();
    for (token, client) in [
        (first.as_str(), other.proof()),
        (&owner.access, app.proof()),
        ("garbage", app.proof()),
        (&owner.refresh, app.proof()),
    ] {
        assert_eq!(ask(token, client).await, nothing, "nothing but that it is not active");
    }
    for client in [None, public(&app.id), public("workos-cli")] {
        assert_eq!(ask(&first, client).await.error.expect("refused").error, "invalid_client");
    }
    let revoke = |client| wire::RevokeRequest { token: first.clone(), client };
    oauth(&platform.system).revoke(revoke(other.proof())).await.expect("no error");
    assert!(ask(&first, app.proof()).await.active, "another client's request changes nothing");
    let done = oauth(&platform.system).revoke(revoke(app.proof())).await.expect("no error").into_inner();
    assert_eq!(done.error, None);
    assert_eq!(ask(&first, app.proof()).await, nothing);
    assert_eq!(refusal(&exchange(&platform.system, &first).await.expect_err("revoked")).1, "CREDENTIAL_INVALID");
    exchange(&platform.system, &second).await.expect("the other one lives");
}
