//! Engines go away, one after the other, while the platform runs: what each takes with it, what goes on, and that everything
//! heals by itself.
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Engine, eventually_within};

use crate::{
    client::{Answer, Client},
    person::Person,
    platform::{Platform, Site},
};

const PATIENCE: Duration = Duration::from_secs(90);

struct Scene {
    platform: Platform,
    owner: Client,
    person: Person,
    organization: String,
}

impl Scene {
    async fn set() -> Scene {
        let platform = Platform::start(Site::through_proxies().await).await;
        let person = Person::first(&platform.client(), platform.site()).await;
        let owner = person.sign_in(&platform.client()).await;
        let organization = person.organization.clone();
        Scene { platform, owner, person, organization }
    }

    async fn write(&self, title: &str) -> Answer {
        let body = json!({"title": title, "content": {"mediaType": "text/plain", "text": format!("about {title}")}});
        self.owner.post(format!("/v1/{}/documents", self.organization), &body).send().await
    }

    /// Writes, which must succeed, and gives the document's path.
    async fn written(&self, title: &str) -> String {
        let answer = self.write(title).await;
        assert_eq!(answer.status, 200, "{}", answer.show());
        format!("/v1/{}", answer.json()["name"].as_str().expect("a document has a name"))
    }

    async fn titles(&self, word: &str) -> Vec<String> {
        let answer = self.owner.get(format!("/v1/{}:search?query={word}", self.organization)).good().await;
        let results = answer["results"].as_array().cloned().unwrap_or_default();
        results.iter().map(|result| result["title"].as_str().unwrap_or_default().to_owned()).collect()
    }

    async fn is_found(&self, word: &str) {
        let look = || async {
            let titles = self.titles(word).await;
            if titles.len() == 1 { Ok(()) } else { Err(titles) }
        };
        eventually_within(PATIENCE, &format!("{word} is found once"), look).await;
    }

    /// Waits until the readiness page satisfies a condition.
    async fn readiness(&self, what: &str, fits: impl Fn(&Answer, &Value) -> bool) -> Value {
        let admin = self.platform.admin();
        let look = || async {
            let answer = admin.get("/ready").send().await;
            let page = answer.json();
            if fits(&answer, &page) { Ok(page) } else { Err(page.to_string()) }
        };
        eventually_within(PATIENCE, what, look).await
    }

    async fn is_whole(&self) {
        let empty = |value: &Value| value.as_object().is_none_or(serde_json::Map::is_empty);
        self.readiness("ready, and nothing to note", |answer, page| answer.status == 200 && empty(&page["notes"]))
            .await;
    }

    /// Sum of all samples of one metric.
    async fn metric(&self, name: &str) -> f64 {
        let page = self.platform.admin().get("/metrics").send().await;
        let text = String::from_utf8_lossy(&page.body).into_owned();
        let samples = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

fn names(page: &Value, key: &str) -> Vec<String> {
    page[key].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_away_means_not_ready_and_unavailable_with_a_time_to_come_back() {
    let scene = Scene::set().await;
    let before = scene.written("before").await;
    scene.platform.engine(Engine::Postgres).cut();
    let waits = |page: &Value| names(page, "awaited").contains(&"document/postgres".to_owned());
    scene.readiness("not ready, and it says why", |answer, page| answer.status == 503 && waits(page)).await;
    for answer in [scene.owner.get(&before).send().await, scene.write("during").await] {
        answer.is_refused(503, "SERVICE_UNAVAILABLE");
        assert_eq!(answer.json()["error"]["status"], "UNAVAILABLE");
        assert!(answer.detail("RetryInfo")["retryDelay"].is_string(), "{}", answer.show());
        assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{}", answer.show());
    }
    scene.platform.engine(Engine::Postgres).mend();
    scene.is_whole().await;
    assert_eq!(scene.owner.get(&before).good().await["title"], "before");
    scene.written("afterwards").await;
    scene.is_found("afterwards").await;
    assert_eq!(scene.platform.site().count("select count(*) from document.documents where title = 'during'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporal_away_means_that_only_workflow_is_not_ready() {
    let scene = Scene::set().await;
    let document = scene.written("contract").await;
    let member = scene.person.member(&scene.platform.client(), "Maria Member", None).await;
    let at_work = member.sign_in(&scene.platform.client()).await;
    scene.platform.engine(Engine::Temporal).cut();
    let page = scene.readiness("workflow waits", |_, page| !names(page, "awaited").is_empty()).await;
    assert!(names(&page, "awaited").iter().all(|name| name.starts_with("workflow/")), "{page}");
    scene.written("meanwhile").await;
    scene.is_found("meanwhile").await;
    let approval = json!({"documentApproval": {"document": document.trim_start_matches("/v1/"), "approvers": [member.user], "rule": "ANY"}});
    let run = scene.owner.post(format!("/v1/{}/runs", scene.organization), &approval).good().await;
    assert_eq!(run["state"], "STARTING", "what was accepted is kept: {run}");
    scene.platform.engine(Engine::Temporal).mend();
    scene.is_whole().await;
    let look = || async {
        let tasks = at_work.get(format!("/v1/{}/tasks", scene.organization)).good().await;
        tasks["tasks"].as_array().into_iter().flatten().find(|task| task["run"] == run["name"]).cloned().ok_or(tasks)
    };
    let task = eventually_within(PATIENCE, "the run goes on by itself", look).await;
    let path = format!("/v1/{}:complete", task["name"].as_str().expect("a task has a name"));
    at_work.post(path, &json!({"decision": "REJECT"})).good().await;
    let path = format!("/v1/{}", run["name"].as_str().expect("a run has a name"));
    let look = || async {
        let run = scene.owner.get(&path).good().await;
        if run["outcome"] == "REJECTED" { Ok(()) } else { Err(run) }
    };
    eventually_within(PATIENCE, "the run's end", look).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_away_means_local_limits_and_everything_answers() {
    let scene = Scene::set().await;
    scene.platform.engine(Engine::Redis).cut();
    let page = scene.readiness("the loss is noted", |answer, page| {
        answer.status == 200 && names(page, "notes").iter().any(|name| name.ends_with("/redis"))
    });
    let page = page.await;
    assert_eq!(names(&page, "awaited"), Vec::<String>::new(), "nothing waits for it");
    let document = scene.written("without").await;
    assert_eq!(scene.owner.get(&document).good().await["title"], "without");
    scene.is_found("without").await;
    let again = scene.person.sign_in(&scene.platform.client()).await;
    again.get("/v1/users/me").good().await;
    scene.platform.engine(Engine::Redis).mend();
    scene.is_whole().await;
    scene.written("healed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_away_means_that_writes_go_on_and_the_backlog_shows() {
    let scene = Scene::set().await;
    scene.written("earlier").await;
    scene.is_found("earlier").await;
    scene.platform.engine(Engine::Nats).cut();
    scene
        .readiness("the loss is noted", |answer, page| {
            answer.status == 200 && page["notes"].to_string().contains("broker away")
        })
        .await;
    for number in 0..5 {
        scene.written(&format!("backlog{number}")).await;
    }
    let look = || async {
        let unsent = scene.metric("workos_events_unsent").await;
        if unsent >= 5.0 { Ok(()) } else { Err(unsent) }
    };
    eventually_within(PATIENCE, "the backlog shows in the metrics", look).await;
    let counted = |page: &Value| page["notes"].to_string().contains("5 events unsent");
    scene.readiness("the backlog shows in the readiness", |answer, page| answer.status == 200 && counted(page)).await;
    assert_eq!(scene.titles("backlog3").await, Vec::<String>::new());
    scene.platform.engine(Engine::Nats).mend();
    for number in 0..5 {
        scene.is_found(&format!("backlog{number}")).await;
    }
    scene.is_whole().await;
    let look = || async {
        let unsent = scene.metric("workos_events_unsent").await;
        if unsent == 0.0 { Ok(()) } else { Err(unsent) }
    };
    eventually_within(PATIENCE, "the backlog is gone", look).await;
    assert_eq!(
        scene.platform.site().count("select count(*) from document.outbox_event where sent_at is null").await,
        0
    );
}
