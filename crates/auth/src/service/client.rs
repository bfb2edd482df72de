//! Clients: who they are at an endpoint, and how organizations keep theirs.
//!
//! A secret is made here, told once and kept as SHA-256: 256 random bits leave nothing to guess. Whether a client exists, has a secret,
//! or showed it in another way than registered is one answer, after equal work.
use std::collections::BTreeSet;

use api::{CallContext, Caller, Etag, Id, OrganizationId};
use db::Record;
use time::{Duration, OffsetDateTime};

use super::{
    Auth, Once, PageRequest,
    exchange::ACTORS_MAX,
    key::{in_person, in_person_till_the_end},
    limit,
    lockout::quiet,
};
use crate::{
    credential::{Handle, digest},
    error::Error,
    metrics,
    model::{BROWSER, Client, ClientName, ClientProof, ClientSecrets, Problem, Revocation, RevocationKind, Role},
    store::{self, revocation::Owner},
};

/// Most clients of an organization.
const CLIENTS_MAX: i64 = 1000;
/// Longest life of a replaced secret.
const PREVIOUS_MAX: Duration = Duration::days(1);
/// Marks a secret, so that scanners find one that has leaked.
const SECRET_PREFIX: &str = "wos_cs_";

/// How a client says who it is.
#[derive(Clone)]
pub(crate) struct Presented {
    /// Its `client_id`.
    pub(crate) id: String,
    /// Its secret, or empty.
    pub(crate) secret: String,
    /// The secret came in the header.
    pub(crate) basic: bool,
}

/// Tells the permissions of the contract.
pub(crate) type Permissions = fn(&str) -> bool;

/// What every client hears that is not who it says to be.
pub(crate) const INVALID_CLIENT: Problem = Problem {
    error: "invalid_client",
    description: "the client is unknown, or did not authenticate as it is registered",
};

impl Auth {
    /// The client with this id.
    pub(super) async fn client(&self, context: &CallContext, id: &str) -> Result<Option<Client>, Error> {
        Ok(self.client_with_secrets(context, id).await?.map(|(client, _)| client))
    }

    async fn client_with_secrets(
        &self,
        context: &CallContext,
        id: &str,
    ) -> Result<Option<(Client, ClientSecrets)>, Error> {
        if let Some(client) = Client::find(id) {
            return Ok(Some((client.clone(), ClientSecrets::default())));
        }
        // One spelling of an id alone is the client's.
        let Some(known) = id.parse::<Id>().ok().filter(|known| known.to_string() == id) else { return Ok(None) };
        let tx = self.db.system("a client by its id", &quiet(context)).await?;
        Ok(store::client::find(&tx, known).await?)
    }

    /// Clients as they are now, with the revocations in force that tokens of theirs must be younger than. The platform's own never change.
    ///
    /// # Errors
    /// CREDENTIAL_INVALID when one is gone.
    pub(super) async fn present_clients(
        &self,
        context: &CallContext,
        ids: &[&str],
        now: OffsetDateTime,
    ) -> Result<(Vec<Client>, Vec<Revocation>), Error> {
        let mut clients = Vec::with_capacity(ids.len());
        let mut registered = Vec::new();
        for id in ids {
            match Client::find(id) {
                Some(client) => clients.push(client.clone()),
                None => registered.push(id.parse::<Id>().map_err(|_| Error::CredentialInvalid)?),
            }
        }
        if registered.is_empty() {
            return Ok((clients, Vec::new()));
        }
        let tx = self.db.system("clients as they are now", &quiet(context)).await?;
        for id in &registered {
            let (client, _) = store::client::find(&tx, *id).await?.ok_or(Error::CredentialInvalid)?;
            clients.push(client);
        }
        let what: Vec<_> = registered.into_iter().map(RevocationKind::Client).collect();
        let live = store::revocation::of(&tx, &what, now).await?;
        Ok((clients, live))
    }

    /// Tests who a client is (RFC 6749 section 2.3): by the registered method, and by no other.
    pub(crate) async fn authenticate(
        &self,
        context: &CallContext,
        presented: &Presented,
    ) -> Result<Result<Client, Problem>, Error> {
        let found = self.client_with_secrets(context, &presented.id).await?.filter(|(client, _)| client.id != BROWSER);
        let digest = digest(&presented.secret);
        let now = self.clock.now();
        let good = found.filter(|(client, secrets)| {
            let known = secrets.has(&digest, now);
            match client.proof {
                ClientProof::None => presented.secret.is_empty() && !presented.basic,
                ClientProof::Basic => presented.basic && known,
                ClientProof::Post => !presented.basic && known,
            }
        });
        if good.is_none() {
            metrics::grant_refused("client");
        }
        Ok(good.map(|(client, _)| client).ok_or(INVALID_CLIENT))
    }

    /// Registers a client; gives it with its secret.
    pub(crate) async fn create_client(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        mut client: Client,
        known: Permissions,
    ) -> Result<(Client, Option<String>), Error> {
        Self::own(caller, organization)?;
        Role::at_most(client.role, Self::role(caller))?;
        client.check(known)?;
        let (name, now) = (ClientName { organization, client: self.ids.next() }, self.now_micros());
        (client.id, client.organization, client.version) = (name.client.to_string(), Some(organization), 1);
        (client.create_time, client.update_time) = (now, now);
        let secret = (!client.is_public()).then(new_secret);
        let tx = self.db.tenant(caller).await?;
        store::organization::lock(&tx, organization).await?;
        in_person_till_the_end(&tx, caller).await?;
        if store::client::count(&tx, organization).await? >= CLIENTS_MAX {
            return Err(Error::OAuthClientLimit);
        }
        let digest = secret.as_ref().map(|secret| digest(secret));
        store::client::insert(&tx, name, &client, digest.as_deref()).await?;
        tx.audit(Record::done("oauth_client.created").about(name).with("scopes", client.scopes.text()));
        tx.commit().await?;
        Ok((client, secret))
    }

    /// A client.
    pub(crate) async fn get_client(&self, caller: &Caller, name: ClientName) -> Result<Client, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.db.tenant(caller).await?;
        let found = store::client::get(&tx, name, false).await?;
        Ok(caller.permit(found, |_| None, name)?)
    }

    /// A page of the clients.
    pub(crate) async fn clients(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        request: &PageRequest,
    ) -> Result<(Vec<Client>, String), Error> {
        Self::own(caller, organization)?;
        let binding = format!("{}/oauthClients", organization.name());
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.tenant(caller).await?;
        let rows = store::client::list(&tx, organization, after, limit(size)).await?;
        Ok(self.cut(caller.context(), &binding, rows, size, |client| client.id.parse().unwrap_or(Id::ZERO)))
    }

    /// Changes a client; what it has been given already lives on, within what it may have now: from the next call on.
    pub(crate) async fn update_client(
        &self,
        caller: &Caller,
        name: ClientName,
        etag: &str,
        (change, known): (impl FnOnce(&mut Client) + Send, Permissions),
        once: &Once,
    ) -> Result<Client, Error> {
        Self::own(caller, name.organization)?;
        let tx = self.change(self.db.tenant(caller).await?);
        in_person(&tx, caller).await?;
        if let Some(first) = once.replay(&tx).await? {
            return Ok(first);
        }
        let found = store::client::get(&tx, name, true).await?;
        let before = caller.permit(found, |_| None, name)?;
        Etag::check(etag, before.version)?;
        // Nor does anybody touch a machine that has a role above his own.
        Role::at_most(before.role, Self::role(caller))?;
        let mut client = before.clone();
        change(&mut client);
        if client != before {
            Role::at_most(client.role, Self::role(caller))?;
            client.check(known)?;
            if client.is_public() != before.is_public() {
                let text = "cannot change between NONE and a secret; register another client".to_owned();
                return Err(Error::OAuthClientInvalid("oauth_client.authentication_method", text));
            }
            (client.version, client.update_time) = (before.version + 1, self.now_micros());
            store::client::save(&tx, name, &client).await?;
            tx.audit(Record::done("oauth_client.updated").about(name).with("scopes", client.scopes.text()));
            self.revoke_machine(&tx, name, true).await?;
            if before.role != client.role || !before.scopes.within(&client.scopes) {
                self.renew_client(&tx, name, &before.actors).await?;
            }
        }
        once.remember(&tx, &client)?;
        tx.commit().await?;
        Ok(client)
    }

    /// Gives a client a new secret; the one before lives on for so long.
    pub(crate) async fn rotate_secret(
        &self,
        caller: &Caller,
        name: ClientName,
        keep: Duration,
    ) -> Result<(Client, String), Error> {
        Self::own(caller, name.organization)?;
        if keep.is_negative() || keep > PREVIOUS_MAX {
            return Err(api::Error::invalid_field("keep_previous", "must be at most 24 hours").into());
        }
        let tx = self.db.tenant(caller).await?;
        in_person(&tx, caller).await?;
        let found = store::client::get(&tx, name, true).await?;
        let mut client = caller.permit(found, |_| None, name)?;
        Role::at_most(client.role, Self::role(caller))?;
        if client.is_public() {
            let text = "is that of a client without a secret".to_owned();
            return Err(Error::OAuthClientInvalid("name", text));
        }
        let (secret, now) = (new_secret(), self.now_micros());
        (client.version, client.update_time) = (client.version + 1, now);
        store::client::save_secret(&tx, name, &digest(&secret), keep.is_positive().then(|| now + keep)).await?;
        store::client::save(&tx, name, &client).await?;
        tx.audit(Record::done("oauth_client.secret_rotated").about(name));
        tx.commit().await?;
        Ok((client, secret))
    }

    /// Deletes a client with everything that it was given. Two transactions: people's sessions belong to them, not to the tenant. The client goes
    /// first, so that nothing new is given meanwhile. Whoever calls again after a crash between them has the rest done, and so has the purge.
    pub(crate) async fn delete_client(
        &self,
        caller: &Caller,
        name: ClientName,
        etag: &str,
        once: &Once,
    ) -> Result<(), Error> {
        let deleted = self.delete_client_row(caller, name, etag, once).await;
        self.end_client(&quiet(caller.context()), &name.client.to_string()).await?;
        deleted
    }

    async fn delete_client_row(&self, caller: &Caller, name: ClientName, etag: &str, once: &Once) -> Result<(), Error> {
        Self::own(caller, name.organization)?;
        let tx = self.change(self.db.tenant(caller).await?);
        if once.replay::<()>(&tx).await?.is_some() {
            return Ok(());
        }
        let found = store::client::get(&tx, name, true).await?;
        let client = caller.permit(found, |_| None, name)?;
        Etag::check(etag, client.version)?;
        Role::at_most(client.role, Self::role(caller))?;
        store::client::delete(&tx, name).await?;
        tx.audit(Record::done("oauth_client.deleted").about(name));
        self.revoke_machine(&tx, name, false).await?;
        once.remember(&tx, &())?;
        tx.commit().await
    }

    /// Ends what a client was given, if there is no such client any more.
    async fn end_client(&self, context: &CallContext, client: &str) -> Result<(), Error> {
        if self.client(context, client).await?.is_some() {
            return Ok(());
        }
        let tx = self.change(self.db.system("end what a deleted client was given", context).await?);
        store::client::delete_traces(&tx, client).await?;
        for session in store::session::delete_of_client(&tx, client, None).await? {
            self.revoke_session(&tx, &session).await?;
        }
        tx.commit().await
    }

    /// Ends what is left of clients whose deletion was cut short.
    pub(super) async fn purge_clients(&self, context: &CallContext) -> Result<(), Error> {
        let mut after = String::new();
        loop {
            let tx = self.db.system("clients that people have allowed something", context).await?;
            let clients = store::consent::clients(&tx, &after, CLIENTS_MAX).await?;
            let there = store::client::those(&tx, &clients).await?;
            drop(tx);
            let Some(last) = clients.last() else { return Ok(()) };
            after.clone_from(last);
            for client in clients.iter().filter(|client| !there.contains(*client)) {
                self.end_client(context, client).await?;
            }
        }
    }

    /// Tokens of a machine for itself are void, or (`renew`) must be exchanged again for its present rights.
    async fn revoke_machine(&self, tx: &super::Change<'_>, name: ClientName, renew: bool) -> Result<(), Error> {
        let owner = Owner { organization: Some(name.organization), user: None };
        self.revoke(tx, RevocationKind::Member(api::UserId(name.client), name.organization), owner, renew).await
    }

    /// Internal tokens that a client holds must be exchanged again for what it may have now; and so must those that its actors, and theirs in
    /// turn, have got for its tokens.
    async fn renew_client(&self, tx: &super::Change<'_>, name: ClientName, before: &[String]) -> Result<(), Error> {
        let ids = |actors: &[String]| actors.iter().filter_map(|actor| actor.parse().ok()).collect::<Vec<Id>>();
        let (mut reached, mut next) = (BTreeSet::new(), ids(before));
        next.push(name.client);
        for _ in 0..=ACTORS_MAX {
            let found = store::client::with_actors(tx, name.organization, &next).await?;
            next.clear();
            for (client, actors) in found {
                if reached.insert(client) {
                    next.extend(ids(&actors));
                }
            }
        }
        let owner = Owner { organization: Some(name.organization), user: None };
        for client in reached {
            self.revoke(tx, RevocationKind::Client(client), owner, true).await?;
        }
        Ok(())
    }

    /// As PostgreSQL keeps times.
    fn now_micros(&self) -> OffsetDateTime {
        let now = self.clock.now();
        now.replace_nanosecond(now.nanosecond() / 1000 * 1000).unwrap_or(now)
    }
}

fn new_secret() -> String {
    format!("{SECRET_PREFIX}{}", Handle::new().text)
}
