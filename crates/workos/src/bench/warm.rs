//! What authentication and authorization cost a call on the warm path: at gateway and service together (the bearer token is looked up, the
//! internal token is narrowed to the call, the service verifies it and decides), at one hop alone, and the structural gate alone. The
//! benches of other crates include this file.
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::{CallContext, Clock, Id, Ids, OrganizationId, UserId};
use authz::{Credential, Keys, Mint, Revocations, Subject, Verifier, generate_key};
use bytes::Bytes;
use mesh::{Authorizer, Incoming, Narrower, Peer};
use sha2::{Digest, Sha256};

use super::row::Row;

const RPC: &str = "/workos.document.v1.DocumentService/GetDocument";
/// Calls of one measurement, and how many are taken; the least counts.
const CALLS: usize = 2_000;
const ROUNDS: usize = 20;

/// Each for a resource that is read again and again, and for resources that nobody has read before.
pub(crate) fn rows() -> Result<Vec<Row>> {
    let world = World::new()?;
    let both = again_and_fresh(&world, |document: &String| world.call(document))?;
    let hop = again_and_fresh(&world, |narrowed: &Narrowed| world.authorize(narrowed))?;
    let token = Narrowed::of(&world)?.token;
    let gate = least(|| (0..CALLS).try_for_each(|_| Ok(authz::gate::check(std::hint::black_box(&token))?)))?;
    let row = |name: String, micros: f64, most: f64| {
        Row::of(&name, "us", micros, None, "one core, no peer").goal(format!("at most {most} us"), Some(micros <= most))
    };
    let times = ["a resource again", "a resource for the first time"];
    let mut rows = Vec::new();
    for ((time, both), hop) in times.into_iter().zip(both).zip(hop) {
        rows.push(row(format!("auth on the warm path, gateway and service, {time}"), both, 60.0));
        rows.push(row(format!("verify and authorize, one hop, {time}"), hop, 50.0));
    }
    rows.push(row("structural gate".to_owned(), gate, 5.0));
    Ok(rows)
}

/// Microseconds of a call on one and the same, and on one that was never seen.
fn again_and_fresh<T: Fresh>(world: &World, call: impl Fn(&T) -> Result<()>) -> Result<[f64; 2]> {
    let again = T::of(world)?;
    let same = least(|| (0..CALLS).try_for_each(|_| call(&again)))?;
    let all: Vec<T> = (0..CALLS * ROUNDS).map(|_| T::of(world)).collect::<Result<_>>()?;
    let mut batches = all.chunks(CALLS);
    let fresh = least(|| batches.next().unwrap_or_default().iter().try_for_each(&call))?;
    Ok([same, fresh])
}

/// Something of a document that nobody has read before.
trait Fresh: Sized {
    fn of(world: &World) -> Result<Self>;
}

impl Fresh for String {
    fn of(world: &World) -> Result<Self> {
        let id: Id = world.ids.next();
        Ok(format!("{}/documents/{id}", world.organization.name()))
    }
}

/// A document, and the token that a gateway sends with a call for it.
struct Narrowed {
    document: String,
    token: Bytes,
}

impl Fresh for Narrowed {
    fn of(world: &World) -> Result<Self> {
        let document = String::of(world)?;
        let token = world.edge.narrow(&world.token, world.method, Some(&document))?;
        Ok(Self { document, token })
    }
}

/// Microseconds of a call in the least of all rounds.
fn least(mut round: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        round()?;
        least = least.min(begin.elapsed());
    }
    Ok(least.as_secs_f64() * 1e6 / CALLS as f64)
}

struct World {
    ids: Ids,
    organization: OrganizationId,
    /// As long as access tokens are.
    bearer: String,
    token: Bytes,
    edge: Verifier,
    service: Verifier,
    method: &'static proto::Method,
    peer: Peer,
}

impl World {
    fn new() -> Result<Self> {
        let (clock, ids) = (Clock::default(), Ids::default());
        let mint = Mint::new(&generate_key().0, 7, clock.clone())?;
        let revocations = Revocations::new(clock.clone());
        revocations.replace(0, Vec::new());
        let of = |name| Verifier::new(name, Keys::new(vec![mint.verify_key()]), revocations.clone(), clock.clone());
        let organization = OrganizationId(ids.next());
        let subject = Subject {
            user: UserId(ids.next()),
            organization: Some(organization),
            role: Some(proto::Role::Editor),
            custom_roles: Vec::new(),
            credential: Credential::Session(ids.next().to_string()),
            client: "workos".to_owned(),
            scopes: vec!["*".to_owned()],
            acting: None,
            amr: vec!["pwd".to_owned()],
            acr: 1,
            auth_time: Some(clock.now()),
            methods: Vec::new(),
        };
        Ok(Self {
            organization,
            bearer: "t".repeat(700),
            token: mint.mint(&subject, Duration::from_secs(300))?,
            edge: of("gateway"),
            service: of("document"),
            method: proto::methods().get(RPC).context("the contract has documents")?,
            peer: Peer::named("gateway"),
            ids,
        })
    }

    fn call(&self, document: &str) -> Result<()> {
        std::hint::black_box(Sha256::digest(self.bearer.as_bytes()));
        let token = self.edge.narrow(&self.token, self.method, Some(document))?;
        self.decide(&token, document)
    }

    fn authorize(&self, narrowed: &Narrowed) -> Result<()> {
        self.decide(&narrowed.token, &narrowed.document)
    }

    fn decide(&self, token: &Bytes, document: &str) -> Result<()> {
        let context = CallContext { method: RPC.to_owned(), ..CallContext::default() };
        let call =
            Incoming { method: self.method, token: Some(token), peer: &self.peer, resource: Some(document), context };
        std::hint::black_box(self.service.authorize(call)?);
        Ok(())
    }
}
