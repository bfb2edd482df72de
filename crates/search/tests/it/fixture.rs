//! What the tests have in common: an organization, owners with resources, short ways to search and to wait for the index.
use api::{Error, Ids, timestamp};
use proto::{
    Role,
    api::v1::IndexEntry,
    document::v1::{DocumentCreated, DocumentDeleted, DocumentUpdated},
    file::v1::FileCreated,
    search::v1::{
        GetSearchIndexRequest, SearchIndex, SearchRequest, SearchResponse, search_response::total::Relation,
        search_service_client::SearchServiceClient,
    },
};
use testkit::{Builder, Organization, Person, System};

use crate::owner::{self, DOCUMENT, FILE, Owner};

/// Search beside stand-ins for the owners.
pub(crate) struct Fixture {
    pub(crate) system: System,
    pub(crate) organization: Organization,
    pub(crate) viewer: Person,
    pub(crate) admin: Person,
    pub(crate) documents: Owner,
    pub(crate) files: Owner,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::of(Self::builder()).await
    }

    pub(crate) fn builder() -> Builder {
        System::builder(&[&search::SERVICE, &DOCUMENT, &FILE])
            .set("search.gather", "20ms")
            .set("search.commit_interval", "20ms")
    }

    pub(crate) async fn of(builder: Builder) -> Self {
        let system = builder.start().await;
        let organization = system.organization();
        let (viewer, admin) = (organization.user(Role::Viewer), organization.user(Role::Admin));
        let documents = owner::of(system.data_dir(), "document");
        let files = owner::of(system.data_dir(), "file");
        Self { system, organization, viewer, admin, documents, files }
    }

    /// A document that everybody with a role may read.
    pub(crate) fn document(&self, title: &str, body: &str) -> IndexEntry {
        self.entry("documents", title, body)
    }

    fn entry(&self, collection: &str, title: &str, body: &str) -> IndexEntry {
        let organization = self.organization.name();
        IndexEntry {
            name: format!("{organization}/{collection}/{}", Ids::default().next()),
            principals: vec![format!("{organization}#viewer")],
            title: title.to_owned(),
            body: body.to_owned(),
            media_type: "text/plain".to_owned(),
            folder: if collection == "documents" { format!("{organization}/folders/root") } else { String::new() },
            update_time: Some(timestamp(self.system.clock().now())),
            ..Default::default()
        }
    }

    /// Creates a document and tells the world.
    pub(crate) async fn create(&self, entry: IndexEntry) -> String {
        let name = entry.name.clone();
        let version = self.documents.hold(entry);
        self.documents.publish(&DocumentCreated { name: name.clone() }, version).await;
        name
    }

    /// Creates a file and tells the world.
    pub(crate) async fn create_file(&self, title: &str) -> String {
        let entry = IndexEntry { media_type: "image/png".to_owned(), ..self.entry("files", title, "") };
        let name = entry.name.clone();
        let version = self.files.hold(entry);
        self.files.publish(&FileCreated { name: name.clone() }, version).await;
        name
    }

    /// Changes a document and tells the world.
    pub(crate) async fn update(&self, name: &str, change: impl FnOnce(&mut IndexEntry)) {
        let version = self.documents.change(name, change);
        self.documents.publish(&DocumentUpdated { name: name.to_owned(), ..Default::default() }, version).await;
    }

    /// Deletes a document and tells the world.
    pub(crate) async fn delete(&self, name: &str) {
        let version = self.documents.change(name, |entry| entry.deleted = true);
        self.documents.publish(&DocumentDeleted { name: name.to_owned() }, version).await;
    }

    pub(crate) fn request(&self, query: &str) -> SearchRequest {
        SearchRequest { parent: self.organization.name(), query: query.to_owned(), ..Default::default() }
    }

    pub(crate) async fn try_search(&self, person: &Person, request: SearchRequest) -> Result<SearchResponse, Error> {
        let mut client = SearchServiceClient::new(person.channel("search"));
        read(client.search(request).await)
    }

    pub(crate) async fn search(&self, person: &Person, query: &str) -> SearchResponse {
        self.try_search(person, self.request(query)).await.expect("a valid search")
    }

    /// Names that the viewer finds, in order.
    pub(crate) async fn found(&self, query: &str) -> Vec<String> {
        names(&self.search(&self.viewer, query).await)
    }

    /// Waits until the viewer finds so many.
    pub(crate) async fn until_found(&self, query: &str, count: usize) -> SearchResponse {
        testkit::eventually("the index has it", || async {
            let answer = self.search(&self.viewer, query).await;
            if answer.results.len() == count { Ok(answer) } else { Err(names(&answer)) }
        })
        .await
    }

    /// The state of the index; it cannot be told for a moment after the broker was away.
    pub(crate) async fn index(&self) -> SearchIndex {
        testkit::eventually("the state of the index can be told", || async {
            let mut client = SearchServiceClient::new(self.admin.channel("search"));
            let name = format!("{}/searchIndex", self.organization.name());
            read(client.get_search_index(GetSearchIndexRequest { name }).await)
        })
        .await
    }
}

pub(crate) fn names(answer: &SearchResponse) -> Vec<String> {
    answer.results.iter().map(|result| result.name.clone()).collect()
}

/// The total, and whether it is exact.
pub(crate) fn total(answer: &SearchResponse) -> (i64, bool) {
    let total = answer.total.as_ref().expect("every answer has a total");
    (total.value, total.relation() == Relation::Exact)
}

pub(crate) fn read<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Result<T, Error> {
    answer.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
}
