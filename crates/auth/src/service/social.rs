//! Social login: out to an identity provider and back.
//!
//! State, nonce and PKCE verifier belong to one flow, whose handle only the browser that began it holds: an answer that comes back
//! elsewhere finds no flow. The identity is issuer and subject, never the address. An account with the same address is linked only
//! when the provider vouches for the address; and if its owner never showed that the address is his, everything that somebody has set up
//! for it goes first, with every session. A second factor is asked for as after a password. The proof is as old as the provider says.
use api::{CallContext, Id, OrganizationId, UserId};
use base64::{Engine, engine::general_purpose::STANDARD};
use db::Record;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use super::{Auth, Step, lockout::quiet};
use crate::{
    credential::{Handle, challenge_of, digest},
    error::Error,
    metrics,
    model::{Email, Identity, IdentityName, Proof, Protocol, Provider, ProviderName, Purpose, Upstream},
    oidc::{Inward, Outward, UpstreamError},
    store::{
        self,
        login::{Flow, Stage},
    },
};

/// What a flow keeps while its person is at the provider; sealed in the database, since the verifier is in it.
#[derive(Serialize, Deserialize)]
struct Away {
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    /// When the person left, in seconds since 1970, if he must prove anew who he is.
    since: Option<i64>,
}

/// What the seal is for.
const AWAY: &str = "a way to an identity provider";

/// What the browser brought back.
pub(crate) struct Returned {
    /// State of the answer.
    pub(crate) state: String,
    /// The provider that the path names, as an id.
    pub(crate) provider: String,
    /// The code; empty when the provider refused.
    pub(crate) code: String,
    /// Issuer that the answer names.
    pub(crate) issuer: String,
    /// Mark of the device.
    pub(crate) device: String,
}

impl Auth {
    /// Sends the person to a provider.
    pub(crate) async fn start_social(
        &self,
        context: &CallContext,
        flow: &str,
        name: ProviderName,
    ) -> Result<Step, Error> {
        let flow = self.take_flow(context, flow, Stage::First).await?;
        let provider = self.known_provider(context, name).await?;
        let (state, nonce, verifier) = (Handle::new().text, Handle::new().text, Handle::new().text);
        let (challenge, redirect_uri) = (challenge_of(&verifier), self.callback(name));
        let now = self.clock.now();
        let since = flow.again.then(|| now.unix_timestamp());
        let out = Outward {
            state: &state,
            nonce: &nonce,
            challenge: &challenge,
            redirect_uri: &redirect_uri,
            again: since.is_some(),
        };
        let uri = self.upstreams.authorization_uri(&provider, out, now).await;
        let uri = uri.map_err(|error| away(&provider, &error))?;
        let kept = serde_json::to_vec(&Away { provider: name.to_string(), state, nonce, verifier, since });
        let ceremony = Some(STANDARD.encode(self.vault.seal(AWAY, &kept.map_err(Error::fault)?)));
        let flow = self.save_flow(context, &Flow { stage: Stage::Upstream, ceremony, ..flow }).await?;
        Ok(Step::Social { flow, uri })
    }

    /// Takes what the browser brought back.
    pub(crate) async fn finish_social(&self, context: &CallContext, flow: &str, back: Returned) -> Result<Step, Error> {
        let (name, kept) = self.kept(context, flow, &back).await?;
        let flow = Flow { ceremony: None, ..self.take_flow(context, flow, Stage::Upstream).await? };
        if back.code.is_empty() {
            return Err(Error::SocialRefused);
        }
        let provider = self.known_provider(context, name).await?;
        let tx = self.db.system("the secret for an identity provider", &quiet(context)).await?;
        let secret = self.provider_secret(&tx, name).await?;
        drop(tx);
        let came = Inward {
            code: &back.code,
            issuer: &back.issuer,
            verifier: &kept.verifier,
            nonce: &kept.nonce,
            redirect_uri: &self.callback(name),
            secret: &secret,
            since: kept.since,
        };
        let upstream = self.upstreams.identify(&provider, came, self.clock.now()).await;
        let upstream = upstream.map_err(|error| away(&provider, &error))?;
        let time = proof_time(upstream.auth_time, kept.since, self.clock.now());
        let (user, version) = self.local(context, &provider, upstream).await?;
        if flow.step_up.as_ref().is_some_and(|step_up| step_up.user != user) {
            return Err(Error::SocialRefused);
        }
        let device = self.device_class(Some(user), &back.device);
        let proof = Proof { user, version, time, amr: vec!["fed".to_owned()] };
        self.after_first(context, Flow { device, ..flow }, proof).await
    }

    /// What a flow kept, if this is the answer to it. A wrong one leaves the flow as it is: anybody can send a browser here.
    async fn kept(&self, context: &CallContext, flow: &str, back: &Returned) -> Result<(ProviderName, Away), Error> {
        let tx = self.db.system("a sign-in that waits for an identity provider", &quiet(context)).await?;
        let flow = store::login::flow(&tx, &digest(flow), Stage::Upstream, self.clock.now()).await?;
        let sealed = flow.and_then(|flow| STANDARD.decode(flow.ceremony?).ok()).ok_or(Error::FlowInvalid)?;
        // The key that sealed it may have been taken out meanwhile.
        let kept = self.vault.open(AWAY, &sealed).map_err(|_| Error::FlowInvalid)?;
        let kept: Away = serde_json::from_slice(&kept).map_err(Error::fault)?;
        let name = ProviderName::parse_field("provider", &kept.provider)?;
        let same = bool::from(kept.state.as_bytes().ct_eq(back.state.as_bytes()));
        if same && back.provider == name.provider.to_string() { Ok((name, kept)) } else { Err(Error::FlowInvalid) }
    }

    /// Providers that everybody is offered; to sign in `again`, those that can ask again.
    pub(super) async fn offered(
        &self,
        context: &CallContext,
        again: bool,
    ) -> Result<Vec<(ProviderName, String)>, Error> {
        let tx = self.db.system("identity providers to choose from", &quiet(context)).await?;
        let found = store::provider::list(&tx, OrganizationId::SYSTEM, Id::ZERO, 1000).await?;
        let fit = found.into_iter().filter(|provider| !again || provider.protocol == Protocol::Oidc);
        Ok(fit.map(|provider| (provider.name, provider.display_name)).collect())
    }

    /// A provider that signs people in: the platform's. Another organization's would sign in whom its administrators like.
    async fn known_provider(&self, context: &CallContext, name: ProviderName) -> Result<Provider, Error> {
        if name.organization != OrganizationId::SYSTEM {
            return Err(Error::SocialRefused);
        }
        let tx = self.db.system("an identity provider", &quiet(context)).await?;
        store::provider::get(&tx, name, false).await?.ok_or(Error::SocialRefused)
    }

    /// The user behind an upstream account and the version of his credentials; linked now, if both sides are sure of the address.
    async fn local(
        &self,
        context: &CallContext,
        provider: &Provider,
        upstream: Upstream,
    ) -> Result<(UserId, i64), Error> {
        let tx = self.change(self.db.system("the user of an upstream account", &quiet(context)).await?);
        if let Some(user) = store::provider::linked(&tx, &provider.issuer, &upstream.subject).await? {
            return Ok(user);
        }
        let vouched = upstream.email.filter(|_| upstream.email_verified).and_then(|email| Email::parse(&email).ok());
        let email = vouched.ok_or(Error::SocialNotLinked)?;
        let user = store::provider::user_with_email(&tx, &email.key).await?.ok_or(Error::SocialNotLinked)?;
        // The user's row is locked by now: a sign-in beside this one may have linked the account.
        if let Some(user) = store::provider::linked(&tx, &provider.issuer, &upstream.subject).await? {
            return Ok(user);
        }
        let known = store::user::get(&tx, user).await?.ok_or(Error::SocialNotLinked)?;
        let log = known.managing_organization.unwrap_or(OrganizationId::SYSTEM);
        self.void_unproven(&tx, user, &email.key, None).await?;
        let identity = Identity {
            name: IdentityName { user, identity: self.ids.next() },
            issuer: provider.issuer.clone(),
            subject: upstream.subject,
            email: email.text,
            create_time: self.clock.now(),
        };
        store::provider::link(&tx, &identity).await?;
        let record = Record::done("identity.linked").about(identity.name).by(user.name()).of(log);
        tx.audit(record.with("issuer", &identity.issuer));
        self.notice(&tx, &known, Purpose::NoticeFactorsChanged).await?;
        let version = store::pending::version(&tx, user).await?.ok_or(Error::SocialNotLinked)?;
        tx.commit().await?;
        metrics::sign_in("linked");
        tracing::info!(user = %user, identity = %identity.name, "upstream account linked");
        Ok((user, version))
    }

    /// Where a provider sends the browser back to.
    pub(crate) fn callback(&self, name: ProviderName) -> String {
        format!("{}/auth/callback/{}", self.issuer, name.provider)
    }
}

/// When the person proved to the provider who he is. Where it does not say, that was before anything that counts. Where he was asked
/// again he has done so since he left, whatever the provider's clock shows.
fn proof_time(told: Option<i64>, since: Option<i64>, now: OffsetDateTime) -> OffsetDateTime {
    let told = told.into_iter().chain(since).max().unwrap_or_default().max(0);
    OffsetDateTime::from_unix_timestamp(told).map_or(OffsetDateTime::UNIX_EPOCH, |told| told.min(now))
}

/// What was wrong is for the operator: who signs in can only try again.
fn away(provider: &Provider, error: &UpstreamError) -> Error {
    tracing::warn!(provider = %provider.name, error.message = %error, "the identity provider's answer is of no use");
    Error::SocialRefused
}
