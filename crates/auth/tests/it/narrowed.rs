//! What is taken from an application acts with the next call, also on those that act behind it.
use mesh::client::Channel;
use proto::auth::v1::{
    self as wire, invitation_service_client::InvitationServiceClient, membership::Role,
    organization_service_client::OrganizationServiceClient,
};
use tonic::{Code, Status};

use crate::{
    Platform, Signed, assert_refused,
    authorize::signed_in,
    browser::owner_browser,
    client::{App, clients, credentials, machine, register, web},
    exchange, platform, tokens, with,
};

/// A call that `organization:read` guards, with a token that was exchanged before.
async fn read(platform: &Platform, held: &Channel) -> Result<(), Status> {
    let request = wire::GetOrganizationRequest { name: platform.organization.clone() };
    OrganizationServiceClient::new(held.clone()).get_organization(request).await.map(drop)
}

/// One that `membership:read` guards.
async fn list(platform: &Platform, held: &Channel) -> Result<(), Status> {
    let request = wire::ListMembershipsRequest { parent: platform.organization.clone(), ..Default::default() };
    OrganizationServiceClient::new(held.clone()).list_memberships(request).await.map(drop)
}

async fn held(platform: &Platform, access: &str) -> Channel {
    with(&platform.system, "gateway", exchange(&platform.system, access).await.expect("good"))
}

async fn change(platform: &Platform, owner: &Signed, app: &App, paths: &[&str], client: wire::OAuthClient) {
    let request = wire::UpdateOAuthClientRequest {
        oauth_client: Some(wire::OAuthClient { name: app.name.clone(), ..client }),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        request_id: String::new(),
    };
    clients(platform, owner).await.update_o_auth_client(request).await.expect("the owner may");
}

#[tokio::test]
async fn auth_b03_t04_scopes_taken_from_an_application_are_gone_with_the_next_call_behind_it_too() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let scopes = ["organization:read", "membership:read"];
    let last = register(&platform, &owner, machine(Role::Viewer, &scopes)).await;
    let between = wire::OAuthClient { actors: vec![last.id.clone()], ..machine(Role::Viewer, &scopes) };
    let between = register(&platform, &owner, between).await;
    let front = wire::OAuthClient { actors: vec![between.id.clone()], ..web(&scopes) };
    let front = register(&platform, &owner, front).await;
    let bystander = register(&platform, &owner, web(&scopes)).await;
    let browser = owner_browser(&platform).await;
    let token =
        async |app: &App| signed_in(&platform, app, &browser, "organization:read membership:read").await.access_token;
    let passed = async |to: &App, subject: String| {
        let request = wire::TokenRequest {
            grant_type: "urn:ietf:params:oauth:grant-type:token-exchange".to_owned(),
            client: to.proof(),
            subject_token: subject,
            subject_token_type: "urn:ietf:params:oauth:token-type:access_token".to_owned(),
            ..wire::TokenRequest::default()
        };
        tokens(&platform.system, request).await.expect("it is an actor").access_token
    };
    let first = token(&front).await;
    let second = passed(&between, first.clone()).await;
    let third = passed(&last, second.clone()).await;
    let other = held(&platform, &token(&bystander).await).await;
    let mut before = Vec::new();
    for access in [&first, &second, &third] {
        let held = held(&platform, access).await;
        read(&platform, &held).await.expect("within the scope");
        before.push(held);
    }
    let renamed = wire::OAuthClient { display_name: "Harbor Planner 2".to_owned(), ..Default::default() };
    change(&platform, &owner, &front, &["display_name"], renamed).await;
    for held in &before {
        read(&platform, held).await.expect("a name takes nothing");
    }
    let fewer = wire::OAuthClient { scopes: vec!["membership:read".to_owned()], ..Default::default() };
    change(&platform, &owner, &front, &["scopes"], fewer).await;
    for (held_before, access) in before.iter().zip([&first, &second, &third]) {
        assert_refused(read(&platform, held_before).await, Code::Unauthenticated, "TOKEN_STALE");
        let again = held(&platform, access).await;
        assert_refused(read(&platform, &again).await, Code::PermissionDenied, "ACCESS_DENIED");
        list(&platform, &again).await.expect("what is left goes on");
    }
    read(&platform, &other).await.expect("another application goes on");
}

#[tokio::test]
async fn auth_b03_t04_a_role_taken_from_a_machine_is_gone_with_the_next_call() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, machine(Role::Admin, &["invitation:read"])).await;
    let access = tokens(&platform.system, credentials(&app, "")).await.expect("it may").access_token;
    let before = held(&platform, &access).await;
    let invitations = async |held: &Channel| {
        let request = wire::ListInvitationsRequest { parent: platform.organization.clone(), ..Default::default() };
        InvitationServiceClient::new(held.clone()).list_invitations(request).await.map(drop)
    };
    invitations(&before).await.expect("an administrator may");
    let lower = wire::OAuthClient { role: Role::Editor.into(), ..Default::default() };
    change(&platform, &owner, &app, &["role"], lower).await;
    assert_refused(invitations(&before).await, Code::Unauthenticated, "TOKEN_STALE");
    let again = held(&platform, &access).await;
    assert_refused(invitations(&again).await, Code::PermissionDenied, "ACCESS_DENIED");
}
