//! Time passes.
use std::{fs, time::Duration};

use testkit::{System, eventually};

use crate::{
    deletion::delete,
    fixture::{Fixture, denied, get, new_id, refusal, sized},
};

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);

async fn sweeping(upload_age: &str) -> Fixture {
    let builder = System::builder(&[&file::SERVICE]).set("file.sweep_interval", "20ms");
    Fixture::over(builder.set("file.upload_age", upload_age).start().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_continues_is_dropped_and_each_byte_gives_it_time() {
    let fixture = sweeping("24h").await;
    let (left, continued) = (fixture.upload(100).await, fixture.upload(100).await);
    fixture.put(&left.name, 0, &[1; 40]).await.expect("valid");
    fixture.system.clock().advance(DAY - HOUR);
    // The verifiers need a new list of revocations first.
    let put = || fixture.put(&continued.name, 0, &[1; 40]);
    let kept = eventually("continued", put).await;
    assert!(kept.expire_time.expect("set").seconds > left.expire_time.expect("set").seconds + 22 * 3600);
    fixture.system.clock().advance(2 * HOUR);
    let dropped = || async { (fixture.number("select count(*) from file.uploads").await == 1).then_some(()) };
    eventually("the upload is dropped", dropped).await;
    eventually("so are its bytes", || async { (fixture.stored("uploads").len() == 1).then_some(()) }).await;
    let gone =
        || async { get(&fixture.uploads(), &left.name).await.err().filter(|error| error.reason() == "ACCESS_DENIED") };
    eventually("it is gone for its owner", gone).await;
    assert_eq!(fixture.offset(&continued.name).await.expect("it lives"), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_upload_is_gone_before_it_is_swept() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(100).await;
    fixture.put(&upload.name, 0, &[1; 40]).await.expect("valid");
    fixture.system.sql("update file.uploads set expire_time = now() - interval '1 second'").await;
    assert_eq!(refusal(get(&fixture.uploads(), &upload.name).await), denied());
    assert_eq!(refusal(fixture.put(&upload.name, 40, &[1; 60]).await), denied());
    assert_eq!(refusal(fixture.delete_upload(&upload.name).await), denied());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_deleted_file_go_after_a_day_and_its_name_stays_taken() {
    let fixture = sweeping("72h").await;
    let (file, kept) = (fixture.file(b"hello").await, fixture.file(b"kept").await);
    delete(&fixture.files(), &file.name).await.expect("an editor");
    assert_eq!(fixture.stored("objects").len(), 2);
    fixture.system.clock().advance(DAY + HOUR);
    eventually("the bytes are gone", || async { (fixture.stored("objects").len() == 1).then_some(()) }).await;
    let purged = "select count(*) from file.files where purge_time is not null and display_name = ''";
    eventually("the row says so", || async { (fixture.number(purged).await == 1).then_some(()) }).await;
    let reads = || async { reads_all(crate::fixture::download(&fixture.files(), &kept.name, &[]).await) };
    assert_eq!(eventually("the other one stays", reads).await, b"kept");
    // Even after the upload itself is forgotten, no later file gets the id: versions never go back.
    fixture.system.sql("delete from file.uploads").await;
    let id = file.name.rsplit('/').next().expect("a name has segments");
    assert_eq!(refusal(fixture.create(sized(5), id).await).1, "RESOURCE_EXISTS");
}

fn reads_all(answer: Result<crate::fixture::Download, api::Error>) -> Result<Vec<u8>, api::Error> {
    answer.map(|download| download.bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_no_row_knows_are_dropped_and_live_ones_never() {
    let fixture = sweeping("72h").await;
    let live = fixture.upload(100).await;
    fixture.put(&live.name, 0, &[1; 40]).await.expect("valid");
    let file = fixture.file(b"kept").await;
    let (root, id) = (fixture.system.data_dir().join("file"), new_id());
    fs::write(root.join("uploads").join(format!("{id}.1")), b"lost").expect("written");
    fs::write(root.join("uploads").join(format!("{id}.1.whole")), b"lost").expect("written");
    let shelf = root.join("objects").join(&id[id.len() - 2..]);
    fs::create_dir_all(&shelf).expect("made");
    fs::write(shelf.join(&id), b"lost").expect("written");
    fixture.system.clock().advance(DAY + HOUR);
    let lost = || async {
        let all = [fixture.stored("uploads"), fixture.stored("objects")].concat();
        let left: Vec<_> = all.into_iter().filter(|path| path.display().to_string().contains(&id)).collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    };
    eventually("what nobody knows is dropped", lost).await;
    let done = eventually("the live one goes on", || fixture.put(&live.name, 40, &[1; 60])).await;
    assert!(!done.file.is_empty());
    let reads = || async { reads_all(crate::fixture::download(&fixture.files(), &file.name, &[]).await) };
    assert_eq!(eventually("the file stays", reads).await, b"kept");
}
