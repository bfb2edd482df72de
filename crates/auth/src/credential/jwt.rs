//! Access tokens for the edge: JWT by RFC 9068, signed with ES256.
//!
//! Reading is strict: the algorithm is ours and not the header's, `typ` is exact, header fields that point to keys are refused unread,
//! unknown claims are refused (nobody but us writes them), times are compared with our own clock.
use std::collections::HashMap;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::{
    error::Error,
    model::{KeyTimes, active},
};

const TYPE: &str = "at+jwt";
const MOST_BYTES: usize = 4096;
/// Clocks of replicas may differ by so many seconds.
const LEEWAY: i64 = 5;

/// Claims of an access token (RFC 9068 section 2.2, and `sid`, `org`, `roles`, `gen` of ours).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    /// Issuer: the public URL.
    pub(crate) iss: String,
    /// Audience: the public URL.
    pub(crate) aud: String,
    /// End, in seconds since 1970.
    pub(crate) exp: i64,
    /// Issue, in seconds since 1970.
    pub(crate) iat: i64,
    /// Id of this token.
    pub(crate) jti: String,
    /// Id of the user; of a machine that acts by itself, its `client_id`.
    pub(crate) sub: String,
    /// Client it was given to.
    pub(crate) client_id: String,
    /// Scopes.
    pub(crate) scope: String,
    /// Session; of a machine that acts by itself, this token alone.
    pub(crate) sid: String,
    /// Id of the organization; absent for a user without a membership.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) org: Option<String>,
    /// Roles at issue, for the client's eyes; rights come from the database at each exchange.
    pub(crate) roles: Vec<String>,
    /// When the person last proved who he is, in seconds since 1970; 0 where an identity provider does not say.
    pub(crate) auth_time: i64,
    /// How (RFC 8176): `pwd`, `otp`, `pop`, `user`, `fed`, `mfa`.
    pub(crate) amr: Vec<String>,
    /// Authentication context class: `1` one factor, `2` two.
    pub(crate) acr: String,
    /// Counter of the refresh token given out with it.
    #[serde(rename = "gen")]
    pub(crate) generation: i64,
    /// Who acts for the user (RFC 8693 section 4.1): applications, after a token exchange; or an administrator who acts as him.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) act: Option<Actor>,
    /// Number of the key that has signed it; no claim. 0 until it is signed.
    #[serde(skip)]
    pub(crate) key: u32,
}

/// An actor of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Actor {
    /// Its `client_id`; the id of a person.
    pub(crate) sub: String,
    /// The session in which a person has signed in himself; an application has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<String>,
    /// For whom it acts in turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) act: Option<Box<Actor>>,
}

impl Claims {
    /// A machine acts by itself: there is no session, and nobody signed in.
    pub(crate) fn is_machine(&self) -> bool {
        self.sid == self.jti
    }

    /// An administrator acts as the user.
    pub(crate) fn is_impersonation(&self) -> bool {
        self.act.as_ref().is_some_and(|actor| actor.sid.is_some())
    }

    /// It came out of a token exchange.
    pub(crate) fn is_exchanged(&self) -> bool {
        self.act.is_some() && !self.is_impersonation()
    }

    /// The clients that have a part in this token: whom it was given to, and who acts behind each other, each once.
    pub(crate) fn clients(&self) -> Vec<&str> {
        let mut clients = vec![self.client_id.as_str()];
        let mut actor = self.act.as_ref();
        while let Some(Actor { sub, sid, act }) = actor {
            if sid.is_none() && !clients.contains(&sub.as_str()) {
                clients.push(sub);
            }
            actor = act.as_deref();
        }
        clients
    }
}

/// A key for the edge.
pub(crate) struct EdgeKey {
    number: u32,
    kid: String,
    times: KeyTimes,
    signing: EcdsaKeyPair,
    reading: DecodingKey,
}

impl EdgeKey {
    /// A private key (PKCS #8) with its public half (SEC1 point). `None` when it is no key.
    pub(crate) fn open((number, kid): (u32, &str), times: KeyTimes, private: &[u8], public: &[u8]) -> Option<Self> {
        // Read once: `jsonwebtoken` would read it again for every signature, and that takes longer than signing.
        let signing = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private).ok()?;
        Some(Self { number, kid: kid.to_owned(), times, signing, reading: DecodingKey::from_ec_der(public) })
    }
}

/// Signs and reads access tokens.
pub(crate) struct Edge {
    signing: Vec<(KeyTimes, (String, EcdsaKeyPair))>,
    reading: HashMap<String, (KeyTimes, u32, DecodingKey)>,
}

impl Edge {
    /// With these keys: the active one signs, it and those before it read.
    pub(crate) fn new(keys: Vec<EdgeKey>) -> Self {
        let (mut signing, mut reading) = (Vec::with_capacity(keys.len()), HashMap::with_capacity(keys.len()));
        for key in keys {
            reading.insert(key.kid.clone(), (key.times, key.number, key.reading));
            signing.push((key.times, (key.kid, key.signing)));
        }
        Self { signing, reading }
    }

    /// Writes a token.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, Error> {
        self.sign_as(TYPE, claims, claims.iat)
    }

    /// Writes a token of another type, issued then.
    pub(super) fn sign_as(&self, kind: &str, claims: &impl Serialize, issued: i64) -> Result<String, Error> {
        let issued = OffsetDateTime::from_unix_timestamp(issued).map_err(Error::fault)?;
        // Whole seconds: a key may have begun to sign within this one.
        let (kid, key) = active(&self.signing, issued + Duration::SECOND).ok_or(Error::KeysAwaited)?;
        compact(("ES256", kind, kid), claims, |signed| {
            let signature = key.sign(&SystemRandom::new(), signed).map_err(Error::fault)?;
            Ok(signature.as_ref().to_vec())
        })
    }

    /// The key with this id.
    pub(super) fn key(&self, kid: &str) -> Option<&DecodingKey> {
        self.reading.get(kid).map(|(_, _, key)| key)
    }

    /// Reads a token of ours that has not expired; `None` for anything else.
    pub(crate) fn read(&self, token: &str, issuer: &str, now: OffsetDateTime) -> Option<Claims> {
        if token.len() > MOST_BYTES {
            return None;
        }
        let header = decode_header(token).ok()?;
        let points_elsewhere = header.jku.is_some()
            || header.jwk.is_some()
            || header.x5u.is_some()
            || header.x5c.is_some()
            || header.crit.is_some();
        if header.alg != Algorithm::ES256 || header.typ.as_deref() != Some(TYPE) || points_elsewhere {
            return None;
        }
        // An announced key signs nothing yet, a gone one nothing any more.
        let known = self.reading.get(header.kid.as_deref()?);
        let (_, number, key) = known.filter(|(times, ..)| times.verifies(now + Duration::seconds(LEEWAY)))?;
        let claims = decode::<Claims>(token, key, &validation(issuer)).ok()?.claims;
        let now = now.unix_timestamp();
        (claims.aud == issuer && claims.iss == issuer && claims.exp > now - LEEWAY && claims.iat <= now + LEEWAY)
            .then_some(Claims { key: *number, ..claims })
    }
}

/// A token in the compact serialization (RFC 7515 section 7.1): algorithm, type and kid in its header.
pub(super) fn compact(
    (algorithm, kind, kid): (&str, &str, &str),
    claims: &impl Serialize,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, Error>,
) -> Result<String, Error> {
    let header = serde_json::json!({"typ": kind, "alg": algorithm, "kid": kid}).to_string();
    let claims = serde_json::to_vec(claims).map_err(Error::fault)?;
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// The library compares with the machine's clock; times are ours to test.
fn validation(issuer: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.validate_exp = false;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}

#[cfg(test)]
mod tests;
