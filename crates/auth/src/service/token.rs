//! Internal tokens, and what verifiers need.
//!
//! An exchange believes of an access token only who it is and which session: membership and role are read from the database each time, so
//! that a role given or taken acts with the next exchange.
use api::{CallContext, Caller, OrganizationId, UserId};
use authz::{Credential, Subject};
use bytes::Bytes;
use db::Tx;
use time::{Duration, OffsetDateTime};

use super::{Auth, HOPS, issue_time, oauth::hits, oauth::id};
use crate::{
    credential::{Claims, PublicKey},
    error::Error,
    metrics,
    model::{Delegation, DelegationName, Membership, RefreshState, Revocation, RevocationKind, Session, User, acr},
    store,
};

/// Life of a token from a delegation.
const DELEGATED_LIFE: Duration = Duration::minutes(5);

/// A token for the mesh.
pub(crate) struct InternalToken {
    /// The Biscuit.
    pub(crate) token: Bytes,
    /// Until when calls may begin with it.
    pub(crate) expire_time: OffsetDateTime,
    /// `organization/user`.
    pub(crate) principal: String,
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
        let user = UserId(id(&claims.sub)?);
        let tx = self.db.subject(user, context).await?;
        let (session, state) = self.session_of(&tx, &claims, user, now).await?;
        let member = match session.organization {
            None => {
                let found = store::user::get(&tx, user).await?;
                found.filter(User::is_active).ok_or(Error::CredentialInvalid)?;
                None
            }
            Some(organization) => {
                let member = store::membership::active(&tx, user, organization).await?;
                Some(member.ok_or(Error::CredentialInvalid)?)
            }
        };
        let live = store::revocation::of(&tx, &hits(&session), now).await?;
        if live.iter().any(|entry| !entry.renew && claims.iat < entry.not_before.unix_timestamp()) {
            return Err(Error::CredentialInvalid);
        }
        if claims.generation == state.counter && !state.confirmed {
            store::session::confirm(&tx, session.id, state.counter).await?;
            tx.commit().await?;
        } else {
            drop(tx);
        }
        let expire_time = OffsetDateTime::from_unix_timestamp(claims.exp).map_err(Error::fault)?;
        let subject = Subject {
            user,
            organization: session.organization,
            // Tokens count roles from member, the model from viewer.
            role: member.as_ref().and_then(|member| member.role).and_then(|role| (role as i32 + 1).try_into().ok()),
            custom_roles: member.map(|member| member.custom_roles).unwrap_or_default(),
            credential: Credential::Session(session.id.to_string()),
            client: claims.client_id,
            scopes: claims.scope.split(' ').map(str::to_owned).collect(),
            acting: None,
            acr: acr(&claims.amr),
            amr: claims.amr,
            auth_time: Some(session.auth_time),
            methods: Vec::new(),
        };
        metrics::token_issued("internal");
        self.wait_for(issue_time(now, &live)).await;
        self.mint(&subject, expire_time, expire_time + HOPS - self.clock.now())
    }

    /// Exchanges a delegation, for the workload that it was given to.
    pub(crate) async fn exchange_delegation(
        &self,
        caller: &Caller,
        name: DelegationName,
    ) -> Result<InternalToken, Error> {
        let now = self.clock.now();
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
        metrics::token_issued("delegated");
        self.wait_for(issue_time(now, &live)).await;
        self.mint(&delegated(delegation, member), expire_time, expire_time - self.clock.now())
    }

    /// Public keys for the verifier of this process, as soon as they are open.
    pub(crate) async fn own_verify_keys(&self) -> Vec<PublicKey> {
        self.keys.wait().await.public.clone()
    }

    /// Public keys for verifiers.
    pub(crate) fn verify_keys(&self) -> Result<Vec<PublicKey>, Error> {
        Ok(self.keys()?.public.clone())
    }

    /// All revocations still needed.
    pub(crate) async fn revocations(&self, context: &CallContext) -> Result<Vec<Revocation>, Error> {
        let tx = self.db.system("all revocations, for the verifiers", context).await?;
        Ok(store::revocation::list(&tx, self.clock.now()).await?)
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
            session.user == user && session.organization == organization && now < session.expire_time
        };
        found.filter(|(session, _)| matches(session)).ok_or(Error::CredentialInvalid)
    }

    /// A token must not be older than a revocation that it is to survive, and revocations are rounded up: wait for at most that second.
    pub(super) async fn wait_for(&self, issued: OffsetDateTime) {
        if let Ok(rest) = std::time::Duration::try_from(issued - self.clock.now()) {
            tokio::time::sleep(rest.min(std::time::Duration::from_secs(1))).await;
        }
    }

    pub(super) fn mint(
        &self,
        subject: &Subject,
        expire_time: OffsetDateTime,
        life: Duration,
    ) -> Result<InternalToken, Error> {
        let life = std::time::Duration::try_from(life).map_err(|_| Error::CredentialInvalid)?;
        let token = self.keys()?.mint.mint(subject, life)?;
        let organization = subject.organization.map(|id| id.to_string()).unwrap_or_default();
        Ok(InternalToken { token, expire_time, principal: format!("{organization}/{}", subject.user) })
    }
}

/// The subject of a delegation, with present rights. The token does not carry the RPCs that the delegation lists: `authz` has no word for
/// them, so what holds it back is the subject's rights, the five minutes and the actor.
fn delegated(delegation: Delegation, member: Membership) -> Subject {
    Subject {
        user: delegation.user,
        organization: Some(delegation.organization),
        role: member.role.and_then(|role| (role as i32 + 1).try_into().ok()),
        custom_roles: member.custom_roles,
        credential: Credential::Delegation(delegation.id.to_string()),
        client: delegation.actor.clone(),
        scopes: vec!["*".to_owned()],
        acting: Some(delegation.actor),
        amr: Vec::new(),
        acr: 0,
        auth_time: None,
        methods: delegation.methods,
    }
}
