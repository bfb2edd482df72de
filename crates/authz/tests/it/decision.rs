//! The vocabulary as a table: role, scope, tenant, share, self, peers.
use api::{Code, Ids, OrganizationId, Subject};
use authz::CustomRole;
use proto::{Role, Share};

use crate::support::{BATCH_READ, EVENTS, GET, GET_USER, LIFE, SEARCH, UPDATE, World};

#[test]
fn a_role_grants_what_it_and_lesser_roles_hold() {
    let world = World::new();
    let name = world.document(world.organization);
    for (role, method, granted) in [
        (Some(Role::Viewer), GET, true),
        (Some(Role::Owner), GET, true),
        (Some(Role::Editor), UPDATE, true),
        (Some(Role::Viewer), UPDATE, false),
        (None, GET, false),
    ] {
        let caller = world.call(method, Some(&world.token(role)), Some(&name)).expect("all of these may be shared");
        assert_eq!(caller.granted(), granted, "{role:?} {method}");
        assert_eq!(caller.role(), role);
        assert_eq!(caller.organization().expect("it has one"), world.organization);
    }
}

#[test]
fn a_share_stands_in_only_where_the_contract_says_so() {
    let world = World::new();
    let member = world.token(None);
    let read = world.call(GET, Some(&member), Some(&world.document(world.organization))).expect("left to the share");
    assert!(read.permit(Some(()), |()| Some(Share::Reader), "x").is_ok());
    let create = "document.v1.DocumentService/CreateDocument";
    let refused =
        world.call(create, Some(&member), Some(&world.organization.name())).expect_err("no share on a parent");
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[test]
fn every_member_may_do_what_members_may() {
    let world = World::new();
    let caller =
        world.call(SEARCH, Some(&world.token(None)), Some(&world.organization.name())).expect("a member searches");
    assert!(caller.granted() && caller.role().is_none());
}

#[test]
fn t2_a_name_of_another_organization_is_refused_like_a_missing_one() {
    let world = World::new();
    for role in [None, Some(Role::Owner)] {
        let error = world.call(GET, Some(&world.token(role)), Some(&world.document(world.other))).expect_err("foreign");
        assert_eq!((error.code(), error.reason()), (Code::PermissionDenied, "ACCESS_DENIED"));
    }
}

#[test]
fn a_malformed_name_is_left_to_the_handler_within_the_own_organization() {
    let world = World::new();
    for name in ["documents/x", "organizations/", "organizations/NOT-AN-ID/documents/x"] {
        let caller = world.call(GET, Some(&world.token(Some(Role::Viewer))), Some(name)).expect("no foreign name");
        assert_eq!(caller.organization().expect("it has one"), world.organization);
    }
}

#[test]
fn a_scope_is_asked_of_the_client_besides_the_role() {
    let world = World::new();
    let name = world.document(world.organization);
    let mut subject = world.subject(Some(Role::Owner));
    subject.scopes = vec!["document:read".to_owned()];
    let token = world.mint.mint(&subject, LIFE).expect("it fits");
    assert!(world.call(GET, Some(&token), Some(&name)).expect("in scope").granted());
    assert_eq!(world.call(UPDATE, Some(&token), Some(&name)).expect_err("out of scope").code(), Code::PermissionDenied);
}

#[test]
fn platform_permissions_are_held_in_the_system_organization_only() {
    let world = World::new();
    let error = world.call(EVENTS, Some(&world.token(Some(Role::Owner))), None).expect_err("an ordinary organization");
    assert_eq!(error.code(), Code::PermissionDenied);
    let mut subject = world.subject(Some(Role::Admin));
    subject.organization = Some(OrganizationId::SYSTEM);
    let operator = world.mint.mint(&subject, LIFE).expect("it fits");
    assert!(world.call(EVENTS, Some(&operator), None).expect("an operator").granted());
    subject.role = Some(Role::Editor);
    let lesser = world.mint.mint(&subject, LIFE).expect("it fits");
    assert!(world.call(EVENTS, Some(&lesser), None).is_err());
}

#[test]
fn t10_an_own_record_is_for_its_user_through_first_party_clients() {
    let world = World::new();
    let mut subject = world.subject(None);
    subject.organization = None;
    let token = world.mint.mint(&subject, LIFE).expect("it fits");
    for name in ["users/me".to_owned(), world.user.name()] {
        let caller = world.call(GET_USER, Some(&token), Some(&name)).expect("his own");
        assert_eq!(caller.user(), Some(world.user));
    }
    let somebody = format!("users/{}", api::Id::ZERO);
    for name in [Some(somebody.as_str()), Some("users/"), Some("people/me"), Some("organizations/me"), None] {
        assert_eq!(
            world.call(GET_USER, Some(&token), name).expect_err("not his").code(),
            Code::PermissionDenied,
            "{name:?}"
        );
    }
    subject.scopes = vec!["user:read".to_owned(), "users:*".to_owned()];
    let third_party = world.mint.mint(&subject, LIFE).expect("it fits");
    assert_eq!(
        world.call(GET_USER, Some(&third_party), Some("users/me")).expect_err("T10").code(),
        Code::PermissionDenied
    );
}

#[test]
fn a_token_without_an_organization_is_good_for_own_records_alone() {
    let world = World::new();
    let mut subject = world.subject(Some(Role::Owner));
    subject.organization = None;
    let token = world.mint.mint(&subject, LIFE).expect("it fits");
    assert_eq!(world.call(EVENTS, Some(&token), None).expect_err("no tenant").code(), Code::PermissionDenied);
    assert!(world.call(GET, Some(&token), Some(&world.document(world.organization))).is_err());
}

#[test]
fn without_a_token_public_methods_are_all_there_is() {
    let world = World::new();
    let error = world.call(GET, None, Some(&world.document(world.organization))).expect_err("nobody");
    assert_eq!((error.code(), error.reason()), (Code::Unauthenticated, "CREDENTIAL_MISSING"));
    let caller = world.call("auth.v1.LoginService/StartLogin", None, None).expect("public");
    assert_eq!(caller.subject(), &Subject::Anonymous);
    assert!(caller.organization().is_err() && caller.context().actor.is_empty());
}

#[test]
fn a_public_method_sees_who_is_there_and_takes_a_bad_token_for_none() {
    let world = World::new();
    let login = "auth.v1.LoginService/StartLogin";
    let caller = world.call(login, Some(&world.token(None)), None).expect("public");
    assert_eq!(caller.user(), Some(world.user));
    let foreign = World::new();
    assert_eq!(world.call(login, Some(&foreign.token(None)), None).expect("public").subject(), &Subject::Anonymous);
}

#[test]
fn methods_of_workloads_are_for_the_named_ones() {
    let world = World::new();
    let name = world.organization.name();
    let caller = world.call_as("search", BATCH_READ, None, Some(&name)).expect("named as peer");
    assert_eq!(caller.organization().expect("from the name"), world.organization);
    assert_eq!(caller.subject(), &Subject::Workload("search".to_owned()));
    assert_eq!(caller.context().actor, "workloads/search");
    for peer in ["gateway", "auth", "", "search "] {
        let error = world.call_as(peer, BATCH_READ, None, Some(&name)).expect_err("not named");
        assert_eq!((error.code(), error.reason()), (Code::PermissionDenied, "PEER_DENIED"), "{peer}");
    }
    let exchange = "auth.v1.TokenService/ExchangeCredential";
    assert!(world.call_as("gateway", exchange, None, None).is_ok());
    assert!(world.call_as("document", exchange, None, None).is_err());
}

#[test]
fn a_person_behind_a_workload_is_seen_but_only_in_his_organization() {
    let world = World::new();
    let token = world.token(Some(Role::Viewer));
    let caller = world.call_as("search", BATCH_READ, Some(&token), Some(&world.organization.name())).expect("his own");
    assert_eq!((caller.user(), caller.role()), (Some(world.user), Some(Role::Viewer)));
    let error = world.call_as("search", BATCH_READ, Some(&token), Some(&world.other.name())).expect_err("foreign");
    assert_eq!(error.code(), Code::PermissionDenied);
}

#[test]
fn an_unnamed_peer_may_call_nothing() {
    let world = World::new();
    for method in proto::methods().iter() {
        let (peer, context) = (mesh::Peer::unknown(), api::CallContext::default());
        let (token, resource) = (world.token(Some(Role::Owner)), world.organization.name());
        let incoming = mesh::Incoming { method, token: Some(&token), peer: &peer, resource: Some(&resource), context };
        let error = mesh::Authorizer::authorize(&world.verifier, incoming).expect_err(method.rpc);
        assert_eq!(error.reason(), "PEER_DENIED", "{}", method.rpc);
    }
}

#[test]
fn auth_p16_an_old_or_weak_sign_in_is_asked_for_again_only_where_the_contract_says_so() {
    const SENSITIVE: &str = "auth.v1.UserService/ChangePassword";
    let world = World::new();
    let of = |change: &dyn Fn(&mut authz::Subject)| {
        let mut subject = world.subject(None);
        change(&mut subject);
        world.mint.mint(&subject, LIFE).expect("it fits")
    };
    let now = world.clock.now();
    let old = of(&|subject| subject.auth_time = Some(now - std::time::Duration::from_secs(901)));
    for weak in [&old, &of(&|subject| subject.auth_time = None), &of(&|subject| subject.acr = 0)] {
        let refused = world.call(SENSITIVE, Some(weak), Some("users/me")).expect_err("not good enough");
        assert_eq!((refused.code(), refused.reason()), (Code::Unauthenticated, "STEP_UP_REQUIRED"));
        assert_eq!(refused.metadata()["max_age"], "900");
        assert!(world.call(GET_USER, Some(weak), Some("users/me")).is_ok(), "other methods do not ask");
    }
    let stranger = world.call(SENSITIVE, Some(&old), Some("users/00000000000000000000000009")).expect_err("not his");
    assert_eq!(stranger.reason(), "ACCESS_DENIED", "who may not call at all is not asked to sign in again");
    let just = of(&|subject| subject.auth_time = Some(now - std::time::Duration::from_secs(899)));
    assert!(world.call(SENSITIVE, Some(&just), Some("users/me")).is_ok());
}

#[test]
fn a_custom_role_grants_what_the_directory_says_now_and_only_in_its_organization() {
    let mut world = World::new();
    let directory = world.with_directory();
    let role = CustomRole {
        organization: world.organization,
        id: Ids::default().next(),
        version: 1,
        permissions: std::collections::HashSet::from(["document:write".to_owned(), "platform:operate".to_owned()]),
    };
    let mut subject = world.subject(None);
    subject.custom_roles = vec![role.id];
    let token = world.mint.mint(&subject, LIFE).expect("it fits");
    let name = world.document(world.organization);
    let granted = || world.call(UPDATE, Some(&token), Some(&name)).expect("left to a share at least").granted();
    assert!(!granted(), "the directory has no such role");
    directory.put(role.clone());
    assert!(granted(), "the same token, a moment later");
    assert!(!world.call(GET, Some(&token), Some(&name)).expect("left to a share").granted(), "writing is not reading");
    let nothing = std::collections::HashSet::new();
    directory.put(CustomRole { version: 3, ..role.clone() });
    directory.put(CustomRole { permissions: nothing.clone(), ..role.clone() });
    assert!(granted(), "an older version does not undo a newer one");
    // Clients choose ids: what another organization does with a role of the same id changes nothing here.
    directory.put(CustomRole { organization: world.other, version: 9, permissions: nothing, ..role.clone() });
    assert!(granted(), "another organization's role takes the place of none");
    directory.remove(world.other, role.id);
    assert!(granted(), "another organization ended its own role");
    directory.put(CustomRole { organization: world.other, version: 9, ..role.clone() });
    directory.remove(world.organization, role.id);
    assert!(!granted(), "the role ended, and that of another organization allows nothing here");
}

#[test]
fn what_a_custom_role_grants_beside_the_method_is_within_the_scopes_of_the_credential() {
    let mut world = World::new();
    let directory = world.with_directory();
    let permissions = std::collections::HashSet::from(["document:read".to_owned()]);
    let role = CustomRole { organization: world.organization, id: Ids::default().next(), version: 1, permissions };
    let (id, name) = (role.id, world.organization.name());
    directory.put(role);
    let searching = |scopes: &[&str], custom_roles| {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let subject = authz::Subject { scopes, custom_roles, ..world.subject(None) };
        let token = world.mint.mint(&subject, LIFE).expect("it fits");
        world.call(SEARCH, Some(&token), Some(&name)).expect("a member searches")
    };
    let all = searching(&["*"], vec![id]);
    assert!(directory.grants(&all, "document:read") && !directory.grants(&all, "file:read"));
    assert!(directory.grants(&searching(&["search:query", "document:read"], vec![id]), "document:read"));
    assert!(!directory.grants(&searching(&["search:query"], vec![id]), "document:read"), "beyond the credential");
    assert!(!directory.grants(&searching(&["*"], Vec::new()), "document:read"), "he does not hold it");
    directory.remove(world.organization, id);
    assert!(!directory.grants(&all, "document:read"), "the same token, a moment later");
}
