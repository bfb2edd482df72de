//! Mail servers that refuse, hang and cut, and a process that dies in the middle.
use std::{sync::Arc, time::Duration};

use api::Code;
use proto::notification::v1::delivery::State;
use testkit::{Engine, eventually};
use tokio::sync::Notify;

use crate::{
    fixture::{Fixture, refusal},
    post_office::{Act, At, PostOffice},
};

/// Longer than the lease of an attempt.
const LEASE: Duration = Duration::from_secs(301);

async fn until_letters(office: &PostOffice, count: usize) {
    eventually("the server has the letters", || async {
        let letters = office.letters().len();
        if letters == count { Ok(()) } else { Err(letters) }
    })
    .await;
}

/// All letters have one Message-ID.
fn assert_one_id(office: &PostOffice) {
    let letters = office.letters();
    let ids: Vec<_> = letters.iter().map(|letter| letter.header("Message-ID")).collect();
    assert!(!ids[0].is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn ntf_06_a_server_that_says_later_is_tried_again_under_the_same_message_id() {
    let office = PostOffice::open(None).await;
    for (at, code) in [(At::Greeting, 421), (At::Rcpt, 450), (At::End, 451), (At::Greeting, 554)] {
        office.next(at, Act::Answer(code));
    }
    let fixture = Fixture::of(Fixture::sending(&office)).await;
    fixture.share(&fixture.member("anna@example.org"), "Plan").await;
    assert_eq!(fixture.until_state(State::Sent).await.attempts, 5);
    assert_eq!(office.letters().len(), 2);
    assert_one_id(&office);
    let classes = fixture.system.sql("select class from notification.attempts order by number").await;
    let classes: Vec<_> = classes.iter().filter_map(|row| row[0].as_deref()).collect();
    assert_eq!(classes, ["3", "3", "3", "3", "2"]);
}

#[tokio::test]
async fn ntf_06_after_eight_tries_a_mail_is_dead_and_each_redrive_tries_it_once() {
    let office = PostOffice::open(None).await;
    office.always(Some((At::End, Act::Answer(451))));
    let fixture = Fixture::of(Fixture::sending(&office)).await;
    fixture.share(&fixture.member("anna@example.org"), "Plan").await;
    let dead = fixture.until_state(State::Dead).await;
    assert_eq!((dead.attempts, office.letters().len()), (8, 8));
    assert_eq!(dead.last_error, "the mail server answered 451 to the end of DATA");
    assert_eq!(fixture.published("delivery.failed").await, [1]);

    assert_eq!(fixture.redrive(&[]).await.expect("one is dead"), 1);
    let dead = fixture.until_delivery(|delivery| delivery.state() == State::Dead && delivery.attempts == 9).await;
    assert_eq!(fixture.published("delivery.failed").await, [1, 2]);

    office.always(None);
    assert_eq!(fixture.redrive(std::slice::from_ref(&dead.name)).await.expect("it is dead"), 1);
    assert_eq!(fixture.until_state(State::Sent).await.attempts, 10);
    assert_eq!(fixture.redrive(std::slice::from_ref(&dead.name)).await.expect("it is sent"), 0);
    assert_eq!(fixture.published("delivery.sent").await, [3]);
    assert_one_id(&office);
    let absent = format!("{}/deliveries/{}", fixture.organization.name(), api::Ids::default().next());
    assert_eq!(refusal(fixture.redrive(&[absent]).await), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    assert_eq!(refusal(fixture.redrive(&["x".to_owned()]).await), (Code::InvalidArgument, "NAME_INVALID".to_owned()));
}

#[tokio::test]
async fn a_server_that_says_never_is_believed() {
    let office = PostOffice::open(None).await;
    office.next(At::Rcpt, Act::Answer(550));
    let fixture = Fixture::of(Fixture::sending(&office)).await;
    fixture.share(&fixture.member("anna@example.org"), "Plan").await;
    let dead = fixture.until_state(State::Dead).await;
    assert_eq!((dead.attempts, office.connections()), (1, 1));
    assert_eq!(dead.last_error, "the mail server answered 550 to RCPT");
}

#[tokio::test]
async fn a_cut_before_the_text_is_tried_again_and_one_after_it_is_uncertain() {
    let office = PostOffice::open(None).await;
    office.next(At::Data, Act::Cut);
    office.next(At::End, Act::Cut);
    let fixture = Fixture::of(Fixture::sending(&office)).await;
    fixture.share(&fixture.member("anna@example.org"), "Plan").await;
    let uncertain = fixture.until_state(State::Uncertain).await;
    assert_eq!((uncertain.attempts, office.letters().len()), (2, 1));
    assert!(uncertain.last_error.contains("before the answer"), "{}", uncertain.last_error);
    assert_eq!(fixture.redrive(&[]).await.expect("the uncertain is not dead"), 0);
    assert!(
        fixture.published("delivery.sent").await.is_empty() && fixture.published("delivery.failed").await.is_empty()
    );
}

#[tokio::test]
async fn a_task_of_which_nobody_knows_is_mailed_again() {
    let office = PostOffice::open(None).await;
    office.next(At::End, Act::Cut);
    let fixture = Fixture::of(Fixture::sending(&office)).await;
    fixture.task(&fixture.member("anna@example.org").name(), "Plan").await;
    assert_eq!(fixture.until_state(State::Sent).await.attempts, 2);
    assert_eq!(office.letters().len(), 2);
    assert_one_id(&office);
}

#[tokio::test]
async fn a_server_that_hangs_holds_up_nobody() {
    let office = PostOffice::open(None).await;
    office.next(At::Greeting, Act::Hang);
    office.next(At::End, Act::Hang);
    let builder = Fixture::sending(&office).set("notification.smtp_step_timeout", "300ms");
    let fixture = Fixture::of(builder).await;
    let person = fixture.member("anna@example.org");
    fixture.share(&person, "Plan").await;
    let uncertain = fixture.until_state(State::Uncertain).await;
    assert_eq!(uncertain.attempts, 2, "not sent, then without an answer");
    fixture.share(&person, "Plan").await;
    until_letters(&office, 2).await;
}

#[tokio::test]
async fn ntf_05_a_crash_before_the_attempt_loses_nothing_and_doubles_nothing() {
    let office = PostOffice::open(None).await;
    let mut fixture = Fixture::of(Fixture::sending(&office)).await;
    let person = fixture.member("anna@example.org");
    fixture.stage.auth_is_away(true);
    fixture.share(&person, "Plan").await;
    fixture.until_items(&person, 1).await;
    fixture.system.crash().await;
    // Who had claimed it may have died with it. The clock jumps while auth is away, and auth is back when a claim of after the jump was put
    // off: a jump in the middle of an attempt would end the lease of a worker that lives.
    fixture.system.clock().advance(LEASE);
    let jumped = fixture.system.clock().now().unix_timestamp();
    fixture.until_delivery(|delivery| delivery.update_time.is_some_and(|time| time.seconds >= jumped)).await;
    fixture.stage.auth_is_away(false);
    assert_eq!(fixture.until_state(State::Sent).await.attempts, 1);
    assert_eq!(office.letters().len(), 1);
    assert_eq!(fixture.until_items(&person, 1).await[0].sequence, 1);
}

#[tokio::test]
async fn ntf_05_a_crash_while_the_server_thinks_leaves_it_uncertain_or_sent_again() {
    let office = PostOffice::open(None).await;
    office.always(Some((At::End, Act::Hang)));
    let mut fixture = Fixture::of(Fixture::sending(&office)).await;
    let person = fixture.member("anna@example.org");
    fixture.share(&person, "Plan").await;
    fixture.task(&person.name(), "Plan").await;
    until_letters(&office, 2).await;
    fixture.system.crash().await;
    office.always(None);
    let pending = fixture.deliveries().await;
    assert!(pending.iter().all(|delivery| delivery.state() == State::Pending && delivery.attempts == 1), "{pending:?}");
    fixture.system.clock().advance(LEASE);
    eventually("both are decided", || async {
        let mut found: Vec<_> =
            fixture.deliveries().await.iter().map(|it| (it.category.clone(), it.state(), it.attempts)).collect();
        found.sort();
        let held = ("document.shared".to_owned(), State::Uncertain, 1);
        let resent = ("task.created".to_owned(), State::Sent, 2);
        if found == [held, resent] { Ok(()) } else { Err(found) }
    })
    .await;
    assert_eq!(office.letters().len(), 3);
}

#[tokio::test]
async fn ntf_05_a_crash_between_the_servers_yes_and_the_record_is_uncertain_and_not_sent_again() {
    let office = PostOffice::open(None).await;
    let gate = Arc::new(Notify::new());
    office.next(At::End, Act::Wait(gate.clone()));
    let mut fixture = Fixture::of(Fixture::sending(&office).through_proxies()).await;
    fixture.share(&fixture.member("anna@example.org"), "Plan").await;
    until_letters(&office, 1).await;
    fixture.system.engine(Engine::Postgres).cut();
    gate.notify_one();
    eventually("the server has said yes", || async { (office.accepted() == 1).then_some(()) }).await;
    // Nothing else runs between these two: the record cannot be made up for.
    fixture.system.engine(Engine::Postgres).mend();
    fixture.system.crash().await;
    fixture.system.clock().advance(LEASE);
    let uncertain = fixture.until_state(State::Uncertain).await;
    assert_eq!((uncertain.attempts, office.letters().len()), (1, 1));
}
