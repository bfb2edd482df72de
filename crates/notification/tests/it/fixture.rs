//! What the tests have in common: an organization with its people, short ways to make events and to see what comes of them.
use api::{Error, Id};
use proto::{
    Role,
    document::v1::DocumentGrantsChanged,
    notification::v1::{
        CapturedMail, Delivery, InboxItem, ListCapturedMailsRequest, ListDeliveriesRequest, ListInboxItemsRequest,
        ListInboxItemsResponse, RedriveDeliveriesRequest, WatchInboxRequest, delivery::State,
        delivery_service_client::DeliveryServiceClient, inbox_service_client::InboxServiceClient,
    },
    workflow::v1::TaskCreated,
};
use testkit::{Builder, Organization, Person, System, eventually};
use tonic::{Request, Status, Streaming};

use crate::{
    post_office::PostOffice,
    stage::{self, AUTH, DOCUMENT, Stage, WORKFLOW},
};

/// The service, what it hears of, and one organization.
pub(crate) struct Fixture {
    pub(crate) system: System,
    pub(crate) organization: Organization,
    pub(crate) admin: Person,
    pub(crate) stage: Stage,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::of(Self::builder()).await
    }

    pub(crate) fn builder() -> Builder {
        System::builder(&[&notification::SERVICE, &DOCUMENT, &WORKFLOW, &AUTH])
            .set("notification.poll", "50ms")
            .set("notification.backoff", "20ms")
            .set("notification.backoff_max", "100ms")
    }

    /// With mails that go to this server.
    pub(crate) fn sending(office: &PostOffice) -> Builder {
        Self::builder()
            .set("notification.smtp_host", "127.0.0.1")
            .set("notification.smtp_port", office.port())
            .set("notification.smtp_security", "none")
    }

    pub(crate) async fn of(builder: Builder) -> Self {
        let system = builder.start().await;
        let organization = system.organization();
        let admin = organization.user(Role::Admin);
        let stage = stage::of(system.data_dir());
        Self { system, organization, admin, stage }
    }

    /// A member with a mail address.
    pub(crate) fn member(&self, address: &str) -> Person {
        let person = self.organization.member();
        self.stage.join(&self.organization.name(), &person.name(), address, "Anna");
        person
    }

    /// Shares a document with somebody; mails about it are not sent again when uncertain.
    pub(crate) async fn share(&self, person: &Person, title: &str) -> Id {
        self.stage.publisher("document").publish(self.organization.id(), &self.shared(person, title), "users/x").await
    }

    pub(crate) fn shared(&self, person: &Person, title: &str) -> DocumentGrantsChanged {
        let name = format!("{}/documents/{}", self.organization.name(), api::Ids::default().next());
        DocumentGrantsChanged {
            name,
            title: title.to_owned(),
            gained: vec![person.name()],
            lost: Vec::new(),
            relations: None,
        }
    }

    /// Gives a task to somebody; mails about it are sent again when uncertain.
    pub(crate) async fn task(&self, assignee: &str, title: &str) {
        let name = |kind: &str| format!("{}/{kind}/{}", self.organization.name(), api::Ids::default().next());
        let event = TaskCreated {
            name: name("tasks"),
            run: name("runs"),
            assignee: assignee.to_owned(),
            subject: name("documents"),
            title: title.to_owned(),
        };
        self.stage.publisher("workflow").publish(self.organization.id(), &event, "workloads/workflow").await;
    }

    pub(crate) fn inbox_name(&self) -> String {
        format!("{}/users/me", self.organization.name())
    }

    pub(crate) async fn inbox(&self, person: &Person) -> ListInboxItemsResponse {
        let request = ListInboxItemsRequest { parent: self.inbox_name(), page_size: 1000, ..Default::default() };
        read(inboxes(person).list_inbox_items(request).await).expect("everybody has an inbox")
    }

    /// Waits until somebody's inbox has so many items; gives them oldest first.
    pub(crate) async fn until_items(&self, person: &Person, count: usize) -> Vec<InboxItem> {
        let mut items = eventually("the inbox has them", || async {
            let items = self.inbox(person).await.inbox_items;
            if items.len() == count { Ok(items) } else { Err(items.len()) }
        })
        .await;
        items.reverse();
        items
    }

    pub(crate) async fn mails(&self) -> Result<Vec<CapturedMail>, Error> {
        let request =
            ListCapturedMailsRequest { parent: self.organization.name(), page_size: 1000, ..Default::default() };
        let answer = read(deliveries(&self.admin).list_captured_mails(request).await);
        answer.map(|answer| answer.captured_mails)
    }

    pub(crate) async fn deliveries(&self) -> Vec<Delivery> {
        let request = ListDeliveriesRequest { parent: self.organization.name(), page_size: 1000, ..Default::default() };
        read(deliveries(&self.admin).list_deliveries(request).await).expect("an administrator may ask").deliveries
    }

    /// Waits until the only delivery is as wanted.
    pub(crate) async fn until_delivery(&self, is_so: impl Fn(&Delivery) -> bool) -> Delivery {
        eventually("the delivery comes so far", || async {
            let deliveries = self.deliveries().await;
            match deliveries.as_slice() {
                [delivery] if is_so(delivery) => Ok(delivery.clone()),
                _ => Err(deliveries),
            }
        })
        .await
    }

    pub(crate) async fn until_state(&self, state: State) -> Delivery {
        self.until_delivery(|delivery| delivery.state() == state).await
    }

    pub(crate) async fn redrive(&self, names: &[String]) -> Result<i32, Error> {
        let request = RedriveDeliveriesRequest { parent: self.organization.name(), names: names.to_vec() };
        read(deliveries(&self.admin).redrive_deliveries(request).await).map(|answer| answer.redriven_count)
    }

    /// Versions of the events of one kind.
    pub(crate) async fn published(&self, kind: &str) -> Vec<i64> {
        self.system.published("notification", kind).await.into_iter().map(|event| event.version).collect()
    }

    pub(crate) async fn watch(
        &self,
        person: &Person,
        after_sequence: Option<i64>,
        last_event_id: Option<&str>,
    ) -> Result<Streaming<InboxItem>, Error> {
        let mut request = Request::new(WatchInboxRequest { parent: self.inbox_name(), after_sequence });
        if let Some(last) = last_event_id {
            request.metadata_mut().insert("last-event-id", last.parse().expect("ASCII"));
        }
        read(inboxes(person).watch_inbox(request).await)
    }
}

pub(crate) fn inboxes(person: &Person) -> InboxServiceClient<mesh::client::Channel> {
    InboxServiceClient::new(person.channel("notification"))
}

pub(crate) fn deliveries(person: &Person) -> DeliveryServiceClient<mesh::client::Channel> {
    DeliveryServiceClient::new(person.channel("notification"))
}

pub(crate) fn read<T>(answer: Result<tonic::Response<T>, Status>) -> Result<T, Error> {
    answer.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status))
}

/// Code and reason of a refusal.
pub(crate) fn refusal<T>(answer: Result<T, Error>) -> (api::Code, String) {
    match answer {
        Ok(_) => panic!("it must be refused"),
        Err(error) => (error.code(), error.reason().to_owned()),
    }
}
