//! What is put into the fields: everything that tenant B is known by, and for each name its twin, which names nothing.
use std::collections::BTreeSet;

use api::Ids;
use proto::Method;
use testkit::conformance::Place;

use super::stock::Tenant;

/// Fields that name resources without the contract saying of which type.
const NAMES: [&str; 14] = [
    "name",
    "names",
    "parent",
    "resource",
    "resources",
    "subject",
    "principal",
    "member",
    "members",
    "owner",
    "actor",
    "actors",
    "user",
    "organization",
];

/// One thing of B's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Probe {
    pub(super) text: String,
    /// The same form with ids that exist nowhere.
    pub(super) twin: Option<String>,
}

/// Whose ids go into fields of ids.
const KEYS: [&str; 6] = [
    "organizations/*/documents/*",
    "organizations/*",
    "users/*",
    "organizations/*/oauthClients/*",
    "organizations/*/runs/*",
    "organizations/*/customRoles/*",
];

/// Whose names go into free text.
const TEXTS: [&str; 5] = [
    "organizations/*",
    "organizations/*/documents/*",
    "organizations/*/folders/*",
    "users/*",
    "organizations/*/files/*",
];

/// What goes into this field.
pub(super) fn probes(place: &Place, method: &Method, ours: &Tenant, theirs: &Tenant) -> Vec<Probe> {
    let last = place.path.rsplit('.').next().unwrap_or_default();
    let mut found = BTreeSet::new();
    let mut plain = |text: &str| found.insert(Probe { text: text.to_owned(), twin: None });
    match last {
        "page_token" => {
            theirs.pages.iter().filter(|(rpc, _)| *rpc == method.rpc).for_each(|(_, token)| _ = plain(token));
            theirs.pages.values().take(3).for_each(|token| _ = plain(token));
        }
        "etag" => theirs.etags.iter().for_each(|etag| _ = plain(etag)),
        "request_id" => _ = plain(&theirs.request_id),
        "at_least" => _ = plain(&theirs.consistency),
        _ => {}
    }
    if !found.is_empty() {
        return found.into_iter().collect();
    }
    if place.pattern.is_some() || place.is_resource || NAMES.contains(&last) {
        for name in theirs.names.values().filter_map(|names| names.first()) {
            found.insert(twinned(name.clone(), &theirs.ids()));
            if let Some(below) = name.strip_prefix(&theirs.organization).filter(|below| !below.is_empty()) {
                found.insert(twinned(format!("{}{below}", ours.organization), &theirs.ids()));
            }
            if let Some(below) = name.strip_prefix(&theirs.owner.user).filter(|below| !below.is_empty()) {
                found.insert(twinned(format!("{}{below}", ours.owner.user), &theirs.ids()));
            }
        }
        found.insert(twinned(format!("{}#member", theirs.organization), &theirs.ids()));
        found.insert(twinned(format!("{}#member", theirs.names["organizations/*/groups/*"][0]), &theirs.ids()));
        return found.into_iter().collect();
    }
    if last.contains("email") {
        for email in &theirs.emails {
            let (_, domain) = email.split_once('@').expect("an address");
            found.insert(Probe { text: email.clone(), twin: Some(format!("{}@{domain}", Ids::default().next())) });
        }
    }
    if last.ends_with("_id") || last == "client" {
        for pattern in KEYS {
            let id = theirs.names[pattern][0].rsplit('/').next().unwrap_or_default();
            found.insert(twinned(id.to_owned(), &theirs.ids()));
        }
    }
    // Free text: a word of a document, and a few names.
    for pattern in TEXTS {
        found.insert(twinned(theirs.names[pattern][0].clone(), &theirs.ids()));
    }
    found.extend(theirs.words.iter().take(3).map(|word| Probe { text: word.clone(), twin: None }));
    found.into_iter().collect()
}

/// A name with the twin that differs in what comes last of B's ids.
fn twinned(text: String, ids: &BTreeSet<&str>) -> Probe {
    let last = text.split(['/', '#']).rfind(|part| ids.contains(part)).map(str::to_owned);
    let twin = last.map(|id| {
        let new =
            if id.parse::<api::Id>().is_ok() { Ids::default().next().to_string() } else { id.chars().rev().collect() };
        let at = text.rfind(&id).expect("it is there");
        format!("{}{new}{}", &text[..at], &text[at + id.len()..])
    });
    Probe { text, twin }
}
