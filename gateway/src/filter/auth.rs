//! Who calls: a bearer token, checked offline, exchanged once for an internal token, and kept for as long as that lives.
//!
//! Exactly one credential in exactly one place: the bearer token, or the cookie of a browser's session, which counts for what changes
//! something only with a page of the same origin behind it. Tokens in the query are refused, so that they never reach a log. The
//! internal token never leaves the platform. An API key is told from garbage by its checksum, and exchanged like a token.
mod token;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use api::{CallContext, Clock, Error};
use bytes::Bytes;
use http::{HeaderMap, header};
use jsonwebtoken::DecodingKey;
use mesh::client::Mesh;
use moka::future::Cache;
use proto::{
    Idempotency, Method, Rule,
    auth::v1::{
        ExchangeCredentialRequest, ListVerifyKeysRequest,
        list_verify_keys_response::{VerifyKey, verify_key::Use},
        token_service_client::TokenServiceClient,
    },
};
use sha2::{Digest, Sha256};

pub(crate) use token::bearer;
use token::{Claims, decoding_key};

use crate::{
    edge::Edge,
    identity::session::{self, Jar},
    refusal::Refusal,
};

/// Exchanges that are remembered.
const EXCHANGES: u64 = 50_000;

/// A caller whose credential was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// The internal token.
    pub(crate) token: Bytes,
    /// Whose budget a call draws from.
    pub(crate) key: Arc<str>,
    /// Which exchange to forget when the internal token is refused as stale.
    pub(crate) credential: [u8; 32],
    ends: Instant,
}

/// Bearer tokens and what they were exchanged for.
pub(crate) struct Credentials {
    mesh: Mesh,
    issuer: String,
    clock: Clock,
    /// Those of access tokens.
    keys: RwLock<Vec<(VerifyKey, DecodingKey)>>,
    /// All that is published.
    published: RwLock<Vec<VerifyKey>>,
    exchanges: Cache<[u8; 32], Principal>,
}

impl Credentials {
    /// Knows no key yet.
    pub(crate) fn new(mesh: Mesh, issuer: String, clock: Clock) -> Self {
        let exchanges = Cache::builder().max_capacity(EXCHANGES).time_to_live(Duration::from_secs(300)).build();
        Self { mesh, issuer, clock, keys: RwLock::default(), published: RwLock::default(), exchanges }
    }

    /// Reads the issuer's public keys.
    pub(crate) async fn load_keys(&self, context: &CallContext) -> Result<(), Error> {
        let mut client = TokenServiceClient::new(self.mesh.as_workload("auth", context));
        let keys = client.list_verify_keys(ListVerifyKeysRequest {}).await?.into_inner().keys;
        let published: Vec<_> = keys.into_iter().filter(|key| key.r#use() != Use::Internal).collect();
        let edge = published.iter().filter(|key| key.r#use() == Use::Edge);
        let keys: Vec<_> = edge.filter_map(|key| Some((key.clone(), decoding_key(key)?))).collect();
        if keys.is_empty() {
            return Err(Error::unavailable("the token issuer's public key"));
        }
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = published;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// The public keys, for `/.well-known/jwks.json`.
    pub(crate) fn public_keys(&self) -> Vec<VerifyKey> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets an exchange: its internal token was refused.
    pub(crate) async fn forget(&self, principal: &Principal) {
        self.exchanges.invalidate(&principal.credential).await;
    }

    /// The caller behind a browser's session.
    pub(crate) async fn visitor(&self, secret: &str, context: &CallContext) -> Result<Principal, Error> {
        let credential: [u8; 32] = Sha256::digest(format!("session {secret}").as_bytes()).into();
        if let Some(known) = self.exchanges.get(&credential).await.filter(|known| known.ends > Instant::now()) {
            return Ok(known);
        }
        self.exchanges.invalidate(&credential).await;
        let exchange = async {
            let mut client = TokenServiceClient::new(self.mesh.as_workload("auth", context));
            let request = ExchangeCredentialRequest { session: secret.to_owned(), ..Default::default() };
            let answer = client.exchange_credential(request).await?.into_inner();
            let now = self.clock.now().unix_timestamp();
            let life = u64::try_from(answer.expire_time.map_or(now, |time| time.seconds) - now).unwrap_or_default();
            let key = answer.principal.into();
            Ok(Principal { token: answer.token, key, credential, ends: Instant::now() + Duration::from_secs(life) })
        };
        Box::pin(self.exchanges.try_get_with(credential, exchange))
            .await
            .map_err(|error: Arc<Error>| Error::clone(&error))
    }

    /// The caller of an access token.
    pub(crate) async fn principal(&self, token: &str, context: &CallContext) -> Result<Principal, Error> {
        let credential: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(known) = self.exchanges.get(&credential).await {
            if known.ends > Instant::now() {
                return Ok(known);
            }
            self.exchanges.invalidate(&credential).await;
        }
        let claims = match token.starts_with(authz::api_key::PREFIX) {
            false => Some(self.verify(token)?),
            // The checksum tells garbage without a question.
            true if authz::api_key::is_well_formed(token) => None,
            true => return Err(Error::credential_invalid()),
        };
        // One exchange at a time for one credential; an error is not remembered.
        // Boxed: it is large and rare, and each request would keep the room for it.
        let exchange = self.exchanges.try_get_with(credential, self.exchange(token, claims, credential, context));
        Box::pin(exchange).await.map_err(|error: Arc<Error>| Error::clone(&error))
    }

    async fn exchange(
        &self,
        token: &str,
        claims: Option<Claims>,
        credential: [u8; 32],
        context: &CallContext,
    ) -> Result<Principal, Error> {
        let mut client = TokenServiceClient::new(self.mesh.as_workload("auth", context));
        let answer = client
            .exchange_credential(ExchangeCredentialRequest { access_token: token.to_owned(), ..Default::default() })
            .await?
            .into_inner();
        let now = self.clock.now().unix_timestamp();
        let token_ends = answer.expire_time.map_or(now, |time| time.seconds);
        // The edge refuses the access token at its own end, though the internal one may live a little longer.
        let life = u64::try_from(token_ends.min(claims.as_ref().map_or(token_ends, |claims| claims.exp)) - now)
            .unwrap_or_default();
        let key = match claims {
            Some(claims) => format!("{}/{}", claims.org, claims.sub).into(),
            None => answer.principal.into(),
        };
        Ok(Principal { token: answer.token, key, credential, ends: Instant::now() + Duration::from_secs(life) })
    }

    fn verify(&self, token: &str) -> Result<Claims, Error> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        token::verify(token, &keys, &self.issuer, self.clock.now().unix_timestamp())
    }
}

#[cfg(test)]
impl Credentials {
    /// An exchange that took place.
    pub(crate) async fn remember(&self, principal: &Principal) {
        self.exchanges.insert(principal.credential, principal.clone()).await;
    }

    pub(crate) fn knows(&self, principal: &Principal) -> bool {
        self.exchanges.contains_key(&principal.credential)
    }
}

#[cfg(test)]
impl Principal {
    pub(crate) fn of_a_test() -> Self {
        Self { token: Bytes::new(), key: "org/user".into(), credential: [7; 32], ends: Instant::now() }
    }
}

/// The caller, as the method's access rule demands it.
pub(crate) async fn authenticate(
    edge: &Edge,
    headers: &HeaderMap,
    method: &Method,
    context: &CallContext,
) -> Result<Option<Principal>, Refusal> {
    let token = bearer(headers)?;
    let public = method.access.as_ref().is_some_and(|access| access.rule == Rule::Public);
    // Browsers send cookies unasked: on a public method one is no claim to be somebody.
    if let Some(jar) = edge.jar.filter(|jar| jar.is_shown(headers) && !public) {
        if token.is_some() {
            return Err(Error::credential_invalid().into());
        }
        return Ok(Some(edge.credentials.visitor(cookie(edge, jar, headers, method)?, context).await?));
    }
    match token {
        // A bad credential is refused on public methods too: the caller believes to be somebody.
        Some(token) => Ok(Some(edge.credentials.principal(token, context).await?)),
        None if public => Ok(None),
        None => Err(Error::credential_missing().into()),
    }
}

/// The secret in the cookie of a browser's session, if a page of ours stands behind the request. What only reads needs none, because
/// no other page may read the answer; a WebSocket does, because every page may read what it says.
fn cookie<'h>(edge: &Edge, jar: Jar, headers: &'h HeaderMap, method: &Method) -> Result<&'h str, Error> {
    let secret = jar.session(headers).ok_or_else(Error::credential_invalid)?;
    let upgrades = headers.contains_key(header::SEC_WEBSOCKET_VERSION) || headers.contains_key(header::UPGRADE);
    let reads = method.idempotency == Idempotency::NoSideEffects;
    let ours = session::is_same_origin(&edge.public_url, headers);
    let beyond_forms = !headers.contains_key(header::CONTENT_TYPE) || session::is_beyond_forms(headers);
    let counts = if upgrades { ours } else { reads || (ours && beyond_forms) };
    if counts {
        Ok(secret)
    } else {
        Err(Error::new(api::Code::PermissionDenied, api::CommonReason::AccessDenied, FOREIGN))
    }
}

const FOREIGN: &str = "a cookie counts for requests of pages of the same origin, with a content type that no form sends; send an \
     Authorization header instead";
