//! Narrowing takes away, never adds, and ends at a leaf.
use std::time::Duration;

use api::Code;
use biscuit_auth::{UnverifiedBiscuit, builder::BlockBuilder};
use bytes::Bytes;
use mesh::Narrower;
use proptest::prelude::*;
use proto::Role;

use crate::support::{BATCH_READ, GET, SEARCH, UPDATE, World, method};

fn appended(token: &Bytes, code: &str) -> Bytes {
    let block = BlockBuilder::new().code(code).expect("datalog");
    let token = UnverifiedBiscuit::from(token).expect("a token").append(block).expect("not sealed");
    token.to_vec().expect("bytes").into()
}

#[test]
fn b7_a_token_narrowed_to_one_document_is_good_for_nothing_else() {
    let world = World::new();
    let (name, token) = (world.document(world.organization), world.token(Some(Role::Owner)));
    let narrowed = world.verifier.narrow(&token, method(GET), Some(&name)).expect("it can be");
    assert!(world.call(GET, Some(&narrowed), Some(&name)).expect("what it is for").granted());
    let other = format!("{}1", &name[..name.len() - 1]);
    for (rpc, resource) in [(GET, other.as_str()), (UPDATE, name.as_str()), (SEARCH, name.as_str())] {
        let error = world.call(rpc, Some(&narrowed), Some(resource)).expect_err("something else");
        assert_eq!(error.code(), Code::PermissionDenied, "{rpc} {resource}");
    }
}

#[test]
fn the_gateway_binds_to_the_method_and_leaves_the_resource_open() {
    let world = World::new();
    let (name, token) = (world.document(world.organization), world.token(Some(Role::Owner)));
    let other = format!("{}1", &name[..name.len() - 1]);
    let narrow = |name: &str| world.edge.narrow(&token, method(GET), Some(name)).expect("it can be");
    let narrowed = narrow(&name);
    assert_eq!(narrowed, narrow(&other), "a warm request signs nothing");
    for resource in [&name, &other] {
        assert!(world.call(GET, Some(&narrowed), Some(resource)).expect("the same method").granted());
    }
    for rpc in [UPDATE, SEARCH] {
        let error = world.call(rpc, Some(&narrowed), Some(&name)).expect_err("another method");
        assert_eq!(error.code(), Code::PermissionDenied, "{rpc}");
    }
    let foreign = world.document(world.other);
    let error = world.call(GET, Some(&narrowed), Some(&foreign)).expect_err("another organization");
    assert_eq!(error.code(), Code::PermissionDenied, "also while the decision about the first is kept");
}

#[test]
fn a_service_binds_a_delegation_to_the_resource_it_reads() {
    let world = World::new();
    let name = world.document(world.organization);
    let other = format!("{}1", &name[..name.len() - 1]);
    let mut subject = world.subject(Some(Role::Owner));
    subject.methods = vec![format!("workos.{GET}")];
    let token = world.mint.mint(&subject, crate::support::LIFE).expect("it fits");
    let narrowed = world.verifier.narrow(&token, method(GET), Some(&name)).expect("it can be");
    assert!(world.call(GET, Some(&narrowed), Some(&name)).expect("what it is for").granted());
    let error = world.call(GET, Some(&narrowed), Some(&other)).expect_err("another document");
    assert_eq!(error.code(), Code::PermissionDenied);
}

#[test]
fn b9_a_leaf_gets_a_sealed_token_that_cannot_be_passed_on() {
    let world = World::new();
    let narrowed = world.verifier.narrow(&world.token(None), method(GET), None).expect("it can be");
    assert!(UnverifiedBiscuit::from(&narrowed).expect("a token").append(BlockBuilder::new()).is_err());
    let error = world.verifier.narrow(&narrowed, method(UPDATE), None).expect_err("sealed");
    assert_eq!(error.code(), Code::PermissionDenied);
}

#[test]
fn a_method_with_calls_may_pass_its_token_on_to_these_and_no_others() {
    let world = World::new();
    let organization = world.organization.name();
    let at_search =
        world.verifier.narrow(&world.token(Some(Role::Viewer)), method(SEARCH), Some(&organization)).expect("hop 1");
    assert!(world.call(SEARCH, Some(&at_search), Some(&organization)).expect("the call itself").granted());
    let at_document = world.verifier.narrow(&at_search, method(BATCH_READ), Some(&organization)).expect("hop 2");
    let caller = world.call_as("search", BATCH_READ, Some(&at_document), Some(&organization)).expect("declared");
    assert_eq!(caller.user(), Some(world.user));
    let astray =
        world.verifier.narrow(&at_search, method(GET), None).expect("appending is possible, being let in is not");
    assert_eq!(
        world.call(GET, Some(&astray), Some(&world.document(world.organization))).expect_err("B7").code(),
        Code::PermissionDenied
    );
}

#[test]
fn a_narrowed_token_ends_soon() {
    let world = World::new();
    let (name, token) = (world.document(world.organization), world.token(Some(Role::Owner)));
    let narrowed = world.verifier.narrow(&token, method(GET), Some(&name)).expect("it can be");
    world.clock.advance(Duration::from_secs(76));
    world.verifier.revocations().refreshed();
    assert_eq!(world.call(GET, Some(&narrowed), Some(&name)).expect_err("ended").code(), Code::Unauthenticated);
    assert!(world.call(GET, Some(&token), Some(&name)).is_ok());
}

#[test]
fn a_warm_narrowing_gives_the_same_bytes() {
    let world = World::new();
    let token = world.token(None);
    let narrow = |resource| world.verifier.narrow(&token, method(GET), Some(resource)).expect("it can be");
    assert_eq!(narrow("organizations/a/documents/b"), narrow("organizations/a/documents/b"));
    assert_ne!(narrow("organizations/a/documents/b"), narrow("organizations/a/documents/c"));
}

#[test]
fn a_narrowing_of_every_method_passes_the_gate() {
    let world = World::new();
    let name = format!("{}/documents/{}/revisions/9999999999", world.organization.name(), api::Id::ZERO);
    for method in proto::methods().iter() {
        world.verifier.narrow(&world.token(Some(Role::Owner)), method, Some(&name)).expect(method.rpc);
    }
}

#[test]
fn a_delegation_is_good_for_the_methods_it_lists_and_what_they_call() {
    let world = World::new();
    let (name, organization) = (world.document(world.organization), world.organization.name());
    let mut subject = world.subject(Some(Role::Owner));
    subject.methods = vec![format!("workos.{GET}"), format!("workos.{SEARCH}"), "workos.no.Such/Method".to_owned()];
    let token = world.mint.mint(&subject, crate::support::LIFE).expect("it fits");
    assert!(world.call(GET, Some(&token), Some(&name)).expect("listed").granted());
    assert_eq!(world.call(UPDATE, Some(&token), Some(&name)).expect_err("not listed").code(), Code::PermissionDenied);
    let at_search = world.verifier.narrow(&token, method(SEARCH), Some(&organization)).expect("hop 1");
    assert!(world.call(SEARCH, Some(&at_search), Some(&organization)).is_ok());
    let at_document = world.verifier.narrow(&at_search, method(BATCH_READ), Some(&organization)).expect("hop 2");
    let caller =
        world.call_as("search", BATCH_READ, Some(&at_document), Some(&organization)).expect("called by a listed one");
    assert_eq!(caller.user(), Some(world.user));
    let astray = world.verifier.narrow(&token, method(UPDATE), Some(&name)).expect("appending is possible");
    assert_eq!(
        world.call(UPDATE, Some(&astray), Some(&name)).expect_err("narrowing adds nothing").code(),
        Code::PermissionDenied
    );
}

#[test]
fn appended_facts_give_no_rights() {
    let world = World::new();
    let name = world.document(world.organization);
    for code in
        [r#"role("owner")"#, r#"scope("*")"#, r#"tenant("x")"#, r#"resource_tenant("x")"#, r#"role("owner") <- v(1)"#]
    {
        let widened = appended(&world.token(None), code);
        let error = world.call(UPDATE, Some(&widened), Some(&name)).expect_err(code);
        assert_eq!(error.reason(), "CREDENTIAL_INVALID", "{code}");
    }
}

fn check() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("role"), Just("tenant"), Just("rpc"), Just("scope"), Just("resource"), Just("nothing")];
    let value =
        prop_oneof![Just("editor"), Just("member"), Just("*"), Just("workos.document.v1.DocumentService/GetDocument")];
    (name, value, any::<bool>()).prop_map(|(name, value, negated)| {
        if negated {
            format!(r#"check if {name}($x), $x !== "{value}""#)
        } else {
            format!(r#"check if {name}("{value}")"#)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn b1_what_is_allowed_after_appending_was_allowed_before(checks in proptest::collection::vec(check(), 1..6)) {
        let world = World::new();
        let name = world.document(world.organization);
        for role in [None, Some(Role::Viewer), Some(Role::Editor)] {
            let token = world.token(role);
            let narrowed = appended(&token, &checks.join(";"));
            for rpc in [GET, UPDATE] {
                let (before, after) = (world.call(rpc, Some(&token), Some(&name)), world.call(rpc, Some(&narrowed), Some(&name)));
                if let Ok(after) = after {
                    prop_assert_eq!(before.expect("allowed after, so allowed before").granted(), after.granted());
                }
            }
        }
    }
}
