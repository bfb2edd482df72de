//! What is for the user alone, so that an administrator who acts as him (`UserService/ImpersonateUser`) is refused: read out of the rest
//! of the contract, so that a method which is added is refused until it says otherwise.
use std::collections::HashSet;

use super::{Access, Idempotency, Method, Rule};

/// The service that keeps who people are and what they may do.
const IDENTITY: &str = "auth";

/// Marks the methods that are for the user alone, and those that call one of them in turn.
pub(super) fn mark(all: &mut [Method]) {
    let refused = |method: &&Method| method.access.as_ref().is_some_and(|access| is_personal(method, access));
    let refused: HashSet<&str> = all.iter().filter(refused).map(|method| method.rpc).collect();
    for access in all.iter_mut().filter_map(|method| method.access.as_mut()) {
        access.in_person = access.closure.iter().any(|rpc| refused.contains(rpc));
    }
}

/// A user's account is his in all organizations, a fresh sign-in is his own, and so is every change of who may sign in or do something, and
/// what the contract calls his own word.
fn is_personal(method: &Method, access: &Access) -> bool {
    let changes = method.service == IDENTITY && method.idempotency != Idempotency::NoSideEffects;
    !access.impersonated && (access.in_person || access.rule == Rule::SelfOnly || access.step_up.is_some() || changes)
}
