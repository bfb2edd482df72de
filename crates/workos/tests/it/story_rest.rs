//! The story of the platform as a REST client tells it: sign in, write, find, share, upload, approve, be told.
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::eventually_within;

use crate::{
    client::{Client, read_until},
    person::Person,
    platform::{Shared, shared},
    tus::Uploads,
};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);

/// Owner and a member without a role, signed in.
struct Cast<'a> {
    shared: &'a Shared,
    owner: Client,
    member: Client,
    person: Person,
    organization: &'a str,
}

impl<'a> Cast<'a> {
    async fn gather(shared: &'a Shared) -> Cast<'a> {
        let client = shared.platform.client();
        let person = shared.owner.member(&client, "Maria Member", None).await;
        let (owner, member) = (shared.owner.sign_in(&client).await, person.sign_in(&client).await);
        Cast { shared, owner, member, person, organization: &shared.owner.organization }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/{}{rest}", self.organization)
    }

    /// Creates a document with an id of the caller's choice.
    async fn document(&self, title: &str, text: &str) -> Value {
        let id = api::Ids::default().next();
        let body = json!({
            "title": title, "content": {"mediaType": "text/markdown", "text": text}, "metadata": {"kind": "story", "n": 1.5},
        });
        let made = self.owner.post(self.path(&format!("/documents?documentId={id}")), &body).good().await;
        assert_eq!(made["name"], format!("{}/documents/{id}", self.organization));
        assert_eq!((&made["state"], &made["headRevision"]), (&json!("ACTIVE"), &json!("1")));
        assert_eq!(made["creator"], self.shared.owner.user);
        made
    }

    /// Titles that a search shows to somebody.
    async fn hits(&self, client: &Client, word: &str) -> Vec<Value> {
        let answer = client.get(self.path(&format!(":search?query={word}&facets=type"))).good().await;
        answer["results"].as_array().cloned().unwrap_or_default()
    }

    async fn finds(&self, client: &Client, word: &str, name: &Value) -> Value {
        let look = || async {
            let hits = self.hits(client, word).await;
            hits.iter().find(|hit| hit["name"] == *name).cloned().ok_or(hits)
        };
        eventually_within(PATIENCE, "the search finds the document", look).await
    }
}

fn at(resource: &Value) -> String {
    format!("/v1/{}", resource["name"].as_str().expect("a resource has a name"))
}

/// A word that no other test uses.
fn word() -> String {
    let letters = |number: u128| (0..20).map(move |at| char::from(b'a' + ((number >> (at * 5)) % 26) as u8));
    letters(rand::random()).collect()
}

#[tokio::test]
async fn documents_are_written_listed_in_pages_changed_and_restored() {
    let cast = Cast::gather(shared().await).await;
    let folder =
        cast.owner.post(cast.path("/folders"), &json!({"displayName": format!("Folder {}", word())})).good().await;
    let mut names = Vec::new();
    for number in 0..5 {
        let body = json!({"title": format!("Page {number}"), "folder": folder["name"], "content": {"mediaType": "text/plain", "text": "p"}});
        names.push(cast.owner.post(cast.path("/documents"), &body).good().await["name"].clone());
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let folder = crate::client::encoded(folder["name"].as_str().expect("it has a name"));
        let path = cast.path(&format!("/documents?pageSize=2&folder={folder}&pageToken={token}"));
        let page = cast.owner.get(path).good().await;
        let documents = page["documents"].as_array().cloned().unwrap_or_default();
        assert!((1..=2).contains(&documents.len()), "{page}");
        seen.extend(documents.iter().map(|document| document["name"].clone()));
        token = crate::client::encoded(page["nextPageToken"].as_str().unwrap_or_default());
        if token.is_empty() {
            break;
        }
    }
    seen.sort_by_key(Value::to_string);
    names.sort_by_key(Value::to_string);
    assert_eq!(seen, names, "each document stands on one page");

    let made = cast.document("Draft", "first text").await;
    let body = json!({"content": {"mediaType": "text/plain", "text": "second text"}, "metadata": {"n": 2}});
    let change = cast.owner.patch(format!("{}?updateMask=content,metadata.n", at(&made)), &body);
    let changed = change.header("if-match", made["etag"].as_str().expect("it has an etag")).good().await;
    assert_eq!(changed["metadata"], json!({"kind": "story", "n": 2}), "a mask changes what it names and nothing else");
    assert_eq!((&changed["headRevision"], &changed["title"]), (&json!("2"), &json!("Draft")));
    let revisions = cast.owner.get(format!("{}/revisions", at(&made))).good().await;
    assert_eq!(revisions["revisions"].as_array().map(Vec::len), Some(2), "{revisions}");
    let restored = cast.owner.post(format!("{}/revisions/1:restore", at(&made)), &json!({})).good().await;
    assert_eq!((&restored["content"]["text"], &restored["headRevision"]), (&json!("first text"), &json!("3")));
    let deleted = cast.owner.delete(at(&made)).good().await;
    assert_eq!(deleted["state"], "DELETED");
    let back = cast.owner.post(format!("{}:undelete", at(&made)), &json!({})).good().await;
    assert_eq!((&back["state"], &back["content"]["text"]), (&json!("ACTIVE"), &json!("first text")));
}

#[tokio::test]
async fn a_shared_document_is_seen_and_found_by_the_member_it_was_shared_with_and_by_no_other() {
    let shared = shared().await;
    let cast = Cast::gather(shared).await;
    let other = shared.owner.member(&shared.platform.client(), "Noah Member", None).await;
    let other = other.sign_in(&shared.platform.client()).await;
    let word = word();
    let made = cast.document("Secret plan", &format!("the plan is {word}, nothing else")).await;
    let hit = cast.finds(&cast.owner, &word, &made["name"]).await;
    let highlight = &hit["highlights"][0];
    let range = &highlight["ranges"][0];
    let (start, end) =
        (range["start"].as_u64().unwrap_or(0) as usize, range["end"].as_u64().expect("a range ends") as usize);
    assert_eq!(highlight["text"].as_str().and_then(|text| text.get(start..end)), Some(word.as_str()), "{hit}");
    assert_eq!(cast.hits(&cast.member, &word).await, Vec::<Value>::new());

    let grant = json!({"principal": cast.person.user, "role": "READER"});
    let grant = cast.owner.post(format!("{}/grants", at(&made)), &grant).good().await;
    assert_eq!(cast.member.get(at(&made)).good().await["title"], "Secret plan");
    cast.finds(&cast.member, &word, &made["name"]).await;
    other.get(at(&made)).send().await.is_refused(403, "ACCESS_DENIED");
    assert_eq!(cast.hits(&other, &word).await, Vec::<Value>::new());
    let write = cast.member.patch(format!("{}?updateMask=title", at(&made)), &json!({"title": "Mine"})).send().await;
    write.is_refused(403, "ACCESS_DENIED");

    cast.owner.delete(at(&grant)).good().await;
    cast.member.get(at(&made)).send().await.is_refused(403, "ACCESS_DENIED");
    assert_eq!(cast.hits(&cast.member, &word).await, Vec::<Value>::new(), "hidden at the next request");
}

#[tokio::test]
async fn a_file_goes_up_in_pieces_and_comes_down_in_ranges() {
    let shared = shared().await;
    let cast = Cast::gather(shared).await;
    let uploads = Uploads { client: cast.owner.clone(), organization: cast.organization.to_owned() };
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    // photo.bin, application/octet-stream
    let path = uploads.begin(bytes.len(), "filename cGhvdG8uYmlu,filetype YXBwbGljYXRpb24vb2N0ZXQtc3RyZWFt").await;
    for (at, piece) in bytes.chunks(1_000_000).enumerate() {
        let answer = uploads.append(&path, at * 1_000_000, piece.to_vec()).await;
        assert_eq!(answer.header("upload-offset"), ((at * 1_000_000) + piece.len()).to_string(), "{}", answer.show());
    }
    let upload = cast.owner.get(path.replace("/tus/", "/v1/")).good().await;
    let name = upload["file"].as_str().expect("it is complete").to_owned();
    let file = cast.owner.get(format!("/v1/{name}")).good().await;
    let sum = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        (&file["sha256"], &file["sizeBytes"], &file["displayName"]),
        (&json!(sum), &json!("3000000"), &json!("photo.bin"))
    );

    let download = |range: &str| {
        let call = cast.owner.get(format!("/v1/{name}:download"));
        if range.is_empty() { call } else { call.header("range", range) }
    };
    let whole = download("").send().await;
    assert_eq!((whole.status.as_u16(), whole.header("content-length")), (200, "3000000"));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert!(whole.body == bytes, "the same bytes come back");
    let part = download("bytes=1000-1999").send().await;
    assert_eq!((part.status.as_u16(), part.header("content-range")), (206, "bytes 1000-1999/3000000"));
    assert!(part.body == bytes[1000..2000]);
    let tail = download("bytes=-5").send().await;
    assert_eq!((tail.status.as_u16(), tail.header("content-range")), (206, "bytes 2999995-2999999/3000000"));
    assert!(tail.body == bytes[2_999_995..]);
    let outside = download("bytes=3000000-").send().await;
    outside.is_refused(416, "RANGE_UNSATISFIABLE");
    assert_eq!(outside.header("content-range"), "bytes */3000000");
    let same = download("").header("if-none-match", whole.header("etag")).send().await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));

    // The member reads it through a document that is shared with him and that it is attached to.
    cast.member.get(format!("/v1/{name}")).send().await.is_refused(403, "ACCESS_DENIED");
    let made = cast.document("With a file", "see the attachment").await;
    let attached = cast.owner.post(format!("{}:attachFile", at(&made)), &json!({"file": name})).good().await;
    assert_eq!(attached["files"], json!([name]));
    let grant = json!({"principal": format!("{}#member", cast.organization), "role": "READER"});
    cast.owner.post(format!("{}/grants", at(&made)), &grant).good().await;
    let look = || async {
        let answer = cast.member.get(format!("/v1/{name}:download")).send().await;
        if answer.status == 200 { Ok(answer) } else { Err(answer.show()) }
    };
    let seen = eventually_within(PATIENCE, "the member may read the attached file", look).await;
    assert!(seen.body == bytes);
    let delete = || cast.owner.delete(format!("/v1/{name}"));
    delete().send().await.is_refused(400, "FILE_ATTACHED");
}

#[tokio::test]
async fn an_approval_runs_to_its_end_and_everybody_concerned_is_told() {
    let cast = Cast::gather(shared().await).await;
    let title = format!("Contract {}", word());
    let made = cast.document(&title, "please approve").await;
    let inbox = cast.path(&format!("/{}/inboxItems", cast.person.user));
    let watch =
        cast.member.get(format!("{inbox}:watch?afterSequence=0")).header("accept", "text/event-stream").open().await;
    let watch = watch.expect("the stream opens");
    assert_eq!((watch.status().as_u16(), watch.headers()["content-type"].as_bytes()), (200, &b"text/event-stream"[..]));

    let approval =
        json!({"documentApproval": {"document": made["name"], "approvers": [cast.person.user], "rule": "ANY"}});
    let run = cast.owner.post(cast.path("/runs"), &approval).good().await;
    let find = || async {
        let tasks = cast.member.get(cast.path("/tasks?pageSize=100")).good().await;
        let open = tasks["tasks"].as_array().into_iter().flatten().find(|task| task["run"] == run["name"]).cloned();
        open.ok_or(tasks)
    };
    let task = eventually_within(PATIENCE, "a task for the approver", find).await;
    assert_eq!((&task["state"], &task["assignee"]), (&json!("OPEN"), &json!(cast.person.user)));
    let event = read_until(watch.into_body(), |text| {
        let (complete, _) = text.rsplit_once("\n\n")?;
        complete.split("\n\n").find(|event| event.contains("data:") && event.contains(&title)).map(str::to_owned)
    });
    let event = event.await;
    assert!(event.lines().any(|line| line.starts_with("id:")), "a client can go on where it stopped: {event}");

    let decision =
        json!({"decision": "APPROVE", "comment": "fine", "requestId": uuid::Uuid::from_u128(rand::random())});
    let done = cast.member.post(format!("{}:complete", at(&task)), &decision).good().await;
    assert_eq!((&done["state"], &done["decision"]), (&json!("COMPLETED"), &json!("APPROVE")));
    let again = cast.member.post(format!("{}:complete", at(&task)), &decision).good().await;
    assert_eq!(again["state"], "COMPLETED", "a repeat gives the first answer");
    let lines = cast.owner.get(format!("{}:watch", at(&run))).header("accept", "application/x-ndjson").send().await;
    let last = lines.body.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).expect("at least one state");
    let last: Value = serde_json::from_slice(last).expect("each line is JSON");
    assert_eq!((&last["state"], &last["outcome"]), (&json!("COMPLETED"), &json!("APPROVED")), "{last}");
    is_told_once(&cast, &inbox, &title).await;
}

/// One entry in the inbox, which can be marked, and one mail.
async fn is_told_once(cast: &Cast<'_>, inbox: &str, title: &str) {
    let list = cast.member.get(inbox).good().await;
    let items: Vec<_> = list["inboxItems"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|item| item.to_string().contains(title))
        .cloned()
        .collect();
    assert_eq!(items.len(), 1, "one task, one entry: {list}");
    let unread =
        list["unreadCount"].as_str().and_then(|count| count.parse::<i64>().ok()).expect("an unread entry is counted");
    let mark = json!({"names": [items[0]["name"]], "read": true});
    assert_eq!(cast.member.post(format!("{inbox}:mark"), &mark).good().await["changedCount"], 1);
    let list = cast.member.get(format!("{inbox}?unreadOnly=true")).good().await;
    assert_eq!(list["unreadCount"].as_str().map_or(Ok(0), str::parse), Ok(unread - 1), "{list}");
    cast.owner.get(inbox).send().await.is_refused(403, "ACCESS_DENIED");
    let mail = || async {
        let mails = cast.owner.get(cast.path("/capturedMails?pageSize=1000")).good().await;
        let mine = mails["capturedMails"].as_array().into_iter().flatten();
        let mine: Vec<_> = mine.filter(|mail| mail["to"].to_string().contains(&cast.person.email)).cloned().collect();
        if mine.is_empty() { Err(mails) } else { Ok(mine) }
    };
    let mails = eventually_within(PATIENCE, "a mail to the approver", mail).await;
    assert_eq!(mails.len(), 1, "one task, one mail: {mails:?}");
}

#[tokio::test]
async fn the_api_describes_itself_without_a_sign_in() {
    let shared = shared().await;
    let client = shared.platform.client();
    let document = client.get("/openapi.json").good().await;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    let paths = document["paths"].as_object().expect("it has paths");
    assert!(paths.len() > 30, "{} paths", paths.len());
    let page = client.get("/docs").send().await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"), "{}", page.show());
    let text = String::from_utf8_lossy(&page.body);
    assert!(!text.contains("src=\"http") && !text.contains("href=\"https://cdn"), "the page needs no internet");
    let keys = client.get("/.well-known/jwks.json").good().await;
    assert_eq!(keys["keys"][0]["kty"], "EC", "{keys}");
    assert_eq!(client.call(Method::HEAD, "/v1/bootstrap").send().await.status, 200);
}
