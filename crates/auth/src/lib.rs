//! Identity: organizations, users, memberships, sign-in, tokens, delegations. The only signer of access tokens and of internal ones.
//!
//! Invariants: an organization always has an active owner; nobody gives a role above his own; a revocation stands in the transaction of
//! its cause; a password, code, handle or token is never stored as it is, logged or put into an error; what cannot be decided is
//! refused.

mod config;
mod credential;
mod error;
mod events;
mod metrics;
mod model;
mod oidc;
mod rpc;
mod service;
mod store;

use std::{path::Path, sync::Arc, time::Duration};

use chassis::{BootError, Kit, Mount, Profile, ServiceSpec, identity::Source};
use futures::future::BoxFuture;
use proto::auth::v1::{
    Directory, GetDirectoryRequest, ListRevocationsRequest, ListRevocationsResponse, ListUserGroupsRequest,
    ListUserGroupsResponse, audit_service_server::AuditServiceServer,
    authorization_service_server::AuthorizationServiceServer, bootstrap_service_server::BootstrapServiceServer,
    browser_service_server::BrowserServiceServer, consent_service_server::ConsentServiceServer,
    delegation_service_server::DelegationServiceServer, factor_service_server::FactorServiceServer,
    group_service_server::GroupServiceServer, identity_provider_service_server::IdentityProviderServiceServer,
    identity_service_server::IdentityServiceServer, invitation_service_server::InvitationServiceServer,
    key_service_server::KeyServiceServer, link_service_server::LinkServiceServer, list_verify_keys_response::VerifyKey,
    login_service_server::LoginServiceServer, mail_service_server::MailServiceServer,
    o_auth_client_service_server::OAuthClientServiceServer, o_auth_service_server::OAuthServiceServer,
    organization_service_server::OrganizationServiceServer, passkey_service_server::PasskeyServiceServer,
    role_service_server::RoleServiceServer, signing_key_service_server::SigningKeyServiceServer,
    token_service_server::TokenServiceServer, user_service_server::UserServiceServer,
};
use rpc::Rpc;
use service::{Auth, Secrets};

pub use config::Config;
pub use service::{Operator, Rewrapped, Successor, Verified};

const MIGRATIONS: db::Migrations = db::migrations!(
    "0001_identities.sql",
    "0010_roles_and_groups.sql",
    "0011_relations.sql",
    "0012_delegation_scopes.sql",
    "0020_oauth_clients.sql",
    "0021_authorization.sql",
    "0022_signing_key_states.sql",
    "0023_devices.sql",
    "0030_sign_in_factors.sql",
    "0031_passkeys.sql",
    "0032_identity_providers.sql",
    "0040_audit.sql",
    "0041_mail.sql",
    "0042_life_and_keys.sql",
    "0043_mail_flows.sql",
    "0044_audit_retention.sql",
    "0045_asking.sql",
    "0046_ended_custom_roles.sql",
    "0047_credential_version.sql",
    "0048_devices_of_sessions.sql",
    "0049_users_are_no_clients.sql",
    "0050_consents_end_with_memberships.sql",
    "0051_machines_invite.sql",
    "0052_disabled_by_operators.sql",
    "0053_where_sessions_began.sql",
    "0054_keys_have_versions.sql",
    "0057_links.sql",
    "0061_revoked_keys.sql",
    "0062_impersonation.sql",
    "0063_audit_seal.sql",
);

/// The service.
pub const SERVICE: ServiceSpec = ServiceSpec::new("auth", boot).migrations(MIGRATIONS).config::<Config>();

/// How often expired rows are deleted.
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// How often the bootstrap link is renewed; its code is good for 15 minutes.
const LINK_EVERY: Duration = Duration::from_secs(300);
/// How often is looked for entries of the audit log that wait for their place.
const SEAL_EVERY: Duration = Duration::from_millis(250);
/// Wait between two tries to open the keys.
const KEYS_RETRY: Duration = Duration::from_millis(500);
/// How often the keys are looked at.
const KEYS_EVERY: Duration = Duration::from_secs(60);

fn boot(kit: Kit, mount: &mut Mount) -> BoxFuture<'_, Result<(), BootError>> {
    Box::pin(async move {
        let config: Config = kit.config()?;
        let secrets = Arc::new(Secrets::resolve(&config, kit.profile(), &kit.data_dir())?);
        let auth = Arc::new(Auth::new(&kit, config, &secrets)?);
        mount.identity(Arc::new(Own { auth: Arc::clone(&auth), kit: kit.clone() }));
        let rpc = Rpc::new(Arc::clone(&auth));
        mount.rpc(mesh::rpc!(AuditServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(BootstrapServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(MailServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(InvitationServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(KeyServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(OrganizationServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(UserServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(LoginServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(OAuthServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(TokenServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(RoleServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(GroupServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(LinkServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(AuthorizationServiceServer::new(rpc.clone())));
        mount.consume(events::relations(), events::Relations(Arc::clone(&auth)));
        mount.rpc(mesh::rpc!(OAuthClientServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(BrowserServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(ConsentServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(SigningKeyServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(DelegationServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(FactorServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(PasskeyServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(IdentityProviderServiceServer::new(rpc.clone())));
        mount.rpc(mesh::rpc!(IdentityServiceServer::new(rpc)));
        open_keys(mount, Arc::clone(&auth));
        seal_audit(mount, Arc::clone(&auth));
        serve_mails(mount, Arc::clone(&auth));
        housekeeping(mount, auth, kit.profile());
        Ok(())
    })
}

/// Not ready until the keys are open and the verifier of this process has them; tries again while the database is away. From then on looks
/// whether a key is due, or another instance has announced one.
fn open_keys(mount: &mut Mount, auth: Arc<Auth>) {
    let awaited = Arc::new(mount.ready("signing keys"));
    mount.task("signing keys", move |shutdown| {
        let (auth, awaited) = (Arc::clone(&auth), Arc::clone(&awaited));
        async move {
            let mut opened = false;
            loop {
                match auth.turn_keys().await {
                    Ok(()) => {
                        awaited.done();
                        opened = true;
                    }
                    Err(error) if opened => {
                        tracing::warn!(error.message = error.for_operator(), "the signing keys were not looked at");
                    }
                    Err(error) => awaited.lost(error.for_operator()),
                }
                let wait = if opened { KEYS_EVERY } else { KEYS_RETRY };
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    });
}

/// Looks whose mails were asked for.
fn serve_mails(mount: &mut Mount, auth: Arc<Auth>) {
    mount.task("mails", move |shutdown| {
        let auth = Arc::clone(&auth);
        async move {
            loop {
                match auth.serve_mails().await {
                    Ok(0) => {}
                    Ok(_) => continue,
                    Err(error) => tracing::warn!(error.message = error.for_operator(), "mails were not looked at"),
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = auth.mail_asked() => {}
                    () = tokio::time::sleep(SEAL_EVERY) => {}
                }
            }
        }
    });
}

/// Gives entries of the audit log their place in the chain, soon after they were committed.
fn seal_audit(mount: &mut Mount, auth: Arc<Auth>) {
    mount.task("audit chain", move |shutdown| {
        let auth = Arc::clone(&auth);
        async move {
            loop {
                match auth.seal_audit().await {
                    Ok(0) => {}
                    Ok(_) => continue,
                    Err(error) => {
                        tracing::warn!(error.message = error.for_operator(), "the audit log was not chained");
                    }
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(SEAL_EVERY) => {}
                }
            }
        }
    });
}

/// Deletes what has expired; in profile `dev` keeps a good bootstrap link in the data folder until there is an owner.
fn housekeeping(mount: &mut Mount, auth: Arc<Auth>, profile: Profile) {
    let keeper = Arc::clone(&auth);
    mount.task("purge", move |shutdown| {
        let auth = Arc::clone(&keeper);
        async move {
            loop {
                let purged = async {
                    auth.purge().await?;
                    auth.purge_deleted().await?;
                    auth.purge_audit().await.map(drop)
                };
                if let Err(error) = purged.await {
                    tracing::warn!(error.message = error.for_operator(), "expired rows were not deleted");
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(PURGE_EVERY) => {}
                }
            }
        }
    });
    if profile != Profile::Dev {
        return;
    }
    mount.task("bootstrap link", move |shutdown| {
        let auth = Arc::clone(&auth);
        async move {
            while auth.renew_link().await? {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = tokio::time::sleep(LINK_EVERY) => {}
                }
            }
            shutdown.cancelled().await;
            Ok::<(), BootError>(())
        }
    });
}

/// Keys, revocations, directory, groups and links for this process: from here, not over the mesh.
struct Own {
    auth: Arc<Auth>,
    kit: Kit,
}

impl Source for Own {
    /// Looked at anew each time: another instance may have revoked one.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<VerifyKey>, api::Error>> {
        Box::pin(async { Ok(self.auth.own_verify_keys().await.into_iter().map(rpc::render_key).collect()) })
    }

    fn revocations(
        &self,
        request: ListRevocationsRequest,
    ) -> BoxFuture<'_, Result<ListRevocationsResponse, api::Error>> {
        Box::pin(async move {
            let context = api::CallContext::background("auth-identity", &self.kit.ids());
            let page = rpc::page(request.page_size, request.page_token);
            Ok(rpc::render_revocations(self.auth.revocations(&context, &page).await?))
        })
    }

    fn directory(&self, request: GetDirectoryRequest) -> BoxFuture<'_, Result<Directory, api::Error>> {
        Box::pin(async move {
            let context = api::CallContext::background("auth-identity", &self.kit.ids());
            let page = rpc::page(request.page_size, request.page_token);
            Ok(rpc::render_directory(self.auth.directory(&context, &request.known_revision, &page).await?))
        })
    }

    fn groups(&self, request: ListUserGroupsRequest) -> BoxFuture<'_, Result<ListUserGroupsResponse, api::Error>> {
        Box::pin(async move {
            let context = api::CallContext::background("auth-identity", &self.kit.ids());
            Ok(rpc::user_groups(&self.auth, &context, &request).await?)
        })
    }
}

/// Makes a new bootstrap code, good for 15 minutes and once, beside those that are still good; writes the link with it to
/// `<data_dir>/bootstrap-link` (mode 0600) and gives it. `data_dir` is the folder of this service, `<platform data_dir>/auth`. For
/// `workos admin bootstrap`, which prints it on its own terminal.
///
/// The code is what stands behind the `#`; it is sent as `code` of `POST /v1/bootstrap:complete`.
///
/// # Errors
/// The platform has its first owner already, the database is away, or the file cannot be written.
pub async fn bootstrap_code(
    db: &db::Db,
    clock: &api::Clock,
    data_dir: &Path,
    public_url: &str,
) -> Result<String, BootError> {
    let link = service::operators_link(db, clock, data_dir, public_url.trim_end_matches('/')).await?;
    link.ok_or_else(|| BootError::msg("the platform has its first owner already; ask an administrator for an account"))
}

/// Computes every digest of the audit log again. For `workos admin audit verify`.
///
/// # Errors
/// The database is away.
pub async fn verify_audit(db: &db::Db, clock: &api::Clock) -> Result<Verified, BootError> {
    let found = service::verify_audit(db, clock, &api::Ids::default()).await;
    found.map_err(|error| BootError::msg(error.for_operator()))
}

/// The code in a bootstrap link.
#[must_use]
pub fn code_of_link(link: &str) -> Option<&str> {
    link.trim().split_once('#').map(|(_, code)| code).filter(|code| !code.is_empty())
}
