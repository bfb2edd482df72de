//! What the targets share: a mint whose key never changes, so that seeds stay good; two tokens of one person, one with few rights
//! and one with many; the calls that are tried with them; and biscuit-auth's own decoder as second reader of the gate's bytes.
mod bounds;

use std::{
    fmt,
    sync::{Arc, LazyLock, RwLock},
    time::Duration,
};

use api::{CallContext, Clock, Code, Id, OrganizationId, UserId};
use authz::{Credential, Keys, Mint, Presented, Revocations, Subject, Verifier};
use biscuit_auth::{KeyPair, format::schema::public_key::Algorithm};
use bytes::Bytes;
use mesh::{
    Authorizer, Incoming, Narrower, Peer,
    wire::{Fields, Value},
};
use proto::Role;
use uuid::Uuid;

pub use bounds::is_within_bounds;

/// More than any block that passes costs, by far, in a build that watches every access to memory.
const CPU_MAX: Duration = Duration::from_secs(5);
const LIFE: Duration = Duration::from_secs(600);
/// Tokens are made anew well before they end.
const FRESH_FOR: i64 = 300;
/// The organization of the person, and another one.
const HOME: &str = "organizations/00000000000000000000000007";
const ABROAD: &str = "organizations/00000000000000000000000008";

/// Ids that are the same in every run.
fn id(number: u128) -> Id {
    Id::from_uuid(Uuid::from_u128(number))
}

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::default);
static MINT: LazyLock<Mint> = LazyLock::new(|| Mint::new(&[7; 32], 7, CLOCK.clone()).expect("any 32 bytes are a key"));
static REVOCATIONS: LazyLock<Revocations> = LazyLock::new(|| Revocations::new(CLOCK.clone()));
static VERIFIER: LazyLock<Verifier> =
    LazyLock::new(|| Verifier::new("document", Keys::new(vec![MINT.verify_key()]), REVOCATIONS.clone(), CLOCK.clone()));

/// The tokens of now.
pub struct World {
    /// Of a member without a role, with one scope.
    pub weak: Bytes,
    /// Of an owner who signed in with two factors, with all scopes.
    pub strong: Bytes,
    made: i64,
}

impl World {
    /// The tokens, made anew when they are about to end.
    pub fn current() -> Arc<Self> {
        static CURRENT: LazyLock<RwLock<Arc<World>>> = LazyLock::new(|| RwLock::new(Arc::new(World::new())));
        let now = CLOCK.now().unix_timestamp();
        let current = CURRENT.read().expect("nobody panics with it").clone();
        if now - current.made < FRESH_FOR {
            return current;
        }
        let next = Arc::new(Self::new());
        *CURRENT.write().expect("nobody panics with it") = next.clone();
        next
    }

    fn new() -> Self {
        // Counts as a word from the list of revocations: without one sensitive methods are refused.
        REVOCATIONS.replace(0, Vec::new());
        let token = |role, scope: &str, acr| MINT.mint(&subject(role, scope, acr), LIFE).expect("it fits");
        let (weak, strong) = (token(None, "document:read", 1), token(Some(Role::Owner), "*", 2));
        Self { weak, strong, made: CLOCK.now().unix_timestamp() }
    }
}

fn subject(role: Option<Role>, scope: &str, acr: u32) -> Subject {
    Subject {
        user: UserId(id(6)),
        organization: Some(OrganizationId(id(7))),
        role,
        custom_roles: Vec::new(),
        credential: Credential::Session("session".to_owned()),
        client: "workos".to_owned(),
        scopes: vec![scope.to_owned()],
        acting: None,
        amr: vec!["pwd".to_owned()],
        acr,
        auth_time: Some(CLOCK.now()),
        methods: Vec::new(),
    }
}

/// Whom every token of ours speaks for.
pub fn presented() -> Presented {
    let (user, organization) = (UserId(id(6)), Some(OrganizationId(id(7))));
    Presented { user, organization, session: Some("session".to_owned()) }
}

/// Whom an accepted token speaks for.
pub fn validate(token: &Bytes) -> Option<Presented> {
    VERIFIER.validate(token).ok()
}

/// Runs it, and measures the CPU that it took.
pub fn bounded<T>(run: impl FnOnce() -> T) -> T {
    let begun = cpu();
    let answer = run();
    let spent = cpu() - begun;
    assert!(spent < CPU_MAX, "it took {spent:?} of CPU");
    answer
}

fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a place of ours that lives on.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "every Linux has this clock");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs().try_into().expect("below a billion"))
}

/// One call of a method about a resource.
pub struct Call {
    rpc: &'static str,
    resource: Option<String>,
}

impl fmt::Debug for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.rpc, self.resource)
    }
}

/// What is tried: the own organization and another, reading and writing, what is everybody's own, and what is the operator's.
pub static CALLS: LazyLock<Vec<Call>> = LazyLock::new(|| {
    let document = |home: &str| Some(format!("{home}/documents/{}", Id::ZERO));
    let call = |rpc, resource| Call { rpc, resource };
    vec![
        call("document.v1.DocumentService/GetDocument", document(HOME)),
        call("document.v1.DocumentService/GetDocument", document(ABROAD)),
        call("document.v1.DocumentService/UpdateDocument", document(HOME)),
        call("search.v1.SearchService/Search", Some(HOME.to_owned())),
        call("auth.v1.UserService/GetUser", Some(format!("users/{}", id(6)))),
        call("auth.v1.UserService/GetUser", Some(format!("users/{}", id(8)))),
        call("events.v1.EventAdminService/GetRelayStatus", None),
    ]
});

/// What a caller heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Refused,
    /// The machine was too busy to decide within the limit of time by the clock.
    Undecided,
    /// Who it is, and which rights are known of him.
    Let {
        who: String,
        rights: String,
        granted: bool,
    },
}

impl Answer {
    /// More than this, or something else.
    pub fn exceeds(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Refused | Self::Undecided, _) | (_, Self::Undecided) => false,
            (_, Self::Refused) => true,
            (Self::Let { who, rights, granted }, Self::Let { who: he, rights: his, granted: was }) => {
                who != he || rights != his || (*granted && !was)
            }
        }
    }
}

impl Call {
    /// The verifier's answer.
    pub fn answer(&self, token: &Bytes) -> Answer {
        let (peer, context) = (Peer::named("gateway"), CallContext::default());
        let resource = self.resource.as_deref();
        let call = Incoming { method: self.method(), token: Some(token), peer: &peer, resource, context };
        match VERIFIER.authorize(call) {
            Err(error) if error.code() == Code::Unavailable => Answer::Undecided,
            Err(_) => Answer::Refused,
            Ok(caller) => {
                let who = format!("{:?} {:?} {:?}", caller.subject(), caller.organization().ok(), caller.session());
                Answer::Let {
                    who,
                    rights: format!("{:?} {}", caller.role(), caller.in_scope("document:write")),
                    granted: caller.granted(),
                }
            }
        }
    }

    /// What the next hop is given.
    pub fn narrowed(&self, token: &Bytes) -> Option<Bytes> {
        VERIFIER.narrow(token, self.method(), self.resource.as_deref()).ok()
    }

    fn method(&self) -> &'static proto::Method {
        proto::methods().get(&format!("/workos.{}", self.rpc)).expect("the contract has this method")
    }
}

/// The token with one more block, signed with the key that its holder has (biscuit's specification, version 0 of signatures).
pub fn append(token: &Bytes, block: &[u8]) -> Bytes {
    let (mut kept, mut secret) = (Vec::new(), None);
    for field in Fields::of(token) {
        match field.expect("ours is well-formed") {
            (1, value) => put(&mut kept, 1, value),
            (4, value) => {
                let mut proof = Fields::of(value.bytes().expect("a message"));
                secret = proof.next().and_then(Result::ok).filter(|(number, _)| *number == 1).map(|(_, value)| value);
            }
            (number, value) => put(&mut kept, number, value),
        }
    }
    let secret = secret.expect("ours is not sealed").bytes().expect("bytes");
    let holder = KeyPair::from_bytes(secret, Algorithm::Ed25519).expect("a key");
    let next = KeyPair::from_bytes(&[9; 32], Algorithm::Ed25519).expect("any 32 bytes are a key");
    let public = next.public().to_bytes();
    let signature = holder.sign(&[block, &0i32.to_le_bytes(), &public].concat()).expect("signed");
    let (mut key, mut signed, mut proof) = (vec![8, 0], Vec::new(), Vec::new());
    put(&mut key, 2, Value::Bytes(&public));
    put(&mut signed, 1, Value::Bytes(block));
    put(&mut signed, 2, Value::Bytes(&key));
    put(&mut signed, 3, Value::Bytes(signature.to_bytes()));
    put(&mut proof, 1, Value::Bytes(&[9; 32]));
    put(&mut kept, 3, Value::Bytes(&signed));
    put(&mut kept, 4, Value::Bytes(&proof));
    kept.into()
}

fn put(out: &mut Vec<u8>, number: u32, value: Value<'_>) {
    match value {
        Value::Varint(value) => {
            varint(out, u64::from(number) << 3);
            varint(out, value);
        }
        Value::Bytes(bytes) => {
            varint(out, u64::from(number) << 3 | 2);
            varint(out, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
        Value::Fixed32(_) | Value::Fixed64(_) => unreachable!("the format has none"),
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
