//! How many mails may be asked for: by whoever asks, for one address, and by an organization. Nobody shuts an owner out by asking in his
//! place, and nobody fills the mailbox of somebody else.
use std::time::Duration;

use api::{CallContext, Ids};
use proto::auth::v1::{self as wire, mail_service_client::MailServiceClient, membership::Role};
use testkit::{System, eventually};
use tonic::Code;

use crate::{
    OWNER, assert_refused,
    mail::{deliveries, invitations, invite, queue_is_empty},
    platform, users,
};

const HOUR: Duration = Duration::from_secs(61 * 60);

/// Asks for a reset from a network, so many times.
async fn ask_from(system: &System, network: &str, times: usize) {
    let context = CallContext { network: network.to_owned(), ..CallContext::background("test", &Ids::default()) };
    let mut client = MailServiceClient::new(system.host().mesh("gateway").as_workload("auth", &context));
    for _ in 0..times {
        let request = wire::RequestPasswordResetRequest { email: OWNER.to_owned() };
        client.request_password_reset(request).await.expect("one answer for all");
    }
    queue_is_empty(system).await;
}

async fn resets(system: &System) -> usize {
    deliveries(system, "password.reset_requested").await.len()
}

#[tokio::test]
async fn a_stranger_does_not_use_up_the_mails_of_an_owner() {
    let platform = platform().await;
    let system = &platform.system;
    ask_from(system, "192.0.2.1", 7).await;
    assert_eq!(resets(system).await, 5, "an hour's worth for who asks");
    ask_from(system, "198.51.100.7", 1).await;
    assert_eq!(resets(system).await, 6, "somebody else asks for the first time");
    ask_from(system, "2001:db8::1", 3).await;
    ask_from(system, "2001:db8::2", 3).await;
    assert_eq!(resets(system).await, 11, "one network, whatever the host");
    for host in 0..15 {
        ask_from(system, &format!("203.0.113.{host}"), 1).await;
    }
    assert_eq!(resets(system).await, 20, "an hour's worth for an address");
    system.clock().advance(HOUR);
    ask_from(system, "192.0.2.1", 1).await;
    assert_eq!(resets(system).await, 21);
}

#[tokio::test]
async fn an_invitation_is_sent_again_four_times_an_hour() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let mut client = invitations(&platform.system, &owner).await;
    let made = client.create_invitation(invite(&platform, "a@example.com", Role::Viewer)).await.expect("he may");
    let resend = wire::ResendInvitationRequest { name: made.into_inner().name };
    for _ in 0..4 {
        client.resend_invitation(resend.clone()).await.expect("it is open");
    }
    assert_refused(client.resend_invitation(resend.clone()).await, Code::ResourceExhausted, "MAIL_LIMIT");
    let delete = wire::DeleteInvitationRequest { name: resend.name };
    client.delete_invitation(delete).await.expect("taken back");
    let anew = client.create_invitation(invite(&platform, "A@example.com", Role::Viewer)).await;
    assert_refused(anew, Code::ResourceExhausted, "MAIL_LIMIT");
    client.create_invitation(invite(&platform, "b@example.com", Role::Viewer)).await.expect("another address");
}

#[tokio::test]
async fn a_new_address_is_asked_for_five_times_an_hour() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let mut client = users(&platform.system, &owner).await;
    let change = |email: &str| wire::ChangeEmailRequest { name: "users/me".to_owned(), email: email.to_owned() };
    for _ in 0..5 {
        client.change_email(change("victim@example.com")).await.expect("asked");
    }
    let more = client.change_email(change("Victim@example.com")).await;
    assert_refused(more, Code::ResourceExhausted, "MAIL_LIMIT");
}

#[tokio::test]
async fn an_organization_has_a_thousand_open_invitations_and_old_ones_are_purged() {
    let mut platform = platform().await;
    let owner = platform.owner().await;
    let fill = "insert into auth.invitations select m.organization_id, gen_random_uuid(), 'x' || n, 'x' || n, 1, m.user_id, 1, now(), \
         now() + interval '1 day' from generate_series(1, 1000) n, auth.memberships m \
         where m.organization_id <> '00000000-0000-0000-0000-000000000000'";
    platform.system.sql(fill).await;
    let mut client = invitations(&platform.system, &owner).await;
    let refused = client.create_invitation(invite(&platform, "a@example.com", Role::Viewer)).await;
    assert_refused(refused, Code::ResourceExhausted, "INVITATION_LIMIT");
    let age = "update auth.invitations set expire_time = now() - interval '91 days' where email <> 'x1'";
    platform.system.sql(age).await;
    client.create_invitation(invite(&platform, "a@example.com", Role::Viewer)).await.expect("those have ended");
    platform.system.restart().await;
    let left = "select string_agg(email, ' ' order by email) from auth.invitations";
    eventually("the purge has run", || async {
        let left = platform.system.sql(left).await.remove(0).remove(0);
        if left.as_deref() == Some("a@example.com x1") { Ok(()) } else { Err(left.map(|left| left.len())) }
    })
    .await;
}
