//! Bytes are appended.
use api::Code;
use futures::stream;
use proto::file::v1::{AppendUploadRequest, FileCreated, Upload};
use testkit::eventually;

use crate::fixture::{
    Fixture, append, chunk, cut, denied, download, finish, get, get_file, hanging, new_id, read, refusal, sample,
    sha256, sized, start, uploads, whole,
};

#[tokio::test(flavor = "multi_thread")]
async fn fil_12_an_upload_shows_its_offset_length_and_metadata() {
    let fixture = Fixture::new().await;
    let raw = "filename YS50eHQ=";
    let described = Upload { length_bytes: Some(100), raw_metadata: raw.to_owned(), ..Default::default() };
    let upload = fixture.create(described, "").await.expect("valid");
    let kept = fixture.put(&upload.name, 0, &[7; 40]).await.expect("valid");
    let shown = get(&fixture.uploads(), &upload.name).await.expect("its owner");
    assert_eq!((shown.offset_bytes, shown.length_bytes(), shown.raw_metadata.as_str()), (40, 100, raw));
    assert_eq!(shown, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn fil_13_an_unknown_foreign_or_deleted_upload_is_hidden() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(100).await;
    let unknown = format!("{}/uploads/{}", fixture.organization.name(), new_id());
    assert_eq!(refusal(get(&fixture.uploads(), &unknown).await), denied());
    let admin = fixture.organization.user(proto::Role::Admin);
    assert_eq!(refusal(get(&uploads(&admin), &upload.name).await), denied());
    let stranger = fixture.system.organization().user(proto::Role::Owner);
    assert_eq!(refusal(get(&uploads(&stranger), &upload.name).await), denied());
    fixture.delete_upload(&upload.name).await.expect("its owner");
    assert_eq!(refusal(get(&fixture.uploads(), &upload.name).await), denied());
    assert_eq!(refusal(get(&fixture.uploads(), "uploads/1").await), (Code::InvalidArgument, "NAME_INVALID".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn fil_14_the_offset_moves_by_what_was_sent_and_all_bytes_make_a_file() {
    let fixture = Fixture::new().await;
    let bytes = sample(300_000);
    let upload = fixture.upload(bytes.len()).await;
    let part = fixture.put(&upload.name, 0, &bytes[..100_000]).await.expect("valid");
    assert_eq!((part.offset_bytes, part.file.as_str()), (100_000, ""));
    assert_eq!(fixture.put(&upload.name, 100_000, &[]).await.expect("nothing is valid").offset_bytes, 100_000);
    assert!(fixture.published::<FileCreated>().await.is_empty());
    let done = fixture.put(&upload.name, 100_000, &bytes[100_000..]).await.expect("valid");
    assert_eq!(
        (done.offset_bytes, done.file.as_str()),
        (300_000, upload.name.replace("/uploads/", "/files/").as_str())
    );
    let file = get_file(&fixture.files(), &done.file).await.expect("complete");
    assert_eq!((file.size_bytes, file.sha256.as_str()), (300_000, sha256(&bytes).as_str()));
    assert_eq!(file.owner, fixture.editor.name());
    assert_eq!(download(&fixture.files(), &done.file, &[]).await.expect("readable").bytes, bytes);
    assert_eq!(fixture.published::<FileCreated>().await, [(1, FileCreated { name: file.name.clone() })]);
    assert!(fixture.stored("uploads").is_empty());
    assert_eq!(fixture.stored("objects").len(), 1);
    let again = fixture.put(&upload.name, 300_000, b"x").await.expect_err("complete");
    assert_eq!((again.reason(), again.metadata().get("file")), ("UPLOAD_COMPLETE", Some(&file.name)));
}

#[tokio::test(flavor = "multi_thread")]
async fn fil_15_another_offset_than_the_current_one_is_refused_and_writes_nothing() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(100).await;
    fixture.put(&upload.name, 0, &[1; 40]).await.expect("valid");
    for offset in [0, 39, 41, 100] {
        let error = fixture.put(&upload.name, offset, &[2; 10]).await.expect_err("not the current offset");
        assert_eq!((error.code(), error.reason()), (Code::Aborted, "OFFSET_MISMATCH"));
        assert_eq!(error.metadata().get("offset").map(String::as_str), Some("40"));
    }
    let bytes = std::fs::read(&fixture.stored("uploads")[0]).expect("its segment");
    assert_eq!(bytes, [1; 40]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fil_18_bytes_beyond_the_length_are_refused_and_leave_no_trace() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(100).await;
    fixture.put(&upload.name, 0, &[1; 40]).await.expect("valid");
    let messages = vec![start(&upload.name, 40), chunk(&[2; 50]), chunk(&[3; 11]), finish()];
    let error = append(&fixture.uploads(), messages).await.expect_err("61 bytes where 60 are left");
    assert_eq!((error.code(), error.reason()), (Code::OutOfRange, "UPLOAD_TOO_LARGE"));
    assert_eq!(error.metadata().get("limit").map(String::as_str), Some("100"));
    assert_eq!(fixture.offset(&upload.name).await.expect("its owner"), 40);
    assert_eq!(std::fs::read(&fixture.stored("uploads")[0]).expect("its segment"), [1; 40]);
    let done = fixture.put(&upload.name, 40, &[4; 60]).await.expect("as many as are left");
    let expected = [[1; 40].as_slice(), &[4; 60]].concat();
    assert_eq!(get_file(&fixture.files(), &done.file).await.expect("complete").sha256, sha256(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn fil_19_a_cut_append_keeps_what_came_and_is_resumed() {
    let mut fixture = Fixture::new().await;
    let bytes = sample(100);
    let upload = fixture.upload(100).await;
    // The stream ends without `finish`.
    let kept = append(&fixture.uploads(), cut(&upload.name, 0, &bytes[..40])).await.expect("kept");
    assert_eq!(kept.offset_bytes, 40);
    // The call is abandoned.
    let (taken, stream) = hanging(cut(&upload.name, 40, &bytes[40..70]));
    let mut client = fixture.uploads();
    tokio::select! {
        answer = client.append_upload(stream) => panic!("it hangs: {answer:?}"),
        () = written(&fixture, 70) => taken.await.expect("all was taken"),
    }
    let kept = || async { (fixture.offset(&upload.name).await.ok() == Some(70)).then_some(()) };
    eventually("what came is kept", kept).await;
    // Whoever resumes it knows nothing of the digest so far.
    fixture.system.restart().await;
    let done = fixture.put(&upload.name, 70, &bytes[70..]).await.expect("resumed");
    assert_eq!(get_file(&fixture.files(), &done.file).await.expect("complete").sha256, sha256(&bytes));
    assert_eq!(download(&fixture.files(), &done.file, &[]).await.expect("readable").bytes, bytes);
}

/// Waits until the only upload has that many bytes on disk, durable or not.
async fn written(fixture: &Fixture, bytes: u64) {
    let length = || async {
        let lengths = fixture.stored("uploads").into_iter().map(|path| path.metadata().map_or(0, |found| found.len()));
        (lengths.sum::<u64>() == bytes).then_some(())
    };
    eventually("the bytes are written", length).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_another_order_is_refused_and_counts_for_nothing() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(3_000_000).await;
    let name = upload.name.as_str();
    let faulty = [
        vec![],
        vec![chunk(b"x")],
        vec![AppendUploadRequest { step: None }],
        vec![start(name, 0), chunk(b"x"), start(name, 1)],
        vec![start(name, 0), chunk(b"x"), AppendUploadRequest { step: None }],
        vec![start(name, 0), chunk(&vec![0; 1024 * 1024 + 1])],
    ];
    for messages in faulty {
        let answer = append(&fixture.uploads(), messages).await;
        let (code, reason) = refusal(answer);
        // Where no name came, there is nothing that could be permitted.
        assert!(
            reason == "STREAM_INVALID" || code == Code::PermissionDenied || code == Code::InvalidArgument,
            "{reason}"
        );
        assert_eq!(fixture.offset(name).await.expect("its owner"), 0);
    }
    let whole = append(&fixture.uploads(), vec![start(name, 0), chunk(&vec![0; 1024 * 1024]), finish()]).await;
    assert_eq!(whole.expect("1 MiB is allowed").offset_bytes, 1024 * 1024);
    assert_eq!(refusal(append(&fixture.uploads(), whole_of("files/x")).await).0, Code::InvalidArgument);
}

fn whole_of(name: &str) -> Vec<AppendUploadRequest> {
    whole(name, 0, b"x")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_appends_and_deletes() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(10).await;
    let colleague = uploads(&fixture.organization.user(proto::Role::Owner));
    assert_eq!(refusal(append(&colleague, whole(&upload.name, 0, b"x")).await), denied());
    let request = proto::file::v1::DeleteUploadRequest { name: upload.name.clone() };
    assert_eq!(refusal(read(colleague.clone().delete_upload(request).await)), denied());
    let member = uploads(&fixture.organization.member());
    let request = proto::file::v1::CreateUploadRequest {
        parent: fixture.organization.name(),
        upload: Some(sized(1)),
        ..Default::default()
    };
    assert_eq!(refusal(read(member.clone().create_upload(request).await)), denied());
    assert_eq!(fixture.offset(&upload.name).await.expect("its owner"), 0);
}

/// Checkpoints lie 64 MiB apart; what came before one survives an overflow after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_append_is_durable_every_64_mib() {
    let fixture = Fixture::new().await;
    let mebibyte = 1024 * 1024;
    let upload = fixture.upload(65 * mebibyte).await;
    let piece = chunk(&vec![5; mebibyte]);
    let chunks = std::iter::repeat_n(piece, 66);
    let messages = [start(&upload.name, 0)].into_iter().chain(chunks);
    let error = read(fixture.uploads().append_upload(stream::iter(messages.collect::<Vec<_>>())).await);
    assert_eq!(refusal(error), (Code::OutOfRange, "UPLOAD_TOO_LARGE".to_owned()));
    assert_eq!(fixture.offset(&upload.name).await.expect("its owner"), 64 * mebibyte);
    let done = fixture.put(&upload.name, 64 * mebibyte, &vec![6; mebibyte]).await.expect("the rest");
    let expected = [vec![5; 64 * mebibyte], vec![6; mebibyte]].concat();
    assert_eq!(get_file(&fixture.files(), &done.file).await.expect("complete").sha256, sha256(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_stands_in_the_audit_once() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(10).await;
    fixture.put(&upload.name, 0, &[1; 10]).await.expect("valid");
    let lines = "select count(*) from file.audit_event where method like '%/AppendUpload'";
    assert_eq!(fixture.number(lines).await, 1);
}
