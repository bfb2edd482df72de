//! One small world for the tests: a mint, a verifier, two organizations, a user.
use std::time::Duration;

use api::{CallContext, Caller, Clock, Error, Id, Ids, OrganizationId, UserId};
use authz::{Acting, Credential, Directory, Keys, Mint, Revocations, Subject, Verifier, generate_key};
use bytes::Bytes;
use mesh::{Authorizer, Incoming, Peer};
use proto::{Method, Role};

pub(crate) const LIFE: Duration = Duration::from_secs(300);

pub(crate) struct World {
    pub(crate) mint: Mint,
    pub(crate) verifier: Verifier,
    /// The gateway's.
    pub(crate) edge: Verifier,
    pub(crate) clock: Clock,
    pub(crate) organization: OrganizationId,
    pub(crate) other: OrganizationId,
    pub(crate) user: UserId,
    pub(crate) session: String,
    /// Somebody who may act as the user.
    pub(crate) administrator: UserId,
}

impl World {
    pub(crate) fn new() -> Self {
        let (clock, ids) = (Clock::default(), Ids::default());
        let (private, _) = generate_key();
        let mint = Mint::new(&private, 7, clock.clone()).expect("a fresh key is a key");
        let revocations = Revocations::new(clock.clone());
        revocations.replace(0, Vec::new());
        let of = |name| Verifier::new(name, Keys::new(vec![mint.verify_key()]), revocations.clone(), clock.clone());
        let (verifier, edge) = (of("document"), of("gateway"));
        let (organization, other, user) = (OrganizationId(ids.next()), OrganizationId(ids.next()), UserId(ids.next()));
        let (session, administrator) = (ids.next().to_string(), UserId(ids.next()));
        Self { mint, verifier, edge, clock, organization, other, user, session, administrator }
    }

    /// Gives the verifier of documents a directory of custom roles.
    pub(crate) fn with_directory(&mut self) -> Directory {
        let directory = Directory::default();
        let (keys, revocations) = (self.verifier.keys().clone(), self.verifier.revocations().clone());
        self.verifier = Verifier::with_directory("document", keys, revocations, directory.clone(), self.clock.clone());
        directory
    }

    pub(crate) fn subject(&self, role: Option<Role>) -> Subject {
        Subject {
            user: self.user,
            organization: Some(self.organization),
            role,
            custom_roles: Vec::new(),
            credential: Credential::Session(self.session.clone()),
            client: "workos".to_owned(),
            scopes: vec!["*".to_owned()],
            acting: None,
            amr: vec!["pwd".to_owned()],
            acr: 1,
            auth_time: Some(self.clock.now()),
            methods: Vec::new(),
        }
    }

    /// The user, as whom the administrator acts out of his session `s1`.
    pub(crate) fn impersonated(&self, role: Option<Role>) -> Subject {
        let acting = Some(Acting::Person(self.administrator, "s1".to_owned()));
        Subject { acting, amr: Vec::new(), acr: 0, auth_time: None, ..self.subject(role) }
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
pub(crate) const SEARCH: &str = "search.v1.SearchService/Search";
pub(crate) const BATCH_READ: &str = "document.v1.DocumentService/BatchReadDocuments";
pub(crate) const EVENTS: &str = "events.v1.EventAdminService/GetRelayStatus";
pub(crate) const GET_USER: &str = "auth.v1.UserService/GetUser";
