//! What every index engine must do, run over each implementation. Elasticsearch joins by one line at the end.
use api::{Id, Ids, OrganizationId};
use search::backend::{
    BackendError, Entry, Facet, Generation, Kind, Question, ResourceName, Revision, SearchBackend, Selection, Tantivy,
    Tree, Write, WriteOutcome,
};
use tempfile::TempDir;
use time::OffsetDateTime;

const FIRST: Generation = Generation(1);
const ORGANIZATION: OrganizationId = OrganizationId(Id::ZERO);

/// An engine with one empty generation, and how to make another instance over the same data.
pub(crate) struct Engine<B> {
    pub(crate) backend: B,
    folder: TempDir,
    make: fn(&TempDir) -> B,
}

impl<B: SearchBackend> Engine<B> {
    async fn new(make: fn(&TempDir) -> B) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let backend = make(&folder);
        backend.create(FIRST).await.expect("an empty generation");
        Self { backend, folder, make }
    }

    /// Ends this instance without any farewell and begins another.
    async fn again(self) -> Self {
        let Self { backend, folder, make } = self;
        drop(backend);
        let backend = make(&folder);
        backend.open(FIRST).await.expect("what was there opens");
        Self { backend, folder, make }
    }

    pub(crate) async fn write(&self, writes: Vec<Write>) -> Vec<WriteOutcome> {
        self.backend.apply(FIRST, writes).await.expect("the engine is there")
    }

    pub(crate) async fn refresh(&self) {
        self.backend.refresh(FIRST).await.expect("the engine is there");
    }

    async fn put(&self, entries: &[Entry]) {
        self.write(entries.iter().map(put).collect()).await;
        self.refresh().await;
    }

    pub(crate) async fn ask(&self, question: Question) -> search::backend::Page {
        self.backend.search(FIRST, question).await.expect("a valid question")
    }

    async fn titles(&self, query: &str) -> Vec<String> {
        self.ask(question(query)).await.hits.into_iter().map(|hit| hit.title).collect()
    }
}

pub(crate) async fn tantivy() -> Engine<Tantivy> {
    Engine::new(|folder| Tantivy::new(folder.path().to_owned(), 16 << 20, 4)).await
}

pub(crate) fn question(query: &str) -> Question {
    Question {
        organization: ORGANIZATION,
        principals: vec!["everybody".to_owned()],
        withheld: Vec::new(),
        except: Vec::new(),
        tree: Tree::parse(query).expect("a valid query"),
        selection: Selection::default(),
        facets: Vec::new(),
        after: None,
        limit: 100,
    }
}

pub(crate) fn entry(title: &str, body: &str) -> Entry {
    Entry {
        name: ResourceName { organization: ORGANIZATION, kind: Kind::Document, id: Ids::default().next() },
        revision: Revision(1),
        principals: vec!["everybody".to_owned()],
        title: title.to_owned(),
        body: body.to_owned(),
        media_type: "text/plain".to_owned(),
        folder: "root".to_owned(),
        updated: OffsetDateTime::UNIX_EPOCH,
    }
}

pub(crate) fn put(entry: &Entry) -> Write {
    Write::Put(Box::new(entry.clone()))
}

fn at(entry: &Entry, revision: i64, title: &str) -> Write {
    put(&Entry { revision: Revision(revision), title: title.to_owned(), ..entry.clone() })
}

async fn src_01_an_older_state_never_replaces_a_newer_one<B: SearchBackend>(engine: Engine<B>) {
    let entry = entry("", "");
    let outcomes = engine.write(vec![at(&entry, 1, "one"), at(&entry, 3, "three"), at(&entry, 2, "two")]).await;
    assert_eq!(outcomes, [WriteOutcome::Applied, WriteOutcome::Applied, WriteOutcome::Stale]);
    engine.refresh().await;
    assert_eq!(engine.titles("").await, ["three"]);
    // The same against what is committed, and after a restart.
    assert_eq!(engine.write(vec![at(&entry, 2, "two")]).await, [WriteOutcome::Stale]);
    let engine = engine.again().await;
    assert_eq!(engine.write(vec![at(&entry, 2, "two")]).await, [WriteOutcome::Stale]);
    engine.refresh().await;
    assert_eq!(engine.titles("").await, ["three"]);
    // Versions used again in a later epoch are newer.
    assert_eq!(engine.write(vec![at(&entry, (1 << 48) + 1, "restored")]).await, [WriteOutcome::Applied]);
    engine.refresh().await;
    assert_eq!(engine.titles("").await, ["restored"]);
}

async fn src_02_the_same_state_twice_is_one_entry<B: SearchBackend>(engine: Engine<B>) {
    let entry = entry("twin", "");
    engine.write(vec![put(&entry), put(&entry)]).await;
    engine.refresh().await;
    engine.put(std::slice::from_ref(&entry)).await;
    let page = engine.ask(question("twin")).await;
    assert_eq!((page.total, page.hits.len(), page.hits[0].revision), (1, 1, Revision(1)));
    // With the same version other principals replace: a file's follow those of its documents.
    let shared = Entry { principals: vec!["nobody".to_owned()], ..entry };
    engine.put(&[shared]).await;
    assert_eq!(engine.ask(question("twin")).await.total, 0);
}

async fn src_03_what_is_deleted_and_undeleted_is_visible_again<B: SearchBackend>(engine: Engine<B>) {
    let entry = entry("phoenix", "");
    engine.put(std::slice::from_ref(&entry)).await;
    engine.write(vec![Write::Tombstone(entry.name, Revision(4))]).await;
    engine.refresh().await;
    assert_eq!(
        (engine.titles("phoenix").await.len(), engine.backend.count(FIRST, ORGANIZATION).await.expect("a count")),
        (0, 0)
    );
    assert_eq!(engine.write(vec![at(&entry, 3, "late")]).await, [WriteOutcome::Stale]);
    let engine = engine.again().await;
    assert_eq!(engine.write(vec![at(&entry, 3, "late")]).await, [WriteOutcome::Stale]);
    engine.write(vec![at(&entry, 5, "phoenix")]).await;
    engine.refresh().await;
    assert_eq!(engine.titles("phoenix").await, ["phoenix"]);
    assert_eq!(engine.backend.count(FIRST, ORGANIZATION).await.expect("a count"), 1);
}

async fn what_is_not_refreshed_is_neither_found_nor_kept<B: SearchBackend>(engine: Engine<B>) {
    engine.put(&[entry("kept", "")]).await;
    engine.write(vec![put(&entry("lost", ""))]).await;
    assert_eq!(engine.titles("").await, ["kept"]);
    let engine = engine.again().await;
    assert_eq!(engine.titles("").await, ["kept"]);
}

async fn only_what_the_asker_may_find_is_found_counted_and_weighed<B: SearchBackend>(engine: Engine<B>) {
    let visible = entry("apple tree", "apple");
    engine.put(std::slice::from_ref(&visible)).await;
    let facets = Facet::ALL.to_vec();
    let ask = || Question { facets: facets.clone(), ..question("apple OR pear") };
    let before = engine.ask(ask()).await;
    let hidden = |index: u64| Entry {
        principals: vec!["others".to_owned()],
        media_type: format!("x/{index}"),
        ..entry("apple", "pear")
    };
    let foreign = |_| {
        let organization = OrganizationId(Ids::default().next());
        let entry = entry("apple", "pear");
        Entry { name: ResourceName { organization, ..entry.name }, ..entry }
    };
    let others: Vec<_> = (0..10).map(hidden).chain((0..10).map(foreign)).collect();
    engine.put(&others).await;
    assert_eq!(engine.ask(ask()).await, before);
    assert_eq!(before.total, 1);
    for left_out in [
        Question { principals: Vec::new(), ..ask() },
        Question { except: vec![visible.name], ..ask() },
        Question { withheld: vec![Kind::Document], ..ask() },
        Question { organization: OrganizationId(Ids::default().next()), ..ask() },
    ] {
        let page = engine.ask(left_out).await;
        assert_eq!((page.hits.len(), page.total), (0, 0));
        assert!(page.facets.iter().all(|facet| facet.values.is_empty() && facet.other == 0));
    }
}

async fn facets_list_twenty_values_and_count_the_others<B: SearchBackend>(engine: Engine<B>) {
    let typed = |number: usize| Entry { media_type: format!("x/{:02}", number % 25), ..entry("item", "") };
    let entries: Vec<_> = (0..55).map(typed).collect();
    engine.put(&entries).await;
    let selection = Selection { media_types: vec!["x/00".to_owned()], ..Selection::default() };
    let page = engine.ask(Question { selection, facets: vec![Facet::MediaType], ..question("item") }).await;
    assert_eq!(page.total, 3);
    let facet = &page.facets[0];
    assert_eq!(
        facet.values[..6],
        [("x/00", 3), ("x/01", 3), ("x/02", 3), ("x/03", 3), ("x/04", 3), ("x/05", 2)]
            .map(|(value, count)| (value.to_owned(), count))
    );
    assert_eq!((facet.values.len(), facet.other), (20, 10));
}

async fn pages_after_a_place_give_everything_once_and_in_order<B: SearchBackend>(engine: Engine<B>) {
    for chunk in 0..5 {
        let entry = |number: i64| Entry {
            updated: OffsetDateTime::UNIX_EPOCH + time::Duration::minutes(number % 3),
            ..entry("page", &"filler ".repeat(usize::try_from(number % 4).unwrap_or(0)))
        };
        let entries: Vec<_> = (0..9).map(|number| entry(chunk + number)).collect();
        engine.put(&entries).await;
    }
    for query in ["page", ""] {
        let all: Vec<_> = engine.ask(question(query)).await.hits.iter().map(|hit| hit.position).collect();
        assert!(all.len() == 45 && all.is_sorted());
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = engine.ask(Question { after, limit: 7, ..question(query) }).await;
            assert_eq!(page.total, 45);
            paged.extend(page.hits.iter().map(|hit| hit.position));
            after = page.hits.last().map(|hit| hit.position);
            if !page.more {
                break;
            }
        }
        assert_eq!(paged, all);
    }
}

async fn words_are_found_in_other_spellings_and_forms<B: SearchBackend>(engine: Engine<B>) {
    let texts =
        ["Le Café fermé", "Straße nach München", "Running whales", "東京タワー", "İstanbul", "re-use of src/main.rs"];
    let entries: Vec<_> = texts.iter().map(|text| entry(text, "")).collect();
    engine.put(&entries).await;
    for (query, found) in [
        ("cafe", 0),
        ("CAFE\u{301}", 0),
        ("strasse", 1),
        ("munchen", 1),
        ("run whale", 2),
        ("\"running whales\"", 2),
        ("wha*", 2),
        ("東京", 3),
        ("\"京タ\"", 3),
        ("istanbul", 4),
        ("main.rs", 5),
        ("src/ma*", 5),
    ] {
        assert_eq!(engine.titles(query).await, [texts[found]], "{query}");
    }
    for query in ["\"whales running\"", "\"run whale\"", "京東", "caf", "main.sr"] {
        assert!(engine.titles(query).await.is_empty(), "{query}");
    }
    let page = engine.ask(question("strasse")).await;
    let highlight = &page.hits[0].highlights[0];
    assert_eq!((highlight.field, &highlight.text[highlight.ranges[0].clone()]), ("title", "Straße"));
}

async fn a_title_counts_more_than_a_text<B: SearchBackend>(engine: Engine<B>) {
    engine.put(&[entry("other", "some words about harbors here"), entry("harbors", "")]).await;
    assert_eq!(engine.titles("harbors").await, ["harbors", "other"]);
}

async fn generations_stand_beside_each_other<B: SearchBackend>(engine: Engine<B>) {
    engine.put(&[entry("old", "")]).await;
    let second = Generation(2);
    engine.backend.create(second).await.expect("another generation");
    engine.backend.apply(second, vec![put(&entry("new", ""))]).await.expect("it is there");
    engine.backend.refresh(second).await.expect("it is there");
    let page = engine.backend.search(second, question("")).await.expect("it is there");
    assert_eq!(page.hits[0].title, "new");
    assert_eq!(engine.titles("").await, ["old"]);
    engine.backend.remove(FIRST).await.expect("it goes");
    engine.backend.remove(FIRST).await.expect("it is gone");
    assert!(matches!(engine.backend.search(FIRST, question("")).await, Err(BackendError::Unusable(_))));
    assert!(matches!(engine.backend.open(FIRST).await, Err(BackendError::Unusable(_))));
    engine.backend.create(second).await.expect("made anew");
    assert_eq!(engine.backend.count(second, ORGANIZATION).await.expect("it is there"), 0);
}

async fn one_index_has_one_writer<B: SearchBackend>(engine: Engine<B>) {
    let other = (engine.make)(&engine.folder);
    assert!(matches!(other.open(FIRST).await, Err(BackendError::Busy(_))));
    engine.put(&[entry("undisturbed", "")]).await;
    assert_eq!(engine.titles("undisturbed").await.len(), 1);
}

async fn a_damaged_index_is_said_to_be_unusable<B: SearchBackend>(engine: Engine<B>) {
    engine.put(&[entry("fragile", "")]).await;
    let Engine { backend, folder, make } = engine;
    drop(backend);
    let meta = folder.path().join("generation-1/meta.json");
    std::fs::write(&meta, "{}").expect("the index lies in a folder");
    assert!(matches!(make(&folder).open(FIRST).await, Err(BackendError::Unusable(_))));
}

macro_rules! suite {
    ($engine:ident: $($case:ident)*) => {
        mod $engine {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(super::$engine().await).await;
                }
            )*
        }
    };
}

suite! { tantivy:
    src_01_an_older_state_never_replaces_a_newer_one
    src_02_the_same_state_twice_is_one_entry
    src_03_what_is_deleted_and_undeleted_is_visible_again
    what_is_not_refreshed_is_neither_found_nor_kept
    only_what_the_asker_may_find_is_found_counted_and_weighed
    facets_list_twenty_values_and_count_the_others
    pages_after_a_place_give_everything_once_and_in_order
    words_are_found_in_other_spellings_and_forms
    a_title_counts_more_than_a_text
    generations_stand_beside_each_other
    one_index_has_one_writer
    a_damaged_index_is_said_to_be_unusable
}
