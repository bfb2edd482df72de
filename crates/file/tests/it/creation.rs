//! Uploads are begun.
use api::Code;
use proto::file::v1::{CreateUploadRequest, FileCreated, Upload};
use testkit::System;

use crate::fixture::{
    Fixture, denied, download, get, get_file, new_id, read, refusal, request_id, sha256, sized, uploads,
};

#[tokio::test(flavor = "multi_thread")]
async fn fil_04_an_upload_begins_at_offset_0() {
    let fixture = Fixture::new().await;
    let upload = fixture.create(Upload { media_type: "text/plain".to_owned(), ..sized(100) }, "").await.expect("valid");
    assert_eq!((upload.length_bytes(), upload.offset_bytes, upload.file.as_str()), (100, 0, ""));
    assert_eq!((upload.owner.as_str(), upload.media_type.as_str()), (fixture.editor.name().as_str(), "text/plain"));
    assert!(upload.name.starts_with(&format!("{}/uploads/", fixture.organization.name())));
    assert!(upload.expire_time.expect("set").seconds - upload.create_time.expect("set").seconds == 24 * 3600);
    assert_eq!(get(&fixture.uploads(), &upload.name).await.expect("its owner"), upload);
}

#[tokio::test(flavor = "multi_thread")]
async fn fil_05_an_upload_of_length_0_is_a_file_at_once_with_one_event() {
    let fixture = Fixture::new().await;
    let upload = fixture.upload(0).await;
    assert_eq!(upload.file, upload.name.replace("/uploads/", "/files/"));
    let file = get_file(&fixture.files(), &upload.file).await.expect("complete");
    assert_eq!((file.size_bytes, file.sha256.as_str()), (0, sha256(b"").as_str()));
    get(&fixture.uploads(), &upload.name).await.expect("still there");
    let events = fixture.published::<FileCreated>().await;
    assert_eq!(events, [(1, FileCreated { name: upload.file.clone() })]);
    let empty = download(&fixture.files(), &upload.file, &[]).await.expect("readable");
    assert_eq!((empty.bytes.len(), empty.header("workos-content-length")), (0, "0"));
    assert_eq!(empty.content_type, "application/octet-stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn fil_06_a_missing_or_negative_length_is_refused() {
    let fixture = Fixture::new().await;
    let invalid = (Code::InvalidArgument, "LENGTH_INVALID".to_owned());
    let request = CreateUploadRequest { parent: fixture.organization.name(), ..Default::default() };
    assert_eq!(refusal(read(fixture.uploads().create_upload(request).await)), invalid);
    let silent = Upload { length_bytes: None, ..sized(0) };
    assert_eq!(refusal(fixture.create(silent, "").await), invalid, "absent is not 0");
    let negative = Upload { length_bytes: Some(-1), ..sized(0) };
    assert_eq!(refusal(fixture.create(negative, "").await), invalid);
    assert_eq!(fixture.number("select count(*) from file.uploads").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_does_not_accept_is_refused() {
    let builder = System::builder(&[&file::SERVICE]).set("file.size_max", "1 KiB");
    let fixture = Fixture::over(builder.set("file.refused_types", ["application/x-*", "text/html"]).start().await);
    assert_eq!(refusal(fixture.create(sized(1025), "").await), (Code::OutOfRange, "UPLOAD_TOO_LARGE".to_owned()));
    fixture.create(sized(1024), "").await.expect("as long as allowed");
    let typed = |media_type: &str| Upload { media_type: media_type.to_owned(), ..sized(1) };
    let refused = fixture.create(typed("TEXT/html; charset=utf-8"), "").await;
    assert_eq!(refusal(refused), (Code::InvalidArgument, "TYPE_REFUSED".to_owned()));
    assert_eq!(refusal(fixture.create(typed("none"), "").await).0, Code::InvalidArgument);
    fixture.create(typed("text/plain"), "").await.expect("accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_read_and_echoed_and_a_path_in_it_is_data() {
    let fixture = Fixture::new().await;
    // filename ../../etc/passwd, filetype text/plain
    let raw = "filename Li4vLi4vZXRjL3Bhc3N3ZA==,filetype dGV4dC9wbGFpbg==,empty";
    let unnamed = Upload { length_bytes: Some(0), raw_metadata: raw.to_owned(), ..Default::default() };
    let upload = fixture.create(unnamed, "").await.expect("valid");
    assert_eq!((upload.raw_metadata.as_str(), upload.display_name.as_str()), (raw, "../../etc/passwd"));
    let shown = download(&fixture.files(), &upload.file, &[]).await.expect("readable");
    assert_eq!(shown.header("content-disposition"), "inline; filename=\"passwd\"; filename*=UTF-8''passwd");
    let faulty = |raw: &str| Upload { raw_metadata: raw.to_owned(), ..sized(1) };
    for bad in ["a Zg==,a Zg==", "a !!", "a Zg==,", &"x".repeat(9000)] {
        let refused = fixture.create(faulty(bad), "").await;
        assert_eq!(refusal(refused), (Code::InvalidArgument, "METADATA_INVALID".to_owned()));
    }
    let hidden = Upload { display_name: "gpj.\u{202e}exe".to_owned(), ..sized(1) };
    assert_eq!(refusal(fixture.create(hidden, "").await), (Code::InvalidArgument, "FILE_NAME_INVALID".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_creation_gives_the_first_answer_also_at_the_same_time() {
    let fixture = Fixture::new().await;
    let request = CreateUploadRequest {
        parent: fixture.organization.name(),
        upload: Some(sized(0)),
        request_id: request_id(),
        ..Default::default()
    };
    let mut clients = [fixture.uploads(), fixture.uploads()];
    let [one, other] = &mut clients;
    let (first, second) = tokio::join!(one.create_upload(request.clone()), other.create_upload(request.clone()));
    let (first, second) = (read(first).expect("valid"), read(second).expect("the same request"));
    assert_eq!(first.name, second.name);
    let third = read(fixture.uploads().create_upload(request.clone()).await).expect("the same request");
    assert_eq!((third.name, third.file), (first.name, first.file.clone()));
    assert_eq!(fixture.number("select count(*) from file.files").await, 1);
    let another = CreateUploadRequest { upload: Some(sized(1)), ..request };
    assert_eq!(refusal(read(fixture.uploads().create_upload(another).await)).1, "REQUEST_ID_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_id_is_good_once() {
    let fixture = Fixture::new().await;
    let id = new_id();
    let upload = fixture.create(sized(3), &id).await.expect("free");
    assert!(upload.name.ends_with(&id));
    let taken = (Code::AlreadyExists, "RESOURCE_EXISTS".to_owned());
    assert_eq!(refusal(fixture.create(sized(3), &id).await), taken);
    let colleague = fixture.organization.user(proto::Role::Editor);
    let request = CreateUploadRequest {
        parent: fixture.organization.name(),
        upload: Some(sized(3)),
        upload_id: id.clone(),
        ..Default::default()
    };
    assert_eq!(refusal(read(uploads(&colleague).create_upload(request).await)), denied());
    assert_eq!(refusal(fixture.create(sized(3), "no id").await).0, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_another_organization_chose_too_leads_to_nobody_elses_bytes() {
    let fixture = Fixture::new().await;
    let id = new_id();
    let ours = fixture.create(sized(6), &id).await.expect("free");
    let ours = fixture.put(&ours.name, 0, b"secret").await.expect("valid");
    let other = Fixture { organization: fixture.system.organization(), ..fixture };
    let other = Fixture { editor: other.organization.user(proto::Role::Editor), ..other };
    let theirs = other.create(sized(6), &id).await.expect("free there");
    let theirs = other.put(&theirs.name, 0, b"public").await.expect("valid");
    assert_eq!(download(&other.files(), &theirs.file, &[]).await.expect("its owner").bytes, b"public");
    assert_eq!(refusal(get_file(&other.files(), &ours.file).await), denied());
}
