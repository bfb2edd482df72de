//! The groups of a user, as services that decide by shares read them.
use proto::auth::v1::{self as wire, membership::Role, token_service_client::TokenServiceClient};
use tonic::Code;

use crate::{
    Platform, assert_refused,
    group::{add, group, groups, remove},
    organizations, platform, users,
};

async fn list(platform: &Platform, user: &str) -> Vec<String> {
    let mut tokens = TokenServiceClient::new(platform.system.as_workload("document").channel("auth"));
    let request = wire::ListUserGroupsRequest { parent: platform.organization.clone(), user: user.to_owned() };
    tokens.list_user_groups(request).await.expect("a workload").into_inner().groups
}

#[tokio::test]
async fn the_groups_of_a_user_are_those_he_is_in_however_he_came_there_nearest_first() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let mut made = Vec::new();
    for name in ["outermost", "outer", "middle", "inner", "other"] {
        made.push(group(&platform, &owner, name).await.name);
    }
    assert_eq!(list(&platform, &bob).await, Vec::<String>::new());
    for pair in made[..4].windows(2) {
        add(&platform, &owner, &pair[0], &[&pair[1]]).await.expect("four levels");
    }
    add(&platform, &owner, &made[3], &[&bob]).await.expect("he is a member");
    let inside_out: Vec<_> = made[..4].iter().rev().cloned().collect();
    assert_eq!(list(&platform, &bob).await, inside_out);
    // Also directly in one that he is in already: it is nearer now.
    add(&platform, &owner, &made[0], &[&bob]).await.expect("he is a member");
    assert_eq!(list(&platform, &bob).await, [0, 3, 2, 1].map(|at: usize| made[at].clone()));
    remove(&platform, &owner, &made[2], &[&made[3]]).await;
    assert_eq!(list(&platform, &bob).await, [0, 3].map(|at: usize| made[at].clone()));
    let delete = wire::DeleteGroupRequest { name: made[3].clone(), ..Default::default() };
    groups(&platform, &owner).await.delete_group(delete).await.expect("the owner may");
    assert_eq!(list(&platform, &bob).await, made[..1]);
    let stranger = "users/00000000000000000000000009";
    assert_eq!(list(&platform, stranger).await, Vec::<String>::new());
}

#[tokio::test]
async fn auth_b03_who_is_no_active_member_is_in_no_group() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let crew = group(&platform, &owner, "Crew").await.name;
    add(&platform, &owner, &crew, &[&bob]).await.expect("he is a member");
    assert_eq!(list(&platform, &bob).await, std::slice::from_ref(&crew));
    let disable = wire::DisableUserRequest { name: bob.clone() };
    users(&platform.system, &owner).await.disable_user(disable).await.expect("the owner may");
    assert_eq!(list(&platform, &bob).await, Vec::<String>::new());
    let enable = wire::EnableUserRequest { name: bob.clone() };
    users(&platform.system, &owner).await.enable_user(enable).await.expect("the owner may");
    assert_eq!(list(&platform, &bob).await, [crew]);
    let membership = platform.membership(&owner, &bob).await.name;
    let gone = wire::DeleteMembershipRequest { name: membership, ..Default::default() };
    organizations(&platform.system, &owner).await.delete_membership(gone).await.expect("the owner may");
    assert_eq!(list(&platform, &bob).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_user_is_in_200_groups_at_most_however_he_came_there() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let (hub, one, two) = (
        group(&platform, &owner, "Hub").await.name,
        group(&platform, &owner, "One").await.name,
        group(&platform, &owner, "Two").await.name,
    );
    let key = |kind: u8, table: &str| format!("'\\x0{kind}'::bytea || uuid_send({table})");
    platform
        .system
        .sql(&format!(
            "insert into auth.groups (organization_id, group_id, display_name, version, create_time, update_time)
               select organization_id, gen_random_uuid(), 'Many', 1, now(), now() from auth.groups, generate_series(1, 198)
               where display_name = 'Hub';
             insert into auth.group_members (organization_id, group_id, member)
               select many.organization_id, many.group_id, {} from auth.groups many, auth.groups hub
               where many.display_name = 'Many' and hub.display_name = 'Hub'",
            key(2, "hub.group_id")
        ))
        .await;
    add(&platform, &owner, &hub, &[&bob]).await.expect("the hub and 198 others");
    add(&platform, &owner, &one, &[&bob]).await.expect("the 200th");
    assert_eq!(list(&platform, &bob).await.len(), 200);
    let refused = |added| assert_refused(added, Code::FailedPrecondition, "AUTHORIZATION_LIMIT");
    refused(add(&platform, &owner, &two, &[&bob]).await);
    refused(add(&platform, &owner, &two, &[&one]).await);
    refused(add(&platform, &owner, &two, &[&hub]).await);
    remove(&platform, &owner, &one, &[&bob]).await;
    add(&platform, &owner, &two, &[&hub]).await.expect("he is in 199 others");
    assert_eq!(list(&platform, &bob).await.len(), 200);
}

#[tokio::test]
async fn groups_that_a_user_is_in_by_two_ways_count_once() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Unspecified).await.name;
    let (one, two, more) = (
        group(&platform, &owner, "One").await.name,
        group(&platform, &owner, "Two").await.name,
        group(&platform, &owner, "More").await.name,
    );
    // 197 groups are above both, and 10 beside them make the organization one that is counted in.
    let fill = "insert into auth.groups (organization_id, group_id, display_name, version, create_time, update_time)
           select organization_id, gen_random_uuid(), case when n > 197 then 'Beside' else 'Above' end, 1, now(), now()
           from auth.groups, generate_series(1, 207) n where display_name = 'One';
         insert into auth.group_members (organization_id, group_id, member)
           select above.organization_id, above.group_id, '\\x02'::bytea || uuid_send(below.group_id) from auth.groups above, auth.groups below
           where above.display_name = 'Above' and below.display_name in ('One', 'Two')";
    platform.system.sql(fill).await;
    add(&platform, &owner, &one, &[&bob]).await.expect("198");
    add(&platform, &owner, &two, &[&bob]).await.expect("199, and not 396");
    add(&platform, &owner, &more, &[&bob]).await.expect("the 200th");
    assert_eq!(list(&platform, &bob).await.len(), 200);
    let last = group(&platform, &owner, "Last").await.name;
    assert_refused(add(&platform, &owner, &last, &[&one]).await, Code::FailedPrecondition, "AUTHORIZATION_LIMIT");
}

#[tokio::test]
async fn nobody_but_services_that_decide_by_shares_reads_who_is_in_which_group() {
    let platform = platform().await;
    let request = wire::ListUserGroupsRequest {
        parent: platform.organization.clone(),
        user: "users/00000000000000000000000009".to_owned(),
    };
    for workload in ["gateway", "notification"] {
        let mut tokens = TokenServiceClient::new(platform.system.as_workload(workload).channel("auth"));
        let refused = tokens.list_user_groups(request.clone()).await;
        assert_refused(refused, Code::PermissionDenied, "PEER_DENIED");
    }
}
