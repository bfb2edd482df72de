//! Machines: clients that act by themselves, with a role of their own.
//!
//! A machine's id stands where a user's does, so that it can be the author of what it makes and be shared with. The session of its token is
//! the token: nothing is stored, and one token can be revoked alone. Its rights are those that its registration has at the moment.
use api::{CallContext, Caller, OrganizationId, UserId};
use db::Tx;

use super::{
    Auth, issue_time,
    oauth::{Answer, GRANT, SCOPE, Tokens, id},
};
use crate::{
    credential::Claims,
    error::Error,
    metrics,
    model::{Client, ClientKind, ClientName, OrganizationState, RevocationKind, Role, acr, problem},
    store,
};

impl Auth {
    /// The present role of a machine that calls; nobody else comes here.
    pub(super) async fn machine_role(
        &self,
        caller: &Caller,
        tx: &Tx,
        organization: OrganizationId,
    ) -> Result<Option<Role>, Error> {
        let name = ClientName { organization, client: caller.user_required()?.0 };
        let found = store::client::get(tx, name, false).await?;
        let machine = found.filter(|found| found.kind == ClientKind::Machine);
        Ok(machine.ok_or_else(api::Error::denied)?.role)
    }

    /// A token for a machine that acts by itself. Its session is the token: nothing is stored, and it can be revoked alone.
    pub(super) async fn machine(&self, context: &CallContext, client: &Client, scope: &str) -> Result<Answer, Error> {
        let (ClientKind::Machine, Some(organization)) = (client.kind, client.organization) else {
            return Ok(Err(problem("unauthorized_client", "only a MACHINE client acts by itself; sign a person in")));
        };
        let Some(scopes) = client.grants(scope) else { return Ok(Err(SCOPE)) };
        let machine = RevocationKind::Member(UserId(id(&client.id)?), organization);
        let tx = self.db.tenant_as(organization, context).await?;
        if !store::organization::get(&tx, organization)
            .await?
            .is_some_and(|found| found.state == OrganizationState::Active)
        {
            return Ok(Err(GRANT));
        }
        let live =
            store::revocation::of(&tx, &[machine, RevocationKind::Tenant(organization)], self.clock.now()).await?;
        drop(tx);
        let issued = issue_time(self.clock.now(), &live);
        let token = self.ids.next().to_string();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            exp: (issued + self.access_life()).unix_timestamp(),
            iat: issued.unix_timestamp(),
            jti: token.clone(),
            sub: client.id.clone(),
            client_id: client.id.clone(),
            scope: scopes.text(),
            sid: token,
            org: Some(organization.to_string()),
            roles: client.role.map(|role| role.text().to_owned()).into_iter().collect(),
            auth_time: issued.unix_timestamp(),
            amr: Vec::new(),
            acr: acr(&[]).to_string(),
            generation: 0,
            act: None,
            key: 0,
        };
        metrics::token_issued("machine");
        let access = self.keys()?.edge.sign(&claims)?;
        Ok(Ok(Tokens { access, refresh: None, id: None, life: self.access_life(), scope: claims.scope }))
    }
}
