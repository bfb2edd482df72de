//! Verifying tokens and deciding calls: what the mesh asks before each handler.
//!
//! Order: gate, cache, keys and revocations, signatures on a miss, Datalog. Signatures are kept verified by the hash of all
//! bytes; a decision is kept for the second it was made in (`memo`). Every bad token gives the same error; which kind of bad it
//! was is counted and logged.
use std::{sync::Arc, time::Duration};

use api::{Caller, Clock, Code, CommonReason, Decision, Error, Id, OrganizationId, Parts, Subject, UserId};
use biscuit_auth::{
    Biscuit, PublicKey, RootKeyProvider, UnverifiedBiscuit,
    error::{self, Format},
};
use bytes::Bytes;
use mesh::{Authorizer, Incoming, Narrower, Whose};
use moka::sync::Cache;
use proto::{Access, Method, Rule};
use sha2::{Digest, Sha256};

use crate::{
    decide::{self, Outcome},
    directory::Directory,
    gate,
    keys::Keys,
    memo::Memo,
    narrow::Narrowing,
    observe,
    peers::{self, Peers},
    revoke::{Revocations, Standing},
    vocabulary::{self, Claims, Credential},
};

/// Verified tokens held at most.
const HELD_MAX: u64 = 10_000;
/// How long, at most: a token's own end is checked on each call.
const HELD_FOR: Duration = Duration::from_secs(300);
/// How far ahead of our clock a token may have been issued.
const SKEW_SECS: i64 = 5;

/// A token whose signatures are ours.
pub(crate) struct Verified {
    pub(crate) token: Biscuit,
    pub(crate) claims: Claims,
    /// SHA-256 of all bytes.
    pub(crate) hash: [u8; 32],
    /// A block speaks of the resource, so a decision depends on its full name.
    pub(crate) names_resource: bool,
    key_id: u32,
}

/// Verifies, decides, narrows. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    workload: String,
    keys: Keys,
    revocations: Revocations,
    directory: Directory,
    clock: Clock,
    held: Cache<[u8; 32], Arc<Verified>>,
    memo: Memo,
    narrowing: Narrowing,
    peers: Peers,
}

/// What a good token says, for who holds one without a call: the gateway's cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The person.
    pub user: UserId,
    /// The organization, once one was chosen.
    pub organization: Option<OrganizationId>,
    /// The session, if it rests on one.
    pub session: Option<String>,
}

impl Verifier {
    /// The verifier of one workload that knows the built-in roles alone.
    #[must_use]
    pub fn new(workload: &str, keys: Keys, revocations: Revocations, clock: Clock) -> Self {
        Self::with_directory(workload, keys, revocations, Directory::default(), clock)
    }

    /// The verifier of one workload.
    #[must_use]
    pub fn with_directory(
        workload: &str,
        keys: Keys,
        revocations: Revocations,
        directory: Directory,
        clock: Clock,
    ) -> Self {
        let held = Cache::builder().max_capacity(HELD_MAX).time_to_live(HELD_FOR).build();
        let (narrowing, peers) = (Narrowing::new(clock.clone(), workload == peers::GATEWAY), Peers::of_contract());
        let (workload, memo) = (workload.to_owned(), Memo::new());
        Self(Arc::new(Inner { workload, keys, revocations, directory, clock, held, memo, narrowing, peers }))
    }

    /// The keys in force.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// The revocations in force.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Verifies a token outside of a call: structure, signatures, revocations. Its end is not looked at.
    ///
    /// # Errors
    /// UNAUTHENTICATED: CREDENTIAL_INVALID, or TOKEN_STALE when the credential behind it shall be exchanged again.
    pub fn validate(&self, token: &Bytes) -> Result<Presented, Error> {
        let verified = self.0.verified(token)?;
        let (user, organization, session) = ids(&verified.claims)?;
        Ok(Presented { user, organization, session })
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Verifier").field("workload", &self.0.workload).finish_non_exhaustive()
    }
}

impl Narrower for Verifier {
    fn narrow(&self, token: &Bytes, method: &'static Method, resource: Option<&str>) -> Result<Bytes, Error> {
        self.0.narrowing.narrow(token, method, resource)
    }
}

impl Authorizer for Verifier {
    fn authorize(&self, call: Incoming<'_>) -> Result<Caller, Error> {
        let access = call.method.access.as_ref().ok_or_else(Error::denied)?;
        self.0.peers.admit(call.method, call.peer)?;
        let token = call.token.cloned();
        let (found, decision) = match &access.rule {
            Rule::Public => (self.0.present(&call), Decision::Granted),
            Rule::PeerOnly => return self.0.peer_call(call, token),
            Rule::SelfOnly => {
                let verified = self.0.required(&call, access)?;
                let decision = decided(decide::own(&verified, &call, access, self.0.now()), access)?;
                decide::signed_in(&verified.claims, access, self.0.now())?;
                (Some(verified), decision)
            }
            Rule::Permission(permission) => {
                let verified = self.0.required(&call, access)?;
                let now = self.0.now();
                let directory = &self.0.directory;
                // Counted before it is read: a change in between makes the outcome one that nobody finds again.
                let changes = directory.changes();
                let run = || decide::permission(&verified, &call, access, permission, directory, now);
                let decision = decided(self.0.memo.permission(&verified, &call, changes, now, run), access)?;
                decide::signed_in(&verified.claims, access, now)?;
                (Some(verified), decision)
            }
        };
        seal(call, found.as_deref(), token, decision)
    }

    fn recheck(&self, caller: &Caller) -> Result<(), Error> {
        caller.token().map_or(Ok(()), |token| self.0.verified(token).map(drop))
    }

    /// Signatures count, revocations do not: who tries a revoked token is known by it.
    fn whose(&self, token: &Bytes) -> Option<Whose> {
        gate::check(token).ok()?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        let verified = match self.0.held.get(&hash) {
            Some(verified) => verified,
            None => Arc::new(self.0.check_signatures(token, hash).ok()?),
        };
        let (user, organization, _) = ids(&verified.claims).ok()?;
        let acting = verified.claims.acting.clone().unwrap_or_default();
        Some(Whose { actor: user.name(), acting, organization })
    }
}

impl Inner {
    fn now(&self) -> i64 {
        self.clock.now().unix_timestamp()
    }

    /// The token that the method cannot do without.
    fn required(&self, call: &Incoming<'_>, access: &Access) -> Result<Arc<Verified>, Error> {
        let token = call.token.ok_or_else(|| {
            observe::refused("missing");
            Error::credential_missing()
        })?;
        if access.sensitive && self.revocations.is_stale() {
            observe::refused("stale_revocations");
            return Err(Error::unavailable("the list of revoked sign-ins"));
        }
        self.verified(token)
    }

    /// Who is there, on a method that asks for nobody: a token that does not hold counts as none.
    fn present(&self, call: &Incoming<'_>) -> Option<Arc<Verified>> {
        let verified = self.verified(call.token?).ok()?;
        decide::presented(&verified, call, self.now()).then_some(verified)
    }

    /// A call among workloads. The peer was admitted; the organization is the one that the resource names, and a person's
    /// token that comes along must be of the same.
    fn peer_call(&self, call: Incoming<'_>, token: Option<Bytes>) -> Result<Caller, Error> {
        let verified = self.present(&call);
        let named = call.resource.and_then(decide::organization_of);
        let found = verified.as_deref().map(|verified| ids(&verified.claims)).transpose()?;
        let of_token = found.as_ref().and_then(|(_, organization, _)| *organization);
        if let (Some(named), Some(of_token)) = (named, of_token)
            && named != of_token
        {
            observe::refused("tenant");
            return Err(Error::denied());
        }
        let peer = call.peer.name().to_owned();
        let mut context = call.context;
        let (subject, session) = match found {
            Some((user, _, session)) => (Subject::User(user), session),
            None => (Subject::Workload(peer.clone()), None),
        };
        context.actor = actor(&subject);
        context.acting = verified.as_deref().and_then(|verified| verified.claims.acting.clone()).unwrap_or_default();
        let claims = verified.as_deref().map(|verified| &verified.claims);
        let (role, issued) = (claims.and_then(|claims| claims.role), claims.map(|claims| claims.issued));
        let acting = claims.and_then(|claims| claims.acting.clone());
        let scopes = claims.map(|claims| Arc::clone(&claims.scopes)).unwrap_or_default();
        let custom_roles = claims.map(|claims| Arc::clone(&claims.custom_roles)).unwrap_or_default();
        let (organization, token) = (named.or(of_token), token.filter(|_| verified.is_some()));
        Ok(Caller::seal(Parts {
            subject,
            organization,
            role,
            custom_roles,
            scopes,
            decision: Decision::Granted,
            peer,
            issued,
            session,
            acting,
            token,
            context,
        }))
    }

    /// Gate, cache, keys and revocations, signatures on a miss.
    fn verified(&self, token: &Bytes) -> Result<Arc<Verified>, Error> {
        gate::check(token).map_err(|refused| {
            observe::refused("gate");
            Error::credential_invalid().caused_by(refused)
        })?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        let verified = match self.held.get(&hash) {
            Some(verified) => verified,
            None => {
                let verified = Arc::new(self.check_signatures(token, hash)?);
                self.held.insert(hash, Arc::clone(&verified));
                verified
            }
        };
        if self.keys.get(verified.key_id).is_none() {
            return Err(self.without_key(verified.key_id));
        }
        if verified.claims.issued > self.now() + SKEW_SECS {
            observe::clock_skew();
            return Err(invalid("future"));
        }
        match self.revocations.standing(&verified.claims) {
            Standing::Good => Ok(verified),
            Standing::Ended => Err(invalid("revoked")),
            Standing::Renew => Err(stale()),
        }
    }

    /// A key that was revoked leaves the credentials good for which it signed.
    fn without_key(&self, key_id: u32) -> Error {
        if self.revocations.has_key(key_id) { stale() } else { invalid("key") }
    }

    /// Which key it says is a hint that nobody has signed; no more rests on it than what the refusal says.
    fn unknown_key(&self, bytes: &Bytes) -> Error {
        let named = UnverifiedBiscuit::from(bytes).ok().and_then(|token| token.root_key_id());
        named.map_or_else(|| invalid("key"), |key_id| self.without_key(key_id))
    }

    fn check_signatures(&self, bytes: &Bytes, hash: [u8; 32]) -> Result<Verified, Error> {
        let token = Biscuit::from(bytes, Provider(&self.keys)).map_err(|error| match error {
            error::Token::Format(Format::UnknownPublicKey) => self.unknown_key(bytes),
            error => invalid("signature").caused_by(error),
        })?;
        let key_id = token.root_key_id().ok_or_else(|| invalid("key"))?;
        let claims = vocabulary::claims(&token, key_id).ok_or_else(|| invalid("claims"))?;
        // The tree printer is safe here, once per token: `claims` has refused unknown symbols. A block that cannot be shown may
        // say anything.
        let mut blocks = (0..token.block_count()).map(|index| token.print_block_source(index));
        let names_resource = blocks.any(|block| block.map_or(true, |source| source.contains("resource(")));
        Ok(Verified { token, claims, hash, names_resource, key_id })
    }
}

/// Chooses the key by id; without an id there is none.
struct Provider<'a>(&'a Keys);

impl RootKeyProvider for Provider<'_> {
    fn choose(&self, key_id: Option<u32>) -> Result<PublicKey, Format> {
        key_id.and_then(|key_id| self.0.get(key_id)).ok_or(Format::UnknownPublicKey)
    }
}

fn stale() -> Error {
    observe::refused("renew");
    let message = "the rights behind this token have changed; exchange the credential again";
    Error::new(Code::Unauthenticated, CommonReason::TokenStale, message)
}

fn invalid(why: &'static str) -> Error {
    observe::refused(why);
    Error::credential_invalid()
}

fn decided(outcome: Outcome, access: &Access) -> Result<Decision, Error> {
    match (outcome, access.share) {
        (Outcome::Granted, _) => Ok(Decision::Granted),
        (Outcome::Undecided, Some(share)) => Ok(Decision::NeedsShare(share)),
        (Outcome::Undecided | Outcome::Denied, _) => {
            observe::refused("permission");
            Err(Error::denied())
        }
        (Outcome::Expired, _) => Err(invalid("expired")),
        (Outcome::Undecidable, _) => {
            observe::refused("limit");
            Err(Error::unavailable("the decision about this call"))
        }
    }
}

fn seal(
    call: Incoming<'_>,
    found: Option<&Verified>,
    token: Option<Bytes>,
    decision: Decision,
) -> Result<Caller, Error> {
    let mut parts = Parts {
        subject: Subject::Anonymous,
        organization: None,
        role: None,
        custom_roles: Arc::default(),
        scopes: Arc::default(),
        decision,
        peer: call.peer.name().to_owned(),
        issued: None,
        session: None,
        acting: None,
        token: None,
        context: call.context,
    };
    if let Some(Verified { claims, .. }) = found {
        let (user, organization, session) = ids(claims)?;
        (parts.subject, parts.organization, parts.session) = (Subject::User(user), organization, session);
        (parts.role, parts.custom_roles) = (claims.role, Arc::clone(&claims.custom_roles));
        (parts.scopes, parts.issued) = (Arc::clone(&claims.scopes), Some(claims.issued));
        (parts.acting, parts.token) = (claims.acting.clone(), token);
        parts.context.actor = actor(&parts.subject);
        parts.context.acting = claims.acting.clone().unwrap_or_default();
    }
    Ok(Caller::seal(parts))
}

fn actor(subject: &Subject) -> String {
    match subject {
        Subject::Anonymous => String::new(),
        Subject::User(user) => user.name(),
        Subject::Workload(name) => format!("workloads/{name}"),
    }
}

/// The ids of a token as types. They were written by our mint, so anything else is a token of somebody else's making.
fn ids(claims: &Claims) -> Result<(UserId, Option<OrganizationId>, Option<String>), Error> {
    let user: Id = claims.subject.parse().map_err(|_| invalid("claims"))?;
    let organization = claims.tenant.as_deref().map(str::parse::<Id>).transpose().map_err(|_| invalid("claims"))?;
    let session = match &claims.credential {
        Credential::Session(id) => Some(id.clone()),
        Credential::Key(_) | Credential::Delegation(_) => None,
    };
    Ok((UserId(user), organization.map(OrganizationId), session))
}
