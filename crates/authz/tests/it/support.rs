//! One small world for the tests: a mint, a verifier, two organizations, a user.
use std::time::Duration;

use api::{CallContext, Caller, Clock, Error, Id, Ids, OrganizationId, UserId};
use authz::{Credential, Keys, Mint, Revocations, Subject, Verifier, generate_key};
use bytes::Bytes;
use mesh::{Authorizer, Incoming, Narrower, Peer};
use proto::{Method, Role};

pub(crate) const LIFE: Duration = Duration::from_secs(300);

pub(crate) struct World {
    pub(crate) mint: Mint,
    pub(crate) verifier: Verifier,
    pub(crate) clock: Clock,
    pub(crate) organization: OrganizationId,
    pub(crate) other: OrganizationId,
    pub(crate) user: UserId,
    pub(crate) session: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let (clock, ids) = (Clock::default(), Ids::default());
        let (private, _) = generate_key();
        let mint = Mint::new(&private, 7, clock.clone()).expect("a fresh key is a key");
        let revocations = Revocations::new(clock.clone());
        revocations.replace(Vec::new());
        let verifier = Verifier::new("document", Keys::new(vec![mint.verify_key()]), revocations, clock.clone());
        let (organization, other, user) = (OrganizationId(ids.next()), OrganizationId(ids.next()), UserId(ids.next()));
        Self { mint, verifier, clock, organization, other, user, session: ids.next().to_string() }
    }

    pub(crate) fn subject(&self, role: Option<Role>) -> Subject {
        Subject {
            user: self.user,
            organization: Some(self.organization),
            role,
            credential: Credential::Session(self.session.clone()),
            client: "workos".to_owned(),
            scopes: vec!["*".to_owned()],
            acting: None,
            amr: vec!["pwd".to_owned()],
            auth_time: Some(self.clock.now()),
            methods: Vec::new(),
        }
    }

    pub(crate) fn token(&self, role: Option<Role>) -> Bytes {
        self.mint.mint(&self.subject(role), LIFE).expect("it fits")
    }

    pub(crate) fn call(&self, rpc: &str, token: Option<&Bytes>, resource: Option<&str>) -> Result<Caller, Error> {
        self.call_as("gateway", rpc, token, resource)
    }

    pub(crate) fn call_as(
        &self,
        peer: &str,
        rpc: &str,
        token: Option<&Bytes>,
        resource: Option<&str>,
    ) -> Result<Caller, Error> {
        let context = CallContext { method: rpc.to_owned(), ..CallContext::default() };
        self.verifier.authorize(Incoming { method: method(rpc), token, peer: &Peer::named(peer), resource, context })
    }

    /// A token that workflow narrowed to reading this document, after the gateway narrowed it to the start of a run.
    pub(crate) fn narrowed_twice(&self, document: &str) -> Bytes {
        let token = self.token(Some(Role::Owner));
        let at_workflow = self.verifier.narrow(&token, method(CREATE_RUN), None).expect("hop 1");
        self.verifier.narrow(&at_workflow, method(GET), Some(document)).expect("hop 2")
    }

    pub(crate) fn document(&self, organization: OrganizationId) -> String {
        format!("{}/documents/{}", organization.name(), Id::ZERO)
    }
}

/// A method by its short name, for example `document.v1.DocumentService/GetDocument`.
pub(crate) fn method(rpc: &str) -> &'static Method {
    proto::methods().get(&format!("/workos.{rpc}")).expect("the contract has this method")
}

pub(crate) const GET: &str = "document.v1.DocumentService/GetDocument";
pub(crate) const UPDATE: &str = "document.v1.DocumentService/UpdateDocument";
pub(crate) const CREATE_RUN: &str = "workflow.v1.RunService/CreateRun";
pub(crate) const SEARCH: &str = "search.v1.SearchService/Search";
pub(crate) const BATCH_READ: &str = "document.v1.DocumentService/BatchReadDocuments";
pub(crate) const EVENTS: &str = "events.v1.EventAdminService/GetRelayStatus";
pub(crate) const GET_USER: &str = "auth.v1.UserService/GetUser";
