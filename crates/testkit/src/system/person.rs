//! Who calls: persons of organizations with minted tokens, and workloads.
use std::{sync::Arc, time::Duration};

use api::{CallContext, OrganizationId, UserId, timestamp};
use authz::{Credential, Subject};
use bytes::Bytes;
use mesh::client::Channel;
use proto::{Role, auth::v1::list_user_groups_response::Link};

use super::World;

/// Life of a minted token; a new one is minted per channel.
const LIFE: Duration = Duration::from_secs(600);

/// An organization.
#[derive(Clone)]
pub struct Organization {
    world: Arc<World>,
    id: OrganizationId,
}

impl Organization {
    pub(super) fn new(world: Arc<World>, id: OrganizationId) -> Organization {
        Organization { world, id }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> OrganizationId {
        self.id
    }

    /// `organizations/{id}`.
    #[must_use]
    pub fn name(&self) -> String {
        self.id.name()
    }

    /// A new person with this role.
    #[must_use]
    pub fn user(&self, role: Role) -> Person {
        self.person(UserId(self.world.ids.next()), Some(role))
    }

    /// A new person without a role: sees only what is shared.
    #[must_use]
    pub fn member(&self) -> Person {
        self.person(UserId(self.world.ids.next()), None)
    }

    /// This person in this organization.
    #[must_use]
    pub fn person(&self, user: UserId, role: Option<Role>) -> Person {
        let session = self.world.ids.next().to_string();
        Person { world: Arc::clone(&self.world), organization: self.id, user, role, session }
    }
}

/// A person with a token, who calls through the gateway's name.
#[derive(Clone)]
pub struct Person {
    world: Arc<World>,
    organization: OrganizationId,
    user: UserId,
    role: Option<Role>,
    session: String,
}

impl Person {
    /// The person's id.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.user
    }

    /// `users/{id}`.
    #[must_use]
    pub fn name(&self) -> String {
        self.user.name()
    }

    /// The organization the token is good in.
    #[must_use]
    pub fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// From now on in these groups, `organizations/{o}/groups/{g}`, and no others.
    pub fn set_groups(&self, groups: &[&str]) {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        self.world.regroup((self.organization, self.user), |there| there.groups = groups);
    }

    /// From now on a holder of these links, `organizations/{o}/links/{l}`, for so long, and of no others.
    pub fn set_links(&self, links: &[&str], life: Duration) {
        let expire_time = Some(timestamp(self.world.clock.now() + life));
        let link = |name: &&str| Link { name: (*name).to_owned(), expire_time };
        let links = links.iter().map(link).collect();
        self.world.regroup((self.organization, self.user), |there| there.links = links);
    }

    /// Id of the session the token rests on, as revocations name it.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// A fresh token.
    ///
    /// # Panics
    /// Never: the subject is small.
    #[must_use]
    pub fn token(&self) -> Bytes {
        let subject = Subject {
            user: self.user,
            organization: Some(self.organization),
            role: self.role,
            custom_roles: Vec::new(),
            credential: Credential::Session(self.session.clone()),
            client: "workos-cli".to_owned(),
            scopes: vec!["*".to_owned()],
            acting: None,
            amr: vec!["pwd".to_owned()],
            acr: 1,
            auth_time: Some(self.world.clock.now()),
            methods: Vec::new(),
        };
        self.world.mint.mint(&subject, LIFE).expect("the subject fits into a token")
    }

    /// Calls a service as this person: as the gateway does, with the token narrowed to each call.
    #[must_use]
    pub fn channel(&self, service: &str) -> Channel {
        let context = CallContext::background("test", &self.world.ids);
        self.channel_in(service, &context)
    }

    /// Calls a service as this person under a context of the test's own: request id, trace, deadline.
    #[must_use]
    pub fn channel_in(&self, service: &str, context: &CallContext) -> Channel {
        self.world.mesh("gateway").with_token(service, self.token(), context)
    }
}

/// A workload that calls in its own name.
#[derive(Clone)]
pub struct Workload {
    world: Arc<World>,
    name: String,
}

impl Workload {
    pub(super) fn new(world: Arc<World>, name: &str) -> Workload {
        Workload { world, name: name.to_owned() }
    }

    /// Calls a service.
    #[must_use]
    pub fn channel(&self, service: &str) -> Channel {
        let context = CallContext::background("test", &self.world.ids);
        self.world.mesh(&self.name).as_workload(service, &context)
    }

    /// Calls a service in the name of a person, as a service does that passes a call on.
    #[must_use]
    pub fn channel_for(&self, service: &str, person: &Person) -> Channel {
        let context = CallContext::background("test", &self.world.ids);
        self.world.mesh(&self.name).with_token(service, person.token(), &context)
    }
}
