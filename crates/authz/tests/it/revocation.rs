//! Revocation by kind, renewal, and a set that has gone stale.
use std::time::Duration;

use api::{Code, Error};
use authz::{Acting, Credential, Kind, Revocation};
use mesh::Authorizer;
use proto::Role;

use crate::support::{GET, GET_USER, LIFE, World};

fn entry(world: &World, kind: Kind, id: String, renew: bool) -> Revocation {
    let now = world.clock.now();
    Revocation { kind, id, not_before: now + time::Duration::SECOND, keep_until: now + time::Duration::HOUR, renew }
}

fn call(world: &World) -> Result<api::Caller, Error> {
    world.call(GET, Some(&world.token(Some(Role::Owner))), Some(&world.document(world.organization)))
}

#[test]
fn b3_each_kind_of_entry_voids_the_tokens_it_names() {
    type IdOf = fn(&World) -> String;
    let ids: [(Kind, IdOf); 5] = [
        (Kind::Sid, |world| world.session.clone()),
        (Kind::User, |world| world.user.to_string()),
        (Kind::Member, |world| format!("{}/{}", world.user, world.organization)),
        (Kind::Tenant, |world| world.organization.to_string()),
        (Kind::Client, |_| "workos".to_owned()),
    ];
    for (kind, id) in ids {
        let world = World::new();
        assert!(call(&world).is_ok());
        world.verifier.revocations().insert(entry(&world, kind, id(&world), false));
        assert_eq!(call(&world).expect_err("revoked").reason(), "CREDENTIAL_INVALID", "{kind:?}");
    }
}

#[test]
fn b3_a_revoked_key_is_good_for_nothing_and_asks_for_a_new_exchange() {
    let world = World::new();
    assert!(call(&world).is_ok());
    let entry = entry(&world, Kind::Kid, "7".to_owned(), false);
    let verifier = &world.verifier;
    verifier.revocations().insert(Revocation { not_before: entry.keep_until, ..entry });
    assert_eq!(call(&world).expect_err("revoked").reason(), "TOKEN_STALE");
    let token = world.token(Some(Role::Owner));
    assert_eq!(verifier.validate(&token).expect_err("of a later second").reason(), "TOKEN_STALE");
    // As soon as the keys are loaded again it is not there either; who never saw the token hears the same.
    verifier.keys().replace(Vec::new());
    let fresh = world.token(Some(Role::Editor));
    for token in [token, fresh] {
        assert_eq!(verifier.validate(&token).expect_err("without its key").reason(), "TOKEN_STALE");
    }
    world.clock.advance(Duration::from_secs(7200));
    verifier.revocations().replace(verifier.revocations().pushed(), Vec::new());
    let late = world.token(Some(Role::Owner));
    assert_eq!(verifier.validate(&late).expect_err("no such key").reason(), "CREDENTIAL_INVALID");
}

#[test]
fn b11_a_revoked_delegation_ends_the_work_done_with_it() {
    let world = World::new();
    let mut subject = world.subject(Some(Role::Owner));
    subject.credential = Credential::Delegation("d1".to_owned());
    subject.acting = Some(Acting::Workload("workflow".to_owned()));
    let token = world.mint.mint(&subject, LIFE).expect("it fits");
    let call = || world.call_as("workflow", GET, Some(&token), Some(&world.document(world.organization)));
    assert!(call().is_ok());
    world.verifier.revocations().insert(entry(&world, Kind::Delegation, "d1".to_owned(), false));
    assert_eq!(call().expect_err("revoked").code(), Code::Unauthenticated);
}

#[test]
fn an_application_that_acts_is_named_and_is_no_workload() {
    let world = World::new();
    let mut subject = world.subject(Some(Role::Owner));
    let name = format!("organizations/{}/oauthClients/{}", world.organization, world.other);
    subject.acting = Some(Acting::Client(name.clone()));
    let token = world.mint.mint(&subject, LIFE).expect("it fits");
    let caller = world.call(GET, Some(&token), Some(&world.document(world.organization))).expect("good");
    assert_eq!((caller.acting(), caller.context().acting.as_str()), (Some(name.as_str()), name.as_str()));
    let whose = world.verifier.whose(&token).expect("our own");
    assert_eq!((whose.actor, whose.acting), (world.user.name(), name));
}

#[test]
fn impersonation_ends_with_what_the_administrator_himself_has_signed_in_with() {
    for (kind, renew, reason) in [
        (Kind::User, false, "CREDENTIAL_INVALID"),
        (Kind::Member, false, "CREDENTIAL_INVALID"),
        (Kind::Member, true, "TOKEN_STALE"),
        (Kind::Sid, false, "CREDENTIAL_INVALID"),
    ] {
        let world = World::new();
        let token = world.mint.mint(&world.impersonated(Some(Role::Editor)), LIFE).expect("it fits");
        let (name, document) = (world.administrator.name(), world.document(world.organization));
        let call = || world.call(GET, Some(&token), Some(&document));
        let caller = call().expect("good");
        assert_eq!((caller.acting(), caller.user()), (Some(name.as_str()), Some(world.user)));
        let whose = world.verifier.whose(&token).expect("our own");
        assert_eq!((whose.actor, whose.acting), (world.user.name(), name.clone()));
        let id = match kind {
            Kind::User => world.administrator.to_string(),
            Kind::Member => format!("{}/{}", world.administrator, world.organization),
            _ => "s1".to_owned(),
        };
        world.verifier.revocations().insert(entry(&world, kind, id, renew));
        assert_eq!(call().expect_err("revoked").reason(), reason, "{kind:?}");
    }
}

#[test]
fn an_entry_of_one_kind_does_not_touch_ids_of_another() {
    let world = World::new();
    world.verifier.revocations().insert(entry(&world, Kind::Sid, world.user.to_string(), false));
    world.verifier.revocations().insert(entry(&world, Kind::Tenant, world.other.to_string(), false));
    assert!(call(&world).is_ok());
}

#[test]
fn t4_a_changed_role_asks_for_a_new_exchange_and_never_hides_an_end() {
    let world = World::new();
    let member = format!("{}/{}", world.user, world.organization);
    world.verifier.revocations().insert(entry(&world, Kind::Member, member.clone(), true));
    let error = call(&world).expect_err("the role changed");
    assert_eq!((error.code(), error.reason()), (Code::Unauthenticated, "TOKEN_STALE"));
    world.verifier.revocations().insert(entry(&world, Kind::Member, member.clone(), false));
    assert_eq!(call(&world).expect_err("ended").reason(), "CREDENTIAL_INVALID");
    world.verifier.revocations().insert(entry(&world, Kind::Member, member, true));
    assert_eq!(call(&world).expect_err("still ended").reason(), "CREDENTIAL_INVALID");
}

#[test]
fn tokens_issued_after_the_entry_are_good() {
    let world = World::new();
    world.verifier.revocations().insert(entry(&world, Kind::User, world.user.to_string(), false));
    world.clock.advance(Duration::from_secs(2));
    assert!(call(&world).is_ok());
}

#[test]
fn a_running_stream_hears_of_a_revocation() {
    let world = World::new();
    let caller = call(&world).expect("good");
    assert!(world.verifier.recheck(&caller).is_ok());
    world.verifier.revocations().insert(entry(&world, Kind::User, world.user.to_string(), false));
    assert_eq!(world.verifier.recheck(&caller).expect_err("revoked").code(), Code::Unauthenticated);
}

#[test]
fn while_the_set_is_stale_sensitive_methods_are_unavailable_and_others_go_on() {
    let world = World::new();
    let token = world.mint.mint(&world.subject(Some(Role::Owner)), LIFE).expect("it fits");
    let sensitive = || world.call("auth.v1.UserService/ChangePassword", Some(&token), Some("users/me"));
    assert!(sensitive().is_ok());
    world.clock.advance(Duration::from_secs(31));
    assert!(world.verifier.revocations().is_stale());
    assert_eq!(sensitive().expect_err("stale").code(), Code::Unavailable);
    assert!(world.call(GET_USER, Some(&token), Some("users/me")).is_ok());
    world.verifier.revocations().refreshed();
    assert!(sensitive().is_ok());
}

#[test]
fn a_set_that_was_never_loaded_is_stale() {
    assert!(authz::Revocations::new(api::Clock::default()).is_stale());
}

#[test]
fn replacing_the_set_forgets_what_is_not_in_it() {
    let world = World::new();
    world.verifier.revocations().insert(entry(&world, Kind::User, world.user.to_string(), false));
    let revocations = world.verifier.revocations();
    revocations.replace(revocations.pushed(), Vec::new());
    assert!(call(&world).is_ok());
}

#[test]
fn b3_a_load_that_began_before_a_revocation_does_not_undo_it() {
    let world = World::new();
    let revocations = world.verifier.revocations();
    revocations.insert(entry(&world, Kind::Sid, world.session.clone(), true));
    let seen = revocations.pushed();
    revocations.insert(entry(&world, Kind::User, world.user.to_string(), false));
    revocations.replace(seen, Vec::new());
    assert_eq!(call(&world).expect_err("revoked").reason(), "CREDENTIAL_INVALID");
    revocations.replace(seen, Vec::new());
    assert!(call(&world).is_err(), "and of two that began before it neither does");
    revocations.replace(revocations.pushed(), Vec::new());
    assert!(call(&world).is_ok());
}

#[test]
fn entries_of_the_wire_are_read_and_unknown_kinds_are_not() {
    let time = Some(api::timestamp(api::Clock::default().now()));
    let wire = |kind: &str| proto::auth::v1::Revocation {
        kind: kind.to_owned(),
        id: "x".to_owned(),
        not_before: time,
        keep_until: time,
        renew: false,
    };
    for kind in ["sid", "user", "member", "tenant", "delegation", "kid", "client"] {
        assert!(Revocation::parse(&wire(kind)).is_some(), "{kind}");
    }
    assert!(Revocation::parse(&wire("block")).is_none());
    assert!(Revocation::parse(&proto::auth::v1::Revocation::default()).is_none());
}
