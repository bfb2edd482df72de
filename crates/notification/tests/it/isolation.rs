//! Walls: between users, between organizations, and in the database alone.
use api::Code;
use proto::{
    Role,
    notification::v1::{
        ListCapturedMailsRequest, ListDeliveriesRequest, ListInboxItemsRequest, MarkInboxItemsRequest,
        RedriveDeliveriesRequest, WatchInboxRequest,
    },
};
use testkit::conformance;

use crate::fixture::{Fixture, deliveries, inboxes, read, refusal};

#[tokio::test]
async fn ntf_31_nobody_sees_the_inbox_of_another_whatever_his_role() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    fixture.share(&person, "Secret").await;
    fixture.until_items(&person, 1).await;
    let parent = format!("{}/{}", fixture.organization.name(), person.name());
    let own = ListInboxItemsRequest { parent: parent.clone(), ..Default::default() };
    let listed = read(inboxes(&person).list_inbox_items(own.clone()).await).expect("his own, by his name");
    assert_eq!(listed.inbox_items.len(), 1);
    let elsewhere = fixture.system.organization().person(person.id(), Some(Role::Owner));
    for other in [fixture.organization.member(), fixture.organization.user(Role::Owner), elsewhere] {
        let mut inboxes = inboxes(&other);
        let denied = (Code::PermissionDenied, "ACCESS_DENIED".to_owned());
        assert_eq!(refusal(read(inboxes.list_inbox_items(own.clone()).await)), denied);
        let watch = WatchInboxRequest { parent: parent.clone(), after_sequence: Some(0) };
        assert_eq!(refusal(read(inboxes.watch_inbox(watch).await)), denied);
        let mark = MarkInboxItemsRequest { parent: parent.clone(), names: Vec::new(), read: true };
        assert_eq!(refusal(read(inboxes.mark_inbox_items(mark).await)), denied);
    }
    assert_eq!(fixture.inbox(&person).await.unread_count, 1);
}

#[tokio::test]
async fn deliveries_are_for_administrators() {
    let fixture = Fixture::new().await;
    let parent = fixture.organization.name();
    for role in [Role::Viewer, Role::Editor] {
        let mut deliveries = deliveries(&fixture.organization.user(role));
        let list = ListDeliveriesRequest { parent: parent.clone(), ..Default::default() };
        assert_eq!(refusal(read(deliveries.list_deliveries(list).await)).0, Code::PermissionDenied);
        let mails = ListCapturedMailsRequest { parent: parent.clone(), ..Default::default() };
        assert_eq!(refusal(read(deliveries.list_captured_mails(mails).await)).0, Code::PermissionDenied);
        let redrive = RedriveDeliveriesRequest { parent: parent.clone(), names: Vec::new() };
        assert_eq!(refusal(read(deliveries.redrive_deliveries(redrive).await)).0, Code::PermissionDenied);
    }
}

#[tokio::test]
async fn a_foreign_tenant_hears_the_same_from_every_method() {
    let fixture = Fixture::new().await;
    assert_eq!(conformance::foreign_tenant(&fixture.system, &["notification"]).await, []);
}

#[tokio::test]
async fn the_database_alone_keeps_organizations_apart() {
    let fixture = Fixture::new().await;
    fixture.share(&fixture.member("anna@example.org"), "Secret").await;
    fixture.until_state(proto::notification::v1::delivery::State::Sent).await;
    let other = fixture.system.organization().id();
    let visible = async |table: &str, organization: Option<api::OrganizationId>| {
        let setting = organization.map(|id| format!("set workos.organization = '{}';", id.uuid())).unwrap_or_default();
        let sql = format!("set role workos_notification; {setting} select count(*) from notification.{table}");
        let rows = fixture.system.sql(&sql).await;
        rows.last().and_then(|row| row[0].clone()).expect("a count is never null")
    };
    for table in ["inboxes", "inbox_items", "deliveries", "attempts", "captured_mails"] {
        assert_eq!(visible(table, None).await, "0", "{table} without a tenant");
        assert_eq!(visible(table, Some(other)).await, "0", "{table} of another tenant");
        assert_eq!(visible(table, Some(fixture.organization.id())).await, "1", "{table} of its own tenant");
    }
}
