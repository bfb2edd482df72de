//! What is shared with groups is found by whoever is in them, as long as he is.
use std::time::Duration;

use api::{Code, Ids, Principal};
use proto::search::v1::SearchRequest;
use testkit::eventually;

use crate::fixture::{Fixture, names, total};

fn group(fixture: &Fixture) -> String {
    format!("{}/groups/{}", fixture.organization.name(), Ids::default().next())
}

/// A document that is shared with a group.
async fn shared(fixture: &Fixture, title: &str, group: &str) -> String {
    let mut entry = fixture.document(title, "");
    entry.principals.push(format!("{group}#member"));
    fixture.create(entry).await
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_b03_who_is_in_a_group_finds_what_is_shared_with_it_and_nobody_else_does() {
    let fixture = Fixture::new().await;
    let (one, two) = (group(&fixture), group(&fixture));
    let (first, second) = (shared(&fixture, "garden first", &one).await, shared(&fixture, "garden second", &two).await);
    fixture.until_found("garden", 2).await;
    let (member, other) = (fixture.organization.member(), fixture.organization.member());
    member.set_groups(&[&one]);
    assert_eq!(names(&fixture.search(&member, "garden").await), std::slice::from_ref(&first));
    let nothing = fixture.search(&other, "garden").await;
    assert_eq!((names(&nothing).len(), total(&nothing)), (0, (0, true)));
    member.set_groups(&[&one, &two]);
    let mut found = names(&fixture.search(&member, "garden").await);
    found.sort();
    let mut both = [first, second.clone()];
    both.sort();
    assert_eq!(found, both);
    member.set_groups(&[&two]);
    assert_eq!(names(&fixture.search(&member, "garden").await), std::slice::from_ref(&second), "he has left the first");
    // A share that has ended is not shown, although the index does not know it yet.
    fixture.documents.change(&second, |entry| entry.principals.truncate(1));
    let hidden = fixture.search(&member, "garden").await;
    assert_eq!((names(&hidden).len(), total(&hidden).0), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_b03_who_holds_a_link_finds_what_is_shared_with_it_until_it_ends() {
    let fixture = Fixture::new().await;
    let link = Principal::Link(Ids::default().next()).name(fixture.organization.id());
    let mut entry = fixture.document("garden of the link", "");
    entry.principals.push(link.clone());
    let shared = fixture.create(entry).await;
    fixture.until_found("garden", 1).await;
    let (member, other) = (fixture.organization.member(), fixture.organization.member());
    assert_eq!(names(&fixture.search(&member, "garden").await), Vec::<String>::new());
    member.set_links(&[link.trim_end_matches("#holder")], Duration::from_secs(60));
    assert_eq!(names(&fixture.search(&member, "garden").await), [shared]);
    assert_eq!(names(&fixture.search(&other, "garden").await), Vec::<String>::new());
    fixture.system.clock().advance(Duration::from_secs(61));
    assert_eq!(names(&fixture.search(&member, "garden").await), Vec::<String>::new(), "its time is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_is_good_for_the_groups_it_was_made_with() {
    let fixture = Fixture::new().await;
    let group = group(&fixture);
    for number in 0..3 {
        shared(&fixture, &format!("garden {number}"), &group).await;
    }
    fixture.until_found("garden", 3).await;
    let member = fixture.organization.member();
    member.set_groups(&[&group]);
    let page = |token: &str| SearchRequest { page_size: 1, page_token: token.to_owned(), ..fixture.request("garden") };
    let first = fixture.try_search(&member, page("")).await.expect("valid");
    let second = fixture.try_search(&member, page(&first.next_page_token)).await.expect("valid");
    assert_eq!((first.results.len(), second.results.len()), (1, 1));
    member.set_groups(&[&group, &self::group(&fixture)]);
    let refused = fixture.try_search(&member, page(&first.next_page_token)).await.expect_err("of other groups");
    assert_eq!((refused.code(), refused.reason()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_groups_are_unknown_an_answer_says_that_something_is_missing() {
    let fixture = Fixture::new().await;
    let group = group(&fixture);
    let member = fixture.organization.member();
    member.set_groups(&[&group]);
    let mut his = fixture.document("garden of his own", "");
    his.principals.push(member.name());
    let his = fixture.create(his).await;
    shared(&fixture, "garden of the group", &group).await;
    fixture.until_found("garden", 2).await;
    fixture.system.groups_away(true);
    let request = SearchRequest { page_size: 1, ..fixture.request("garden") };
    let answer = fixture.try_search(&member, request.clone()).await.expect("what is his own is found");
    assert_eq!((names(&answer), answer.degraded, total(&answer)), (vec![his], true, (1, false)));
    assert!(!fixture.search(&fixture.viewer, "garden").await.degraded, "who has a role needs no groups");
    fixture.system.groups_away(false);
    let first = eventually("groups are known again", || async {
        let answer = fixture.try_search(&member, request.clone()).await.expect("valid");
        (!answer.degraded && answer.results.len() == 1).then_some(answer)
    })
    .await;
    assert_eq!(total(&first), (2, true));
    let token = first.next_page_token;
    // Another person of the same groups: what is held of the first one would answer for a while.
    let request = SearchRequest { page_token: token, ..request };
    fixture.system.groups_away(true);
    let other = fixture.organization.member();
    let refused = fixture.try_search(&other, request).await.expect_err("the page before may have been of more");
    assert_eq!(refused.code(), Code::Unavailable);
}
