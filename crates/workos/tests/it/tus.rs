//! Resumable uploads over HTTP as tus 1.0.0 states them (tus.io/protocols/resumable-upload); numbers are those of file.md.
use http::Method;
use serde_json::json;

use crate::{
    client::{Answer, Call, Client},
    person::SYSTEM,
    platform::{Shared, shared},
};

const CHUNK: &str = "application/offset+octet-stream";

/// The owner at the edge's door for uploads.
pub(crate) struct Uploads {
    pub(crate) client: Client,
    pub(crate) organization: String,
}

/// With the version that every request but OPTIONS needs.
pub(crate) fn versioned(call: Call) -> Call {
    call.header("tus-resumable", "1.0.0")
}

impl Uploads {
    async fn of(shared: &Shared) -> Uploads {
        let client = shared.owner.sign_in(&shared.platform.client()).await;
        Uploads { client, organization: shared.owner.organization.clone() }
    }

    fn collection(&self) -> String {
        format!("/tus/{}/uploads", self.organization)
    }

    /// Begins an upload and gives its path.
    pub(crate) async fn begin(&self, length: usize, metadata: &str) -> String {
        let call =
            versioned(self.client.call(Method::POST, self.collection())).header("upload-length", length.to_string());
        let call = if metadata.is_empty() { call } else { call.header("upload-metadata", metadata) };
        let answer = call.send().await;
        assert_eq!(answer.status, 201, "{}", answer.show());
        location(&answer)
    }

    pub(crate) async fn append(&self, path: &str, offset: usize, bytes: impl Into<bytes::Bytes>) -> Answer {
        let call = versioned(self.client.call(Method::PATCH, path)).header("upload-offset", offset.to_string());
        call.body(CHUNK, bytes).send().await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        versioned(self.client.call(Method::HEAD, path)).send().await
    }

    async fn offset_is(&self, path: &str, offset: usize) {
        let answer = self.head(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("upload-offset")), (200, offset.to_string().as_str()));
    }
}

/// The path of a created upload.
fn location(answer: &Answer) -> String {
    let location = answer.header("location");
    location
        .find("/tus/")
        .map(|at| location[at..].to_owned())
        .unwrap_or_else(|| panic!("no location: {}", answer.show()))
}

#[tokio::test]
async fn fil_01_options_tell_version_extensions_and_limit_to_anybody() {
    let shared = shared().await;
    let path = format!("/tus/{}/uploads", shared.owner.organization);
    let answer = shared.platform.client().call(Method::OPTIONS, path).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("tus-version")), (204, "1.0.0"));
    assert_eq!(answer.header("tus-extension"), "creation,termination");
    assert_eq!(answer.header("tus-max-size").parse(), Ok(16_u64 << 30));
    assert_eq!(answer.header("tus-resumable"), "");
}

#[tokio::test]
async fn fil_02_a_creation_without_the_version_is_refused_and_creates_nothing() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let call = uploads.client.call(Method::POST, uploads.collection()).header("upload-length", "424201");
    let answer = call.send().await;
    answer.is_refused(412, "TUS_VERSION_UNSUPPORTED");
    assert_eq!((answer.header("tus-version"), answer.header("tus-resumable")), ("1.0.0", "1.0.0"));
    assert_eq!(shared.platform.site().count("select count(*) from file.uploads where length_bytes = 424201").await, 0);
}

#[tokio::test]
async fn fil_03_a_creation_of_another_version_is_refused() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let call = uploads.client.call(Method::POST, uploads.collection()).header("tus-resumable", "0.2.2");
    let answer = call.header("upload-length", "424202").send().await;
    answer.is_refused(412, "TUS_VERSION_UNSUPPORTED");
    assert_eq!(answer.header("tus-version"), "1.0.0");
    assert_eq!(shared.platform.site().count("select count(*) from file.uploads where length_bytes = 424202").await, 0);
}

#[tokio::test]
async fn fil_04_a_creation_gives_a_location_and_offset_zero() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let call = versioned(uploads.client.call(Method::POST, uploads.collection())).header("upload-length", "100");
    let answer = call.send().await;
    assert_eq!((answer.status.as_u16(), answer.header("upload-offset")), (201, "0"));
    assert_eq!(answer.header("tus-resumable"), "1.0.0");
    uploads.offset_is(&location(&answer), 0).await;
}

#[tokio::test]
async fn fil_05_an_upload_of_nothing_is_complete_and_told_once() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let path = uploads.begin(0, "filename ZmlsLTA1").await;
    let head = uploads.head(&path).await;
    assert_eq!((head.header("upload-offset"), head.header("upload-length")), ("0", "0"));
    let upload = uploads.client.get(path.replace("/tus/", "/v1/")).good().await;
    let file = uploads.client.get(format!("/v1/{}", upload["file"].as_str().expect("it is complete"))).good().await;
    assert_eq!((file["displayName"].as_str(), file["state"].as_str()), (Some("fil-05"), Some("AVAILABLE")));
    let sql = "select count(*) from file.outbox_event o join file.files f on f.id = o.aggregate_id where f.display_name = 'fil-05' and o.type = 'file.created'";
    assert_eq!(shared.platform.site().count(sql).await, 1);
}

#[tokio::test]
async fn fil_06_a_creation_needs_a_length_and_no_deferred_one() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let creation = || versioned(uploads.client.call(Method::POST, uploads.collection()));
    creation().send().await.is_refused(400, "TUS_HEADER_INVALID");
    let both = creation().header("upload-length", "10").header("upload-defer-length", "1");
    both.send().await.is_refused(400, "TUS_HEADER_INVALID");
    for bad in ["-1", "+1", "1e3", "ten", "12345678901234567890"] {
        creation().header("upload-length", bad).send().await.is_refused(400, "TUS_HEADER_INVALID");
    }
}

#[tokio::test]
async fn fil_12_head_tells_offset_and_length_is_never_stored_and_has_no_body() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let path = uploads.begin(10, "filename ZmlsLTEy,empty,filetype dGV4dC9wbGFpbg==").await;
    assert_eq!(uploads.append(&path, 0, "1234").await.status, 204);
    let head = uploads.head(&path).await;
    assert_eq!((head.status.as_u16(), head.header("upload-offset"), head.header("upload-length")), (200, "4", "10"));
    assert_eq!((head.header("cache-control"), head.header("tus-resumable")), ("no-store", "1.0.0"));
    assert_eq!(head.header("upload-metadata"), "filename ZmlsLTEy,empty,filetype dGV4dC9wbGFpbg==");
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn fil_13_unknown_foreign_and_deleted_uploads_look_the_same() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let path = uploads.begin(10, "").await;
    let tokens = shared.owner.tokens(&shared.platform.client(), SYSTEM).await;
    let foreign =
        Uploads { client: shared.platform.client().with_token(&tokens.access), organization: SYSTEM.to_owned() };
    let unknown = format!("{}/{}", uploads.collection(), api::Ids::default().next());
    let member = shared.owner.member(&shared.platform.client(), "No Role", None).await;
    let member = Uploads { client: member.sign_in(&shared.platform.client()).await, organization: String::new() };
    let deleted = uploads.begin(10, "").await;
    let answer = versioned(uploads.client.delete(&deleted)).send().await;
    assert_eq!(answer.status, 204, "{}", answer.show());
    for answer in [
        uploads.head(&unknown).await,
        uploads.head(&deleted).await,
        uploads.head(&format!("{}/not-an-id", uploads.collection())).await,
        foreign.head(&path).await,
        member.head(&path).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.header("upload-offset")), (404, ""), "{}", answer.show());
        assert!(answer.body.is_empty());
    }
    uploads.offset_is(&path, 0).await;
}

#[tokio::test]
async fn fil_14_a_piece_at_the_right_offset_moves_it_by_its_length() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let path = uploads.begin(10, "").await;
    for (offset, piece, next) in [(0, "1234", "4"), (4, "", "4"), (4, "567890", "10")] {
        let answer = uploads.append(&path, offset, piece).await;
        assert_eq!((answer.status.as_u16(), answer.header("upload-offset")), (204, next), "{}", answer.show());
        assert_eq!(answer.header("tus-resumable"), "1.0.0");
    }
}

#[tokio::test]
async fn fil_15_a_piece_at_another_offset_is_refused_and_nothing_is_written() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let path = uploads.begin(10, "").await;
    assert_eq!(uploads.append(&path, 0, "1234").await.status, 204);
    for offset in [0, 3, 5, 10] {
        uploads.append(&path, offset, "xxxx").await.is_refused(409, "OFFSET_MISMATCH");
        uploads.offset_is(&path, 4).await;
    }
}

#[tokio::test]
async fn fil_16_a_piece_needs_a_plain_offset() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let path = uploads.begin(10, "").await;
    let piece = || versioned(uploads.client.call(Method::PATCH, &path)).body(CHUNK, "1234");
    piece().send().await.is_refused(400, "TUS_HEADER_INVALID");
    for bad in ["-1", "+0", "0x0", "", "00000000000000000000"] {
        piece().header("upload-offset", bad).send().await.is_refused(400, "TUS_HEADER_INVALID");
    }
    uploads.offset_is(&path, 0).await;
}

#[tokio::test]
async fn fil_17_a_piece_of_another_content_type_is_refused() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let path = uploads.begin(10, "").await;
    let piece = || versioned(uploads.client.call(Method::PATCH, &path)).header("upload-offset", "0");
    for kind in ["application/octet-stream", "text/plain", "application/json"] {
        piece().body(kind, "1234").send().await.is_refused(415, "CONTENT_TYPE_UNSUPPORTED");
    }
    uploads.offset_is(&path, 0).await;
}

#[tokio::test]
async fn fil_18_bytes_past_the_length_are_refused_and_do_not_move_the_offset() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let path = uploads.begin(10, "").await;
    uploads.append(&path, 0, "123456789012345").await.is_refused(413, "UPLOAD_TOO_LARGE");
    let head = uploads.head(&path).await;
    assert!(head.header("upload-offset").parse::<u64>().is_ok_and(|offset| offset <= 10), "{}", head.show());
    assert_eq!(head.header("upload-offset"), "0");
    let answer = uploads.append(&path, 0, "1234567890").await;
    assert_eq!((answer.status.as_u16(), answer.header("upload-offset")), (204, "10"));
    let upload = uploads.client.get(path.replace("/tus/", "/v1/")).good().await;
    let file = format!("/v1/{}:download", upload["file"].as_str().expect("it is complete"));
    assert_eq!(uploads.client.get(file).send().await.body, "1234567890");
}

#[tokio::test]
async fn fil_31_an_upload_that_was_ended_is_gone_for_every_request() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let path = uploads.begin(10, "").await;
    assert_eq!(uploads.append(&path, 0, "1234").await.status, 204);
    let end = || versioned(uploads.client.delete(&path));
    assert_eq!(end().send().await.status, 204);
    let again = [uploads.head(&path).await, uploads.append(&path, 4, "5678").await, end().send().await];
    for answer in again {
        assert!([404, 410].contains(&answer.status.as_u16()), "{}", answer.show());
        assert_eq!(answer.header("upload-offset"), "");
    }
}

#[tokio::test]
async fn file_names_are_data_and_never_a_path() {
    let shared = shared().await;
    let uploads = Uploads::of(shared).await;
    let path = format!("/v1/{}/uploads", uploads.organization);
    for name in ["../../etc/passwd", "/etc/passwd", "..", "C:\\autoexec.bat", "a;b&c|d", "🦀 ü.txt"] {
        let upload = uploads.client.post(&path, &json!({"lengthBytes": "4", "displayName": name})).good().await;
        let tus = format!("/tus/{}", upload["name"].as_str().expect("it has a name"));
        assert_eq!(uploads.append(&tus, 0, "data").await.status, 204);
        let done = uploads.client.get(tus.replace("/tus/", "/v1/")).good().await;
        let file = done["file"].as_str().expect("it is complete");
        let found = uploads.client.get(format!("/v1/{file}")).good().await;
        assert_eq!(found["displayName"], name);
        let content = uploads.client.get(format!("/v1/{file}:download")).send().await;
        assert_eq!((content.status.as_u16(), &content.body[..]), (200, &b"data"[..]));
        assert!(content.header("content-disposition").starts_with("attachment"), "{}", content.show());
    }
    for name in ["a\u{0}b", "a\nb", "\u{202e}gpj.exe", &"x".repeat(256)] {
        let answer = uploads.client.post(&path, &json!({"lengthBytes": "4", "displayName": name})).send().await;
        answer.is_refused(400, "FILE_NAME_INVALID");
    }
}
