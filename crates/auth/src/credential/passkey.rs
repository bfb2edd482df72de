//! Passkeys (WebAuthn Level 3): the only place that names webauthn-rs.
//!
//! Origin and relying party are exactly those of the public URL; user verification is always required, so a passkey is two factors in one.
//! The state of a ceremony stays with us, and every mismatch between it, the stored credential and the answer refuses. What goes out
//! and comes in is the JSON of the standard; what is kept is text that only this file reads.
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, DiscoverableKey, Passkey, PasskeyAuthentication,
    PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential, Url, Webauthn, WebauthnBuilder,
    WebauthnError,
};

use crate::error::Error;

/// Longest answer of a browser that is looked at.
const ANSWER_BYTES: usize = 64 * 1024;
/// What users see in the dialog of their authenticator.
const NAME: &str = "WorkOS";

/// The relying party.
pub(crate) struct Passkeys(Option<Webauthn>);

/// A ceremony that waits for the browser.
pub(crate) struct Ceremony {
    /// JSON for the browser.
    pub(crate) options: String,
    /// What is kept until it answers.
    pub(crate) state: String,
}

/// What authenticators shall know a user by: random, so that it says nothing of him.
pub(crate) fn new_user_handle() -> Uuid {
    let mut bytes = [0u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    Uuid::from_bytes(bytes)
}

/// A credential as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    /// Its id, which the authenticator chose.
    pub(crate) id: Vec<u8>,
    /// Public key, counter and flags.
    pub(crate) text: String,
}

impl Credential {
    /// How often the authenticator had used it by then, if it counts.
    fn counter(&self) -> Result<u64, Error> {
        let stored: Value = serde_json::from_str(&self.text).map_err(Error::fault)?;
        stored["cred"]["counter"].as_u64().ok_or_else(|| Error::fault("a stored passkey has no counter"))
    }
}

/// Who answers a ceremony in which anybody may.
pub(crate) struct Presented {
    /// Handle of the user, if the answer names one.
    pub(crate) handle: Option<Uuid>,
    /// Id of the credential.
    pub(crate) credential: Vec<u8>,
}

/// A test that did not refuse.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tested {
    /// It is the user; the credential as it is from now on.
    Good(Credential),
    /// The signature is right, but the counter went back: there is a copy.
    Copied,
}

#[derive(Serialize, Deserialize)]
enum State {
    Anybody(DiscoverableAuthentication),
    Somebody(PasskeyAuthentication),
}

impl Passkeys {
    /// The relying party of this URL. Without a domain name, as under an IP address, there are no passkeys.
    pub(crate) fn new(public_url: &str) -> Self {
        let url = Url::parse(public_url).ok();
        let party = url.as_ref().and_then(|url| WebauthnBuilder::new(url.domain()?, url).ok());
        Self(party.and_then(|builder| builder.rp_name(NAME).build().ok()))
    }

    /// There can be passkeys.
    pub(crate) fn available(&self) -> bool {
        self.0.is_some()
    }

    fn party(&self) -> Result<&Webauthn, Error> {
        self.0.as_ref().ok_or(Error::PasskeysUnavailable)
    }

    /// Begins to register one more passkey of a user.
    pub(crate) fn start_registration(
        &self,
        handle: Uuid,
        (name, display_name): (&str, &str),
        existing: &[Credential],
    ) -> Result<Ceremony, Error> {
        let known = existing.iter().map(|credential| credential.id.clone()).collect();
        let started = self.party()?.start_passkey_registration(handle, name, display_name, Some(known));
        let (options, state) = started.map_err(Error::fault)?;
        let mut options = serde_json::to_value(&options).map_err(Error::fault)?;
        // Only a credential that the authenticator finds by itself can begin a sign-in.
        let selection = &mut options["publicKey"]["authenticatorSelection"];
        selection["residentKey"] = Value::from("required");
        selection["requireResidentKey"] = Value::from(true);
        Ok(Ceremony { options: options.to_string(), state: text(&state)? })
    }

    /// Ends a registration.
    pub(crate) fn finish_registration(&self, state: &str, answer: &str) -> Result<Credential, Error> {
        let state: PasskeyRegistration = serde_json::from_str(state).map_err(Error::fault)?;
        let answer: RegisterPublicKeyCredential = read(answer)?;
        let passkey = self.party()?.finish_passkey_registration(&answer, &state).map_err(refused)?;
        stored(&passkey)
    }

    /// Begins a sign-in in which anybody may answer.
    pub(crate) fn start_any(&self) -> Result<Ceremony, Error> {
        let (mut options, state) = self.party()?.start_discoverable_authentication().map_err(Error::fault)?;
        options.mediation = None;
        Ok(Ceremony { options: text(&options)?, state: text(&State::Anybody(state))? })
    }

    /// Begins a test of one user, who has these credentials.
    pub(crate) fn start_one(&self, credentials: &[Credential]) -> Result<Ceremony, Error> {
        let passkeys: Vec<Passkey> = credentials.iter().map(parse).collect::<Result<_, _>>()?;
        let (options, state) = self.party()?.start_passkey_authentication(&passkeys).map_err(Error::fault)?;
        Ok(Ceremony { options: text(&options)?, state: text(&State::Somebody(state))? })
    }

    /// Who answers, before anything is tested.
    pub(crate) fn presented(&self, answer: &str) -> Result<Presented, Error> {
        let answer: PublicKeyCredential = read(answer)?;
        let handle = answer.get_user_unique_id().and_then(|bytes| Uuid::from_slice(bytes).ok());
        Ok(Presented { handle, credential: answer.get_credential_id().to_vec() })
    }

    /// Tests the answer to a ceremony against a stored credential.
    pub(crate) fn test(&self, state: &str, answer: &str, credential: &Credential) -> Result<Tested, Error> {
        let state: State = serde_json::from_str(state).map_err(Error::fault)?;
        let answer: PublicKeyCredential = read(answer)?;
        let mut passkey = parse(credential)?;
        let party = self.party()?;
        let result = match state {
            State::Anybody(state) => {
                party.finish_discoverable_authentication_v2(&answer, state, DiscoverableKey::from(&passkey))
            }
            State::Somebody(state) => party.finish_passkey_authentication(&answer, &state),
        };
        match result {
            Err(WebauthnError::CredentialPossibleCompromise) => Ok(Tested::Copied),
            Err(error) => Err(refused(error)),
            Ok(result) => accepted(credential, &mut passkey, &result),
        }
    }
}

/// The library asks for user verification; that it took place is looked at once more. So is the counter: in a test of one user the
/// library knows it as it was when the ceremony began, and another one may have raised it meanwhile.
fn accepted(stored_as: &Credential, passkey: &mut Passkey, result: &AuthenticationResult) -> Result<Tested, Error> {
    let counter = stored_as.counter()?;
    if counter > 0 && u64::from(result.counter()) <= counter {
        return Ok(Tested::Copied);
    }
    if !result.user_verified() || passkey.update_credential(result).is_none() {
        return Err(Error::PasskeyRefused);
    }
    stored(passkey).map(Tested::Good)
}

fn stored(passkey: &Passkey) -> Result<Credential, Error> {
    Ok(Credential { id: passkey.cred_id().to_vec(), text: text(passkey)? })
}

fn parse(credential: &Credential) -> Result<Passkey, Error> {
    serde_json::from_str(&credential.text).map_err(Error::fault)
}

fn text(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(Error::fault)
}

fn read<'a, T: Deserialize<'a>>(answer: &'a str) -> Result<T, Error> {
    if answer.len() > ANSWER_BYTES {
        return Err(Error::PasskeyRefused);
    }
    serde_json::from_str(answer).map_err(|_| Error::PasskeyRefused)
}

/// Which mismatch it was is for the log, not for who sent the answer.
fn refused(error: WebauthnError) -> Error {
    tracing::info!(error.message = %error, "passkey refused");
    Error::PasskeyRefused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_name_is_needed() {
        assert!(Passkeys::new("http://localhost:8080").available());
        assert!(Passkeys::new("https://app.example.com").available());
        for without in ["http://127.0.0.1:8080", "http://[::1]:8080", "no url"] {
            assert!(!Passkeys::new(without).available(), "{without}");
        }
    }

    #[test]
    fn auth_h03_any_answer_is_read_without_panic() {
        let party = Passkeys::new("http://localhost:8080");
        let Ceremony { state, .. } = party.start_any().expect("begun");
        let credential = Credential { id: Vec::new(), text: "{}".to_owned() };
        for answer in
            ["", "{}", "[]", "null", r#"{"id":"","rawId":"","type":"public-key","response":{}}"#, &" ".repeat(70_000)]
        {
            assert!(matches!(party.presented(answer), Err(Error::PasskeyRefused)));
            assert!(matches!(party.test(&state, answer, &credential), Err(Error::PasskeyRefused)));
        }
    }
}
