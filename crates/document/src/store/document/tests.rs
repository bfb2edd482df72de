//! A page of a list reads about as much as it shows, whatever is shared with the viewer and under however many names: the plans that
//! PostgreSQL makes, on tables that are worth an index.
use testkit::System;

use super::*;

const DOCUMENTS: usize = 20_000;
/// Blocks of 8 KB that a page may read; the tables and their indexes have more.
const BLOCKS: u64 = 1_500;

fn organization() -> OrganizationId {
    OrganizationId("00000000000000000000000001".parse().expect("an id"))
}

/// Names of a viewer in 200 groups, of which one holds this.
fn names(holding: &str) -> String {
    let groups = (1..200).map(|number| format!("'group {number} of his'"));
    groups.chain([format!("'{holding}'")]).collect::<Vec<_>>().join(", ")
}

/// Documents, each of which a person and a group may see; 100 of them are shared with one group more, the 1,500 oldest by creation with
/// another, and all with everybody.
async fn filled() -> System {
    let system = System::start(&[&crate::SERVICE]).await;
    let organization = organization().0.uuid();
    let fill = format!(
        "set session_replication_role = replica;
         insert into document.documents (organization_id, id, title, title_key, head, version, creator_id, create_time, update_time)
           select '{organization}', gen_random_uuid(), n::text, n::text, 1, 1, '{organization}', now() - n * interval '1 s', now() + n * interval '1 s'
           from generate_series(1, {DOCUMENTS}) n;
         insert into document.grants (organization_id, document_id, id, principal, role, create_time)
           select organization_id, id, gen_random_uuid(), principal, 1, now() from document.documents, lateral (values
             ('user ' || title::int % 500), ('group ' || title::int % 2000), ('everybody'),
             (case when title::int % 200 = 0 then 'few' end), (case when title::int > {DOCUMENTS} - 1500 then 'oldest' end)) p(principal) where principal is not null;
         analyze document.documents; analyze document.grants"
    );
    system.sql(&fill).await;
    system
}

/// The plan of the first page for who goes by these names, with what it has read.
async fn plan(system: &System, names: &str, sight: Sight, field: OrderField, generic: bool) -> String {
    let order = Order { field, descending: true };
    let query = DocumentQuery { organization: organization(), folder: None, order, show_deleted: false };
    let (sql, organization) = (list_sql(&query, sight, false), organization().0.uuid());
    let mode = if generic { "force_generic_plan" } else { "force_custom_plan" };
    let explain = format!(
        "set search_path = document; set plan_cache_mode = {mode}; prepare list as {sql};
         explain (analyze, buffers, costs off, timing off, summary off)
           execute list ('{organization}', 51, array[{names}], now(), null, null, null, null)"
    );
    let rows = system.sql(&explain).await;
    rows.into_iter().flat_map(|row| row.into_iter().flatten()).collect::<Vec<_>>().join("\n")
}

/// Blocks that the whole of a plan has read: the first line about them is that of its root.
fn blocks(plan: &str) -> u64 {
    let line = plan.lines().find(|line| line.contains("Buffers:")).expect("the plan tells");
    let numbers = line.split_whitespace().filter_map(|word| word.split_once('=')?.1.parse::<u64>().ok());
    numbers.sum()
}

#[tokio::test]
async fn a_page_reads_indexes_and_no_more_than_it_needs_whoever_asks() {
    let system = filled().await;
    for (holding, sight) in [("nothing", Sight::Few), ("few", Sight::Few), ("everybody", Sight::Many)] {
        for field in [OrderField::CreateTime, OrderField::UpdateTime, OrderField::Title] {
            for generic in [false, true] {
                let plan = plan(&system, &names(holding), sight, field, generic).await;
                assert!(!plan.contains("Seq Scan"), "{holding} {field:?} {generic}\n{plan}");
                let blocks = blocks(&plan);
                assert!((1..=BLOCKS).contains(&blocks), "{holding} {field:?} {generic}: {blocks}\n{plan}");
            }
        }
    }
}

/// What he may see comes after thousands that he may not: neither of the two looks reads them all.
#[tokio::test]
async fn a_page_of_somebody_whose_many_documents_are_the_last_ones_ends_its_search() {
    let system = filled().await;
    for sight in [Sight::Many, Sight::Few] {
        for generic in [false, true] {
            let plan = plan(&system, &names("oldest"), sight, OrderField::CreateTime, generic).await;
            assert!(!plan.contains("Seq Scan"), "{sight:?} {generic}\n{plan}");
            let blocks = blocks(&plan);
            assert!((1..=8 * BLOCKS).contains(&blocks), "{sight:?} {generic}: {blocks}\n{plan}");
        }
    }
}
