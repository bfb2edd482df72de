//! Who may call: every method says it, and what it says can be executed.
use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{Kind, MessageDescriptor};
use proto::{Audit, Idempotency, Rate, Rule};

use super::{Contract, comments};

/// A narrowed token lists the closure; the gate bounds how long that list may be.
const CLOSURE_MAX: usize = 16;
/// RPCs on the longest path of calls, the first included: each hop takes its share of the deadline.
const PATH_MAX: usize = 3;

/// Every method declares access, rate and audit.
pub(super) fn declared(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    for (described, method) in contract.methods() {
        let Some(access) = &method.access else {
            found.push(format!("{}: add option workos.api.v1.access: nobody may call it as it stands", method.rpc));
            continue;
        };
        if access.rate == Rate::Unspecified {
            found.push(format!("{}: set `rate`", method.rpc));
        }
        if access.rate != Rate::Credential && takes_password(&described.input()) {
            found.push(format!("{}: set `rate: CREDENTIAL`: whoever sends a password has it hashed", method.rpc));
        }
        if access.audit == Audit::Unspecified {
            found.push(format!("{}: set `audit`", method.rpc));
        }
        if method.idempotency == Idempotency::NoSideEffects && access.audit == Audit::EveryCall {
            found.push(format!(
                "{}: a read has nothing to audit on success; use REFUSALS, or say what it changes",
                method.rpc
            ));
        }
        if let Rule::Permission(permission) = &access.rule {
            let form = permission.split_once(':').is_some_and(|(resource, verb)| plain(resource) && plain(verb));
            if !form {
                found.push(format!("{}: `{permission}` is no permission; write resource:verb", method.rpc));
            }
            if access.role.is_none() {
                found.push(format!("{}: set `role`, the least role that holds {permission}", method.rpc));
            }
        }
    }
    found
}

/// Every method has a REST binding unless its comment says why not; one for workloads only has none.
pub(super) fn bound(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    for (method, known) in contract.methods() {
        let workloads = known.access.as_ref().is_some_and(|access| access.rule == Rule::PeerOnly);
        if workloads && known.has_http {
            found
                .push(format!("{}: peer_only, so no client may reach it: take away option google.api.http", known.rpc));
        }
        if !workloads && !known.has_http && !comments(&method).contains("REST") {
            found.push(format!(
                "{}: add option google.api.http, or say in its comment why it has no REST binding",
                known.rpc
            ));
        }
    }
    found
}

/// `resource` leads to a string, and a share has a resource to be on.
pub(super) fn resource_paths(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    for (method, known) in contract.methods() {
        let Some(access) = &known.access else { continue };
        if !access.resource.is_empty() && !leads_to_string(&method.input(), &access.resource) {
            found.push(format!("{}: resource `{}` is no string field of {}", known.rpc, access.resource, known.input));
        }
        if access.share.is_some() && access.resource.is_empty() {
            found.push(format!("{}: a share needs `resource`, the thing that is shared", known.rpc));
        }
        if known.client_streaming
            && access.resource.contains('.')
            && method.input().oneofs().all(|oneof| oneof.is_synthetic())
        {
            found.push(format!(
                "{}: the resource of a client stream stands in its first message: give it a oneof with `start`",
                known.rpc
            ));
        }
    }
    found
}

fn leads_to_string(message: &MessageDescriptor, path: &str) -> bool {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Some(field) = message.get_field_by_name(first).filter(|field| !field.is_list()) else { return false };
    match (field.kind(), rest) {
        (Kind::String, None) => true,
        (Kind::Message(inner), Some(rest)) => leads_to_string(&inner, rest),
        _ => false,
    }
}

/// A field of the message, or of one in it, holds a password.
fn takes_password(message: &MessageDescriptor) -> bool {
    message.fields().any(|field| match field.kind() {
        Kind::String => field.name() == "password" || field.name().ends_with("_password"),
        Kind::Message(inner) => {
            inner.parent_message().is_some_and(|parent| parent == *message) && takes_password(&inner)
        }
        _ => false,
    })
}

/// Calls exist, make no cycle, and stay within what a token and a deadline can carry.
pub(super) fn calls(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    let calls: BTreeMap<&str, &[String]> = contract
        .methods()
        .filter_map(|(_, known)| Some((known.rpc, known.access.as_ref()?.calls.as_slice())))
        .collect();
    for (_, known) in contract.methods() {
        let Some(access) = &known.access else { continue };
        if access.closure.len() > CLOSURE_MAX {
            found.push(format!(
                "{}: reaches {} RPCs by its calls, at most {CLOSURE_MAX}",
                known.rpc,
                access.closure.len()
            ));
        }
        match longest(known.rpc, &calls, &mut BTreeSet::new()) {
            Ok(length) if length > PATH_MAX => {
                found.push(format!("{}: its longest path of calls has {length} RPCs, at most {PATH_MAX}", known.rpc))
            }
            Ok(_) => {}
            Err(cycle) => found.push(format!("{}: calls itself by way of {cycle}", known.rpc)),
        }
        for call in access.calls.iter().filter(|call| call.as_str() == known.rpc || !calls.contains_key(call.as_str()))
        {
            found.push(format!("{}: cannot call {call}", known.rpc));
        }
    }
    found
}

fn longest<'a>(
    rpc: &'a str,
    calls: &BTreeMap<&'a str, &'a [String]>,
    open: &mut BTreeSet<&'a str>,
) -> Result<usize, String> {
    if !open.insert(rpc) {
        return Err(rpc.to_owned());
    }
    let mut length = 0;
    for call in calls.get(rpc).copied().unwrap_or_default() {
        length = length.max(longest(call, calls, open)?);
    }
    open.remove(rpc);
    Ok(length + 1)
}

/// The same permission is held by the same role everywhere, and stood in for by the same share.
pub(super) fn permissions(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeMap::new();
    for (_, known) in contract.methods() {
        let Some(access) = &known.access else { continue };
        let Rule::Permission(permission) = &access.rule else { continue };
        let (role, share, first) = seen.entry(permission).or_insert((access.role, access.share, known.rpc));
        if (*role, *share) != (access.role, access.share) {
            found.push(format!(
                "{}: {permission} has another role or share here than at {first}; one permission means one thing",
                known.rpc
            ));
        }
    }
    found
}

/// Workloads that may call exist, and a peer-only method says who they are or is called by someone.
pub(super) fn peers(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    let services: BTreeSet<_> = contract.methods().map(|(_, known)| known.service).chain(["gateway"]).collect();
    let called: BTreeSet<_> =
        contract.methods().filter_map(|(_, known)| known.access.as_ref()).flat_map(|access| &access.calls).collect();
    for (_, known) in contract.methods() {
        let Some(access) = &known.access else { continue };
        for peer in access.peers.iter().filter(|peer| !services.contains(peer.as_str())) {
            found.push(format!("{}: `{peer}` is no workload", known.rpc));
        }
        if access.rule == Rule::PeerOnly && access.peers.is_empty() && !called.contains(&known.rpc.to_owned()) {
            found
                .push(format!("{}: peer_only without `peers`, and nothing declares to call it: nobody may", known.rpc));
        }
    }
    found
}

fn plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}
