//! ID tokens (OpenID Connect Core section 2): ES256 with the keys of access tokens, or RS256 with keys of their own.
//!
//! They are for clients; nothing here takes one as a credential. Read again they are a hint at most (`id_token_hint`): whom and
//! which session a client means. An expired one will do for that, a forged one will not. A client keeps the one of its sign-in, so what a
//! key has signed is a hint for as long as that session may go on, though the key is gone by then and nobody else knows it any more.
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::{Edge, jwt::compact};
use crate::{
    error::Error,
    model::{IdTokenAlgorithm, KeyTimes, active},
};

const TYPE: &str = "JWT";
const MOST_BYTES: usize = 4096;

/// Claims of an ID token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdClaims {
    /// Issuer: the public URL.
    pub(crate) iss: String,
    /// The person.
    pub(crate) sub: String,
    /// The client.
    pub(crate) aud: String,
    /// End, in seconds since 1970.
    pub(crate) exp: i64,
    /// Issue, in seconds since 1970.
    pub(crate) iat: i64,
    /// When the person signed in, in seconds since 1970.
    pub(crate) auth_time: i64,
    /// The client's own, as it sent it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) nonce: String,
    /// How the person signed in.
    pub(crate) amr: Vec<String>,
    /// Authentication context class: `1` one factor, `2` two.
    pub(crate) acr: String,
    /// The session.
    pub(crate) sid: String,
    /// Ties the token to the access token that came with it.
    pub(crate) at_hash: String,
}

/// Signs and reads ID tokens.
pub(crate) struct IdTokens {
    signing: Vec<(KeyTimes, (String, RsaKeyPair))>,
    reading: Vec<(String, DecodingKey)>,
    past: Vec<(String, Algorithm, DecodingKey)>,
}

impl IdTokens {
    /// With these keys: kid, times, private key (PKCS #8), modulus. `None` when one is no key.
    pub(crate) fn open(keys: Vec<(String, KeyTimes, Vec<u8>, Vec<u8>)>) -> Option<Self> {
        let (mut signing, mut reading) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
        for (kid, times, private, modulus) in keys {
            let pair = RsaKeyPair::from_pkcs8(&private).ok()?;
            reading.push((kid.clone(), DecodingKey::from_rsa_raw_components(&modulus, &[1, 0, 1])));
            signing.push((times, (kid, pair)));
        }
        Some(Self { signing, reading, past: Vec::new() })
    }

    /// Beside them these keys that are gone, for hints alone: kid, algorithm, public half.
    pub(crate) fn remembering(self, past: impl Iterator<Item = (String, IdTokenAlgorithm, Vec<u8>)>) -> Self {
        let past = past.map(|(kid, algorithm, public)| match algorithm {
            IdTokenAlgorithm::Es256 => (kid, Algorithm::ES256, DecodingKey::from_ec_der(&public)),
            IdTokenAlgorithm::Rs256 => {
                (kid, Algorithm::RS256, DecodingKey::from_rsa_raw_components(&public, &[1, 0, 1]))
            }
        });
        Self { past: past.collect(), ..self }
    }

    /// Writes a token.
    pub(crate) fn sign(&self, edge: &Edge, algorithm: IdTokenAlgorithm, claims: &IdClaims) -> Result<String, Error> {
        if algorithm == IdTokenAlgorithm::Es256 {
            return edge.sign_as(TYPE, claims, claims.iat);
        }
        let issued = OffsetDateTime::from_unix_timestamp(claims.iat).map_err(Error::fault)?;
        let (kid, pair) = active(&self.signing, issued + Duration::SECOND).ok_or(Error::KeysAwaited)?;
        compact(("RS256", TYPE, kid), claims, |signed| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed, &mut signature).map_err(Error::fault)?;
            Ok(signature)
        })
    }

    /// Reads a hint: a token of ours, whether it has expired or not.
    pub(crate) fn read(&self, edge: &Edge, token: &str, issuer: &str) -> Option<IdClaims> {
        if token.len() > MOST_BYTES {
            return None;
        }
        let header = decode_header(token).ok()?;
        let kid = header.kid.as_deref()?;
        let known = match header.alg {
            Algorithm::ES256 => edge.key(kid),
            Algorithm::RS256 => self.reading.iter().find(|(known, _)| known == kid).map(|(_, key)| key),
            _ => return None,
        };
        let gone = || self.past.iter().find(|(known, algorithm, _)| known == kid && *algorithm == header.alg);
        let key = known.or_else(|| gone().map(|(_, _, key)| key))?;
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[issuer]);
        let claims = decode::<IdClaims>(token, key, &validation).ok()?.claims;
        (header.typ.as_deref() == Some(TYPE) && claims.iss == issuer).then_some(claims)
    }
}

/// `at_hash` of an access token: the left half of its SHA-256.
pub(crate) fn access_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(token.as_bytes())[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{
        jwt::EdgeKey,
        keyring::{generate_edge, generate_id_token},
    };

    #[test]
    fn auth_j06_an_id_token_reads_back_as_a_hint_and_never_as_an_access_token() {
        let issuer = "http://127.0.0.1:8080";
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("in range");
        let times = KeyTimes { activate: now, expire: None };
        let (private, public) = generate_edge().expect("made");
        let edge = Edge::new(vec![EdgeKey::open((1, "e"), times, &private, &public).expect("a key")]);
        let (private, modulus) = generate_id_token().expect("made");
        assert_eq!(modulus.len(), 256);
        let gone = [("e", IdTokenAlgorithm::Es256, public), ("r", IdTokenAlgorithm::Rs256, modulus.clone())];
        let gone = gone.map(|(kid, algorithm, public)| (kid.to_owned(), algorithm, public));
        let (nobody, later) = (Edge::new(Vec::new()), IdTokens::open(Vec::new()).expect("no key"));
        let later = later.remembering(gone.into_iter());
        let tokens = IdTokens::open(vec![("r".to_owned(), times, private, modulus)]).expect("a key");
        let claims = IdClaims {
            iss: issuer.to_owned(),
            sub: "s".to_owned(),
            aud: "c".to_owned(),
            exp: now.unix_timestamp() - 1,
            iat: now.unix_timestamp(),
            auth_time: now.unix_timestamp(),
            nonce: String::new(),
            amr: vec!["pwd".to_owned()],
            acr: "1".to_owned(),
            sid: "d".to_owned(),
            at_hash: access_hash("x"),
        };
        for algorithm in [IdTokenAlgorithm::Es256, IdTokenAlgorithm::Rs256] {
            let token = tokens.sign(&edge, algorithm, &claims).expect("signed");
            assert_eq!(tokens.read(&edge, &token, issuer).as_ref(), Some(&claims));
            assert_eq!(tokens.read(&edge, &token, "http://other"), None);
            assert!(edge.read(&token, issuer, now).is_none());
            let (signed, _) = token.rsplit_once('.').expect("three parts");
            assert_eq!(tokens.read(&edge, &format!("{signed}."), issuer), None);
            assert_eq!(later.read(&nobody, &token, issuer).as_ref(), Some(&claims), "its key is gone");
            assert_eq!(later.read(&nobody, &format!("{signed}."), issuer), None);
            assert!(nobody.read(&token, issuer, now).is_none());
        }
    }
}
