//! What a mask changes and what it leaves alone.
use api::{OrganizationId, UserId};
use proptest::prelude::*;

use super::*;
use crate::model::{Body, Draft};

fn metadata(entries: &[(&str, i32)]) -> Metadata {
    Metadata::restore(entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect())
}

fn current() -> Edition {
    let content = Content { media_type: "text/markdown".to_owned(), text: "old".to_owned() };
    let metadata = metadata(&[("a", 1), ("b", 2)]);
    let organization = OrganizationId(Id::ZERO);
    let draft = Draft {
        organization,
        id: None,
        folder: Some(Id::ZERO),
        title: "old".to_owned(),
        body: Body { content, metadata },
    };
    draft.first_edition(Id::ZERO, UserId(Id::ZERO), OffsetDateTime::UNIX_EPOCH)
}

fn values() -> Values {
    Values {
        title: "new".to_owned(),
        folder: Some(None),
        content: Some((String::new(), "new".to_owned())),
        metadata: Some(metadata(&[("a", 7)])),
    }
}

fn update(paths: &[&str], values: Values) -> Result<Update, Error> {
    let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
    Update::parse(current().document.name, String::new(), Some(&mask), values)
}

fn changed(paths: &[&str], values: Values) -> Vec<String> {
    let current = current();
    let next = update(paths, values).expect("valid").apply(&current, OffsetDateTime::UNIX_EPOCH).expect("valid");
    next.map(|next| next.changed_since(&current)).unwrap_or_default()
}

#[test]
fn a_mask_changes_what_it_names_and_nothing_else() {
    assert_eq!(changed(&["title"], values()), ["title"]);
    assert_eq!(changed(&["folder"], values()), ["folder"]);
    assert_eq!(changed(&["metadata.a"], values()), ["metadata"]);
    assert_eq!(changed(&["create_time", "name"], values()), Vec::<String>::new());
}

#[test]
fn a_star_replaces_and_an_absent_mask_takes_what_is_populated() {
    assert_eq!(changed(&["*"], values()), ["title", "content", "metadata", "folder"]);
    assert_eq!(changed(&[], Values { title: "new".to_owned(), ..Values::default() }), ["title"]);
    let current = current();
    let next = update(&[], values())
        .expect("valid")
        .apply(&current, OffsetDateTime::UNIX_EPOCH)
        .expect("valid")
        .expect("changed");
    assert_eq!(next.body.content, Content { media_type: "text/markdown".to_owned(), text: "new".to_owned() });
}

#[test]
fn values_outside_the_mask_are_not_even_looked_at() {
    let wrong = Values { title: "\0".to_owned(), content: Some(("x".to_owned(), "\0".to_owned())), ..values() };
    assert_eq!(changed(&["folder"], wrong), ["folder"]);
    assert!(update(&["title"], Values { title: "\0".to_owned(), ..values() }).is_err());
    assert!(update(&["content.text"], Values { content: Some((String::new(), "\0".to_owned())), ..values() }).is_err());
}

#[test]
fn what_changes_nothing_makes_no_edition() {
    let same = Values { title: "old".to_owned(), ..Values::default() };
    let applied =
        update(&["title"], same).expect("valid").apply(&current(), OffsetDateTime::UNIX_EPOCH).expect("valid");
    assert!(applied.is_none());
}

proptest! {
    #[test]
    fn every_edition_rises_by_one_and_time_does_not_run_back(seconds in -1000i64..1000) {
        let now = OffsetDateTime::from_unix_timestamp(seconds).expect("near the epoch");
        let next = update(&["title"], values()).expect("valid").apply(&current(), now).expect("valid").expect("changed");
        prop_assert_eq!((next.document.version, next.document.head), (2, 2));
        prop_assert!(next.document.update_time >= current().document.update_time);
    }
}
