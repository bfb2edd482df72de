//! The inbox: what arrives, lists, marks.
use api::Code;
use proto::{
    document::v1::DocumentGrantsChanged,
    notification::v1::{ListInboxItemsRequest, MarkInboxItemsRequest},
    workflow::v1::{RunEnded, TaskEscalated, TaskReminded, run},
};
use testkit::Person;

use crate::fixture::{Fixture, inboxes, read, refusal};

async fn mark(fixture: &Fixture, person: &Person, names: &[String], is_read: bool) -> Result<i32, api::Error> {
    let request = MarkInboxItemsRequest { parent: fixture.inbox_name(), names: names.to_vec(), read: is_read };
    read(inboxes(person).mark_inbox_items(request).await).map(|answer| answer.changed_count)
}

#[tokio::test]
async fn everything_that_concerns_somebody_arrives_in_his_inbox() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    let (organization, workflow) = (fixture.organization.id(), fixture.stage.publisher("workflow"));
    fixture.share(&person, "Plan").await;
    fixture.until_items(&person, 1).await;
    fixture.task(&person.name(), "Plan").await;
    fixture.until_items(&person, 2).await;
    let (assignee, title) = (person.name(), "Plan".to_owned());
    let reminded = TaskReminded { assignee: assignee.clone(), title: title.clone(), ..Default::default() };
    workflow.publish(organization, &reminded, "").await;
    fixture.until_items(&person, 3).await;
    let escalated = TaskEscalated { assignee, title: title.clone(), ..Default::default() };
    workflow.publish(organization, &escalated, "").await;
    fixture.until_items(&person, 4).await;
    let ended = RunEnded {
        creator: person.name(),
        title,
        state: run::State::Completed.into(),
        outcome: run::Outcome::Rejected.into(),
        ..Default::default()
    };
    workflow.publish(organization, &ended, "").await;
    let items = fixture.until_items(&person, 5).await;
    let seen: Vec<_> = items.iter().map(|item| (item.sequence, item.category.as_str(), item.title.as_str())).collect();
    assert_eq!(
        seen,
        [
            (1, "document.shared", "\"Plan\" was shared with you"),
            (2, "task.created", "\"Plan\" waits for your decision"),
            (3, "task.reminded", "Reminder: \"Plan\" still waits for your decision"),
            (4, "task.escalated", "\"Plan\" was handed over to you: nobody decided in time"),
            (5, "run.ended", "\"Plan\" was rejected"),
        ]
    );
    assert!(items[0].subject.starts_with(&format!("{}/documents/", fixture.organization.name())));
    assert!(items[0].name.starts_with(&format!("{}/{}/inboxItems/", fixture.organization.name(), person.name())));
    assert_eq!(fixture.published("inbox.changed").await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn groups_and_who_did_it_are_told_nothing() {
    let fixture = Fixture::new().await;
    let (person, other) = (fixture.member("anna@example.org"), fixture.member("bert@example.org"));
    let shared = DocumentGrantsChanged {
        gained: vec![format!("{}#member", fixture.organization.name()), person.name(), other.name(), other.name()],
        lost: vec![person.name()],
        ..fixture.shared(&person, "Plan")
    };
    fixture.stage.publisher("document").publish(fixture.organization.id(), &shared, &person.name()).await;
    fixture.until_items(&other, 1).await;
    assert_eq!(fixture.inbox(&person).await.inbox_items.len(), 0);
    assert_eq!(fixture.published("inbox.changed").await, [1]);
}

#[tokio::test]
async fn pages_of_an_inbox_are_stable_while_items_arrive() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    for number in 1..=5 {
        fixture.share(&person, &format!("Plan {number}")).await;
    }
    fixture.until_items(&person, 5).await;
    let request = ListInboxItemsRequest { parent: fixture.inbox_name(), page_size: 2, ..Default::default() };
    let first = read(inboxes(&person).list_inbox_items(request.clone()).await).expect("the first page");
    fixture.share(&person, "Plan 6").await;
    fixture.until_items(&person, 6).await;
    let (mut sequences, mut token) = (Vec::new(), first.next_page_token.clone());
    sequences.extend(first.inbox_items.iter().map(|item| item.sequence));
    while !token.is_empty() {
        let request = ListInboxItemsRequest { page_token: token, ..request.clone() };
        let page = read(inboxes(&person).list_inbox_items(request).await).expect("another page");
        sequences.extend(page.inbox_items.iter().map(|item| item.sequence));
        token = page.next_page_token;
    }
    assert_eq!(sequences, [5, 4, 3, 2, 1]);
    let foreign = ListInboxItemsRequest { page_token: first.next_page_token, unread_only: true, ..request.clone() };
    let answer = read(inboxes(&person).list_inbox_items(foreign).await);
    assert_eq!(refusal(answer), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
    let negative = ListInboxItemsRequest { page_size: -1, ..request };
    let answer = read(inboxes(&person).list_inbox_items(negative).await);
    assert_eq!(refusal(answer), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
}

#[tokio::test]
async fn items_are_marked_by_name_or_all_at_once() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    for _ in 0..3 {
        fixture.share(&person, "Plan").await;
    }
    let names: Vec<_> = fixture.until_items(&person, 3).await.into_iter().map(|item| item.name).collect();
    assert_eq!(mark(&fixture, &person, &names[..1], true).await.expect("marked"), 1);
    assert_eq!(mark(&fixture, &person, &names[..2], true).await.expect("marked"), 1, "one was read already");
    let inbox = fixture.inbox(&person).await;
    assert_eq!(inbox.unread_count, 1);
    let request = ListInboxItemsRequest { parent: fixture.inbox_name(), unread_only: true, ..Default::default() };
    let unread = read(inboxes(&person).list_inbox_items(request).await).expect("listed").inbox_items;
    assert_eq!(unread.iter().map(|item| &item.name).collect::<Vec<_>>(), [&names[2]]);
    assert_eq!(mark(&fixture, &person, &[], true).await.expect("marked"), 1);
    assert_eq!(mark(&fixture, &person, &[], false).await.expect("marked"), 3);
    assert_eq!(fixture.inbox(&person).await.unread_count, 3);
}

#[tokio::test]
async fn a_mark_of_what_does_not_exist_changes_nothing() {
    let fixture = Fixture::new().await;
    let person = fixture.member("anna@example.org");
    fixture.share(&person, "Plan").await;
    let name = fixture.until_items(&person, 1).await.remove(0).name;
    let absent = format!("{}/{}/inboxItems/{}", fixture.organization.name(), person.name(), api::Ids::default().next());
    let answer = mark(&fixture, &person, &[name, absent], true).await;
    assert_eq!(refusal(answer), (Code::NotFound, "ITEM_NOT_FOUND".to_owned()));
    assert_eq!(fixture.inbox(&person).await.unread_count, 1);
    let other = fixture.organization.member();
    let foreign = format!("{}/{}/inboxItems/{}", fixture.organization.name(), other.name(), api::Ids::default().next());
    for names in [vec!["x\0".to_owned()], vec![foreign], vec![String::new(); 1001]] {
        assert_eq!(refusal(mark(&fixture, &person, &names, true).await).0, Code::InvalidArgument);
    }
}
