//! Streams of an inbox.
use std::time::Duration;

use api::{Code, timestamp};
use futures::StreamExt;
use proto::{auth::v1::Revocation, notification::v1::InboxItem};
use testkit::Person;
use tokio::time::timeout;
use tonic::Streaming;

use crate::fixture::{Fixture, refusal};

const PATIENCE: Duration = Duration::from_secs(30);

/// The next so many items.
async fn take(stream: &mut Streaming<InboxItem>, count: usize) -> Vec<i64> {
    let mut sequences = Vec::new();
    for _ in 0..count {
        let item =
            timeout(PATIENCE, stream.next()).await.expect("an item arrives in time").expect("the stream goes on");
        sequences.push(item.expect("an item").sequence);
    }
    sequences
}

/// Shares so many documents with somebody and waits until his inbox has that many in all.
async fn share(fixture: &Fixture, person: &Person, count: usize, in_all: usize) {
    for number in 0..count {
        fixture.share(person, &format!("Plan {number}")).await;
    }
    fixture.until_items(person, in_all).await;
}

#[tokio::test]
async fn ntf_30_a_stream_that_was_cut_goes_on_without_gap_or_double() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    share(&fixture, &person, 4, 4).await;
    let mut stream = fixture.watch(&person, Some(0), None).await.expect("his own");
    assert_eq!(take(&mut stream, 3).await, [1, 2, 3]);
    drop(stream);
    share(&fixture, &person, 3, 7).await;
    let mut resumed = fixture.watch(&person, Some(3), None).await.expect("his own");
    assert_eq!(take(&mut resumed, 4).await, [4, 5, 6, 7]);
    // A browser repeats its first address and says in a header how far it came.
    let mut browser = fixture.watch(&person, Some(0), Some("5")).await.expect("his own");
    assert_eq!(take(&mut browser, 2).await, [6, 7]);
    fixture.share(&person, "Plan").await;
    for stream in [&mut resumed, &mut browser] {
        assert_eq!(take(stream, 1).await, [8]);
    }
}

#[tokio::test]
async fn ntf_30_a_slow_reader_gets_everything_in_order_when_he_reads() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    let mut slow = fixture.watch(&person, Some(0), None).await.expect("his own");
    share(&fixture, &person, 250, 250).await;
    assert_eq!(take(&mut slow, 250).await, (1..=250).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_from_now_on_hears_at_once_what_arrives() {
    // It never looks by itself: what arrives is what it was told of.
    let fixture = Fixture::of(Fixture::builder().set("notification.watch_interval", "1h")).await;
    let person = fixture.member("anna@example.org");
    share(&fixture, &person, 2, 2).await;
    for after in [None, Some(-1), Some(2), Some(1_000_000)] {
        let mut stream = fixture.watch(&person, after, None).await.expect("his own");
        let last = fixture.inbox(&person).await.inbox_items.len();
        share(&fixture, &person, 1, last + 1).await;
        let first = take(&mut stream, 1).await;
        if after == Some(2) {
            assert_eq!(first, [3], "everything after it");
        } else {
            assert_eq!(first, [fixture.inbox(&person).await.inbox_items[0].sequence], "{after:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_without_a_place_to_begin_at_is_refused() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    for (after, last) in [(Some(-2), None), (None, Some("x")), (Some(0), Some("-1"))] {
        let answer = fixture.watch(&person, after, last).await;
        assert_eq!(refusal(answer), (Code::InvalidArgument, "FIELD_INVALID".to_owned()), "{after:?} {last:?}");
    }
}

#[tokio::test]
async fn ntf_31_a_stream_ends_with_the_session_it_rests_on() {
    let fixture = Fixture::new().await;
    let (person, other) = (fixture.member("anna@example.org"), fixture.member("bert@example.org"));
    let mut stream = fixture.watch(&person, None, None).await.expect("his own");
    let mut untouched = fixture.watch(&other, None, None).await.expect("his own");
    let now = fixture.system.clock().now();
    fixture.system.revoke(Revocation {
        kind: "sid".to_owned(),
        id: person.session().to_owned(),
        not_before: Some(timestamp(now + Duration::from_secs(1))),
        keep_until: Some(timestamp(now + Duration::from_secs(3600))),
        renew: false,
    });
    let ended = timeout(PATIENCE, stream.next()).await.expect("it ends in time").expect("with a word");
    assert_eq!(ended.expect_err("nothing was sent to him").code(), tonic::Code::Unauthenticated);
    fixture.share(&person, "Plan").await;
    assert!(timeout(PATIENCE, stream.next()).await.expect("it has ended").is_none());
    fixture.share(&other, "Plan").await;
    assert_eq!(take(&mut untouched, 1).await, [1]);
}
