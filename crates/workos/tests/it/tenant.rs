//! A caller of organization A reaches nothing of organization B, by any field of any request (auth.md, T1).
//!
//! Generated from the contract: every method, every place in its request that takes text, everything that B is known by. The caller
//! is A's owner, the most that A has; B has two of everything. What must hold for each call: nothing of B's is in the answer,
//! nothing of B's is changed, and B's thing is answered like one that exists nowhere.
#![expect(clippy::print_stdout, reason = "a trial of minutes tells how far it is")]
mod call;
mod meant;
mod probe;
mod rows;
mod stock;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use proto::{Idempotency, Method, Rule};
use serde_json::{Value, json};
use testkit::conformance::{Contract, Place, Shape};

use self::{
    call::{Said, call},
    meant::{LEAST_FAILS, MAY_CHANGE, TOLD_APART},
    probe::{Probe, probes, texts},
    rows::Watch,
    stock::Tenant,
};
use crate::{
    client::{Client, tomorrow},
    mailbox::begun,
    person::Person,
    platform::{Platform, Site},
};

/// A sign-in is made anew before its access token and its freshness end.
const FRESH: Duration = Duration::from_secs(100);
/// Time for all cases of a method from which on it is told.
const LONG: Duration = Duration::from_secs(2);
/// Calls that are under way at the same time.
const AT_ONCE: usize = 8;
/// Cases for which one sign-in is good.
const CASES: usize = 400;
/// Methods that end what they name: they come last, and use the second of a kind. A's own request comes after all cases, so that there
/// is something that a case could have ended.
const ENDING: [&str; 10] =
    ["Delete", "Leave", "Disable", "Suspend", "Revoke", "Cancel", "Change", "Remove", "Detach", "Reset"];

/// Methods that use the first of a kind all the same: only that is attached, or has members still.
const FIRST: [&str; 2] = ["DetachFile", "RemoveGroupMembers"];

/// What is ended at last, in this order: others end with it.
const LAST: [&str; 8] = [
    "DeleteDocument",
    "DeleteFolder",
    "DeleteGroup",
    "DeleteFile",
    "DeleteServiceAccount",
    "DeleteSession",
    "DeleteMembership",
    "RevokeAllSessions",
];

/// Methods that go on with a sign-in.
const GOES_ON: [&str; 3] = ["StartSocialLogin", "ContinueLogin", "RequestEmailCode"];

/// Least letters of a text that count as the text in the words of a refusal.
const REPEATED: usize = 60;

#[tokio::test]
async fn t1_no_field_of_any_request_reaches_another_organization() {
    let site = ["address", "read", "write", "heavy"]
        .into_iter()
        .fold(Site::new().await, |site, rate| site.set(&format!("gateway.rate_{rate}"), "1000000"));
    let platform = Platform::start(site).await;
    let first = Person::first(&platform.client(), platform.site()).await;
    let (ours, theirs) = (Tenant::stocked(&platform, &first).await, Tenant::stocked(&platform, &first).await);
    stock::provider(platform.site()).await;
    let mut trial = Trial::new(&platform, &ours, &theirs).await;
    let mut shapes = Contract::default().shapes();
    shapes.sort_by_key(turn);
    for shape in &shapes {
        trial.method(shape).await;
    }
    shapes.sort_by_key(|shape| LAST.iter().position(|name| *name == shape.method.name).map_or(0, |at| at + 1));
    for shape in shapes.iter().filter(|shape| is_ending(shape.method)) {
        trial.ending(shape).await;
    }
    trial.end(shapes.len()).await;
}

fn is_ending(method: &Method) -> bool {
    ENDING.iter().any(|word| method.name.starts_with(word))
}

/// Reads come first: what A writes says B's words from then on. Then what ends things. Where the caller says what a new thing is
/// called, A makes one that is called as B's, so that comes last, and documents after runs, which name documents.
fn turn(shape: &Shape) -> u8 {
    match shape.method {
        method if chooses_id(shape) => 3 + u8::from(method.service == "document"),
        method if is_ending(method) => 2,
        method => u8::from(method.idempotency != Idempotency::NoSideEffects),
    }
}

fn chooses_id(shape: &Shape) -> bool {
    let chosen = |place: &Place| place.path.ends_with("_id") && !place.path.contains('.') && place.path != "request_id";
    shape.method.name.starts_with("Create") && shape.places().iter().any(chosen)
}

/// No caller from outside has a route to it: it is for workloads, and the edge is none of them.
fn is_hidden(method: &Method) -> bool {
    let access = method.access.as_ref().expect("declared");
    access.rule == Rule::PeerOnly || !(access.peers.is_empty() || access.peers.iter().any(|peer| peer == "gateway"))
}

/// What A, or B for itself, puts into a field that is needed.
fn fill(tenant: &Tenant, method: &Method, place: &Place) -> Option<Value> {
    let text = |pattern: &str, at: usize| {
        let known = tenant.names.get(pattern)?;
        known.get(at).or(known.first()).map(|name| json!(name))
    };
    let which = usize::from(is_ending(method) && !FIRST.contains(&method.name));
    match (method.name, place.path.as_str()) {
        ("CreateApiKey", "api_key.expire_time") | ("CreateLink", "link.expire_time") => Some(json!(tomorrow())),
        ("CreateOAuthClient", "oauth_client.redirect_uris") => Some(json!(["https://app.example/cb"])),
        ("CreateMembership" | "UpdateMembership", "membership.user") => text("users/*", 1),
        ("CreateUser", "user.email") | ("SignUp", "email") => {
            Some(json!(format!("{}@new.example", api::Ids::default().next())))
        }
        ("CreateFolder", "folder.display_name") => Some(json!(api::Ids::default().next().to_string())),
        ("AppendUpload", "start.name") => text("organizations/*/uploads/*", 0),
        ("AppendUpload", "start.offset_bytes") => Some(json!("0")),
        ("BatchReadUsers" | "ExchangeDelegation", _) => None,
        // Nobody does it to himself.
        ("EnableUser" | "ImpersonateUser", "name") => text("users/*", 1),
        ("DenyAuthorizationRequest", "name") => text("authorizationRequests/*", 1),
        ("StartSocialLogin", "provider") => Some(json!(stock::PROVIDER)),
        // Too many wrong passwords would shut out the caller.
        ("ContinueLogin", "password.email") | ("RequestEmailCode", "email") => Some(json!(tenant.members[1].email)),
        ("ContinueLogin", "password.password") => Some(json!(tenant.members[1].password())),
        ("RevokeAllSessions", "parent") => text("users/*", 0),
        ("RevokeAllSessions", "keep_current") => Some(json!(true)),
        (_, path) if path.ends_with("relation.resource") => text("organizations/*/objectTypes/*/objects/*", 0),
        ("Check" | "Explain" | "ListSubjects" | "ReadRelations", "resource") | ("BatchCheck", "items.resource") => {
            text("organizations/*/documents/*", 0)
        }
        (_, "subject" | "grant.principal" | "items.subject") => text("users/*", 1),
        (_, path) if path.ends_with("relation.subject") => text("users/*", 1),
        (_, "members" | "run.document_approval.approvers") => text("users/*", 1),
        _ => {
            let own = place.pattern.as_deref().and_then(|pattern| text(pattern, which));
            own.or_else(|| place.is_resource.then(|| json!(tenant.organization)))
        }
    }
}

/// One thing of B's in one place of a request.
struct Case<'a> {
    shape: &'a Shape,
    place: &'a Place,
    probe: Probe,
}

/// What a case has shown.
struct Heard {
    found: Vec<String>,
    is_told_apart: bool,
    is_good: bool,
}

/// The trial of all methods.
struct Trial<'a> {
    platform: &'a Platform,
    ours: &'a Tenant,
    theirs: &'a Tenant,
    client: Client,
    signed_in: Instant,
    watch: Watch<'a>,
    found: Vec<String>,
    cases: BTreeMap<&'static str, usize>,
    /// Ending methods of which a case did what A asked with its own.
    ended: BTreeSet<&'static str>,
    fields: usize,
    well: usize,
}

impl<'a> Trial<'a> {
    async fn new(platform: &'a Platform, ours: &'a Tenant, theirs: &'a Tenant) -> Trial<'a> {
        let client = ours.sign_in(platform).await;
        let watch = Watch::over(platform.site(), theirs).await;
        Trial {
            platform,
            ours,
            theirs,
            client,
            watch,
            signed_in: Instant::now(),
            found: Vec::new(),
            cases: BTreeMap::new(),
            ended: BTreeSet::new(),
            fields: 0,
            well: 0,
        }
    }

    /// Who calls: A's owner, not long signed in, where anybody must be.
    async fn caller(&mut self, shape: &Shape) -> Client {
        if self.signed_in.elapsed() > FRESH {
            self.client = self.ours.sign_in(self.platform).await;
            self.signed_in = Instant::now();
        }
        let access = shape.method.access.as_ref().expect("declared");
        if access.rule == Rule::Public { self.platform.client() } else { self.client.clone() }
    }

    async fn method(&mut self, shape: &Shape) {
        let client = self.caller(shape).await;
        let begin = Instant::now();
        if !is_ending(shape.method) {
            self.least(shape, &client).await;
        }
        let places = shape.places();
        self.fields += places.len();
        let cases: Vec<_> = places
            .iter()
            .flat_map(|place| {
                let mut probes = probes(place, shape.method, self.ours, self.theirs);
                // No client has a route to these, whatever it sends.
                probes.truncate(if is_hidden(shape.method) { 1 } else { usize::MAX });
                probes.into_iter().map(move |probe| Case { shape, place, probe })
            })
            .collect();
        for some in cases.chunks(CASES) {
            let client = self.caller(shape).await;
            let (trial, caller) = (&*self, &client);
            let said: Vec<_> = stream::iter(some)
                .map(|case| async move { (case, trial.heard(case, caller).await) })
                .buffered(AT_ONCE)
                .collect()
                .await;
            for (case, heard) in said {
                // What went on beside it may have decided: once more, alone. What is made under an id is made once.
                let again = heard.is_told_apart && !chooses_id(shape);
                let heard = if again { self.heard(case, &client).await } else { heard };
                self.judge(case, heard);
            }
        }
        self.unchanged(shape).await;
        self.told(shape, begin.elapsed());
    }

    /// What takes long is told, and nothing else: the end of a failure's output must be its findings.
    fn told(&self, shape: &Shape, took: Duration) {
        if took > LONG {
            let calls = self.cases.get(shape.method.rpc).copied().unwrap_or_default();
            println!("{:6} ms {calls:4} calls {}", took.as_millis(), shape.method.rpc);
        }
    }

    /// A's own request of a method that ends something, unless a case has shown already that the request is good.
    async fn ending(&mut self, shape: &Shape) {
        let left = LEAST_FAILS.iter().any(|(method, _)| *method == shape.method.name);
        if left || self.ended.contains(shape.method.rpc) {
            return;
        }
        let client = self.caller(shape).await;
        self.least(shape, &client).await;
        self.unchanged(shape).await;
    }

    /// Nothing of B's has changed.
    async fn unchanged(&mut self, shape: &Shape) {
        let name = shape.method.name;
        let may: Vec<_> =
            MAY_CHANGE.iter().filter(|(method, ..)| *method == name).map(|(_, table, _)| *table).collect();
        // What a method may do may come later, and is not another one's.
        let changes = if may.is_empty() { self.watch.changes().await } else { self.watch.until_still().await };
        let unmeant = changes.into_iter().filter(|change| !may.contains(&change.table.as_str()));
        self.found.extend(
            unmeant
                .map(|change| format!("{} changed a row of B in {}: {}", shape.method.rpc, change.table, change.row)),
        );
    }

    /// A's own request succeeds, so that the cases differ from a good one in nothing but what they carry.
    async fn least(&mut self, shape: &Shape, client: &Client) {
        let mut body = shape.least(&|place| fill(self.ours, shape.method, place));
        self.renew(shape, None, &mut body).await;
        let rule = &shape.method.access.as_ref().expect("declared").rule;
        let said = call(client, shape.method, &body).await;
        *self.cases.entry(shape.method.rpc).or_default() += 1;
        let good = said.code == "ok" || (shape.method.server_streaming && said.code == "deadline_exceeded");
        let hidden = is_hidden(shape.method) && said.reason == "ROUTE_NOT_FOUND";
        let above = matches!(rule, Rule::Permission(permission) if permission.starts_with("platform:"))
            && said.reason == "ACCESS_DENIED";
        let known = LEAST_FAILS.iter().any(|(method, _)| *method == shape.method.name);
        self.well += usize::from(good);
        if !(good || hidden || above || known) {
            self.found.push(format!(
                "{}: A's own request fails, so its cases prove nothing: {body} -> {}",
                shape.method.rpc, said.text
            ));
        }
    }

    /// Makes a request good again that is good once, or not often: where a sign-in goes on, one has just begun, and nobody owns a
    /// hundred organizations.
    async fn renew(&self, shape: &Shape, of: Option<&Place>, body: &mut Value) {
        let name = shape.method.name;
        if GOES_ON.contains(&name) && of.is_none_or(|place| place.path != "flow") {
            body["flow"] = json!(begun(&self.platform.client()).await);
        }
        if name == "CreateOrganization" {
            self.ours.give_up_others(self.platform.site()).await;
        }
    }

    /// What the method says to B's thing and to one that exists nowhere.
    async fn heard(&self, case: &Case<'_>, client: &Client) -> Heard {
        let Case { shape, place, probe } = case;
        let ask = async |text: &str| {
            let mut body = shape.with(place, text, &|place| fill(self.ours, shape.method, place));
            self.renew(shape, Some(place), &mut body).await;
            (call(client, shape.method, &body).await, body)
        };
        let (said, body) = ask(&probe.text).await;
        let mut found = self.leaks(&body, &said);
        let mut is_told_apart = false;
        if let Some(twin) = probe.twin() {
            let (other, _) = ask(&twin).await;
            let meant = TOLD_APART.iter().any(|(method, path, _)| *method == shape.method.name && *path == place.path);
            is_told_apart = !meant && form(&said, &probe.text) != form(&other, &twin);
            if is_told_apart {
                found.push(format!("tells B's thing from none:\n    {}\n    {}", said.text, other.text));
            }
        }
        Heard { found, is_told_apart, is_good: said.code == "ok" }
    }

    fn judge(&mut self, case: &Case<'_>, heard: Heard) {
        let Case { shape, place, probe } = case;
        if heard.is_good && is_ending(shape.method) {
            self.ended.insert(shape.method.rpc);
        }
        *self.cases.entry(shape.method.rpc).or_default() += 1 + usize::from(probe.has_twin());
        let found = heard
            .found
            .into_iter()
            .inspect(|found| println!("{} {} = {}: {found}", shape.method.rpc, place.path, probe.text));
        self.found.extend(found.map(|found| format!("{} {} = {}: {found}", shape.method.rpc, place.path, probe.text)));
    }

    /// What of B's stands in the answer that A has not said itself.
    fn leaks(&self, body: &Value, said: &Said) -> Vec<String> {
        let asked = format!("{body}{}", texts(self.theirs).concat());
        let words = self.theirs.words.iter().map(String::as_str).chain(self.theirs.ids());
        let words: BTreeSet<_> = words.filter(|word| said.text.contains(word) && !asked.contains(word)).collect();
        words.into_iter().map(|word| format!("{word} of B is in the answer: {}", said.text)).collect()
    }

    async fn end(mut self, methods: usize) {
        let late = self.watch.until_still().await;
        self.found
            .extend(late.iter().map(|change| format!("in the end a row of B in {}: {}", change.table, change.row)));
        let cases: usize = self.cases.values().sum();
        println!(
            "{methods} methods, {} fields, {cases} calls; {} methods did what A asked with its own",
            self.fields, self.well
        );
        assert_eq!(self.cases.len(), methods, "a method had no case");
        assert!(self.found.is_empty(), "{} findings:\n{}", self.found.len(), self.found.join("\n"));
    }
}

/// What can be told from an answer: of an error its code, reason and words; of a success which fields it has.
fn form(said: &Said, text: &str) -> Value {
    if said.code == "ok" {
        return masked(&said.json);
    }
    // Words repeat what they refuse up to some length.
    let words = said.json["message"].as_str().unwrap_or_default();
    let shown = (REPEATED.min(text.len())..=text.len())
        .rev()
        .filter_map(|end| text.get(..end))
        .find(|shown| words.contains(shown));
    json!({"code": said.code, "reason": said.reason, "message": shown.map_or(words.to_owned(), |shown| words.replace(shown, "it"))})
}

fn masked(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), masked(value))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(all) => all.iter().map(masked).collect::<Vec<_>>().into(),
        Value::String(_) => json!("text"),
        other => other.clone(),
    }
}
