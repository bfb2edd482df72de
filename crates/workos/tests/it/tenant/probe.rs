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
    /// What is another one in its twin: the same form, which exists nowhere.
    twin: Option<Other>,
}

/// Part of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Other {
    before: String,
    id: String,
    after: String,
}

impl Probe {
    /// Nothing is known that it could be told from.
    fn plain(text: &str) -> Probe {
        Probe { text: text.to_owned(), twin: None }
    }

    /// What comes last of these ids is another one in the twin.
    fn twinned(text: String, ids: &BTreeSet<&str>) -> Probe {
        let last = text.split(['/', '#', '@']).rfind(|part| ids.contains(part)).map(str::to_owned);
        let twin = last.map(|id| {
            let at = text.rfind(&id).expect("it is there");
            Other { before: text[..at].to_owned(), after: text[at + id.len()..].to_owned(), id }
        });
        Probe { text, twin }
    }

    /// A twin, each time another one: a call may have made what the last one named.
    pub(super) fn twin(&self) -> Option<String> {
        let Other { before, id, after } = self.twin.as_ref()?;
        let new = if id.parse::<api::Id>().is_ok() { Ids::default().next().to_string() } else { shuffled(id) };
        Some(format!("{before}{new}{after}"))
    }

    pub(super) fn has_twin(&self) -> bool {
        self.twin.is_some()
    }
}

/// As many letters, in an order that nobody knows.
fn shuffled(id: &str) -> String {
    let mut letters: Vec<_> = id.chars().map(|letter| (rand::random::<u64>(), letter)).collect();
    letters.sort_unstable();
    letters.into_iter().map(|(_, letter)| letter).collect()
}

/// Whose ids go into fields of ids, and whose names into those of other names.
const KEYS: [&str; 6] = [
    "organizations/*/documents/*",
    "organizations/*",
    "users/*",
    "organizations/*/oauthClients/*",
    "organizations/*/runs/*",
    "organizations/*/customRoles/*",
];

/// What everybody calls as he likes: what A has written of its own under such a name is there.
const OBJECTS: &str = "organizations/*/objectTypes/*/objects/*";

/// Whose names go into free text.
const TEXTS: [&str; 3] = ["organizations/*", "organizations/*/documents/*", "users/*"];

/// What goes into this field.
pub(super) fn probes(place: &Place, method: &Method, ours: &Tenant, theirs: &Tenant) -> Vec<Probe> {
    let last = place.path.rsplit('.').next().unwrap_or_default();
    let mut found = BTreeSet::new();
    let mut plain = |text: &str| found.insert(Probe::plain(text));
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
        return names(place, ours, theirs);
    }
    if last.contains("email") {
        for email in &theirs.emails {
            let (name, _) = email.split_once('@').expect("an address");
            found.insert(Probe::twinned(email.clone(), &BTreeSet::from([name])));
        }
    }
    if last.ends_with("_id") || last == "client" {
        for pattern in KEYS {
            let id = theirs.names[pattern][0].rsplit('/').next().unwrap_or_default();
            found.insert(Probe::twinned(id.to_owned(), &theirs.ids()));
        }
    }
    for text in texts(theirs) {
        let is_word = theirs.words.contains(&text);
        found.insert(if is_word { Probe::plain(&text) } else { Probe::twinned(text, &theirs.ids()) });
    }
    found.into_iter().collect()
}

/// What goes into free text: a few names, and two of B's words. A's own things say it from then on.
pub(super) fn texts(theirs: &Tenant) -> Vec<String> {
    let names = TEXTS.iter().map(|pattern| theirs.names[*pattern][0].clone());
    names.chain(theirs.words.iter().take(2).cloned()).collect()
}

/// Names of B's for a field that takes one: those that may mean something in it with their twins, below B and below A; of the
/// others, which no reader of that field knows, one of each of the kinds that matter most.
fn names(place: &Place, ours: &Tenant, theirs: &Tenant) -> Vec<Probe> {
    let (ids, mut found) = (theirs.ids(), BTreeSet::new());
    let ours_of = [(&theirs.organization, &ours.organization), (&theirs.owner.user, &ours.owner.user)];
    for (kind, name) in theirs.names.iter().filter_map(|(kind, names)| Some((kind, names.first()?))) {
        if place.pattern.as_deref().is_some_and(|wanted| !is_akin(kind, wanted)) {
            let matters = KEYS.contains(&kind.as_str());
            found.extend(matters.then(|| Probe::plain(name)));
            continue;
        }
        found.insert(Probe::twinned(name.clone(), &ids));
        for (his, own) in ours_of {
            let Some(below) = name.strip_prefix(his.as_str()).filter(|below| !below.is_empty()) else { continue };
            let below = format!("{own}{below}");
            found.insert(if kind == OBJECTS { Probe::plain(&below) } else { Probe::twinned(below, &ids) });
        }
    }
    let named = |kind: &str| &theirs.names[kind][0];
    for (set, relation) in [
        (&theirs.organization, "member"),
        (&theirs.organization, "viewer"),
        (named("organizations/*/groups/*"), "member"),
        (named("organizations/*/customRoles/*"), "member"),
        (named("organizations/*/links/*"), "holder"),
    ] {
        found.insert(Probe::twinned(format!("{set}#{relation}"), &ids));
    }
    found.into_iter().collect()
}

/// The same kind, what lies above it, or whom it belongs to. What lies below it is no name of it: names are read whole.
fn is_akin(kind: &str, wanted: &str) -> bool {
    wanted.starts_with(kind) || ["organizations/*", "users/*"].contains(&kind)
}
