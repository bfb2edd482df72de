//! Mails: one suite for every channel, and what stands around it.
use api::Code;
use mesh::{identity::Trust, tls};
use proto::notification::v1::{ListDeliveriesRequest, delivery::State};
use testkit::{eventually, temporary_folder};

use crate::{
    fixture::{Fixture, deliveries, read, refusal},
    post_office::{Act, At, PostOffice},
};

/// A mail as it arrived, wherever it did.
struct Arrived {
    to: String,
    message_id: String,
    subject: String,
    text: String,
}

/// What arrived so far: at the server, or in the captured mailbox when there is none.
async fn arrived(fixture: &Fixture, office: Option<&PostOffice>) -> Vec<Arrived> {
    match office {
        Some(office) => office
            .letters()
            .into_iter()
            .map(|letter| Arrived {
                to: letter.to.clone(),
                message_id: letter.header("Message-ID").to_owned(),
                subject: letter.header("Subject").to_owned(),
                text: letter
                    .text
                    .split_once("\r\n\r\n")
                    .map(|(_, text)| text.replace("=\r\n", "").replace("\r\n", "\n"))
                    .unwrap_or_default(),
            })
            .collect(),
        None => fixture
            .mails()
            .await
            .expect("mails are captured")
            .into_iter()
            .map(|mail| Arrived { to: mail.to, message_id: mail.message_id, subject: mail.subject, text: mail.text })
            .collect(),
    }
}

/// What every channel must do.
async fn suite(fixture: &Fixture, office: Option<&PostOffice>) {
    let person = fixture.member("anna@example.org");
    fixture.share(&person, "Plan").await;
    let delivery = fixture.until_state(State::Sent).await;
    let mails = arrived(fixture, office).await;
    let [mail] = mails.as_slice() else { panic!("one mail arrived, not {}", mails.len()) };
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("anna@example.org", "\"Plan\" was shared with you"));
    assert!(mail.message_id.starts_with('<') && mail.message_id.ends_with('>'), "{}", mail.message_id);
    assert!(mail.text.starts_with("Hello Anna,\n\n\"Plan\" was shared with you.\n"), "{}", mail.text);
    assert!(mail.text.contains(&format!("/v1/{}/documents/", fixture.organization.name())), "{}", mail.text);
    assert_eq!((delivery.attempts, delivery.last_error.as_str()), (1, ""));
    assert_eq!((delivery.recipient, delivery.category.as_str()), (person.name(), "document.shared"));
    assert_eq!(fixture.published("delivery.sent").await, [1]);

    // A title is data: it makes neither headers nor lines, in whatever script it is written.
    fixture.share(&person, "Überß 計画\r\nBcc: eve@example.org\r\n\r\nhi").await;
    let mails = eventually("the second mail arrives", || async {
        let mails = arrived(fixture, office).await;
        if mails.len() == 2 { Ok(mails) } else { Err(mails.len()) }
    })
    .await;
    for mail in mails {
        assert_eq!(mail.to, "anna@example.org");
        assert!(!mail.subject.contains(['\r', '\n']), "{}", mail.subject);
    }
    for letter in office.map(PostOffice::letters).unwrap_or_default() {
        let (headers, _) = letter.text.split_once("\r\n\r\n").expect("headers end");
        assert!(!headers.to_lowercase().lines().any(|line| line.starts_with("bcc")), "{headers}");
        assert_eq!(letter.header("Auto-Submitted"), "auto-generated");
    }
}

#[tokio::test]
async fn a_captured_mail_is_as_a_channel_must_be() {
    let fixture = Fixture::new().await;
    suite(&fixture, None).await;
    let titles: Vec<_> = fixture.mails().await.expect("captured").into_iter().map(|mail| mail.subject).collect();
    assert_eq!(titles[0], "\"Überß 計画  Bcc: eve@example.org    hi\" was shared with you", "newest first");
}

#[tokio::test]
async fn a_sent_mail_is_as_a_channel_must_be() {
    let office = PostOffice::open(None).await;
    let fixture = Fixture::of(Fixture::sending(&office)).await;
    suite(&fixture, Some(&office)).await;
    assert_eq!(refusal(fixture.mails().await), (Code::FailedPrecondition, "CAPTURE_OFF".to_owned()));
}

#[tokio::test]
async fn mails_go_through_tls_and_to_nobody_with_a_foreign_certificate() {
    let folder = temporary_folder(&api::Ids::default().next().to_string());
    let (ours, theirs) = (folder.join("ours"), folder.join("theirs"));
    let trust = Trust::new("workos.local", "workos");
    for folder in [&ours, &theirs] {
        std::fs::create_dir_all(folder).expect("it is ours");
        tls::certificates(folder, &["notification"], &trust, api::Clock::default().now()).expect("written");
    }
    let certificate =
        tls::Files { certificate: ours.join("notification.pem"), key: ours.join("notification-key.pem"), ca: None };
    let office = PostOffice::open(Some(tls::Reloading::open(certificate).expect("just written"))).await;
    let sending = |ca: std::path::PathBuf| {
        Fixture::sending(&office)
            .set("notification.smtp_host", "localhost")
            .set("notification.smtp_security", "tls")
            .set("notification.smtp_ca_path", ca)
            .set("notification.tries", 2)
    };
    let fixture = Fixture::of(sending(ours.join("ca.pem"))).await;
    fixture.share(&fixture.member("anna@example.org"), "Plan").await;
    fixture.until_state(State::Sent).await;
    let fixture = Fixture::of(sending(theirs.join("ca.pem"))).await;
    fixture.share(&fixture.member("anna@example.org"), "Plan").await;
    let dead = fixture.until_state(State::Dead).await;
    assert!(dead.last_error.contains("before the mail was sent"), "{}", dead.last_error);
    assert_eq!(office.letters().len(), 1);
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[tokio::test]
async fn who_is_no_member_any_more_gets_no_mail() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    fixture.stage.leave(&fixture.organization.name(), &person.name());
    fixture.share(&person, "Plan").await;
    let delivery = fixture.until_state(State::Suppressed).await;
    assert_eq!(delivery.attempts, 0);
    assert!(delivery.last_error.contains("no longer a member"), "{}", delivery.last_error);
    let nowhere = fixture.member("");
    fixture.share(&nowhere, "Plan").await;
    eventually("both are suppressed", || async {
        let states: Vec<_> = fixture.deliveries().await.iter().map(|delivery| delivery.state()).collect();
        if states == [State::Suppressed; 2] { Ok(()) } else { Err(states) }
    })
    .await;
    assert!(fixture.mails().await.expect("captured").is_empty());
    assert_eq!(fixture.redrive(&[]).await.expect("nothing is dead"), 0);
}

#[tokio::test]
async fn a_mail_waits_while_nobody_knows_the_address() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    fixture.stage.auth_is_away(true);
    fixture.share(&person, "Plan").await;
    let waiting = fixture.until_delivery(|delivery| !delivery.last_error.is_empty()).await;
    assert_eq!((waiting.state(), waiting.attempts), (State::Pending, 0));
    assert_eq!(fixture.inbox(&person).await.inbox_items.len(), 1, "the inbox needs no address");
    fixture.stage.auth_is_away(false);
    assert_eq!(fixture.until_state(State::Sent).await.attempts, 1);
    assert_eq!(fixture.mails().await.expect("captured").len(), 1);
}

#[tokio::test]
async fn deliveries_are_listed_by_state_and_page() {
    let office = PostOffice::open(None).await;
    let fixture = Fixture::of(Fixture::sending(&office)).await;
    let person = fixture.member("anna@example.org");
    office.next(At::Rcpt, Act::Answer(550));
    fixture.share(&person, "Plan").await;
    fixture.until_state(State::Dead).await;
    for _ in 0..3 {
        fixture.share(&person, "Plan").await;
    }
    eventually("the others are sent", || async {
        let sent = fixture.deliveries().await.iter().filter(|delivery| delivery.state() == State::Sent).count();
        if sent == 3 { Ok(()) } else { Err(sent) }
    })
    .await;
    let list = |state: State, page_token: String| {
        let parent = fixture.organization.name();
        let request = ListDeliveriesRequest { parent, state: state.into(), page_size: 2, page_token };
        async { read(deliveries(&fixture.admin).list_deliveries(request).await) }
    };
    let dead = list(State::Dead, String::new()).await.expect("listed");
    assert_eq!((dead.deliveries.len(), dead.next_page_token.as_str()), (1, ""));
    let first = list(State::Sent, String::new()).await.expect("listed");
    let second = list(State::Sent, first.next_page_token.clone()).await.expect("listed");
    assert_eq!((first.deliveries.len(), second.deliveries.len(), second.next_page_token.as_str()), (2, 1, ""));
    let foreign = list(State::Dead, first.next_page_token).await;
    assert_eq!(refusal(foreign), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
    let parent = fixture.organization.name();
    let unknown = ListDeliveriesRequest { parent, state: 99, ..Default::default() };
    let answer = read(deliveries(&fixture.admin).list_deliveries(unknown).await);
    assert_eq!(refusal(answer), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
}
