//! Services as separate processes, over mutual TLS with certificates of `workos certificates`, engines given by URL.
use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use testkit::{eventually_within, free_address};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{client::Client, groups, person::Person, platform::Site, process::Process, tus::Uploads};

const SERVICES: [&str; 7] = ["auth", "document", "file", "search", "workflow", "notification", "gateway"];
const PATIENCE: Duration = Duration::from_secs(120);

/// Environment variables.
type Settings = BTreeMap<String, String>;

/// One service in a process of its own.
struct Alone {
    process: Process,
    admin: Client,
}

/// Addresses of the processes.
struct Map {
    rpc: BTreeMap<&'static str, String>,
    edge: String,
}

impl Map {
    fn draw() -> Map {
        Map { rpc: SERVICES.map(|name| (name, free_address())).into(), edge: free_address() }
    }

    fn start(&self, site: &Site, service: &str, certificates: &Settings, edge: &str) -> Alone {
        let admin = free_address();
        let mut environment = site.settings();
        environment.extend(certificates.clone());
        let mut set = |key: &str, value: &str| {
            environment.insert(format!("WORKOS__{}", key.to_uppercase().replace('.', "__")), value.to_owned())
        };
        set("mesh.mode", "direct");
        set("admin.listen", &admin);
        set("gateway.listen", edge);
        let own = if edge == self.edge { self.rpc[service].clone() } else { free_address() };
        let mut arguments =
            vec!["serve".to_owned(), service.to_owned(), "--set".to_owned(), format!("rpc.listen={own}")];
        for (name, address) in &self.rpc {
            arguments.extend(["--set".to_owned(), format!("mesh.addresses.{name}=[\"{address}\"]")]);
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let process = Process::start(&arguments, site.folder(), &environment);
        Alone { process, admin: Client::new(format!("http://{admin}")) }
    }
}

impl Alone {
    async fn is_ready(&self) {
        let look = || async {
            assert!(!self.process.output().has_ended(), "the service ended: {}", self.process.output().tail());
            let answer = self.admin.get("/ready").attempt().await?;
            if answer.status == 200 { Ok(()) } else { Err(answer.show()) }
        };
        eventually_within(PATIENCE, "the service is ready", look).await;
    }
}

/// Certificates in a folder, and the settings by which services find them, as the command prints them for a shell.
async fn certificates(site: &Site, folder: &str) -> Settings {
    let printed = site.run(&["certificates", folder]).succeeds(PATIENCE).await.text();
    let lines = printed.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    let settings: Settings = lines.map(|(key, value)| (key.to_owned(), value.trim_matches('\'').to_owned())).collect();
    assert_eq!(settings.len(), 3, "{printed}");
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn services_run_apart_over_mutual_tls_and_strangers_are_kept_out() {
    let site = Site::new().await;
    let (ours, theirs) = (certificates(&site, "certificates").await, certificates(&site, "impostor").await);
    site.run(&["migrate"]).succeeds(PATIENCE).await;
    let map = Map::draw();
    let alone: Vec<_> = SERVICES.iter().map(|name| map.start(&site, name, &ours, &map.edge)).collect();
    for service in &alone {
        service.is_ready().await;
    }
    let client = Client::new(format!("http://{}", map.edge));
    let owner = Person::first(&client, &site).await;
    let signed_in = owner.sign_in(&client).await;
    let body = json!({"title": "Apart", "content": {"mediaType": "text/plain", "text": "written in one process, indexed in another"}});
    let document = signed_in.post(format!("/v1/{}/documents", owner.organization), &body).good().await;
    let uploads = Uploads { client: signed_in.clone(), organization: owner.organization.clone() };
    let path = uploads.begin(4, "filename YXBhcnQ=").await;
    assert_eq!(uploads.append(&path, 0, "data").await.status, 204);
    let file = signed_in.get(path.replace("/tus/", "/v1/")).good().await["file"].clone();
    let name = document["name"].as_str().expect("a document has a name");
    let attached = signed_in.post(format!("/v1/{name}:attachFile"), &json!({"file": file})).good().await;
    assert_eq!(attached["files"], json!([file]));
    let look = || async {
        let found = signed_in.get(format!("/v1/{}:search?query=indexed", owner.organization)).good().await;
        if found["results"][0]["name"] == name { Ok(()) } else { Err(found) }
    };
    eventually_within(PATIENCE, "the document is found", look).await;
    an_approval_runs_through_all(&client, &owner, name).await;
    what_is_taken_acts_in_other_processes(&client, &owner, name).await;
    groups::changes_are_heard_in_other_processes(&client, &owner).await;
    strangers_are_kept_out(&site, &map, &theirs).await;
    for service in alone.into_iter().rev() {
        service.process.stop().await;
    }
}

/// Workflow asks auth and document, its events reach notification: a task, an inbox entry, a decision, an outcome.
async fn an_approval_runs_through_all(client: &Client, owner: &Person, document: &str) {
    let (by_owner, person) = (owner.sign_in(client).await, owner.member(client, "Apart Approver", None).await);
    let (member, organization) = (person.sign_in(client).await, &owner.organization);
    let approval = json!({"documentApproval": {"document": document, "approvers": [person.user], "rule": "ANY"}});
    let run = by_owner.post(format!("/v1/{organization}/runs"), &approval).good().await;
    let entry = || async {
        let list = member.get(format!("/v1/{organization}/{}/inboxItems", person.user)).good().await;
        if list["unreadCount"] == "1" { Ok(()) } else { Err(list) }
    };
    eventually_within(PATIENCE, "the approver is told", entry).await;
    let tasks = member.get(format!("/v1/{organization}/tasks")).good().await;
    let task = tasks["tasks"][0]["name"].as_str().expect("the approver has a task");
    let decision = json!({"decision": "APPROVE", "requestId": uuid::Uuid::from_u128(rand::random())});
    let done = member.post(format!("/v1/{task}:complete"), &decision).good().await;
    assert_eq!(done["state"], "COMPLETED");
    let end = || async {
        let now = by_owner.get(format!("/v1/{}", run["name"].as_str().unwrap_or_default())).good().await;
        if now["outcome"] == "APPROVED" { Ok(()) } else { Err(now) }
    };
    eventually_within(PATIENCE, "the run ends", end).await;
}

/// A role taken in the process of auth acts at the edge and at documents without a new sign-in, and so does the end of a session (T4, B3).
/// Neither process asks auth for each call: what they hold is voided by what they hear.
async fn what_is_taken_acts_in_other_processes(client: &Client, owner: &Person, document: &str) {
    let (by_owner, person) = (owner.sign_in(client).await, owner.member(client, "Apart Editor", Some("EDITOR")).await);
    let tokens = person.tokens(client, &owner.organization).await;
    let member = client.with_token(&tokens.access);
    let change = |title: &str| member.patch(format!("/v1/{document}?updateMask=title"), &json!({"title": title}));
    change("By an editor").good().await;
    let list = by_owner.get(format!("/v1/{}/memberships?pageSize=1000", owner.organization)).good().await;
    let all = list["memberships"].as_array().into_iter().flatten();
    let membership = all.filter(|one| one["user"] == json!(person.user)).filter_map(|one| one["name"].as_str()).next();
    let path = format!("/v1/{}?updateMask=role", membership.expect("he is a member"));
    let refused = async |status: u16| {
        let look = || async {
            let answer = change("By nobody").send().await;
            if answer.status == status { Ok(answer) } else { Err(answer.show()) }
        };
        eventually_within(PATIENCE, "what was taken is refused", look).await
    };
    by_owner.patch(path.clone(), &json!({"role": "VIEWER"})).good().await;
    refused(403).await.is_refused(403, "ACCESS_DENIED");
    member.get(format!("/v1/{document}")).good().await;
    by_owner.patch(path, &json!({"role": "EDITOR"})).good().await;
    let again = || async {
        let answer = change("By an editor again").send().await;
        if answer.status == 200 { Ok(()) } else { Err(answer.show()) }
    };
    eventually_within(PATIENCE, "what was given acts too", again).await;
    member.post("/v1/users/me/sessions:revokeAll", &json!({})).good().await;
    refused(401).await.is_refused(401, "CREDENTIAL_INVALID");
}

/// Neither plain text nor a certificate of another CA gets in.
async fn strangers_are_kept_out(site: &Site, map: &Map, theirs: &Settings) {
    let mut plain = tokio::net::TcpStream::connect(&map.rpc["document"]).await.expect("the port is open");
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the socket takes it");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("the server does not wait");
    // A TLS alert (content type 21) or nothing at all, then the end.
    assert!(read.is_err() || answer.is_empty() || answer[0] == 21, "{answer:?}");
    let edge = free_address();
    let impostor = map.start(site, "gateway", theirs, &edge);
    let client = Client::new(format!("http://{edge}"));
    let look = || async { client.get("/v1/bootstrap").attempt().await };
    let answer = eventually_within(PATIENCE, "the impostor's edge answers", look).await;
    answer.is_refused(503, "SERVICE_UNAVAILABLE");
    let ready = impostor.admin.get("/ready").send().await;
    assert_eq!(ready.status, 503, "without keys it never becomes ready: {}", ready.show());
}
