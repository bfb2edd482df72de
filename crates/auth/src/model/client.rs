//! Clients and the rules of the authorization code: registered redirect URIs, PKCE, state.
//!
//! A redirect URI is compared byte for byte; the one exception is the port of a native client on the loopback addresses
//! (RFC 8252 section 7.3). `localhost` is a name that others may answer for, hence it is not among them.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::Error;

/// A registered client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its id.
    pub(crate) id: &'static str,
    /// Scopes it is given: first-party clients act with all rights of their user.
    pub(crate) scope: &'static str,
    /// Path of its loopback redirect URI.
    callback: &'static str,
}

/// Clients that come with the platform.
const BUILT_IN: [Client; 1] = [Client { id: "workos-cli", scope: "*", callback: "/callback" }];

impl Client {
    /// The client with this id.
    pub(crate) fn find(id: &str) -> Option<&'static Self> {
        BUILT_IN.iter().find(|client| client.id == id)
    }

    /// The redirect URI is registered for this client.
    pub(crate) fn allows(&self, redirect_uri: &str) -> bool {
        let after_host = ["http://127.0.0.1:", "http://[::1]:"].iter().find_map(|host| redirect_uri.strip_prefix(host));
        let port = after_host.and_then(|rest| rest.strip_suffix(self.callback));
        port.is_some_and(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0') && port.parse::<u16>().is_ok()
        })
    }
}

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
        if text.len() > 512 || !text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
            return Err(api::Error::invalid_field("state", "must be at most 512 printable ASCII characters").into());
        }
        Ok(Self(text.to_owned()))
    }
}

/// The redirect URI with code, state and issuer (RFC 6749 section 4.1.2, RFC 9207).
pub(crate) fn redirect_with(redirect_uri: &str, code: &str, state: &str, issuer: &str) -> String {
    let mut uri = format!("{redirect_uri}?code={}", escaped(code));
    if !state.is_empty() {
        uri += &format!("&state={}", escaped(state));
    }
    uri + &format!("&iss={}", escaped(issuer))
}

fn escaped(text: &str) -> String {
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
    fn auth_o06_o07_only_loopback_redirects_with_any_port_are_allowed() {
        let client = Client::find("workos-cli").expect("it is built in");
        for uri in ["http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://[::1]:8080/callback"] {
            assert!(client.allows(uri), "{uri}");
        }
        for uri in [
            "",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:/callback",
            "http://127.0.0.1:0/callback",
            "http://127.0.0.1:080/callback",
            "http://127.0.0.1:65536/callback",
            "http://127.0.0.1:+80/callback",
            "http://127.0.0.1:80/callback/x",
            "http://127.0.0.1:80/../callback",
            "http://127.0.0.1:80/Callback",
            "http://127.0.0.1:80/callback?x=1",
            "http://127.0.0.1:80/callback#x",
            "http://127.0.0.1:80@evil.example/callback",
            "https://127.0.0.1:80/callback",
            "http://localhost:80/callback",
            "http://127.0.0.1.evil.example:80/callback",
            "javascript:alert(1)//http://127.0.0.1:80/callback",
        ] {
            assert!(!client.allows(uri), "{uri}");
        }
        assert!(Client::find("workos-cli2").is_none());
    }

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
        assert!(State::parse("é").is_err() && State::parse(&"a".repeat(513)).is_err() && State::parse("a\n").is_err());
    }
}
