//! Request ids: the same request gives the first answer again, also in parallel.
use api::{Code, UserId};
use db::{Db, Error, Kind, Replay, fingerprint};
use futures::future::join_all;

use crate::support::{INSERT_NOTE, caller, created, database, id, organization};

/// Creates a note once per request id; gives its name.
async fn create(db: &Db, caller: &api::Caller, request_id: &str, title: &str) -> Result<String, Error> {
    let tx = db.tenant(caller).await?;
    if let Replay::Seen(name) = tx.replay(request_id, &fingerprint("Create", &title.to_owned())).await? {
        return Ok(name);
    }
    let note = id();
    tx.execute(INSERT_NOTE, &[&tx.organization().uuid(), &note.uuid(), &title]).await?;
    tx.publish(&created(note), note, 1)?;
    tx.remember(request_id, &note.to_string());
    tx.commit().await?;
    Ok(note.to_string())
}

#[tokio::test]
async fn doc_08_twins_in_parallel_make_one_row_and_hear_one_answer() {
    let database = database().await;
    let me = caller(organization(), UserId(id()));
    let answers = join_all((0..12).map(|_| create(&database.db, &me, "0f6c", "once"))).await;
    let names: Vec<String> = answers.into_iter().map(|answer| answer.expect("a twin waits and succeeds")).collect();
    assert!(names.iter().all(|name| name == &names[0]), "{names:?}");
    assert_eq!(create(&database.db, &me, "0f6c", "once").await.expect("seen"), names[0]);
    let admin = database.admin().await;
    assert_eq!(admin.count("select count(*) from shelf.notes").await, 1);
    assert_eq!(admin.count("select count(*) from shelf.outbox_event").await, 1);
}

#[tokio::test]
async fn a_request_id_of_another_request_is_refused() {
    let database = database().await;
    let me = caller(organization(), UserId(id()));
    create(&database.db, &me, "1", "first").await.expect("it is new");
    let error = create(&database.db, &me, "1", "second").await.expect_err("another request had this id");
    let answer = api::Error::from(error);
    assert_eq!((answer.code(), answer.reason()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
}

#[tokio::test]
async fn nobody_is_answered_with_what_another_user_or_tenant_made() {
    let database = database().await;
    let shared = organization();
    let callers = [caller(shared, UserId(id())), caller(shared, UserId(id())), caller(organization(), UserId(id()))];
    let mut names = Vec::new();
    for (index, caller) in callers.iter().enumerate() {
        names.push(create(&database.db, caller, "same", &format!("note {index}")).await.expect("it is new for each"));
    }
    names.dedup();
    assert_eq!(names.len(), 3);
}

#[tokio::test]
async fn when_the_first_twin_rolls_back_the_second_takes_its_place() {
    let database = database().await;
    let me = caller(organization(), UserId(id()));
    let tx = database.db.tenant(&me).await.expect("PostgreSQL runs");
    let print = fingerprint("Create", &"x".to_owned());
    assert_eq!(tx.replay("r", &print).await.expect("it is new"), Replay::New);
    let second = create(&database.db, &me, "r", "x");
    let (name, ()) = tokio::join!(second, async {
        tokio::task::yield_now().await;
        drop(tx);
    });
    name.expect("the first left nothing");
    assert_eq!(database.admin().await.count("select count(*) from shelf.notes").await, 1);
}

#[tokio::test]
async fn a_taken_id_without_an_answer_cannot_be_committed() {
    let database = database().await;
    let tx = database.db.tenant(&caller(organization(), UserId(id()))).await.expect("PostgreSQL runs");
    tx.replay("r", b"print").await.expect("it is new");
    let error = tx.commit().await.expect_err("later twins would hear nothing");
    assert!(matches!(error.kind(), Kind::Internal));
    assert_eq!(database.admin().await.count("select count(*) from shelf.idempotency").await, 0);
}

#[tokio::test]
async fn an_empty_request_id_keeps_nothing_and_a_malformed_one_is_refused() {
    let database = database().await;
    let me = caller(organization(), UserId(id()));
    create(&database.db, &me, "", "first").await.expect("no id, no memory");
    create(&database.db, &me, "", "second").await.expect("no id, no memory");
    assert_eq!(database.admin().await.count("select count(*) from shelf.idempotency").await, 0);
    for bad in ["a\0b", "a b", &"x".repeat(129)] {
        let answer = api::Error::from(create(&database.db, &me, bad, "third").await.expect_err("it is malformed"));
        assert_eq!((answer.code(), answer.reason()), (Code::InvalidArgument, "FIELD_INVALID"));
    }
}
