//! Searches over what was read: the strongest and nearest relation, its end, circles, and many ways to the same resource.
use super::*;

fn user() -> UserId {
    UserId(Id::ZERO)
}

fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.add_member(user(), None, Vec::new());
    facts
}

fn everybody() -> Subject {
    Subject::Members(api::OrganizationId(Id::ZERO))
}

fn group(name: &str) -> Id {
    Id::derive(Id::ZERO, name.as_bytes())
}

fn parent(facts: &mut Facts, object: &str, parent: &str, most: Share) {
    facts.add_parent(object.to_owned(), parent.to_owned(), most);
}

#[test]
fn the_strongest_relation_counts_and_of_several_the_nearest() {
    let mut facts = facts();
    for (object, above, most) in [
        ("page", "folder", Share::Keeper),
        ("folder", "space", Share::Keeper),
        ("page", "space", Share::Commenter),
        ("space", "root", Share::Keeper),
    ] {
        parent(&mut facts, object, above, most);
    }
    facts.add_relation("page".to_owned(), Subject::User(user()), Share::Reader, None);
    facts.add_relation("space".to_owned(), everybody(), Share::Writer, None);
    facts.add_relation("root".to_owned(), everybody(), Share::Writer, None);
    let subjects = facts.subjects(user(), everybody());
    let held = facts.held("page", &subjects).expect("he is one of all members");
    assert_eq!((held.share, held.way), (Share::Writer, ["page", "folder", "space"].map(str::to_owned).to_vec()));
    assert!(facts.held("folder", &HashSet::new()).is_none() && facts.held("other", &subjects).is_none());
    assert!(facts.reaches("page", Share::Writer) && !facts.reaches("page", Share::Keeper));
}

#[test]
fn what_lets_less_through_gives_less() {
    let mut facts = facts();
    parent(&mut facts, "page", "space", Share::Commenter);
    facts.add_relation("space".to_owned(), everybody(), Share::Keeper, None);
    let subjects = facts.subjects(user(), everybody());
    assert_eq!(facts.held("page", &subjects).expect("inherited").share, Share::Commenter);
    assert_eq!(facts.until("page", Share::Commenter, &subjects), Some(Until::Withdrawn));
    assert_eq!(facts.until("page", Share::Writer, &subjects), None);
}

#[test]
fn the_latest_end_of_all_relations_counts() {
    let (mut facts, soon) = (facts(), OffsetDateTime::UNIX_EPOCH);
    parent(&mut facts, "page", "space", Share::Keeper);
    facts.add_relation("page".to_owned(), Subject::User(user()), Share::Keeper, Some(soon));
    facts.add_relation("space".to_owned(), everybody(), Share::Writer, Some(soon + time::Duration::HOUR));
    facts.add_relation("space".to_owned(), everybody(), Share::Reader, None);
    let subjects = facts.subjects(user(), everybody());
    let until = |share| facts.until("page", share, &subjects).expect("he holds it");
    assert_eq!(until(Share::Keeper), Until::Time(soon));
    assert_eq!(until(Share::Writer), Until::Time(soon + time::Duration::HOUR));
    assert_eq!(until(Share::Reader), Until::Withdrawn);
}

#[test]
fn groups_are_found_within_groups_and_the_way_down_is_the_shortest() {
    let mut facts = facts();
    facts.add_groups(Subject::User(user()), vec![group("inner"), group("near")]);
    facts.add_groups(Subject::Group(group("inner")), vec![group("outer")]);
    facts.add_groups(Subject::Group(group("near")), vec![group("inner")]);
    let subjects = facts.subjects(user(), everybody());
    assert!(subjects.contains(&Subject::Group(group("outer"))) && subjects.contains(&everybody()));
    assert_eq!(facts.groups_between(group("outer"), user()), [group("outer"), group("inner")]);
    let stranger = UserId(group("stranger"));
    assert_eq!(facts.subjects(stranger, everybody()), HashSet::new());
}

#[test]
fn who_has_a_role_or_holds_a_link_is_one_of_them_as_long_as_he_is_a_member() {
    let mut facts = Facts::default();
    let (there, ended, link) = (group("there"), group("ended"), group("link"));
    facts.add_member(user(), Some(Role::Editor), vec![there, ended]);
    facts.add_role(there, Permissions::default());
    facts.add_links(user(), vec![link]);
    facts.add_links(UserId(link), vec![link]);
    let subjects = facts.subjects(user(), everybody());
    for subject in [Subject::Role(Role::Viewer), Subject::Role(Role::Editor), Subject::CustomRole(there)] {
        assert!(subjects.contains(&subject), "{subject:?}");
    }
    assert!(subjects.contains(&Subject::Link(link)) && !subjects.contains(&Subject::Role(Role::Admin)));
    assert!(!subjects.contains(&Subject::CustomRole(ended)), "nobody has a role that is not there");
    assert_eq!(facts.subjects(UserId(link), everybody()), HashSet::new(), "no member");
}

#[test]
fn circles_end_and_many_ways_cost_no_more_than_the_links() {
    let mut facts = facts();
    parent(&mut facts, "a", "b", Share::Keeper);
    parent(&mut facts, "b", "a", Share::Keeper);
    // Thirty layers of eight: 8^30 ways.
    let name = |layer: usize, number: usize| format!("{layer}/{number}");
    for layer in 0..30 {
        for below in 0..8 {
            for above in 0..8 {
                parent(&mut facts, &name(layer, below), &name(layer + 1, above), Share::Keeper);
            }
        }
    }
    facts.add_relation(name(30, 7), everybody(), Share::Reader, None);
    let subjects = facts.subjects(user(), everybody());
    assert_eq!(facts.held("a", &subjects), None);
    let held = facts.held(&name(0, 0), &subjects).expect("at the top");
    assert_eq!((held.way.len(), held.share), (31, Share::Reader));
}

#[test]
fn more_than_may_be_asked_about_is_refused() {
    let mut facts = facts();
    for number in 0..=limit::ASKED {
        parent(&mut facts, "page", &number.to_string(), Share::Keeper);
    }
    assert!(facts.bounded().is_err());
}
