//! Flows through a mailbox: proof of an address, forgotten passwords, sign-up, invitations. What notification would send is read as
//! notification reads it; nothing here knows a secret in another way.
use std::time::Duration;

use mesh::client::Channel;
use proto::auth::v1::{
    self as wire, invitation_service_client::InvitationServiceClient, mail_service_client::MailServiceClient,
    membership::Role, take_email_secret_response::Purpose, token_service_client::TokenServiceClient,
};
use testkit::{System, eventually};
use tonic::{Code, Status};

use crate::{
    OWNER, OWNER_PASSWORD, Platform, Signed, assert_refused, channel,
    client::{clients, credentials, machine, register},
    exchange, password_of, platform,
    proven::mark_proven,
    refresh_grant, sign_in, token, tokens, try_password, users,
};

pub(crate) fn mails(system: &System) -> MailServiceClient<Channel> {
    MailServiceClient::new(system.anonymous().channel("auth"))
}

/// Names of the deliveries that were published under a type, oldest first.
pub(crate) async fn deliveries(system: &System, kind: &str) -> Vec<String> {
    let events = system.published("auth", kind).await;
    // Field 1 is the name in all of these events.
    let name = |event: &testkit::Published| {
        <wire::SecurityNotice as prost::Message>::decode(event.payload.clone()).expect("an event").name
    };
    events.iter().map(name).collect()
}

/// The newest delivery once there are so many of a type.
pub(crate) async fn delivery(system: &System, kind: &str, count: usize) -> String {
    let names = eventually("the mail is on its way", || async {
        let names = deliveries(system, kind).await;
        if names.len() >= count { Ok(names) } else { Err(names.len()) }
    });
    names.await.pop().expect("there is one")
}

/// What the notices to an account were about, once there are so many; oldest first.
pub(crate) async fn notices(system: &System, count: usize) -> Vec<(String, String)> {
    delivery(system, "security.notice", count).await;
    queue_is_empty(system).await;
    let mut told = Vec::new();
    for name in deliveries(system, "security.notice").await {
        let mail = take(system, &name).await.expect("it is on its way");
        assert_eq!((mail.link.as_str(), mail.code.as_str()), ("", ""), "a notice holds no secret");
        told.push((mail.purpose().as_str_name().to_owned(), mail.email));
    }
    told
}

/// The first notice to an account.
pub(crate) async fn notice(system: &System) -> wire::TakeEmailSecretResponse {
    take(system, &delivery(system, "security.notice", 1).await).await.expect("it is on its way")
}

pub(crate) async fn take(system: &System, name: &str) -> Result<wire::TakeEmailSecretResponse, Status> {
    let mut client = TokenServiceClient::new(system.as_workload("notification").channel("auth"));
    let request = wire::TakeEmailSecretRequest { name: name.to_owned() };
    client.take_email_secret(request).await.map(tonic::Response::into_inner)
}

pub(crate) fn token_of(mail: &wire::TakeEmailSecretResponse) -> String {
    mail.link.split_once("?token=").expect("the link carries it").1.to_owned()
}

async fn request_reset(system: &System, email: &str) {
    let request = wire::RequestPasswordResetRequest { email: email.to_owned() };
    mails(system).request_password_reset(request).await.expect("one answer for all");
}

/// Token of the newest reset once there are so many.
pub(crate) async fn reset_token(system: &System, email: &str, count: usize) -> String {
    request_reset(system, email).await;
    let name = delivery(system, "password.reset_requested", count).await;
    token_of(&take(system, &name).await.expect("it is on its way"))
}

pub(crate) async fn reset(system: &System, token: &str, password: &str) -> Result<(), Status> {
    let request = wire::ResetPasswordRequest { token: token.to_owned(), new_password: password.to_owned() };
    mails(system).reset_password(request).await.map(drop)
}

pub(crate) fn sign_up(email: &str) -> wire::SignUpRequest {
    wire::SignUpRequest {
        email: email.to_owned(),
        display_name: "Grace".to_owned(),
        password: password_of("grace"),
        invitation: String::new(),
    }
}

pub(crate) async fn queue_is_empty(system: &System) {
    eventually("the queue is empty", || async {
        (system.sql("select count(*) from auth.mail_requests").await[0][0].as_deref() == Some("0")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn auth_p02_known_and_unknown_addresses_get_one_answer_and_only_the_mail_differs() {
    let platform = platform().await;
    let system = &platform.system;
    // As that of somebody whom an administrator has made.
    system.sql("update auth.users set email_verified_time = null").await;
    for email in [OWNER, "nobody@example.com"] {
        let answer = mails(system).sign_up(sign_up(email)).await.expect("one answer for all");
        assert_eq!(answer.into_inner(), wire::SignUpResponse {});
        let reset = wire::RequestPasswordResetRequest { email: email.to_owned() };
        mails(system).request_password_reset(reset).await.expect("one answer for all");
        let verify = wire::RequestEmailVerificationRequest { email: email.to_owned() };
        mails(system).request_email_verification(verify).await.expect("one answer for all");
    }
    queue_is_empty(system).await;
    let mut told = Vec::new();
    for kind in ["email.verification_requested", "password.reset_requested", "security.notice"] {
        for name in deliveries(system, kind).await {
            let mail = take(system, &name).await.expect("it is on its way");
            told.push((mail.purpose, mail.email.clone(), mail.link.is_empty()));
        }
    }
    let owner = OWNER.to_owned();
    let wanted = [
        (Purpose::SignUp as i32, "nobody@example.com".to_owned(), false),
        (Purpose::VerifyEmail as i32, owner.clone(), false),
        (Purpose::ResetPassword as i32, owner.clone(), false),
        (Purpose::NoticeSignUp as i32, owner, true),
    ];
    assert_eq!(told.len(), wanted.len(), "{told:?}");
    assert!(wanted.iter().all(|mail| told.contains(mail)), "{told:?}");
    assert_eq!(system.sql("select count(*) from auth.users").await[0][0].as_deref(), Some("1"), "no account yet");
}

#[tokio::test]
async fn a_sign_up_is_an_account_once_its_address_is_proven_and_only_once() {
    let platform = platform().await;
    let system = &platform.system;
    let email = "grace@example.com";
    let weak = wire::SignUpRequest { password: "short".to_owned(), ..sign_up(email) };
    assert_refused(mails(system).sign_up(weak).await, Code::InvalidArgument, "PASSWORD_UNFIT");
    mails(system).sign_up(sign_up(email)).await.expect("asked");
    let name = delivery(system, "email.verification_requested", 1).await;
    assert_refused(try_password(system, email, &password_of("grace")).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    let token = token_of(&take(system, &name).await.expect("it is on its way"));
    let lookup = wire::LookupVerificationRequest { token: token.clone() };
    let about = mails(system).lookup_verification(lookup).await.expect("it is good").into_inner();
    assert_eq!((about.email.as_str(), about.display_name.as_str(), about.sign_up), (email, "Grace", true));
    let verify = wire::VerifyEmailRequest { token, password: password_of("grace") };
    for stranger in [String::new(), password_of("mallory")] {
        let verify = wire::VerifyEmailRequest { password: stranger, ..verify.clone() };
        assert_refused(mails(system).verify_email(verify).await, Code::PermissionDenied, "SIGN_IN_REFUSED");
    }
    mails(system).verify_email(verify.clone()).await.expect("a wrong password leaves the link good");
    assert_refused(mails(system).verify_email(verify).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    let signed = sign_in(system, email, &password_of("grace"), "").await;
    let request = wire::GetUserRequest { name: "users/me".to_owned() };
    let user = users(system, &signed).await.get_user(request).await.expect("his own").into_inner();
    assert_eq!((user.email.as_str(), user.managing_organization.as_str(), user.email_verified), (email, "", true));
}

#[tokio::test]
async fn auth_p14_a_reset_link_works_once_for_ten_minutes_and_not_after_a_newer_one() {
    let platform = platform().await;
    let system = &platform.system;
    let before = platform.owner().await;
    let old = reset_token(system, OWNER, 1).await;
    let newer = reset_token(system, OWNER, 2).await;
    assert_ne!(old, newer);
    assert_refused(reset(system, &old, &password_of("new")).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    assert_refused(reset(system, &newer, "ada@example.com").await, Code::InvalidArgument, "PASSWORD_UNFIT");
    reset(system, &newer, &password_of("new")).await.expect("a refused password leaves the link good");
    assert_refused(reset(system, &newer, &password_of("two")).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    assert_refused(exchange(system, &before.access).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let refused = token(system, refresh_grant(&before.refresh)).await.err();
    assert_eq!(refused.as_deref(), Some("invalid_grant"), "all sessions have ended");
    assert_refused(try_password(system, OWNER, OWNER_PASSWORD).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    sign_in(system, OWNER, &password_of("new"), &platform.organization).await;
    let notice = take(system, &delivery(system, "security.notice", 1).await).await.expect("it is on its way");
    assert_eq!((notice.purpose, notice.link.as_str()), (Purpose::NoticePasswordChanged as i32, ""));
    let late = reset_token(system, OWNER, 3).await;
    system.clock().advance(Duration::from_secs(601));
    assert_refused(reset(system, &late, &password_of("two")).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
}

#[tokio::test]
async fn auth_p14_links_lead_to_the_configured_host_and_the_secret_stands_nowhere_else() {
    let platform = platform().await;
    let system = &platform.system;
    request_reset(system, OWNER).await;
    let name = delivery(system, "password.reset_requested", 1).await;
    let mail = take(system, &name).await.expect("it is on its way");
    assert!(mail.link.starts_with("http://localhost:8080/auth/link/reset?token="), "{}", mail.link);
    assert_eq!((mail.email.as_str(), mail.display_name.as_str()), (OWNER, "Ada"));
    let secret = token_of(&mail);
    for table in ["mail_deliveries", "outbox_event", "audit_event", "mail_requests"] {
        let rows = system.sql(&format!("select t::text from auth.{table} t")).await;
        assert!(rows.iter().flatten().flatten().all(|text| !text.contains(&secret)), "{table}");
    }
    let refused = TokenServiceClient::new(system.as_workload("document").channel("auth"))
        .take_email_secret(wire::TakeEmailSecretRequest { name })
        .await
        .expect_err("only notification");
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn auth_p17_a_link_sent_twenty_minutes_late_is_good_for_ten() {
    let platform = platform().await;
    let system = &platform.system;
    request_reset(system, OWNER).await;
    let name = delivery(system, "password.reset_requested", 1).await;
    system.clock().advance(Duration::from_secs(20 * 60));
    let first = take(system, &name).await.expect("it is still to be sent");
    system.clock().advance(Duration::from_secs(9 * 60));
    let again = take(system, &name).await.expect("a repeat says the same");
    assert_eq!(first, again);
    reset(system, &token_of(&first), &password_of("new")).await.expect("ten minutes from its sending");
    request_reset(system, OWNER).await;
    let name = delivery(system, "password.reset_requested", 2).await;
    system.clock().advance(Duration::from_secs(61 * 60));
    assert_refused(take(system, &name).await, Code::FailedPrecondition, "EMAIL_DELIVERY_OVER");
}

#[tokio::test]
async fn a_flood_of_requests_is_few_mails() {
    let platform = platform().await;
    let system = &platform.system;
    for _ in 0..12 {
        request_reset(system, OWNER).await;
    }
    queue_is_empty(system).await;
    assert_eq!(deliveries(system, "password.reset_requested").await.len(), 5, "an hour's worth");
    system.clock().advance(Duration::from_secs(61 * 60));
    reset_token(system, OWNER, 6).await;
}

#[tokio::test]
async fn a_new_address_is_in_force_once_it_is_proven_and_the_old_one_hears_of_it() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    mark_proven(system, &bob.email).await;
    let mut client = users(system, &signed).await;
    let change = |email: &str| wire::ChangeEmailRequest { name: "users/me".to_owned(), email: email.to_owned() };
    client.change_email(change("robert@example.com")).await.expect("asked");
    let first = take(system, &delivery(system, "email.verification_requested", 1).await).await.expect("on its way");
    assert_eq!((first.purpose, first.email.as_str()), (Purpose::ChangeEmail as i32, "robert@example.com"));
    client.change_email(change("rob@example.com")).await.expect("asked again");
    let second = take(system, &delivery(system, "email.verification_requested", 2).await).await.expect("on its way");
    let verify = |mail: &wire::TakeEmailSecretResponse| wire::VerifyEmailRequest {
        token: token_of(mail),
        password: password_of("bob"),
    };
    let dead = mails(system).verify_email(verify(&first)).await;
    assert_refused(dead, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    sign_in(system, &bob.email, &password_of("bob"), "").await;
    // Anybody can ask for an address that is not his: whoever reads it knows nothing of the account.
    for stranger in [String::new(), password_of("mallory")] {
        let verify = wire::VerifyEmailRequest { password: stranger, ..verify(&second) };
        assert_refused(mails(system).verify_email(verify).await, Code::PermissionDenied, "SIGN_IN_REFUSED");
    }
    mails(system).verify_email(verify(&second)).await.expect("proven");
    sign_in(system, "rob@example.com", &password_of("bob"), "").await;
    let notice = take(system, &delivery(system, "security.notice", 1).await).await.expect("on its way");
    assert_eq!((notice.purpose, notice.email), (Purpose::NoticeEmailChanged as i32, bob.email.clone()));
    let (carol, signed) = platform.signed_user(&owner, "carol", Role::Viewer).await;
    users(system, &signed).await.change_email(change("caroline@example.com")).await.expect("asked");
    let pending = take(system, &delivery(system, "email.verification_requested", 3).await).await.expect("on its way");
    let token = reset_token(system, &carol.email, 1).await;
    reset(system, &token, &password_of("new")).await.expect("good");
    let dead = mails(system).verify_email(verify(&pending)).await;
    assert_refused(dead, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
}

/// Somebody, signed in, who has asked for a new address, and the mail to it.
pub(crate) async fn moving(platform: &Platform, owner: &Signed) -> (wire::User, Signed, wire::TakeEmailSecretResponse) {
    let system = &platform.system;
    let (bob, signed) = platform.signed_user(owner, "bob", Role::Viewer).await;
    let change = wire::ChangeEmailRequest { name: "users/me".to_owned(), email: "rob@example.com".to_owned() };
    users(system, &signed).await.change_email(change).await.expect("asked");
    let mail = take(system, &delivery(system, "email.verification_requested", 1).await).await.expect("on its way");
    (bob, signed, mail)
}

#[tokio::test]
async fn who_has_no_password_confirms_a_new_address_where_he_is_signed_in() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, signed, mail) = moving(&platform, &owner).await;
    let id = api::UserId::parse(&bob.name).expect("a name").uuid();
    let look = wire::LookupVerificationRequest { token: token_of(&mail) };
    let needed = async || {
        mails(system).lookup_verification(look.clone()).await.expect("the link is good").into_inner().password_needed
    };
    assert!(needed().await, "he has one");
    system.sql(&format!("delete from auth.passwords where user_id = '{id}'")).await;
    assert!(!needed().await, "nobody can be asked for what there is not");
    let verify = wire::VerifyEmailRequest { token: token_of(&mail), password: password_of("bob") };
    let stranger = MailServiceClient::new(channel(system, &owner).await).verify_email(verify.clone()).await;
    for refused in [mails(system).verify_email(verify.clone()).await, stranger] {
        assert_refused(refused, Code::PermissionDenied, "SIGN_IN_NEEDED");
    }
    MailServiceClient::new(channel(system, &signed).await).verify_email(verify).await.expect("his own");
}

pub(crate) async fn invitations(system: &System, signed: &Signed) -> InvitationServiceClient<Channel> {
    InvitationServiceClient::new(channel(system, signed).await)
}

pub(crate) fn invite(platform: &Platform, email: &str, role: Role) -> wire::CreateInvitationRequest {
    let invitation = wire::Invitation { email: email.to_owned(), role: role.into(), ..Default::default() };
    wire::CreateInvitationRequest {
        parent: platform.organization.clone(),
        invitation: Some(invitation),
        request_id: String::new(),
    }
}

/// Token of the newest invitation once there are so many.
pub(crate) async fn invitation_token(system: &System, count: usize) -> String {
    token_of(&take(system, &delivery(system, "invitation.created", count).await).await.expect("on its way"))
}

#[tokio::test]
async fn an_invitation_makes_a_member_of_whoever_reads_the_mailbox_once() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let mut client = invitations(system, &owner).await;
    let made = client.create_invitation(invite(&platform, "grace@example.com", Role::Editor)).await.expect("he may");
    let name = made.into_inner().name;
    assert_refused(
        client.create_invitation(invite(&platform, "GRACE@example.com", Role::Editor)).await,
        Code::AlreadyExists,
        "RESOURCE_EXISTS",
    );
    let mail = take(system, &delivery(system, "invitation.created", 1).await).await.expect("on its way");
    assert_eq!(
        (mail.organization_display_name.as_str(), mail.inviter_display_name.as_str()),
        ("Analytical Engines", "Ada")
    );
    let old = token_of(&mail);
    client.resend_invitation(wire::ResendInvitationRequest { name: name.clone() }).await.expect("it is open");
    let good = invitation_token(system, 2).await;
    let mut public = InvitationServiceClient::new(system.anonymous().channel("auth"));
    let lookup = |token: &str| wire::LookupInvitationRequest { token: token.to_owned() };
    assert_refused(public.lookup_invitation(lookup(&old)).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    let found = public.lookup_invitation(lookup(&good)).await.expect("open").into_inner();
    assert_eq!((found.email.as_str(), found.account_exists), ("grace@example.com", false));
    let (_, bob) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let accept = wire::AcceptInvitationRequest { token: good.clone() };
    assert_refused(
        invitations(system, &bob).await.accept_invitation(accept.clone()).await,
        Code::PermissionDenied,
        "INVITATION_FOREIGN",
    );
    let up = wire::SignUpRequest { email: String::new(), invitation: good.clone(), ..sign_up("") };
    mails(system).sign_up(up.clone()).await.expect("the token proves the address");
    assert_refused(mails(system).sign_up(up).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    let signed = sign_in(system, "grace@example.com", &password_of("grace"), "").await;
    let request = wire::GetUserRequest { name: "users/me".to_owned() };
    let user = users(system, &signed).await.get_user(request).await.expect("his own").into_inner();
    assert_eq!(platform.membership(&owner, &user.name).await.role(), Role::Editor);
    let state = client.get_invitation(wire::GetInvitationRequest { name }).await.expect("he may").into_inner().state();
    assert_eq!(state, wire::invitation::State::Accepted);
}

#[tokio::test]
async fn an_invitation_gives_no_more_than_its_inviter_holds_and_ends() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, admin) = platform.signed_user(&owner, "bob", Role::Admin).await;
    let mut client = invitations(system, &admin).await;
    let above = client.create_invitation(invite(&platform, "a@example.com", Role::Owner)).await;
    assert_refused(above, Code::PermissionDenied, "ROLE_TOO_HIGH");
    client.create_invitation(invite(&platform, "a@example.com", Role::Admin)).await.expect("his own role");
    let token = invitation_token(system, 1).await;
    let membership = platform.membership(&owner, &bob.name).await;
    let down = wire::Membership { name: membership.name, role: Role::Viewer.into(), ..Default::default() };
    let change = wire::UpdateMembershipRequest { membership: Some(down), ..Default::default() };
    crate::organizations(system, &owner).await.update_membership(change).await.expect("he may");
    let up = |token: &str| wire::SignUpRequest { email: String::new(), invitation: token.to_owned(), ..sign_up("") };
    assert_refused(mails(system).sign_up(up(&token)).await, Code::PermissionDenied, "ROLE_TOO_HIGH");
    let mut client = invitations(system, &owner).await;
    let revoked = client.create_invitation(invite(&platform, "b@example.com", Role::Viewer)).await.expect("he may");
    let token = invitation_token(system, 2).await;
    let name = revoked.into_inner().name;
    for _ in 0..2 {
        client.delete_invitation(wire::DeleteInvitationRequest { name: name.clone() }).await.expect("taken back");
    }
    assert_refused(mails(system).sign_up(up(&token)).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
    let resend = client.resend_invitation(wire::ResendInvitationRequest { name }).await;
    assert_refused(resend, Code::FailedPrecondition, "INVITATION_CLOSED");
    client.create_invitation(invite(&platform, "c@example.com", Role::Viewer)).await.expect("he may");
    let token = invitation_token(system, 3).await;
    system.clock().advance(Duration::from_secs(7 * 24 * 3600 + 1));
    assert_refused(mails(system).sign_up(up(&token)).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
}

#[tokio::test]
async fn a_machine_invites_until_it_is_deleted() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, machine(Role::Admin, &["invitation:write"])).await;
    let access = tokens(system, credentials(&app, "")).await.expect("it may").access_token;
    let mut client = invitations(system, &Signed { access, refresh: String::new() }).await;
    let made = client.create_invitation(invite(&platform, "grace@example.com", Role::Unspecified)).await;
    assert_eq!(
        made.expect("its scope says so").into_inner().inviter,
        format!("users/{}", app.id),
        "it, and nobody else"
    );
    let mail = take(system, &delivery(system, "invitation.created", 1).await).await.expect("on its way");
    assert_eq!(mail.inviter_display_name, "Harbor Planner");
    let token = token_of(&mail);
    let mut public = InvitationServiceClient::new(system.anonymous().channel("auth"));
    let found = public.lookup_invitation(wire::LookupInvitationRequest { token: token.clone() }).await.expect("open");
    assert_eq!(found.into_inner().inviter_display_name, "Harbor Planner");
    let up = |token: &str| wire::SignUpRequest { email: String::new(), invitation: token.to_owned(), ..sign_up("") };
    mails(system).sign_up(up(&token)).await.expect("the token proves the address");
    client.create_invitation(invite(&platform, "hopper@example.com", Role::Unspecified)).await.expect("once more");
    let token = invitation_token(system, 2).await;
    let delete = wire::DeleteOAuthClientRequest { name: app.name.clone(), ..Default::default() };
    clients(&platform, &owner).await.delete_o_auth_client(delete).await.expect("the owner may");
    assert_refused(mails(system).sign_up(up(&token)).await, Code::FailedPrecondition, "MAIL_TOKEN_INVALID");
}

/// A flow, and the code that was mailed for it once there are so many.
pub(crate) async fn code_for(system: &System, email: &str, count: usize) -> (String, String) {
    let flow = crate::begin(system).await;
    let request = wire::RequestEmailCodeRequest { flow: flow.clone(), email: email.to_owned() };
    crate::logins(system).request_email_code(request).await.expect("one answer for all");
    let mail = take(system, &delivery(system, "email.code_requested", count).await).await.expect("on its way");
    assert_eq!((mail.purpose, mail.link.as_str(), mail.code.len()), (Purpose::SignIn as i32, "", 8));
    (flow, mail.code)
}

pub(crate) async fn answer(system: &System, flow: &str, code: &str) -> Result<wire::LoginStep, Status> {
    answer_on(system, "", flow, code).await
}

/// The same on a device with this mark.
pub(crate) async fn answer_on(system: &System, mark: &str, flow: &str, code: &str) -> Result<wire::LoginStep, Status> {
    let answer = Some(wire::continue_login_request::Answer::EmailCode(code.to_owned()));
    let request = wire::ContinueLoginRequest { flow: flow.to_owned(), answer, device: mark.to_owned() };
    crate::logins(system).continue_login(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn auth_p15_a_code_signs_in_where_it_was_asked_for_once_and_nowhere_else() {
    let platform = platform().await;
    let system = &platform.system;
    let (flow, code) = code_for(system, OWNER, 1).await;
    let elsewhere = crate::begin(system).await;
    assert_refused(answer(system, &elsewhere, &code).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    let step = answer(system, &flow, &code).await.expect("here it was asked for");
    assert!(matches!(step.step, Some(wire::login_step::Step::ChooseOrganization(_))));
    let (flow, code) = code_for(system, OWNER, 2).await;
    let wrong = if code == "00000000" { "11111111" } else { "00000000" };
    let told = answer(system, &flow, wrong).await.expect_err("wrong");
    assert!(told.message().contains("code") && !told.message().contains("password"), "{}", told.message());
    assert_refused::<()>(Err(told), Code::Unauthenticated, "SIGN_IN_REFUSED");
    assert_refused(answer(system, &flow, &code).await, Code::FailedPrecondition, "FLOW_INVALID");
    let (first, old) = code_for(system, OWNER, 3).await;
    let (second, new) = code_for(system, OWNER, 4).await;
    answer(system, &first, &old).await.expect("who asks elsewhere ends nothing here");
    assert_refused(answer(system, &second, &new).await, Code::Unauthenticated, "SIGN_IN_REFUSED");
    let flow = crate::begin(system).await;
    let unknown = wire::RequestEmailCodeRequest { flow: flow.clone(), email: "nobody@example.com".to_owned() };
    crate::logins(system).request_email_code(unknown).await.expect("one answer for all");
    queue_is_empty(system).await;
    assert_eq!(deliveries(system, "email.code_requested").await.len(), 4);
    assert_refused(answer(system, &flow, "01234567").await, Code::Unauthenticated, "SIGN_IN_REFUSED");
}

#[tokio::test]
async fn auth_p14_p15_neither_a_reset_nor_a_code_by_mail_skips_the_second_factor() {
    let platform = platform().await;
    let system = &platform.system;
    let bob = crate::factor::enrolled(&platform).await;
    crate::proven::mark_proven(system, "bob@example.com").await;
    let token = reset_token(system, &bob.user.email, 1).await;
    reset(system, &token, &password_of("new")).await.expect("good");
    let step = try_password(system, &bob.user.email, &password_of("new")).await.expect("right").step;
    assert!(matches!(step, Some(wire::login_step::Step::SecondFactor(_))), "the app is still asked for");
    let (flow, code) = code_for(system, &bob.user.email, 1).await;
    let step = answer(system, &flow, &code).await.expect("right").step;
    assert!(matches!(step, Some(wire::login_step::Step::SecondFactor(_))), "the app is still asked for");
}

#[tokio::test]
async fn a_sign_in_by_mail_leaves_a_new_address_to_be_confirmed() {
    let platform = platform().await;
    let system = &platform.system;
    let owner = platform.owner().await;
    let (bob, _, pending) = moving(&platform, &owner).await;
    mark_proven(system, &bob.email).await;
    let (flow, code) = code_for(system, &bob.email, 1).await;
    answer(system, &flow, &code).await.expect("right");
    let verify = wire::VerifyEmailRequest { token: token_of(&pending), password: password_of("bob") };
    mails(system).verify_email(verify).await.expect("the link to the new address is as good as before");
    sign_in(system, "rob@example.com", &password_of("bob"), "").await;
}
