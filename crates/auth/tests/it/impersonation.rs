//! An administrator acts as somebody else, for support: who may, what his token is, what it opens, and who hears of it.
use std::time::Duration;

use proto::auth::v1::{
    self as wire, delegation_service_client::DelegationServiceClient, key_service_client::KeyServiceClient,
    login_service_client::LoginServiceClient, membership::Role,
};
use testkit::{System, eventually};
use tonic::{Code, Status};

use crate::{
    Platform, Signed, assert_refused,
    authorize::signed_in,
    browser::owner_browser,
    channel,
    client::{machine, register, web},
    exchange::request,
    factor::factors,
    life::second_organization,
    mail::{delivery, invitations, invite, take},
    oauth, organizations, platform, public, role,
    step_up::{claims, start},
    tokens, users,
};

/// Why carol does it.
pub(crate) const REASON: &str = "Ticket 4711: the report does not open";

pub(crate) async fn try_act(
    system: &System,
    signed: &Signed,
    user: &str,
    reason: &str,
) -> Result<wire::ImpersonateUserResponse, Status> {
    let request = wire::ImpersonateUserRequest { name: user.to_owned(), reason: reason.to_owned() };
    users(system, signed).await.impersonate_user(request).await.map(tonic::Response::into_inner)
}

/// The token with which somebody acts as the user, and the name of its session.
pub(crate) async fn act(system: &System, signed: &Signed, user: &str) -> (Signed, String) {
    let begun = try_act(system, signed, user, REASON).await.expect("he may");
    (Signed { access: begun.access_token, refresh: String::new() }, begun.session)
}

pub(crate) fn me() -> wire::GetUserRequest {
    wire::GetUserRequest { name: "users/me".to_owned() }
}

/// Bob, an editor, and carol, an administrator, who acts as him.
struct Support {
    platform: Platform,
    bob: wire::User,
    bobs: Signed,
    carol: wire::User,
    carols: Signed,
    acting: Signed,
    session: String,
}

async fn support() -> Support {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, bobs) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let (carol, carols) = platform.signed_user(&owner, "carol", Role::Admin).await;
    let (acting, session) = act(&platform.system, &carols, &bob.name).await;
    Support { platform, bob, bobs, carol, carols, acting, session }
}

fn id(name: &str) -> Option<&str> {
    name.rsplit('/').next()
}

#[tokio::test]
async fn auth_impersonation_the_token_is_the_users_and_the_audit_log_names_both() {
    let Support { platform, bob, carol, carols, acting, session, .. } = support().await;
    let system = &platform.system;
    let (said, own) = (claims(&acting.access), claims(&carols.access));
    assert_eq!((said["sub"].as_str(), said["act"]["sub"].as_str()), (id(&bob.name), id(&carol.name)));
    assert_eq!((&said["act"]["sid"], &said["client_id"]), (&own["sid"], &own["client_id"]));
    assert_eq!((said["org"].as_str(), said["sid"].as_str()), (id(&platform.organization), id(&session)));
    assert_eq!(
        (said["acr"].as_str(), said["amr"].to_string(), said["auth_time"].as_i64()),
        (Some("0"), "[]".to_owned(), Some(0))
    );
    let life = said["exp"].as_i64().expect("set") - said["iat"].as_i64().expect("set");
    assert!((895..=900).contains(&life), "{life} s");
    let mut client = users(system, &acting).await;
    assert_eq!(client.get_user(me()).await.expect("the user's").into_inner().name, bob.name);
    let list = wire::ListMembershipsRequest { parent: platform.organization.clone(), ..Default::default() };
    organizations(system, &acting).await.list_memberships(list).await.expect("he may, so she may");
    let create = crate::new_user(&platform.organization, "eve", Role::Viewer);
    assert_refused(client.create_user(create).await, Code::PermissionDenied, "ACCESS_DENIED");
    let all = wire::RevokeAllSessionsRequest { parent: "users/me".to_owned(), keep_current: true };
    assert_refused(client.revoke_all_sessions(all).await, Code::PermissionDenied, "IMPERSONATED");
    client.delete_session(wire::DeleteSessionRequest { name: session.clone() }).await.expect("her own way out");
    let begun = "select actor, acting, resource, details->>'reason', details->>'session' from auth.audit_event where action = 'user.impersonated'";
    let row = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>();
    assert_eq!(system.sql(begun).await, [row(&[&carol.name, "", &bob.name, REASON, &session])]);
    let ended = "select actor, acting, resource from auth.audit_event where action = 'session.ended'";
    assert_eq!(system.sql(ended).await, [row(&[&bob.name, &carol.name, &session])]);
    eventually("the refusals are kept", || async {
        let told = "select actor, acting, reason from auth.audit_event where outcome = 2 order by reason";
        let told = system.sql(told).await;
        let both = ["ACCESS_DENIED", "IMPERSONATED"].map(|reason| row(&[&bob.name, &carol.name, reason]));
        if told == both { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}

#[tokio::test]
async fn auth_impersonation_changes_nothing_that_is_the_users_alone() {
    let Support { platform, bob, acting, carol, bobs, .. } = support().await;
    let system = &platform.system;
    let refused = |said: Result<(), Status>| assert_refused(said, Code::PermissionDenied, "IMPERSONATED");
    let mut client = users(system, &acting).await;
    let own = wire::ListSessionsRequest { parent: "users/me".to_owned(), ..Default::default() };
    refused(client.list_sessions(own.clone()).await.map(drop));
    let change = wire::ChangeEmailRequest { name: bob.name.clone(), email: "carol@elsewhere.example".to_owned() };
    refused(client.change_email(change).await.map(drop));
    let sessions = users(system, &bobs).await.list_sessions(own).await.expect("his own").into_inner().sessions;
    let his = sessions.iter().find(|session| session.current).expect("the one he calls with");
    refused(client.delete_session(wire::DeleteSessionRequest { name: his.name.clone() }).await.map(drop));
    let factor = wire::CreateMfaFactorRequest { parent: "users/me".to_owned(), ..Default::default() };
    refused(factors(system, &acting).await.create_mfa_factor(factor).await.map(drop));
    let key = wire::CreateApiKeyRequest { parent: platform.organization.clone(), ..Default::default() };
    refused(KeyServiceClient::new(channel(system, &acting).await).create_api_key(key).await.map(drop));
    refused(LoginServiceClient::new(channel(system, &acting).await).start_step_up(start()).await.map(drop));
    // Nor what would outlive it: a delegation, which the workload asks for in a call of his.
    let token = crate::exchange(system, &acting.access).await.expect("good");
    let mut delegations = DelegationServiceClient::new(crate::with(system, "workflow", token));
    let request = wire::CreateDelegationRequest { parent: platform.organization.clone(), ..Default::default() };
    refused(delegations.create_delegation(request).await.map(drop));
    // Of who holds more than an editor too.
    let owner = platform.owner().await;
    let (as_admin, _) = act(system, &owner, &carol.name).await;
    let invite = invite(&platform, "eve@example.com", Role::Viewer);
    refused(invitations(system, &as_admin).await.create_invitation(invite).await.map(drop));
    refused(try_act(system, &as_admin, &bob.name, REASON).await.map(drop));
}

#[tokio::test]
async fn auth_impersonation_a_token_is_not_passed_on() {
    let Support { platform, acting, session, .. } = support().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, machine(Role::Viewer, &["membership:read"])).await;
    for client in [app.proof(), public("workos-cli")] {
        let exchange = wire::TokenRequest { client, ..request(&app, &acting.access) };
        assert!(tokens(system, exchange).await.is_err());
    }
    // Its application gives it back, as it does any other (RFC 7009).
    let revoke = wire::RevokeRequest { client: public("workos-cli"), token: acting.access.clone() };
    oauth(system).revoke(revoke).await.expect("it answers");
    assert_refused(crate::exchange(system, &acting.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let left = format!("select count(*) from auth.sessions where session_id = '{}'", uuid(&session));
    assert_eq!(system.sql(&left).await[0][0].as_deref(), Some("0"));
}

fn uuid(name: &str) -> uuid::Uuid {
    id(name).and_then(|id| id.parse::<api::Id>().ok()).expect("a name").uuid()
}

#[tokio::test]
async fn auth_impersonation_nobody_gains_by_it() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, editor) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let (carol, admin) = platform.signed_user(&owner, "carol", Role::Admin).await;
    let (erin, other_owner) = platform.signed_user(&owner, "erin", Role::Owner).await;
    let (dave, viewer) = platform.signed_user(&owner, "dave", Role::Viewer).await;
    assert_refused(try_act(system, &viewer, &bob.name, REASON).await, Code::PermissionDenied, "ACCESS_DENIED");
    let nobody = platform.user(&owner, "mallory", Role::Unspecified).await;
    let account = wire::CreateServiceAccountRequest {
        parent: platform.organization.clone(),
        service_account: Some(wire::ServiceAccount { display_name: "Import".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let mut keys = KeyServiceClient::new(channel(system, &owner).await);
    let account = keys.create_service_account(account).await.expect("the owner may").into_inner();
    let account = format!("users/{}", id(&account.name).expect("a name"));
    let second = second_organization(&platform, &editor).await;
    let elsewhere = crate::sign_in(system, &bob.email, &crate::password_of("bob"), &second).await;
    let (beyond, low) = ((Code::PermissionDenied, "ROLE_TOO_HIGH"), (Code::PermissionDenied, "ACCESS_DENIED"));
    let helps = role::made(&platform, &owner, &["user:impersonate"]).await.expect("the owner holds it");
    role::give(&platform, &owner, &dave.name, &owner, &[&helps.name]).await.expect("the owner may");
    let viewer_who_helps = crate::sign_in(system, &dave.email, &crate::password_of("dave"), "").await;
    for (who, whose, (code, reason)) in [
        (&editor, nobody.name.as_str(), low),
        (&admin, &carol.name, low),
        (&admin, &account, low),
        (&admin, "users/00000000000000000000000001", low),
        (&elsewhere, &carol.name, low),
        // The first owner is an operator of the platform.
        (&other_owner, &platform.owner, low),
        (&admin, &erin.name, beyond),
        // What is shared with somebody is his alone, unless one holds everything there is.
        (&viewer_who_helps, &nobody.name, beyond),
    ] {
        assert_refused(try_act(system, who, whose, REASON).await, code, reason);
    }
    let ends = role::made(&platform, &owner, &["organization:delete"]).await.expect("the owner holds it");
    role::give(&platform, &owner, &nobody.name, &owner, &[&ends.name]).await.expect("the owner may");
    let said = try_act(system, &admin, &nobody.name, REASON).await;
    assert_refused(said, Code::PermissionDenied, "PERMISSION_LACKED");
    act(system, &other_owner, &nobody.name).await;
    act(system, &owner, &erin.name).await;
    for reason in ["", " ", "a\nb", &"x".repeat(501)] {
        let said = try_act(system, &admin, &bob.name, reason).await;
        assert_refused(said, Code::InvalidArgument, "FIELD_INVALID");
    }
}

#[tokio::test]
async fn auth_impersonation_takes_somebody_who_has_just_signed_in_himself() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await;
    let app = register(&platform, &owner, web(&["user:impersonate"])).await;
    let token = signed_in(&platform, &app, &owner_browser(&platform).await, "user:impersonate").await.access_token;
    let app = Signed { access: token, refresh: String::new() };
    assert_refused(try_act(system, &app, &bob.name, REASON).await, Code::PermissionDenied, "SIGN_IN_NEEDED");
    let end = api::timestamp(system.clock().now() + Duration::from_secs(3600));
    let key = wire::ApiKey {
        display_name: "Key".to_owned(),
        scopes: vec!["user:impersonate".to_owned()],
        expire_time: Some(end),
        ..Default::default()
    };
    let create = wire::CreateApiKeyRequest { parent: platform.organization.clone(), api_key: Some(key) };
    let key = KeyServiceClient::new(channel(system, &owner).await).create_api_key(create).await.expect("his own");
    let key = Signed { access: key.into_inner().secret, refresh: String::new() };
    assert_refused(try_act(system, &key, &bob.name, REASON).await, Code::Unauthenticated, "STEP_UP_REQUIRED");
    system.sql("update auth.sessions set auth_time = auth_time - interval '20 minutes'").await;
    assert_refused(try_act(system, &owner, &bob.name, REASON).await, Code::Unauthenticated, "STEP_UP_REQUIRED");
}

#[tokio::test]
async fn auth_impersonation_the_user_is_told_who_and_why() {
    let Support { platform, bob, bobs, carol, session, .. } = support().await;
    let system = &platform.system;
    let mail = take(system, &delivery(system, "security.notice", 1).await).await.expect("on its way");
    assert_eq!((mail.purpose().as_str_name(), &mail.email), ("NOTICE_IMPERSONATED", &bob.email));
    assert_eq!(
        (mail.impersonator_display_name, mail.impersonator_email),
        (carol.display_name.clone(), carol.email.clone())
    );
    assert_eq!(
        (mail.impersonation_reason.as_str(), mail.organization_display_name.as_str()),
        (REASON, "Analytical Engines")
    );
    assert_eq!((mail.link, mail.code), (String::new(), String::new()), "a notice holds no secret");
    let mut his = users(system, &bobs).await;
    let found = his.get_session(wire::GetSessionRequest { name: session.clone() }).await.expect("his own").into_inner();
    let who = wire::session::Impersonation {
        user: carol.name.clone(),
        display_name: carol.display_name,
        email: carol.email,
        reason: REASON.to_owned(),
        organization: platform.organization.clone(),
    };
    assert_eq!((found.impersonation, found.current, found.amr), (Some(who), false, Vec::new()));
    let list = wire::ListSessionsRequest { parent: "users/me".to_owned(), ..Default::default() };
    let listed = his.list_sessions(list).await.expect("his own").into_inner().sessions;
    let by: Vec<_> = listed.iter().map(|session| session.impersonation.is_some()).collect();
    assert_eq!(by, [false, true], "his own sign-in, and hers as him");
}

#[tokio::test]
async fn auth_impersonation_of_who_cannot_be_told_is_refused() {
    let Support { platform, bob, carols, .. } = support().await;
    let system = &platform.system;
    for _ in 0..4 {
        act(system, &carols, &bob.name).await;
    }
    let said = try_act(system, &carols, &bob.name, REASON).await;
    assert_refused(said, Code::ResourceExhausted, "MAIL_LIMIT");
    let counts = "select (select count(*) from auth.sessions where impersonator_id is not null), (select count(*) from auth.mail_deliveries where purpose = 12)";
    assert_eq!(system.sql(counts).await, [[Some("5".to_owned()), Some("5".to_owned())]], "no session without a mail");
}
