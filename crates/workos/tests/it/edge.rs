//! Bad input of every kind at the public door: the right status, a reason, words that say what to do, a request id; nothing
//! half done, nothing of the inside.
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    person::{Person, SYSTEM},
    platform::{ORIGIN, Platform, Shared, Site, shared},
};

/// The owner's way in, and where his documents are.
async fn owner(shared: &Shared) -> (Client, String) {
    let client = shared.owner.sign_in(&shared.platform.client()).await;
    (client, format!("/v1/{}/documents", shared.owner.organization))
}

async fn document(client: &Client, documents: &str, title: &str) -> Value {
    client
        .post(documents, &json!({"title": title, "content": {"mediaType": "text/plain", "text": "text"}}))
        .good()
        .await
}

fn path(resource: &Value) -> String {
    format!("/v1/{}", resource["name"].as_str().expect("a resource has a name"))
}

async fn documents_called(shared: &Shared, title: &str) -> i64 {
    let sql = format!("select count(*) from document.documents where title = '{title}'");
    shared.platform.site().count(&sql).await
}

#[tokio::test]
async fn a_body_that_is_no_json_of_the_message_is_refused_with_the_place() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    let cases = [
        (r#"{"title": "broken-body""#, "MALFORMED_JSON"),
        (r#"{"title": "broken-body"} x"#, "MALFORMED_JSON"),
        ("", "FIELD_INVALID"),
        ("null,", "INVALID_VALUE"),
        (r#"{"title": "broken-body", "colour": 1}"#, "UNKNOWN_FIELD"),
        (r#"{"title": "broken-body", "title": "twice"}"#, "DUPLICATE_FIELD"),
        (r#"{"title": 7}"#, "INVALID_VALUE"),
        (r#"{"title": "broken-body", "content": "text"}"#, "INVALID_VALUE"),
        (r#"{"title": "broken-body", "metadata": []}"#, "INVALID_VALUE"),
        (r#"["broken-body"]"#, "INVALID_VALUE"),
    ];
    for (body, reason) in cases {
        let answer = client.call(Method::POST, &documents).body("application/json", body).send().await;
        answer.is_refused(400, reason);
    }
    let deep = format!("{{\"title\": \"broken-body\", \"metadata\": {}{}}}", "{\"a\":".repeat(500), "}".repeat(500));
    let answer = client.call(Method::POST, &documents).body("application/json", deep).send().await;
    answer.is_refused(400, "TOO_DEEP");
    let latin =
        client.call(Method::POST, &documents).body("application/json", &b"{\"title\": \"\xff\"}"[..]).send().await;
    latin.is_refused(400, "MALFORMED_JSON");
    assert_eq!(documents_called(shared, "broken-body").await, 0);
}

#[tokio::test]
async fn values_that_the_contract_forbids_are_refused_with_field_and_reason() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    let text = |text: &str| json!({"title": "bad-value", "content": {"mediaType": "text/plain", "text": text}});
    client.post(&documents, &text("a\u{0}b")).send().await.is_refused(400, "CONTENT_INVALID");
    client.post(&documents, &json!({"title": "a\u{0}b"})).send().await.is_refused(400, "TITLE_INVALID");
    // REQUIRED: the edge does not ask the service.
    client.post(&documents, &json!({"title": ""})).send().await.is_refused(400, "FIELD_INVALID");
    let metadata = json!({"title": "bad-value", "metadata": {"a": "\u{0}"}});
    client.post(&documents, &metadata).send().await.is_refused(400, "METADATA_INVALID");
    let long = text(&"x".repeat(4 * 1024 * 1024 + 1));
    client.post(&documents, &long).send().await.is_refused(400, "CONTENT_INVALID");
    for (query, reason) in [
        ("pageToken=garbage", "PAGE_TOKEN_INVALID"),
        ("pageSize=-1", "FIELD_INVALID"),
        ("pageSize=many", "INVALID_PARAMETER"),
        ("colour=red", "UNKNOWN_PARAMETER"),
        ("pageSize=1&pageSize=2", "DUPLICATE_PARAMETER"),
        ("orderBy=colour", "FIELD_INVALID"),
        ("pageToken=%zz", "MALFORMED_QUERY"),
    ] {
        client.get(format!("{documents}?{query}")).send().await.is_refused(400, reason);
    }
    let missing = format!("{documents}?documentId=UPPER");
    client.post(missing, &json!({"title": "bad-value"})).send().await.is_refused(400, "FIELD_INVALID");
    assert_eq!(documents_called(shared, "bad-value").await, 0);
}

#[tokio::test]
async fn a_page_token_is_good_for_its_own_list_only() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    for title in ["page one", "page two"] {
        document(&client, &documents, title).await;
    }
    let page = client.get(format!("{documents}?pageSize=1")).good().await;
    let token = crate::client::encoded(page["nextPageToken"].as_str().expect("there is a second page"));
    client.get(format!("{documents}?pageSize=1&pageToken={token}")).good().await;
    let other = format!("{documents}?pageSize=1&showDeleted=true&pageToken={token}");
    client.get(other).send().await.is_refused(400, "PAGE_TOKEN_INVALID");
    let folders = documents.replace("/documents", "/folders");
    client.get(format!("{folders}?pageToken={token}")).send().await.is_refused(400, "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_or_not_it_names_its_length() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    let body = Bytes::from(format!("{{\"title\": \"{}\"}}", "x".repeat(8 * 1024 * 1024)));
    let answer = client.call(Method::POST, &documents).body("application/json", body).send().await;
    answer.is_refused(413, "BODY_TOO_LARGE");
    document(&client, &documents, "the connection is still good").await;
}

#[tokio::test]
async fn a_call_without_a_good_token_is_refused_before_its_body_is_read() {
    let shared = shared().await;
    let (nobody, documents) = (shared.platform.client(), format!("/v1/{}/documents", shared.owner.organization));
    let missing = nobody.post(&documents, &json!({"title": "no-token"})).send().await;
    missing.is_refused(401, "CREDENTIAL_MISSING");
    assert_eq!(missing.header("www-authenticate"), "Bearer");
    let good = shared.owner.tokens(&nobody, &shared.owner.organization).await.access;
    let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
    let claims = URL_SAFE_NO_PAD.decode(&parts[1]).expect("claims are base64");
    let mut claims: Value = serde_json::from_slice(&claims).expect("claims are JSON");
    claims["exp"] = json!(1);
    parts[1] = URL_SAFE_NO_PAD.encode(claims.to_string());
    let unsigned = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#),
        good.split('.').nth(1).unwrap_or_default()
    );
    for token in [parts.join("."), format!("{good}x"), unsigned, "garbage".to_owned(), "x".repeat(5_000)] {
        let answer = nobody.with_token(&token).post(&documents, &json!({"title": "no-token"})).send().await;
        answer.is_refused(401, "CREDENTIAL_INVALID");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    }
    let twice = nobody.with_token(&good).get(&documents).header("authorization", format!("Bearer {good}"));
    twice.send().await.is_refused(401, "CREDENTIAL_INVALID");
    nobody.get("/v1/bootstrap?key=wos_sk_x").send().await.is_refused(401, "CREDENTIAL_IN_QUERY");
    assert_eq!(documents_called(shared, "no-token").await, 0);
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_a_session_with_its_revocation() {
    let platform = Platform::start(Site::new().await.set("auth.access_token_life", "10s")).await;
    let owner = Person::first(&platform.client(), platform.site()).await;
    let client = platform.client();
    let tokens = owner.tokens(&client, &owner.organization).await;
    let signed_in = client.with_token(&tokens.access);
    signed_in.get("/v1/users/me").good().await;
    let look = || async {
        let answer = signed_in.get("/v1/users/me").send().await;
        if answer.status == 401 { Ok(answer) } else { Err(answer.status) }
    };
    testkit::eventually_within(Duration::from_secs(60), "the token's end", look)
        .await
        .is_refused(401, "CREDENTIAL_INVALID");
    let fresh =
        crate::person::token(&client, &[("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh)]).await;
    client.with_token(&fresh.access).get("/v1/users/me").good().await;
    let form = format!("token={}&client_id=workos-cli", crate::client::encoded(&fresh.refresh));
    client.call(Method::POST, "/oauth2/revoke").body("application/x-www-form-urlencoded", form).good().await;
    let form = format!(
        "grant_type=refresh_token&client_id=workos-cli&refresh_token={}",
        crate::client::encoded(&fresh.refresh)
    );
    let answer =
        client.call(Method::POST, "/oauth2/token").body("application/x-www-form-urlencoded", form).send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"].as_str()),
        (400, Some("invalid_grant")),
        "{}",
        answer.show()
    );
}

#[tokio::test]
async fn resources_of_another_tenant_cannot_be_told_from_unknown_ones() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    let found = document(&client, &documents, "of one tenant only").await;
    let tokens = shared.owner.tokens(&shared.platform.client(), SYSTEM).await;
    let foreign = shared.platform.client().with_token(&tokens.access);
    let unknown = format!("{documents}/{}", api::Ids::default().next());
    let answers: Vec<Answer> = vec![
        foreign.get(path(&found)).send().await,
        foreign.get(&unknown).send().await,
        foreign.get(&documents).send().await,
        foreign.patch(path(&found), &json!({"title": "mine now"})).send().await,
        foreign.delete(path(&found)).send().await,
        foreign.post(&documents, &json!({"title": "in another's house"})).send().await,
        foreign.get(format!("/v1/{}:search?query=tenant", shared.owner.organization)).send().await,
    ];
    for answer in answers {
        answer.is_refused(403, "ACCESS_DENIED");
        assert!(!answer.show().contains("of one tenant only"));
    }
    assert_eq!(client.get(path(&found)).good().await["title"], "of one tenant only");
    client.get(unknown).send().await.is_refused(404, "RESOURCE_NOT_FOUND");
}

#[tokio::test]
async fn a_member_without_a_role_sees_nothing_and_may_change_nothing() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    let found = document(&client, &documents, "not for members").await;
    let member = shared.owner.member(&shared.platform.client(), "No Role", None).await;
    let member = member.sign_in(&shared.platform.client()).await;
    let denied = member.get(path(&found)).send().await;
    denied.is_refused(403, "ACCESS_DENIED");
    member.post(&documents, &json!({"title": "by a member"})).send().await.is_refused(403, "ACCESS_DENIED");
    assert_eq!(member.get(&documents).good().await["documents"].as_array().map_or(0, Vec::len), 0);
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    let first = document(&client, &documents, "etag one").await;
    let etag = first["etag"].as_str().expect("it has an etag").to_owned();
    let change = |title: &str| client.patch(format!("{}?updateMask=title", path(&first)), &json!({"title": title}));
    let second = change("etag two").header("if-match", &etag).good().await;
    assert_ne!(second["etag"], first["etag"]);
    change("etag three").header("if-match", &etag).send().await.is_refused(412, "ETAG_MISMATCH");
    let body = json!({"title": "etag three", "etag": etag});
    client.patch(format!("{}?updateMask=title", path(&first)), &body).send().await.is_refused(409, "ETAG_MISMATCH");
    client
        .delete(format!("{}?etag={}", path(&first), crate::client::encoded(&etag)))
        .send()
        .await
        .is_refused(409, "ETAG_MISMATCH");
    let now = client.get(path(&first)).send().await;
    assert_eq!(now.json()["title"], "etag two");
    let same = client.get(path(&first)).header("if-none-match", now.header("etag")).send().await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
}

#[tokio::test]
async fn a_request_id_gives_its_first_answer_again_and_fits_one_body_only() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    let request = uuid::Uuid::from_u128(rand::random());
    let create = |title: &str| client.post(format!("{documents}?requestId={request}"), &json!({"title": title}));
    let first = create("once and for all").good().await;
    assert_eq!(create("once and for all").good().await["name"], first["name"]);
    create("another").send().await.is_refused(400, "REQUEST_ID_REUSED");
    assert_eq!(documents_called(shared, "once and for all").await, 1);
    assert_eq!(documents_called(shared, "another").await, 0);
}

#[tokio::test]
async fn wrong_ways_to_ask_are_told_apart() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    client.get("/v1/nowhere").send().await.is_refused(404, "ROUTE_NOT_FOUND");
    let put = client.call(Method::PUT, &documents).json(&json!({})).send().await;
    put.is_refused(405, "METHOD_NOT_ALLOWED");
    assert!(put.header("allow").contains("GET") && put.header("allow").contains("POST"), "{}", put.header("allow"));
    let options = client.call(Method::OPTIONS, &documents).send().await;
    assert_eq!(options.status, 204);
    assert!(options.header("allow").contains("POST"), "{}", options.show());
    let xml = client.call(Method::POST, &documents).body("application/xml", "<title/>").send().await;
    xml.is_refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let user = &shared.owner.user;
    let watch = format!("/v1/{}/{user}/inboxItems:watch", shared.owner.organization);
    client.get(watch).header("accept", "image/png").send().await.is_refused(406, "NOT_ACCEPTABLE");
    client.get(&documents).json(&json!({"a": 1})).send().await.is_refused(400, "BODY_NOT_ALLOWED");
    client.get(format!("{documents}/%zz")).send().await.is_refused(400, "MALFORMED_PATH");
    client.get(format!("{documents}/not-an-id")).send().await.is_refused(400, "NAME_INVALID");
    let timeout = client.get(&documents).header("x-server-timeout", "soon").send().await;
    timeout.is_refused(400, "HEADER_INVALID");
    for peers_only in ["/v1/oauth2/token", "/workos.auth.v1.TokenService/ExchangeCredential"] {
        client.post(peers_only, &json!({})).send().await.is_refused(404, "ROUTE_NOT_FOUND");
    }
}

#[tokio::test]
async fn forged_inner_headers_change_nothing() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    let nobody = shared.platform.client();
    for name in [
        "x-workos-biscuit-bin",
        "x_workos_biscuit_bin",
        "grpc-metadata-x-workos-biscuit-bin",
        "x-forwarded-client-cert",
    ] {
        let forged = |client: &Client| client.get(&documents).header(name, "Zm9yZ2Vk");
        forged(&nobody).send().await.is_refused(401, "CREDENTIAL_MISSING");
        forged(&client).good().await;
    }
    let answer = client.get(&documents).header("x-request-id", "bad id; drop").send().await;
    assert_ne!(answer.header("x-request-id"), "bad id; drop");
}

#[tokio::test]
async fn a_browser_of_an_allowed_origin_may_call_and_no_other() {
    let shared = shared().await;
    let (client, documents) = owner(shared).await;
    let nobody = shared.platform.client();
    let preflight = |origin: &str, method: &str| {
        let call = nobody.call(Method::OPTIONS, &documents).header("origin", origin);
        call.header("access-control-request-method", method).header("access-control-request-headers", "authorization")
    };
    let answer = preflight(ORIGIN, "POST").send().await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (204, ORIGIN));
    assert!(answer.header("access-control-allow-methods").contains("POST"), "{}", answer.show());
    assert!(answer.header("access-control-allow-headers").contains("authorization"), "{}", answer.show());
    let answer = preflight("https://evil.example", "POST").send().await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(preflight(ORIGIN, "TRACE").send().await.header("access-control-allow-methods"), "");
    let refused = nobody.get(&documents).header("origin", ORIGIN).send().await;
    refused.is_refused(401, "CREDENTIAL_MISSING");
    assert_eq!(refused.header("access-control-allow-origin"), ORIGIN);
    assert!(refused.header("access-control-expose-headers").contains("x-request-id"));
    let answer = client.get(&documents).header("origin", ORIGIN).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, ORIGIN));
    assert_eq!(answer.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn too_many_calls_of_one_caller_are_told_when_to_come_back() {
    let platform = Platform::start(Site::new().await.set("gateway.rate_write", "3")).await;
    let owner = Person::first(&platform.client(), platform.site()).await;
    let client = owner.sign_in(&platform.client()).await;
    let documents = format!("/v1/{}/documents", owner.organization);
    let mut made = 0;
    let refused = loop {
        let answer = client.post(&documents, &json!({"title": "one of many"})).send().await;
        match answer.status.as_u16() {
            200 => made += 1,
            _ => break answer,
        }
        assert!(made < 1_000, "no limit in force");
    };
    refused.is_refused(429, "RATE_LIMITED");
    assert!(
        refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)),
        "{}",
        refused.show()
    );
    assert!(refused.detail("RetryInfo")["retryDelay"].is_string(), "{}", refused.show());
    assert!(made >= 3, "{made} calls were let through");
    client.get(&documents).good().await;
    let again = || async {
        let answer = client.post(&documents, &json!({"title": "one of many"})).send().await;
        if answer.status == 200 { Ok(()) } else { Err(answer.status) }
    };
    testkit::eventually("the limit lets calls through again", again).await;
    let kept = platform.site().count("select count(*) from document.documents").await;
    assert_eq!(kept, made + 1, "a refused call does nothing");
}
