//! Changes of what somebody signs in with: its owner hears of each; lost factors are taken by who manages the account, and nobody else.
use proto::auth::v1::{
    self as wire, invitation_service_client::InvitationServiceClient, login_step::Step, membership::Role,
};
use testkit::{System, eventually};
use tonic::{Code, Status};

use crate::{
    OPERATORS, OWNER, OWNER_PASSWORD, Platform, Signed, assert_refused, channel, exchange,
    factor::{enrolled, factors, signed_strongly},
    life::second_organization,
    mail::{self, deliveries, delivery, mails, notices, take, token_of},
    passkey::{passkeys, registered},
    password_of, platform, refresh_grant, sign_in, token, try_password, users,
};

async fn reset(system: &System, signed: &Signed, user: &str) -> Result<(), Status> {
    let request = wire::ResetUserFactorsRequest { name: user.to_owned() };
    users(system, signed).await.reset_user_factors(request).await.map(drop)
}

/// What a user has left to answer with beside his password.
async fn left(system: &System, user: &str) -> String {
    let id = api::UserId::parse(user).expect("a name").uuid();
    let count = |table: &str| format!("(select count(*) from auth.{table} where user_id = '{id}')");
    let sql = format!("select {} + {} + {}", count("mfa_factors"), count("recovery_codes"), count("passkeys"));
    system.sql(&sql).await.swap_remove(0).swap_remove(0).expect("a number")
}

fn changed(email: &str) -> (String, String) {
    ("NOTICE_FACTORS_CHANGED".to_owned(), email.to_owned())
}

#[tokio::test]
async fn auth_p18_an_administrator_takes_lost_factors_of_a_member_whom_his_organization_manages() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = enrolled(&platform).await;
    let strong = signed_strongly(&platform, &bob).await;
    let owner = platform.owner().await;
    let (_, admin) = platform.signed_user(&owner, "carol", Role::Admin).await;
    for _ in 0..2 {
        reset(system, &admin, &bob.user.name).await.expect("his organization manages him; a repeat changes nothing");
    }
    assert_eq!(left(system, &bob.user.name).await, "0");
    for held in [&bob.signed, &strong] {
        assert_refused(exchange(system, &held.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
        let refused = token(system, refresh_grant(&held.refresh)).await.err();
        assert_eq!(refused.as_deref(), Some("invalid_grant"));
    }
    let step = try_password(system, &bob.user.email, &password_of("bob")).await.expect("right").step;
    assert!(matches!(step, Some(Step::Done(_))), "no second factor is asked for any more");
    let told = notices(system, 2).await;
    assert_eq!(told, [changed(&bob.user.email), changed(&bob.user.email)], "enrolled, and taken once");
    let log = system
        .sql("select resource, actor, organization_id is not null from auth.audit_event where action = 'user.factors_reset'")
        .await;
    let carol = users(system, &admin).await.get_user(wire::GetUserRequest { name: "users/me".to_owned() }).await;
    let carol = carol.expect("her own").into_inner().name;
    assert_eq!(log, [[Some(bob.user.name.clone()), Some(carol), Some("t".to_owned())]]);
    assert_eq!(system.published("auth", "mfa_factor.deleted").await.len(), 2, "the app and the codes");
}

#[tokio::test]
async fn auth_p18_passkeys_go_too_and_a_password_too_short_to_stand_alone() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = registered(&platform).await;
    let id = api::UserId::parse(&bob.user.name).expect("a name").uuid();
    system.sql(&format!("update auth.passwords set fit_alone = false where user_id = '{id}'")).await;
    let owner = platform.owner().await;
    reset(system, &owner, &bob.user.name).await.expect("he may");
    assert_eq!(left(system, &bob.user.name).await, "0");
    let refused = try_password(system, &bob.user.email, &password_of("bob")).await;
    assert_refused(refused, Code::Unauthenticated, "SIGN_IN_REFUSED");
    let link = mail::reset_token(system, &bob.user.email, 1).await;
    mail::reset(system, &link, &password_of("new")).await.expect("a new one by mail");
    sign_in(system, &bob.user.email, &password_of("new"), "").await;
}

/// Somebody who made her account herself, by an invitation: no organization manages it.
async fn grace(platform: &Platform, owner: &Signed) -> (String, Signed) {
    let system = &platform.system;
    let invitation = wire::Invitation { email: "grace@example.com".to_owned(), ..Default::default() };
    let request = wire::CreateInvitationRequest {
        parent: platform.organization.clone(),
        invitation: Some(invitation),
        ..Default::default()
    };
    let mut client = InvitationServiceClient::new(channel(system, owner).await);
    client.create_invitation(request).await.expect("the owner may");
    let mail = take(system, &delivery(system, "invitation.created", 1).await).await.expect("on its way");
    let up = wire::SignUpRequest {
        display_name: "Grace".to_owned(),
        password: password_of("grace"),
        invitation: token_of(&mail),
        ..Default::default()
    };
    mails(system).sign_up(up).await.expect("the token proves the address");
    let signed = sign_in(system, "grace@example.com", &password_of("grace"), "").await;
    let me = users(system, &signed).await.get_user(wire::GetUserRequest { name: "users/me".to_owned() }).await;
    (me.expect("her own").into_inner().name, signed)
}

#[tokio::test]
async fn auth_p18_nobody_takes_factors_of_who_is_not_managed_by_his_organization_or_stands_above() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = enrolled(&platform).await;
    let owner = platform.owner().await;
    let (grace, _) = grace(&platform, &owner).await;
    let (carol, admin) = platform.signed_user(&owner, "carol", Role::Admin).await;
    let (_, viewer) = platform.signed_user(&owner, "dave", Role::Viewer).await;
    let operator = sign_in(system, OWNER, OWNER_PASSWORD, OPERATORS).await;
    for (who, whose) in [
        (&owner, grace.as_str()),
        (&operator, &bob.user.name),
        (&viewer, &bob.user.name),
        (&admin, &carol.name),
        (&admin, "users/00000000000000000000000001"),
    ] {
        assert_refused(reset(system, who, whose).await, Code::PermissionDenied, "ACCESS_DENIED");
    }
    assert_refused(reset(system, &admin, &platform.owner).await, Code::PermissionDenied, "ROLE_TOO_HIGH");
    assert_eq!(left(system, &bob.user.name).await, "12", "the app, and the set of ten codes");
    assert_eq!(deliveries(system, "security.notice").await.len(), 1, "of the enrolment alone");
    let refused = "select sum(occurrences) from auth.audit_event where method like '%ResetUserFactors' and outcome = 2";
    eventually("the refusals stand in the log", || async {
        let told = system.sql(refused).await;
        if told[0][0].as_deref() == Some("6") { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}

#[tokio::test]
async fn auth_p18_operators_and_owners_of_other_organizations_are_not_for_who_manages_them() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = enrolled(&platform).await;
    let owner = platform.owner().await;
    let (_, erin) = platform.signed_user(&owner, "erin", Role::Owner).await;
    second_organization(&platform, &bob.signed).await;
    for whose in [&platform.owner, &bob.user.name] {
        assert_refused(reset(system, &erin, whose).await, Code::PermissionDenied, "ACCESS_DENIED");
    }
    assert_eq!(left(system, &bob.user.name).await, "12", "the app, and the set of ten codes");
    let mut client = users(system, &erin).await;
    let disable = |name: &str| wire::DisableUserRequest { name: name.to_owned() };
    let refused = client.disable_user(disable(&platform.owner)).await;
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
    client.disable_user(disable(&bob.user.name)).await.expect("that opens nothing to anybody");
}

#[tokio::test]
async fn auth_h02_each_change_of_factors_is_told_to_their_owner_by_mail() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = enrolled(&platform).await;
    let strong = signed_strongly(&platform, &bob).await;
    let mut client = factors(system, &strong).await;
    let again = wire::RegenerateRecoveryCodesRequest { parent: "users/me".to_owned() };
    client.regenerate_recovery_codes(again).await.expect("his own");
    let delete = wire::DeleteMfaFactorRequest { name: bob.factor.clone() };
    client.delete_mfa_factor(delete.clone()).await.expect("his own");
    client.delete_mfa_factor(delete).await.expect("a repeat changes nothing");
    let told = notices(system, 3).await;
    assert_eq!(told, vec![changed(&bob.user.email); 3], "enrolled, new codes, deleted");
}

#[tokio::test]
async fn who_changes_his_factors_again_and_again_fills_no_mailbox() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = enrolled(&platform).await;
    let strong = signed_strongly(&platform, &bob).await;
    let mut client = factors(system, &strong).await;
    for _ in 0..6 {
        let again = wire::RegenerateRecoveryCodesRequest { parent: "users/me".to_owned() };
        client.regenerate_recovery_codes(again).await.expect("his own");
    }
    let told = system.sql("select count(*) from auth.mail_deliveries where purpose = 11").await;
    assert_eq!(told[0][0].as_deref(), Some("5"), "an hour's worth");
}

#[tokio::test]
async fn auth_h02_a_passkey_that_comes_or_goes_is_told_to_its_owner_by_mail() {
    let platform = platform().await;
    let system = &platform.system;
    let mut bob = registered(&platform).await;
    assert_eq!(notices(system, 1).await, [changed(&bob.user.email)]);
    let strong = bob.signed_strongly(&platform).await;
    let delete = wire::DeletePasskeyRequest { name: bob.name.clone() };
    passkeys(system, &strong).await.delete_passkey(delete).await.expect("his own");
    assert_eq!(notices(system, 2).await, vec![changed(&bob.user.email); 2]);
}
