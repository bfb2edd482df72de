//! The operator's door: list, redrive once, discard, and nothing of another service.
use api::{Caller, Decision, OrganizationId, Parts, Sealer, Subject, UserId};
use events::{Admin, Consumer, Delivery, Handler, Outcome};
use proto::{
    Role,
    document::v1::DocumentUpdated,
    events::v1::{
        DeadLetter, DiscardDeadLettersRequest, GetRelayStatusRequest, ListDeadLettersRequest,
        RedriveDeadLettersRequest, dead_letter::State, event_admin_service_server::EventAdminService,
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tonic::{Code, Request};

use crate::{
    relay::{acknowledged, write_many},
    world::{Task, World, context, eventually, new_id},
};

const METHOD: &str = "workos.events.v1.EventAdminService/RedriveDeadLetters";

/// A request as the server stack hands it over.
fn asked<T>(message: T) -> Request<T> {
    let mut context = context();
    (context.audit, context.method) = (true, METHOD.to_owned());
    let caller = Caller::seal(Parts {
        subject: Subject::User(UserId(new_id())),
        organization: Some(OrganizationId::SYSTEM),
        role: Some(Role::Admin),
        custom_roles: std::sync::Arc::default(),
        scopes: std::sync::Arc::default(),
        decision: Decision::Granted,
        peer: "gateway".to_owned(),
        issued: None,
        session: None,
        acting: None,
        token: None,
        context,
    });
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request
}

pub(crate) async fn list(admin: &Admin, consumer: &str, page_size: i32, page_token: &str) -> (Vec<DeadLetter>, String) {
    let request =
        ListDeadLettersRequest { consumer: consumer.to_owned(), page_size, page_token: page_token.to_owned() };
    let answer = admin.list_dead_letters(asked(request)).await.expect("listed").into_inner();
    (answer.dead_letters, answer.next_page_token)
}

pub(crate) async fn redrive(
    admin: &Admin,
    names: &[String],
    consumer: &str,
    validate_only: bool,
) -> Result<i32, tonic::Status> {
    let request = RedriveDeadLettersRequest { names: names.to_vec(), consumer: consumer.to_owned(), validate_only };
    Ok(admin.redrive_dead_letters(asked(request)).await?.into_inner().redriven_count)
}

/// A service whose consumer rejects everything until it is mended.
struct Broken {
    world: World,
    admin: Admin,
    mended: Arc<AtomicBool>,
    _tasks: Vec<Task>,
}

impl Broken {
    async fn start() -> Self {
        let world = World::start().await;
        let broker = world.broker("search").await;
        let mended = Arc::new(AtomicBool::new(false));
        let fragile = {
            let (mended, recorder) = (mended.clone(), world.recorder("index"));
            move |delivery: Delivery| {
                let (mended, recorder) = (mended.clone(), recorder.clone());
                async move {
                    if mended.load(Ordering::SeqCst) {
                        recorder.handle(delivery).await
                    } else {
                        Outcome::Reject("broken".to_owned())
                    }
                }
            }
        };
        let other = world.broker("notification").await;
        let tasks = vec![
            world.relay().await,
            Task::until(|shutdown| broker.consume(Consumer::new("index").on::<DocumentUpdated>(), fragile, shutdown)),
            Task::until(|shutdown| {
                other.consume(Consumer::new("deliver").on::<DocumentUpdated>(), world.recorder("deliver"), shutdown)
            }),
        ];
        let admin = broker.admin(world.consumer.clone(), Sealer::new(b"secret"));
        Self { world, admin, mended, _tasks: tasks }
    }

    async fn dead(&self, count: usize) -> Vec<DeadLetter> {
        eventually("the dead letters lie there", || async {
            let (letters, _) = list(&self.admin, "", 1000, "").await;
            (letters.len() == count).then_some(letters)
        })
        .await
    }
}

#[tokio::test]
async fn evt_21_redriving_twice_has_one_effect_at_its_own_consumer_only() {
    let broken = Broken::start().await;
    write_many(&broken.world, 10, 5).await;
    let letters = broken.dead(50).await;
    assert!(
        letters.iter().all(|letter| letter.state() == State::Dead && letter.cause == "broken" && letter.attempts == 1)
    );
    broken.world.effects_are("deliver", 50).await;
    broken.mended.store(true, Ordering::SeqCst);
    assert_eq!(redrive(&broken.admin, &[], "index", true).await.expect("counted"), 50);
    let (first, second) =
        tokio::join!(redrive(&broken.admin, &[], "index", false), redrive(&broken.admin, &[], "index", false));
    assert_eq!(first.expect("redriven") + second.expect("redriven"), 50, "each counts once");
    write_many(&broken.world, 5, 2).await;
    let effects = broken.world.effects_are("index", 60).await;
    assert_eq!(redrive(&broken.admin, &[], "index", false).await.expect("nothing left"), 0);
    acknowledged(&broken.world, "search-index", 110).await;
    assert_eq!(broken.world.effects("index").await.len(), 60);
    assert_eq!(broken.world.effects("deliver").await.len(), 60, "the other consumer saw only the events");
    for letter in broken.dead(50).await {
        assert_eq!(letter.state(), State::Redriven);
        let event = letter.envelope.expect("readable").event_id;
        assert!(effects.iter().any(|effect| effect.event_id.to_string() == event), "the event id stayed the same");
    }
    let rows = audit_rows(&broken.world).await;
    assert_eq!(rows, 3, "one per redrive, none for the dry run");
}

async fn audit_rows(world: &World) -> i64 {
    let tx = world.consumer.system("test", &context()).await.expect("the database is there");
    tx.query_one("select count(*) from audit_event where method = $1", &[&METHOD]).await.expect("readable").get(0)
}

#[tokio::test]
async fn an_event_that_dies_again_after_its_redrive_can_be_redriven_again() {
    let broken = Broken::start().await;
    broken.world.write(new_id(), 1).await;
    let first = broken.dead(1).await;
    assert_eq!(redrive(&broken.admin, std::slice::from_ref(&first[0].name), "", false).await.expect("redriven"), 1);
    let both = broken.dead(2).await;
    assert_eq!((both[0].state(), both[1].state()), (State::Dead, State::Redriven), "newest first");
    assert_eq!(both[0].envelope, both[1].envelope);
    broken.mended.store(true, Ordering::SeqCst);
    let names = [both[0].name.clone(), both[1].name.clone(), both[0].name.clone()];
    assert_eq!(redrive(&broken.admin, &names, "", false).await.expect("redriven"), 1);
    broken.world.effects_are("index", 1).await;
}

#[tokio::test]
async fn dead_letters_are_listed_in_pages_newest_first_and_discarded_for_good() {
    let broken = Broken::start().await;
    for _ in 0..7 {
        broken.world.write(new_id(), 1).await;
    }
    let all = broken.dead(7).await;
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let (page, next) = list(&broken.admin, "index", 3, &token).await;
        assert!(page.len() <= 3);
        paged.extend(page);
        if next.is_empty() {
            break;
        }
        token = next;
    }
    assert_eq!(paged, all);
    let sequence =
        |letter: &DeadLetter| letter.name.trim_start_matches("deadLetters/").parse::<u64>().expect("a number");
    assert!(all.windows(2).all(|pair| sequence(&pair[0]) > sequence(&pair[1])));
    let names: Vec<_> = all[..2].iter().map(|letter| letter.name.clone()).collect();
    for expected in [2, 0] {
        let answer = broken
            .admin
            .discard_dead_letters(asked(DiscardDeadLettersRequest { names: names.clone() }))
            .await
            .expect("discarded");
        assert_eq!(answer.into_inner().discarded_count, expected);
    }
    assert_eq!(broken.dead(7).await[0].state(), State::Discarded);
    assert_eq!(redrive(&broken.admin, &names, "", false).await.expect("nothing to do"), 0);
    assert_eq!(redrive(&broken.admin, &[], "index", true).await.expect("counted"), 5);
    let (none, _) = list(&broken.admin, "other", 0, "").await;
    assert_eq!(none, []);
}

#[tokio::test]
async fn wrong_requests_say_what_to_do_and_another_services_letters_do_not_exist() {
    let broken = Broken::start().await;
    broken.world.write(new_id(), 1).await;
    let letter = broken.dead(1).await.remove(0);
    let refused = |result: Result<i32, tonic::Status>| result.expect_err("refused").code();
    assert_eq!(refused(redrive(&broken.admin, &[], "", false).await), Code::InvalidArgument);
    assert_eq!(refused(redrive(&broken.admin, &["letters/1".to_owned()], "", false).await), Code::InvalidArgument);
    assert_eq!(
        refused(redrive(&broken.admin, std::slice::from_ref(&letter.name), "index", false).await),
        Code::InvalidArgument
    );
    assert_eq!(refused(redrive(&broken.admin, &[], "index.state.>", false).await), Code::InvalidArgument);
    assert_eq!(refused(redrive(&broken.admin, &["deadLetters/999".to_owned()], "", false).await), Code::NotFound);
    let other = broken.world.broker("document").await.admin(broken.world.publisher.clone(), Sealer::new(b"secret"));
    assert_eq!(refused(redrive(&other, std::slice::from_ref(&letter.name), "", false).await), Code::NotFound);
    let (none, _) = list(&other, "", 0, "").await;
    assert_eq!(none, []);
    let request = ListDeadLettersRequest { page_token: "AAAA".to_owned(), ..ListDeadLettersRequest::default() };
    assert_eq!(
        broken.admin.list_dead_letters(asked(request)).await.expect_err("refused").code(),
        Code::InvalidArgument
    );
    let unsigned = Request::new(GetRelayStatusRequest {});
    assert_eq!(broken.admin.get_relay_status(unsigned).await.expect_err("no caller").code(), Code::Internal);
}

#[tokio::test]
async fn the_status_counts_what_is_unsent_and_undelivered() {
    let world = World::start().await;
    let publisher = world.broker("document").await;
    let consumer = Consumer::new("index").on::<DocumentUpdated>().concurrency(1);
    let waits = |_: Delivery| std::future::pending::<Outcome>();
    let _consumer = Task::until(|shutdown| publisher.consume(consumer, waits, shutdown));
    let admin = publisher.admin(world.publisher.clone(), Sealer::new(b"secret"));
    let status =
        || async { admin.get_relay_status(asked(GetRelayStatusRequest {})).await.expect("answered").into_inner() };
    write_many(&world, 3, 1).await;
    let before = status().await;
    assert_eq!(before.unsent_count, 3);
    assert!(before.oldest_unsent_time.is_some());
    let _relay = world.relay().await;
    let after = eventually("all are delivered", || async {
        Some(status().await).filter(|status| {
            status.unsent_count == 0 && status.consumers.iter().any(|consumer| consumer.unacknowledged_count == 3)
        })
    })
    .await;
    assert_eq!((after.consumers[0].name.as_str(), after.consumers[0].pending_count), ("index/document", 0));
    assert_eq!((after.oldest_unsent_time, after.last_error.as_str()), (None, ""));
}
