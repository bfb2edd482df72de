//! Pages that take long end short, wherever reading stands; over them the list is the same.
use api::{CallContext, Ids};
use db::{Db, Settings};
use testkit::{Engine, System};

use super::*;

const PAGES: usize = 40;

/// A user who holds forty pages and the two zones above them: each is visited below the first zone, and passed over everywhere else.
async fn overgrown(system: &System, organization: OrganizationId, user: UserId) {
    let key = format!("decode('01{}', 'hex')", user.uuid().simple());
    let organization = organization.uuid();
    let held = format!(
        "insert into auth.relations select '{organization}', object, {key}, 1 from (select 'page/' || to_char(n, 'fm00') as object \
         from generate_series(1, {PAGES}) n union all select * from unnest(array['zone/a', 'zone/b'])) o"
    );
    let below = format!(
        "insert into auth.relation_parents select '{organization}', 'page/' || to_char(n, 'fm00'), zone, 4 \
         from generate_series(1, {PAGES}) n, unnest(array['zone/a', 'zone/b']) zone"
    );
    system.sql(&format!("{held}; {below}")).await;
}

async fn service_db(system: &System) -> Db {
    let mut config = chassis::Config::defaults().expect("the defaults are valid");
    config.set("secret_key", "testkit secret that protects nothing at all").expect("it is long enough");
    let password = chassis::engine_password(&config, Engine::Postgres, "auth").expect("a password is derived");
    let settings = Settings::new(system.engine_url(Engine::Postgres), "auth", password);
    Db::connect(&settings).await.expect("the address is valid")
}

/// All pages of the list, and how many ended at each kind of position: on the way, and past what is visited elsewhere at which depth.
async fn listed(tx: &Tx, reach: Reach<'_>, patience: Duration) -> (Vec<String>, usize, Vec<usize>) {
    let (mut found, mut ways, mut passed) = (Vec::new(), 0, Vec::new());
    let mut position = None;
    loop {
        let reach = Reach { keys: reach.keys, ..reach };
        let (page, next) =
            Walk::new(tx, reach, ("page", 5), patience).page(position).await.expect("the rows are there");
        assert!(page.len() <= 5, "a page is no longer than asked");
        found.extend(page);
        match &next {
            None => return (found, ways, passed),
            Some(Position::Past(way)) => passed.push(way.len()),
            Some(Position::Way(_) | Position::All(_)) => ways += 1,
        }
        // As a token carries it.
        let carried = serde_json::to_vec(&next).expect("it is written");
        position = serde_json::from_slice(&carried).expect("it is read");
    }
}

#[tokio::test]
async fn a_page_without_patience_goes_on_where_reading_stood() {
    let system = System::start(&[&crate::SERVICE]).await;
    let ids = Ids::default();
    let (organization, user) = (OrganizationId(ids.next()), UserId(ids.next()));
    overgrown(&system, organization, user).await;
    let db = service_db(&system).await;
    let tx = db.tenant_as(organization, &CallContext::background("test", &ids)).await.expect("the database is there");
    let keys = [Subject::User(user).key()];
    let reach = || Reach { organization, keys: &keys, least: api::Share::Reader, now: system.clock().now() };
    let (patient, _, passed) = listed(&tx, reach(), Duration::from_secs(600)).await;
    let all: Vec<String> = (1..=PAGES).map(|number| format!("page/{number:02}")).collect();
    assert_eq!((&patient, passed.len()), (&all, 0));
    let (hasty, ways, passed) = listed(&tx, reach(), Duration::ZERO).await;
    assert_eq!(hasty, all, "each once");
    assert!(ways > 0 && passed.contains(&1) && passed.contains(&2), "{ways} {passed:?}");
}
