//! The relying party: what is asked of identity providers and what of their answers is believed.
//!
//! Only what the row and the flow expect is taken: the issuer byte for byte, our client id as the one audience, or as the authorized party
//! where there are several, the flow's nonce, ES256 or RS256 by a key of the issuer. Keys are loaded again at most once a minute, and a
//! set that names one key twice is refused.
//! Written on the JWT library that the service has anyway; the ready-made clients bring a second stack of ciphers (docs/adr/0030).
mod fetch;

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::Deserialize;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

use fetch::Question;
pub(crate) use fetch::{FetchError, Fetcher};

use crate::model::{Protocol, Provider, Upstream, escaped, is_endpoint};

/// How long a provider's metadata and keys are good: a key that it has taken back signs nobody in any longer than that.
const METADATA_LIFE: Duration = Duration::HOUR;
/// Least time between two loads of a provider's keys.
const KEYS_EVERY: Duration = Duration::MINUTE;
/// Providers that are remembered.
const REMEMBERED: usize = 1000;
/// Clocks may differ by so many seconds.
const LEEWAY: i64 = 60;

/// Why a provider's answer is worth nothing. For the log and the operator's test, never for who signs in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Nothing came back.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Something came back that does not fit.
    #[error("the identity provider's answer does not fit: {0}")]
    Misfit(&'static str),
}

/// What a flow sends along.
pub(crate) struct Outward<'a> {
    /// Binds the answer to the flow.
    pub(crate) state: &'a str,
    /// Binds the ID token to the flow.
    pub(crate) nonce: &'a str,
    /// PKCE challenge.
    pub(crate) challenge: &'a str,
    /// Where the browser returns.
    pub(crate) redirect_uri: &'a str,
    /// The person must prove again who he is, whatever session he has there.
    pub(crate) again: bool,
}

/// What came back with the browser, and what the flow knows.
pub(crate) struct Inward<'a> {
    /// The code.
    pub(crate) code: &'a str,
    /// Issuer that the answer names (RFC 9207); empty if it names none.
    pub(crate) issuer: &'a str,
    /// PKCE verifier.
    pub(crate) verifier: &'a str,
    /// Nonce.
    pub(crate) nonce: &'a str,
    /// Where the browser returned.
    pub(crate) redirect_uri: &'a str,
    /// Our secret there.
    pub(crate) secret: &'a str,
    /// When the flow began, where the person must have proven who he is since then, in seconds since 1970.
    pub(crate) since: Option<i64>,
}

/// OpenID Connect Discovery section 3, RFC 9207 section 3.
#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// One audience, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// The one that there is.
    fn only(&self) -> Option<&String> {
        match self {
            Self::One(one) => Some(one),
            Self::Many(many) => many.first().filter(|_| many.len() == 1),
        }
    }
}

#[derive(Deserialize)]
struct IdClaims {
    sub: String,
    aud: Audience,
    iat: i64,
    exp: i64,
    #[serde(default)]
    nonce: String,
    azp: Option<String>,
    auth_time: Option<i64>,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
}

#[derive(Default)]
struct Known {
    metadata: Option<(Metadata, OffsetDateTime)>,
    keys: Option<(JwkSet, OffsetDateTime)>,
}

/// What was loaded then is not older than that, and not out of the future: clocks are set back.
fn is_fresh(loaded: OffsetDateTime, now: OffsetDateTime, life: Duration) -> bool {
    (Duration::ZERO..life).contains(&(now - loaded))
}

/// The way to all providers.
pub(crate) struct Upstreams {
    fetcher: Fetcher,
    known: Mutex<HashMap<String, Known>>,
}

impl Upstreams {
    /// With this way out.
    pub(crate) fn new(fetcher: Fetcher) -> Self {
        Self { fetcher, known: Mutex::default() }
    }

    /// Loads what can be loaded without a person: metadata and keys.
    pub(crate) async fn test(&self, provider: &Provider, now: OffsetDateTime) -> Result<(), UpstreamError> {
        if provider.protocol == Protocol::Oidc {
            let metadata = self.metadata(provider, now).await?;
            self.load_keys(provider, &metadata, now).await?;
        }
        Ok(())
    }

    /// Where to send the browser.
    pub(crate) async fn authorization_uri(
        &self,
        provider: &Provider,
        out: Outward<'_>,
        now: OffsetDateTime,
    ) -> Result<String, UpstreamError> {
        let endpoint = match provider.protocol {
            Protocol::Oidc => self.metadata(provider, now).await?.authorization_endpoint,
            Protocol::OAuth if out.again => {
                return Err(UpstreamError::Misfit("plain OAuth 2.0 has no way to ask the person again"));
            }
            Protocol::OAuth => provider.plain.authorization_endpoint.clone(),
        };
        let mark = if endpoint.contains('?') { '&' } else { '?' };
        let mut uri = format!("{endpoint}{mark}response_type=code");
        let scope = provider.scopes.join(" ");
        let mut add = |name: &str, value: &str| uri += &format!("&{name}={}", escaped(value));
        add("client_id", &provider.client_id);
        add("redirect_uri", out.redirect_uri);
        add("scope", &scope);
        add("state", out.state);
        add("code_challenge", out.challenge);
        add("code_challenge_method", "S256");
        if provider.protocol == Protocol::Oidc {
            add("nonce", out.nonce);
        }
        if out.again {
            // It asks for the claim `auth_time` too (OpenID Connect Core section 3.1.2.1); what comes back is what counts.
            add("max_age", "0");
        }
        Ok(uri)
    }

    /// Exchanges the code and says who it is.
    pub(crate) async fn identify(
        &self,
        provider: &Provider,
        came: Inward<'_>,
        now: OffsetDateTime,
    ) -> Result<Upstream, UpstreamError> {
        let metadata = match provider.protocol {
            Protocol::Oidc => Some(self.metadata(provider, now).await?),
            Protocol::OAuth if came.since.is_some() => {
                return Err(UpstreamError::Misfit("plain OAuth 2.0 does not say when the person signed in"));
            }
            Protocol::OAuth => None,
        };
        let demanded =
            metadata.as_ref().is_some_and(|metadata| metadata.authorization_response_iss_parameter_supported);
        if (demanded || !came.issuer.is_empty()) && came.issuer != provider.issuer {
            return Err(UpstreamError::Misfit("the answer came from another issuer"));
        }
        let endpoint = metadata.as_ref().map_or(&provider.plain.token_endpoint, |metadata| &metadata.token_endpoint);
        let tokens = self.exchange(provider, endpoint, &came).await?;
        let text = |name: &str| tokens[name].as_str().ok_or(UpstreamError::Misfit("a token is missing"));
        match &metadata {
            Some(metadata) => self.read_id_token(provider, metadata, text("id_token")?, &came, now).await,
            None => self.ask_who(provider, text("access_token")?).await,
        }
    }

    async fn exchange(&self, provider: &Provider, endpoint: &str, came: &Inward<'_>) -> Result<Value, UpstreamError> {
        let mut form = "grant_type=authorization_code".to_owned();
        let mut add = |name: &str, value: &str| form += &format!("&{name}={}", escaped(value));
        add("code", came.code);
        add("redirect_uri", came.redirect_uri);
        add("code_verifier", came.verifier);
        let mut authorization = None;
        if provider.protocol == Protocol::Oidc {
            // RFC 6749 section 2.3.1: both parts are form-encoded first.
            let pair = format!("{}:{}", escaped(&provider.client_id), escaped(came.secret));
            authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
        } else {
            add("client_id", &provider.client_id);
            add("client_secret", came.secret);
        }
        self.ask(provider, endpoint, Question { authorization, form: Some(form) }).await
    }

    async fn ask(&self, provider: &Provider, url: &str, question: Question) -> Result<Value, UpstreamError> {
        if !provider.may_ask(url) {
            return Err(UpstreamError::Misfit("an endpoint is at a host that the provider's row does not name"));
        }
        Ok(self.fetcher.json(url, question).await?)
    }

    async fn metadata(&self, provider: &Provider, now: OffsetDateTime) -> Result<Metadata, UpstreamError> {
        let held = self.known.lock().await.get(&provider.issuer).and_then(|known| known.metadata.clone());
        if let Some((metadata, _)) = held.filter(|(_, loaded)| is_fresh(*loaded, now, METADATA_LIFE)) {
            return Ok(metadata);
        }
        let url = format!("{}/.well-known/openid-configuration", provider.issuer.trim_end_matches('/'));
        let answer = self.ask(provider, &url, Question::default()).await?;
        let metadata: Metadata = serde_json::from_value(answer)
            .map_err(|_| UpstreamError::Misfit("the metadata is not that of an issuer"))?;
        if metadata.issuer != provider.issuer {
            return Err(UpstreamError::Misfit("the metadata is that of another issuer"));
        }
        if !is_endpoint(&metadata.authorization_endpoint) {
            return Err(UpstreamError::Misfit("the authorization endpoint is no URL that a browser may be sent to"));
        }
        self.remember(provider, |known| known.metadata = Some((metadata.clone(), now))).await;
        Ok(metadata)
    }

    async fn load_keys(
        &self,
        provider: &Provider,
        metadata: &Metadata,
        now: OffsetDateTime,
    ) -> Result<JwkSet, UpstreamError> {
        let answer = self.ask(provider, &metadata.jwks_uri, Question::default()).await?;
        let keys: JwkSet =
            serde_json::from_value(answer).map_err(|_| UpstreamError::Misfit("the keys are no JWK set"))?;
        let mut kids: Vec<_> = keys.keys.iter().map(|key| key.common.key_id.as_deref()).collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(UpstreamError::Misfit("the JWK set names one key twice"));
        }
        self.remember(provider, |known| known.keys = Some((keys.clone(), now))).await;
        Ok(keys)
    }

    async fn remember(&self, provider: &Provider, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock().await;
        if known.len() >= REMEMBERED {
            known.clear();
        }
        change(known.entry(provider.issuer.clone()).or_default());
    }

    /// The key with this id; an unknown one is looked for again at most once a minute, and none is believed that was loaded long ago.
    async fn key(
        &self,
        provider: &Provider,
        metadata: &Metadata,
        kid: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<DecodingKey, UpstreamError> {
        let find = |keys: &JwkSet| match kid {
            Some(kid) => keys.find(kid).cloned(),
            None if keys.keys.len() == 1 => keys.keys.first().cloned(),
            None => None,
        };
        let held = self.known.lock().await.get(&provider.issuer).and_then(|known| known.keys.clone());
        let held = held.filter(|(_, loaded)| is_fresh(*loaded, now, METADATA_LIFE));
        let fresh = held.as_ref().is_some_and(|(_, loaded)| is_fresh(*loaded, now, KEYS_EVERY));
        let mut found = held.as_ref().and_then(|(keys, _)| find(keys));
        if found.is_none() && !fresh {
            found = find(&self.load_keys(provider, metadata, now).await?);
        }
        let key = found.ok_or(UpstreamError::Misfit("the ID token's key is unknown"))?;
        DecodingKey::from_jwk(&key).map_err(|_| UpstreamError::Misfit("the ID token's key cannot be read"))
    }

    async fn read_id_token(
        &self,
        provider: &Provider,
        metadata: &Metadata,
        token: &str,
        came: &Inward<'_>,
        now: OffsetDateTime,
    ) -> Result<Upstream, UpstreamError> {
        let header = decode_header(token).map_err(|_| UpstreamError::Misfit("the ID token is no JWT"))?;
        if !matches!(header.alg, Algorithm::ES256 | Algorithm::RS256) {
            return Err(UpstreamError::Misfit("the ID token is not signed with ES256 or RS256"));
        }
        let key = self.key(provider, metadata, header.kid.as_deref(), now).await?;
        let mut rules = Validation::new(header.alg);
        // Times are ours to test: by the service's clock.
        rules.validate_exp = false;
        rules.set_issuer(&[&provider.issuer]);
        rules.set_audience(&[&provider.client_id]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = decode::<IdClaims>(token, &key, &rules);
        let claims =
            claims.map_err(|_| UpstreamError::Misfit("signature, issuer, audience or claims of the ID token"))?.claims;
        let now = now.unix_timestamp();
        let timely = claims.exp > now - LEEWAY && claims.iat <= now + LEEWAY;
        if came.since.is_some_and(|since| claims.auth_time.is_none_or(|time| time < since - LEEWAY)) {
            return Err(UpstreamError::Misfit("the person was not asked again, or the provider does not say when"));
        }
        let party = claims.azp.as_ref().or(claims.aud.only());
        if !timely || claims.nonce != came.nonce || party != Some(&provider.client_id) {
            return Err(UpstreamError::Misfit("time, nonce or authorized party of the ID token"));
        }
        let IdClaims { sub: subject, email, email_verified, auth_time, .. } = claims;
        whole(Upstream { subject, email, email_verified, auth_time })
    }

    async fn ask_who(&self, provider: &Provider, token: &str) -> Result<Upstream, UpstreamError> {
        let plain = &provider.plain;
        let with_token = || Question { authorization: Some(format!("Bearer {token}")), form: None };
        let person = self.ask(provider, &plain.userinfo_endpoint, with_token()).await?;
        let subject = match person.pointer(&plain.subject_path) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return Err(UpstreamError::Misfit("there is no subject")),
        };
        let addresses = match plain.email_endpoint.as_str() {
            "" => person,
            elsewhere => self.ask(provider, elsewhere, with_token()).await?,
        };
        let primary = match &addresses {
            Value::Array(list) => list.iter().find(|entry| entry["primary"] == Value::Bool(true)),
            other => Some(other),
        };
        let at = |path: &str| primary.and_then(|entry| entry.pointer(path));
        let email = at(&plain.email_path).and_then(Value::as_str).map(str::to_owned);
        let email_verified = at(&plain.email_verified_path) == Some(&Value::Bool(true));
        whole(Upstream { subject, email, email_verified, auth_time: None })
    }
}

/// A subject is needed and bounded (OpenID Connect Core section 2).
fn whole(upstream: Upstream) -> Result<Upstream, UpstreamError> {
    if (1..=255).contains(&upstream.subject.len()) {
        Ok(upstream)
    } else {
        Err(UpstreamError::Misfit("the subject is empty or longer than 255 bytes"))
    }
}
