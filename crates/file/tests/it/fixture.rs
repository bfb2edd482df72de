//! What the tests have in common: an organization with its people, short ways to upload and download, and to read errors.
use std::path::PathBuf;

use api::{Error, Ids};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use proto::{
    Role,
    file::v1::{
        AppendUploadRequest, CreateUploadRequest, File, GetFileRequest, GetUploadRequest, ReadFileRequest, Upload,
        append_upload_request::{Finish, Start, Step},
        file_service_client::FileServiceClient,
        upload_service_client::UploadServiceClient,
    },
};
use sha2::{Digest, Sha256};
use testkit::{Organization, Person, System};
use tokio::sync::oneshot;
use tonic::{Request, Status, metadata::MetadataMap};

pub(crate) type Uploads = UploadServiceClient<mesh::client::Channel>;
pub(crate) type Files = FileServiceClient<mesh::client::Channel>;

/// Bytes in one message of a test.
const CHUNK: usize = 64 * 1024;

/// A running file service and one organization.
pub(crate) struct Fixture {
    pub(crate) system: System,
    pub(crate) organization: Organization,
    pub(crate) editor: Person,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::over(System::start(&[&file::SERVICE, &document::SERVICE]).await)
    }

    pub(crate) fn over(system: System) -> Self {
        let organization = system.organization();
        let editor = organization.user(Role::Editor);
        Self { system, organization, editor }
    }

    /// The editor's uploads, over a connection and a token of now.
    pub(crate) fn uploads(&self) -> Uploads {
        uploads(&self.editor)
    }

    /// The editor's files.
    pub(crate) fn files(&self) -> Files {
        files(&self.editor)
    }

    /// A new upload of the editor's.
    pub(crate) async fn upload(&self, length: usize) -> Upload {
        self.create(sized(length), "").await.expect("an editor uploads")
    }

    pub(crate) async fn create(&self, upload: Upload, upload_id: &str) -> Result<Upload, Error> {
        let request = CreateUploadRequest {
            parent: self.organization.name(),
            upload: Some(upload),
            upload_id: upload_id.to_owned(),
            ..Default::default()
        };
        read(self.uploads().create_upload(request).await)
    }

    pub(crate) async fn put(&self, name: &str, offset: usize, bytes: &[u8]) -> Result<Upload, Error> {
        append(&self.uploads(), whole(name, offset, bytes)).await
    }

    pub(crate) async fn offset(&self, name: &str) -> Result<usize, Error> {
        let upload = get(&self.uploads(), name).await?;
        Ok(usize::try_from(upload.offset_bytes).expect("an offset is never negative"))
    }

    /// A file of the editor's.
    pub(crate) async fn file(&self, bytes: &[u8]) -> File {
        let upload = self.upload(bytes.len()).await;
        let done = match bytes {
            [] => upload,
            _ => self.put(&upload.name, 0, bytes).await.expect("all bytes fit"),
        };
        get_file(&self.files(), &done.file).await.expect("it is the editor's")
    }

    /// What the service keeps in a folder of its own.
    pub(crate) fn stored(&self, folder: &str) -> Vec<PathBuf> {
        let root = self.system.data_dir().join("file").join(folder);
        let entries = std::fs::read_dir(root).expect("the folder is there");
        let mut all = Vec::new();
        for path in entries.map(|entry| entry.expect("listed").path()) {
            match std::fs::read_dir(&path) {
                Ok(below) => all.extend(below.map(|entry| entry.expect("listed").path())),
                Err(_) => all.push(path),
            }
        }
        all
    }

    /// Runs SQL that gives one number.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let rows = self.system.sql(sql).await;
        rows[0][0].as_deref().expect("it is not null").parse().expect("it is a number")
    }

    pub(crate) async fn published<E: proto::Event>(&self) -> Vec<(i64, E)> {
        let published = self.system.published("file", E::TYPE).await;
        published.into_iter().map(|event| (event.version, E::decode(event.payload).expect("our event"))).collect()
    }
}

pub(crate) fn uploads(person: &Person) -> Uploads {
    UploadServiceClient::new(person.channel("file"))
}

pub(crate) fn files(person: &Person) -> Files {
    FileServiceClient::new(person.channel("file")).max_decoding_message_size(mesh::MESSAGE_BYTES_MAX)
}

pub(crate) fn sized(length: usize) -> Upload {
    Upload {
        length_bytes: Some(i64::try_from(length).expect("small")),
        display_name: "a.bin".to_owned(),
        ..Default::default()
    }
}

pub(crate) async fn get(uploads: &Uploads, name: &str) -> Result<Upload, Error> {
    read(uploads.clone().get_upload(GetUploadRequest { name: name.to_owned() }).await)
}

pub(crate) async fn get_file(files: &Files, name: &str) -> Result<File, Error> {
    read(files.clone().get_file(GetFileRequest { name: name.to_owned() }).await)
}

pub(crate) async fn append(uploads: &Uploads, messages: Vec<AppendUploadRequest>) -> Result<Upload, Error> {
    read(uploads.clone().append_upload(stream::iter(messages)).await)
}

fn message(step: Step) -> AppendUploadRequest {
    AppendUploadRequest { step: Some(step) }
}

pub(crate) fn start(name: &str, offset: usize) -> AppendUploadRequest {
    message(Step::Start(Start { name: name.to_owned(), offset_bytes: i64::try_from(offset).expect("small") }))
}

pub(crate) fn chunk(bytes: &[u8]) -> AppendUploadRequest {
    message(Step::Chunk(Bytes::copy_from_slice(bytes)))
}

pub(crate) fn finish() -> AppendUploadRequest {
    message(Step::Finish(Finish {}))
}

/// All messages but `finish`.
pub(crate) fn cut(name: &str, offset: usize, bytes: &[u8]) -> Vec<AppendUploadRequest> {
    [start(name, offset)].into_iter().chain(bytes.chunks(CHUNK).map(chunk)).collect()
}

/// All messages.
pub(crate) fn whole(name: &str, offset: usize, bytes: &[u8]) -> Vec<AppendUploadRequest> {
    let mut messages = cut(name, offset, bytes);
    messages.push(finish());
    messages
}

/// A stream that says when all its messages were taken, and then stays open.
pub(crate) fn hanging(
    messages: Vec<AppendUploadRequest>,
) -> (oneshot::Receiver<()>, impl Stream<Item = AppendUploadRequest> + Send + 'static) {
    let (taken, all_taken) = oneshot::channel();
    let end = stream::once(async move {
        let _gone = taken.send(());
        std::future::pending::<AppendUploadRequest>().await
    });
    (all_taken, stream::iter(messages).chain(end))
}

/// A download with its headers.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) metadata: MetadataMap,
    pub(crate) content_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Download {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.metadata.get(name).map_or("", |value| value.to_str().expect("headers are ASCII"))
    }
}

pub(crate) async fn download(files: &Files, name: &str, headers: &[(&'static str, &str)]) -> Result<Download, Error> {
    let mut request = Request::new(ReadFileRequest { name: name.to_owned() });
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().expect("headers are ASCII"));
    }
    let answer = files.clone().read_file(request).await.map_err(|status| Error::from_status(&status))?;
    let (metadata, mut pieces, _) = answer.into_parts();
    let (mut content_type, mut bytes) = (String::new(), Vec::new());
    while let Some(piece) = pieces.message().await.map_err(|status| Error::from_status(&status))? {
        content_type.push_str(&piece.content_type);
        bytes.extend_from_slice(&piece.data);
    }
    Ok(Download { metadata, content_type, bytes })
}

/// Bytes that say where they belong: none of them can stand at another place unseen.
pub(crate) fn sample(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An id nobody has used.
pub(crate) fn new_id() -> String {
    Ids::default().next().to_string()
}

/// A request id nobody has used.
pub(crate) fn request_id() -> String {
    Ids::default().next().uuid().to_string()
}

pub(crate) fn read<T>(answer: Result<tonic::Response<T>, Status>) -> Result<T, Error> {
    answer.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
}

/// Code and reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> (api::Code, String) {
    let error = answer.expect_err("it must be refused");
    assert!(!error.message().is_empty());
    (error.code(), error.reason().to_owned())
}

/// What hides everything from who may not see it.
pub(crate) fn denied() -> (api::Code, String) {
    (api::Code::PermissionDenied, "ACCESS_DENIED".to_owned())
}
