//! What a search finds, how it is asked and refused.
use api::Code;
use proto::search::v1::{GetSearchIndexRequest, SearchRequest, search_service_client::SearchServiceClient};

use crate::fixture::{Fixture, names, read, total};

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_files_are_found_with_everything_a_result_shows() {
    let fixture = Fixture::new().await;
    let entry = fixture.document("Blue whales", "The largest animals are WHALES.\nThey sing.");
    let document = fixture.create(entry.clone()).await;
    let file = fixture.create_file("whale.png").await;
    let answer = fixture.until_found("whale", 2).await;
    assert_eq!(total(&answer), (2, true));
    assert!(!answer.degraded && answer.next_page_token.is_empty());
    let result = answer.results.iter().find(|result| result.name == document).expect("it is found");
    assert_eq!((result.r#type.as_str(), &result.title, &result.folder), ("document", &entry.title, &entry.folder));
    assert_eq!((&result.media_type, result.update_time), (&entry.media_type, entry.update_time));
    assert!(result.score > 0.0);
    let marked = |at: usize| {
        let piece = &result.highlights[at];
        let range = &piece.ranges[0];
        (piece.field.as_str(), &piece.text[range.start as usize..range.end as usize])
    };
    assert_eq!([marked(0), marked(1)], [("title", "whales"), ("body", "WHALES")]);
    let picture = answer.results.iter().find(|result| result.name == file).expect("it is found");
    assert_eq!((picture.r#type.as_str(), picture.folder.as_str()), ("file", ""));
    for (query, count) in [("sing*", 1), ("\"largest animals\"", 1), ("\"animals largest\"", 0), ("whale -sing", 1)] {
        assert_eq!(fixture.found(query).await.len(), count, "{query}");
    }
    for (query, count) in [("sing OR png", 2), ("", 2), ("(whale sing) OR nothing", 1), ("???", 0), ("absent", 0)] {
        assert_eq!(fixture.found(query).await.len(), count, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facets_ignore_their_own_selection_and_only_that() {
    let fixture = Fixture::new().await;
    for number in 0..3 {
        fixture.create(fixture.document(&format!("plan {number}"), "")).await;
    }
    let mut markdown = fixture.document("plan in markdown", "");
    markdown.media_type = "text/markdown".to_owned();
    fixture.create(markdown).await;
    fixture.create_file("plan.png").await;
    fixture.until_found("plan", 5).await;
    let facets = ["type", "media_type", "folder"].map(str::to_owned).to_vec();
    let media_types = vec!["text/markdown".to_owned()];
    let request = SearchRequest { facets, media_types, ..fixture.request("plan") };
    let answer = fixture.try_search(&fixture.viewer, request).await.expect("valid");
    assert_eq!((answer.results.len(), total(&answer)), (1, (1, true)));
    let counts = |at: usize| -> Vec<(&str, i64)> {
        answer.facets[at].values.iter().map(|value| (value.value.as_str(), value.count)).collect()
    };
    assert_eq!(counts(0), [("document", 1)]);
    assert_eq!(counts(1), [("text/plain", 3), ("image/png", 1), ("text/markdown", 1)]);
    assert_eq!(counts(2), [(format!("{}/folders/root", fixture.organization.name()).as_str(), 1)]);
    assert!(answer.facets.iter().all(|facet| facet.other_count == 0));
    let types = vec!["file".to_owned()];
    let answer = fixture.try_search(&fixture.viewer, SearchRequest { types, ..fixture.request("plan") }).await;
    assert_eq!(answer.expect("valid").results[0].title, "plan.png");
    let folders = vec![format!("{}/folders/root", fixture.organization.name())];
    let answer = fixture.try_search(&fixture.viewer, SearchRequest { folders, ..fixture.request("plan") }).await;
    assert_eq!(answer.expect("valid").results.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_give_every_result_once_and_tokens_are_for_one_search_of_one_caller() {
    let fixture = Fixture::new().await;
    for number in 0..23 {
        fixture.create(fixture.document(&format!("report {number}"), &"filler ".repeat(number % 4))).await;
    }
    let request = SearchRequest { page_size: 100, ..fixture.request("report") };
    let all = testkit::eventually("the index has it", || async {
        let answer = fixture.try_search(&fixture.viewer, request.clone()).await.expect("valid");
        (answer.results.len() == 23).then(|| names(&answer))
    })
    .await;
    let (mut paged, mut page_token, mut first_token) = (Vec::new(), String::new(), String::new());
    loop {
        let request = SearchRequest { page_size: 7, page_token, ..fixture.request("report") };
        let answer = fixture.try_search(&fixture.viewer, request).await.expect("valid");
        assert_eq!(total(&answer), (23, true));
        paged.extend(names(&answer));
        page_token = answer.next_page_token;
        if first_token.is_empty() {
            first_token = page_token.clone();
        }
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all);
    let other_query = SearchRequest { page_token: first_token.clone(), ..fixture.request("reports") };
    let refused = fixture.try_search(&fixture.viewer, other_query).await.expect_err("another search");
    assert_eq!(refused.reason(), "PAGE_TOKEN_INVALID");
    let other_caller = SearchRequest { page_token: first_token, ..fixture.request("report") };
    let refused = fixture.try_search(&fixture.admin, other_caller).await.expect_err("another caller");
    assert_eq!(refused.reason(), "PAGE_TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_search_is_said() {
    let fixture = Fixture::new().await;
    let word = |word: &str| vec![word.to_owned()];
    let valid = || fixture.request("plan");
    let cases = [
        (SearchRequest { query: "\"open".to_owned(), ..valid() }, "QUERY_INVALID", "position", "1"),
        (SearchRequest { query: "a\u{0}".to_owned(), ..valid() }, "QUERY_INVALID", "position", "2"),
        (SearchRequest { query: "x".repeat(1025), ..valid() }, "QUERY_INVALID", "position", "1025"),
        (SearchRequest { query: "ab ".repeat(65), ..valid() }, "QUERY_TOO_COMPLEX", "limit", "64"),
        (SearchRequest { facets: word("author"), ..valid() }, "FACET_UNKNOWN", "", ""),
        (SearchRequest { types: word("folder"), ..valid() }, "TYPE_UNKNOWN", "", ""),
        (SearchRequest { folders: word("root"), ..valid() }, "NAME_INVALID", "", ""),
        (SearchRequest { media_types: word("a\u{0}"), ..valid() }, "FIELD_INVALID", "", ""),
        (SearchRequest { media_types: vec!["a/b".to_owned(); 101], ..valid() }, "FIELD_INVALID", "limit", "100"),
        (SearchRequest { page_size: -1, ..valid() }, "FIELD_INVALID", "", ""),
        (SearchRequest { page_token: "x".to_owned(), ..valid() }, "PAGE_TOKEN_INVALID", "", ""),
        (SearchRequest { parent: "organizations/x".to_owned(), ..valid() }, "NAME_INVALID", "", ""),
    ];
    for (request, reason, key, value) in cases {
        let error = fixture.try_search(&fixture.viewer, request).await.expect_err(reason);
        assert_eq!((error.code(), error.reason()), (Code::InvalidArgument, reason));
        if !key.is_empty() {
            assert_eq!(error.metadata().get(key).map(String::as_str), Some(value), "{reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_own_organization_is_searched_and_only_administrators_see_its_index() {
    let fixture = Fixture::new().await;
    let foreign = SearchRequest { parent: fixture.system.organization().name(), ..fixture.request("") };
    let refused = fixture.try_search(&fixture.admin, foreign).await.expect_err("another organization");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let name = format!("{}/searchIndex", fixture.organization.name());
    let mut client = SearchServiceClient::new(fixture.viewer.channel("search"));
    let refused = read(client.get_search_index(GetSearchIndexRequest { name: name.clone() }).await);
    assert_eq!(refused.expect_err("no administrator").code(), Code::PermissionDenied);
    let mut client = SearchServiceClient::new(fixture.admin.channel("search"));
    let refused = read(client.get_search_index(GetSearchIndexRequest { name: format!("{name}/x") }).await);
    assert_eq!(refused.expect_err("no name").reason(), "NAME_INVALID");
    assert_eq!(fixture.index().await.name, name);
}
