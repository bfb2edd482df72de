//! Identity providers as administrators manage them, and linked accounts as their users do.
use api::{Caller, Etag, Id, OrganizationId, UserId};
use db::Record;

use super::{
    Auth, PageRequest, limit,
    user::{home, oneself},
};
use crate::{
    error::Error,
    model::{Identity, IdentityName, PROVIDERS_MAX, Provider, ProviderName},
    store,
};

/// What an update changes; `None` leaves the field as it is.
pub(crate) struct ProviderChange {
    /// Name on the button.
    pub(crate) display_name: Option<String>,
    /// Our id there.
    pub(crate) client_id: Option<String>,
    /// Our secret there.
    pub(crate) secret: Option<String>,
    /// Scopes asked for.
    pub(crate) scopes: Option<Vec<String>>,
    /// Hosts that may be asked.
    pub(crate) hosts: Option<Vec<String>>,
}

impl Auth {
    /// Registers a provider. Its id and times are ours.
    pub(crate) async fn create_provider(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        mut provider: Provider,
        secret: &str,
    ) -> Result<Provider, Error> {
        Self::own(caller, organization)?;
        provider.check()?;
        let now = self.clock.now();
        provider.name = ProviderName { organization, provider: self.ids.next() };
        (provider.create_time, provider.update_time) = (now, now);
        let tx = self.db.tenant(caller).await?;
        store::organization::lock(&tx, organization).await?;
        if store::provider::list(&tx, organization, Id::ZERO, 1000).await?.len() >= PROVIDERS_MAX {
            return Err(Error::ProviderLimit);
        }
        let sealed = self.vault.seal(&purpose(provider.name), secret.as_bytes());
        store::provider::insert(&tx, &provider, &sealed).await?;
        tx.audit(Record::done("identity_provider.created").about(provider.name).with("issuer", &provider.issuer));
        tx.commit().await?;
        Ok(provider)
    }

    /// One provider.
    pub(crate) async fn provider(&self, caller: &Caller, name: ProviderName) -> Result<Provider, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::provider::get(&tx, name, false).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of an organization's providers.
    pub(crate) async fn providers(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
    ) -> Result<(Vec<Provider>, String), Error> {
        Self::own(caller, organization)?;
        let binding = organization.name();
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.tenant(caller).await?;
        let rows = store::provider::list(&tx, organization, after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |provider| provider.name.provider))
    }

    /// Changes a provider.
    pub(crate) async fn update_provider(
        &self,
        caller: &Caller,
        name: ProviderName,
        etag: &str,
        change: ProviderChange,
    ) -> Result<Provider, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::provider::get(&tx, name, true).await?;
        let mut provider = caller.permit(found, |_| None, name)?;
        Etag::check(etag, provider.version)?;
        let ProviderChange { display_name, client_id, secret, scopes, hosts } = change;
        provider.display_name = display_name.unwrap_or(provider.display_name);
        provider.client_id = client_id.unwrap_or(provider.client_id);
        provider.scopes = scopes.unwrap_or(provider.scopes);
        provider.hosts = hosts.unwrap_or(provider.hosts);
        provider.version += 1;
        provider.update_time = self.clock.now();
        provider.check()?;
        let sealed = secret.map(|secret| self.vault.seal(&purpose(name), secret.as_bytes()));
        store::provider::save(&tx, &provider, sealed.as_deref()).await?;
        tx.audit(Record::done("identity_provider.updated").about(name));
        tx.commit().await?;
        Ok(provider)
    }

    /// Deletes a provider; one that is gone is fine.
    pub(crate) async fn delete_provider(&self, caller: &Caller, name: ProviderName) -> Result<(), Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        if store::provider::delete(&tx, name).await? {
            tx.audit(Record::done("identity_provider.deleted").about(name));
        }
        Ok(tx.commit().await?)
    }

    /// What is wrong with a provider's metadata and keys, in words; empty when nothing is.
    pub(crate) async fn test_provider(&self, caller: &Caller, name: ProviderName) -> Result<String, Error> {
        let provider = self.provider(caller, name).await?;
        Ok(self
            .upstreams
            .test(&provider, self.clock.now())
            .await
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default())
    }

    /// The secret of a provider.
    pub(super) async fn provider_secret(&self, tx: &db::Tx, name: ProviderName) -> Result<String, Error> {
        let sealed = store::provider::secret(tx, name).await?.ok_or(Error::SocialRefused)?;
        let bytes = self.vault.open(&purpose(name), &sealed).map_err(Error::fault)?;
        String::from_utf8(bytes).map_err(Error::fault)
    }

    /// One linked account of the caller.
    pub(crate) async fn identity(&self, caller: &Caller, name: IdentityName) -> Result<Identity, Error> {
        oneself(caller, name.user)?;
        let tx = self.db.subject(name.user, caller.context()).await?;
        let found = store::provider::identity(&tx, name).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of the caller's linked accounts.
    pub(crate) async fn identities(
        &self,
        caller: &Caller,
        user: UserId,
        request: &PageRequest,
    ) -> Result<(Vec<Identity>, String), Error> {
        oneself(caller, user)?;
        let binding = user.name();
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.subject(user, caller.context()).await?;
        let rows = store::provider::identities(&tx, user, after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |identity| identity.name.identity))
    }

    /// Unlinks an account of the caller, unless nothing else could sign him in; one that is gone is fine.
    pub(crate) async fn delete_identity(&self, caller: &Caller, name: IdentityName) -> Result<(), Error> {
        let user = name.user;
        oneself(caller, user)?;
        let tx = self.change(self.db.subject(user, caller.context()).await?);
        let ways = self.changeable(&tx, caller, user).await?;
        let linked = store::provider::identities(&tx, user, Id::ZERO, 1000).await?;
        if !linked.iter().any(|identity| identity.name == name) {
            return Ok(());
        }
        let other = linked.len() > 1 || ways.signs_in() || store::user::password(&tx, user).await?.is_some();
        if !other {
            return Err(Error::FactorMissing);
        }
        store::provider::unlink(&tx, name).await?;
        tx.audit(Record::done("identity.unlinked").about(name).of(home(caller)));
        self.end_other_sessions(&tx, caller, user).await?;
        self.tell_factors_changed(&tx, user).await?;
        tx.commit().await
    }
}

/// What a sealed secret is bound to.
pub(super) fn purpose(name: ProviderName) -> String {
    format!("identity provider {name}")
}
