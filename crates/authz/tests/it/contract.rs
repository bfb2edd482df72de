//! Every method of the contract, not a sample of it.
use api::{Code, Id, OrganizationId};
use mesh::Narrower;
use proto::{Role, Rule};

use crate::support::{LIFE, World};

#[test]
fn t1_every_method_refuses_a_resource_of_another_organization() {
    let world = World::new();
    let foreign = format!("{}/things/{}", world.other.name(), Id::ZERO);
    let mut tried = 0;
    for method in proto::methods().iter().filter(|method| !method.resource_path.is_empty()) {
        let access = method.access.as_ref().expect("declared");
        if !matches!(access.rule, Rule::Permission(_)) {
            continue;
        }
        tried += 1;
        let peer = access.peers.first().map_or("gateway", String::as_str);
        for role in [None, Some(Role::Viewer), Some(Role::Editor), Some(Role::Admin), Some(Role::Owner)] {
            let token = world.verifier.narrow(&world.token(role), method, Some(&foreign)).expect(method.rpc);
            let rpc = method.rpc.strip_prefix("workos.").expect("ours");
            let error = world.call_as(peer, rpc, Some(&token), Some(&foreign)).expect_err(method.rpc);
            assert_eq!(
                (error.code(), error.reason()),
                (Code::PermissionDenied, "ACCESS_DENIED"),
                "{} {role:?}",
                method.rpc
            );
        }
    }
    assert!(tried > 30, "only {tried} methods name a resource");
}

#[test]
fn every_method_with_a_permission_grants_its_least_role_and_no_lesser_one() {
    let world = World::new();
    const ORDER: [Role; 5] = [Role::Member, Role::Viewer, Role::Editor, Role::Admin, Role::Owner];
    for method in proto::methods().iter() {
        let access = method.access.as_ref().expect("declared");
        let Rule::Permission(permission) = &access.rule else { continue };
        let least = access.role.unwrap_or_else(|| panic!("{} names no role", method.rpc));
        let organization =
            if permission.starts_with("platform:") { OrganizationId::SYSTEM } else { world.organization };
        let peer = access.peers.first().map_or("gateway", String::as_str);
        for role in ORDER {
            let mut subject = world.subject(Some(role).filter(|role| *role != Role::Member));
            subject.organization = Some(organization);
            let token = world.mint.mint(&subject, LIFE).expect("it fits");
            let name = organization.name();
            let resource = (!method.resource_path.is_empty()).then_some(name.as_str());
            let rpc = method.rpc.strip_prefix("workos.").expect("ours");
            let granted = world.call_as(peer, rpc, Some(&token), resource).is_ok_and(|caller| caller.granted());
            assert_eq!(granted, role as i32 >= least as i32, "{} {role:?}", method.rpc);
        }
    }
}

#[test]
fn every_method_of_workloads_names_the_workloads_it_is_for() {
    for method in proto::methods().iter() {
        let access = method.access.as_ref().expect("declared");
        if access.rule == Rule::PeerOnly {
            assert!(!access.peers.is_empty(), "{}", method.rpc);
        }
    }
}

#[test]
fn impersonation_every_method_for_the_user_alone_refuses_who_acts_as_him() {
    let world = World::new();
    let mut refused = 0;
    for method in proto::methods().iter() {
        let access = method.access.as_ref().expect("declared");
        let platform = matches!(&access.rule, Rule::Permission(permission) if permission.starts_with("platform:"));
        let mut subject = world.impersonated(Some(Role::Owner));
        subject.organization = Some(if platform { OrganizationId::SYSTEM } else { world.organization });
        let token = world.mint.mint(&subject, LIFE).expect("it fits");
        let name = match access.rule {
            Rule::SelfOnly => world.user.name(),
            _ => subject.organization.expect("set").name(),
        };
        let resource = (!method.resource_path.is_empty()).then_some(name.as_str());
        let peer = access.peers.first().map_or("gateway", String::as_str);
        let rpc = method.rpc.strip_prefix("workos.").expect("ours");
        let said = world.call_as(peer, rpc, Some(&token), resource);
        match (access.in_person, &access.rule) {
            (true, Rule::SelfOnly | Rule::Permission(_)) => {
                refused += 1;
                let error = said.expect_err(method.rpc);
                assert_eq!((error.code(), error.reason()), (Code::PermissionDenied, "IMPERSONATED"), "{}", method.rpc);
            }
            (true, Rule::Public | Rule::PeerOnly) => assert_eq!(said.expect(method.rpc).user(), None, "{}", method.rpc),
            (false, _) => {
                let caller = said.expect(method.rpc);
                let of = (caller.user(), caller.impersonator());
                assert_eq!(of, (Some(world.user), Some(world.administrator)), "{}", method.rpc);
            }
        }
    }
    assert!(refused > 50, "only {refused} methods are for the user alone");
}
