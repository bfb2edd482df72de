//! Access tokens for the edge: JWT by RFC 9068, signed with ES256.
//!
//! Reading is strict: the algorithm is ours and not the header's, `typ` is exact, header fields that point to keys are refused unread,
//! unknown claims are refused (nobody but us writes them), times are compared with our own clock.
use std::collections::HashMap;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::Error;

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
    /// Id of the user.
    pub(crate) sub: String,
    /// Client it was given to.
    pub(crate) client_id: String,
    /// Scopes.
    pub(crate) scope: String,
    /// Session.
    pub(crate) sid: String,
    /// Id of the organization; absent for a user without a membership.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) org: Option<String>,
    /// Roles at issue, for the client's eyes; rights come from the database at each exchange.
    pub(crate) roles: Vec<String>,
    /// When the password was tested, in seconds since 1970.
    pub(crate) auth_time: i64,
    /// How (RFC 8176): `pwd`, `otp`, `pop`, `user`, `fed`, `mfa`.
    pub(crate) amr: Vec<String>,
    /// Authentication context class: `1` one factor, `2` two.
    pub(crate) acr: String,
    /// Counter of the refresh token given out with it.
    #[serde(rename = "gen")]
    pub(crate) generation: i64,
}

/// Signs and reads access tokens.
pub(crate) struct Edge {
    kid: String,
    signing: EncodingKey,
    reading: HashMap<String, DecodingKey>,
}

impl Edge {
    /// Signs with the private key (PKCS #8) under its `kid`; `public` are the keys that may still verify, as SEC1 points.
    pub(crate) fn new(kid: &str, private: &[u8], public: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let reading = public.into_iter().map(|(kid, point)| (kid, DecodingKey::from_ec_der(&point))).collect();
        Self { kid: kid.to_owned(), signing: EncodingKey::from_ec_der(private), reading }
    }

    /// Writes a token.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, Error> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.signing).map_err(Error::fault)
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
        let key = self.reading.get(header.kid.as_deref()?)?;
        let claims = decode::<Claims>(token, key, &validation(issuer)).ok()?.claims;
        let now = now.unix_timestamp();
        (claims.aud == issuer && claims.iss == issuer && claims.exp > now - LEEWAY && claims.iat <= now + LEEWAY)
            .then_some(claims)
    }
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
