//! Internal tokens, and what verifiers need.
//!
//! An exchange believes of an access token only who it is and which session: membership and role are read from the database each time, so
//! that a role given or taken acts with the next exchange. A token is as old as the moment in which that reading began, so whatever
//! changes from then on voids it.
use api::{CallContext, Caller, OrganizationId, Page, UserId};
use authz::{Acting, Credential, Subject};
use bytes::Bytes;
use db::Tx;
use futures::{FutureExt, future::BoxFuture};
use time::{Duration, OffsetDateTime};

use super::{Auth, HOPS, PageRequest, issue_time, limit, oauth::hits, oauth::id};
use crate::{
    credential::{Claims, PublicKey},
    error::Error,
    metrics,
    model::{
        Client, ClientKind, Delegation, DelegationName, Membership, OPENID, RefreshState, Revocation, RevocationKind,
        Role, Scopes, Session, User, acr,
    },
    store,
};

/// Life of a token from a delegation.
const DELEGATED_LIFE: Duration = Duration::minutes(5);
/// Revocations on a page: a quarter of the largest message.
const REVOCATIONS_PAGE: usize = 10_000;

/// A token for the mesh.
pub(crate) struct InternalToken {
    /// The Biscuit.
    pub(crate) token: Bytes,
    /// Until when calls may begin with it.
    pub(crate) expire_time: OffsetDateTime,
    /// `organization/user`.
    pub(crate) principal: String,
}

/// What a token rests on.
pub(super) struct Ground {
    /// Whose it is, with present rights.
    pub(super) subject: Subject,
    /// Revocations in force that a token must be younger than.
    pub(super) live: Vec<Revocation>,
    /// Until when calls may begin with it.
    pub(super) expire_time: OffsetDateTime,
    /// What it lives longer than that.
    pub(super) rest: Duration,
}

impl Auth {
    /// Exchanges an access token.
    pub(crate) async fn exchange_credential(
        &self,
        context: &CallContext,
        access_token: &str,
    ) -> Result<InternalToken, Error> {
        if access_token.starts_with(authz::api_key::PREFIX) {
            return self.exchange_api_key(context, access_token).await;
        }
        let now = self.clock.now();
        let claims = self.keys()?.edge.read(access_token, &self.issuer, now).ok_or(Error::CredentialInvalid)?;
        if claims.is_machine() {
            return self.exchange_machine(context, claims).await;
        }
        self.minted("internal", |now| self.ground_of_access(context, &claims, now).boxed()).await
    }

    async fn ground_of_access(
        &self,
        context: &CallContext,
        claims: &Claims,
        now: OffsetDateTime,
    ) -> Result<Ground, Error> {
        let user = UserId(id(&claims.sub)?);
        // First, since it is another transaction.
        let passed = claims.clients();
        let (clients, mut renewed) = self.present_clients(context, &passed, now).await?;
        let tx = self.db.subject(user, context).await?;
        let (session, state) = self.session_of(&tx, claims, user, now).await?;
        if session.impersonation.is_some() {
            drop(tx);
            return self.ground_of_impersonation(context, claims, &session, now).await;
        }
        let standing = self.membership_of(&tx, &session).await?;
        let live = self.live(&tx, &hits(&session), (claims.iat, claims.key), now).await?;
        if claims.generation == state.counter && !state.confirmed {
            store::session::confirm(&tx, session.id, state.counter).await?;
            tx.commit().await?;
        } else {
            drop(tx);
        }
        let mut scopes = Scopes::parse(&claims.scope).unwrap_or_default().both(&session.scopes);
        let begun_with =
            [session.client.as_str()].into_iter().filter(|client| !passed.contains(client)).collect::<Vec<_>>();
        let (first, more) = self.present_clients(context, &begun_with, now).await?;
        for client in clients.iter().chain(&first) {
            scopes = scopes.both(&client.scopes);
        }
        renewed.extend(more.into_iter().chain(live));
        let expire_time = OffsetDateTime::from_unix_timestamp(claims.exp).map_err(Error::fault)?;
        let subject = Subject {
            acting: acting(claims, &clients)?,
            ..of_session(&session, standing, claims.client_id.clone(), scopes)
        };
        Ok(Ground { subject, live: renewed, expire_time, rest: HOPS })
    }

    /// Exchanges the secret of a browser's session, which acts with all rights of its user.
    pub(crate) async fn exchange_session(&self, context: &CallContext, secret: &str) -> Result<InternalToken, Error> {
        self.minted("internal", |now| self.ground_of_browser(context, secret, now).boxed()).await
    }

    async fn ground_of_browser(
        &self,
        context: &CallContext,
        secret: &str,
        now: OffsetDateTime,
    ) -> Result<Ground, Error> {
        let session = self.browser_session(context, secret).await?.ok_or(Error::CredentialInvalid)?;
        let tx = self.db.subject(session.user, context).await?;
        let standing = self.membership_of(&tx, &session).await?;
        // The present second counts as the time of issue: whoever holds the secret holds it now.
        let live = self.live(&tx, &hits(&session), (now.unix_timestamp() + 1, 0), now).await?;
        drop(tx);
        let expire_time = session.expire_time.min(now + self.access_life());
        let subject = of_session(&session, standing, session.client.clone(), session.scopes.clone());
        Ok(Ground { subject, live, expire_time, rest: HOPS })
    }

    /// Exchanges the token of a machine that acts by itself, with the rights that it has now.
    async fn exchange_machine(&self, context: &CallContext, claims: Claims) -> Result<InternalToken, Error> {
        self.minted("internal", |now| self.ground_of_machine(context, &claims, now).boxed()).await
    }

    async fn ground_of_machine(
        &self,
        context: &CallContext,
        claims: &Claims,
        now: OffsetDateTime,
    ) -> Result<Ground, Error> {
        let (clients, renewed) = self.present_clients(context, &[&claims.sub], now).await?;
        let client = clients.into_iter().next().ok_or(Error::CredentialInvalid)?;
        let own = client.organization.filter(|own| Some(own.to_string()) == claims.org);
        let organization = own.filter(|_| client.kind == ClientKind::Machine).ok_or(Error::CredentialInvalid)?;
        let user = UserId(id(&claims.sub)?);
        let what = of_machine(claims, organization)?;
        let tx = self.db.tenant_as(organization, context).await?;
        let mut live = self.live(&tx, &what, (claims.iat, claims.key), now).await?;
        drop(tx);
        live.extend(renewed);
        let subject = Subject {
            user,
            organization: Some(organization),
            role: numbered(client.role),
            custom_roles: Vec::new(),
            // No session: what takes one, as making API keys does, is not for machines.
            credential: Credential::Key(claims.sid.clone()),
            client: claims.client_id.clone(),
            scopes: Scopes::parse(&claims.scope).unwrap_or_default().both(&client.scopes).0,
            acting: None,
            amr: Vec::new(),
            acr: 0,
            auth_time: None,
            methods: Vec::new(),
        };
        let expire_time = OffsetDateTime::from_unix_timestamp(claims.exp).map_err(Error::fault)?;
        Ok(Ground { subject, live, expire_time, rest: HOPS })
    }

    /// Present membership of a session's user; `None` for a session of no organization.
    async fn membership_of(&self, tx: &Tx, session: &Session) -> Result<Option<Membership>, Error> {
        let Some(organization) = session.organization else {
            let found = store::user::get(tx, session.user).await?;
            return found.filter(User::is_active).map(|_| None).ok_or(Error::CredentialInvalid);
        };
        let member = store::membership::active(tx, session.user, organization).await?;
        Ok(Some(member.ok_or(Error::CredentialInvalid)?))
    }

    /// Revocations that are in force; one that ends a credential issued then, and signed by that key, refuses it.
    pub(super) async fn live(
        &self,
        tx: &Tx,
        what: &[RevocationKind],
        (issued, key): (i64, u32),
        now: OffsetDateTime,
    ) -> Result<Vec<Revocation>, Error> {
        let live = store::revocation::of(tx, what, now).await?;
        if live.iter().any(|entry| entry.ends(issued, key)) {
            return Err(Error::CredentialInvalid);
        }
        Ok(live)
    }

    /// A token of what `read` finds, as old as the moment in which it began to read. Where a revocation has voided the tokens of this
    /// second, all of it is read again in the next: it may have changed once more.
    pub(super) async fn minted<'f>(
        &self,
        kind: &'static str,
        read: impl Fn(OffsetDateTime) -> BoxFuture<'f, Result<Ground, Error>>,
    ) -> Result<InternalToken, Error> {
        let mut begun = self.clock.now();
        let mut ground = read(begun).await?;
        let due = issue_time(begun, &ground.live);
        if due > begun {
            self.wait_for(due).await;
            begun = self.clock.now();
            ground = read(begun).await?;
        }
        let Ground { subject, expire_time, rest, live } = ground;
        let life = std::time::Duration::try_from(expire_time + rest - begun).map_err(|_| Error::CredentialInvalid)?;
        let keys = self.keys()?;
        let mint = keys.mint(begun)?;
        // Another instance has revoked it, and this one has not looked yet.
        if live.iter().any(|entry| !entry.is_outlived() && entry.ends(begun.unix_timestamp(), mint.verify_key().key_id))
        {
            return Err(Error::KeysAwaited);
        }
        let token = mint.mint_as_of(&subject, begun, life)?;
        metrics::token_issued(kind);
        let organization = subject.organization.map(|id| id.to_string()).unwrap_or_default();
        Ok(InternalToken { token, expire_time, principal: format!("{organization}/{}", subject.user) })
    }

    /// Exchanges a delegation, for the workload that it was given to.
    pub(crate) async fn exchange_delegation(
        &self,
        caller: &Caller,
        name: DelegationName,
    ) -> Result<InternalToken, Error> {
        self.minted("delegated", |now| self.ground_of_delegation(caller, name, now).boxed()).await
    }

    async fn ground_of_delegation(
        &self,
        caller: &Caller,
        name: DelegationName,
        now: OffsetDateTime,
    ) -> Result<Ground, Error> {
        let tx = self.db.tenant_as(name.organization, caller.context()).await?;
        let found = store::delegation::get(&tx, name).await?;
        let delegation = found
            .filter(|found| found.actor == caller.peer() && now < found.expire_time)
            .ok_or(Error::DelegationInvalid)?;
        let member = store::membership::active(&tx, delegation.user, delegation.organization).await?;
        let member = member.ok_or(Error::DelegationInvalid)?;
        let what = [
            RevocationKind::Delegation(delegation.id),
            RevocationKind::Member(delegation.user, delegation.organization),
            RevocationKind::User(delegation.user),
            RevocationKind::Tenant(delegation.organization),
        ];
        let live = store::revocation::of(&tx, &what, now).await?;
        drop(tx);
        let expire_time = delegation.expire_time.min(now + DELEGATED_LIFE);
        Ok(Ground { subject: delegated(delegation, member), live, expire_time, rest: Duration::ZERO })
    }

    /// Public keys for the verifier of this process, as soon as they are open.
    pub(crate) async fn own_verify_keys(&self) -> Vec<PublicKey> {
        let mut keys = self.keys.subscribe();
        let opened = keys.wait_for(Option::is_some).await.is_ok();
        if opened && let Err(error) = self.turn_keys().await {
            tracing::warn!(error.message = error.for_operator(), "the signing keys were not looked at");
        }
        let keys = self.keys.borrow();
        keys.as_ref().map(|keys| keys.public.clone()).unwrap_or_default()
    }

    /// Public keys for verifiers.
    pub(crate) fn verify_keys(&self) -> Result<Vec<PublicKey>, Error> {
        let (keys, now) = (self.keys()?, self.clock.now());
        Ok(keys.public.iter().filter(|key| !key.times.is_gone(now)).cloned().collect())
    }

    /// A page of all revocations still needed.
    pub(crate) async fn revocations(
        &self,
        context: &CallContext,
        request: &PageRequest,
    ) -> Result<(Vec<Revocation>, String), Error> {
        let size = Page::parse(request.size, REVOCATIONS_PAGE, REVOCATIONS_PAGE)?.size;
        let position = self.position(context, "revocations", &request.token)?;
        let after = Revocation::at(std::str::from_utf8(&position).map_err(Error::fault)?);
        let tx = self.db.system("all revocations, for the verifiers", context).await?;
        let mut entries = store::revocation::list(&tx, self.clock.now(), after, limit(size)).await?;
        let more = entries.len() > size;
        entries.truncate(size);
        let last = entries.last().filter(|_| more);
        let next = last.map(|last| self.token_of(context, "revocations", last.place().as_bytes()));
        Ok((entries, next.unwrap_or_default()))
    }

    async fn session_of(
        &self,
        tx: &Tx,
        claims: &Claims,
        user: UserId,
        now: OffsetDateTime,
    ) -> Result<(Session, RefreshState), Error> {
        let organization = claims.org.as_deref().map(id).transpose()?.map(OrganizationId);
        let found = store::session::get(tx, id(&claims.sid)?, false).await?;
        let matches = |session: &Session| {
            // A token out of an exchange carries its own client, and the session of the one before.
            session.user == user
                && session.organization == organization
                && now < session.expire_time
                && session.impersonation.is_some() == claims.is_impersonation()
                && (claims.is_exchanged() || session.client == claims.client_id)
        };
        found.filter(|(session, _)| matches(session)).ok_or(Error::CredentialInvalid)
    }

    /// A token must not be older than a revocation that it is to survive, and revocations hit all of their second: wait for its end.
    async fn wait_for(&self, issued: OffsetDateTime) {
        if let Ok(rest) = std::time::Duration::try_from(issued - self.clock.now()) {
            tokio::time::sleep(rest.min(std::time::Duration::from_secs(1))).await;
        }
    }
}

/// The subject of a session, with present rights. Scopes of OpenID Connect are no permissions.
pub(super) fn of_session(session: &Session, standing: Option<Membership>, client: String, scopes: Scopes) -> Subject {
    let (role, custom_roles) = standing.map(|member| (member.role, member.custom_roles)).unwrap_or_default();
    Subject {
        user: session.user,
        organization: session.organization,
        role: numbered(role),
        custom_roles,
        credential: Credential::Session(session.id.to_string()),
        client,
        scopes: scopes.0.into_iter().filter(|scope| !OPENID.contains(&scope.as_str())).collect(),
        acting: None,
        acr: acr(&session.amr),
        amr: session.amr.clone(),
        auth_time: Some(session.auth_time),
        methods: Vec::new(),
    }
}

/// What may be revoked of a machine's token.
pub(super) fn of_machine(claims: &Claims, organization: OrganizationId) -> Result<Vec<RevocationKind>, Error> {
    let machine = UserId(id(&claims.sub)?);
    Ok(vec![
        RevocationKind::Key(id(&claims.sid)?),
        RevocationKind::Member(machine, organization),
        RevocationKind::Tenant(organization),
    ])
}

/// The application that holds a token out of an exchange acts; those before it have passed the right to do so on.
fn acting(claims: &Claims, clients: &[Client]) -> Result<Option<Acting>, Error> {
    if !claims.is_exchanged() {
        return Ok(None);
    }
    let client = clients.iter().find(|client| client.id == claims.client_id);
    let name = client.and_then(Client::resource_name).ok_or(Error::CredentialInvalid)?;
    Ok(Some(Acting::Client(name.to_string())))
}

/// Tokens count roles from member, the model from viewer.
fn numbered(role: Option<Role>) -> Option<api::Role> {
    role.and_then(|role| (role as i32 + 1).try_into().ok())
}

/// The subject of a delegation, with present rights. The token opens the RPCs that the delegation lists, with what those call, and nothing
/// else; where it lists none, what holds it back is the subject's rights, the five minutes and the actor.
fn delegated(delegation: Delegation, member: Membership) -> Subject {
    Subject {
        user: delegation.user,
        organization: Some(delegation.organization),
        role: numbered(member.role),
        custom_roles: member.custom_roles,
        credential: Credential::Delegation(delegation.id.to_string()),
        client: delegation.actor.clone(),
        scopes: delegation.scopes,
        acting: Some(Acting::Workload(delegation.actor)),
        amr: Vec::new(),
        acr: 0,
        auth_time: None,
        methods: delegation.methods,
    }
}
