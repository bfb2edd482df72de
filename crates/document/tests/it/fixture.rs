//! What the tests have in common: an organization with its people, short ways to make documents, and to read errors.
use api::{Error, Ids};
use proto::{
    Role,
    document::v1::{
        CreateDocumentRequest, CreateGrantRequest, Document, GetDocumentRequest, Grant, UpdateDocumentRequest,
        document::Content, document_service_client::DocumentServiceClient, grant,
    },
};
use testkit::{Organization, Person, System};
use tonic::Status;

pub(crate) type Client = DocumentServiceClient<mesh::client::Channel>;

/// A running document service and one organization.
pub(crate) struct Fixture {
    pub(crate) system: System,
    pub(crate) organization: Organization,
    pub(crate) editor: Person,
    pub(crate) documents: Client,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::over(System::start(&[&document::SERVICE]).await)
    }

    pub(crate) fn over(system: System) -> Self {
        let organization = system.organization();
        let editor = organization.user(Role::Editor);
        let documents = client(&editor);
        Self { system, organization, editor, documents }
    }

    /// The document service for somebody without a role.
    pub(crate) fn member(&self) -> (Person, Client) {
        let member = self.organization.member();
        let documents = client(&member);
        (member, documents)
    }

    /// A new document of the editor's.
    pub(crate) async fn document(&self, title: &str) -> Document {
        self.create(titled(title)).await.expect("a titled document can be created")
    }

    pub(crate) async fn create(&self, document: Document) -> Result<Document, Error> {
        let request =
            CreateDocumentRequest { parent: self.organization.name(), document: Some(document), ..Default::default() };
        read(self.documents.clone().create_document(request).await)
    }

    pub(crate) async fn get(&self, name: &str) -> Document {
        get(&self.documents, name).await.expect("the editor reads everything")
    }

    pub(crate) async fn update(&self, document: Document, paths: &[&str]) -> Result<Document, Error> {
        update(&self.documents, document, paths).await
    }

    /// Shares a document with somebody.
    pub(crate) async fn share(&self, document: &Document, principal: &str, role: grant::Role) -> Grant {
        let grant = Grant { principal: principal.to_owned(), role: role.into(), ..Default::default() };
        let request = CreateGrantRequest { parent: document.name.clone(), grant: Some(grant), ..Default::default() };
        read(self.documents.clone().create_grant(request).await).expect("the editor shares everything")
    }

    /// The events of one kind that were published, each with the version of its document.
    pub(crate) async fn published<E: proto::Event>(&self) -> Vec<(i64, E)> {
        let published = self.system.published("document", E::TYPE).await;
        published.into_iter().map(|event| (event.version, E::decode(event.payload).expect("our event"))).collect()
    }

    /// Counts rows, as the superuser.
    pub(crate) async fn count(&self, from: &str) -> i64 {
        let rows = self.system.sql(&format!("select count(*) from document.{from}")).await;
        let count = rows[0][0].as_deref().expect("a count is never null");
        count.parse().expect("a count is a number")
    }
}

/// The document service as somebody sees it.
pub(crate) fn client(person: &Person) -> Client {
    DocumentServiceClient::new(person.channel("document")).max_decoding_message_size(mesh::MESSAGE_BYTES_MAX)
}

pub(crate) async fn get(documents: &Client, name: &str) -> Result<Document, Error> {
    read(documents.clone().get_document(GetDocumentRequest { name: name.to_owned() }).await)
}

pub(crate) async fn update(documents: &Client, document: Document, paths: &[&str]) -> Result<Document, Error> {
    let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = (!paths.is_empty()).then_some(prost_types::FieldMask { paths });
    let request = UpdateDocumentRequest { document: Some(document), update_mask, ..Default::default() };
    read(documents.clone().update_document(request).await)
}

pub(crate) fn titled(title: &str) -> Document {
    Document { title: title.to_owned(), ..Default::default() }
}

pub(crate) fn text(text: &str) -> Option<Content> {
    Some(Content { media_type: String::new(), text: text.to_owned() })
}

/// A request id nobody has used.
pub(crate) fn request_id() -> String {
    Ids::default().next().uuid().to_string()
}

/// An id nobody has used.
pub(crate) fn new_id() -> String {
    Ids::default().next().to_string()
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
