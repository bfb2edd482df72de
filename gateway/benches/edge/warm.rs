//! What authentication and authorization cost a call on the warm path, at gateway and service together: the bearer token is
//! looked up, the internal token is narrowed to the call, and the service verifies it and decides.
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

/// One row for a resource that is read again and again, one for resources that nobody has read before.
pub(crate) fn rows() -> Result<Vec<Row>> {
    let world = World::new()?;
    let again = [world.document()];
    let same = least(|| again.iter().cycle().take(CALLS).try_for_each(|document| world.call(document)))?;
    let fresh = {
        let documents: Vec<_> = (0..CALLS * ROUNDS).map(|_| world.document()).collect();
        let mut batches = documents.chunks(CALLS);
        least(|| batches.next().unwrap_or_default().iter().try_for_each(|document| world.call(document)))?
    };
    let goal = |row: Row, micros: f64| row.goal("at most 60 us".to_owned(), Some(micros <= 60.0));
    let row = |name, micros| goal(Row::of(name, "us", micros, None, "one core, no peer"), micros);
    Ok(vec![
        row("auth on the warm path, gateway and service, a resource again", same),
        row("auth on the warm path, gateway and service, a resource for the first time", fresh),
    ])
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
        revocations.replace(Vec::new());
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

    fn document(&self) -> String {
        let id: Id = self.ids.next();
        format!("{}/documents/{id}", self.organization.name())
    }

    fn call(&self, document: &str) -> Result<()> {
        std::hint::black_box(Sha256::digest(self.bearer.as_bytes()));
        let token = self.edge.narrow(&self.token, self.method, Some(document))?;
        let context = CallContext { method: RPC.to_owned(), ..CallContext::default() };
        let call =
            Incoming { method: self.method, token: Some(&token), peer: &self.peer, resource: Some(document), context };
        std::hint::black_box(self.service.authorize(call)?);
        Ok(())
    }
}
