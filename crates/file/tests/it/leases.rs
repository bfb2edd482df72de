//! One writer for each upload, in this process and across all.
use api::Code;
use testkit::eventually;

use crate::fixture::{Fixture, cut, download, get_file, hanging, read, refusal, sample, sha256};

/// What another process writes into the row when it takes over.
const TAKEN_OVER: &str =
    "update file.uploads set holder = gen_random_uuid(), fence = fence + 1, lease_until = now() + interval '1 hour'";

fn locked() -> (Code, String) {
    (Code::Unavailable, "UPLOAD_LOCKED".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_that_writes_keeps_this_one_away_until_it_vanishes() {
    let fixture = Fixture::new().await;
    let bytes = sample(100);
    let upload = fixture.upload(100).await;
    fixture.put(&upload.name, 0, &bytes[..40]).await.expect("valid");
    fixture.system.sql(TAKEN_OVER).await;
    assert_eq!(refusal(fixture.put(&upload.name, 40, &bytes[40..]).await), locked());
    assert_eq!(fixture.offset(&upload.name).await.expect("its owner"), 40);
    // It vanishes without having written; its segment stays empty.
    fixture.system.sql("update file.uploads set lease_until = now() - interval '1 second'").await;
    fixture.put(&upload.name, 40, &bytes[40..70]).await.expect("taken over");
    assert_eq!(fixture.stored("uploads").len(), 2, "no two writers share a segment");
    let done = fixture.put(&upload.name, 70, &bytes[70..]).await.expect("valid");
    assert_eq!(get_file(&fixture.files(), &done.file).await.expect("complete").sha256, sha256(&bytes));
    assert_eq!(download(&fixture.files(), &done.file, &[]).await.expect("readable").bytes, bytes);
    assert!(fixture.stored("uploads").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_was_overtaken_never_publishes_its_bytes() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(100).await;
    fixture.put(&upload.name, 0, &[1; 10]).await.expect("valid");
    let (taken, stream) = hanging(cut(&upload.name, 10, &[2; 90]));
    let mut client = fixture.uploads();
    let overtakes = async {
        taken.await.expect("all was taken");
        fixture.system.sql(TAKEN_OVER).await;
    };
    // The next renewal tells it.
    let (answer, ()) = tokio::join!(client.append_upload(stream), overtakes);
    assert_eq!(refusal(read(answer)), locked());
    assert_eq!(fixture.offset(&upload.name).await.expect("its owner"), 10);
    assert_eq!(fixture.number("select count(*) from file.files").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_writer_keeps_its_lease_and_gives_way_to_a_newcomer() {
    let fixture = Fixture::new().await;
    let bytes = sample(100);
    let upload = fixture.upload(100).await;
    let (taken, stream) = hanging(cut(&upload.name, 0, &bytes[..40]));
    let mut client = fixture.uploads();
    let lease = || async {
        let until = "select extract(epoch from lease_until)::bigint from file.uploads where lease_until > '-infinity'";
        fixture.system.sql(until).await.first().and_then(|row| row[0].clone())
    };
    let newcomer = async {
        taken.await.expect("all was taken");
        let first = eventually("the lease is taken", lease).await;
        let renewed = || async { lease().await.filter(|now| *now > first) };
        eventually("the lease is renewed in silence", renewed).await;
        // The one before leaves with what it has, so the offset is another one now.
        let mismatch = fixture.put(&upload.name, 0, &bytes).await;
        assert_eq!(refusal(mismatch), (Code::Aborted, "OFFSET_MISMATCH".to_owned()));
        fixture.put(&upload.name, 40, &bytes[40..]).await.expect("the place is free")
    };
    let (left, done) = tokio::join!(client.append_upload(stream), newcomer);
    assert_eq!(refusal(read(left)), locked());
    assert_eq!(get_file(&fixture.files(), &done.file).await.expect("complete").sha256, sha256(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_appends_at_one_offset_one_counts_and_bytes_never_mix() {
    let fixture = Fixture::new().await;
    for _ in 0..5 {
        let upload = fixture.upload(400_000).await;
        let (ones, twos) = (vec![1; 400_000], vec![2; 400_000]);
        let (one, two) = tokio::join!(fixture.put(&upload.name, 0, &ones), fixture.put(&upload.name, 0, &twos));
        let (done, bytes, other) = match (one, two) {
            (Ok(done), other) => (done, ones, other),
            (other, Ok(done)) => (done, twos, other),
            both => panic!("none was stored: {both:?}"),
        };
        assert!(["UPLOAD_COMPLETE", "OFFSET_MISMATCH", "UPLOAD_LOCKED"].contains(&refusal(other).1.as_str()));
        assert_eq!(get_file(&fixture.files(), &done.file).await.expect("complete").sha256, sha256(&bytes));
    }
}

/// A restart drains: what came is kept, the client hears that it is to come again.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_a_stop_is_kept() {
    let mut fixture = Fixture::new().await;
    let bytes = sample(100);
    let upload = fixture.upload(100).await;
    let kept = fixture.put(&upload.name, 0, &bytes[..60]).await.expect("valid");
    fixture.system.restart().await;
    assert_eq!(fixture.offset(&upload.name).await.expect("its owner"), 60);
    let done = fixture.put(&kept.name, 60, &bytes[60..]).await.expect("another process goes on at once");
    assert_eq!(get_file(&fixture.files(), &done.file).await.expect("complete").sha256, sha256(&bytes));
}
