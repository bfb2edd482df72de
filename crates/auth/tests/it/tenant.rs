//! Tenants: every method against another organization, and the second wall in the database.
use prost_types::FieldMask;
use proto::auth::v1::{
    self as wire, delegation_service_client::DelegationServiceClient, membership::Role, relation::Kind,
};
use tonic::{Code, Status};

use crate::{
    OPERATORS, OWNER, OWNER_PASSWORD, Platform, Signed, assert_refused, channel,
    client::{clients, machine, register},
    exchange,
    group::{add, group, groups},
    life::second_organization,
    link::{link, open},
    new_user, organizations, platform,
    relation::{object, relation, write, written},
    sign_in, users, with,
};

#[tokio::test]
async fn auth_t01_t02_every_method_refuses_another_tenant_as_if_it_were_not_there() {
    let platform = platform().await;
    let signed = sign_in(&platform.system, OWNER, OWNER_PASSWORD, OPERATORS).await;
    let owner = platform.owner().await;
    let membership = platform.membership(&owner, &platform.owner).await;
    let absent = "organizations/00000000000000000000000009".to_owned();
    for (organization, member) in [
        (platform.organization.clone(), membership.name),
        (absent.clone(), format!("{absent}/memberships/00000000000000000000000001")),
    ] {
        let token = exchange(&platform.system, &signed.access).await.expect("good");
        let delegation = wire::CreateDelegationRequest { parent: organization.clone(), ..Default::default() };
        let mut workflow = DelegationServiceClient::new(with(&platform.system, "workflow", token));
        let user = new_user(&organization, "eve", Role::Viewer);
        let mut answers = on_organization(&platform, &signed, &organization, &member).await;
        answers.push(users(&platform.system, &signed).await.create_user(user).await.map(drop));
        answers.push(workflow.create_delegation(delegation).await.map(drop));
        for answer in answers {
            assert_refused(answer, Code::PermissionDenied, "ACCESS_DENIED");
        }
    }
    let users = platform.system.sql("select count(*) from auth.users").await;
    assert_eq!(users[0][0].as_deref(), Some("1"));
}

#[tokio::test]
async fn auth_t01_t02_every_method_of_the_contract_refuses_a_token_of_another_tenant() {
    let platform = platform().await;
    let signed = sign_in(&platform.system, OWNER, OWNER_PASSWORD, OPERATORS).await;
    let token = exchange(&platform.system, &signed.access).await.expect("good");
    let absent = "organizations/00000000000000000000000009".to_owned();
    for parent in [platform.organization.clone(), absent] {
        let channel = async |method: &'static proto::Method| {
            let peers = method.access.as_ref().map(|access| access.peers.as_slice()).unwrap_or_default();
            with(&platform.system, peers.first().map_or("gateway", String::as_str), token.clone())
        };
        let (found, called) = testkit::conformance::foreign_to(&parent, &["auth"], channel).await;
        assert_eq!(found, [], "{parent}");
        assert!(called > 25, "{called} methods name an organization");
    }
}

#[tokio::test]
async fn auth_t01_nobody_makes_a_user_of_a_machine() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let app = register(&platform, &owner, machine(Role::Viewer, &["organization:read"])).await;
    let second = second_organization(&platform, &owner).await;
    let stranger = sign_in(&platform.system, OWNER, OWNER_PASSWORD, &second).await;
    // Who is one, and comes into the machine's organization, holds what is shared with it and is the author of what it made.
    let become_it = async |organization: &str, signed: &Signed| {
        let user = wire::CreateUserRequest { user_id: app.id.clone(), ..new_user(organization, "eve", Role::Editor) };
        let made = users(&platform.system, signed).await.create_user(user).await;
        assert_refused(made, Code::AlreadyExists, "RESOURCE_EXISTS");
    };
    become_it(&second, &stranger).await;
    become_it(&platform.organization, &owner).await;
    let delete = wire::DeleteOAuthClientRequest { name: app.name.clone(), ..Default::default() };
    clients(&platform, &owner).await.delete_o_auth_client(delete).await.expect("the owner may");
    become_it(&second, &stranger).await;
    become_it(&platform.organization, &owner).await;
}

/// Every method of `OrganizationService` on this organization and this membership.
async fn on_organization(
    platform: &Platform,
    signed: &Signed,
    organization: &str,
    member: &str,
) -> Vec<Result<(), Status>> {
    let mut client = organizations(&platform.system, signed).await;
    let (organization, member) = (organization.to_owned(), member.to_owned());
    let get = wire::GetOrganizationRequest { name: organization.clone() };
    let renamed =
        wire::Organization { name: organization.clone(), display_name: "Taken".to_owned(), ..Default::default() };
    let rename = wire::UpdateOrganizationRequest { organization: Some(renamed), ..Default::default() };
    let membership = Some(wire::Membership { user: platform.owner.clone(), ..Default::default() });
    let join = wire::CreateMembershipRequest { parent: organization.clone(), membership, ..Default::default() };
    let list = wire::ListMembershipsRequest { parent: organization, ..Default::default() };
    let membership = Some(wire::Membership { name: member.clone(), ..Default::default() });
    let update_mask = Some(FieldMask { paths: vec!["role".to_owned()] });
    let change = wire::UpdateMembershipRequest { membership, update_mask, ..Default::default() };
    vec![
        client.get_organization(get).await.map(drop),
        client.update_organization(rename).await.map(drop),
        client.create_membership(join).await.map(drop),
        client.get_membership(wire::GetMembershipRequest { name: member.clone() }).await.map(drop),
        client.list_memberships(list).await.map(drop),
        client.update_membership(change).await.map(drop),
        client.delete_membership(wire::DeleteMembershipRequest { name: member, ..Default::default() }).await.map(drop),
    ]
}

#[tokio::test]
async fn a_token_without_credential_reaches_nothing_but_the_public_methods() {
    let platform = platform().await;
    let mut client = wire::user_service_client::UserServiceClient::new(platform.system.anonymous().channel("auth"));
    let refused = client.get_user(wire::GetUserRequest { name: "users/me".to_owned() }).await;
    assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_MISSING");
    let refused = client.create_user(new_user(&platform.organization, "eve", Role::Viewer)).await;
    assert_refused(refused, Code::Unauthenticated, "CREDENTIAL_MISSING");
}

/// Tables of the platform itself, and the chain over its audit log: what no tenant and no person wrote stands there under the all-zero id.
const OF_PLATFORM: [&str; 9] = [
    "outbox_event",
    "processed_event",
    "idempotency",
    "audit_event",
    "audit_heads",
    "audit_chain",
    "epoch",
    "schema_history",
    "platform_history",
];

/// Tables that have rows in the test, so that a wall that is not there would show them.
const FILLED: [&str; 18] = [
    "organizations",
    "users",
    "memberships",
    "passwords",
    "sessions",
    "signing_keys",
    "custom_roles",
    "ended_custom_roles",
    "custom_role_revision",
    "groups",
    "group_members",
    "ended_groups",
    "links",
    "link_holders",
    "relation_heads",
    "relation_objects",
    "relations",
    "relation_parents",
];

/// Rows where roles, groups, links and relations are kept, so that a wall that is not there would show them.
async fn fill(platform: &Platform, owner: &Signed) {
    let crew = group(platform, owner, "Crew").await.name;
    let ended = group(platform, owner, "Ended").await.name;
    add(platform, owner, &crew, &[&platform.owner]).await.expect("the owner may");
    let delete = wire::DeleteGroupRequest { name: ended, ..Default::default() };
    groups(platform, owner).await.delete_group(delete).await.expect("the owner may");
    let made = link(platform, owner, 60).await.expect("every member may");
    open(platform, owner, &made.name, &made.secret).await.expect("it is the secret");
    let (page, folder) = (object(platform, "page", "p"), object(platform, "folder", "f"));
    let changes = vec![
        write(relation(&page, Kind::Parent, &folder)),
        write(relation(&page, Kind::Viewer, &format!("{crew}#member"))),
    ];
    written(platform, owner, changes).await.expect("the owner may");
    let custom_role = wire::CustomRole {
        display_name: "Reader".to_owned(),
        permissions: vec!["document:read".to_owned()],
        ..Default::default()
    };
    let role = wire::CreateCustomRoleRequest {
        parent: platform.organization.clone(),
        custom_role: Some(custom_role),
        ..Default::default()
    };
    let mut roles = wire::role_service_client::RoleServiceClient::new(channel(&platform.system, owner).await);
    let ended = roles.create_custom_role(role.clone()).await.expect("the owner may").into_inner().name;
    let delete = wire::DeleteCustomRoleRequest { name: ended, ..Default::default() };
    roles.delete_custom_role(delete).await.expect("nobody holds it");
    roles.create_custom_role(role).await.expect("the owner may");
}

#[tokio::test]
async fn auth_t08_without_a_tenant_the_services_role_sees_no_row() {
    let platform = platform().await;
    let owner = platform.owner().await;
    fill(&platform, &owner).await;
    let tables = "select relname from pg_class where relnamespace = 'auth'::regnamespace and relkind in ('r', 'p')";
    let tables = platform.system.sql(tables).await;
    let tables = tables.iter().filter_map(|row| row[0].as_deref()).filter(|name| !OF_PLATFORM.contains(name));
    let mut filled = Vec::new();
    for table in tables {
        let rows = platform.system.sql(&format!("select count(*) from auth.{table}")).await;
        if rows[0][0].as_deref() != Some("0") {
            filled.push(table);
        }
        for settings in ["", "set local workos.organization = ''; set local workos.subject = '';"] {
            let sql =
                format!("begin; set local role workos_auth; {settings} select count(*) from auth.{table}; rollback");
            assert_eq!(platform.system.sql(&sql).await[0][0].as_deref(), Some("0"), "{table}");
        }
    }
    for table in FILLED {
        assert!(filled.contains(&table), "{table} has no row that a missing wall would show");
    }
    let organization = platform
        .system
        .sql("select organization_id from auth.organizations where display_name = 'Analytical Engines'")
        .await[0][0]
        .clone();
    let tenant = format!("set local workos.organization = '{}'", organization.expect("not null"));
    for table in [
        "passwords",
        "login_flows",
        "authorization_codes",
        "sign_in_attempts",
        "mfa_factors",
        "recovery_codes",
        "passkeys",
        "identities",
        "signing_keys",
        "bootstrap",
        "bootstrap_codes",
        "custom_role_revision",
    ] {
        let sql = format!("begin; set local role workos_auth; {tenant}; select count(*) from auth.{table}; rollback");
        assert_eq!(platform.system.sql(&sql).await[0][0].as_deref(), Some("0"), "a tenant reads no {table}");
    }
}

#[tokio::test]
async fn auth_h01_no_secret_is_stored_as_it_is() {
    let platform = platform().await;
    let flow = crate::begin(&platform.system).await;
    let code = crate::code(&platform.system, OWNER, OWNER_PASSWORD, &platform.organization).await;
    let signed = crate::token(&platform.system, crate::code_grant(&code)).await.expect("good");
    let tables = platform.system.sql("select table_name from information_schema.tables where table_schema = 'auth' and table_type = 'BASE TABLE'").await;
    assert!(tables.len() > 12);
    for table in tables {
        let rows =
            platform.system.sql(&format!("select t::text from auth.{} t", table[0].as_deref().expect("a name"))).await;
        for secret in [flow.as_str(), &code, &signed.access, &signed.refresh, OWNER_PASSWORD] {
            assert!(rows.iter().flatten().flatten().all(|row| !row.contains(secret)), "{table:?} holds a secret");
        }
    }
}
