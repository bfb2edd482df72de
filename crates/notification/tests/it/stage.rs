//! Stand-ins for the services around: document and workflow publish through real outboxes, auth says who is a member.
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use api::{CallContext, Error, Id, Ids, OrganizationId};
use chassis::{BootError, Kit, Mount, ServiceSpec};
use futures::future::BoxFuture;
use mesh::{Reply, reply};
use proto::auth::v1::{
    self as auth, BatchReadUsersRequest, BatchReadUsersResponse, User,
    user_service_server::{UserService, UserServiceServer},
};
use tonic::Request;

const TABLE: &[(&str, &str)] = &[("0001_nothing.sql", "select 1;")];

pub(crate) const DOCUMENT: ServiceSpec =
    ServiceSpec::new("document", boot_publisher).migrations(db::Migrations { service: "document", files: TABLE });
pub(crate) const WORKFLOW: ServiceSpec =
    ServiceSpec::new("workflow", boot_publisher).migrations(db::Migrations { service: "workflow", files: TABLE });
pub(crate) const AUTH: ServiceSpec = ServiceSpec::new("auth", boot_auth).without_events();

/// Stages by the folder of their system: boot knows no other way to the test that it belongs to.
static STAGES: LazyLock<Mutex<HashMap<PathBuf, Stage>>> = LazyLock::new(Mutex::default);

/// What the services around hold; clones share it, also over restarts of the system.
#[derive(Clone, Default)]
pub(crate) struct Stage(Arc<State>);

#[derive(Default)]
struct State {
    members: Mutex<BTreeMap<(String, String), User>>,
    auth_is_away: AtomicBool,
    publishers: Mutex<HashMap<&'static str, db::Db>>,
}

/// Writes events of one service, whether the system runs or not.
#[derive(Clone)]
pub(crate) struct Publisher(db::Db);

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stage of a system.
pub(crate) fn of(data_dir: &Path) -> Stage {
    let folder = data_dir.canonicalize().expect("the system has a folder");
    held(&STAGES).entry(folder).or_default().clone()
}

fn of_kit(kit: &Kit) -> Stage {
    of(kit.data_dir().parent().expect("a service's folder lies in that of the system"))
}

fn boot_publisher(kit: Kit, _: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        held(&of_kit(&kit).0.publishers).insert(kit.service(), kit.db());
        Ok(())
    })
}

fn boot_auth(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        mount.rpc(mesh::rpc!(UserServiceServer::new(of_kit(&kit))));
        Ok(())
    })
}

impl Stage {
    /// From now on this user is a member of the organization, with this address.
    pub(crate) fn join(&self, organization: &str, user: &str, email: &str, display_name: &str) {
        let (name, email, display_name) = (user.to_owned(), email.to_owned(), display_name.to_owned());
        let member = User { name, email, display_name, ..Default::default() };
        held(&self.0.members).insert((organization.to_owned(), user.to_owned()), member);
    }

    /// From now on this user is no member.
    pub(crate) fn leave(&self, organization: &str, user: &str) {
        held(&self.0.members).remove(&(organization.to_owned(), user.to_owned()));
    }

    /// Auth does not answer until it is back.
    pub(crate) fn auth_is_away(&self, away: bool) {
        self.0.auth_is_away.store(away, Ordering::Relaxed);
    }

    pub(crate) fn publisher(&self, service: &str) -> Publisher {
        Publisher(held(&self.0.publishers).get(service).expect("the system has this service").clone())
    }
}

impl Publisher {
    /// Writes an event of a new aggregate, as if `actor` had caused it.
    pub(crate) async fn publish<E: proto::Event>(&self, organization: OrganizationId, event: &E, actor: &str) -> Id {
        let id = Ids::default().next();
        let context = CallContext { actor: actor.to_owned(), ..CallContext::background("test", &Ids::default()) };
        let tx = self.0.tenant_as(organization, &context).await.expect("the database is there");
        tx.publish(event, id, 1).expect("an event");
        tx.commit().await.expect("the database is there");
        id
    }
}

/// RPCs that notification never calls.
macro_rules! refused {
    ($($name:ident($request:ty) -> $answer:ty;)*) => {$(
        fn $name<'life, 'async_trait>(&'life self, _: Request<$request>) -> BoxFuture<'async_trait, Reply<$answer>>
        where
            'life: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { reply(Err(Error::denied())) })
        }
    )*};
}

#[tonic::async_trait]
impl UserService for Stage {
    async fn batch_read_users(&self, request: Request<BatchReadUsersRequest>) -> Reply<BatchReadUsersResponse> {
        let (caller, request) = mesh::caller(request)?;
        assert_eq!(caller.peer(), "notification");
        if self.0.auth_is_away.load(Ordering::Relaxed) {
            return reply(Err(Error::unavailable("auth")));
        }
        let members = held(&self.0.members);
        let found = request.names.iter().filter_map(|name| members.get(&(request.organization.clone(), name.clone())));
        reply(Ok::<_, Error>(BatchReadUsersResponse { users: found.cloned().collect() }))
    }

    refused! {
        create_user(auth::CreateUserRequest) -> User;
        get_user(auth::GetUserRequest) -> User;
        list_own_memberships(auth::ListOwnMembershipsRequest) -> auth::ListOwnMembershipsResponse;
        change_password(auth::ChangePasswordRequest) -> ();
        get_session(auth::GetSessionRequest) -> auth::Session;
        list_sessions(auth::ListSessionsRequest) -> auth::ListSessionsResponse;
        delete_session(auth::DeleteSessionRequest) -> ();
        update_user(auth::UpdateUserRequest) -> User;
        delete_user(auth::DeleteUserRequest) -> ();
        change_email(auth::ChangeEmailRequest) -> ();
        disable_user(auth::DisableUserRequest) -> User;
        enable_user(auth::EnableUserRequest) -> User;
        reset_user_factors(auth::ResetUserFactorsRequest) -> ();
        impersonate_user(auth::ImpersonateUserRequest) -> auth::ImpersonateUserResponse;
        revoke_all_sessions(auth::RevokeAllSessionsRequest) -> ();
    }
}
