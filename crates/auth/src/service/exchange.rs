//! Token exchange (RFC 8693): a client gets a token of its own for one that it was given.
//!
//! Nothing is ever widened: scope, tenant, audience and end are at most those of the token presented, and the new token lives and falls
//! with the same session. A client may exchange its own tokens, to pass on less; those of another client only where that one
//! is registered with it as an actor. A machine's own tokens are not exchanged: whoever holds one can get a smaller one.
use api::CallContext;
use db::Record;
use time::OffsetDateTime;

use super::{
    Auth,
    oauth::{Answer, Exchange, SCOPE, Tokens, hits, id, narrowed},
    session::told,
};
use crate::{
    credential::{Actor, Claims},
    error::Error,
    metrics,
    model::{Client, Problem, Scopes, Session, problem},
    store,
};

/// How many clients may stand behind each other in a token: each makes it longer.
pub(super) const ACTORS_MAX: usize = 4;

/// What a token that cannot be exchanged is answered with, whatever is wrong with it (RFC 8693 section 2.2.2).
const SUBJECT: Problem = Problem {
    error: "invalid_request",
    description: "the subject token is unknown, expired, revoked or not for this client; get another one",
};

impl Auth {
    /// Gives a client a token of its own for another.
    pub(super) async fn exchange(
        &self,
        context: &CallContext,
        client: &Client,
        request: Exchange,
    ) -> Result<Answer, Error> {
        if client.is_public() {
            return Ok(Err(problem("unauthorized_client", "only a client with a secret exchanges tokens")));
        }
        if request.audiences.iter().any(|audience| *audience != self.issuer) {
            return Ok(Err(problem(
                "invalid_target",
                "tokens are good at the issuer alone; leave audience and resource out",
            )));
        }
        let now = self.clock.now();
        let claims = self.keys()?.edge.read(&request.subject, &self.issuer, now);
        // Nor is a token passed on with which somebody acts as another: it is his alone, and named as his.
        let is_own = |claims: &Claims| !claims.is_machine() && !claims.is_impersonation();
        let Some(claims) = claims.filter(is_own) else { return Ok(Err(SUBJECT)) };
        if claims.client_id != client.id {
            let given_to = self.client(context, &claims.client_id).await?;
            if !given_to.is_some_and(|given_to| given_to.actors.contains(&client.id)) {
                metrics::grant_refused("exchange");
                return Ok(Err(SUBJECT));
            }
        }
        let granted = Scopes::parse(&claims.scope).unwrap_or_default();
        let Some(scopes) = narrowed(&granted, &request.scope) else { return Ok(Err(SCOPE)) };
        let scopes = Scopes(scopes.both(&client.scopes).0.into_iter().filter(|scope| scope != "*").collect());
        let Some(act) = actors(&claims, client) else { return Ok(Err(SUBJECT)) };
        self.exchanged(context, client, (claims, act), &scopes).await
    }

    async fn exchanged(
        &self,
        context: &CallContext,
        client: &Client,
        (claims, act): (Claims, Option<Actor>),
        scopes: &Scopes,
    ) -> Result<Answer, Error> {
        let now = self.clock.now();
        let tx = self.db.system("exchange an access token", context).await?;
        let subject_client = claims.client_id.clone();
        let found = store::session::get(&tx, id(&claims.sid)?, false).await?;
        let Some((session, _)) = found.filter(|(session, _)| session.user.to_string() == claims.sub) else {
            return Ok(Err(SUBJECT));
        };
        let live = store::revocation::of(&tx, &hits(&session), now).await?;
        let void = live.iter().any(|entry| entry.ends(claims.iat, claims.key));
        // A client of one organization sees that one alone.
        let foreign = !client.is_for_all() && client.organization != session.organization;
        let role = self.still_good(&tx, &session, now).await?;
        let Some(role) = role.filter(|_| !void && !foreign) else { return Ok(Err(SUBJECT)) };
        let issued = super::issue_time(now, &live).unix_timestamp();
        let longest = OffsetDateTime::from_unix_timestamp(issued).map_err(Error::fault)? + self.access_life();
        let next = Claims {
            exp: claims.exp.min(longest.unix_timestamp()),
            iat: issued,
            jti: self.ids.next().to_string(),
            client_id: client.id.clone(),
            scope: scopes.text(),
            roles: role.map(|role| role.text().to_owned()).into_iter().collect(),
            act,
            ..claims
        };
        if next.exp <= next.iat {
            return Ok(Err(SUBJECT));
        }
        let life = time::Duration::seconds(next.exp - next.iat);
        let access = self.keys()?.edge.sign(&next)?;
        tx.audit(told_exchanged(&session, &next, (&subject_client, client)));
        tx.commit().await?;
        metrics::token_issued("exchanged");
        Ok(Ok(Tokens { access, refresh: None, id: None, life, scope: next.scope }))
    }
}

/// Whose token of which application was exchanged, and who acts with the new one, if that is another.
fn told_exchanged(session: &Session, next: &Claims, (before, client): (&str, &Client)) -> Record {
    let record = told("token.exchanged", session).with("client", before).with("scopes", &next.scope);
    match client.resource_name().filter(|_| next.act.is_some()) {
        Some(name) => record.through(name.to_string()),
        None => record,
    }
}

/// Who acts after an exchange by this client; the outer `None` when too many stand behind each other.
fn actors(claims: &Claims, client: &Client) -> Option<Option<Actor>> {
    if claims.client_id == client.id {
        return Some(claims.act.clone());
    }
    let mut depth = 1;
    let mut before = claims.act.as_ref();
    while let Some(actor) = before {
        depth += 1;
        before = actor.act.as_deref();
    }
    let act = claims.act.clone().map(Box::new);
    (depth <= ACTORS_MAX).then(|| Some(Actor { sub: client.id.clone(), sid: None, act }))
}
