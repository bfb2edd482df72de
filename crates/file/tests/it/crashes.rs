//! Ends at any line: nothing acknowledged is lost, nothing else counts.
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    time::Duration,
};

use proto::file::v1::{FileCreated, Upload};
use testkit::{System, eventually};

use crate::fixture::{Fixture, append, cut, download, get_file, hanging, sample, sha256};

/// Longer than a lease.
const LEASE: Duration = Duration::from_secs(11);

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).expect("31 bits") % most
    }
}

/// Hundred appends that break off anywhere: the offset never exceeds what was sent, never goes back, and the bytes are right.
#[tokio::test(flavor = "multi_thread")]
async fn fil_34_a_hundred_broken_appends_lose_nothing_and_mix_nothing() {
    let fixture = Fixture::new().await;
    let bytes = sample(8 * 1024 * 1024);
    let upload = fixture.upload(bytes.len()).await;
    let (mut dice, mut acknowledged, mut sent) = (Dice(34), 0, 0);
    for round in 0..100 {
        let offset = fixture.offset(&upload.name).await.expect("its owner");
        assert!((acknowledged..=sent).contains(&offset), "{acknowledged} <= {offset} <= {sent}");
        acknowledged = offset;
        let end = (offset + 1 + dice.below(150_000)).min(bytes.len() - 1);
        sent = sent.max(end);
        let messages = cut(&upload.name, offset, &bytes[offset..end]);
        if round % 3 == 0 {
            // The body breaks off; the answer says what was kept, unless the call before is still being ended.
            if let Ok(kept) = append(&fixture.uploads(), messages).await {
                assert_eq!(kept.offset_bytes, i64::try_from(end).expect("small"));
            }
            continue;
        }
        let (taken, stream) = hanging(messages);
        let mut client = fixture.uploads();
        tokio::select! {
            _ = client.append_upload(stream) => {}
            _ = taken => {}
        }
    }
    assert!(acknowledged > 0, "some of them were kept");
    let rest = || async {
        let offset = fixture.offset(&upload.name).await?;
        fixture.put(&upload.name, offset, &bytes[offset..]).await
    };
    let done = eventually("the rest is taken", rest).await;
    assert_eq!(get_file(&fixture.files(), &done.file).await.expect("complete").sha256, sha256(&bytes));
    assert_eq!(download(&fixture.files(), &done.file, &[]).await.expect("readable").bytes, bytes);
}

/// The process ends in mid-append, with bytes on disk that never were durable.
#[tokio::test(flavor = "multi_thread")]
async fn fil_34_after_a_crash_the_tail_is_cut_and_the_resumed_hash_is_equal() {
    let mut fixture = Fixture::new().await;
    let bytes = sample(600_000);
    let upload = fixture.upload(bytes.len()).await;
    let mut offset = 0;
    for round in 1..=4 {
        let begun = offset;
        let kept = append(&fixture.uploads(), cut(&upload.name, offset, &bytes[offset..round * 100_000])).await;
        offset = usize::try_from(kept.expect("kept").offset_bytes).expect("never negative");
        assert_eq!(offset, round * 100_000);
        let (taken, stream) = hanging(cut(&upload.name, offset, &bytes[offset..offset + 70_000]));
        let mut client = fixture.uploads();
        let call = client.append_upload(stream);
        tokio::pin!(call);
        tokio::select! {
            answer = &mut call => panic!("it hangs: {answer:?}"),
            () = grown(&fixture, offset - begun + 70_000) => taken.await.expect("all was taken"),
        }
        // The process goes in mid-call, and the disk holds what nobody acknowledged.
        fixture.system.crash().await;
        scribble(&fixture);
        fixture.system.clock().advance(LEASE);
        let seen = fixture.offset(&upload.name).await.expect("its owner");
        assert!((offset..=offset + 70_000).contains(&seen), "{seen} is no less than acknowledged, no more than sent");
        offset = seen;
    }
    let done = fixture.put(&upload.name, offset, &bytes[offset..]).await.expect("resumed");
    assert_eq!(get_file(&fixture.files(), &done.file).await.expect("complete").sha256, sha256(&bytes));
    assert_eq!(download(&fixture.files(), &done.file, &[]).await.expect("readable").bytes, bytes);
}

/// Waits until the newest segment holds so many bytes.
async fn grown(fixture: &Fixture, bytes: usize) {
    let fence = |path: &PathBuf| path.extension().and_then(|fence| fence.to_str()?.parse::<i64>().ok());
    let length = || async {
        let newest = fixture.stored("uploads").into_iter().max_by_key(fence).expect("a segment");
        let length = newest.metadata().expect("it is there").len();
        if length == bytes as u64 { Ok(()) } else { Err(length) }
    };
    eventually("the bytes are written", length).await;
}

/// Bytes behind every segment, as a process leaves them that was killed before it made them durable.
fn scribble(fixture: &Fixture) {
    for path in fixture.stored("uploads") {
        let mut file = OpenOptions::new().append(true).open(path).expect("a segment");
        file.write_all(&[0xff; 5000]).expect("written");
    }
}

async fn sweeping() -> Fixture {
    Fixture::over(System::builder(&[&file::SERVICE]).set("file.sweep_interval", "20ms").start().await)
}

/// Takes back what the last transaction of an upload did, as if the process had ended before it.
async fn uncomplete(fixture: &Fixture, done: &Upload) {
    let sql = "delete from file.files; delete from file.outbox_event; update file.uploads set complete = false";
    fixture.system.sql(sql).await;
    assert!(!done.file.is_empty());
}

async fn becomes_a_file(fixture: &Fixture, done: &Upload, bytes: &[u8]) {
    let found = || get_file_of(fixture, done);
    let file = eventually("the upload becomes a file", found).await;
    assert_eq!(file.sha256, sha256(bytes));
    assert_eq!(download(&fixture.files(), &done.file, &[]).await.expect("readable").bytes, bytes);
    assert_eq!(fixture.published::<FileCreated>().await, [(1, FileCreated { name: done.file.clone() })]);
}

async fn get_file_of(fixture: &Fixture, done: &Upload) -> Result<proto::file::v1::File, api::Error> {
    get_file(&fixture.files(), &done.file).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_object_is_final_and_whose_row_is_not_becomes_a_file() {
    let fixture = sweeping().await;
    let bytes = sample(1000);
    let upload = fixture.upload(bytes.len()).await;
    let done = fixture.put(&upload.name, 0, &bytes).await.expect("valid");
    uncomplete(&fixture, &done).await;
    becomes_a_file(&fixture, &done, &bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_whole_and_no_object_yet_becomes_a_file() {
    let fixture = Fixture::new().await;
    let bytes = sample(1000);
    let upload = fixture.upload(bytes.len()).await;
    let done = fixture.put(&upload.name, 0, &bytes).await.expect("valid");
    uncomplete(&fixture, &done).await;
    let object = fixture.stored("objects").pop().expect("the object");
    let segment = fixture
        .system
        .data_dir()
        .join("file/uploads")
        .join(format!("{}.1", object.file_name().expect("an id").to_str().expect("an id is ASCII")));
    fs::rename(object, segment).expect("it is a segment again");
    // Whoever asks for it ends what was interrupted; no sweep is needed.
    assert_eq!(crate::fixture::get(&fixture.uploads(), &upload.name).await.expect("its owner").file, done.file);
    becomes_a_file(&fixture, &done, &bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_bytes_are_reported_and_never_filled_up() {
    let mut fixture = Fixture::new().await;
    let upload = fixture.upload(100).await;
    fixture.put(&upload.name, 0, &[1; 40]).await.expect("valid");
    fixture.system.restart().await;
    let segment = fixture.stored("uploads").pop().expect("its segment");
    OpenOptions::new().write(true).open(segment).and_then(|file| file.set_len(30)).expect("cut");
    let error = fixture.put(&upload.name, 40, &[2; 60]).await.expect_err("10 bytes are gone");
    assert_eq!(error.reason(), "CONTENT_DAMAGED");
    let file = fixture.file(b"hello").await;
    fs::remove_file(fixture.stored("objects").pop().expect("its object")).expect("removed");
    let error = download(&fixture.files(), &file.name, &[]).await.expect_err("the object is gone");
    assert_eq!(error.reason(), "CONTENT_DAMAGED");
}
