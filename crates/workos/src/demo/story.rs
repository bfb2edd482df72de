//! What the demo tells after the import: revisions, search, sharing, an approval, the inbox and the mail.
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use api::Id;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{
    demo::{
        http::{Call, Http},
        import::search_path,
        people::{Cast, Person, SignedIn, request_id},
        scan::Item,
    },
    terminal,
};

/// How long the story waits for what happens by events.
const PATIENCE: Duration = Duration::from_secs(60);

/// The story of one run.
pub(crate) struct Story<'a> {
    /// Client.
    pub(crate) http: &'a Http,
    /// The people.
    pub(crate) cast: &'a Cast,
    /// Owner and the two members, signed in.
    pub(crate) signed_in: &'a [SignedIn<'a>],
    /// The document that the story is about.
    pub(crate) hero: &'a Item,
    /// Makes the ids of this run's changes; a new one for each run.
    pub(crate) run: Id,
}

impl Story<'_> {
    fn document(&self) -> String {
        format!("{}/documents/{}", self.cast.organization(), self.hero.id)
    }

    async fn owner(&self) -> Result<String> {
        self.signed_in[0].token().await
    }

    async fn member(&self, index: usize) -> Result<(String, &Person)> {
        Ok((self.signed_in[index].token().await?, &self.cast.people[index]))
    }

    fn request(&self, step: &str) -> String {
        request_id(self.run, step)
    }

    /// Edits the document twice and shows its revisions.
    pub(crate) async fn revisions(&self) -> Result<()> {
        terminal::heading("Two edits and the revisions they leave");
        let name = self.document();
        for edit in ["first", "second"] {
            let token = self.owner().await?;
            let current =
                self.http.send(Call::new("get a document", Method::GET, format!("/v1/{name}")).token(&token)).await?;
            let current = current.success("get document")?;
            let text = format!(
                "{}\n\nA {edit} note by the demo.\n",
                current["content"]["text"].as_str().unwrap_or_default().trim_end()
            );
            let body = json!({"content": {"mediaType": self.hero.media_type, "text": text}, "metadata": {"edited": true}, "etag": current["etag"]});
            let path = format!("/v1/{name}?updateMask=content,metadata.edited&requestId={}", self.request(edit));
            let call = Call::new("update a document", Method::PATCH, path).token(&token).json(&body);
            self.http.send(call).await?.success("update document")?;
        }
        let call = Call::new("list revisions", Method::GET, format!("/v1/{name}/revisions?pageSize=5"));
        let answer = self.http.send(call.token(self.owner().await?)).await?.success("list revisions")?;
        let mut rows = Vec::new();
        for revision in answer["revisions"].as_array().into_iter().flatten() {
            let number = revision["name"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
            rows.push(vec![format!("revision {number}"), text(&revision["createTime"]), text(&revision["title"])]);
        }
        terminal::table(&rows);
        Ok(())
    }

    /// Waits until everything is indexed.
    pub(crate) async fn await_index(&self) -> Result<Duration> {
        await_index(self.http, &self.signed_in[0], &self.cast.organization()).await
    }

    /// Searches and shows hits with their places.
    pub(crate) async fn search(&self) -> Result<()> {
        let word = self.word().await?;
        terminal::heading(&format!("Search for {word:?}"));
        let call = Call::new("search", Method::GET, search_path(&self.cast.organization(), &word));
        let answer = self.http.send(call.token(self.owner().await?)).await?.success("search")?;
        terminal::line(format!("  {} results", text(&answer["total"]["value"])));
        for result in answer["results"].as_array().into_iter().flatten() {
            terminal::line(format!("  {}  {}", text(&result["title"]), terminal::dim(&text(&result["name"]))));
            if let Some(highlight) = result["highlights"].as_array().and_then(|highlights| highlights.first()) {
                terminal::line(format!("      {}", with_marks(highlight)));
            }
        }
        for facet in answer["facets"].as_array().into_iter().flatten() {
            let values = facet["values"].as_array().into_iter().flatten();
            let counts: Vec<_> =
                values.map(|value| format!("{} {}", text(&value["value"]), text(&value["count"]))).collect();
            terminal::line(format!("  by {}: {}", text(&facet["name"]), counts.join(", ")));
        }
        Ok(())
    }

    /// A word of the document's text that is worth searching for.
    async fn word(&self) -> Result<String> {
        let path = format!("/v1/{}", self.document());
        let document = self
            .http
            .send(Call::new("get a document", Method::GET, path).token(self.owner().await?))
            .await?
            .success("document")?;
        let text = document["content"]["text"].as_str().unwrap_or_default();
        let words = text.split(|letter: char| !letter.is_alphabetic());
        Ok(words
            .filter(|word| (6..20).contains(&word.len()))
            .max_by_key(|word| word.len())
            .unwrap_or("demo")
            .to_lowercase())
    }

    /// Shares the document with the first member; the second still sees nothing.
    pub(crate) async fn share(&self) -> Result<()> {
        terminal::heading("Sharing: the first member sees it, the second does not");
        let (token, person) = (self.owner().await?, &self.cast.people[1]);
        let path = format!("/v1/{}/grants?requestId={}", self.document(), self.request("grant"));
        let body = json!({"principal": person.user(), "role": "READER"});
        self.http
            .send(Call::new("share a document", Method::POST, path).token(&token).json(&body))
            .await?
            .success("share")?;
        let mut rows = Vec::new();
        for index in [1, 2] {
            let (token, person) = self.member(index).await?;
            let path = format!("/v1/{}", self.document());
            let answer = self.http.send(Call::new("get a document", Method::GET, path).token(&token)).await?;
            let list = Call::new(
                "list documents",
                Method::GET,
                format!("/v1/{}/documents?pageSize=10", self.cast.organization()),
            );
            let list = self.http.send(list.token(&token)).await?.success("list documents")?;
            let count = list["documents"].as_array().map_or(0, Vec::len);
            let expected = if index == 1 { StatusCode::OK } else { StatusCode::FORBIDDEN };
            if answer.status != expected || (count > 0) != (index == 1) {
                bail!("{} got {} and {count} documents, expected {expected}", person.name, answer.status);
            }
            rows.push(vec![
                person.name.clone(),
                format!("GET {}", answer.status),
                format!("lists {count} document(s)"),
                answer.reason(),
            ]);
        }
        terminal::table(&rows);
        Ok(())
    }

    /// Runs an approval by the first member to its end.
    pub(crate) async fn approval(&self) -> Result<()> {
        terminal::heading("An approval, durable on Temporal");
        let run_id = Id::derive(self.run, b"approval");
        let name = format!("{}/runs/{run_id}", self.cast.organization());
        let body = json!({"documentApproval": {"document": self.document(), "approvers": [self.cast.people[1].user()], "rule": "ANY"}});
        let path = format!("/v1/{}/runs?runId={run_id}&requestId={}", self.cast.organization(), self.request("run"));
        let call = Call::new("start an approval", Method::POST, path).token(self.owner().await?).json(&body);
        self.http.send(call).await?.success("start run")?;
        let (token, person) = self.member(1).await?;
        let task = self.open_task(&token, &name).await?;
        let path = format!("/v1/{task}:complete");
        let body = json!({"decision": "APPROVE", "comment": "looks good", "requestId": self.request("decide")});
        self.http
            .send(Call::new("complete a task", Method::POST, path).token(&token).json(&body))
            .await?
            .success("complete task")?;
        let ended = self.watch(&name).await?;
        terminal::line(format!(
            "  {} approved; the run is {} with outcome {}",
            person.name,
            text(&ended["state"]),
            text(&ended["outcome"])
        ));
        if ended["outcome"] != json!("APPROVED") {
            bail!("the run ended as {ended}");
        }
        Ok(())
    }

    async fn open_task(&self, token: &str, run: &str) -> Result<String> {
        let path = format!("/v1/{}/tasks?pageSize=100", self.cast.organization());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let answer = self
                .http
                .send(Call::new("list tasks", Method::GET, path.clone()).token(token))
                .await?
                .success("list tasks")?;
            let task = answer["tasks"].as_array().into_iter().flatten().find(|task| task["run"] == json!(run));
            if let Some(name) = task.and_then(|task| task["name"].as_str()) {
                return Ok(name.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("no task came up for {run}; see the log of workflow and the Temporal UI")
    }

    /// Watches the run as NDJSON until it ends.
    async fn watch(&self, name: &str) -> Result<Value> {
        let token = self.owner().await?;
        let call = Call::new("watch a run", Method::GET, format!("/v1/{name}:watch")).token(&token);
        let call = call.header("accept", "application/x-ndjson");
        let mut body = self.http.stream(&call).await?.into_body();
        let (mut pending, mut last) = (Vec::new(), Value::Null);
        let read = async {
            while let Some(frame) = body.frame().await {
                pending.extend_from_slice(frame?.data_ref().map(|data| data.as_ref()).unwrap_or_default());
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    if let Ok(value) = serde_json::from_slice::<Value>(&line) {
                        last = value;
                    }
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, read).await.context("the run does not end; see the Temporal UI")??;
        Ok(last)
    }

    /// Shows the first member's inbox and the captured mails.
    pub(crate) async fn inbox(&self) -> Result<()> {
        terminal::heading("Inbox and mail");
        let (token, person) = self.member(1).await?;
        let path = format!("/v1/{}/{}/inboxItems?pageSize=5", self.cast.organization(), person.user());
        let items = self.until("inbox items", &token, &path, "inboxItems", "list the inbox").await?;
        terminal::line(format!("  inbox of {}", person.name));
        terminal::table(
            &items.iter().map(|item| vec![text(&item["category"]), text(&item["title"])]).collect::<Vec<_>>(),
        );
        let path = format!("/v1/{}/capturedMails?pageSize=5", self.cast.organization());
        let mails =
            self.until("captured mails", &self.owner().await?, &path, "capturedMails", "list captured mails").await?;
        terminal::line("  captured mails");
        terminal::table(&mails.iter().map(|mail| vec![text(&mail["to"]), text(&mail["subject"])]).collect::<Vec<_>>());
        Ok(())
    }

    async fn until(&self, what: &str, token: &str, path: &str, field: &str, kind: &'static str) -> Result<Vec<Value>> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let answer = self.http.send(Call::new(kind, Method::GET, path).token(token)).await?.success(what)?;
            let items = answer[field].as_array().cloned().unwrap_or_default();
            if !items.is_empty() {
                return Ok(items);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("no {what} came; see the log of notification")
    }
}

/// Waits until everything that was written before is indexed.
pub(crate) async fn await_index(http: &Http, owner: &SignedIn<'_>, organization: &str) -> Result<Duration> {
    let begin = Instant::now();
    let path = format!("/v1/{organization}/searchIndex");
    let bar = terminal::progress(0, "indexing");
    loop {
        let call = Call::new("ask how far the index is", Method::GET, path.clone());
        let state = http.send(call.token(owner.token().await?)).await?.success("search index")?;
        let pending = number(&state["pendingCount"]);
        if pending == 0 {
            bar.finish_and_clear();
            return Ok(begin.elapsed());
        }
        bar.set_length(bar.length().unwrap_or_default().max(pending));
        bar.set_position(bar.length().unwrap_or_default() - pending);
        if begin.elapsed() > PATIENCE * 10 {
            bail!("the index does not catch up: {pending} events wait; see the log of search");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// ProtoJSON writes 64-bit integers as strings and leaves zero out.
fn number(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_u64()).unwrap_or_default()
}

/// The piece of text with its matched places marked; ranges are UTF-8 bytes.
fn with_marks(highlight: &Value) -> String {
    let piece = highlight["text"].as_str().unwrap_or_default();
    let (mut out, mut at) = (String::new(), 0);
    for range in highlight["ranges"].as_array().into_iter().flatten() {
        let (start, end) = (range["start"].as_u64().unwrap_or(0) as usize, range["end"].as_u64().unwrap_or(0) as usize);
        if let (Some(before), Some(hit)) = (piece.get(at..start), piece.get(start..end)) {
            out.push_str(before);
            out.push_str(&terminal::marked(hit));
            at = end;
        }
    }
    out.push_str(piece.get(at..).unwrap_or_default());
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}
