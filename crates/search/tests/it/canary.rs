//! Nothing tells of what the caller may not see.
use proto::search::v1::{SearchRequest, SearchResponse};
use testkit::Person;

use crate::fixture::{Fixture, total};

const CANARY: &str = "zyzzyva";

impl Fixture {
    async fn ask(&self, person: &Person, query: &str) -> SearchResponse {
        let facets = ["type", "media_type", "folder"].map(str::to_owned).to_vec();
        let request = SearchRequest { facets, ..self.request(query) };
        self.try_search(person, request).await.expect("a valid search")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn src_04_a_word_in_a_hidden_document_leaves_no_trace() {
    let fixture = Fixture::new().await;
    let member = fixture.organization.member();
    let mut shared = fixture.document("shared garden plan", "roses and tulips");
    shared.principals.push(member.name());
    fixture.create(shared).await;
    fixture.until_found("garden", 1).await;
    let queries = ["garden", "roses", "", "garden OR zyzzyva", "roses -zyzzyva", "plan*"];
    let mut before = Vec::new();
    for query in queries {
        before.push(fixture.ask(&member, query).await);
    }
    for number in 0..5 {
        let mut hidden = fixture.document(&format!("{CANARY} garden {number}"), "roses, plan and zyzzyva");
        hidden.media_type = format!("text/{CANARY}");
        hidden.folder = format!("{}/folders/0000000000000000000000000{number}", fixture.organization.name());
        fixture.create(hidden).await;
    }
    fixture.until_found(CANARY, 5).await;
    // Neither hits nor totals, facets, highlights, order or scores differ from those without the hidden documents.
    for (query, before) in queries.into_iter().zip(before) {
        assert_eq!(fixture.ask(&member, query).await, before, "{query}");
    }
    // A hidden word is as one that does not exist.
    let nothing = fixture.ask(&member, "qwertyuiop").await;
    assert_eq!(total(&nothing), (0, true));
    for query in [CANARY, "zyzz*", "\"zyzzyva garden\"", "zyzzyva garden", "zyzzyva OR qwertyuiop"] {
        assert_eq!(fixture.ask(&member, query).await, nothing, "{query}");
    }
    // Selecting what only hidden documents have finds nothing and counts nothing.
    let media_types = vec![format!("text/{CANARY}")];
    let facets = vec!["type".to_owned()];
    let request = SearchRequest { media_types, facets, ..fixture.request("") };
    let selected = fixture.try_search(&member, request).await.expect("valid");
    assert_eq!((selected.results.len(), total(&selected), selected.facets[0].values.len()), (0, (0, true), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_sees_and_counts_nothing() {
    let fixture = Fixture::new().await;
    fixture.create(fixture.document(CANARY, "")).await;
    fixture.until_found(CANARY, 1).await;
    let other = fixture.system.organization();
    let stranger = other.user(proto::Role::Owner);
    let request = SearchRequest { parent: other.name(), query: CANARY.to_owned(), ..Default::default() };
    let answer = fixture.try_search(&stranger, request).await.expect("valid");
    assert_eq!((answer.results.len(), total(&answer)), (0, (0, true)));
    assert_eq!(fixture.index().await.entry_count, 1);
}
