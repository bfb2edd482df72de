//! One request, one request id and one trace id: in the log of each service it touched and in the events it caused.
use serde_json::{Value, json};
use testkit::eventually;

use crate::{
    person::Person,
    platform::{Platform, shared},
};

/// Log lines of one request that a service wrote as the server of a call.
fn served(platform: &Platform, request: &str) -> Vec<(String, String, Value)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = platform.output().log(|line| line["http.request.id"] == request && line["log.logger"] == "access");
    lines
        .into_iter()
        .map(|line| (text(&line["labels"]["rpc_method"]), text(&line["labels"]["peer"]), line["trace.id"].clone()))
        .collect()
}

#[tokio::test]
async fn a_request_is_found_by_its_id_and_its_trace_in_every_service_and_event() {
    let shared = shared().await;
    let (platform, nobody) = (&shared.platform, shared.platform.client());
    let member: Person = shared.owner.member(&nobody, "Maria Member", None).await;
    let (owner, organization) = (shared.owner.sign_in(&nobody).await, &shared.owner.organization);
    let request = format!("story-{:032x}", rand::random::<u128>());
    let body = json!({"title": "Traced", "content": {"mediaType": "text/plain", "text": "find me by my request"}});
    let answer =
        owner.post(format!("/v1/{organization}/documents"), &body).header("x-request-id", &request).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("x-request-id")), (200, request.as_str()));
    let document = answer.json()["name"].clone();

    // The log reaches the test through a pipe, a little after the answer.
    let edge = eventually("one line at the edge", || async {
        let lines = platform
            .output()
            .log(|line| line["http.request.id"] == request && line["http.response.status_code"] == 200);
        if lines.len() == 1 { Ok(lines) } else { Err(lines) }
    })
    .await;
    let trace = edge[0]["trace.id"].as_str().expect("the edge's line has a trace id").to_owned();
    assert!(trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit()), "{trace}");
    // The token was new, so auth was asked; the document was written; search read it again, called by the event.
    let wanted = [("ExchangeCredential", "gateway"), ("CreateDocument", "gateway"), ("BatchReadDocuments", "search")];
    let look = || async {
        let lines = served(platform, &request);
        let found = |(method, peer): (&str, &str)| lines.iter().any(|line| line.0 == method && line.1 == peer);
        if wanted.into_iter().all(found) { Ok(lines) } else { Err(lines) }
    };
    for (method, peer, of_line) in eventually("all services log the request", look).await {
        assert_eq!(of_line, json!(trace), "{method} by {peer}");
    }
    let sql = format!(
        "select type, headers->>'traceparent' from document.outbox_event where headers->>'x-request-id' = '{request}'"
    );
    let events = platform.site().sql(&sql).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0][0].as_deref(), Some("document.created"));
    assert!(events[0][1].as_deref().is_some_and(|parent| parent.contains(&trace)), "{events:?} {trace}");

    let request = format!("story-{:032x}", rand::random::<u128>());
    let approval = json!({"documentApproval": {"document": document, "approvers": [member.user], "rule": "ANY"}});
    let call = owner.post(format!("/v1/{organization}/runs"), &approval).header("x-request-id", &request);
    call.good().await;
    let wanted = [("CreateRun", "gateway"), ("GetDocument", "workflow"), ("CreateDelegation", "workflow")];
    eventually("all services log the request for a run", || async {
        let lines = served(platform, &request);
        let found = |(method, peer): (&str, &str)| lines.iter().any(|line| line.0 == method && line.1 == peer);
        if wanted.into_iter().all(found) { Ok(()) } else { Err(lines) }
    })
    .await;
    let sql = format!(
        "select count(*) from workflow.outbox_event where type = 'run.started' and headers->>'x-request-id' = '{request}'"
    );
    assert_eq!(platform.site().count(&sql).await, 1);
}

#[tokio::test]
async fn a_refused_request_is_found_too_and_secrets_are_found_nowhere() {
    let shared = shared().await;
    let (nobody, organization) = (shared.platform.client(), &shared.owner.organization);
    let tokens = shared.owner.tokens(&nobody, organization).await;
    let request = format!("refused-{:032x}", rand::random::<u128>());
    let unknown = format!("/v1/{organization}/documents/{}", api::Ids::default().next());
    let call = nobody.with_token(&tokens.access).get(unknown).header("x-request-id", &request);
    call.send().await.is_refused(404, "RESOURCE_NOT_FOUND");
    let output = shared.platform.output();
    eventually("the refusal at the edge and in the service", || async {
        let edge = output.log(|line| line["http.request.id"] == request && line["http.response.status_code"] == 404);
        let service = output.log(|line| line["http.request.id"] == request && line["log.logger"] == "access");
        if edge.len() == 1 && !service.is_empty() { Ok(()) } else { Err((edge.len(), service.len())) }
    })
    .await;
    let text = output.text();
    for secret in [&tokens.access, &tokens.refresh] {
        assert!(!text.contains(secret.as_str()), "a token stands in the log");
    }
}
