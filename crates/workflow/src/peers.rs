//! Calls to other services. Their messages stop here.
use std::collections::{BTreeSet, HashSet};

use api::{CallContext, Caller, Code, OrganizationId, UserId, timestamp};
use mesh::client::{Channel, Mesh};
use proto::{
    auth::v1::{
        BatchReadUsersRequest, CreateDelegationRequest, Delegation, DeleteDelegationRequest, ExchangeDelegationRequest,
        delegation_service_client::DelegationServiceClient, token_service_client::TokenServiceClient,
        user_service_client::UserServiceClient,
    },
    document::v1::{Document, GetDocumentRequest, document::State, document_service_client::DocumentServiceClient},
};
use time::OffsetDateTime;

use crate::{
    error::Error,
    model::{DocumentName, RunName},
};

/// What the steps of a run may do in the name of its creator.
const METHODS: [&str; 1] = ["workos.document.v1.DocumentService/GetDocument"];

/// The services that runs need.
pub(crate) struct Peers {
    mesh: Mesh,
}

/// What a run keeps of its document.
pub(crate) struct Pinned {
    pub(crate) revision: i64,
    pub(crate) title: String,
}

impl Peers {
    /// Calls over this mesh.
    pub(crate) fn new(mesh: Mesh) -> Self {
        Self { mesh }
    }

    /// Reads the document as the caller. One that is hidden, absent or in the trash cannot be approved.
    pub(crate) async fn document(&self, caller: &Caller, name: DocumentName) -> Result<Pinned, Error> {
        let refused = || Error::InputInvalid {
            field: "document",
            problem: "does not exist, lies in the trash, or you may not read it; name a document that you can read"
                .to_owned(),
        };
        match self.read(self.mesh.for_caller("document", caller), name).await {
            Ok(document) if document.state() == State::Deleted => Err(refused()),
            Ok(document) => Ok(Pinned { revision: document.head_revision, title: document.title }),
            Err(error) if is_hidden(&error) => Err(refused()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that the document can still be read by the delegation.
    pub(crate) async fn check_document(
        &self,
        delegation: &str,
        name: DocumentName,
        context: &CallContext,
    ) -> Result<(), Error> {
        let request = ExchangeDelegationRequest { delegation: delegation.to_owned() };
        let mut tokens = TokenServiceClient::new(self.mesh.as_workload("auth", context));
        let token = match tokens.exchange_delegation(request).await.map_err(api::Error::from) {
            Ok(answer) => answer.into_inner().token,
            Err(error) if is_refusal(&error) => {
                let why = "the creator of the run is no longer a member of the organization, or the delegation of the run has ended";
                return Err(Error::StepRefused(why.to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        let gone = |what: &str| Err(Error::StepRefused(format!("{name} {what}")));
        match self.read(self.mesh.with_token("document", token, context), name).await {
            Ok(document) if document.state() == State::Deleted => gone("was moved to the trash"),
            Ok(_) => Ok(()),
            Err(error) if is_refusal(&error) => gone("was deleted, or the creator of the run may no longer read it"),
            Err(error) => Err(error.into()),
        }
    }

    /// Those of the people who are not members of the organization.
    pub(crate) async fn strangers(
        &self,
        organization: OrganizationId,
        people: &BTreeSet<UserId>,
        context: &CallContext,
    ) -> Result<Vec<UserId>, Error> {
        let names = people.iter().map(|user| user.name()).collect();
        let request = BatchReadUsersRequest { organization: organization.name(), names };
        let answer = UserServiceClient::new(self.mesh.as_workload("auth", context)).batch_read_users(request).await;
        let users = answer.map_err(api::Error::from)?.into_inner().users;
        let known: HashSet<_> = users.into_iter().map(|user| user.name).collect();
        Ok(people.iter().copied().filter(|user| !known.contains(&user.name())).collect())
    }

    /// Lets this service act for the caller in one run until a time; gives the name of the delegation.
    pub(crate) async fn delegate(
        &self,
        caller: &Caller,
        run: RunName,
        expire_time: OffsetDateTime,
    ) -> Result<String, Error> {
        let delegation = Delegation {
            purpose: run.to_string(),
            methods: METHODS.map(str::to_owned).to_vec(),
            expire_time: Some(timestamp(expire_time)),
            ..Default::default()
        };
        let request = CreateDelegationRequest {
            parent: run.organization.name(),
            delegation: Some(delegation),
            request_id: String::new(),
        };
        let answer =
            DelegationServiceClient::new(self.mesh.for_caller("auth", caller)).create_delegation(request).await;
        Ok(answer.map_err(api::Error::from)?.into_inner().name)
    }

    /// Ends a delegation; one that has ended is fine.
    pub(crate) async fn release(&self, delegation: &str, context: &CallContext) -> Result<(), Error> {
        let request = DeleteDelegationRequest { name: delegation.to_owned() };
        let mut client = DelegationServiceClient::new(self.mesh.as_workload("auth", context));
        match client.delete_delegation(request).await.map_err(api::Error::from) {
            Ok(_) => Ok(()),
            Err(error) if is_refusal(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn read(&self, channel: Channel, name: DocumentName) -> Result<Document, api::Error> {
        let mut client = DocumentServiceClient::new(channel).max_decoding_message_size(mesh::MESSAGE_BYTES_MAX);
        let answer = client.get_document(GetDocumentRequest { name: name.to_string() }).await;
        answer.map(tonic::Response::into_inner).map_err(api::Error::from)
    }
}

/// Hidden and absent are one for the caller; that a service is away is not his mistake.
fn is_hidden(error: &api::Error) -> bool {
    matches!(error.code(), Code::NotFound | Code::PermissionDenied)
}

/// No repetition helps.
fn is_refusal(error: &api::Error) -> bool {
    matches!(error.code(), Code::NotFound | Code::PermissionDenied | Code::FailedPrecondition | Code::InvalidArgument)
}
