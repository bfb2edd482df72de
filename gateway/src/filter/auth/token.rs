//! Access tokens as callers send them: one bearer token of bounded length, a JWT by RFC 9068 under a published key, checked offline so
//! that garbage never reaches the auth service.
use api::Error;
use http::{HeaderMap, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proto::auth::v1::list_verify_keys_response::VerifyKey;
use serde::Deserialize;

/// Longest access token that is looked at.
const TOKEN_BYTES: usize = 4096;
/// Clocks may differ by this much.
const LEEWAY: u64 = 5;

/// Claims that the edge itself reads.
#[derive(Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    #[serde(default)]
    pub(crate) org: String,
    pub(crate) exp: i64,
}

/// Checks signature, issuer, audience, type and time. `now` is in seconds since 1970.
pub(crate) fn verify(token: &str, keys: &[(VerifyKey, DecodingKey)], issuer: &str, now: i64) -> Result<Claims, Error> {
    let head = jsonwebtoken::decode_header(token).map_err(|_| Error::credential_invalid())?;
    let kid = head.kid.ok_or_else(Error::credential_invalid)?;
    let typed = head.typ.is_some_and(|kind| kind.eq_ignore_ascii_case("at+jwt"));
    if head.alg != Algorithm::ES256 || !typed {
        return Err(Error::credential_invalid());
    }
    if keys.is_empty() {
        return Err(Error::unavailable("the token issuer"));
    }
    // What an announced key signs is refused: it does not sign yet.
    let soon = now + i64::try_from(LEEWAY).unwrap_or_default();
    let signs = |key: &VerifyKey| key.activate_time.as_ref().is_none_or(|time| time.seconds <= soon);
    let known = keys.iter().find(|(key, _)| key.kid == kid && signs(key));
    let (_, key) = known.ok_or_else(Error::credential_invalid)?;
    let mut rules = Validation::new(Algorithm::ES256);
    rules.leeway = LEEWAY;
    rules.validate_nbf = true;
    rules.set_issuer(&[issuer]);
    rules.set_audience(&[issuer]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let data = jsonwebtoken::decode::<Claims>(token, key, &rules).map_err(|_| Error::credential_invalid())?;
    Ok(data.claims)
}

/// The key as the library wants it; `None` when it is no point of P-256.
pub(crate) fn decoding_key(key: &VerifyKey) -> Option<DecodingKey> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let point = key.public_key.strip_prefix(&[4]).filter(|point| point.len() == 64)?;
    let (x, y) = point.split_at(32);
    DecodingKey::from_ec_components(&URL_SAFE_NO_PAD.encode(x), &URL_SAFE_NO_PAD.encode(y)).ok()
}

/// The bearer token of the one `Authorization` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::credential_invalid());
    }
    let text = value.to_str().map_err(|_| Error::credential_invalid())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(Error::credential_invalid)?;
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > TOKEN_BYTES || token.contains(' ') {
        return Err(Error::credential_invalid());
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_bearer_token_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers).expect("none is fine"), None);
        headers.append(header::AUTHORIZATION, "bearer  abc".parse().expect("a header"));
        assert_eq!(bearer(&headers).expect("one"), Some("abc"));
        headers.append(header::AUTHORIZATION, "Bearer def".parse().expect("a header"));
        assert!(bearer(&headers).is_err(), "two are refused");
        for bad in ["Basic abc", "Bearer", "Bearer a b", "abc"] {
            let mut headers = HeaderMap::new();
            headers.append(header::AUTHORIZATION, bad.parse().expect("a header"));
            assert!(bearer(&headers).is_err(), "{bad}");
        }
    }
}
