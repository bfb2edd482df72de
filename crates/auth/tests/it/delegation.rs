//! Delegations: made by a person for a workload, exchanged while both may, ended.
use std::time::Duration;

use bytes::Bytes;
use mesh::client::Channel;
use proto::auth::v1::{
    self as wire, delegation_service_client::DelegationServiceClient, membership::Role,
    organization_service_client::OrganizationServiceClient, token_service_client::TokenServiceClient,
};
use tonic::{Code, Status};

use crate::{Platform, Signed, assert_refused, exchange, organizations, platform, with};

const GET: &str = "workos.auth.v1.OrganizationService/GetOrganization";

fn request(platform: &Platform, life: Duration) -> wire::CreateDelegationRequest {
    let end = platform.system.clock().now() + life;
    let delegation = wire::Delegation {
        purpose: format!("{}/runs/1", platform.organization),
        methods: vec![GET.to_owned()],
        expire_time: Some(api::timestamp(end)),
        ..wire::Delegation::default()
    };
    wire::CreateDelegationRequest {
        parent: platform.organization.clone(),
        delegation: Some(delegation),
        request_id: String::new(),
    }
}

async fn delegations(platform: &Platform, signed: &Signed, workload: &str) -> DelegationServiceClient<Channel> {
    let token = exchange(&platform.system, &signed.access).await.expect("good");
    DelegationServiceClient::new(with(&platform.system, workload, token))
}

async fn exchanged(platform: &Platform, workload: &str, name: &str) -> Result<Bytes, Status> {
    let mut client = TokenServiceClient::new(platform.system.as_workload(workload).channel("auth"));
    let request = wire::ExchangeDelegationRequest { delegation: name.to_owned() };
    client.exchange_delegation(request).await.map(|answer| answer.into_inner().token)
}

async fn end(platform: &Platform, name: &str) -> Result<(), Status> {
    let mut client = DelegationServiceClient::new(platform.system.as_workload("workflow").channel("auth"));
    client.delete_delegation(wire::DeleteDelegationRequest { name: name.to_owned() }).await.map(drop)
}

#[tokio::test]
async fn auth_b11_a_delegation_acts_for_its_subject_until_it_is_ended() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let made = delegations(&platform, &signed, "workflow")
        .await
        .create_delegation(request(&platform, Duration::from_secs(3600)))
        .await;
    let made = made.expect("any member may").into_inner();
    assert_eq!((made.subject.as_str(), made.actor.as_str()), (bob.name.as_str(), "workflow"));
    let token = exchanged(&platform, "workflow", &made.name).await.expect("the workload it was made for");
    let mut client = OrganizationServiceClient::new(with(&platform.system, "workflow", token.clone()));
    let get = wire::GetOrganizationRequest { name: platform.organization.clone() };
    client.get_organization(get.clone()).await.expect("bob may, so the worker may");
    let list = wire::ListMembershipsRequest { parent: platform.organization.clone(), ..Default::default() };
    let unlisted = client.list_memberships(list).await.expect_err("bob may, but the delegation does not list it");
    assert_eq!(unlisted.code(), Code::PermissionDenied);
    assert_refused(
        exchanged(&platform, "notification", &made.name).await,
        Code::PermissionDenied,
        "DELEGATION_INVALID",
    );
    let mut again = DelegationServiceClient::new(with(&platform.system, "workflow", token));
    let further = again.create_delegation(request(&platform, Duration::from_secs(7200))).await;
    assert_eq!(further.expect_err("a delegation makes no delegation").code(), Code::PermissionDenied);
    let narrow = "update auth.delegations set scopes = '{membership:read}' where scopes = '{*}' returning 1";
    assert_eq!(platform.system.sql(narrow).await.len(), 1, "it has the scopes of who made it");
    let narrow = exchanged(&platform, "workflow", &made.name).await.expect("the workload it was made for");
    let mut beyond = OrganizationServiceClient::new(with(&platform.system, "workflow", narrow));
    assert_refused(beyond.get_organization(get.clone()).await, Code::PermissionDenied, "ACCESS_DENIED");
    end(&platform, &made.name).await.expect("its workload may");
    end(&platform, &made.name).await.expect("again");
    assert_refused(exchanged(&platform, "workflow", &made.name).await, Code::PermissionDenied, "DELEGATION_INVALID");
    assert_refused(client.get_organization(get).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
}

#[tokio::test]
async fn a_delegation_ends_with_its_time_and_with_the_membership_of_its_subject() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let mut client = delegations(&platform, &signed, "workflow").await;
    let short = client.create_delegation(request(&platform, Duration::from_secs(20))).await.expect("made").into_inner();
    let long =
        client.create_delegation(request(&platform, Duration::from_secs(3600))).await.expect("made").into_inner();
    platform.system.clock().advance(Duration::from_secs(21));
    assert_refused(exchanged(&platform, "workflow", &short.name).await, Code::PermissionDenied, "DELEGATION_INVALID");
    exchanged(&platform, "workflow", &long.name).await.expect("still good");
    let name = platform.membership(&owner, &bob.name).await.name;
    let request = wire::DeleteMembershipRequest { name, ..wire::DeleteMembershipRequest::default() };
    organizations(&platform.system, &owner).await.delete_membership(request).await.expect("the owner may");
    assert_refused(exchanged(&platform, "workflow", &long.name).await, Code::PermissionDenied, "DELEGATION_INVALID");
}

#[tokio::test]
async fn what_a_delegation_may_hold_is_bounded() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let mut client = delegations(&platform, &owner, "workflow").await;
    let with_delegation = |change: &dyn Fn(&mut wire::Delegation)| {
        let mut request = request(&platform, Duration::from_secs(3600));
        change(request.delegation.as_mut().expect("set"));
        request
    };
    for wrong in [
        with_delegation(&|delegation| delegation.methods.clear()),
        with_delegation(&|delegation| {
            delegation.methods = vec!["workos.auth.v1.OrganizationService/Nothing".to_owned()]
        }),
        with_delegation(&|delegation| {
            delegation.methods = vec!["workos.auth.v1.UserService/ChangePassword".to_owned()]
        }),
        with_delegation(&|delegation| {
            delegation.methods = vec!["workos.auth.v1.TokenService/ExchangeDelegation".to_owned()]
        }),
        with_delegation(&|delegation| delegation.purpose = String::new()),
        with_delegation(&|delegation| delegation.purpose = "x\0".to_owned()),
        with_delegation(&|delegation| delegation.purpose = "x".repeat(513)),
        with_delegation(&|delegation| delegation.expire_time = None),
        request(&platform, Duration::from_secs(401 * 24 * 3600)),
        request(&platform, Duration::ZERO),
    ] {
        assert_refused(client.create_delegation(wrong).await, Code::InvalidArgument, "FIELD_INVALID");
    }
    let repeated =
        wire::CreateDelegationRequest { request_id: "d1".to_owned(), ..request(&platform, Duration::from_secs(3600)) };
    let first = client.create_delegation(repeated.clone()).await.expect("made").into_inner();
    assert_eq!(client.create_delegation(repeated.clone()).await.expect("the first answer").into_inner(), first);
    let mut other = repeated;
    other.delegation.as_mut().expect("set").purpose.push('x');
    assert_refused(client.create_delegation(other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn people_make_delegations_through_a_workload_only() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let refused = delegations(&platform, &owner, "gateway")
        .await
        .create_delegation(request(&platform, Duration::from_secs(60)))
        .await;
    assert_eq!(refused.expect_err("the gateway is no workload that acts later").code(), Code::PermissionDenied);
    let made = delegations(&platform, &owner, "workflow")
        .await
        .create_delegation(request(&platform, Duration::from_secs(60)))
        .await;
    let name = made.expect("made").into_inner().name;
    let mut client = DelegationServiceClient::new(platform.system.as_workload("notification").channel("auth"));
    let refused = client.delete_delegation(wire::DeleteDelegationRequest { name: name.clone() }).await;
    assert_eq!(refused.expect_err("not its own").code(), Code::PermissionDenied);
    exchanged(&platform, "workflow", &name).await.expect("untouched");
}

#[tokio::test]
async fn auth_b03_b11_a_delegation_that_was_ended_is_ended_after_a_crash() {
    let mut platform = platform().await;
    let owner = platform.owner().await;
    let (_, signed) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let mut client = delegations(&platform, &signed, "workflow").await;
    let [ended, lasting] = [3600, 7200].map(|life| request(&platform, Duration::from_secs(life)));
    let ended = client.create_delegation(ended).await.expect("made").into_inner();
    let lasting = client.create_delegation(lasting).await.expect("made").into_inner();
    let held = exchanged(&platform, "workflow", &ended.name).await.expect("good");
    let other = exchanged(&platform, "workflow", &lasting.name).await.expect("good");
    let get = async |platform: &Platform, token: &Bytes| {
        let mut client = OrganizationServiceClient::new(with(&platform.system, "workflow", token.clone()));
        client.get_organization(wire::GetOrganizationRequest { name: platform.organization.clone() }).await.map(drop)
    };
    get(&platform, &held).await.expect("good");
    end(&platform, &ended.name).await.expect("its workload may");
    platform.system.crash().await;
    // The system of a test is ready with keys and revocations of its own before those of the service are read.
    testkit::eventually("the keys are there again", || async { get(&platform, &other).await.ok() }).await;
    testkit::eventually("the revocation is there again", || async { get(&platform, &held).await.err() }).await;
    assert_refused(get(&platform, &held).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_refused(exchanged(&platform, "workflow", &ended.name).await, Code::PermissionDenied, "DELEGATION_INVALID");
    exchanged(&platform, "workflow", &lasting.name).await.expect("the other one can be exchanged");
}

async fn revoke(client: &mut DelegationServiceClient<Channel>, name: &str) -> Result<(), Status> {
    client.revoke_delegation(wire::RevokeDelegationRequest { name: name.to_owned() }).await.map(drop)
}

#[tokio::test]
async fn auth_b03_b11_people_see_what_acts_in_their_name_and_end_it_at_once() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (_, bob) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let (_, admin) = platform.signed_user(&owner, "carol", Role::Admin).await;
    let made = async |signed: &Signed| {
        let mut client = delegations(&platform, signed, "workflow").await;
        let request = request(&platform, Duration::from_secs(3600));
        client.create_delegation(request).await.expect("any member may").into_inner()
    };
    let (of_owner, of_bob, second) = (made(&owner).await, made(&bob).await, made(&bob).await);
    let mut by_bob = delegations(&platform, &bob, "gateway").await;
    let mut by_admin = delegations(&platform, &admin, "gateway").await;
    let list = wire::ListDelegationsRequest { parent: platform.organization.clone(), ..Default::default() };
    let listed = by_bob.list_delegations(list.clone()).await.expect("his own").into_inner().delegations;
    assert_eq!(listed, [of_bob.clone(), second.clone()]);
    let pages = wire::ListDelegationsRequest { page_size: 2, ..list };
    let first = by_admin.list_delegations(pages.clone()).await.expect("all").into_inner();
    let rest = wire::ListDelegationsRequest { page_token: first.next_page_token, ..pages };
    let rest = by_admin.list_delegations(rest).await.expect("all").into_inner();
    assert_eq!([first.delegations, rest.delegations].concat(), [of_owner.clone(), of_bob.clone(), second.clone()]);
    let get = |name: &str| wire::GetDelegationRequest { name: name.to_owned() };
    assert_eq!(by_bob.get_delegation(get(&of_bob.name)).await.expect("his own").into_inner(), of_bob);
    assert_refused(by_bob.get_delegation(get(&of_owner.name)).await, Code::NotFound, "RESOURCE_NOT_FOUND");
    let held = exchanged(&platform, "workflow", &of_bob.name).await.expect("good");
    let mut worker = OrganizationServiceClient::new(with(&platform.system, "workflow", held));
    let read = wire::GetOrganizationRequest { name: platform.organization.clone() };
    worker.get_organization(read.clone()).await.expect("bob may");
    revoke(&mut by_bob, &of_owner.name).await.expect("what one does not see is nothing");
    exchanged(&platform, "workflow", &of_owner.name).await.expect("and stays");
    for _ in 0..2 {
        revoke(&mut by_bob, &of_bob.name).await.expect("his own");
    }
    assert_refused(worker.get_organization(read).await, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert_refused(exchanged(&platform, "workflow", &of_bob.name).await, Code::PermissionDenied, "DELEGATION_INVALID");
    assert_refused(revoke(&mut by_admin, &of_owner.name).await, Code::PermissionDenied, "ROLE_TOO_HIGH");
    revoke(&mut by_admin, &second.name).await.expect("an administrator may");
    assert_refused(exchanged(&platform, "workflow", &second.name).await, Code::PermissionDenied, "DELEGATION_INVALID");
    let told = "select count(*) from auth.audit_event where action = 'delegation.deleted' and actor like 'users/%'";
    assert_eq!(platform.system.sql(told).await[0][0].as_deref(), Some("2"));
    // The worker's own way out goes on.
    end(&platform, &of_owner.name).await.expect("its workload may");
}
