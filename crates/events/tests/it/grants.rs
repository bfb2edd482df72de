//! EVT-22: what a service's NATS user may do, enforced by the server.
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use api::Sealer;
use events::{Broker, Consumer, Delivery, Handler, Outcome, Settings, grants};
use proto::document::v1::DocumentUpdated;

use crate::{
    admin::{list, redrive},
    server::Server,
    world::{Task, World, eventually, new_id},
};

fn user(service: &str) -> String {
    let grants = grants(service);
    format!(
        "{{ user: {service}, password: secret, permissions: {{ publish: {:?}, subscribe: {:?} }} }}",
        grants.publish, grants.subscribe
    )
}

async fn broker(world: &World, service: &str) -> Broker {
    let settings = Settings { user: service.to_owned(), password: "secret".to_owned(), ..world.settings() };
    Broker::connect(service, &settings).await.expect("the address is well formed")
}

#[tokio::test]
async fn evt_22_a_service_works_with_its_grants_and_cannot_publish_anothers_events() {
    let users = [user("document"), user("search"), "{ user: root, password: secret }".to_owned()].join(", ");
    let server = Server::start("grants", &users).await;
    let mut world = World::on(server.nats()).await;
    (world.nats.user, world.nats.password) = ("root".to_owned(), "secret".to_owned());
    let (publisher, consumer) = (broker(&world, "document").await, broker(&world, "search").await);
    let recorder = world.recorder("index");
    let rejected = Arc::new(AtomicBool::new(false));
    let handler = move |delivery: Delivery| {
        let (recorder, first) = (recorder.clone(), !rejected.swap(true, Ordering::SeqCst));
        async move { if first { Outcome::Reject("the first".to_owned()) } else { recorder.handle(delivery).await } }
    };
    let _tasks = [
        Task::until(|shutdown| publisher.relay(world.publisher.clone(), shutdown)),
        Task::until(|shutdown| consumer.consume(Consumer::new("index").on::<DocumentUpdated>(), handler, shutdown)),
    ];
    world.write(new_id(), 1).await;
    let admin = consumer.admin(world.consumer.clone(), Sealer::new(b"secret"));
    eventually("the dead letter is listed", || async { (list(&admin, "", 10, "").await.0.len() == 1).then_some(()) })
        .await;
    assert_eq!(redrive(&admin, &[], "index", false).await.expect("its own grants suffice"), 1);
    world.effects_are("index", 1).await;

    let options = async_nats::ConnectOptions::new()
        .user_and_password("search".to_owned(), "secret".to_owned())
        .custom_inbox_prefix("_INBOX_search");
    let search = async_nats::jetstream::new(options.connect(&world.nats.url).await.expect("the server is there"));
    let forbidden = ["evt.document.document.updated.x.0", "redrive.document.notification.deliver.0", "dlq.document.x"];
    for subject in forbidden {
        let acknowledgment = tokio::time::timeout(std::time::Duration::from_secs(1), async {
            search.publish(subject, "forged".into()).await?.await
        })
        .await;
        assert!(!matches!(acknowledgment, Ok(Ok(_))), "{subject} was accepted");
    }
    let own = search.publish("dlq.search.index", "mine".into()).await.expect("sent");
    own.await.expect("its own dead letters are its own");
    assert_eq!(world.messages("EVT_DOCUMENT").await, 2, "the event and its redrive");
    let gone = tokio::time::timeout(std::time::Duration::from_secs(1), search.delete_stream("EVT_DOCUMENT")).await;
    assert!(!matches!(gone, Ok(Ok(_))), "a service deleted a stream");
    assert_eq!(world.messages("EVT_DOCUMENT").await, 2, "the stream is still there");
}
