//! Consents: listed and taken back by who gave them; and the requests that wait for one, for a consent page of somebody's own.
use api::{Caller, Id, OrganizationId, UserId};
use db::{Record, Tx};

use super::{
    Auth, PageRequest, limit,
    lockout::quiet,
    user::{home, oneself},
};
use crate::{
    credential::digest,
    error::Error,
    model::{Consent, ConsentName, RequestName},
    store::{
        self,
        authorize::{Bound, Waiting},
    },
};

impl Auth {
    /// A page of the caller's consents, each with the name of its client.
    pub(crate) async fn consents(
        &self,
        caller: &Caller,
        user: UserId,
        request: &PageRequest,
    ) -> Result<(Vec<(Consent, String)>, String), Error> {
        oneself(caller, user)?;
        let binding = format!("{}/consents", user.name());
        let (after, size) = self.page(caller.context(), &binding, request)?;
        let tx = self.db.subject(user, caller.context()).await?;
        let rows = store::consent::list(&tx, user, after, limit(size)).await?;
        drop(tx);
        let (rows, token) = self.cut(caller.context(), &binding, rows, size, |consent| consent.id);
        let mut consents = Vec::with_capacity(rows.len());
        for consent in rows {
            let name = self.client_name(caller, &consent.client).await?;
            consents.push((consent, name));
        }
        Ok((consents, token))
    }

    /// A consent of the caller.
    pub(crate) async fn consent(&self, caller: &Caller, name: ConsentName) -> Result<(Consent, String), Error> {
        oneself(caller, name.user)?;
        let tx = self.db.subject(name.user, caller.context()).await?;
        let found = store::consent::get(&tx, name).await?;
        drop(tx);
        let consent = caller.permit(found, |_| None, name)?;
        let client = self.client_name(caller, &consent.client).await?;
        Ok((consent, client))
    }

    /// Takes a consent back, with all that rests on it; one that is gone already is fine, so that the call may be repeated.
    pub(crate) async fn delete_consent(&self, caller: &Caller, name: ConsentName) -> Result<(), Error> {
        oneself(caller, name.user)?;
        let tx = self.change(self.db.subject(name.user, caller.context()).await?);
        let Some(consent) = store::consent::get(&tx, name).await? else { return tx.commit().await };
        let Consent { user, client, organization, .. } = consent;
        // A code that is given between these two is worth nothing without the consent.
        store::consent::delete_codes(&tx, user, &client, organization).await?;
        if store::consent::delete(&tx, name).await? {
            let record = Record::done("consent.deleted").about(name).with("client", &client);
            tx.audit(record.of(self.log_of(&tx, caller, organization).await?));
            for session in store::session::delete_of_client(&tx, &client, Some((user, organization))).await? {
                self.revoke_session(&tx, &session).await?;
            }
        }
        tx.commit().await
    }

    /// The log that tells of a consent: its organization's, as long as the caller belongs to it.
    async fn log_of(
        &self,
        tx: &Tx,
        caller: &Caller,
        organization: Option<OrganizationId>,
    ) -> Result<OrganizationId, Error> {
        let Some(organization) = organization else { return Ok(OrganizationId::SYSTEM) };
        let member = store::membership::of_user(tx, caller.user_required()?, organization).await?;
        Ok(member.map_or_else(|| home(caller), |member| member.organization))
    }

    /// A request that waits for the caller's decision, with the name of its client and the tenant that it would see.
    pub(crate) async fn authorization_request(
        &self,
        caller: &Caller,
        name: &RequestName,
    ) -> Result<(Waiting, String, Option<OrganizationId>), Error> {
        let session = session_of(caller)?;
        let tx = self.db.system("an authorization request that waits", &quiet(caller.context())).await?;
        let found = store::authorize::get(&tx, &digest(&name.0), session, self.clock.now()).await?;
        let waiting = found.ok_or(Error::FlowInvalid)?;
        let (session, _) = store::session::get(&tx, session, false).await?.ok_or(Error::FlowInvalid)?;
        drop(tx);
        let client = self.client(caller.context(), &waiting.asked.client).await?.ok_or(Error::FlowInvalid)?;
        let standing = self.standing_of(caller.context(), &client, &session).await?;
        let organization = standing.organization.ok_or(Error::NoMembership)?;
        Ok((waiting, client.display_name, organization))
    }

    /// Takes the caller's decision; gives where the browser goes.
    pub(crate) async fn decide_request(
        &self,
        caller: &Caller,
        name: &RequestName,
        approve: bool,
    ) -> Result<String, Error> {
        let id = session_of(caller)?;
        let waiting = self.take(caller.context(), &name.0, Bound::Session(id)).await?;
        let tx = self.db.subject(caller.user_required()?, &quiet(caller.context())).await?;
        let (session, _) = store::session::get(&tx, id, false).await?.ok_or(Error::FlowInvalid)?;
        drop(tx);
        self.decided(caller.context(), waiting.asked, &session, approve).await
    }

    async fn client_name(&self, caller: &Caller, client: &str) -> Result<String, Error> {
        Ok(self.client(caller.context(), client).await?.map(|client| client.display_name).unwrap_or_default())
    }
}

/// The session of the call.
fn session_of(caller: &Caller) -> Result<Id, Error> {
    caller.session().and_then(|session| session.parse().ok()).ok_or(Error::FlowInvalid)
}
