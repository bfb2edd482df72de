//! Which endpoint gets a call: the less loaded of two taken at random, among those that do not rest.
//!
//! Two choices come close to the best choice without knowing the load of all, and without all clients choosing the same one.
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use api::Error;
use rand::RngExt;
use tokio::time::Instant;

use super::endpoint::{Address, Endpoint, Failure};
use crate::{identity::Trust, tls};

/// How long an answer of DNS counts.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);

/// All endpoints of one service.
pub(super) struct Balance {
    service: String,
    endpoints: RwLock<Vec<Arc<Endpoint>>>,
    names: Option<Names>,
}

/// Names that are resolved again and again.
struct Names {
    names: Vec<String>,
    identity: tls::Reloading,
    trust: Trust,
    resolved: tokio::sync::Mutex<Option<Instant>>,
}

impl Balance {
    /// Endpoints that never change.
    pub(super) fn fixed(service: &str, addresses: impl IntoIterator<Item = Address>) -> Self {
        let endpoints = addresses.into_iter().map(|address| Arc::new(Endpoint::new(service, address))).collect();
        Self { service: service.to_owned(), endpoints: RwLock::new(endpoints), names: None }
    }

    /// Endpoints behind names, over mutual TLS.
    pub(super) fn resolved(service: &str, names: Vec<String>, identity: tls::Reloading, trust: Trust) -> Self {
        let names = Names { names, identity, trust, resolved: tokio::sync::Mutex::default() };
        Self { service: service.to_owned(), endpoints: RwLock::default(), names: Some(names) }
    }

    /// The endpoint for one try. Another than those tried before, as long as there is one.
    pub(super) async fn pick(&self, tried: &[Arc<Endpoint>]) -> Result<Arc<Endpoint>, Failure> {
        if let Some(names) = &self.names {
            self.refresh(names).await;
        }
        let endpoints = self.endpoints.read().unwrap_or_else(PoisonError::into_inner).clone();
        let fresh = endpoints.iter().filter(|endpoint| !tried.iter().any(|tried| Arc::ptr_eq(tried, endpoint)));
        let fresh: Vec<_> = fresh.cloned().collect();
        choose(if fresh.is_empty() { &endpoints } else { &fresh }).ok_or_else(|| {
            let error = Error::unavailable(format_args!("the {} service", self.service));
            Failure { unsent: true, error }
        })
    }

    /// Asks DNS again when it is time. One caller asks; the others go on with what is known, if anything is.
    async fn refresh(&self, names: &Names) {
        let empty = self.endpoints.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        let mut resolved = if empty {
            names.resolved.lock().await
        } else {
            let Ok(resolved) = names.resolved.try_lock() else { return };
            resolved
        };
        if resolved.is_some_and(|at| at.elapsed() < RESOLVE_EVERY) {
            return;
        }
        let mut found = Vec::new();
        for name in &names.names {
            match tokio::net::lookup_host(name.as_str()).await {
                Ok(addresses) => found.extend(addresses),
                Err(error) => {
                    tracing::warn!(target: "mesh", service = self.service, name, error = %error, "name does not resolve")
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        // What is known stays when DNS is away: addresses rarely change in that moment.
        if !found.is_empty() {
            let mut endpoints = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
            let old = std::mem::take(&mut *endpoints);
            *endpoints = found
                .into_iter()
                .map(|socket| {
                    old.iter().find(|endpoint| endpoint.socket() == Some(socket)).cloned().unwrap_or_else(|| {
                        let address = Address::Tls(socket, names.identity.clone(), names.trust.clone());
                        Arc::new(Endpoint::new(&self.service, address))
                    })
                })
                .collect();
            *resolved = Some(Instant::now());
        }
    }
}

fn choose(endpoints: &[Arc<Endpoint>]) -> Option<Arc<Endpoint>> {
    if let [only] = endpoints {
        return Some(Arc::clone(only));
    }
    let awake: Vec<_> = endpoints.iter().filter(|endpoint| !endpoint.rests()).collect();
    // When all rest, resting helps nobody.
    let among = if awake.is_empty() { endpoints.iter().collect() } else { awake };
    match among.len() {
        0 => None,
        1 => Some(Arc::clone(among[0])),
        count => {
            let mut random = rand::rng();
            let first = random.random_range(0..count);
            let second = (first + random.random_range(1..count)) % count;
            let (first, second) = (among[first], among[second]);
            Some(Arc::clone(if second.load() < first.load() { second } else { first }))
        }
    }
}
