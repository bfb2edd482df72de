//! The audit log: one entry for each change and each refusal, chained, never changed, readable by administrators.
use db::{Db, Settings};
use futures::TryStreamExt;
use mesh::client::Channel;
use proto::auth::v1::{self as wire, audit_event::Outcome, audit_service_client::AuditServiceClient, membership::Role};
use testkit::{System, eventually};
use tonic::Code;

use crate::{Platform, Signed, assert_refused, channel, organizations, password_of, platform, sign_in, users};

async fn audits(system: &System, signed: &Signed) -> AuditServiceClient<Channel> {
    AuditServiceClient::new(channel(system, signed).await)
}

fn list(platform: &Platform) -> wire::ListAuditEventsRequest {
    wire::ListAuditEventsRequest { parent: platform.organization.clone(), page_size: 1000, ..Default::default() }
}

async fn entries(platform: &Platform, signed: &Signed, request: wire::ListAuditEventsRequest) -> Vec<wire::AuditEvent> {
    audits(&platform.system, signed)
        .await
        .list_audit_events(request)
        .await
        .expect("the owner may")
        .into_inner()
        .audit_events
}

pub(crate) async fn service_db(system: &System) -> Db {
    let settings =
        Settings::new(system.engine_url(testkit::Engine::Postgres), "auth", crate::bootstrap::role_password());
    Db::connect(&settings).await.expect("the address is valid")
}

/// Waits until everything that was written has its place.
pub(crate) async fn chained(system: &System) {
    eventually("every entry has its place", || async {
        (system.sql("select count(*) from auth.audit_pending").await[0][0].as_deref() == Some("0")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn auth_h02_each_change_leaves_one_entry_with_who_what_and_which_request() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, _) = platform.signed_user(&owner, "bob", Role::Editor).await;
    let membership = platform.membership(&owner, &bob.name).await;
    let mut client = organizations(&platform.system, &owner).await;
    let wanted = wire::Membership { name: membership.name.clone(), role: Role::Viewer.into(), ..Default::default() };
    let change = wire::UpdateMembershipRequest { membership: Some(wanted.clone()), ..Default::default() };
    client.update_membership(change.clone()).await.expect("the owner may");
    client.update_membership(change).await.expect("nothing changes");
    let renamed = wire::Organization {
        name: platform.organization.clone(),
        display_name: "Difference Engines".to_owned(),
        ..Default::default()
    };
    let rename = wire::UpdateOrganizationRequest { organization: Some(renamed), ..Default::default() };
    client.update_organization(rename).await.expect("the owner may");
    let request = wire::ChangePasswordRequest {
        name: "users/me".to_owned(),
        current_password: password_of("bob"),
        new_password: password_of("new"),
    };
    let signed = sign_in(&platform.system, &bob.email, &password_of("bob"), "").await;
    users(&platform.system, &signed).await.change_password(request).await.expect("his own");
    client
        .delete_membership(wire::DeleteMembershipRequest { name: membership.name.clone(), ..Default::default() })
        .await
        .expect("the owner may");
    let told = entries(&platform, &owner, list(&platform)).await;
    let of = |action: &str| told.iter().filter(|entry| entry.action == action).collect::<Vec<_>>();
    for (action, resource, actor, count) in [
        ("user.created", &bob.name, &platform.owner, 1),
        ("membership.updated", &membership.name, &platform.owner, 1),
        ("membership.deleted", &membership.name, &platform.owner, 1),
        ("organization.updated", &platform.organization, &platform.owner, 1),
        ("password.changed", &bob.name, &bob.name, 1),
    ] {
        let found = of(action);
        assert_eq!(found.len(), count, "{action}: {told:#?}");
        assert_eq!((&found[0].resource, &found[0].actor), (resource, actor), "{action}");
        assert!(!found[0].request_id.is_empty() && found[0].method.starts_with("workos.auth.v1."), "{action}");
        assert_eq!(found[0].outcome(), Outcome::Done);
    }
    assert!(of("membership.updated")[0].details.contains("viewer"), "{:?}", of("membership.updated"));
    assert_eq!(of("session.started").iter().filter(|entry| entry.actor == bob.name).count(), 2, "he signed in twice");
    assert!(told.windows(2).all(|pair| pair[0].name > pair[1].name), "newest first");
    let one = audits(&platform.system, &owner)
        .await
        .get_audit_event(wire::GetAuditEventRequest { name: told[0].name.clone() })
        .await;
    assert_eq!(one.expect("it is there").into_inner().request_id, told[0].request_id);
}

#[tokio::test]
async fn auth_h02_each_refusal_leaves_an_entry_and_a_flood_few() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (bob, signed) = platform.signed_user(&owner, "bob", Role::Viewer).await;
    let mut client = users(&platform.system, &signed).await;
    let forbidden = crate::new_user(&platform.organization, "eve", Role::Viewer);
    for _ in 0..20 {
        assert_refused(client.create_user(forbidden.clone()).await, Code::PermissionDenied, "ACCESS_DENIED");
    }
    let request = wire::ListAuditEventsRequest { actor: bob.name.clone(), ..list(&platform) };
    let refused = eventually("the refusals are told", || async {
        let told = entries(&platform, &owner, request.clone()).await;
        let refused: Vec<_> = told.into_iter().filter(|entry| entry.outcome() == Outcome::Refused).collect();
        (refused.iter().map(|entry| entry.occurrences).sum::<i32>() == 20).then_some(refused)
    })
    .await;
    assert!(refused.len() <= 4, "equal ones are folded: {refused:#?}");
    for entry in &refused {
        assert_eq!(entry.action, "workos.auth.v1.UserService/CreateUser");
        assert_eq!((entry.reason.as_str(), &entry.resource), ("ACCESS_DENIED", &platform.organization));
    }
}

#[tokio::test]
async fn the_log_is_read_by_administrators_only_and_each_organization_reads_its_own() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (_, signed) = platform.signed_user(&owner, "bob", Role::Editor).await;
    assert_refused(
        audits(&platform.system, &signed).await.list_audit_events(list(&platform)).await,
        Code::PermissionDenied,
        "ACCESS_DENIED",
    );
    let name = entries(&platform, &owner, list(&platform)).await[0].name.clone();
    let operator = sign_in(&platform.system, crate::OWNER, crate::OWNER_PASSWORD, crate::OPERATORS).await;
    let mut client = audits(&platform.system, &operator).await;
    let foreign = name.replace(&platform.organization, crate::OPERATORS);
    for (name, code) in [(name, Code::PermissionDenied), (foreign, Code::NotFound)] {
        let status = client.get_audit_event(wire::GetAuditEventRequest { name }).await.expect_err("not his");
        assert_eq!(status.code(), code);
    }
    let export = wire::ExportAuditEventsRequest { parent: platform.organization.clone(), ..Default::default() };
    let refused = client.export_audit_events(export).await.map(drop);
    assert_refused(refused, Code::PermissionDenied, "ACCESS_DENIED");
}

#[tokio::test]
async fn entries_are_filtered_paged_and_exported_in_order() {
    let platform = platform().await;
    let owner = platform.owner().await;
    for name in ["bob", "carol", "dora"] {
        platform.user(&owner, name, Role::Viewer).await;
    }
    let filter = wire::ListAuditEventsRequest { action: "user.created".to_owned(), page_size: 2, ..list(&platform) };
    let mut client = audits(&platform.system, &owner).await;
    let first = client.list_audit_events(filter.clone()).await.expect("a page").into_inner();
    let next = wire::ListAuditEventsRequest { page_token: first.next_page_token.clone(), ..filter.clone() };
    let second = client.list_audit_events(next).await.expect("a page").into_inner();
    assert_eq!((first.audit_events.len(), second.audit_events.len()), (2, 1));
    assert!(second.next_page_token.is_empty());
    let other = wire::ListAuditEventsRequest {
        page_token: first.next_page_token,
        action: "membership.created".to_owned(),
        ..filter
    };
    assert_refused(client.list_audit_events(other).await, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    let middle = first.audit_events[1].clone();
    let since = wire::ListAuditEventsRequest {
        start_time: middle.create_time,
        action: "user.created".to_owned(),
        ..list(&platform)
    };
    assert_eq!(entries(&platform, &owner, since).await.len(), 2);
    let export = wire::ExportAuditEventsRequest {
        parent: platform.organization.clone(),
        action: "user.created".to_owned(),
        ..Default::default()
    };
    let stream = client.export_audit_events(export).await.expect("the owner may").into_inner();
    let exported: Vec<wire::AuditEvent> = stream.try_collect().await.expect("nothing fails");
    let mut listed: Vec<_> =
        first.audit_events.into_iter().chain(second.audit_events).map(|entry| entry.name).collect();
    listed.reverse();
    assert_eq!(exported.into_iter().map(|entry| entry.name).collect::<Vec<_>>(), listed);
}

#[tokio::test]
async fn the_chain_is_whole_published_in_order_and_shows_what_was_tampered_with() {
    let platform = platform().await;
    let owner = platform.owner().await;
    platform.user(&owner, "bob", Role::Viewer).await;
    let system = &platform.system;
    chained(system).await;
    let db = service_db(system).await;
    let whole = auth::verify_audit(&db, system.clock()).await.expect("the database is there");
    assert_eq!((whole.chains, &whole.problems), (2, &Vec::new()));
    let count = system.sql("select count(*) from auth.audit_event").await[0][0].clone();
    assert_eq!(Some(whole.entries.to_string()), count);
    let published = system.published("auth", "audit.recorded").await;
    let ours = platform.organization.trim_start_matches("organizations/").parse::<api::Id>().expect("an id").uuid();
    let versions: Vec<_> =
        published.iter().filter(|event| event.organization == ours).map(|event| event.version).collect();
    assert_eq!(
        versions,
        (1..=i64::try_from(versions.len()).expect("few")).collect::<Vec<_>>(),
        "the order of the chain"
    );
    for (tamper, word) in [
        ("update auth.audit_event set actor = 'nobody' where action = 'user.created'", "was changed"),
        ("delete from auth.audit_event where action = 'user.created'", "missing"),
    ] {
        system.sql(tamper).await;
        let found = auth::verify_audit(&db, system.clock()).await.expect("the database is there").problems;
        assert!(found.len() == 1 && found[0].contains(word) && found[0].contains(&platform.organization), "{found:?}");
    }
}

#[tokio::test]
async fn auth_h02_the_service_can_neither_change_nor_delete_nor_chain_by_hand() {
    let platform = platform().await;
    chained(&platform.system).await;
    let db = service_db(&platform.system).await;
    let context = api::CallContext::background("test", &api::Ids::default());
    for sql in [
        "update audit_event set actor = 'nobody'",
        "delete from audit_event",
        "update audit_chain set digest = ''",
        "delete from audit_chain",
        "update audit_heads set sequence = 1",
        "insert into audit_heads (organization_id, sequence, digest) values (gen_random_uuid(), 1, '')",
        "delete from audit_pending",
        "truncate audit_event",
    ] {
        let tx = db.system("try to hide", &context).await.expect("PostgreSQL runs");
        assert!(tx.execute(sql, &[]).await.is_err(), "{sql}");
        let tx = db.tenant_as(api::OrganizationId::SYSTEM, &context).await.expect("PostgreSQL runs");
        assert!(tx.execute(sql, &[]).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn old_entries_go_and_the_rest_can_still_be_verified() {
    let platform = platform().await;
    let owner = platform.owner().await;
    platform.user(&owner, "bob", Role::Viewer).await;
    let system = &platform.system;
    chained(system).await;
    let purge = "select auth.audit_purge('1 day', 1000)";
    assert_eq!(system.sql(purge).await[0][0].as_deref(), Some("0"), "nothing younger than 30 days goes, whoever asks");
    // Rows are made old together with their digests, as if time had passed: the head of each chain but its last two links.
    system
        .sql(
            "set search_path = auth; alter table audit_event disable trigger audit_await;
             update audit_event e set create_time = create_time - interval '401 days' from audit_chain c, audit_heads h
             where c.audit_id = e.audit_id and h.organization_id = c.organization_id and c.sequence <= h.sequence - 2;
             do $$ declare r record; d bytea; begin
               for r in select c.organization_id o, c.sequence s, e from audit_chain c join audit_event e on e.audit_id = c.audit_id
                 order by c.organization_id, c.sequence loop
                 if r.s = 1 then d := ''; end if;
                 d := audit_digest(d, r.s, r.e);
                 update audit_chain set digest = d where organization_id = r.o and sequence = r.s;
                 update audit_heads set digest = d where organization_id = r.o and sequence = r.s;
               end loop; end $$;
             alter table audit_event enable trigger audit_await",
        )
        .await;
    let deleted = system.sql("select auth.audit_purge('400 days', 1000)").await[0][0].clone().expect("a number");
    assert_ne!(deleted, "0");
    assert_eq!(
        system.sql("select count(*) from auth.audit_event").await[0][0].as_deref(),
        Some("4"),
        "two of each chain"
    );
    let db = service_db(system).await;
    let whole = auth::verify_audit(&db, system.clock()).await.expect("the database is there");
    assert_eq!((whole.entries, &whole.problems), (4, &Vec::new()));
}

#[tokio::test]
async fn auth_h02_the_log_says_what_was_given_to_whom() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let bob = platform.user(&owner, "bob", Role::Viewer).await.name;
    let crew = crate::group::group(&platform, &owner, "Crew").await.name;
    crate::group::add(&platform, &owner, &crew, &[&bob]).await.expect("the owner may");
    let custom_role = wire::CustomRole {
        display_name: "Archivist".to_owned(),
        permissions: vec!["document:read".to_owned(), "role:read".to_owned()],
        ..Default::default()
    };
    let role = wire::CreateCustomRoleRequest {
        parent: platform.organization.clone(),
        custom_role: Some(custom_role),
        ..Default::default()
    };
    let mut roles = wire::role_service_client::RoleServiceClient::new(channel(&platform.system, &owner).await);
    let role = roles.create_custom_role(role).await.expect("the owner may").into_inner().name;
    let membership = platform.membership(&owner, &bob).await.name;
    let given = wire::Membership { name: membership.clone(), custom_roles: vec![role.clone()], ..Default::default() };
    let give = wire::UpdateMembershipRequest { membership: Some(given), ..Default::default() };
    organizations(&platform.system, &owner).await.update_membership(give).await.expect("the owner may");
    let plans = crate::relation::object(&platform, "board", "plans");
    let shared = crate::relation::relation(&plans, wire::relation::Kind::Editor, &bob);
    crate::relation::written(&platform, &owner, vec![crate::relation::write(shared)]).await.expect("the owner may");
    chained(&platform.system).await;
    let found = entries(&platform, &owner, list(&platform)).await;
    let detail = |action: &str, resource: &str, name: &str| {
        let entry = found.iter().find(|entry| entry.action == action && entry.resource == resource);
        let entry = entry.unwrap_or_else(|| panic!("no {action} of {resource}: {found:?}"));
        let details: serde_json::Value = serde_json::from_str(&entry.details).expect("JSON");
        details[name].as_str().unwrap_or_else(|| panic!("no {name}: {details}")).to_owned()
    };
    let id = |name: &str| name.rsplit('/').next().expect("an id").to_owned();
    assert_eq!(detail("custom_role.created", &role, "permissions"), "document:read role:read");
    assert_eq!(detail("membership.updated", &membership, "custom_roles"), id(&role));
    assert_eq!(detail("group.members_changed", &crew, "added"), bob);
    assert_eq!(detail("relation.written", &plans, "kind"), "editor");
    assert_eq!(detail("relation.written", &plans, "subject"), bob);
}

#[tokio::test]
async fn an_export_for_spreadsheets_holds_every_entry_and_no_formula() {
    let platform = platform().await;
    let owner = platform.owner().await;
    let (_, bob) = platform.signed_user(&owner, "bob", Role::Editor).await;
    // What was refused tells what was asked for, in the words of who has asked.
    let formula = "=HYPERLINK(\"https://evil.example\",\"Open\")";
    let mut groups = wire::group_service_client::GroupServiceClient::new(channel(&platform.system, &bob).await);
    let odd = wire::DeleteGroupRequest { name: formula.to_owned(), ..Default::default() };
    assert_refused(groups.delete_group(odd).await, Code::PermissionDenied, "ACCESS_DENIED");
    let told = format!("select 1 from auth.audit_event where resource = '{formula}'");
    eventually("the refusal is kept", || async { platform.system.sql(&told).await.pop() }).await;
    let mut listed = entries(&platform, &owner, list(&platform)).await;
    listed.reverse();
    let mut client = audits(&platform.system, &owner).await;
    let export = wire::ExportAuditEventsCsvRequest { parent: platform.organization.clone(), ..Default::default() };
    let answer = client.export_audit_events_csv(export.clone()).await.expect("the owner may");
    let kept_as = answer.metadata().get("content-disposition").expect("a browser keeps it");
    assert_eq!(kept_as, "attachment; filename=\"audit-events.csv\"");
    let pieces: Vec<_> = answer.into_inner().try_collect().await.expect("nothing fails");
    assert_eq!(pieces[0].content_type, "text/csv; charset=utf-8; header=present");
    let file = String::from_utf8(pieces.iter().flat_map(|piece| piece.data.to_vec()).collect()).expect("UTF-8");
    let lines: Vec<&str> = file.strip_suffix("\r\n").expect("the last line ends too").split("\r\n").collect();
    assert!(lines[0].starts_with("name,create_time,action,actor,acting,resource,outcome,"), "{}", lines[0]);
    assert!(listed.len() > 5 && lines.len() > listed.len(), "{file}");
    for (entry, line) in listed.iter().zip(&lines[1..]) {
        assert!(line.starts_with(&format!("{},", entry.name)) && line.contains(&entry.action), "{line}");
    }
    assert!(file.contains(",\"'=HYPERLINK(\"\"https://evil.example\"\",\"\"Open\"\")\","), "{file}");
    let none = wire::ExportAuditEventsCsvRequest { actor: "users/nobody".to_owned(), ..export };
    let empty = client.export_audit_events_csv(none.clone()).await.expect("the owner may").into_inner();
    assert_eq!(empty.try_collect::<Vec<_>>().await.expect("nothing fails").len(), 1, "the line of names alone");
    let refused = audits(&platform.system, &bob).await.export_audit_events_csv(none).await;
    assert_refused(refused.map(drop), Code::PermissionDenied, "ACCESS_DENIED");
}
