//! Version guards: late, doubled and deleted.
use bytes::Bytes;
use events::{Delivery, Envelope, Guard, Revision};
use time::OffsetDateTime;

use crate::world::{World, context, new_id};

fn envelope(world: &World, aggregate: api::Id, epoch: i32, version: i64) -> Envelope {
    Envelope {
        event_id: new_id().uuid(),
        kind: "document.updated".to_owned(),
        source: "document".to_owned(),
        subject: String::new(),
        organization: world.organization,
        aggregate_type: "document".to_owned(),
        aggregate_id: aggregate,
        version,
        epoch,
        actor: String::new(),
        request_id: String::new(),
        traceparent: String::new(),
        time: OffsetDateTime::UNIX_EPOCH,
        schema: String::new(),
    }
}

/// What a projection does with an event: true when it applied it.
async fn apply(world: &World, envelope: &Envelope, tombstone: bool) -> bool {
    let tx = world.consumer.tenant_as(envelope.organization, &context()).await.expect("the database is there");
    let newer = Guard::new("document_guards").newer(&tx, envelope, tombstone).await.expect("guarded");
    tx.commit().await.expect("the database is there");
    newer
}

async fn held(world: &World, aggregate: api::Id) -> (Revision, bool) {
    let tx = world.consumer.tenant_as(world.organization, &context()).await.expect("the database is there");
    let row = tx
        .query_one("select epoch, version, deleted from document_guards where aggregate_id = $1", &[&aggregate.uuid()])
        .await
        .expect("held");
    (Revision { epoch: row.get(0), version: row.get(1) }, row.get(2))
}

#[tokio::test]
async fn evt_11_versions_that_arrive_as_1_3_2_leave_the_state_at_3() {
    let (world, aggregate) = (World::start().await, new_id());
    for (version, applied) in [(1, true), (3, true), (2, false), (3, false), (4, true)] {
        assert_eq!(apply(&world, &envelope(&world, aggregate, 0, version), false).await, applied, "version {version}");
    }
    assert_eq!(held(&world, aggregate).await, (Revision { epoch: 0, version: 4 }, false));
}

#[tokio::test]
async fn evt_12_a_late_update_does_not_bring_the_deleted_back() {
    let (world, aggregate) = (World::start().await, new_id());
    assert!(apply(&world, &envelope(&world, aggregate, 0, 1), false).await);
    assert!(apply(&world, &envelope(&world, aggregate, 0, 3), true).await);
    assert!(!apply(&world, &envelope(&world, aggregate, 0, 2), false).await);
    assert_eq!(held(&world, aggregate).await, (Revision { epoch: 0, version: 3 }, true));
    assert!(apply(&world, &envelope(&world, aggregate, 0, 4), false).await, "an undelete is newer");
    assert_eq!(held(&world, aggregate).await, (Revision { epoch: 0, version: 4 }, false));
}

#[tokio::test]
async fn evt_16_after_a_restore_the_raised_epoch_wins_over_higher_versions() {
    let (world, aggregate) = (World::start().await, new_id());
    assert!(apply(&world, &envelope(&world, aggregate, 0, 90), false).await);
    assert!(apply(&world, &envelope(&world, aggregate, 1, 41), false).await);
    assert!(!apply(&world, &envelope(&world, aggregate, 0, 91), false).await);
    assert_eq!(held(&world, aggregate).await, (Revision { epoch: 1, version: 41 }, false));
}

#[tokio::test]
async fn a_guard_stands_behind_the_wall_of_its_tenant() {
    let (world, aggregate) = (World::start().await, new_id());
    assert!(apply(&world, &envelope(&world, aggregate, 0, 5), false).await);
    let foreign = Envelope { organization: api::OrganizationId(new_id()), ..envelope(&world, aggregate, 0, 1) };
    assert!(apply(&world, &foreign, false).await, "another tenant's aggregate of the same id is another one");
    assert_eq!(held(&world, aggregate).await, (Revision { epoch: 0, version: 5 }, false));
    let delivery = Delivery { envelope: foreign, payload: Bytes::new(), attempt: 1 };
    assert_eq!(delivery.context("index").method, "index");
}
