//! The index may be behind or an owner away; the caller sees nothing that he must not see.
use proto::{document::v1::DocumentGrantsChanged, search::v1::SearchRequest};
use testkit::Engine;

use crate::fixture::{Fixture, names, total};

#[tokio::test(flavor = "multi_thread")]
async fn src_05_a_right_revoked_while_the_index_is_stale_is_gone_at_the_next_request() {
    let fixture = Fixture::of(Fixture::builder().through_proxies()).await;
    let member = fixture.organization.member();
    let mut shared = fixture.document("secret recipe", "saffron");
    shared.principals.push(member.name());
    let name = fixture.create(shared).await;
    fixture.until_found("saffron", 1).await;
    let facets = vec!["type".to_owned()];
    let request = SearchRequest { facets, ..fixture.request("saffron") };
    assert_eq!(names(&fixture.try_search(&member, request.clone()).await.expect("valid")), std::slice::from_ref(&name));

    fixture.system.engine(Engine::Nats).cut();
    let version = fixture.documents.change(&name, |entry| entry.principals.retain(|one| *one != member.name()));
    let revoked = DocumentGrantsChanged { name: name.clone(), lost: vec![member.name()], ..Default::default() };
    fixture.documents.publish(&revoked, version).await;
    let answer = fixture.try_search(&member, request.clone()).await.expect("valid");
    assert_eq!((answer.results.len(), total(&answer).0), (0, 0));
    assert!(answer.facets[0].values.is_empty() && answer.facets[0].other_count == 0);

    // The hit that was hidden is read again without an event: soon the index itself knows.
    testkit::eventually("the index knows", || async {
        let answer = fixture.try_search(&member, request.clone()).await.expect("valid");
        (total(&answer) == (0, true)).then_some(())
    })
    .await;
    fixture.system.engine(Engine::Nats).mend();
    assert_eq!(fixture.found("saffron").await, [name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_filled_up_when_the_owner_hides_some_of_it() {
    let fixture = Fixture::new().await;
    let mut created = Vec::new();
    for number in 0..12 {
        created.push(fixture.create(fixture.document(&format!("minutes {number}"), "")).await);
    }
    fixture.until_found("minutes", 12).await;
    let request = SearchRequest { page_size: 5, ..fixture.request("minutes") };
    let first = names(&fixture.try_search(&fixture.viewer, request.clone()).await.expect("valid"));
    for name in &first[..3] {
        fixture.documents.change(name, |entry| entry.principals.clear());
    }
    let answer = fixture.try_search(&fixture.viewer, request).await.expect("valid");
    assert_eq!(answer.results.len(), 5);
    assert!(names(&answer).iter().all(|name| !first[..3].contains(name)));
    assert_eq!(total(&answer).0, 9);
    let rest = SearchRequest { page_size: 5, page_token: answer.next_page_token.clone(), ..fixture.request("minutes") };
    let rest = fixture.try_search(&fixture.viewer, rest).await.expect("valid");
    let mut seen: Vec<_> = names(&answer).into_iter().chain(names(&rest)).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_an_owner_that_is_away_are_withheld_and_others_shown() {
    let fixture = Fixture::new().await;
    fixture.create(fixture.document("budget", "")).await;
    let file = fixture.create_file("budget.png").await;
    fixture.until_found("budget", 2).await;
    fixture.documents.away(true);
    let facets = vec!["type".to_owned()];
    let request = SearchRequest { facets, ..fixture.request("budget") };
    let answer = fixture.try_search(&fixture.viewer, request).await.expect("search itself is there");
    assert!(answer.degraded);
    assert_eq!((names(&answer), total(&answer)), (vec![file], (1, false)));
    assert_eq!(answer.facets[0].values.len(), 1);
    fixture.documents.away(false);
    assert!(!fixture.until_found("budget", 2).await.degraded);
}
