//! Social login: out to an identity provider and back.
//!
//! State, nonce and PKCE verifier belong to one flow, whose handle only the browser that began it holds: an answer that comes back
//! elsewhere finds no flow. The identity is issuer and subject, never the address. An account with the same address is linked only
//! when the provider vouches for the address; and if its owner never showed that the address is his, the password that somebody chose
//! for it goes first, with every session. A second factor is asked for as after a password.
use api::{CallContext, Id, OrganizationId, UserId};
use db::Record;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::{Auth, Change, Step, lockout::quiet};
use crate::{
    credential::{Handle, challenge_of},
    error::Error,
    metrics,
    model::{Email, Identity, IdentityName, Proof, Protocol, Provider, ProviderName, Purpose, Upstream},
    oidc::{Inward, Outward, UpstreamError},
    store::{
        self,
        login::{Flow, Stage},
    },
};

/// What a flow keeps while its person is at the provider.
#[derive(Serialize, Deserialize)]
struct Away {
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    /// In a step-up: when it began, in seconds since 1970.
    since: Option<i64>,
}

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
        let since = flow.step_up.as_ref().map(|_| now.unix_timestamp());
        let out = Outward {
            state: &state,
            nonce: &nonce,
            challenge: &challenge,
            redirect_uri: &redirect_uri,
            again: since.is_some(),
        };
        let uri = self.upstreams.authorization_uri(&provider, out, now).await;
        let uri = uri.map_err(|error| away(&provider, &error))?;
        let ceremony = serde_json::to_string(&Away { provider: name.to_string(), state, nonce, verifier, since });
        let ceremony = Some(ceremony.map_err(Error::fault)?);
        let flow = self.save_flow(context, &Flow { stage: Stage::Upstream, ceremony, ..flow }).await?;
        Ok(Step::Social { flow, uri })
    }

    /// Takes what the browser brought back.
    pub(crate) async fn finish_social(&self, context: &CallContext, flow: &str, back: Returned) -> Result<Step, Error> {
        let mut flow = self.take_flow(context, flow, Stage::Upstream).await?;
        let kept = flow.ceremony.take().ok_or(Error::FlowInvalid)?;
        let kept: Away = serde_json::from_str(&kept).map_err(Error::fault)?;
        let name = ProviderName::parse_field("provider", &kept.provider)?;
        let same = bool::from(kept.state.as_bytes().ct_eq(back.state.as_bytes()));
        if !same || back.provider != name.provider.to_string() {
            return Err(Error::FlowInvalid);
        }
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
        let user = self.local(context, &provider, upstream.map_err(|error| away(&provider, &error))?).await?;
        if flow.step_up.as_ref().is_some_and(|step_up| step_up.user != user) {
            return Err(Error::SocialRefused);
        }
        let device = self.device_class(Some(user), &back.device);
        let proof = Proof { user, time: self.clock.now(), amr: vec!["fed".to_owned()] };
        self.after_first(context, Flow { device, ..flow }, proof).await
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

    /// The user behind an upstream account; linked now, if both sides are sure of the address.
    async fn local(&self, context: &CallContext, provider: &Provider, upstream: Upstream) -> Result<UserId, Error> {
        let tx = self.change(self.db.system("the user of an upstream account", &quiet(context)).await?);
        if let Some(user) = store::provider::linked(&tx, &provider.issuer, &upstream.subject).await? {
            return Ok(user);
        }
        let vouched = upstream.email.filter(|_| upstream.email_verified).and_then(|email| Email::parse(&email).ok());
        let email = vouched.ok_or(Error::SocialNotLinked)?;
        let found = store::provider::user_with_email(&tx, &email.key).await?;
        let (user, verified) = found.ok_or(Error::SocialNotLinked)?;
        // The user's row is locked by now: a sign-in beside this one may have linked the account.
        if let Some(user) = store::provider::linked(&tx, &provider.issuer, &upstream.subject).await? {
            return Ok(user);
        }
        let known = store::user::get(&tx, user).await?.ok_or(Error::SocialNotLinked)?;
        let log = known.managing_organization.unwrap_or(OrganizationId::SYSTEM);
        if !verified {
            self.void_unproven(&tx, user).await?;
            store::provider::verify_email(&tx, user, self.clock.now()).await?;
            tx.audit(Record::done("credentials.voided").about(user.name()).by(user.name()).of(log));
        }
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
        tx.commit().await?;
        metrics::sign_in("linked");
        tracing::info!(user = %user, identity = %identity.name, "upstream account linked");
        Ok(user)
    }

    /// Whoever set the account up never showed that the address is his: nothing that he could come back with stays.
    async fn void_unproven(&self, tx: &Change, user: UserId) -> Result<(), Error> {
        store::provider::drop_credentials(tx, user).await?;
        self.end_all(tx, user).await
    }

    /// Where a provider sends the browser back to.
    pub(crate) fn callback(&self, name: ProviderName) -> String {
        format!("{}/auth/callback/{}", self.issuer, name.provider)
    }
}

/// What was wrong is for the operator: who signs in can only try again.
fn away(provider: &Provider, error: &UpstreamError) -> Error {
    tracing::warn!(provider = %provider.name, error.message = %error, "the identity provider's answer is of no use");
    Error::SocialRefused
}
