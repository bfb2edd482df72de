//! Clients of the OAuth endpoints: those that come with the platform, and those that organizations register.
//!
//! A client belongs to one organization, and people sign in with it to that organization only; a client of the operators'
//! organization is good for all. The platform's own clients act with all rights of their person. They sign people in by LoginService,
//! where nobody is asked for consent; at the authorization endpoint they are public clients like others, asked about each time.
use std::sync::LazyLock;

use api::{Id, OrganizationId};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use super::{Role, Scopes, redirect};
use crate::error::Error;

api::resource_name!(
    /// Name of a client.
    pub(crate) struct ClientName { organization: OrganizationId, client: Id } = "organizations/*/oauthClients/*"
);

/// The client that browsers' sessions belong to: the gateway itself.
pub(crate) const BROWSER: &str = "workos-browser";
/// Most URIs, and most actors, of a client.
const LIST_MAX: usize = 20;

/// What kind of application a client is. The numbers are those of the contract and of the database, as in all enums here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ClientKind {
    /// On a device of the person.
    Native = 1,
    /// On a server, or in a browser.
    Web = 2,
    /// By itself.
    Machine = 3,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ClientProof {
    /// Not at all.
    None = 1,
    /// By its secret in the header.
    Basic = 2,
    /// By its secret in the form.
    Post = 3,
}

/// Signature of a client's ID tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IdTokenAlgorithm {
    /// ECDSA on P-256.
    Es256 = 1,
    /// RSA.
    Rs256 = 2,
}

/// What happens with a refresh token when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RefreshMode {
    /// Replaced, with a window for lost answers.
    Window = 1,
    /// Replaced; any reuse ends the session.
    Strict = 2,
    /// Stays.
    Keep = 3,
}

impl ClientKind {
    /// The kind with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        [Self::Native, Self::Web, Self::Machine].into_iter().find(|kind| *kind as i16 == number)
    }
}

impl ClientProof {
    /// The way with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        [Self::None, Self::Basic, Self::Post].into_iter().find(|proof| *proof as i16 == number)
    }
}

impl IdTokenAlgorithm {
    /// The algorithm with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        [Self::Es256, Self::Rs256].into_iter().find(|algorithm| *algorithm as i16 == number)
    }
}

impl RefreshMode {
    /// The mode with this number.
    pub(crate) fn of_number(number: i16) -> Option<Self> {
        [Self::Window, Self::Strict, Self::Keep].into_iter().find(|mode| *mode as i16 == number)
    }
}

/// Digests of a client's secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientSecrets {
    /// Of the present one; none for public clients.
    pub(crate) present: Option<Vec<u8>>,
    /// Of the one before, and when that ends.
    pub(crate) previous: Option<(Vec<u8>, OffsetDateTime)>,
}

impl ClientSecrets {
    /// The digest is that of a secret that is good now; compared in constant time.
    pub(crate) fn has(&self, digest: &[u8], now: OffsetDateTime) -> bool {
        let previous = self.previous.as_ref().filter(|(_, expire_time)| now < *expire_time).map(|(digest, _)| digest);
        let known = self.present.iter().chain(previous);
        known.fold(false, |found, known| found | bool::from(known.as_slice().ct_eq(digest)))
    }
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Client {
    /// The `client_id`.
    pub(crate) id: String,
    /// Owner; none for a client that comes with the platform.
    pub(crate) organization: Option<OrganizationId>,
    /// Name shown to people; empty for a client that comes with the platform.
    pub(crate) display_name: String,
    /// Kind.
    pub(crate) kind: ClientKind,
    /// Where codes may be sent.
    pub(crate) redirect_uris: Vec<String>,
    /// Where people may be sent after signing out.
    pub(crate) post_logout_redirect_uris: Vec<String>,
    /// What it may ask for.
    pub(crate) scopes: Scopes,
    /// How it proves who it is.
    pub(crate) proof: ClientProof,
    /// Signature of its ID tokens.
    pub(crate) algorithm: IdTokenAlgorithm,
    /// What happens with its refresh tokens.
    pub(crate) refresh: RefreshMode,
    /// Role of a machine.
    pub(crate) role: Option<Role>,
    /// Clients that may exchange its tokens.
    pub(crate) actors: Vec<String>,
    /// Counts changes from 1; gives the etag.
    pub(crate) version: i64,
    /// When it was registered.
    #[serde(with = "super::account::micros")]
    pub(crate) create_time: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "super::account::micros")]
    pub(crate) update_time: OffsetDateTime,
}

/// Clients that come with the platform. Port 0 stands for any port.
static BUILT_IN: LazyLock<[Client; 2]> = LazyLock::new(|| {
    let client = |id: &str, kind, redirect_uris: &[&str]| Client {
        id: id.to_owned(),
        organization: None,
        display_name: String::new(),
        kind,
        redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
        post_logout_redirect_uris: Vec::new(),
        scopes: Scopes(vec!["*".to_owned()]),
        proof: ClientProof::None,
        algorithm: IdTokenAlgorithm::Es256,
        refresh: RefreshMode::Window,
        role: None,
        actors: Vec::new(),
        version: 1,
        create_time: OffsetDateTime::UNIX_EPOCH,
        update_time: OffsetDateTime::UNIX_EPOCH,
    };
    let cli = ["http://127.0.0.1:0/callback", "http://[::1]:0/callback"];
    [client("workos-cli", ClientKind::Native, &cli), client(BROWSER, ClientKind::Web, &["workos:browser"])]
});

impl Client {
    /// The client that comes with the platform under this id.
    pub(crate) fn find(id: &str) -> Option<&'static Self> {
        BUILT_IN.iter().find(|client| client.id == id)
    }

    /// It comes with the platform: all rights of the person.
    pub(crate) fn is_built_in(&self) -> bool {
        self.organization.is_none()
    }

    /// It has no secret.
    pub(crate) fn is_public(&self) -> bool {
        self.proof == ClientProof::None
    }

    /// Name of its resource; none for a client that comes with the platform.
    pub(crate) fn resource_name(&self) -> Option<ClientName> {
        Some(ClientName { organization: self.organization?, client: self.id.parse().ok()? })
    }

    /// People of every organization may sign in with it.
    pub(crate) fn is_for_all(&self) -> bool {
        self.organization.is_none_or(|organization| organization == OrganizationId::SYSTEM)
    }

    /// The redirect URI is registered for this client.
    pub(crate) fn allows(&self, redirect_uri: &str) -> bool {
        let native = self.kind == ClientKind::Native;
        self.redirect_uris.iter().any(|registered| redirect::matches(registered, native, redirect_uri))
    }

    /// The scopes that a request for these gets; none given means all that the client may have.
    ///
    /// # Errors
    /// `invalid_scope` as `None`: malformed, or more than the client may have.
    pub(crate) fn grants(&self, asked: &str) -> Option<Scopes> {
        let asked = Scopes::parse(asked)?;
        match asked.is_empty() {
            true => Some(self.scopes.clone()),
            // The platform's own clients may say what every client says, and have all rights beside it.
            false if self.is_built_in() => {
                let mut all = self.scopes.clone();
                all.0.extend(asked.0.into_iter().filter(|scope| scope != "*"));
                all.0[1..].iter().all(|scope| super::scope::OPENID.contains(&scope.as_str())).then_some(all)
            }
            false => asked.within(&self.scopes).then_some(asked),
        }
    }

    /// The rules that hold whatever is registered or changed. `known` tells permissions of the contract.
    ///
    /// # Errors
    /// OAUTH_CLIENT_INVALID with the field.
    pub(crate) fn check(&self, known: impl Fn(&str) -> bool) -> Result<(), Error> {
        let wrong = |field: &'static str, problem: &str| Err(Error::OAuthClientInvalid(field, problem.to_owned()));
        let (native, machine) = (self.kind == ClientKind::Native, self.kind == ClientKind::Machine);
        for (field, uris) in [
            ("oauth_client.redirect_uris", &self.redirect_uris),
            ("oauth_client.post_logout_redirect_uris", &self.post_logout_redirect_uris),
        ] {
            if uris.len() > LIST_MAX {
                return wrong(field, "must be at most 20");
            }
            if machine && !uris.is_empty() {
                return wrong(field, "must be empty for a MACHINE client, which signs nobody in");
            }
            if let Some(problem) = uris.iter().find_map(|uri| redirect::check(uri, native).err()) {
                return wrong(field, problem);
            }
        }
        if !machine && self.redirect_uris.is_empty() {
            return wrong("oauth_client.redirect_uris", "must have at least one for a client that signs people in");
        }
        self.check_scopes(known)?;
        self.check_secrecy()
    }

    fn check_scopes(&self, known: impl Fn(&str) -> bool) -> Result<(), Error> {
        let wrong = |problem: String| Err(Error::OAuthClientInvalid("oauth_client.scopes", problem));
        if self.scopes.0.len() > super::scope::MOST {
            return wrong("must be at most 32".to_owned());
        }
        let is_openid = |scope: &String| super::scope::OPENID.contains(&scope.as_str());
        match self.scopes.0.iter().find(|scope| !known(scope) && !is_openid(scope)) {
            Some(scope) => wrong(format!("`{scope}` is no permission of the contract and no scope of OpenID Connect")),
            None if self.kind == ClientKind::Machine && self.scopes.0.iter().any(is_openid) => {
                wrong("must be permissions alone for a MACHINE client, which signs nobody in".to_owned())
            }
            None => Ok(()),
        }
    }

    fn check_secrecy(&self) -> Result<(), Error> {
        let wrong = |field: &'static str, problem: &str| Err(Error::OAuthClientInvalid(field, problem.to_owned()));
        let proof = "oauth_client.authentication_method";
        match self.kind {
            ClientKind::Native if !self.is_public() => {
                return wrong(proof, "must be NONE: an application on people's devices keeps no secret");
            }
            ClientKind::Machine if self.is_public() => {
                return wrong(proof, "must be CLIENT_SECRET_BASIC or CLIENT_SECRET_POST for a MACHINE client");
            }
            _ => {}
        }
        if self.refresh == RefreshMode::Keep && self.is_public() {
            return wrong("oauth_client.refresh_mode", "must be WINDOW or STRICT for a client without a secret");
        }
        if self.role.is_some() && self.kind != ClientKind::Machine {
            return wrong("oauth_client.role", "must be empty: only a MACHINE client acts by itself");
        }
        let ids = self.actors.iter().all(|actor| actor.parse::<Id>().is_ok_and(|id| id.to_string() == *actor));
        if self.actors.len() > LIST_MAX || !ids {
            return wrong("oauth_client.actors", "must be at most 20 ids of clients");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
