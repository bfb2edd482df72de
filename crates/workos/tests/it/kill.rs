//! `kill -9` of the platform in the middle of the demo, at seeded points, again and again: nothing that was acknowledged is
//! lost, nothing is doubled, every event takes effect once.
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::eventually_within;
use tokio::sync::watch;

use crate::{
    client::{Call, Client},
    person::Person,
    platform::{Platform, Site},
};

/// Where in the demo the kills fall; another seed is another test.
const SEED: u64 = 20_251_125;
/// One run of the demo on this folder makes about this many requests.
const REQUESTS: u64 = 170;
/// Patience for the demo on a loaded machine.
const DEMO: Duration = Duration::from_secs(300);
/// A message that was being handled at the kill comes again after half a minute.
const SETTLED: Duration = Duration::from_secs(180);

/// What the folder holds.
struct Folder {
    path: PathBuf,
    documents: i64,
    /// SHA-256 by number: several files may hold the same bytes.
    uploads: BTreeMap<String, i64>,
}

/// Some sixty files: text in folders, odd names, empty, binary, one of 20 MiB.
fn generate(path: &Path, random: &mut StdRng) -> Folder {
    let mut folder = Folder { path: path.to_owned(), documents: 0, uploads: BTreeMap::new() };
    for number in 0..40 {
        let text = format!(
            "# Paper {number}\n\n{}\n",
            format!("the quick memorandum number {number} speaks of granite\n").repeat(1 + number * 3)
        );
        folder.add(format!("papers/{}/paper {number}.md", number % 4).as_bytes(), text.as_bytes());
    }
    let odd: [&[u8]; 8] = [
        b"odd \xff\xfe bytes.txt",
        b"line\nbreak.txt",
        b"-rf",
        b"quote ' \" `.md",
        "\u{202e}gpj.txt".as_bytes(),
        "🦀 crab.md".as_bytes(),
        b"percent %2F %00.txt",
        &[b'x'; 250],
    ];
    for name in odd {
        folder.add(&[b"odd/", name].concat(), b"a file with an odd name");
    }
    folder.add(b"empty.md", b"");
    folder.add(b"empty", b"");
    for number in 0..9 {
        let mut bytes = vec![0; 1 << (number * 2)];
        random.fill_bytes(&mut bytes);
        bytes.extend_from_slice(b"\0\xff");
        folder.add(format!("binary/{number}.bin").as_bytes(), &bytes);
    }
    let mut bytes = vec![0; 20 * 1024 * 1024];
    random.fill_bytes(&mut bytes);
    bytes[0] = 0;
    folder.add(b"large.bin", &bytes);
    folder
}

impl Folder {
    fn add(&mut self, name: &[u8], bytes: &[u8]) {
        let path = self.path.join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder can be made");
        fs::write(&path, bytes).expect("the file can be written");
        if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() {
            *self.uploads.entry(hex(&Sha256::digest(bytes))).or_default() += 1;
        } else {
            self.documents += 1;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Somebody who writes all the time and remembers what was acknowledged: path and title.
struct Witness {
    way: watch::Receiver<Option<(Client, String)>>,
    acknowledged: Vec<(String, String)>,
}

impl Witness {
    /// Writes until the way in is closed. A call without an answer is repeated as it was, which its ids allow.
    async fn write(mut self) -> Vec<(String, String)> {
        for number in 0.. {
            let (id, requests) =
                (api::Ids::default().next(), [rand::random(), rand::random()].map(uuid::Uuid::from_u128));
            let create = |client: &Client, organization: &str| {
                let path = format!("/v1/{organization}/documents?documentId={id}&requestId={}", requests[0]);
                client.post(path, &json!({"title": format!("witness {number}"), "content": {"mediaType": "text/plain", "text": "seen"}}))
            };
            let Some(made) = self.insist(create).await else { break };
            let path = format!("/v1/{}", made["name"].as_str().expect("a document has a name"));
            self.acknowledged.push((path.clone(), format!("witness {number}")));
            let change = |client: &Client, _: &str| {
                let title = json!({"title": format!("witness {number} changed")});
                client.patch(format!("{path}?updateMask=title&requestId={}", requests[1]), &title)
            };
            if self.insist(change).await.is_none() {
                break;
            }
            self.acknowledged.last_mut().expect("just pushed").1 = format!("witness {number} changed");
            // A few writes a second are enough.
            let _ = tokio::time::timeout(Duration::from_millis(300), self.way.changed()).await;
        }
        self.acknowledged
    }

    /// Repeats a call until it is answered; `None` when the way in is closed for good before the first try.
    async fn insist(&mut self, call: impl Fn(&Client, &str) -> Call) -> Option<Value> {
        if self.way.has_changed().is_err() {
            return None;
        }
        let mut tried = false;
        loop {
            let way = self.way.borrow_and_update().clone();
            if let Some((client, organization)) = way {
                tried = true;
                match call(&client, &organization).attempt().await {
                    Ok(answer) if answer.status == 200 => return Some(answer.json()),
                    Ok(answer) => assert!(answer.status.is_server_error(), "the witness is refused: {}", answer.show()),
                    Err(_) => {}
                }
            }
            // Away: until there is a new way in, or for a moment if there already is one.
            let wait = tokio::time::timeout(Duration::from_millis(100), self.way.changed()).await;
            if matches!(wait, Ok(Err(_))) {
                assert!(!tried, "the platform was there at the end, and did not answer");
                return None;
            }
        }
    }
}

/// The way in for the witness, once the demo has made its owner.
async fn way_in(platform: &Platform) -> Option<(Client, String)> {
    let state = platform.client().get("/v1/bootstrap").good().await;
    let owner = Person::of_demo(platform.site()).filter(|_| state["completed"] == true)?;
    Some((owner.sign_in(&platform.client()).await, owner.organization))
}

/// Kills the platform at so many points of the demo, then lets the demo come to its end.
async fn torment(platform: &mut Platform, folder: &Folder, points: &[u64]) -> Vec<(String, String)> {
    let (way, follow) = watch::channel(None);
    let kills = async {
        let (site_folder, way) = (folder.path.to_str().expect("our folder has a plain name"), way);
        for (round, point) in points.iter().enumerate() {
            let begin = platform.output().requests();
            let demo = platform.site().run(&["demo", site_folder]);
            let look = || async {
                let requests = platform.output().requests() - begin;
                if requests as u64 >= *point || demo.output().has_ended() {
                    Ok(())
                } else {
                    Err((requests, demo.output().tail()))
                }
            };
            eventually_within(DEMO, &format!("request {point} of round {round}"), look).await;
            platform.kill();
            drop(demo);
            platform.start_again().await;
            way.send_replace(way_in(platform).await);
        }
        platform.site().run(&["demo", site_folder]).succeeds(DEMO).await;
        way.send_replace(way_in(platform).await);
    };
    let (acknowledged, ()) = tokio::join!(Witness { way: follow, acknowledged: Vec::new() }.write(), kills);
    acknowledged
}

/// Everything that was acknowledged is there, once, and every event had its effect, once.
async fn examine(platform: &Platform, folder: &Folder, acknowledged: &[(String, String)]) {
    let (client, organization) = way_in(platform).await.expect("the demo made its owner");
    for (path, title) in acknowledged {
        let found = client.get(path).send().await;
        assert_eq!(
            (found.status.as_u16(), found.json()["title"].as_str()),
            (200, Some(title.as_str())),
            "{path}: {}",
            found.show()
        );
    }
    let site = platform.site();
    let documents = folder.documents + i64::try_from(acknowledged.len()).expect("not that many");
    assert_eq!(site.count("select count(*) from document.documents").await, documents, "documents");
    let sql = "select encode(sha256, 'hex'), count(*) from file.files group by 1 order by 1";
    let stored: BTreeMap<_, _> = site
        .sql(sql)
        .await
        .into_iter()
        .map(|row| {
            let [sum, count] = [0, 1].map(|at| row[at].clone().expect("not null"));
            (sum, count.parse::<i64>().expect("a count"))
        })
        .collect();
    assert_eq!(stored, folder.uploads, "files, by the sums of their bytes");
    assert_eq!(
        site.count("select count(*) from document.outbox_event where type = 'document.created'").await,
        documents
    );
    for service in ["auth", "document", "file", "workflow", "notification"] {
        let gaps = format!(
            "select count(*) from (select 1 from {service}.outbox_event group by aggregate_type, aggregate_id, epoch having count(*) <> count(distinct aggregate_version)) as doubled"
        );
        assert_eq!(site.count(&gaps).await, 0, "{service}: no version is told twice");
        let unsent = format!("select count(*) from {service}.outbox_event where sent_at is null");
        until_zero(site, &unsent, &format!("{service}: every event is sent")).await;
    }
    let entries = documents + folder.uploads.values().sum::<i64>();
    let path = format!("/v1/{organization}/searchIndex");
    let look = || async {
        let index = client.get(&path).good().await;
        let is = |name: &str, wanted: i64| index[name].as_str().map_or(Ok(0), str::parse) == Ok(wanted);
        if is("entryCount", entries) && is("pendingCount", 0) && is("rejectedCount", 0) {
            Ok(())
        } else {
            Err((index, entries))
        }
    };
    eventually_within(SETTLED, "the index holds each resource once", look).await;
    for table in ["inbox_items", "deliveries"] {
        let sql = format!(
            "select count(*) from workflow.outbox_event o where type = 'task.created' and (select count(*) from notification.{table} i where i.event_id = o.event_id) <> 1"
        );
        until_zero(site, &sql, &format!("each task is told once in {table}")).await;
    }
    let sql =
        "select count(*) from workflow.outbox_event where type = 'run.ended' group by aggregate_id having count(*) > 1";
    assert_eq!(site.sql(sql).await, Vec::<Vec<Option<String>>>::new(), "no run ends twice");
}

async fn until_zero(site: &Site, sql: &str, what: &str) {
    let look = || async {
        let count = site.count(sql).await;
        if count == 0 { Ok(()) } else { Err(count) }
    };
    eventually_within(SETTLED, what, look).await;
}

async fn survives(site: Site, rounds: usize) {
    let mut random = StdRng::seed_from_u64(SEED);
    let folder = generate(&site.folder().join("files"), &mut random);
    let points: Vec<_> = (0..rounds).map(|_| 1 + random.next_u64() % REQUESTS).collect();
    let mut platform = Platform::start(site).await;
    let acknowledged = torment(&mut platform, &folder, &points).await;
    assert!(acknowledged.len() > rounds, "the witness wrote all the time: {} documents", acknowledged.len());
    examine(&platform, &folder, &acknowledged).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_by_twenty_kills_of_the_platform() {
    survives(Site::new().await, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_engines_die_with_the_platform() {
    survives(Site::with_own_engines(), 3).await;
}
