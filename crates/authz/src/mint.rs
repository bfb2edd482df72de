//! Minting: only `auth` holds a private key and uses this.
use std::{fmt, time::Duration};

use api::{Clock, Error, Id, OrganizationId, UserId};
use biscuit_auth::{Algorithm, Biscuit, KeyPair, PrivateKey, builder::BiscuitBuilder, error};
use bytes::Bytes;
use proto::Role;
use time::OffsetDateTime;

use crate::{
    gate,
    keys::{KeyError, VerifyKey},
    vocabulary::{Credential, ROLES, among, date, fact, guarded, text, until},
};

/// Longest life of a token. Revocations are kept as long.
pub const LIFE_MAX: Duration = Duration::from_secs(600);
/// Custom roles that a token carries.
pub const CUSTOM_ROLES_MAX: usize = 6;
const SCOPES_MAX: usize = 32;
const METHODS_MAX: usize = 8;

/// Who acts for the person whom a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acting {
    /// A workload, by its name: it holds a delegation.
    Workload(String),
    /// An application, by the name of its resource: it has exchanged a token that was given to another one (RFC 8693).
    Client(String),
    /// An administrator who acts as the person, and the session in which he has signed in himself.
    Person(UserId, String),
}

/// Whom a token is for.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The person.
    pub user: UserId,
    /// The one organization the token is good in; `None` before one was chosen: only `self` methods then.
    pub organization: Option<OrganizationId>,
    /// The role there; `None` for a member without one. `role("member")` is added for every member.
    pub role: Option<Role>,
    /// Roles of the organization's own making; a token carries at most [`CUSTOM_ROLES_MAX`].
    pub custom_roles: Vec<Id>,
    /// What it rests on; revoking that voids the token.
    pub credential: Credential,
    /// The OAuth client.
    pub client: String,
    /// Scopes; `*` only for first-party clients.
    pub scopes: Vec<String>,
    /// Who acts for the person, if anybody.
    pub acting: Option<Acting>,
    /// How the person signed in (RFC 8176).
    pub amr: Vec<String>,
    /// Authentication context class: 1 one factor, 2 two factors; 0 when nobody signed in.
    pub acr: u32,
    /// When the person signed in.
    pub auth_time: Option<OffsetDateTime>,
    /// RPCs that the token is good for, with what they call in turn; empty: any. A delegation covers only what it lists.
    pub methods: Vec<String>,
}

/// Signs tokens with one key.
pub struct Mint {
    pair: KeyPair,
    key_id: u32,
    clock: Clock,
}

impl Mint {
    /// A mint with an Ed25519 private key of 32 bytes.
    ///
    /// # Errors
    /// The bytes are no such key.
    pub fn new(private: &[u8], key_id: u32, clock: Clock) -> Result<Self, KeyError> {
        let key = PrivateKey::from_bytes(private, Algorithm::Ed25519).map_err(|_| KeyError)?;
        Ok(Self { pair: KeyPair::from(&key), key_id, clock })
    }

    /// The public half, as verifiers need it.
    #[must_use]
    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey { key_id: self.key_id, public_key: Bytes::from(self.pair.public().to_bytes()) }
    }

    /// A token that lives this long, at most [`LIFE_MAX`].
    ///
    /// # Errors
    /// INTERNAL when the subject does not fit into a token: too many scopes, too long a client id.
    pub fn mint(&self, subject: &Subject, life: Duration) -> Result<Bytes, Error> {
        self.mint_as_of(subject, self.clock.now(), life)
    }

    /// A token issued at this time: the moment from which on what it says was true. A revocation of a later second voids it.
    ///
    /// # Errors
    /// As [`Mint::mint`].
    pub fn mint_as_of(&self, subject: &Subject, issued: OffsetDateTime, life: Duration) -> Result<Bytes, Error> {
        let token = self.build(subject, issued, life.min(LIFE_MAX)).map_err(Error::internal)?;
        gate::check(&token).map_err(Error::internal)?;
        Ok(token)
    }

    fn build(&self, subject: &Subject, issued: OffsetDateTime, life: Duration) -> Result<Bytes, error::Token> {
        let now = issued.unix_timestamp();
        let end = now.saturating_add(i64::try_from(life.as_secs()).unwrap_or_default());
        let mut block = Biscuit::builder()
            .root_key_id(self.key_id)
            .fact(fact("v", vec![biscuit_auth::builder::Term::Integer(1)]))?
            .fact(fact("aud", vec![text("mesh")]))?
            .fact(fact("iat", vec![date(now)]))?
            .fact(fact("sub", vec![text("user"), text(&subject.user.to_string())]))?
            .check(until(end)?)?;
        if !subject.methods.is_empty() {
            block = block.check(among(&closure(&subject.methods))?)?;
        }
        let (kind, id) = match &subject.credential {
            Credential::Session(id) => ("sid", id),
            Credential::Key(id) => ("key", id),
            Credential::Delegation(id) => ("delegation", id),
        };
        block = block.fact(fact(kind, vec![text(id)]))?.fact(fact("client", vec![text(&subject.client)]))?;
        if let Some(organization) = subject.organization {
            block = block.fact(fact("tenant", vec![text(&organization.to_string())]))?;
            block = roles(block, subject.role)?;
            for role in subject.custom_roles.iter().take(CUSTOM_ROLES_MAX) {
                block = block.fact(fact("role", vec![text(&role.to_string())]))?;
            }
        }
        for scope in subject.scopes.iter().take(SCOPES_MAX) {
            block = block.fact(fact("scope", vec![text(scope)]))?;
        }
        for method in subject.amr.iter().take(METHODS_MAX) {
            block = block.fact(fact("amr", vec![text(method)]))?;
        }
        if subject.acr > 0 {
            block = block.fact(fact("acr", vec![biscuit_auth::builder::Term::Integer(subject.acr.into())]))?;
        }
        if let Some(time) = subject.auth_time {
            block = block.fact(fact("auth_time", vec![date(time.unix_timestamp())]))?;
        }
        if let Some(acting) = &subject.acting {
            block = act(block, acting)?;
        }
        block.build(&self.pair)?.to_vec().map(Bytes::from)
    }
}

/// The methods and everything reachable over their calls. A method that the contract does not have opens nothing.
fn closure(methods: &[String]) -> Vec<&str> {
    let mut rpcs: Vec<&str> = methods.iter().map(String::as_str).collect();
    for method in methods {
        let known = proto::methods().get(&format!("/{method}")).and_then(|method| method.access.as_ref());
        rpcs.extend(known.into_iter().flat_map(|access| access.closure.iter().copied()));
    }
    rpcs.sort_unstable();
    rpcs.dedup();
    rpcs
}

fn act(mut block: BiscuitBuilder, acting: &Acting) -> Result<BiscuitBuilder, error::Token> {
    let (kind, name) = match acting {
        Acting::Workload(name) => ("service", name.clone()),
        Acting::Client(name) => ("client", name.clone()),
        Acting::Person(user, session) => {
            block = block.fact(fact("act_sid", vec![text(session)]))?.check(guarded())?;
            ("user", user.to_string())
        }
    };
    block.fact(fact("act", vec![text(kind), text(&name)]))
}

fn roles(mut block: BiscuitBuilder, held: Option<Role>) -> Result<BiscuitBuilder, error::Token> {
    for (role, name) in ROLES {
        if role == Role::Member || Some(role) == held {
            block = block.fact(fact("role", vec![text(name)]))?;
        }
    }
    Ok(block)
}

impl fmt::Debug for Mint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mint").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
