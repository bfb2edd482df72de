//! The walls: between organizations, and around what only workloads may read.
use api::{Code, Error};
use proto::{
    Role,
    api::v1::IndexView,
    file::v1::{
        BatchReadFilesRequest, CreateUploadRequest, DeleteFileRequest, DeleteUploadRequest, GetFileRequest,
        GetUploadRequest, ListFilesRequest, ReadFileRequest,
    },
};
use testkit::conformance;

use crate::fixture::{Fixture, append, files, new_id, read, refusal, sized, uploads, whole};

/// Calls every RPC of persons about these resources and gives the errors.
async fn refusals(person: &testkit::Person, organization: &str, id: &str) -> Vec<(&'static str, Error)> {
    let (uploads, files) = (uploads(person), files(person));
    let (upload, file) = (format!("{organization}/uploads/{id}"), format!("{organization}/files/{id}"));
    let mut refusals = Vec::new();
    macro_rules! call {
        ($client:ident.$method:ident($request:expr)) => {
            let answer = $client.clone().$method($request).await.map(drop);
            let error = Error::from_status(&answer.expect_err(stringify!($method)));
            refusals.push((stringify!($method), error));
        };
    }
    let parent = organization.to_owned();
    call!(uploads.create_upload(CreateUploadRequest {
        parent: parent.clone(),
        upload: Some(sized(1)),
        ..Default::default()
    }));
    call!(uploads.get_upload(GetUploadRequest { name: upload.clone() }));
    call!(uploads.delete_upload(DeleteUploadRequest { name: upload.clone() }));
    call!(files.get_file(GetFileRequest { name: file.clone() }));
    call!(files.list_files(ListFilesRequest { parent, ..Default::default() }));
    call!(files.read_file(ReadFileRequest { name: file.clone() }));
    call!(files.delete_file(DeleteFileRequest { name: file, ..Default::default() }));
    let appended = append(&uploads, whole(&upload, 0, b"x")).await;
    refusals.push(("append_upload", appended.expect_err("append_upload")));
    refusals
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_tenant_hears_the_same_refusal_from_every_rpc() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let id = file.name.rsplit('/').next().expect("a name has segments");
    let stranger = fixture.system.organization().user(Role::Owner);
    for (organization, id) in [(fixture.organization.name(), id), (fixture.organization.name(), new_id().as_str())] {
        for (method, error) in refusals(&stranger, &organization, id).await {
            assert_eq!((error.code(), error.reason()), (Code::PermissionDenied, "ACCESS_DENIED"), "{method}");
        }
    }
    assert_eq!(conformance::foreign_tenant(&fixture.system, &["file"]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_for_workloads_alone_bounded_and_in_order() {
    let fixture = Fixture::new().await;
    let file = fixture.file(b"hello").await;
    let absent = |_| format!("{}/files/{}", fixture.organization.name(), new_id());
    let names: Vec<_> = (0..999).map(absent).chain([file.name.clone()]).collect();
    let request = |names: &[String]| BatchReadFilesRequest {
        parent: fixture.organization.name(),
        names: names.to_vec(),
        view: IndexView::Access.into(),
    };
    let search = fixture.system.as_workload("search").channel("file");
    let mut search = crate::fixture::Files::new(search).max_decoding_message_size(mesh::MESSAGE_BYTES_MAX);
    let entries = read(search.batch_read_files(request(&names)).await).expect("a thousand").entries;
    assert_eq!(entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>(), names);
    assert!(entries[..999].iter().all(|entry| entry.deleted && entry.version == 0));
    let found = &entries[999];
    assert_eq!((found.deleted, found.version, found.title.as_str()), (false, 1, ""));
    let by_role = ["viewer", "file:read"].map(|held| format!("{}#{held}", fixture.organization.name()));
    assert_eq!(found.principals, [[fixture.editor.name()].as_slice(), &by_role].concat());
    let full = BatchReadFilesRequest { view: IndexView::Full.into(), ..request(&names[999..]) };
    let entries = read(search.batch_read_files(full).await).expect("one").entries;
    assert_eq!((entries[0].title.as_str(), entries[0].media_type.as_str()), ("a.bin", "application/octet-stream"));
    let many: Vec<_> = names.iter().cloned().chain([file.name.clone()]).collect();
    assert_eq!(refusal(read(search.batch_read_files(request(&many)).await)).0, Code::InvalidArgument);
    let foreign = [format!("{}/files/{}", fixture.system.organization().name(), new_id())];
    assert_eq!(refusal(read(search.batch_read_files(request(&foreign)).await)).0, Code::InvalidArgument);
    let person = refusal(read(fixture.files().batch_read_files(request(&names)).await));
    assert_eq!(person, (Code::PermissionDenied, "PEER_DENIED".to_owned()));
}
