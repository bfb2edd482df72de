//! Rate limits by address and by caller, global in Redis; a local share when Redis is away. The class of a method stands in
//! the contract. What one network may have at work in this process is counted here too.
use std::{net::IpAddr, time::Duration};

use cache::Limit;
use proto::{Method, Rate};

use crate::{
    edge::{Edge, Full, Place},
    filter::{address, auth::Principal},
    refusal::{Refusal, too_many},
};

/// A place for one more request of this network; it is held until the answer begins.
pub(crate) fn place(edge: &Edge, from: IpAddr) -> Result<Place, Refusal> {
    edge.places.take(from).map_err(|full| match full {
        Full::Network => {
            let what = "requests at work from this network (setting gateway.requests_address)";
            too_many(what, Duration::from_secs(1))
        }
        Full::All => api::Error::unavailable("a place for one more request (setting gateway.requests)").into(),
    })
}

/// A place for one more stream of this network; it is held to the stream's end.
pub(crate) fn stream(edge: &Edge, from: IpAddr) -> Result<Place, Refusal> {
    edge.streams.take(from).map_err(|full| match full {
        Full::Network => {
            too_many("streams open from this network (setting gateway.streams_address)", Duration::from_secs(1))
        }
        Full::All => api::Error::unavailable("a place for one more stream (setting gateway.streams)").into(),
    })
}

/// Requests of one network, whoever sends them.
pub(crate) async fn address(edge: &Edge, from: IpAddr) -> Result<(), Refusal> {
    let limit = Limit::per_second(edge.config.rate_address).burst(edge.config.rate_address.saturating_mul(2));
    ask(edge, &network_key("address", from), &limit, "requests from this network").await
}

/// Calls of one caller in the method's class; of one network where nobody is signed in.
pub(crate) async fn principal(
    edge: &Edge,
    from: IpAddr,
    principal: Option<&Principal>,
    method: &Method,
) -> Result<(), Refusal> {
    let rate = method.access.as_ref().map_or(Rate::Heavy, |access| access.rate);
    match principal {
        Some(principal) if rate != Rate::Credential => {
            let key = [rate.as_str_name(), ":", &principal.key].concat();
            ask(edge, &key, &limit(edge, rate), "calls of this kind").await
        }
        _ => class(edge, from, Class::Of(rate)).await,
    }
}

/// Calls of one network in a class.
pub(crate) async fn class(edge: &Edge, from: IpAddr, class: Class) -> Result<(), Refusal> {
    ask(edge, &network_key(class.name(), from), &class.limit(edge), "calls of this kind from this network").await
}

/// Calls of an application that says with a secret who it is: as many as a caller has, for each network on its own, so that nobody
/// else uses them up. A network that has used up its attempts at secrets is refused before its secret is looked at.
pub(crate) async fn client(edge: &Edge, from: IpAddr, client: &str, rate: Rate) -> Result<(), Refusal> {
    let attempts = edge.cache.limit(&network_key(Class::Secret.name(), from), &Class::Secret.limit(edge), 0).await;
    if attempts.remaining == 0 {
        let wait = Duration::from_secs(60) / edge.config.rate_credential.max(1);
        return Err(too_many("attempts of this network", wait));
    }
    let key = format!("{}:clients/{client}:{}", rate.as_str_name(), address::network(from));
    ask(edge, &key, &limit(edge, rate), "calls of this client").await
}

/// Who named a client did not prove to be it: that was an attempt of the network.
pub(crate) async fn unproven(edge: &Edge, from: IpAddr) {
    edge.cache.limit(&network_key(Class::Secret.name(), from), &Class::Secret.limit(edge), 1).await;
}

/// What a call counts as for its network: each class has a budget of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// As the contract says it of methods.
    Of(Rate),
    /// Begins a sign-in, which is stored.
    Begin,
    /// Tests the secret of an application. Attempts at people's passwords are others: neither uses up the other's.
    Secret,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Self::Of(rate) => rate.as_str_name(),
            Self::Begin => "begin",
            Self::Secret => "secret",
        }
    }

    fn limit(self, edge: &Edge) -> Limit {
        let config = &edge.config;
        match self {
            Self::Of(rate) => limit(edge, rate),
            // A company behind one address begins its day at once.
            Self::Begin => Limit::per_second(config.rate_begin).burst(config.rate_begin.saturating_mul(20)),
            Self::Secret => limit(edge, Rate::Credential),
        }
    }
}

/// The key of what a network does.
fn network_key(kind: &str, from: IpAddr) -> String {
    [kind, ":", &address::text(address::network(from))].concat()
}

fn limit(edge: &Edge, rate: Rate) -> Limit {
    let config = &edge.config;
    match rate {
        Rate::Read => Limit::per_second(config.rate_read).burst(config.rate_read.saturating_mul(2)),
        Rate::Write => Limit::per_second(config.rate_write).burst(config.rate_write.saturating_mul(2)),
        Rate::Heavy | Rate::Unspecified => {
            Limit::per_second(config.rate_heavy).burst(config.rate_heavy.saturating_mul(2))
        }
        Rate::Credential => Limit::per_minute(config.rate_credential).burst(config.rate_credential),
    }
}

async fn ask(edge: &Edge, key: &str, limit: &Limit, what: &str) -> Result<(), Refusal> {
    let decision = edge.cache.limit(key, limit, 1).await;
    if decision.allowed { Ok(()) } else { Err(too_many(what, decision.retry_after)) }
}
