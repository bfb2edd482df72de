//! What the platform's own rows are kept for, and that their removal spares the rest.
use api::UserId;
use db::{Purged, Replay};

use crate::support::{caller, context, created, database, id, organization};

#[tokio::test]
async fn rows_are_purged_when_they_were_kept_long_enough_and_not_before() {
    let database = database().await;
    let me = caller(organization(), UserId(id()));
    let event = id().uuid();
    for request in ["old", "new"] {
        let tx = database.db.tenant(&me).await.expect("PostgreSQL runs");
        assert_eq!(tx.replay(request, b"print").await.expect("it is new"), Replay::New);
        tx.publish(&created(id()), id(), 1).expect("it is small");
        tx.remember(request, "answer");
        tx.commit().await.expect("nothing failed");
        let tx = database.db.once(request, event, organization(), &context()).await.expect("PostgreSQL runs");
        tx.expect("it is the first time").commit().await.expect("nothing failed");
    }
    assert_eq!(database.db.purge().await.expect("PostgreSQL runs"), Purged::default());
    let admin = database.admin().await;
    let age = "update shelf.idempotency set created_at = now() - interval '25 hours' where request_id = 'old';
               update shelf.processed_event set processed_at = now() - interval '36 days' where consumer = 'old';
               update shelf.outbox_event set created_at = now() - interval '30 days'";
    admin.client.batch_execute(age).await.expect("the administrator may");
    let purged = database.db.purge().await.expect("PostgreSQL runs");
    assert_eq!(purged, Purged { events: 0, requests: 1, processed: 1 }, "unsent events stay, however old");
    let tx = database.db.tenant(&me).await.expect("PostgreSQL runs");
    assert_eq!(tx.replay("new", b"print").await.expect("it is kept"), Replay::Seen("answer".to_owned()));
    assert_eq!(admin.count("select count(*) from shelf.processed_event").await, 1);
}
