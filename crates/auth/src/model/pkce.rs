//! What ties a code to who asked for it: PKCE, `state`, `nonce`; and the answer that carries it back.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::Error;

/// A PKCE challenge, method S256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge(pub(crate) String);

impl Challenge {
    /// Reads challenge and method; no other method is taken by any route.
    pub(crate) fn parse(challenge: &str, method: &str) -> Result<Self, Error> {
        let digest = URL_SAFE_NO_PAD.decode(challenge).ok().filter(|digest| digest.len() == 32);
        if method == "S256" && challenge.len() == 43 && digest.is_some() {
            Ok(Self(challenge.to_owned()))
        } else {
            Err(Error::ChallengeInvalid)
        }
    }

    /// The verifier belongs to the challenge (RFC 7636 sections 4.1 and 4.6).
    pub(crate) fn is_met_by(&self, verifier: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(allowed) {
            return false;
        }
        let computed = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        computed.as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

/// The client's `state`: at most 512 printable ASCII characters (RFC 6749 appendix A.5), returned unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State(pub(crate) String);

impl State {
    /// Reads it; empty means that the client sent none.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if is_opaque(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(api::Error::invalid_field("state", "must be at most 512 printable ASCII characters").into())
        }
    }
}

/// Text that only the client understands: `state` and `nonce`.
pub(crate) fn is_opaque(text: &str) -> bool {
    text.len() <= 512 && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// The redirect URI with code, state and issuer (RFC 6749 section 4.1.2, RFC 9207).
pub(crate) fn redirect_with(redirect_uri: &str, code: &str, state: &str, issuer: &str) -> String {
    answer(redirect_uri, &[("code", code)], state, Some(issuer))
}

/// A registered URI with parameters for the client; those that are empty are left out. The URI may have a query of its own.
pub(crate) fn answer(uri: &str, parameters: &[(&str, &str)], state: &str, issuer: Option<&str>) -> String {
    let mut uri = uri.to_owned();
    let last = [("state", state), ("iss", issuer.unwrap_or_default())];
    for (name, value) in parameters.iter().chain(&last).filter(|(_, value)| !value.is_empty()) {
        let separator = if uri.contains('?') { '&' } else { '?' };
        uri += &format!("{separator}{name}={}", escaped(value));
    }
    uri
}

/// Text as a part of a query or a form.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_o02_o03_only_s256_and_the_verifier_itself_are_taken() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let text = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let challenge = Challenge::parse(text, "S256").expect("the example of RFC 7636");
        assert!(challenge.is_met_by(verifier));
        for wrong in [
            "",
            text,
            &verifier[1..],
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK",
            &"a".repeat(129),
            &format!("{verifier}\0"),
        ] {
            assert!(!challenge.is_met_by(wrong), "{wrong}");
        }
        for (challenge, method) in [
            (text, "plain"),
            (text, ""),
            (text, "s256"),
            ("", "S256"),
            (&text[1..], "S256"),
            (&format!("{text}A"), "S256"),
        ] {
            assert!(Challenge::parse(challenge, method).is_err(), "{challenge} {method}");
        }
    }

    #[test]
    fn auth_o09_state_and_issuer_return_in_the_redirect() {
        let uri = redirect_with("http://127.0.0.1:1/callback", "c0de", "a b&c", "http://x:1");
        assert_eq!(uri, "http://127.0.0.1:1/callback?code=c0de&state=a%20b%26c&iss=http%3A%2F%2Fx%3A1");
        assert_eq!(
            answer("https://a.example/cb?x=1", &[("error", "x y")], "", None),
            "https://a.example/cb?x=1&error=x%20y"
        );
        assert!(State::parse("é").is_err() && State::parse(&"a".repeat(513)).is_err() && State::parse("a\n").is_err());
    }
}
