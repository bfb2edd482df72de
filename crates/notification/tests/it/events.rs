//! Events: away and back, twice, and poison.
use futures::join;
use proto::{
    events::v1::{DeadLetter, ListDeadLettersRequest, event_admin_service_client::EventAdminServiceClient},
    notification::v1::delivery::State,
};
use testkit::{Engine, eventually};

use crate::fixture::{Fixture, read};

#[tokio::test]
async fn ntf_03_what_was_published_while_the_service_was_away_arrives_once() {
    let mut fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    let (organization, publisher) = (fixture.organization.id(), fixture.stage.publisher("document"));
    let events: Vec<_> = (0..90).map(|number| fixture.shared(&person, &format!("Plan {number}"))).collect();
    for event in &events[..30] {
        publisher.publish(organization, event, "").await;
    }
    let while_away = async {
        for event in &events[30..60] {
            publisher.publish(organization, event, "").await;
        }
    };
    join!(fixture.system.crash(), while_away);
    fixture.system.clock().advance(std::time::Duration::from_secs(3600));
    for event in &events[60..] {
        publisher.publish(organization, event, "").await;
    }
    let items = fixture.until_items(&person, events.len()).await;
    assert_eq!(items.iter().map(|item| item.sequence).collect::<Vec<_>>(), (1..=90).collect::<Vec<_>>());
    let mut subjects: Vec<_> = items.iter().map(|item| item.subject.as_str()).collect();
    let mut published: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    subjects.sort_unstable();
    published.sort_unstable();
    assert_eq!(subjects, published);
    eventually("every mail is sent", || async {
        let sent = fixture.deliveries().await.iter().filter(|delivery| delivery.state() == State::Sent).count();
        if sent == events.len() { Ok(()) } else { Err(sent) }
    })
    .await;
    assert_eq!(fixture.mails().await.expect("captured").len(), events.len());
}

#[tokio::test]
async fn ntf_04_while_nats_is_away_events_are_accepted_and_arrive_later() {
    let fixture = Fixture::of(Fixture::builder().through_proxies()).await;
    let person = fixture.member("anna@example.org");
    fixture.system.engine(Engine::Nats).cut();
    for number in 0..10 {
        fixture.share(&person, &format!("Plan {number}")).await;
    }
    assert_eq!(fixture.inbox(&person).await.inbox_items.len(), 0, "the inbox answers meanwhile");
    fixture.system.engine(Engine::Nats).mend();
    fixture.until_items(&person, 10).await;
    eventually("the mails follow", || async {
        let mails = fixture.mails().await.expect("captured").len();
        if mails == 10 { Ok(()) } else { Err(mails) }
    })
    .await;
}

#[tokio::test]
async fn ntf_12_a_poison_message_is_put_aside_and_the_others_flow() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    fixture.task("users/nobody\n", "Poison").await;
    fixture.task(&person.name(), "Plan").await;
    fixture.until_items(&person, 1).await;
    let operator = fixture.system.operator();
    let letter: DeadLetter = eventually("the poison is a dead letter", || async {
        let mut admin = EventAdminServiceClient::new(operator.channel("notification"));
        let request = ListDeadLettersRequest { consumer: "notify".to_owned(), ..Default::default() };
        let letters = read(admin.list_dead_letters(request).await).map(|answer| answer.dead_letters);
        match letters {
            Ok(mut letters) if letters.len() == 1 => Ok(letters.remove(0)),
            other => Err(other),
        }
    })
    .await;
    assert!(letter.cause.contains("names no user"), "{}", letter.cause);
    assert_eq!(letter.envelope.expect("it is kept").r#type, "task.created");
    fixture.task(&person.name(), "Plan").await;
    fixture.until_items(&person, 2).await;
}
