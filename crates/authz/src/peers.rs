//! Which workload may call which method, read from the contract once.
//!
//! `peers` names them; where it is empty, a `peer_only` method is for the gateway and for services whose methods declare it
//! among their `calls`. All other methods are decided by the token, but only a named workload may bring one.
use std::collections::{HashMap, HashSet};

use api::{Code, CommonReason, Error};
use mesh::Peer;
use proto::{Method, Rule};

use crate::observe;

/// The workload at the edge. It is no service: nothing else is known by name here.
pub(crate) const GATEWAY: &str = "gateway";

/// Methods that are not for every workload, and for whom they are.
pub(crate) struct Peers(HashMap<&'static str, HashSet<&'static str>>);

impl Peers {
    pub(crate) fn of_contract() -> Self {
        let limited = proto::methods().iter().filter_map(|method| allowed(method).map(|peers| (method.rpc, peers)));
        Self(limited.collect())
    }

    /// Lets the peer through, or says PEER_DENIED.
    pub(crate) fn admit(&self, method: &Method, peer: &Peer) -> Result<(), Error> {
        let allowed = match self.0.get(method.rpc) {
            Some(peers) => peers.contains(peer.name()),
            None => peer.is_known(),
        };
        if allowed {
            return Ok(());
        }
        observe::refused("peer");
        let message = "this method is not for the workload that called it; see `peers` and `calls` in the contract";
        Err(Error::new(Code::PermissionDenied, CommonReason::PeerDenied, message))
    }
}

fn allowed(method: &'static Method) -> Option<HashSet<&'static str>> {
    let access = method.access.as_ref()?;
    if access.peers.is_empty() && access.rule != Rule::PeerOnly {
        return None;
    }
    let callers = proto::methods().iter().filter(|caller| {
        caller.access.as_ref().is_some_and(|access| access.calls.iter().any(|call| call == method.rpc))
    });
    let mut peers: HashSet<_> = callers.map(|caller| caller.service).collect();
    if access.peers.is_empty() {
        peers.insert(GATEWAY);
    }
    peers.extend(access.peers.iter().map(String::as_str));
    Some(peers)
}
